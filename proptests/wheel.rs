//! The timer wheel against a map from entries to their deadlines.
//!
//! Properties
//! * W1  An entry fires once for each time it is scheduled, or is cancelled: none is lost, none
//!   doubled.
//! * W2  When `advance` says that it is done, exactly what is over has fired, though readers moved
//!   deadlines to later without a word; while it is not done, nothing fires that is not over.
//! * W3  `advance` looks at no more entries than it may, and stops early only at that
//!   number.
//! * W4  `next_due` is never later than the first deadline, or now where that has passed.
//! * K1  What fires is over by `Tick::is_over`, and what is over has fired.
//! * K2  A deadline farther than 248 days ahead is taken to be there.

#![allow(dead_code, unreachable_pub)] // the files are taken as they are

#[path = "../src/cache/wheel/in_vec.rs"]
#[allow(clippy::duplicate_mod)] // the tests that come with `wheel` name it too
mod in_vec;
#[path = "../src/cache/tick.rs"]
mod tick;
#[path = "../src/cache/wheel.rs"]
mod wheel;

use std::collections::BTreeMap;
use std::time::Duration;

use in_vec::Entries;
use quickcheck::{Arbitrary, Gen, quickcheck};
use tick::{MAX_AHEAD, Moment, TICK, Tick};
use wheel::{Links, Timers, Wheel};

const ENTRIES: u8 = 40;

/// A span in ticks: of any magnitude, and often beside a power of two.
#[derive(Clone, Copy, Debug)]
struct Span(u64);

impl Arbitrary for Span {
    fn arbitrary(g: &mut Gen) -> Self {
        let power = 1_u64 << (u32::arbitrary(g) % 32);
        let beside = u64::arbitrary(g) % 3;
        Self(match u8::arbitrary(g) % 4 {
            0 => u64::arbitrary(g) % 200,
            1 => u64::arbitrary(g) % power,
            _ => (power + beside).saturating_sub(1),
        })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Schedule(u8, Span),
    Cancel(u8),
    /// A reader moves a deadline to later.
    Touch(u8, Span),
    /// A writer moves it to earlier, and says so.
    Shorten(u8, Span),
    /// Time passes; so many entries may be looked at.
    Advance(Span, u8),
    /// Time passes, and all is looked at.
    AdvanceAll(Span),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let (entry, span) = (u8::arbitrary(g) % ENTRIES, Span::arbitrary(g));
        match u8::arbitrary(g) % 12 {
            0..=4 => Self::Schedule(entry, span),
            5 => Self::Cancel(entry),
            6..=7 => Self::Touch(entry, span),
            8 => Self::Shorten(entry, span),
            9..=10 => Self::Advance(span, u8::arbitrary(g) % 20),
            _ => Self::AdvanceAll(span),
        }
    }
}

struct World {
    wheel: Wheel,
    entries: Entries,
    oracle: BTreeMap<u32, Moment>,
    now: u64,
    /// When the wheel was last asked for all: it must not lag by 248 days.
    turned: u64,
}

impl World {
    fn new(start: u64) -> Self {
        let all = usize::from(ENTRIES);
        let entries = Entries::new(vec![Tick::NEVER; all]);
        Self {
            wheel: Wheel::new(Moment::new(start)),
            entries,
            oracle: BTreeMap::new(),
            now: start,
            turned: start,
        }
    }

    fn now(&self) -> Moment {
        Moment::new(self.now)
    }

    /// Sets a deadline `ahead` of now, as it comes out in 32 bits (K2).
    fn set(&mut self, entry: u32, ahead: u64) -> Moment {
        let moment = Moment::new(self.now + ahead.min(MAX_AHEAD));
        let tick = Tick::at(moment);
        self.entries.deadlines[entry as usize] = tick;
        let said = tick.near(self.now()).expect("not never");
        let early = match moment.get() as u32 {
            u32::MAX => 1,
            0 => 2,
            _ => 0,
        };
        assert_eq!(said.get(), moment.get().saturating_sub(early));
        said
    }

    fn schedule(&mut self, entry: u32, ahead: u64) {
        let moment = self.set(entry, ahead);
        self.oracle.insert(entry, moment);
        let now = self.now();
        self.wheel.schedule(&mut self.entries, entry, now);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Schedule(entry, span) => self.schedule(entry.into(), span.0),
            Op::Cancel(entry) => {
                self.wheel.cancel(&mut self.entries, entry.into());
                self.oracle.remove(&entry.into());
            }
            Op::Touch(entry, span) => self.touch(entry.into(), span.0),
            Op::Shorten(entry, span) => {
                let left = self
                    .oracle
                    .get(&entry.into())
                    .map(|at| at.get().saturating_sub(self.now));
                if let Some(left) = left {
                    self.schedule(entry.into(), span.0.min(left));
                }
            }
            Op::Advance(span, looks) => self.advance(span.0, looks.into()),
            Op::AdvanceAll(span) => self.advance(span.0, usize::MAX),
        }
        let first = self
            .oracle
            .values()
            .min()
            .map(|first| self.now().max(*first));
        assert!(first.is_none() || self.wheel.next_due() <= first, "W4");
    }

    fn touch(&mut self, entry: u32, ahead: u64) {
        let old = self.oracle.get(&entry).copied();
        let new = Moment::new(self.now + ahead.min(MAX_AHEAD));
        if old.is_some_and(|old| old > self.now() && old < new) {
            let moment = self.set(entry, ahead);
            self.oracle.insert(entry, moment);
        }
    }

    fn advance(&mut self, ticks: u64, at_most: usize) {
        let room = self.turned + MAX_AHEAD - 1 - self.now;
        self.now += ticks.min(room);
        let (now, mut fired) = (self.now(), Vec::new());
        self.entries.looks.set(0);
        let push = &mut |entry| fired.push(entry);
        let done = self.wheel.advance(&mut self.entries, now, at_most, push);
        assert!(self.entries.looks.get() <= at_most, "W3");
        assert!(done || self.entries.looks.get() == at_most, "W3");
        for entry in fired {
            let deadline = self.oracle.remove(&entry).expect("W1");
            assert!(deadline <= now, "W2");
            assert!(self.entries.deadlines[entry as usize].is_over(now), "K1");
            assert!(!self.entries.links(entry).is_scheduled());
        }
        if done {
            self.turned = self.now;
            assert!(self.oracle.values().all(|deadline| *deadline > now), "W2");
            let deadlines = |entry: &u32| self.entries.deadlines[*entry as usize];
            assert!(
                self.oracle
                    .keys()
                    .all(|entry| !deadlines(entry).is_over(now)),
                "K1"
            );
        }
    }
}

fn run(start: u64, ops: Vec<Op>) {
    let mut world = World::new(start);
    ops.into_iter().for_each(|op| world.step(op));
    world.advance(0, usize::MAX);
    world.advance(MAX_AHEAD - 1, usize::MAX);
    world.advance(1, usize::MAX);
    assert!(world.oracle.is_empty() && world.wheel.is_empty(), "W1");
}

quickcheck! {
    fn the_wheel_is_a_map(start: Span, ops: Vec<Op>) -> bool {
        run(start.0, ops);
        true
    }

    fn the_wheel_is_a_map_where_halves_wrap(back: Span, ops: Vec<Op>) -> bool {
        run((1 << 36) - back.0.min(1 << 33), ops);
        true
    }

    /// K1 in nanoseconds: over within a tick after the deadline, and not before.
    fn a_deadline_is_met_within_a_tick(now: Span, more: u32, left: Span, rest: u32) -> bool {
        let nanos = |part| Duration::from_nanos(u64::from(part) % 10_000_000);
        let ticks = |span: Span| Duration::from_millis(span.0 * 10);
        let now = ticks(now) + nanos(more);
        let left = (ticks(left) + nanos(rest)).min(TICK * (MAX_AHEAD as u32 - 1));
        let (tick, deadline) = (Tick::after(now, left), now + left);
        let over = |at| tick.is_over(Moment::of(at));
        // One more where the ticks come round (K2).
        let wraps = (Moment::of(deadline).get() as u32).wrapping_add(2) < 4;
        let early = TICK * if wraps { 2 } else { 1 };
        let before = deadline.saturating_sub(early + Duration::from_nanos(1));
        over(deadline + TICK) && (left.is_zero() || before < now || !over(before))
    }
}
