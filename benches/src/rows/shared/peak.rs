//! The most that is live, by the allocator.

use bytes::Bytes;
use mapless::{InMemoryStore, ObjectError};

use super::OURS;
use crate::Config;
use crate::memory;
use crate::report::{Line, Report};
use crate::rounds::Series;

const MIB: usize = 1 << 20;
const LIMIT: usize = 64 * MIB;
const THREADS: usize = 4;

/// One large object; and many of 1 MiB through a limit of 64 MiB.
pub fn peak(config: Config) -> Report {
    let mut report = Report::default();
    let series = |name: &str, value: f64| Series::new(name, vec![value]);
    let work = "create and seal 100 MiB: peak heap, of the object";
    let ours = series(OURS, large());
    let line = Line::absolute(work, &ours, 1.01);
    report.lines.push(line.in_unit("x"));
    let work = "peak live bytes of a limit of 64 MiB, 1 MiB objects, 4 threads";
    let pushes = config.size(100_000).min(1024) / THREADS;
    let ours = series(OURS, of_limit(|| create(pushes)));
    let line = Line::absolute(work, &ours, 100.0);
    report.lines.push(line.in_unit("%"));
    let peers = [
        series("moka, by insert", of_limit(|| moka(pushes))),
        series("quick_cache, by insert", of_limit(|| quick(pushes))),
    ];
    report.note(work, "%", peers);
    report
}

fn large() -> f64 {
    let store = InMemoryStore::new(200 * MIB as u64);
    let run = || {
        let mut builder = store.create(100 * MIB).expect("there is room");
        builder.as_mut_slice().fill(1);
        builder.seal().expect("it is all written")
    };
    let (_, peak) = memory::peak(run);
    peak as f64 / (100 * MIB) as f64
}

/// In percent.
fn of_limit(run: impl FnOnce()) -> f64 {
    let ((), peak) = memory::peak(run);
    100.0 * peak as f64 / LIMIT as f64
}

fn on_threads(work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

fn create(pushes: usize) {
    let store = InMemoryStore::new(LIMIT as u64);
    on_threads(|_| {
        for _ in 0..pushes {
            match store.create(MIB) {
                Ok(mut builder) => {
                    builder.as_mut_slice().fill(1);
                    builder.seal().expect("it is all written");
                }
                Err(ObjectError::Full(_)) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

fn moka(pushes: usize) {
    let cache = moka::sync::Cache::builder()
        .max_capacity(LIMIT as u64)
        .weigher(|_: &u64, bytes: &Bytes| bytes.len() as u32)
        .build();
    on_threads(|thread| {
        for n in 0..pushes as u64 {
            cache.insert(n * THREADS as u64 + thread, Bytes::from(vec![1; MIB]));
        }
    });
}

#[derive(Clone)]
struct Lengths;

impl quick_cache::Weighter<u64, Bytes> for Lengths {
    fn weight(&self, _: &u64, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

fn quick(pushes: usize) {
    let cache = quick_cache::sync::Cache::with_weighter(64, LIMIT as u64, Lengths);
    on_threads(|thread| {
        for n in 0..pushes as u64 {
            cache.insert(n * THREADS as u64 + thread, Bytes::from(vec![1; MIB]));
        }
    });
}
