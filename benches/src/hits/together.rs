//! A trace by several threads, in lock step.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use super::contender::{Counts, Peer, request};
use super::trace::Trace;

/// How far threads may be apart, in requests of each: 64 requests of the trace for two.
const APART: usize = 32;

/// Thread t of n takes the requests t, t + n, t + 2n and so on.
pub fn run(peer: &dyn Peer, trace: &Trace, threads: usize) -> Counts {
    let done: Vec<_> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
    let parts = thread::scope(|scope| {
        let done = &done;
        let part = |t| scope.spawn(move || part(peer, trace, done, t));
        let parts: Vec<_> = (0..threads).map(part).collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined
            .map(|part| part.expect("no panic"))
            .collect::<Vec<_>>()
    });
    let mut sum = Counts::default();
    for part in parts {
        sum.misses += part.misses;
        sum.missed_bytes += part.missed_bytes;
    }
    sum
}

fn part(peer: &dyn Peer, trace: &Trace, done: &[AtomicUsize], t: usize) -> Counts {
    let mut counts = Counts::default();
    let mine = trace.requests().enumerate().skip(t).step_by(done.len());
    for (nth, (at, (key, size))) in mine.enumerate() {
        // Relaxed, here and below: only a count is read, nothing is published by it.
        while done.iter().any(|other| other.load(Relaxed) + APART < nth) {
            thread::yield_now();
        }
        if !request(peer, at, key, size) {
            counts.miss(size);
        }
        done[t].store(nth + 1, Relaxed);
    }
    // Whoever has fewer requests holds nobody up.
    done[t].store(usize::MAX / 2, Relaxed);
    counts
}
