//! The fields above the leaves: the summary, the leases, the touched bits.
//!
//! Which word has a field, and which of its bits, is for `parts.rs` to say. The rest of the word may
//! be other fields: so each look is masked, and each change is a read-modify-write of its own bits.
//! That fields meet in a word only adds to what an acquire sees (release sequences go on).
//!
//! # Invariants
//! * I3  The summary may waste a look; it may not hide a slot from a call that begins after the
//!   slot became free, unless a call in progress has the word's lease. A summary bit rises in
//!   `note_full` only, under the lease, when a search passes over a full word; then the leaf is
//!   looked at again. A fall that found the leaf full looks at the bit, and clears it if it is set.
//!   Between the two steps of either stands a `SeqCst` fence: of the two second steps one sees the
//!   other's first. (A read-modify-write by each fall needs no fence, but threads that free random
//!   slots of a crowded block then meet in the summary.)
//! * L1  A lease is tried, never waited for, and is given back in the call that took it; only a
//!   block that is given up keeps them.
//!
//! # Edges
//! | edge  | released by        | acquired by          | what crosses                    |
//! |-------|--------------------|----------------------|---------------------------------|
//! | FULL  | `note_fall`, `note_full_leased` | the same | the fall of the live bit, or the rise of the summary's: one sees the other |
//! | LEASE | `give`             | `lease`, `lease_all` | what the last holder made taken |
//!
//! # Progress
//! Wait-free.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (I3, L1, FULL, LEASE), with blocks of either shape: fields that share a
//! word and fields that do not.

use super::block::Block;
use super::parts::{Field, Parts};
use crate::sync::atomic::{AtomicU64, Ordering::*, fence};

/// The summary, found once for several looks.
pub(super) struct Summary<'a> {
    words: &'a [AtomicU64],
    shift: u32,
    parts: Parts,
}

impl Summary<'_> {
    #[inline]
    pub(super) fn groups(&self) -> usize {
        self.words.len()
    }

    /// The words of a group that did not look full.
    #[inline]
    pub(super) fn open(&self, group: usize) -> u64 {
        // Relaxed: a hint; whoever takes a slot looks at its leaf.
        let full = self.words[group].load(Relaxed) >> self.shift;
        !full & self.parts.group_mask(group)
    }
}

impl Block {
    /// The words that have a field, one a group, and from which bit on.
    #[inline]
    fn fields(&self, field: Field) -> (&[AtomicU64], u32) {
        let (first, shift) = self.parts().field(field);
        (&self.words[first..first + self.parts().groups()], shift)
    }

    /// The word that has a group's field, and from which bit on.
    #[inline]
    fn field(&self, field: Field, group: usize) -> (&AtomicU64, u32) {
        let (words, shift) = self.fields(field);
        (&words[group], shift)
    }

    /// The word that has a leaf word's bit in a field, and the bit.
    #[inline]
    fn bit(&self, field: Field, word: usize) -> (&AtomicU64, u64) {
        let (group, bit) = Parts::group_of(word);
        let (field, shift) = self.field(field, group);
        (field, bit << shift)
    }

    // ---------------------------------------------------------------- summary

    #[inline]
    pub(super) fn summary(&self) -> Summary<'_> {
        let (words, shift) = self.fields(Field::Summary);
        let parts = self.parts();
        Summary {
            words,
            shift,
            parts,
        }
    }

    /// Whether every slot was live when last looked: then nothing is to be had here.
    #[inline]
    pub(super) fn looks_full(&self) -> bool {
        let summary = self.summary();
        (0..summary.groups()).all(|group| summary.open(group) == 0)
    }

    /// Whether nearly all of these words did not look full.
    pub(super) fn is_open(&self, words: core::ops::Range<usize>) -> bool {
        let (summary, len) = (self.summary(), words.len());
        let (first, from) = Parts::group_of(words.start);
        let (last, to) = Parts::group_of(words.end - 1);
        let open = |group: usize| {
            let mut mask = u64::MAX;
            if group == first {
                mask &= from.wrapping_neg();
            }
            if group == last {
                mask &= to | (to - 1);
            }
            (summary.open(group) & mask).count_ones() as usize
        };
        (len - (first..=last).map(open).sum::<usize>()) * 16 <= len
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
        let (summary, bit) = self.bit(Field::Summary, word);
        // Relaxed: the fence orders it.
        summary.fetch_or(bit, Relaxed);
        // SeqCst [FULL]: the bit before the look at the leaf; against the leaf before the look at
        // the bit in `note_fall`.
        fence(SeqCst);
        if !self.leaf(word).peek().is_full() {
            // Relaxed: it may only waste a look.
            summary.fetch_and(!bit, Relaxed);
        }
    }

    /// Says in the summary that a word that was full is not. After the fall of a live bit.
    #[cold]
    #[inline(never)]
    pub(super) fn note_fall(&self, word: usize) {
        let (summary, bit) = self.bit(Field::Summary, word);
        // SeqCst [FULL]: the fall before the look at the bit; against `note_full_leased`.
        fence(SeqCst);
        // Relaxed, both: the fence orders them; a bit too few may only waste a look.
        if summary.load(Relaxed) & bit != 0 {
            summary.fetch_and(!bit, Relaxed);
        }
    }

    // ---------------------------------------------------------------- leases

    /// Takes the lease of a word, if nobody has it.
    pub(super) fn lease(&self, word: usize) -> bool {
        let (leased, bit) = self.bit(Field::Leased, word);
        // Acquire [LEASE]: what the last holder made taken.
        leased.fetch_or(bit, Acquire) & bit == 0
    }

    /// Gives back the lease of a word.
    pub(super) fn give(&self, word: usize) {
        let (group, bit) = Parts::group_of(word);
        self.give_group(group, bit);
    }

    fn give_group(&self, group: usize, words: u64) {
        let (leased, shift) = self.field(Field::Leased, group);
        let words = words << shift;
        // Release [LEASE]: what we made taken comes before the next holder's look.
        let before = leased.fetch_and(!words, Release);
        debug_assert_eq!(before & words, words, "a lease was given back twice");
    }

    /// Takes the leases of all words, or none.
    pub(super) fn lease_all(&self) -> bool {
        for group in 0..self.parts().groups() {
            let mask = self.parts().group_mask(group);
            let (leased, shift) = self.field(Field::Leased, group);
            // Acquire [LEASE]: what the last holders made taken.
            let before = leased.fetch_or(mask << shift, Acquire) >> shift;
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
        let (touched, bit) = self.bit(Field::Touched, word);
        // Relaxed: an id's holder has the allocation behind it; nobody else is owed an answer.
        touched.load(Relaxed) & bit != 0
    }

    /// Remembers that slots of a word are handed out.
    pub(super) fn touch_word(&self, word: usize) {
        if !self.is_word_touched(word) {
            let (touched, bit) = self.bit(Field::Touched, word);
            // Relaxed: who asks about an id that it was given has this behind it.
            touched.fetch_or(bit, Relaxed);
        }
    }
}
