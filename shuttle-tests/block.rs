//! `BlockAllocator` with one range of 70 slots under random schedules: 4 threads, 16 random
//! operations each.
//!
//! * K1  The ledger's G1 and G2 (`tests/support/mod.rs`).
//! * K2  A call that the state of an own slot forbids is refused, with the right error.
//! * K3  Of two calls that hide one slot one succeeds.
//! * K4  At rest `len`, `iter` and `snapshot` show exactly the live slots, and the rest can be had.

#![cfg(shuttle)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mapless::{BlockAllocator, ByteLen, FreeError, LookupError, ObjectId, Reservation, SlotState};
use mapless_shuttle_tests::{Pick, explore, seed};
use shuttle::thread;
use support::{Fate, Ledger, Object, Rng, UNIT, lock};

const SLOTS: u64 = 70;

struct World {
    slots: BlockAllocator,
    ledger: Ledger,
    pool: Mutex<Vec<Object>>,
    /// One slot that everybody tries to hide once, and how often that succeeded.
    prize: ObjectId,
    wins: AtomicU64,
}

impl World {
    fn new() -> Self {
        let builder = BlockAllocator::builder(SLOTS, ByteLen::new(UNIT));
        let slots = builder.stripes(2).build().unwrap();
        let prize = slots.alloc().unwrap();
        Self {
            slots,
            ledger: Ledger::new(SLOTS * UNIT),
            pool: Mutex::default(),
            prize,
            wins: AtomicU64::new(0),
        }
    }

    fn finish(self, mut live: Vec<Object>) {
        assert_eq!(self.wins.load(SeqCst), 1, "K3");
        let slots = &self.slots;
        slots.reclaim(self.prize, &slots.pin()).unwrap();
        live.append(&mut lock(&self.pool));
        slots.collect();
        let expected: BTreeSet<ObjectId> = live.iter().map(|object| object.id).collect();
        assert_eq!(slots.len(), expected.len() as u64, "K4");
        assert!(slots.iter().eq(expected.iter().copied()), "K4");
        assert_eq!(slots.waiting(), 0, "K4");
        let builder = BlockAllocator::builder(SLOTS, ByteLen::new(UNIT));
        let restored = builder.restore(&slots.snapshot()).unwrap();
        assert!(restored.iter().eq(expected.iter().copied()), "K4");
        let rest = std::iter::from_fn(|| slots.alloc().ok()).count();
        assert_eq!((rest + live.len()) as u64, SLOTS, "K4: slots are stranded");
    }
}

struct Actor<'w> {
    world: &'w World,
    rng: Rng,
    own: Vec<Object>,
}

impl<'w> Actor<'w> {
    fn work(mut self) -> Vec<Object> {
        let prize_at = self.rng.below(16);
        let local = self.world.slots.local();
        for step in 0..16 {
            if step == prize_at {
                self.contend();
            }
            match self.rng.below(16) {
                0 | 1 => self.born(self.world.slots.alloc().ok()),
                2 | 3 => self.born(local.alloc().ok()),
                4 => self.reserve(self.world.slots.reserve().ok()),
                5 => self.reserve(local.reserve().ok()),
                6 | 7 => self.run(),
                8..=10 => self.end(),
                11 => self.swap(),
                12 | 13 => self.read(),
                14 => drop(self.world.slots.collect()),
                _ => self.look_around(),
            }
        }
        self.own
    }

    fn born(&mut self, id: Option<ObjectId>) {
        let Some(id) = id else { return };
        let extent = self.world.slots.extent(id).expect("K2: it is ours");
        self.world.ledger.claim(extent);
        self.list(id);
    }

    fn list(&mut self, id: ObjectId) {
        let extent = self.world.slots.extent(id).expect("K2: it is ours");
        let fate = self.rng.one_of(&[Fate::Free, Fate::Retire, Fate::Retire]);
        self.own.push(self.world.ledger.born(id, extent, fate));
    }

    fn run(&mut self) {
        let len = self.rng.one_of(&[1, 2, 7, 30, 65]);
        let Ok(run) = self.world.slots.alloc_run(len) else {
            return;
        };
        assert_eq!(run.len(), len);
        for at in 0..len {
            self.born(run.first().checked_add(at).ok());
        }
    }

    fn reserve(&mut self, reservation: Option<Reservation<'w>>) {
        let Some(reservation) = reservation else {
            return;
        };
        let (slots, id, extent) = (&self.world.slots, reservation.id(), reservation.extent());
        self.world.ledger.claim(extent);
        assert_eq!(slots.extent(id), Err(LookupError::Reserved), "K2");
        assert_eq!(slots.free(id), Err(FreeError::Reserved), "K2");
        if self.rng.below(3) == 0 {
            self.world.ledger.release(extent);
            return drop(reservation);
        }
        assert_eq!(reservation.publish(), id);
        self.list(id);
    }

    fn end(&mut self) {
        let Some(object) = self.rng.take(&mut self.own) else {
            return;
        };
        let (slots, id) = (&self.world.slots, object.id);
        self.world.ledger.gone(object);
        if object.fate == Fate::Free {
            return slots.free(id).expect("K2: it was ours");
        }
        let guard = slots.pin();
        if self.rng.below(2) == 0 {
            return slots.retire(id, &guard).expect("K2: it was ours");
        }
        slots.hide(id).expect("K2: it was ours");
        assert_eq!(slots.free(id), Err(FreeError::Hidden), "K2");
        slots.reclaim(id, &guard).expect("K2: it was hidden");
        assert_eq!(slots.reclaim(id, &guard), Err(FreeError::Retired), "K2");
    }

    fn swap(&mut self) {
        let mut pool = lock(&self.world.pool);
        pool.extend(self.rng.take(&mut self.own));
        if self.rng.below(2) == 0 {
            self.own.extend(self.rng.take(&mut pool));
        }
    }

    fn read(&mut self) {
        let (slots, ledger) = (&self.world.slots, &self.world.ledger);
        let guard = slots.pin();
        let id = ObjectId::new(1 + self.rng.below(SLOTS)).unwrap();
        let Some(watched) = ledger.watch(id) else {
            return;
        };
        let found = slots.extent(id);
        if ledger.still(watched) {
            assert_eq!(found, Ok(watched.extent), "K2");
        }
        if self.rng.below(2) == 0 {
            self.born(slots.alloc().ok());
        } else {
            slots.collect();
        }
        ledger.still(watched);
        drop(guard);
    }

    /// K3.
    fn contend(&mut self) {
        match self.world.slots.hide(self.world.prize) {
            Ok(()) => drop(self.world.wins.fetch_add(1, SeqCst)),
            Err(error) => assert_eq!(error, FreeError::Hidden, "K3"),
        }
    }

    fn look_around(&mut self) {
        let slots = &self.world.slots;
        let shown: Vec<ObjectId> = slots.iter().collect();
        assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        for object in &self.own {
            assert!(shown.contains(&object.id), "K4: {object:?}");
            assert_eq!(slots.state(object.id), Ok(SlotState::Live), "K2");
            let refused = slots.reclaim(object.id, &slots.pin());
            assert_eq!(refused, Err(FreeError::NotHidden), "K2");
        }
        assert!(slots.len() >= self.own.len() as u64, "K4");
    }
}

fn four_threads() {
    let world = World::new();
    let rest = thread::scope(|scope| {
        let threads = [(); 4].map(|()| {
            let actor = Actor {
                world: &world,
                rng: Rng::new(seed()),
                own: Vec::new(),
            };
            scope.spawn(move || actor.work())
        });
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    world.finish(rest);
}

#[test]
fn random_schedules() {
    explore("block", Pick::Random, four_threads);
}

#[test]
fn few_preemptions() {
    explore("block", Pick::Pct, four_threads);
}
