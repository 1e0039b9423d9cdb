//! The objects that are open now: who reads one, who changes one, who waits for whom.
//!
//! # Shape
//! ```text
//! id ─> shard ─> entry of this object    there from the first user to the last
//!                  readers n             an overwrite waits for them, a delete does not
//!                  changing              one overwrite or delete at a time
//!                  freed                 its slot is reused by whoever leaves last
//! ```
//!
//! # Invariants
//! * T1  An overwrite is alone with its object's readers gone, from its start to its end.
//! * T2  The slot of a freed object is handed over once, when nobody has it open any more.
//!
//! # Progress
//! Blocks on the shard's lock for a few steps; `read` on an overwrite of the same object, `change`
//! on readers or on another change of it. Different objects never wait for each other.
//!
//! # Checked by
//! `loom-tests/store_open.rs` (T1, T2); `tests/store.rs`.

use std::collections::HashMap;

use crate::id::ObjectId;
use crate::sync::SMALL;
use crate::sync::lock::{Condition, Mutex, MutexGuard};

const SHARDS: usize = if SMALL { 1 } else { 64 };

/// How an object is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Its bytes change: no reader may look.
    Overwrite,
    /// It goes: readers keep what they have open.
    Delete,
}

#[derive(Debug, Default)]
struct Entry {
    readers: u64,
    changing: Option<How>,
    /// Threads that wait for it.
    waiting: u64,
    freed: bool,
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.readers == 0 && self.changing.is_none()
    }

    fn is_free_for(&self, how: How) -> bool {
        self.changing.is_none() && (how == How::Delete || self.readers == 0)
    }
}

#[derive(Debug)]
struct Shard {
    entries: Mutex<HashMap<ObjectId, Entry>>,
    changed: Condition,
}

/// The objects that are open.
#[derive(Debug)]
pub(super) struct Open {
    shards: Box<[Shard]>,
}

type Entries<'a> = MutexGuard<'a, HashMap<ObjectId, Entry>>;

impl Open {
    pub(super) fn new() -> Self {
        let shard = |_| Shard {
            entries: Mutex::new(HashMap::new()),
            changed: Condition::new(),
        };
        let shards = (0..SHARDS).map(shard).collect();
        Self { shards }
    }

    fn shard(&self, id: ObjectId) -> &Shard {
        let mixed = id.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(mixed >> 32) as usize % self.shards.len()]
    }

    /// Waits until nobody overwrites the object, and keeps others from it.
    pub(super) fn read(&self, id: ObjectId) {
        let shard = self.shard(id);
        let mut entries = wait_until(shard, id, |entry| entry.changing != Some(How::Overwrite));
        entries.entry(id).or_default().readers += 1;
    }

    /// One reader less. Whether the slot is the caller's to hand over (T2).
    #[must_use]
    pub(super) fn end_read(&self, id: ObjectId) -> bool {
        self.leave(id, |entry| entry.readers -= 1)
    }

    /// Waits until the object can be changed so, and keeps others from it.
    pub(super) fn change(&self, id: ObjectId, how: How) {
        let shard = self.shard(id);
        let mut entries = wait_until(shard, id, |entry| entry.is_free_for(how));
        entries.entry(id).or_default().changing = Some(how);
    }

    /// As `change`, if it need not wait; whether it did.
    pub(super) fn try_change(&self, id: ObjectId, how: How) -> bool {
        let mut entries = self.shard(id).entries.lock();
        let free = entries.get(&id).is_none_or(|entry| entry.is_free_for(how));
        if free {
            entries.entry(id).or_default().changing = Some(how);
        }
        free
    }

    /// The change is done. Whether the slot is the caller's to hand over (T2).
    #[must_use]
    pub(super) fn end_change(&self, id: ObjectId) -> bool {
        self.leave(id, |entry| entry.changing = None)
    }

    /// Nobody will find the object any more. Whether its slot is the caller's to hand over, or that
    /// of whoever leaves it last (T2).
    #[must_use]
    pub(super) fn free(&self, id: ObjectId) -> bool {
        let mut entries = self.shard(id).entries.lock();
        match entries.get_mut(&id) {
            Some(entry) if !entry.is_idle() => {
                entry.freed = true;
                false
            }
            _ => true,
        }
    }

    fn leave(&self, id: ObjectId, leave: impl FnOnce(&mut Entry)) -> bool {
        let shard = self.shard(id);
        let mut entries = shard.entries.lock();
        let entry = entries.get_mut(&id).expect("its user is counted");
        leave(entry);
        let mine = entry.is_idle() && core::mem::take(&mut entry.freed);
        if entry.waiting > 0 {
            shard.changed.notify_all();
        } else if entry.is_idle() {
            entries.remove(&id);
        }
        mine
    }

    /// How many objects are open.
    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.entries.lock().len())
            .sum()
    }
}

/// The shard's entries, once there is none of this object or one of which this holds.
fn wait_until<'a>(shard: &'a Shard, id: ObjectId, ready: impl Fn(&Entry) -> bool) -> Entries<'a> {
    let mut entries = shard.entries.lock();
    loop {
        let Some(entry) = entries.get_mut(&id) else {
            return entries;
        };
        if ready(entry) {
            return entries;
        }
        entry.waiting += 1;
        entries = shard.changed.wait(entries);
        let entry = entries.get_mut(&id).expect("its waiters keep it");
        entry.waiting -= 1;
    }
}
