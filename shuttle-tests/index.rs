//! `RangeIndex` under random schedules: 4 threads, 16 random operations each. Every thread has
//! ids of its own among those of the others, and there are ranges that all of them want.
//!
//! * X1  What a thread knows of its own ids is what every lookup says.
//! * X2  Of those that insert (or remove) one range between two changes, one succeeds.
//! * X3  `iter`, `floor` and `ceiling` show ranges that were inserted, in order and none twice, and
//!   miss none that is there throughout.
//! * X4  At rest the index holds exactly what was inserted; emptied, it takes no bytes.

#![cfg(shuttle)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use mapless::{IdRange, ObjectId, RangeIndex};
use mapless_shuttle_tests::{Pick, explore, seed};
use shuttle::thread;
use support::Rng;

const THREADS: u64 = 4;
/// So many ids lie between two places for ranges.
const CELL: u64 = 100;
/// So many places a thread has, and so many are everybody's.
const PLACES: u64 = 24;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

/// The place `n` of a thread (or of all: `THREADS`), one beside those of the others.
fn first_of(thread: u64, n: u64) -> u64 {
    let spread = if n % 3 == 0 { n << 20 } else { n };
    ((spread * (THREADS + 1)) + thread + 1) * CELL
}

/// Values tell which range they belong to.
fn value(first: u64, version: u64) -> u64 {
    first << 16 | version
}

struct World {
    index: RangeIndex<u64>,
    /// Inserts less removals of everybody's places.
    shared: [AtomicI64; PLACES as usize],
}

type Entry = (IdRange, u64);

struct Actor<'w> {
    world: &'w World,
    thread: u64,
    rng: Rng,
    own: BTreeMap<u64, Entry>,
}

impl Actor<'_> {
    fn work(mut self) -> BTreeMap<u64, Entry> {
        for version in 0..16 {
            match self.rng.below(16) {
                0..=4 => self.insert(version),
                5..=7 => self.remove(),
                8 => self.replace(version),
                9 | 10 => self.look(),
                11 | 12 => self.nearest(),
                13 => self.iterate(),
                14 => self.shared(),
                _ => self.world.index.collect(),
            }
        }
        self.own
    }

    fn place(&mut self) -> u64 {
        first_of(self.thread, self.rng.below(PLACES))
    }

    fn known(&mut self) -> Option<Entry> {
        let at = self.rng.below(self.own.len() as u64) as usize;
        self.own.values().nth(at).copied()
    }

    fn insert(&mut self, version: u64) {
        for _ in 0..1 + self.rng.below(4) {
            let first = self.place();
            let range = IdRange::new(id(first), 1 + self.rng.below(CELL)).unwrap();
            let entry = (range, value(first, version));
            let inserted = self.world.index.insert(range, entry.1);
            assert_eq!(inserted.is_ok(), !self.own.contains_key(&first), "X1");
            if inserted.is_ok() {
                self.own.insert(first, entry);
            }
        }
    }

    fn remove(&mut self) {
        let first = self.place();
        let removed = self.world.index.remove(id(first)).ok();
        assert_eq!(removed, self.own.remove(&first), "X1");
    }

    fn replace(&mut self, version: u64) {
        let Some((range, old)) = self.known() else {
            return;
        };
        let first = range.first().get();
        let new = value(first, version);
        assert_eq!(self.world.index.replace(range.last(), new), Ok(old), "X1");
        self.own.insert(first, (range, new));
    }

    fn look(&mut self) {
        let index = &self.world.index;
        let guard = index.pin();
        for _ in 0..4 {
            let first = self.place();
            let asked = id(first + self.rng.below(CELL));
            let expected = self.own.get(&first);
            let expected = expected.copied().filter(|(range, _)| range.contains(asked));
            assert_eq!(index.entry_in(asked, &guard), expected, "X1");
            assert_eq!(index.get(asked), expected.map(|entry| entry.1), "X1");
        }
    }

    fn nearest(&mut self) {
        let asked = self.place() + self.rng.below(CELL);
        let floor = self.world.index.floor(id(asked)).map(told);
        let known = self.own.range(..=asked).next_back();
        assert!(
            floor <= Some(asked) && floor >= known.map(|own| *own.0),
            "X3"
        );
        let ceiling = self.world.index.ceiling(id(asked)).map(told);
        let known = self.own.range(asked..).next();
        assert!(ceiling.is_none_or(|first| first >= asked), "X3");
        if let Some((&first, _)) = known {
            assert!(ceiling.is_some_and(|shown| shown <= first), "X3");
        }
    }

    fn iterate(&mut self) {
        let shown: Vec<Entry> = self.world.index.iter().collect();
        let apart = |pair: &[Entry]| pair[0].0.last() < pair[1].0.first();
        assert!(shown.windows(2).all(apart), "X3: out of order");
        let theirs = shown.into_iter().map(|entry| (told(entry), entry));
        let shown: BTreeMap<u64, Entry> = theirs.collect();
        for (first, entry) in &self.own {
            assert_eq!(shown.get(first), Some(entry), "X3");
        }
    }

    /// X2: the sum of all successes is 1 or 0 for each place.
    fn shared(&mut self) {
        for _ in 0..4 {
            let n = self.rng.below(3);
            let first = first_of(THREADS, n);
            let change = match self.rng.below(2) {
                0 => self.world.index.remove(id(first)).map_or(0, |_| -1),
                _ => {
                    let range = IdRange::new(id(first), CELL).unwrap();
                    let inserted = self.world.index.insert(range, value(first, 0));
                    inserted.map_or(0, |()| 1)
                }
            };
            self.world.shared[n as usize].fetch_add(change, SeqCst);
        }
    }
}

/// The first id of an entry whose value belongs to it.
fn told((range, value): Entry) -> u64 {
    assert_eq!(
        value >> 16,
        range.first().get(),
        "X3: somebody else's value"
    );
    range.first().get()
}

fn finish(world: World, mut expected: BTreeMap<u64, Entry>) {
    for (n, count) in (0..).zip(&world.shared) {
        let first = first_of(THREADS, n);
        match count.load(SeqCst) {
            0 => {}
            1 => {
                let range = IdRange::new(id(first), CELL).unwrap();
                expected.insert(first, (range, value(first, 0)));
            }
            count => panic!("X2: {count} of one range"),
        }
    }
    let index = world.index;
    assert_eq!(index.len(), expected.len(), "X4");
    assert!(index.snapshot().iter().eq(expected.values()), "X4");
    assert!(index.iter().eq(expected.values().copied()), "X4");
    index.audit();
    for &first in expected.keys() {
        index.remove(id(first)).unwrap();
    }
    index.collect();
    assert_eq!(
        (index.len(), index.memory(), index.pending()),
        (0, 0, 0),
        "X4"
    );
}

fn four_threads() {
    let world = World {
        index: RangeIndex::new(),
        shared: [const { AtomicI64::new(0) }; PLACES as usize],
    };
    let rest = thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|thread| {
            let actor = Actor {
                world: &world,
                thread,
                rng: Rng::new(seed()),
                own: BTreeMap::new(),
            };
            scope.spawn(move || actor.work())
        });
        threads.map(|thread| thread.join().unwrap())
    });
    finish(world, rest.into_iter().flatten().collect());
}

#[test]
fn random_schedules() {
    explore("index", Pick::Random, four_threads);
}

#[test]
fn few_preemptions() {
    explore("index", Pick::Pct, four_threads);
}
