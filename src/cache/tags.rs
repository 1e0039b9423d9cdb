//! Which of a bucket's tags are a certain one: all compared at once.
#![allow(unsafe_code)] // vector instructions that every processor of the family has

use crate::sync::SMALL;

/// Tags of a bucket.
pub(super) const TAGS: usize = if SMALL { 2 } else { 12 };

/// A bit for each tag of two words, of which only [`TAGS`] count.
const ALL: u32 = (1 << TAGS) - 1;

/// A bit for each place whose tag is this one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn equal(tags: [u64; 2], tag: u8) -> u32 {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let [first, second] = tags.map(|tags| tags as i64);
    // SAFETY: every x86-64 has SSE2.
    let tags = unsafe { _mm_set_epi64x(second, first) };
    // SAFETY: as above.
    let all = unsafe { _mm_set1_epi8(tag as i8) };
    // SAFETY: as above.
    let equal = unsafe { _mm_cmpeq_epi8(tags, all) };
    // SAFETY: as above.
    let bits = unsafe { _mm_movemask_epi8(equal) };
    bits as u32 & ALL
}

/// A bit for each place whose tag is this one.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn equal(tags: [u64; 2], tag: u8) -> u32 {
    by_words(tags, tag)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn by_words(tags: [u64; 2], tag: u8) -> u32 {
    const LOW_BITS: u64 = 0x0101_0101_0101_0101;
    const ALL_BUT_HIGH: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    /// Gathers the high bits of eight bytes in one.
    const GATHER: u64 = 0x0002_0408_1020_4081;
    let all = u64::from(tag) * LOW_BITS;
    let [first, second] = tags.map(|tags| {
        let differ = tags ^ all;
        // The high bit of each byte that is 0, and of no other.
        let equal = !(((differ & ALL_BUT_HIGH) + ALL_BUT_HIGH) | differ | ALL_BUT_HIGH);
        (equal.wrapping_mul(GATHER) >> 56) as u32
    });
    (first | second << 8) & ALL
}

#[cfg(test)]
mod tests {
    use super::{TAGS, by_words, equal};

    #[test]
    fn equal_are_those_with_the_tag_and_no_others() {
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            seed ^ seed >> 29
        };
        for round in 0..2_000 {
            // Many alike, and those that differ by a carry.
            let sparse = |word: u64| {
                if round % 2 == 0 {
                    word & 0x8101_8001_0180_8100
                } else {
                    word
                }
            };
            let tags = [next(), next()].map(sparse);
            for tag in [0, 1, 0x7F, 0x80, 0x81, 0xFF, next() as u8] {
                let bytes = tags.map(u64::to_le_bytes).concat();
                let places = (0..TAGS).filter(|&place| bytes[place] == tag);
                let expected = places.fold(0, |bits, place| bits | 1 << place);
                assert_eq!(equal(tags, tag), expected);
                assert_eq!(by_words(tags, tag), expected);
            }
        }
    }
}
