//! What callers hold: a reserved slot, a place of their own to go on from.

use super::block::BlockAllocator;
use super::error::AllocError;
use crate::bitset::{Block, Cursor, Mark};
use crate::id::{ObjectId, SlotIndex};

/// A slot that is ours and that nobody sees yet.
///
/// Made by [`BlockAllocator::reserve`]. Dropping it cancels it: the slot is free again. If it is
/// leaked, the slot stays reserved.
///
/// ```
/// use mapless::{BlockAllocator, ByteLen, LookupError};
/// let slots = BlockAllocator::new(64, ByteLen::new(32))?;
/// let slot = slots.reserve()?;
/// assert_eq!(slots.extent(slot.id()), Err(LookupError::Reserved));
/// // .. write the bytes ..
/// let id = slot.publish();
/// assert!(slots.extent(id).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It cannot outlive its allocator, and it is published or cancelled once:
///
/// ```compile_fail,E0505
/// let slots = mapless::BlockAllocator::new(64, mapless::ByteLen::new(8)).unwrap();
/// let slot = slots.reserve().unwrap();
/// drop(slots); // error: it is borrowed
/// slot.publish();
/// ```
///
/// ```compile_fail,E0382
/// let slots = mapless::BlockAllocator::new(64, mapless::ByteLen::new(8)).unwrap();
/// let slot = slots.reserve().unwrap();
/// slot.publish();
/// slot.cancel(); // error: it was moved
/// ```
#[derive(Debug)]
#[must_use = "a reservation that is dropped is cancelled"]
pub struct Reservation<'a> {
    block: &'a Block,
    slot: SlotIndex,
}

impl<'a> Reservation<'a> {
    pub(super) fn new(block: &'a Block, slot: SlotIndex) -> Self {
        Self { block, slot }
    }

    /// The id that the slot will have.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.block.id(self.slot)
    }

    /// The bytes of the slot.
    #[must_use]
    pub fn extent(&self) -> crate::id::Extent {
        self.block.extent(self.slot)
    }

    /// Makes the slot live: whoever sees it live sees what was written before.
    ///
    /// # Progress
    /// Lock-free; the live bit itself rises in one step.
    pub fn publish(self) -> ObjectId {
        let this = core::mem::ManuallyDrop::new(self);
        this.block.publish(this.slot);
        this.id()
    }

    /// Gives the slot back.
    ///
    /// # Progress
    /// Lock-free.
    pub fn cancel(self) {
        drop(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.block.unmark(self.slot, Mark::Reserved);
    }
}

/// A way into a [`BlockAllocator`] that has a stripe of its own.
///
/// Worth having where more threads allocate than there are stripes, or where one of them must
/// not meet others. It remembers a place and holds nothing: the free slots there can be had by
/// everybody, and its drop has nothing to give back.
///
/// ```
/// use mapless::{BlockAllocator, ByteLen};
/// let slots = BlockAllocator::new(1024, ByteLen::new(32))?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             let mine = slots.local();
///             (0..256).for_each(|_| drop(mine.alloc().unwrap()));
///         });
///     }
/// });
/// assert_eq!(slots.len(), 1024);
/// # Ok::<(), mapless::BuildError>(())
/// ```
///
/// It cannot outlive its allocator:
///
/// ```compile_fail,E0505
/// let slots = mapless::BlockAllocator::new(64, mapless::ByteLen::new(8)).unwrap();
/// let mine = slots.local();
/// drop(slots); // error: it is borrowed
/// mine.alloc();
/// ```
#[derive(Debug)]
pub struct LocalAlloc<'a> {
    owner: &'a BlockAllocator,
    cursor: Cursor,
}

impl<'a> LocalAlloc<'a> {
    pub(super) fn new(owner: &'a BlockAllocator, cursor: Cursor) -> Self {
        Self { owner, cursor }
    }

    /// As [`BlockAllocator::alloc`].
    ///
    /// # Errors
    /// [`AllocError::Full`].
    ///
    /// # Progress
    /// Lock-free.
    #[inline]
    pub fn alloc(&self) -> Result<ObjectId, AllocError> {
        self.owner.alloc_by(Some(&self.cursor))
    }

    /// As [`BlockAllocator::reserve`].
    ///
    /// # Errors
    /// [`AllocError::Full`].
    ///
    /// # Progress
    /// Lock-free.
    pub fn reserve(&self) -> Result<Reservation<'a>, AllocError> {
        self.owner.reserve_by(Some(&self.cursor))
    }
}
