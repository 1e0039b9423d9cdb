//! How far over its capacity a cache goes, while four threads push values through it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand::Rng;

use super::OURS;
use crate::Config;
use crate::memory::{grown, peak as highest};
use crate::ours_cache::{Live, LiveWaiting, Ours};
use crate::peers::caches::{Cache, Foyer, Moka, Payload, Plan, Quick, Tiny};
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::sets::{dice, log_uniform};

const THREADS: usize = 4;
const CAPACITY: u64 = 64 << 20;
/// What a cache may take for an entry beside the weight of its value: key, value and a weigher's
/// entry (40 + 8 bytes).
const OVERHEAD: u64 = (size_of::<u64>() + size_of::<Payload>()) as u64 + 48;
/// Keys whose values together are so many times the capacity.
const TIMES: u64 = 4;

/// What the values weigh.
#[derive(Clone, Debug)]
struct Sizes {
    name: &'static str,
    /// By key.
    of: Vec<u64>,
    most: u64,
}

impl Sizes {
    fn all() -> [Self; 4] {
        let same = |name, size: u64| Self {
            name,
            of: vec![size; (TIMES * CAPACITY / size) as usize],
            most: size,
        };
        [
            same("1 KiB", 1 << 10),
            same("64 KiB", 1 << 16),
            same("1 MiB", 1 << 20),
            Self::mixed(),
        ]
    }

    /// From 1 KiB to 1 MiB, log-uniform.
    fn mixed() -> Self {
        let (mut dice, mut sum, mut of) = (dice(64), 0, Vec::new());
        while sum < TIMES * CAPACITY {
            of.push(log_uniform(&mut dice, 10) << 10);
            sum += of[of.len() - 1];
        }
        let (name, most) = ("1 KiB to 1 MiB", 1 << 20);
        Self { name, of, most }
    }

    /// Entries that fit, more or less.
    fn entries(&self) -> usize {
        self.of.len() / TIMES as usize
    }
}

/// The highest weight and the highest live bytes over the capacity, of all rounds.
pub fn peak(config: Config) -> Report {
    let mut report = Report::default();
    for sizes in Sizes::all() {
        let pushes = &mut everyone();
        for round in 0..config.rounds.min(3) {
            for push in pushes.iter_mut() {
                let time = Duration::from_millis(if config.quick { 50 } else { 500 });
                let seen = (push.run)(&sizes, time, round as u64);
                push.seen = push.seen.most(seen);
            }
        }
        pushes
            .iter()
            .for_each(|push| lines(&mut report, &sizes, push));
    }
    report
}

/// What was seen at the highest, and how much was put in.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    weight: Option<u64>,
    bytes: u64,
    entries: u64,
    pushed: u64,
    /// What the cache takes while nothing is in it.
    empty: u64,
}

impl Highest {
    fn most(self, other: Self) -> Self {
        Self {
            weight: self.weight.max(other.weight),
            bytes: self.bytes.max(other.bytes),
            entries: self.entries.max(other.entries),
            pushed: self.pushed + other.pushed,
            empty: self.empty.max(other.empty),
        }
    }
}

/// One cache that values are pushed through.
struct Push {
    name: &'static str,
    run: fn(&Sizes, Duration, u64) -> Highest,
    seen: Highest,
}

fn everyone() -> Vec<Push> {
    let mut all = Vec::new();
    all.extend([
        contender::<Ours<Payload>>(),
        contender::<Ours<Payload, Live>>(),
        contender::<Ours<Payload, LiveWaiting>>(),
    ]);
    all.extend([
        contender::<Quick<Payload>>(),
        contender::<Moka<Payload>>(),
        contender::<Foyer<Payload>>(),
        contender::<Tiny<Payload>>(),
    ]);
    all
}

fn contender<C: Cache<Payload>>() -> Push {
    Push {
        name: C::NAME,
        run: push::<C>,
        seen: Highest::default(),
    }
}

fn lines(report: &mut Report, sizes: &Sizes, push: &Push) {
    let Push { name, seen, .. } = push;
    let work = |what: &str| format!("peak, {THREADS} threads, values of {}, {what}", sizes.name);
    let percent = |part: u64, whole: u64| part as f64 / whole as f64 * 100.0;
    let one = |value: f64| Series::new(*name, vec![value]);
    let ours = name.starts_with(OURS);
    if let Some(weight) = seen.weight {
        let work = work("weight of capacity");
        let weight = one(percent(weight, CAPACITY));
        if ours {
            report
                .lines
                .push(Line::absolute(format!("{work}, {name}"), &weight, 100.0).in_unit("%"));
        }
        report.note(&work, "%", [weight]);
    }
    if ours && *name != OURS {
        let items = OVERHEAD * seen.entries + THREADS as u64 * sizes.most;
        let may = CAPACITY + seen.empty + items;
        let bytes = one(percent(seen.bytes, may));
        let work = work("live bytes of what they may be");
        report
            .lines
            .push(Line::absolute(format!("{work}, {name}"), &bytes, 100.0).in_unit("%"));
    }
    let bytes = one(percent(seen.bytes, CAPACITY));
    report.note(&work("live bytes of capacity"), "%", [bytes]);
    let pushed = one(seen.pushed as f64 / (1 << 20) as f64);
    report.note(&work("pushed through"), "MiB", [pushed]);
}

/// Reads keys at random and inserts what is not there, for so long.
fn push<C: Cache<Payload>>(sizes: &Sizes, time: Duration, round: u64) -> Highest {
    let plan = Plan::entries(sizes.entries()).weighed();
    let plan = Plan {
        capacity: CAPACITY,
        ..plan
    };
    let (weight, entries, pushed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = |cache: &C, thread: u64| {
        let (mut dice, start) = (dice(round * 64 + thread), Instant::now());
        // Some sum their weights up over all shards: not at every small value.
        let every = (1 << 14) / sizes.most + 1;
        for number in 0_u64.. {
            let key = dice.random_range(0..sizes.of.len());
            if cache.get(key as u64, &cache.hold()).is_some() {
                continue;
            }
            let size = sizes.of[key];
            cache.insert(key as u64, Payload::of(size, 1 + thread as u8));
            pushed.fetch_add(size, Relaxed);
            if number % every == 0 {
                weight.fetch_max(cache.weight().unwrap_or(0), Relaxed);
                entries.fetch_max(cache.count().unwrap_or(0), Relaxed);
                if start.elapsed() > time {
                    break;
                }
            }
        }
    };
    let ((knows, empty), bytes) = highest(|| {
        let (cache, empty) = grown(|| C::build(plan).expect("every one of these weighs"));
        std::thread::scope(|scope| {
            for thread in 0..THREADS as u64 {
                let (work, cache) = (&work, &cache);
                scope.spawn(move || work(cache, thread));
            }
        });
        (cache.weight().is_some(), empty)
    });
    Highest {
        weight: knows.then(|| weight.into_inner()),
        bytes: bytes as u64,
        entries: entries.into_inner(),
        pushed: pushed.into_inner(),
        empty: empty as u64,
    }
}
