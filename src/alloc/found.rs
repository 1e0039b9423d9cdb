//! Where an id leads: a slot of a block, and what may be done to it.
//!
//! # Checked by
//! `loom-tests/omni.rs`; `proptests/omni.rs`; `tests/misuse.rs` (what is refused).

use super::error::{FreeError, LookupError, SlotState};
use crate::bitset::{Block, BlockRef, Mark, State};
use crate::id::{ByteLen, Extent, SlotIndex};

/// Where an id leads.
#[derive(Clone, Copy)]
pub(crate) struct Found<'g> {
    pub(crate) block: &'g Block,
    pub(crate) handle: BlockRef,
    pub(crate) slot: SlotIndex,
}

impl Found<'_> {
    /// Why a slot is not live; or that it has just become so.
    #[cold]
    pub(super) fn state(&self) -> Result<Extent, LookupError> {
        match self.block.state(self.slot) {
            State::Live => Ok(self.block.extent(self.slot)),
            state => {
                let touched = self.block.is_touched(self.slot);
                Err(LookupError::not_live(SlotState::of(state), touched))
            }
        }
    }

    /// Clears a live slot.
    pub(crate) fn free(&self) -> Result<(), FreeError> {
        self.block
            .free(self.slot)
            .map_err(|state| self.refusal(state))
    }

    /// Hides a live slot, with this mark.
    pub(crate) fn hide(&self, mark: Mark) -> Result<(), FreeError> {
        self.block
            .hide(self.slot, mark)
            .map_err(|state| self.refusal(state))
    }

    /// What is said of a slot that was to be live and was found in `state`.
    fn refusal(&self, state: State) -> FreeError {
        FreeError::not_live(SlotState::of(state), self.block.is_touched(self.slot))
    }

    /// Retires a hidden slot.
    pub(crate) fn reclaim(&self) -> Result<(), FreeError> {
        if self.block.retire_hidden(self.slot) {
            return Ok(());
        }
        Err(match self.block.state(self.slot) {
            State::Live => FreeError::NotHidden,
            state => self.refusal(state),
        })
    }

    /// Names this slot, which the caller has just retired.
    pub(crate) fn retired(&self) -> Retired {
        Retired {
            handle: self.handle,
            slot: self.slot,
            bytes: self.block.span().slot_size,
        }
    }
}

/// A retired slot that waits for the readers. Its mark keeps its block (H2).
#[derive(Debug)]
pub(crate) struct Retired {
    pub(super) handle: BlockRef,
    pub(super) slot: SlotIndex,
    bytes: ByteLen,
}

impl Retired {
    pub(crate) fn bytes(&self) -> ByteLen {
        self.bytes
    }
}
