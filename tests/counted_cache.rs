//! What calls of a cache cost at most, counted:
//! `RUSTFLAGS='--cfg mapless_count' cargo test --release --features cache --test counted_cache`.
//!
//! * N1  A lookup under a guard takes a bounded number of atomic operations, whatever writers do.
//! * N2  An insert takes a bounded number, and some for each held entry that a hand meets first.
//! * N3  So does one whose window is full: it copies no table each time.
#![cfg(feature = "cache")]
#![cfg(mapless_count)]

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use mapless::ClockCache;
use mapless::count::steps;

fn counted<R>(f: impl FnOnce() -> R) -> u64 {
    let before = steps();
    f();
    steps() - before
}

/// The table, sixteen buckets of two words of tags, twelve places each with its entry's chunk; the
/// entry's two bytes and a store; the thread's counter.
const LOOKUP: u64 = 1 + 16 * (2 + 12 * 2) + 3 + 6;

#[test]
fn a_lookup_is_bounded_while_writers_and_hands_run() {
    let cache: ClockCache<u64, u64> = ClockCache::builder()
        .max_capacity(4_000)
        .shards(2)
        .build()
        .unwrap();
    let (done, mut most, mut hits) = (AtomicBool::new(false), 0, 0);
    thread::scope(|scope| {
        for thread in 1..3_u64 {
            let (cache, done) = (&cache, &done);
            scope.spawn(move || {
                let mut n: u64 = thread << 32;
                while !done.load(SeqCst) {
                    n += 1;
                    let key = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50;
                    match n % 50_000 {
                        0 => cache.invalidate_all(),
                        n if n % 9 == 0 => drop(cache.remove(&key)),
                        _ => drop(cache.insert(key, n)),
                    }
                }
            });
        }
        let mut round = 0_u64;
        while round < 200_000 || hits < 10_000 {
            round += 1;
            let guard = cache.pin();
            let key = round.wrapping_mul(0xD134_2543_DE82_EF95) >> 50;
            most = most.max(counted(|| {
                hits += u64::from(cache.get_in(&key, &guard).is_some())
            }));
        }
        done.store(true, SeqCst);
    });
    println!("get_in: at most {most} operations, bound {LOOKUP}");
    assert!(hits > 1_000 && most > 3 && most <= LOOKUP, "N1: {most}");
}

#[test]
fn held_entries_make_no_insert_slow_but_the_first_that_meets_them() {
    let cache: ClockCache<u64, u64> = ClockCache::builder()
        .max_capacity(8_000)
        .shards(1)
        .build()
        .unwrap();
    (0..8_000).for_each(|key| cache.insert(key, key).unwrap());
    let held: Vec<_> = (0..7_000).map(|key| cache.hold(&key).unwrap()).collect();
    let all: Vec<u64> = (10_000..14_000)
        .map(|key| counted(|| cache.insert(key, key).unwrap()))
        .collect();
    let (sum, later) = (all.iter().sum::<u64>(), &all[1_000..]);
    let most = *later.iter().max().unwrap();
    println!("insert beside 7,000 held: {sum} for 4,000; later at most {most}");
    assert!(
        sum <= 600 * all.len() as u64 + 40 * held.len() as u64,
        "N2: {sum}"
    );
    assert!(most < 8_000, "N2: {most}"); // a full batch is recycled by one insert
}

/// Half the keys are alike, the others are not.
#[derive(Clone, Default)]
struct HalfAlike(u64);

impl BuildHasher for HalfAlike {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for HalfAlike {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = if key < 1 << 32 {
            key.wrapping_mul(0xD134_2543_DE82_EF95)
        } else {
            7
        };
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[test]
fn a_full_window_is_no_reason_to_copy_a_table_each_time() {
    let builder = ClockCache::builder().max_capacity(100_000).shards(1);
    let cache: ClockCache<u64, u64, _> = builder.hasher(HalfAlike::default()).build().unwrap();
    (0..30_000).for_each(|key| cache.insert(key, key).unwrap());
    let alike = (1 << 32)..(1 << 32) + 600_u64;
    let sum: u64 = alike
        .map(|key| counted(|| cache.insert(key, key).unwrap()))
        .sum();
    println!("600 inserts into a full window: {sum} operations");
    assert!(sum < 3_000_000, "N3: {sum}");
}
