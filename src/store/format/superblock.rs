//! What the file is, and which checkpoint holds: two copies, of which the newer valid one counts.
//!
//! # Shape
//! ```text
//! 0    magic           8    "MAPLESS\n"
//! 8    version         u32  1
//! 12   features        3 x u32   unknown ones: ignore, open read-only, refuse
//! 24   uuid            16
//! 40   sequence        u64  of the checkpoint; its parity says which copy this is
//! 48   salt            u64  of the log's records from `lsn` on
//! 56   lsn             u64  everything before it is in the catalog and the pages
//! 64   journal         offset u64, length u64
//! 80   catalog         offset u64, length u64, checksum u32
//! 100  clean           u32  1: the store was closed, and there is no record from `lsn` on
//! 104  catalog's area  offset u64, length u64: room for two catalogs
//! 120  generations     u64  drawn so far
//! 128  next id         u64  no id from here on was issued; 0 when they have run out
//! 136  zeros
//! 4092 checksum        u32  of everything before it
//! ```
//!
//! # Checked by
//! The tests below.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Area, checksum};

/// The bytes of a superblock, and where the second one begins.
pub(in crate::store) const SIZE: usize = 4096;
/// The first byte behind both.
pub(in crate::store) const END: u64 = 2 * SIZE as u64;

const MAGIC: [u8; 8] = *b"MAPLESS\n";
const VERSION: u32 = 1;

/// What a store has beyond version 1. There is nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Features {
    pub(in crate::store) ignore: u32,
    pub(in crate::store) read_only: u32,
    pub(in crate::store) refuse: u32,
}

/// A superblock's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Superblock {
    pub(in crate::store) features: Features,
    pub(in crate::store) uuid: [u8; 16],
    pub(in crate::store) sequence: u64,
    pub(in crate::store) salt: u64,
    pub(in crate::store) lsn: u64,
    pub(in crate::store) journal: Area,
    pub(in crate::store) catalog: Area,
    pub(in crate::store) catalog_checksum: u32,
    /// The store was closed: the log is empty, and nobody need look.
    pub(in crate::store) clean: bool,
    /// Where both copies of the catalog are.
    pub(in crate::store) catalogs: Area,
    pub(in crate::store) generations: u64,
    pub(in crate::store) next_id: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Raw {
    magic: [u8; 8],
    version: U32,
    features: [U32; 3],
    uuid: [u8; 16],
    sequence: U64,
    salt: U64,
    lsn: U64,
    journal: [U64; 2],
    catalog: [U64; 2],
    catalog_checksum: U32,
    clean: U32,
    catalogs: [U64; 2],
    generations: U64,
    next_id: U64,
    zeros: [u8; SIZE - 140],
    checksum: U32,
}

const _: () = assert!(size_of::<Raw>() == SIZE);

/// Why a sector is no superblock that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Unusable {
    /// It has another magic.
    Foreign,
    /// Its checksum is wrong.
    Checksum,
    /// It is whole, and of another version.
    Version(u32),
}

fn pair(area: Area) -> [U64; 2] {
    [U64::new(area.offset), U64::new(area.len)]
}

fn area([offset, len]: [U64; 2]) -> Area {
    Area {
        offset: offset.get(),
        len: len.get(),
    }
}

impl Superblock {
    /// Where the superblock of this sequence number is written.
    pub(in crate::store) fn offset(&self) -> u64 {
        self.sequence % 2 * SIZE as u64
    }

    pub(in crate::store) fn to_bytes(self) -> Vec<u8> {
        let Features {
            ignore,
            read_only,
            refuse,
        } = self.features;
        let mut raw = Raw {
            magic: MAGIC,
            version: VERSION.into(),
            features: [ignore.into(), read_only.into(), refuse.into()],
            uuid: self.uuid,
            sequence: self.sequence.into(),
            salt: self.salt.into(),
            lsn: self.lsn.into(),
            journal: pair(self.journal),
            catalog: pair(self.catalog),
            catalog_checksum: self.catalog_checksum.into(),
            clean: u32::from(self.clean).into(),
            catalogs: pair(self.catalogs),
            generations: self.generations.into(),
            next_id: self.next_id.into(),
            zeros: [0; SIZE - 140],
            checksum: U32::ZERO,
        };
        raw.checksum = checksum(&[&raw.as_bytes()[..SIZE - 4]]).into();
        raw.as_bytes().to_vec()
    }

    pub(in crate::store) fn from_bytes(bytes: &[u8]) -> Result<Self, Unusable> {
        let raw = Raw::ref_from_bytes(bytes).map_err(|_| Unusable::Foreign)?;
        if raw.magic != MAGIC {
            return Err(Unusable::Foreign);
        }
        if raw.checksum.get() != checksum(&[&bytes[..SIZE - 4]]) {
            return Err(Unusable::Checksum);
        }
        if raw.version.get() != VERSION {
            return Err(Unusable::Version(raw.version.get()));
        }
        let [ignore, read_only, refuse] = raw.features.map(U32::get);
        Ok(Self {
            features: Features {
                ignore,
                read_only,
                refuse,
            },
            uuid: raw.uuid,
            sequence: raw.sequence.get(),
            salt: raw.salt.get(),
            lsn: raw.lsn.get(),
            journal: area(raw.journal),
            catalog: area(raw.catalog),
            catalog_checksum: raw.catalog_checksum.get(),
            clean: raw.clean.get() == 1,
            catalogs: area(raw.catalogs),
            generations: raw.generations.get(),
            next_id: raw.next_id.get(),
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn superblock() -> Superblock {
        let area = |offset| Area {
            offset,
            len: offset + 1,
        };
        Superblock {
            features: Features {
                ignore: 1,
                read_only: 2,
                refuse: 3,
            },
            uuid: *b"0123456789abcdef",
            sequence: 5,
            salt: 6,
            lsn: 7,
            journal: area(8),
            catalog: area(10),
            catalog_checksum: 12,
            clean: true,
            catalogs: area(13),
            generations: 15,
            next_id: 16,
        }
    }

    #[test]
    fn a_superblock_reads_back_and_knows_damage() {
        let bytes = superblock().to_bytes();
        assert_eq!(Superblock::from_bytes(&bytes), Ok(superblock()));
        assert_eq!(superblock().offset(), 4096);
        for at in 0..SIZE {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let expected = if at < 8 {
                Unusable::Foreign
            } else {
                Unusable::Checksum
            };
            assert_eq!(Superblock::from_bytes(&bytes), Err(expected), "byte {at}");
        }
        assert_eq!(
            Superblock::from_bytes(&bytes[..100]),
            Err(Unusable::Foreign)
        );
    }

    #[test]
    fn another_version_is_told() {
        let mut bytes = superblock().to_bytes();
        bytes[8] = 2;
        let sum = checksum(&[&bytes[..SIZE - 4]]);
        bytes[SIZE - 4..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Superblock::from_bytes(&bytes), Err(Unusable::Version(2)));
    }
}
