//! Objects read and written piece by piece: those that are larger than memory.
//!
//! # Shape
//! ```text
//! writer     block by block into the slot; header and list last; then the record, as a put has it
//! overwriter the same into a scratch area, from where it is copied once its record is durable
//! reader     verifies a block before it hands out a byte of it
//! ```
//! None holds a guard: each is counted among the open objects, so it is `Send`, and delays the reuse
//! of its own object's slot only.
//!
//! # Checked by
//! `tests/store_stream.rs`; `tests/store_crash.rs`.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::DiskExt;
use super::engine::{Engine, layout_of};
use super::error::StoreError;
use super::format::slot::{BLOCK, Header, Layout, list_bytes};
use super::format::{Area, checksum};
use super::object;
use super::open::How;
use super::options::Durability;
use crate::id::{Extent, ObjectId};

/// So many bytes a writer leaves to others' syncs at most.
const UNSYNCED: u64 = 4 << 20;

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NoSpace => io::ErrorKind::StorageFull,
            StoreError::Corrupt(_) | StoreError::Damaged(_) => io::ErrorKind::InvalidData,
            StoreError::TooLarge { .. } | StoreError::WrongLength { .. } => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

// -------------------------------------------------------------------- writing

/// What a writer's bytes become.
#[derive(Debug)]
enum Target {
    /// An object of this length, or of any that fits, in a reserved slot.
    New { slot: Extent, len: Option<u64> },
    /// The content of an object that had this generation when the writer began.
    Over {
        slot: Extent,
        generation: u32,
        scratch: Area,
    },
}

/// Writes an object piece by piece. It is there after [`finish`](Self::finish), and not before;
/// dropping the writer leaves nothing behind.
#[must_use = "dropping a writer gives up what was written"]
pub struct ObjectWriter {
    engine: Arc<Engine>,
    id: ObjectId,
    /// Nothing once it is done.
    target: Option<Target>,
    /// Where the slot, or what is to become its content, begins.
    begin: u64,
    layout: Layout,
    generation: u64,
    /// A part of a block.
    block: Vec<u8>,
    /// Of the blocks before it.
    list: Vec<u32>,
    unsynced: u64,
    /// It keeps others from writing the id, which they know.
    is_alone: bool,
}

impl ObjectWriter {
    /// For a new object of this length.
    pub(super) fn create(engine: &Arc<Engine>, len: u64) -> Result<Self, StoreError> {
        let reservation = engine.reserve(len)?;
        let slot = reservation.extent();
        let id = reservation.keep();
        Ok(Self::new(
            engine,
            id,
            Target::New {
                slot,
                len: Some(len),
            },
        ))
    }

    /// For the first content of a reserved id.
    pub(super) fn resume(engine: &Arc<Engine>, id: ObjectId) -> Result<Self, StoreError> {
        engine.check_writable()?;
        let changing = engine.try_change(id, How::Overwrite)?;
        match engine.slot(id) {
            Err(StoreError::NotWritten(_)) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(StoreError::Written(id)),
        }
        let reservation = engine.allocator.resume(id);
        let slot = reservation.extent();
        reservation.keep();
        changing.keep();
        let mut writer = Self::new(engine, id, Target::New { slot, len: None });
        writer.is_alone = true;
        Ok(writer)
    }

    /// For other content of an object.
    pub(super) fn over(engine: &Arc<Engine>, id: ObjectId) -> Result<Self, StoreError> {
        engine.check_writable()?;
        engine.slot(id)?;
        let reading = engine.read(id);
        let slot = engine.slot(id)?;
        let generation = engine.generation(id, slot)?;
        drop(reading);
        let scratch = engine.scratch(slot.len.get())?;
        Ok(Self::new(
            engine,
            id,
            Target::Over {
                slot,
                generation,
                scratch,
            },
        ))
    }

    fn new(engine: &Arc<Engine>, id: ObjectId, target: Target) -> Self {
        let (slot, begin) = match &target {
            Target::New { slot, .. } => (*slot, slot.offset.get()),
            Target::Over { slot, scratch, .. } => (*slot, scratch.offset),
        };
        Self {
            generation: engine.draw_generation(),
            engine: Arc::clone(engine),
            id,
            target: Some(target),
            begin,
            layout: layout_of(slot),
            block: Vec::new(),
            list: Vec::new(),
            unsynced: 0,
            is_alone: false,
        }
    }

    /// The id that the object has, or will have.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// How many bytes were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.list.len() as u64 * BLOCK + self.block.len() as u64
    }

    /// How many bytes may be written.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match self.target {
            Some(Target::New { len: Some(len), .. }) => len,
            _ => self.layout.capacity,
        }
    }

    /// Makes what was written the object's content, as durable as the store's options say.
    ///
    /// # Errors
    /// [`StoreError::WrongLength`] if fewer bytes came than were promised;
    /// [`StoreError::Freed`] or [`StoreError::Stale`] if the object that was to get other content is
    /// not there any more, or has other content by now; and as [`MultiStore::put`]. Nothing of it is
    /// visible then.
    ///
    /// [`MultiStore::put`]: crate::MultiStore::put
    pub fn finish(self) -> Result<ObjectId, StoreError> {
        let durability = self.engine.durability;
        self.finish_with(durability)
    }

    /// As [`finish`](Self::finish), with another durability. New content of an object that was
    /// there is always [`Durability::Group`].
    ///
    /// # Errors
    /// As `finish`.
    pub fn finish_with(mut self, durability: Durability) -> Result<ObjectId, StoreError> {
        let found = self.written();
        if let Some(Target::New {
            len: Some(expected),
            ..
        }) = self.target
            && found != expected
        {
            return Err(StoreError::WrongLength { expected, found });
        }
        let header = self.write_rest()?;
        let target = self.target.take().expect("it is not done yet");
        let done = match &target {
            Target::New { .. } => self.publish(header, durability),
            Target::Over {
                slot,
                generation,
                scratch,
            } => self.replace(*slot, *generation, *scratch, header),
        };
        if let Err(error) = done {
            self.target = Some(target);
            return Err(error);
        }
        let (engine, id) = (Arc::clone(&self.engine), self.id);
        drop(self); // what it held of the object
        if matches!(target, Target::New { .. }) {
            engine.tell(id);
        }
        Ok(id)
    }

    /// Writes what is in memory yet: the last block, the list and the header.
    fn write_rest(&mut self) -> Result<Header, StoreError> {
        let low = self.generation as u32;
        let len = self.written();
        if len <= BLOCK {
            // A full block is written by whoever begins the next one.
            let block = core::mem::take(&mut self.block);
            let header = Header::of(self.id.get(), low, &block);
            self.write_at(self.layout.payload, &block)?;
            self.write_at(0, &header.to_bytes())?;
            return Ok(header);
        }
        self.write_block()?;
        let header = Header::of_list(self.id.get(), low, len, &self.list);
        let mut front = header.to_bytes().to_vec();
        front.extend(list_bytes(&self.list));
        self.write_at(0, &front)?;
        Ok(header)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.engine.write(bytes, self.begin + at)?;
        self.unsynced += bytes.len() as u64;
        Ok(())
    }

    /// Writes the block that was collected, if there is one.
    fn write_block(&mut self) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = core::mem::take(&mut self.block);
        let at = self.layout.payload + self.list.len() as u64 * BLOCK;
        self.write_at(at, &block)?;
        self.list.push(checksum(&[&block]));
        block.clear();
        self.block = block;
        if self.unsynced >= UNSYNCED {
            self.engine.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn publish(&self, header: Header, durability: Durability) -> Result<(), StoreError> {
        let engine = &self.engine;
        let mut put = object::put_of(self.id.get(), self.generation, header);
        if put.len > super::engine::SYNCED_FIRST {
            engine.sync_data()?;
            put.synced = true;
        }
        let reservation = engine.allocator.resume(self.id);
        let end = match engine.append(&engine.put_change(put, &reservation)) {
            Ok(end) => end,
            Err(error) => {
                reservation.keep(); // it is given up with the writer
                return Err(error);
            }
        };
        engine.publish(reservation, end, durability)?;
        Ok(())
    }

    fn replace(
        &self,
        slot: Extent,
        generation: u32,
        scratch: Area,
        header: Header,
    ) -> Result<(), StoreError> {
        let engine = &self.engine;
        engine.sync_data()?;
        let _changing = engine.change(self.id, How::Overwrite);
        if engine.slot(self.id)? != slot || engine.generation(self.id, slot)? != generation {
            return Err(StoreError::Stale(self.id));
        }
        let put = object::put_of(self.id.get(), self.generation, header);
        let len = self.layout.payload + put.len;
        engine.overwrite_from(slot, put, Area { len, ..scratch }, scratch)
    }
}

impl Write for ObjectWriter {
    /// Refuses more bytes than there is room for, or than were promised, as a whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (len, capacity) = (self.written() + bytes.len() as u64, self.capacity());
        if len > capacity {
            return Err(StoreError::TooLarge { len, capacity }.into());
        }
        if self.block.len() as u64 == BLOCK {
            self.write_block()?;
        }
        let room = BLOCK as usize - self.block.len();
        let now = &bytes[..bytes.len().min(room)];
        self.block.extend(now);
        Ok(now.len())
    }

    /// Nothing: what was written becomes durable with the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        match self.target.take() {
            // After a failure its record may be on the disk, and nobody may have the slot.
            Some(Target::New { .. }) if self.engine.check_writable().is_ok() => {
                let reservation = self.engine.allocator.resume(self.id);
                self.engine.give_up(reservation);
            }
            Some(Target::Over { scratch, .. }) if self.engine.check_writable().is_ok() => {
                self.engine.give_scratch(scratch);
            }
            _ => {}
        }
        if self.is_alone {
            self.engine.end_change(self.id);
        }
    }
}

impl fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectWriter")
            .field("id", &self.id)
            .field("written", &self.written())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

// -------------------------------------------------------------------- reading

/// What a reader has verified already.
#[derive(Debug)]
enum Content {
    /// All of it.
    Whole(Bytes),
    /// Its list.
    Listed { begin: u64, list: Vec<u32> },
}

/// Reads an object piece by piece, as it was when the reader was opened: an overwrite waits for it,
/// and its slot is not reused before it is dropped.
pub struct ObjectReader {
    engine: Arc<Engine>,
    id: ObjectId,
    len: u64,
    content: Content,
    at: u64,
    /// The block that was read last, and which it is.
    block: Vec<u8>,
    number: Option<u64>,
}

impl ObjectReader {
    pub(super) fn open(engine: &Arc<Engine>, id: ObjectId) -> Result<Self, StoreError> {
        engine.slot(id)?;
        engine.open.read(id);
        // From here on it is counted, and its drop ends that.
        let mut reader = Self {
            engine: Arc::clone(engine),
            id,
            len: 0,
            content: Content::Whole(Bytes::new()),
            at: 0,
            block: Vec::new(),
            number: None,
        };
        reader.look()?;
        Ok(reader)
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let (engine, id) = (&self.engine, self.id);
        if let Some((put, bytes)) = engine.overlay(id)? {
            (self.len, self.content) = (put.len, Content::Whole(bytes.clone()));
            return Ok(());
        }
        let corrupt = StoreError::Corrupt(id);
        let slot = engine.slot(id)?;
        if let Some(content) = engine.pending.find(id) {
            (self.len, self.content) = (content.put.len, Content::Whole(content.payload()));
            return Ok(());
        }
        let layout = layout_of(slot);
        // The header, the list, and what there is of a short object.
        let front = slot.len.get().min(layout.payload + BLOCK);
        let front = engine.disk.read_vec_at(front as usize, slot.offset.get())?;
        let header = object::header_of(&front).ok_or(corrupt.clone())?;
        if header.len > layout.capacity {
            return Err(corrupt);
        }
        self.len = header.len;
        if !header.is_listed() {
            let (_, range) = object::decode(id.get(), &front, layout).ok_or(corrupt)?;
            self.content = Content::Whole(Bytes::from(front).slice(range));
            return Ok(());
        }
        let list = object::list_in(&front, &header, layout).ok_or(corrupt.clone())?;
        if !header.verifies(id.get(), list) {
            return Err(corrupt);
        }
        let sums = list.chunks_exact(4);
        let list = sums.map(|sum| u32::from_le_bytes(sum.try_into().expect("four bytes")));
        let begin = slot.offset.get() + layout.payload;
        self.content = Content::Listed {
            begin,
            list: list.collect(),
        };
        Ok(())
    }

    /// Which object it reads.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// How many bytes the object has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads and verifies the block of this number, unless it was the last one that was.
    fn load(&mut self, number: u64) -> Result<(), StoreError> {
        let Content::Listed { begin, list } = &self.content else {
            return Ok(());
        };
        if self.number == Some(number) {
            return Ok(());
        }
        self.number = None;
        let len = BLOCK.min(self.len - number * BLOCK);
        self.block.resize(len as usize, 0);
        let at = begin + number * BLOCK;
        self.engine.disk.read_exact_at(&mut self.block, at)?;
        if list.get(number as usize) != Some(&checksum(&[&self.block])) {
            return Err(StoreError::Corrupt(self.id));
        }
        self.number = Some(number);
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.len || buffer.is_empty() {
            return Ok(0);
        }
        self.load(self.at / BLOCK)?;
        let rest = match &self.content {
            Content::Whole(bytes) => &bytes[self.at as usize..],
            Content::Listed { .. } => &self.block[(self.at % BLOCK) as usize..],
        };
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        self.engine.end_read(self.id);
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader")
            .field("id", &self.id)
            .field("len", &self.len)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
