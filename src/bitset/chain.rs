//! A pointer that is set once: the link of lists that only grow.
//!
//! # Shape
//! ```text
//! Link ──> Box<T { .., next: Link }> ──> Box<T { .., next: Link }> ──> (not set yet)
//! ```
//!
//! # Invariants
//! * C1  A link is 0, or the address of a `Box<T>` that the link owns; it changes once, from the
//!   first to the second. So what it leads to lives as long as the link is borrowed.
//! * C2  Or it is made odd, as no address of a `Box<T>` is, and stays so: then it leads nowhere, and its
//!   word is its maker's.
//!
//! # Edges
//! | edge  | released by  | acquired by | what crosses             |
//! |-------|--------------|-------------|--------------------------|
//! | CHAIN | `Link::set`  | `Link::get` | the contents of the box  |
//!
//! # Progress
//! `get` and `set` are wait-free: one load, one compare-exchange.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (CHAIN, by a canary in each box).

// Turns an address that was published by an atomic word back into a reference.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use core::ptr;

use crate::sync::atomic::{AtomicU64, Ordering::*};

/// Owns a `T` from the moment it is set.
pub(crate) struct Link<T>(AtomicU64, PhantomData<Box<T>>);

/// What a link's word is.
pub(crate) enum Word<'a, T> {
    Unset,
    Leads(&'a T),
    /// The maker's own (C2).
    Own(&'a AtomicU64),
}

/// The bit by which a word is no address (C2).
pub(crate) const OWN: u64 = 1;

/// What stands in a list has a next one.
pub(crate) trait Linked: Sized {
    fn next(&self) -> &Link<Self>;

    fn next_mut(&mut self) -> &mut Link<Self>;
}

impl<T> Link<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0), PhantomData)
    }

    /// One that leads nowhere: its word is the maker's, who keeps it odd.
    pub(crate) fn own(word: u64) -> Self {
        const { assert!(align_of::<T>() > 1) };
        debug_assert_eq!(word & OWN, OWN, "C2");
        Self(AtomicU64::new(word), PhantomData)
    }

    /// What it leads to, if it is set.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        match self.look() {
            Word::Leads(to) => Some(to),
            Word::Unset | Word::Own(_) => None,
        }
    }

    /// What its word is.
    #[inline]
    pub(crate) fn look(&self) -> Word<'_, T> {
        // Acquire [CHAIN]: the contents were written before the link was set.
        let address = self.0.load(Acquire);
        if address & OWN != 0 {
            return Word::Own(&self.0);
        }
        if address == 0 {
            return Word::Unset;
        }
        // SAFETY: S1 the address is that of a `Box<T>` that this link owns (C1), exposed in
        // `set`; S2 the box is freed in `take` only, which needs `&mut self`, so it outlives
        // this borrow; S3 nobody makes a `&mut T` of it before that either.
        Word::Leads(unsafe { &*ptr::with_exposed_provenance::<T>(address as usize) })
    }

    /// Sets it to `value`, unless it is set already; then the value comes back.
    pub(crate) fn set(&self, value: Box<T>) -> Result<&T, Box<T>> {
        let raw = Box::into_raw(value);
        let address = raw.expose_provenance() as u64;
        // Release [CHAIN]: the contents come before the link. Relaxed on failure: who wants what
        // is there asks `get`.
        match self.0.compare_exchange(0, address, Release, Relaxed) {
            // SAFETY: S1 to S3 as in `get`; the link owns the box from now on.
            Ok(_) => Ok(unsafe { &*raw }),
            // SAFETY: S1 `raw` came from `Box::into_raw` above; S2 the exchange failed, so
            // nobody else ever saw it.
            Err(_) => Err(unsafe { Box::from_raw(raw) }),
        }
    }

    /// Takes out what it leads to.
    fn take(&mut self) -> Option<Box<T>> {
        // Relaxed, both: `&mut self` is the only access there is.
        let address = self.0.load(Relaxed);
        self.0.store(0, Relaxed);
        if address == 0 || address & OWN != 0 {
            return None;
        }
        let raw = ptr::with_exposed_provenance_mut::<T>(address as usize);
        // SAFETY: S1 a box that this link owned (C1); S2 the link is 0 now, so it is taken once.
        Some(unsafe { Box::from_raw(raw) })
    }
}

impl<T: Linked> Link<T> {
    /// Puts `value` at the end of the list.
    pub(crate) fn append(&self, mut value: Box<T>) -> &T {
        let mut link = self;
        loop {
            while let Some(node) = link.get() {
                link = node.next();
            }
            match link.set(value) {
                Ok(node) => return node,
                Err(back) => value = back,
            }
        }
    }

    /// Frees the list one by one, so that a long one needs no deep stack.
    pub(crate) fn clear(&mut self) {
        let mut next = self.take();
        while let Some(mut node) = next {
            next = node.next_mut().take();
        }
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.get().is_some() {
            "Link"
        } else {
            "Link(unset)"
        })
    }
}
