//! What a range may be mapped to: anything that fits into 64 bits.

use crate::id::{ByteLen, FileOffset, ObjectId, SlotIndex};

/// A value of at most 8 bytes, which the index keeps inside its leaves.
///
/// Larger values live elsewhere: store an index or an offset of yours. What the thread that
/// inserts or replaces a value wrote before is visible to the thread that looks it up.
///
/// `from_bits(into_bits(v))` must yield `v`; the index calls `from_bits` with nothing else. An
/// implementation that breaks this gets its own wrong values back and harms nothing.
///
/// ```
/// use mapless::Value;
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Place { file: u32, page: u32 }
///
/// impl Value for Place {
///     fn into_bits(self) -> u64 {
///         u64::from(self.file) << 32 | u64::from(self.page)
///     }
///     fn from_bits(bits: u64) -> Self {
///         Self { file: (bits >> 32) as u32, page: bits as u32 }
///     }
/// }
/// let place = Place { file: 3, page: 14 };
/// assert_eq!(Place::from_bits(place.into_bits()), place);
/// ```
pub trait Value: Copy {
    /// The value as 64 bits.
    fn into_bits(self) -> u64;

    /// The value that [`Value::into_bits`] made these bits of.
    fn from_bits(bits: u64) -> Self;
}

macro_rules! number {
    ($($name:ty)*) => {$(
        impl Value for $name {
            #[inline]
            fn into_bits(self) -> u64 {
                self as u64
            }

            #[inline]
            fn from_bits(bits: u64) -> Self {
                bits as Self
            }
        }
    )*};
}

number!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl Value for () {
    #[inline]
    fn into_bits(self) -> u64 {
        0
    }

    #[inline]
    fn from_bits(_: u64) -> Self {}
}

impl Value for bool {
    #[inline]
    fn into_bits(self) -> u64 {
        u64::from(self)
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

impl Value for Option<ObjectId> {
    #[inline]
    fn into_bits(self) -> u64 {
        self.map_or(0, ObjectId::get)
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        ObjectId::new(bits)
    }
}

impl Value for ObjectId {
    #[inline]
    fn into_bits(self) -> u64 {
        self.get()
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self::new(bits).expect("bits of an id")
    }
}

impl Value for FileOffset {
    #[inline]
    fn into_bits(self) -> u64 {
        self.get()
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self::new(bits)
    }
}

impl Value for ByteLen {
    #[inline]
    fn into_bits(self) -> u64 {
        self.get()
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self::new(bits)
    }
}

impl Value for SlotIndex {
    #[inline]
    fn into_bits(self) -> u64 {
        u64::from(self.get())
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self::new(bits as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Debug;

    fn round_trip<V: Value + PartialEq + Debug>(values: impl IntoIterator<Item = V>) {
        for value in values {
            assert_eq!(V::from_bits(value.into_bits()), value);
        }
    }

    #[test]
    fn every_value_comes_back() {
        round_trip([0u8, u8::MAX]);
        round_trip([0u64, u64::MAX]);
        round_trip([i8::MIN, -1, i8::MAX]);
        round_trip([i32::MIN, -1, i32::MAX]);
        round_trip([i64::MIN, -1, i64::MAX]);
        round_trip([isize::MIN, usize::MAX as isize]);
        round_trip([false, true]);
        round_trip([()]);
        round_trip([ObjectId::MIN, ObjectId::MAX]);
        round_trip([None, Some(ObjectId::MIN), Some(ObjectId::MAX)]);
        round_trip([FileOffset::ZERO, FileOffset::new(u64::MAX)]);
        round_trip([ByteLen::ZERO, ByteLen::new(u64::MAX)]);
        round_trip([SlotIndex::ZERO, SlotIndex::new(u32::MAX)]);
    }
}
