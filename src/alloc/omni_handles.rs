//! What is taken and not yet there to stay: a slot before it is published, some ids before all are had.

use super::found::Found;
use super::omni::OmniBlockAllocator;
use crate::bitset::Mark;
use crate::id::{Extent, ObjectId};
use crate::sync::epoch::Guard;

/// A slot that is taken and that nobody finds yet; see [`OmniBlockAllocator::reserve`].
///
/// It cannot outlive its allocator:
///
/// ```compile_fail,E0505
/// let ids = mapless::OmniBlockAllocator::new();
/// let reservation = ids.reserve(mapless::ByteLen::new(9)).unwrap();
/// drop(ids); // error: it is borrowed
/// reservation.publish();
/// ```
#[derive(Debug)]
#[must_use = "dropping a reservation makes the slot free again"]
pub struct OmniReservation<'a> {
    pub(super) owner: &'a OmniBlockAllocator,
    pub(super) id: ObjectId,
    pub(super) extent: Extent,
    /// It is a large object's, and of no class.
    #[cfg_attr(not(feature = "store"), allow(dead_code))]
    // a store writes other records for these
    pub(super) is_single: bool,
}

impl OmniReservation<'_> {
    /// The id that the object will have.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The bytes that it will have: write them now.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Lets everybody find the object, and all that was written before.
    ///
    /// # Progress
    /// Lock-free; a large object blocks on the root's lock.
    pub fn publish(self) -> ObjectId {
        let this = core::mem::ManuallyDrop::new(self);
        this.with(|found, guard| {
            found.block.publish(found.slot);
            // Somebody may have found and freed it while its mark was still there.
            this.owner.root().directory().mark_ended(found, guard);
        });
        this.id
    }

    /// Makes the slot free again; what a drop does.
    pub fn cancel(self) {}

    #[cfg(feature = "store")]
    pub(crate) fn is_single(&self) -> bool {
        self.is_single
    }

    /// Leaves the slot taken, until `OmniBlockAllocator::resume`.
    #[cfg(feature = "store")]
    pub(crate) fn keep(self) -> ObjectId {
        core::mem::ManuallyDrop::new(self).id
    }

    fn with<R>(&self, f: impl FnOnce(Found<'_>, &Guard) -> R) -> R {
        let guard = self.owner.pin();
        let found = self.owner.root().directory().find(self.id, &guard);
        f(found.expect("a reserved slot keeps its range (H2)"), &guard)
    }
}

impl Drop for OmniReservation<'_> {
    fn drop(&mut self) {
        self.with(|found, guard| {
            found.block.unmark(found.slot, Mark::Reserved);
            let class = self.owner.class_of(found);
            self.owner.root().directory().emptied(class, found, guard);
        });
    }
}

/// Slots in a row that are taken and that nobody finds yet; dropping them makes them free again.
#[cfg(feature = "store")]
#[must_use = "dropping them makes the slots free again"]
pub(crate) struct OmniRun<'a> {
    pub(super) owner: &'a OmniBlockAllocator,
    pub(super) first: ObjectId,
    /// The first one's bytes.
    pub(super) extent: Extent,
    pub(super) slots: u32,
    pub(super) is_single: bool,
}

#[cfg(feature = "store")]
impl OmniRun<'_> {
    pub(crate) fn is_single(&self) -> bool {
        self.is_single
    }

    /// The id and the bytes of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectId, Extent)> + use<> {
        let (first, Extent { offset, len }) = (self.first.get(), self.extent);
        (0..u64::from(self.slots)).map(move |nth| {
            let id = ObjectId::new(first + nth).unwrap_or(ObjectId::MAX); // slots of a block
            let offset = crate::id::FileOffset::new(offset.get() + nth * len.get());
            (id, Extent::new(offset, len))
        })
    }

    /// Lets everybody find the objects, and all that was written before.
    pub(crate) fn publish(self) {
        let this = core::mem::ManuallyDrop::new(self);
        this.with(|found, guard| {
            if this.slots == 1 {
                found.block.publish(found.slot);
                this.owner.root().directory().mark_ended(found, guard);
            } else {
                found.block.publish_many(found.slot, this.slots);
            }
        });
    }

    /// Leaves the slots taken, each until `OmniBlockAllocator::resume`.
    pub(crate) fn keep(self) {
        core::mem::forget(self);
    }

    fn with<R>(&self, f: impl FnOnce(Found<'_>, &Guard) -> R) -> R {
        let guard = self.owner.pin();
        let found = self.owner.root().directory().find(self.first, &guard);
        f(found.expect("a reserved slot keeps its range (H2)"), &guard)
    }
}

#[cfg(feature = "store")]
impl<'a> From<OmniReservation<'a>> for OmniRun<'a> {
    fn from(one: OmniReservation<'a>) -> Self {
        let one = core::mem::ManuallyDrop::new(one);
        Self {
            owner: one.owner,
            first: one.id,
            extent: one.extent,
            slots: 1,
            is_single: one.is_single,
        }
    }
}

#[cfg(feature = "store")]
impl Drop for OmniRun<'_> {
    fn drop(&mut self) {
        self.with(|found, guard| {
            if self.slots == 1 {
                found.block.unmark(found.slot, Mark::Reserved);
            } else {
                found.block.cancel_many(found.slot, self.slots);
            }
            let class = self.owner.class_of(found);
            self.owner.root().directory().emptied(class, found, guard);
        });
    }
}

/// Ids that are freed again unless they are taken out: a policy's panic leaves nothing behind.
pub(super) struct Taken<'a> {
    pub(super) owner: &'a OmniBlockAllocator,
    pub(super) ids: Vec<ObjectId>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            // Whoever frees all that `iter` shows may have been faster.
            let _ = self.owner.free(id);
        }
    }
}
