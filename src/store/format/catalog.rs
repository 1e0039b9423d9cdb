//! What there is beside bits: size classes, ranges, large objects, pages, the root object.
//!
//! # Shape
//! ```text
//! 0   counts       classes u32, ranges u32, large u64, pages u32, padding u32
//! 24  root object  u64   0 for none
//! 32  classes      u64 each: the slot's size
//! ..  ranges       first id u64, offset u64, slot size u64, slots u32, first word u32
//! ..  large        id u64, offset u64, slot size u64
//! ..  pages        u64 each: where both copies are; its lowest bits say which is current
//! ```
//! Its checksum stands in the superblock that names it.
//!
//! # Checked by
//! The tests below.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Range {
    pub(in crate::store) first_id: u64,
    pub(in crate::store) offset: u64,
    pub(in crate::store) slot_size: u64,
    pub(in crate::store) slots: u32,
    /// Its first word, of those of all pages in a row.
    pub(in crate::store) word: u32,
}

/// An object above the largest class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Large {
    pub(in crate::store) id: u64,
    pub(in crate::store) offset: u64,
    pub(in crate::store) slot_size: u64,
}

/// Where the two copies of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct PageRef {
    /// Of the first copy, a multiple of 4; the second follows it.
    pub(in crate::store) offset: u64,
    /// Which is current; none as long as the page was never written, and all its words are 0.
    pub(in crate::store) copy: Option<Which>,
}

/// One of a page's copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Which {
    First = 1,
    Second = 2,
}

impl PageRef {
    fn offset_of(self, copy: Which) -> u64 {
        match copy {
            Which::First => self.offset,
            Which::Second => self.offset + super::page::SIZE as u64,
        }
    }

    /// Where the current copy is.
    pub(in crate::store) fn current(self) -> Option<u64> {
        self.copy.map(|copy| self.offset_of(copy))
    }

    /// Makes the other copy the current one; where it is.
    pub(in crate::store) fn flip(&mut self) -> u64 {
        let next = match self.copy {
            Some(Which::First) => Which::Second,
            None | Some(Which::Second) => Which::First,
        };
        self.copy = Some(next);
        self.offset_of(next)
    }

    fn to_word(self) -> u64 {
        self.offset | self.copy.map_or(0, |copy| copy as u64)
    }

    fn from_word(word: u64) -> Option<Self> {
        let copy = match word & 3 {
            0 => None,
            1 => Some(Which::First),
            2 => Some(Which::Second),
            _ => return None,
        };
        let offset = word & !3;
        // Both copies are somewhere.
        offset.checked_add(2 * super::page::SIZE as u64)?;
        Some(Self { offset, copy })
    }
}

/// A catalog's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Catalog {
    pub(in crate::store) root: Option<u64>,
    pub(in crate::store) classes: Vec<u64>,
    pub(in crate::store) ranges: Vec<Range>,
    pub(in crate::store) large: Vec<Large>,
    pub(in crate::store) pages: Vec<PageRef>,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawHead {
    classes: U32,
    ranges: U32,
    large: U64,
    pages: U32,
    padding: U32,
    root: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawRange {
    first_id: U64,
    offset: U64,
    slot_size: U64,
    slots: U32,
    word: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawLarge {
    id: U64,
    offset: U64,
    slot_size: U64,
}

/// The bytes of a catalog of nothing, and how many more one has for each thing.
pub(in crate::store) const HEAD: u64 = size_of::<RawHead>() as u64;
pub(in crate::store) const CLASS: u64 = 8;
pub(in crate::store) const RANGE: u64 = size_of::<RawRange>() as u64;
pub(in crate::store) const LARGE: u64 = size_of::<RawLarge>() as u64;
pub(in crate::store) const PAGE: u64 = 8;

/// Takes `n` things off the front, if so many are there.
fn take<'a, T>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [T]>
where
    T: FromBytes + Immutable + KnownLayout,
{
    let (found, rest) = <[T]>::ref_from_prefix_with_elems(bytes, n).ok()?;
    *bytes = rest;
    Some(found)
}

impl Catalog {
    pub(in crate::store) fn to_bytes(&self) -> Vec<u8> {
        let head = RawHead {
            classes: (self.classes.len() as u32).into(),
            ranges: (self.ranges.len() as u32).into(),
            large: (self.large.len() as u64).into(),
            pages: (self.pages.len() as u32).into(),
            padding: U32::ZERO,
            root: self.root.unwrap_or(0).into(),
        };
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend(self.classes.iter().flat_map(|size| size.to_le_bytes()));
        for range in &self.ranges {
            let raw = RawRange {
                first_id: range.first_id.into(),
                offset: range.offset.into(),
                slot_size: range.slot_size.into(),
                slots: range.slots.into(),
                word: range.word.into(),
            };
            bytes.extend(raw.as_bytes());
        }
        for large in &self.large {
            let raw = RawLarge {
                id: large.id.into(),
                offset: large.offset.into(),
                slot_size: large.slot_size.into(),
            };
            bytes.extend(raw.as_bytes());
        }
        let pages = self.pages.iter().map(|page| page.to_word());
        bytes.extend(pages.flat_map(u64::to_le_bytes));
        bytes
    }

    /// Nothing if the bytes are not as many as they say.
    pub(in crate::store) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let head = take::<RawHead>(bytes, 1)?.first()?;
        let classes = take::<U64>(bytes, head.classes.get() as usize)?;
        let ranges = take::<RawRange>(bytes, head.ranges.get() as usize)?;
        let large = take::<RawLarge>(bytes, usize::try_from(head.large.get()).ok()?)?;
        let pages = take::<U64>(bytes, head.pages.get() as usize)?;
        let root = head.root.get();
        let pages = pages.iter().map(|raw| PageRef::from_word(raw.get()));
        let pages = pages.collect::<Option<Vec<_>>>()?;
        bytes.is_empty().then(|| Self {
            root: (root != 0).then_some(root),
            classes: classes.iter().map(|size| size.get()).collect(),
            ranges: ranges.iter().map(RawRange::get).collect(),
            large: large.iter().map(RawLarge::get).collect(),
            pages,
        })
    }
}

impl RawRange {
    fn get(&self) -> Range {
        Range {
            first_id: self.first_id.get(),
            offset: self.offset.get(),
            slot_size: self.slot_size.get(),
            slots: self.slots.get(),
            word: self.word.get(),
        }
    }
}

impl RawLarge {
    fn get(&self) -> Large {
        Large {
            id: self.id.get(),
            offset: self.offset.get(),
            slot_size: self.slot_size.get(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_reads_back_and_has_the_size_that_was_said() {
        let range = |n| Range {
            first_id: n,
            offset: n + 1,
            slot_size: n + 2,
            slots: 5,
            word: 6,
        };
        let page = |offset, copy| PageRef { offset, copy };
        let catalog = Catalog {
            root: Some(8),
            classes: vec![64, 80],
            ranges: vec![range(1), range(100), range(1000)],
            large: vec![Large {
                id: 9,
                offset: 10,
                slot_size: 11,
            }],
            pages: vec![page(4096, Some(Which::Second)), page(12288, None)],
        };
        let bytes = catalog.to_bytes();
        assert_eq!(
            bytes.len() as u64,
            HEAD + 2 * CLASS + 3 * RANGE + LARGE + 2 * PAGE
        );
        assert_eq!(Catalog::from_bytes(&bytes), Some(catalog));
        for len in 0..bytes.len() {
            assert_eq!(Catalog::from_bytes(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn counts_that_lie_are_found_before_anything_is_allocated() {
        let mut bytes = Catalog::default().to_bytes();
        for at in [0, 4, 8, 16] {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(Catalog::from_bytes(&bytes), None);
        }
        bytes.push(0);
        assert_eq!(Catalog::from_bytes(&bytes), None);
    }
}
