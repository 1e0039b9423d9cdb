//! The block: where its parts are, and how it is made, pointed to and freed.
//!
//! # Shape
//! ```text
//! [ head: first id, first offset, slot size, last slot, class, marks, next ] [ words: parts.rs ]
//!   48 bytes                                                                    8 bytes each
//! ```
//! One allocation, with a thin pointer to it ([`BlockRef`]): the address of a leaf word is the
//! pointer plus a constant and the slot, so that the look at a bit waits for no field of the head.
//!
//! # Invariants
//! * B1  `words` is as long as the parts of the last slot say; neither changes.
//!
//! # Checked by
//! The unit tests below; everything above it.

// Allocates a structure that ends in words, and turns thin pointers back into references.
#![allow(unsafe_code)]

use core::fmt;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc, handle_alloc_error};

use super::leaf::{self, Leaf};
use super::marks::Marks;
use super::parts::{Parts, Place};
use super::{ALL, BITS};
use crate::id::{ByteLen, Extent, FileOffset, ObjectId, SlotIndex};
use crate::sync::atomic::AtomicU64;
use crate::sync::cell::Canary;

/// A range of equal slots, and which of them are live.
#[repr(C)]
pub(crate) struct Block {
    pub(super) head: Head,
    pub(super) words: [AtomicU64],
}

/// What a block knows besides its bits.
pub(super) struct Head {
    span: Span,
    pub(super) marks: Marks,
    pub(super) grave: Canary,
    /// The next block of the same owner; `list.rs`.
    next: AtomicU64,
}

/// Which ids, which bytes: what a block is made of.
///
/// The maker sees to it that neither ids nor offsets overflow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) first_id: ObjectId,
    pub(crate) first_offset: FileOffset,
    pub(crate) slot_size: ByteLen,
    /// The last slot: one less than their number, which is so never 0.
    pub(crate) last: SlotIndex,
    /// The owner's own tag.
    pub(crate) class: u32,
}

impl Span {
    /// The bytes of a slot.
    #[inline]
    fn extent(&self, slot: SlotIndex) -> Extent {
        // Within the space: the maker saw to it for the last slot.
        let offset = self.first_offset.get() + u64::from(slot.get()) * self.slot_size.get();
        Extent::new(FileOffset::new(offset), self.slot_size)
    }
}

impl Head {
    #[inline]
    fn parts(&self) -> Parts {
        Parts::of(self.span.last.get())
    }
}

impl Block {
    /// A block with no slot live.
    #[allow(clippy::new_ret_no_self)] // a block has no size: it comes in its box
    pub(crate) fn new(span: Span) -> BlockBox {
        Self::with_leaves(span, |_| 0)
    }

    /// A block whose live bits are `words`, `BITS` slots each, none beyond the capacity.
    pub(crate) fn restore(span: Span, words: &[u64]) -> BlockBox {
        let parts = Parts::of(span.last.get());
        let over = |word, bit| {
            let slot = parts.slot(Place::new(word, bit));
            (words[(slot / BITS) as usize] >> (slot % BITS) & 1) << bit
        };
        let live = |word| match words.get(word) {
            Some(live) => live & ALL,
            None => (0..parts.capacity(word).count_ones())
                .map(|bit| over(word, bit))
                .sum(),
        };
        let block = Self::with_leaves(span, live);
        block.after_restore();
        block
    }

    fn with_leaves(span: Span, live: impl Fn(usize) -> u64) -> BlockBox {
        let parts = Parts::of(span.last.get());
        let word = |i| match i < parts.leaves() {
            true => leaf::initial(live(i), parts.capacity(i)),
            false => AtomicU64::new(0),
        };
        let head = Head {
            span,
            marks: Marks::new(span.last.get()),
            grave: Canary::new(),
            next: AtomicU64::new(0),
        };
        BlockBox::build(head, parts.words(), word)
    }

    #[inline]
    pub(crate) fn span(&self) -> &Span {
        &self.head.span
    }

    #[inline]
    pub(super) fn parts(&self) -> Parts {
        self.head.parts()
    }

    /// A leaf word.
    #[inline]
    pub(super) fn leaf(&self, word: usize) -> Leaf<'_> {
        assert!(
            self.parts().has_leaf(word),
            "B1: there is no such leaf word"
        );
        // SAFETY: S1 within `words`: its leaves come first (B1), and this is one of them. A look
        // at its length would cost a division.
        Leaf(unsafe { self.words.get_unchecked(word) })
    }

    pub(super) fn link(&self) -> &AtomicU64 {
        self.head.grave.touch();
        &self.head.next
    }

    /// How many slots there are.
    #[inline]
    pub(crate) fn slots(&self) -> u64 {
        u64::from(self.head.span.last.get()) + 1
    }

    /// The id of a slot of this block.
    #[inline]
    pub(crate) fn id(&self, slot: SlotIndex) -> ObjectId {
        debug_assert!(slot <= self.head.span.last);
        let id = ObjectId::new(self.head.span.first_id.get() + u64::from(slot.get()));
        id.unwrap_or(ObjectId::MAX) // the maker saw to it that there is such an id
    }

    /// The slot of an id, if it is one of this block's.
    #[inline]
    pub(crate) fn slot(&self, id: ObjectId) -> Option<SlotIndex> {
        let slot = id.get().wrapping_sub(self.head.span.first_id.get());
        let slot = u32::try_from(slot).ok().map(SlotIndex::new);
        slot.filter(|slot| *slot <= self.head.span.last)
    }

    /// The bytes of a slot.
    #[inline]
    pub(crate) fn extent(&self, slot: SlotIndex) -> Extent {
        self.head.span.extent(slot)
    }

    /// For an owner's models: says that the memory is gone.
    pub(crate) fn bury(&self) {
        self.head.grave.bury();
    }
}

/// A thin pointer to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRef(NonNull<Head>);

// SAFETY: S1 it is an address; what is behind it, a `Block`, is `Sync` (atomics, and fields that
// never change), and only `unsafe` calls look there.
unsafe impl Send for BlockRef {}
// SAFETY: S1 as above.
unsafe impl Sync for BlockRef {}

impl BlockRef {
    /// As a word that is never 0, for an index or an atomic.
    #[inline]
    pub(crate) fn to_word(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// From a word that `to_word` gave; `None` from 0.
    #[inline]
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        NonNull::new(ptr::with_exposed_provenance_mut(word as usize)).map(Self)
    }

    /// The block.
    ///
    /// # Safety
    /// S1: the block is not freed as long as `'a`.
    #[inline]
    pub(crate) unsafe fn get<'a>(self) -> &'a Block {
        // SAFETY: S1 alive, by the caller; S2 `span` never changes, so no write races.
        let parts = unsafe { self.0.as_ref() }.parts();
        let wide = self.wide(parts.words());
        // SAFETY: S1 alive, by the caller; S2 the length is the one it was made with (B1);
        // S3 nobody has a `&mut Block` while shared pointers to it are about.
        unsafe { &*wide }
    }

    /// The bytes of a slot, if it is live: one look at its bit, which waits for no field of the
    /// head.
    ///
    /// # Safety
    /// S1: the block is not freed during the call; S2: `slot` is one of its slots.
    #[inline]
    pub(crate) unsafe fn live_extent(self, slot: SlotIndex) -> Option<Extent> {
        // SAFETY: S1 alive, by the caller; nobody has a `&mut` to a shared block.
        let head = unsafe { self.0.as_ref() };
        head.grave.touch();
        let place = head.parts().place(slot.get());
        // SAFETY: S1 the words begin where the head ends: its size is a multiple of a word's
        // alignment, by `Layout::extend` in `build`.
        let words = unsafe { self.0.add(1) }.cast::<AtomicU64>();
        // SAFETY: S2 the slot's word is one of the block's leaves (B1).
        let leaf = unsafe { words.add(place.word()) };
        // SAFETY: S1, S2 as above.
        let leaf = unsafe { leaf.as_ref() };
        let live = Leaf(leaf).look().live() & place.bit() != 0;
        live.then(|| head.span.extent(slot))
    }

    /// The pointer with the number of words.
    #[inline]
    fn wide(self, words: usize) -> *mut Block {
        ptr::slice_from_raw_parts_mut(self.0.as_ptr().cast::<AtomicU64>(), words) as *mut Block
    }

    /// Frees the block.
    ///
    /// # Safety
    /// S1: it came from [`BlockBox::leak`], is not freed yet, and nobody looks at it any more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: S1 alive until the next line, by the caller.
        let words = unsafe { self.get() }.words.len();
        drop(BlockBox { block: self, words });
    }
}

/// An owned block, at an address that stays.
pub(crate) struct BlockBox {
    block: BlockRef,
    /// How many it has: here, it need not be found out at each look.
    words: usize,
}

impl BlockBox {
    fn build(head: Head, words: usize, word: impl Fn(usize) -> AtomicU64) -> Self {
        let (layout, at) = Layout::array::<AtomicU64>(words)
            .and_then(|tail| Layout::new::<Head>().extend(tail))
            .expect("a block is smaller than the address space");
        let layout = layout.pad_to_align();
        // SAFETY: S1 the layout has a size, that of the head at least.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw) else {
            handle_alloc_error(layout)
        };
        // SAFETY: S1 within the allocation, and aligned, by the layout.
        unsafe { raw.cast::<Head>().write(head) };
        // SAFETY: S1 `at` is within the allocation.
        let tail = unsafe { raw.add(at) }.cast::<AtomicU64>();
        for i in 0..words {
            // SAFETY: S1 `i` is within the array that the layout has room for.
            let place = unsafe { tail.add(i) };
            // SAFETY: S1 as above; S2 aligned, by the layout.
            unsafe { place.write(word(i)) };
        }
        let block = BlockRef(raw.cast());
        Self { block, words }
    }

    /// Gives up ownership; [`BlockRef::free`] takes it.
    pub(crate) fn leak(self) -> BlockRef {
        core::mem::ManuallyDrop::new(self).block
    }
}

impl Deref for BlockBox {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        let wide = self.block.wide(self.words);
        // SAFETY: S1 the block lives until this box is dropped; S2 the length is the one it was
        // made with; S3 nobody has a `&mut Block`.
        unsafe { &*wide }
    }
}

impl Drop for BlockBox {
    fn drop(&mut self) {
        let wide = self.block.wide(self.words);
        // SAFETY: S1 allocated in `build` with the layout that a `Block` of so many words has
        // (`repr(C)`, padded to its alignment), by the same allocator; S2 dropped once, here.
        drop(unsafe { Box::from_raw(wide) });
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("span", &self.head.span)
            .field("live", &self.live())
            .finish()
    }
}

impl fmt::Debug for BlockBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn span(slots: u64) -> Span {
        Span {
            first_id: ObjectId::MIN,
            first_offset: FileOffset::ZERO,
            slot_size: ByteLen::new(64),
            last: SlotIndex::new((slots - 1) as u32),
            class: 0,
        }
    }

    #[test]
    fn a_block_is_little_more_than_its_bits() {
        let bytes = |slots| size_of_val(&*Block::new(span(slots)));
        assert_eq!([bytes(1), bytes(63), bytes(64)], [64, 64, 72]);
        // 21 leaf words and one above; 22 and three.
        assert_eq!([bytes(1280), bytes(1281)], [48 + 22 * 8, 48 + 25 * 8]);
        assert!(bytes(32_768) <= 4096 + 336);
    }

    #[test]
    fn a_thin_pointer_finds_the_whole_block() {
        let block = Block::new(span(1000));
        let word = block.block.to_word();
        let again = BlockRef::from_word(word).unwrap();
        // SAFETY: S1 `block` lives.
        let seen = unsafe { again.get() };
        assert_eq!(size_of_val(seen), size_of_val(&*block));
        assert_eq!(seen.slots(), 1000);
        assert!(BlockRef::from_word(0).is_none());
    }
}
