//! Parts of the cache by themselves: for development.

#![allow(dead_code, unused_imports, unreachable_pub)] // the files are taken as they are

#[path = "../src/cache/wheel/in_vec.rs"]
#[allow(clippy::duplicate_mod)] // the tests that come with `wheel` name it too
mod in_vec;
#[path = "../src/cache/tick.rs"]
mod tick;
#[path = "../src/cache/wheel.rs"]
mod wheel;

use std::hint::black_box;
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use in_vec::Entries;
use mapless::ClockCache;
use mapless::cache::{Clock, CoarseClock, ManualClock};
use tick::{Moment, Tick};
use wheel::{Links, Timers, Wheel};

fn clocks(criterion: &mut Criterion) {
    let (coarse, manual) = (CoarseClock::new(), ManualClock::new());
    criterion.bench_function("now, coarse", |b| b.iter(|| coarse.now()));
    criterion.bench_function("now, manual", |b| b.iter(|| manual.now()));
    criterion.bench_function("now, Instant", |b| b.iter(Instant::now));
}

/// The difference is a count in the thread's own stripe, and a look at the entry's uses.
fn counted_lookups(criterion: &mut Criterion) {
    let cache: ClockCache<u64, u64> = ClockCache::new(1_000);
    cache.insert(1, 1).expect("there is room");
    let guard = cache.pin();
    criterion.bench_function("hit, counted", |b| {
        b.iter(|| black_box(cache.get_in(black_box(&1), &guard)));
    });
    criterion.bench_function("hit, not counted", |b| {
        b.iter(|| black_box(cache.peek_in(black_box(&1), &guard)));
    });
}

const ENTRIES: u32 = 100_000;

/// Each has a deadline up to `spread` ticks ahead.
fn entries(spread: u64) -> Entries {
    let ahead = |n: u64| 1 + n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % spread;
    Entries::new((0..u64::from(ENTRIES)).map(|n| Tick::at(Moment::new(9 + ahead(n)))))
}

fn schedule(wheel: &mut Wheel, entries: &mut Entries) {
    (0..ENTRIES).for_each(|entry| wheel.schedule(entries, entry, Moment::new(9)));
}

fn fire_all(wheel: &mut Wheel, entries: &mut Entries, spread: u64) {
    let mut fired = 0;
    for part in 1..=1_000 {
        let (now, mut looks) = (Moment::new(9 + spread * part / 1_000), usize::MAX);
        while wheel.pop(entries, now, &mut looks).is_some() {
            fired += 1;
        }
    }
    assert_eq!(fired, ENTRIES);
}

/// 100,000 entries an iteration.
fn wheels(criterion: &mut Criterion) {
    for spread in [1_000, 100_000, 10_000_000] {
        let empty = || (Wheel::new(Moment::new(9)), entries(spread));
        let full = || {
            let (mut wheel, mut entries) = empty();
            schedule(&mut wheel, &mut entries);
            (wheel, entries)
        };
        criterion.bench_function(&format!("wheel, schedule, {spread} ticks"), |b| {
            let schedule = |(mut wheel, mut entries): (Wheel, Entries)| {
                schedule(&mut wheel, &mut entries);
                (wheel, entries)
            };
            b.iter_batched(empty, schedule, BatchSize::LargeInput);
        });
        criterion.bench_function(&format!("wheel, fire, {spread} ticks"), |b| {
            let fire = |(mut wheel, mut entries): (Wheel, Entries)| {
                fire_all(&mut wheel, &mut entries, spread);
                (wheel, entries)
            };
            b.iter_batched(full, fire, BatchSize::LargeInput);
        });
    }
}

criterion_group!(benches, clocks, counted_lookups, wheels);
criterion_main!(benches);
