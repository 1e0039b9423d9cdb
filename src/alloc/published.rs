//! A value that is replaced whole and seldom, and read by everybody without a guard.
//!
//! # Invariants
//! * P1  What was published is never changed, and is freed only with the cell itself.
//!
//! # Edges
//! | edge  | released by          | acquired by      | what crosses            |
//! |-------|----------------------|------------------|-------------------------|
//! | TABLE | `Published::replace` | `Published::get` | the new value's contents |
//!
//! # Progress
//! `get` is wait-free: one load. `replace` blocks on the cell's lock.
//!
//! # Checked by
//! `loom-tests/omni.rs` (TABLE).
#![allow(unsafe_code)] // what `get` lends lives as long as the cell, which no type can say

use core::fmt;
use core::ptr::NonNull;

use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::cell::Canary;
use crate::sync::lock::Mutex;

/// Holds the newest value and, until it is dropped, all earlier ones: for tables that change a
/// bounded number of times.
pub(crate) struct Published<T> {
    newest: AtomicU64,
    all: Mutex<Vec<NonNull<Version<T>>>>,
}

struct Version<T> {
    canary: Canary,
    value: T,
}

// SAFETY: the cell owns its values and lends only shared references to them.
unsafe impl<T: Send + Sync> Send for Published<T> {}
// SAFETY: as above; `replace` takes `T` by value under the lock.
unsafe impl<T: Send + Sync> Sync for Published<T> {}

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        let version = Version::boxed(value);
        Self {
            newest: AtomicU64::new(version.as_ptr().expose_provenance() as u64),
            all: Mutex::new(vec![version]),
        }
    }

    /// The newest value.
    #[inline]
    pub(crate) fn get(&self) -> &T {
        // Acquire [TABLE]: see the contents before the pointer to them is followed.
        let raw = self.newest.load(Acquire);
        let version: *const Version<T> = core::ptr::with_exposed_provenance(raw as usize);
        // SAFETY: P1: the pointer came from `Version::boxed`, and is freed only by our drop.
        let version = unsafe { &*version };
        version.canary.touch();
        &version.value
    }

    /// Publishes what `next` makes of the newest value; an error changes nothing.
    pub(crate) fn replace<E>(&self, next: impl FnOnce(&T) -> Result<T, E>) -> Result<(), E> {
        let mut all = self.all.lock();
        let version = Version::boxed(next(self.get())?);
        all.push(version);
        let raw = version.as_ptr().expose_provenance() as u64;
        // Release [TABLE]: the contents come before the pointer to them.
        self.newest.store(raw, Release);
        Ok(())
    }
}

impl<T> Version<T> {
    fn boxed(value: T) -> NonNull<Self> {
        let canary = Canary::new();
        canary.bury();
        NonNull::from(Box::leak(Box::new(Self { canary, value })))
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        for version in self.all.lock().drain(..) {
            // SAFETY: it came from `Box::leak`, is freed once, and `&mut self` says that nobody
            // holds what `get` lent.
            drop(unsafe { Box::from_raw(version.as_ptr()) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
