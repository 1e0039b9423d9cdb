//! The memory of nodes and buckets: the only file that allocates, follows and frees it.
// Unsafe: what a word names is followed by its address, and its tag says how much lies there.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! node    [ base | shift | map | dirty ][slot 0][slot 1] .. [slot 63]
//! bucket  [entry 0] .. [entry cap - 1]           cap by the class in its word
//! ```
//!
//! # Invariants
//! * H1  A word that stands in a link names memory that came from `new_node` or `new_bucket`.
//! * H2  Memory is freed by the drop of its one `Garbage`, and nowhere else.
//! * H3  A node covers `2^(shift + BITS)` aligned ids, which may be more than the slot that it
//!   hangs in. It holds none of those beyond, and covers less than the node above it does.
//!
//! # Edges
//! None of its own; `cell.rs` has the atomics.
//!
//! # Progress
//! No function here waits; those that make or free memory call the allocator.
//!
//! # Checked by
//! `loom-tests/index_remove.rs` (H2, by canaries); the address sanitizer over
//! `tests/stress_index.rs` (H1 to H3).

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::cell::{Entry, Item, Link, Map, Slot};
use super::word::{BUCKET_ALIGN, NODE_ALIGN, Word};
use crate::sync::SMALL;
use crate::sync::cell::Canary;

/// A node has `2^BITS` slots.
pub(super) const BITS: u32 = if SMALL { 1 } else { 6 };
/// How many slots a node has.
pub(super) const SLOTS: u32 = 1 << BITS;
/// A bucket has room for at most so many ranges.
pub(super) const BUCKET_MAX: usize = capacity(3);

/// How many ranges a bucket of this class (0 to 3) has room for.
pub(super) const fn capacity(class: u32) -> usize {
    if SMALL { 2 } else { 2 << class }
}

/// The bits of an id below `shift`, which may be 64.
#[inline]
pub(super) const fn below(shift: u32) -> u64 {
    match 1u64.checked_shl(shift) {
        Some(limit) => limit - 1,
        None => u64::MAX,
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
    #[inline]
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
    #[inline]
    pub(super) fn node(self) -> Option<NodeRef<'a>> {
        if !self.word.is_node() {
            return None;
        }
        let head: *const Node = ptr::with_exposed_provenance(self.word.node_address());
        // SAFETY: the word was in a link while its node was alive (H1), and `live` keeps it so;
        // it is changed through atomics only.
        let head = unsafe { &*head };
        head.canary.touch();
        Some(NodeRef {
            head,
            live: self.live,
        })
    }

    #[inline]
    pub(super) fn bucket(self) -> Option<BucketRef<'a>> {
        if !self.word.is_bucket() {
            return None;
        }
        let base: *const Entry = ptr::with_exposed_provenance(self.word.bucket_address());
        let capacity = capacity(self.word.class());
        // SAFETY: the word was in a link while its bucket was alive (H1), and `live` keeps it
        // so; its class names its capacity; entries are shared and changed through atomics.
        let entries = unsafe { core::slice::from_raw_parts(base, capacity) };
        self.canary().touch();
        Some(BucketRef { entries })
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

const _: () = assert!(align_of::<Node>() >= NODE_ALIGN);

/// A place to divide ids, and its slots.
#[repr(C, align(128))]
pub(super) struct Node {
    /// The first id of the cell, a multiple of `2^(shift + BITS)`.
    pub(super) base: u64,
    pub(super) shift: u32,
    pub(super) map: Map,
    /// Which slots have held a range inline that is gone; the writer's alone.
    pub(super) dirty: Map,
    canary: Canary,
    slots: [Slot; SLOTS as usize],
}

/// A node that is alive.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    head: &'a Node,
    live: Live<'a>,
}

impl<'a> NodeRef<'a> {
    #[inline]
    pub(super) fn live(self) -> Live<'a> {
        self.live
    }

    #[inline]
    pub(super) fn head(self) -> &'a Node {
        self.head
    }

    /// The word by which it was found.
    pub(super) fn seen(self) -> Seen<'a> {
        let address = ptr::from_ref(self.head).expose_provenance();
        Seen {
            word: Word::node(address, self.head.shift),
            live: self.live,
        }
    }

    pub(super) fn shape(self) -> Shape {
        let &Node { base, shift, .. } = self.head;
        Shape { base, shift }
    }

    #[inline]
    pub(super) fn slot(self, index: u32) -> &'a Slot {
        &self.head.slots[index as usize]
    }

    /// The slot of this id, if its node has this shift.
    #[inline]
    pub(super) fn slot_at(self, id: u64, shift: u32) -> &'a Slot {
        &self.head.slots[(id >> shift) as usize % SLOTS as usize]
    }

    /// The occupied slots, in order, as the holder of the writers' lock sees them.
    pub(super) fn occupied(self) -> impl Iterator<Item = u32> + 'a {
        let map = self.head.map.peek();
        (0..SLOTS).filter(move |index| map >> index & 1 == 1)
    }
}

/// A bucket that is alive: its entries, used ones first, sorted.
#[derive(Clone, Copy)]
pub(super) struct BucketRef<'a> {
    pub(super) entries: &'a [Entry],
}

fn bucket_layout(class: u32) -> Layout {
    let entries = Layout::array::<Entry>(capacity(class)).expect("16 entries");
    let (layout, at) = entries.extend(Layout::new::<Canary>()).expect("16 entries");
    debug_assert_eq!(at, canary_at(class));
    layout.align_to(BUCKET_ALIGN).expect("a power of two")
}

/// Where in a bucket its canary lies.
#[inline]
const fn canary_at(class: u32) -> usize {
    (size_of::<Entry>() * capacity(class)).next_multiple_of(align_of::<Canary>())
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: neither a node nor a bucket has size 0.
    let raw = unsafe { alloc(layout) };
    NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout))
}

/// What a node covers, and how finely it divides that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    base: u64,
    pub(super) shift: u32,
}

impl Shape {
    /// The node with this shift that covers `id`.
    pub(super) fn around(id: u64, shift: u32) -> Self {
        let base = id & !below(shift + BITS);
        Self { base, shift }
    }

    /// The first id that it covers.
    pub(super) fn first(self) -> u64 {
        self.base
    }

    /// The last id that it covers.
    pub(super) fn last(self) -> u64 {
        self.base | below(self.shift + BITS)
    }

    pub(super) fn covers(self, id: u64) -> bool {
        id ^ self.base <= below(self.shift + BITS)
    }

    /// The slot of an id that it covers.
    pub(super) fn index_of(self, id: u64) -> u32 {
        (id >> self.shift) as u32 % SLOTS
    }

    /// The first id that slot `index` covers.
    pub(super) fn slot_first(self, index: u32) -> u64 {
        self.base | u64::from(index) << self.shift
    }

    /// The last id that slot `index` covers.
    pub(super) fn slot_last(self, index: u32) -> u64 {
        self.slot_first(index) | below(self.shift)
    }
}

/// What stands in a slot of a fresh node.
#[derive(Clone, Copy)]
pub(super) struct Content {
    word: Word,
    first: u64,
    value: u64,
}

impl Content {
    pub(super) const EMPTY: Self = Self::of(Word::EMPTY);

    /// A node, a bucket, or nothing.
    pub(super) const fn of(word: Word) -> Self {
        let (first, value) = (0, 0);
        Self { word, first, value }
    }

    /// A range, unless it is too long for a word.
    pub(super) fn inline(item: Item) -> Option<Self> {
        Some(Self {
            word: Word::inline(item.len)?,
            first: item.first,
            value: item.value,
        })
    }
}

/// Makes a node; `fill` says what stands in each slot.
///
/// The caller owns it and publishes its word, once.
pub(super) fn new_node(shape: Shape, mut fill: impl FnMut(u32) -> Content) -> Word {
    let mut map = 0;
    let slots = core::array::from_fn(|index| {
        let Content { word, first, value } = fill(index as u32);
        map |= u64::from(!word.is_empty()) << index;
        Slot::new(word, first, value)
    });
    let node = Box::new(Node {
        base: shape.base,
        shift: shape.shift,
        map: Map::new(map),
        dirty: Map::new(0),
        canary: Canary::new(),
        slots,
    });
    Word::node(Box::into_raw(node).expose_provenance(), shape.shift)
}

/// Makes a bucket of at most [`BUCKET_MAX`] sorted ranges, with room for one more if it can.
///
/// The caller owns it and publishes its word, once.
pub(super) fn new_bucket(items: impl ExactSizeIterator<Item = Item>) -> Word {
    let len = items.len();
    let class = (0..4).find(|&class| capacity(class) >= len);
    let class = class.expect("at most BUCKET_MAX ranges");
    let raw = allocate(bucket_layout(class));
    let unused = core::iter::repeat_with(Entry::unused).take(capacity(class) - len);
    for (index, entry) in items.map(Entry::new).chain(unused).enumerate() {
        let entries = raw.as_ptr().cast::<Entry>();
        // SAFETY: inside of the fresh allocation; nobody else knows it.
        unsafe { entries.wrapping_add(index).write(entry) };
    }
    let canary = raw.as_ptr().wrapping_add(canary_at(class)).cast::<Canary>();
    // SAFETY: as above.
    unsafe { canary.write(Canary::new()) };
    Word::bucket(raw.as_ptr().expose_provenance(), class)
}

/// How many bytes the bucket that a word names takes.
pub(super) fn bytes_of_bucket(word: Word) -> usize {
    bucket_layout(word.class()).size()
}

/// How many bytes a node takes.
pub(super) const NODE_BYTES: usize = size_of::<Node>();

/// How many bytes the node or bucket that a word names takes.
pub(super) fn bytes_of(seen: Seen<'_>) -> usize {
    match seen.node() {
        Some(_) => NODE_BYTES,
        None => bytes_of_bucket(seen.word),
    }
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
        if !SMALL {
            return;
        }
        match self.seen().node() {
            Some(node) => node.head().canary.bury(),
            None => self.seen().canary().bury(),
        }
    }

    fn free_bucket(word: Word) {
        let layout = bucket_layout(word.class());
        let base = ptr::with_exposed_provenance_mut::<u8>(word.bucket_address());
        let entries = ptr::slice_from_raw_parts_mut(base.cast::<Entry>(), capacity(word.class()));
        // SAFETY: nobody else looks (S3 of `new`), and this is the one drop (S2).
        unsafe { ptr::drop_in_place(entries) };
        // SAFETY: it came from `allocate` with this layout (H1).
        unsafe { dealloc(base, layout) };
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        if !self.word.is_node() {
            return Self::free_bucket(self.word);
        }
        let node = ptr::with_exposed_provenance_mut::<Node>(self.word.node_address());
        // SAFETY: it came from a box (H1), nobody else looks (S3 of `new`), and this is the one
        // drop (S2).
        drop(unsafe { Box::from_raw(node) });
    }
}

impl fmt::Debug for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.word.fmt(f)
    }
}
