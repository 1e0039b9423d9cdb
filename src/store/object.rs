//! An object's bytes, as they stand in a slot.
//!
//! # Checked by
//! The tests below.

use core::ops::Range;
use std::io;

use super::disk::{Disk, DiskExt};
use super::format::checksum;
use super::format::record::Put;
use super::format::slot::{BLOCK, HEADER, Header, Layout, list_bytes};

/// The checksums of an object's blocks, if it has more than one.
fn list_of(payload: &[u8]) -> Option<Vec<u32>> {
    let blocks = payload.chunks(BLOCK as usize);
    (payload.len() as u64 > BLOCK).then(|| blocks.map(|block| checksum(&[block])).collect())
}

/// The record of an object, and its header, by the checksums of its blocks where it has more than
/// one.
pub(super) fn describe(id: u64, generation: u64, payload: &[u8]) -> (Put, Header, Vec<u32>) {
    let low = generation as u32;
    let (header, list) = match list_of(payload) {
        None => (Header::of(id, low, payload), Vec::new()),
        Some(list) => {
            let len = payload.len() as u64;
            (Header::of_list(id, low, len, &list), list)
        }
    };
    (put_of(id, generation, header), header, list)
}

/// The record of an object with this header.
pub(super) fn put_of(id: u64, generation: u64, header: Header) -> Put {
    Put {
        id,
        len: header.len,
        generation,
        checksum: header.checksum,
        synced: false,
    }
}

/// What is written to a slot, from its beginning, for an object that fits.
pub(super) fn encode(id: u64, generation: u64, payload: &[u8], layout: Layout) -> (Put, Vec<u8>) {
    let mut bytes = Vec::with_capacity(layout.payload as usize + payload.len());
    let put = encode_to(&mut bytes, id, generation, payload, layout);
    (put, bytes)
}

/// As `encode`, behind what there is already.
pub(super) fn encode_to(
    bytes: &mut Vec<u8>,
    id: u64,
    generation: u64,
    payload: &[u8],
    layout: Layout,
) -> Put {
    let (put, header, list) = describe(id, generation, payload);
    let begin = bytes.len();
    bytes.extend(header.to_bytes());
    bytes.extend(list_bytes(&list));
    bytes.resize(begin + layout.payload as usize, 0);
    bytes.extend(payload);
    put
}

/// The header at the beginning of a slot.
pub(super) fn header_of(slot: &[u8]) -> Option<Header> {
    slot.first_chunk::<{ HEADER as usize }>()
        .map(Header::from_bytes)
}

/// Where in a slot's first bytes the object is, if it is whole and of this id.
pub(super) fn decode(id: u64, slot: &[u8], layout: Layout) -> Option<(Header, Range<usize>)> {
    let header = header_of(slot)?;
    if header.len > layout.capacity {
        return None;
    }
    let begin = layout.payload as usize;
    let range = begin..begin + header.len as usize;
    let payload = slot.get(range.clone())?;
    let whole = if header.is_listed() {
        let list = list_in(slot, &header, layout)?;
        header.verifies(id, list) && blocks_verify(payload, list)
    } else {
        header.verifies(id, payload)
    };
    whole.then_some((header, range))
}

/// The part of a slot's list that an object of this length has.
pub(super) fn list_in<'a>(slot: &'a [u8], header: &Header, layout: Layout) -> Option<&'a [u8]> {
    let blocks = header.len.div_ceil(BLOCK);
    let room = blocks <= layout.list_len();
    let end = (HEADER + 4 * blocks) as usize;
    if room {
        slot.get(HEADER as usize..end)
    } else {
        None
    }
}

/// Whether the object of this record stands at an offset of a disk, whole; read block by block.
pub(super) fn verifies_at(
    disk: &dyn Disk,
    offset: u64,
    put: &Put,
    layout: Layout,
) -> io::Result<bool> {
    let front = layout.payload + put.len.min(BLOCK);
    let front = disk.read_vec_at(front as usize, offset)?;
    let Some(header) = header_of(&front).filter(|header| put.is(header)) else {
        return Ok(false);
    };
    if !header.is_listed() {
        return Ok(decode(put.id, &front, layout).is_some());
    }
    let list = list_in(&front, &header, layout);
    let Some(list) = list.filter(|list| header.verifies(put.id, list)) else {
        return Ok(false);
    };
    for (number, sum) in (0..).zip(list.chunks_exact(4)) {
        let at = number * BLOCK;
        let len = BLOCK.min(put.len - at);
        let block = disk.read_vec_at(len as usize, offset + layout.payload + at)?;
        if checksum(&[&block]).to_le_bytes() != sum {
            return Ok(false);
        }
    }
    Ok(true)
}

fn blocks_verify(payload: &[u8], list: &[u8]) -> bool {
    let mut blocks = payload.chunks(BLOCK as usize).zip(list.chunks_exact(4));
    blocks.all(|(block, sum)| checksum(&[block]).to_le_bytes() == sum)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn objects_of_all_lengths_read_back_and_know_damage() {
        let lens = [0, 1, 50, 64, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7];
        for (n, len) in lens.into_iter().enumerate() {
            let payload: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
            let layout = Layout::of_slot(Layout::slot_for(len).unwrap() + n as u64).unwrap();
            let (put, mut slot) = encode(9, 1 << 40 | 5, &payload, layout);
            let (header, range) = decode(9, &slot, layout).unwrap();
            assert_eq!(slot[range], payload);
            assert!(put.is(&header));
            assert_eq!(decode(8, &slot, layout), None);
            let covered = HEADER as usize + 4 * list_of(&payload).map_or(0, |list| list.len());
            let begin = layout.payload as usize;
            for at in (0..covered).chain((begin..slot.len()).step_by(997)) {
                slot[at] ^= 4;
                assert_eq!(decode(9, &slot, layout), None, "{len} bytes, byte {at}");
                slot[at] ^= 4;
            }
            let short = slot.len() - 1;
            assert_eq!(decode(9, &slot[..short], layout), None);
        }
    }
}
