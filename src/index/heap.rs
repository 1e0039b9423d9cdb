//! The memory of nodes and buckets: the only file that allocates, follows and frees it.
// Unsafe: nodes and buckets have a variable number of places, so that a lookup needs one load a
// level; they are allocated by layout and followed by address.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! node    [ base | shift, bits | map | dirty ][slot 0][slot 1] .. [slot 2^bits - 1]
//! bucket  [entry 0] .. [entry cap - 1]           cap by the class in its word
//! ```
//!
//! # Invariants
//! * H1  A word that stands in a link names memory that came from `new_node` or `new_bucket`.
//! * H2  Memory is freed by the drop of its one `Garbage`, and nowhere else.
//! * H3  A node has `min(BITS, shift of the word above - its shift)` bits, so that what a descent
//!   knows from tags alone bounds its index.
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

/// A node has at most `2^BITS` slots.
pub(super) const BITS: u32 = if SMALL { 1 } else { 6 };
/// A bucket has room for at most so many ranges.
pub(super) const BUCKET_MAX: usize = capacity(3);

/// How many ranges a bucket of this class (0 to 3) has room for.
pub(super) const fn capacity(class: u32) -> usize {
    if SMALL { 2 } else { 2 << class }
}

/// Which bits of an id choose a slot.
pub(super) const MASK: u64 = (1 << BITS) - 1;

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
        let head: *mut Node = ptr::with_exposed_provenance_mut(self.word.node_address());
        // SAFETY: a node's word carries the address of a node (H1), which is never null.
        let head = unsafe { NonNull::new_unchecked(head) };
        let node = NodeRef {
            head,
            live: self.live,
        };
        node.touch();
        Some(node)
    }

    #[inline]
    pub(super) fn bucket(self) -> Option<BucketRef<'a>> {
        if !self.word.is_bucket() {
            return None;
        }
        let base: *const u8 = ptr::with_exposed_provenance(self.word.bucket_address());
        let class = self.word.class();
        // SAFETY: the word was in a link while its bucket was alive (H1), and `live` keeps it
        // so; its class names its capacity; entries are shared and changed through atomics.
        let entries = unsafe { core::slice::from_raw_parts(base.cast(), capacity(class)) };
        let canary: *const Canary = base.wrapping_add(bucket_layout(class).1).cast();
        // SAFETY: as above; every bucket has its canary there.
        unsafe { &*canary }.touch();
        Some(BucketRef { entries })
    }
}

/// What stands before a node's slots.
#[repr(C)]
pub(super) struct Node {
    /// The first id of the cell, a multiple of `2^(shift + bits)`.
    pub(super) base: u64,
    pub(super) shift: u32,
    pub(super) bits: u32,
    pub(super) map: Map,
    /// Which slots have held a range inline that is gone; the writer's alone.
    pub(super) dirty: Map,
    canary: Canary,
}

/// A node that is alive.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    head: NonNull<Node>,
    live: Live<'a>,
}

impl<'a> NodeRef<'a> {
    #[inline(always)]
    fn touch(self) {
        self.head().canary.touch();
    }

    #[inline]
    pub(super) fn live(self) -> Live<'a> {
        self.live
    }

    #[inline]
    pub(super) fn head(self) -> &'a Node {
        // SAFETY: alive during 'a, and changed through atomics only.
        unsafe { self.head.as_ref() }
    }

    /// The place numbered `index`.
    ///
    /// # Panics
    /// If the node has no such slot.
    pub(super) fn slot(self, index: u32) -> &'a Slot {
        assert!(index < 1 << self.head().bits);
        // SAFETY: just checked.
        unsafe { self.slot_unchecked(u64::from(index)) }
    }

    /// # Safety
    /// S1: `index < 2^bits`.
    #[inline]
    pub(super) unsafe fn slot_unchecked(self, index: u64) -> &'a Slot {
        let slots = self
            .head
            .as_ptr()
            .wrapping_byte_add(SLOTS_AT)
            .cast::<Slot>();
        // SAFETY: S1, so it lies in the node's allocation, which is alive during 'a; slots are
        // changed through atomics only.
        unsafe { &*slots.wrapping_add(index as usize) }
    }

    /// Which slot ids like this one start in.
    #[inline]
    pub(super) fn index_of(self, id: u64) -> u32 {
        let head = self.head();
        ((id >> head.shift) & below(head.bits)) as u32
    }

    /// The last id of the cell.
    #[inline]
    pub(super) fn last(self) -> u64 {
        let head = self.head();
        head.base | below(head.shift + head.bits)
    }

    #[inline]
    pub(super) fn covers(self, id: u64) -> bool {
        let head = self.head();
        id ^ head.base <= below(head.shift + head.bits)
    }

    /// The first id of what slot `index` covers.
    pub(super) fn cell_first(self, index: u32) -> u64 {
        self.head().base | u64::from(index) << self.head().shift
    }

    /// The last id of what slot `index` covers.
    pub(super) fn cell_last(self, index: u32) -> u64 {
        self.cell_first(index) | below(self.head().shift)
    }

    pub(super) fn shape(self) -> Shape {
        let &Node {
            base, shift, bits, ..
        } = self.head();
        Shape { base, shift, bits }
    }

    /// The word by which it was found.
    pub(super) fn seen(self) -> Seen<'a> {
        let address = self.head.as_ptr().expose_provenance();
        Seen {
            word: Word::node(address, self.head().shift),
            live: self.live,
        }
    }

    /// The occupied slots, in order, as the holder of the writers' lock sees them.
    pub(super) fn occupied(self) -> impl DoubleEndedIterator<Item = u32> + 'a {
        let map = self.head().map.peek();
        (0..1 << self.head().bits).filter(move |index| map >> index & 1 == 1)
    }
}

/// A bucket that is alive: its entries, used ones first, sorted.
#[derive(Clone, Copy)]
pub(super) struct BucketRef<'a> {
    pub(super) entries: &'a [Entry],
}

const SLOTS_AT: usize = {
    let slot = align_of::<Slot>();
    size_of::<Node>().next_multiple_of(slot)
};

fn node_layout(bits: u32) -> Layout {
    let slots = Layout::array::<Slot>(1 << bits).expect("64 slots");
    let (layout, at) = Layout::new::<Node>().extend(slots).expect("64 slots");
    debug_assert_eq!(at, SLOTS_AT);
    layout.align_to(NODE_ALIGN).expect("a power of two")
}

/// The layout, and where in it the canary lies.
fn bucket_layout(class: u32) -> (Layout, usize) {
    let entries = Layout::array::<Entry>(capacity(class)).expect("16 entries");
    let (layout, at) = entries.extend(Layout::new::<Canary>()).expect("16 entries");
    (layout.align_to(BUCKET_ALIGN).expect("a power of two"), at)
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: neither a node nor a bucket has size 0.
    let raw = unsafe { alloc(layout) };
    NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Where a node lies, and how finely it divides its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) base: u64,
    pub(super) shift: u32,
    pub(super) bits: u32,
}

impl Shape {
    /// The node with this shift that covers `id`, under a word whose own shift is `above`.
    pub(super) fn around(id: u64, shift: u32, above: u32) -> Self {
        let bits = BITS.min(above - shift);
        Self {
            base: id & !below(shift + bits),
            shift,
            bits,
        }
    }

    pub(super) fn index_of(&self, id: u64) -> u32 {
        ((id >> self.shift) & below(self.bits)) as u32
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
    let raw = allocate(node_layout(shape.bits));
    let mut map = 0;
    for index in 0..1 << shape.bits {
        let Content { word, first, value } = fill(index);
        map |= u64::from(!word.is_empty()) << index;
        let slots = raw.as_ptr().wrapping_add(SLOTS_AT).cast::<Slot>();
        // SAFETY: inside of the fresh allocation; nobody else knows it.
        unsafe {
            slots
                .wrapping_add(index as usize)
                .write(Slot::new(word, first, value))
        };
    }
    let head = Node {
        base: shape.base,
        shift: shape.shift,
        bits: shape.bits,
        map: Map::new(map),
        dirty: Map::new(0),
        canary: Canary::new(),
    };
    // SAFETY: as above, and aligned for a node.
    unsafe { raw.cast::<Node>().write(head) };
    Word::node(raw.as_ptr().expose_provenance(), shape.shift)
}

/// Makes a bucket of at most [`BUCKET_MAX`] sorted ranges, with room for one more if it can.
///
/// The caller owns it and publishes its word, once.
pub(super) fn new_bucket(items: impl ExactSizeIterator<Item = Item>) -> Word {
    let len = items.len();
    let class = (0..4).find(|&class| capacity(class) >= len);
    let class = class.expect("at most BUCKET_MAX ranges");
    let (layout, canary_at) = bucket_layout(class);
    let raw = allocate(layout);
    let unused = core::iter::repeat_with(Entry::unused).take(capacity(class) - len);
    for (index, entry) in items.map(Entry::new).chain(unused).enumerate() {
        let entries = raw.as_ptr().cast::<Entry>();
        // SAFETY: inside of the fresh allocation; nobody else knows it.
        unsafe { entries.wrapping_add(index).write(entry) };
    }
    let canary = raw.as_ptr().wrapping_add(canary_at).cast::<Canary>();
    // SAFETY: as above.
    unsafe { canary.write(Canary::new()) };
    Word::bucket(raw.as_ptr().expose_provenance(), class)
}

/// How many bytes the bucket that a word names takes.
pub(super) fn bytes_of_bucket(word: Word) -> usize {
    bucket_layout(word.class()).0.size()
}

/// How many bytes a node takes.
pub(super) fn bytes_of_node(bits: u32) -> usize {
    node_layout(bits).size()
}

/// How many bytes the node or bucket that a word names takes.
pub(super) fn bytes_of(seen: Seen<'_>) -> usize {
    match seen.node() {
        Some(node) => bytes_of_node(node.head().bits),
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
            None => {
                let at = bucket_layout(self.word.class()).1;
                let base = ptr::with_exposed_provenance::<u8>(self.word.bucket_address());
                // SAFETY: every bucket has its canary there, and it is not freed yet.
                unsafe { &*base.wrapping_add(at).cast::<Canary>() }.bury();
            }
        }
    }

    fn free_node(node: NodeRef<'_>) {
        let (head, bits) = (node.head.as_ptr(), node.head().bits);
        let slots = head.wrapping_byte_add(SLOTS_AT).cast::<Slot>();
        // SAFETY: nobody else looks (S3 of `new`), and this is the one drop (S2).
        unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(slots, 1 << bits)) };
        // SAFETY: as above.
        unsafe { ptr::drop_in_place(head) };
        // SAFETY: it came from `allocate` with this layout (H1).
        unsafe { dealloc(head.cast(), node_layout(bits)) };
    }

    fn free_bucket(word: Word) {
        let layout = bucket_layout(word.class()).0;
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
        match self.seen().node() {
            Some(node) => Self::free_node(node),
            None => Self::free_bucket(self.word),
        }
    }
}

impl fmt::Debug for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.word.fmt(f)
    }
}
