//! One index from ids to blocks, over one address space: what the root and the classes share.
//!
//! # Shape
//! ```text
//! index   ids ──> block            lookups: a guard, no lock
//! root    space, ids, limbo        writers: one lock, taken for whole ranges only
//! ```
//! A large object is a block of one slot, so a lookup knows no cases.
//!
//! # Invariants
//! * H1  A block that the index leads to lives until every guard is gone that was live when the
//!   index forgot it.
//! * H2  A block with a reserved, hidden or retired slot is in the index.
//! * D1  A block is in the index from `add` to `remove`, and freed only after the epoch.
//! * D2  An extent goes back to the space when its block is removed, or after the epoch: once, and
//!   whole (G5 of `gaps.rs`).
//! * D3  Under the root's lock, `singles` holds exactly the blocks of one large object that are in
//!   the index; or there is none, where ranges are kept: then large objects go by their ids alone.
//!
//! # Progress
//! `find` is wait-free. Everything else blocks on the root's lock.
//!
//! # Checked by
//! `loom-tests/omni.rs` (H1, H2, D1, D2); `proptests/omni.rs`; address sanitizer over
//! `tests/stress_omni.rs`.
#![allow(unsafe_code)] // an address in an index entry has no lifetime: H1 and H2 are its lifetime

use core::fmt;
use std::sync::Arc;

use super::class::Class;
use super::error::{AllocError, FreeError, LookupError};
use super::found::{Found, Retired};
use super::gaps::{GapSet, SpaceError};
use super::ids::IdCounter;
use super::singles::Singles;
use super::snapshot::RestoreError;
use super::wanted::Wanted;
use crate::bitset::{Block, BlockBox, BlockRef, Mark, Span};
use crate::id::{ByteLen, Extent, IdRange, ObjectId, SlotIndex};
use crate::index::{RangeIndex, RemoveError, Value};
use crate::sync::epoch::{Domain, Guard, Limbo};
use crate::sync::lock::Mutex;

impl Value for BlockRef {
    #[inline]
    fn into_bits(self) -> u64 {
        self.to_word()
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self::from_word(bits).expect("the index holds addresses of blocks")
    }
}

/// The class of blocks that belong to no size class: one large object each.
pub(crate) const NO_CLASS: u32 = u32::MAX;

/// Who is asked before a range, or a large object, is put to use; ranges are then kept.
pub(crate) trait Watch: Send + Sync {
    /// Under no lock but the class's.
    ///
    /// # Errors
    /// Why it is not put to use: nothing has changed then.
    fn adds(&self, directory: &Directory, ids: IdRange, span: &Span) -> Result<(), AllocError>;
}

/// The index, the address space behind it, and what was removed from them.
pub(crate) struct Directory {
    domain: Domain,
    watch: Option<Arc<dyn Watch>>,
    index: RangeIndex<BlockRef>,
    root: Mutex<Root>,
}

struct Root {
    space: GapSet,
    ids: IdCounter,
    align: u64,
    limbo: Limbo<Gone>,
    /// The slots of all blocks in the index.
    slots: u64,
    /// Where the large objects are that are no runs, for `free(extent)` and `near`.
    singles: Option<Singles>,
    /// Under loom what is freed stays, so that a late look is a race and not a crash.
    #[cfg(all(loom, feature = "loom"))]
    buried: Vec<BlockRef>,
}

/// A block that the index has forgotten, and whether its extent has gone back already.
struct Gone {
    block: BlockRef,
    reuse: Reuse,
}

/// When a removed block's extent may be given out again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reuse {
    /// The caller knows that nobody reads it.
    Now,
    /// Readers may still hold its offset.
    AfterEpoch,
    /// The caller gives it back.
    #[cfg(feature = "store")]
    ByCaller,
}

impl Directory {
    pub(crate) fn new(domain: Domain, space: GapSet, ids: IdCounter, align: u64) -> Self {
        let root = Root {
            space,
            ids,
            align,
            limbo: Limbo::new(&domain),
            slots: 0,
            singles: Some(Singles::new()),
            #[cfg(all(loom, feature = "loom"))]
            buried: Vec::new(),
        };
        Self {
            index: RangeIndex::with_domain(&domain),
            domain,
            watch: None,
            root: Mutex::new(root),
        }
    }

    /// Has somebody asked from now on, who frees large objects by their ids alone (D3).
    #[cfg(feature = "store")]
    pub(crate) fn watch(&mut self, watch: Arc<dyn Watch>) {
        self.watch = Some(watch);
        self.root.lock().singles = None;
    }

    /// Whether ranges are kept, and only given back where somebody says so.
    pub(crate) fn keeps_ranges(&self) -> bool {
        self.watch.is_some()
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) fn index(&self) -> &RangeIndex<BlockRef> {
        &self.index
    }

    /// The bytes of a live object.
    #[inline(always)] // else the extent goes through memory, and a lookup costs half as much again
    pub(crate) fn locate(&self, id: ObjectId, guard: &Guard) -> Result<Extent, LookupError> {
        let Some((slot, handle)) = self.index.offset_in(id, guard) else {
            return Err(LookupError::Unknown);
        };
        let slot = SlotIndex::new(slot as u32);
        // SAFETY: S1 H1: the index led to the block under `guard`; S2 the range of a block has as
        // many ids as the block has slots.
        let live = unsafe { handle.live_extent(slot) };
        match live {
            Some(extent) => Ok(extent),
            None => self.found(handle, slot, guard).state(),
        }
    }

    /// The block and the slot that an id names, whatever the slot's state.
    #[inline]
    pub(crate) fn find<'g>(&'g self, id: ObjectId, guard: &'g Guard) -> Option<Found<'g>> {
        let (slot, handle) = self.index.offset_in(id, guard)?;
        Some(self.found(handle, SlotIndex::new(slot as u32), guard))
    }

    #[inline]
    fn found<'g>(&'g self, handle: BlockRef, slot: SlotIndex, guard: &'g Guard) -> Found<'g> {
        Found {
            block: self.block(handle, guard),
            handle,
            slot,
        }
    }

    /// A block that the index led to under this very guard.
    #[inline]
    pub(crate) fn block<'g>(&'g self, handle: BlockRef, _guard: &'g Guard) -> &'g Block {
        // SAFETY: S1 H1: the index led to it under `_guard`, which outlives the borrow.
        unsafe { handle.get() }
    }

    /// The blocks from the one at or after `start` on, by their ids.
    pub(crate) fn blocks<'g>(
        &'g self,
        start: ObjectId,
        guard: &'g Guard,
    ) -> impl Iterator<Item = &'g Block> + 'g {
        let mut next = Some(start);
        core::iter::from_fn(move || {
            let (range, handle) = self.index.ceiling_in(next?, guard)?;
            next = range.last().checked_add(1).ok();
            Some(self.block(handle, guard))
        })
    }

    /// Makes a retired slot free, now that nobody looks at it any more.
    pub(crate) fn release<'g>(&'g self, retired: Retired, guard: &'g Guard) -> Found<'g> {
        let Retired { handle, slot, .. } = retired;
        // SAFETY: S1 H2: until its mark falls, below, the block is in the index; afterwards H1
        // holds, since `guard` was live before.
        let block: &'g Block = unsafe { handle.get() };
        block.unmark(slot, Mark::Retired);
        let _ = guard;
        Found {
            block,
            handle,
            slot,
        }
    }

    /// A slot was emptied: a block that is not used any more goes, at the latest with `trim`.
    #[inline]
    pub(crate) fn emptied(&self, class: &Class, found: Found<'_>, guard: &Guard) {
        if class.number() != NO_CLASS {
            class.emptied(self, found, guard);
        } else {
            self.remove_unused(found, Reuse::Now, guard);
        }
    }

    /// Removes the block of large objects if none of its slots is taken and nobody else did.
    ///
    /// Called after a live bit fell and after a mark ended. The lock puts the looks in a row, so
    /// that the last one sees what all the others came for: none needs to wait for another.
    pub(crate) fn remove_unused(&self, found: Found<'_>, reuse: Reuse, guard: &Guard) {
        self.take_out_unused(&mut self.root.lock(), found, reuse, guard);
    }

    fn take_out_unused(&self, root: &mut Root, found: Found<'_>, reuse: Reuse, guard: &Guard) {
        if found.block.is_unused() {
            // An error says that somebody else removed it: its ids are never issued again.
            let _ = self.take_out(root, found, reuse, guard);
        }
    }

    /// A mark of ours ended, and may have kept the block of a large object from being removed:
    /// the reserved mark of one that was freed before we were done with its publication, or the
    /// mark with which we tried to hide what somebody else freed.
    #[cold]
    pub(crate) fn mark_ended(&self, found: Found<'_>, guard: &Guard) {
        if found.block.span().class == NO_CLASS {
            // Whoever made it invisible may have done so for readers' sake.
            self.remove_unused(found, Reuse::AfterEpoch, guard);
        }
    }

    /// Finds room and ids for a range, builds its block and lets `publish` put it to use before
    /// the index leads to it.
    ///
    /// # Errors
    /// [`AllocError`]; nothing has changed then.
    pub(crate) fn add(
        &self,
        wanted: Wanted,
        first_use: impl FnOnce(&Block),
    ) -> Result<(BlockRef, IdRange, Extent), AllocError> {
        let mut root = self.root.lock();
        root.reap();
        let wanted = root.with_ids(wanted)?;
        let (wanted, extent) = self.room(&mut root, wanted)?;
        let ids = root.ids.issue(wanted.slots());
        let ids = ids.expect("there are ids for as many slots, or more");
        if let Some(singles) = &root.singles {
            singles.prefetch(extent.offset);
        }
        let span = Span {
            first_id: ids.first(),
            first_offset: extent.offset,
            slot_size: wanted.slot_size,
            last: wanted.last,
            class: wanted.class,
        };
        if let Some(watch) = &self.watch {
            drop(root);
            let asked = watch.adds(self, ids, &span);
            root = self.root.lock();
            asked.inspect_err(|_| root.space.free(extent))?;
        }
        let block = Block::new(span);
        first_use(&block);
        let handle = self.place(&mut root, block, ids);
        Ok((handle, ids, extent))
    }

    /// Lets the index lead to a block whose ids nobody else has.
    fn place(&self, root: &mut Root, block: BlockBox, ids: IdRange) -> BlockRef {
        let span = *block.span();
        let handle = block.leak();
        root.slots += ids.len();
        if is_single(&span)
            && let Some(singles) = &mut root.singles
        {
            // SAFETY: S1 `take_out` removes it here when it goes out of the index, and it is freed
            // later (D1), or by `drop`, after which nobody looks for it.
            unsafe { singles.insert(handle) };
        }
        let placed = self.index.insert(ids, handle);
        placed.expect("ids are issued once (N1)");
        handle
    }

    /// An extent for the range, or for a smaller one that will do. What the epoch has passed over is
    /// looked at, once, before `NoSpace` is believed.
    fn room(&self, root: &mut Root, mut wanted: Wanted) -> Result<(Wanted, Extent), AllocError> {
        let mut collected = root.limbo.len() == 0;
        loop {
            let refused = match root.alloc(wanted) {
                Ok(extent) => return Ok((wanted, extent)),
                Err(error) => error,
            };
            if refused == SpaceError::NoSpace && !collected {
                collected = true;
                self.collect_root(root);
                continue;
            }
            let small = matches!(refused, SpaceError::NoSpace | SpaceError::TooLarge);
            let halved = wanted.halved().filter(|_| small);
            wanted = halved.ok_or(AllocError::Space(refused))?;
        }
    }

    /// Takes a block out of the index for good. No id of its range is ever found again.
    pub(crate) fn remove(&self, found: Found<'_>, reuse: Reuse, guard: &Guard) {
        let removed = self.take_out(&mut self.root.lock(), found, reuse, guard);
        removed.expect("a block is removed once (D1)");
    }

    fn take_out(
        &self,
        root: &mut Root,
        found: Found<'_>,
        reuse: Reuse,
        guard: &Guard,
    ) -> Result<(), RemoveError> {
        let Found { block, handle, .. } = found;
        self.index.remove(block.span().first_id)?;
        root.slots -= block.slots();
        let extent = whole(block);
        if is_single(block.span())
            && let Some(singles) = &mut root.singles
        {
            singles.remove(handle);
        }
        let mut bytes = size_of_val(block);
        match reuse {
            Reuse::Now => root.space.free(extent),
            #[cfg(feature = "store")]
            Reuse::ByCaller => {}
            Reuse::AfterEpoch => {
                let waiting = usize::try_from(extent.len.get());
                bytes = bytes.saturating_add(waiting.unwrap_or(usize::MAX));
            }
        }
        let gone = Gone {
            block: handle,
            reuse,
        };
        root.limbo.push(gone, bytes, guard);
        root.reap();
        Ok(())
    }

    /// Takes back the large object that has exactly this extent.
    ///
    /// # Errors
    /// [`FreeError`]; nothing has changed then.
    pub(crate) fn free_at(&self, extent: Extent, guard: &Guard) -> Result<(), FreeError> {
        let mut root = self.root.lock();
        root.space.prefetch(extent);
        let handle = root.single_at(extent).map_err(FreeError::Space)?;
        // As if the index had led to it: it does, as long as we have the lock (D3).
        let found = self.found(handle, SlotIndex::ZERO, guard);
        found.free()?;
        self.take_out_unused(&mut root, found, Reuse::Now, guard);
        Ok(())
    }

    /// Seals, moves the epoch on, and puts to use what nobody looks at any more.
    pub(crate) fn collect(&self) {
        self.index.collect();
        self.collect_root(&mut self.root.lock());
    }

    fn collect_root(&self, root: &mut Root) {
        root.limbo.seal(&self.domain.pin());
        self.domain.nudge();
        root.reap();
    }

    /// Runs `f` on the address space.
    pub(crate) fn with_space<R>(&self, f: impl FnOnce(&mut GapSet) -> R) -> R {
        f(&mut self.root.lock().space)
    }

    /// Builds the blocks that a snapshot tells of; see `snapshot.rs`.
    ///
    /// # Errors
    /// Those of the space and of the index; the directory is then good for nothing.
    pub(crate) fn restore_block(
        &self,
        ids: IdRange,
        extent: Extent,
        block: BlockBox,
    ) -> Result<BlockRef, RestoreError> {
        let mut root = self.root.lock();
        if let Some((with, _)) = self.overlap(ids) {
            return Err(RestoreError::SharedIds(with));
        }
        root.space.claim(extent).map_err(RestoreError::Space)?;
        root.ids.skip(ids);
        Ok(self.place(&mut root, block, ids))
    }

    fn overlap(&self, ids: IdRange) -> Option<(IdRange, BlockRef)> {
        let before = self.index.floor(ids.last());
        before.filter(|(range, _)| range.overlaps(ids))
    }

    /// Makes sure that no id below `next` is issued again.
    pub(crate) fn skip_ids(&self, next: u64) {
        self.root.lock().ids.skip_to(next);
    }

    /// Every id that will be issued is at or above this one.
    pub(crate) fn next_id(&self) -> u64 {
        self.root.lock().ids.high()
    }

    /// The slots of all blocks.
    pub(crate) fn slots(&self) -> u64 {
        self.root.lock().slots
    }

    /// How many bytes of extents and blocks wait for readers.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.root.lock().limbo.bytes()
    }
}

/// Whether a block is one large object, and no run of them.
pub(crate) fn is_single(span: &Span) -> bool {
    span.class == NO_CLASS && span.last == SlotIndex::ZERO
}

/// All bytes of a block.
pub(crate) fn whole(block: &Block) -> Extent {
    let span = block.span();
    // Within the space: it was given out as one extent.
    let len = ByteLen::new(span.slot_size.get() * block.slots());
    Extent::new(span.first_offset, len)
}

impl Root {
    /// The range, or a smaller one that will do, for which there are ids.
    fn with_ids(&self, mut wanted: Wanted) -> Result<Wanted, AllocError> {
        loop {
            let mut ids = self.ids;
            match ids.issue(wanted.slots()) {
                Ok(_) => return Ok(wanted),
                Err(error) => wanted = wanted.halved().ok_or(AllocError::Ids(error))?,
            }
        }
    }

    fn alloc(&mut self, wanted: Wanted) -> Result<Extent, SpaceError> {
        let len = wanted.slot_size.checked_mul(wanted.slots());
        let len = len.map_err(|_| SpaceError::TooLarge)?;
        let near = wanted
            .near
            .and_then(|near| self.singles.as_ref()?.find(near));
        let near = near.map(|(_, extent)| extent);
        self.space.alloc(len, wanted.align.max(self.align), near)
    }

    /// The large object that has exactly this extent.
    fn single_at(&self, extent: Extent) -> Result<BlockRef, SpaceError> {
        let singles = self.singles.as_ref();
        let found = singles.and_then(|singles| singles.find(extent.offset));
        let (handle, whole) = found.ok_or(SpaceError::NotLive)?;
        if whole.len != extent.len {
            return Err(SpaceError::WrongLen { live: whole.len });
        }
        Ok(handle)
    }

    /// Puts to use what nobody looks at any more.
    fn reap(&mut self) {
        while let Some(batch) = self.limbo.take_ripe() {
            for gone in batch {
                // SAFETY: S1 the batch is ripe: the index forgot the block before it was
                // pushed, and every guard that lived then is gone (H1).
                let block = unsafe { gone.block.get() };
                if gone.reuse == Reuse::AfterEpoch {
                    self.space.free(whole(block));
                }
                block.bury();
                #[cfg(not(all(loom, feature = "loom")))]
                // SAFETY: S1 as above; it is pushed once, so it is freed once.
                unsafe {
                    gone.block.free();
                }
                #[cfg(all(loom, feature = "loom"))]
                self.buried.push(gone.block);
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let blocks = self.index.snapshot();
        let mut root = self.root.lock();
        let gone: Vec<BlockRef> = root.limbo.drain().map(|gone| gone.block).collect();
        #[cfg(all(loom, feature = "loom"))]
        let gone = gone.into_iter().chain(root.buried.drain(..));
        for block in blocks.into_iter().map(|(_, block)| block).chain(gone) {
            // SAFETY: S1 `&mut self`: no guard that found the block through us can be in use;
            // a block is in the index or in limbo, never in both (D1).
            unsafe { block.free() };
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("ranges", &self.index.len())
            .finish_non_exhaustive()
    }
}
