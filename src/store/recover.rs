//! From a file to what it holds: the newer superblock, and the log behind it.
//!
//! # Shape
//! ```text
//! pass 1   writes nothing: where does the log end, and what is each slot's last word?
//!            at the first record that is missing or torn;
//!            or the first put whose bytes are not in their slot, where it is the slot's last word
//!            .. unless somebody wrote down that it was durable: then it is damage
//! pass 2   writes the overwrites that are their slots' last words once more
//! ```
//! Nothing is accepted before the recovery's own checkpoint is durable. A crash inside of it leaves
//! the superblock and the log as they were, so the next recovery gives the same answer.
//!
//! # Checked by
//! `tests/store_crash.rs`; `tests/store_rot.rs`; `proptests/store_open.rs`.

use std::collections::{HashMap, HashSet};

use super::disk::{Disk, DiskExt};
use super::error::{Damage, StoreError};
use super::format::Area;
use super::format::record::{Change, Put, Record};
use super::format::slot::Layout;
use super::format::superblock::{self, Superblock, Unusable};
use super::image::{Bad, Image};
use super::log::Reader;
use super::object;

/// Slots are verified in reads of so many bytes.
const WINDOW: u64 = 1 << 20;

impl From<Bad> for StoreError {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Io(error) => error.into(),
            Bad::Damage(damage) => Self::Damaged(damage),
        }
    }
}

/// Content that belongs into a slot, and may not be there.
#[derive(Debug)]
pub(super) enum Redo {
    Bytes(Put, Vec<u8>),
    Scratch(Put, Area),
}

/// No store comes so far with its log, or its checkpoints: what says so lies, and is not added to.
const ENOUGH: u64 = 1 << 62;

/// What was found in a file.
#[derive(Debug)]
pub(super) struct Found {
    /// With the log applied.
    pub(super) image: Image,
    pub(super) redo: Vec<Redo>,
    /// Above every LSN that was ever used.
    pub(super) next_lsn: u64,
}

/// Looks at a file and writes nothing.
pub(super) fn look(disk: &dyn Disk) -> Result<Found, StoreError> {
    let superblock = superblock_of(disk)?;
    let mut image = Image::load(disk, superblock)?;
    let (mut records, durable) = read_log(disk, &superblock)?;
    let end = verified_end(disk, &image, &records, durable)?;
    records.truncate(end);
    for record in &records {
        image.apply(disk, &record.change)?;
    }
    image.check(disk)?;
    let redo = redo(records);
    let next_lsn = superblock.lsn.checked_add(2 * superblock.journal.len);
    let next_lsn = next_lsn.ok_or(StoreError::Damaged(Damage::Superblocks))?;
    Ok(Found {
        image,
        redo,
        next_lsn,
    })
}

/// The newer of the superblocks that are whole.
fn superblock_of(disk: &dyn Disk) -> Result<Superblock, StoreError> {
    let len = disk.len()?;
    if len < superblock::END {
        return Err(StoreError::NotAStore);
    }
    let both = [read_superblock(disk, 0)?, read_superblock(disk, 1)?];
    if let Some(version) = both.iter().find_map(|one| match one {
        Err(Unusable::Version(version)) => Some(*version),
        _ => None,
    }) {
        return Err(StoreError::Version(version));
    }
    let newest = both.into_iter().flatten().max_by_key(|one| one.sequence);
    let newest = newest.ok_or(match both {
        [Err(Unusable::Foreign), Err(Unusable::Foreign)] => StoreError::NotAStore,
        _ => StoreError::Damaged(Damage::Superblocks),
    })?;
    check(&newest, len)?;
    Ok(newest)
}

/// The one of this number, where it belongs.
fn read_superblock(
    disk: &dyn Disk,
    number: u64,
) -> Result<Result<Superblock, Unusable>, StoreError> {
    let bytes = disk.read_vec_at(superblock::SIZE, number * superblock::SIZE as u64)?;
    let found = Superblock::from_bytes(&bytes);
    let is_here = |found: &Superblock| found.sequence % 2 == number;
    Ok(found.and_then(|found| is_here(&found).then_some(found).ok_or(Unusable::Checksum)))
}

fn check(superblock: &Superblock, len: u64) -> Result<(), StoreError> {
    if superblock.features.refuse != 0 {
        return Err(StoreError::Features(superblock.features.refuse));
    }
    let ring = superblock.journal;
    let fits = ring.end().is_some_and(|end| end <= len);
    let possible = superblock.lsn.max(superblock.sequence) < ENOUGH;
    if ring.offset != superblock::END
        || ring.len == 0
        || !ring.len.is_multiple_of(4096)
        || !fits
        || !possible
    {
        return Err(StoreError::Damaged(Damage::Superblocks));
    }
    Ok(())
}

/// All records up to the first that is missing, and up to where somebody wrote that the log was
/// durable.
fn read_log(disk: &dyn Disk, superblock: &Superblock) -> Result<(Vec<Record>, u64), StoreError> {
    if superblock.clean {
        return Ok((Vec::new(), superblock.lsn));
    }
    let mut reader = Reader::new(disk, superblock.journal, superblock.salt, superblock.lsn);
    let (mut records, mut durable) = (Vec::new(), superblock.lsn);
    let mut end = superblock.lsn;
    let len = disk.len()?;
    while let Some(record) = reader.read()? {
        durable = durable.max(record.durable);
        // Where the file's new length is not durable, the record was not, either.
        let fits = |area: Area| area.end().is_some_and(|end| end <= len);
        if !record.change.area().is_none_or(fits) {
            break;
        }
        end = reader.lsn();
        records.push(record);
    }
    // Back to the one that does not count: the next one may be right behind it.
    reader.skip_to(end);
    while let Some(later) = reader.find_later()? {
        durable = durable.max(later.durable);
        reader.skip_to(later.lsn);
    }
    if durable > end {
        return Err(StoreError::Damaged(Damage::Record { lsn: end }));
    }
    Ok((records, durable))
}

/// An image that knows all slots that records name, too.
fn with_slots_of(image: &Image, records: &[Record]) -> Image {
    let mut image = image.with_no_pages();
    for record in records {
        match &record.change {
            Change::PutLarge(_, large) => drop(image.large.insert(large.id, *large)),
            Change::Range(range) => drop(image.ranges.insert(range.first_id, *range)),
            _ => {}
        }
    }
    image
}

/// What a record says last of an id.
#[derive(Clone, Copy)]
struct Word<'a> {
    /// Which record.
    at: usize,
    /// The object that its slot must hold; none where the bytes are elsewhere, or gone.
    put: Option<&'a Put>,
}

fn last_words(records: &[Record]) -> HashMap<u64, Word<'_>> {
    let mut words = HashMap::new();
    for (at, record) in records.iter().enumerate() {
        let mut say = |id, put| {
            words.insert(id, Word { at, put });
        };
        match &record.change {
            Change::Put(puts) => puts.iter().for_each(|put| say(put.id, Some(put))),
            Change::PutLarge(put, _) => say(put.id, Some(put)),
            Change::Overwrite(all) => all.iter().for_each(|(put, _)| say(put.id, None)),
            Change::FromScratch(put, _) => say(put.id, None),
            Change::Free(ids) => ids.iter().for_each(|id| say(*id, None)),
            _ => {}
        }
    }
    words
}

/// How many records count: those before the first put, not known to be durable, that is its slot's
/// last word and whose bytes are not there. Fewer records have other last words, so it is asked
/// again until nothing changes.
fn verified_end(
    disk: &dyn Disk,
    image: &Image,
    records: &[Record],
    durable: u64,
) -> Result<usize, StoreError> {
    let image = with_slots_of(image, records);
    let unsure = |word: &Word<'_>| records[word.at].lsn + records[word.at].len > durable;
    let mut good = HashSet::new();
    let mut end = records.len();
    loop {
        let words = last_words(&records[..end]);
        let words = words.into_values().filter(unsure);
        let asked = words.filter_map(|word| Some((word.at, word.put.filter(|put| !put.synced)?)));
        let asked = asked.filter(|(at, put)| !good.contains(&(*at, put.id)));
        let asked = asked.map(|(at, put)| Asked {
            at,
            put,
            slot: image.slot_of(put.id),
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort_unstable_by_key(|asked| asked.slot.map(|slot| slot.offset));
        let bad = bad_among(disk, &asked)?;
        let Some(first) = bad.iter().map(|asked| asked.at).min() else {
            return Ok(end);
        };
        let bad: HashSet<_> = bad.into_iter().map(Asked::name).collect();
        good.extend(
            asked
                .iter()
                .map(Asked::name)
                .filter(|name| !bad.contains(name)),
        );
        end = first;
    }
}

/// A put whose bytes are looked for in its slot.
struct Asked<'a> {
    at: usize,
    put: &'a Put,
    slot: Option<Area>,
}

impl Asked<'_> {
    /// Which record, and which of its objects.
    fn name(&self) -> (usize, u64) {
        (self.at, self.put.id)
    }
}

/// Those whose bytes are not there; all are in the order of their slots.
fn bad_among<'a>(
    disk: &dyn Disk,
    asked: &'a [Asked<'a>],
) -> Result<Vec<&'a Asked<'a>>, StoreError> {
    let mut window = Window::new(disk);
    let mut bad = Vec::new();
    for one in asked {
        let holds = one.slot.map(|slot| window.holds(one.put, slot));
        if !holds.unwrap_or(Ok(false))? {
            bad.push(one);
        }
    }
    Ok(bad)
}

/// Slots in ascending order, read many at once.
struct Window<'a> {
    disk: &'a dyn Disk,
    len: u64,
    begin: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(disk: &'a dyn Disk) -> Self {
        let len = disk.len().unwrap_or(0);
        Self {
            disk,
            len,
            begin: 0,
            bytes: Vec::new(),
        }
    }

    fn holds(&mut self, put: &Put, area: Area) -> Result<bool, StoreError> {
        let layout = Layout::of_slot(area.len).filter(|layout| put.len <= layout.capacity);
        let Some(layout) = layout else {
            return Ok(false);
        };
        let needed = layout.payload + put.len;
        let Some(slot) = self.bytes_at(area.offset, needed)? else {
            return Ok(false);
        };
        let found = object::decode(put.id, slot, layout);
        Ok(found.is_some_and(|(header, _)| put.is(&header)))
    }

    fn bytes_at(&mut self, offset: u64, len: u64) -> Result<Option<&[u8]>, StoreError> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        let end = self.begin + self.bytes.len() as u64;
        if offset < self.begin || offset + len > end {
            let whole = len.max(WINDOW).min(self.len - offset);
            self.bytes = self.disk.read_vec_at(whole as usize, offset)?;
            self.begin = offset;
        }
        let from = (offset - self.begin) as usize;
        Ok(self.bytes.get(from..from + len as usize))
    }
}

/// The overwrites that are their slots' last words.
fn redo(records: Vec<Record>) -> Vec<Redo> {
    let overwrites = |record: &Record| {
        matches!(
            record.change,
            Change::Overwrite(_) | Change::FromScratch(..)
        )
    };
    if !records.iter().any(overwrites) {
        return Vec::new();
    }
    let words = last_words(&records);
    let last: HashMap<u64, usize> = words.into_iter().map(|(id, word)| (id, word.at)).collect();
    let mut all = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        let is_last = |put: &Put| last.get(&put.id) == Some(&at);
        match record.change {
            Change::Overwrite(puts) => {
                let mine = puts.into_iter().filter(|(put, _)| is_last(put));
                all.extend(mine.map(|(put, bytes)| Redo::Bytes(put, bytes)));
            }
            Change::FromScratch(put, area) if is_last(&put) => all.push(Redo::Scratch(put, area)),
            _ => {}
        }
    }
    all
}
