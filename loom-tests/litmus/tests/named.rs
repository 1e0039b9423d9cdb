//! The textbook litmus tests: what loom sees and what it is blind to.
//!
//! Each asks about one weak outcome. `language` is computed from the axioms, not remembered;
//! `loom` is asserted, and is the same on the stock and on the repaired one. Where they differ:
//!
//! * `BLIND`: the language allows it and loom never shows it. A protocol that it breaks passes.
//! * `ALARM`: the language forbids it and loom shows it. A protocol that needs it forbidden fails
//!   although it is right; a `SeqCst` fence and plain accesses say the same and are modelled.

use std::fmt::Write;

use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};
use mapless_litmus::Op::{Add, CompareExchange as Cas, Fence, Load, Store, Swap};
use mapless_litmus::checker::{CompareExchange, expect_repaired, explore};
use mapless_litmus::{Op, Outcome, Program, axioms};

/// The variables of each test.
const X: usize = 0;
const Y: usize = 1;

/// How loom answers, beside the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Sees,
    Excludes,
    Blind,
    Alarm,
}
use Verdict::{Alarm, Blind, Excludes, Sees};

struct Litmus {
    name: &'static str,
    how: CompareExchange,
    threads: Vec<Vec<Op>>,
    weak: fn(&Outcome) -> bool,
    verdict: Verdict,
}

fn bare(
    name: &'static str,
    verdict: Verdict,
    weak: fn(&Outcome) -> bool,
    threads: Vec<Vec<Op>>,
) -> Litmus {
    Litmus {
        name,
        how: CompareExchange::Bare,
        threads,
        weak,
        verdict,
    }
}

/// Each stores, then reads what the other stores.
fn store_buffering() -> Vec<Litmus> {
    let weak = |(reads, _): &Outcome| reads[0] == [0] && reads[1] == [0];
    let accesses = |store: Ordering, load: Ordering| {
        vec![
            vec![Store(X, 1, store), Load(Y, load)],
            vec![Store(Y, 1, store), Load(X, load)],
        ]
    };
    let fenced = vec![
        vec![Store(X, 1, Relaxed), Fence(SeqCst), Load(Y, Relaxed)],
        vec![Store(Y, 1, Relaxed), Fence(SeqCst), Load(X, Relaxed)],
    ];
    let swaps = vec![
        vec![Store(X, 1, Relaxed), Swap(Y, 5, Relaxed)],
        vec![Store(Y, 1, Relaxed), Swap(X, 5, Relaxed)],
    ];
    vec![
        bare("SB relaxed", Sees, weak, accesses(Relaxed, Relaxed)),
        bare("SB release/acquire", Sees, weak, accesses(Release, Acquire)),
        bare("SB SeqCst accesses", Alarm, weak, accesses(SeqCst, SeqCst)),
        bare("SB SeqCst fences", Excludes, weak, fenced),
        bare("SB read by swaps", Blind, weak, swaps),
    ]
}

/// One writes the message, then the flag; the other sees the flag, but not the message.
fn message_passing() -> Vec<Litmus> {
    let weak = |(reads, _): &Outcome| reads[1] == [1, 0];
    let accesses = |store: Ordering, load: Ordering| {
        vec![
            vec![Store(X, 1, Relaxed), Store(Y, 1, store)],
            vec![Load(Y, load), Load(X, Relaxed)],
        ]
    };
    let fenced = vec![
        vec![Store(X, 1, Relaxed), Fence(Release), Store(Y, 1, Relaxed)],
        vec![Load(Y, Relaxed), Fence(Acquire), Load(X, Relaxed)],
    ];
    let through = |add: Ordering| {
        vec![
            vec![Store(X, 1, Relaxed), Store(Y, 1, Release)],
            vec![Add(Y, add)],
            vec![Load(Y, Acquire), Load(X, Relaxed)],
        ]
    };
    let sequence = |(reads, _): &Outcome| reads[1] == [1] && reads[2] == [2, 0];
    let broken = vec![
        vec![Store(X, 1, Relaxed), Store(Y, 1, Release)],
        vec![Load(Y, Relaxed), Store(Y, 2, Relaxed)],
        vec![Load(Y, Acquire), Load(X, Relaxed)],
    ];
    vec![
        bare("MP relaxed", Sees, weak, accesses(Relaxed, Relaxed)),
        bare(
            "MP release, relaxed",
            Sees,
            weak,
            accesses(Release, Relaxed),
        ),
        bare(
            "MP relaxed, acquire",
            Sees,
            weak,
            accesses(Relaxed, Acquire),
        ),
        bare(
            "MP release/acquire",
            Excludes,
            weak,
            accesses(Release, Acquire),
        ),
        bare("MP fences", Excludes, weak, fenced),
        bare("MP release sequence", Excludes, sequence, through(Relaxed)),
        bare("MP broken by a store", Sees, sequence, broken),
    ]
}

/// Two writers of two variables, and each one's first write is last.
fn two_plus_two_writes() -> Vec<Litmus> {
    let weak = |(_, last): &Outcome| last == &[1, 1];
    let stores = |order: Ordering| {
        vec![
            vec![Store(X, 1, order), Store(Y, 2, order)],
            vec![Store(Y, 1, order), Store(X, 2, order)],
        ]
    };
    vec![
        bare("2+2W relaxed", Sees, weak, stores(Relaxed)),
        bare("2+2W release", Sees, weak, stores(Release)),
        bare("2+2W SeqCst", Alarm, weak, stores(SeqCst)),
    ]
}

/// Two readers see two independent writes in opposite orders.
fn independent_reads() -> Vec<Litmus> {
    let weak = |(reads, _): &Outcome| reads[2] == [1, 0] && reads[3] == [1, 0];
    let readers = |store: Ordering, load: Ordering| {
        vec![
            vec![Store(X, 1, store)],
            vec![Store(Y, 1, store)],
            vec![Load(X, load), Load(Y, load)],
            vec![Load(Y, load), Load(X, load)],
        ]
    };
    vec![
        bare("IRIW relaxed", Sees, weak, readers(Relaxed, Relaxed)),
        bare(
            "IRIW release/acquire",
            Sees,
            weak,
            readers(Release, Acquire),
        ),
        bare("IRIW SeqCst accesses", Alarm, weak, readers(SeqCst, SeqCst)),
    ]
}

/// What one has read and passed on, a third does not see.
fn write_to_read_causality() -> Vec<Litmus> {
    let weak = |(reads, _): &Outcome| reads[1] == [1] && reads[2] == [1, 0];
    let chain = |store: Ordering, load: Ordering| {
        vec![
            vec![Store(X, 1, store)],
            vec![Load(X, load), Store(Y, 1, store)],
            vec![Load(Y, load), Load(X, Relaxed)],
        ]
    };
    vec![
        bare("WRC relaxed", Sees, weak, chain(Relaxed, Relaxed)),
        bare(
            "WRC release/acquire",
            Excludes,
            weak,
            chain(Release, Acquire),
        ),
    ]
}

/// One variable: nobody goes back in its order of writes.
fn coherence() -> Vec<Litmus> {
    let back = |(reads, _): &Outcome| reads[1] == [2, 1] || reads[1] == [1, 0];
    let read_read = vec![
        vec![Store(X, 1, Relaxed), Store(X, 2, Relaxed)],
        vec![Load(X, Relaxed), Load(X, Relaxed)],
    ];
    let own = |(reads, _): &Outcome| reads[0] == [0];
    let write_read = vec![
        vec![Store(X, 1, Relaxed), Load(X, Relaxed)],
        vec![Store(X, 2, Relaxed)],
    ];
    // Main reads 3 after its own 2, so 2 < 3 < 1: after the join, 1 is the last.
    let last = |(reads, last): &Outcome| reads[0] == [3] && last == &[3];
    let joined = vec![
        vec![Store(X, 2, Relaxed), Load(X, Relaxed)],
        vec![Store(X, 3, Relaxed), Store(X, 1, Relaxed)],
    ];
    let lost = |(reads, last): &Outcome| reads[0] == [0] && last == &[1];
    let update = vec![
        vec![Add(X, Relaxed)],
        vec![Add(X, Relaxed), Add(X, Relaxed)],
    ];
    vec![
        bare("coherence, read-read", Excludes, back, read_read),
        bare("coherence, write-read", Excludes, own, write_read),
        bare("coherence, join", Alarm, last, joined),
        bare("no lost update", Excludes, lost, update),
    ]
}

/// Each reads what the other writes afterwards.
fn load_buffering() -> Vec<Litmus> {
    let weak = |(reads, _): &Outcome| reads[0] == [1] && reads[1] == [1];
    let loads = |load: Ordering, store: Ordering| {
        vec![
            vec![Load(X, load), Store(Y, 1, store)],
            vec![Load(Y, load), Store(X, 1, store)],
        ]
    };
    vec![
        bare("LB relaxed", Blind, weak, loads(Relaxed, Relaxed)),
        bare(
            "LB release/acquire",
            Excludes,
            weak,
            loads(Acquire, Release),
        ),
    ]
}

/// A compare-exchange that fails, or succeeds, on what was read out of date.
fn compare_exchange() -> Vec<Litmus> {
    let failed = |(reads, _): &Outcome| reads[1] == [1, 0];
    let failing = |failure: Ordering| {
        vec![
            vec![Store(X, 1, Relaxed), Store(Y, 1, Relaxed)],
            vec![Load(Y, Relaxed), Cas(X, 7, 8, AcqRel, failure)],
        ]
    };
    let succeeded = |(reads, last): &Outcome| reads[1] == [1, 0] && last[Y] == 2;
    let succeeding = vec![
        vec![Store(X, 1, Relaxed), Store(Y, 1, Release)],
        vec![Cas(Y, 1, 2, Relaxed, Acquire), Load(X, Relaxed)],
    ];
    let with = |litmus: Litmus, how: CompareExchange| Litmus { how, ..litmus };
    vec![
        bare("stale failure", Blind, failed, failing(Relaxed)),
        with(
            bare("stale failure, shim", Sees, failed, failing(Relaxed)),
            CompareExchange::Stale,
        ),
        bare(
            "success without acquire",
            Sees,
            succeeded,
            succeeding.clone(),
        ),
        with(
            bare("  hasty shim", Blind, succeeded, succeeding.clone()),
            CompareExchange::Hasty,
        ),
        with(
            bare("  shim", Sees, succeeded, succeeding),
            CompareExchange::Stale,
        ),
    ]
}

/// Runs one test; a row of the table, and whether the verdict is the expected one.
fn judge(litmus: &Litmus) -> (String, bool) {
    let variables = if litmus.name.starts_with("coherence") || litmus.name == "no lost update" {
        1
    } else {
        2
    };
    let program = Program {
        threads: litmus.threads.clone(),
        variables,
    };
    let allowed = axioms::outcomes(&program).language.iter().any(litmus.weak);
    let reached = explore(&program, None, litmus.how);
    let shown = reached.outcomes.iter().any(litmus.weak);
    let verdict = match (allowed, shown) {
        (true, true) => Sees,
        (false, false) => Excludes,
        (true, false) => Blind,
        (false, true) => Alarm,
    };
    let loom = match verdict {
        Sees => "sees",
        Excludes => "excludes",
        Blind => "BLIND",
        Alarm => "ALARM",
    };
    let language = if allowed { "allows" } else { "forbids" };
    let row = format!(
        "| {:<24} | {language:<8} | {loom:<8} | {:>10} |",
        litmus.name, reached.executions
    );
    (row, verdict == litmus.verdict)
}

#[test]
fn table() {
    let repaired = expect_repaired();
    let tests = [
        store_buffering(),
        message_passing(),
        two_plus_two_writes(),
        independent_reads(),
        write_to_read_causality(),
        coherence(),
        load_buffering(),
        compare_exchange(),
    ];
    let mut wrong = String::new();
    println!("loom is {}", if repaired { "repaired" } else { "stock" });
    println!(
        "| {:<24} | language | loom     | executions |",
        "weak outcome of"
    );
    println!("|{:-<26}|{:-<10}|{:-<10}|{:-<12}|", "", "", "", "");
    for litmus in tests.iter().flatten() {
        let (row, expected) = judge(litmus);
        println!("{row}");
        if !expected {
            writeln!(wrong, "{row} expected {:?}", litmus.verdict).expect("a string");
        }
    }
    assert!(wrong.is_empty(), "loom answers otherwise:\n{wrong}");
}
