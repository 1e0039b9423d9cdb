//! Lookups in an index of ranges.

use crate::Config;
use crate::baseline::{OneWordRadix, Table};
use crate::drive::{BATCH, batched, dependent, independent};
use crate::ours::{self, Index};
use crate::peers::ranges::{CheckedBTree, LockedBTree, RangeMap, Skip, SortedArray, Tree};
use crate::report::{Line, Report};
use crate::rounds::{Series, Side, race, side};
use crate::sets::{self, Ranges, window};

/// How many different ids are asked for.
const QUERIES: usize = 1 << 21;

/// Dependent lookups among a million ranges, of both sets.
pub fn get_in(config: Config) -> Report {
    get_in_at(config, config.size(1_000_000))
}

/// Dependent lookups among ten million ranges, of both sets. Takes a minute and 4 GiB.
pub fn get_in_10m(config: Config) -> Report {
    get_in_at(config, config.size(10_000_000))
}

fn get_in_at(config: Config, n: usize) -> Report {
    let mut report = get_in_dense(config, n);
    report.append(get_in_gaps(config, n));
    report
}

fn get_in_dense(config: Config, n: usize) -> Report {
    let set = sets::dense(n);
    let ids = set.queries(config.size(QUERIES));
    let steps = config.steps(250_000);
    let (table, radix) = (Table::dense(&set), OneWordRadix::dense(&set));
    let mut maps = Maps::build(&set);
    let mut sides = vec![
        side("bare table", |round| {
            dependent(window(&ids, round, steps), |id| table.get(id))
        }),
        side("one-word radix", |round| {
            dependent(window(&ids, round, steps), |id| radix.get(id))
        }),
    ];
    sides.extend(maps.dependent(&ids, steps));
    let series = race(config.rounds, sides);
    let work = format!("`get_in`, dependent, {n} dense ranges");
    let [bare, radix, rest @ ..] = &series[..] else {
        unreachable!()
    };
    let mut report = ahead_of_peers(&work, rest);
    report
        .lines
        .insert(0, Line::at_most(&work, &rest[0], bare, 1.5));
    report.lines.insert(1, Line::beside(&work, &rest[0], radix));
    report
}

fn get_in_gaps(config: Config, n: usize) -> Report {
    let set = sets::gaps(n);
    let ids = set.queries(config.size(QUERIES));
    let mut maps = Maps::build(&set);
    let series = race(config.rounds, maps.dependent(&ids, config.steps(250_000)));
    ahead_of_peers(
        &format!("`get_in`, dependent, {n} ranges with gaps"),
        &series,
    )
}

/// The bars against the peers; ours comes first.
fn ahead_of_peers(work: &str, series: &[Series]) -> Report {
    let [ours, skip, tree, btree] = series else {
        unreachable!()
    };
    let mut report = Report::default();
    report.lines.push(Line::ahead(work, ours, skip, 2.0));
    report.lines.push(Line::ahead(work, ours, tree, 2.0));
    report.lines.push(Line::ahead(work, ours, btree, 1.3));
    report
}

/// Ours and the peers of one set.
struct Maps {
    ours: Index,
    skip: Skip,
    tree: Tree,
    btree: LockedBTree,
}

impl Maps {
    fn build(set: &Ranges) -> Self {
        Self {
            ours: Index::build(set),
            skip: Skip::build(set),
            tree: Tree::build(set),
            btree: LockedBTree::build(set),
        }
    }

    fn dependent<'a>(&'a mut self, ids: &'a [u64], steps: usize) -> Vec<Side<'a>> {
        vec![
            dependent_side(&self.ours, ids, steps),
            dependent_side(&self.skip, ids, steps / 4),
            dependent_side(&self.tree, ids, steps / 4),
            dependent_side(&self.btree, ids, steps / 2),
        ]
    }
}

fn dependent_side<'a, M: RangeMap>(map: &'a M, ids: &'a [u64], steps: usize) -> Side<'a> {
    side(M::NAME, move |round| {
        let held = map.hold();
        dependent(window(ids, round, steps), |id| map.get(id, &held))
    })
}

fn independent_side<'a, M: RangeMap>(map: &'a M, ids: &'a [u64], steps: usize) -> Side<'a> {
    side(M::NAME, move |round| {
        let held = map.hold();
        independent(window(ids, round, steps), |id| map.get(id, &held))
    })
}

/// 16 lookups at a time among 10 M dense ranges; the table is interleaved in the same way.
pub fn get_many(config: Config) -> Report {
    let mut report = Report::default();
    for n in [1_000_000, 10_000_000] {
        let n = config.size(n);
        let set = sets::dense(n);
        let raw = set.queries(config.size(QUERIES));
        let ids = ours::ids(&raw);
        let steps = config.steps(1_000_000);
        let (index, table) = (Index::build(&set), Table::dense(&set));
        let series = race(
            config.rounds,
            vec![
                side("ours", |round| {
                    let guard = index.hold();
                    batched(window(&ids, round, steps), |batch| {
                        index.get_many(batch, &guard)
                    })
                }),
                side("bare table, interleaved", |round| {
                    batched(window(&raw, round, steps), |batch| {
                        table_many(&table, batch)
                    })
                }),
            ],
        );
        let work = format!("`get_many`, {BATCH} at a time, {n} dense ranges");
        report
            .lines
            .push(Line::at_most(work, &series[0], &series[1], 2.0));
    }
    report
}

fn table_many(table: &Table, batch: &[u64; BATCH]) -> u64 {
    let mut answers = [0; BATCH];
    table.get_many(batch, &mut answers);
    answers
        .iter()
        .fold(0, |sum, answer| sum.wrapping_add(*answer))
}

/// Every layout on both sets, dependent and independent: a table for the design document.
pub fn layouts(config: Config) -> Report {
    let mut report = Report::default();
    for n in [10_000, 1_000_000, 10_000_000] {
        for set in [sets::dense(config.size(n)), sets::gaps(config.size(n))] {
            report.append(layouts_of(config, &set));
        }
    }
    report
}

fn layouts_of(config: Config, set: &Ranges) -> Report {
    let ids = set.queries(config.size(QUERIES));
    let mut report = layout::<Index>(config, set, &ids);
    report.append(interleaved(config, set, &ids));
    if set.name == "dense" {
        report.append(bare(config, set, &ids));
    }
    report.append(layout::<SortedArray>(config, set, &ids));
    report.append(layout::<Skip>(config, set, &ids));
    report.append(layout::<Tree>(config, set, &ids));
    report.append(layout::<LockedBTree>(config, set, &ids));
    if set.len() <= 10_000 {
        report.append(layout::<CheckedBTree>(config, set, &ids));
    }
    report
}

fn layout<M: RangeMap>(config: Config, set: &Ranges, ids: &[u64]) -> Report {
    let map = M::build(set);
    let steps = config.steps(250_000);
    let sides = vec![
        independent_side(&map, ids, steps),
        dependent_side(&map, ids, steps),
    ];
    named(set, race(config.rounds.min(5), sides), &["indep", "dep"])
}

fn interleaved(config: Config, set: &Ranges, raw: &[u64]) -> Report {
    let (index, ids) = (Index::build(set), ours::ids(raw));
    let sides = vec![side(Index::NAME, |round| {
        let guard = index.hold();
        let ids = window(&ids, round, config.steps(1_000_000));
        batched(ids, |batch| index.get_many(batch, &guard))
    })];
    named(set, race(config.rounds.min(5), sides), &["16 interleaved"])
}

fn bare(config: Config, set: &Ranges, ids: &[u64]) -> Report {
    let (table, radix) = (Table::dense(set), OneWordRadix::dense(set));
    let steps = config.steps(1_000_000);
    let ids = |round| window(ids, round, steps);
    let sides = vec![
        side("bare table", |round| {
            independent(ids(round), |id| table.get(id))
        }),
        side("bare table", |round| {
            dependent(ids(round), |id| table.get(id))
        }),
        side("bare table", |round| {
            batched(ids(round), |batch| table_many(&table, batch))
        }),
        side("one-word radix", |round| {
            independent(ids(round), |id| radix.get(id))
        }),
        side("one-word radix", |round| {
            dependent(ids(round), |id| radix.get(id))
        }),
    ];
    let modes = ["indep", "dep", "16 interleaved", "indep", "dep"];
    named(set, race(config.rounds.min(5), sides), &modes)
}

fn named(set: &Ranges, series: Vec<Series>, modes: &[&str]) -> Report {
    let mut report = Report::default();
    for (one, mode) in series.into_iter().zip(modes) {
        report.note(&format!("{} {}, {mode}", set.len(), set.name), "ns", [one]);
    }
    report
}
