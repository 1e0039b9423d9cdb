//! From an id to its bytes: for development, at 100,000 objects.

use criterion::{Criterion, criterion_group, criterion_main};
use mapless_benches::ours::{Objects, id};
use mapless_benches::sets;
use rand::seq::SliceRandom;
use std::hint::black_box;

fn lookups(criterion: &mut Criterion) {
    let mut dice = sets::dice(1);
    let sizes: Vec<u64> = (0..100_000)
        .map(|_| sets::log_uniform(&mut dice, 15))
        .collect();
    let mut objects = Objects::fill(&sizes);
    let mut ids = std::mem::take(&mut objects.ids);
    ids.shuffle(&mut dice);
    let mut any = ids.iter().cycle().copied();
    let mut next = move || any.next().expect("an endless list");
    let guard = objects.pin();
    criterion.bench_function("locate_in", |b| {
        b.iter(|| objects.locate_in(next(), &guard))
    });
    criterion.bench_function("locate", |b| b.iter(|| objects.locate(next())));
    criterion.bench_function("pin", |b| b.iter(|| black_box(objects.pin())));
    criterion.bench_function("locate_many_in, 16", |b| {
        b.iter(|| {
            let batch = std::array::from_fn(|_| id(next()));
            objects.locate_many(&batch, &guard)
        });
    });
}

criterion_group!(benches, lookups);
criterion_main!(benches);
