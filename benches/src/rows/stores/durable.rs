//! Writes that are durable when they return, one by one and by several threads.
//!
//! Contenders take turns operation by operation, so that whatever the disk does meanwhile hits all
//! of them; a round's figure is its median.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::{BATCH, OURS, PAYLOAD, everyone, file_system, folder, load, named, written};
use crate::Config;
use crate::latency::{Seen, Tails};
use crate::memory::uncounted;
use crate::ours_store::{self, id};
use crate::peers::stores::{PEERS, Store, Use};
use crate::report::{Line, Report};
use crate::rounds::{Series, Spread, race, side};
use crate::ticks;

const RAW_PUT: &str = "two bare pwrites, fdatasync";
const RAW_RECORD: &str = "a bare pwrite, fdatasync";
/// How long the bare file's ring is, as a store's.
const RING: u64 = 16 << 20;
/// Of the records of a put, an overwrite of 64 bytes, and a delete.
const RECORDS: [usize; 3] = [64, 128, 40];
/// So many operations a round has at least, however long the disk takes,
const LEAST: usize = 10;
/// and no more are begun after this.
const LONGEST: Duration = Duration::from_millis(200);
/// Of an object of 64 bytes with its header.
const SLOT: usize = 80;

/// A journal, and slots behind it, without anything else: what a store cannot do without.
struct Raw {
    file: File,
    next: u64,
    slots: u64,
    len: u64,
}

impl Raw {
    /// A file that was written before, ring and slots.
    fn reused(folder: &Path, len: u64) -> Self {
        let file = written(&folder.join("raw"), RING + len);
        Self::over(file, len)
    }

    /// One whose slots have space, and were never written.
    fn fresh(folder: &Path, len: u64) -> Self {
        use mapless::Disk;
        let file = written(&folder.join("raw"), RING);
        let disk = mapless::FileDisk::new(file.try_clone().expect("a handle"));
        disk.reserve(RING, len).expect("there is room");
        file.sync_all().expect("a file can be synced");
        Self::over(file, len)
    }

    fn over(file: File, len: u64) -> Self {
        let (next, slots) = (0, 0);
        Self {
            file,
            next,
            slots,
            len,
        }
    }

    fn record(&mut self, len: usize) {
        let at = self.next % RING;
        let at = if at + len as u64 > RING { 0 } else { at };
        self.next = at + len as u64;
        self.write(&[1; 128][..len], at);
        self.file.sync_data().expect("a file can be synced");
    }

    fn put(&mut self, slot: u64) {
        self.write(&[2; SLOT], RING + slot % (self.len - SLOT as u64));
        self.record(RECORDS[0]);
    }

    fn put_next(&mut self) {
        self.put(self.slots);
        self.slots += SLOT as u64;
    }

    fn write(&self, bytes: &[u8], at: u64) {
        self.file.write_all_at(bytes, at).expect("there is room");
    }
}

/// Medians in µs of two who take turns.
fn turns(
    rounds: usize,
    steps: usize,
    mut prepare: impl FnMut(),
    names: [&str; 2],
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> [Series; 2] {
    let mut tails = [Tails::default(), Tails::default()];
    for round in 0..=rounds {
        prepare();
        let mut seen = [Seen::default(), Seen::default()];
        let start = Instant::now();
        for _ in (0..steps).take_while(|step| *step < LEAST || start.elapsed() < LONGEST) {
            seen[0].add(ticked(&mut ours));
            seen[1].add(ticked(&mut theirs));
        }
        for (tails, seen) in tails.iter_mut().zip(&seen) {
            tails.push(round, seen.tail());
        }
    }
    let both = std::array::from_fn(|at| micro(tails[at].series(names[at])[0].clone()));
    warn(&both[1]);
    both
}

/// A disk that lets so many syncs a second through, and no more, makes everybody equal.
fn warn(bare: &Series) {
    let Spread { median, .. } = bare.spread();
    if median > 1000.0 {
        eprintln!(
            "a bare sync takes {median:.0} µs: the disk is held back, these ratios say nothing"
        );
    }
}

fn micro(series: Series) -> Series {
    let values = series.values.iter().map(|ns| ns / 1e3).collect();
    Series::new(series.name, values)
}

fn ticked(run: impl FnOnce()) -> u64 {
    let start = ticks::now();
    run();
    ticks::now() - start
}

fn work(what: &str) -> String {
    format!("durable {what}, 64 B, 1 thread, {}, median", file_system())
}

/// Puts beside the same writes done bare, into slots that were never used and into others.
pub fn put(config: Config) -> Report {
    uncounted(|| {
        let mut report = fresh(config);
        report.append(reused(config));
        let put: Change = |store, _| {
            store.put(&PAYLOAD);
        };
        report.append(peers(config, "put", put));
        report
    })
}

fn fresh(config: Config) -> Report {
    let (folder, steps) = (folder(), config.steps(300).max(20));
    let store = ours_store::open(folder.path(), Use::Durable);
    let mut raw = Raw::fresh(folder.path(), 64 << 20);
    let names = [OURS, RAW_PUT];
    let ours = || {
        Store::put(&store, &PAYLOAD);
    };
    let [ours, theirs] = turns(config.rounds, steps, || (), names, ours, || raw.put_next());
    one(&work("put, fresh slots"), &ours, &theirs, 1.15)
}

/// Before each round, as many objects as are put in it are deleted.
fn reused(config: Config) -> Report {
    let (folder, steps) = (folder(), config.steps(300).max(20));
    let store = ours_store::open(folder.path(), Use::Durable);
    let mut keys = load(&store, config.size(500_000), BATCH);
    let mut raw = Raw::reused(folder.path(), 64 << 20);
    let (mut dice, mut given) = (crate::sets::dice(3), Vec::new());
    let freed = || {
        use rand::Rng;
        for _ in 0..steps {
            let key = keys.swap_remove(dice.random_range(0..keys.len()));
            let gone = store.delete_with(id(key), mapless::Durability::None);
            gone.expect("it was there");
        }
        store.sync().expect("a file can be synced");
    };
    let last = std::cell::Cell::new(0);
    let ours = || {
        let key = Store::put(&store, &PAYLOAD);
        given.push(key);
        last.set(key);
    };
    // Its own file, in a place as far from the one before as ours.
    let theirs = || {
        let extent = store.extent(id(last.get())).expect("it is there");
        raw.put(extent.offset.get());
    };
    let names = [OURS, RAW_PUT];
    let [ours, theirs] = turns(config.rounds, steps, freed, names, ours, theirs);
    one(&work("put, reused slots"), &ours, &theirs, 1.15)
}

fn one(work: &str, ours: &Series, theirs: &Series, most: f64) -> Report {
    let line = Line::at_most(work, ours, theirs, most).in_unit("µs");
    Report {
        lines: vec![line],
        ..Report::default()
    }
}

/// Overwrites and deletes beside the write of a record.
pub fn change(config: Config) -> Report {
    uncounted(|| {
        let mut report = Report::default();
        let overwrite: Change = |store, key| store.overwrite(key, &PAYLOAD);
        let delete: Change = |store, key| store.delete(key);
        let both = [("overwrite", overwrite, 1), ("delete", delete, 2)];
        for (what, run, record) in both {
            report.append(beside_a_record(config, what, run, RECORDS[record]));
            report.append(peers(config, what, run));
        }
        report
    })
}

type Change = fn(&dyn Store, u64);

fn beside_a_record(config: Config, what: &str, run: Change, record: usize) -> Report {
    let (folder, steps) = (folder(), config.steps(300).max(20));
    let store = ours_store::open(folder.path(), Use::Durable);
    let mut keys = load(&store, config.size(500_000), BATCH);
    shuffle(&mut keys);
    let mut raw = Raw::reused(folder.path(), 1 << 20);
    let mut keys = keys.into_iter();
    let ours = || run(&store, keys.next().expect("more than enough"));
    let names = [OURS, RAW_RECORD];
    let theirs = || raw.record(record);
    let [ours, theirs] = turns(config.rounds, steps, || (), names, ours, theirs);
    one(&work(what), &ours, &theirs, 1.3)
}

fn shuffle(keys: &mut [u64]) {
    use rand::seq::SliceRandom;
    keys.shuffle(&mut crate::sets::dice(5));
}

/// How long others take for it, and this crate's store beside them once more.
fn peers(config: Config, what: &str, run: Change) -> Report {
    let steps = config.steps(100).max(10);
    let (mut kept, mut sides) = (Vec::new(), Vec::new());
    for (name, open) in everyone() {
        let folder = folder();
        let store = open(folder.path(), Use::Durable);
        let mut keys = load(&*store, config.size(100_000), BATCH);
        store.sync();
        shuffle(&mut keys);
        let mut keys = keys.into_iter();
        sides.push(side(name, move |_| {
            let (mut seen, start) = (Seen::default(), Instant::now());
            for step in 0..steps {
                if step >= LEAST && start.elapsed() >= LONGEST / 4 {
                    break;
                }
                let key = keys.next().expect("more than enough");
                seen.add(ticked(|| run(&*store, key)));
            }
            seen.tail().p50 / 1e3
        }));
        kept.push(folder);
    }
    let series = race(config.rounds.min(5), sides);
    let work = format!("{}, beside others", work(what));
    let mut report = Report::default();
    for (name, _) in PEERS {
        let line = Line::beside(&work, named(&series, OURS), named(&series, name));
        report.lines.push(line.in_unit("µs"));
    }
    report
}

/// How much more several threads put than one.
pub fn threads(config: Config) -> Report {
    uncounted(|| {
        let time = Duration::from_millis(if config.quick { 20 } else { 100 });
        let mut report = Report::default();
        for (name, open) in everyone() {
            let folder = folder();
            let store = open(folder.path(), Use::Durable);
            let store = &*store;
            let many = name == OURS;
            let rounds = if many { config.rounds } else { 3 };
            let rate = |threads: usize| move |_| rate(store, threads, time);
            let sides = vec![side(MANY, rate(8)), side("1 thread", rate(1))];
            let series = race(rounds, sides);
            let work = format!("durable put, 64 B, 8 threads, {}, {name}", file_system());
            let line = if many {
                Line::at_least(&work, &series[0], &series[1], 4.0)
            } else {
                Line::beside(&work, &series[0], &series[1])
            };
            report.lines.push(line.in_unit("/s"));
        }
        report
    })
}

const MANY: &str = "8 threads";

/// Puts a second, of all threads together, which begin no more after `time`.
fn rate(store: &dyn Store, threads: usize, time: Duration) -> f64 {
    let gate = Barrier::new(threads);
    let work = |store: Box<dyn Store>| {
        gate.wait();
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < time {
            store.put(&PAYLOAD);
            done += 1;
        }
        f64::from(done) / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads = (0..threads).map(|_| {
            let (store, work) = (store.another(), &work);
            scope.spawn(move || work(store))
        });
        let threads: Vec<_> = threads.collect();
        let rates = threads
            .into_iter()
            .map(|thread| thread.join().expect("a bench thread"));
        rates.sum()
    })
}
