//! What happens to a slot: taken, reserved, published, freed, hidden.
//!
//! # Invariants
//! * I1  A live bit rises in `claim`, `raise`, `publish` and `unguard` only, and falls in `free` and
//!   `hide` only.
//! * I2  Whoever made a slot taken owns it until it is free again. In an unguarded word the
//!   exchange on the word decides (W1); in a guarded one, the lease: only its holder takes slots,
//!   and only what `free_slots` shows.
//! * I4  A slot is free if it is neither live nor marked: the marks are read before *and* after the
//!   leaf. `publish` sets the live bit and then ends the mark: who reads the leaf first may see
//!   neither. `hide` sets the mark and then clears the live bit: who reads the mark first may see
//!   neither. Under the lease of a guarded word nobody makes a free slot taken, so what was free
//!   at the look at the leaf is still free.
//! * I5  `search` finds nothing only after each slot was, at some moment of the call, live, marked,
//!   or in a word of which a call in progress had the lease.
//!
//! # Progress
//! `is_live`, `state` and `free` are wait-free. The others are lock-free: an exchange on a leaf
//! fails only where another succeeded, and a lease is tried once.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (I1, I2, I4, I5); `proptests/block.rs`; `tests/stress_block.rs`.

use super::block::Block;
use super::cell::Mark;
use super::leaf::Seen;
use super::marks::Marks;
use super::parts::{Parts, Place};
use crate::id::SlotIndex;

/// The state of a slot, as of some moment of the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live,
    Free,
    Marked(Mark),
}

/// What a taken slot shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Live,
    Reserved,
}

/// What a look at one word came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// This slot is ours.
    Slot(SlotIndex),
    /// No slot of the word is free.
    None,
    /// A call in progress has the lease of the word, which is guarded.
    Busy,
}

/// The free slots of a word.
pub(super) struct Free {
    pub(super) seen: Seen,
    pub(super) slots: u64,
    pub(super) marked: bool,
}

impl Block {
    // ---------------------------------------------------------------- looks

    #[inline]
    pub(super) fn place(&self, slot: SlotIndex) -> Place {
        self.parts().place(slot.get())
    }

    /// Whether a slot of this block is live: one load.
    #[inline]
    pub(crate) fn is_live(&self, slot: SlotIndex) -> bool {
        self.head.grave.touch();
        let place = self.place(slot);
        slot.get() <= self.parts().last()
            && self.leaf(place.word()).look().live() & place.bit() != 0
    }

    /// The state of a slot. The marks are read before and after the leaf, as in I4: so `Free` is
    /// said only of a slot that was free at some moment of the call.
    pub(crate) fn state(&self, slot: SlotIndex) -> State {
        let place = self.place(slot);
        let find = || self.head.marks.find(place);
        let look = || match self.leaf(place.word()).look() {
            seen if seen.live() & place.bit() != 0 => Some(State::Live),
            seen if !seen.is_guarded() => Some(State::Free), // W1
            _ => None,
        };
        look()
            .or_else(|| find().map(State::Marked))
            .or_else(look)
            .or_else(|| find().map(State::Marked))
            .unwrap_or(State::Free)
    }

    /// Whether a slot of the same word was ever handed out, or may have been.
    pub(crate) fn is_touched(&self, slot: SlotIndex) -> bool {
        self.is_word_touched(self.place(slot).word())
    }

    /// The live bits of `BITS` slots in a row, if there are such slots.
    pub(crate) fn live_word(&self, word: usize) -> Option<u64> {
        self.slots_of_word(word, |leaf| self.live_bits(leaf))
    }

    fn live_bits(&self, leaf: usize) -> u64 {
        self.leaf(leaf).look().live() & self.parts().capacity(leaf)
    }

    /// The bits of `BITS` slots in a row, of those that `leaf` shows for leaf words.
    pub(super) fn slots_of_word(&self, word: usize, leaf: impl Fn(usize) -> u64) -> Option<u64> {
        if word >= self.parts().plain() {
            return None;
        }
        let over = self.parts().over_of(word);
        let last = over.is_some_and(|over| leaf(over.word()) & over.bit() != 0);
        Some(leaf(word) | u64::from(last) << super::USABLE)
    }

    /// The live bits of all slots, `BITS` a word, each word as of its own moments.
    pub(crate) fn live_words(&self) -> impl Iterator<Item = u64> + '_ {
        (0..).map_while(|word| self.live_word(word))
    }

    /// How many slots are live; exact at rest.
    pub(crate) fn live(&self) -> u64 {
        let ones = |word| u64::from(self.live_bits(word).count_ones());
        (0..self.parts().leaves()).map(ones).sum()
    }

    /// How many slots are hidden or retired; exact at rest.
    pub(crate) fn hidden(&self) -> u64 {
        self.head.marks.hidden()
    }

    /// Whether no slot is live or marked. Only for who holds all leases is it more than a moment.
    pub(crate) fn is_unused(&self) -> bool {
        let is_free = |word| self.free_slots(word).slots == self.parts().capacity(word);
        (0..self.parts().leaves()).all(is_free)
    }

    /// The free slots of a word; for good only under the lease of a guarded word (I4).
    pub(super) fn free_slots(&self, word: usize) -> Free {
        let before = self.head.marks.word(word);
        let seen = self.leaf(word).look();
        let marks = before | self.head.marks.word(word);
        Free {
            seen,
            slots: seen.not_live() & !marks,
            marked: marks != 0,
        }
    }

    // ---------------------------------------------------------------- from free to taken

    /// Takes a slot of one leaf word.
    #[inline]
    pub(super) fn take_in(&self, word: usize, want: Want) -> Taken {
        if want == Want::Reserved {
            return self.take_leased(word, want);
        }
        let leaf = self.leaf(word);
        let mut seen = leaf.peek();
        loop {
            let free = seen.not_live();
            if free == 0 {
                return Taken::None;
            }
            if seen.is_guarded() {
                return self.take_leased(word, want);
            }
            match leaf.claim(seen, free & free.wrapping_neg()) {
                // If the word is full now, whoever passes over it will say so.
                Ok(_) => return self.taken(word, free),
                Err(now) => seen = now,
            }
        }
    }

    /// The first of the slots `free` is ours.
    #[inline]
    fn taken(&self, word: usize, free: u64) -> Taken {
        let place = Place::new(word, free.trailing_zeros());
        Taken::Slot(SlotIndex::new(self.parts().slot(place)))
    }

    /// Takes a slot of a word in which the marks have a say.
    #[cold]
    #[inline(never)]
    fn take_leased(&self, word: usize, want: Want) -> Taken {
        if self.leaf(word).peek().is_full() {
            return Taken::None;
        }
        if !self.lease(word) {
            return Taken::Busy;
        }
        self.leaf(word).guard();
        let free = self.free_slots(word);
        if free.slots != 0 {
            self.land(word, want, &free);
        }
        self.give(word);
        if free.slots == 0 {
            Taken::None
        } else {
            self.taken(word, free.slots)
        }
    }

    /// Makes the first of the slots `free` live or reserved. Under the lease.
    fn land(&self, word: usize, want: Want, free: &Free) {
        match want {
            Want::Live => self.raise_leased(word, free.slots & free.slots.wrapping_neg(), free),
            Want::Reserved => {
                self.reserve_at(Place::new(word, free.slots.trailing_zeros()));
            }
        }
    }

    /// Makes `bits`, some of the slots `free`, live; and the word unguarded if it has no marks.
    /// Under the lease.
    pub(super) fn raise_leased(&self, word: usize, bits: u64, free: &Free) {
        let leaf = self.leaf(word);
        if free.marked || !leaf.unguard(free.seen, bits) {
            leaf.raise(bits);
        }
        if leaf.peek().is_full() {
            self.note_full_leased(word);
        }
    }

    fn reserve_at(&self, place: Place) {
        let done = self
            .head
            .marks
            .set(place, Mark::Reserved, self.parts().leaves());
        debug_assert!(done.is_ok(), "I2: a slot was given out twice");
    }

    /// Makes a free slot live. For a block that nobody else takes slots of yet.
    pub(crate) fn raise(&self, slot: SlotIndex) {
        let place = self.place(slot);
        self.touch_word(place.word());
        self.leaf(place.word()).raise(place.bit());
    }

    /// Makes a free slot reserved. For a block that nobody else takes slots of yet.
    pub(crate) fn reserve(&self, slot: SlotIndex) {
        let place = self.place(slot);
        self.touch_word(place.word());
        self.leaf(place.word()).guard();
        self.reserve_at(place);
    }

    /// Makes a reserved slot of ours live.
    pub(crate) fn publish(&self, slot: SlotIndex) {
        let place = self.place(slot);
        self.leaf(place.word()).publish(place.bit());
        self.unmark(slot, Mark::Reserved);
    }

    /// Ends a mark of ours: the slot is live [SHOWN] or free [FREE] after it.
    pub(crate) fn unmark(&self, slot: SlotIndex, mark: Mark) {
        let done = self.head.marks.clear(self.place(slot), mark);
        debug_assert!(done, "a mark was ended twice");
    }

    // ---------------------------------------------------------------- a word to take slots of

    /// Takes a slot of the first word that has one, from leaf word `start` on, round the block;
    /// `busy` tells if a word was passed over because a call in progress has its lease.
    pub(super) fn search(
        &self,
        start: usize,
        want: Want,
        busy: &mut bool,
    ) -> Option<(SlotIndex, usize)> {
        let summary = self.summary();
        let groups = summary.groups();
        let (first, bit) = Parts::group_of(start % self.parts().leaves());
        for i in 0..=groups {
            let group = (first + i) % groups;
            let mut open = summary.open(group);
            if i == 0 {
                open &= bit.wrapping_neg();
            } else if i == groups {
                open &= bit - 1;
            }
            let found = self.search_group(group, open, want, busy);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn search_group(
        &self,
        group: usize,
        mut open: u64,
        want: Want,
        busy: &mut bool,
    ) -> Option<(SlotIndex, usize)> {
        while open != 0 {
            let word = Parts::word_in(group, open.trailing_zeros());
            open &= open - 1;
            match self.take_in(word, want) {
                Taken::Slot(slot) => {
                    self.touch_word(word);
                    return Some((slot, word));
                }
                Taken::Busy => *busy = true,
                Taken::None => self.pass_over(word),
            }
        }
        None
    }

    /// A word that has no free slot: if it is full, the next search shall not look at it.
    fn pass_over(&self, word: usize) {
        if self.leaf(word).peek().is_full() {
            self.note_full(word);
        }
    }

    // ---------------------------------------------------------------- from live to not

    /// Makes a live slot free at once.
    ///
    /// The error tells the state that the slot was found in instead; nothing was changed.
    #[inline]
    pub(crate) fn free(&self, slot: SlotIndex) -> Result<(), State> {
        let place = self.place(slot);
        let before = self.leaf(place.word()).free(place.bit());
        self.after_fall(place.word(), before);
        if before.live() & place.bit() != 0 {
            Ok(())
        } else {
            Err(self.not_live(slot))
        }
    }

    #[inline]
    fn after_fall(&self, word: usize, before: Seen) {
        if before.is_full() {
            self.note_fall(word);
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
        let place = self.place(slot);
        let leaves = self.parts().leaves();
        let hiding = self.head.marks.set(place, Mark::Hiding, leaves);
        let hiding = hiding.map_err(State::Marked)?;
        if let Some(before) = self.leaf(place.word()).hide(place.bit()) {
            self.after_fall(place.word(), before);
            Marks::settle(hiding, place, mark);
            return Ok(());
        }
        // Somebody else was faster: our mark goes from the very cell in which we set it.
        Marks::clear_at(hiding, place, Mark::Hiding);
        Err(self.not_live(slot))
    }

    /// Turns a hidden slot into a retired one; whether it was hidden.
    pub(crate) fn retire_hidden(&self, slot: SlotIndex) -> bool {
        self.head.marks.retire(self.place(slot))
    }

    // ---------------------------------------------------------------- the whole block

    /// Gives up a block of which no slot is taken, for good; whether it could.
    ///
    /// Afterwards no slot of it is ever handed out, and it may be freed once nobody looks at it
    /// any more. It fails if a slot is taken, or a call in progress has one of the leases.
    pub(crate) fn revoke(&self) -> bool {
        if !self.is_unused() || !self.lease_all() {
            return false;
        }
        // From here on nothing is taken: a claim fails at the guard, all else needs the lease.
        (0..self.parts().leaves()).for_each(|word| self.leaf(word).guard());
        let unused = self.is_unused();
        if !unused {
            self.give_all();
        }
        unused
    }

    /// After a restore: the summary as it is, and every word touched, for nobody knows.
    pub(super) fn after_restore(&self) {
        for word in 0..self.parts().leaves() {
            self.touch_word(word);
            self.pass_over(word);
        }
    }
}
