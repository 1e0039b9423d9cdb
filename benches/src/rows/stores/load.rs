//! A million objects, in batches, then one sync.

use super::{BATCH, OURS, everyone, folder, load as fill, named};
use crate::Config;
use crate::drive::timed;
use crate::memory::uncounted;
use crate::peers::stores::Use;
use crate::report::{Line, Report};
use crate::rounds::{race, side};

/// Each round in a new store, which is there before the time is taken.
pub fn load(config: Config) -> Report {
    uncounted(|| measure(config))
}

fn measure(config: Config) -> Report {
    let objects = config.size(1_000_000);
    let all = everyone();
    let sides = all.iter().map(|(name, open)| {
        side(*name, move |_| {
            let folder = folder();
            let store = open(folder.path(), Use::Bulk);
            let run = || {
                fill(&*store, objects, BATCH);
                store.sync();
            };
            // Objects a µs: millions a second.
            1e3 / timed(objects, run)
        })
    });
    let series = race(config.rounds.min(7), sides.collect());
    let work = format!("load of {objects} objects of 64 B in batches of {BATCH}, one sync");
    let mut report = Report::default();
    let ours = named(&series, OURS);
    for (name, _) in &all[1..] {
        let theirs = named(&series, name);
        let line = if *name == "marble" {
            Line::at_least(&work, ours, theirs, 1.5)
        } else {
            Line::beside(&work, ours, theirs)
        };
        report.lines.push(line.in_unit("M/s"));
    }
    report
}
