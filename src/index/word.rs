//! The one word that says what a slot holds. Nobody else shifts or masks its bits.
//!
//! # Shape
//! ```text
//! len << 2 | 01                                        a range, inline: its first id and value
//!                                                      stand beside it
//! 0 ..   0 | 01                                        nothing: a range without ids
//! address of a bucket | class << 2 | 11
//! address of a node | MAX_BITS - bits << 7 | shift << 1 | 0
//! ```
//! A node's address is a multiple of 1024, a bucket's of 16. One bit tells nodes from all else, so
//! a descent tests one bit a level; "nothing" is a range that contains no id, so it needs no test.
//!
//! # Invariants
//! * W1  The word of a node or a bucket carries its real address, with its provenance exposed.
//! * W2  Shift and bits in a node's word are the node's own, the class in a bucket's is the
//!   bucket's.
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

use crate::sync::SMALL;

/// A range of so many ids or more does not fit beside the tag; it goes into a bucket.
const INLINE_LIMIT: u64 = 1 << 62;

/// A node has at least `2^MIN_BITS` slots ..
pub(super) const MIN_BITS: u32 = if SMALL { 1 } else { 6 };
/// .. and at most `2^MAX_BITS`.
pub(super) const MAX_BITS: u32 = if SMALL { 2 } else { 12 };

/// Nodes are aligned to so many bytes, which leaves room for the tag, the shift and the bits.
pub(super) const NODE_ALIGN: usize = 1024;
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

    pub(super) const fn node(address: usize, shift: u32, bits: u32) -> Self {
        debug_assert!(address.is_multiple_of(NODE_ALIGN) && shift < 64);
        debug_assert!(MIN_BITS <= bits && bits <= MAX_BITS);
        Self(address as u64 | ((MAX_BITS - bits) as u64) << 7 | (shift as u64) << 1)
    }

    pub(super) const fn bucket(address: usize, class: u32) -> Self {
        debug_assert!(address.is_multiple_of(BUCKET_ALIGN) && class < 4);
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

    /// Whether a range, at least one id long, stands beside this word, or nothing does.
    #[inline]
    pub(super) const fn is_range(self) -> bool {
        self.0 & 0b11 == 0b01
    }

    /// Whether a range, at least one id long, stands beside this word.
    #[inline]
    pub(super) const fn is_inline(self) -> bool {
        self.is_range() && !self.is_empty()
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

    /// The bits of the node that a node's word names.
    pub(super) const fn node_bits(self) -> u32 {
        MAX_BITS - ((self.0 >> 7) as u32 & 7)
    }

    /// The slot of an id in the node that a node's word names; below `2^bits`.
    #[inline(always)]
    pub(super) const fn slot_of(self, id: u64) -> usize {
        const WIDEST: u64 = (1 << MAX_BITS) - 1;
        let mask = WIDEST >> (self.0 >> 7 & 7);
        (id >> self.shift() & mask) as usize
    }

    /// Whether the node that a node's word names covers `id`, given that it covers `covered`.
    #[inline]
    pub(super) const fn covers_both(self, covered: u64, id: u64) -> bool {
        match (covered ^ id).checked_shr(self.shift() + self.node_bits()) {
            Some(above) => above == 0,
            None => true,
        }
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
            write!(f, "node(shift {}, bits {})", self.shift(), self.node_bits())
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
            Word::node(1024, 0, MIN_BITS),
            Word::node(usize::MAX & !1023, 63, MAX_BITS),
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
            for bits in MIN_BITS..=MAX_BITS {
                let word = Word::node(0xABC0 << 10, shift, bits);
                assert_eq!(word.node_address(), 0xABC0 << 10);
                assert_eq!((word.shift(), word.node_bits()), (shift, bits));
                assert_eq!(
                    word.slot_of(u64::MAX) as u64,
                    (u64::MAX >> shift).min((1 << bits) - 1)
                );
                assert_eq!(word.slot_of(1 << shift), 1);
                let beyond = 1u64.checked_shl(shift + bits);
                assert!(beyond.is_none_or(|id| !word.covers_both(0, id)));
                assert!(word.covers_both(5, beyond.map_or(u64::MAX, |id| id - 1)));
            }
        }
        for class in 0..4 {
            let word = Word::bucket(0xABC0, class);
            assert_eq!((word.class(), word.bucket_address()), (class, 0xABC0));
        }
    }
}
