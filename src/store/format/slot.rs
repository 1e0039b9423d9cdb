//! How an object lies in its slot.
//!
//! # Shape
//! ```text
//! 0   checksum   u32   of id, generation, length and flags, and the payload or the list
//! 4   generation u32   drawn before the slot is written
//! 8   length     u64   56 bits; flags in the upper 8
//! 16  list       u32 x blocks of the capacity, in slots for more than 64 KiB
//! ..  payload
//! ```
//! An object of more than 64 KiB has a checksum for each 64 KiB of it, in the list, and the
//! header's covers the list: a reader verifies a block before it hands out a byte of it.
//!
//! # Checked by
//! The tests below.

use super::checksum;

/// The bytes of a slot's header.
pub(in crate::store) const HEADER: u64 = 16;
/// Bytes that a checksum of the list covers.
pub(in crate::store) const BLOCK: u64 = 64 << 10;
/// The longest object.
pub(in crate::store) const MAX_LEN: u64 = (1 << 56) - 1;

/// The checksum is that of a list.
const LISTED: u8 = 1;

/// Where in a slot its parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Layout {
    /// How many bytes of payload the slot holds.
    pub(in crate::store) capacity: u64,
    /// Where the payload begins.
    pub(in crate::store) payload: u64,
}

impl Layout {
    /// Of a slot of this size; nothing of one that is too small for a header.
    pub(in crate::store) fn of_slot(size: u64) -> Option<Self> {
        let room = size.checked_sub(HEADER)?;
        let blocks = room.div_ceil(BLOCK + 4);
        // Where the last block would be shorter than its checksum, there is one less.
        let capacity = room
            .saturating_sub(4 * blocks)
            .max(blocks.saturating_sub(1) * BLOCK);
        let capacity = capacity.max(room.min(BLOCK));
        Some(Self {
            capacity,
            payload: HEADER + list_len(capacity),
        })
    }

    /// The slot that an object of this length needs; nothing if there is none so large.
    pub(in crate::store) fn slot_for(len: u64) -> Option<u64> {
        if len > MAX_LEN {
            return None;
        }
        let list = list_len(len);
        Some(HEADER + list + len)
    }

    /// How many checksums the slot's list has room for.
    pub(in crate::store) fn list_len(self) -> u64 {
        (self.payload - HEADER) / 4
    }
}

/// The bytes of the list of an object of this length.
fn list_len(len: u64) -> u64 {
    match len.div_ceil(BLOCK) {
        0 | 1 => 0,
        blocks => 4 * blocks,
    }
}

/// What stands before an object's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Header {
    pub(in crate::store) checksum: u32,
    pub(in crate::store) generation: u32,
    pub(in crate::store) len: u64,
    flags: u8,
}

impl Header {
    /// Of an object whose payload is in one piece, and whose list is empty.
    pub(in crate::store) fn of(id: u64, generation: u32, payload: &[u8]) -> Self {
        Self::new(id, generation, payload.len() as u64, 0, payload)
    }

    /// Of an object of more than 64 KiB, by the checksums of its blocks.
    pub(in crate::store) fn of_list(id: u64, generation: u32, len: u64, list: &[u32]) -> Self {
        Self::new(id, generation, len, LISTED, &list_bytes(list))
    }

    /// Of an object that was here, by what its record says.
    pub(in crate::store) fn of_lost(checksum: u32, generation: u32, len: u64) -> Self {
        Self {
            checksum,
            generation,
            len,
            flags: if len > BLOCK { LISTED } else { 0 },
        }
    }

    fn new(id: u64, generation: u32, len: u64, flags: u8, covered: &[u8]) -> Self {
        let mut header = Self {
            checksum: 0,
            generation,
            len,
            flags,
        };
        header.checksum = header.sum(id, covered);
        header
    }

    fn sum(&self, id: u64, covered: &[u8]) -> u32 {
        let bytes = self.to_bytes();
        checksum(&[&id.to_le_bytes(), &bytes[4..], covered])
    }

    pub(in crate::store) fn to_bytes(self) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        bytes[..4].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.generation.to_le_bytes());
        let word = self.len | u64::from(self.flags) << 56;
        bytes[8..].copy_from_slice(&word.to_le_bytes());
        bytes
    }

    pub(in crate::store) fn from_bytes(bytes: &[u8; HEADER as usize]) -> Self {
        let word = u64::from_le_bytes(bytes[8..].try_into().expect("eight bytes"));
        Self {
            checksum: u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")),
            generation: u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")),
            len: word & MAX_LEN,
            flags: (word >> 56) as u8,
        }
    }

    pub(in crate::store) fn is_listed(&self) -> bool {
        self.flags & LISTED != 0
    }

    /// Whether this is the header of such an object; `covered` is its payload, or its list.
    pub(in crate::store) fn verifies(&self, id: u64, covered: &[u8]) -> bool {
        self.flags & !LISTED == 0 && self.sum(id, covered) == self.checksum
    }
}

/// A list as it is written.
pub(in crate::store) fn list_bytes(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|sum| sum.to_le_bytes()).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_for_a_length_holds_it() {
        let around = |n: u64| n.saturating_sub(3)..n + 3;
        let lens = [0, 64, BLOCK, 2 * BLOCK, 16 * BLOCK, 1 << 40, MAX_LEN - 3];
        for len in lens.into_iter().flat_map(around) {
            let slot = Layout::slot_for(len).unwrap();
            let layout = Layout::of_slot(slot).unwrap();
            assert!(layout.capacity >= len, "{len}: {layout:?}");
            assert!(layout.list_len() * BLOCK >= layout.capacity || layout.list_len() == 0);
            assert!(layout.payload + layout.capacity <= slot);
        }
        assert_eq!(Layout::slot_for(MAX_LEN + 1), None);
        assert_eq!(Layout::of_slot(HEADER - 1), None);
    }

    #[test]
    fn every_slot_has_a_checksum_for_each_of_its_blocks() {
        for size in (HEADER..4 * BLOCK).chain((1 << 30)..(1 << 30) + 200_000) {
            let layout = Layout::of_slot(size).unwrap();
            assert!(layout.payload + layout.capacity <= size);
            let shorter = Layout::of_slot(size - 1);
            assert!(shorter.is_none_or(|shorter| shorter.capacity <= layout.capacity));
            let needed = layout.capacity.div_ceil(BLOCK);
            assert!(
                layout.capacity <= BLOCK || layout.list_len() >= needed,
                "{size}"
            );
        }
    }

    #[test]
    fn a_header_verifies_its_own_object_only() {
        let header = Header::of(7, 9, b"bytes");
        assert_eq!(Header::from_bytes(&header.to_bytes()), header);
        assert!(header.verifies(7, b"bytes"));
        assert!(!header.verifies(8, b"bytes"));
        assert!(!header.verifies(7, b"byteS"));
        for bit in 0..128 {
            let mut bytes = header.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !Header::from_bytes(&bytes).verifies(7, b"bytes"),
                "bit {bit}"
            );
        }
    }
}
