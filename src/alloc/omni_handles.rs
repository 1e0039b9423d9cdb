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
