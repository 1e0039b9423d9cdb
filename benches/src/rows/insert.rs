//! Inserts into an index of a million ranges.

use crate::Config;
use crate::drive::timed;
use crate::ours::Index;
use crate::peers::ranges::{CheckedBTree, Growing, LockedBTree, Skip};
use crate::report::{Line, Report};
use crate::rounds::{Side, race, side};
use crate::sets::{self, Ranges};

use rand::seq::SliceRandom;

/// Random inserts and appends, of both sets. Each round starts from an index that has grown by
/// inserts of the same kind.
pub fn insert(config: Config) -> Report {
    let n = config.size(1_000_000);
    let mut report = Report::default();
    for set in [sets::dense(n + n / 10), sets::gaps(n + n / 10)] {
        report.append(compare(config, "random", &random(&set), 1.2));
        report.append(compare(config, "append", &append(&set, n), 1.1));
    }
    report
}

/// What is in the index, in the order of its insertion, and what is then inserted and timed.
struct Plan {
    set: &'static str,
    before: Vec<(u64, u64)>,
    timed: Vec<(u64, u64)>,
}

fn random(set: &Ranges) -> Plan {
    let (mut kept, timed) = set.hold_out(11);
    kept.spans.shuffle(&mut sets::dice(5));
    Plan {
        set: set.name,
        before: kept.spans,
        timed,
    }
}

fn append(set: &Ranges, n: usize) -> Plan {
    let (before, timed) = set.spans.split_at(n);
    Plan {
        set: set.name,
        before: before.to_vec(),
        timed: timed.to_vec(),
    }
}

fn compare(config: Config, kind: &str, plan: &Plan, most: f64) -> Report {
    let sides = vec![
        contender::<Index>(plan),
        contender::<LockedBTree>(plan),
        contender::<CheckedBTree>(plan),
        contender::<Skip>(plan),
    ];
    let series = race(config.rounds, sides);
    let [ours, btree, checked, skip] = &series[..] else {
        unreachable!()
    };
    let n = plan.before.len();
    let work = format!("`insert` at {n} ranges ({}), {kind}", plan.set);
    let mut report = Report::default();
    report.lines.push(Line::at_most(&work, ours, btree, most));
    report.lines.push(Line::beside(&work, ours, checked));
    report.lines.push(Line::beside(&work, ours, skip));
    report
}

fn contender<M: Growing>(plan: &Plan) -> Side<'_> {
    side(M::NAME, move |_| {
        let map = M::new();
        for &(first, len) in &plan.before {
            map.insert(first, len, 1);
        }
        timed(plan.timed.len(), || {
            for &(first, len) in &plan.timed {
                map.insert(first, len, 2);
            }
        })
    })
}
