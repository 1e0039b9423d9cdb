//! Ranges in order, while others change the index.
//!
//! # Invariants
//! * O1  The cursor only grows, and each range shown lies behind the one before.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Lock-free: each step is one search for the next range.
//!
//! # Checked by
//! `loom-tests/index_iter.rs`; `proptests/index.rs`.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds};

use super::trie::Trie;
use super::walk::Ceiling;
use super::{Value, shown};
use crate::id::{IdRange, ObjectId};
use crate::sync::epoch::Guard;

/// The ranges of a [`RangeIndex`](super::RangeIndex) in order; made by
/// [`iter`](super::RangeIndex::iter) and [`range`](super::RangeIndex::range).
///
/// # Consistency
/// Weak: each range shown was present at some moment between the two calls of `next` around it,
/// they come in order, and none twice. A range that is there from the first call to the last is
/// shown.
///
/// It cannot outlive its index, and as it holds a guard it stays in its thread:
///
/// ```compile_fail,E0505
/// let index: mapless::RangeIndex<u64> = mapless::RangeIndex::new();
/// let mut ranges = index.iter();
/// drop(index); // error: it is borrowed
/// ranges.next();
/// ```
///
/// ```compile_fail,E0277
/// let index: mapless::RangeIndex<u64> = mapless::RangeIndex::new();
/// let ranges = index.iter();
/// std::thread::scope(|scope| {
///     scope.spawn(move || ranges.count()); // error: a guard is not `Send`
/// });
/// ```
pub struct Iter<'i, V> {
    trie: &'i Trie,
    guard: Guard,
    /// The next range starts here or later.
    from: u64,
    /// And no later than here.
    to: u64,
    values: PhantomData<V>,
}

impl<'i, V: Value> Iter<'i, V> {
    pub(super) fn new(trie: &'i Trie, bounds: impl RangeBounds<ObjectId>) -> Self {
        let from = match bounds.start_bound() {
            Bound::Included(id) => id.get(),
            Bound::Excluded(id) => id.get() + 1,
            Bound::Unbounded => ObjectId::MIN.get(),
        };
        let to = match bounds.end_bound() {
            Bound::Included(id) => id.get(),
            Bound::Excluded(id) => id.get() - 1,
            Bound::Unbounded => ObjectId::MAX.get(),
        };
        Self {
            trie,
            guard: trie.domain.pin(),
            from,
            to,
            values: PhantomData,
        }
    }
}

impl<V: Value> Iterator for Iter<'_, V> {
    type Item = (IdRange, V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.from > self.to {
            return None;
        }
        let view = self.trie.view(&self.guard);
        let Some(hit) = view.nearest::<Ceiling>(self.from) else {
            self.from = u64::MAX;
            return None;
        };
        let item = hit.item();
        self.from = item.last() + 1;
        (item.first <= self.to).then(|| shown(item))
    }
}

impl<V> fmt::Debug for Iter<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.from..=self.to;
        f.debug_struct("Iter").field("left", &left).finish()
    }
}
