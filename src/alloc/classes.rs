//! Which sizes have slots of their own, and how many slots a class's next range gets.
//!
//! # Shape
//! ```text
//! 16 32 48 64 80 96 112 128 | 160 192 224 256 | 320 384 448 512 | ..  four steps a doubling
//! ```
//! The default table wastes at most a fifth of a slot above 128 bytes (a request one byte above a
//! class takes the next, 1.25 times as large); below, at most 15 bytes.
//!
//! # Checked by
//! `proptests/omni.rs`; the unit tests below.

use core::fmt;

use crate::id::ByteLen;

/// The sizes of slots that an allocator offers, ascending.
///
/// ```
/// use mapless::{ByteLen, SizeClasses};
/// let classes = SizeClasses::default();
/// assert_eq!(classes.fit(ByteLen::new(65)), Some(ByteLen::new(80)));
/// assert_eq!(classes.fit(ByteLen::new(2 << 20)), None); // the parent's business
///
/// let mine = SizeClasses::new([ByteLen::new(64), ByteLen::new(4096)])?;
/// assert_eq!(mine.fit(ByteLen::new(0)), Some(ByteLen::new(64)));
/// # Ok::<(), mapless::ClassError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeClasses(Vec<ByteLen>);

/// The most classes that one allocator may have.
pub const MAX_CLASSES: usize = 1024;

/// Why a table of size classes, or one more class, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClassError {
    /// A table has at least one class.
    Empty,
    /// A class of this size is not larger than the one before it (or is there already).
    NotAscending(ByteLen),
    /// A slot has at least one byte.
    Zero,
    /// There are [`MAX_CLASSES`] classes already.
    TooMany,
}

impl fmt::Display for ClassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a table of size classes has at least one class"),
            Self::NotAscending(size) => {
                write!(f, "size class {size} is there already or out of order")
            }
            Self::Zero => f.write_str("a slot has at least one byte"),
            Self::TooMany => write!(f, "an allocator has at most {MAX_CLASSES} size classes"),
        }
    }
}

impl core::error::Error for ClassError {}

impl SizeClasses {
    /// A table with these sizes.
    ///
    /// # Errors
    /// [`ClassError`] if there is none, one is 0, they do not ascend strictly, or there are more
    /// than [`MAX_CLASSES`].
    pub fn new(sizes: impl IntoIterator<Item = ByteLen>) -> Result<Self, ClassError> {
        let sizes: Vec<ByteLen> = sizes.into_iter().collect();
        let first = *sizes.first().ok_or(ClassError::Empty)?;
        if first == ByteLen::ZERO {
            return Err(ClassError::Zero);
        }
        if let Some(pair) = sizes.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(ClassError::NotAscending(pair[1]));
        }
        if sizes.len() > MAX_CLASSES {
            return Err(ClassError::TooMany);
        }
        Ok(Self(sizes))
    }

    /// The smallest class that holds `len` bytes, or `None` above the largest.
    #[must_use]
    pub fn fit(&self, len: ByteLen) -> Option<ByteLen> {
        let at = self.0.partition_point(|&size| size < len);
        self.0.get(at).copied()
    }

    /// The sizes, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[ByteLen] {
        &self.0
    }
}

impl Default for SizeClasses {
    /// 16 to 128 in steps of 16, then four steps a doubling up to 1 MiB.
    fn default() -> Self {
        let small = (1..=8).map(|n| n * 16);
        let large = (7..20).flat_map(|log| (5..=8).map(move |n| n << (log - 2)));
        Self(small.chain(large).map(ByteLen::new).collect())
    }
}

/// What a [`Growth`] policy is told of the class that has run out of free slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassUse {
    /// The size of its slots.
    pub slot_size: ByteLen,
    /// How many slots its ranges have together; 0 before the first.
    pub slots: u64,
}

/// How many slots the next range of a class gets.
///
/// Called by an `alloc` that found no free slot, under no lock. The answer is brought into
/// `1..=MAX_SLOTS`. Where no range of so many slots fits below the limit, the allocator makes one of
/// half as many, or a quarter, and so on down to one slot, before it says that there is no room. A
/// panic in it leaves the allocator as it was.
pub trait Growth: Send + Sync {
    /// How many slots the next range of this class shall have.
    fn next_slots(&self, class: &ClassUse) -> u64;
}

/// The default [`Growth`]: small beginnings, and never much more than is used.
///
/// The first range is the smallest power of two of slots that reaches `first_bytes`; a further
/// one has as many slots as the first or a `share`-th of what the class has, whichever is more,
/// and at most `max_slots`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct GrowByShare {
    first_bytes: ByteLen,
    share: u64,
    max_slots: u64,
}

impl Default for GrowByShare {
    fn default() -> Self {
        Self {
            first_bytes: ByteLen::new(64 << 10),
            share: 8,
            max_slots: 32_768,
        }
    }
}

impl GrowByShare {
    /// The bytes that the first range of a class reaches (64 KiB).
    pub fn first_bytes(self, first_bytes: ByteLen) -> Self {
        Self {
            first_bytes,
            ..self
        }
    }

    /// A further range has at least `1 / share` of the slots that there are (8); 0 counts as 1.
    pub fn share(self, share: u64) -> Self {
        Self {
            share: share.max(1),
            ..self
        }
    }

    /// No range has more slots than this (32,768); 0 counts as 1.
    pub fn max_slots(self, max_slots: u64) -> Self {
        Self {
            max_slots: max_slots.max(1),
            ..self
        }
    }
}

impl Growth for GrowByShare {
    fn next_slots(&self, class: &ClassUse) -> u64 {
        let slot_size = class.slot_size.get().max(1);
        let reach = self.first_bytes.get().div_ceil(slot_size).max(1);
        let first = reach.checked_next_power_of_two().unwrap_or(self.max_slots);
        first.max(class.slots / self.share).min(self.max_slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(slot_size: u64, slots: u64) -> ClassUse {
        ClassUse {
            slot_size: ByteLen::new(slot_size),
            slots,
        }
    }

    #[test]
    fn the_default_table_ascends_to_a_mebibyte_in_steps_of_a_quarter() {
        let classes = SizeClasses::default();
        assert_eq!(
            SizeClasses::new(classes.as_slice().to_vec()),
            Ok(classes.clone())
        );
        assert_eq!(classes.as_slice().last(), Some(&ByteLen::new(1 << 20)));
        for pair in classes.as_slice().windows(2) {
            assert!(
                pair[1].get() - pair[0].get() <= (pair[0].get() / 4).max(16),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn a_bad_table_is_refused() {
        let sizes = |raw: &[u64]| SizeClasses::new(raw.iter().map(|&n| ByteLen::new(n)));
        assert_eq!(sizes(&[]), Err(ClassError::Empty));
        assert_eq!(sizes(&[0, 8]), Err(ClassError::Zero));
        assert_eq!(
            sizes(&[8, 8]),
            Err(ClassError::NotAscending(ByteLen::new(8)))
        );
        assert_eq!(
            sizes(&[16, 8]),
            Err(ClassError::NotAscending(ByteLen::new(8)))
        );
        let many: Vec<u64> = (1..=MAX_CLASSES as u64 + 1).collect();
        assert_eq!(sizes(&many), Err(ClassError::TooMany));
    }

    #[test]
    fn ranges_begin_at_64_kib_and_grow_by_an_eighth_up_to_the_limit() {
        let growth = GrowByShare::default();
        assert_eq!(growth.next_slots(&class(64, 0)), 1024);
        assert_eq!(growth.next_slots(&class(80, 0)), 1024);
        assert_eq!(growth.next_slots(&class(64, 8192)), 1024);
        assert_eq!(growth.next_slots(&class(64, 16_000)), 2000);
        assert_eq!(growth.next_slots(&class(64, 10_000_000)), 32_768);
        assert_eq!(growth.next_slots(&class(1 << 20, 0)), 1);
        assert_eq!(growth.next_slots(&class(1, 0)), 32_768);
        assert_eq!(growth.next_slots(&class(0, u64::MAX)), 32_768);
    }
}
