//! The memory of nodes and buckets: the only file that allocates, follows and frees it.
// Unsafe: what a word names is followed by its address, and its tag says how much lies there.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! node    [head][slot 0] .. [slot 2^bits - 1][map, one bit a slot ..][dirty, one bit a slot ..]
//! bucket  [first 0] .. [first cap - 1][rest 0] .. [rest cap - 1]      cap by the class in its word
//! ```
//!
//! # Invariants
//! * H1  A word that stands in a link names memory that came from `new_node` or `new_bucket`, and
//!   its tag is right (W2).
//! * H2  Memory is freed by the drop of its one `Garbage`, and nowhere else.
//! * H3  A node covers `2^(shift + bits)` aligned ids, which may be more than the slot that it
//!   hangs in. It holds none of those beyond, and covers less than the node above it does.
//!
//! # Edges
//! None of its own; `cell.rs` has the atomics.
//!
//! # Progress
//! No function here waits; those that make or free memory call the allocator.
//!
//! # Checked by
//! `loom-tests/index.rs` (H2, by canaries); the address sanitizer over
//! `tests/stress_index.rs` (H1, H2); `proptests/index.rs` (H3, by `audit`).

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::cell::{First, Item, Link, Map, Rest, Slot, Tally};
use super::shape::Shape;
use super::word::{BUCKET_ALIGN, NODE_ALIGN, Word};
use crate::sync::SMALL;
use crate::sync::cell::Canary;
use crate::sync::hint::prefetch;

/// A bucket has room for at most so many ranges.
pub(super) const BUCKET_MAX: usize = capacity(3);

/// How many ranges a bucket of this class (0 to 3) has room for.
///
/// Many: what lies closely together in some places and far apart in others is found with fewer
/// cache misses in a sorted row than by its bits, level after level.
pub(super) const fn capacity(class: u32) -> usize {
    if SMALL {
        2
    } else {
        [2, 8, 24, 64][class as usize]
    }
}

/// Proof that what is reachable from a trie during `'a` stays in memory during `'a`.
#[derive(Clone, Copy)]
pub(super) struct Live<'a>(PhantomData<&'a ()>);

impl<'a> Live<'a> {
    /// # Safety
    /// S1: during `'a`, a guard of the trie's domain or the trie's writers' lock is held.
    /// S2: the proof is used with links of that trie only.
    pub(super) unsafe fn new() -> Self {
        Self(PhantomData)
    }

    /// # Safety
    /// S1: `word` stands in a link of the trie that this is the proof for.
    pub(super) unsafe fn of(self, word: Word) -> Seen<'a> {
        Seen { word, live: self }
    }

    /// The word in a link, as a reader sees it.
    #[inline(always)]
    pub(super) fn read(self, link: &Link) -> Seen<'a> {
        Seen {
            word: link.read(),
            live: self,
        }
    }

    /// The word in a link, as the holder of the writers' lock sees it.
    pub(super) fn peek(self, link: &Link) -> Seen<'a> {
        Seen {
            word: link.peek(),
            live: self,
        }
    }
}

/// A word that was read from a link while what it names was alive.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) word: Word,
    live: Live<'a>,
}

impl<'a> Seen<'a> {
    #[inline(always)]
    pub(super) fn node(self) -> Option<NodeRef<'a>> {
        if !self.word.is_node() {
            return None;
        }
        self.head().canary.touch();
        Some(NodeRef { seen: self })
    }

    #[inline(always)]
    fn head(self) -> &'a Node {
        let head: *const Node = ptr::with_exposed_provenance(self.word.node_address());
        // SAFETY: the word was in a link while its node was alive (H1), and `live` keeps it so;
        // it is changed through atomics only.
        unsafe { &*head }
    }

    #[inline]
    pub(super) fn bucket(self) -> Option<BucketRef<'a>> {
        if !self.word.is_bucket() {
            return None;
        }
        let base: *const u8 = ptr::with_exposed_provenance(self.word.bucket_address());
        let capacity = capacity(self.word.class());
        // SAFETY: the word was in a link while its bucket was alive (H1), and `live` keeps it
        // so; its class names its capacity; entries are shared and changed through atomics.
        let firsts = unsafe { core::slice::from_raw_parts(base.cast::<First>(), capacity) };
        let rests = base.wrapping_add(rests_at(self.word.class()));
        // SAFETY: as above; the rests follow the firsts.
        let rests = unsafe { core::slice::from_raw_parts(rests.cast::<Rest>(), capacity) };
        self.canary().touch();
        Some(BucketRef { firsts, rests })
    }

    /// The canary of a bucket: behind its entries.
    #[inline]
    fn canary(self) -> &'a Canary {
        let base: *const u8 = ptr::with_exposed_provenance(self.word.bucket_address());
        let canary = base.wrapping_add(canary_at(self.word.class())).cast();
        // SAFETY: every bucket has its canary there (H1), and `live` keeps it alive.
        unsafe { &*canary }
    }
}

const _: () = assert!(align_of::<Node>() <= NODE_ALIGN);

/// What stands before a node's slots.
#[repr(C)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// How many ranges stand in the slots, or in buckets there.
    pub(super) load: Tally,
    /// In how many slots there is a bucket.
    pub(super) shared: Tally,
    /// How many nodes hang in the slots.
    pub(super) kids: Tally,
    /// Which maps have a bit.
    pub(super) summary: Map,
    canary: Canary,
}

/// A node that is alive.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    /// The word by which it was found.
    pub(super) seen: Seen<'a>,
}

impl<'a> NodeRef<'a> {
    #[inline(always)]
    pub(super) fn live(self) -> Live<'a> {
        self.seen.live
    }

    #[inline(always)]
    pub(super) fn head(self) -> &'a Node {
        self.seen.head()
    }

    #[inline]
    pub(super) fn shape(self) -> Shape {
        self.head().shape
    }

    /// The slot of this id, as far as the node's own bits tell.
    #[inline(always)]
    pub(super) fn slot_of(self, id: u64) -> &'a Slot {
        let index = self.seen.word.slot_of(id);
        // SAFETY: below 2^bits, by the word's own bits, which are the node's (H1).
        unsafe { self.part(SLOTS_AT, index) }
    }

    /// The slot that a hint names: any number will do.
    #[inline]
    pub(super) fn slot_hinted(self, hint: u64) -> &'a Slot {
        self.slot_of(hint << self.seen.word.shift())
    }

    #[inline]
    pub(super) fn slot(self, index: u32) -> &'a Slot {
        assert!(index < self.shape().slots());
        // SAFETY: just checked.
        unsafe { self.part(SLOTS_AT, index as usize) }
    }

    /// The map of slots `64 * index` and following.
    #[inline]
    pub(super) fn map(self, index: u32) -> &'a Map {
        let shape = self.shape();
        assert!(index < shape.maps());
        // SAFETY: just checked; the maps begin there.
        unsafe { self.part(maps_at(shape), index as usize) }
    }

    /// Which of slots `64 * index` and following have held a range that is gone.
    pub(super) fn dirty(self, index: u32) -> &'a Map {
        let shape = self.shape();
        assert!(index < shape.maps());
        // SAFETY: just checked; behind the maps there are as many dirty maps.
        unsafe { self.part(maps_at(shape), (shape.maps() + index) as usize) }
    }

    /// # Safety
    /// S1: `at` bytes behind the node's beginning there are more than `index` of `T`.
    #[inline(always)]
    unsafe fn part<T>(self, at: usize, index: usize) -> &'a T {
        let base: *const u8 = ptr::with_exposed_provenance(self.seen.word.node_address());
        let part = base.wrapping_add(at).cast::<T>().wrapping_add(index);
        // SAFETY: S1, in a node that is alive during 'a; its parts are changed through atomics.
        unsafe { &*part }
    }

    /// The occupied slots, in order, as the holder of the writers' lock sees them.
    pub(super) fn occupied(self) -> impl Iterator<Item = u32> + 'a {
        (0..self.shape().maps()).flat_map(move |word| {
            let map = self.map(word).peek();
            (0..64)
                .filter(move |bit| map >> bit & 1 == 1)
                .map(move |bit| word * 64 + bit)
        })
    }
}

/// The slot, and a word to the processor that it will be looked at soon.
#[inline(always)]
pub(super) fn prefetched(slot: &Slot) -> &Slot {
    prefetch(slot);
    prefetch(&slot.value); // a slot may lie on two lines
    slot
}

/// A word to the processor that all of these will be looked at soon.
#[inline(always)]
pub(super) fn prefetch_all<T>(all: &[T]) {
    let line = (64 / size_of::<T>()).max(1); // a checker's atomics are larger
    all.iter().step_by(line).for_each(prefetch);
}

/// A bucket that is alive: where its ranges begin, used places first, sorted; and their rests.
#[derive(Clone, Copy)]
pub(super) struct BucketRef<'a> {
    pub(super) firsts: &'a [First],
    pub(super) rests: &'a [Rest],
}

const SLOTS_AT: usize = size_of::<Node>().next_multiple_of(align_of::<Slot>());

fn maps_at(shape: Shape) -> usize {
    let end = SLOTS_AT + size_of::<Slot>() * shape.slots() as usize;
    end.next_multiple_of(align_of::<Map>())
}

fn node_layout(shape: Shape) -> Layout {
    let size = maps_at(shape) + 2 * size_of::<Map>() * shape.maps() as usize;
    Layout::from_size_align(size, NODE_ALIGN).expect("4096 slots")
}

fn bucket_layout(class: u32) -> Layout {
    let size = canary_at(class) + size_of::<Canary>();
    Layout::from_size_align(size, BUCKET_ALIGN).expect("a few ranges")
}

/// What an unused place of a bucket holds.
const UNUSED: Item = Item {
    first: First::UNUSED,
    ..Item::NONE
};

/// Where in a bucket the rests begin.
#[inline]
const fn rests_at(class: u32) -> usize {
    (size_of::<First>() * capacity(class)).next_multiple_of(align_of::<Rest>())
}

/// Where in a bucket its canary lies.
#[inline]
const fn canary_at(class: u32) -> usize {
    let end = rests_at(class) + size_of::<Rest>() * capacity(class);
    end.next_multiple_of(align_of::<Canary>())
}

/// A fresh allocation that is being filled.
struct Fresh(NonNull<u8>);

impl Fresh {
    fn new(layout: Layout) -> Self {
        // SAFETY: neither a node nor a bucket has size 0.
        let raw = unsafe { alloc(layout) };
        Self(NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout)))
    }

    /// # Safety
    /// S1: the layout has room for a `T` at `at`, which is aligned for it.
    unsafe fn write<T>(&self, at: usize, value: T) {
        let place = self.0.as_ptr().wrapping_add(at).cast::<T>();
        // SAFETY: S1; nobody else knows of the allocation.
        unsafe { place.write(value) };
    }

    fn address(self) -> usize {
        self.0.as_ptr().expose_provenance()
    }
}

/// What stands in a slot of a fresh node.
#[derive(Clone, Copy)]
pub(super) struct Content {
    pub(super) word: Word,
    /// The first id of an inline range, or a hint.
    first: u64,
    value: u64,
    /// How many ranges: 1 if inline, or those of a bucket.
    load: usize,
}

impl Content {
    /// Nothing; where the floor of the slot's ids may lie.
    pub(super) fn empty(hint: u32) -> Self {
        Self {
            word: Word::EMPTY,
            first: u64::from(hint),
            value: 0,
            load: 0,
        }
    }

    /// A node, or a bucket of so many ranges.
    pub(super) fn of(word: Word, load: usize) -> Self {
        Self {
            word,
            first: 0,
            value: 0,
            load,
        }
    }

    /// A range, unless it is too long for a word.
    pub(super) fn inline(item: Item) -> Option<Self> {
        Some(Self {
            word: Word::inline(item.len)?,
            first: item.first,
            value: item.value,
            load: 1,
        })
    }
}

/// Makes a node; `fill` says what stands in each slot.
///
/// The caller owns it and publishes its word, once.
pub(super) fn new_node(shape: Shape, mut fill: impl FnMut(u32) -> Content) -> Word {
    let fresh = Fresh::new(node_layout(shape));
    let (mut load, mut shared, mut kids, mut summary) = (0, 0, 0, 0);
    for word in 0..shape.maps() {
        let mut map = 0;
        for index in (64 * word..shape.slots()).take(64) {
            let content = fill(index);
            load += content.load;
            shared += usize::from(content.word.is_bucket());
            kids += usize::from(content.word.is_node());
            map |= u64::from(!content.word.is_empty()) << (index % 64);
            let slot = Slot::new(content.word, content.first, content.value);
            // SAFETY: S1 one of the node's slots.
            unsafe { fresh.write(SLOTS_AT + size_of::<Slot>() * index as usize, slot) };
        }
        summary |= u64::from(map != 0) << word;
        let at = |index: u32| maps_at(shape) + size_of::<Map>() * index as usize;
        // SAFETY: S1 one of the node's maps.
        unsafe { fresh.write(at(word), Map::new(map)) };
        // SAFETY: S1 one of the node's dirty maps, which follow the maps.
        unsafe { fresh.write(at(shape.maps() + word), Map::new(0)) };
    }
    let head = Node {
        shape,
        load: Tally::new(load),
        shared: Tally::new(shared),
        kids: Tally::new(kids),
        summary: Map::new(summary),
        canary: Canary::new(),
    };
    // SAFETY: S1 a node begins with its head.
    unsafe { fresh.write(0, head) };
    Word::node(fresh.address(), shape.shift(), shape.bits())
}

/// Makes a bucket of at most [`BUCKET_MAX`] sorted ranges, with room for as few more as can be.
///
/// The caller owns it and publishes its word, once.
pub(super) fn new_bucket(items: &[Item]) -> Word {
    let class = (0..4).find(|&class| capacity(class) >= items.len());
    let class = class.expect("at most BUCKET_MAX ranges");
    let fresh = Fresh::new(bucket_layout(class));
    for index in 0..capacity(class) {
        let item = items.get(index).copied().unwrap_or(UNUSED);
        // SAFETY: S1 one of the bucket's firsts.
        unsafe { fresh.write(size_of::<First>() * index, First::new(item.first)) };
        let at = rests_at(class) + size_of::<Rest>() * index;
        // SAFETY: S1 one of the bucket's rests.
        unsafe { fresh.write(at, Rest::new(item)) };
    }
    // SAFETY: S1 behind the entries there is room for it.
    unsafe { fresh.write(canary_at(class), Canary::new()) };
    Word::bucket(fresh.address(), class)
}

fn layout_of(seen: Seen<'_>) -> Layout {
    match seen.node() {
        Some(node) => node_layout(node.shape()),
        None => bucket_layout(seen.word.class()),
    }
}

/// How many bytes the node or bucket that a word names takes.
pub(super) fn bytes_of(seen: Seen<'_>) -> usize {
    layout_of(seen).size()
}

/// How many bytes a node of this shape takes.
pub(super) fn bytes_of_node(shape: Shape) -> usize {
    node_layout(shape).size()
}

/// How many bytes the bucket that a word names takes.
pub(super) fn bytes_of_bucket(word: Word) -> usize {
    bucket_layout(word.class()).size()
}

/// A node or bucket that no link leads to; its drop frees it.
pub(super) struct Garbage {
    word: Word,
    /// A node that stood above its only child, which took its place.
    pub(super) spliced: bool,
}

impl Garbage {
    /// # Safety
    /// S1: `word` names a node or a bucket, and no link leads to it any more.
    /// S2: there is no other `Garbage` for it.
    /// S3: the drop comes after the last look of every reader that may have seen it.
    pub(super) unsafe fn new(word: Word, spliced: bool) -> Self {
        debug_assert!(word.is_node() || word.is_bucket());
        Self { word, spliced }
    }

    fn seen(&self) -> Seen<'_> {
        // SAFETY: S1 and S2 of `new`: the memory is there until we free it.
        let live = unsafe { Live::new() };
        Seen {
            word: self.word,
            live,
        }
    }

    /// Tells a checker that from here on every look is a race.
    pub(super) fn bury(&self) {
        if self.word.is_node() {
            self.seen().head().canary.bury();
        } else {
            self.seen().canary().bury();
        }
    }

    fn address(&self) -> *mut u8 {
        let node = self.word.is_node().then(|| self.word.node_address());
        let address = node.unwrap_or(self.word.bucket_address());
        ptr::with_exposed_provenance_mut(address)
    }

    /// Drops some of the parts; without a checker, none of them has anything to drop.
    fn drop_parts<T>(&self, at: usize, count: usize) {
        let parts = self.address().wrapping_add(at).cast::<T>();
        let parts = ptr::slice_from_raw_parts_mut(parts, count);
        // SAFETY: the callers name what `new_node` and `new_bucket` wrote there; nobody else
        // looks (S3 of `new`), and this is the one drop (S2).
        unsafe { ptr::drop_in_place(parts) };
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        let layout = layout_of(self.seen());
        if let Some(node) = self.seen().node() {
            let shape = node.shape();
            self.drop_parts::<Slot>(SLOTS_AT, shape.slots() as usize);
            self.drop_parts::<Map>(maps_at(shape), 2 * shape.maps() as usize);
            self.drop_parts::<Node>(0, 1);
        } else {
            let class = self.word.class();
            self.drop_parts::<First>(0, capacity(class));
            self.drop_parts::<Rest>(rests_at(class), capacity(class));
            self.drop_parts::<Canary>(canary_at(class), 1);
        }
        // SAFETY: it came from `Fresh` with this layout (H1), and nobody else looks.
        unsafe { dealloc(self.address(), layout) };
    }
}

impl fmt::Debug for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.word.fmt(f)
    }
}
