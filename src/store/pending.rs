//! New contents that wait in memory until their records are durable: readers have them from here.
//!
//! # Shape
//! ```text
//! id ─> shard ─> content, and where its record ends      there from the overwrite to the end of
//!                  moving: somebody writes it in place     its move into the slot
//! count                                                  0: nobody need look
//! ```
//! Who overwrites an object has it alone (`open.rs`), so there is one content an object, and a later
//! one takes its place. Whoever finds that a record is durable writes its content into the slot.
//!
//! # Invariants
//! * P1  A content leaves the table when it is in its slot, whole, or a later one took its place, or
//!   its object's end is durable: who does not find one finds it in the slot.
//! * P2  One content of an object is being moved at a time, and none once its object is discarded.
//! * P3  `count` is raised before a content can be found, and falls after it was removed.
//!
//! # Edges
//! | edge  | released by      | acquired by         | what crosses                             |
//! |-------|------------------|---------------------|------------------------------------------|
//! | MOVED | `Pending::leave` | `Pending::is_empty` | the content, which is in its slot by now |
//!
//! # Progress
//! `find` is wait-free while nothing waits, and blocks on its shard's lock for a few steps else;
//! `discard` and `move_all` block on whoever moves.
//!
//! # Checked by
//! `loom-tests/store_pending.rs` (P1 to P3, MOVED); `loom-tests/store_engine.rs`;
//! `tests/store_crash.rs`.

use std::collections::HashMap;
use std::collections::hash_map;

use bytes::Bytes;

use super::engine::layout_of;
use super::format::record::Put;
use crate::id::{Extent, ObjectId};
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use crate::sync::lock::{Condition, Mutex};

const SHARDS: usize = if SMALL { 1 } else { 64 };
/// So many bytes wait at most, but for what comes at once.
pub(super) const MOST: usize = 1 << 20;
/// What a content takes beside its bytes, roughly.
const BESIDE: usize = 128;
/// A table of so many is not kept when it is empty.
const FEW: usize = 8;

/// New content of an object.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) put: Put,
    pub(super) slot: Extent,
    /// As they are to stand in the slot, from its beginning.
    pub(super) bytes: Bytes,
}

impl Content {
    pub(super) fn payload(&self) -> Bytes {
        self.bytes.slice(layout_of(self.slot).payload as usize..)
    }

    fn weight(&self) -> usize {
        self.bytes.len() + BESIDE
    }
}

#[derive(Debug)]
struct Entry {
    content: Content,
    /// Where its record ends.
    end: u64,
    moving: bool,
}

type Entries = HashMap<ObjectId, Entry>;

#[derive(Debug)]
struct Shard {
    entries: Mutex<Entries>,
    /// Somebody has moved one.
    moved: Condition,
}

/// The contents that wait.
#[derive(Debug)]
pub(super) struct Pending {
    count: AtomicUsize,
    bytes: AtomicUsize,
    /// Those that were admitted and are not in the table yet.
    admitted: AtomicUsize,
    /// All whose records end before it were moved, but for those that came late.
    upto: AtomicU64,
    shards: Box<[Shard]>,
}

/// Somebody writes a content into its slot.
struct Move<'a> {
    pending: &'a Pending,
    shard: &'a Shard,
    id: ObjectId,
    end: u64,
    is_done: bool,
}

/// Bytes that are on their way into the table.
pub(super) struct Admitted<'a> {
    pending: &'a Pending,
    bytes: usize,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        // Relaxed: as where it was added.
        self.pending.admitted.fetch_sub(self.bytes, Relaxed);
    }
}

impl Drop for Move<'_> {
    /// The content stays where the write failed, or panicked, or there is a later one.
    fn drop(&mut self) {
        let mut entries = self.shard.entries.lock();
        let entry = entries.get_mut(&self.id).expect("who moves it keeps it");
        entry.moving = false;
        if self.is_done && entry.end == self.end {
            self.pending.leave(&mut entries, self.id);
        }
        drop(entries);
        self.shard.moved.notify_all();
    }
}

impl Pending {
    pub(super) fn new() -> Self {
        let shard = |_| Shard {
            entries: Mutex::new(HashMap::new()),
            moved: Condition::new(),
        };
        Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            admitted: AtomicUsize::new(0),
            upto: AtomicU64::new(0),
            shards: (0..SHARDS).map(shard).collect(),
        }
    }

    fn shard(&self, id: ObjectId) -> &Shard {
        let mixed = id.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(mixed >> 32) as usize % self.shards.len()]
    }

    /// Whether nothing waits, which was not so for whoever saw something in the table (P3).
    pub(super) fn is_empty(&self) -> bool {
        // Acquire [MOVED]: what is not in the table any more is in its slot.
        self.count.load(Acquire) == 0
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        // Relaxed: a figure.
        self.bytes.load(Relaxed)
    }

    /// That so many bytes more may wait, if they may, for one who has not brought them yet.
    pub(super) fn admit(&self, bytes: usize) -> Option<Admitted<'_>> {
        // Relaxed: a bound on memory, which two who come at once see both of.
        let before = self.admitted.fetch_add(bytes, Relaxed);
        let admitted = Admitted {
            pending: self,
            bytes,
        };
        let all = self.bytes().saturating_add(before).saturating_add(bytes);
        (all <= MOST).then_some(admitted)
    }

    /// What an object's content is to be, if that is not in its slot yet.
    #[inline]
    pub(super) fn find(&self, id: ObjectId) -> Option<Content> {
        if self.is_empty() {
            return None;
        }
        let entries = self.shard(id).entries.lock();
        entries.get(&id).map(|entry| entry.content.clone())
    }

    /// Where the record ends of the content that waits for this object.
    pub(super) fn end_of(&self, id: ObjectId) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let entries = self.shard(id).entries.lock();
        entries.get(&id).map(|entry| entry.end)
    }

    /// New content of an object that the caller alone changes, whose record ends there.
    pub(super) fn insert(&self, content: Content, end: u64) {
        let id = ObjectId::new(content.put.id).expect("an object's id");
        // Relaxed: a bound; the bytes are behind the lock.
        self.bytes.fetch_add(content.weight(), Relaxed);
        match self.shard(id).entries.lock().entry(id) {
            hash_map::Entry::Vacant(entry) => {
                // Relaxed: raised before the lock is free (P3), and whoever finds the content, or is
                // told of it, sees no older count.
                self.count.fetch_add(1, Relaxed);
                entry.insert(Entry {
                    content,
                    end,
                    moving: false,
                });
            }
            hash_map::Entry::Occupied(mut entry) => {
                let entry = entry.get_mut();
                // Relaxed: as above.
                self.bytes.fetch_sub(entry.content.weight(), Relaxed);
                // Who moves the one before finds that it is another.
                (entry.content, entry.end) = (content, end);
            }
        }
    }

    /// The content is in its slot, or nobody wants it (P1).
    fn leave(&self, entries: &mut Entries, id: ObjectId) {
        let entry = entries.remove(&id).expect("it is there");
        if entries.is_empty() && entries.capacity() > FEW {
            *entries = HashMap::new();
        }
        // Relaxed: as in `insert`.
        self.bytes.fetch_sub(entry.content.weight(), Relaxed);
        // Release [MOVED]: whoever sees that nothing waits reads the slot.
        self.count.fetch_sub(1, Release);
    }

    /// Nobody finds the object any more, and that is durable: its content is not written (P2).
    pub(super) fn discard(&self, id: ObjectId) {
        if self.is_empty() {
            return;
        }
        let shard = self.shard(id);
        let mut entries = shard.entries.lock();
        while let Some(entry) = entries.get(&id) {
            if !entry.moving {
                return self.leave(&mut entries, id);
            }
            entries = shard.moved.wait(entries);
        }
    }

    /// Writes what waits for records that end at `upto` at most, and that nobody writes yet.
    pub(super) fn move_until<E>(
        &self,
        upto: u64,
        mut write: impl FnMut(&Content) -> Result<(), E>,
    ) -> Result<(), E> {
        // Relaxed: whether it is worth a look; what is passed over waits for the next one.
        if self.is_empty() || self.upto.load(Relaxed) >= upto {
            return Ok(());
        }
        // Relaxed: as above.
        self.upto.store(upto, Relaxed);
        for shard in &self.shards {
            let entries = shard.entries.lock();
            let ready = entries.iter().filter(|(_, entry)| entry.end <= upto);
            let mut ready: Vec<_> = ready.map(|(id, _)| *id).collect();
            drop(entries);
            ready.sort_unstable(); // as their slots are, in a range
            for id in ready {
                self.move_one(id, upto, &mut write)?;
            }
        }
        Ok(())
    }

    /// As `move_until`, of one object, whenever it was looked for last.
    pub(super) fn move_one<E>(
        &self,
        id: ObjectId,
        upto: u64,
        write: impl FnOnce(&Content) -> Result<(), E>,
    ) -> Result<(), E> {
        let shard = self.shard(id);
        let mut entries = shard.entries.lock();
        let ready = |entry: &&mut Entry| entry.end <= upto && !entry.moving;
        let Some(entry) = entries.get_mut(&id).filter(ready) else {
            return Ok(());
        };
        entry.moving = true;
        let (content, end) = (entry.content.clone(), entry.end);
        drop(entries);
        let mut moving = Move {
            pending: self,
            shard,
            id,
            end,
            is_done: false,
        };
        write(&content)?;
        moving.is_done = true;
        Ok(())
    }

    /// Waits until nobody moves the object's content.
    pub(super) fn wait_for(&self, id: ObjectId) {
        let shard = self.shard(id);
        let mut entries = shard.entries.lock();
        while entries.get(&id).is_some_and(|entry| entry.moving) {
            entries = shard.moved.wait(entries);
        }
    }

    /// Writes whatever waits for records that end at `upto` at most, all of which are durable, and
    /// waits for those who do. Nothing comes meanwhile.
    pub(super) fn move_all<E>(
        &self,
        upto: u64,
        mut write: impl FnMut(&Content) -> Result<(), E>,
    ) -> Result<(), E> {
        for shard in &self.shards {
            let mut entries = shard.entries.lock();
            while entries.values().any(|entry| entry.end <= upto) {
                let idle = entries
                    .iter()
                    .find(|(_, entry)| entry.end <= upto && !entry.moving);
                if let Some(id) = idle.map(|(id, _)| *id) {
                    drop(entries);
                    self.move_one(id, upto, &mut write)?;
                    entries = shard.entries.lock();
                } else {
                    entries = shard.moved.wait(entries);
                }
            }
        }
        Ok(())
    }
}
