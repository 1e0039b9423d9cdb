//! The store, as its users see it.
//!
//! # Progress
//! `extent_in` is wait-free, `extent` lock-free; neither touches the disk. `get` blocks on one read;
//! what writes blocks on the disk and on whoever leads the journal.
//!
//! # Checked by
//! `loom-tests/store_engine.rs`; `tests/store.rs`; `tests/store_misuse.rs`; `tests/store_mended.rs`;
//! `tests/store_shared.rs`; `tests/store_threads.rs`; `tests/store_sweeps.rs`; `proptests/store.rs`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::DiskExt;
use super::engine::{Engine, layout_of};
use super::error::StoreError;
use super::format::record::{Change, Put};
use super::format::slot::{HEADER, MAX_LEN};
use super::object;
use super::open::How;
use super::options::{Durability, StoreOptions};
use super::overwrite::Overwrite;
use super::stream::{ObjectReader, ObjectWriter};
use crate::id::{ByteLen, Extent, FileOffset, ObjectId};
use crate::sync::epoch::Guard;

/// Slots of so many bytes are read on the stack, and their payload copied.
const SMALL: usize = 512;

/// What an object was when it was written: every write of a slot has another one.
///
/// 32 bits of a counter: after 2^32 writes to the store one comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(u32);

impl Generation {
    /// As a plain number, to be kept beside an id.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for Generation {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

/// Objects in one file: ids to bytes, crash-safe, without a map.
///
/// An id is an address: offset and size of an object are derived from it, so a store of millions of
/// objects has a few bits of memory for each. A handle; clones are of the same store.
///
/// **An id whose object was deleted** is an error until its slot is given out again, and then names
/// the new object: keep a [`Generation`] beside it where that matters.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use mapless::MultiStore;
/// let path = dir.path().join("objects");
/// let store = MultiStore::create(&path)?;
/// let id = store.put(b"durable before put returns")?;
/// store.set_root(Some(id))?;
/// drop(store);
///
/// let store = MultiStore::open(&path)?;
/// let id = store.root().expect("it was set");
/// assert_eq!(store.get(id)?, &b"durable before put returns"[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MultiStore {
    engine: Arc<Engine>,
}

impl MultiStore {
    pub(super) fn over(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Makes a store where there is no file; see [`StoreOptions::create`].
    ///
    /// # Errors
    /// As there.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        StoreOptions::new().create(path)
    }

    /// Opens the store in a file; see [`StoreOptions::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        StoreOptions::new().open(path)
    }

    /// Opens the store in a file for reading; see [`StoreOptions::open_read_only`].
    ///
    /// # Errors
    /// As there.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        StoreOptions::new().open_read_only(path)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    // ---------------------------------------------------------------- objects

    /// Puts an object; it is there, as durable as the store's options say, when this returns.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::NoSpace`], and what says that the store is read-only;
    /// nothing has changed then. [`StoreError::Io`]: nobody knows, and the store is read-only.
    #[doc(alias = "NewObj")]
    pub fn put(&self, bytes: impl AsRef<[u8]>) -> Result<ObjectId, StoreError> {
        self.put_with(bytes, self.engine.durability)
    }

    /// As [`put`](Self::put), with another durability.
    ///
    /// # Errors
    /// As `put`.
    pub fn put_with(
        &self,
        bytes: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<ObjectId, StoreError> {
        Ok(self.engine.put(bytes.as_ref(), durability)?.0)
    }

    /// As [`put`](Self::put), with the store's durability; with what tells the object from those that
    /// have its id later.
    ///
    /// # Errors
    /// As `put`.
    pub fn put_versioned(
        &self,
        bytes: impl AsRef<[u8]>,
    ) -> Result<(ObjectId, Generation), StoreError> {
        self.put_versioned_with(bytes, self.engine.durability)
    }

    /// As [`put_versioned`](Self::put_versioned), with another durability than the store's.
    ///
    /// # Errors
    /// As `put`.
    pub fn put_versioned_with(
        &self,
        bytes: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<(ObjectId, Generation), StoreError> {
        let (id, generation) = self.engine.put(bytes.as_ref(), durability)?;
        Ok((id, Generation(generation as u32)))
    }

    /// An object's bytes, all of them and no more, as they were written.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::NotWritten`], [`StoreError::Freed`],
    /// [`StoreError::Corrupt`], [`StoreError::Io`].
    ///
    /// # Progress
    /// Blocks on one read; where it meets an overwrite of this object, on that.
    #[doc(alias = "LateReadObj")]
    pub fn get(&self, id: ObjectId) -> Result<Bytes, StoreError> {
        Ok(self.read(id)?.1)
    }

    /// As [`get`](Self::get), of exactly the object that had this generation.
    ///
    /// # Errors
    /// As `get`, and [`StoreError::Stale`] if the id names another object by now, or other content.
    pub fn get_version(&self, id: ObjectId, generation: Generation) -> Result<Bytes, StoreError> {
        let (found, bytes) = self.read(id)?;
        if found == generation {
            Ok(bytes)
        } else {
            Err(StoreError::Stale(id))
        }
    }

    /// What tells the object that an id names now from others that it names later.
    ///
    /// # Errors
    /// As [`get`](Self::get), which it is.
    pub fn generation(&self, id: ObjectId) -> Result<Generation, StoreError> {
        Ok(self.read(id)?.0)
    }

    fn read(&self, id: ObjectId) -> Result<(Generation, Bytes), StoreError> {
        let engine = &*self.engine;
        if let Some((put, bytes)) = engine.overlay(id)? {
            return Ok((Generation(put.generation as u32), bytes.clone()));
        }
        if let Some(found) = self.try_read(id)? {
            return Ok(found);
        }
        // An overwrite was in the way, or it is damage: once more, with overwrites kept out.
        let reading = engine.read(id);
        let found = self.try_read(id)?;
        drop(reading);
        found.ok_or(StoreError::Corrupt(id))
    }

    fn try_read(&self, id: ObjectId) -> Result<Option<(Generation, Bytes)>, StoreError> {
        let engine = &*self.engine;
        let guard = engine.allocator.pin();
        let slot = engine.locate(id, &guard)?;
        if let Some(content) = engine.pending.find(id) {
            let generation = Generation(content.put.generation as u32);
            return Ok(Some((generation, content.payload())));
        }
        let len = slot.len.get() as usize;
        let mut small = [0; SMALL];
        if let Some(small) = small.get_mut(..len) {
            engine.disk.read_exact_at(small, slot.offset.get())?;
            drop(guard);
            let found = object::decode(id.get(), small, layout_of(slot));
            return Ok(found.map(|(header, range)| {
                let bytes = Bytes::copy_from_slice(&small[range]);
                (Generation(header.generation), bytes)
            }));
        }
        let bytes = engine.disk.read_vec_at(len, slot.offset.get())?;
        drop(guard);
        let found = object::decode(id.get(), &bytes, layout_of(slot));
        Ok(found.map(|(header, range)| {
            let bytes = Bytes::from(bytes).slice(range);
            (Generation(header.generation), bytes)
        }))
    }

    /// Deletes an object: nobody finds it any more, and its id is an error until it is given out
    /// again. What is open stays readable. If it is the root object, there is none afterwards.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::NotWritten`], [`StoreError::Freed`], and as
    /// [`put`](Self::put).
    #[doc(alias = "DeleteObj")]
    pub fn delete(&self, id: ObjectId) -> Result<(), StoreError> {
        self.delete_with(id, self.engine.durability)
    }

    /// As [`delete`](Self::delete), with another durability.
    ///
    /// # Errors
    /// As `delete`.
    pub fn delete_with(&self, id: ObjectId, durability: Durability) -> Result<(), StoreError> {
        self.engine.delete(id, durability)
    }

    /// Gives an object other bytes, as many as its slot holds or fewer, as durable as the store's
    /// options say. Whoever reads meanwhile sees the old ones or the new ones, and after a crash it
    /// is the same.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`put`](Self::put); [`StoreError::TooLarge`] says how many fit.
    ///
    /// # Progress
    /// Waits for this object's open readers, and for other changes of it. Readers that overlap, one
    /// after the other, may keep it waiting for as long as they come.
    #[doc(alias = "WriteToObj")]
    pub fn overwrite(&self, id: ObjectId, bytes: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.overwrite_with(id, bytes, self.engine.durability)
    }

    /// As [`overwrite`](Self::overwrite), with another durability. Bytes that need not be durable
    /// yet wait in memory, where readers find them, until somebody syncs: a mebibyte of them and one
    /// object at most, beyond which an overwrite syncs by itself. One that is longer than that, or than a
    /// quarter of the journal, is always [`Durability::Group`].
    ///
    /// # Errors
    /// As `overwrite`.
    pub fn overwrite_with(
        &self,
        id: ObjectId,
        bytes: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.engine.check_writable()?;
        self.engine.slot(id)?;
        let _changing = self.engine.change(id, How::Overwrite);
        self.overwrite_alone(id, bytes.as_ref(), durability)
    }

    /// As [`overwrite`](Self::overwrite), with the store's durability, without waiting for this
    /// object's readers.
    ///
    /// # Errors
    /// As `overwrite`, and [`StoreError::Busy`] if somebody reads or changes the object.
    pub fn try_overwrite(&self, id: ObjectId, bytes: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.try_overwrite_with(id, bytes, self.engine.durability)
    }

    /// As [`try_overwrite`](Self::try_overwrite), with another durability than the store's.
    ///
    /// # Errors
    /// As `try_overwrite`.
    pub fn try_overwrite_with(
        &self,
        id: ObjectId,
        bytes: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.engine.check_writable()?;
        let _changing = self.engine.try_change(id, How::Overwrite)?;
        self.overwrite_alone(id, bytes.as_ref(), durability)
    }

    fn overwrite_alone(
        &self,
        id: ObjectId,
        payload: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let engine = &*self.engine;
        let (slot, put, bytes) = self.encoded(id, payload)?;
        let change = Change::record_len_of_overwrite(payload.len() as u64);
        if engine.fits_the_journal(change) {
            let payload = payload.to_vec();
            let one = Overwrite {
                slot,
                put,
                payload,
                bytes,
            };
            return engine.overwrite(vec![one], durability);
        }
        let area = engine.scratch(bytes.len() as u64)?;
        engine.write(&bytes, area.offset)?;
        engine.sync_data()?;
        let scratch = super::format::Area {
            len: bytes.len() as u64,
            ..area
        };
        engine.overwrite_from(slot, put, scratch, area)
    }

    /// The slot of a live object, and what new content would be there.
    fn encoded(&self, id: ObjectId, payload: &[u8]) -> Result<(Extent, Put, Vec<u8>), StoreError> {
        let slot = self.engine.slot(id)?;
        let layout = layout_of(slot);
        if payload.len() as u64 > layout.capacity {
            let (len, capacity) = (payload.len() as u64, layout.capacity);
            return Err(StoreError::TooLarge { len, capacity });
        }
        let generation = self.engine.draw_generation();
        let (put, bytes) = object::encode(id.get(), generation, payload, layout);
        Ok((slot, put, bytes))
    }

    /// Overwrites several objects, as durable as the store's options say: after a crash all have their
    /// new bytes, or none. For readers each object changes by itself.
    ///
    /// # Errors
    /// As [`overwrite`](Self::overwrite), before anything has changed; [`StoreError::Invalid`] if an
    /// object is named twice; [`StoreError::TooLarge`] if all together do not fit into a quarter of
    /// the journal.
    #[doc(alias = "WriteBatchedObjs")]
    pub fn write_batch<B: AsRef<[u8]>>(&self, batch: &[(ObjectId, B)]) -> Result<(), StoreError> {
        self.write_batch_with(batch, self.engine.durability)
    }

    /// As [`write_batch`](Self::write_batch), with another durability than the store's.
    ///
    /// # Errors
    /// As `write_batch`.
    pub fn write_batch_with<B: AsRef<[u8]>>(
        &self,
        batch: &[(ObjectId, B)],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let engine = &*self.engine;
        engine.check_writable()?;
        let mut sorted: Vec<_> = batch
            .iter()
            .map(|(id, bytes)| (*id, bytes.as_ref()))
            .collect();
        sorted.sort_by_key(|(id, _)| *id);
        if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(StoreError::Invalid("a batch names an object once"));
        }
        let lens = sorted.iter().map(|(_, bytes)| bytes.len() as u64);
        let len = lens.map(Change::record_len_of_overwrite).sum();
        if !engine.fits_the_journal(len) {
            let capacity = engine.journal_room();
            return Err(StoreError::TooLarge { len, capacity });
        }
        let ids: Vec<ObjectId> = sorted.iter().map(|(id, _)| *id).collect();
        let changing = engine.change_all(&ids)?;
        let all = sorted.iter().map(|(id, payload)| {
            let (slot, put, bytes) = self.encoded(*id, payload)?;
            let payload = payload.to_vec();
            Ok(Overwrite {
                slot,
                put,
                payload,
                bytes,
            })
        });
        let all = all.collect::<Result<Vec<_>, StoreError>>()?;
        let done = if all.is_empty() {
            Ok(())
        } else {
            engine.overwrite(all, durability)
        };
        drop(changing);
        done
    }

    // ---------------------------------------------------------------- piece by piece, and many

    /// An id, and a slot for so many bytes, for an object that comes later: until its first writer
    /// has finished it is [`StoreError::NotWritten`] and not counted, and gone if the store is closed
    /// before that.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn allocate(&self, len: u64) -> Result<ObjectId, StoreError> {
        Ok(self.engine.reserve(len)?.keep())
    }

    /// `n` ids as [`allocate`](Self::allocate) gives one; of a class of slots with room for them,
    /// neighbours for the most part.
    ///
    /// # Errors
    /// As `put`; none is reserved then. Where they are more than the disk has room for, the file has
    /// grown when [`StoreError::NoSpace`] is told.
    #[doc(alias = "AllocateRun")]
    pub fn allocate_run(&self, n: usize, len: u64) -> Result<Vec<ObjectId>, StoreError> {
        // So many that no disk has room for them are refused before any is reserved.
        let all = len.max(1).saturating_mul(n as u64);
        if all > MAX_LEN {
            let (len, capacity) = (all, MAX_LEN);
            return Err(StoreError::TooLarge { len, capacity });
        }
        let all = self.engine.reserve_all(len, n)?;
        let ids = all.iter().map(|(id, _, _)| id).collect();
        all.keep();
        Ok(ids)
    }

    /// Writes the first content of an id that was reserved, as many bytes as its slot holds or
    /// fewer. Dropped unfinished, it gives the id up.
    ///
    /// # Errors
    /// [`StoreError::Written`], [`StoreError::Busy`] if it has a writer, and as
    /// [`put`](Self::put).
    #[doc(alias = "LateWriteNewObj")]
    pub fn writer(&self, id: ObjectId) -> Result<ObjectWriter, StoreError> {
        ObjectWriter::resume(&self.engine, id)
    }

    /// A new object of this length, to be written piece by piece. A writer's unsynced bytes are 4 MiB
    /// at most, so that others' syncs do not wait for it.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn create_writer(&self, len: u64) -> Result<(ObjectId, ObjectWriter), StoreError> {
        let writer = ObjectWriter::create(&self.engine, len)?;
        Ok((writer.id(), writer))
    }

    /// Other content for an object, piece by piece, as many bytes as its slot holds or fewer. The
    /// old content stays until the writer has finished, and takes as much room again.
    ///
    /// # Errors
    /// As [`overwrite`](Self::overwrite).
    pub fn overwriter(&self, id: ObjectId) -> Result<ObjectWriter, StoreError> {
        ObjectWriter::over(&self.engine, id)
    }

    /// Reads an object piece by piece.
    ///
    /// # Errors
    /// As [`get`](Self::get). What is damaged behind the first 64 KiB is told where it is read.
    ///
    /// # Progress
    /// Waits for an overwrite of this object that has begun, and not for one that waits for readers;
    /// overwrites wait for the reader. So a thread that overwrites what it reads waits for ever, and so
    /// do two of which each overwrites what the other one reads.
    pub fn reader(&self, id: ObjectId) -> Result<ObjectReader, StoreError> {
        ObjectReader::open(&self.engine, id)
    }

    /// Puts many objects, as durable as the store's options say: their bytes in as few writes as their
    /// slots allow, their records in one.
    ///
    /// # Errors
    /// As [`put`](Self::put). Records of so many that they do not fit into a quarter of the journal, and
    /// those of large objects, are several: after [`StoreError::Io`] between them some objects may be
    /// there, at once or when the store is opened anew.
    pub fn put_many<B: AsRef<[u8]>>(&self, all: &[B]) -> Result<Vec<ObjectId>, StoreError> {
        self.engine.put_many(all, self.engine.durability)
    }

    /// As [`put_many`](Self::put_many), with another durability than the store's.
    ///
    /// # Errors
    /// As `put_many`.
    pub fn put_many_with<B: AsRef<[u8]>>(
        &self,
        all: &[B],
        durability: Durability,
    ) -> Result<Vec<ObjectId>, StoreError> {
        self.engine.put_many(all, durability)
    }

    /// How many objects are open: those that have readers, or are being changed.
    #[must_use]
    pub fn open_objects(&self) -> usize {
        self.engine.open.len()
    }

    // ---------------------------------------------------------------- what there is

    /// Where an object's bytes may stand in the file, and how many they may be: its capacity.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::NotWritten`], [`StoreError::Freed`].
    ///
    /// # Progress
    /// Wait-free.
    #[doc(alias = "GetObjectInfo")]
    pub fn extent_in(&self, id: ObjectId, guard: &Guard) -> Result<Extent, StoreError> {
        let slot = self.engine.locate(id, guard)?;
        let layout = layout_of(slot);
        let offset = FileOffset::new(slot.offset.get() + layout.payload);
        Ok(Extent::new(offset, ByteLen::new(layout.capacity)))
    }

    /// As [`extent_in`](Self::extent_in); pins by itself.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Progress
    /// Lock-free.
    pub fn extent(&self, id: ObjectId) -> Result<Extent, StoreError> {
        self.extent_in(id, &self.pin())
    }

    /// A guard for [`extent_in`](Self::extent_in); as long as it lives, no slot that it may have
    /// looked up is reused.
    pub fn pin(&self) -> Guard {
        self.engine.allocator.pin()
    }

    /// How many bytes an object has: one read of its slot's header, which is not verified.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn object_len(&self, id: ObjectId) -> Result<u64, StoreError> {
        let engine = &*self.engine;
        if let Some((put, _)) = engine.overlay(id)? {
            return Ok(put.len);
        }
        let guard = engine.allocator.pin();
        let slot = engine.locate(id, &guard)?;
        if let Some(content) = engine.pending.find(id) {
            return Ok(content.put.len);
        }
        let bytes = engine
            .disk
            .read_vec_at(HEADER as usize, slot.offset.get())?;
        let header = object::header_of(&bytes).expect("as many bytes as a header has");
        if header.len > layout_of(slot).capacity {
            return Err(StoreError::Corrupt(id));
        }
        Ok(header.len)
    }

    /// How many objects there are; exact at rest.
    #[must_use]
    #[doc(alias = "GetObjectCount")]
    pub fn len(&self) -> u64 {
        self.engine.allocator.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of all objects, ascending. Those that come or go meanwhile may be among them.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.engine.allocator.iter()
    }

    /// The object by which an application finds its own data again, if it has set one.
    #[must_use]
    #[doc(alias = "PrimeObject")]
    pub fn root(&self) -> Option<ObjectId> {
        self.engine.root()
    }

    /// Sets the root object.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`put`](Self::put).
    pub fn set_root(&self, id: Option<ObjectId>) -> Result<(), StoreError> {
        self.engine.set_root(id)
    }

    /// Adds a size of slots, a header of 16 bytes included.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if there is one of this size, or too many, or it is too small; and as
    /// [`put`](Self::put).
    pub fn add_size_class(&self, size: ByteLen) -> Result<(), StoreError> {
        self.engine.add_class(size)
    }

    // ---------------------------------------------------------------- durability

    /// Waits until everything that was acknowledged so far survives a loss of power.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn sync(&self) -> Result<(), StoreError> {
        self.engine.sync()
    }

    /// Writes down what there is, and empties the journal. Happens by itself when that is half full,
    /// and when the store is closed.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.engine.checkpoint()
    }

    /// Lets slots of deleted objects be given out again now, as far as their deletion is durable and
    /// nobody reads them; else they come back by and by.
    ///
    /// # Progress
    /// Blocks on each class's lock for a short time, and not on the disk.
    pub fn collect(&self) {
        self.engine.collect();
    }

    /// Closes the store, if this is the last of its handles, readers and writers; else a checkpoint. What
    /// a drop does, which tells no error.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn close(self) -> Result<(), StoreError> {
        match self.engine.check_writable() {
            Err(StoreError::OpenedReadOnly) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => match Arc::try_unwrap(self.engine) {
                Ok(engine) => engine.close(),
                Err(engine) => engine.checkpoint(),
            },
        }
    }

    /// The longest object that any store takes, if its disk has room.
    pub const MAX_LEN: u64 = MAX_LEN;
}

impl fmt::Debug for MultiStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiStore")
            .field("objects", &self.len())
            .field("durability", &self.engine.durability)
            .field("read_only", &self.engine.is_read_only())
            .finish_non_exhaustive()
    }
}
