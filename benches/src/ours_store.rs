//! This crate's store behind the peers' interface.

use std::path::Path;

use mapless::{Durability, MultiStore, ObjectId, StoreOptions};

use crate::peers::stores::{Store, Use, digest};

/// Its name in the tables.
pub const OURS: &str = "MultiStore";

/// Where it is in its folder.
pub const FILE: &str = "mapless";

/// Makes one, or opens it.
#[must_use]
pub fn open(folder: &Path, to: Use) -> MultiStore {
    let durability = match to {
        Use::Durable => Durability::Group,
        Use::Bulk => Durability::None,
    };
    let options = StoreOptions::new().durability(durability);
    options
        .open_or_create(folder.join(FILE))
        .expect("a store can be made here")
}

/// The id that a key is.
#[inline]
#[must_use]
pub fn id(key: u64) -> ObjectId {
    ObjectId::new(key).expect("the store gave it out")
}

impl Store for MultiStore {
    fn another(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn load(&self, all: &[&[u8]]) -> Vec<u64> {
        let ids = self.put_many(all).expect("it was written");
        ids.into_iter().map(ObjectId::get).collect()
    }

    fn sync(&self) {
        self.sync().expect("it was synced");
    }

    fn get(&self, key: u64) -> u64 {
        digest(&self.get(id(key)).expect("it was read"))
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        self.put(bytes).expect("it was written").get()
    }

    fn overwrite(&self, key: u64, bytes: &[u8]) {
        self.overwrite(id(key), bytes).expect("it was written");
    }

    fn delete(&self, key: u64) {
        self.delete(id(key)).expect("it was written");
    }
}
