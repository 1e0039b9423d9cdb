//! Hits, one thread.

use super::{OURS, PREDECESSOR, filled, first, id};
use crate::Config;
use crate::latency::{TIMED, Tails, of};
use crate::memory::uncounted;
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::rows::stores::draw;
use crate::sets::window;

/// `get_raw` and `read` of objects of several sizes.
pub fn get(config: Config) -> Report {
    uncounted(|| {
        let mut report = Report::default();
        for (objects, len) in [(10_000, 100), (10_000, 1 << 10), (100, 1 << 20)] {
            report.append(measure(config, objects, len));
        }
        report
    })
}

/// Medians of the time of a hit, from batches of hits.
fn measure(config: Config, objects: usize, len: usize) -> Report {
    let steps = config.steps(200_000);
    let (ours, theirs, ids) = filled(objects, len);
    let ids = draw(&ids, (config.rounds + 2) * steps, 11);
    let mut tails = [Tails::default(), Tails::default(), Tails::default()];
    for round in 0..=config.rounds {
        let ids = window(&ids, round, steps);
        let get_raw = |raw| ours.get_raw(id(raw)).map_or(0, |bytes| first(&bytes));
        let read = |raw| ours.read(id(raw), first).unwrap_or(0);
        let predecessor = |raw| theirs.get(raw).map_or(0, |bytes| first(&bytes));
        tails[0].push(round, of(ids, TIMED, get_raw));
        tails[1].push(round, of(ids, TIMED, predecessor));
        tails[2].push(round, of(ids, TIMED, read));
    }
    let p50 = |tails: &Tails, name| {
        let [p50, ..] = tails.series(name);
        let each = p50.values.iter().map(|ns| ns / TIMED as f64).collect();
        Series::new(name, each)
    };
    let (ours, theirs) = (p50(&tails[0], OURS), p50(&tails[1], PREDECESSOR));
    let mut report = Report::default();
    let work = |what| format!("{what} of {len} B, {objects} objects, 1 thread, p50");
    let bar = Line::at_most(work("`get_raw`"), &ours, &theirs, 0.55);
    report.lines.push(bar);
    report.note(&work("`read`"), "ns", [p50(&tails[2], OURS)]);
    report
}
