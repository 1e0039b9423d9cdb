//! Runs a test under many random schedules, so many that two threads meet everywhere.
//!
//! What is scheduled are the operations on the crate's atomics and locks; crossbeam-epoch is the
//! real one and runs in one piece between two of them. Shuttle knows sequentially consistent
//! executions only: orderings are loom's business (`loom-tests/`).
//!
//! | variable            | what                                                      |
//! |---------------------|-----------------------------------------------------------|
//! | `MAPLESS_SEED`      | where the schedules begin; printed by every run           |
//! | `MAPLESS_SCHEDULES` | so many schedules at most (20,000)                        |
//! | `MAPLESS_SECONDS`   | no new schedule after so many seconds (20)                |

#![cfg(shuttle)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shuttle::rand::RngCore;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

/// Preemptions of a schedule of [`Pick::Pct`], at most.
const DEPTH: usize = 4;
/// So many schedules share a seed.
const BATCH: usize = 50;

/// How the next thread is picked.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    /// Any, at every step.
    Random,
    /// Always the same but for a few places (S. Burckhardt et al., "A randomized scheduler with
    /// probabilistic guarantees of finding bugs", ASPLOS 2010).
    Pct,
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}

fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// Runs `test` under many schedules; panics where it does, and says how to get there again.
pub fn explore(name: &str, pick: Pick, test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let first = number("MAPLESS_SEED", clock());
    let most = number("MAPLESS_SCHEDULES", 20_000) as usize;
    let end = Instant::now() + Duration::from_secs(number("MAPLESS_SECONDS", 20));
    println!("{name} ({pick:?}): MAPLESS_SEED={first}");
    let mut ran = 0;
    let mut seed = first;
    while ran < most && (ran == 0 || Instant::now() < end) {
        let _told = Told(name, pick, seed);
        let test = Arc::clone(&test);
        ran += run(pick, seed, BATCH.min(most - ran), move || test());
        seed = seed.wrapping_add(1);
    }
    println!("{name} ({pick:?}): {ran} schedules");
}

/// Says, when a test panics, which seed leads there.
struct Told<'a>(&'a str, Pick, u64);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(name, pick, seed) = self;
            eprintln!("{name} ({pick:?}) fails within {BATCH} schedules of MAPLESS_SEED={seed}");
        }
    }
}

fn run(pick: Pick, seed: u64, most: usize, test: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::None; // the seed is shorter
    match pick {
        Pick::Random => Runner::new(RandomScheduler::new_from_seed(seed, most), config).run(test),
        Pick::Pct => Runner::new(PctScheduler::new_from_seed(seed, DEPTH, most), config).run(test),
    }
}

/// A number that belongs to the schedule: the same when it is run again.
pub fn seed() -> u64 {
    shuttle::rand::thread_rng().next_u64()
}
