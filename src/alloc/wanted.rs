//! What an allocator asks the directory for.
//!
//! # Checked by
//! `tests/omni.rs` (smaller ranges where there is little room).

use crate::id::{ByteLen, FileOffset, SlotIndex};

/// A range of slots that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) slot_size: ByteLen,
    /// The last slot: one less than their number.
    pub(crate) last: SlotIndex,
    /// The last slot of the smallest range that will do where this one finds no room.
    pub(crate) least: SlotIndex,
    pub(crate) class: u32,
    pub(crate) align: u64,
    /// Where a large object begins, beside which the range shall lie.
    pub(crate) near: Option<FileOffset>,
}

impl Wanted {
    /// With half the slots, but not fewer than will do; `None` if so few are wanted already.
    pub(super) fn halved(self) -> Option<Self> {
        let half = SlotIndex::new(self.last.get() / 2).max(self.least);
        (half < self.last).then_some(Self { last: half, ..self })
    }

    pub(super) fn slots(&self) -> u64 {
        u64::from(self.last.get()) + 1
    }
}
