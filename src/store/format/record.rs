//! A record of the journal.
//!
//! # Shape
//! ```text
//! 0   checksum  u32   of the log's salt, and of everything behind this field
//! 4   length    u32   of the record, a multiple of 8
//! 8   lsn       u64   where in the log it begins
//! 16  durable   u64   everything before this was durable when the record was written
//! 24  kind      u32
//! 28  count     u32   of what follows
//! 32  put            count x [id u64, length and flags u64, generation u64, checksum u32, 0 u32]
//!     put large      one of those, offset u64, slot size u64
//!     free           count x [id u64]; where it is the root object's, that is none from here on
//!     overwrite      count x (as put), then their bytes, each to a multiple of 8
//!     from scratch   one as put, offset u64, length u64
//!     range          first id u64, offset u64, slot size u64, slots u32, first word u32
//!     range gone     first id u64
//!     root           id u64, 0 for none
//!     class          slot size u64
//!     pages          offset u64, length u64
//!     catalogs       offset u64, length u64
//! ```
//! An LSN is a position in the log, which goes round and round in the ring.
//!
//! # Checked by
//! The tests below.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::catalog::{Large, Range};
use super::slot::{Header, MAX_LEN};
use super::{Area, checksum};

/// The bytes before what a kind has of its own.
pub(in crate::store) const HEADER: usize = size_of::<RawHeader>();
/// All records are multiples of this.
pub(in crate::store) const ALIGN: u64 = 8;

/// What a slot holds from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Put {
    pub(in crate::store) id: u64,
    pub(in crate::store) len: u64,
    /// The counter's whole value; the slot's header has the low bits.
    pub(in crate::store) generation: u64,
    /// The one in the slot's header.
    pub(in crate::store) checksum: u32,
    /// The bytes were synced before the record was written: recovery need not look.
    pub(in crate::store) synced: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Change {
    Put(Vec<Put>),
    PutLarge(Put, Large),
    Free(Vec<u64>),
    /// New content for objects that are there, with the bytes.
    Overwrite(Vec<(Put, Vec<u8>)>),
    /// New content for an object that is there, whose bytes are in a scratch area.
    FromScratch(Put, Area),
    Range(Range),
    RangeGone(u64),
    Root(Option<u64>),
    Class(u64),
    /// More pages, both copies of one behind those of the other, that are there from here on.
    Pages(Area),
    /// Where catalogs go from here on.
    Catalogs(Area),
    /// Nothing, so many bytes long.
    Padding(u64),
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Record {
    pub(in crate::store) lsn: u64,
    pub(in crate::store) len: u64,
    pub(in crate::store) durable: u64,
    pub(in crate::store) change: Change,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawHeader {
    checksum: U32,
    len: U32,
    lsn: U64,
    durable: U64,
    kind: U32,
    count: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawPut {
    id: U64,
    word: U64,
    generation: U64,
    checksum: U32,
    zero: U32,
}

/// What a new object takes of a record.
pub(in crate::store) const PUT_LEN: usize = size_of::<RawPut>();

const SYNCED: u64 = 1 << 56;

impl From<Put> for RawPut {
    fn from(put: Put) -> Self {
        let synced = if put.synced { SYNCED } else { 0 };
        Self {
            id: put.id.into(),
            word: (put.len | synced).into(),
            generation: put.generation.into(),
            checksum: put.checksum.into(),
            zero: U32::ZERO,
        }
    }
}

impl From<&RawPut> for Put {
    fn from(raw: &RawPut) -> Self {
        Self {
            id: raw.id.get(),
            len: raw.word.get() & MAX_LEN,
            generation: raw.generation.get(),
            checksum: raw.checksum.get(),
            synced: raw.word.get() & SYNCED != 0,
        }
    }
}

impl Put {
    /// Whether a slot's header is the one that this says.
    pub(in crate::store) fn is(&self, header: &Header) -> bool {
        header.checksum == self.checksum
            && header.generation == self.generation as u32
            && header.len == self.len
    }
}

const PUT: u32 = 1;
const PUT_LARGE: u32 = 2;
const FREE: u32 = 3;
const OVERWRITE: u32 = 4;
const FROM_SCRATCH: u32 = 5;
const RANGE: u32 = 6;
const RANGE_GONE: u32 = 7;
const ROOT: u32 = 8;
const CLASS: u32 = 9;
const PAGES: u32 = 10;
const CATALOGS: u32 = 11;
const PADDING: u32 = 12;

fn padded(len: u64) -> u64 {
    len.next_multiple_of(ALIGN)
}

impl Change {
    fn kind(&self) -> (u32, usize) {
        match self {
            Self::Put(puts) => (PUT, puts.len()),
            Self::PutLarge(..) => (PUT_LARGE, 1),
            Self::Free(ids) => (FREE, ids.len()),
            Self::Overwrite(all) => (OVERWRITE, all.len()),
            Self::FromScratch(..) => (FROM_SCRATCH, 1),
            Self::Range(_) => (RANGE, 1),
            Self::RangeGone(_) => (RANGE_GONE, 1),
            Self::Root(_) => (ROOT, 1),
            Self::Class(_) => (CLASS, 1),
            Self::Pages(_) => (PAGES, 1),
            Self::Catalogs(_) => (CATALOGS, 1),
            Self::Padding(_) => (PADDING, 1),
        }
    }

    /// The part of the file that is put to use with it.
    pub(in crate::store) fn area(&self) -> Option<Area> {
        match self {
            Self::PutLarge(_, large) => Some(Area {
                offset: large.offset,
                len: large.slot_size,
            }),
            Self::Range(range) => Some(Area {
                offset: range.offset,
                len: range.slot_size.saturating_mul(range.slots.into()),
            }),
            Self::FromScratch(_, area) | Self::Pages(area) | Self::Catalogs(area) => Some(*area),
            Self::Put(_)
            | Self::Free(_)
            | Self::Overwrite(_)
            | Self::RangeGone(_)
            | Self::Root(_)
            | Self::Class(_)
            | Self::Padding(_) => None,
        }
    }

    /// How long its record is.
    pub(in crate::store) fn record_len(&self) -> u64 {
        let put = size_of::<RawPut>() as u64;
        let own = match self {
            Self::Put(puts) => put * puts.len() as u64,
            Self::PutLarge(..) | Self::FromScratch(..) => put + 16,
            Self::Free(ids) => 8 * ids.len() as u64,
            Self::Overwrite(all) => all
                .iter()
                .map(|(_, bytes)| put + padded(bytes.len() as u64))
                .sum(),
            Self::Range(_) => 32,
            Self::RangeGone(_) | Self::Root(_) | Self::Class(_) => 8,
            Self::Pages(_) | Self::Catalogs(_) => 16,
            Self::Padding(len) => *len,
        };
        HEADER as u64 + own
    }

    /// How long the record is of an overwrite of one object with so many bytes.
    pub(in crate::store) fn record_len_of_overwrite(len: u64) -> u64 {
        HEADER as u64 + size_of::<RawPut>() as u64 + padded(len)
    }

    /// Appends its record, which is not finished before [`seal`].
    fn write(&self, out: &mut Vec<u8>) {
        let put = |put: &Put, out: &mut Vec<u8>| out.extend(RawPut::from(*put).as_bytes());
        let word = |word: u64, out: &mut Vec<u8>| out.extend(word.to_le_bytes());
        match self {
            Self::Put(puts) => puts.iter().for_each(|one| put(one, out)),
            Self::PutLarge(one, large) => {
                put(one, out);
                word(large.offset, out);
                word(large.slot_size, out);
            }
            Self::Free(ids) => ids.iter().for_each(|id| word(*id, out)),
            Self::Overwrite(all) => {
                all.iter().for_each(|(one, _)| put(one, out));
                for (_, bytes) in all {
                    out.extend(bytes);
                    out.resize(out.len().next_multiple_of(ALIGN as usize), 0);
                }
            }
            Self::FromScratch(one, area) => {
                put(one, out);
                word(area.offset, out);
                word(area.len, out);
            }
            Self::Range(range) => {
                word(range.first_id, out);
                word(range.offset, out);
                word(range.slot_size, out);
                word(u64::from(range.slots) | u64::from(range.word) << 32, out);
            }
            Self::RangeGone(first) => word(*first, out),
            Self::Root(id) => word(id.unwrap_or(0), out),
            Self::Class(size) => word(*size, out),
            Self::Pages(area) | Self::Catalogs(area) => {
                word(area.offset, out);
                word(area.len, out);
            }
            Self::Padding(len) => out.resize(out.len() + *len as usize, 0),
        }
    }

    /// Appends the record of this change.
    pub(in crate::store) fn encode(&self, lsn: u64, durable: u64, salt: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        debug_assert_eq!(begin as u64 % ALIGN, 0);
        let (kind, count) = self.kind();
        let mut header = RawHeader {
            checksum: U32::ZERO,
            len: (self.record_len() as u32).into(),
            lsn: lsn.into(),
            durable: durable.into(),
            kind: kind.into(),
            count: (count as u32).into(),
        };
        out.extend(header.as_bytes());
        self.write(out);
        debug_assert_eq!((out.len() - begin) as u64, self.record_len());
        header.checksum = checksum(&[&salt.to_le_bytes(), &out[begin + 4..]]).into();
        out[begin..begin + 4].copy_from_slice(header.checksum.as_bytes());
    }
}

/// What the first bytes of a record say of its length, if it is the one of this LSN.
pub(in crate::store) fn len_at(lsn: u64, bytes: &[u8]) -> Option<u64> {
    let (header, _) = RawHeader::ref_from_prefix(bytes).ok()?;
    let len = u64::from(header.len.get());
    let is_it = header.lsn.get() == lsn && len >= HEADER as u64 && len % ALIGN == 0;
    is_it.then_some(len)
}

/// The record of this LSN, if that is what the bytes are, whole.
pub(in crate::store) fn decode(lsn: u64, salt: u64, bytes: &[u8]) -> Option<Record> {
    let (header, own) = RawHeader::ref_from_prefix(bytes).ok()?;
    if len_at(lsn, bytes) != Some(bytes.len() as u64) {
        return None;
    }
    if checksum(&[&salt.to_le_bytes(), &bytes[4..]]) != header.checksum.get() {
        return None;
    }
    let change = read(header.kind.get(), header.count.get() as usize, own)?;
    Some(Record {
        lsn,
        len: bytes.len() as u64,
        durable: header.durable.get(),
        change,
    })
}

/// The change that a record's own bytes say; nothing if they are too few or too many.
fn read(kind: u32, count: usize, own: &[u8]) -> Option<Change> {
    let puts = |own| <[RawPut]>::ref_from_prefix_with_elems(own, count).ok();
    let words = |own, n| {
        let words = <[U64]>::ref_from_bytes_with_elems(own, n).ok()?;
        Some(words.iter().map(|word| word.get()).collect::<Vec<u64>>())
    };
    let one_and_two = || {
        let (puts, rest) = puts(own)?;
        let words = words(rest, 2)?;
        Some((Put::from(puts.first()?), words[0], words[1]))
    };
    Some(match kind {
        PUT => {
            let (puts, rest) = puts(own)?;
            let puts = rest
                .is_empty()
                .then(|| puts.iter().map(Put::from).collect());
            Change::Put(puts?)
        }
        PUT_LARGE => {
            let (put, offset, slot_size) = one_and_two()?;
            let id = put.id;
            Change::PutLarge(
                put,
                Large {
                    id,
                    offset,
                    slot_size,
                },
            )
        }
        FREE => Change::Free(words(own, count)?),
        OVERWRITE => read_overwrites(puts(own)?)?,
        FROM_SCRATCH => {
            let (put, offset, len) = one_and_two()?;
            Change::FromScratch(put, Area { offset, len })
        }
        RANGE => {
            let words = words(own, 4)?;
            Change::Range(Range {
                first_id: words[0],
                offset: words[1],
                slot_size: words[2],
                slots: words[3] as u32,
                word: (words[3] >> 32) as u32,
            })
        }
        RANGE_GONE => Change::RangeGone(words(own, 1)?[0]),
        ROOT => Change::Root(words(own, 1)?.first().copied().filter(|id| *id != 0)),
        CLASS => Change::Class(words(own, 1)?[0]),
        PAGES | CATALOGS => {
            let words = words(own, 2)?;
            let (offset, len) = (words[0], words[1]);
            match kind {
                PAGES => Change::Pages(Area { offset, len }),
                _ => Change::Catalogs(Area { offset, len }),
            }
        }
        PADDING => Change::Padding(own.len() as u64),
        _ => return None,
    })
}

fn read_overwrites((puts, mut rest): (&[RawPut], &[u8])) -> Option<Change> {
    let mut all = Vec::new();
    for put in puts.iter().map(Put::from) {
        let (bytes, next) = rest.split_at_checked(usize::try_from(padded(put.len)).ok()?)?;
        all.push((put, bytes[..put.len as usize].to_vec()));
        rest = next;
    }
    rest.is_empty().then_some(Change::Overwrite(all))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn put(id: u64) -> Put {
        Put {
            id,
            len: 5,
            generation: id << 40,
            checksum: 77,
            synced: id.is_multiple_of(2),
        }
    }

    fn changes() -> Vec<Change> {
        let range = Range {
            first_id: 1,
            offset: 2,
            slot_size: 3,
            slots: 4,
            word: 5,
        };
        vec![
            Change::Put(vec![put(1), put(2)]),
            Change::PutLarge(
                put(3),
                Large {
                    id: 3,
                    offset: 8,
                    slot_size: 9,
                },
            ),
            Change::Free(vec![1, 2, 3]),
            Change::Overwrite(vec![
                (put(4), b"12345".to_vec()),
                (put(5), b"abcde".to_vec()),
            ]),
            Change::FromScratch(put(6), Area { offset: 1, len: 2 }),
            Change::Range(range),
            Change::RangeGone(7),
            Change::Root(Some(8)),
            Change::Root(None),
            Change::Class(80),
            Change::Pages(Area { offset: 9, len: 1 }),
            Change::Catalogs(Area { offset: 10, len: 1 }),
            Change::Padding(0),
            Change::Padding(4000),
        ]
    }

    #[test]
    fn records_read_back_and_know_damage() {
        for change in changes() {
            let mut bytes = Vec::new();
            change.encode(800, 700, 9, &mut bytes);
            let len = bytes.len() as u64;
            assert_eq!((len, len % ALIGN), (change.record_len(), 0));
            assert_eq!(len_at(800, &bytes), Some(len));
            let record = Record {
                lsn: 800,
                len,
                durable: 700,
                change,
            };
            assert_eq!(decode(800, 9, &bytes), Some(record));
            assert_eq!(
                (decode(800, 8, &bytes), decode(808, 9, &bytes)),
                (None, None)
            );
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(800, 9, &bytes), None, "bit {bit}");
            }
            for short in 0..bytes.len() {
                assert_eq!(decode(800, 9, &bytes[..short]), None);
            }
        }
    }

    #[test]
    fn counts_that_lie_under_a_good_checksum_are_refused() {
        for change in changes() {
            for count in [0, 3, 4, u32::MAX] {
                let mut bytes = Vec::new();
                change.encode(0, 0, 0, &mut bytes);
                bytes[28..32].copy_from_slice(&count.to_le_bytes());
                let sum = checksum(&[&0u64.to_le_bytes(), &bytes[4..]]);
                bytes[..4].copy_from_slice(&sum.to_le_bytes());
                let read = decode(0, 0, &bytes).map(|record| record.change);
                // Where nothing is counted, the count says nothing.
                assert!(
                    read.is_none() || read == Some(change.clone()),
                    "{change:?} {count}"
                );
            }
        }
    }
}
