//! Where in a store's file things are, by the tables of DESIGN.md, and their checksums made good
//! again: so that a test can lie to a store.
#![allow(dead_code)] // each test takes what it needs

use std::ops::Range;

/// The bytes of a superblock, and of a page.
pub(crate) const SIZE: usize = 4096;
/// Where the journal begins.
pub(crate) const JOURNAL: usize = 2 * SIZE;

/// The numbers of a superblock: where they are, and how many bytes they have.
pub(crate) const SUPERBLOCK: [(usize, usize); 17] = [
    (8, 4),
    (12, 4),
    (16, 4),
    (20, 4),
    (40, 8),
    (48, 8),
    (56, 8),
    (64, 8),
    (72, 8),
    (80, 8),
    (88, 8),
    (96, 4),
    (100, 4),
    (104, 8),
    (112, 8),
    (120, 8),
    (128, 8),
];

pub(crate) fn get(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub(crate) fn get_32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Writes a number's lowest bytes.
pub(crate) fn set(bytes: &mut [u8], at: usize, len: usize, number: u64) {
    bytes[at..at + len].copy_from_slice(&number.to_le_bytes()[..len]);
}

fn sum(parts: &[&[u8]]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// Where the superblock is that counts.
pub(crate) fn newest(bytes: &[u8]) -> usize {
    if get(bytes, 40) > get(bytes, SIZE + 40) {
        0
    } else {
        SIZE
    }
}

/// Makes a superblock whole.
pub(crate) fn seal_superblock(bytes: &mut [u8], at: usize) {
    let checksum = sum(&[&bytes[at..at + SIZE - 4]]);
    set(bytes, at + SIZE - 4, 4, checksum);
}

/// A part of the file that a superblock names, if it is in the file.
fn area(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let (offset, len) = (get(bytes, at), get(bytes, at + 8));
    let end = offset.checked_add(len)?;
    (end <= bytes.len() as u64).then_some(offset as usize..end as usize)
}

/// Where the catalog is that counts.
pub(crate) fn catalog(bytes: &[u8]) -> Option<Range<usize>> {
    area(bytes, newest(bytes) + 80)
}

/// Both halves of the room for catalogs.
pub(crate) fn catalogs(bytes: &[u8]) -> Option<Range<usize>> {
    area(bytes, newest(bytes) + 104)
}

/// Makes the catalog that counts whole, and its superblock.
pub(crate) fn seal_catalog(bytes: &mut [u8]) {
    let at = newest(bytes);
    if let Some(catalog) = catalog(bytes) {
        let checksum = sum(&[&bytes[catalog]]);
        set(bytes, at + 96, 4, checksum);
    }
    seal_superblock(bytes, at);
}

/// Where the catalog's ranges, large objects and pages begin, and how many they are.
pub(crate) fn parts(bytes: &[u8]) -> Option<[(usize, usize); 3]> {
    let at = catalog(bytes)?.start;
    if at + 32 > bytes.len() {
        return None;
    }
    let count = |at| get_32(bytes, at) as usize;
    let ranges = at + 32 + 8 * count(at);
    let large = ranges + 32 * count(at + 4);
    let pages = large + 24 * count(at + 8);
    let end = pages + 8 * count(at + 16);
    (end <= bytes.len()).then_some([
        (ranges, count(at + 4)),
        (large, count(at + 8)),
        (pages, count(at + 16)),
    ])
}

/// Where the pages' first copies are.
pub(crate) fn pages(bytes: &[u8]) -> Vec<usize> {
    let Some([.., (at, n)]) = parts(bytes) else {
        return Vec::new();
    };
    let offsets = (0..n).map(|n| (get(bytes, at + 8 * n) & !3) as usize);
    let fits = |at: &usize| {
        let end = at.checked_add(2 * SIZE);
        end.is_some_and(|end| end <= bytes.len())
    };
    offsets.filter(fits).collect()
}

/// Makes a copy of a page whole.
pub(crate) fn seal_page(bytes: &mut [u8], at: usize) {
    let checksum = sum(&[&bytes[at + 4..at + SIZE]]);
    set(bytes, at, 4, checksum);
}

/// The records since the last checkpoint that do not go round the ring's end: where they are.
pub(crate) fn records(bytes: &[u8]) -> Vec<Range<usize>> {
    let superblock = newest(bytes);
    let (salt, len) = (get(bytes, superblock + 48), get(bytes, superblock + 72));
    let (mut lsn, mut all) = (get(bytes, superblock + 56), Vec::new());
    while let Some(at) = lsn.checked_rem(len) {
        let at = JOURNAL.saturating_add(at as usize);
        if at.saturating_add(32) > bytes.len() || get(bytes, at + 8) != lsn {
            break;
        }
        let own = get_32(bytes, at + 4) as usize;
        let end = at.saturating_add(own);
        if own < 32 || end > bytes.len() {
            break;
        }
        if sum(&[&salt.to_le_bytes(), &bytes[at + 4..end]]) != u64::from(get_32(bytes, at)) {
            break;
        }
        all.push(at..end);
        lsn += own as u64;
    }
    all
}

/// Makes a record whole.
pub(crate) fn seal_record(bytes: &mut [u8], record: Range<usize>) {
    let salt = get(bytes, newest(bytes) + 48);
    let checksum = sum(&[&salt.to_le_bytes(), &bytes[record.start + 4..record.end]]);
    set(bytes, record.start, 4, checksum);
}
