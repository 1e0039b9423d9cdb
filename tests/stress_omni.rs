//! `OmniBlockAllocator` under threads that do everything at once: a few seconds of it.
//!
//! * A1 to A5 of `tests/support/actor.rs`, whatever threads do.
//! * T1  A thread that exits, or panics with a reservation in its hands, strands nothing.
//! * T2  A guard may be taken, and an object freed, while a thread's thread-locals are destroyed.
//! * T3  64 threads get every slot of a full space, and each slot once.
//!
//! Nothing is asserted about time. Runs under the address sanitizer too (`ci/sanitizers`).

#![cfg(feature = "alloc")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mapless::{ByteLen, FileOffset, Guard, LookupError, ObjectId, OmniBlockAllocator, SizeClasses};
use support::actor::{Actor, World};
use support::lock;

/// Runs actors until the time is over; what is left in their hands goes into the last check.
fn hammer(threads: u64, time: Duration, limit: u64, stripes: usize) {
    let world = World::new(limit, stripes);
    let end = Instant::now() + time;
    let rest = thread::scope(|scope| {
        let world = &world;
        let actors: Vec<_> = (0..threads)
            .map(|seed| {
                scope.spawn(move || {
                    let mut actor = Actor::new(world, seed);
                    while Instant::now() < end {
                        (0..32).for_each(|_| actor.step());
                    }
                    actor.rest()
                })
            })
            .collect();
        let rests = actors.into_iter().map(|actor| actor.join().unwrap());
        rests.flatten().collect()
    });
    world.finish(rest);
}

#[test]
fn four_threads_do_everything() {
    hammer(4, Duration::from_millis(1000), 1 << 20, 4);
}

#[test]
fn four_threads_share_one_stripe() {
    hammer(4, Duration::from_millis(500), 1 << 20, 1);
}

#[test]
fn four_threads_meet_the_limit() {
    hammer(4, Duration::from_millis(500), 4 << 10, 2);
}

#[test]
fn sixty_four_threads_do_everything() {
    hammer(64, Duration::from_millis(1000), 4 << 20, 16);
}

/// A first range has 1,024 slots, so there must be room for as many.
fn one_class(slots: u64) -> OmniBlockAllocator {
    let classes = SizeClasses::new([ByteLen::new(64)]).unwrap();
    let builder = OmniBlockAllocator::builder().classes(classes);
    builder.limit(FileOffset::new(64 * slots)).build().unwrap()
}

fn fill(ids: &OmniBlockAllocator) -> usize {
    std::iter::from_fn(|| ids.alloc(ByteLen::new(64)).ok()).count()
}

#[test]
fn sixty_four_threads_allocate_exactly_all() {
    let ids = one_class(1024);
    let all = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mine: Vec<ObjectId> =
                    std::iter::from_fn(|| ids.alloc(ByteLen::new(64)).ok()).collect();
                let mut all = lock(&all);
                mine.into_iter()
                    .for_each(|id| assert!(all.insert(id), "T3: {id} twice"));
            });
        }
    });
    // A thread may give up while others are in the middle of a call: the rest is still there.
    let rest = fill(&ids);
    assert_eq!(lock(&all).len() + rest, 1024, "T3");
}

#[test]
fn a_panic_with_a_reservation_strands_nothing() {
    let ids = one_class(1024);
    for round in 0..100 {
        let panicked = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let slot = ids.reserve(ByteLen::new(1)).unwrap();
                let large = catch_unwind(AssertUnwindSafe(|| ids.reserve(ByteLen::new(1 << 30))));
                assert!(large.unwrap().is_err(), "there is no such room");
                std::panic::resume_unwind(Box::new(slot.id()));
            });
            thread.join().unwrap_err()
        });
        let id: ObjectId = *panicked.downcast().unwrap();
        assert_eq!(ids.locate(id), Err(LookupError::Freed), "round {round}");
    }
    assert_eq!((ids.len(), ids.waiting()), (0, 0));
    assert_eq!(fill(&ids), 1024, "T1");
}

#[test]
fn a_panic_with_a_large_reservation_gives_the_region_back() {
    let ids = OmniBlockAllocator::new();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let large = ids.reserve(ByteLen::new(1 << 30)).unwrap();
            std::panic::resume_unwind(Box::new(large.id()));
        });
        thread.join().unwrap_err();
    });
    ids.collect();
    assert_eq!(ids.root().regions(), 0, "T1");
    assert_eq!(ids.truncate(), FileOffset::ZERO, "T1");
}

#[test]
fn threads_that_exit_strand_nothing() {
    let ids = one_class(1024);
    for _ in 0..40 {
        thread::scope(|scope| {
            for n in 0..8 {
                let ids = &ids;
                scope.spawn(move || {
                    let id = ids.alloc(ByteLen::new(64)).unwrap();
                    match n % 3 {
                        0 => ids.free(id).unwrap(),
                        1 => ids.retire(id, &ids.pin()).unwrap(),
                        _ => {
                            ids.hide(id).unwrap();
                            ids.reclaim(id, &ids.pin()).unwrap();
                        }
                    }
                });
            }
        });
    }
    ids.collect();
    assert_eq!(fill(&ids), 1024, "T1");
}

/// Pins, allocates and retires when its thread's locals are destroyed.
struct Late {
    ids: Arc<OmniBlockAllocator>,
    done: Arc<AtomicBool>,
    held: Option<Guard>,
}

impl Late {
    /// Takes a guard, and keeps it until the thread's end if it `holds`.
    fn pin(&mut self, holds: bool) {
        let guard = self.ids.pin();
        self.held = holds.then_some(guard);
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let guard = self.ids.pin();
        let id = self.ids.alloc(ByteLen::new(64)).unwrap();
        assert!(self.ids.locate_in(id, &guard).is_ok());
        self.ids.retire(id, &guard).unwrap();
        drop(guard);
        self.ids.collect();
        drop(self.held.take());
        self.done.store(true, SeqCst);
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Thread-locals are destroyed in the order in which they were first used, or the other way
/// round: both are tried.
#[test]
fn a_thread_may_pin_while_its_locals_are_destroyed() {
    let ids = Arc::new(one_class(1024));
    for (late_first, holds) in [(true, false), (false, false), (true, true), (false, true)] {
        let done = Arc::new(AtomicBool::new(false));
        let (ids, sees) = (Arc::clone(&ids), Arc::clone(&done));
        let thread = thread::spawn(move || {
            if !late_first {
                drop(ids.pin());
            }
            let late = Late {
                ids,
                done,
                held: None,
            };
            LATE.set(Some(late));
            LATE.with_borrow_mut(|late| late.as_mut().unwrap().pin(holds));
        });
        thread.join().unwrap();
        assert!(sees.load(SeqCst), "T2");
    }
    ids.collect();
    assert_eq!(ids.waiting(), 0, "T2");
    assert_eq!(fill(&ids), 1024, "T2");
}
