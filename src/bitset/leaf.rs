//! One leaf word: the live bits of 63 slots, and one bit for the word itself.
//!
//! # Shape
//! ```text
//! 63       62..0
//! guarded  live
//! ```
//! Bits that are no slots, in the last words of a block, are set for good: so a word that has no
//! free slot looks the same everywhere.
//!
//! # Invariants
//! * W1  In an unguarded word a slot that is not live is free. So whoever would make one reserved
//!   sets the bit first (under the lease), and whoever hides one sets it in the same step.
//! * W2  The bit falls in `unguard` only: under the lease, and if the word still is what it was
//!   before its marks were looked through and none was found.
//! * W3  Every change of a word is a read-modify-write, so that each continues the release
//!   sequences of those before: who acquires the word has all of FREE and UNGUARD before it.
//!
//! This file owns the bits of the word: nobody else shifts or masks them.
//!
//! # Edges
//! | edge    | released by             | acquired by              | what crosses                              |
//! |---------|-------------------------|--------------------------|-------------------------------------------|
//! | LIVE    | `publish`, `hide`       | `look`                   | the payload; the mark of a hidden slot    |
//! | FREE    | `free`                  | `claim`, `look`          | the old owner's last writes               |
//! | UNGUARD | `unguard`               | `claim`                  | the end of the marks that had been there  |
//!
//! # Progress
//! Wait-free but for `hide`, which is lock-free.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (W1, W2, LIVE, FREE, UNGUARD).

use super::{ALL, USABLE};
use crate::sync::atomic::{AtomicU64, Ordering::*};

const GUARDED: u64 = 1 << USABLE;

/// A leaf word.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a>(pub(super) &'a AtomicU64);

/// The word at first: these of the slots `capacity` are live.
pub(super) fn initial(live: u64, capacity: u64) -> AtomicU64 {
    AtomicU64::new(live | ALL & !capacity)
}

/// A leaf word as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Seen {
    /// The bits of live slots, and those that are no slots.
    #[inline]
    pub(super) fn live(self) -> u64 {
        self.0 & ALL
    }

    /// The bits of slots that are not live.
    #[inline]
    pub(super) fn not_live(self) -> u64 {
        !self.0 & ALL
    }

    /// Whether every slot is live.
    #[inline]
    pub(super) fn is_full(self) -> bool {
        self.not_live() == 0
    }

    #[inline]
    pub(super) fn is_guarded(self) -> bool {
        self.0 & GUARDED != 0
    }
}

impl Leaf<'_> {
    /// The word, and what lies behind its bits.
    #[inline]
    pub(super) fn look(self) -> Seen {
        // Acquire [LIVE] [FREE]: of a live slot, the payload; of one that is not, the mark that
        // says why, or the last owner's writes.
        Seen(self.0.load(Acquire))
    }

    /// The word, for a guess.
    #[inline]
    pub(super) fn peek(self) -> Seen {
        // Relaxed: a guess; the exchange that follows decides.
        Seen(self.0.load(Relaxed))
    }

    /// Makes a free slot live if the word, unguarded, is still `seen`.
    #[inline]
    pub(super) fn claim(self, seen: Seen, bit: u64) -> Result<Seen, Seen> {
        debug_assert!(!seen.is_guarded() && seen.0 & bit == 0);
        let next = seen.0 | bit;
        // Acquire [FREE] [UNGUARD]: the last owner's writes and the readers' last looks come
        // before ours. Relaxed on failure: a new guess. Nothing is published: the payload comes
        // later.
        match self.0.compare_exchange(seen.0, next, Acquire, Relaxed) {
            Ok(_) => Ok(Seen(next)),
            Err(now) => Err(Seen(now)),
        }
    }

    /// Makes free slots live. Under the lease of a guarded word.
    pub(super) fn raise(self, bits: u64) -> Seen {
        // Relaxed: nothing is published by it; and what came before was seen with `look`.
        let before = self.0.fetch_or(bits, Relaxed);
        debug_assert_eq!(before & bits, 0, "a slot was given out twice");
        Seen(before | bits)
    }

    /// Makes a reserved slot live.
    pub(super) fn publish(self, bit: u64) {
        // Release [LIVE]: the payload comes before the bit.
        let before = self.0.fetch_or(bit, Release);
        debug_assert_eq!(before & bit, 0, "a slot was given out twice");
    }

    /// Makes a live slot free; the word as it was.
    #[inline]
    pub(super) fn free(self, bit: u64) -> Seen {
        // Release [FREE]: the owner's last writes come before the next owner's.
        Seen(self.0.fetch_and(!bit, Release))
    }

    /// Makes a live slot invisible and the word guarded; the word as it was, or nothing if the slot
    /// is not live.
    pub(super) fn hide(self, bit: u64) -> Option<Seen> {
        let mut seen = self.peek();
        while seen.0 & bit != 0 {
            let next = seen.0 & !bit | GUARDED;
            // Release [LIVE]: the mark comes before the fall of the bit. Relaxed on failure: a new
            // guess.
            match self.0.compare_exchange(seen.0, next, Release, Relaxed) {
                Ok(_) => return Some(seen),
                Err(now) => seen = Seen(now),
            }
        }
        None
    }

    /// Makes the word guarded. Under the lease.
    pub(super) fn guard(self) {
        if !self.peek().is_guarded() {
            // Relaxed: it publishes nothing; a `claim` comes before it, and then the look that
            // follows sees it, or fails.
            self.0.fetch_or(GUARDED, Relaxed);
        }
    }

    /// Makes the word unguarded and free slots of it live, if it still is `seen`. Under the lease,
    /// and if no mark was found before and after `seen` was read.
    pub(super) fn unguard(self, seen: Seen, bits: u64) -> bool {
        let next = (seen.0 | bits) & !GUARDED;
        // Release [UNGUARD]: the end of the marks, which we saw, comes before a claim. Relaxed on
        // failure: the word stays guarded.
        self.0
            .compare_exchange(seen.0, next, Release, Relaxed)
            .is_ok()
    }
}
