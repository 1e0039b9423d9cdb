//! Counters that cost a load and a store: a stripe of them for each thread.
//!
//! # Shape
//! ```text
//! own     [n0 n1 ..][n0 n1 ..][n0 n1 ..][n0 n1 ..]   thread number i writes stripe i: load, store
//! shared  [n0 n1 ..][n0 n1 ..]                       everybody else: fetch_add
//!          `- 128 bytes or more, so that no two stripes share a cache line
//! ```
//!
//! # Invariants
//! * C1  A stripe of `own` is written only by the thread that owns its number, and owners follow
//!   one another in order (HEIR, `numbers.rs`): so a load and a store lose nothing.
//! * C2  A sum is exact when everything that was counted happens before it.
//!
//! The atomics are core's own and so invisible to loom and shuttle, and not counted: no decision
//! reads them, nothing is published by them, and models would only be longer for them.
//!
//! # Progress
//! `add` is wait-free; a sum is wait-free, one load a stripe.
//!
//! # Checked by
//! The tests below (C1, C2).

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::available_parallelism;

use crossbeam_utils::CachePadded;

use super::SMALL;
use super::local::{own_number, own_number_or_more, thread_number};

/// Stripes for owners at most, so that the whole is 10 KB at most (with up to 16 counters).
const MAX_OWN: usize = 64;

/// `N` counters, striped.
///
/// There are four stripes that only their owners write for each processor that the process may use,
/// rounded up to a power of two, but from 4 to 64. More threads than that seldom run at a time,
/// and those that live are welcome to the shared stripes, of which there are a quarter as many.
#[derive(Debug)]
pub(crate) struct Stripes<const N: usize> {
    own: Box<[Stripe<N>]>,
    shared: Box<[Stripe<N>]>,
}

type Stripe<const N: usize> = CachePadded<[AtomicU64; N]>;

impl<const N: usize> Stripes<N> {
    /// All counters 0. Asks the system for the number of processors.
    pub(crate) fn new() -> Self {
        let processors = || available_parallelism().map_or(1, usize::from);
        let own = if SMALL { 1 } else { 4 * processors() };
        Self::with_own(own.next_power_of_two().clamp(4, MAX_OWN))
    }

    fn with_own(own: usize) -> Self {
        let stripe = |_| CachePadded::new([const { AtomicU64::new(0) }; N]);
        Self {
            own: (0..own).map(stripe).collect(),
            shared: (0..(own / 4).max(1)).map(stripe).collect(),
        }
    }

    /// Adds `amount` to a counter, which wraps.
    ///
    /// # Panics
    /// If there is no such counter.
    #[inline]
    pub(crate) fn add(&self, counter: usize, amount: u64) {
        match self.own.get(own_number_or_more()) {
            Some(stripe) => Self::add_own(&stripe[counter], amount),
            None => self.add_elsewhere(counter, amount),
        }
    }

    #[inline(always)]
    fn add_own(count: &AtomicU64, amount: u64) {
        // Relaxed, both: nothing is published by it, and nobody else writes here (C1).
        count.store(count.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// The thread's first addition to any counter, or by one that has no stripe.
    #[cold]
    #[inline(never)]
    fn add_elsewhere(&self, counter: usize, amount: u64) {
        match own_number().and_then(|number| self.own.get(number)) {
            Some(stripe) => Self::add_own(&stripe[counter], amount),
            None => self.add_shared(counter, amount),
        }
    }

    fn add_shared(&self, counter: usize, amount: u64) {
        let stripe = &self.shared[thread_number() % self.shared.len()];
        // Relaxed: nothing is published by it.
        stripe[counter].fetch_add(amount, Relaxed);
    }

    /// What was added to a counter: exact if nobody adds now, else of some moment for each stripe.
    pub(crate) fn sum(&self, counter: usize) -> u64 {
        let stripes = self.own.iter().chain(&self.shared);
        // Relaxed: whoever wants it exact is ordered after those who added (C2).
        let counts = stripes.map(|stripe| stripe[counter].load(Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod tests {
    use std::thread;

    use super::Stripes;

    /// C2, with more threads at a time than stripes, each short-lived.
    #[test]
    fn nothing_is_lost_while_threads_come_and_go() {
        const ROUNDS: u64 = if cfg!(miri) { 2 } else { 40 };
        let stripes = Stripes::<2>::with_own(4);
        for _ in 0..ROUNDS {
            thread::scope(|scope| {
                for _ in 0..12 {
                    scope.spawn(|| (0..500).for_each(|n| stripes.add(n % 2, 3)));
                }
            });
        }
        assert_eq!(stripes.sum(0), ROUNDS * 12 * 250 * 3);
        assert_eq!(stripes.sum(1), ROUNDS * 12 * 250 * 3);
    }

    #[test]
    fn memory_is_bounded() {
        let stripes = Stripes::<14>::new();
        let bytes = size_of_val(&*stripes.own) + size_of_val(&*stripes.shared);
        assert!(bytes <= 80 * 128, "{bytes}");
    }
}
