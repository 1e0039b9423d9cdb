//! The store of objects in memory: what all its rows share.

use std::num::NonZeroUsize;

use bytes::Bytes;
use lru::LruCache;
use mapless::{InMemoryStore, ObjectId};
use parking_lot::Mutex;

pub mod get;
pub mod peak;
pub mod put;
pub mod threads;

/// Ours in the tables.
pub const OURS: &str = "InMemoryStore";
/// What it is held against: how the predecessor kept its objects.
pub const PREDECESSOR: &str = "one mutex around an LRU of Bytes";
/// What all stores have room for, where room is no matter.
pub const AMPLE: u64 = 1 << 32;

/// A stand-in for the predecessor.
#[derive(Debug)]
pub struct Predecessor(Mutex<LruCache<u64, Bytes>>);

impl Predecessor {
    /// Without objects.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        let most = NonZeroUsize::new(entries).expect("it keeps some");
        Self(Mutex::new(LruCache::new(most)))
    }

    /// Puts an object in.
    pub fn put(&self, id: u64, bytes: Bytes) {
        self.0.lock().put(id, bytes);
    }

    /// An object's bytes.
    pub fn get(&self, id: u64) -> Option<Bytes> {
        self.0.lock().get(&id).cloned()
    }
}

/// An object of so many bytes.
#[must_use]
pub fn payload(len: usize) -> Bytes {
    Bytes::from(vec![0x5a; len])
}

/// So many objects, in both; their ids are the same.
#[must_use]
pub fn filled(objects: usize, len: usize) -> (InMemoryStore, Predecessor, Vec<u64>) {
    let (ours, theirs) = (InMemoryStore::new(AMPLE), Predecessor::new(objects));
    let put = |_| {
        let id = ours.put_bytes(payload(len)).expect("there is room").get();
        theirs.put(id, payload(len));
        id
    };
    let ids = (0..objects).map(put).collect();
    (ours, theirs, ids)
}

/// What a lookup answers with.
#[must_use]
pub fn first(bytes: &[u8]) -> u64 {
    bytes.first().copied().unwrap_or(0).into()
}

/// The id of this number.
#[must_use]
pub fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).expect("no id is 0")
}
