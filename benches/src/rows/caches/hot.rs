//! One hot key: what a second thread brings where all read the same entry.

use std::collections::HashMap;

use super::{OURS, versus};
use crate::Config;
use crate::drive::independent;
use crate::memory::uncounted;
use crate::ours_cache::Ours;
use crate::peers::caches::{Cache, Dash, Foyer, Lru, Moka, Papaya, Plain, Plan, Quick, Scc, Tiny};
use crate::report::{Bar, Report};
use crate::rounds::{Side, race};
use crate::rows::threads::scaling;

const KEY: u64 = 7;
const WORK: &str = "2 threads against 1, hits on one hot key";

/// By how much the throughput grows with a second thread, beside a `&HashMap`.
pub fn hot(config: Config) -> Report {
    uncounted(|| measure(config))
}

fn measure(config: Config) -> Report {
    let steps = config.steps(1 << 18).max(1 << 12);
    let keys = vec![KEY; 4 * steps];
    let map = Plain(
        (0..1000)
            .map(|key| (key, key))
            .collect::<HashMap<_, _, _>>(),
    );
    let mut sides = vec![scaling(Plain::NAME, &keys, steps, |keys| {
        independent(keys, |key| map.get(key).unwrap_or(0))
    })];
    sides.push(contender::<Ours<u64>>(&keys, steps));
    sides.extend([
        contender::<Quick<u64>>(&keys, steps),
        contender::<Dash<u64>>(&keys, steps),
        contender::<Papaya<u64>>(&keys, steps),
        contender::<Scc<u64>>(&keys, steps),
        contender::<Tiny<u64>>(&keys, steps),
        contender::<Foyer<u64>>(&keys, steps),
        contender::<Moka<u64>>(&keys, steps),
        contender::<Lru<u64>>(&keys, steps),
    ]);
    let series = race(config.rounds, sides);
    let mut report = Report::default();
    let against = (OURS, Plain::NAME);
    versus(&mut report, WORK, "x", &series, against, Bar::AtLeast(0.95));
    report.note(WORK, "x", series);
    report
}

/// It holds a thousand entries, of which one is asked for.
fn contender<'a, C: Cache<u64> + 'a>(keys: &'a [u64], steps: usize) -> Side<'a> {
    let cache = C::build(Plan::entries(10_000)).expect("every cache keeps entries");
    (0..1000).for_each(|key| cache.insert(key, key));
    cache.settle();
    // Locks that all want take ten times as long as those that nobody else wants.
    let steps = (steps / C::SLOW / 4).max(256);
    scaling(C::NAME, keys, steps, move |keys| {
        let hold = cache.hold();
        independent(keys, |key| cache.get(key, &hold).unwrap_or(0))
    })
}
