//! What a store asks of its allocator beside what users do: to be asked before room is put to use,
//! to reserve many slots, to keep reservations, to take unused ranges out.
//!
//! # Checked by
//! `tests/store.rs`, `tests/store_care.rs`, `tests/store_crash.rs`.

use std::sync::Arc;

use super::classes::MAX_CLASSES;
use super::directory::{NO_CLASS, Watch};
use super::omni::OmniBlockAllocator;
use super::omni_handles::{OmniReservation, OmniRun};
use crate::id::{ByteLen, Extent, ObjectId};

impl OmniBlockAllocator {
    /// Has somebody asked before a range or large object is put to use, and keeps ranges.
    pub(crate) fn watch(&mut self, watch: Arc<dyn Watch>) {
        self.root_mut().directory_mut().watch(watch);
    }

    /// Whether a class of this size can be added; only its adding by others changes that.
    pub(crate) fn can_add_size_class(&self, size: ByteLen) -> bool {
        let table = self.table();
        let there = table
            .fit(size)
            .is_some_and(|class| class.slot_size() == size);
        !there && self.classes().count() < MAX_CLASSES
    }

    /// The size of the slots that a length goes to; nothing for large ones.
    pub(crate) fn slot_size(&self, len: ByteLen) -> Option<ByteLen> {
        self.table().fit(len).map(|class| class.slot_size())
    }

    /// Reserves slots of at least `len` bytes that there are, `most` of them or fewer, those in a row
    /// as one; how many. Ranges do not grow for it: a slot that is reserved by itself sees to that.
    pub(crate) fn reserve_many<'a>(
        &'a self,
        len: ByteLen,
        most: u64,
        all: &mut Vec<OmniRun<'a>>,
    ) -> u64 {
        let Some(class) = self.table().fit(len) else {
            return 0;
        };
        class.reserve_many(self.root().directory(), most, |block, start, slots| {
            all.push(OmniRun {
                owner: self,
                first: block.id(start),
                extent: block.extent(start),
                slots,
                is_single: false,
            });
        })
    }

    /// Takes out all ranges without a taken slot, one unused range of each class too; their first ids
    /// and extents, which stay taken.
    pub(crate) fn take_unused(&self) -> Vec<(ObjectId, Extent)> {
        let directory = self.root().directory();
        let mut all = Vec::new();
        for class in self.classes() {
            class.reap(directory);
            class.take_unused(directory, &mut all);
        }
        all
    }

    /// Whether an id is that of a large object.
    pub(crate) fn is_single(&self, id: ObjectId) -> bool {
        let guard = self.pin();
        let found = self.root().directory().find(id, &guard);
        found.is_some_and(|found| found.block.span().class == NO_CLASS)
    }

    /// Takes up a reservation that was kept. Each one is taken up once, and by one.
    pub(crate) fn resume(&self, id: ObjectId) -> OmniReservation<'_> {
        let guard = self.pin();
        let found = self.root().directory().find(id, &guard);
        let found = found.expect("a reserved slot keeps its range (H2)");
        OmniReservation {
            owner: self,
            id,
            extent: found.block.extent(found.slot),
            is_single: found.block.span().class == NO_CLASS,
        }
    }
}
