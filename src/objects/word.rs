//! An object's state, pins and references, in one word.
//!
//! # Shape
//! ```text
//! [ references, 32 bits ][ pins, 27 ][ collectable ][ deleted ][ awaited ][ phase, 2 ]
//! ```
//! | phase   | meaning |
//! |---------|---------|
//! | pending | its bytes are to come: a builder or a promise has it |
//! | ready   | its outcome is bytes |
//! | failed  | its outcome is an error |
//!
//! # Invariants
//! * O1  The phase leaves `pending` once, and does not change after that.
//! * O2  The phase and the flags change, and the pins leave and reach 0, under the lock of the object's
//!   shard only. So whoever has the lock and sees no pin knows that none comes, and who sees some, that
//!   some stay.
//! * O3  Who is not under the lock adds to pins where there are some, of an object that can be read, and
//!   takes from them where others stay.
//!
//! # Edges
//! | edge | released by    | acquired by  | what crosses         |
//! |------|----------------|--------------|----------------------|
//! | DONE | `Word::settle` | `Word::look` | the object's outcome |
//!
//! # Progress
//! `look` is wait-free; all else is lock-free, and waits for nobody where the lock is held.
//!
//! # Checked by
//! `loom-tests/objects_parts.rs` (O1 to O3, DONE); the tests below.

use crate::sync::atomic::{AtomicU64, Ordering::*};

const PHASE: u64 = 3;
const AWAITED: u64 = 1 << 2;
const DELETED: u64 = 1 << 3;
const COLLECTABLE: u64 = 1 << 4;
const PIN: u64 = 1 << 5;
const PINS: u64 = ((1 << 27) - 1) << 5;
const REFERENCE: u64 = 1 << 32;

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Ready,
    Failed,
}

/// What a look at the word saw.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) fn phase(self) -> Phase {
        match self.0 & PHASE {
            0 => Phase::Pending,
            1 => Phase::Ready,
            _ => Phase::Failed,
        }
    }

    /// Whether its bytes may be read.
    pub(super) fn is_readable(self) -> bool {
        self.0 & (PHASE | DELETED) == Phase::Ready as u64
    }

    pub(super) fn is_deleted(self) -> bool {
        self.0 & DELETED != 0
    }

    pub(super) fn is_awaited(self) -> bool {
        self.0 & AWAITED != 0
    }

    /// Whether it goes with the last of its references and pins.
    pub(super) fn is_collectable(self) -> bool {
        self.0 & COLLECTABLE != 0
    }

    pub(super) fn pins(self) -> u64 {
        (self.0 & PINS) / PIN
    }

    pub(super) fn references(self) -> u64 {
        self.0 / REFERENCE
    }
}

/// The state of one object.
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

impl Word {
    pub(super) fn new(phase: Phase) -> Self {
        Self(AtomicU64::new(phase as u64))
    }

    /// With it comes the outcome, unless it is pending.
    #[inline]
    pub(super) fn look(&self) -> Seen {
        // Acquire [DONE]: the outcome was filled before.
        Seen(self.0.load(Acquire))
    }

    /// Replaces what `next` makes of it; what it was, or nothing if `next` says so.
    fn change(&self, next: impl Fn(Seen) -> Option<u64>) -> Option<Seen> {
        // Relaxed: the first guess.
        let mut seen = self.0.load(Relaxed);
        loop {
            let next = next(Seen(seen))?;
            // Relaxed, both: counts and flags; what must be seen with them is under the shard's lock.
            match self.0.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
                Ok(_) => return Some(Seen(seen)),
                Err(newer) => seen = newer,
            }
        }
    }

    /// One pin more where there is one; whether there was.
    pub(super) fn pin_again(&self) -> bool {
        let again = |seen: Seen| {
            let may = seen.is_readable() && seen.pins() > 0 && seen.pins() < PINS / PIN;
            may.then_some(seen.0 + PIN)
        };
        self.change(again).is_some()
    }

    /// One pin less where another one stays; whether that was so.
    pub(super) fn unpin_one_of_many(&self) -> bool {
        self.change(|seen| (seen.pins() > 1).then(|| seen.0 - PIN))
            .is_some()
    }

    /// One pin more, under the lock; what it was, or nothing if there are too many.
    pub(super) fn pin(&self) -> Option<Seen> {
        self.change(|seen| (seen.pins() < PINS / PIN).then_some(seen.0 + PIN))
    }

    /// One pin less, under the lock; what it was, or nothing if there is none.
    pub(super) fn unpin(&self) -> Option<Seen> {
        self.change(|seen| (seen.pins() > 0).then(|| seen.0 - PIN))
    }

    /// One reference more, under the lock; an object that is collectable then stays so.
    pub(super) fn refer(&self, collectable: bool) -> Seen {
        let flag = if collectable { COLLECTABLE } else { 0 };
        let seen = self.change(|seen| seen.0.checked_add(REFERENCE).map(|next| next | flag));
        seen.expect("there are fewer than 2^32 references")
    }

    /// One reference less, under the lock; what it was.
    pub(super) fn unrefer(&self) -> Seen {
        let seen = self.change(|seen| Some(seen.0 - REFERENCE));
        seen.expect("it has the reference that goes")
    }

    /// Somebody waits for the outcome, under the lock.
    pub(super) fn await_outcome(&self) {
        self.change(|seen| Some(seen.0 | AWAITED));
    }

    /// Nobody new finds it, under the lock; what it was.
    pub(super) fn delete(&self) -> Seen {
        let seen = self.change(|seen| Some(seen.0 | DELETED));
        seen.expect("an object can always be deleted")
    }

    /// The outcome of a pending object was filled, under the lock; whether somebody waits for it.
    pub(super) fn settle(&self, phase: Phase) -> bool {
        // Release [DONE]: the outcome was filled before. The pins of a pending object change
        // under the lock, as all else beside the phase.
        let before = Seen(self.0.fetch_add(phase as u64, Release));
        debug_assert_eq!(before.phase(), Phase::Pending);
        before.is_awaited()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_word_do_not_touch_each_other() {
        let word = Word::new(Phase::Pending);
        word.refer(true);
        word.refer(false);
        word.await_outcome();
        assert!(word.settle(Phase::Ready));
        assert!(word.look().is_readable() && !word.pin_again());
        for _ in 0..3 {
            word.pin().unwrap();
        }
        assert!(word.pin_again() && word.unpin_one_of_many());
        assert_eq!((word.look().pins(), word.look().references()), (3, 2));
        assert_eq!(word.unrefer().references(), 2);
        assert!(!word.delete().is_deleted() && !word.pin_again());
        assert_eq!((0..5).filter(|_| word.unpin().is_some()).count(), 3);
        let seen = word.look();
        assert!(seen.is_collectable() && seen.is_deleted() && seen.is_awaited());
        assert_eq!((seen.phase(), seen.references()), (Phase::Ready, 1));
    }

    #[test]
    fn pins_end_before_they_overflow() {
        let word = Word(AtomicU64::new(PINS | Phase::Ready as u64));
        assert!(word.pin().is_none() && !word.pin_again());
        assert_eq!(word.look().references(), 0);
    }
}
