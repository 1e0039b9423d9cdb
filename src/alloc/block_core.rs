//! What a block allocator is made of: the block, the leases of its words, and what is retired.
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
//! `loom-tests/block.rs` (A1, A2), on the seam and on crossbeam-epoch; `tests/block.rs`.

// Vouches that the block outlives the leases of its words.
#![allow(unsafe_code)]

use core::ops::DerefMut;

use super::error::AllocError;
use crate::bitset::{Block, BlockBox, BlockSource, Leases, LocalStripe, Mark};
use crate::id::SlotIndex;
use crate::sync::epoch::{Domain, Guard, Limbo};
use crate::sync::lock::Mutex;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) leases: Leases,
    pub(super) block: BlockBox,
    pub(super) domain: Domain,
    limbo: Mutex<Limbo<SlotIndex>>,
}

// SAFETY: S1 the one block is owned by the same structure as the leases, at an address that
// stays, and is freed only with it; dropping the leases looks at no block.
unsafe impl BlockSource for Core {
    fn find(&self, look: &mut dyn FnMut(&Block) -> bool) -> bool {
        look(&self.block)
    }
}

impl Core {
    pub(super) fn new(block: BlockBox, leases: Leases, domain: Domain) -> Self {
        Self {
            leases,
            block,
            domain,
            limbo: Mutex::new(Limbo::new()),
        }
    }

    /// Takes a free slot and has `land` make it live or reserved.
    #[inline]
    pub(super) fn take(
        &self,
        local: Option<&LocalStripe<'_>>,
        land: impl Fn(&Block, SlotIndex) + Copy,
    ) -> Result<SlotIndex, AllocError> {
        let landed = |block: &Block, slot| {
            land(block, slot);
            slot
        };
        match self.leases.take(local, self, landed) {
            Some(slot) => Ok(slot),
            None => self.take_after_help(|| self.leases.take(local, self, landed)),
        }
    }

    /// Once more, after an attempt to make retired slots free.
    #[cold]
    fn take_after_help(
        &self,
        again: impl FnOnce() -> Option<SlotIndex>,
    ) -> Result<SlotIndex, AllocError> {
        let full = || AllocError::Full {
            waiting: self.block.hidden(),
        };
        if !self.help() {
            return Err(full());
        }
        again().ok_or_else(full)
    }

    /// The first `len` free slots in a row, made live.
    pub(super) fn take_run(&self, len: u64) -> Result<SlotIndex, AllocError> {
        let take = || self.leases.take_run(&self.block, len);
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
