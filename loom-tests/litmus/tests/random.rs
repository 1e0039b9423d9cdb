//! Random programs: what loom reaches, between what it must reach and what it may.
//!
//! * P1  Every outcome of an interleaving is legal whatever the orderings: an exhaustive checker
//!   reaches all of them. The repaired loom does, the stock one loses some; when that one no
//!   longer does, this test fails: the repair can go.
//! * P2  The same with every compare-exchange behind the shim's load.
//! * P3  Weak outcomes (no load buffering) that the language allows and loom never shows: the
//!   *blind* column, and fewer with the shim. They need a read-modify-write on an old value.
//!
//! *Beyond* counts outcomes that the language forbids: loom reads `SeqCst` accesses as acquire
//! and release, and keeps no total order of the writes of one variable, so two stores, or a store
//! and a read-modify-write, may be seen out of order. Such false alarms cost time, not soundness.
//!
//! `LOOM_LITMUS_EXPECT=repaired|stock` says which loom this must be, `LOOM_LITMUS_SCALE=10` runs
//! ten times the programs.

use mapless_litmus::checker::{CompareExchange, expect_repaired, explore};
use mapless_litmus::program::{Rng, Shape};
use mapless_litmus::{Program, axioms, interleavings};

const SEED: u64 = 88_172_645_463_325_252;

/// Programs, threads, operations, variables, with orderings and fences.
type Row = (usize, usize, usize, usize, bool);

const ROWS: [Row; 8] = [
    (2000, 2, 3, 1, false),
    (2000, 2, 3, 2, false),
    (2000, 2, 3, 1, true),
    (2000, 2, 3, 2, true),
    (20, 3, 2, 1, false),
    (40, 3, 2, 2, false),
    (20, 3, 2, 1, true),
    (40, 3, 2, 2, true),
];

#[derive(Default)]
struct Counts {
    incomplete: usize,
    lost: usize,
    interleaved: usize,
    blind: usize,
    beyond: usize,
    executions: usize,
}

impl Counts {
    fn add(&mut self, number: usize, program: &Program, how: CompareExchange) {
        let must = interleavings::outcomes(program);
        let may = axioms::outcomes(program);
        assert!(
            must.is_subset(&may.no_buffering),
            "the oracles disagree: {program:?}"
        );
        let reached = explore(program, None, how);
        let lost: Vec<_> = must.difference(&reached.outcomes).collect();
        if let Some(first) = lost.first() {
            self.incomplete += 1;
            if self.incomplete == 1 {
                println!("  program {number} loses {first:?}: {program:?}");
            }
        }
        self.lost += lost.len();
        self.interleaved += must.len();
        self.blind += may.no_buffering.difference(&reached.outcomes).count() - lost.len();
        self.beyond += reached.outcomes.difference(&may.language).count();
        self.executions += reached.executions;
    }
}

fn run(row: Row, how: CompareExchange) -> Counts {
    let (programs, threads, max_ops, variables, mixed) = row;
    let shape = Shape {
        threads,
        max_ops,
        variables,
        mixed,
    };
    let (mut rng, mut counts) = (Rng::new(SEED), Counts::default());
    for number in 0..programs * scale() {
        counts.add(number, &rng.program(shape), how);
    }
    println!(
        "{:>5} programs  {threads} threads <= {max_ops} ops  {variables} var  {:<7} {how:?}: {:>3} incomplete, \
         {:>3} of {:>5} lost, {:>3} blind, {:>3} beyond, {:>7} executions",
        programs * scale(),
        if mixed { "mixed" } else { "SeqCst" },
        counts.incomplete,
        counts.lost,
        counts.interleaved,
        counts.blind,
        counts.beyond,
        counts.executions,
    );
    counts
}

fn scale() -> usize {
    std::env::var("LOOM_LITMUS_SCALE").map_or(1, |n| n.parse().expect("a whole number"))
}

fn check(how: CompareExchange, rows: &[Row]) -> usize {
    let repaired = expect_repaired();
    println!(
        "seed {SEED}, loom is {}",
        if repaired { "repaired" } else { "stock" }
    );
    let counts: Vec<_> = rows.iter().map(|&row| run(row, how)).collect();
    let lost: usize = counts.iter().map(|counts| counts.lost).sum();
    if repaired {
        assert_eq!(lost, 0, "the repaired loom loses outcomes");
    } else {
        assert_ne!(
            lost, 0,
            "the stock loom loses nothing any more: the repair can go"
        );
    }
    counts.iter().map(|counts| counts.blind).sum()
}

#[test]
fn every_interleaving_is_reached_and_the_shim_hides_less() {
    let bare = check(CompareExchange::Bare, &ROWS[..4]);
    let shim = check(CompareExchange::Stale, &ROWS[..4]);
    check(CompareExchange::Bare, &ROWS[4..]);
    if expect_repaired() {
        assert!(shim < bare, "blind to {shim} with the shim, {bare} without");
    }
}
