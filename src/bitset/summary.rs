//! The words above the leaves: the summary, the leases, the touched bits.
//!
//! # Invariants
//! * I3  The summary may waste a look; it may not hide a slot from a call that begins after the
//!   slot became free, unless a call in progress has the word's lease. A summary bit rises in
//!   `note_full` only, under the lease, and by a read-modify-write after which the leaf is looked
//!   at again; a fall that found the leaf full clears it by another one. Of the two, the later
//!   sees the earlier: either the bit is cleared after it rose, or the second look sees the fall.
//!   No `SeqCst` is needed for that.
//! * L1  A lease is tried, never waited for, and is given back in the call that took it; only a
//!   block that is given up keeps them.
//!
//! # Edges
//! | edge  | released by        | acquired by          | what crosses                    |
//! |-------|--------------------|----------------------|---------------------------------|
//! | FULL  | `note_fall`        | `note_full_leased`   | the fall of the live bit        |
//! | LEASE | `give`             | `lease`, `lease_all` | what the last holder made taken |
//!
//! # Progress
//! Wait-free.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (I3, L1, FULL, LEASE).

use super::block::Block;
use super::leaf::Leaf;
use super::parts::Parts;
use crate::sync::atomic::{AtomicU64, Ordering::*};

impl Block {
    #[inline]
    pub(super) fn leaf(&self, word: usize) -> Leaf<'_> {
        Leaf(&self.words[word])
    }

    #[inline]
    fn summary(&self, group: usize) -> &AtomicU64 {
        &self.words[self.parts().leaves() + group]
    }

    fn leased(&self, group: usize) -> &AtomicU64 {
        &self.words[self.parts().leaves() + self.parts().groups() + group]
    }

    fn touched(&self, group: usize) -> &AtomicU64 {
        &self.words[self.parts().leaves() + 2 * self.parts().groups() + group]
    }

    // ---------------------------------------------------------------- summary

    /// Whether every slot was live when last looked: then nothing is to be had here.
    #[inline]
    pub(super) fn looks_full(&self) -> bool {
        (0..self.parts().groups()).all(|group| self.open(group) == 0)
    }

    /// The words of a group that did not look full.
    #[inline]
    pub(super) fn open(&self, group: usize) -> u64 {
        // Relaxed: a hint; whoever takes a slot looks at its leaf.
        !self.summary(group).load(Relaxed) & self.parts().group_mask(group)
    }

    /// Whether nearly all of these words did not look full.
    pub(super) fn is_open(&self, words: core::ops::Range<usize>) -> bool {
        let is_open = |word: &usize| {
            let (group, bit) = Parts::group_of(*word);
            self.open(group) & bit != 0
        };
        let (len, full) = (words.len(), words.filter(|word| !is_open(word)).count());
        full * 16 <= len
    }

    /// Says in the summary that a word is full, unless somebody else has its lease.
    #[cold]
    #[inline(never)]
    pub(super) fn note_full(&self, word: usize) {
        if self.lease(word) {
            self.note_full_leased(word);
            self.give(word);
        }
    }

    /// Says in the summary that a word is full (I3). Under the lease.
    pub(super) fn note_full_leased(&self, word: usize) {
        let (group, bit) = Parts::group_of(word);
        // Acquire [FULL]: a fall that cleared the bit before is seen below.
        self.summary(group).fetch_or(bit, Acquire);
        // Either the line above has seen the fall, or the fall will clear the bit.
        if !self.leaf(word).peek().is_full() {
            // Relaxed: it may only waste a look.
            self.summary(group).fetch_and(!bit, Relaxed);
        }
    }

    /// Says in the summary that a word that was full is not. After the fall of a live bit.
    #[cold]
    #[inline(never)]
    pub(super) fn note_fall(&self, word: usize) {
        let (group, bit) = Parts::group_of(word);
        // Release [FULL]: the fall comes before this.
        self.summary(group).fetch_and(!bit, Release);
    }

    // ---------------------------------------------------------------- leases

    /// Takes the lease of a word, if nobody has it.
    pub(super) fn lease(&self, word: usize) -> bool {
        let (group, bit) = Parts::group_of(word);
        // Acquire [LEASE]: what the last holder made taken.
        self.leased(group).fetch_or(bit, Acquire) & bit == 0
    }

    /// Gives back the lease of a word.
    pub(super) fn give(&self, word: usize) {
        let (group, bit) = Parts::group_of(word);
        self.give_group(group, bit);
    }

    fn give_group(&self, group: usize, words: u64) {
        // Release [LEASE]: what we made taken comes before the next holder's look.
        let before = self.leased(group).fetch_and(!words, Release);
        debug_assert_eq!(before & words, words, "a lease was given back twice");
    }

    /// Takes the leases of all words, or none.
    pub(super) fn lease_all(&self) -> bool {
        for group in 0..self.parts().groups() {
            let mask = self.parts().group_mask(group);
            // Acquire [LEASE]: what the last holders made taken.
            let before = self.leased(group).fetch_or(mask, Acquire);
            if before & mask != 0 {
                self.give_group(group, mask & !before);
                self.give_groups(group);
                return false;
            }
        }
        true
    }

    /// Gives back the leases of all words.
    pub(super) fn give_all(&self) {
        self.give_groups(self.parts().groups());
    }

    fn give_groups(&self, groups: usize) {
        (0..groups).for_each(|group| self.give_group(group, self.parts().group_mask(group)));
    }

    // ---------------------------------------------------------------- touched

    /// Whether slots of a word were handed out, or may have been.
    pub(super) fn is_word_touched(&self, word: usize) -> bool {
        let (group, bit) = Parts::group_of(word);
        // Relaxed: an id's holder has the allocation behind it; nobody else is owed an answer.
        self.touched(group).load(Relaxed) & bit != 0
    }

    /// Remembers that slots of a word are handed out.
    pub(super) fn touch_word(&self, word: usize) {
        if !self.is_word_touched(word) {
            let (group, bit) = Parts::group_of(word);
            // Relaxed: who asks about an id that it was given has this behind it.
            self.touched(group).fetch_or(bit, Relaxed);
        }
    }
}
