//! Lookups beside a writer: their median and their tail.
//!
//! The set is dense; every second range is stable, and those are asked for. The writer inserts
//! the ranges between them in random order, then removes them, and begins again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rand::seq::SliceRandom;

use crate::Config;
use crate::baseline::AtomicTable;
use crate::cores::stay_on;
use crate::latency::{self, TIMED, Tail, Tails};
use crate::ours::{Index, id};
use crate::peers::ranges::{Growing, RangeMap};
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::sets::{self, Ranges, Window, window};
use crate::ticks;

/// A thousand inserts a second at a million ranges, against none.
pub fn slow(config: Config) -> Report {
    let stage = Stage::new(config.size(1_000_000));
    let ids = stage.stable.queries(config.size(1 << 21));
    let mut tails = [Tails::default(), Tails::default()];
    for round in 0..=config.rounds {
        let ids = window(&ids, round, config.steps(1 << 21));
        for (with, tails) in tails.iter_mut().enumerate() {
            let run = || stage.read(ids, TIMED);
            let tail = if with == 1 {
                beside(|stop| stage.write(stop, 1000), run).0
            } else {
                alone(run)
            };
            tails.push(round, tail);
        }
    }
    let [none, some] = tails;
    let [some, none] = [some.series("1,000 inserts/s"), none.series("no writer")];
    let work = |what: &str| format!("{TIMED} `get_in` beside 1,000 inserts/s, {what}");
    let mut report = Report::default();
    report
        .lines
        .push(Line::beside(work("p50"), &some[0], &none[0]));
    report
        .lines
        .push(Line::beside(work("p99"), &some[1], &none[1]));
    report
        .lines
        .push(Line::at_most(work("p99.9"), &some[2], &none[2], 2.0));
    report
}

/// A writer that never rests, against a table of atomic words whose writer stores as often.
pub fn flat_out(config: Config) -> Report {
    let mut report = Report::default();
    for n in [10_000, 1_000_000] {
        for timed in [TIMED, 1] {
            report.append(flat_out_at(config, config.size(n), timed));
        }
    }
    report
}

fn flat_out_at(config: Config, n: usize, timed: usize) -> Report {
    let stage = Stage::new(n);
    let table = AtomicTable::dense(2 * n);
    let ids = stage.stable.queries(config.size(1 << 21));
    let (mut ours, mut bare, mut rates) = (Tails::default(), Tails::default(), Vec::new());
    for round in 0..=config.rounds {
        let ids = window(&ids, round, config.steps(1 << 19));
        let (tail, rate) = beside(|stop| stage.write(stop, 0), || stage.read(ids, timed));
        ours.push(round, tail);
        rates.push(rate);
        let read = || latency::of(ids, timed, |id| table.get(id));
        bare.push(
            round,
            beside(|stop| stage.store(&table, stop, rate), read).0,
        );
    }
    let [ours, bare] = [ours.series("ours"), bare.series("bare atomic words")];
    let work =
        |what: &str| format!("{timed} `get_in` beside a writer flat out, {n} ranges, {what}");
    let mut report = Report::default();
    report
        .lines
        .push(Line::at_most(work("p50"), &ours[0], &bare[0], 1.5));
    report
        .lines
        .push(Line::at_most(work("p99"), &ours[1], &bare[1], 1.5));
    report
        .lines
        .push(Line::beside(work("p99.9"), &ours[2], &bare[2]));
    let rate = Series::new(
        "ours",
        rates.into_iter().skip(1).map(|rate| rate / 1e6).collect(),
    );
    report.note(&work("writes"), "M/s", [rate]);
    report
}

/// An index, what stays in it, and what comes and goes.
struct Stage {
    index: Index,
    stable: Ranges,
    moving: Vec<(u64, u64)>,
    /// How many writes were done to the index, and to the table; tells which is next.
    written: [AtomicU64; 2],
}

impl Stage {
    fn new(n: usize) -> Self {
        let (stable, mut moving) = sets::dense(2 * n).hold_out(2);
        moving.shuffle(&mut sets::dice(3));
        let index = Index::build(&stable);
        Self {
            index,
            stable,
            moving,
            written: Default::default(),
        }
    }

    fn read(&self, ids: Window<'_, u64>, timed: usize) -> Tail {
        let guard = self.index.hold();
        latency::of(ids, timed, |id| self.index.get(id, &guard))
    }

    /// Which range the next write is about, and whether it comes or goes.
    fn next(&self, written: &AtomicU64) -> ((u64, u64), bool) {
        // Relaxed: there is one writer at a time.
        let number = written.load(Relaxed) as usize;
        written.store(number as u64 + 1, Relaxed);
        let comes = (number / self.moving.len()) & 1 == 0;
        (self.moving[number % self.moving.len()], comes)
    }

    /// Inserts and removes, `rate` a second (0: as fast as can be), until told to stop.
    fn write(&self, stop: &AtomicBool, rate: u64) -> u64 {
        let mut count = 0;
        while !stop.load(Relaxed) {
            let ((first, len), comes) = self.next(&self.written[0]);
            if comes {
                self.index.insert(first, len, 1);
            } else {
                self.index.0.remove(id(first)).expect("it was inserted");
            }
            count += 1;
            if rate > 0 {
                std::thread::sleep(Duration::from_secs(1) / rate as u32);
            }
        }
        count
    }

    /// Stores into the same places of a table, `rate` a second.
    fn store(&self, table: &AtomicTable, stop: &AtomicBool, rate: f64) -> u64 {
        let every = ticks::per_ns() * 1e9 / rate;
        let start = ticks::now();
        let mut count = 0;
        while !stop.load(Relaxed) {
            let ((first, _), comes) = self.next(&self.written[1]);
            table.set(first, u64::from(comes));
            count += 1;
            let due = start + (count as f64 * every) as u64;
            while ticks::now() < due {}
        }
        count
    }
}

/// Runs `read` on one core while a thread on another writes; how it went, and how many writes
/// there were a second.
fn beside<T: Send>(
    write: impl Fn(&AtomicBool) -> u64 + Sync,
    read: impl FnOnce() -> T + Send,
) -> (T, f64) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            stay_on(1);
            let start = ticks::now();
            let count = write(&stop);
            let ns = (ticks::now() - start) as f64 / ticks::per_ns();
            count as f64 / ns * 1e9
        });
        std::thread::sleep(Duration::from_millis(5));
        let answer = alone(read);
        stop.store(true, Relaxed);
        (answer, writer.join().expect("the writer"))
    })
}

/// Runs `read` on one core, where it always runs.
fn alone<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            stay_on(0);
            read()
        });
        reader.join().expect("the reader")
    })
}
