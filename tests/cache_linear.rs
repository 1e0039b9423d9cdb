//! Histories of a few threads on a few keys: each key's has an order in which it could have happened one
//! call after the other (Herlihy and Wing, TOPLAS 1990; the search is that of Wing and Gong, JPDC 1993).
//!
//! * L1  Where nothing is evicted, every history is linearizable, key by key.
//! * L2  Where entries are evicted, it is so with removals in between that nobody called for.
//!
//! A load takes effect where it found nothing. Its value comes in then, or not at all if another one
//! came in meanwhile; who waited for it gets it as well.
#![cfg(feature = "cache")]

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use mapless::ClockCache;
use mapless::cache::{Computed, Mode, Op, Reason};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Did {
    Get(Option<u64>),
    Remove(Option<u64>),
    Insert(u64),
    IfAbsent(u64, bool),
    Replace(u64, bool),
    /// The value, and whether this caller made it.
    Load(u64, bool),
    /// What was seen, and what was put in its place, if it came in.
    Compute(Option<u64>, Option<u64>),
    ComputeRemoval(Option<u64>),
    /// It was refused, and changed nothing.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    key: u64,
    began: u64,
    ended: u64,
    did: Did,
}

/// The states that a call may leave, if it may happen in this one.
fn after(did: Did, seen: Option<u64>, loads: &HashSet<u64>) -> Vec<Option<u64>> {
    let only = |fits: bool, next: Option<u64>| if fits { vec![next] } else { vec![] };
    match did {
        Did::Get(found) => only(found == seen, seen),
        Did::Remove(found) | Did::ComputeRemoval(found) => only(found == seen, None),
        Did::Insert(value) => vec![Some(value)],
        Did::IfAbsent(value, true) => only(seen.is_none(), Some(value)),
        Did::IfAbsent(_, false) => only(seen.is_some(), seen),
        Did::Replace(value, true) => only(seen.is_some(), Some(value)),
        Did::Replace(_, false) => only(seen.is_none(), None),
        Did::Load(value, true) if seen.is_none() => vec![Some(value), None],
        Did::Load(_, true) => vec![],
        Did::Load(value, false) if seen.is_none() => only(loads.contains(&value), None),
        Did::Load(value, false) => only(seen == Some(value), seen),
        Did::Compute(found, put) => only(found == seen, put.or(seen)),
        Did::Nothing => vec![seen],
    }
}

struct Search<'a> {
    calls: &'a [Call],
    loads: HashSet<u64>,
    evicts: bool,
    dead_ends: HashSet<(u64, Option<u64>)>,
}

impl Search<'_> {
    /// Whether the calls that are not done yet have an order, from this state on.
    fn goes_on(&mut self, done: u64, state: Option<u64>) -> bool {
        if done.count_ones() as usize == self.calls.len() {
            return true;
        }
        if !self.dead_ends.insert((done, state)) {
            return false;
        }
        if self.evicts && state.is_some() && self.goes_on(done, None) {
            return true;
        }
        let waiting = |at: &usize| done >> at & 1 == 0;
        let first_end = (0..self.calls.len())
            .filter(waiting)
            .map(|at| self.calls[at].ended);
        let first_end = first_end.min().unwrap();
        for at in (0..self.calls.len()).filter(waiting) {
            if self.calls[at].began > first_end {
                continue;
            }
            for next in after(self.calls[at].did, state, &self.loads) {
                if self.goes_on(done | 1 << at, next) {
                    return true;
                }
            }
        }
        false
    }
}

fn is_linearizable(calls: &[Call], evicts: bool) -> bool {
    let fresh = calls.iter().filter_map(|call| match call.did {
        Did::Load(value, true) => Some(value),
        _ => None,
    });
    let (loads, dead_ends) = (fresh.collect(), HashSet::new());
    let mut search = Search {
        calls,
        loads,
        evicts,
        dead_ends,
    };
    search.goes_on(0, None)
}

fn perform(cache: &ClockCache<u64, u64>, which: u64, key: u64, value: u64) -> Did {
    match which % 10 {
        0 | 1 => Did::Get(cache.get(&key)),
        2 => Did::Remove(cache.remove(&key)),
        3 => match cache.insert(key, value) {
            Ok(()) => Did::Insert(value),
            Err(_) => Did::Nothing,
        },
        4 => match cache
            .insert_if_absent(key, value)
            .map_err(|error| error.reason)
        {
            Err(Reason::Occupancy) => Did::IfAbsent(value, false),
            Err(_) => Did::Nothing,
            Ok(()) => Did::IfAbsent(value, true),
        },
        5 => match cache.replace(key, value).map_err(|error| error.reason) {
            Err(Reason::Occupancy) => Did::Replace(value, false),
            Err(_) => Did::Nothing,
            Ok(()) => Did::Replace(value, true),
        },
        6 | 7 => {
            let fresh = AtomicBool::new(false);
            let got = cache.get_or_insert_with(key, || {
                fresh.store(true, SeqCst);
                thread::yield_now();
                value
            });
            Did::Load(got, fresh.into_inner())
        }
        8 => {
            let mut seen = None;
            let computed = cache.compute(key, |found| {
                seen = found.copied();
                thread::yield_now();
                Op::Put(value)
            });
            let is_in = !matches!(computed, Computed::Refused(..));
            Did::Compute(seen, is_in.then_some(value))
        }
        _ => match cache.compute(key, |_| {
            thread::yield_now();
            Op::Remove
        }) {
            Computed::Removed(value) => Did::ComputeRemoval(Some(value)),
            _ => Did::ComputeRemoval(None),
        },
    }
}

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

const THREADS: u64 = 4;

/// One thread's part of all rounds: a history for each.
fn play(
    caches: &[ClockCache<u64, u64>],
    (thread, keys, calls): (u64, u64, u64),
    barrier: &Barrier,
    clock: &AtomicU64,
) -> Vec<Vec<Call>> {
    let round = |(round, cache): (usize, &ClockCache<u64, u64>)| {
        barrier.wait();
        let call = |n: u64| {
            let value: u64 = (round as u64) << 16 | thread << 8 | n;
            let random = mix(value.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let key = random % keys;
            let began = clock.fetch_add(1, SeqCst);
            let did = perform(cache, random >> 32, key, value);
            let ended = clock.fetch_add(1, SeqCst);
            Call {
                key,
                began,
                ended,
                did,
            }
        };
        (0..calls).map(call).collect()
    };
    caches.iter().enumerate().map(round).collect()
}

fn explore(mode: Mode, capacity: u64, keys: u64, evicts: bool) {
    const ROUNDS: usize = 2_500;
    let make = |_| {
        let builder = ClockCache::builder().max_capacity(capacity).mode(mode);
        builder.shards(1).build().unwrap()
    };
    let caches: Vec<_> = (0..ROUNDS).map(make).collect();
    let (barrier, clock) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
    let played: Vec<_> = thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            let (caches, barrier, clock) = (&caches, &barrier, &clock);
            scope.spawn(move || play(caches, (thread, keys, 6), barrier, clock))
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut beside = 0;
    for round in 0..ROUNDS {
        let calls: Vec<Call> = played.iter().flat_map(|all| all[round].clone()).collect();
        for key in 0..keys {
            let mut calls = calls.clone();
            calls.retain(|call| call.key == key);
            calls.sort_unstable_by_key(|call| call.began);
            beside += calls
                .windows(2)
                .filter(|pair| pair[1].began < pair[0].ended)
                .count();
            assert!(is_linearizable(&calls, evicts), "round {round}: {calls:#?}");
        }
    }
    println!("{beside} calls of a key began while another one ran");
    assert!(beside > 100, "histories without overlap show nothing");
}

#[test]
fn nothing_is_evicted() {
    explore(Mode::Reachable, 100, 1, false);
    explore(Mode::Reachable, 100, 3, false);
    explore(Mode::Live, 100, 2, false);
}

#[test]
fn entries_are_evicted() {
    explore(Mode::Reachable, 2, 3, true);
    explore(Mode::Live, 2, 3, true);
}

/// The search can fail: histories that no order explains.
#[test]
fn what_cannot_have_happened_is_refused() {
    let calls = |all: &[(u64, u64, Did)]| {
        let call = |&(began, ended, did)| Call {
            key: 0,
            began,
            ended,
            did,
        };
        all.iter().map(call).collect::<Vec<_>>()
    };
    let stale = calls(&[
        (0, 1, Did::Insert(1)),
        (2, 3, Did::Insert(2)),
        (4, 5, Did::Get(Some(1))),
    ]);
    let lost = calls(&[(0, 1, Did::Insert(1)), (2, 3, Did::Get(None))]);
    let twice = calls(&[
        (0, 1, Did::Insert(1)),
        (2, 5, Did::Remove(Some(1))),
        (3, 4, Did::Remove(Some(1))),
    ]);
    let back = calls(&[
        (0, 1, Did::Insert(1)),
        (2, 9, Did::Remove(Some(1))),
        (3, 4, Did::Get(None)),
        (5, 6, Did::Get(Some(1))),
    ]);
    let beside = calls(&[
        (0, 3, Did::Insert(1)),
        (1, 2, Did::Get(None)),
        (4, 5, Did::Get(Some(1))),
    ]);
    for evicts in [false, true] {
        assert!(!is_linearizable(&stale, evicts));
        assert!(!is_linearizable(&twice, evicts));
        assert!(!is_linearizable(&back, evicts));
        assert!(is_linearizable(&beside, evicts));
        assert_eq!(is_linearizable(&lost, evicts), evicts);
    }
}
