//! This crate, behind the interfaces of the peers.

use mapless::{
    BlockAllocator, ByteLen, Extent, Guard, IdRange, LocalAlloc, LookupError, ObjectId,
    OmniBlockAllocator, RangeIndex, RangeSnapshot,
};

use crate::baseline::Place;
use crate::drive::BATCH;
use crate::peers::ranges::{Growing, RangeMap};
use crate::peers::slots::{SLOTS, Slots};
use crate::sets::Ranges;

/// An id; the benches ask for no id that is none.
#[inline(always)]
#[must_use]
pub fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).expect("an id")
}

/// The ids of these numbers.
#[must_use]
pub fn ids(raw: &[u64]) -> Vec<ObjectId> {
    raw.iter().map(|&raw| id(raw)).collect()
}

/// A range of ids.
#[must_use]
pub fn range(first: u64, len: u64) -> IdRange {
    IdRange::new(id(first), len).expect("a range")
}

/// [`RangeIndex`], with a guard held over the lookups.
#[derive(Debug)]
pub struct Index(pub RangeIndex<u64>);

impl RangeMap for Index {
    const NAME: &'static str = "mapless RangeIndex";

    type Held<'a> = Guard;

    fn build(ranges: &Ranges) -> Self {
        let index = RangeIndex::new();
        let entries = ranges.entries();
        let entries = entries.map(|(first, len, value)| (range(first, len), value));
        index.bulk_load(entries).expect("a sorted set");
        Self(index)
    }

    fn hold(&self) -> Guard {
        self.0.pin()
    }

    #[inline]
    fn get(&self, raw: u64, guard: &Guard) -> u64 {
        self.0.get_in(id(raw), guard).unwrap_or(0)
    }
}

impl Growing for Index {
    fn new() -> Self {
        Self(RangeIndex::new())
    }

    #[inline]
    fn insert(&self, first: u64, len: u64, value: u64) {
        self.0
            .insert(range(first, len), value)
            .expect("a disjoint range");
    }
}

impl Index {
    /// A batch of lookups, interleaved; the sum of the answers.
    #[inline]
    pub fn get_many(&self, ids: &[ObjectId; BATCH], guard: &Guard) -> u64 {
        let mut answers = [None; BATCH];
        self.0.get_many_in(ids, &mut answers, guard);
        answers
            .iter()
            .fold(0, |sum, answer| sum.wrapping_add(answer.unwrap_or(0)))
    }
}

/// [`BlockAllocator`], with as many slots as the peers have.
#[derive(Debug)]
pub struct Block(BlockAllocator);

impl Slots for Block {
    type Hand<'a> = &'a BlockAllocator;

    const NAME: &'static str = "mapless BlockAllocator";

    fn build() -> Self {
        let block = BlockAllocator::new(SLOTS as u64, ByteLen::new(64));
        Self(block.expect("a block"))
    }

    fn hand(&self) -> &BlockAllocator {
        &self.0
    }

    #[inline]
    fn take(hand: &&BlockAllocator) -> Option<u64> {
        hand.alloc().ok().map(ObjectId::get)
    }

    #[inline]
    fn give(hand: &&BlockAllocator, slot: u64) {
        hand.free(id(slot)).expect("a live slot");
    }
}

/// The same through a [`LocalAlloc`] a thread.
#[derive(Debug)]
pub struct Local(Block);

impl Slots for Local {
    type Hand<'a> = (LocalAlloc<'a>, &'a BlockAllocator);

    const NAME: &'static str = "mapless LocalAlloc";

    fn build() -> Self {
        Self(Block::build())
    }

    fn hand(&self) -> Self::Hand<'_> {
        (self.0.0.local(), &self.0.0)
    }

    #[inline]
    fn take((local, _): &Self::Hand<'_>) -> Option<u64> {
        local.alloc().ok().map(ObjectId::get)
    }

    #[inline]
    fn give((_, block): &Self::Hand<'_>, slot: u64) {
        block.free(id(slot)).expect("a live slot");
    }
}

/// [`OmniBlockAllocator`], filled with objects.
#[derive(Debug)]
pub struct Objects {
    omni: OmniBlockAllocator,
    /// The ids, in the order of their allocation.
    pub ids: Vec<u64>,
}

impl Objects {
    /// Objects of these sizes.
    #[must_use]
    pub fn fill(sizes: &[u64]) -> Self {
        let omni = OmniBlockAllocator::new();
        let alloc = |&len: &u64| omni.alloc(ByteLen::new(len)).expect("room").get();
        let ids = sizes.iter().map(alloc).collect();
        Self { omni, ids }
    }

    /// The same without the list of ids, which is no part of the allocator.
    #[must_use]
    pub fn fill_uncounted(sizes: &[u64]) -> Self {
        let omni = OmniBlockAllocator::new();
        for &len in sizes {
            omni.alloc(ByteLen::new(len)).expect("room");
        }
        // Nodes of the index that were replaced by larger ones wait for readers; nobody reads.
        omni.collect();
        Self {
            omni,
            ids: Vec::new(),
        }
    }

    /// How many ranges the objects are in.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.omni.snapshot().ranges.len()
    }

    /// The ranges, for a bare table over them.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let ranges = self.omni.snapshot().ranges.into_iter();
        let place = |range: RangeSnapshot| Place {
            first: range.ids.first().get(),
            slots: range.ids.len(),
            offset: range.offset.get(),
            slot_size: range.slot_size.get(),
            words: range.words,
        };
        ranges.map(place).collect()
    }

    /// Enters the allocator.
    pub fn pin(&self) -> Guard {
        self.omni.pin()
    }

    /// Offset and length, summed up; 0 for none.
    #[inline(always)]
    pub fn locate_in(&self, raw: u64, guard: &Guard) -> u64 {
        self.omni.locate_in(id(raw), guard).map_or(0, digest)
    }

    /// The same, with a pin of its own.
    #[inline(always)]
    #[must_use]
    pub fn locate(&self, raw: u64) -> u64 {
        self.omni.locate(id(raw)).map_or(0, digest)
    }

    /// A batch, interleaved.
    #[inline(always)]
    pub fn locate_many(&self, ids: &[ObjectId; BATCH], guard: &Guard) -> u64 {
        let mut extents = [Err(LookupError::Unknown); BATCH];
        self.omni.locate_many_in(ids, &mut extents, guard);
        let found = extents.iter().flatten();
        found.fold(0, |sum: u64, extent| sum.wrapping_add(digest(*extent)))
    }
}

#[inline(always)]
fn digest(extent: Extent) -> u64 {
    extent.offset.get() + extent.len.get()
}
