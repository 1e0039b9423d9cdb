//! The whole state of an allocator as plain data, and back.
//!
//! # Checked by
//! `proptests/omni.rs` (O5); `tests/omni.rs` (snapshots that lie).

use core::fmt;

use super::classes::SizeClasses;
use super::directory::{NO_CLASS, whole};
use super::gaps::SpaceError;
use super::omni::OmniBlockAllocator;
use crate::bitset::{BITS, Block, MAX_SLOTS, Span};
use crate::id::{ByteLen, Extent, FileOffset, IdRange, ObjectId, SlotIndex};

/// The state of an [`OmniBlockAllocator`]: what a store writes down, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocatorSnapshot {
    /// No id below this one is issued again; `None` once the ids have run out.
    pub next_id: Option<ObjectId>,
    /// The size classes.
    pub classes: SizeClasses,
    /// All ranges, in the order of their ids.
    pub ranges: Vec<RangeSnapshot>,
}

/// One range of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSnapshot {
    /// Its ids, one a slot.
    pub ids: IdRange,
    /// Where its first slot begins.
    pub offset: FileOffset,
    /// The bytes of a slot.
    pub slot_size: ByteLen,
    /// Whether the slots belong to the class of this size; large objects belong to none.
    pub in_class: bool,
    /// Live bits, the lowest of the first word first; one word for 64 slots.
    pub words: Vec<u64>,
}

impl RangeSnapshot {
    fn of(block: &Block) -> Option<Self> {
        let span = block.span();
        Some(Self {
            ids: IdRange::new(span.first_id, block.slots()).ok()?,
            offset: span.first_offset,
            slot_size: span.slot_size,
            in_class: span.class != NO_CLASS,
            words: block.live_words().collect(),
        })
    }

    fn span(&self, class: u32) -> Result<Span, RestoreError> {
        let slots = self.ids.len();
        let last = u32::try_from(slots - 1).ok();
        let last = last.filter(|last| *last < MAX_SLOTS);
        let last = last.ok_or(RestoreError::TooManySlots(self.ids))?;
        if self.slot_size == ByteLen::ZERO {
            return Err(RestoreError::SlotSize(self.ids));
        }
        if self.words.len() as u64 != slots.div_ceil(BITS.into()) {
            return Err(RestoreError::WordCount(self.ids));
        }
        let unused = BITS - 1 - last % BITS;
        let capacity = u64::MAX >> (64 - BITS + unused);
        if self.words.last().is_some_and(|word| word & !capacity != 0) {
            return Err(RestoreError::BitsBeyondCapacity(self.ids));
        }
        Ok(Span {
            first_id: self.ids.first(),
            first_offset: self.offset,
            slot_size: self.slot_size,
            last: SlotIndex::new(last),
            class,
        })
    }

    fn extent(&self) -> Result<Extent, RestoreError> {
        let len = self.slot_size.checked_mul(self.ids.len());
        let extent = Extent::new(self.offset, len.map_err(|_| RestoreError::Overflow)?);
        extent.end().map_err(|_| RestoreError::Overflow)?;
        Ok(extent)
    }
}

/// Why a snapshot cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A range claims live slots beyond its capacity.
    BitsBeyondCapacity(IdRange),
    /// A range has another number of words than its slots need.
    WordCount(IdRange),
    /// A range has more slots than a block may have.
    TooManySlots(IdRange),
    /// A range's slots have no size, or one that no class of the snapshot has.
    SlotSize(IdRange),
    /// Another range has some of these ids.
    SharedIds(IdRange),
    /// The extents do not fit into the space, or into each other's gaps.
    Space(SpaceError),
    /// An extent leaves the 64-bit space.
    Overflow,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BitsBeyondCapacity(range) => write!(f, "{range:?} has live bits beyond its end"),
            Self::WordCount(range) => write!(f, "{range:?} has the wrong number of words"),
            Self::TooManySlots(range) => write!(f, "{range:?} has too many slots"),
            Self::SlotSize(range) => write!(f, "{range:?} has slots of no known class"),
            Self::SharedIds(range) => write!(f, "{range:?} stands twice"),
            Self::Space(error) => error.fmt(f),
            Self::Overflow => f.write_str("an extent leaves the 64-bit space"),
        }
    }
}

impl core::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Space(error) => Some(error),
            _ => None,
        }
    }
}

pub(super) fn take(allocator: &OmniBlockAllocator) -> AllocatorSnapshot {
    let (directory, guard) = (allocator.root().directory(), allocator.pin());
    let blocks = directory.blocks(ObjectId::MIN, &guard);
    AllocatorSnapshot {
        next_id: ObjectId::new(directory.next_id()),
        classes: allocator.size_classes(),
        // A large object that is being freed may still stand there, with no slot live.
        ranges: blocks.filter_map(RangeSnapshot::of).collect(),
    }
}

pub(super) fn restore(
    allocator: &OmniBlockAllocator,
    snapshot: &AllocatorSnapshot,
    taken: &[Extent],
) -> Result<(), RestoreError> {
    let mut ranges: Vec<&RangeSnapshot> = snapshot.ranges.iter().collect();
    ranges.sort_by_key(|range| range.offset); // the space is claimed in ascending order
    let mut taken = taken.to_vec();
    taken.sort_by_key(|extent| core::cmp::Reverse(extent.offset));
    let claim = |extent| {
        allocator
            .root()
            .directory()
            .with_space(|space| space.claim(extent))
    };
    for range in ranges {
        while let Some(extent) = taken.pop_if(|extent| extent.offset < range.offset) {
            claim(extent).map_err(RestoreError::Space)?;
        }
        restore_range(allocator, range)?;
    }
    for extent in taken.into_iter().rev() {
        claim(extent).map_err(RestoreError::Space)?;
    }
    let next = snapshot.next_id.map_or(u64::MAX, ObjectId::get);
    allocator.root().directory().skip_ids(next);
    Ok(())
}

fn restore_range(
    allocator: &OmniBlockAllocator,
    range: &RangeSnapshot,
) -> Result<(), RestoreError> {
    let directory = allocator.root().directory();
    let class = match range.in_class {
        true => Some(
            allocator
                .table()
                .of_size(range.slot_size)
                .ok_or(RestoreError::SlotSize(range.ids))?,
        ),
        false => None,
    };
    let span = range.span(class.map_or(NO_CLASS, |class| class.number()))?;
    let extent = range.extent()?;
    if class.is_none() && range.words.iter().all(|word| *word == 0) {
        // A large object that was reserved or hidden.
        directory.skip_ids(range.ids.last().get().saturating_add(1));
        return Ok(());
    }
    let block = Block::restore(span, &range.words);
    debug_assert_eq!(whole(&block), extent);
    let handle = directory.restore_block(range.ids, extent, block)?;
    if let Some(class) = class {
        class.adopt(handle, range.ids);
    }
    Ok(())
}
