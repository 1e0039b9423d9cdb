//! Atomics: the standard library's, or a checker's with the same API.
//!
//! Under loom a failing compare-exchange may return an old value, as the language allows: loom's
//! own always sees the newest, so ours first loads (`loom-tests/litmus/src/checker.rs` shows what
//! that finds, and what it found when it loaded with the failure ordering in every case).

pub(crate) use core::sync::atomic::Ordering;

#[cfg(not(any(
    all(loom, feature = "loom"),
    all(shuttle, feature = "shuttle"),
    mapless_count
)))]
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};

#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};

#[cfg(all(loom, feature = "loom"))]
pub(crate) use wrapped::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};

#[cfg(all(
    mapless_count,
    not(all(loom, feature = "loom")),
    not(all(shuttle, feature = "shuttle"))
))]
pub(crate) use wrapped::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};

#[cfg(any(all(loom, feature = "loom"), mapless_count))]
mod wrapped {
    use super::Ordering;
    #[cfg(all(loom, feature = "loom"))]
    use super::Ordering::{Relaxed, Release};

    #[cfg(not(all(loom, feature = "loom")))]
    use core::sync::atomic as raw;
    #[cfg(all(loom, feature = "loom"))]
    use loom::sync::atomic as raw;

    /// Counts one operation, where operations are counted.
    #[inline]
    fn step() {
        #[cfg(mapless_count)]
        super::count::step();
    }

    #[track_caller]
    pub(crate) fn fence(order: Ordering) {
        step();
        raw::fence(order);
    }

    macro_rules! atomic {
        ($name:ident, $value:ty { $($rmw:ident)* }) => {
            #[derive(Debug)]
            pub(crate) struct $name(raw::$name);

            #[allow(dead_code)] // one API for all widths
            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    Self(raw::$name::new(value))
                }

                #[track_caller]
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    step();
                    self.0.load(order)
                }

                #[track_caller]
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    step();
                    self.0.store(value, order);
                }

                #[track_caller]
                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    step();
                    self.0.swap(value, order)
                }

                $(
                    #[track_caller]
                    pub(crate) fn $rmw(&self, value: $value, order: Ordering) -> $value {
                        step();
                        self.0.$rmw(value, order)
                    }
                )*

                #[track_caller]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    step();
                    #[cfg(all(loom, feature = "loom"))]
                    {
                        // Where only failure acquires, a load that does would also do so for a
                        // success and hide that this lacks it: a fence on the way out instead.
                        let late = failure != Relaxed && matches!(success, Relaxed | Release);
                        let seen = self.0.load(if late { Relaxed } else { failure });
                        if seen != current {
                            if late {
                                raw::fence(failure);
                            }
                            return Err(seen);
                        }
                    }
                    self.0.compare_exchange(current, new, success, failure)
                }

                #[track_caller]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    /// A pointer that is published and replaced by stores alone.
    #[derive(Debug)]
    pub(crate) struct AtomicPtr<T>(raw::AtomicPtr<T>);

    #[allow(dead_code)] // as above
    impl<T> AtomicPtr<T> {
        pub(crate) fn new(value: *mut T) -> Self {
            Self(raw::AtomicPtr::new(value))
        }

        #[track_caller]
        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            step();
            self.0.load(order)
        }

        #[track_caller]
        pub(crate) fn store(&self, value: *mut T, order: Ordering) {
            step();
            self.0.store(value, order);
        }
    }

    atomic!(AtomicU8, u8 { fetch_or fetch_and fetch_add fetch_sub });
    atomic!(AtomicU32, u32 { fetch_or fetch_and fetch_add fetch_sub });
    atomic!(AtomicU64, u64 { fetch_or fetch_and fetch_add fetch_sub });
    atomic!(AtomicUsize, usize { fetch_or fetch_and fetch_add fetch_sub });
    atomic!(AtomicBool, bool { fetch_or fetch_and });
}

/// How many atomic operations this thread has done; only under `--cfg mapless_count`.
#[cfg(mapless_count)]
pub(crate) mod count {
    use core::cell::Cell;

    std::thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn step() {
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    /// The count so far.
    #[must_use]
    pub fn steps() -> u64 {
        STEPS.with(Cell::get)
    }
}
