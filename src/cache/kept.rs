//! An entry that is held within the cache, while its successor is computed or room is made for it.
//!
//! What is held for room alone is counted apart (`Core::making`): two inserts that each keep what
//! they replace may stand in each other's way, and then one gives way, since no user holds anything.

use core::mem;

use super::engine::Engine;
use super::shard::Shard;
use super::writer::Writer;

/// A hold of one's own; given up by the drop, which takes the shard's lock.
pub(super) struct Kept<'a, K, V> {
    engine: &'a Engine<K, V>,
    shard: &'a Shard<K, V>,
    entry: u32,
    /// What it weighs, where it is held for room.
    making: Option<u64>,
}

impl<K, V> Kept<'_, K, V> {
    /// What it weighs, if it is held for room.
    pub(super) fn for_room(&self) -> Option<u64> {
        self.making
    }

    pub(super) fn entry(&self) -> u32 {
        self.entry
    }
}

impl<K, V> Drop for Kept<'_, K, V> {
    fn drop(&mut self) {
        let mut writer = self.engine.open(self.shard);
        writer.core.making -= self.making.unwrap_or(0);
        writer.release(self.entry);
        writer.close();
    }
}

impl<'a, K, V> Writer<'a, K, V> {
    /// Holds an entry that a word names.
    pub(super) fn keep(&mut self, entry: u32) -> Kept<'a, K, V> {
        self.hold(entry);
        Kept {
            engine: self.engine,
            shard: self.shard,
            entry,
            making: None,
        }
    }

    /// As `keep`, an entry that nobody holds, while room is made for its successor.
    pub(super) fn keep_for_room(&mut self, entry: u32) -> Kept<'a, K, V> {
        let weight = self.core.book.weight(entry);
        self.core.making += weight;
        let mut kept = self.keep(entry);
        kept.making = Some(weight);
        kept
    }

    /// Gives up a hold of an entry of this shard.
    pub(super) fn let_go(&mut self, kept: Kept<'a, K, V>) {
        self.core.making -= kept.making.unwrap_or(0);
        self.release(kept.entry);
        mem::forget(kept);
    }
}
