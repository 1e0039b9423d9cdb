//! Parts of the object store by themselves, and tiny stores, for the models in `loom-tests/`.
//!
//! # Checked by
//! `loom-tests/objects.rs`, `loom-tests/objects_promise.rs`, `loom-tests/objects_parts.rs`.

use core::fmt;
use core::task::Waker;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ObjectError;
use super::inner::Inner;
use super::kind::StoredType;
use super::object::{OVERHEAD, Object, Outcome};
use super::options::Options;
use super::room::{Asks, Places, Room, Ticket};
use super::store::InMemoryStore;

/// What a tiny store is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Tiny {
    /// How many objects without bytes it has room for.
    pub objects: u64,
    pub shards: usize,
    pub count_retained: bool,
    pub collect_unreferenced: bool,
    /// What a place in the index costs, beyond the first four.
    pub place: u64,
}

impl Tiny {
    #[must_use]
    pub fn build(self) -> InMemoryStore {
        let options = Options {
            count_retained: self.count_retained,
            collect_unreferenced: self.collect_unreferenced,
            place: self.place,
            shards: Some(self.shards),
        };
        InMemoryStore::of(Inner::new(self.objects * OVERHEAD, options))
    }
}

/// For how many of its objects somebody waits.
#[must_use]
pub fn awaited(store: &InMemoryStore) -> usize {
    store.inner().lot.len()
}

/// The room of a store.
#[derive(Clone)]
pub struct Tokens(Arc<Room>);

/// Tokens that were taken, given back with it.
pub struct Taken {
    _ticket: Ticket,
}

impl Tokens {
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Room::new(limit, Places::default()))
    }

    #[must_use]
    pub fn free(&self) -> u64 {
        self.0.free()
    }

    #[must_use]
    pub fn take(&self, tokens: u64) -> Option<Taken> {
        let _ticket = self.0.take(tokens, Asks::Now)?;
        Some(Taken { _ticket })
    }

    #[must_use]
    pub fn take_at_front(&self, tokens: u64) -> Option<Taken> {
        let _ticket = self.0.take(tokens, Asks::AtFront)?;
        Some(Taken { _ticket })
    }

    pub fn reader_left(&self) {
        self.0.reader_left();
    }

    pub fn join(&self, need: u64, holds: Vec<(u64, u64)>) -> Result<u64, ObjectError> {
        self.0.join(need, holds)
    }

    pub fn stand(&self, number: u64, waker: &Waker) -> Result<bool, ObjectError> {
        self.0.stand(number, waker)
    }

    pub fn leave(&self, number: u64) {
        self.0.leave(number);
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.free()).finish()
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").finish_non_exhaustive()
    }
}

/// One object, without a store.
pub struct Lone(Object);

impl Lone {
    #[must_use]
    pub fn pending() -> Self {
        Self(Object::pending(0))
    }

    #[must_use]
    pub fn ready() -> Self {
        Self(Object::ready(Bytes::new(), StoredType::BYTES, 0))
    }

    /// Under the lock; whether somebody waits.
    pub fn settle(&self, bytes: Bytes) -> bool {
        let (result, kind) = (Ok(bytes), StoredType::BYTES);
        self.0.settle(Outcome { result, kind }, 0)
    }

    /// Without the lock: its bytes, if it is ready and not deleted.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        let seen = self.0.word.look();
        let outcome = self.0.outcome(seen).filter(|_| seen.is_readable());
        outcome.and_then(|outcome| outcome.result.as_deref().ok())
    }

    /// Under the lock.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.0.outcome(self.0.word.look()).is_none()
    }

    /// Under the lock.
    pub fn await_outcome(&self) {
        self.0.word.await_outcome();
    }

    /// Without the lock.
    #[must_use]
    pub fn pin_again(&self) -> bool {
        self.0.word.pin_again()
    }

    /// Without the lock.
    #[must_use]
    pub fn unpin_one_of_many(&self) -> bool {
        self.0.word.unpin_one_of_many()
    }

    /// Under the lock: how many pins there were.
    pub fn pin(&self) -> u64 {
        self.0.word.pin().map_or(u64::MAX, |before| before.pins())
    }

    /// Under the lock: how many pins there were.
    pub fn unpin(&self) -> u64 {
        self.0.word.unpin().map_or(0, |before| before.pins())
    }

    /// Under the lock: how many pins there are.
    pub fn delete(&self) -> u64 {
        self.0.word.delete().pins()
    }
}

impl fmt::Debug for Lone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lone").field(&self.0.word).finish()
    }
}
