//! What type an object was stored as.

use core::any::{TypeId, type_name};
use core::fmt;

use bytes::Bytes;

use crate::sync::said::{self, Word};

/// The type that an object was stored as; bytes, however they came, are one type.
#[derive(Clone, Copy)]
pub struct StoredType(Word);

fn name_of<T: 'static>() -> (TypeId, &'static str) {
    (TypeId::of::<T>(), type_name::<T>())
}

fn bytes() -> (TypeId, &'static str) {
    (TypeId::of::<Bytes>(), "bytes")
}

impl StoredType {
    /// Plain bytes: what `put_bytes`, `put_slice`, builders and promises store.
    pub const BYTES: Self = Self(bytes);

    /// What a value of this type is stored as.
    #[must_use]
    pub fn of<T: 'static>() -> Self {
        let bytes = [
            TypeId::of::<Bytes>(),
            TypeId::of::<Vec<u8>>(),
            TypeId::of::<&'static [u8]>(),
        ];
        if bytes.contains(&TypeId::of::<T>()) {
            Self::BYTES
        } else {
            Self(name_of::<T>)
        }
    }

    /// What the writing of a value of this type came to, and what the value is stored as: as its own
    /// type, unless it [says](Self::comes_back) meanwhile that it comes back as another.
    pub(super) fn written<T: 'static, R>(write: impl FnOnce() -> R) -> (R, Self) {
        let (written, said) = said::hear(TypeId::of::<T>(), write);
        (written, said.map_or(Self::of::<T>(), Self))
    }

    /// While a value of type `T` is written: it comes back as a `U`.
    pub(super) fn comes_back<T: 'static, U: 'static>() {
        said::say(TypeId::of::<T>(), Self::of::<U>().0);
    }

    /// For people: the compiler's name of the type, or `bytes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        (self.0)().1
    }
}

impl PartialEq for StoredType {
    fn eq(&self, other: &Self) -> bool {
        // Two functions of one type may have two addresses, and of two types one.
        (self.0)().0 == (other.0)().0
    }
}

impl Eq for StoredType {}

impl fmt::Debug for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredType({})", self.name())
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_one_type_and_others_their_own() {
        let bytes = StoredType::BYTES;
        assert_eq!(StoredType::of::<Vec<u8>>(), bytes);
        assert_eq!(StoredType::of::<Bytes>(), bytes);
        assert_eq!(StoredType::of::<&'static [u8]>(), bytes);
        assert_ne!(StoredType::of::<Vec<i8>>(), bytes);
        assert_ne!(StoredType::of::<u32>(), StoredType::of::<i32>());
        assert_eq!(StoredType::of::<u32>().name(), "u32");
    }
}
