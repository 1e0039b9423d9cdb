//! The cheapest clock: the processor's own counter where it has one.
//!
//! It may advance in steps (26 ticks, 10 ns, on one machine): a single lookup is then seen as 0,
//! 10 or 20 ns, and only batches show a median.
#![allow(unsafe_code)] // the counter is read by an intrinsic

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The counter, after everything before it is done.
#[cfg(target_arch = "x86_64")]
#[inline]
#[must_use]
pub fn now() -> u64 {
    use std::arch::x86_64::{__rdtscp, _mm_lfence};
    let mut core = 0;
    // SAFETY: x86-64 processors of this century have the instruction; it writes `core` only.
    let ticks = unsafe { __rdtscp(&raw mut core) };
    // SAFETY: no requirement beyond SSE2, which x86-64 has.
    unsafe { _mm_lfence() };
    ticks
}

/// Nanoseconds since the first call.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Ticks in a nanosecond, measured once.
#[must_use]
pub fn per_ns() -> f64 {
    static RATE: OnceLock<f64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let (start, ticks) = (Instant::now(), now());
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        (now() - ticks) as f64 / start.elapsed().as_nanos() as f64
    })
}

/// The smallest step that the counter was seen to take, in ns.
#[must_use]
pub fn step_ns() -> f64 {
    let mut least = u64::MAX;
    let mut last = now();
    for _ in 0..10_000 {
        let this = now();
        if this > last {
            least = least.min(this - last);
        }
        last = this;
    }
    least as f64 / per_ns()
}

/// Asks for a cache line ahead of time.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults, and a reference is a valid address anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
