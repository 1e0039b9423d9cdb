//! The words that cross module boundaries: ids, offsets, lengths, slots and ranges of ids.
//!
//! Every one is a newtype, so that an offset is never taken for a length; every sum that could
//! overflow is checked and answers with [`Overflow`].
//!
//! # Checked by
//! `proptests/id.rs` against 128-bit arithmetic.

use core::fmt;
use core::num::NonZeroU64;

mod range;

pub use range::{IdRange, MAX_RANGE_LEN, RangeError};

/// A sum or a product left the 64-bit space; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the 64-bit address space was left")
    }
}

impl core::error::Error for Overflow {}

/// The name of an object: 1 to `u64::MAX - 1`.
///
/// An id is an *address*: the first id of a range of slots plus a slot number. After its slot
/// is freed and given out again the same id names the new object.
///
/// ```
/// use mapless::ObjectId;
/// assert_eq!(size_of::<Option<ObjectId>>(), 8);
/// assert!(ObjectId::new(0).is_none());
/// assert!(ObjectId::new(u64::MAX).is_none());
/// assert_eq!(ObjectId::new(7).unwrap().get(), 7);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ObjectId(NonZeroU64);

impl ObjectId {
    /// The smallest id, 1.
    pub const MIN: Self = Self(NonZeroU64::MIN);
    /// The largest id, `u64::MAX - 1`.
    pub const MAX: Self = match NonZeroU64::new(u64::MAX - 1) {
        Some(raw) => Self(raw),
        None => unreachable!(),
    };

    /// The id with this number, or `None` for 0 and `u64::MAX`.
    #[must_use]
    pub const fn new(raw: u64) -> Option<Self> {
        match NonZeroU64::new(raw) {
            Some(raw) if raw.get() != u64::MAX => Some(Self(raw)),
            _ => None,
        }
    }

    /// The number of this id.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The id `n` after this one.
    ///
    /// # Errors
    /// [`Overflow`] past [`ObjectId::MAX`].
    pub const fn checked_add(self, n: u64) -> Result<Self, Overflow> {
        match self.get().checked_add(n) {
            Some(raw) => match Self::new(raw) {
                Some(id) => Ok(id),
                None => Err(Overflow),
            },
            None => Err(Overflow),
        }
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id:{}", self.get())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident($raw:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name($raw);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// Wraps a number.
            #[inline]
            #[must_use]
            pub const fn new(raw: $raw) -> Self {
                Self(raw)
            }

            /// The number.
            #[inline]
            #[must_use]
            pub const fn get(self) -> $raw {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, ":{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

word! {
    /// A position in a file or address space, in bytes from its beginning.
    FileOffset(u64), "at"
}
word! {
    /// A number of bytes.
    ByteLen(u64), "len"
}
word! {
    /// The number of a slot within its block, from 0.
    SlotIndex(u32), "slot"
}

impl FileOffset {
    /// The position `len` bytes further on.
    ///
    /// # Errors
    /// [`Overflow`] past `u64::MAX`.
    pub const fn checked_add(self, len: ByteLen) -> Result<Self, Overflow> {
        match self.0.checked_add(len.0) {
            Some(raw) => Ok(Self(raw)),
            None => Err(Overflow),
        }
    }

    /// The first position at or after this one that is a multiple of `align`.
    ///
    /// # Errors
    /// [`Overflow`] past `u64::MAX`. `align` must not be 0 (a multiple of 0 overflows too).
    pub const fn align_up(self, align: u64) -> Result<Self, Overflow> {
        match self.0.checked_next_multiple_of(align) {
            Some(raw) => Ok(Self(raw)),
            None => Err(Overflow),
        }
    }
}

impl ByteLen {
    /// `n` times this length.
    ///
    /// # Errors
    /// [`Overflow`] past `u64::MAX`.
    pub const fn checked_mul(self, n: u64) -> Result<Self, Overflow> {
        match self.0.checked_mul(n) {
            Some(raw) => Ok(Self(raw)),
            None => Err(Overflow),
        }
    }
}

/// A stretch of a file or address space: where it begins and how many bytes it has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// Where it begins.
    pub offset: FileOffset,
    /// How many bytes it has.
    pub len: ByteLen,
}

impl Extent {
    /// The extent of `len` bytes at `offset`.
    #[inline]
    #[must_use]
    pub const fn new(offset: FileOffset, len: ByteLen) -> Self {
        Self { offset, len }
    }

    /// The first position after the extent.
    ///
    /// # Errors
    /// [`Overflow`] past `u64::MAX`.
    pub const fn end(self) -> Result<FileOffset, Overflow> {
        self.offset.checked_add(self.len)
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}+{}", self.offset, self.len.get())
    }
}
