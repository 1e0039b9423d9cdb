//! Where readers of pending objects wait: nothing is kept for an object that nobody waits for.
//!
//! # Shape
//! ```text
//! lot   id -> [waiter, waiter, ..]      a waiter is told the outcome itself, not to look again
//! ```
//!
//! # Invariants
//! * L1  A waiter is added under the lock of the object's shard, while the object is pending and
//!   after it is marked as awaited. So whoever ends the wait, under that lock, knows of it.
//!
//! # Progress
//! Blocks on the lot's lock, under which nobody else's code runs.
//!
//! # Checked by
//! `loom-tests/objects.rs`, `loom-tests/objects_promise.rs` (L1).

use core::task::{Poll, Waker};
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ObjectError;
use super::kind::StoredType;
use crate::id::ObjectId;
use crate::sync::lock::Mutex;
use crate::sync::park::wake;

/// What a waiter gets.
pub(super) type Answer = Result<(Bytes, StoredType), ObjectError>;

/// One who waits for an object.
pub(super) struct Waiter(Mutex<State>);

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// All who wait for an object of one store.
pub(super) struct Lot(Mutex<HashMap<ObjectId, Vec<Arc<Waiter>>>>);

impl Waiter {
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Answer> {
        let waker = waker.clone(); // somebody's code
        let mut state = self.0.lock();
        if let Some(answer) = state.answer.take() {
            drop(state);
            return Poll::Ready(answer);
        }
        let before = state.waker.replace(waker);
        drop(state);
        drop(before); // whatever it owns
        Poll::Pending
    }

    fn tell(&self, answer: Answer) {
        let mut state = self.0.lock();
        state.answer = Some(answer);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(wake);
    }
}

impl Lot {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// A waiter for this object; under the lock of the object's shard.
    pub(super) fn add(&self, id: ObjectId) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter(Mutex::new(State::default())));
        let mut all = self.0.lock();
        all.entry(id).or_default().push(Arc::clone(&waiter));
        waiter
    }

    /// For how many objects somebody waits.
    #[cfg(all(loom, feature = "loom"))]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// One waits no more.
    pub(super) fn leave(&self, id: ObjectId, waiter: &Arc<Waiter>) {
        let mut all = self.0.lock();
        if let Some(waiters) = all.get_mut(&id) {
            waiters.retain(|other| !Arc::ptr_eq(other, waiter));
            if waiters.is_empty() {
                all.remove(&id);
            }
        }
    }

    /// Tells all who wait for this object.
    pub(super) fn tell(&self, id: ObjectId, answer: &Answer) {
        let waiters = self.0.lock().remove(&id);
        for waiter in waiters.into_iter().flatten() {
            waiter.tell(answer.clone());
        }
    }
}
