//! One object: its state, and its outcome once there is one.
//!
//! # Shape
//! ```text
//! Object   word | outcome: bytes or an error, stored type | created | last accessed
//! Bytes -> Payload   the caller's bytes, and where their room goes back to when nobody has them
//! ```
//!
//! # Invariants
//! * O4  The outcome is filled before the word leaves `pending`, by whoever has the shard's lock; after
//!   that it does not change.
//!
//! # Checked by
//! `loom-tests/objects_parts.rs` (O4).
#![allow(unsafe_code)] // reads the outcome, which the word vouches for

use std::sync::Arc;

use bytes::Bytes;

use super::error::ObjectError;
use super::kind::StoredType;
use super::room::{Room, Ticket};
use super::word::{Phase, Seen, Word};
use crate::sync::atomic::{AtomicU32, Ordering::*};
use crate::sync::cell::Slot;
use crate::sync::in_turn::drop_in_turn;

/// What an object takes beside its payload and its place in the index: the box of its bytes, or of
/// an error.
pub(super) const OVERHEAD: u64 = 96;
/// What a place in the index takes: an entry of 80 bytes, and what the cache's shard knows of it, in
/// tables that grow by doubling. Rather more than less.
pub(super) const PLACE: u64 = 128;

/// What an object came to.
pub(super) struct Outcome {
    pub(super) result: Result<Bytes, Box<Failure>>,
    pub(super) kind: StoredType,
}

/// An error in the place of bytes.
pub(super) struct Failure {
    pub(super) error: ObjectError,
    /// The room of the entry.
    pub(super) _ticket: Option<Ticket>,
}

/// What the cache keeps for each id.
pub(super) struct Object {
    pub(super) word: Word,
    outcome: Slot<Outcome>,
    /// In ticks of the store's clock.
    created: u32,
    accessed: AtomicU32,
}

// SAFETY: the outcome is filled by one, before the word says so, and only read after that (O4); it
// is `Send` and `Sync` itself.
unsafe impl Sync for Object {}

impl Object {
    /// One whose bytes are to come.
    pub(super) fn pending(now: u32) -> Self {
        Self {
            word: Word::new(Phase::Pending),
            outcome: Slot::empty(),
            created: now,
            accessed: AtomicU32::new(now),
        }
    }

    pub(super) fn ready(bytes: Bytes, kind: StoredType, now: u32) -> Self {
        let object = Self {
            word: Word::new(Phase::Ready),
            outcome: Slot::empty(),
            created: now,
            accessed: AtomicU32::new(now),
        };
        let result = Ok(bytes);
        // SAFETY: S1: it was just made, and nobody else has it.
        unsafe { object.outcome.fill(Outcome { result, kind }) };
        object
    }

    /// Ends the wait; under the lock of its shard, of a pending object. Whether somebody waits.
    pub(super) fn settle(&self, outcome: Outcome, now: u32) -> bool {
        assert_eq!(self.word.look().phase(), Phase::Pending);
        let phase = match outcome.result {
            Ok(_) => Phase::Ready,
            Err(_) => Phase::Failed,
        };
        // SAFETY: S1: it is pending, so nobody looks (O4), and the lock keeps others from this.
        unsafe { self.outcome.fill(outcome) };
        self.stamp(now);
        self.word.settle(phase)
    }

    /// What it came to, if it has.
    #[inline]
    pub(super) fn outcome(&self, seen: Seen) -> Option<&Outcome> {
        if seen.phase() == Phase::Pending {
            return None;
        }
        // SAFETY: S1: `seen` was seen of our word: it was filled before that (O4, DONE), and is taken
        // by the drop alone.
        Some(unsafe { self.outcome.get() })
    }

    /// A reader was here, or whoever made it.
    #[inline]
    pub(super) fn stamp(&self, now: u32) {
        // Relaxed, both: a figure, which need not be written twice in a tick.
        if self.accessed.load(Relaxed) != now {
            self.accessed.store(now, Relaxed);
        }
    }

    /// When it was made, and last read.
    pub(super) fn times(&self) -> (u32, u32) {
        // Relaxed: a figure.
        (self.created, self.accessed.load(Relaxed))
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if self.word.look().phase() != Phase::Pending {
            // SAFETY: S1: it was filled (O4), and `&mut` says that nobody looks.
            drop(unsafe { self.outcome.take() });
        }
    }
}

/// Bytes in the store, whose room goes back when the last clone of them does.
struct Payload {
    /// Some until the drop.
    bytes: Option<Bytes>,
    room: Arc<Room>,
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let tokens = OVERHEAD + self.as_ref().len() as u64;
        let Some(bytes) = self.bytes.take() else {
            return;
        };
        // Bytes that were put again and again are in one another.
        drop_in_turn(Leaves {
            bytes,
            gives: Gives(Arc::clone(&self.room), tokens),
        });
    }
}

/// Bytes that leave: freed first, and then said to be free, whatever that comes to.
struct Leaves {
    #[allow(dead_code)] // dropped, first
    bytes: Bytes,
    #[allow(dead_code)] // dropped, after that
    gives: Gives,
}

/// Gives room back at its end.
struct Gives(Arc<Room>, u64);

impl Drop for Gives {
    fn drop(&mut self) {
        self.0.give(self.1);
    }
}

/// The same bytes, which keep this room as long as anybody has them.
pub(super) fn with_room(bytes: Bytes, ticket: Ticket) -> Bytes {
    debug_assert_eq!(ticket.tokens(), OVERHEAD + bytes.len() as u64);
    let room = Arc::clone(ticket.room());
    ticket.spend();
    let bytes = Some(bytes);
    Bytes::from_owner(Payload { bytes, room })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn room_goes_back_with_the_last_clone() {
        let room = Room::new(1_000, Default::default());
        let ticket = room
            .take(OVERHEAD + 3, super::super::room::Asks::Now)
            .unwrap();
        let bytes = with_room(Bytes::from_static(b"abc"), ticket);
        let object = Object::ready(bytes.clone(), StoredType::BYTES, 0);
        drop(bytes);
        let seen = object.word.look();
        let outcome = object.outcome(seen).unwrap();
        let slice = outcome.result.as_ref().ok().unwrap().slice(1..2);
        drop(object);
        assert_eq!(room.free(), 1_000 - OVERHEAD - 3);
        drop(slice);
        assert_eq!(room.free(), 1_000);
    }

    #[test]
    fn an_object_is_small() {
        assert_eq!(size_of::<Object>(), 56);
        assert_eq!(size_of::<Payload>(), 40);
    }
}
