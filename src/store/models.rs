//! Parts of the store by themselves, for the models in `loom-tests/`.
//!
//! # Checked by
//! `loom-tests/store_log.rs`, `loom-tests/store_open.rs`, `loom-tests/store_pending.rs`.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::disk::{Disk, InTurn};
use super::format::Area;
use super::format::record::Change;
use super::format::record::Put;
use super::gate::{Closed, Gate, Inside};
use super::log::{Class, Failed, Log, Reader, Refused};
use super::open::{How, Open};
use super::pending::{Content, Pending};
use crate::id::{ByteLen, Extent, FileOffset, ObjectId};

/// The salt of the records.
const SALT: u64 = 7;

fn ring(len: u64) -> Area {
    Area { offset: 0, len }
}

/// A log whose ring is at the beginning of its disk, which others sync too.
pub struct Journal(Log, Arc<dyn Disk>);

impl Journal {
    /// The length of the records that `append` makes.
    pub const RECORD: u64 = 40;

    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, len: u64) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(InTurn::new(disk));
        Self(Log::new(Arc::clone(&disk), ring(len), SALT, 0, false), disk)
    }

    /// Appends a record that says no more than this number, as one who may use all of the ring;
    /// nothing where that is full.
    pub fn append(&self, number: u64) -> Result<Option<u64>, Arc<io::Error>> {
        match self.0.append(&Change::Free(vec![number]), Class::Urgent) {
            Ok(end) => Ok(Some(end)),
            Err(Refused::Full) => Ok(None),
            Err(Refused::Failed(Failed(error))) => Err(error),
        }
    }

    pub fn write(&self, end: u64) -> Result<(), Arc<io::Error>> {
        self.0.write(end).map_err(|failed| failed.0)
    }

    pub fn sync(&self, end: u64) -> Result<(), Arc<io::Error>> {
        self.0.sync(end).map_err(|failed| failed.0)
    }

    /// Syncs the disk, and no record: what a stream does.
    pub fn sync_data(&self) -> io::Result<()> {
        self.1.sync_data()
    }

    pub fn fail(&self) {
        self.0.fail(io::Error::other("failed elsewhere").into());
    }

    #[must_use]
    pub fn failed(&self) -> bool {
        self.0.failed().is_some()
    }

    pub fn release(&self, lsn: u64) {
        self.0.release(lsn);
    }

    #[must_use]
    pub fn end(&self) -> u64 {
        self.0.end()
    }

    #[must_use]
    pub fn durable(&self) -> u64 {
        self.0.durable()
    }

    /// The whole records from `lsn` on that are on a disk: where each begins, how far it says that
    /// the log was durable, and its number.
    #[must_use]
    pub fn records(disk: &dyn Disk, len: u64, lsn: u64) -> Vec<(u64, u64, u64)> {
        let mut reader = Reader::new(disk, ring(len), SALT, lsn);
        let mut found = Vec::new();
        while let Ok(Some(record)) = reader.read() {
            let Change::Free(ids) = record.change else {
                unreachable!("there are no others");
            };
            found.push((record.lsn, record.durable, ids[0]));
        }
        found
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Journal").finish_non_exhaustive()
    }
}

/// A gate.
#[derive(Debug)]
pub struct Door(Gate);

impl Door {
    #[must_use]
    #[allow(clippy::new_without_default)] // as the gate itself
    pub fn new() -> Self {
        Self(Gate::new())
    }

    pub fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        let inside: Inside<'_> = self.0.enter();
        let result = f();
        drop(inside);
        result
    }

    pub fn closed<R>(&self, f: impl FnOnce() -> R) -> R {
        let closed: Closed<'_> = self.0.close();
        let result = f();
        drop(closed);
        result
    }
}

/// A table of open objects. What ends a use says whether the slot is the caller's to hand over.
#[derive(Debug)]
pub struct Users(Open);

impl Users {
    #[must_use]
    #[allow(clippy::new_without_default)] // as the table itself
    pub fn new() -> Self {
        Self(Open::new())
    }

    pub fn read(&self, id: ObjectId) {
        self.0.read(id);
    }

    #[must_use]
    pub fn end_read(&self, id: ObjectId) -> bool {
        self.0.end_read(id)
    }

    pub fn overwrite(&self, id: ObjectId) {
        self.0.change(id, How::Overwrite);
    }

    #[must_use]
    pub fn try_overwrite(&self, id: ObjectId) -> bool {
        self.0.try_change(id, How::Overwrite)
    }

    pub fn delete(&self, id: ObjectId) {
        self.0.change(id, How::Delete);
    }

    #[must_use]
    pub fn end_change(&self, id: ObjectId) -> bool {
        self.0.end_change(id)
    }

    #[must_use]
    pub fn free(&self, id: ObjectId) -> bool {
        self.0.free(id)
    }

    /// How many objects are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.len()
    }
}

/// A table of contents that wait: numbers, for slots that are elsewhere.
#[derive(Debug)]
pub struct Contents(Pending);

impl Contents {
    #[must_use]
    #[allow(clippy::new_without_default)] // as the table itself
    pub fn new() -> Self {
        Self(Pending::new())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn find(&self, id: ObjectId) -> Option<u64> {
        self.0.find(id).map(|content| content.put.generation)
    }

    /// A content whose record ends there.
    pub fn insert(&self, id: ObjectId, number: u64, end: u64) {
        let put = Put {
            id: id.get(),
            len: 0,
            generation: number,
            checksum: 0,
            synced: false,
        };
        let slot = Extent::new(FileOffset::new(0), ByteLen::new(64));
        let bytes = bytes::Bytes::new();
        self.0.insert(Content { put, slot, bytes }, end);
    }

    pub fn discard(&self, id: ObjectId) {
        self.0.discard(id);
    }

    pub fn move_until(&self, upto: u64, mut write: impl FnMut(ObjectId, u64)) {
        let moved = self
            .0
            .move_until(upto, |content| written(content, &mut write));
        moved.unwrap_or_else(|never| match never {});
    }

    pub fn move_all(&self, mut write: impl FnMut(ObjectId, u64)) {
        let moved = self
            .0
            .move_all(u64::MAX, |content| written(content, &mut write));
        moved.unwrap_or_else(|never| match never {});
    }
}

fn written(
    content: &Content,
    write: &mut impl FnMut(ObjectId, u64),
) -> Result<(), core::convert::Infallible> {
    let id = ObjectId::new(content.put.id).expect("an object's id");
    write(id, content.put.generation);
    Ok(())
}
