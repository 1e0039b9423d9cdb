//! An entry that is held within the cache, while its successor is computed or room is made for it.

use core::mem;

use super::engine::Engine;
use super::shard::Shard;
use super::writer::Writer;

/// A hold of one's own; given up by the drop, which takes the shard's lock.
pub(super) struct Kept<'a, K, V> {
    engine: &'a Engine<K, V>,
    shard: &'a Shard<K, V>,
    entry: u32,
}

impl<K, V> Kept<'_, K, V> {
    pub(super) fn entry(&self) -> u32 {
        self.entry
    }
}

impl<K, V> Drop for Kept<'_, K, V> {
    fn drop(&mut self) {
        let mut writer = self.engine.open(self.shard);
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
        }
    }

    /// Gives up a hold of an entry of this shard.
    pub(super) fn let_go(&mut self, kept: Kept<'a, K, V>) {
        self.release(kept.entry);
        mem::forget(kept);
    }
}
