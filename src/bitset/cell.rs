//! One packed cell of the sparse masks: which slots it speaks of, and their marks.
//!
//! # Shape
//! ```text
//! 63      62..32                 31..0
//! kind    slot / cover           marks
//! 0       slot / 32              one bit a slot: reserved
//! 1       slot / 16              31..16 and 15..0, two bits a slot: 01 hiding 10 hidden 11 retired
//!
//! 62      3..2     1          0
//! 1       hidden   reserved   1                the only cell of a block of one slot: both kinds
//! ```
//! A cell without marks is free, whatever stands above them, and is written as 0. The only cell of a
//! block of one slot stands in the block's head, where an odd word is no address (C2 of `chain.rs`).
//!
//! This file owns the bits of the word: nobody else shifts or masks them.
//!
//! # Checked by
//! The unit tests below; `proptests/block.rs` through the whole.

use super::chain::OWN;
use crate::bitset::BITS;
use crate::sync::SMALL;

/// So many slots share a cell of reserved slots.
const WIDE: u32 = if SMALL { BITS } else { 32 };
/// So many slots share a cell of hidden slots.
const NARROW: u32 = if SMALL { BITS } else { 16 };
const KIND: u64 = 1 << 63;
const KEY: u32 = 32;
const MARKS: u64 = (1 << KEY) - 1;
/// The only cell of a block; no key comes so far up.
const ONLY: u64 = 1 << 62;
/// Where it has its marks.
const ONLY_RESERVED: u32 = 1;
const ONLY_HIDDEN: u32 = 2;
const ONLY_MARKS: u64 = 0b111 << ONLY_RESERVED;

/// Why a slot that is not live is not free either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Taken, not yet visible.
    Reserved,
    /// A call is about to clear its live bit, or has just cleared it.
    Hiding,
    /// Invisible, and kept.
    Hidden,
    /// Invisible, and free once nobody looks any more.
    Retired,
}

impl Mark {
    fn is_reserved(self) -> bool {
        self == Self::Reserved
    }

    /// The two bits of a mark of the hidden kind.
    fn code(self) -> u64 {
        match self {
            Self::Reserved | Self::Hiding => 1,
            Self::Hidden => 2,
            Self::Retired => 3,
        }
    }

    /// The bits of this mark for the `at`th slot of a cell.
    fn bits(self, at: u32) -> u64 {
        if self.is_reserved() {
            1 << at
        } else {
            (self.code() & 1) << at | (self.code() >> 1) << (at + 16)
        }
    }

    /// The bits of this mark in the only cell.
    fn only_bits(self) -> u64 {
        let at = if self.is_reserved() {
            ONLY_RESERVED
        } else {
            ONLY_HIDDEN
        };
        self.code() << at
    }
}

/// A cell as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell(pub(super) u64);

impl Cell {
    pub(super) const FREE: Self = Self(0);
    /// The only cell of a block of one slot, without marks.
    pub(super) const ONLY: Self = Self(ONLY | OWN);

    pub(super) fn is_free(self) -> bool {
        self.0 & MARKS == 0
    }

    fn is_only(self) -> bool {
        self.0 & ONLY != 0
    }

    /// The mark of the hidden kind in the only cell.
    fn only_hidden(self) -> Option<Mark> {
        match self.0 >> ONLY_HIDDEN & 3 {
            0 => None,
            1 => Some(Mark::Hiding),
            2 => Some(Mark::Hidden),
            _ => Some(Mark::Retired),
        }
    }

    fn only_reserved(self) -> Option<Mark> {
        (self.0 >> ONLY_RESERVED & 1 == 1).then_some(Mark::Reserved)
    }

    /// The cell with one mark.
    pub(super) fn of(slot: u32, mark: Mark) -> Self {
        let cover = if mark.is_reserved() { WIDE } else { NARROW };
        let kind = if mark.is_reserved() { 0 } else { KIND };
        Self(kind | u64::from(slot / cover) << KEY | mark.bits(slot % cover))
    }

    fn is_wide(self) -> bool {
        self.0 & KIND == 0
    }

    fn cover(self) -> u32 {
        if self.is_wide() { WIDE } else { NARROW }
    }

    fn first_slot(self) -> u64 {
        ((self.0 & !KIND) >> KEY) * u64::from(self.cover())
    }

    /// Whether a mark of the kind of `mark` for `slot` belongs into this cell.
    pub(super) fn takes(self, slot: u32, mark: Mark) -> bool {
        self.is_only() || !self.is_free() && Self::of(slot, mark).0 & !MARKS == self.0 & !MARKS
    }

    /// The mark of `slot` in this cell that is of the kind of `mark`; it must take that.
    pub(super) fn mark_like(self, slot: u32, mark: Mark) -> Option<Mark> {
        match (self.is_only(), mark.is_reserved()) {
            (false, _) => self.mark(slot),
            (true, true) => self.only_reserved(),
            (true, false) => self.only_hidden(),
        }
    }

    /// Whether `slot` has this very mark here.
    pub(super) fn has(self, slot: u32, mark: Mark) -> bool {
        if self.is_only() {
            return self.mark_like(slot, mark) == Some(mark);
        }
        self.mark(slot) == Some(mark)
    }

    /// The mark of `slot` in this cell: of two, the one that is not `Hiding`, and `Reserved` last.
    pub(super) fn mark(self, slot: u32) -> Option<Mark> {
        if self.is_only() {
            let hidden = self.only_hidden();
            let settled = hidden.filter(|mark| *mark != Mark::Hiding);
            return settled.or(self.only_reserved()).or(hidden);
        }
        let at = u64::from(slot).wrapping_sub(self.first_slot());
        if at >= u64::from(self.cover()) {
            return None;
        }
        let bit = |at| (self.0 & MARKS) >> at & 1;
        if self.is_wide() {
            return (bit(at) == 1).then_some(Mark::Reserved);
        }
        match bit(at) | bit(at + 16) << 1 {
            0 => None,
            1 => Some(Mark::Hiding),
            2 => Some(Mark::Hidden),
            _ => Some(Mark::Retired),
        }
    }

    /// This cell with `mark` for `slot` besides; it must take it, or be free, and have none of its kind
    /// for it but one that `mark` comes after.
    pub(super) fn with(self, slot: u32, mark: Mark) -> Self {
        if self.is_only() {
            return Self(self.0 | mark.only_bits());
        }
        Self(self.0 | Self::of(slot, mark).0)
    }

    /// This cell without the `mark` that `slot` has.
    pub(super) fn without(self, slot: u32, mark: Mark) -> Self {
        if self.is_only() {
            return Self(self.0 & !mark.only_bits());
        }
        let rest = Self(self.0 & !mark.bits(slot % self.cover()));
        if rest.is_free() { Self::FREE } else { rest }
    }

    /// The cells in which these slots of leaf word `word` are reserved, and nothing else.
    #[cfg(feature = "store")]
    pub(super) fn reserved(word: usize, slots: u64) -> impl Iterator<Item = Self> {
        const MASK: u64 = (1 << WIDE) - 1;
        let parts = (0..BITS).step_by(WIDE as usize);
        let cells = parts.map(move |at| {
            let key = (word as u64 * u64::from(BITS) + u64::from(at)) / u64::from(WIDE);
            Self(key << KEY | slots >> at & MASK)
        });
        cells.filter(|cell| !cell.is_free())
    }

    /// Whether this cell, which is not free, speaks of the same slots as `other`, in the same way.
    #[cfg(feature = "store")]
    pub(super) fn is_like(self, other: Self) -> bool {
        !self.is_free() && self.0 & !MARKS == other.0 & !MARKS
    }

    /// This cell, which is free or like `other`, with those marks besides.
    #[cfg(feature = "store")]
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This cell without the marks of `other`, if it is like that.
    #[cfg(feature = "store")]
    pub(super) fn but(self, other: Self) -> Self {
        if !self.is_like(other) {
            return self;
        }
        let rest = Self(self.0 & !(other.0 & MARKS));
        if rest.is_free() { Self::FREE } else { rest }
    }

    /// The slots of leaf word `word` that have a mark here.
    pub(super) fn taken(self, word: usize) -> u64 {
        if self.is_only() {
            return u64::from(self.0 & ONLY_MARKS != 0); // the first slot, of the first word
        }
        let first = self.first_slot();
        if first / u64::from(BITS) != word as u64 {
            return 0;
        }
        let marks = self.0 & MARKS;
        let slots = if self.is_wide() {
            marks
        } else {
            (marks | marks >> 16) & 0xffff
        };
        slots << (first % u64::from(BITS))
    }

    /// How many slots have a mark of the hidden kind here.
    pub(super) fn hidden(self) -> u64 {
        if self.is_only() {
            return u64::from(self.only_hidden().is_some());
        }
        if self.is_wide() {
            return 0;
        }
        let marks = self.0 & MARKS;
        u64::from(((marks | marks >> 16) & 0xffff).count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Mark; 4] = [Mark::Reserved, Mark::Hiding, Mark::Hidden, Mark::Retired];

    #[test]
    fn a_mark_is_found_again_and_nowhere_else() {
        for slot in [
            0,
            1,
            15,
            16,
            17,
            31,
            32,
            63,
            64,
            1000,
            u32::MAX - 1,
            u32::MAX,
        ] {
            for mark in ALL {
                let cell = Cell::of(slot, mark);
                assert_eq!(cell.mark(slot), Some(mark));
                assert_eq!(cell.mark(slot ^ 1), None);
                assert_eq!(cell.mark(slot ^ 64), None);
                assert_eq!(cell.taken((slot / BITS) as usize), 1 << (slot % BITS));
                assert_eq!(cell.taken((slot / BITS) as usize ^ 1), 0);
                assert_eq!(cell.without(slot, mark), Cell::FREE);
                assert_eq!(cell.hidden(), u64::from(mark != Mark::Reserved));
            }
        }
    }

    #[test]
    fn neighbours_share_a_cell() {
        for mark in ALL {
            let one = Cell::of(36, mark);
            assert!(one.takes(37, mark));
            let both = one.with(37, mark);
            assert_eq!((both.mark(36), both.mark(37)), (Some(mark), Some(mark)));
            assert_eq!(both.without(36, mark), Cell::of(37, mark));
        }
    }

    #[cfg(feature = "store")]
    #[test]
    fn many_are_reserved_as_one_by_one() {
        for word in [0, 1, 511] {
            for slots in [1, 1 << 62, 3 << 31, u64::MAX >> 1, 0x5555 << 20] {
                let cells: Vec<Cell> = Cell::reserved(word, slots).collect();
                assert_eq!(
                    cells.iter().fold(0, |all, cell| all | cell.taken(word)),
                    slots
                );
                assert!(cells.len() <= 2);
                for bit in (0..64).filter(|bit| slots >> bit & 1 == 1) {
                    let slot = word as u32 * BITS + bit;
                    let one = Cell::of(slot, Mark::Reserved);
                    let cell = cells.iter().find(|cell| cell.is_like(one)).unwrap();
                    assert_eq!(cell.mark(slot), Some(Mark::Reserved));
                    assert_eq!(cell.but(one), cell.without(slot, Mark::Reserved));
                    assert_eq!(cell.but(one).and(one), *cell);
                    assert_eq!(cell.but(*cell), Cell::FREE);
                    let hidden = Cell::of(slot, Mark::Hidden);
                    assert_eq!(cell.but(hidden), *cell);
                }
            }
        }
    }

    #[test]
    fn the_only_cell_has_both_kinds() {
        for hidden in [Mark::Hiding, Mark::Hidden, Mark::Retired] {
            let (one, two) = (
                Cell::ONLY.with(0, Mark::Reserved),
                Cell::ONLY.with(0, hidden),
            );
            let both = one.with(0, hidden);
            assert_eq!(both, two.with(0, Mark::Reserved));
            for (cell, marks) in [
                (Cell::ONLY, &[][..]),
                (one, &[Mark::Reserved]),
                (two, &[hidden]),
                (both, &[Mark::Reserved, hidden]),
            ] {
                assert_eq!(cell.0 & OWN, OWN);
                assert_eq!(cell.taken(0), u64::from(!marks.is_empty()));
                assert_eq!(cell.hidden(), u64::from(marks.contains(&hidden)));
                for mark in ALL {
                    assert!(cell.takes(0, mark));
                    assert_eq!(cell.has(0, mark), marks.contains(&mark));
                }
            }
            let reserved_first = hidden == Mark::Hiding;
            let seen = if reserved_first {
                Mark::Reserved
            } else {
                hidden
            };
            assert_eq!(both.mark(0), Some(seen));
            assert_eq!(both.without(0, Mark::Reserved), two);
            assert_eq!(both.without(0, hidden), one);
            assert_eq!(one.without(0, Mark::Reserved), Cell::ONLY);
        }
        let hidden = Cell::ONLY.with(0, Mark::Hidden);
        assert_eq!(
            hidden.with(0, Mark::Retired),
            Cell::ONLY.with(0, Mark::Retired)
        );
        for slot in [0, 1 << 31, u32::MAX] {
            assert!(ALL.iter().all(|mark| !Cell::of(slot, *mark).is_only()));
        }
    }

    #[test]
    fn kinds_do_not_mix() {
        assert!(!Cell::of(3, Mark::Reserved).takes(3, Mark::Hiding));
        assert!(!Cell::of(3, Mark::Hidden).takes(3, Mark::Reserved));
        assert!(Cell::of(3, Mark::Hidden).takes(4, Mark::Hiding));
        assert!(!Cell::FREE.takes(0, Mark::Reserved));
    }
}
