//! Many slots in a row.
//!
//! A run is sought in the live bits and marks as they are, then the leases of its words are taken
//! in ascending order, and what is free is looked at again: only then is anything set. Whatever
//! fails, all leases go back.
//!
//! # Invariants
//! * R1  No slot of a run is set before all are known to be free, under their leases.
//! * R2  A search goes on where it failed: from the word that somebody else took slots of, or
//!   after the word whose lease a call in progress held.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (R1: run against alloc, run against run); `proptests/block.rs`.

use super::block::Block;
use super::lease::Leases;
use super::{ALL, BITS};
use crate::id::SlotIndex;

/// How far a search for `need` free slots in a row has come.
struct Search {
    need: u64,
    start: u64,
    len: u64,
}

impl Search {
    fn new(need: u64) -> Self {
        Self {
            need,
            start: 0,
            len: 0,
        }
    }

    /// Goes over the free slots of the next word; the first slot of the run if it is long enough.
    fn feed(&mut self, word: usize, free: u64) -> Option<u64> {
        let mut at = 0;
        while at < BITS {
            let ones = (free >> at).trailing_ones().min(BITS - at);
            if self.len == 0 {
                self.start = word as u64 * u64::from(BITS) + u64::from(at);
            }
            self.len += u64::from(ones);
            if self.len >= self.need {
                return Some(self.start);
            }
            at += ones;
            if at < BITS {
                self.len = 0;
                at += (free >> at).trailing_zeros().min(BITS - at);
            }
        }
        None
    }
}

/// Where a run could not be had.
enum Lost {
    /// Somebody took slots of this word.
    Taken(usize),
    /// A call in progress has the lease of this word.
    Busy(usize),
}

/// The words and slots of a run.
#[derive(Clone, Copy)]
struct Run {
    start: u64,
    len: u64,
}

impl Run {
    fn words(self) -> core::ops::RangeInclusive<usize> {
        let bits = u64::from(BITS);
        (self.start / bits) as usize..=((self.start + self.len - 1) / bits) as usize
    }

    /// The slots of the run that are in `word`.
    fn bits_in(self, word: usize) -> u64 {
        let base = word as u64 * u64::from(BITS);
        let from = self.start.saturating_sub(base);
        let to = (self.start + self.len - base).min(u64::from(BITS));
        (ALL >> (u64::from(BITS) - (to - from))) << from
    }
}

impl Leases {
    /// Makes the first `len` free slots in a row live; the first of them.
    pub(crate) fn take_run(&self, block: &Block, len: u64) -> Option<SlotIndex> {
        if len == 0 || len > block.slots() {
            return None;
        }
        // Words that nobody has leased first; then the leases of idle stripes are robbed.
        let found = self.seek_run(block, len, false);
        found.or_else(|| self.seek_run(block, len, true))
    }

    fn seek_run(&self, block: &Block, len: u64, rob: bool) -> Option<SlotIndex> {
        let mut search = Search::new(len);
        let mut word = 0;
        while word < block.parts().leaves {
            let passed = !rob && block.is_leased_hint(word);
            let free = if passed { 0 } else { block.available(word) };
            let Some(start) = search.feed(word, free) else {
                word += 1;
                continue;
            };
            match self.claim_run(block, Run { start, len }, rob) {
                Ok(()) => return Some(SlotIndex::new(start as u32)),
                Err(Lost::Taken(at)) => word = at,
                Err(Lost::Busy(at)) => word = at + 1,
            }
            search = Search::new(len);
        }
        None
    }

    /// Leases the words of the run, looks again, and sets the bits; or changes nothing.
    fn claim_run(&self, block: &Block, run: Run, rob: bool) -> Result<(), Lost> {
        for word in run.words() {
            if let Err(lost) = self.lease_for(block, run, word, rob) {
                (*run.words().start()..word).for_each(|word| block.give(word));
                return Err(lost);
            }
        }
        for word in run.words() {
            block.touch_word(word);
            block.raise_bits(word, run.bits_in(word));
            block.give(word);
        }
        Ok(())
    }

    /// Leases one word of the run if the run's slots in it are free.
    fn lease_for(&self, block: &Block, run: Run, word: usize, rob: bool) -> Result<(), Lost> {
        if !block.lease(word) && !(rob && self.rob(block, word)) {
            return Err(Lost::Busy(word));
        }
        let bits = run.bits_in(word);
        if block.available(word) & bits != bits {
            block.give(word);
            return Err(Lost::Taken(word));
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bits_of_a_run() {
        let run = Run { start: 60, len: 70 };
        assert_eq!(run.words(), 0..=2);
        assert_eq!(run.bits_in(0), 0xf << 60);
        assert_eq!(run.bits_in(1), u64::MAX);
        assert_eq!(run.bits_in(2), 0b11);
        assert_eq!(Run { start: 0, len: 64 }.bits_in(0), u64::MAX);
    }

    #[test]
    fn a_search_crosses_words() {
        let mut search = Search::new(5);
        assert_eq!(search.feed(0, 0b1011 | 3 << 62), None);
        assert_eq!(search.feed(1, 0b111), Some(62));
        let mut search = Search::new(130);
        assert_eq!(search.feed(0, u64::MAX), None);
        assert_eq!(search.feed(1, u64::MAX), None);
        assert_eq!(search.feed(2, 0b11), Some(0));
    }
}
