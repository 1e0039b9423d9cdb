//! Reads while everything is invalidated.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{KEYS, OURS};
use crate::Config;
use crate::cores::stay_on;
use crate::draws::Draws;
use crate::latency::{Seen, Tail, Tails};
use crate::ours_cache::Ours;
use crate::peers::caches::{Cache, Dash, Foyer, Moka, Plan, Quick, Scc, Sieve};
use crate::report::{Line, Report};
use crate::ticks;

/// How long it is looked at, at least: what is put off comes afterwards.
const WINDOW: Duration = Duration::from_millis(20);

/// p99.9 of `get` while a million entries are invalidated, against none.
#[must_use]
pub fn clear(config: Config) -> Report {
    let keys = config.size(KEYS);
    let draws = Draws::zipf(keys, config.size(1 << 20));
    let mut report = Report::default();
    report.append(one::<Ours<u64>>(config, &draws));
    report.append(one::<Quick<u64>>(config, &draws));
    report.append(one::<Moka<u64>>(config, &draws));
    report.append(one::<Scc<u64>>(config, &draws));
    report.append(one::<Sieve<u64>>(config, &draws));
    report.append(one::<Foyer<u64>>(config, &draws));
    report.append(one::<Dash<u64>>(config, &draws));
    report
}

fn one<C: Cache<u64>>(config: Config, draws: &Draws) -> Report {
    let keys = draws.keys();
    let plan = Plan::entries(keys + keys / 4);
    let cache = C::build(plan).expect("every cache keeps entries");
    if !cache.clear() {
        return Report::default();
    }
    let shuffled = draws.shuffled();
    let mut tails = [Tails::default(), Tails::default()];
    for round in 0..=config.rounds.min(3) {
        shuffled.iter().for_each(|key| cache.insert(*key, *key));
        cache.settle();
        for (tails, clears) in tails.iter_mut().zip([false, true]) {
            tails.push(round, watch(&cache, draws, round, clears));
        }
    }
    let [none, some] = tails.map(|tails| tails.series(C::NAME));
    let work = format!("`get`, {keys} entries, p99.9");
    let mut report = Report::default();
    let [.., none] = none;
    let [.., some] = some;
    if C::NAME == OURS {
        let none = crate::rounds::Series::new("none", none.values.clone());
        let work = format!("{work} during `invalidate_all`");
        report.lines.push(Line::at_most(work, &some, &none, 2.0));
    }
    report.note(&work, "ns", [none]);
    report.note(&format!("{work} during `invalidate_all`"), "ns", [some]);
    report
}

/// Reads on one core, on the other everything is invalidated, or nothing is done.
fn watch<C: Cache<u64>>(cache: &C, draws: &Draws, round: usize, clears: bool) -> Tail {
    let (gate, done) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            stay_on(0);
            let mut chunks = draws.chunks(round);
            let mut seen = Seen::default();
            let warm = chunks.by_ref().take(draws.keys() / 2048).flatten();
            warm.for_each(|draw| timed_get(cache, draw.key(), &mut seen));
            seen = Seen::default();
            gate.wait();
            while !done.load(Relaxed) {
                let chunk = chunks.next().expect("they never end");
                chunk
                    .iter()
                    .for_each(|draw| timed_get(cache, draw.key(), &mut seen));
            }
            seen.tail()
        });
        scope.spawn(|| {
            stay_on(1);
            gate.wait();
            let start = Instant::now();
            if clears {
                assert!(cache.clear(), "{} can", C::NAME);
            }
            std::thread::sleep(WINDOW.saturating_sub(start.elapsed()));
            done.store(true, Relaxed);
        });
        reader.join().expect("the reader")
    })
}

/// Reads a key and notes how long it took.
#[inline]
pub fn timed_get<C: Cache<u64>>(cache: &C, key: u64, seen: &mut Seen) {
    let hold = cache.hold();
    let start = ticks::now();
    black_box(cache.get(key, &hold));
    seen.add(ticks::now() - start);
}
