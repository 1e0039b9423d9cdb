//! What a failing compare-exchange hides, and the shim that shows it.
//!
//! loom runs every compare-exchange, a failing one too, on the newest value. The language lets a
//! failing one read an old value, like any load. The crate's shim loads first (as
//! `stale_compare_exchange` does): the stale failures appear, and nothing that is not allowed.

use loom::sync::atomic::Ordering::{Acquire, Relaxed};
use mapless_litmus::checker::{CompareExchange, explore};
use mapless_litmus::{Op, Outcome, Program, axioms};

/// Sees the flag, then fails on the variable that was written before it.
fn program() -> Program {
    Program {
        threads: vec![
            vec![Op::Store(0, 1, Relaxed), Op::Store(1, 1, Relaxed)],
            vec![
                Op::Load(1, Relaxed),
                Op::CompareExchange(0, 7, 8, Acquire, Relaxed),
            ],
        ],
        variables: 2,
    }
}

/// The flag was up, and the compare-exchange still saw the first value.
fn stale() -> Outcome {
    (vec![vec![], vec![1, 0]], vec![1, 1])
}

#[test]
fn the_language_allows_a_stale_failure() {
    assert!(axioms::outcomes(&program()).language.contains(&stale()));
}

#[test]
fn loom_alone_never_shows_it() {
    let reached = explore(&program(), None, CompareExchange::Bare);
    assert!(!reached.outcomes.contains(&stale()));
}

#[test]
fn behind_the_shim_it_appears_and_nothing_illegal_does() {
    let reached = explore(&program(), None, CompareExchange::Stale);
    assert!(reached.outcomes.contains(&stale()));
    let allowed = axioms::outcomes(&program()).language;
    assert!(reached.outcomes.is_subset(&allowed));
}
