//! The policy's view of a shard's entries.
#![allow(unsafe_code)] // vouches that the shard's lock is held while the policy looks

use super::core::Book;
use super::policy::{Entries, Links};
use super::slab::{Node, Slab};

/// The entries of a shard whose lock is held.
pub(super) struct View<'a, K, V> {
    slab: &'a Slab<K, V>,
    book: &'a Book,
}

impl<'a, K, V> View<'a, K, V> {
    /// # Safety
    /// S1: during `'a` the caller holds the lock of the shard that both belong to.
    /// S2: it is asked for numbers only that `take_empty` gave out.
    #[inline(always)]
    pub(super) unsafe fn new(slab: &'a Slab<K, V>, book: &'a Book) -> Self {
        Self { slab, book }
    }

    #[inline(always)]
    fn node(&self, e: u32) -> &'a Node<K, V> {
        // SAFETY: S2 of `new`.
        unsafe { self.slab.node(e) }
    }
}

impl<K, V> Entries for View<'_, K, V> {
    #[inline]
    fn links(&self, e: u32) -> Links {
        // SAFETY: S2 and S1 of `new`.
        unsafe { self.slab.links(e) }
    }

    #[inline]
    fn set_links(&mut self, e: u32, links: Links) {
        // SAFETY: S2 and S1 of `new`.
        unsafe { self.slab.set_links(e, links) }
    }

    #[inline(always)]
    fn weight(&self, e: u32) -> u64 {
        self.book.weight(e) + self.book.place
    }

    #[inline]
    fn fingerprint(&self, e: u32) -> u32 {
        // SAFETY: S2 and S1 of `new`.
        unsafe { self.slab.fingerprint(e) }
    }

    #[inline]
    fn uses(&self, e: u32) -> u8 {
        self.node(e).uses()
    }

    #[inline]
    fn set_uses(&mut self, e: u32, uses: u8) {
        self.node(e).set_uses(uses);
    }

    #[inline]
    fn limit(&self, e: u32) -> u8 {
        self.node(e).limit()
    }

    #[inline]
    fn set_limit(&mut self, e: u32, limit: u8) {
        self.node(e).set_limit(limit);
    }

    #[inline]
    fn is_held(&self, e: u32) -> bool {
        self.book.is_held(e)
    }

    #[inline]
    fn prefetch(&self, e: u32) {
        crate::sync::hint::prefetch(self.node(e));
    }
}
