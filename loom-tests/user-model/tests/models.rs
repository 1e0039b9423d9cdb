//! A user's models, with mapless's public types inside, and what each type costs.
//!
//! They run with loom's own `Builder`, on the stock loom and on the repaired one. The table that
//! `cost_of_each_type` prints is the state space that a type adds to your model: two threads, each
//! with the operations named, and a search without a bound unless the row says one.
#![cfg(loom)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;
use mapless::{BlockAllocator, ByteLen, Domain, IdRange, ObjectId, OmniBlockAllocator, RangeIndex};
use mapless::{GrowByShare, SizeClasses};
use mapless_user_model::Message;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).expect("an id")
}

fn range(first: u64, len: u64) -> IdRange {
    IdRange::new(id(first), len).expect("a range")
}

/// Runs a model and counts its executions.
fn executions(bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) -> usize {
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    let mut builder = Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    count.load(Ordering::Relaxed)
}

/// Two threads over one thing.
fn pair<T: Send + Sync + 'static>(
    shared: T,
    here: impl FnOnce(&T),
    there: impl FnOnce(&T) + Send + 'static,
) {
    let shared = Arc::new(shared);
    let other = Arc::clone(&shared);
    let thread = thread::spawn(move || there(&other));
    here(&shared);
    thread.join().expect("the other thread");
}

fn slots() -> BlockAllocator {
    BlockAllocator::new(2, ByteLen::new(64)).expect("two slots")
}

fn index() -> RangeIndex<u32> {
    let index = RangeIndex::new();
    index.insert(range(8, 4), 1).expect("the first range");
    index
}

fn classes() -> OmniBlockAllocator {
    let classes = SizeClasses::new([ByteLen::new(64)]).expect("one class");
    let growth = GrowByShare::default().first_bytes(ByteLen::new(128));
    let builder = OmniBlockAllocator::builder().classes(classes);
    builder.growth(growth).build().expect("an allocator")
}

fn alloc_and_free(slots: &BlockAllocator) {
    // `Full` does not speak of slots that a call in progress is claiming, such as the other's.
    if let Ok(id) = slots.alloc() {
        slots.free(id).expect("our own slot");
    }
}

fn omni_alloc_and_free(omni: &OmniBlockAllocator) {
    if let Ok(id) = omni.alloc(ByteLen::new(64)) {
        omni.free(id).expect("our own slot");
    }
}

/// A message is written, its id published; whoever finds the id reads the message.
#[test]
fn what_was_written_before_an_insert_is_seen_by_the_lookup() {
    let seen = std::sync::Arc::new(AtomicUsize::new(0));
    let record = std::sync::Arc::clone(&seen);
    executions(None, move || {
        let record = std::sync::Arc::clone(&record);
        pair(
            (index(), Message::new()),
            |(index, message)| {
                message.write(7);
                index.insert(range(16, 1), 2).expect("a free range");
            },
            move |(index, message)| {
                if index.get(id(16)).is_some() {
                    assert_eq!(message.read(), 7);
                    record.fetch_add(1, Ordering::Relaxed);
                }
            },
        );
    });
    assert!(
        seen.load(Ordering::Relaxed) > 0,
        "the lookup never found it"
    );
}

/// Two owners never have the same slot.
#[test]
fn two_threads_get_different_slots() {
    executions(None, || {
        let slots = Arc::new(slots());
        let other = Arc::clone(&slots);
        let thread = thread::spawn(move || other.alloc().ok());
        let mine = slots.alloc().ok();
        let theirs = thread.join().expect("the other thread");
        assert!(mine.is_some() || theirs.is_some());
        assert_ne!(mine, theirs);
    });
}

type Model = Box<dyn Fn() + Send + Sync>;

fn rows() -> Vec<(&'static str, &'static str, Option<usize>, Model)> {
    let row = |name, what, bound, model| (name, what, bound, model);
    vec![
        row(
            "Domain",
            "pin | pin",
            None,
            Box::new(|| {
                pair(Domain::new(), |d| drop(d.pin()), |d| drop(d.pin()));
            }) as Model,
        ),
        row(
            "BlockAllocator",
            "alloc, free | -",
            None,
            Box::new(|| alloc_and_free(&slots())),
        ),
        row(
            "BlockAllocator",
            "alloc, free | alloc, free",
            None,
            Box::new(|| {
                pair(slots(), alloc_and_free, alloc_and_free);
            }),
        ),
        row(
            "RangeIndex",
            "get | get",
            None,
            Box::new(|| {
                pair(
                    index(),
                    |i| assert_eq!(i.get(id(9)), Some(1)),
                    |i| assert_eq!(i.get(id(9)), Some(1)),
                );
            }),
        ),
        row(
            "RangeIndex",
            "get | insert",
            None,
            Box::new(|| {
                pair(
                    index(),
                    |i| assert_eq!(i.get(id(9)), Some(1)),
                    |i| i.insert(range(16, 1), 2).expect("free"),
                );
            }),
        ),
        row(
            "RangeIndex",
            "insert | insert",
            None,
            Box::new(|| {
                pair(
                    index(),
                    |i| i.insert(range(12, 1), 2).expect("free"),
                    |i| i.insert(range(16, 1), 2).expect("free"),
                );
            }),
        ),
        row(
            "OmniBlockAllocator",
            "alloc, free | -",
            None,
            Box::new(|| omni_alloc_and_free(&classes())),
        ),
        row(
            "OmniBlockAllocator",
            "locate | alloc, free",
            Some(2),
            Box::new(|| {
                let omni = classes();
                let first = omni.alloc(ByteLen::new(64)).expect("a slot");
                pair(
                    omni,
                    move |o| assert!(o.locate(first).is_ok()),
                    omni_alloc_and_free,
                );
            }),
        ),
        row(
            "OmniBlockAllocator",
            "alloc, free | alloc, free",
            Some(2),
            Box::new(|| {
                pair(classes(), omni_alloc_and_free, omni_alloc_and_free);
            }),
        ),
    ]
}

/// What the README says of each row: on the stock loom, and on a repaired one.
fn told() -> [Vec<usize>; 2] {
    let readme = include_str!("../../../README.md");
    let (_, table) = readme.split_once("<!-- executions -->").expect("a mark");
    let (table, _) = table
        .split_once("<!-- executions: end -->")
        .expect("its end");
    let cells = |line: &str| -> Vec<String> {
        line.split('|')
            .map(|cell| cell.trim().replace(',', ""))
            .collect()
    };
    let column = |at: usize| {
        let numbers = table
            .lines()
            .map(cells)
            .filter_map(|cells| cells.get(at)?.parse().ok());
        numbers.collect()
    };
    [column(4), column(5)]
}

#[test]
fn cost_of_each_type() {
    println!(
        "| {:<18} | {:<25} | bound | executions | seconds |",
        "type", "main | thread"
    );
    let (mut seen, mut counts) = (std::collections::BTreeMap::new(), Vec::new());
    for (name, what, bound, model) in rows() {
        let start = Instant::now();
        let count = executions(bound, model);
        let bound = bound.map_or("none".to_owned(), |bound| bound.to_string());
        let seconds = start.elapsed().as_secs_f64();
        println!("| {name:<18} | {what:<25} | {bound:>5} | {count:>10} | {seconds:>7.2} |");
        *seen.entry(name).or_insert(0) += count;
        counts.push(count);
    }
    let [stock, repaired] = told();
    assert!(
        counts == stock || counts == repaired,
        "the README tells of {stock:?} on the stock loom, {repaired:?} on a repaired one"
    );
    // Of a single row a stock loom may skip all but one execution; of all rows of a type it does not.
    for (name, count) in seen {
        assert!(
            count >= 4,
            "{name} is invisible to loom: {count} executions"
        );
    }
}
