//! Live bytes, as the allocator counts them.
//!
//! The counter is one word that all threads share: where time is measured, [`uncounted`] keeps them
//! off it, or whoever allocates would pay for being watched.
#![allow(unsafe_code)] // a global allocator is an unsafe trait

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicU8, Ordering::Relaxed};

/// Signed: what was allocated uncounted may be freed counted.
static LIVE: AtomicIsize = AtomicIsize::new(0);
/// The highest that [`LIVE`] was since [`peak`] began.
static PEAK: AtomicIsize = AtomicIsize::new(0);
static WATCH: AtomicU8 = AtomicU8::new(COUNT);

const NOTHING: u8 = 0;
const COUNT: u8 = 1;
const COUNT_AND_PEAK: u8 = 2;

/// The system's allocator, which also counts the bytes that were asked for and not given back.
#[derive(Debug)]
pub struct Counting;

#[inline]
fn came(layout: Layout) {
    let (watch, size) = (WATCH.load(Relaxed), layout.size() as isize);
    if watch == NOTHING {
        return;
    }
    let live = LIVE.fetch_add(size, Relaxed) + size;
    if watch == COUNT_AND_PEAK {
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: every call is passed on to `System`; the counters change nothing about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        came(layout);
        // SAFETY: the caller keeps `System::alloc`'s contract, which is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        came(layout);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if WATCH.load(Relaxed) != NOTHING {
            LIVE.fetch_sub(layout.size() as isize, Relaxed);
        }
        // SAFETY: `place` came from `System` with this layout.
        unsafe { System.dealloc(place, layout) }
    }
}

/// The bytes that are live now, of those that were counted.
#[must_use]
pub fn live() -> isize {
    LIVE.load(Relaxed)
}

/// What `make` returns, and by how much the live bytes have grown.
pub fn grown<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = live();
    let made = make();
    (made, usize::try_from(live() - before).unwrap_or(0))
}

/// What `run` returns, and how far the live bytes rose meanwhile above what they were.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = live();
    PEAK.store(before, Relaxed);
    let answer = watching(COUNT_AND_PEAK, run);
    let peak = PEAK.load(Relaxed) - before;
    (answer, usize::try_from(peak).unwrap_or(0))
}

/// What `run` returns; meanwhile nothing is counted, in any thread.
pub fn uncounted<T>(run: impl FnOnce() -> T) -> T {
    watching(NOTHING, run)
}

fn watching<T>(watch: u8, run: impl FnOnce() -> T) -> T {
    let before = WATCH.swap(watch, Relaxed);
    let answer = run();
    WATCH.store(before, Relaxed);
    answer
}
