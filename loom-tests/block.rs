//! Model: slots of one block under two threads, through the public `BlockAllocator`.
//!
//! Threads   main + 1 (the last three: main + 2)
//! Bound     none where the table says so; else the preemptions named there, since without a
//!           bound the search does not end in a minute
//! Shrunk    2 slots a word, 1 or 2 stripes, a limbo that seals after 1 slot
//! Shows     see each model; the payload of a slot lies in loom's `UnsafeCell`, so an edge that is
//!           missing is a reported race:
//!           M1 two owners never share a slot                          (I2, L2)
//!           M2 the new owner sees the old owner's last write           (FREE, LOCK, LEASE)
//!           M3 who sees a slot live sees what was written before       (LIVE)
//!           M4 a slot is not handed out while a reader from before looks (RIPE, MARK)
//!           M5 `Full` only if every slot is taken or in the word of a call in progress (L3, I3)
//!           M6 one of two frees, or hides, wins; the loser changes nothing (I1)
//! Blind to  load buffering; SeqCst accesses
//! Explores  the least number of executions that each model asserts
#![cfg(loom)]
#![allow(unsafe_code)] // the payloads are looked at through loom's cells, which report every race

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{AllocError, BlockAllocator, ByteLen, FreeError, ObjectId, SlotState};
use mapless_loom_tests::explore;

/// A block, and a payload for each slot, written by its owner.
struct World {
    block: BlockAllocator,
    payload: Vec<UnsafeCell<u32>>,
}

impl World {
    fn new(slots: u64, stripes: usize) -> Arc<Self> {
        let builder = BlockAllocator::builder(slots, ByteLen::new(8));
        let block = builder.stripes(stripes).build();
        Arc::new(Self {
            block: block.expect("a small block"),
            payload: (0..slots).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn cell(&self, id: ObjectId) -> &UnsafeCell<u32> {
        let slot = id.get() - self.block.ids().first().get();
        &self.payload[slot as usize]
    }

    /// What an owner does: nobody else may touch the payload at the same time.
    fn write(&self, id: ObjectId) {
        // SAFETY: S1 that nobody else looks is what the model asserts.
        self.cell(id).with_mut(|at| unsafe { *at += 1 });
    }

    fn read(&self, id: ObjectId) -> u32 {
        // SAFETY: S1 that nobody writes is what the model asserts.
        self.cell(id).with(|at| unsafe { *at })
    }

    fn take(&self) -> Option<ObjectId> {
        let id = self.block.alloc().ok()?;
        self.write(id);
        Some(id)
    }

    /// Writes for the last time, then frees.
    fn drop_slot(&self, id: ObjectId) {
        self.write(id);
        self.block.free(id).expect("ours to free");
    }
}

fn first(world: &World) -> ObjectId {
    world.block.ids().first()
}

fn spawn<R: 'static>(
    world: &Arc<World>,
    f: impl FnOnce(&World) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// M1, M2, M5: two threads take a slot each of two; with one stripe they meet at it.
fn alloc_alloc(slots: u64, stripes: usize) -> impl Fn() + Send + Sync {
    move || {
        let world = World::new(slots, stripes);
        let there = spawn(&world, World::take);
        let here = world.take();
        let there = there.join().expect("no panic");
        assert!(here.is_some() || there.is_some(), "M5");
        assert!(here.is_none() || here != there, "M1");
        // At rest every slot can still be had: nothing is stranded.
        let taken = u64::from(here.is_some()) + u64::from(there.is_some());
        let rest = std::iter::from_fn(|| world.take()).count() as u64;
        assert_eq!(taken + rest, slots, "M5");
        assert_eq!(world.block.alloc(), Err(AllocError::Full { waiting: 0 }));
    }
}

#[test]
fn alloc_against_alloc() {
    explore(
        "alloc/alloc, one stripe, 2 slots",
        Some(4),
        100,
        alloc_alloc(2, 1),
    );
}

#[test]
fn alloc_against_alloc_over_two_words() {
    explore(
        "alloc/alloc, two stripes, 3 slots",
        None,
        100,
        alloc_alloc(3, 2),
    );
}

#[test]
fn alloc_against_free() {
    explore("alloc/free", None, 8, || {
        let world = World::new(2, 1);
        let mine = world.take().expect("two slots");
        let _other = world.take().expect("two slots");
        let there = spawn(&world, World::take);
        world.drop_slot(mine);
        let there = there.join().expect("no panic");
        // M5, I3: the freed slot is not hidden by the summary.
        assert!(there.is_some() || world.take() == Some(mine), "M5");
    });
}

#[test]
fn free_against_a_word_that_fills_up() {
    explore("free/fill", None, 10, || {
        let world = World::new(2, 1);
        let mine = world.take().expect("two slots");
        let there = spawn(&world, World::take);
        world.drop_slot(mine);
        there
            .join()
            .expect("no panic")
            .expect("a slot was free all the time");
        assert!(world.take().is_some(), "M5: the summary hides a free slot");
    });
}

#[test]
fn free_against_free() {
    explore("free/free", None, 4, || {
        let world = World::new(2, 1);
        let id = world.block.alloc().expect("two slots");
        let there = spawn(&world, move |world| world.block.free(id));
        let here = world.block.free(id);
        let there = there.join().expect("no panic");
        assert!(here.is_ok() != there.is_ok(), "M6");
        assert_eq!(here.and(there), Err(FreeError::AlreadyFree), "M6");
    });
}

#[test]
fn hide_against_hide_and_free() {
    explore("hide/hide", Some(3), 30, || {
        let world = World::new(2, 1);
        let id = world.block.alloc().expect("two slots");
        let there = spawn(&world, move |world| world.block.hide(id));
        let here = world.block.hide(id);
        let there = there.join().expect("no panic");
        assert!(here.is_ok() != there.is_ok(), "M6");
        assert_eq!(world.block.state(id), Ok(SlotState::Hidden), "M6");
        assert_eq!(world.block.waiting(), 1);
        let other = world.block.alloc().expect("the other slot");
        assert_ne!(other, id, "M1: a hidden slot is taken");
    });
    explore("hide/free", None, 30, || {
        let world = World::new(2, 1);
        let id = world.block.alloc().expect("two slots");
        let there = spawn(&world, move |world| world.block.free(id));
        let here = world.block.hide(id);
        let there = there.join().expect("no panic");
        assert!(here.is_ok() != there.is_ok(), "M6");
        let taken = [world.block.alloc(), world.block.alloc()];
        let reused = taken.iter().filter(|taken| **taken == Ok(id)).count();
        assert_eq!(reused, usize::from(there.is_ok()), "M1, M5");
    });
}

#[test]
fn hide_against_alloc() {
    explore("hide/alloc", None, 30, || {
        let world = World::new(2, 1);
        let id = world.take().expect("two slots");
        let there = spawn(&world, World::take);
        world.block.hide(id).expect("live");
        let got = there
            .join()
            .expect("no panic")
            .expect("the other slot is free");
        assert_ne!(got, id, "M1: a hidden slot was handed out");
    });
}

#[test]
fn publish_against_lookup() {
    explore("publish/lookup", None, 10, || {
        let world = World::new(2, 1);
        let reservation = world.block.reserve().expect("two slots");
        let id = reservation.id();
        let there = spawn(&world, move |world| {
            if world.block.extent(id).is_ok() {
                assert_eq!(world.read(id), 1, "M3");
            }
        });
        world.write(id);
        assert_eq!(reservation.publish(), id);
        there.join().expect("no panic");
        assert!(world.block.is_allocated(id));
    });
}

#[test]
fn cancel_against_alloc() {
    explore("cancel/alloc", None, 30, || {
        let world = World::new(2, 1);
        let other = world.take().expect("two slots");
        let reservation = world.block.reserve().expect("two slots");
        let id = reservation.id();
        world.write(id);
        let there = spawn(&world, World::take);
        reservation.cancel();
        let there = there.join().expect("no panic");
        assert_ne!(there, Some(other), "M1");
        assert!(there == Some(id) || world.take() == Some(id), "M5");
    });
}

#[test]
fn reserve_against_alloc() {
    explore("reserve/alloc", Some(3), 30, || {
        let world = World::new(2, 1);
        let there = spawn(&world, World::take);
        let reservation = world.block.reserve().ok();
        let there = there.join().expect("no panic");
        let reserved = reservation.as_ref().map(mapless::Reservation::id);
        assert!(reserved.is_none() || reserved != there, "M1");
        assert!(reserved.is_some() || there.is_some(), "M5");
    });
}

fn retire_and_reuse() -> impl Fn() + Send + Sync {
    || {
        let world = World::new(1, 1);
        let id = world.take().expect("one slot");
        let there = spawn(&world, move |world| {
            let guard = world.block.pin();
            if world.block.extent(id).is_ok() {
                world.read(id);
            }
            drop(guard);
        });
        let guard = world.block.pin();
        world.block.retire(id, &guard).expect("live");
        drop(guard);
        if let Ok(again) = world.block.reserve() {
            assert_eq!(again.id(), id);
            world.write(again.id()); // M4: a race with the reader, if it still looks
            again.publish();
        }
        there.join().expect("no panic");
        world.block.collect();
        assert!(
            world.block.is_allocated(id) || world.take() == Some(id),
            "M5"
        );
    }
}

#[test]
fn retire_against_lookup_and_reuse() {
    explore("retire/lookup", Some(3), 50, retire_and_reuse());
}

fn run_against(there: fn(&World) -> Option<(ObjectId, u64)>) -> impl Fn() + Send + Sync {
    move || {
        let world = World::new(4, 1);
        let other = spawn(&world, there);
        let run = world.block.alloc_run(3).ok();
        if let Some(run) = run {
            (0..3).for_each(|at| world.write(run.first().checked_add(at).expect("an id")));
        }
        let other = other.join().expect("no panic");
        if let (Some(run), Some((first, len))) = (run, other) {
            let other = mapless::IdRange::new(first, len).expect("a range");
            assert!(!run.overlaps(other), "M1: {run:?} and {other:?}");
        }
        let taken = run.map_or(0, |run| run.len()) + other.map_or(0, |(_, len)| len);
        assert_eq!(world.block.len(), taken, "M1");
        let rest = std::iter::from_fn(|| world.take()).count() as u64;
        assert_eq!(taken + rest, 4, "M5: a lost run leaves nothing behind");
    }
}

#[test]
fn run_against_alloc() {
    let alloc = |world: &World| Some((world.take()?, 1));
    explore("run/alloc", Some(3), 50, run_against(alloc));
}

#[test]
fn run_against_run() {
    let run = |world: &World| {
        let run = world.block.alloc_run(2).ok()?;
        world.write(run.first());
        world.write(run.last());
        Some((run.first(), 2))
    };
    explore("run/run", Some(3), 50, run_against(run));
}

#[test]
fn a_handle_that_is_dropped_against_alloc() {
    explore("local drop/alloc", Some(3), 30, || {
        let world = World::new(2, 1);
        let there = spawn(&world, World::take);
        let here = {
            let local = world.block.local();
            local.alloc().ok()
        };
        let there = there.join().expect("no panic");
        assert!(here.is_none() || here != there, "M1");
        let taken = u64::from(here.is_some()) + u64::from(there.is_some());
        let rest = std::iter::from_fn(|| world.take()).count() as u64;
        assert_eq!(taken + rest, 2, "M5: a handle strands nothing");
    });
}

#[test]
fn three_threads_take_three_slots() {
    explore("alloc x 3", Some(1), 100, || {
        let world = World::new(3, 2);
        let threads = [spawn(&world, World::take), spawn(&world, World::take)];
        let mut taken: Vec<ObjectId> = world.take().into_iter().collect();
        taken.extend(
            threads
                .into_iter()
                .filter_map(|thread| thread.join().expect("no panic")),
        );
        let count = taken.len();
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), count, "M1");
        assert!(!taken.is_empty(), "M5");
    });
}

#[test]
fn retire_free_and_alloc_at_once() {
    explore("retire/free/alloc", Some(2), 200, || {
        let world = World::new(3, 1);
        let [a, b] = [(); 2].map(|()| world.take().expect("three slots"));
        let retiring = spawn(&world, move |world| {
            world.write(a);
            world.block.retire(a, &world.block.pin()).expect("live");
        });
        let freeing = spawn(&world, move |world| world.drop_slot(b));
        let got = world.take();
        retiring.join().expect("no panic");
        freeing.join().expect("no panic");
        assert!(got.is_some(), "M5: a third slot was free all the time");
        world.block.collect();
        let rest = std::iter::from_fn(|| world.take()).count();
        assert_eq!(rest, 2, "M5");
        assert_ne!(first(&world), ObjectId::MAX);
    });
}
