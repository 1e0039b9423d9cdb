//! How long single reads take beside writers.

use std::sync::Mutex;

use super::{KEYS, OURS, clear, versus};
use crate::Config;
use crate::draws::{CHUNK, Draws, Share};
use crate::drive::together;
use crate::latency::{Seen, Tail, Tails};
use crate::memory::uncounted;
use crate::ours_cache::Ours;
use crate::peers::caches::{Cache, Dash, Foyer, Moka, Papaya, Plan, Quick, Scc, Sieve, Tiny};
use crate::report::{Bar, Report};

/// Each thread reads and writes.
const THREADS: usize = 2;

/// p50, p99 and p99.9 of `get` among 10 % inserts by both threads, and while everything is
/// invalidated.
pub fn latency(config: Config) -> Report {
    uncounted(|| {
        let mut report = beside_inserts(config);
        report.append(clear::clear(config));
        report
    })
}

fn beside_inserts(config: Config) -> Report {
    let keys = config.size(KEYS);
    let draws = Draws::zipf(keys, config.size(1 << 22));
    let timers = everyone(&draws, keys / 10);
    let mut tails = vec![Tails::default(); timers.len()];
    let chunks = config.steps(200_000) / CHUNK;
    for round in 0..=config.rounds.min(9) {
        for (timer, tails) in timers.iter().zip(&mut tails) {
            let slow = if config.quick { timer.slow } else { 1 };
            tails.push(round, (timer.time)(round, chunks / slow));
        }
    }
    let series = timers.iter().zip(tails);
    let series: Vec<_> = series
        .map(|(timer, tails)| tails.series(timer.name))
        .collect();
    let work = format!(
        "`get` at 90/10, capacity {} of {keys} keys, {THREADS} threads",
        keys / 10
    );
    let mut report = Report::default();
    for (number, percentile) in ["p50", "p99", "p99.9"].into_iter().enumerate() {
        let all: Vec<_> = series.iter().map(|series| series[number].clone()).collect();
        let work = format!("{work}, {percentile}");
        let bar = if number == 2 {
            Bar::AtMost(1.0)
        } else {
            Bar::None
        };
        for peer in all.iter().skip_while(|one| one.name != OURS).skip(1) {
            versus(&mut report, &work, "ns", &all, (OURS, &peer.name), bar);
        }
        report.note(&work, "ns", all);
    }
    report
}

/// Measures one cache's reads.
struct Timer<'a> {
    name: &'static str,
    slow: usize,
    time: Box<dyn Fn(usize, usize) -> Tail + 'a>,
}

/// Ours comes first; it is held against all that follow.
fn everyone(draws: &Draws, entries: usize) -> Vec<Timer<'_>> {
    let mut all = Vec::new();
    all.push(timer::<Ours<u64>>(draws, entries));
    all.extend([
        timer::<Quick<u64>>(draws, entries),
        timer::<Scc<u64>>(draws, entries),
        timer::<Sieve<u64>>(draws, entries),
        timer::<Tiny<u64>>(draws, entries),
        timer::<Foyer<u64>>(draws, entries),
        timer::<Moka<u64>>(draws, entries),
        timer::<Dash<u64>>(draws, entries),
        timer::<Papaya<u64>>(draws, entries),
    ]);
    all
}

fn timer<'a, C: Cache<u64> + 'a>(draws: &'a Draws, entries: usize) -> Timer<'a> {
    let cache = C::build(Plan::entries(entries)).expect("every cache keeps entries");
    for draw in draws.all().iter().take(draws.keys()) {
        cache.get_or_insert(draw.key(), || draw.key());
    }
    Timer {
        name: C::NAME,
        slow: C::SLOW,
        time: Box::new(move |round, chunks| time(&cache, draws, round, chunks.max(8))),
    }
}

/// Both threads' reads, after a quarter as many that are not timed.
fn time<C: Cache<u64>>(cache: &C, draws: &Draws, round: usize, chunks: usize) -> Tail {
    let all = Mutex::new(Seen::default());
    let work = |thread| {
        let mut seen = Seen::default();
        for (number, chunk) in draws
            .chunks(round * THREADS + thread)
            .take(chunks)
            .enumerate()
        {
            if number == chunks / 4 {
                seen = Seen::default();
            }
            time_chunk(cache, chunk, &mut seen);
        }
        all.lock().expect("no panic").merge(&seen);
        0.0
    };
    together(THREADS, |thread| thread, work);
    all.into_inner().expect("no panic").tail()
}

fn time_chunk<C: Cache<u64>>(cache: &C, chunk: &[crate::draws::Draw], seen: &mut Seen) {
    let inserts = Share::percent(10);
    for draw in chunk {
        if draw.falls_in(inserts) {
            cache.insert(draw.key(), draw.key());
        } else {
            clear::timed_get(cache, draw.key(), seen);
        }
    }
}
