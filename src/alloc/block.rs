//! Slots of one size over one block.
//!
//! # Shape
//! ```text
//! id ── first id ──> slot ── one bit: live? ──> first offset + slot * slot size
//! ```
//! The states of a slot and who may change them: `src/bitset/mod.rs`; what waits for readers:
//! `block_core.rs`.
//!
//! # Checked by
//! `loom-tests/block.rs`, `loom-tests/block_epoch.rs`; `proptests/block.rs` against a map of
//! states; `tests/block.rs`; `tests/stress_block.rs`.

use core::fmt;

use super::block_build::BlockBuilder;
use super::block_core::Core;
use super::block_handles::{LocalAlloc, Reservation};
use super::error::{AllocError, BuildError, FreeError, LookupError, SlotState};
use crate::bitset::{BITS, Block, Cursor, Mark, State, Want};
use crate::id::{ByteLen, Extent, IdRange, ObjectId, SlotIndex};
use crate::sync::epoch::{Domain, Guard};

/// Hands out the slots of one range: ids, and the bytes that they stand for.
///
/// A slot is *free*, *reserved* (taken, not yet visible), *live*, *hidden* (invisible, kept) or
/// *retired* (invisible, and free once nobody looks any more):
///
/// ```text
/// free ── reserve ──> reserved ── publish ──> live ── hide ──> hidden ── reclaim ──> retired ──> free
///      ────────────── alloc ────────────────>      ───────────── retire ───────────>
/// free <──── cancel ── reserved                live ── free ──> free
/// ```
///
/// An id is an address and not a name for ever: when its slot is free it may be handed out
/// again, and then the same id names the new object. Slots that readers may still be looking at
/// are never handed out again if they were retired (or hidden and reclaimed); [`free`](Self::free)
/// is for callers who know that nobody looks.
///
/// Memory: about 310 bytes (and a [`Domain`], some 3 KB, if it is not shared), a bit a slot, 4 bits
/// for every 64 slots, 128 bytes a stripe; and some 40 bytes for each slot that was reserved, hidden
/// or retired at the same time as others, of which those of the marks are kept until the allocator
/// is dropped.
///
/// ```
/// use mapless::{BlockAllocator, ByteLen, LookupError};
/// let slots = BlockAllocator::new(1024, ByteLen::new(4096))?;
/// let id = slots.alloc()?;
/// assert_eq!(slots.extent(id)?.len, ByteLen::new(4096));
///
/// let guard = slots.pin();
/// slots.retire(id, &guard)?;
/// assert_eq!(slots.extent(id), Err(LookupError::Hidden));
/// drop(guard);
/// assert_eq!(slots.collect(), 1); // nobody looks any more
/// assert_eq!(slots.extent(id), Err(LookupError::Freed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BlockAllocator {
    core: Core,
}

impl BlockAllocator {
    /// An allocator of `slots` slots of `slot_size` bytes, with ids from 1 and offsets from 0.
    ///
    /// A size of 0 is rounded up to 1, so that no two slots have the same offset.
    ///
    /// # Errors
    /// [`BuildError`] as [`BlockBuilder::build`].
    pub fn new(slots: u64, slot_size: ByteLen) -> Result<Self, BuildError> {
        Self::builder(slots, slot_size).build()
    }

    /// Begins an allocator of `slots` slots (1 to 2^31) of `slot_size` bytes.
    pub fn builder(slots: u64, slot_size: ByteLen) -> BlockBuilder {
        BlockBuilder::new(slots, slot_size)
    }

    pub(super) fn over(core: Core) -> Self {
        Self { core }
    }

    #[inline]
    fn block(&self) -> &Block {
        &self.core.block
    }

    // ---------------------------------------------------------------- taking slots

    /// Takes a free slot and makes it live: the caller owns it until it is freed or hidden.
    ///
    /// Nothing is published with it. Who wants others to find the bytes with the id writes them
    /// first: [`reserve`](Self::reserve).
    ///
    /// # Errors
    /// [`AllocError::Full`]: every slot was, at some moment of the call, not free, or in a word
    /// whose lease another call in progress held.
    ///
    /// # Progress
    /// Lock-free, with one read-modify-write as a rule. No lock is waited for. A thread that
    /// sleeps inside a call holds up the free slots of one word of 64; between calls, nobody
    /// holds up any.
    ///
    /// # Complexity
    /// O(1) as a rule; a new word is sought once in up to 64 calls, 4,096 slots at a step.
    #[inline]
    pub fn alloc(&self) -> Result<ObjectId, AllocError> {
        self.alloc_by(None)
    }

    #[inline]
    pub(super) fn alloc_by(&self, local: Option<&Cursor>) -> Result<ObjectId, AllocError> {
        let slot = self.core.take(local, Want::Live)?;
        Ok(self.block().id(slot))
    }

    /// Takes `len` free slots in a row and makes them live.
    ///
    /// # Errors
    /// [`AllocError::EmptyRun`] if `len` is 0; [`AllocError::NoRun`] if there are not so many in a
    /// row, outside words whose leases other calls in progress held.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Complexity
    /// O(slots / 64): first fit.
    ///
    /// # Consistency
    /// The slots become live one word after the other, before the call returns.
    pub fn alloc_run(&self, len: u64) -> Result<IdRange, AllocError> {
        if len == 0 {
            return Err(AllocError::EmptyRun);
        }
        let first = self.block().id(self.core.take_run(len)?);
        Ok(IdRange::new(first, len).expect("the slots of a run are slots of the block"))
    }

    /// Takes a free slot that nobody sees before it is published.
    ///
    /// # Errors
    /// [`AllocError::Full`] as [`alloc`](Self::alloc).
    ///
    /// # Progress
    /// Lock-free.
    pub fn reserve(&self) -> Result<Reservation<'_>, AllocError> {
        self.reserve_by(None)
    }

    pub(super) fn reserve_by(&self, local: Option<&Cursor>) -> Result<Reservation<'_>, AllocError> {
        let slot = self.core.take(local, Want::Reserved)?;
        Ok(Reservation::new(self.block(), slot))
    }

    /// A handle with a stripe of its own.
    #[must_use]
    pub fn local(&self) -> LocalAlloc<'_> {
        LocalAlloc::new(self, self.core.own_cursor())
    }

    // ---------------------------------------------------------------- giving slots back

    /// Makes a live slot free at once: for callers who know that nobody looks at it.
    ///
    /// # Errors
    /// [`FreeError`] if the id is not live; nothing was changed.
    ///
    /// # Progress
    /// Wait-free: one read-modify-write, or two if the slot's word was full.
    #[inline]
    pub fn free(&self, id: ObjectId) -> Result<(), FreeError> {
        let slot = self.slot(id).ok_or(FreeError::Foreign)?;
        let freed = self.block().free(slot);
        freed.map_err(|state| self.not_live(slot, state))
    }

    /// Makes a live slot invisible at once, and keeps it until it is [reclaimed](Self::reclaim).
    ///
    /// Of several calls for one slot exactly one succeeds.
    ///
    /// # Errors
    /// [`FreeError`] if the id is not live; nothing was changed.
    ///
    /// # Progress
    /// Lock-free.
    pub fn hide(&self, id: ObjectId) -> Result<(), FreeError> {
        let slot = self.slot(id).ok_or(FreeError::Foreign)?;
        self.hide_as(slot, Mark::Hidden)
    }

    fn hide_as(&self, slot: SlotIndex, mark: Mark) -> Result<(), FreeError> {
        let hidden = self.block().hide(slot, mark);
        hidden.map_err(|state| self.not_live(slot, state))
    }

    /// Gives up a hidden slot: it is free as soon as every guard that is alive now is gone.
    ///
    /// # Errors
    /// [`FreeError`] if the slot is not hidden, or reclaimed already; nothing was changed.
    ///
    /// # Panics
    /// If `guard` is of another domain.
    ///
    /// # Progress
    /// Blocking: takes the lock of the list of what is retired.
    pub fn reclaim(&self, id: ObjectId, guard: &Guard) -> Result<(), FreeError> {
        self.core.domain.check(guard);
        let slot = self.slot(id).ok_or(FreeError::Foreign)?;
        if !self.block().retire_hidden(slot) {
            return Err(match self.block().state(slot) {
                State::Live => FreeError::NotHidden,
                state => self.not_live(slot, state),
            });
        }
        self.core.push(slot, guard);
        Ok(())
    }

    /// Makes a live slot invisible at once, and free as soon as every guard that is alive now is
    /// gone: [`hide`](Self::hide) and [`reclaim`](Self::reclaim) in one.
    ///
    /// # Errors
    /// [`FreeError`] if the id is not live; nothing was changed.
    ///
    /// # Panics
    /// If `guard` is of another domain.
    ///
    /// # Progress
    /// Blocking: takes the lock of the list of what is retired. The slot is invisible before.
    pub fn retire(&self, id: ObjectId, guard: &Guard) -> Result<(), FreeError> {
        self.core.domain.check(guard);
        let slot = self.slot(id).ok_or(FreeError::Foreign)?;
        self.hide_as(slot, Mark::Retired)?;
        self.core.push(slot, guard);
        Ok(())
    }

    /// Makes free what is retired and nobody can be looking at any more; how many slots.
    ///
    /// Retiring does that as well, now and then, and so does an [`alloc`](Self::alloc) that finds
    /// nothing free. Called with a guard of the same domain alive, it frees little.
    ///
    /// # Progress
    /// Blocking: takes the lock of the list of what is retired.
    pub fn collect(&self) -> u64 {
        self.core.collect()
    }

    // ---------------------------------------------------------------- looking

    /// The bytes of a live slot.
    ///
    /// # Errors
    /// [`LookupError`] if the id is not live.
    ///
    /// # Progress
    /// Wait-free, and needs no guard: one atomic load if it is live. (That the bytes stay what
    /// they are while they are read is what a guard is for: see [`retire`](Self::retire).)
    #[inline]
    pub fn extent(&self, id: ObjectId) -> Result<Extent, LookupError> {
        let slot = self.slot(id).ok_or(LookupError::Unknown)?;
        if self.block().is_live(slot) {
            return Ok(self.block().extent(slot));
        }
        self.extent_after_all(slot)
    }

    #[cold]
    fn extent_after_all(&self, slot: SlotIndex) -> Result<Extent, LookupError> {
        match SlotState::of(self.block().state(slot)) {
            SlotState::Live => Ok(self.block().extent(slot)),
            state => Err(LookupError::not_live(state, self.block().is_touched(slot))),
        }
    }

    /// Whether the id is live.
    ///
    /// # Progress
    /// Wait-free: one atomic load.
    #[inline]
    #[must_use]
    pub fn is_allocated(&self, id: ObjectId) -> bool {
        self.slot(id).is_some_and(|slot| self.block().is_live(slot))
    }

    /// Whether the id is one of this allocator's, live or not.
    #[inline]
    #[must_use]
    pub fn contains(&self, id: ObjectId) -> bool {
        self.slot(id).is_some()
    }

    /// The state of a slot.
    ///
    /// # Errors
    /// [`LookupError::Unknown`] if the id is none of this allocator's.
    ///
    /// # Progress
    /// Wait-free: bounded by how many slots ever were reserved, hidden or retired at once, of the 1,024
    /// to 2,048 in the words that share their marks' memory with the slot's own.
    ///
    /// # Consistency
    /// A moment of the call.
    pub fn state(&self, id: ObjectId) -> Result<SlotState, LookupError> {
        let slot = self.slot(id).ok_or(LookupError::Unknown)?;
        Ok(SlotState::of(self.block().state(slot)))
    }

    /// The live ids, ascending.
    ///
    /// # Consistency
    /// Each id was live at some moment of the iteration; one that is live throughout is met.
    pub fn iter(&self) -> LiveIds<'_> {
        LiveIds::new(self.block())
    }

    /// How many slots are live.
    ///
    /// # Complexity
    /// O(slots / 64): nothing is counted on the way.
    ///
    /// # Consistency
    /// Exact at rest; otherwise each 64 slots are counted at a moment of their own.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.block().live()
    }

    /// Whether no slot is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block().live_words().all(|word| word == 0)
    }

    /// How many slots there are.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.block().slots()
    }

    /// How many slots are hidden or retired.
    ///
    /// # Consistency
    /// Exact at rest.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.block().hidden()
    }

    /// The ids of all slots.
    #[must_use]
    pub fn ids(&self) -> IdRange {
        let range = IdRange::new(self.block().span().first_id, self.capacity());
        range.expect("checked when the allocator was made")
    }

    /// The size of a slot; at least 1.
    #[must_use]
    pub fn slot_size(&self) -> ByteLen {
        self.block().span().slot_size
    }

    /// The live bits, 64 slots a word: the lowest bit of the first word is the first slot.
    ///
    /// Reserved, hidden and retired slots are free in it. [`BlockBuilder::restore`] makes an
    /// allocator of it.
    ///
    /// # Consistency
    /// Exact at rest; otherwise each word is of a moment of its own.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u64> {
        self.block().live_words().collect()
    }

    // ---------------------------------------------------------------- epochs

    /// Enters the domain: what is retired from now on is not handed out while the guard lives.
    ///
    /// # Progress
    /// Lock-free; see [`Domain::pin`].
    #[inline]
    pub fn pin(&self) -> Guard {
        self.core.domain.pin()
    }

    /// The domain whose guards protect retired slots.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.core.domain
    }

    /// Gives the block up, as an owner of several does with one that is not used; for the models.
    #[cfg(all(loom, feature = "loom"))]
    #[doc(hidden)]
    pub fn revoke(&self) -> bool {
        self.block().revoke()
    }

    /// Reserves `most` slots or fewer, as a store does; those in a row together; for the models.
    #[cfg(all(loom, feature = "loom", feature = "store"))]
    #[doc(hidden)]
    pub fn reserve_many(&self, most: u64) -> Vec<IdRange> {
        let mut all = Vec::new();
        self.block().reserve_many(most, |start, len| {
            let ids = IdRange::new(self.block().id(start), len.into());
            all.push(ids.expect("slots of the block"));
        });
        all
    }

    /// Publishes such slots; for the models.
    #[cfg(all(loom, feature = "loom", feature = "store"))]
    #[doc(hidden)]
    pub fn publish_many(&self, ids: IdRange) {
        let start = self.slot(ids.first()).expect("it was reserved");
        self.block().publish_many(start, ids.len() as u32);
    }

    /// Makes such slots free again; for the models.
    #[cfg(all(loom, feature = "loom", feature = "store"))]
    #[doc(hidden)]
    pub fn cancel_many(&self, ids: IdRange) {
        let start = self.slot(ids.first()).expect("it was reserved");
        self.block().cancel_many(start, ids.len() as u32);
    }

    // ---------------------------------------------------------------- helpers

    #[inline]
    fn slot(&self, id: ObjectId) -> Option<SlotIndex> {
        self.block().slot(id)
    }

    #[cold]
    fn not_live(&self, slot: SlotIndex, state: State) -> FreeError {
        FreeError::not_live(SlotState::of(state), self.block().is_touched(slot))
    }
}

impl<'a> IntoIterator for &'a BlockAllocator {
    type Item = ObjectId;
    type IntoIter = LiveIds<'a>;

    fn into_iter(self) -> LiveIds<'a> {
        self.iter()
    }
}

impl fmt::Debug for BlockAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockAllocator")
            .field("ids", &self.ids())
            .field("slot_size", &self.slot_size())
            .field("len", &self.len())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The live ids of a [`BlockAllocator`], ascending.
///
/// They cannot outlive their allocator:
///
/// ```compile_fail,E0505
/// let slots = mapless::BlockAllocator::new(64, mapless::ByteLen::new(8)).unwrap();
/// let mut live = slots.iter();
/// drop(slots); // error: it is borrowed
/// live.next();
/// ```
#[derive(Clone)]
#[must_use = "iterators are lazy"]
pub struct LiveIds<'a> {
    block: &'a Block,
    next: usize,
    bits: u64,
}

impl<'a> LiveIds<'a> {
    pub(super) fn new(block: &'a Block) -> Self {
        Self {
            block,
            next: 0,
            bits: 0,
        }
    }
}

impl Iterator for LiveIds<'_> {
    type Item = ObjectId;

    fn next(&mut self) -> Option<ObjectId> {
        while self.bits == 0 {
            self.bits = self.block.live_word(self.next)?;
            self.next += 1;
        }
        let slot = (self.next - 1) as u32 * BITS + self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(self.block.id(SlotIndex::new(slot)))
    }
}

impl fmt::Debug for LiveIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveIds")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
