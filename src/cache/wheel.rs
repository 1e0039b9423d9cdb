//! Which entries may be over by now: a hierarchical timer wheel over the entries' own links.
//!
//! # Shape
//! ```text
//!                 digits of a moment, 6 bits each:   .. [level 2][level 1][level 0]
//! level 0  [slot 0 .. slot 63]   a slot is 1 tick       at: how far the wheel has turned
//! level 1  [slot 0 .. slot 63]   a slot is 64 ticks
//!   ..                                                  slot -> e7 <-> e2 <-> e9
//! level 5  [slot 0 .. slot 63]   a slot is 2^30 ticks    (the first one's `prev` names the slot)
//! ```
//! An entry lies on the level of the highest digit in which its moment differs from `at`, in the
//! slot of that digit. When the wheel turns to the slot's beginning, its entries are looked at:
//! what is over leaves, what is not goes to where its deadline is *then*, mostly on a lower level.
//! So whoever moves a deadline to later needs not tell the wheel.
//!
//! # Invariants
//! * W1  An entry that was scheduled is in one list exactly, until it is cancelled or fires. Its
//!   slot begins after `at`, or `at` is in it and it is being emptied.
//! * W2  Where a deadline was not moved to earlier, the entry's slot begins no later than it. So no
//!   entry is over that would not be looked at; and what fires is over.
//! * W3  All entries of a level come due before any of a level above it.
//! * W4  An occupied bit is set exactly if the slot's list is not empty.
//!
//! # Progress
//! No atomics, no locks: whoever owns the wheel works. `schedule`, `cancel` and `next_due` take
//! constant time; an entry is looked at 6 times at most before it fires, if its deadline is not
//! moved, and once more each time it was found moved. Time in which nothing is due costs nothing.
//!
//! # Checked by
//! The tests below; `proptests/wheel.rs` against a map (W1, W2), with readers that move deadlines.
//!
//! G. Varghese, T. Lauck, "Hashed and hierarchical timing wheels", SOSP 1987.

use super::tick::{MAX_AHEAD, Moment, Tick};

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const DIGIT: u32 = 6;

/// No entry; as `prev`, also: in no list.
const NONE: u32 = u32::MAX;
/// In `prev`: not an entry but the slot that an entry is the first of.
const HEAD: u32 = 1 << 31;

/// What an entry keeps for the wheel: its neighbours in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) prev: u32,
    pub(crate) next: u32,
}

impl Links {
    /// Of an entry that is not scheduled. A new entry has to begin with it.
    pub(crate) const NONE: Self = Self {
        prev: NONE,
        next: NONE,
    };

    /// Whether the entry is scheduled.
    pub(crate) const fn is_scheduled(self) -> bool {
        self.prev != NONE
    }
}

/// Entries, by index: below 2^31.
pub(crate) trait Timers {
    /// What `set_links` set last, at first [`Links::NONE`].
    fn links(&self, entry: u32) -> Links;
    /// Keeps the links of an entry.
    fn set_links(&mut self, entry: u32, links: Links);
    /// When the entry is over, as it is now.
    fn deadline(&self, entry: u32) -> Tick;
}

/// A place in the wheel.
#[derive(Clone, Copy, Debug)]
struct Slot {
    level: usize,
    digit: usize,
}

/// How long an entry has that was looked at.
enum Left {
    Nothing,
    Until(Moment),
    Always,
}

impl Slot {
    fn from_index(index: usize) -> Self {
        let (level, digit) = (index / SLOTS, index % SLOTS);
        Self { level, digit }
    }

    fn at(level: usize, moment: u64) -> Self {
        let digit = (moment >> (DIGIT * level as u32)) as usize % SLOTS;
        Self { level, digit }
    }

    fn index(self) -> usize {
        self.level * SLOTS + self.digit
    }

    fn bit(self) -> u64 {
        1 << self.digit
    }
}

/// The slots, 1.6 KB. The entries' links and deadlines are elsewhere, and always the same ones.
pub(crate) struct Wheel {
    /// All slots that begin before it are empty.
    at: u64,
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * SLOTS],
}

impl Wheel {
    /// An empty wheel.
    pub(crate) const fn new(now: Moment) -> Self {
        Self {
            at: now.get(),
            occupied: [0; LEVELS],
            heads: [NONE; LEVELS * SLOTS],
        }
    }

    /// Whether nothing is scheduled.
    pub(crate) fn is_empty(&self) -> bool {
        self.occupied == [0; LEVELS]
    }

    /// Puts an entry where its deadline is, from wherever it was. One that is never over is
    /// only taken out; one that is over fires at the next call.
    ///
    /// Needed for a new entry, and when its deadline moves to earlier or from never; when it moves
    /// to later, not.
    pub(crate) fn schedule(&mut self, timers: &mut impl Timers, entry: u32, now: Moment) {
        debug_assert!(entry < HEAD, "the upper half names slots");
        self.cancel(timers, entry);
        if self.is_empty() {
            self.at = self.at.max(now.get());
        }
        if let Some(deadline) = timers.deadline(entry).near(now) {
            self.link(timers, entry, deadline);
        }
    }

    /// Takes an entry out, if it is in.
    pub(crate) fn cancel(&mut self, timers: &mut impl Timers, entry: u32) {
        let links = timers.links(entry);
        if links.is_scheduled() {
            self.unlink(timers, links);
            timers.set_links(entry, Links::NONE);
        }
    }

    /// Takes out what is over, calling `expired` for each, and looks at `at_most` entries.
    /// Returns whether it is done: nothing was left to look at.
    #[cfg(test)]
    #[must_use = "more may be due"]
    pub(crate) fn advance(
        &mut self,
        timers: &mut impl Timers,
        now: Moment,
        mut at_most: usize,
        expired: &mut impl FnMut(u32),
    ) -> bool {
        while let Some(entry) = self.pop(timers, now, &mut at_most) {
            expired(entry);
        }
        !self.is_due(now)
    }

    /// Takes out an entry that is over; looks at `at_most` entries, and counts that down.
    ///
    /// The entry is not scheduled any more, and all is as it should be for any other call.
    pub(crate) fn pop(
        &mut self,
        timers: &mut impl Timers,
        now: Moment,
        at_most: &mut usize,
    ) -> Option<u32> {
        // Who read the clock before another turned the wheel may come after: its time has passed.
        let now = now.max(Moment::new(self.at));
        while let Some(slot) = self.turn(now) {
            *at_most = at_most.checked_sub(1)?;
            let entry = self.heads[slot.index()];
            let links = timers.links(entry);
            self.unlink(timers, links);
            timers.set_links(entry, Links::NONE);
            match self.left(timers.deadline(entry), now) {
                Left::Nothing => return Some(entry),
                Left::Until(deadline) => self.link(timers, entry, deadline),
                Left::Always => {}
            }
        }
        None
    }

    /// Whether [`pop`](Self::pop) would find anything to look at. Constant time.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        let now = now.max(Moment::new(self.at));
        self.next_due().is_some_and(|due| due <= now)
    }

    /// When there is something to look at next: no entry is over before that, and not already.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        let (_, begins) = self.next()?;
        Some(Moment::new(begins))
    }

    /// Turns to the next slot that has entries and has begun, or up to now, which is not before
    /// `at`.
    fn turn(&mut self, now: Moment) -> Option<Slot> {
        match self.next() {
            Some((slot, begins)) if begins <= now.get() => {
                self.at = begins;
                Some(slot)
            }
            // Nothing begins up to now, so all lies as it would if it were scheduled now (W1).
            _ => {
                self.at = now.get();
                None
            }
        }
    }

    /// The slot that is due first, and when it begins; `at` for one that `at` is in.
    fn next(&self) -> Option<(Slot, u64)> {
        self.begun().map(|slot| (slot, self.at)).or_else(|| {
            // The lowest level that has any (W3).
            let level = self.occupied.iter().position(|bits| *bits != 0)?;
            Some(self.after(level))
        })
    }

    /// A slot that is being emptied: `at` is in it.
    fn begun(&self) -> Option<Slot> {
        let mut slots = (0..LEVELS).map(|level| Slot::at(level, self.at));
        slots.find(|slot| self.occupied[slot.level] & slot.bit() != 0)
    }

    /// The first occupied slot of a level, which has one, after `at`; round the end of the top
    /// level.
    fn after(&self, level: usize) -> (Slot, u64) {
        let here = Slot::at(level, self.at);
        let bits = self.occupied[level].rotate_right(here.digit as u32);
        let ahead = u64::from(bits.trailing_zeros());
        let shift = DIGIT * level as u32;
        let begins = ((self.at >> shift) + ahead) << shift;
        (Slot::at(level, begins), begins)
    }

    /// What is left of an entry that is looked at.
    fn left(&self, deadline: Tick, now: Moment) -> Left {
        match deadline.near(now) {
            None => Left::Always,
            // After so long a pause what is ahead cannot be told from what is long over: rather
            // too early than never.
            Some(_) if now.get() - self.at >= MAX_AHEAD => Left::Nothing,
            Some(moment) if moment <= now => Left::Nothing,
            Some(moment) => Left::Until(moment),
        }
    }

    /// Puts an entry that is in no list in front of its slot's.
    fn link(&mut self, timers: &mut impl Timers, entry: u32, deadline: Moment) {
        let slot = self.place(deadline);
        let index = slot.index();
        let next = self.heads[index];
        if next != NONE {
            let after = timers.links(next).next;
            timers.set_links(
                next,
                Links {
                    prev: entry,
                    next: after,
                },
            );
        }
        let prev = HEAD | index as u32;
        timers.set_links(entry, Links { prev, next });
        self.heads[index] = entry;
        self.occupied[slot.level] |= slot.bit();
    }

    /// The slot for a moment; for one that has passed, the one that is due at once.
    fn place(&self, deadline: Moment) -> Slot {
        let deadline = deadline.get().max(self.at);
        let differ = (deadline ^ self.at) | 1;
        // A top slot may be of the next round; they are told apart up to 2^36 ticks, 21 years,
        // ahead of where the wheel stands. One that stood for longer looks at it too early.
        let level = (differ.ilog2() / DIGIT) as usize;
        Slot::at(level.min(LEVELS - 1), deadline)
    }

    /// Takes an entry that has these links out of its list.
    fn unlink(&mut self, timers: &mut impl Timers, links: Links) {
        let Links { prev, next } = links;
        if next != NONE {
            let after = timers.links(next).next;
            timers.set_links(next, Links { prev, next: after });
        }
        if prev & HEAD == 0 {
            let before = timers.links(prev).prev;
            timers.set_links(prev, Links { prev: before, next });
            return;
        }
        let slot = Slot::from_index((prev & !HEAD) as usize);
        self.heads[slot.index()] = next;
        if next == NONE {
            self.occupied[slot.level] &= !slot.bit();
        }
    }
}

impl core::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let slots = self
            .occupied
            .iter()
            .map(|bits| bits.count_ones())
            .sum::<u32>();
        write!(f, "Wheel(at {}, {slots} slots)", self.at)
    }
}

// Says where it is, since the property tests take these files by their paths.
#[cfg(test)]
#[path = "wheel/tests.rs"]
mod tests;
