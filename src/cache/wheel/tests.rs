//! The wheel by itself, case by case.

#[path = "in_vec.rs"]
mod in_vec;

use super::{Links, Moment, SLOTS, Tick, Timers, Wheel};
use in_vec::Entries;

struct World {
    wheel: Wheel,
    entries: Entries,
    now: u64,
}

impl World {
    fn new(now: u64) -> Self {
        let (wheel, entries) = (Wheel::new(Moment::new(now)), Entries::new([]));
        Self {
            wheel,
            entries,
            now,
        }
    }

    fn add(&mut self, ahead: u64) -> u32 {
        let entry = self.entries.links.len() as u32;
        self.entries.links.push(Links::NONE);
        self.entries.deadlines.push(Tick::NEVER);
        self.put(entry, ahead);
        entry
    }

    fn put(&mut self, entry: u32, ahead: u64) {
        self.store(entry, ahead);
        let now = Moment::new(self.now);
        self.wheel.schedule(&mut self.entries, entry, now);
    }

    /// As a reader does it.
    fn store(&mut self, entry: u32, ahead: u64) {
        self.entries.deadlines[entry as usize] = Tick::at(Moment::new(self.now + ahead));
    }

    /// What fired, and how many looks that took.
    fn pass(&mut self, ticks: u64) -> (Vec<u32>, usize) {
        self.now += ticks;
        self.entries.looks.set(0);
        let (mut fired, now) = (Vec::new(), Moment::new(self.now));
        let all = usize::MAX;
        let push = &mut |entry| fired.push(entry);
        assert!(self.wheel.advance(&mut self.entries, now, all, push));
        (fired, self.entries.looks.get())
    }
}

#[test]
fn each_fires_at_its_tick() {
    let aheads = [
        1,
        2,
        63,
        64,
        65,
        4_095,
        4_096,
        300_000,
        1 << 24,
        1 << 30,
        (1 << 31) - 1,
    ];
    for start in [1, 77, u64::from(u32::MAX) - 50, (1 << 36) - 9, 1 << 50] {
        let mut world = World::new(start);
        let entries = aheads.map(|ahead| world.add(ahead));
        for (entry, ahead) in entries.into_iter().zip(aheads) {
            let until = start + ahead - world.now;
            assert_eq!(world.pass(until.saturating_sub(2)).0, []);
            let last = start + ahead - world.now;
            assert_eq!(world.pass(last).0, [entry], "{start} {ahead}");
        }
        assert!(world.wheel.is_empty());
    }
}

#[test]
fn what_is_over_already_fires_at_once() {
    let mut world = World::new(1_000);
    let entry = world.add(0);
    assert!(world.wheel.is_due(Moment::new(1_000)));
    assert_eq!(world.pass(0).0, [entry]);
}

#[test]
fn what_was_moved_to_later_fires_later() {
    let mut world = World::new(5);
    let entry = world.add(100);
    for _ in 0..10 {
        world.store(entry, 100);
        assert_eq!(world.pass(60).0, []);
    }
    assert_eq!(world.pass(40).0, [entry]);
}

#[test]
fn cancelled_or_never_is_not_there() {
    let mut world = World::new(5);
    let entries = [0; 5].map(|_| world.add(70));
    for entry in [entries[2], entries[0], entries[4]] {
        world.wheel.cancel(&mut world.entries, entry);
        world.wheel.cancel(&mut world.entries, entry);
    }
    world.entries.deadlines[entries[1] as usize] = Tick::NEVER;
    assert_eq!(world.pass(1_000).0, [entries[3]]);
    assert!(world.wheel.is_empty());
    assert!(
        world
            .entries
            .links
            .iter()
            .all(|links| !links.is_scheduled())
    );
}

#[test]
fn work_is_bounded_by_looks_and_not_by_time() {
    let mut world = World::new(9);
    (0..500).for_each(|_| _ = world.add(10_000));
    world.now += 20_000;
    let now = Moment::new(world.now);
    for round in 1..=5 {
        world.entries.looks.set(0);
        let mut fired = 0;
        let count = &mut |_| fired += 1;
        let done = world.wheel.advance(&mut world.entries, now, 100, count);
        assert_eq!((fired, world.entries.looks.get()), (100, 100));
        assert_eq!(done, round == 5);
    }
    let entry = world.add((1 << 31) - 1);
    let (fired, looks) = world.pass(1 << 31);
    assert_eq!(fired, [entry]);
    assert!(looks <= 6, "{looks}");
}

#[test]
fn a_clock_that_went_back_neither_loops_nor_loses() {
    let mut world = World::new(1_000);
    assert_eq!(world.pass(1_000).0, []);
    world.now -= 500;
    let entry = world.add(100); // over where the wheel is
    assert!(world.wheel.is_due(Moment::new(world.now)));
    assert_eq!(world.pass(0).0, [entry]);
}

#[test]
fn a_long_pause_leaves_no_dead_entry_and_takes_new_ones() {
    for pause in [1_u64 << 31, 1 << 32, (1 << 32) + (1 << 31), 1 << 35] {
        let mut world = World::new(100);
        let old = (0..SLOTS)
            .map(|n| world.add(n as u64 * 999))
            .collect::<Vec<_>>();
        world.now += pause;
        let new = world.add(10);
        let mut fired = world.pass(0).0;
        fired.sort_unstable();
        assert_eq!(fired, old, "{pause}");
        assert_eq!(world.pass(10).0, [new]);
    }
}
