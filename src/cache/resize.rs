//! A shard's table grows: copied, published, retired, and used again once nobody looks.
#![allow(unsafe_code)] // asks the slab under the lock

use super::shard::SpareTable;
use super::table::Table;
use super::writer::Writer;

impl<K, V> Writer<'_, K, V> {
    pub(super) fn uses(&self, entry: u32) -> u8 {
        // SAFETY: S1: the number is from a place of the table.
        unsafe { self.shard.slab.node(entry) }.uses()
    }

    /// Sees to it that so many entries find room.
    pub(super) fn grow_table_for(&mut self, entries: usize) {
        if entries * 8 > self.table().places() * 7 {
            self.grow_table(entries);
        }
    }

    /// A wider table, for so many entries and more.
    pub(super) fn grow_table(&mut self, entries: usize) {
        if self.engine.owner.is_some() {
            // What the index has at hand beside its entries is paid for with their places.
            return self.resize_table(entries + entries / 2);
        }
        let most = self.entries_that_fit();
        let mut room = most.saturating_add(most / 8);
        // By sixteenths of the last one, so that those before it, which are kept, are small beside it.
        while room / 16 >= 2 * entries {
            room /= 16;
        }
        let room = room.max(entries + entries / 8);
        self.resize_table(room);
    }

    /// How many entries this shard's share will hold, if what comes weighs as what is there.
    fn entries_that_fit(&self) -> usize {
        let (weight, len) = (u128::from(self.core.weight), self.core.len.max(1) as u128);
        let fit = u128::from(self.engine.share()) * len / weight.max(1);
        usize::try_from(fit).unwrap_or(usize::MAX)
    }

    /// Copies the table to a wider or narrower one; leaves it where a window is too narrow there.
    pub(super) fn resize_table(&mut self, entries: usize) {
        let least = Table::buckets_for(entries);
        for buckets in [least, 2 * least + 1, 4 * least + 1] {
            let next = self.empty_table(buckets);
            let copied = self
                .table()
                .copy_to(next.get(), |entry| self.fingerprint(entry));
            if copied.is_some() {
                return self.publish(next);
            }
            self.core.spare.push(next);
        }
    }

    /// A table of so many buckets, or of some more where one lies about.
    pub(super) fn empty_table(&mut self, buckets: usize) -> SpareTable {
        let fits = |table: &SpareTable| (buckets..=2 * buckets).contains(&table.get().buckets());
        let Some(at) = self.core.spare.iter().position(fits) else {
            return SpareTable::new(Table::of(buckets));
        };
        let table = self.core.spare.swap_remove(at);
        table.get().clear();
        table
    }

    /// Has everybody find another table.
    pub(super) fn publish(&mut self, table: SpareTable) {
        let old = self.shard.publish(table);
        let bytes = old.get().bytes();
        if self.core.old_tables.add(old, bytes) {
            self.seal();
        }
    }
}
