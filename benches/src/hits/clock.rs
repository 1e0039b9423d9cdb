//! The cache's own policy, simulated: the same file over a `Vec`.

#[path = "../../../src/cache/policy.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)] // the crate's own file, taken as it is
mod policy;

use policy::{Entries, Links, Looks, Policy, Step};

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    links: Links,
    weight: u64,
    key: u32,
    fingerprint: u32,
    uses: u8,
    limit: u8,
}

#[derive(Debug, Default)]
struct Slab(Vec<Entry>);

impl Entries for Slab {
    fn links(&self, e: u32) -> Links {
        self.0[e as usize].links
    }

    fn set_links(&mut self, e: u32, links: Links) {
        self.0[e as usize].links = links;
    }

    fn weight(&self, e: u32) -> u64 {
        self.0[e as usize].weight
    }

    fn fingerprint(&self, e: u32) -> u32 {
        self.0[e as usize].fingerprint
    }

    fn uses(&self, e: u32) -> u8 {
        self.0[e as usize].uses
    }

    fn set_uses(&mut self, e: u32, uses: u8) {
        self.0[e as usize].uses = uses;
    }

    fn limit(&self, e: u32) -> u8 {
        self.0[e as usize].limit
    }

    fn set_limit(&mut self, e: u32, limit: u8) {
        self.0[e as usize].limit = limit;
    }

    fn is_held(&self, _: u32) -> bool {
        false
    }
}

/// A simulated cache with the policy of one shard.
#[derive(Debug)]
pub struct Clock {
    capacity: u64,
    used: u64,
    policy: Policy,
    slab: Slab,
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
            free: Vec::new(),
            places: vec![NONE; unique],
        }
    }

    /// Looks `key` up, and inserts it on a miss; whether it was a hit.
    pub fn request(&mut self, key: u32, size: u64) -> bool {
        if let Some(entry) = self.slab.0.get_mut(self.places[key as usize] as usize) {
            if entry.uses < entry.limit {
                entry.uses += 1;
            }
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
            let entry = &self.slab.0[e as usize];
            self.used -= entry.weight;
            self.places[entry.key as usize] = NONE;
            self.free.push(e);
        }
        self.used += size;
        let entry = Entry {
            links: Links::LOOSE,
            weight: size,
            key,
            fingerprint: super::mix(key.into()) as u32,
            uses: 0,
            limit: 0,
        };
        let e = self.place(entry);
        self.places[key as usize] = e;
        self.policy.insert(&mut self.slab, e);
    }

    fn place(&mut self, entry: Entry) -> u32 {
        if let Some(e) = self.free.pop() {
            self.slab.0[e as usize] = entry;
            return e;
        }
        self.slab.0.push(entry);
        self.slab.0.len() as u32 - 1
    }
}
