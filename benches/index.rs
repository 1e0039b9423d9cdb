//! The index of ranges: for development, at 100,000 ranges.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mapless_benches::ours::{self, Index};
use mapless_benches::peers::ranges::{Growing, LockedBTree, RangeMap};
use mapless_benches::sets::{self, Ranges};

const RANGES: usize = 100_000;

fn lookups(criterion: &mut Criterion) {
    for set in [sets::dense(RANGES), sets::gaps(RANGES)] {
        lookup::<Index>(criterion, &set);
        lookup::<LockedBTree>(criterion, &set);
        batches(criterion, &set);
    }
}

fn lookup<M: RangeMap>(criterion: &mut Criterion, set: &Ranges) {
    let map = M::build(set);
    let held = map.hold();
    let mut ids = set.queries(1 << 16).into_iter().cycle();
    let name = format!("get, {}, {}", set.name, M::NAME);
    criterion.bench_function(&name, |b| {
        b.iter(|| map.get(ids.next().unwrap_or(1), &held));
    });
}

fn batches(criterion: &mut Criterion, set: &Ranges) {
    let index = Index::build(set);
    let guard = index.hold();
    let ids = ours::ids(&set.queries(1 << 16));
    let mut batches = ids.chunks_exact(16).cycle();
    criterion.bench_function(&format!("get_many, 16, {}", set.name), |b| {
        b.iter(|| {
            let batch = batches.next().and_then(|batch| batch.try_into().ok());
            index.get_many(batch.expect("a whole batch"), &guard)
        });
    });
}

fn inserts(criterion: &mut Criterion) {
    for set in [sets::dense(RANGES), sets::gaps(RANGES)] {
        let (kept, held_out) = set.hold_out(11);
        insert::<Index>(criterion, &kept, &held_out);
        insert::<LockedBTree>(criterion, &kept, &held_out);
    }
}

fn insert<M: Growing>(criterion: &mut Criterion, kept: &Ranges, spans: &[(u64, u64)]) {
    let name = format!(
        "insert {} at random, {}, {}",
        spans.len(),
        kept.name,
        M::NAME
    );
    let all = |map: M| {
        for &(first, len) in spans {
            map.insert(first, len, 1);
        }
        map
    };
    criterion.bench_function(&name, |b| {
        b.iter_batched(|| M::build(kept), all, BatchSize::LargeInput);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = lookups, inserts
}
criterion_main!(benches);
