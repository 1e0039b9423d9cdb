//! The file, byte by byte: everything little-endian, every structure with a checksum.
//!
//! # Shape
//! ```text
//! 0      superblock A          4 KiB
//! 4096   superblock B          4 KiB
//! 8192   journal ring          of the size that was chosen when the store was made
//! ..     whatever the superblock, or a record after it, names: catalogs, bitmap pages, ranges of
//!        slots, large objects, scratch
//! ```
//!
//! # Checked by
//! The tests of the files below; `tests/store_rot.rs`; `proptests/store_open.rs`.

pub(super) mod catalog;
pub(super) mod page;
pub(super) mod record;
pub(super) mod slot;
pub(super) mod superblock;

/// A part of the file, as it is written there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Area {
    pub(super) fn end(self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }

    /// Where in this ring a part of the log is: one area, or one at its end and one at its
    /// beginning.
    pub(super) fn around(self, lsn: u64, end: u64) -> impl Iterator<Item = Self> {
        let (at, len) = (lsn % self.len, end - lsn);
        let first = len.min(self.len - at);
        let [one, two] = [(at, first), (0, len - first)].map(|(at, len)| Self {
            offset: self.offset + at,
            len,
        });
        [one, two].into_iter().filter(|area| area.len > 0)
    }
}

/// The checksum of several parts in a row.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}
