//! The journal: records one behind the other, written and synced in groups.
//!
//! # Shape
//! ```text
//! ring   [ .. released | .. durable | .. written | buffer .. next | free .. ]
//!          ^ needed since the last checkpoint
//! ```
//! An LSN is a position that only grows; its place in the ring is its remainder. Whoever commits
//! becomes the leader of all that was appended before: it writes and syncs for those who wait.
//! Those who were just served would always miss the next sync, for its leader is awake before them:
//! it lets them run first, for as long as they come.
//!
//! # Invariants
//! * L1  `released <= durable <= written <= next`, and `next - released` is at most the ring.
//! * L2  What is before `written` is in the ring, whole; so whoever syncs syncs no record without all
//!   that are before it.
//! * L3  After a write or a sync that failed, nothing is written or synced any more, and everybody who
//!   waits or comes is told.
//!
//! # Progress
//! `append` blocks on the log's lock for a copy of its record; `write` and `sync` on the disk, and
//! on whoever leads. A leader waits for nobody: it lets others run so often, and then goes on.
//!
//! # Checked by
//! `loom-tests/store_log.rs` (L1 to L3); `tests/store_crash.rs`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::disk::{Disk, DiskExt};
use super::format::Area;
use super::format::record::{self, Change, HEADER, Record};
use crate::sync::SMALL;
use crate::sync::lock::{Condition, Mutex, MutexGuard, yield_now};

/// A part of the ring that is kept for records that must not wait: one in so many bytes.
const HEADROOM: u64 = 16;
/// What commits are padded to.
const PAGE: u64 = 4096;
/// No record is longer: its length has 32 bits, and it is made in memory.
const LONGEST: u64 = 1 << 30;
/// So often a leader lets others run, and again for each one who comes, before it syncs without
/// those who do not.
const PATIENCE: usize = if SMALL { 1 } else { 16 };
/// How much is read at once, and how long a buffer is kept for the next records.
const CHUNK: u64 = 1 << 16;

/// Why a record was not appended; nothing has changed.
#[derive(Clone, Debug)]
pub(super) enum Refused {
    /// The ring has no room before the next checkpoint.
    Full,
    Failed(Failed),
}

/// A write or a sync failed, and nobody knows what is on the disk.
#[derive(Clone, Debug)]
pub(super) struct Failed(pub(super) Arc<io::Error>);

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Can run a checkpoint and come again.
    Ordinary,
    /// Cannot, and may use the last part of the ring.
    Urgent,
}

#[derive(Debug)]
struct State {
    released: u64,
    durable: u64,
    written: u64,
    next: u64,
    /// What is between `written` and `next`, but for what is being written.
    buffer: Vec<u8>,
    writing: bool,
    syncing: bool,
    /// How many have come to wait for a sync since the last one began: a guess at who waits.
    gathered: usize,
    /// How many the last sync served, and how many came meanwhile: so many may come to the next.
    crowd: usize,
    /// How many syncs there were.
    syncs: u64,
    failed: Option<Failed>,
}

/// The journal of one store.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    ring: Area,
    salt: u64,
    /// What is written at once ends where a page of the disk does.
    pads: bool,
    state: Mutex<State>,
    /// Something was written, or failed.
    wrote: Condition,
    /// Something was synced, or failed.
    synced: Condition,
}

impl Log {
    /// An empty one, which begins at this LSN.
    pub(super) fn new(disk: Arc<dyn Disk>, ring: Area, salt: u64, lsn: u64, pads: bool) -> Self {
        let state = State {
            released: lsn,
            durable: lsn,
            written: lsn,
            next: lsn,
            buffer: Vec::new(),
            writing: false,
            syncing: false,
            gathered: 0,
            crowd: 0,
            syncs: 0,
            failed: None,
        };
        Self {
            disk,
            ring,
            salt,
            pads,
            state: Mutex::new(state),
            wrote: Condition::new(),
            synced: Condition::new(),
        }
    }

    /// Appends a record; where the next one begins.
    pub(super) fn append(&self, change: &Change, class: Class) -> Result<u64, Refused> {
        let mut state = self.state.lock();
        if let Some(failed) = &state.failed {
            return Err(Refused::Failed(failed.clone()));
        }
        let len = change.record_len();
        let room = match class {
            Class::Ordinary => self.ring.len - self.ring.len / HEADROOM,
            Class::Urgent => self.ring.len,
        };
        if state.next + len - state.released > room {
            return Err(Refused::Full);
        }
        let (lsn, durable) = (state.next, state.durable);
        change.encode(lsn, durable, self.salt, &mut state.buffer);
        state.next += len;
        Ok(state.next)
    }

    /// The longest record that `append` takes from anybody.
    pub(super) fn longest(&self) -> u64 {
        (self.ring.len / 4).min(LONGEST)
    }

    /// Where the next record will begin.
    pub(super) fn end(&self) -> u64 {
        self.state.lock().next
    }

    /// Whether half of the ring is needed.
    pub(super) fn is_half_full(&self) -> bool {
        let state = self.state.lock();
        state.next - state.released >= self.ring.len / 2
    }

    /// How much of the ring is needed, and how many syncs there were.
    pub(super) fn figures(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.next - state.released, state.syncs)
    }

    /// What survives a loss of power.
    pub(super) fn durable(&self) -> u64 {
        self.state.lock().durable
    }

    /// What failed, if something did.
    pub(super) fn failed(&self) -> Option<Failed> {
        self.state.lock().failed.clone()
    }

    /// Refuses everything from now on.
    pub(super) fn fail(&self, failed: Failed) {
        self.state.lock().failed.get_or_insert(failed);
        self.wrote.notify_all();
        self.synced.notify_all();
    }

    /// Forgets what is before `lsn`: a checkpoint has it.
    pub(super) fn release(&self, lsn: u64) {
        let mut state = self.state.lock();
        debug_assert!(state.released <= lsn && lsn <= state.durable);
        state.released = lsn;
    }

    /// Waits until all before `end` survives the end of the process.
    pub(super) fn write(&self, end: u64) -> Result<(), Failed> {
        drop(self.written(self.state.lock(), end)?);
        Ok(())
    }

    fn written<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        end: u64,
    ) -> Result<MutexGuard<'a, State>, Failed> {
        loop {
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            if state.written >= end {
                return Ok(state);
            }
            state = if state.writing {
                self.wrote.wait(state)
            } else {
                self.lead_write(state)
            };
        }
    }

    fn lead_write<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.pad(&mut state);
        let bytes = core::mem::take(&mut state.buffer);
        let (from, to) = (state.written, state.next);
        state.writing = true;
        drop(state);
        let result = self.at_the_disk(|| self.write_ring(&bytes, from));
        let mut state = self.state.lock();
        state.writing = false;
        match result {
            Ok(()) => state.written = to,
            Err(error) => drop(state.failed.get_or_insert(error.into())),
        }
        self.recycle(&mut state, bytes);
        self.wrote.notify_all();
        state
    }

    /// Where it is asked for and there is room, appends nothing up to the end of a page of the disk.
    fn pad(&self, state: &mut State) {
        let at = self.ring.offset + state.next % self.ring.len;
        if !self.pads || at.is_multiple_of(PAGE) {
            return;
        }
        let least = HEADER as u64;
        let end = (at + least).next_multiple_of(PAGE);
        let (len, room) = (end - at, self.ring.len - self.ring.len / HEADROOM);
        if state.next + len - state.released <= room {
            let padding = Change::Padding(len - least);
            padding.encode(state.next, state.durable, self.salt, &mut state.buffer);
            state.next += len;
        }
    }

    /// Does what others wait for: if the disk panics, they are told.
    fn at_the_disk(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
            self.fail(io::Error::other("the disk panicked").into());
            resume_unwind(payload)
        })
    }

    /// Keeps a buffer of moderate size for the next records.
    fn recycle(&self, state: &mut State, mut bytes: Vec<u8>) {
        if state.buffer.capacity() == 0 && bytes.capacity() as u64 <= CHUNK {
            bytes.clear();
            state.buffer = bytes;
        }
    }

    fn write_ring(&self, mut bytes: &[u8], lsn: u64) -> io::Result<()> {
        for area in self.ring.around(lsn, lsn + bytes.len() as u64) {
            let (now, rest) = bytes.split_at(area.len as usize);
            self.disk.write_all_at(now, area.offset)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Waits until all before `end` survives a loss of power, and with it all that was written to
    /// the disk, elsewhere, before the record that ends there was appended.
    pub(super) fn sync(&self, end: u64) -> Result<(), Failed> {
        let mut state = self.state.lock();
        state.gathered += 1;
        loop {
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            if state.durable >= end {
                return Ok(());
            }
            if !state.syncing {
                return self.lead_sync(state);
            }
            state = self.synced.wait(state);
        }
    }

    /// Waits a little for those whom the last sync served, who would else miss this one.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let mut patience = PATIENCE;
        while state.gathered < state.crowd && patience > 0 {
            let before = state.gathered;
            drop(state);
            yield_now();
            state = self.state.lock();
            patience = if state.gathered > before {
                PATIENCE
            } else {
                patience - 1
            };
        }
        state
    }

    /// Syncs all that was appended so far, what the caller waits for too.
    fn lead_sync(&self, mut state: MutexGuard<'_, State>) -> Result<(), Failed> {
        state.syncing = true;
        let state = self.gather(state);
        let all = state.next;
        let mut served = 0;
        let result = self.written(state, all).map(|mut state| {
            let upto = state.written;
            served = core::mem::take(&mut state.gathered);
            drop(state);
            self.at_the_disk(|| self.disk.sync_data()).map(|()| upto)
        });
        let mut state = self.state.lock();
        state.syncing = false;
        state.crowd = served + state.gathered;
        let result = match result {
            Ok(Ok(upto)) => {
                state.durable = upto;
                state.syncs += 1;
                Ok(())
            }
            Ok(Err(error)) => Err(state.failed.get_or_insert(error.into()).clone()),
            Err(failed) => Err(failed),
        };
        drop(state);
        self.synced.notify_all();
        result
    }
}

/// Reads records from the ring, one behind the other.
pub(super) struct Reader<'a> {
    disk: &'a dyn Disk,
    ring: Area,
    salt: u64,
    lsn: u64,
    /// Nothing from here on is a record: the ring has come round.
    limit: u64,
    chunk: Vec<u8>,
    /// Where in the log the chunk begins.
    begin: u64,
}

impl<'a> Reader<'a> {
    /// From the record at `lsn` on.
    pub(super) fn new(disk: &'a dyn Disk, ring: Area, salt: u64, lsn: u64) -> Self {
        let limit = lsn.saturating_add(ring.len);
        Self {
            disk,
            ring,
            salt,
            lsn,
            limit,
            chunk: Vec::new(),
            begin: lsn,
        }
    }

    /// Where the next record begins, or would.
    pub(super) fn lsn(&self) -> u64 {
        self.lsn
    }

    /// The next record; nothing where none is, whole.
    pub(super) fn read(&mut self) -> io::Result<Option<Record>> {
        let Some(record) = self.record_at(self.lsn)? else {
            return Ok(None);
        };
        self.lsn += record.len;
        Ok(Some(record))
    }

    /// The first whole record behind where none was, if there is one in what is left of the ring.
    pub(super) fn find_later(&mut self) -> io::Result<Option<Record>> {
        let mut lsn = self.lsn;
        while lsn + (HEADER as u64) < self.limit {
            lsn += record::ALIGN;
            if let Some(record) = self.record_at(lsn)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Goes on behind a record that `find_later` found.
    pub(super) fn skip_to(&mut self, lsn: u64) {
        self.lsn = lsn;
    }

    fn record_at(&mut self, lsn: u64) -> io::Result<Option<Record>> {
        if lsn + HEADER as u64 > self.limit {
            return Ok(None);
        }
        let Some(len) = record::len_at(lsn, self.bytes(lsn, HEADER as u64)?) else {
            return Ok(None);
        };
        if len > self.limit - lsn {
            return Ok(None);
        }
        let salt = self.salt;
        Ok(record::decode(lsn, salt, self.bytes(lsn, len)?))
    }

    /// A part of the log; `lsn` never goes back by more than a chunk.
    fn bytes(&mut self, lsn: u64, len: u64) -> io::Result<&[u8]> {
        let end = self.begin + self.chunk.len() as u64;
        if lsn < self.begin || lsn + len > end {
            self.fill(lsn, len.max(CHUNK).min(self.limit - lsn))?;
        }
        let from = (lsn - self.begin) as usize;
        Ok(&self.chunk[from..from + len as usize])
    }

    fn fill(&mut self, lsn: u64, len: u64) -> io::Result<()> {
        self.chunk.resize(len as usize, 0);
        self.begin = lsn;
        let mut rest = &mut self.chunk[..];
        for area in self.ring.around(lsn, lsn + len) {
            let (now, later) = rest.split_at_mut(area.len as usize);
            self.disk.read_exact_at(now, area.offset)?;
            rest = later;
        }
        Ok(())
    }
}
