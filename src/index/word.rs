//! The one word that says what a slot holds. Nobody else shifts or masks its bits.
//!
//! # Shape
//! ```text
//! len << 2 | 01                        a range, inline: its first id and value stand beside it
//! 0 ..   0 | 01                        nothing: a range without ids
//! address of a bucket | class << 2 | 11
//! address of a node   | shift << 1 | 0
//! ```
//! A node's address is a multiple of 128, a bucket's of 16. One bit tells nodes from all else, so
//! a descent tests one bit a level; "nothing" is a range that contains no id, so it needs no test.
//!
//! # Invariants
//! * W1  The word of a node or a bucket carries its real address, with its provenance exposed.
//! * W2  The shift in a node's word is the node's own, the class in a bucket's is the bucket's.
//!
//! # Edges
//! None: a `Word` is a plain value; `cell.rs` loads and stores it.
//!
//! # Progress
//! No function here waits or loops.
//!
//! # Checked by
//! The unit tests below (W2); every model and property of the index.

use core::fmt;

/// A range of so many ids or more does not fit beside the tag; it goes into a bucket.
const INLINE_LIMIT: u64 = 1 << 62;

/// Nodes are aligned to so many bytes, which leaves room for the tag and the shift.
pub(super) const NODE_ALIGN: usize = 128;
/// Buckets are aligned to so many bytes, which leaves room for the tag and the class.
pub(super) const BUCKET_ALIGN: usize = 16;

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    /// Nothing.
    pub(super) const EMPTY: Self = Self(0b01);

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// A range of `len` ids, or `None` if it is too long for a word.
    #[inline]
    pub(super) const fn inline(len: u64) -> Option<Self> {
        if len >= INLINE_LIMIT {
            return None;
        }
        Some(Self(len << 2 | 0b01))
    }

    pub(super) const fn node(address: usize, shift: u32) -> Self {
        debug_assert!(address % NODE_ALIGN == 0 && shift < 64);
        Self(address as u64 | (shift as u64) << 1)
    }

    pub(super) const fn bucket(address: usize, class: u32) -> Self {
        debug_assert!(address % BUCKET_ALIGN == 0 && class < 4);
        Self(address as u64 | (class as u64) << 2 | 0b11)
    }

    #[inline]
    pub(super) const fn is_node(self) -> bool {
        self.0 & 1 == 0
    }

    #[inline]
    pub(super) const fn is_bucket(self) -> bool {
        self.0 & 0b11 == 0b11
    }

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.0 == Self::EMPTY.0
    }

    /// Whether a range, at least one id long, stands beside this word.
    #[inline]
    pub(super) const fn is_inline(self) -> bool {
        self.0 & 0b11 == 0b01 && !self.is_empty()
    }

    /// How many ids the range beside an inline word has; 0 for an empty word.
    #[inline]
    pub(super) const fn len(self) -> u64 {
        self.0 >> 2
    }

    /// The shift of the node that a node's word names.
    #[inline]
    pub(super) const fn shift(self) -> u32 {
        (self.0 >> 1) as u32 & 63
    }

    /// The address of the node that a node's word names.
    #[inline]
    pub(super) const fn node_address(self) -> usize {
        self.0 as usize & !(NODE_ALIGN - 1)
    }

    /// The class of the bucket that a bucket's word names.
    #[inline]
    pub(super) const fn class(self) -> u32 {
        (self.0 >> 2) as u32 & 0b11
    }

    /// The address of the bucket that a bucket's word names.
    #[inline]
    pub(super) const fn bucket_address(self) -> usize {
        self.0 as usize & !(BUCKET_ALIGN - 1)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            f.write_str("empty")
        } else if self.is_node() {
            write!(f, "node(shift {})", self.shift())
        } else if self.is_bucket() {
            write!(f, "bucket(class {})", self.class())
        } else {
            write!(f, "range({} ids)", self.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let words = [
            Word::EMPTY,
            Word::inline(1).unwrap(),
            Word::inline(INLINE_LIMIT - 1).unwrap(),
            Word::node(128, 0),
            Word::node(usize::MAX & !127, 63),
            Word::bucket(16, 0),
            Word::bucket(usize::MAX & !15, 3),
        ];
        for (i, word) in words.into_iter().enumerate() {
            assert_eq!(word.is_empty(), i == 0);
            assert_eq!(word.is_inline(), i == 1 || i == 2);
            assert_eq!(word.is_node(), i == 3 || i == 4);
            assert_eq!(word.is_bucket(), i > 4);
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        assert_eq!(Word::EMPTY.len(), 0);
        assert_eq!(Word::inline(INLINE_LIMIT), None);
        assert_eq!(Word::inline(77).unwrap().len(), 77);
        for shift in 0..64 {
            let word = Word::node(0xABC0 << 7, shift);
            assert_eq!((word.shift(), word.node_address()), (shift, 0xABC0 << 7));
        }
        for class in 0..4 {
            let word = Word::bucket(0xABC0, class);
            assert_eq!((word.class(), word.bucket_address()), (class, 0xABC0));
        }
    }
}
