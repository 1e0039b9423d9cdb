//! Slots: taken and given back, and refused when all are taken.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::Config;
use crate::drive::{timed, together};
use crate::ours::{Block, Local};
use crate::peers::slots::{FreeList, SLOTS, Sharded, Slots};
use crate::report::{Line, Report};
use crate::rounds::{Side, race, side};
use crate::sets;

/// Slots that are taken, or given back, in one go. The ratio depends on it (what was given back
/// last is still in the cache), so there is a line for each and the bar holds for each.
const BURSTS: [usize; 3] = [1, 100, 1000];

/// One alloc and one free, 1 and 2 threads, empty and 90 % full at random.
pub fn churn(config: Config) -> Report {
    let mut report = Report::default();
    for fill in [0.0, 0.9] {
        for threads in [1, 2] {
            for burst in BURSTS {
                report.append(compare(
                    config,
                    Load {
                        fill,
                        threads,
                        burst,
                    },
                ));
            }
        }
    }
    report
}

#[derive(Clone, Copy)]
struct Load {
    fill: f64,
    threads: usize,
    burst: usize,
}

impl Load {
    fn work(self) -> String {
        let state = if self.fill > 0.0 {
            "90 % full"
        } else {
            "empty"
        };
        let Self { threads, burst, .. } = self;
        let s = if threads == 1 { "" } else { "s" };
        format!("alloc + free, {state}, {threads} thread{s}, {burst} at a time")
    }

    /// How many times faster than sharded-slab it must be.
    fn least(self) -> f64 {
        if self.fill > 0.0 && self.threads == 2 {
            2.5
        } else {
            3.0
        }
    }
}

fn compare(config: Config, load: Load) -> Report {
    let work = &load.work();
    let steps = config.steps(400_000);
    let sides = vec![
        contender::<Block>(load, steps),
        contender::<Sharded>(load, steps),
        contender::<FreeList>(load, steps),
        contender::<Local>(load, steps),
    ];
    let series = race(config.rounds, sides);
    let mut report = Report::default();
    report
        .lines
        .push(Line::ahead(work, &series[0], &series[1], load.least()));
    report
        .lines
        .push(Line::beside(work, &series[0], &series[2]));
    report
        .lines
        .push(Line::beside(work, &series[0], &series[3]));
    report
}

fn contender<'a, S: Slots + 'a>(load: Load, steps: usize) -> Side<'a> {
    side(S::NAME, move |_| {
        let pool = S::build();
        let prepare = |number| Worker::new(&pool, load, number);
        together(load.threads, prepare, |worker| worker.run(steps))
    })
}

/// One thread, with the slots that it holds.
struct Worker<'a, S: Slots + 'a> {
    hand: S::Hand<'a>,
    burst: usize,
    held: Vec<u64>,
    /// Which of the held slots goes next.
    picks: Vec<usize>,
}

impl<'a, S: Slots> Worker<'a, S> {
    /// Takes its whole share, gives a random part of it back and keeps the rest.
    fn new(pool: &'a S, load: Load, number: usize) -> Self {
        let hand = pool.hand();
        let mut dice = sets::dice(number as u64);
        let share = S::share(load.threads);
        let mut held: Vec<u64> = (0..share).map_while(|_| S::take(&hand)).collect();
        held.shuffle(&mut dice);
        let keep = (share as f64 * load.fill) as usize;
        held.drain(keep..).for_each(|slot| S::give(&hand, slot));
        // Of what is left of them at the end of a burst.
        let range = 0..keep.saturating_sub(load.burst).max(1);
        let picks = (0..load.burst.max(64) * 64)
            .map(|_| dice.random_range(range.clone()))
            .collect();
        let burst = load.burst;
        Self {
            hand,
            burst,
            held,
            picks,
        }
    }

    /// ns of an alloc and a free.
    fn run(mut self, steps: usize) -> f64 {
        let bursts = steps / self.burst;
        let picks = std::mem::take(&mut self.picks);
        let mut picks = picks.chunks_exact(self.burst).cycle();
        let empty = self.held.is_empty();
        timed(bursts * self.burst, || {
            for _ in 0..bursts {
                match picks.next() {
                    Some(picks) if !empty => self.give_and_take(picks),
                    _ => self.take_and_give(),
                }
            }
        })
    }

    /// In an empty pool: a burst of slots, given back in the order in which they came.
    fn take_and_give(&mut self) {
        self.held
            .extend((0..self.burst).map_while(|_| S::take(&self.hand)));
        self.held
            .drain(..)
            .for_each(|slot| S::give(&self.hand, slot));
    }

    /// In a full pool: random slots are given back, as many are taken.
    fn give_and_take(&mut self, picks: &[usize]) {
        for &pick in picks {
            let slot = self.held.swap_remove(pick);
            S::give(&self.hand, slot);
        }
        self.held
            .extend((0..self.burst).map_while(|_| S::take(&self.hand)));
    }
}

/// An alloc that finds every slot taken.
pub fn refusal(config: Config) -> Report {
    let series = race(
        config.rounds,
        vec![
            full::<Block>(config),
            full::<Sharded>(config),
            full::<FreeList>(config),
        ],
    );
    let work = format!("alloc refused, {SLOTS} slots taken");
    let mut report = Report::default();
    report
        .lines
        .push(Line::at_most(&work, &series[0], &series[1], 0.5));
    report
        .lines
        .push(Line::beside(&work, &series[0], &series[2]));
    report
}

fn full<'a, S: Slots + 'a>(config: Config) -> Side<'a> {
    let steps = config.steps(1_000_000);
    let pool = S::build();
    while S::take(&pool.hand()).is_some() {}
    side(S::NAME, move |_| {
        let hand = pool.hand();
        timed(steps, || {
            (0..steps).for_each(|_| assert!(S::take(&hand).is_none()))
        })
    })
}
