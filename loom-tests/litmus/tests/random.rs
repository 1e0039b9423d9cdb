//! Random programs: loom against brute force.
//!
//! * P1  Every outcome of some interleaving is reached: always on the repaired loom. On the
//!   stock one the two-thread rows must lose some, or the repair is not needed any more.
//! * P2  Where the writers of every variable agree about their order, no outcome is reached
//!   that the language forbids (`SeqCst` accesses read as acquire and release).
//! * P3  The two oracles agree: an interleaving is always allowed by the axioms.
//!
//! Counted and printed beside them: false alarms (reached, but the language forbids it) and
//! blind spots (the language allows it even without load buffering, but it is not reached).
//!
//! `MAPLESS_LITMUS=full` runs all programs of the three-thread rows (minutes); seed and numbers
//! are the same on every machine.

use mapless_litmus::checker::{self, CompareExchange, Loom};
use mapless_litmus::program::{Rng, Shape};
use mapless_litmus::{Program, axioms, interleavings};

const SEED: u64 = 88_172_645_463_325_252;

/// Does the stock loom have to lose something in this row?
#[derive(Clone, Copy, PartialEq)]
enum Stock {
    MustLose,
    MayLose,
}

#[derive(Default)]
struct Tally {
    programs: usize,
    incomplete: usize,
    outcomes: usize,
    lost: usize,
    false_alarms: usize,
    blind: usize,
    executions: usize,
}

impl Tally {
    fn add(&mut self, number: usize, program: &Program, how: CompareExchange) {
        let interleaved = interleavings::outcomes(program);
        let allowed = axioms::outcomes(program);
        let reached = checker::explore(program, None, how);
        assert!(
            interleaved.is_subset(&allowed.no_buffering),
            "P3: {number}: {program:?}"
        );
        let lost: Vec<_> = interleaved.difference(&reached.outcomes).collect();
        let beyond: Vec<_> = reached
            .outcomes
            .difference(&allowed.weak_accesses)
            .collect();
        assert!(
            !program.writers_agree() || beyond.is_empty(),
            "P2: {number}: {program:?} {beyond:?}"
        );
        if !lost.is_empty() && self.incomplete < 2 {
            println!(
                "  loses {} of {}: {number}: {program:?}",
                lost.len(),
                interleaved.len()
            );
        }
        self.programs += 1;
        self.incomplete += usize::from(!lost.is_empty());
        self.outcomes += interleaved.len();
        self.lost += lost.len();
        self.false_alarms += reached.outcomes.difference(&allowed.language).count();
        self.blind += allowed.no_buffering.difference(&reached.outcomes).count();
        self.executions += reached.executions;
    }
}

fn check(programs: usize, shape: Shape, how: CompareExchange, stock: Stock) {
    let loom = checker::which();
    let mut rng = Rng::new(SEED);
    let mut tally = Tally::default();
    for number in 0..programs {
        tally.add(number, &rng.program(shape), how);
    }
    let Shape {
        threads,
        max_ops,
        variables,
        mixed,
    } = shape;
    let orderings = if mixed {
        "mixed orderings and fences"
    } else {
        "all SeqCst, no fences"
    };
    println!(
        "LITMUS {loom:?} seed {SEED}: {} programs, {threads} threads, <= {max_ops} operations, \
         {variables} variables, {orderings}, {how:?} compare-exchange: incomplete {}, lost {} of \
         {}, blind to {}, false alarms {}, executions {}",
        tally.programs,
        tally.incomplete,
        tally.lost,
        tally.outcomes,
        tally.blind,
        tally.false_alarms,
        tally.executions,
    );
    match loom {
        Loom::Repaired => assert_eq!(tally.lost, 0, "P1: the repaired loom loses outcomes"),
        Loom::Stock => assert!(
            stock == Stock::MayLose || tally.lost > 0,
            "P1: the stock loom loses nothing any more: the repair can go"
        ),
    }
}

fn two_threads(variables: usize, mixed: bool, how: CompareExchange) {
    let shape = Shape {
        threads: 2,
        max_ops: 3,
        variables,
        mixed,
    };
    check(2_000, shape, how, Stock::MustLose);
}

fn three_threads(variables: usize, mixed: bool, how: CompareExchange) {
    let full = std::env::var("MAPLESS_LITMUS").is_ok_and(|mode| mode == "full");
    let shape = Shape {
        threads: 3,
        max_ops: 2,
        variables,
        mixed,
    };
    check(if full { 300 } else { 30 }, shape, how, Stock::MayLose);
}

#[test]
fn two_threads_one_variable() {
    two_threads(1, false, CompareExchange::Bare);
}

#[test]
fn two_threads_two_variables() {
    two_threads(2, false, CompareExchange::Bare);
}

#[test]
fn two_threads_one_variable_mixed() {
    two_threads(1, true, CompareExchange::Bare);
}

#[test]
fn two_threads_two_variables_mixed() {
    two_threads(2, true, CompareExchange::Bare);
}

#[test]
fn two_threads_one_variable_mixed_stale_failures() {
    two_threads(1, true, CompareExchange::Stale);
}

#[test]
fn two_threads_two_variables_mixed_stale_failures() {
    two_threads(2, true, CompareExchange::Stale);
}

#[test]
fn three_threads_one_variable() {
    three_threads(1, false, CompareExchange::Bare);
}

#[test]
fn three_threads_two_variables() {
    three_threads(2, false, CompareExchange::Bare);
}

#[test]
fn three_threads_one_variable_mixed() {
    three_threads(1, true, CompareExchange::Bare);
}

#[test]
fn three_threads_two_variables_mixed() {
    three_threads(2, true, CompareExchange::Bare);
}

#[test]
fn three_threads_two_variables_mixed_stale_failures() {
    three_threads(2, true, CompareExchange::Stale);
}
