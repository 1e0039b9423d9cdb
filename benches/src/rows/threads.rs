//! What a second thread brings.

use crate::Config;
use crate::baseline::Table;
use crate::drive::{dependent, independent, together};
use crate::ours::{Index, id};
use crate::peers::ranges::{LockedBTree, RangeMap};
use crate::report::{Line, Report};
use crate::rounds::{Side, race, side};
use crate::sets::{self, Window, window};

/// The read-only table, as every other side is held against it.
pub const ARRAY: &str = "read-only array";

/// Two threads against one, among 100,000 dense ranges: by how much the throughput grows.
/// All of it fits into the cache that the cores share; else the memory is what is measured.
pub fn lookups(config: Config) -> Report {
    let set = sets::dense(config.size(100_000));
    let ids = set.queries(config.size(1 << 21));
    let steps = config.steps(500_000);
    let (table, index) = (Table::dense(&set), Index::build(&set));
    let btree = LockedBTree::build(&set);
    let (ids, index) = (&ids[..], &index);
    let sides = vec![
        scaling(ARRAY, ids, steps, |ids| {
            independent(ids, |id| table.get(id))
        }),
        scaling("get_in", ids, steps, |ids| {
            let guard = index.hold();
            independent(ids, |id| index.get(id, &guard))
        }),
        scaling("get", ids, steps, |ids| {
            independent(ids, |raw| index.0.get(id(raw)).unwrap_or(0))
        }),
        scaling("array, dependent", ids, steps, |ids| {
            dependent(ids, |id| table.get(id))
        }),
        scaling("get_in, dependent", ids, steps, |ids| {
            let guard = index.hold();
            dependent(ids, |id| index.get(id, &guard))
        }),
        scaling(LockedBTree::NAME, ids, steps / 4, |ids| {
            independent(ids, |id| btree.get(id, &()))
        }),
    ];
    let series = race(config.rounds, sides);
    let [array, get_in, get, array_dep, get_in_dep, btree] = &series[..] else {
        unreachable!()
    };
    let work = |what| format!("2 threads against 1, {what}, {} ranges", set.len());
    let line = |what, ours, array| Line::at_least(work(what), ours, array, 0.97).in_unit("x");
    let mut report = Report::default();
    report.lines.push(line("`get_in`", get_in, array));
    report
        .lines
        .push(line("`get_in` dependent", get_in_dep, array_dep));
    report.lines.push(line("`get`", get, array));
    report.note(&work("RwLock<BTreeMap>"), "x", [btree.clone()]);
    report
}

/// Twice the time of one thread over that of two at once. One thread is measured before and
/// after the two.
pub fn scaling<'a>(
    name: &str,
    ids: &'a [u64],
    steps: usize,
    run: impl Fn(Window<'_, u64>) -> f64 + Sync + 'a,
) -> Side<'a> {
    const PASSES: usize = 8;
    let passes = move |ids: Window<'_, u64>| {
        let sum: f64 = (0..PASSES).map(|_| run(ids)).sum();
        sum / PASSES as f64
    };
    side(name, move |round| {
        let part = |number| window(ids, 2 * round + number, steps);
        let before = together(1, part, &passes);
        let both = together(2, part, &passes);
        let after = together(1, part, &passes);
        (before + after) / both
    })
}
