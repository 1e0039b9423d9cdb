//! Caches: what all their rows share.
//!
//! Every side is asked for the same draws, which were made before; sides take turns. A thread
//! first runs untimed, then for the same time whoever it is, and counts what it did.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Config;
use crate::draws::{Draw, Draws, Share};
use crate::drive::together;
use crate::peers::caches::{Cache, Plan};
use crate::report::{Bar, Line, Report};
use crate::rounds::{Series, race, side};
use crate::ticks;

pub mod clear;
pub mod hits;
pub mod hot;
pub mod latency;
pub mod memory;
pub mod mixed;
pub mod peak;

/// Ours in the tables, pinning at each read.
pub const OURS: &str = "ClockCache";
/// Ours in the tables, with a guard held over 256 reads.
pub const HELD: &str = "ClockCache, guard held";

/// Keys of a full run.
pub const KEYS: usize = 1_000_000;

/// What is done with the keys that are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Mix {
    /// So many of a hundred are inserted, the others are asked for.
    Inserts(u32),
    /// Each is asked for, and inserted if it is not there.
    GetOrInsert,
}

impl Mix {
    /// Its name in the tables.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Inserts(0) => "100 % gets".to_owned(),
            Self::Inserts(percent) => format!("{}/{percent}", 100 - percent),
            Self::GetOrInsert => "get-or-insert".to_owned(),
        }
    }

    /// Does it with a chunk of draws; how many were asked for, and how many found.
    #[inline]
    fn run<C: Cache<u64>>(self, cache: &C, chunk: &[Draw]) -> (u64, u64) {
        match self {
            Self::Inserts(0) => ask(cache, chunk),
            Self::Inserts(percent) => ask_or_tell(cache, chunk, Share::percent(percent)),
            Self::GetOrInsert => ask_and_tell(cache, chunk),
        }
    }
}

#[inline]
fn ask<C: Cache<u64>>(cache: &C, chunk: &[Draw]) -> (u64, u64) {
    let hold = cache.hold();
    let (mut found, mut sum) = (0, 0_u64);
    for draw in chunk {
        if let Some(value) = cache.get(draw.key(), &hold) {
            found += 1;
            sum = sum.wrapping_add(value);
        }
    }
    std::hint::black_box(sum);
    (chunk.len() as u64, found)
}

#[inline]
fn ask_or_tell<C: Cache<u64>>(cache: &C, chunk: &[Draw], inserts: Share) -> (u64, u64) {
    let hold = cache.hold();
    let (mut asked, mut found, mut sum) = (0, 0, 0_u64);
    for draw in chunk {
        if draw.falls_in(inserts) {
            cache.insert(draw.key(), draw.key());
            continue;
        }
        asked += 1;
        if let Some(value) = cache.get(draw.key(), &hold) {
            found += 1;
            sum = sum.wrapping_add(value);
        }
    }
    std::hint::black_box(sum);
    (asked, found)
}

#[inline]
fn ask_and_tell<C: Cache<u64>>(cache: &C, chunk: &[Draw]) -> (u64, u64) {
    let found = chunk
        .iter()
        .filter(|draw| cache.get_or_insert(draw.key(), || draw.key()));
    (chunk.len() as u64, found.count() as u64)
}

/// How long a side runs in a round.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    warm: Duration,
    timed: Duration,
}

impl Slice {
    /// So many milliseconds that count, after half as many that do not.
    #[must_use]
    pub fn of(config: Config, timed: u64) -> Self {
        let timed = Duration::from_millis(if config.quick { 4 } else { timed });
        Self {
            warm: timed / 2,
            timed,
        }
    }
}

/// One measurement's work.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// What is asked for.
    pub draws: &'a Draws,
    /// What is done with it.
    pub mix: Mix,
    /// By how many threads.
    pub threads: usize,
    /// For how long.
    pub slice: Slice,
    /// How many windows of the draws were used before it, by whoever used most.
    pub before: usize,
}

impl Load<'_> {
    /// The windows that it takes in so many rounds.
    #[must_use]
    pub fn windows(self, config: Config) -> usize {
        self.threads * (config.rounds + 1)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// Million operations a second, of all threads.
    pub rate: f64,
    /// How many of a hundred that were asked for were found.
    pub hits: f64,
}

/// Runs a load on a cache.
pub fn run<C: Cache<u64>>(cache: &C, load: Load<'_>, round: usize) -> Score {
    let (asked, found) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = |thread| {
        let number = load.before + round * load.threads + thread;
        let mut chunks = load.draws.chunks(number);
        let (mut rate, mut here) = (0.0, (0, 0));
        for time in [load.slice.warm, load.slice.timed] {
            let start = ticks::now();
            let end = start + (time.as_nanos() as f64 * ticks::per_ns()) as u64;
            let (mut done, mut now) = (0, start);
            here = (0, 0);
            while now < end {
                let chunk = chunks.next().expect("they never end");
                let (asked, found) = load.mix.run(cache, chunk);
                here = (here.0 + asked, here.1 + found);
                done += chunk.len();
                now = ticks::now();
            }
            rate = done as f64 / (now - start) as f64 * ticks::per_ns() * 1e3;
        }
        asked.fetch_add(here.0, Relaxed);
        found.fetch_add(here.1, Relaxed);
        rate
    };
    let mean = together(load.threads, |thread| thread, work);
    let (asked, found) = (asked.into_inner(), found.into_inner());
    Score {
        rate: mean * load.threads as f64,
        hits: found as f64 / asked.max(1) as f64 * 100.0,
    }
}

/// A cache that takes part in a row, whatever its type.
pub trait Entrant {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Runs a load.
    fn run(&self, load: Load<'_>, round: usize) -> Score;
    /// What it may really keep, where that is not what it was asked for.
    fn keeps(&self) -> Option<u64>;
}

struct Entered<C> {
    cache: C,
    asked: u64,
}

impl<C: Cache<u64>> Entrant for Entered<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn run(&self, load: Load<'_>, round: usize) -> Score {
        run(&self.cache, load, round)
    }

    fn keeps(&self) -> Option<u64> {
        self.cache.capacity().filter(|real| *real != self.asked)
    }
}

/// A cache of so many entries, into which every key was inserted in shuffled order, and which then
/// lived on get-or-insert until its policy has settled (slow ones less long), if it has not room
/// for all.
#[must_use]
pub fn enter<'a, C: Cache<u64> + 'a>(draws: &Draws, entries: usize) -> Box<dyn Entrant + 'a> {
    let plan = Plan::entries(entries);
    let cache = C::build(plan).expect("every cache keeps entries");
    for key in draws.shuffled() {
        cache.insert(key, key);
    }
    if entries < draws.keys() {
        let some = (4 / C::SLOW).max(1) * draws.keys();
        for draw in draws.all().iter().take(some) {
            cache.get_or_insert(draw.key(), || draw.key());
        }
    }
    cache.settle();
    let asked = plan.capacity;
    Box::new(Entered { cache, asked })
}

/// Rates in M ops/s and hit ratios in percent, side by side.
#[derive(Debug)]
pub struct Compared {
    /// What was done.
    pub work: String,
    /// By how many threads.
    pub threads: usize,
    /// One for each entrant.
    pub rates: Vec<Series>,
    /// Likewise.
    pub hits: Vec<Series>,
}

/// Lets the entrants run a load in turn.
#[must_use]
pub fn compare(
    config: Config,
    what: &str,
    entrants: &[Box<dyn Entrant + '_>],
    load: Load<'_>,
) -> Compared {
    let seen = RefCell::new(vec![Vec::new(); entrants.len()]);
    let sides = entrants.iter().enumerate().map(|(number, entrant)| {
        let seen = &seen;
        side(entrant.name(), move |round| {
            let Score { rate, hits } = entrant.run(load, round);
            if round > 0 {
                seen.borrow_mut()[number].push(hits);
            }
            rate
        })
    });
    let rates = race(config.rounds, sides.collect());
    let names = entrants.iter().map(|entrant| match entrant.keeps() {
        Some(real) => format!("{}, room for {real}", entrant.name()),
        None => entrant.name().to_owned(),
    });
    let hits = names.zip(seen.into_inner());
    let Load { mix, threads, .. } = load;
    let s = if threads == 1 { "" } else { "s" };
    Compared {
        work: format!("{}, {what}, {threads} thread{s}", mix.name()),
        threads,
        rates,
        hits: hits.map(|(name, hits)| Series::new(name, hits)).collect(),
    }
}

impl Compared {
    /// The rate of one over another's, if both were there: at least so much, or for orientation.
    pub fn line(&self, report: &mut Report, ours: &str, theirs: &str, bar: Bar) {
        let how = ours.strip_prefix(OURS).unwrap_or_default();
        let work = format!("{}{how}", self.work);
        let names = (ours, theirs);
        versus(report, &work, "M ops/s", &self.rates, names, bar);
    }

    /// The hit ratios, and the rates where nothing of ours is there to be held against them.
    pub fn figures(self, report: &mut Report) {
        if named(&self.rates, OURS).is_none() {
            report.note(&self.work, "M ops/s", self.rates);
        }
        report.note(&format!("{}, hit ratio", self.work), "%", self.hits);
    }
}

/// The series of this name.
#[must_use]
pub fn named<'a>(all: &'a [Series], name: &str) -> Option<&'a Series> {
    all.iter().find(|series| series.name == name)
}

/// A comparison of two by name, if both are there.
pub fn versus(
    report: &mut Report,
    work: &str,
    unit: &'static str,
    all: &[Series],
    (ours, theirs): (&str, &str),
    bar: Bar,
) {
    let (Some(ours), Some(theirs)) = (named(all, ours), named(all, theirs)) else {
        return;
    };
    let line = match bar {
        Bar::AtLeast(least) => Line::at_least(work, ours, theirs, least),
        Bar::AtMost(most) => Line::at_most(work, ours, theirs, most),
        Bar::None => Line::beside(work, ours, theirs),
    };
    report.lines.push(line.in_unit(unit));
}
