//! Slots of one block: for development.

use criterion::{Criterion, criterion_group, criterion_main};
use mapless_benches::ours::{Block, Local};
use mapless_benches::peers::slots::{FreeList, Sharded, Slots};

fn pairs<S: Slots>(criterion: &mut Criterion) {
    let pool = S::build();
    let hand = pool.hand();
    criterion.bench_function(&format!("alloc + free, empty, {}", S::NAME), |b| {
        b.iter(|| S::take(&hand).map(|slot| S::give(&hand, slot)));
    });
    while S::take(&hand).is_some() {}
    criterion.bench_function(&format!("alloc refused, {}", S::NAME), |b| {
        b.iter(|| S::take(&hand));
    });
}

fn all(criterion: &mut Criterion) {
    pairs::<Block>(criterion);
    pairs::<Local>(criterion);
    pairs::<Sharded>(criterion);
    pairs::<FreeList>(criterion);
}

criterion_group!(benches, all);
criterion_main!(benches);
