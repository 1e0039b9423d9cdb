//! The hash of an object's id.
//!
//! # Shape
//! ```text
//! id ^ seed ──> the cache multiplies it by 2^64 / phi and folds the product: shard, home, tag
//! ```
//! Ids are numbers that the store gives out one after the other, so nobody can choose some that meet. The
//! cache spreads any hash by a multiplication, which for numbers in a row is Fibonacci hashing: they come
//! into the tables more evenly than random ones, and fewer lie outside of their home.
//!
//! # Checked by
//! The tests below.
//!
//! D. E. Knuth, "The Art of Computer Programming", vol. 3, 6.4, 1973 (Fibonacci hashing).

use core::hash::{BuildHasher, Hasher};

use ahash::RandomState;

use crate::sync::SMALL;

/// What ids are hashed by: a seed; and, in a hash, what came of it.
#[derive(Clone, Debug)]
pub(super) struct Ids(u64);

impl Ids {
    /// By another seed each time, but in each execution of a model by the same.
    pub(super) fn new() -> Self {
        Self(if SMALL {
            0
        } else {
            RandomState::new().hash_one(0)
        })
    }
}

impl BuildHasher for Ids {
    type Hasher = Self;

    #[inline]
    fn build_hasher(&self) -> Self {
        self.clone()
    }
}

impl Hasher for Ids {
    #[inline]
    fn write_u64(&mut self, id: u64) {
        self.0 ^= id;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::id::ObjectId;

    #[test]
    fn an_id_is_hashed_in_one_piece() {
        let (ids, id) = (Ids::new(), ObjectId::new(77).unwrap());
        assert_eq!(ids.hash_one(id), ids.0 ^ 77);
    }
}
