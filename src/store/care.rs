//! Looking after a store: is everything whole, what is there, what can be saved.
//!
//! # Checked by
//! `tests/store_care.rs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use super::disk::{Disk, DiskExt, FileDisk};
use super::error::StoreError;
use super::format::Area;
use super::format::record::Change;
use super::format::slot::Layout;
use super::format::superblock::{self, Superblock};
use super::image::Image;
use super::log::Reader;
use super::multi::{Generation, MultiStore};
use super::object;
use crate::id::ObjectId;

/// What a look at all objects found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Objects that are whole.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that are not.
    pub corrupt: Vec<ObjectId>,
}

/// How a store is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Objects that can be found.
    pub objects: u64,
    /// Slots of all ranges, taken or not, and large objects.
    pub slots: u64,
    /// Objects that somebody reads piece by piece, or changes.
    pub open_objects: usize,
    /// Deleted objects whose slots wait: for their record to be durable, or for a checkpoint.
    pub waiting: usize,
    /// Bytes of the journal that the next checkpoint frees.
    pub journal: u64,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// Syncs that the journal made.
    pub syncs: u64,
    /// Bytes of new contents that wait in memory for their records to be durable.
    pub pending: usize,
    /// Bytes of memory, beside what is open and what waits.
    pub memory: usize,
    /// Bytes of the file.
    pub file_len: u64,
}

impl MultiStore {
    /// Reads every object and compares its checksums. Those that come and go meanwhile may be among
    /// them or not.
    ///
    /// # Errors
    /// [`StoreError::Io`]. Damage is part of the answer.
    pub fn scrub(&self) -> Result<Scrubbed, StoreError> {
        let mut scrubbed = Scrubbed::default();
        for id in self.ids() {
            match self.verify(id) {
                Ok(len) => {
                    scrubbed.objects += 1;
                    scrubbed.bytes += len;
                }
                Err(StoreError::Corrupt(_)) => scrubbed.corrupt.push(id),
                Err(StoreError::Freed(_) | StoreError::Unknown(_) | StoreError::NotWritten(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(scrubbed)
    }

    /// Reads an object block by block; how long it is.
    fn verify(&self, id: ObjectId) -> Result<u64, StoreError> {
        let mut reader = self.reader(id)?;
        match std::io::copy(&mut reader, &mut std::io::sink()) {
            Ok(len) => Ok(len),
            Err(error) => Err(match error.downcast::<StoreError>() {
                Ok(error) => error,
                Err(error) => error.into(),
            }),
        }
    }

    /// As [`scrub`](Self::scrub), after a checkpoint whose catalog and pages were read back: no two
    /// areas of the file overlap, no live bit is outside of a range.
    ///
    /// # Errors
    /// As `scrub`, and [`StoreError::Damaged`].
    pub fn check(&self) -> Result<Scrubbed, StoreError> {
        self.engine().check_layout()?;
        self.scrub()
    }

    /// Figures; each as of its own moment.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the file's length cannot be asked for.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        self.engine().stats()
    }

    /// Copies the store to where there is no file, while it goes on being used: the copy is what the
    /// store was at one moment of the call.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; as [`put`](Self::put); [`StoreError::Io`] of either file.
    ///
    /// # Progress
    /// Others go on as long as the journal has room; no slot is reused meanwhile.
    pub fn backup_to(&self, path: impl AsRef<Path>) -> Result<(), StoreError> {
        super::options::create_whole(path.as_ref(), |disk| self.engine().back_up(disk))
    }

    /// Gives unused ranges back, and cuts the file behind the last byte that is used. Objects never
    /// move: one live object keeps its range, and all that is before it in the file. How many bytes
    /// the file is shorter.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn shrink(&self) -> Result<u64, StoreError> {
        self.engine().shrink()
    }

    /// Finds whatever objects can be found in a file that cannot be opened: each slot, of the ranges
    /// that either superblock or the journal names, whose checksum is that of an object. Deleted ones
    /// are among them. It is the slot's bytes that are given: newer ones that only the journal has are
    /// not looked for.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] if no superblock can be read; [`StoreError::Locked`];
    /// [`StoreError::Io`].
    pub fn salvage(
        path: impl AsRef<Path>,
        mut found: impl FnMut(ObjectId, Generation, Bytes),
    ) -> Result<(), StoreError> {
        let disk = FileDisk::new(File::open(path.as_ref())?);
        if !disk.lock(true)? {
            return Err(StoreError::Locked(path.as_ref().to_path_buf()));
        }
        for (id, slot) in slots_to_salvage(&disk)? {
            let Some(layout) = Layout::of_slot(slot.len) else {
                continue;
            };
            let Ok(bytes) = disk.read_vec_at(slot.len as usize, slot.offset) else {
                continue;
            };
            if let Some((header, range)) = object::decode(id.get(), &bytes, layout) {
                let bytes = Bytes::from(bytes).slice(range);
                found(id, Generation::from(header.generation), bytes);
            }
        }
        Ok(())
    }
}

/// Every slot that somebody speaks of, and that is within the file.
fn slots_to_salvage(disk: &dyn Disk) -> Result<BTreeMap<ObjectId, Area>, StoreError> {
    let len = disk.len()?;
    let mut slots = BTreeMap::new();
    let mut any = false;
    for copy in [0, 1] {
        let bytes = disk.read_vec_at(superblock::SIZE, copy * superblock::SIZE as u64);
        let superblock = bytes
            .ok()
            .and_then(|bytes| Superblock::from_bytes(&bytes).ok());
        let Some(superblock) = superblock else {
            continue;
        };
        any = true;
        let image = Image::load_damaged(disk, superblock);
        let mut image = image.unwrap_or_else(|| Image::empty(superblock, Vec::new()));
        add_from_journal(disk, &superblock, &mut image);
        for (id, slot) in image.slots() {
            let within = slot.end().is_some_and(|end| end <= len);
            if let Some(id) = ObjectId::new(id).filter(|_| within) {
                slots.insert(id, slot);
            }
        }
    }
    if any {
        Ok(slots)
    } else {
        Err(StoreError::NotAStore)
    }
}

/// What the journal names, as far as it can be read.
fn add_from_journal(disk: &dyn Disk, superblock: &Superblock, image: &mut Image) {
    let ring = superblock.journal;
    let fits = ring.end().is_some_and(|end| end <= disk.len().unwrap_or(0));
    if !fits || ring.len == 0 || superblock.lsn.checked_add(2 * ring.len).is_none() {
        return;
    }
    let mut reader = Reader::new(disk, ring, superblock.salt, superblock.lsn);
    while let Ok(Some(record)) = reader.read() {
        match record.change {
            Change::Range(range) => drop(image.ranges.insert(range.first_id, range)),
            Change::PutLarge(_, large) => drop(image.large.insert(large.id, large)),
            _ => {}
        }
    }
}
