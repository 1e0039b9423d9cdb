//! Entries in plain vectors, for whoever runs the wheel without a cache: its tests, the property
//! tests, and the parts' benchmark. Each takes this file by its path, and names `Links`, `Tick` and
//! `Timers`.

use core::cell::Cell;

use super::{Links, Tick, Timers};

/// What the wheel knows of its entries, by number; counts how often a deadline is looked at.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) links: Vec<Links>,
    pub(crate) deadlines: Vec<Tick>,
    pub(crate) looks: Cell<usize>,
}

impl Entries {
    /// One for each deadline, in no list yet.
    pub(crate) fn new(deadlines: impl IntoIterator<Item = Tick>) -> Self {
        let deadlines: Vec<Tick> = deadlines.into_iter().collect();
        Self {
            links: vec![Links::NONE; deadlines.len()],
            deadlines,
            looks: Cell::new(0),
        }
    }
}

impl Timers for Entries {
    fn links(&self, entry: u32) -> Links {
        self.links[entry as usize]
    }

    fn set_links(&mut self, entry: u32, links: Links) {
        self.links[entry as usize] = links;
    }

    fn deadline(&self, entry: u32) -> Tick {
        self.looks.set(self.looks.get() + 1);
        self.deadlines[entry as usize]
    }
}
