//! The cache's own policy, simulated: the same file over a `Vec`.

#[path = "../../../src/cache/policy/in_vec.rs"]
#[allow(clippy::duplicate_mod)] // the crate's own file; its tests, taken too, name it
mod in_vec;
#[path = "../../../src/cache/policy.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)] // the crate's own file, taken as it is
mod policy;

use in_vec::{Entry, Slab};
use policy::{Entries, Links, Looks, Policy, Step};

/// No entry.
const NONE: u32 = u32::MAX;

/// A simulated cache with the policy of one shard.
#[derive(Debug)]
pub struct Clock {
    capacity: u64,
    used: u64,
    policy: Policy,
    slab: Slab,
    /// Whose an entry is.
    keys: Vec<u32>,
    free: Vec<u32>,
    places: Vec<u32>,
}

impl Clock {
    /// For keys below `unique`.
    #[must_use]
    pub fn new(capacity: u64, unique: usize) -> Self {
        Self {
            capacity,
            used: 0,
            policy: Policy::new(capacity),
            slab: Slab::default(),
            keys: Vec::new(),
            free: Vec::new(),
            places: vec![NONE; unique],
        }
    }

    /// Looks `key` up, and inserts it on a miss; whether it was a hit.
    pub fn request(&mut self, key: u32, size: u64) -> bool {
        let place = self.places[key as usize];
        if place != NONE {
            self.slab.read(place);
            return true;
        }
        if size <= self.capacity {
            self.insert(key, size);
        }
        false
    }

    fn insert(&mut self, key: u32, size: u64) {
        let mut looks = Looks::new();
        while self.used + size > self.capacity {
            let Step::Evict(e) = self.policy.step(&mut self.slab, &mut looks) else {
                break;
            };
            self.used -= self.slab.0[e as usize].weight;
            self.places[self.keys[e as usize] as usize] = NONE;
            self.free.push(e);
        }
        self.used += size;
        let entry = Entry::new(size, super::mix(key.into()) as u32);
        let e = self.place(entry, key);
        self.places[key as usize] = e;
        self.policy.insert(&mut self.slab, e);
    }

    fn place(&mut self, entry: Entry, key: u32) -> u32 {
        if let Some(e) = self.free.pop() {
            (self.slab.0[e as usize], self.keys[e as usize]) = (entry, key);
            return e;
        }
        self.keys.push(key);
        self.slab.push(entry)
    }
}
