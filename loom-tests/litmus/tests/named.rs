//! The textbook litmus tests: what loom sees, what it is blind to, and where it cries wolf.
//!
//! Each row asks for one weak outcome. What the language says is asserted of the axioms, what
//! loom says is asserted of the checker; the table is printed.

use loom::sync::atomic::Ordering::{self, Acquire, Relaxed, Release, SeqCst};
use mapless_litmus::Op::{Add, CompareExchange as Cas, Fence, Load, Store};
use mapless_litmus::checker::{self, CompareExchange};
use mapless_litmus::{Op, Outcome, Program, axioms};
use std::fmt::Write as _;

const X: usize = 0;
const Y: usize = 1;

/// What is known about a weak outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// Allowed and found.
    Found,
    /// Forbidden and not found.
    Never,
    /// Allowed, but loom does not find it: a model proves nothing about it.
    Blind,
    /// Forbidden, but loom shows it: a model fails although the code is right.
    FalseAlarm,
}

struct Row {
    name: &'static str,
    orderings: &'static str,
    threads: Vec<Vec<Op>>,
    /// What each thread has to have read.
    reads: &'static [&'static [u64]],
    /// What x and y have to be in the end, where the test asks for it.
    last: Option<[u64; 2]>,
    how: CompareExchange,
    seen: Seen,
}

fn row(
    (name, orderings): (&'static str, &'static str),
    threads: Vec<Vec<Op>>,
    reads: &'static [&'static [u64]],
    seen: Seen,
) -> Row {
    Row {
        name,
        orderings,
        threads,
        reads,
        last: None,
        how: CompareExchange::Bare,
        seen,
    }
}

impl Row {
    fn last(self, x: u64, y: u64) -> Self {
        Self {
            last: Some([x, y]),
            ..self
        }
    }

    fn stale(self) -> Self {
        Self {
            how: CompareExchange::Stale,
            ..self
        }
    }

    fn is_weak(&self, (reads, last): &Outcome) -> bool {
        reads == self.reads && self.last.is_none_or(|expected| last == &expected)
    }
}

fn store_buffering(store: Ordering, load: Ordering, fence: Option<Ordering>) -> Vec<Vec<Op>> {
    let thread = |mine, other| {
        let between = fence.map(Fence);
        [Store(mine, 1, store)]
            .into_iter()
            .chain(between)
            .chain([Load(other, load)])
            .collect()
    };
    vec![thread(X, Y), thread(Y, X)]
}

fn message_passing(store: Ordering, load: Ordering) -> Vec<Vec<Op>> {
    vec![
        vec![Store(X, 1, Relaxed), Store(Y, 1, store)],
        vec![Load(Y, load), Load(X, Relaxed)],
    ]
}

fn message_passing_fences() -> Vec<Vec<Op>> {
    let writer = vec![Store(X, 1, Relaxed), Fence(Release), Store(Y, 1, Relaxed)];
    let reader = vec![Load(Y, Relaxed), Fence(Acquire), Load(X, Relaxed)];
    vec![writer, reader]
}

/// The flag goes through another thread's relaxed read-modify-write, or its plain store.
fn message_passing_relayed(relay: Op) -> Vec<Vec<Op>> {
    let writer = vec![Store(X, 1, Relaxed), Store(Y, 1, Release)];
    vec![
        writer,
        vec![relay],
        vec![Load(Y, Acquire), Load(X, Relaxed)],
    ]
}

fn two_plus_two_writes(store: Ordering, fence: Option<Ordering>) -> Vec<Vec<Op>> {
    let thread = |first, second| {
        let between = fence.map(Fence);
        [Store(first, 1, store)]
            .into_iter()
            .chain(between)
            .chain([Store(second, 2, store)])
            .collect()
    };
    vec![thread(X, Y), thread(Y, X)]
}

fn independent_reads(store: Ordering, load: Ordering, fence: Option<Ordering>) -> Vec<Vec<Op>> {
    let reader = |first, second| {
        let between = fence.map(Fence);
        [Load(first, load)]
            .into_iter()
            .chain(between)
            .chain([Load(second, load)])
            .collect()
    };
    vec![
        vec![Store(X, 1, store)],
        vec![Store(Y, 1, store)],
        reader(X, Y),
        reader(Y, X),
    ]
}

fn write_to_read(store: Ordering, load: Ordering) -> Vec<Vec<Op>> {
    let relay = vec![Load(X, load), Store(Y, 1, store)];
    vec![
        vec![Store(X, 1, store)],
        relay,
        vec![Load(Y, load), Load(X, load)],
    ]
}

fn load_buffering(load: Ordering, store: Ordering) -> Vec<Vec<Op>> {
    let thread = |from, to| vec![Load(from, load), Store(to, 1, store)];
    vec![thread(X, Y), thread(Y, X)]
}

fn read_read(load: Ordering) -> Vec<Vec<Op>> {
    let writer = vec![Store(X, 1, Relaxed), Store(X, 2, Relaxed)];
    vec![writer, vec![Load(X, load), Load(X, load)]]
}

/// After it has seen y, a compare-exchange on x fails.
fn stale_failure(store: Ordering, load: Ordering) -> Vec<Vec<Op>> {
    let writer = vec![Store(X, 1, Relaxed), Store(Y, 1, store)];
    vec![writer, vec![Load(Y, load), Cas(X, 7, 8, Relaxed, Relaxed)]]
}

/// After it has seen y, a read-modify-write on x lands before the store that came before y.
fn late_read_modify_write(store: Ordering, load: Ordering) -> Vec<Vec<Op>> {
    let writer = vec![Store(X, 7, Relaxed), Store(Y, 1, store)];
    vec![writer, vec![Load(Y, load), Add(X, Relaxed)]]
}

fn rows() -> Vec<Row> {
    use Seen::{Blind, FalseAlarm, Found, Never};
    let sb: &[&[u64]] = &[&[0], &[0]];
    let mp: &[&[u64]] = &[&[], &[1, 0]];
    let relayed: &[&[u64]] = &[&[], &[1], &[2, 0]];
    let overwritten: &[&[u64]] = &[&[], &[], &[2, 0]];
    let writes: &[&[u64]] = &[&[], &[]];
    let iriw: &[&[u64]] = &[&[], &[], &[1, 0], &[1, 0]];
    let wrc: &[&[u64]] = &[&[], &[1], &[1, 0]];
    let lb: &[&[u64]] = &[&[1], &[1]];
    vec![
        row(
            ("store buffering", "relaxed"),
            store_buffering(Relaxed, Relaxed, None),
            sb,
            Found,
        ),
        row(
            ("store buffering", "release/acquire"),
            store_buffering(Release, Acquire, None),
            sb,
            Found,
        ),
        row(
            ("store buffering", "SeqCst accesses"),
            store_buffering(SeqCst, SeqCst, None),
            sb,
            FalseAlarm,
        ),
        row(
            ("store buffering", "SeqCst fences"),
            store_buffering(Relaxed, Relaxed, Some(SeqCst)),
            sb,
            Never,
        ),
        row(
            ("message passing", "relaxed"),
            message_passing(Relaxed, Relaxed),
            mp,
            Found,
        ),
        row(
            ("message passing", "release/acquire"),
            message_passing(Release, Acquire),
            mp,
            Never,
        ),
        row(
            ("message passing", "fences"),
            message_passing_fences(),
            mp,
            Never,
        ),
        row(
            ("message passing", "through a relaxed RMW"),
            message_passing_relayed(Add(Y, Relaxed)),
            relayed,
            Never,
        ),
        row(
            ("message passing", "through a relaxed store"),
            message_passing_relayed(Store(Y, 2, Relaxed)),
            overwritten,
            Found,
        ),
        row(
            ("2+2W", "relaxed"),
            two_plus_two_writes(Relaxed, None),
            writes,
            Found,
        )
        .last(1, 1),
        row(
            ("2+2W", "SeqCst accesses"),
            two_plus_two_writes(SeqCst, None),
            writes,
            FalseAlarm,
        )
        .last(1, 1),
        row(
            ("2+2W", "SeqCst fences"),
            two_plus_two_writes(Relaxed, Some(SeqCst)),
            writes,
            Never,
        )
        .last(1, 1),
        row(
            ("IRIW", "relaxed"),
            independent_reads(Relaxed, Relaxed, None),
            iriw,
            Found,
        ),
        row(
            ("IRIW", "release/acquire"),
            independent_reads(Release, Acquire, None),
            iriw,
            Found,
        ),
        row(
            ("IRIW", "SeqCst accesses"),
            independent_reads(SeqCst, SeqCst, None),
            iriw,
            FalseAlarm,
        ),
        row(
            ("IRIW", "SeqCst fences"),
            independent_reads(Relaxed, Relaxed, Some(SeqCst)),
            iriw,
            Never,
        ),
        row(
            ("WRC", "relaxed"),
            write_to_read(Relaxed, Relaxed),
            wrc,
            Found,
        ),
        row(
            ("WRC", "release/acquire"),
            write_to_read(Release, Acquire),
            wrc,
            Never,
        ),
        row(
            ("coherence, reads", "relaxed"),
            read_read(Relaxed),
            &[&[], &[2, 1]],
            Never,
        ),
        row(
            ("coherence, racing stores", "relaxed"),
            vec![
                vec![Store(X, 2, Relaxed), Load(X, Relaxed)],
                vec![Store(X, 3, Relaxed), Store(X, 1, Relaxed)],
            ],
            &[&[3], &[]],
            FalseAlarm,
        )
        .last(3, 0),
        row(
            ("RMW beside a racing store", "relaxed"),
            vec![vec![Add(X, Relaxed)], vec![Store(X, 7, Relaxed)]],
            &[&[0], &[]],
            FalseAlarm,
        )
        .last(1, 0),
        row(
            ("load buffering", "relaxed"),
            load_buffering(Relaxed, Relaxed),
            lb,
            Blind,
        ),
        row(
            ("load buffering", "acquire loads only"),
            load_buffering(Acquire, Relaxed),
            lb,
            Blind,
        ),
        row(
            ("load buffering", "release/acquire"),
            load_buffering(Acquire, Release),
            lb,
            Never,
        ),
        row(
            ("stale failing CAS", "relaxed"),
            stale_failure(Relaxed, Relaxed),
            mp,
            Blind,
        ),
        row(
            ("stale failing CAS, shim", "relaxed"),
            stale_failure(Relaxed, Relaxed),
            mp,
            Found,
        )
        .stale(),
        row(
            ("stale failing CAS, shim", "release/acquire"),
            stale_failure(Release, Acquire),
            mp,
            Never,
        )
        .stale(),
        row(
            ("RMW before an older store", "relaxed"),
            late_read_modify_write(Relaxed, Relaxed),
            mp,
            Blind,
        )
        .last(7, 1),
        row(
            ("RMW before an older store", "release/acquire"),
            late_read_modify_write(Release, Acquire),
            mp,
            Never,
        )
        .last(7, 1),
    ]
}

#[test]
fn table() {
    let loom = checker::which();
    let mut table = format!("{loom:?} loom: is the weak outcome allowed, and is it found?\n");
    let mut wrong = Vec::new();
    for row in rows() {
        let program = Program {
            threads: row.threads.clone(),
            variables: 2,
        };
        let allowed = axioms::outcomes(&program)
            .language
            .iter()
            .any(|outcome| row.is_weak(outcome));
        let reached = checker::explore(&program, None, row.how);
        let found = reached.outcomes.iter().any(|outcome| row.is_weak(outcome));
        let seen = match (allowed, found) {
            (true, true) => Seen::Found,
            (false, false) => Seen::Never,
            (true, false) => Seen::Blind,
            (false, true) => Seen::FalseAlarm,
        };
        writeln!(
            table,
            "| {:<26} | {:<23} | language {:<7} | loom {:<5} | {:<10} | {:>7} executions |",
            row.name,
            row.orderings,
            if allowed { "allows" } else { "forbids" },
            if found { "finds" } else { "never" },
            format!("{seen:?}"),
            reached.executions,
        )
        .unwrap();
        if seen != row.seen {
            wrong.push(format!(
                "{}, {}: {seen:?}, not {:?}",
                row.name, row.orderings, row.seen
            ));
        }
    }
    println!("{table}");
    assert!(
        wrong.is_empty(),
        "the checker is not what the table says: {wrong:#?}"
    );
}
