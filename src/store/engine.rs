//! One open store: its disk, its journal, its allocator, and the ways between them.
//!
//! # Shape
//! ```text
//! put        slot <- bytes, then its record, then the sync that both share, then it is published
//! overwrite  record with the bytes, sync, then slot <- bytes
//! delete     hidden, record; its slot is reused when that is durable and its readers have left
//! checkpoint the log up to C is durable, nobody is inside the gate; image + log = next image
//! ```
//!
//! # Progress
//! `read` blocks on the disk, and on an overwrite of its object where it met one. All that writes
//! blocks on the disk and on whoever leads the log.
//!
//! # Checked by
//! `loom-tests/store_engine.rs`; `tests/store.rs`, `tests/store_crash.rs`, `tests/store_kill.rs`.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskExt, InTurn};
use super::error::{Damage, StoreError};
use super::format::record::{Change, Put};
use super::format::slot::{HEADER, Layout, MAX_LEN};
use super::format::superblock::{Features, Superblock};
use super::format::{Area, catalog};
use super::gate::{Gate, Inside};
use super::image::{Image, Next};
use super::log::{Class, Failed, Log, Reader, Refused};
use super::object;
use super::open::{How, Open};
use super::options::Durability;
use super::recover::{self, Redo};
use super::space::Space;
use crate::alloc::{
    AllocatorSnapshot, FreeError, LookupError, OmniBlockAllocator, OmniReservation, RangeSnapshot,
    SizeClasses,
};
use crate::id::{ByteLen, Extent, FileOffset, IdRange, ObjectId};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use crate::sync::epoch::Guard;
use crate::sync::lock::Mutex;

/// What is called for each new object.
pub(super) type Callback = Arc<dyn Fn(ObjectId) + Send + Sync>;

/// Payloads above this are synced before their record is written.
pub(super) const SYNCED_FIRST: u64 = 1 << 20;
/// Frees that are not durable: at so many the store syncs by itself.
const MOST_FREES: usize = 4096;

/// A number that nobody foresees.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A slot that waits for the record of its end to be durable.
#[derive(Clone, Copy, Debug)]
struct Freed {
    end: u64,
    id: ObjectId,
}

/// What becomes free with the next checkpoint that has seen its record.
#[derive(Clone, Copy, Debug)]
enum Later {
    Object(ObjectId),
    Area(Area),
}

/// One open store.
pub(super) struct Engine {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    space: Arc<Space>,
    allocator: OmniBlockAllocator,
    open: Open,
    gate: Gate,
    /// Drawn so far.
    generations: AtomicU64,
    /// The root object, 0 for none; changes under `rooting`.
    root: AtomicU64,
    rooting: Mutex<()>,
    freed: Mutex<VecDeque<Freed>>,
    /// How many are in `freed`: whether it is worth a look.
    frees: AtomicUsize,
    later: Mutex<Vec<(u64, Later)>>,
    /// The one that recovery would choose now. Whoever has the lock makes the checkpoint.
    superblock: Mutex<Superblock>,
    durability: Durability,
    on_allocate: Option<Callback>,
    /// Contents that belong into their slots, of a store that is only read.
    overlay: Option<Vec<(Put, Vec<u8>)>>,
}

/// Somebody changes an object.
pub(super) struct Changing<'a> {
    engine: &'a Engine,
    id: ObjectId,
}

impl Changing<'_> {
    /// Whoever calls it ends the change with `Engine::end_change`.
    pub(super) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.engine.end_change(self.id);
    }
}

impl Engine {
    // ---------------------------------------------------------------- making and opening

    /// Writes an empty store.
    pub(super) fn format(
        disk: &dyn Disk,
        journal: u64,
        classes: &SizeClasses,
    ) -> Result<(), StoreError> {
        let sizes: Vec<u64> = classes.as_slice().iter().map(|size| size.get()).collect();
        let (journal, catalogs) = Space::first(disk, journal, sizes.len())?;
        zero(disk, journal)?;
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&random().to_le_bytes());
        uuid[8..].copy_from_slice(&random().to_le_bytes());
        let superblock = Superblock {
            features: Features::default(),
            uuid,
            sequence: 0,
            salt: random(),
            lsn: 0,
            journal,
            // The second half: the first image is written to the first one.
            catalog: Area {
                offset: catalogs.offset + catalogs.len / 2,
                len: 0,
            },
            catalog_checksum: 0,
            clean: true,
            catalogs,
            generations: 1,
            next_id: 1,
        };
        let mut image = Image::empty(superblock, sizes);
        let next = Next {
            lsn: 0,
            salt: superblock.salt,
            clean: true,
        };
        image.write(disk, next)?;
        Ok(())
    }

    /// Brings a store to where it was, and writes that down before anything is accepted.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        durability: Durability,
        on_allocate: Option<Callback>,
    ) -> Result<Arc<Self>, StoreError> {
        let mut found = recover::look(&*disk)?;
        if found.image.superblock.features.read_only != 0 {
            return Err(StoreError::Features(
                found.image.superblock.features.read_only,
            ));
        }
        for redo in &found.redo {
            redo_in_place(&*disk, &found.image, redo)?;
        }
        let allocator = allocator_of(&*disk, &mut found.image)?;
        let next = Next {
            lsn: found.next_lsn,
            salt: random(),
            clean: false,
        };
        found.image.write(&*disk, next)?;
        let mut engine = Self::over(disk, found.image, allocator);
        (engine.durability, engine.on_allocate) = (durability, on_allocate);
        let watch = Arc::clone(&engine.space);
        engine.allocator.watch(watch);
        Ok(Arc::new(engine))
    }

    /// Looks at a store and writes nothing.
    pub(super) fn open_read_only(disk: Arc<dyn Disk>) -> Result<Arc<Self>, StoreError> {
        let mut found = recover::look(&*disk)?;
        let overlay = found.redo.iter().map(|redo| content_of(&*disk, redo));
        let overlay = overlay.collect::<Result<Vec<_>, _>>()?;
        let allocator = allocator_of(&*disk, &mut found.image)?;
        let mut engine = Self::over(disk, found.image, allocator);
        engine.overlay = Some(overlay);
        Ok(Arc::new(engine))
    }

    fn over(disk: Arc<dyn Disk>, image: Image, allocator: OmniBlockAllocator) -> Self {
        let Superblock {
            journal,
            salt,
            lsn,
            generations,
            ..
        } = image.superblock;
        let disk: Arc<dyn Disk> = Arc::new(InTurn::new(disk));
        let log = Arc::new(Log::new(Arc::clone(&disk), journal, salt, lsn));
        let space = Arc::new(Space::new(Arc::clone(&disk), Arc::clone(&log), &image));
        Self {
            disk,
            log,
            space,
            allocator,
            open: Open::new(),
            gate: Gate::new(),
            generations: AtomicU64::new(generations),
            root: AtomicU64::new(image.root.unwrap_or(0)),
            rooting: Mutex::new(()),
            freed: Mutex::new(VecDeque::new()),
            frees: AtomicUsize::new(0),
            later: Mutex::new(Vec::new()),
            superblock: Mutex::new(image.superblock),
            durability: Durability::default(),
            on_allocate: None,
            overlay: None,
        }
    }

    // ---------------------------------------------------------------- what others need

    pub(super) fn allocator(&self) -> &OmniBlockAllocator {
        &self.allocator
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    pub(super) fn opened(&self) -> &Open {
        &self.open
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.overlay.is_some()
    }

    /// Refuses what writes, where nothing is written any more.
    pub(super) fn check_writable(&self) -> Result<(), StoreError> {
        if self.is_read_only() {
            return Err(StoreError::OpenedReadOnly);
        }
        match self.log.failed() {
            Some(failed) => Err(StoreError::ReadOnly(failed.0)),
            None => Ok(()),
        }
    }

    /// A write where there is room, or a sync, failed: nothing is accepted any more.
    pub(super) fn fail(&self, error: io::Error) -> StoreError {
        let failed = Failed::from(error);
        self.log.fail(failed.clone());
        StoreError::Io(failed.0)
    }

    pub(super) fn draw_generation(&self) -> u64 {
        // Relaxed: a number that nobody else has.
        self.generations.fetch_add(1, Relaxed)
    }

    /// The slot of a live object.
    pub(super) fn locate(&self, id: ObjectId, guard: &Guard) -> Result<Extent, StoreError> {
        let located = self.allocator.locate_in(id, guard);
        located.map_err(|error| unlocated(id, error))
    }

    pub(super) fn change(&self, id: ObjectId, how: How) -> Changing<'_> {
        self.open.change(id, how);
        Changing { engine: self, id }
    }

    pub(super) fn try_change(&self, id: ObjectId, how: How) -> Result<Changing<'_>, StoreError> {
        if self.open.try_change(id, how) {
            Ok(Changing { engine: self, id })
        } else {
            Err(StoreError::Busy(id))
        }
    }

    pub(super) fn end_change(&self, id: ObjectId) {
        if self.open.end_change(id) {
            self.reuse(id);
        }
    }

    pub(super) fn root(&self) -> Option<ObjectId> {
        // Relaxed: a number; what it names is found by way of the allocator.
        ObjectId::new(self.root.load(Relaxed))
    }

    // ---------------------------------------------------------------- the journal

    /// Appends a record, after a checkpoint where there is no room; where the next one begins.
    pub(super) fn append(&self, change: &Change) -> Result<u64, StoreError> {
        loop {
            match self.log.append(change, Class::Ordinary) {
                Ok(end) => return Ok(end),
                Err(Refused::Full) => self.make_room_in_the_log()?,
                Err(Refused::Failed(failed)) => return Err(StoreError::ReadOnly(failed.0)),
            }
        }
    }

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

    /// Waits until what ends here survives what it is to survive.
    pub(super) fn commit(&self, end: u64, durability: Durability) -> Result<(), StoreError> {
        let done = match durability {
            Durability::None => Ok(()),
            Durability::Buffered => self.log.write(end),
            Durability::Group => self.log.sync(end),
        };
        done.map_err(|failed| StoreError::Io(failed.0))?;
        self.settle();
        self.checkpoint_by_and_by()
    }

    /// Waits until everything so far is durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.commit(self.log.end(), Durability::Group)
    }

    /// Hands over the slots whose ends are durable by now.
    fn settle(&self) {
        // Relaxed: whether it is worth a look; whoever adds one settles after it.
        if self.frees.load(Relaxed) == 0 {
            return;
        }
        let durable = self.log.durable();
        let mut freed = self.freed.lock();
        let n = freed.partition_point(|freed| freed.end <= durable);
        let ready: Vec<Freed> = freed.drain(..n).collect();
        // Relaxed: as above.
        self.frees.store(freed.len(), Relaxed);
        drop(freed);
        for Freed { id, .. } in ready {
            if self.open.free(id) {
                self.reuse(id);
            }
        }
    }

    /// Nobody has the object open, and its end is durable.
    fn reuse(&self, id: ObjectId) {
        if self.allocator.is_single(id) {
            let durable = self.log.durable();
            self.later.lock().push((durable, Later::Object(id)));
            return;
        }
        let guard = self.allocator.pin();
        let reclaimed = self.allocator.reclaim(id, &guard);
        debug_assert_eq!(reclaimed, Ok(()));
    }

    pub(super) fn settle_reader(&self, id: ObjectId) {
        if self.open.end_read(id) {
            self.reuse(id);
        }
    }

    // ---------------------------------------------------------------- objects

    /// A slot for an object of this length.
    pub(super) fn reserve(&self, len: u64) -> Result<OmniReservation<'_>, StoreError> {
        self.check_writable()?;
        let too_large = StoreError::TooLarge {
            len,
            capacity: MAX_LEN,
        };
        let slot = Layout::slot_for(len).ok_or(too_large)?;
        loop {
            match self.allocator.reserve(ByteLen::new(slot)) {
                Ok(reservation) => return Ok(reservation),
                Err(error) => match self.space.explain(error) {
                    Some(error) => return Err(error),
                    None => self.make_room_in_the_log()?,
                },
            }
        }
    }

    /// Writes where there is room.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let written = self.disk.write_all_at(bytes, offset);
        written.map_err(|error| self.fail(error))
    }

    /// Syncs what was written to the disk, and no record.
    pub(super) fn sync_data(&self) -> Result<(), StoreError> {
        self.disk.sync_data().map_err(|error| self.fail(error))
    }

    /// The record of a new object in this slot.
    pub(super) fn put_change(&self, put: Put, slot: Extent) -> Change {
        let id = ObjectId::new(put.id).expect("it was given out");
        if !self.allocator.is_single(id) {
            return Change::Put(vec![put]);
        }
        let large = catalog::Large {
            id: put.id,
            offset: slot.offset.get(),
            slot_size: slot.len.get(),
        };
        Change::PutLarge(put, large)
    }

    /// Makes an object visible whose record ends at `end`.
    pub(super) fn publish(
        &self,
        reservation: OmniReservation<'_>,
        end: u64,
        durability: Durability,
    ) -> Result<ObjectId, StoreError> {
        if let Err(error) = self.commit(end, durability) {
            // Its record may be on the disk: nobody may have the slot.
            reservation.keep();
            return Err(error);
        }
        let id = reservation.publish();
        if let Some(call) = &self.on_allocate {
            call(id);
        }
        Ok(id)
    }

    pub(super) fn put(
        &self,
        payload: &[u8],
        durability: Durability,
    ) -> Result<(ObjectId, u64), StoreError> {
        let reservation = self.reserve(payload.len() as u64)?;
        let (id, slot) = (reservation.id().get(), reservation.extent());
        let generation = self.draw_generation();
        let (mut put, bytes) = object::encode(id, generation, payload, layout_of(slot));
        self.write(&bytes, slot.offset.get())?;
        if payload.len() as u64 > SYNCED_FIRST {
            self.sync_data()?;
            put.synced = true;
        }
        let end = self.append(&self.put_change(put, slot))?;
        Ok((self.publish(reservation, end, durability)?, generation))
    }

    pub(super) fn put_many<B: AsRef<[u8]>>(
        &self,
        all: &[B],
        durability: Durability,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let mut ids = Vec::with_capacity(all.len());
        for some in all.chunks(self.log.longest() as usize / 64) {
            self.put_some(some, durability, &mut ids)?;
        }
        Ok(ids)
    }

    fn put_some<B: AsRef<[u8]>>(
        &self,
        all: &[B],
        durability: Durability,
        ids: &mut Vec<ObjectId>,
    ) -> Result<(), StoreError> {
        let mut reserved = Vec::with_capacity(all.len());
        for bytes in all {
            let reservation = self.reserve(bytes.as_ref().len() as u64)?;
            reserved.push((reservation, bytes.as_ref()));
        }
        let mut in_order: Vec<_> = reserved.iter().collect();
        in_order.sort_unstable_by_key(|(reservation, _)| reservation.extent().offset);
        let mut batch = Batch::new(self);
        for (reservation, payload) in in_order {
            batch.put(reservation, payload)?;
        }
        let changes = batch.finish()?;
        let mut end = 0;
        for change in &changes {
            end = self.append(change)?;
        }
        if let Err(error) = self.commit(end, durability) {
            // Their records may be on the disk: nobody may have the slots.
            reserved.into_iter().for_each(|(reservation, _)| {
                reservation.keep();
            });
            return Err(error);
        }
        let published = reserved
            .into_iter()
            .map(|(reservation, _)| reservation.publish());
        let from = ids.len();
        ids.extend(published);
        if let Some(call) = &self.on_allocate {
            ids[from..].iter().for_each(|id| call(*id));
        }
        Ok(())
    }

    /// Makes the object invisible, and its slot free by and by.
    pub(super) fn delete(&self, id: ObjectId, durability: Durability) -> Result<(), StoreError> {
        self.check_writable()?;
        let changing = self.change(id, How::Delete);
        let hidden = self.allocator.hide(id);
        hidden.map_err(|error| unfreed(id, error))?;
        let rooting = (self.root() == Some(id)).then(|| self.rooting.lock());
        let end = self.append(&Change::Free(vec![id.get()]))?;
        if rooting.is_some() && self.root() == Some(id) {
            // Relaxed: as the load.
            self.root.store(0, Relaxed);
        }
        drop((rooting, changing));
        if self.allocator.is_single(id) {
            self.space.forget_large(1);
        }
        let mut freed = self.freed.lock();
        let at = freed.partition_point(|freed| freed.end <= end);
        freed.insert(at, Freed { end, id });
        let many = freed.len() > MOST_FREES;
        // Relaxed: see `settle`.
        self.frees.store(freed.len(), Relaxed);
        drop(freed);
        self.commit(end, if many { Durability::Group } else { durability })
    }

    /// Where a live object's slot is, for somebody who keeps others from changing it.
    pub(super) fn slot(&self, id: ObjectId) -> Result<Extent, StoreError> {
        self.locate(id, &self.allocator.pin())
    }

    /// New content for objects that the caller alone changes, in one piece.
    pub(super) fn overwrite(
        &self,
        all: Vec<(Extent, Put, Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let (mut records, mut slots) = (Vec::new(), Vec::new());
        for (slot, put, payload, bytes) in all {
            records.push((put, payload));
            slots.push((slot, bytes));
        }
        let change = Change::Overwrite(records);
        let (inside, end) = self.append_inside(&change)?;
        self.log
            .sync(end)
            .map_err(|failed| StoreError::Io(failed.0))?;
        for (slot, bytes) in slots {
            self.write(&bytes, slot.offset.get())?;
        }
        drop(inside);
        self.settle();
        self.checkpoint_by_and_by()
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
        let (inside, end) = self.append_inside(&Change::FromScratch(put, scratch))?;
        self.log
            .sync(end)
            .map_err(|failed| StoreError::Io(failed.0))?;
        copy(&*self.disk, scratch, slot.offset.get()).map_err(|error| self.fail(error))?;
        drop(inside);
        self.later.lock().push((end, Later::Area(taken)));
        self.settle();
        self.checkpoint_by_and_by()
    }

    /// An area for new content that is too long for the journal.
    pub(super) fn scratch(&self, len: u64) -> Result<Area, StoreError> {
        let directory = self.allocator.root().directory();
        let area = self.space.take(directory, len);
        area.map_err(|_| StoreError::NoSpace)
    }

    /// Gives back a scratch area that no record names.
    pub(super) fn give_scratch(&self, area: Area) {
        self.space.give(self.allocator.root().directory(), area);
    }

    /// Whether a record of this length goes through the journal.
    pub(super) fn fits_the_journal(&self, record_len: u64) -> bool {
        record_len <= self.log.longest()
    }

    pub(super) fn journal_room(&self) -> u64 {
        self.log.longest()
    }

    pub(super) fn set_root(&self, id: Option<ObjectId>) -> Result<(), StoreError> {
        self.check_writable()?;
        let changing = id.map(|id| self.change(id, How::Delete));
        if let Some(id) = id {
            self.slot(id)?;
        }
        let rooting = self.rooting.lock();
        let end = self.append(&Change::Root(id.map(ObjectId::get)))?;
        // Relaxed: as the load.
        self.root.store(id.map_or(0, ObjectId::get), Relaxed);
        drop((rooting, changing));
        self.commit(end, self.durability)
    }

    pub(super) fn add_class(&self, size: ByteLen) -> Result<(), StoreError> {
        self.check_writable()?;
        if size.get() < HEADER {
            return Err(StoreError::Option("a slot has at least 16 bytes"));
        }
        let directory = self.allocator.root().directory();
        let room = self.space.room_for_class(directory);
        room.map_err(|_| StoreError::NoSpace)?;
        let added = self.allocator.add_size_class(size);
        added.map_err(|_| StoreError::Option("there is a class of this size, or too many are"))?;
        let end = self.append(&Change::Class(size.get()))?;
        self.commit(end, self.durability)
    }

    // ---------------------------------------------------------------- checkpoints

    fn checkpoint_by_and_by(&self) -> Result<(), StoreError> {
        if self.log.is_half_full()
            && let Some(superblock) = self.superblock.try_lock()
        {
            return self.checkpoint_with(superblock, false);
        }
        Ok(())
    }

    fn make_room_in_the_log(&self) -> Result<(), StoreError> {
        let superblock = self.superblock.lock();
        if !self.log.is_half_full() {
            return Ok(()); // somebody else did
        }
        self.checkpoint_with(superblock, false)
    }

    /// Makes a checkpoint: the journal is empty afterwards.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.checkpoint_with(self.superblock.lock(), false)
    }

    /// The last checkpoint, after which there is no record.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.checkpoint_with(self.superblock.lock(), true)
    }

    fn checkpoint_with(
        &self,
        mut superblock: crate::sync::lock::MutexGuard<'_, Superblock>,
        clean: bool,
    ) -> Result<(), StoreError> {
        let closed = self.gate.close();
        let end = self.log.end();
        drop(closed);
        if end == superblock.lsn && (superblock.clean || !clean) {
            return Ok(()); // somebody else made it meanwhile
        }
        self.log
            .sync(end)
            .map_err(|failed| StoreError::Io(failed.0))?;
        let salt = superblock.salt;
        let next = Next {
            lsn: end,
            salt,
            clean,
        };
        let image = self.next_image(*superblock, next);
        let image = image.map_err(|error| match error {
            StoreError::Io(error) => {
                self.log.fail(Failed(Arc::clone(&error)));
                StoreError::Io(error)
            }
            error => {
                self.log.fail(io::Error::other(error.to_string()).into());
                error
            }
        })?;
        let before = core::mem::replace(&mut *superblock, image.superblock);
        self.log.release(end);
        let directory = self.allocator.root().directory();
        if before.catalogs != superblock.catalogs {
            self.space.give(directory, before.catalogs);
        }
        drop(superblock);
        self.release_until(end);
        self.settle();
        Ok(())
    }

    fn next_image(&self, superblock: Superblock, next: Next) -> Result<Image, StoreError> {
        let disk = &*self.disk;
        let mut image = Image::load(disk, superblock)?;
        let Superblock {
            journal, salt, lsn, ..
        } = superblock;
        let mut reader = Reader::new(disk, journal, salt, lsn);
        while reader.lsn() < next.lsn {
            let lsn = reader.lsn();
            let record = reader.read()?;
            let record = record.ok_or(StoreError::Damaged(Damage::Record { lsn }))?;
            image.apply(disk, &record.change)?;
        }
        image.write(disk, next)?;
        Ok(image)
    }

    /// What waited for a checkpoint at `end` is free now.
    fn release_until(&self, end: u64) {
        let mut later = self.later.lock();
        let (ready, rest) = later.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= end);
        *later = rest;
        drop(later);
        let guard = self.allocator.pin();
        for (_, what) in ready {
            match what {
                Later::Object(id) => drop(self.allocator.reclaim(id, &guard)),
                Later::Area(area) => self.give_scratch(area),
            }
        }
    }

    /// What the caller of `get` finds in place of the slot, in a store that is only read.
    pub(super) fn overlay(&self, id: ObjectId) -> Option<&(Put, Vec<u8>)> {
        let overlay = self.overlay.as_ref()?;
        overlay.iter().find(|(put, _)| put.id == id.get())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever wants to know closes the store.
        let _ = self.close();
    }
}

/// Objects that are written in the order of their slots, neighbours at once.
struct Batch<'a> {
    engine: &'a Engine,
    bytes: Vec<u8>,
    /// Where in the file they begin.
    begin: u64,
    puts: Vec<Put>,
    large: Vec<Change>,
    needs_sync: bool,
}

/// So many bytes are written at once.
const AT_ONCE: usize = 1 << 20;

impl<'a> Batch<'a> {
    fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            bytes: Vec::new(),
            begin: 0,
            puts: Vec::new(),
            large: Vec::new(),
            needs_sync: false,
        }
    }

    fn put(&mut self, slot: &OmniReservation<'_>, payload: &[u8]) -> Result<(), StoreError> {
        let (id, extent) = (slot.id().get(), slot.extent());
        let generation = self.engine.draw_generation();
        let (mut put, bytes) = object::encode(id, generation, payload, layout_of(extent));
        let offset = extent.offset.get();
        if offset != self.begin + self.bytes.len() as u64 || self.bytes.len() >= AT_ONCE {
            self.write()?;
            self.begin = offset;
        }
        let begin = self.bytes.len();
        self.bytes.extend(bytes);
        // Up to the next slot: what is behind an object in its slot is nobody's.
        self.bytes.resize(begin + extent.len.get() as usize, 0);
        put.synced = put.len > SYNCED_FIRST;
        self.needs_sync |= put.synced;
        match self.engine.put_change(put, extent) {
            Change::Put(one) => self.puts.extend(one),
            large => self.large.push(large),
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.engine.write(&self.bytes, self.begin)?;
        self.bytes.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Change>, StoreError> {
        self.write()?;
        if self.needs_sync {
            self.engine.sync_data()?;
        }
        let mut changes = self.large;
        if !self.puts.is_empty() {
            changes.push(Change::Put(self.puts));
        }
        Ok(changes)
    }
}

/// The layout of a slot that the store gave out.
pub(super) fn layout_of(slot: Extent) -> Layout {
    Layout::of_slot(slot.len.get()).expect("every class has room for a header")
}

fn unlocated(id: ObjectId, error: LookupError) -> StoreError {
    match error {
        LookupError::Unknown | LookupError::NeverAllocated => StoreError::Unknown(id),
        LookupError::Reserved => StoreError::NotWritten(id),
        LookupError::Freed | LookupError::Hidden => StoreError::Freed(id),
    }
}

fn unfreed(id: ObjectId, error: FreeError) -> StoreError {
    match error {
        FreeError::Foreign | FreeError::NeverAllocated => StoreError::Unknown(id),
        FreeError::Reserved => StoreError::NotWritten(id),
        _ => StoreError::Freed(id),
    }
}

fn zero(disk: &dyn Disk, area: Area) -> io::Result<()> {
    let zeros = vec![0; (1 << 20).min(area.len as usize)];
    let mut at = 0;
    while at < area.len {
        let part = (area.len - at).min(zeros.len() as u64);
        disk.write_all_at(&zeros[..part as usize], area.offset + at)?;
        at += part;
    }
    Ok(())
}

fn copy(disk: &dyn Disk, from: Area, to: u64) -> io::Result<()> {
    let mut at = 0;
    while at < from.len {
        let part = (from.len - at).min(1 << 20);
        let bytes = disk.read_vec_at(part as usize, from.offset + at)?;
        disk.write_all_at(&bytes, to + at)?;
        at += part;
    }
    Ok(())
}

/// Writes an overwrite that is its slot's last word once more.
fn redo_in_place(disk: &dyn Disk, image: &Image, redo: &Redo) -> Result<(), StoreError> {
    let (Redo::Bytes(put, _) | Redo::Scratch(put, _)) = redo;
    let damage = StoreError::Damaged(Damage::Ids { first: put.id });
    let slot = image.slot_of(put.id).ok_or(damage.clone())?;
    match redo {
        Redo::Bytes(put, payload) => {
            let layout = Layout::of_slot(slot.len).ok_or(damage.clone())?;
            if put.len > layout.capacity {
                return Err(damage);
            }
            let (_, bytes) = object::encode(put.id, put.generation, payload, layout);
            disk.write_all_at(&bytes, slot.offset)?;
        }
        Redo::Scratch(_, area) => {
            if area.len > slot.len || area.end().is_none_or(|end| end > disk.len().unwrap_or(0)) {
                return Err(damage);
            }
            copy(disk, *area, slot.offset)?;
        }
    }
    Ok(())
}

/// The content that an overwrite gives to its slot, whole, as it would stand there.
fn content_of(disk: &dyn Disk, redo: &Redo) -> Result<(Put, Vec<u8>), StoreError> {
    match redo {
        Redo::Bytes(put, payload) => {
            let slot = Layout::slot_for(put.len).and_then(Layout::of_slot);
            let layout = slot.ok_or(StoreError::Damaged(Damage::Ids { first: put.id }))?;
            let (_, bytes) = object::encode(put.id, put.generation, payload, layout);
            Ok((*put, bytes[layout.payload as usize..].to_vec()))
        }
        Redo::Scratch(put, area) => {
            let bytes = disk.read_vec_at(area.len as usize, area.offset)?;
            let begin = bytes.len().saturating_sub(put.len as usize);
            Ok((*put, bytes[begin..].to_vec()))
        }
    }
}

/// An allocator with all that an image names.
fn allocator_of(disk: &dyn Disk, image: &mut Image) -> Result<OmniBlockAllocator, StoreError> {
    let damaged = |_| StoreError::Damaged(Damage::Catalog);
    let mut sizes: Vec<ByteLen> = image.classes.iter().copied().map(ByteLen::new).collect();
    sizes.sort_unstable();
    let classes = SizeClasses::new(sizes);
    let classes = classes.map_err(|_| StoreError::Damaged(Damage::Catalog))?;
    let mut ranges = Vec::new();
    let all: Vec<_> = image.ranges.values().copied().collect();
    for range in all {
        let words = image.words(disk, range)?;
        ranges.push(range_of(
            range.first_id,
            range.slots.into(),
            range.offset,
            range.slot_size,
            true,
            words,
        )?);
    }
    for large in image.large.values() {
        ranges.push(range_of(
            large.id,
            1,
            large.offset,
            large.slot_size,
            false,
            vec![1],
        )?);
    }
    ranges.sort_by_key(|range| range.ids.first());
    let next_id = ObjectId::new(image.superblock.next_id);
    let snapshot = AllocatorSnapshot {
        next_id,
        classes,
        ranges,
    };
    let journal = image.superblock.journal;
    let header = journal.offset + journal.len;
    let builder = OmniBlockAllocator::builder().header(ByteLen::new(header));
    let taken: Vec<Extent> = image.own_areas().into_iter().map(Area::extent).collect();
    builder.restore_beside(&snapshot, &taken).map_err(damaged)
}

fn range_of(
    first: u64,
    slots: u64,
    offset: u64,
    slot_size: u64,
    in_class: bool,
    words: Vec<u64>,
) -> Result<RangeSnapshot, StoreError> {
    let damage = StoreError::Damaged(Damage::Ids { first });
    let ids = ObjectId::new(first).and_then(|first| IdRange::new(first, slots).ok());
    Ok(RangeSnapshot {
        ids: ids.ok_or(damage)?,
        offset: FileOffset::new(offset),
        slot_size: ByteLen::new(slot_size),
        in_class,
        words,
    })
}
