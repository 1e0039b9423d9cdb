//! What a block allocator is made of: the block, the cursors, and what is retired.
//!
//! # Invariants
//! * A1  A slot that is marked `Retired` is in the limbo once, or on its way into it or out of it:
//!   whoever made the mark pushes it, whoever takes it out of a ripe batch ends the mark.
//! * A2  So a retired slot is free only after every guard that was alive when it was pushed is
//!   gone.
//!
//! # Progress
//! `push` and `collect` block on the limbo's lock; `take` only tries it.
//!
//! # Checked by
//! `loom-tests/block_epoch.rs` (A1, A2), on the seam and on crossbeam-epoch; `tests/block.rs`.

use core::ops::DerefMut;

use super::error::AllocError;
use crate::bitset::{Block, BlockBox, BlockSource, Cursor, Cursors, Mark, Want};
use crate::id::SlotIndex;
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::epoch::{Domain, Guard, Limbo};
use crate::sync::lock::Mutex;

#[derive(Debug)]
pub(super) struct Core {
    cursors: Cursors,
    /// How many cursors were given to handles.
    owned: AtomicU64,
    pub(super) block: BlockBox,
    pub(super) domain: Domain,
    limbo: Mutex<Limbo<SlotIndex>>,
}

impl BlockSource for Core {
    #[inline]
    fn named(&self, _: u64) -> Option<&Block> {
        Some(&self.block)
    }

    fn find(&self, look: &mut dyn FnMut(&Block) -> bool) -> bool {
        look(&self.block)
    }
}

impl Core {
    pub(super) fn new(block: BlockBox, cursors: Cursors, domain: Domain) -> Self {
        Self {
            cursors,
            owned: AtomicU64::new(0),
            block,
            limbo: Mutex::new(Limbo::new(&domain)),
            domain,
        }
    }

    /// A cursor for a handle.
    pub(super) fn own_cursor(&self) -> Cursor {
        // Relaxed: only that the numbers differ is wanted.
        let nth = self.owned.fetch_add(1, Relaxed);
        self.cursors.own(nth as usize)
    }

    /// Takes a free slot.
    #[inline]
    pub(super) fn take(&self, own: Option<&Cursor>, want: Want) -> Result<SlotIndex, AllocError> {
        let cursor = own.unwrap_or_else(|| self.cursors.mine());
        let taken = cursor.take(self, want, |_, slot| slot);
        match taken {
            Some(slot) => Ok(slot),
            None => self.take_after_help(cursor, want),
        }
    }

    /// Once more, after an attempt to make retired slots free.
    #[cold]
    fn take_after_help(&self, cursor: &Cursor, want: Want) -> Result<SlotIndex, AllocError> {
        let again = || cursor.take(self, want, |_, slot| slot);
        let taken = if self.help() { again() } else { None };
        taken.ok_or_else(|| AllocError::Full {
            waiting: self.block.hidden(),
        })
    }

    /// The first `len` free slots in a row, made live.
    pub(super) fn take_run(&self, len: u64) -> Result<SlotIndex, AllocError> {
        let take = || self.block.take_run(len);
        let again = || if self.help() { take() } else { None };
        take().or_else(again).ok_or_else(|| AllocError::NoRun {
            waiting: self.block.hidden(),
        })
    }

    /// If slots are retired, tries to make them free; whether any became so. Never waits.
    fn help(&self) -> bool {
        if self.block.hidden() == 0 {
            return false;
        }
        let freed = self.limbo.try_lock().map(|limbo| self.drain_ripe(limbo));
        freed.is_some_and(|freed| freed > 0)
    }

    /// Pushes a slot that we just marked as retired, and frees what is ripe.
    pub(super) fn push(&self, slot: SlotIndex, guard: &Guard) {
        let mut limbo = self.limbo.lock();
        limbo.push(slot, size_of::<SlotIndex>(), guard);
        self.free_ripe(&mut limbo);
    }

    /// Makes all retired slots free that nobody can be looking at any more; how many.
    pub(super) fn collect(&self) -> u64 {
        self.drain_ripe(self.limbo.lock())
    }

    /// Seals what is open, moves the epoch on as far as it goes, and frees what is ripe.
    fn drain_ripe(&self, mut limbo: impl DerefMut<Target = Limbo<SlotIndex>>) -> u64 {
        limbo.seal(&self.domain.pin());
        self.domain.nudge();
        self.free_ripe(&mut limbo)
    }

    fn free_ripe(&self, limbo: &mut Limbo<SlotIndex>) -> u64 {
        let mut freed = 0;
        while let Some(batch) = limbo.take_ripe() {
            freed += batch.len() as u64;
            batch
                .into_iter()
                .for_each(|slot| self.block.unmark(slot, Mark::Retired));
        }
        freed
    }
}
