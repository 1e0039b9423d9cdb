//! A ledger that is kept beside an allocator, and apart from it: who owns which bytes, and which
//! object has which id. Shared by `tests/stress_omni.rs` and the randomized schedules of
//! `shuttle-tests/`, so it uses nothing but the standard library and the public API.
//!
//! * G1  A byte has one owner at most: `claim` panics if it has one already.
//! * G2  An object that is to be *retired* is recorded as live from after it was published until
//!   before it is retired. So whoever is pinned and then finds the record live may read the object
//!   until it unpins: within that time, no other object may get the record.

#![allow(dead_code)] // each user takes its part

pub(crate) mod actor;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mapless::{Extent, ObjectId};

/// The bytes that share one flag; every extent is a multiple of it.
pub(crate) const UNIT: u64 = 16;
const SHARDS: usize = 64;

/// How an object will end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// By `free`: nobody may look at it.
    Free,
    /// By `retire`, or `hide` and `reclaim`.
    Retire,
}

/// A live object, in the hands of its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) id: ObjectId,
    pub(crate) extent: Extent,
    pub(crate) fate: Fate,
    serial: u64,
}

#[derive(Clone, Copy)]
struct Record {
    object: Object,
    live: bool,
}

/// Who owns what.
pub(crate) struct Ledger {
    owned: Vec<AtomicBool>,
    records: Vec<Mutex<HashMap<ObjectId, Record>>>,
    serial: AtomicU64,
    live: AtomicU64,
}

/// The lock, of a thread that panicked too.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// For extents below `limit`.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            owned: (0..limit / UNIT).map(|_| AtomicBool::new(false)).collect(),
            records: (0..SHARDS).map(|_| Mutex::default()).collect(),
            serial: AtomicU64::new(1),
            live: AtomicU64::new(0),
        }
    }

    fn flags(&self, extent: Extent) -> &[AtomicBool] {
        let (from, to) = (extent.offset.get(), extent.end().unwrap().get());
        assert!(from % UNIT == 0 && to % UNIT == 0, "{extent:?}");
        &self.owned[(from / UNIT) as usize..(to / UNIT) as usize]
    }

    /// Takes the bytes.
    pub(crate) fn claim(&self, extent: Extent) {
        for flag in self.flags(extent) {
            assert!(!flag.swap(true, SeqCst), "G1: {extent:?} is owned twice");
        }
    }

    /// Gives the bytes back: to be called before the allocator is told.
    pub(crate) fn release(&self, extent: Extent) {
        for flag in self.flags(extent) {
            assert!(flag.swap(false, SeqCst), "G1: {extent:?} was not owned");
        }
    }

    fn record(&self, id: ObjectId) -> MutexGuard<'_, HashMap<ObjectId, Record>> {
        lock(&self.records[id.get() as usize % SHARDS])
    }

    /// An object that was published just now, and whose bytes are claimed.
    pub(crate) fn born(&self, id: ObjectId, extent: Extent, fate: Fate) -> Object {
        let object = Object {
            id,
            extent,
            fate,
            serial: self.serial.fetch_add(1, SeqCst),
        };
        let before = self.record(id).insert(id, Record { object, live: true });
        assert!(
            before.is_none_or(|record| !record.live),
            "two live objects have {id}"
        );
        self.live.fetch_add(1, SeqCst);
        object
    }

    /// The object is about to be freed or retired: its bytes are nobody's.
    pub(crate) fn gone(&self, object: Object) {
        self.unlist(object);
        self.release(object.extent);
    }

    /// The object is about to be hidden; its bytes stay owned.
    pub(crate) fn unlist(&self, object: Object) {
        let mut records = self.record(object.id);
        let record = records.get_mut(&object.id).expect("it was born");
        assert!(record.live && record.object == object, "{object:?} is gone");
        record.live = false;
        self.live.fetch_sub(1, SeqCst);
    }

    /// How many objects are live; exact at rest.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(SeqCst)
    }

    /// The live object with this id, if it is one that will be retired. Ask under a guard.
    pub(crate) fn watch(&self, id: ObjectId) -> Option<Object> {
        let record = *self.record(id).get(&id)?;
        (record.live && record.object.fate == Fate::Retire).then_some(record.object)
    }

    /// Whether a watched object is still live; panics if another one has its id.
    pub(crate) fn still(&self, watched: Object) -> bool {
        let record = self.record(watched.id)[&watched.id];
        assert_eq!(
            record.object, watched,
            "G2: a slot was reused under a guard"
        );
        record.live
    }
}

/// A small generator of numbers: every run can be had again from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Takes something out.
    pub(crate) fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = self.below(from.len() as u64) as usize;
        Some(from.swap_remove(at))
    }
}
