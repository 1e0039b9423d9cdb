//! Which numbers have owners: one bit each, smallest first.
//!
//! # Shape
//! ```text
//! words  [1 1 1 1 0 1 1 1 ..][..]   bit n set: somebody owns n
//!                 ^ the next one taken
//! ```
//!
//! # Invariants
//! * N1  A bit rises only in `take` and falls only in `give`; whoever raised it owns its number.
//! * N2  `take` passes a number only if it had an owner when it looked: numbers stay dense.
//!
//! # Edges
//! | edge | released by     | acquired by     | what crosses                              |
//! |------|-----------------|-----------------|-------------------------------------------|
//! | HEIR | `Numbers::give` | `Numbers::take` | all that the old owner did by its number  |
//!
//! So what belongs to a number may be written by plain loads and stores, relaxed ones too: no
//! write of an earlier owner is lost.
//!
//! # Progress
//! `take` is lock-free: it looks at one word for each 64 owners, and again only where another took.
//! `give` is wait-free, one read-modify-write. Neither allocates.
//!
//! # Checked by
//! `loom-tests/numbers.rs` (N1, HEIR); the tests below (N2).

#![allow(unreachable_pub)] // public for the models alone

#[cfg(not(all(loom, feature = "loom")))]
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::SMALL;
#[cfg(all(loom, feature = "loom"))]
use crate::sync::atomic::AtomicU64;

/// A static one has to be made in a constant, so these are core's own, but under loom.
const WORDS: usize = if SMALL { 1 } else { 64 };

/// The numbers from 0 to 4,095, each with one owner at most.
#[derive(Debug)]
pub struct Numbers {
    words: [AtomicU64; WORDS],
}

impl Numbers {
    /// All numbers free.
    #[cfg(not(all(loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// All numbers free.
    #[cfg(all(loom, feature = "loom"))]
    #[must_use]
    #[allow(clippy::new_without_default)] // as without loom
    pub fn new() -> Self {
        Self {
            words: core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Takes the smallest number that is free; none while all have owners.
    #[must_use]
    pub fn take(&self) -> Option<usize> {
        let mut words = self.words.iter().enumerate();
        words.find_map(|(at, word)| Some(at * 64 + take_in(word)?))
    }

    /// Gives back a number that the caller took, and is done with.
    pub fn give(&self, number: usize) {
        let mask = 1 << (number % 64);
        // Release [HEIR]: all that we did by this number comes before it is another's.
        let before = self.words[number / 64].fetch_and(!mask, Release);
        debug_assert!(before & mask != 0, "{number} was given back twice");
    }
}

/// Takes the lowest bit of a word that is clear.
fn take_in(word: &AtomicU64) -> Option<usize> {
    // Relaxed: only a guess at which bit to try.
    let mut seen = word.load(Relaxed);
    while seen != u64::MAX {
        let bit = seen.trailing_ones();
        // Acquire [HEIR]: if the bit was clear, its last owner is done, and we see what it did.
        seen = word.fetch_or(1 << bit, Acquire);
        if seen & (1 << bit) == 0 {
            return Some(bit as usize);
        }
    }
    None
}

#[cfg(test)]
#[cfg(not(all(loom, feature = "loom")))]
mod tests {
    use super::{Numbers, WORDS};

    #[test]
    fn the_smallest_free_number_is_next() {
        let numbers = Numbers::new();
        assert!((0..200).all(|n| numbers.take() == Some(n)));
        for n in [130, 3, 64] {
            numbers.give(n);
        }
        assert_eq!(
            [3, 64, 130, 200].map(Some),
            [(); 4].map(|()| numbers.take())
        );
    }

    #[test]
    fn when_all_have_owners_there_is_none() {
        let numbers = Numbers::new();
        assert_eq!((0..).map_while(|_| numbers.take()).count(), WORDS * 64);
        numbers.give(WORDS * 64 - 1);
        assert_eq!(numbers.take(), Some(WORDS * 64 - 1));
        assert_eq!(numbers.take(), None);
    }
}
