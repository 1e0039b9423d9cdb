//! The live bits, the summary above them, and the right to set them.
//!
//! # Invariants
//! * I1  A leaf bit rises in `raise` and `publish` only, and falls in `fall` only.
//! * I2  Whoever made a slot taken owns it until it is free again: only the holder of the word's
//!   lease makes it taken, and out of `available` only, each bit once.
//! * I3  The summary may waste a look; it may not hide a slot from a call that begins after the
//!   slot became free, unless the word's lease is held by a call in progress. A summary bit
//!   rises in `note_full` only, under the lease, and by a read-modify-write after which the leaf
//!   is looked at again; a fall that found the leaf full clears it by another one. Of the two,
//!   the later sees the earlier: either the bit is cleared after it rose, or the second look sees
//!   the fall. No `SeqCst` is needed for that.
//! * I4  A slot is available if it is neither live nor marked: the marks are read before *and*
//!   after the leaf. `publish` sets the live bit and then clears the mark: who reads the leaf
//!   first may see neither. `hide` sets the mark and then clears the live bit: who reads the mark
//!   first may see neither. Nobody but the lease's holder makes a free slot taken, so what was
//!   free at the look at the leaf is still free.
//!
//! # Edges
//! | edge  | released by                      | acquired by          | what crosses                              |
//! |-------|----------------------------------|----------------------|-------------------------------------------|
//! | LIVE  | `publish`; `hide` (the fall)     | `is_live`, `available` | the payload; the mark that was set before |
//! | FREE  | `free`                           | `available`          | the old owner's last writes               |
//! | FULL  | `fall` (summary)                 | `note_full`          | the fall of the live bit                  |
//! | LEASE | `give`, `give_all`               | `lease`, `lease_all` | what the last holder made taken           |
//!
//! # Progress
//! `is_live`, `raise`, `publish`, `free` are wait-free: at most two read-modify-writes. `hide` and
//! `lease_word` are lock-free.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (I1 to I4, LIVE, FREE, FULL, LEASE); `proptests/block.rs`.

use super::block::Block;
use super::cell::Mark;
use super::marks::{Marks, Place};
use super::{BITS, bit_of, word_of};
use crate::id::SlotIndex;
use crate::sync::atomic::{AtomicU64, Ordering::*};

/// The state of a slot, as of some moment of the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live,
    Free,
    Marked(Mark),
}

impl Block {
    #[inline]
    fn leaf(&self, word: usize) -> &AtomicU64 {
        &self.words[word]
    }

    fn summary(&self, group: usize) -> &AtomicU64 {
        &self.words[self.parts().summary() + group]
    }

    fn leased(&self, group: usize) -> &AtomicU64 {
        &self.words[self.parts().leased() + group]
    }

    fn touched(&self, group: usize) -> &AtomicU64 {
        &self.words[self.parts().touched() + group]
    }

    // ---------------------------------------------------------------- looks

    /// Whether a slot of this block is live: one load.
    #[inline]
    pub(crate) fn is_live(&self, slot: SlotIndex) -> bool {
        self.head.grave.touch();
        let slot = slot.get();
        // Acquire [LIVE]: what its owner wrote before the publication; or, if it is not live, the
        // mark that says why.
        slot <= self.span().last.get() && self.leaf(word_of(slot)).load(Acquire) & bit_of(slot) != 0
    }

    /// The state of a slot. The marks are read before and after the leaf, as in I4: so `Free` is
    /// said only of a slot that was free at some moment of the call.
    pub(crate) fn state(&self, slot: SlotIndex) -> State {
        let find = || self.head.marks.find(slot.get());
        if self.is_live(slot) {
            return State::Live;
        }
        if let Some(mark) = find() {
            return State::Marked(mark);
        }
        if self.is_live(slot) {
            return State::Live;
        }
        find().map_or(State::Free, State::Marked)
    }

    /// Whether a slot of the same word was ever given out, or may have been.
    pub(crate) fn is_touched(&self, slot: SlotIndex) -> bool {
        let word = word_of(slot.get());
        // Relaxed: an id's holder has the allocation behind it; nobody else is owed an answer.
        let seen = self.touched(word_of(word as u32)).load(Relaxed);
        seen & bit_of(word as u32) != 0
    }

    /// The live bits of a leaf word, if there is such a word.
    pub(crate) fn live_word(&self, word: usize) -> Option<u64> {
        // Acquire [LIVE]: who meets a slot here may look at its payload.
        (word < self.parts().leaves).then(|| self.leaf(word).load(Acquire))
    }

    /// The live bits of each leaf word, each as of its own moment.
    pub(crate) fn live_words(&self) -> impl Iterator<Item = u64> + '_ {
        (0..).map_while(|word| self.live_word(word))
    }

    /// How many slots are live; exact at rest.
    pub(crate) fn live(&self) -> u64 {
        let ones = self.live_words().map(|word| u64::from(word.count_ones()));
        ones.sum()
    }

    /// How many slots are hidden or retired; exact at rest.
    pub(crate) fn hidden(&self) -> u64 {
        self.head.marks.hidden()
    }

    /// Whether every slot was live when last looked: then nothing is to be had here.
    #[inline]
    pub(crate) fn looks_full(&self) -> bool {
        let parts = self.parts();
        // Relaxed: a hint; whoever takes a slot looks at its leaf.
        (0..parts.groups).all(|g| self.summary(g).load(Relaxed) == parts.group_mask(g))
    }

    /// Whether no slot is live or marked. Only for who holds all leases is it more than a moment.
    pub(crate) fn is_unused(&self) -> bool {
        (0..self.parts().leaves).all(|word| self.available(word) == self.parts().capacity(word))
    }

    // ---------------------------------------------------------------- from free to taken

    /// The free slots of a word whose lease the caller holds (I4).
    #[inline]
    pub(super) fn available(&self, word: usize) -> u64 {
        let before = self.head.marks.word(word);
        // Acquire [FREE] [LIVE]: the last owner's writes come before ours; and the mark that was
        // set before the bit fell is seen below.
        let live = self.leaf(word).load(Acquire);
        let after = self.head.marks.word(word);
        !(before | live | after) & self.parts().capacity(word)
    }

    /// Makes an available slot live. The caller holds the word's lease.
    #[inline]
    pub(crate) fn raise(&self, slot: SlotIndex) {
        let (word, bit) = (word_of(slot.get()), bit_of(slot.get()));
        self.raise_bits(word, bit);
    }

    #[inline]
    pub(super) fn raise_bits(&self, word: usize, bits: u64) {
        // Relaxed: nothing is published by it, for the payload comes later; and `available`,
        // under the lease, saw what came before.
        let before = self.leaf(word).fetch_or(bits, Relaxed);
        debug_assert_eq!(before & bits, 0, "I2: a slot was given out twice");
        if before | bits == self.parts().capacity(word) {
            self.note_full(word);
        }
    }

    /// Says in the summary that a word is full. The caller holds its lease (I3).
    #[cold]
    #[inline(never)]
    fn note_full(&self, word: usize) {
        let (group, bit) = (word_of(word as u32), bit_of(word as u32));
        // Acquire [FULL]: a fall that cleared the bit before is seen below.
        self.summary(group).fetch_or(bit, Acquire);
        // Relaxed: either the line above has seen the fall, or the fall will clear the bit.
        if self.leaf(word).load(Relaxed) != self.parts().capacity(word) {
            // Relaxed: it may only waste a look.
            self.summary(group).fetch_and(!bit, Relaxed);
        }
    }

    /// Marks an available slot as reserved. The caller holds the word's lease.
    pub(crate) fn reserve(&self, slot: SlotIndex) {
        let done = self
            .head
            .marks
            .set(slot.get(), Mark::Reserved, self.parts().leaves);
        debug_assert!(done.is_ok(), "I2: a slot was given out twice");
    }

    /// Makes a reserved slot of ours live.
    pub(crate) fn publish(&self, slot: SlotIndex) {
        let (word, bit) = (word_of(slot.get()), bit_of(slot.get()));
        // Release [LIVE]: the payload comes before the bit.
        let before = self.leaf(word).fetch_or(bit, Release);
        debug_assert_eq!(before & bit, 0, "I1");
        self.unmark(slot, Mark::Reserved);
    }

    /// Ends a mark of ours: the slot is live [SHOWN] or free [FREE] after it.
    pub(crate) fn unmark(&self, slot: SlotIndex, mark: Mark) {
        let done = self.head.marks.clear(slot.get(), mark);
        debug_assert!(done, "a mark was ended twice");
    }

    // ---------------------------------------------------------------- from live to not

    /// Clears a live bit; whether it was set. The summary hears of it.
    #[inline]
    fn fall(&self, slot: SlotIndex) -> bool {
        let (word, bit) = (word_of(slot.get()), bit_of(slot.get()));
        // Release [FREE] [LIVE]: the owner's last writes come before the next owner's, and the
        // mark of a hidden slot before the fall of its bit.
        let before = self.leaf(word).fetch_and(!bit, Release);
        if before == self.parts().capacity(word) {
            // Release [FULL]: the fall comes before this; see I3.
            self.summary(word_of(word as u32))
                .fetch_and(!bit_of(word as u32), Release);
        }
        before & bit != 0
    }

    /// Makes a live slot free at once.
    ///
    /// The error tells the state that the slot was found in instead; nothing was changed.
    #[inline]
    pub(crate) fn free(&self, slot: SlotIndex) -> Result<(), State> {
        if self.fall(slot) {
            Ok(())
        } else {
            Err(self.not_live(slot))
        }
    }

    /// The state of a slot that was just seen not to be live.
    #[cold]
    fn not_live(&self, slot: SlotIndex) -> State {
        match self.state(slot) {
            State::Live => State::Free, // between two owners
            other => other,
        }
    }

    /// Makes a live slot invisible, and keeps it: `mark` is `Hidden` or `Retired`.
    pub(crate) fn hide(&self, slot: SlotIndex, mark: Mark) -> Result<(), State> {
        if !self.is_live(slot) {
            return Err(self.not_live(slot));
        }
        let place = self.begin_hiding(slot)?;
        if self.fall(slot) {
            Marks::settle(place, slot.get(), mark);
            return Ok(());
        }
        // Somebody else was faster: our mark goes from the very cell in which we set it.
        Marks::clear_at(place, slot.get(), Mark::Hiding);
        Err(self.not_live(slot))
    }

    fn begin_hiding(&self, slot: SlotIndex) -> Result<Place<'_>, State> {
        let leaves = self.parts().leaves;
        let place = self.head.marks.set(slot.get(), Mark::Hiding, leaves);
        place.map_err(State::Marked)
    }

    /// Turns a hidden slot into a retired one; whether it was hidden.
    pub(crate) fn retire_hidden(&self, slot: SlotIndex) -> bool {
        self.head.marks.retire(slot.get())
    }

    // ---------------------------------------------------------------- leases of words

    /// Takes the lease of a word, if nobody has it.
    pub(super) fn lease(&self, word: usize) -> bool {
        let bit = bit_of(word as u32);
        // Acquire [LEASE]: what the last holder made taken.
        let before = self.leased(word_of(word as u32)).fetch_or(bit, Acquire);
        before & bit == 0
    }

    /// Gives back the lease of a word.
    pub(super) fn give(&self, word: usize) {
        let bit = bit_of(word as u32);
        // Release [LEASE]: what we made taken comes before the next holder's look.
        let before = self.leased(word_of(word as u32)).fetch_and(!bit, Release);
        debug_assert_ne!(before & bit, 0, "a lease was given back twice");
    }

    /// Takes the leases of all words, or none.
    pub(super) fn lease_all(&self) -> bool {
        let parts = self.parts();
        for group in 0..parts.groups {
            let mask = parts.group_mask(group);
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
        self.give_groups(self.parts().groups);
    }

    fn give_groups(&self, groups: usize) {
        (0..groups).for_each(|group| self.give_group(group, self.parts().group_mask(group)));
    }

    fn give_group(&self, group: usize, words: u64) {
        // Release [LEASE]: what we made taken comes before the next holder's look.
        self.leased(group).fetch_and(!words, Release);
    }

    /// Whether somebody has the lease of `word`, as of a moment.
    pub(super) fn is_leased_hint(&self, word: usize) -> bool {
        // Relaxed: a hint; who wants the lease asks for it.
        self.leased(word_of(word as u32)).load(Relaxed) & bit_of(word as u32) != 0
    }

    /// The words of a group that nobody has leased and that did not look full.
    fn open(&self, group: usize) -> u64 {
        // Relaxed: hints both; the lease and the look at the leaf decide.
        let taken = self.summary(group).load(Relaxed) | self.leased(group).load(Relaxed);
        !taken & self.parts().group_mask(group)
    }

    /// Whether there is a word that nobody has leased and that did not look full.
    pub(super) fn has_open_word(&self) -> bool {
        (0..self.parts().groups).any(|group| self.open(group) != 0)
    }

    /// The leaf word at which number `home` begins to look: different numbers, different places.
    pub(super) fn home(&self, home: usize) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let spread = (home as u64).wrapping_mul(GOLDEN) >> 32;
        (spread * self.parts().leaves as u64 >> 32) as usize
    }

    /// The slot of a bit of a leaf word.
    pub(super) fn slot_at(word: usize, bit: u32) -> SlotIndex {
        SlotIndex::new(word as u32 * BITS + bit)
    }

    /// Leases a word that has free slots, the first from leaf word `start` on, round the block.
    pub(super) fn lease_word(&self, start: usize) -> Option<(usize, u64)> {
        let groups = self.parts().groups;
        let start = start % self.parts().leaves;
        let (first, skip) = (word_of(start as u32), start as u32 % BITS);
        for i in 0..=groups {
            let group = (first + i) % groups;
            let mut open = self.open(group);
            if i == 0 {
                open &= u64::MAX << skip;
            } else if i == groups {
                open &= !(u64::MAX << skip);
            }
            if let Some(found) = self.lease_one_of(group, open) {
                return Some(found);
            }
        }
        None
    }

    fn lease_one_of(&self, group: usize, mut open: u64) -> Option<(usize, u64)> {
        while open != 0 {
            let word = group * BITS as usize + open.trailing_zeros() as usize;
            open &= open - 1;
            if let Some(avail) = self.lease_with_room(word) {
                return Some((word, avail));
            }
        }
        None
    }

    /// Leases a word if it is to be had and has free slots.
    fn lease_with_room(&self, word: usize) -> Option<u64> {
        if !self.lease(word) {
            return None;
        }
        let avail = self.available(word);
        if avail != 0 {
            self.touch_word(word);
            return Some(avail);
        }
        // Relaxed: a guess, which `note_full` checks.
        if self.leaf(word).load(Relaxed) == self.parts().capacity(word) {
            self.note_full(word);
        }
        self.give(word);
        None
    }

    /// Remembers that slots of a word were given out.
    pub(super) fn touch_word(&self, word: usize) {
        let touched = self.touched(word_of(word as u32));
        // Relaxed, both: who asks about an id that it was given has this behind it.
        if touched.load(Relaxed) & bit_of(word as u32) == 0 {
            touched.fetch_or(bit_of(word as u32), Relaxed);
        }
    }

    /// After a restore: the summary as it is, and every word touched, for nobody knows.
    pub(super) fn after_restore(&self) {
        for word in 0..self.parts().leaves {
            self.touch_word(word);
            // Relaxed: nobody else has the block yet.
            if self.leaf(word).load(Relaxed) == self.parts().capacity(word) {
                self.note_full(word);
            }
        }
    }
}
