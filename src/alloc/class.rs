//! One size class: its blocks, where threads look for slots of them, and what waits for readers.
//!
//! # Shape
//! ```text
//! cursors ─> words of blocks          alloc: a pin, a look at the index, one read-modify-write;
//!                                       beside those of the classes made before and after it
//! blocks     newest ─> .. ─> oldest     looked through when a word runs out
//! limbo      retired slots            behind a lock, made for the first; free after the epoch
//! ```
//!
//! # Invariants
//! * C1  `blocks` and the directory's index hold the same blocks of this class, but for the moment
//!   in which one is added or removed, which the class's lock covers.
//! * C2  A block is removed only after `Block::revoke`: no slot was taken, and none will be.
//!
//! # Progress
//! `take` is lock-free, and blocks on nothing; growing, giving back and reclaiming block on locks.
//!
//! # Checked by
//! `loom-tests/omni.rs` (C1, C2); `proptests/omni.rs`; `tests/stress_omni.rs`.
#![allow(unsafe_code)] // `BlockList::push` is a contract about how long blocks live; C2 keeps it

use core::fmt;
use core::ops::RangeInclusive;

use super::classes::ClassUse;
use super::directory::{Directory, Reuse};
use super::error::AllocError;
use super::found::{Found, Retired};
use super::wanted::Wanted;
use crate::bitset::{BITS, Block, BlockList, BlockRef, BlockSource, Cursors, Want};
use crate::id::{ByteLen, IdRange, ObjectId, SlotIndex};
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::epoch::{Guard, Limbo};
use crate::sync::lock::{Mutex, MutexGuard};

/// A size and all slots of it.
pub(crate) struct Class {
    slot_size: ByteLen,
    number: u32,
    cursors: Cursors,
    blocks: BlockList,
    /// The first id of the block that had a free word last: a hint.
    cursor: AtomicU64,
    /// The slots of all blocks; changes under the lock of `spare`.
    slots: AtomicU64,
    /// An unused block that is kept, so that one object to and fro does not make and break ranges.
    spare: Mutex<Option<ObjectId>>,
    /// Made when a slot is retired for the first time.
    limbo: Mutex<Option<Box<Limbo<Retired>>>>,
}

/// A class's blocks as the cursors look through them.
pub(crate) struct Blocks<'a> {
    class: &'a Class,
    directory: &'a Directory,
    guard: Guard,
}

impl BlockSource for Blocks<'_> {
    #[inline]
    fn named(&self, first_id: u64) -> Option<&Block> {
        let first = ObjectId::new(first_id)?;
        Some(self.directory.find(first, &self.guard)?.block)
    }

    fn find(&self, look: &mut dyn FnMut(&Block) -> bool) -> bool {
        let guard = &self.guard;
        let blocks = &self.class.blocks;
        let last = self.class.last_found(self.directory, guard);
        let around = last.into_iter().chain(blocks.iter(last, guard));
        let mut around = around.chain(
            blocks
                .iter(None, guard)
                .take_while(|block| last.is_none_or(|last| !core::ptr::eq(*block, last))),
        );
        let found = around.find(|block| look(block));
        if let Some(block) = found {
            // Relaxed: a hint where to begin.
            self.class
                .cursor
                .store(block.span().first_id.get(), Relaxed);
        }
        found.is_some()
    }
}

impl Class {
    pub(crate) fn new(slot_size: ByteLen, number: u32, cursors: Cursors) -> Self {
        Self {
            slot_size,
            number,
            cursors,
            blocks: BlockList::new(),
            cursor: AtomicU64::new(0),
            slots: AtomicU64::new(0),
            spare: Mutex::new(None),
            limbo: Mutex::new(None),
        }
    }

    /// Cursors for one more class; as `Cursors::beside`.
    pub(crate) fn cursors_beside(&self) -> Cursors {
        self.cursors.beside()
    }

    pub(crate) fn slot_size(&self) -> ByteLen {
        self.slot_size
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// What a growth policy is told.
    pub(crate) fn usage(&self) -> ClassUse {
        ClassUse {
            slot_size: self.slot_size,
            // Relaxed: a policy's hint; `grow` compares it under the lock.
            slots: self.slots.load(Relaxed),
        }
    }

    /// Takes a free slot of the blocks that there are.
    #[inline]
    pub(crate) fn take<R>(
        &self,
        directory: &Directory,
        want: Want,
        land: impl FnMut(&Block, SlotIndex) -> R,
    ) -> Option<R> {
        let blocks = Blocks {
            class: self,
            directory,
            guard: directory.domain().pin(),
        };
        self.cursors.mine().take(&blocks, want, land)
    }

    /// Takes `n` free slots in a row and makes them live; the first one's id.
    pub(crate) fn take_run(&self, directory: &Directory, n: u64) -> Option<ObjectId> {
        let guard = directory.domain().pin();
        let mut blocks = self.blocks.iter(None, &guard);
        blocks.find_map(|block| Some(block.id(block.take_run(n)?)))
    }

    /// Reserves free slots of the blocks that there are, `most` of them or fewer, and hands those in a
    /// row to `land` together; how many.
    #[cfg(feature = "store")]
    pub(crate) fn reserve_many(
        &self,
        directory: &Directory,
        most: u64,
        mut land: impl FnMut(&Block, SlotIndex, u32),
    ) -> u64 {
        let guard = directory.domain().pin();
        let mut left = most;
        for block in self.blocks.iter(None, &guard) {
            if left == 0 {
                break;
            }
            left -= block.reserve_many(left, |start, len| land(block, start, len));
        }
        most - left
    }

    /// Adds a block of the most of `slots` slots that has room (half as many, and so on; `slots`
    /// are at least 1), unless somebody else added one since `seen`.
    pub(crate) fn grow(
        &self,
        directory: &Directory,
        seen: ClassUse,
        slots: RangeInclusive<u32>,
    ) -> Result<(), AllocError> {
        let _lock = self.spare.lock();
        if self.usage() != seen {
            return Ok(());
        }
        let wanted = Wanted {
            slot_size: self.slot_size,
            last: SlotIndex::new(slots.end() - 1),
            least: SlotIndex::new(slots.start() - 1),
            class: self.number,
            align: 1,
            near: None,
        };
        let (handle, ids, _) = directory.add(wanted, |_| ())?;
        self.adopt(handle, ids);
        Ok(())
    }

    /// Enters a block that the directory's index leads to. Under the lock, or before anybody else
    /// knows the class.
    pub(crate) fn adopt(&self, handle: BlockRef, ids: IdRange) {
        // SAFETY: S1 the directory frees the block an epoch after `give_back` removed it here (C2);
        // S2 it was made just now.
        unsafe { self.blocks.push(handle) };
        // Relaxed: a hint where to begin.
        self.cursor.store(ids.first().get(), Relaxed);
        // Relaxed: under the lock; elsewhere a policy's hint.
        self.slots.fetch_add(ids.len(), Relaxed);
    }

    /// The block in which slots were found last, if it is still there.
    fn last_found<'g>(&'g self, directory: &'g Directory, guard: &'g Guard) -> Option<&'g Block> {
        // Relaxed: a hint where to begin.
        let first = ObjectId::new(self.cursor.load(Relaxed))?;
        Some(directory.find(first, guard)?.block)
    }

    /// A slot of `found` was emptied: gives the block back if it is unused and not the spare one.
    #[inline]
    pub(crate) fn emptied(&self, directory: &Directory, found: Found<'_>, guard: &Guard) {
        if directory.keeps_ranges() {
            return;
        }
        let word = (found.slot.get() / BITS) as usize;
        if found.block.live_word(word) == Some(0) && found.block.is_unused() {
            self.unused(directory, found, guard);
        }
    }

    #[cold]
    fn unused(&self, directory: &Directory, found: Found<'_>, guard: &Guard) {
        let mut spare = self.spare.lock();
        let first = found.block.span().first_id;
        let keeps = |id| self.is_unused(directory, id, guard);
        if *spare == Some(first) || !spare.is_some_and(keeps) {
            *spare = Some(first);
            return;
        }
        self.give_back(directory, found, &spare, guard);
    }

    fn is_unused(&self, directory: &Directory, first: ObjectId, guard: &Guard) -> bool {
        let found = directory.find(first, guard);
        found.is_some_and(|found| found.block.is_unused())
    }

    /// Removes a block if nobody uses it; whether it did.
    fn give_back(
        &self,
        directory: &Directory,
        found: Found<'_>,
        _lock: &MutexGuard<'_, Option<ObjectId>>,
        guard: &Guard,
    ) -> bool {
        let block = found.block;
        if !block.revoke() {
            return false;
        }
        self.blocks.remove(block);
        // Relaxed: under the lock; elsewhere a policy's hint.
        self.slots.fetch_sub(block.slots(), Relaxed);
        directory.remove(found, Reuse::AfterEpoch, guard);
        true
    }

    /// Gives back all unused blocks, the spare one too.
    pub(crate) fn trim(&self, directory: &Directory) {
        let guard = directory.domain().pin();
        let mut spare = self.spare.lock();
        *spare = None;
        for block in self.blocks.iter(None, &guard) {
            if let Some(found) = directory.find(block.span().first_id, &guard) {
                self.give_back(directory, found, &spare, &guard);
            }
        }
    }

    /// Takes out all unused blocks; their extents stay taken.
    #[cfg(feature = "store")]
    pub(crate) fn take_unused(
        &self,
        directory: &Directory,
        taken: &mut Vec<(ObjectId, crate::id::Extent)>,
    ) {
        let guard = directory.domain().pin();
        let _spare = self.spare.lock();
        for block in self.blocks.iter(None, &guard) {
            let first = block.span().first_id;
            let found = directory.find(first, &guard);
            if let Some(found) = found.filter(|found| found.block.revoke()) {
                self.blocks.remove(found.block);
                // Relaxed: under the lock; elsewhere a policy's hint.
                self.slots.fetch_sub(block.slots(), Relaxed);
                directory.remove(found, Reuse::ByCaller, &guard);
                taken.push((first, super::directory::whole(block)));
            }
        }
    }

    /// Lets a retired slot wait for the readers.
    pub(crate) fn retire(&self, directory: &Directory, retired: Retired, guard: &Guard) {
        let bytes = usize::try_from(retired.bytes().get()).unwrap_or(usize::MAX);
        let mut limbo = self.limbo.lock();
        let waiting = limbo.get_or_insert_with(|| Box::new(Limbo::new(directory.domain())));
        waiting.push(retired, bytes, guard);
        drop(limbo);
        self.reap(directory);
    }

    /// Makes the slots free that nobody looks at any more; whether there were any.
    pub(crate) fn reap(&self, directory: &Directory) -> bool {
        let mut any = false;
        while let Some(batch) = self.take_ripe() {
            any = true;
            let guard = directory.domain().pin();
            for retired in batch {
                let found = directory.release(retired, &guard);
                directory.emptied(self, found, &guard);
            }
        }
        any
    }

    fn take_ripe(&self) -> Option<Vec<Retired>> {
        self.limbo.lock().as_mut()?.take_ripe()
    }

    /// Moves the epoch on, then as `reap`.
    pub(crate) fn collect(&self, directory: &Directory) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let guard = directory.domain().pin();
        if let Some(limbo) = self.limbo.lock().as_mut() {
            limbo.seal(&guard);
        }
        drop(guard);
        directory.domain().nudge();
        self.reap(directory)
    }

    /// Whether slots wait for readers.
    fn is_waiting(&self) -> bool {
        let limbo = self.limbo.lock();
        limbo.as_ref().is_some_and(|limbo| limbo.len() != 0)
    }

    /// How many bytes the class has beside its blocks.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.cursors.memory()
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Class")
            .field("slot_size", &self.slot_size)
            .finish_non_exhaustive()
    }
}
