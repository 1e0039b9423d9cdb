//! Models: the room of an object store and the line for it, and one object's state, by themselves.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     none; with three threads the preemptions named at the model
//! Shrunk    a limit of 1 or 2 tokens, one object, a lock in the place of its shard's
//! Shows     M1 tokens are with one at a time, and what they stood for was freed   (T1, TOKEN)
//!           M2 while somebody stands in line, nobody else gets room                      (T2)
//!           M3 nobody sleeps while there is room for the front                           (T3)
//!           M4 the front sees that a reader has left, or is woken by it                  (T3)
//!           M5 of those who wait for what they hold themselves one is told               (T3)
//!           M6 who sees that an object is ready sees its bytes                 (O1, O4, DONE)
//!           M7 who has the lock and sees no pin knows that none comes                (O2, O3)
//!           M8 a waiter that came while the object was pending is told                   (L1)
//! Blind to  load buffering; wakes for nothing, which loom has none of
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Wake, Waker};

use bytes::Bytes;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering::*};
use loom::sync::{Arc, Mutex};
use loom::thread;
use mapless::ObjectError;
use mapless::models::{Lone, Taken, Tokens};
use mapless_loom_tests::explore;

/// Wakes a thread that parks.
struct Sleeper(thread::Thread);

impl Wake for Sleeper {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// A room, and a payload that whoever has the only token may write.
struct World {
    tokens: Tokens,
    payload: UnsafeCell<()>,
    /// How many have a token, and how many stand in line; invisible to loom.
    held: AtomicUsize,
    standing: AtomicUsize,
    /// Whether a reader is inside, and what it keeps from being freed.
    inside: AtomicU64,
    kept: Mutex<Option<Taken>>,
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: nothing is in the cell; loom says who writes it while another does.
unsafe impl Sync for World {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            tokens: Tokens::new(limit),
            payload: UnsafeCell::new(()),
            held: AtomicUsize::new(0),
            standing: AtomicUsize::new(0),
            inside: AtomicU64::new(0),
            kept: Mutex::new(None),
        })
    }

    /// What the owner of the only token does (M1).
    fn use_up(&self, taken: Taken) {
        assert_eq!(self.held.fetch_add(1, Relaxed), 0, "M1: two have it");
        self.payload.with_mut(|_| ());
        thread::yield_now();
        self.payload.with_mut(|_| ());
        self.held.fetch_sub(1, Relaxed);
        drop(taken);
    }

    /// Takes a reader's leavings apart, if it has left.
    fn collect(&self) {
        // Acquire: as the epoch's own look.
        if self.inside.load(Acquire) == 0 {
            let kept = self.kept.lock().unwrap().take();
            drop(kept);
        }
    }

    /// Stands in line until it is served.
    fn wait(&self, need: u64, holds: Vec<(u64, u64)>) -> Result<Taken, ObjectError> {
        let waker = Waker::from(std::sync::Arc::new(Sleeper(thread::current())));
        let number = self.tokens.join(need, holds)?;
        self.standing.fetch_add(1, Relaxed);
        let served = loop {
            match self.tokens.stand(number, &waker) {
                Err(error) => break Err(error),
                Ok(false) => {}
                Ok(true) => {
                    self.collect();
                    if let Some(taken) = self.tokens.take_at_front(need) {
                        break Ok(taken);
                    }
                }
            }
            thread::park();
        };
        self.standing.fetch_sub(1, Relaxed);
        self.tokens.leave(number);
        served
    }

    /// Stands in line for the only token, and uses it.
    fn wait_and_use(&self) {
        let taken = self.wait(1, Vec::new()).expect("it holds nothing");
        self.use_up(taken);
    }
}

fn with<T: Send + Sync + 'static, R: 'static>(
    world: &Arc<T>,
    f: impl FnOnce(&T) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

// ---------------------------------------------------------------- the room

#[test]
fn two_takes_of_the_last_room() {
    explore("room: take/take", None, 100, || {
        let world = World::new(1);
        let take = |world: &World| {
            let taken = world.tokens.take(1);
            taken.map(|taken| world.use_up(taken)).is_some()
        };
        let other = with(&world, take);
        let here = take(&world);
        let there = other.join().unwrap();
        assert!(here || there, "M1: the first has room");
        assert_eq!(world.tokens.free(), 1, "M1");
    });
}

#[test]
fn give_against_stand() {
    explore("room: give/stand", None, 20, || {
        let world = World::new(1);
        let taken = world.tokens.take(1).unwrap();
        let other = with(&world, World::wait_and_use);
        world.use_up(taken);
        other.join().unwrap();
        assert_eq!(world.tokens.free(), 1, "M1");
    });
}

#[test]
fn who_does_not_wait_against_the_line() {
    explore("room: take/stand", None, 300, || {
        let world = World::new(1);
        let taken = world.tokens.take(1).unwrap();
        let other = with(&world, World::wait_and_use);
        world.use_up(taken);
        let before = world.standing.load(Relaxed);
        let taken = world.tokens.take(1);
        if before == 1 && world.standing.load(Relaxed) == 1 {
            assert!(taken.is_none(), "M2");
        }
        if let Some(taken) = taken {
            world.use_up(taken);
        }
        other.join().unwrap();
        assert_eq!(world.tokens.free(), 1, "M1");
        assert!(world.tokens.take(1).is_some(), "M2: nobody stands in line");
    });
}

#[test]
fn two_in_line_3() {
    explore("room: stand/stand/give", Some(3), 900, || {
        let world = World::new(1);
        let taken = world.tokens.take(1).unwrap();
        let others = [(); 2].map(|()| with(&world, World::wait_and_use));
        world.use_up(taken);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(world.tokens.free(), 1, "M1");
    });
}

/// The front gives up: who stands behind it is the front.
#[test]
fn leave_against_stand_3() {
    explore("room: leave/stand/give", Some(4), 400, || {
        let world = World::new(1);
        let taken = world.tokens.take(1).unwrap();
        let number = world.tokens.join(1, Vec::new()).unwrap();
        assert!(world.tokens.stand(number, Waker::noop()).unwrap());
        let behind = with(&world, World::wait_and_use);
        let gives = with(&world, move |world| world.use_up(taken));
        world.tokens.leave(number);
        behind.join().unwrap();
        gives.join().unwrap();
        assert_eq!(world.tokens.free(), 1, "M1");
    });
}

#[test]
fn a_reader_leaves_against_stand() {
    explore("room: reader/stand", None, 150, || {
        let world = World::new(1);
        // Relaxed: nobody else is here yet.
        world.inside.store(1, Relaxed);
        *world.kept.lock().unwrap() = world.tokens.take(1);
        let other = with(&world, World::wait_and_use);
        // Release: as the epoch's own leaving.
        world.inside.store(0, Release);
        world.tokens.reader_left();
        other.join().unwrap();
        assert_eq!(world.tokens.free(), 1, "M1");
    });
}

/// Waits for one more, as the builder of this number; whether it was told that it would for ever.
fn build(world: &World, number: u64, built: Taken) -> bool {
    let more = world.wait(1, vec![(number, 1)]);
    let told = matches!(more, Err(ObjectError::WouldDeadlock));
    assert!(told || more.is_ok(), "M5");
    drop((more, built));
    told
}

/// Both hold one of two, and want one more; perhaps behind somebody who leaves.
fn stuck(somebody_in_front: bool) {
    let world = World::new(2);
    let [first, second] = [(); 2].map(|()| world.tokens.take(1).unwrap());
    let front = somebody_in_front.then(|| world.tokens.join(0, Vec::new()).unwrap());
    let others = [
        with(&world, |world| build(world, 1, first)),
        with(&world, |world| build(world, 2, second)),
    ];
    if let Some(front) = front {
        world.tokens.leave(front);
    }
    let told = others.map(|other| other.join().unwrap());
    assert!(told != [true; 2], "M5: the other is served");
    assert_eq!(world.tokens.free(), 2, "M1");
}

#[test]
fn two_who_hold_what_they_wait_for_3() {
    explore("room: stuck", Some(3), 50, || stuck(false));
    explore("room: stuck, later", Some(3), 50, || stuck(true));
}

// ---------------------------------------------------------------- one object

/// An object, the lock of its shard, and what that guards.
struct Single {
    object: Lone,
    lock: Mutex<Guarded>,
}

#[derive(Default)]
struct Guarded {
    /// Whether the policy was told that it is pinned.
    held: bool,
    /// How often it was let go.
    freed: u32,
    deleted: bool,
    waits: bool,
    told: bool,
}

impl Single {
    fn new(object: Lone) -> Arc<Self> {
        let lock = Mutex::new(Guarded::default());
        Arc::new(Self { object, lock })
    }

    fn settle(&self) {
        let mut guarded = self.lock.lock().unwrap();
        assert!(self.object.is_pending(), "M6: it settles once");
        guarded.told = self.object.settle(Bytes::from_static(b"it"));
    }

    /// Whether it has a pin now; not of a deleted object.
    fn pin(&self) -> bool {
        if self.object.pin_again() {
            return true;
        }
        let mut guarded = self.lock.lock().unwrap();
        if self.object.bytes().is_none() {
            return false;
        }
        if self.object.pin() == 0 {
            assert!(!guarded.held, "M7");
            guarded.held = true;
        }
        true
    }

    fn unpin(&self) {
        if self.object.unpin_one_of_many() {
            return;
        }
        let mut guarded = self.lock.lock().unwrap();
        if self.object.unpin() == 1 {
            assert!(guarded.held, "M7");
            guarded.held = false;
            guarded.freed += u32::from(self.object.bytes().is_none());
        }
    }

    fn delete(&self) {
        let mut guarded = self.lock.lock().unwrap();
        let pins = self.object.delete();
        assert_eq!(pins > 0, guarded.held, "M7");
        guarded.deleted = true;
        guarded.freed += u32::from(pins == 0);
    }

    /// What a pin that was just taken is good for.
    fn assert_kept(&self) {
        let guarded = self.lock.lock().unwrap();
        assert!(guarded.held && guarded.freed == 0, "M7");
    }
}

#[test]
fn settle_against_looks() {
    explore("object: settle/look", None, 5, || {
        let single = Single::new(Lone::pending());
        let other = with(&single, Single::settle);
        if let Some(bytes) = single.object.bytes() {
            assert_eq!(bytes, b"it", "M6");
        }
        other.join().unwrap();
        assert_eq!(single.object.bytes(), Some(&b"it"[..]), "M6");
    });
}

#[test]
fn settle_against_a_waiter() {
    explore("object: settle/wait", None, 2, || {
        let single = Single::new(Lone::pending());
        let other = with(&single, Single::settle);
        let mut guarded = single.lock.lock().unwrap();
        if single.object.is_pending() {
            single.object.await_outcome();
            guarded.waits = true;
        }
        drop(guarded);
        other.join().unwrap();
        let guarded = single.lock.lock().unwrap();
        assert_eq!(guarded.waits, guarded.told, "M8");
    });
}

#[test]
fn pin_against_unpin() {
    explore("object: pin/unpin", None, 1000, || {
        let single = Single::new(Lone::ready());
        assert!(single.pin());
        let other = with(&single, Single::unpin);
        assert!(single.pin());
        single.assert_kept();
        single.unpin();
        other.join().unwrap();
        assert!(!single.lock.lock().unwrap().held, "M7");
    });
}

#[test]
fn pin_against_delete() {
    explore("object: pin/delete", None, 8000, || {
        let single = Single::new(Lone::ready());
        assert!(single.pin());
        let other = with(&single, |single| {
            single.delete();
            single.unpin();
        });
        let was_deleted = single.lock.lock().unwrap().deleted;
        if single.pin() {
            assert!(!was_deleted, "M7");
            single.assert_kept();
            single.unpin();
        }
        other.join().unwrap();
        let guarded = single.lock.lock().unwrap();
        assert!(!guarded.held && guarded.freed == 1, "M7");
    });
}
