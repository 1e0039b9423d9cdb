//! One open store: its disk, its journal, its allocator, and the ways between them.
//!
//! # Shape
//! ```text
//! put        slot <- bytes, then its record, then the sync that both share, then it is published
//! overwrite  record with the bytes, sync, then slot <- bytes: see `overwrite.rs`
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

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::care::StoreStats;
use super::disk::{Disk, DiskExt};
use super::error::StoreError;
use super::format::record::{Change, Put};
use super::format::slot::{HEADER, Layout, MAX_LEN};
use super::format::superblock::Superblock;
use super::format::{Area, catalog};
use super::gate::Gate;
use super::log::{Class, Failed, Log, Refused};
use super::object;
use super::open::{How, Open};
use super::options::Durability;
use super::pending::Pending;
use super::space::Space;
use crate::alloc::{FreeError, LookupError, OmniBlockAllocator, OmniReservation};
use crate::id::{ByteLen, Extent, ObjectId};
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
pub(super) struct Freed {
    pub(super) end: u64,
    pub(super) id: ObjectId,
}

/// What becomes free with the next checkpoint that has seen its record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Later {
    Object(ObjectId),
    Area(Area),
}

/// Content that belongs into a slot; none where it is damaged.
pub(super) type Overlaid = (Put, Option<Bytes>);

/// One open store.
pub(super) struct Engine {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) log: Arc<Log>,
    pub(super) space: Arc<Space>,
    pub(super) allocator: OmniBlockAllocator,
    pub(super) open: Open,
    pub(super) gate: Gate,
    /// Contents that belong into their slots once their records are durable.
    pub(super) pending: Pending,
    /// Drawn so far.
    pub(super) generations: AtomicU64,
    /// The root object, 0 for none; changes under `rooting`.
    pub(super) root: AtomicU64,
    pub(super) rooting: Mutex<()>,
    /// Taken by whoever adds a class.
    pub(super) classing: Mutex<()>,
    pub(super) freed: Mutex<VecDeque<Freed>>,
    /// How many are in `freed`: whether it is worth a look.
    pub(super) frees: AtomicUsize,
    pub(super) later: Mutex<Vec<(u64, Later)>>,
    /// The one that recovery would choose now. Whoever has the lock makes the checkpoint.
    pub(super) superblock: Mutex<Superblock>,
    /// Since the store was opened.
    pub(super) checkpoints: AtomicU64,
    pub(super) durability: Durability,
    pub(super) on_allocate: Option<Callback>,
    /// Contents that belong into their slots, of a store that is only read.
    pub(super) overlay: Option<HashMap<u64, Overlaid>>,
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

/// Somebody reads an object.
pub(super) struct Reading<'a> {
    engine: &'a Engine,
    id: ObjectId,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.engine.end_read(self.id);
    }
}

impl Engine {
    // ---------------------------------------------------------------- what others need

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
        self.draw_generations(1)
    }

    /// Draws so many in a row; the first.
    pub(super) fn draw_generations(&self, n: u64) -> u64 {
        // Relaxed: numbers that nobody else has.
        self.generations.fetch_add(n, Relaxed)
    }

    /// The slot of a live object.
    pub(super) fn locate(&self, id: ObjectId, guard: &Guard) -> Result<Extent, StoreError> {
        let located = self.allocator.locate_in(id, guard);
        located.map_err(|error| unlocated(id, error))
    }

    /// Waits for an overwrite of the object, and keeps others from it.
    pub(super) fn read(&self, id: ObjectId) -> Reading<'_> {
        self.open.read(id);
        Reading { engine: self, id }
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

    /// Keeps others from all of these objects; waits for one of them only while it keeps nobody from
    /// any.
    pub(super) fn change_all(&self, ids: &[ObjectId]) -> Result<Vec<Changing<'_>>, StoreError> {
        loop {
            ids.iter().try_for_each(|id| self.slot(*id).map(drop))?;
            let all = ids.iter().map(|id| self.try_change(*id, How::Overwrite));
            match all.collect::<Result<Vec<_>, StoreError>>() {
                Ok(all) => return Ok(all),
                Err(StoreError::Busy(id)) => drop(self.change(id, How::Overwrite)),
                Err(error) => return Err(error),
            }
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

    /// Waits until what ends here survives what it is to survive.
    pub(super) fn commit(&self, end: u64, durability: Durability) -> Result<(), StoreError> {
        self.survive(end, durability)?;
        self.settle();
        self.checkpoint_by_and_by();
        Ok(())
    }

    /// As `commit`, and sees to nothing that waited for it.
    pub(super) fn survive(&self, end: u64, durability: Durability) -> Result<(), StoreError> {
        let done = match durability {
            Durability::None => Ok(()),
            Durability::Buffered => self.log.write(end),
            Durability::Group => self.log.sync(end),
        };
        done.map_err(|failed| StoreError::Io(failed.0))
    }

    /// Waits until everything so far is durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.commit(self.log.end(), Durability::Group)
    }

    /// Slots whose ends are durable, and that nobody reads, are free now.
    pub(super) fn collect(&self) {
        self.settle();
        self.allocator.collect();
    }

    /// Hands over the slots whose ends are durable by now, and writes the contents in place whose
    /// records are.
    pub(super) fn settle(&self) {
        self.settle_frees();
        self.move_durable();
    }

    fn settle_frees(&self) {
        // Relaxed: whether it is worth a look; whoever adds one settles after it.
        if self.frees.load(Relaxed) == 0 {
            return;
        }
        let durable = self.log.durable();
        let mut freed = self.freed.lock();
        let n = freed.partition_point(|freed| freed.end <= durable);
        // An empty queue keeps no room.
        let ready = if n == freed.len() {
            core::mem::take(&mut *freed)
        } else {
            freed.drain(..n).collect()
        };
        // Relaxed: as above.
        self.frees.store(freed.len(), Relaxed);
        drop(freed);
        for Freed { id, end } in ready {
            self.pending.discard(id);
            if self.open.free(id) {
                self.reuse_after(id, end);
            }
        }
    }

    /// Nobody has the object open any more, and its end was durable before.
    fn reuse(&self, id: ObjectId) {
        self.reuse_after(id, self.log.durable());
    }

    /// Nobody has the object open, whose record ends at `end` and is durable.
    fn reuse_after(&self, id: ObjectId, end: u64) {
        if self.allocator.is_single(id) {
            self.space.forget_large();
            self.later.lock().push((end, Later::Object(id)));
            return;
        }
        let guard = self.allocator.pin();
        let reclaimed = self.allocator.reclaim(id, &guard);
        debug_assert_eq!(reclaimed, Ok(()));
    }

    pub(super) fn end_read(&self, id: ObjectId) {
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
                    Some(StoreError::NoSpace) if self.finish_frees()? => {}
                    Some(error) => return Err(error),
                    None => self.make_room_in_the_log()?,
                },
            }
        }
    }

    /// Gives a slot back that nothing was put into.
    pub(super) fn give_up(&self, reservation: OmniReservation<'_>) {
        if reservation.is_single() {
            self.space.forget_large();
        }
        reservation.cancel();
    }

    /// Puts to use what waits for a sync or a checkpoint only; whether there was something.
    fn finish_frees(&self) -> Result<bool, StoreError> {
        let waits = || self.freed.lock().len() + self.later.lock().len();
        let before = waits();
        if before > 0 {
            let synced = self.log.sync(self.log.end());
            synced.map_err(|failed| StoreError::Io(failed.0))?;
            self.settle();
            self.checkpoint()?;
        }
        Ok(waits() < before)
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

    /// The record of a new object in a slot that is of no class.
    pub(super) fn large_change(&self, put: Put, extent: Extent) -> Change {
        let large = catalog::Large {
            id: put.id,
            offset: extent.offset.get(),
            slot_size: extent.len.get(),
        };
        Change::PutLarge(put, large)
    }

    /// The record of a new object in a slot.
    pub(super) fn put_change(&self, put: Put, slot: &OmniReservation<'_>) -> Change {
        if slot.is_single() {
            return self.large_change(put, slot.extent());
        }
        Change::Put(vec![put])
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
        Ok(reservation.publish())
    }

    /// Says that there is a new object: under no lock, and with nothing held of it.
    pub(super) fn tell(&self, id: ObjectId) {
        if let Some(call) = &self.on_allocate {
            call(id);
        }
    }

    /// As `tell`, of many; a panic is passed on when all were told.
    pub(super) fn tell_all(&self, ids: &[ObjectId]) {
        let panics = ids.iter().filter_map(|id| {
            let told = catch_unwind(AssertUnwindSafe(|| self.tell(*id)));
            told.err()
        });
        if let Some(payload) = panics.collect::<Vec<_>>().into_iter().next() {
            resume_unwind(payload);
        }
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
        let end = self.append(&self.put_change(put, &reservation))?;
        let id = self.publish(reservation, end, durability)?;
        self.tell(id);
        Ok((id, generation))
    }

    /// Makes the object invisible, and its slot free by and by.
    pub(super) fn delete(&self, id: ObjectId, durability: Durability) -> Result<(), StoreError> {
        self.check_writable()?;
        self.slot(id)?;
        let changing = self.change(id, How::Delete);
        self.slot(id)?;
        let rooting = (self.root() == Some(id)).then(|| self.rooting.lock());
        // Its record first: where there is none, it is not hidden either.
        let end = self.append(&Change::Free(vec![id.get()]))?;
        let hidden = self.allocator.hide(id);
        hidden.map_err(|error| unfreed(id, error))?;
        if rooting.is_some() && self.root() == Some(id) {
            // Relaxed: as the load.
            self.root.store(0, Relaxed);
        }
        drop((rooting, changing));
        let mut freed = self.freed.lock();
        let at = freed.partition_point(|freed| freed.end <= end);
        freed.insert(at, Freed { end, id });
        let many = freed.len() >= MOST_FREES;
        // Relaxed: see `settle`.
        self.frees.store(freed.len(), Relaxed);
        drop(freed);
        self.commit(end, if many { Durability::Group } else { durability })
    }

    /// Where a live object's slot is, for somebody who keeps others from changing it.
    pub(super) fn slot(&self, id: ObjectId) -> Result<Extent, StoreError> {
        self.locate(id, &self.allocator.pin())
    }

    /// An area for new content that is too long for the journal.
    pub(super) fn scratch(&self, len: u64) -> Result<Area, StoreError> {
        let directory = self.allocator.root().directory();
        loop {
            match self.space.take(directory, len) {
                Ok(area) => return Ok(area),
                Err(_) if self.finish_frees()? => self.allocator.root().collect(),
                Err(_) => return Err(StoreError::NoSpace),
            }
        }
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
        if let Some(id) = id {
            self.slot(id)?;
        }
        // As a deletion, which it keeps out.
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
        check_class(size)?;
        let _one_at_a_time = self.classing.lock();
        let cannot = StoreError::Invalid("there is a class of this size, or too many are");
        if !self.allocator.can_add_size_class(size) {
            return Err(cannot);
        }
        let directory = self.allocator.root().directory();
        let room = self.space.room_for_class(directory);
        room.map_err(|_| StoreError::NoSpace)?;
        // Its record first: those of its ranges come behind.
        let end = self.append(&Change::Class(size.get()))?;
        let added = self.allocator.add_size_class(size);
        added.map_err(|_| cannot)?;
        self.commit(end, self.durability)
    }

    pub(super) fn stats(&self) -> Result<StoreStats, StoreError> {
        let (journal, syncs) = self.log.figures();
        Ok(StoreStats {
            objects: self.allocator.len(),
            slots: self.allocator.capacity(),
            open_objects: self.open.len(),
            waiting: self.freed.lock().len() + self.later.lock().len(),
            journal,
            // Relaxed: a figure.
            checkpoints: self.checkpoints.load(Relaxed),
            syncs,
            pending: self.pending.bytes(),
            memory: self.allocator.memory() + size_of::<Self>(),
            file_len: self.disk.len()?,
        })
    }

    /// What the caller of `get` finds in place of the slot, in a store that is only read.
    pub(super) fn overlay(&self, id: ObjectId) -> Result<Option<(&Put, &Bytes)>, StoreError> {
        let found = self.overlay.as_ref().and_then(|all| all.get(&id.get()));
        match found {
            None => Ok(None),
            Some((_, None)) => Err(StoreError::Corrupt(id)),
            Some((put, Some(bytes))) => Ok(Some((put, bytes))),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever wants to know closes the store.
        let _ = self.close();
    }
}

/// Whether slots of this size hold objects.
pub(super) fn check_class(size: ByteLen) -> Result<(), StoreError> {
    if size.get() < HEADER {
        return Err(StoreError::Invalid("a slot has at least 16 bytes"));
    }
    if Layout::slot_for(MAX_LEN).is_none_or(|most| size.get() > most) {
        return Err(StoreError::Invalid("no object needs so large a slot"));
    }
    Ok(())
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
