//! What an entry takes beside its key and its value.

use super::{KEYS, OURS, named};
use crate::Config;
use crate::memory::grown;
use crate::ours_cache::Ours;
use crate::peers::caches::{Cache, Dash, Foyer, Lru, Moka, Papaya, Plan, Quick, Scc, Sieve, Tiny};
use crate::report::{Line, Report};
use crate::rounds::Series;

/// A key and a value.
const PAYLOAD: f64 = 16.0;
/// How often as many keys as it has room for are inserted, after those.
const MISSES: usize = 10;

/// Live bytes an entry after ten million misses at a million entries; plain, with a weigher, with
/// expiry.
pub fn memory(config: Config) -> Report {
    let entries = config.size(KEYS);
    let plain = Plan::entries(entries);
    let kinds = [
        ("plain", plain, 40.0),
        ("with a weigher", plain.weighed(), 8.0),
        ("with expiry", plain.expiring(), 12.0),
    ];
    let mut report = Report::default();
    let mut before = None;
    for (kind, plan, most) in kinds {
        let work = format!(
            "memory an entry beside key and value, {kind}, {entries} entries, {} misses",
            MISSES * entries
        );
        let series = everyone(plan);
        if let Some(ours) = named(&series, OURS) {
            report.lines.push(
                match &before {
                    None => Line::absolute(&work, ours, most),
                    Some(plain) => {
                        let more = ours.with(OURS, plain, |ours, plain| ours - plain);
                        Line::absolute(format!("{work}: more than plain"), &more, most)
                    }
                }
                .in_unit("B"),
            );
            before.get_or_insert_with(|| ours.clone());
        }
        report.note(&work, "B", series);
    }
    report
}

/// Most others always weigh, and none but moka expires: they are measured once.
fn everyone(plan: Plan) -> Vec<Series> {
    let mut all = Vec::new();
    all.extend(entry::<Ours<u64>>(plan));
    all.extend(entry::<Moka<u64>>(plan));
    if plan.weighs || plan.lives.is_some() {
        return all;
    }
    all.extend(entry::<Quick<u64>>(plan));
    all.extend(entry::<Scc<u64>>(plan));
    all.extend(entry::<Sieve<u64>>(plan));
    all.extend(entry::<Tiny<u64>>(plan));
    all.extend(entry::<Foyer<u64>>(plan));
    all.extend(entry::<Lru<u64>>(plan));
    all.extend(entry::<Dash<u64>>(plan));
    all.extend(entry::<Papaya<u64>>(plan));
    all
}

/// Bytes an entry of those that are there in the end; `None` for a cache that cannot do this. The
/// slow ones see fewer misses, and what evicts nothing sees none.
fn entry<C: Cache<u64>>(plan: Plan) -> Option<Series> {
    let mut times = 1;
    let (cache, bytes) = grown(|| {
        let cache = C::build(plan)?;
        times += cache.capacity().map_or(0, |_| MISSES / C::SLOW);
        for number in 0..(plan.entries * times) as u64 {
            cache.insert(key(number), number);
        }
        cache.settle();
        Some(cache)
    });
    let cache = cache?;
    let entries = cache.count().unwrap_or_else(|| count(&cache, plan));
    let each = bytes as f64 / entries as f64 - PAYLOAD;
    let name = match (times - 1) * plan.entries {
        misses if misses == MISSES * plan.entries => C::NAME.to_owned(),
        misses => format!("{}, {misses} misses", C::NAME),
    };
    Some(Series::new(name, vec![each]))
}

/// Keys without an order, none of them twice.
fn key(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn count<C: Cache<u64>>(cache: &C, plan: Plan) -> u64 {
    let hold = cache.hold();
    let keys = (0..(plan.entries * (1 + MISSES)) as u64).map(key);
    keys.filter(|key| cache.get(*key, &hold).is_some()).count() as u64
}
