//! A page of the bitmap: which slots are live, as of a checkpoint. There are two copies of each,
//! and the catalog names the current one.
//!
//! # Shape
//! ```text
//! 0   checksum  u32   of everything behind it
//! 4   number    u32   of the page
//! 8   sequence  u64   of the checkpoint that wrote it
//! 16  words     510 x u64   a bit a slot; ranges have words, one behind the other
//! ```
//!
//! # Checked by
//! The test below.

use super::checksum;

/// The bytes of a page.
pub(in crate::store) const SIZE: usize = 4096;
/// The words of a page.
pub(in crate::store) const WORDS: usize = (SIZE - 16) / 8;

/// A page's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Page {
    pub(in crate::store) number: u32,
    pub(in crate::store) sequence: u64,
    pub(in crate::store) words: Box<[u64; WORDS]>,
}

impl Page {
    pub(in crate::store) fn empty(number: u32) -> Self {
        Self {
            number,
            sequence: 0,
            words: Box::new([0; WORDS]),
        }
    }

    pub(in crate::store) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.sequence.to_le_bytes());
        bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        let sum = checksum(&[&bytes[4..]]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The page of this number, if that is what stands here, whole.
    pub(in crate::store) fn from_bytes(number: u32, bytes: &[u8]) -> Option<Self> {
        let (sum, covered) = bytes.split_first_chunk::<4>()?;
        let (found, rest) = covered.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let is_it = bytes.len() == SIZE
            && u32::from_le_bytes(*found) == number
            && u32::from_le_bytes(*sum) == checksum(&[covered]);
        let mut words = Box::new([0; WORDS]);
        for (word, bytes) in words.iter_mut().zip(rest.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        is_it.then_some(Self {
            number,
            sequence: u64::from_le_bytes(*sequence),
            words,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_back_and_knows_damage() {
        let mut page = Page::empty(3);
        page.sequence = 9;
        (page.words[0], page.words[WORDS - 1]) = (1, u64::MAX);
        let bytes = page.to_bytes();
        assert_eq!(Page::from_bytes(3, &bytes), Some(page));
        assert_eq!(Page::from_bytes(4, &bytes), None);
        assert_eq!(Page::from_bytes(3, &bytes[..4095]), None);
        for at in 0..SIZE {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x80;
            assert_eq!(Page::from_bytes(3, &bytes), None, "byte {at}");
        }
    }
}
