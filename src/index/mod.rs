//! A sorted index from disjoint ranges of ids to 8-byte values, whose lookups wait for nobody.
//!
//! # Shape
//! ```text
//! root word ─> node [slot .. .. slot]         64 to 4,096 slots; each covers 2^shift ids, and holds
//!                |      |       |               what starts there: nothing | a range | a bucket | a node
//!              node   bucket  range
//!
//! word    the bits of the word in a slot          find    id -> range: the readers' descent
//! cell    the shared cells and their orderings    walk    floor, ceiling
//! heap    nodes and buckets in memory             many    16 descents side by side
//! build   fresh subtrees                          iter    weakly consistent iteration
//! trie    root, lock, limbo; one change           scan    snapshots, height, bulk loads
//! write   insert, replace                         shrink  remove, give memory back
//! ```
//!
//! # Invariants
//! W1, W2 (`word`), C1 to C3 (`cell`), H1 to H3 (`heap`), F1 to F4 (`find`), N1, N2 (`walk`),
//! B1, B2 (`build`), T1 to T3 (`trie`), U1, U2 (`write`), R1, R2 (`shrink`), O1 (`iter`).
//!
//! # Edges
//! All of them stand in `cell.rs`.
//!
//! # Progress
//! Lookups under a guard are wait-free. Writers take turns on one lock and never wait for readers;
//! memory that readers may still see waits in a limbo.
//!
//! # Checked by
//! `loom-tests/index.rs`, `proptests/index.rs`, `tests/stress_index.rs`, `tests/counted.rs`.
//!
//! D. R. Morrison, "PATRICIA", Journal of the ACM, 1968 (path compression); V. Leis, A. Kemper and
//! T. Neumann, "The adaptive radix tree", ICDE 2013 (inline leaves, bursting).

use core::fmt;
use core::marker::PhantomData;
use core::ops::RangeBounds;

use crate::id::{IdRange, ObjectId};
use crate::sync::epoch::{Domain, Guard};

mod build;
mod cell;
mod error;
mod find;
mod heap;
mod iter;
mod many;
mod scan;
mod shape;
mod shrink;
mod spot;
mod trie;
mod value;
mod walk;
mod word;
mod write;

pub use error::{InsertError, LoadError, RemoveError, ReplaceError};
pub use iter::Iter;
pub use value::Value;

use cell::Item;
use find::Hit;
use scan::Misfit;
use shrink::Refusal;
use trie::Trie;
use walk::{Ceiling, Floor, Side};

/// A sorted index from disjoint [`IdRange`]s to values of at most 8 bytes.
///
/// Any number of threads look up while others change it. Values are stored in the leaves and come
/// back by copy, so nothing that is returned borrows the index. It is `Send` and `Sync` whatever `V`
/// is: it keeps the bits of values only, and whoever can make a `V` of bits can do so on any thread.
///
/// # Progress
/// | method | |
/// |---|---|
/// | `get_in`, `entry_in`, `get_many_in`, `entries_many_in` | wait-free |
/// | `get`, `get_many`, `first`, `last`, `floor`, `ceiling` and their `_in` forms, `iter`, `range`, `pin` | lock-free |
/// | `len` | wait-free |
/// | `insert`, `remove`, `replace`, `bulk_load`, `snapshot`, `height`, `memory`, `pending`, `collect` | blocking: the writers' lock |
///
/// `get_in` does at most `9 * h + 70` atomic operations, where `h` is the greatest
/// [`height`](Self::height) that the index has during the call; no matter what writers do. A
/// writer never waits for a reader. A reader that keeps its guard stops nobody, but what is
/// removed meanwhile stays in memory ([`pending`](Self::pending)).
///
/// # Consistency
/// Lookups by id and all changes are linearizable. What a thread wrote before it inserted or
/// replaced a value is visible to whoever looks that value up.
///
/// ```
/// use mapless::{IdRange, ObjectId, RangeIndex};
///
/// let id = |raw| ObjectId::new(raw).unwrap();
/// let index: RangeIndex<u32> = RangeIndex::new();
/// index.insert(IdRange::new(id(1024), 1024).unwrap(), 7).unwrap();
///
/// let guard = index.pin();
/// assert_eq!(index.get_in(id(1500), &guard), Some(7));
/// assert_eq!(index.get_in(id(2048), &guard), None);
/// ```
pub struct RangeIndex<V> {
    trie: Trie,
    values: PhantomData<fn(V) -> V>,
}

/// A range and its value, as they are shown to callers.
#[inline]
fn shown<V: Value>(item: Item) -> (IdRange, V) {
    (range_of(item), V::from_bits(item.value))
}

#[inline]
fn range_of(item: Item) -> IdRange {
    let first = ObjectId::new(item.first).expect("a range begins with an id");
    IdRange::new(first, item.len).expect("a range that was inserted")
}

#[inline]
fn value_of<V: Value>(hit: Hit<'_>) -> V {
    V::from_bits(hit.value.load())
}

#[inline]
fn entry_of<V: Value>(hit: Hit<'_>) -> (IdRange, V) {
    shown(hit.item())
}

fn item_of<V: Value>(range: IdRange, value: V) -> Item {
    Item {
        first: range.first().get(),
        len: range.len(),
        value: value.into_bits(),
    }
}

impl<V: Value> RangeIndex<V> {
    /// An empty index in a domain of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_domain(&Domain::new())
    }

    /// An empty index whose guards are those of `domain`.
    #[must_use]
    pub fn with_domain(domain: &Domain) -> Self {
        Self {
            trie: Trie::new(domain),
            values: PhantomData,
        }
    }

    /// The domain whose guards this index takes.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.trie.domain
    }

    /// Enters the domain, for the methods that take a guard: see [`Domain::pin`].
    ///
    /// # Progress
    /// Lock-free.
    #[inline]
    pub fn pin(&self) -> Guard {
        self.trie.domain.pin()
    }

    /// The value of the range that contains `id`.
    ///
    /// # Progress
    /// Lock-free: it pins.
    ///
    /// # Complexity
    /// As [`get_in`](Self::get_in), and a pin.
    #[inline]
    pub fn get(&self, id: ObjectId) -> Option<V> {
        self.get_in(id, &self.pin())
    }

    /// The value of the range that contains `id`.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free: no retry, no lock, no store to shared memory.
    ///
    /// # Complexity
    /// `O(height)`: one slot a level if `id` lies near the start of its range (in the same slot
    /// of the last level), up to three walks down otherwise, and at most three buckets, halved in each.
    #[inline]
    pub fn get_in(&self, id: ObjectId, guard: &Guard) -> Option<V> {
        self.trie.view(guard).find(id.get()).map(value_of)
    }

    /// The range that contains `id`, and its value.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    ///
    /// # Complexity
    /// As [`get_in`](Self::get_in).
    #[inline]
    pub fn entry_in(&self, id: ObjectId, guard: &Guard) -> Option<(IdRange, V)> {
        self.trie.view(guard).find(id.get()).map(entry_of)
    }

    /// How far into its range `id` lies, and the range's value: what allocators derive places of.
    #[cfg(feature = "alloc")]
    #[inline(always)] // else the answer goes through memory
    pub(crate) fn offset_in(&self, id: ObjectId, guard: &Guard) -> Option<(u64, V)> {
        let hit = self.trie.view(guard).find(id.get())?;
        Some((id.get() - hit.first, value_of(hit)))
    }

    /// Looks up many ids: `values[i]` becomes what [`get`](Self::get) says of `ids[i]`.
    ///
    /// Sixteen lookups go down together, so that their cache misses overlap. They are single
    /// lookups still: other threads' changes may fall in between.
    ///
    /// # Panics
    /// If the slices have different lengths.
    ///
    /// # Progress
    /// Lock-free: it pins.
    pub fn get_many(&self, ids: &[ObjectId], values: &mut [Option<V>]) {
        self.get_many_in(ids, values, &self.pin());
    }

    /// [`get_many`](Self::get_many) under a guard.
    ///
    /// # Panics
    /// If the slices have different lengths, or the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    pub fn get_many_in(&self, ids: &[ObjectId], values: &mut [Option<V>], guard: &Guard) {
        self.many(ids, values, guard, value_of);
    }

    /// Looks up many ids: `entries[i]` becomes what [`entry_in`](Self::entry_in) says of `ids[i]`.
    ///
    /// # Panics
    /// If the slices have different lengths, or the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    pub fn entries_many_in(
        &self,
        ids: &[ObjectId],
        entries: &mut [Option<(IdRange, V)>],
        guard: &Guard,
    ) {
        self.many(ids, entries, guard, entry_of);
    }

    #[inline]
    fn many<T>(
        &self,
        ids: &[ObjectId],
        answers: &mut [Option<T>],
        guard: &Guard,
        shape: impl for<'a> Fn(Hit<'a>) -> T,
    ) {
        assert_eq!(ids.len(), answers.len(), "one answer for each id");
        self.trie.view(guard).find_many(ids, answers, shape);
    }

    /// Adds a range.
    ///
    /// # Errors
    /// [`InsertError::Overlap`] if it shares an id with a range that is there; nothing changes.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    ///
    /// # Complexity
    /// `O(height)`, however many ids the range has. A range behind all others costs least.
    pub fn insert(&self, range: IdRange, value: V) -> Result<(), InsertError> {
        let item = item_of(range, value);
        let result = self.trie.change(|change| change.insert(item));
        result.map_err(|with| InsertError::Overlap {
            with: range_of(with),
        })
    }

    /// Removes the range whose first id is `first`; yields it and its last value.
    ///
    /// Lookups that are under way may still answer with it.
    ///
    /// # Errors
    /// [`RemoveError::NotFound`] if no range contains the id, [`RemoveError::NotFirst`] if one
    /// does that starts earlier; nothing changes.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    ///
    /// # Complexity
    /// `O(height)`.
    pub fn remove(&self, first: ObjectId) -> Result<(IdRange, V), RemoveError> {
        match self.trie.change(|change| change.remove(first.get())) {
            Ok(item) => Ok(shown(item)),
            Err(Refusal::Absent) => Err(RemoveError::NotFound),
            Err(Refusal::Inside(item)) => Err(RemoveError::NotFirst {
                within: range_of(item),
            }),
        }
    }

    /// Gives the range that contains `id` another value; yields the old one.
    ///
    /// # Errors
    /// [`ReplaceError::NotFound`] if no range contains the id.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    ///
    /// # Complexity
    /// `O(height)`.
    pub fn replace(&self, id: ObjectId, value: V) -> Result<V, ReplaceError> {
        let (id, bits) = (id.get(), value.into_bits());
        let old = self.trie.change(|change| change.replace(id, bits));
        old.map(V::from_bits).ok_or(ReplaceError::NotFound)
    }

    /// Adds sorted ranges, all at once: a lookup sees none of them or all.
    ///
    /// # Errors
    /// [`LoadError::Unsorted`] if a range does not lie behind the one before it,
    /// [`LoadError::Overlap`] if one shares an id with a range that was there; nothing changes.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock for as long as it takes to build the index anew.
    ///
    /// # Complexity
    /// `O(n log n)` in the number of ranges, old and new.
    pub fn bulk_load(
        &self,
        ranges: impl IntoIterator<Item = (IdRange, V)>,
    ) -> Result<(), LoadError> {
        let items = ranges
            .into_iter()
            .map(|(range, value)| item_of(range, value));
        let items: Vec<Item> = items.collect();
        let result = self.trie.change(|change| change.load(items));
        result.map_err(|misfit| match misfit {
            Misfit::Unsorted { at } => LoadError::Unsorted { at },
            Misfit::Overlap { at, with } => LoadError::Overlap {
                at,
                with: range_of(with),
            },
        })
    }

    fn nearest<S: Side>(&self, id: ObjectId, guard: &Guard) -> Option<(IdRange, V)> {
        self.trie.view(guard).nearest::<S>(id.get()).map(entry_of)
    }

    /// The first range, and its value.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Consistency
    /// As [`ceiling`](Self::ceiling).
    pub fn first(&self) -> Option<(IdRange, V)> {
        self.first_in(&self.pin())
    }

    /// [`first`](Self::first) under a guard.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    pub fn first_in(&self, guard: &Guard) -> Option<(IdRange, V)> {
        self.ceiling_in(ObjectId::MIN, guard)
    }

    /// The last range, and its value.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Consistency
    /// As [`floor`](Self::floor).
    pub fn last(&self) -> Option<(IdRange, V)> {
        self.last_in(&self.pin())
    }

    /// [`last`](Self::last) under a guard.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    pub fn last_in(&self, guard: &Guard) -> Option<(IdRange, V)> {
        self.floor_in(ObjectId::MAX, guard)
    }

    /// The last range that starts at or before `id`, and its value; it need not contain `id`.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Complexity
    /// `O(height)`, and as much again for each place where a writer is at work meanwhile.
    ///
    /// # Consistency
    /// Weak: the answer was present at some moment of the call, and no range that was present
    /// all through the call lies nearer to `id`.
    pub fn floor(&self, id: ObjectId) -> Option<(IdRange, V)> {
        self.floor_in(id, &self.pin())
    }

    /// [`floor`](Self::floor) under a guard.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    pub fn floor_in(&self, id: ObjectId, guard: &Guard) -> Option<(IdRange, V)> {
        self.nearest::<Floor>(id, guard)
    }

    /// The first range that starts at or after `id`, and its value.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Complexity
    /// As [`floor`](Self::floor).
    ///
    /// # Consistency
    /// As [`floor`](Self::floor).
    pub fn ceiling(&self, id: ObjectId) -> Option<(IdRange, V)> {
        self.ceiling_in(id, &self.pin())
    }

    /// [`ceiling`](Self::ceiling) under a guard.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    pub fn ceiling_in(&self, id: ObjectId, guard: &Guard) -> Option<(IdRange, V)> {
        self.nearest::<Ceiling>(id, guard)
    }

    /// All ranges, in order, while others may change the index.
    ///
    /// The iterator holds a guard: memory that is retired meanwhile waits for it.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Consistency
    /// Weak: see [`Iter`]. For an exact picture there is [`snapshot`](Self::snapshot).
    pub fn iter(&self) -> Iter<'_, V> {
        self.range(..)
    }

    /// The ranges whose first id lies within `bounds`, in order.
    ///
    /// # Progress
    /// Lock-free.
    ///
    /// # Consistency
    /// Weak: see [`Iter`].
    pub fn range(&self, bounds: impl RangeBounds<ObjectId>) -> Iter<'_, V> {
        Iter::new(&self.trie, bounds)
    }

    /// All ranges, in order, as they are at one moment.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock for the whole walk, so writers wait. Lookups do not.
    ///
    /// # Complexity
    /// `O(n)`.
    pub fn snapshot(&self) -> Vec<(IdRange, V)> {
        let items = self.trie.change(|change| change.items());
        items.into_iter().map(shown).collect()
    }
}

impl<V> RangeIndex<V> {
    /// How many ranges there are; may be out of date at once.
    ///
    /// # Progress
    /// Wait-free.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether there is no range; may be out of date at once.
    ///
    /// # Progress
    /// Wait-free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many nodes the longest path of a lookup goes through: the bound of
    /// [`get_in`](Self::get_in) speaks of it.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    ///
    /// # Complexity
    /// `O(n)`: it walks the whole index.
    #[must_use]
    pub fn height(&self) -> usize {
        self.trie.change(|change| change.height())
    }

    /// How many bytes the nodes and buckets take, without those that wait to be freed.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.trie.change(|change| change.writer.bytes())
    }

    /// How many bytes of nodes and buckets wait until no reader can see them any more. What keeps
    /// the list of them comes on top, about as much again where they are small.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.trie.change(|change| change.writer.pending())
    }

    /// Panics unless the index's own invariants hold; for its tests.
    #[doc(hidden)]
    pub fn audit(&self) {
        self.trie.change(|change| change.audit());
    }

    /// Frees what waits and is seen by nobody.
    ///
    /// Writers do so by and by; this call also closes the batch that is still filling. Without
    /// any guard in the domain, and any thread that is just leaving it, nothing is
    /// [`pending`](Self::pending) after it.
    ///
    /// # Progress
    /// Blocking: it takes the writers' lock.
    pub fn collect(&self) {
        self.trie.collect();
    }
}

impl<V: Value> Default for RangeIndex<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'i, V: Value> IntoIterator for &'i RangeIndex<V> {
    type Item = (IdRange, V);
    type IntoIter = Iter<'i, V>;

    fn into_iter(self) -> Iter<'i, V> {
        self.iter()
    }
}

impl<V> fmt::Debug for RangeIndex<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeIndex")
            .field("len", &self.len())
            .field("domain", &self.trie.domain)
            .finish()
    }
}
