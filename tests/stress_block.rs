//! `BlockAllocator` under threads that do everything at once, for a second each.
//!
//! * S1  A slot has one owner at most, from when it is handed out until it is given back.
//! * S2  A slot that a pinned reader found live, and that ends by `retire`, has no other owner before
//!   the reader is gone.
//! * S3  When all is given back, every slot can be had: nothing is stranded.
//! * S4  Of several threads that end one slot, one succeeds.

#![cfg(feature = "alloc")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use mapless::{AllocError, BlockAllocator, ByteLen, IdRange, LocalAlloc, ObjectId, Reservation};

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// The slots, the owner of each (0: nobody), and how often each had a new one.
struct World {
    slots: BlockAllocator,
    owners: Vec<AtomicU64>,
    turns: Vec<AtomicU64>,
}

impl World {
    fn new(slots: u64, stripes: usize) -> Self {
        let builder = BlockAllocator::builder(slots, ByteLen::new(8)).stripes(stripes);
        Self {
            slots: builder.build().unwrap(),
            owners: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            turns: (0..slots).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn at(&self, id: ObjectId) -> usize {
        (id.get() - 1) as usize
    }

    fn own(&self, id: ObjectId, me: u64) {
        assert_eq!(
            self.owners[self.at(id)].swap(me, SeqCst),
            0,
            "S1: {id} has an owner"
        );
        self.turns[self.at(id)].fetch_add(1, SeqCst);
    }

    fn disown(&self, id: ObjectId, me: u64) {
        assert_eq!(
            self.owners[self.at(id)].swap(0, SeqCst),
            me,
            "S1: {id} was not ours"
        );
    }

    /// S2, where every slot ends by `retire`.
    fn look(&self, id: ObjectId) {
        let _guard = self.slots.pin();
        if self.slots.is_allocated(id) {
            let turns = self.turns[self.at(id)].load(SeqCst);
            thread::yield_now();
            let later = self.turns[self.at(id)].load(SeqCst);
            assert_eq!(later, turns, "S2: {id} has another owner");
        }
    }
}

/// One thread, with what it owns.
struct Actor<'a> {
    world: &'a World,
    handle: Option<LocalAlloc<'a>>,
    me: u64,
    dice: Dice,
    live: Vec<ObjectId>,
    reserved: Vec<Reservation<'a>>,
    /// Whether slots end by `retire` only.
    retires: bool,
}

impl<'a> Actor<'a> {
    fn new(world: &'a World, me: u64, retires: bool) -> Self {
        Self {
            world,
            handle: me.is_multiple_of(3).then(|| world.slots.local()),
            me,
            dice: Dice(me.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            live: Vec::new(),
            reserved: Vec::new(),
            retires,
        }
    }

    fn take(&mut self) {
        if self.retires {
            // So that a slot is owned before it is seen.
            self.reserve();
            return self.publish();
        }
        let taken = match &self.handle {
            Some(handle) => handle.alloc(),
            None => self.world.slots.alloc(),
        };
        match taken {
            Ok(id) => self.got(id),
            Err(AllocError::Full { .. }) => self.give(),
            Err(error) => panic!("{error}"),
        }
    }

    fn got(&mut self, id: ObjectId) {
        self.world.own(id, self.me);
        self.live.push(id);
    }

    fn take_run(&mut self) {
        let len = 1 + self.dice.below(90) as u64;
        if let Ok(run) = self.world.slots.alloc_run(len) {
            ids(run).for_each(|id| self.got(id));
        }
    }

    fn reserve(&mut self) {
        if let Ok(slot) = self.world.slots.reserve() {
            self.world.own(slot.id(), self.me);
            self.reserved.push(slot);
        }
    }

    fn end_reservation(&mut self) {
        if self.dice.below(2) == 0 {
            self.publish();
        } else if let Some(slot) = self.reserved.pop() {
            self.world.disown(slot.id(), self.me);
            slot.cancel();
        }
    }

    fn publish(&mut self) {
        if let Some(slot) = self.reserved.pop() {
            self.live.push(slot.publish());
        }
    }

    fn give(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let id = self.live.swap_remove(self.dice.below(self.live.len()));
        self.world.disown(id, self.me);
        let slots = &self.world.slots;
        match self.dice.below(3) {
            0 if !self.retires => slots.free(id).unwrap(),
            0 | 1 => slots.retire(id, &slots.pin()).unwrap(),
            _ => {
                slots.hide(id).unwrap();
                slots.reclaim(id, &slots.pin()).unwrap();
            }
        }
    }

    fn look(&mut self) {
        let slot = self.dice.below(self.world.owners.len()) as u64;
        self.world.look(ObjectId::new(slot + 1).unwrap());
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0 if !self.retires => self.take_run(),
            0..=6 => self.take(),
            7..=8 => self.reserve(),
            9..=10 => self.end_reservation(),
            11..=17 => self.give(),
            18 => drop(self.world.slots.collect()),
            _ if self.retires => self.look(),
            _ => {}
        }
    }

    fn finish(mut self) {
        while !self.reserved.is_empty() {
            self.end_reservation();
        }
        while !self.live.is_empty() {
            self.give();
        }
    }
}

fn ids(run: IdRange) -> impl Iterator<Item = ObjectId> {
    (0..run.len()).map(move |i| run.first().checked_add(i).unwrap())
}

fn hammer(slots: u64, stripes: usize, threads: u64, retires: bool) {
    let world = World::new(slots, stripes);
    let end = Instant::now() + Duration::from_secs(1);
    thread::scope(|scope| {
        let spawn = |me| {
            let world = &world;
            scope.spawn(move || {
                let mut actor = Actor::new(world, me, retires);
                while Instant::now() < end {
                    (0..64).for_each(|_| actor.step());
                }
                actor.finish();
            })
        };
        let threads: Vec<_> = (1..=threads).map(spawn).collect();
        // Not left to the scope: it ends before the threads' locals go, and these pin once more.
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    world.slots.collect();
    assert_eq!((world.slots.len(), world.slots.waiting()), (0, 0));
    assert_eq!(
        world.slots.alloc_run(slots).map(IdRange::len),
        Ok(slots),
        "S3"
    );
}

#[test]
fn in_a_crowded_block() {
    hammer(200, 1, 8, false);
}

#[test]
fn in_a_block_with_room() {
    hammer(5_000, 4, 4, false);
}

#[test]
fn beside_readers() {
    hammer(100, 2, 6, true);
}

#[test]
fn one_of_many_ends_a_slot() {
    let slots = BlockAllocator::new(64, ByteLen::new(8)).unwrap();
    let wins = AtomicU64::new(0);
    let (rounds, threads) = (300, 4);
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (slots, wins, barrier) = (&slots, &wins, &barrier);
            scope.spawn(move || {
                for round in 0..rounds {
                    if thread == 0 {
                        slots.collect();
                        slots.alloc().unwrap();
                    }
                    barrier.wait();
                    // Nobody takes a slot before the next wait, so there is one live one.
                    let ids: Vec<_> = slots.iter().collect();
                    for id in ids {
                        let ended = match (thread + round) % 3 {
                            0 => slots.free(id),
                            1 => slots.retire(id, &slots.pin()),
                            _ => {
                                let hidden = slots.hide(id);
                                hidden.and_then(|()| slots.reclaim(id, &slots.pin()))
                            }
                        };
                        wins.fetch_add(u64::from(ended.is_ok()), SeqCst);
                    }
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), rounds as u64, "S4");
    slots.collect();
    assert_eq!(slots.alloc_run(64).map(IdRange::len), Ok(64), "S3");
}
