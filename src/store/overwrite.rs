//! New content for objects: the record first, the slot afterwards.
//!
//! # Shape
//! ```text
//! durable at once   record with the bytes, sync, then slot <- bytes
//! weaker            record with the bytes; they wait in memory, where readers find them
//!                     its sync, whoever makes it; then slot <- bytes
//! checkpoint at C   gate closed: the log up to C is durable, and nothing waits
//! ```
//! What is in progress between its record and its slot, or the table, is inside the gate: so all that
//! has a record before C is in the table, in the slot, or of a deleted object whose slot waits for
//! the record of its end.
//!
//! # Checked by
//! `loom-tests/store_pending.rs`, `loom-tests/store_engine.rs`; `tests/store_crash.rs`;
//! `tests/store_weak.rs`.

use bytes::Bytes;

use super::disk::{DiskExt, copy};
use super::engine::{Engine, Later};
use super::error::StoreError;
use super::format::Area;
use super::format::record::{Change, Put};
use super::format::slot::HEADER;
use super::gate::Inside;
use super::log::{Class, Refused};
use super::object;
use super::options::Durability;
use super::pending::{self, Content};
use crate::id::{Extent, ObjectId};

/// New content of one object: its payload, which its record gets, and what its slot gets.
pub(super) struct Overwrite {
    pub(super) slot: Extent,
    pub(super) put: Put,
    pub(super) payload: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Engine {
    /// As `append`, and inside the gate from before it on.
    fn append_inside(&self, change: &Change) -> Result<(Inside<'_>, u64), StoreError> {
        loop {
            let inside = self.gate.enter();
            match self.log.append(change, Class::Ordinary) {
                Ok(end) => return Ok((inside, end)),
                Err(Refused::Failed(failed)) => return Err(StoreError::ReadOnly(failed.0)),
                Err(Refused::Full) => drop(inside),
            }
            self.make_room_in_the_log()?;
        }
    }

    /// New content for objects that the caller alone changes, in one piece.
    pub(super) fn overwrite(
        &self,
        all: Vec<Overwrite>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let len = all.iter().map(|one| one.bytes.len()).sum();
        let may_wait = durability != Durability::Group;
        let admitted = may_wait.then(|| self.pending.admit(len)).flatten();
        let durability = if admitted.is_some() {
            durability
        } else {
            Durability::Group
        };
        let (mut records, mut contents) = (Vec::new(), Vec::new());
        for Overwrite {
            slot,
            put,
            payload,
            bytes,
        } in all
        {
            records.push((put, payload));
            let bytes = Bytes::from(bytes);
            contents.push(Content { put, slot, bytes });
        }
        let (inside, end) = self.append_inside(&Change::Overwrite(records))?;
        self.survive(end, durability)?;
        for content in contents {
            self.place(content, end, durability)?;
        }
        drop((inside, admitted));
        self.settle();
        self.checkpoint_by_and_by();
        Ok(())
    }

    /// Puts a content into its slot, if its record is durable; else into the table. Where the table
    /// has one of the object, it goes there first: readers see the slot only after that.
    fn place(&self, content: Content, end: u64, durability: Durability) -> Result<(), StoreError> {
        let id = ObjectId::new(content.put.id).expect("an object's id");
        let is_durable = durability == Durability::Group;
        if is_durable && self.pending.end_of(id).is_none() {
            let written = self.write_content(&content);
            if written.is_err() {
                // Half of it may be in the slot: readers find it here.
                self.pending.insert(content, end);
            }
            return written;
        }
        self.pending.insert(content, end);
        if is_durable {
            self.pending
                .move_one(id, end, |content| self.write_content(content))?;
        }
        Ok(())
    }

    fn write_content(&self, content: &Content) -> Result<(), StoreError> {
        self.check_writable()?;
        self.write(&content.bytes, content.slot.offset.get())
    }

    /// Writes in place whatever waited for records that are durable by now. What fails here is not
    /// the caller's matter: the store is read-only then, and readers have the contents from memory.
    pub(super) fn move_durable(&self) {
        if !self.pending.is_empty() {
            let durable = self.log.durable();
            let write = |content: &Content| self.write_content(content);
            let _ = self.pending.move_until(durable, write);
        }
    }

    /// Writes in place whatever waits for records up to there, which are durable. Nothing comes
    /// meanwhile.
    pub(super) fn move_all(&self, upto: u64) -> Result<(), StoreError> {
        let write = |content: &Content| self.write_content(content);
        self.pending.move_all(upto, write)
    }

    /// Sees to it that nothing waits for an object that the caller alone changes.
    fn move_now(&self, id: ObjectId) -> Result<(), StoreError> {
        while let Some(end) = self.pending.end_of(id) {
            self.survive(end, Durability::Group)?;
            self.pending.wait_for(id);
            self.pending
                .move_one(id, end, |content| self.write_content(content))?;
        }
        Ok(())
    }

    /// New content that is in a scratch area already, as it is to stand in the slot; `taken` is all
    /// of the area.
    pub(super) fn overwrite_from(
        &self,
        slot: Extent,
        put: Put,
        scratch: Area,
        taken: Area,
    ) -> Result<(), StoreError> {
        self.move_now(ObjectId::new(put.id).expect("an object's id"))?;
        let (inside, end) = self.append_inside(&Change::FromScratch(put, scratch))?;
        self.survive(end, Durability::Group)?;
        let (disk, to) = (&*self.disk, slot.offset.get());
        if let Err(error) = copy(disk, scratch, disk, to) {
            self.show_scratch(slot, put, scratch, end);
            return Err(self.fail(error));
        }
        drop(inside);
        self.later.lock().push((end, Later::Area(taken)));
        self.settle();
        self.checkpoint_by_and_by();
        Ok(())
    }

    /// Half of a scratch area's content may be in the slot: readers find it here, if it is not too
    /// long for that and can be read.
    fn show_scratch(&self, slot: Extent, put: Put, scratch: Area, end: u64) {
        if scratch.len <= pending::MOST as u64
            && let Ok(bytes) = self.disk.read_vec_at(scratch.len as usize, scratch.offset)
        {
            let bytes = Bytes::from(bytes);
            self.pending.insert(Content { put, slot, bytes }, end);
        }
    }

    /// Which content an object has, for somebody who keeps others from changing it.
    pub(super) fn generation(&self, id: ObjectId, slot: Extent) -> Result<u32, StoreError> {
        if let Some(content) = self.pending.find(id) {
            return Ok(content.put.generation as u32);
        }
        let bytes = self.disk.read_vec_at(HEADER as usize, slot.offset.get())?;
        let header = object::header_of(&bytes).expect("as many bytes as a header has");
        Ok(header.generation)
    }
}
