//! A run of consecutive ids.

use core::fmt;

use super::ObjectId;

/// The longest range of ids: `2^63 - 1`.
///
/// The index keeps a range's length and one tag bit in one word.
pub const MAX_RANGE_LEN: u64 = u64::MAX >> 1;

/// Why a range of ids cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeError {
    /// A range has at least one id.
    Empty,
    /// A range has at most [`MAX_RANGE_LEN`] ids.
    TooLong,
    /// The range would leave the id space (the last id is [`ObjectId::MAX`]).
    OutOfIds,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a range of ids has at least one id",
            Self::TooLong => "a range of ids has at most 2^63 - 1 ids",
            Self::OutOfIds => "the range leaves the id space",
        })
    }
}

impl core::error::Error for RangeError {}

/// A run of `len` consecutive ids, from `first` on: never empty, never past [`ObjectId::MAX`].
///
/// ```
/// use mapless::{IdRange, ObjectId};
/// let range = IdRange::new(ObjectId::new(1024).unwrap(), 64).unwrap();
/// assert!(range.contains(ObjectId::new(1087).unwrap()));
/// assert!(!range.contains(ObjectId::new(1088).unwrap()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdRange {
    first: ObjectId,
    len: u64,
}

impl IdRange {
    /// The range of `len` ids from `first` on.
    ///
    /// # Errors
    /// [`RangeError`] if `len` is 0 or above [`MAX_RANGE_LEN`], or the last id would be past
    /// [`ObjectId::MAX`].
    pub const fn new(first: ObjectId, len: u64) -> Result<Self, RangeError> {
        if len == 0 {
            return Err(RangeError::Empty);
        }
        if len > MAX_RANGE_LEN {
            return Err(RangeError::TooLong);
        }
        match first.checked_add(len - 1) {
            Ok(_) => Ok(Self { first, len }),
            Err(_) => Err(RangeError::OutOfIds),
        }
    }

    /// The first id.
    #[inline]
    #[must_use]
    pub const fn first(self) -> ObjectId {
        self.first
    }

    /// How many ids there are; never 0.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a range is never empty
    pub const fn len(self) -> u64 {
        self.len
    }

    /// The last id.
    #[must_use]
    pub const fn last(self) -> ObjectId {
        match ObjectId::new(self.first.get() + (self.len - 1)) {
            Some(id) => id,
            None => unreachable!(), // `new` checked it
        }
    }

    /// Whether `id` is one of them.
    #[inline]
    #[must_use]
    pub const fn contains(self, id: ObjectId) -> bool {
        id.get().wrapping_sub(self.first.get()) < self.len
    }

    /// Whether the two ranges share an id.
    #[inline]
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

impl fmt::Debug for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ids:{}+{}", self.first.get(), self.len)
    }
}
