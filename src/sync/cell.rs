//! Memory that a checker watches.
#![allow(unsafe_code)] // cells that a lock guards which lies elsewhere, or an epoch
#![cfg_attr(not(feature = "cache"), allow(dead_code))] // slots and locked values are the cache's

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

#[cfg(not(all(loom, feature = "loom")))]
pub(crate) use plain::{Canary, Locked};
#[cfg(all(loom, feature = "loom"))]
pub(crate) use watched::{Canary, Locked};

/// A place that is filled, read by many, and emptied.
///
/// Under loom a read that is not ordered between the two is reported as a data race.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    canary: Canary,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self {
            canary: Canary::new(),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// # Safety
    /// S1: it is filled, and stays so during the borrow.
    #[inline(always)]
    #[track_caller]
    pub(crate) unsafe fn get(&self) -> &T {
        self.canary.touch();
        // SAFETY: S1, so nobody writes.
        let value = unsafe { &*self.value.get() };
        // SAFETY: S1.
        unsafe { value.assume_init_ref() }
    }

    /// # Safety
    /// S1: it is empty, and nobody else looks.
    #[inline]
    #[track_caller]
    pub(crate) unsafe fn fill(&self, value: T) {
        self.canary.bury();
        // SAFETY: S1.
        let place = unsafe { &mut *self.value.get() };
        place.write(value);
    }

    /// # Safety
    /// S1: it is filled, and nobody looks any more.
    #[inline]
    #[track_caller]
    pub(crate) unsafe fn take(&self) -> T {
        self.canary.bury();
        // SAFETY: S1: it is ours alone.
        let value = unsafe { &*self.value.get() };
        // SAFETY: S1: it was filled, and is read no more after this.
        unsafe { value.assume_init_read() }
    }
}

/// Stands for the bytes of a node: readers `touch` it, whoever frees the node `bury`s it.
///
/// It has no size and does nothing, except under loom, where a `touch` that is not ordered
/// before the `bury` is reported as a data race.
#[cfg(not(all(loom, feature = "loom")))]
mod plain {
    use core::cell::UnsafeCell;

    /// A value beside data that readers see, which only the holder of a lock looks at.
    #[derive(Debug, Default)]
    pub(crate) struct Locked<T>(UnsafeCell<T>);

    impl<T: Copy> Locked<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }

        /// # Safety
        /// S1: the caller holds the lock that guards this cell.
        #[inline(always)]
        pub(crate) unsafe fn get(&self) -> T {
            // SAFETY: S1, so nobody writes.
            unsafe { *self.0.get() }
        }

        /// # Safety
        /// S1: the caller holds the lock that guards this cell.
        #[inline(always)]
        pub(crate) unsafe fn set(&self, value: T) {
            // SAFETY: S1, so nobody else looks.
            unsafe { *self.0.get() = value };
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Canary;

    impl Canary {
        pub(crate) fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn touch(&self) {}

        #[inline(always)]
        pub(crate) fn bury(&self) {}
    }
}

#[cfg(all(loom, feature = "loom"))]
mod watched {
    use loom::cell::UnsafeCell;

    #[derive(Debug)]
    pub(crate) struct Locked<T>(UnsafeCell<T>);

    impl<T: Copy> Locked<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }

        /// # Safety
        /// S1: the caller holds the lock that guards this cell.
        #[track_caller]
        pub(crate) unsafe fn get(&self) -> T {
            // SAFETY: S1, which loom checks.
            self.0.with(|value| unsafe { *value })
        }

        /// # Safety
        /// S1: the caller holds the lock that guards this cell.
        #[track_caller]
        pub(crate) unsafe fn set(&self, value: T) {
            // SAFETY: S1, which loom checks.
            self.0.with_mut(|place| unsafe { *place = value });
        }
    }

    #[derive(Debug)]
    pub(crate) struct Canary(UnsafeCell<()>);

    impl Canary {
        pub(crate) fn new() -> Self {
            Self(UnsafeCell::new(()))
        }

        #[track_caller]
        pub(crate) fn touch(&self) {
            self.0.with(|_| ());
        }

        #[track_caller]
        pub(crate) fn bury(&self) {
            self.0.with_mut(|_| ());
        }
    }
}
