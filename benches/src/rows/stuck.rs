//! What a reader that never leaves costs the others: nothing but memory.

use mapless::{BlockAllocator, ByteLen, Guard, RangeIndex};

use crate::Config;
use crate::drive::timed;
use crate::ours::{id, range};
use crate::report::Report;
use crate::rounds::Series;

/// Removals and inserts in an index, and slots retired and taken, beside a guard that stays and
/// without one: ns a step, and what waits after so many steps.
pub fn stuck(config: Config) -> Report {
    let mut report = Report::default();
    let steps = config.size(100_000);
    for (reader, stays) in [("no reader", false), ("a reader that stays", true)] {
        let (index, slots) = (index(steps), slots(steps));
        let guards = stays.then(|| [index.pin(), slots.pin()]);
        let moved = timed(steps, || (0..steps as u64).for_each(|at| step(&index, at)));
        let taken = timed(steps, || (0..steps).for_each(|_| turn(&slots)));
        let mut note = |work: &str, unit, value: f64| {
            let work = format!("{work}, {steps} times");
            report.note(&work, unit, [Series::new(reader, vec![value])]);
        };
        note("a range removed and inserted", "ns", moved);
        note(".. what waits then", "bytes", index.pending() as f64);
        note("a slot taken and retired", "ns", taken);
        note(".. what waits then", "slots", slots.waiting() as f64);
        drop::<Option<[Guard; 2]>>(guards);
        index.collect();
        slots.collect();
        note(
            ".. after it left, and `collect`",
            "bytes",
            index.pending() as f64,
        );
        note(
            ".. after it left, and `collect`",
            "slots",
            slots.waiting() as f64,
        );
    }
    report
}

fn index(ranges: usize) -> RangeIndex<u64> {
    let index = RangeIndex::new();
    let all = (0..ranges as u64).map(|at| (range(1 + at * 16, 16), at));
    index.bulk_load(all).expect("a sorted set");
    index
}

fn step(index: &RangeIndex<u64>, at: u64) {
    let first = 1 + at * 16;
    index.remove(id(first)).expect("it is there");
    index.insert(range(first, 16), at).expect("it is gone");
}

fn slots(count: usize) -> BlockAllocator {
    BlockAllocator::new(2 * count as u64, ByteLen::new(64)).expect("a block")
}

fn turn(slots: &BlockAllocator) {
    let slot = slots.alloc().expect("twice as many as are retired");
    slots.retire(slot, &slots.pin()).expect("it is ours");
}
