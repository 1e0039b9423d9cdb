//! Objects come in.

use std::collections::VecDeque;

use bytes::Bytes;
use mapless::{InMemoryStore, ObjectId};

use super::{AMPLE, OURS, payload};
use crate::Config;
use crate::latency::{Seen, Tails};
use crate::memory::uncounted;
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::ticks;

const MIB: usize = 1 << 20;
/// So many objects are kept live.
const KEPT: usize = 32;
const COPY: &str = "allocate, copy in, keep live";

/// An owned `Bytes` of 64 KiB; and of 1 MiB, create, write and seal, and a typed get.
pub fn put(config: Config) -> Report {
    uncounted(|| {
        let mut report = owned(config, AMPLE, "room");
        report.append(owned(config, 16 << 20, "evicting"));
        report.append(sealed(config));
        report.append(typed(config));
        report
    })
}

/// p50 in ns, a figure a round.
fn medians(config: Config, name: &str, steps: usize, mut each: impl FnMut() -> u64) -> Series {
    let mut tails = Tails::default();
    for round in 0..=config.rounds {
        let mut seen = Seen::default();
        (0..steps).for_each(|_| seen.add(each()));
        tails.push(round, seen.tail());
    }
    let [p50, ..] = tails.series(name);
    p50
}

fn clocked<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let start = ticks::now();
    let made = work();
    (made, ticks::now() - start)
}

fn owned(config: Config, limit: u64, state: &str) -> Report {
    let len = 64 << 10;
    let store = InMemoryStore::new(limit);
    let mut ready: VecDeque<Bytes> = (0..1024).map(|_| payload(len)).collect();
    let mut put = 0;
    let ours = medians(config, OURS, config.steps(20_000), || {
        // A buffer that was put before: nobody else has written it meanwhile.
        let bytes = ready.pop_front().expect("there are some");
        ready.push_back(bytes.clone());
        let (id, took) = clocked(|| store.put_bytes(bytes));
        id.expect("it fits");
        put += 1;
        if limit == AMPLE && put % 1000 == 0 {
            store.clear();
        }
        took
    });
    let work = format!("`put_bytes` of an owned 64 KiB, {state}, p50");
    let mut report = Report::default();
    report.lines.push(Line::absolute(work, &ours, 1000.0));
    report
}

/// Lets the two take turns, so that both find the allocator as the other left it.
fn beside(
    config: Config,
    work: &str,
    mut ours: impl FnMut() -> u64,
    mut theirs: impl FnMut() -> u64,
) -> Report {
    let (mut our_tails, mut their_tails) = (Tails::default(), Tails::default());
    for round in 0..=config.rounds {
        let (mut our, mut their) = (Seen::default(), Seen::default());
        for _ in 0..config.steps(1000).max(50) {
            our.add(ours());
            their.add(theirs());
        }
        our_tails.push(round, our.tail());
        their_tails.push(round, their.tail());
    }
    let ([ours, ..], [theirs, ..]) = (our_tails.series(OURS), their_tails.series(COPY));
    let mut report = Report::default();
    report.lines.push(Line::at_most(work, &ours, &theirs, 1.2));
    report
}

/// A copy of 1 MiB that is kept, in the place of the oldest one.
fn keep(kept: &mut VecDeque<Vec<u8>>, from: &[u8]) -> u64 {
    if kept.len() >= KEPT {
        kept.pop_front();
    }
    let (copy, took) = clocked(|| {
        let mut copy = Vec::with_capacity(from.len());
        copy.extend_from_slice(from);
        copy
    });
    kept.push_back(copy);
    took
}

fn sealed(config: Config) -> Report {
    let store = InMemoryStore::new(AMPLE);
    let (from, mut copies, mut ids) = (vec![1; MIB], VecDeque::new(), VecDeque::new());
    let ours = || {
        if ids.len() >= KEPT {
            let id = ids.pop_front().expect("there are some");
            store.delete(id).expect("it is there");
        }
        let (id, took) = clocked(|| create(&store, &from));
        ids.push_back(id);
        took
    };
    let theirs = || keep(&mut copies, &from);
    beside(config, "create, write and seal 1 MiB, p50", ours, theirs)
}

fn create(store: &InMemoryStore, from: &[u8]) -> ObjectId {
    let mut builder = store.create(from.len()).expect("there is room");
    builder.write(from).expect("it is as long");
    builder.seal().expect("it is all written")
}

fn typed(config: Config) -> Report {
    let store = InMemoryStore::new(AMPLE);
    let from = vec![1; MIB];
    let id = store.put(from.clone()).expect("there is room");
    let (mut ours_kept, mut copies) = (VecDeque::new(), VecDeque::new());
    let ours = || {
        if ours_kept.len() >= KEPT {
            ours_kept.pop_front();
        }
        let (got, took) = clocked(|| store.get::<Vec<u8>>(id));
        ours_kept.push_back(got.expect("it is there"));
        took
    };
    let theirs = || keep(&mut copies, &from);
    beside(
        config,
        "typed `get` of a 1 MiB `Vec<u8>`, p50",
        ours,
        theirs,
    )
}
