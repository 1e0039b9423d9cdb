//! Live bytes of a store, as the allocator counts them (SQLite's, as it counts them itself).

use std::path::Path;
use std::time::{Duration, Instant};

use mapless::{ByteLen, Durability, MultiStore, SizeClasses, StoreOptions};
use rand::Rng;

use super::{OBJECTS, OURS, PAYLOAD, everyone, folder, load};
use crate::Config;
use crate::memory::{grown, peak};
use crate::ours_store::{self, FILE, id};
use crate::peers::stores::{Open, Use};
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::sets::dice;

/// Loaded at once, and replaced in a row. The journal keeps a buffer as long as the longest record
/// that it wrote: a short one, if they are few.
const SOME: usize = 1000;
/// How many large objects there are.
const LARGE: usize = 10_000;

/// At rest, after a reopen, while a tenth is replaced every second, and of large objects.
pub fn memory(config: Config) -> Report {
    let objects = config.size(OBJECTS);
    let mut report = Report::default();
    let work = format!("memory an object, {objects} objects of 64 B");
    for (name, mut open) in everyone() {
        if name == OURS {
            open = |folder, _| Box::new(buffered(folder));
        }
        let (loaded, reopened) = at_rest(open, objects);
        let one = |bytes: f64| Series::new(name, vec![bytes / objects as f64]);
        let states = [("at rest", loaded), ("after a reopen", reopened)];
        for (state, bytes) in states {
            let (work, series) = (format!("{work}, {state}"), one(bytes));
            if name == OURS {
                let line = Line::absolute(work, &series, 0.25).in_unit("B");
                report.lines.push(line);
            } else {
                report.note(&work, "B", [series]);
            }
        }
    }
    report.append(busy(config, objects));
    report.append(large(config));
    report
}

/// Each record is written at once, so that none collect in the journal's buffer.
fn buffered(folder: &Path) -> MultiStore {
    let options = StoreOptions::new().durability(Durability::Buffered);
    let store = options.open_or_create(folder.join(FILE));
    store.expect("a store can be made here")
}

/// Bytes in the store that loaded them, and in one that opened them.
fn at_rest(open: Open, objects: usize) -> (f64, f64) {
    let folder = folder();
    let (store, loaded) = grown(|| {
        let store = open(folder.path(), Use::Bulk);
        drop(load(&*store, objects, SOME));
        store.sync();
        store
    });
    let loaded = loaded + store.unseen();
    drop(store);
    let (store, reopened) = grown(|| open(folder.path(), Use::Bulk));
    (loaded as f64, (reopened + store.unseen()) as f64)
}

/// The highest while every second a tenth of the objects is deleted, and others are put.
fn busy(config: Config, objects: usize) -> Report {
    let folder = folder();
    let mut keys = Vec::with_capacity(objects);
    let (store, rest) = grown(|| {
        let store = buffered(folder.path());
        (0..objects.div_ceil(SOME)).for_each(|_| keys.extend(load(&store, SOME, SOME)));
        store
    });
    let seconds = if config.quick { 1 } else { 5 };
    let mut pace = Pace::new(objects as f64 / 10.0);
    let mut dice = dice(8);
    let time = Duration::from_secs(seconds);
    let ((), above) = peak(|| {
        while pace.start.elapsed() < time {
            let at = dice.random_range(0..keys.len() - SOME);
            for key in &mut keys[at..at + SOME] {
                store.delete(id(*key)).expect("it was there");
                *key = store.put(PAYLOAD).expect("there is room").get();
            }
            pace.step(SOME);
        }
    });
    let one = |value| Series::new(OURS, vec![value]);
    let work =
        format!("memory an object, {objects} objects of 64 B, a tenth replaced every second");
    let bytes = one((rest + above) as f64 / objects as f64);
    let mut report = Report::default();
    report
        .lines
        .push(Line::absolute(&work, &bytes, 0.5).in_unit("B"));
    let rate = one(pace.done as f64 / pace.start.elapsed().as_secs_f64());
    report.note(&format!("{work}: how many were"), "/s", [rate]);
    report
}

/// Not more than so many steps a second.
struct Pace {
    start: Instant,
    rate: f64,
    done: u64,
}

impl Pace {
    fn new(rate: f64) -> Self {
        let (start, done) = (Instant::now(), 0);
        Self { start, rate, done }
    }

    fn step(&mut self, n: usize) {
        self.done += n as u64;
        let due = Duration::from_secs_f64(self.done as f64 / self.rate);
        std::thread::sleep(due.saturating_sub(self.start.elapsed()));
    }
}

/// Objects above the largest class, which is a small one here, so that they are.
fn large(config: Config) -> Report {
    let (folder, objects) = (folder(), config.size(LARGE));
    let path = folder.path().join(FILE);
    let options = || {
        let small = (1..=64).map(|n| ByteLen::new(n * 16));
        let classes = SizeClasses::new(small).expect("they ascend");
        StoreOptions::new()
            .durability(Durability::Buffered)
            .size_classes(classes)
    };
    let bytes = vec![7; 4000];
    let fill = |store: &MultiStore| {
        for _ in 0..objects {
            store.put(&bytes).expect("there is room");
        }
        store.sync().expect("a file can be synced");
    };
    let (store, loaded) = grown(|| {
        let store = options().create(&path).expect("a store can be made here");
        fill(&store);
        store
    });
    drop(store);
    let (_store, reopened) = grown(|| ours_store::open(folder.path(), Use::Bulk));
    let work = format!("memory an object, {objects} objects above the largest class");
    let mut report = Report::default();
    for (state, bytes) in [("at rest", loaded), ("after a reopen", reopened)] {
        let each = Series::new(OURS, vec![bytes as f64 / objects as f64]);
        let line = Line::absolute(format!("{work}, {state}"), &each, 48.0);
        report.lines.push(line.in_unit("B"));
    }
    report
}
