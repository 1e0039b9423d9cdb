//! Every contender on every trace at every capacity.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use super::contender::{Contender, Counts, Kind, Plan};
use super::trace::{Size, Trace};

/// What one contender did on one trace at one capacity.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Which trace.
    pub trace: usize,
    /// Which capacity.
    pub size: Size,
    /// Who.
    pub contender: usize,
    /// Requests, and their bytes, that found nothing.
    pub counts: Counts,
    /// The same of FIFO and of the optimum, at the capacity that the contender really has.
    pub bounds: [Counts; 2],
}

/// A part of the work: the cells of one trace at one capacity of one contender.
#[derive(Clone, Copy)]
struct Job {
    trace: usize,
    size: Size,
    contender: usize,
}

/// Runs them, `jobs` at a time; `tick` is called after each.
pub fn all(
    traces: &[Trace],
    contenders: &[Contender],
    parts: &[f64],
    jobs: usize,
    tick: &(dyn Fn() + Sync),
) -> Vec<Cell> {
    let work = work(traces, contenders, parts);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                // Relaxed: a number is drawn, nothing is published by it.
                while let Some(job) = work.get(next.fetch_add(1, Relaxed)) {
                    let found = job.run(traces, contenders);
                    done.lock().expect("no panic").extend(found);
                    tick();
                }
            });
        }
    });
    let mut cells = done.into_inner().expect("no panic");
    fill_bounds(&mut cells, contenders, traces);
    cells.sort_by_key(|cell| (cell.trace, cell.contender, cell.size.capacity));
    cells
}

/// How many times `all` will call `tick`.
#[must_use]
pub fn ticks(traces: &[Trace], contenders: &[Contender], parts: &[f64]) -> usize {
    work(traces, contenders, parts).len()
}

fn work(traces: &[Trace], contenders: &[Contender], parts: &[f64]) -> Vec<Job> {
    let mut work = Vec::new();
    for (trace, of) in traces.iter().enumerate() {
        for size in of.sizes_at(parts) {
            work.extend((0..contenders.len()).map(|contender| Job {
                trace,
                size,
                contender,
            }));
        }
    }
    // The longest first.
    work.sort_by_key(|job| std::cmp::Reverse(traces[job.trace].keys.len()));
    work
}

impl Job {
    fn run(&self, traces: &[Trace], contenders: &[Contender]) -> Option<Cell> {
        let trace = &traces[self.trace];
        let plan = Plan {
            capacity: self.size.capacity,
            entries: self.size.entries,
            sized: trace.sizes.is_some(),
        };
        let counts = contenders[self.contender].run(trace, &plan)?;
        let real = counts.real_capacity.filter(|real| *real != plan.capacity);
        let bounds = real.map(|capacity| {
            let plan = Plan { capacity, ..plan };
            [Kind::Fifo, Kind::Belady].map(|kind| {
                let bound = Contender { name: "", kind };
                bound.run(trace, &plan).unwrap_or_default()
            })
        });
        Some(Cell {
            trace: self.trace,
            size: self.size,
            contender: self.contender,
            counts,
            bounds: bounds.unwrap_or_default(),
        })
    }
}

/// Gives each cell the bounds of its trace and capacity, unless it has its own.
fn fill_bounds(cells: &mut [Cell], contenders: &[Contender], traces: &[Trace]) {
    let mut known = vec![Vec::new(); traces.len()];
    for cell in cells.iter() {
        let which = match contenders[cell.contender].kind {
            Kind::Fifo => 0,
            Kind::Belady => 1,
            _ => continue,
        };
        known[cell.trace].push((cell.size.capacity, which, cell.counts));
    }
    for cell in cells {
        if cell.bounds[0].misses > 0 {
            continue;
        }
        for &(capacity, which, counts) in &known[cell.trace] {
            if capacity == cell.size.capacity {
                cell.bounds[which] = counts;
            }
        }
    }
}

impl Cell {
    /// How many of FIFO's misses are gone, in percent.
    #[must_use]
    pub fn saved(&self) -> f64 {
        percent(
            self.bounds[0].misses,
            self.counts.misses,
            self.bounds[0].misses,
        )
    }

    /// How much of the way from FIFO to the optimum is gone, in percent; `None` if there is none.
    #[must_use]
    pub fn way(&self) -> Option<f64> {
        let [fifo, best] = self.bounds.map(|bound| bound.misses);
        (fifo > best).then(|| percent(fifo, self.counts.misses, fifo - best))
    }

    /// How many of FIFO's missed bytes are gone, in percent.
    #[must_use]
    pub fn bytes_saved(&self) -> f64 {
        let fifo = self.bounds[0].missed_bytes;
        percent(fifo, self.counts.missed_bytes, fifo)
    }
}

fn percent(from: u64, to: u64, of: u64) -> f64 {
    (from as f64 - to as f64) / of.max(1) as f64 * 100.0
}
