//! Entries in a plain vector, for whoever runs the policy without a cache: its tests, the property
//! tests, and the simulator. Each takes this file by its path, and names `Entries` and `Links`.

use super::{Entries, Links};

/// What the policy knows of one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) links: Links,
    pub(crate) weight: u64,
    pub(crate) fingerprint: u32,
    pub(crate) uses: u8,
    pub(crate) limit: u8,
    pub(crate) held: bool,
}

impl Entry {
    /// One that is on no ring yet, and that reads may count for as the policy says.
    pub(crate) fn new(weight: u64, fingerprint: u32) -> Self {
        Self {
            links: Links::LOOSE,
            weight,
            fingerprint,
            uses: 0,
            limit: 0,
            held: false,
        }
    }
}

/// Entries by number.
#[derive(Debug, Default)]
pub(crate) struct Slab(pub(crate) Vec<Entry>);

impl Slab {
    /// Adds an entry; its number.
    pub(crate) fn push(&mut self, entry: Entry) -> u32 {
        self.0.push(entry);
        self.0.len() as u32 - 1
    }

    /// Counts a read, as far as reads count.
    pub(crate) fn read(&mut self, e: u32) {
        let entry = &mut self.0[e as usize];
        if entry.uses < entry.limit {
            entry.uses += 1;
        }
    }
}

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

    fn is_held(&self, e: u32) -> bool {
        self.0[e as usize].held
    }
}
