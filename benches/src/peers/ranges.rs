//! Sorted maps of disjoint ranges.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use crossbeam_skiplist::SkipMap;
use parking_lot::RwLock;
use scc::{Guard, TreeIndex};

use crate::sets::Ranges;

/// A map from disjoint ranges to values; 0 is no value.
pub trait RangeMap: Sync + Sized {
    /// Its name in the tables.
    const NAME: &'static str;

    /// What a reader holds over many lookups, if the structure knows such a thing.
    type Held<'a>
    where
        Self: 'a;

    /// Of these ranges, in the fastest way that the structure knows.
    fn build(ranges: &Ranges) -> Self;

    /// Enters the structure.
    fn hold(&self) -> Self::Held<'_>;

    /// The value of the range that has this id.
    fn get(&self, id: u64, held: &Self::Held<'_>) -> u64;
}

/// One that takes more ranges.
pub trait Growing: RangeMap {
    /// With nothing in it.
    fn new() -> Self;

    /// Adds a range that overlaps no other.
    fn insert(&self, first: u64, len: u64, value: u64);
}

/// Of these ranges, one after the other.
fn grown<M: Growing>(ranges: &Ranges) -> M {
    let map = M::new();
    for (first, len, value) in ranges.entries() {
        map.insert(first, len, value);
    }
    map
}

/// `parking_lot::RwLock<BTreeMap>`, by first id.
#[derive(Debug)]
pub struct LockedBTree(RwLock<BTreeMap<u64, (u64, u64)>>);

impl RangeMap for LockedBTree {
    const NAME: &'static str = "RwLock<BTreeMap>";

    type Held<'a> = ();

    fn hold(&self) {}

    fn build(ranges: &Ranges) -> Self {
        let entries = ranges
            .entries()
            .map(|(first, len, value)| (first, (len, value)));
        Self(RwLock::new(entries.collect()))
    }

    #[inline]
    fn get(&self, id: u64, (): &()) -> u64 {
        let map = self.0.read();
        match map.range(..=id).next_back() {
            Some((first, (len, value))) if id - first < *len => *value,
            _ => 0,
        }
    }
}

impl Growing for LockedBTree {
    fn new() -> Self {
        Self(RwLock::default())
    }

    #[inline]
    fn insert(&self, first: u64, len: u64, value: u64) {
        self.0.write().insert(first, (len, value));
    }
}

/// The same, which looks for an overlap before it inserts, as an index of ranges must.
#[derive(Debug)]
pub struct CheckedBTree(LockedBTree);

impl RangeMap for CheckedBTree {
    const NAME: &'static str = "RwLock<BTreeMap>, overlap checked";

    type Held<'a> = ();

    fn hold(&self) {}

    fn build(ranges: &Ranges) -> Self {
        Self(LockedBTree::build(ranges))
    }

    #[inline]
    fn get(&self, id: u64, held: &()) -> u64 {
        self.0.get(id, held)
    }
}

impl Growing for CheckedBTree {
    fn new() -> Self {
        Self(LockedBTree::new())
    }

    #[inline]
    fn insert(&self, first: u64, len: u64, value: u64) {
        let mut map = self.0.0.write();
        let before = map.range(..first + len).next_back();
        if before.is_none_or(|(start, (len, _))| start + len <= first) {
            map.insert(first, (len, value));
        }
    }
}

/// `crossbeam_skiplist::SkipMap`, by first id.
#[derive(Debug)]
pub struct Skip(SkipMap<u64, (u64, u64)>);

impl RangeMap for Skip {
    const NAME: &'static str = "crossbeam SkipMap";

    /// Pins nest: with one held, those of the lookups cost little.
    type Held<'a> = crossbeam_epoch::Guard;

    fn hold(&self) -> crossbeam_epoch::Guard {
        crossbeam_epoch::pin()
    }

    #[inline]
    fn get(&self, id: u64, _: &crossbeam_epoch::Guard) -> u64 {
        match self.0.upper_bound(Included(&id)) {
            Some(entry) if id - entry.key() < entry.value().0 => entry.value().1,
            _ => 0,
        }
    }

    fn build(ranges: &Ranges) -> Self {
        grown(ranges)
    }
}

impl Growing for Skip {
    fn new() -> Self {
        Self(SkipMap::new())
    }

    #[inline]
    fn insert(&self, first: u64, len: u64, value: u64) {
        self.0.insert(first, (len, value));
    }
}

/// `scc::TreeIndex`, by last id: its iterators only go forward.
#[derive(Debug)]
pub struct Tree(TreeIndex<u64, (u64, u64)>);

impl RangeMap for Tree {
    const NAME: &'static str = "scc::TreeIndex";

    type Held<'a> = Guard;

    fn hold(&self) -> Guard {
        Guard::new()
    }

    #[inline]
    fn get(&self, id: u64, guard: &Guard) -> u64 {
        match self.0.range((Included(id), Unbounded), guard).next() {
            Some((_, (first, value))) if *first <= id => *value,
            _ => 0,
        }
    }

    fn build(ranges: &Ranges) -> Self {
        grown(ranges)
    }
}

impl Growing for Tree {
    fn new() -> Self {
        let tree = TreeIndex::new();
        // A range that starts below the smallest key walks the whole tree (scc 3): no id does.
        let _ = tree.insert_sync(0, (0, 0));
        Self(tree)
    }

    #[inline]
    fn insert(&self, first: u64, len: u64, value: u64) {
        // The set is disjoint, so no key is taken.
        let _ = self.0.insert_sync(first + len - 1, (first, value));
    }
}

/// A sorted array, searched without branches. It cannot be inserted into.
#[derive(Debug)]
pub struct SortedArray {
    firsts: Vec<u64>,
    rest: Vec<(u64, u64)>,
}

impl RangeMap for SortedArray {
    const NAME: &'static str = "sorted array, binary search";

    type Held<'a> = ();

    fn hold(&self) {}

    fn build(ranges: &Ranges) -> Self {
        Self {
            firsts: ranges.entries().map(|(first, ..)| first).collect(),
            rest: ranges
                .entries()
                .map(|(_, len, value)| (len, value))
                .collect(),
        }
    }

    #[inline]
    fn get(&self, id: u64, (): &()) -> u64 {
        let place = self.firsts.partition_point(|&first| first <= id);
        let Some(place) = place.checked_sub(1) else {
            return 0;
        };
        let (len, value) = self.rest[place];
        if id - self.firsts[place] < len {
            value
        } else {
            0
        }
    }
}
