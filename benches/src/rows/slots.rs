//! Slots: taken and given back, and refused when all are taken.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::Config;
use crate::drive::{timed, together};
use crate::ours::Block;
use crate::peers::slots::{FreeList, SLOTS, Sharded, Slots};
use crate::report::{Line, Report};
use crate::rounds::{Side, race, side};
use crate::sets;

/// Slots that are taken, or given back, in one go.
const BURST: usize = 100;

/// One alloc and one free, 1 and 2 threads, empty and 90 % full at random.
pub fn churn(config: Config) -> Report {
    let mut report = Report::default();
    for (fill, state) in [(0.0, "empty"), (0.9, "90 % full")] {
        for threads in [1, 2] {
            let least = if fill > 0.0 && threads == 2 { 2.5 } else { 3.0 };
            let work = format!("alloc + free, {state}, {threads} threads");
            report.append(compare(config, &work, least, Load { fill, threads }));
        }
    }
    report
}

#[derive(Clone, Copy)]
struct Load {
    fill: f64,
    threads: usize,
}

fn compare(config: Config, work: &str, least: f64, load: Load) -> Report {
    let steps = config.steps(400_000) / BURST * BURST;
    let sides = vec![
        contender::<Block>(load, steps),
        contender::<Sharded>(load, steps),
        contender::<FreeList>(load, steps),
    ];
    let series = race(config.rounds, sides);
    let mut report = Report::default();
    report
        .lines
        .push(Line::ahead(work, &series[0], &series[1], least));
    report
        .lines
        .push(Line::beside(work, &series[0], &series[2]));
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
struct Worker<'a, S> {
    pool: &'a S,
    held: Vec<u64>,
    picks: Vec<usize>,
}

impl<'a, S: Slots> Worker<'a, S> {
    /// Takes its whole share, gives a random part of it back and keeps the rest.
    fn new(pool: &'a S, load: Load, number: usize) -> Self {
        let mut dice = sets::dice(number as u64);
        let share = S::share(load.threads);
        let mut held: Vec<u64> = (0..share).map_while(|_| pool.take()).collect();
        held.shuffle(&mut dice);
        let keep = (share as f64 * load.fill) as usize;
        held.drain(keep..).for_each(|slot| pool.give(slot));
        // Of what is left of them at the end of a burst.
        let range = 0..keep.saturating_sub(BURST).max(1);
        let picks = (0..BURST * 64)
            .map(|_| dice.random_range(range.clone()))
            .collect();
        Self { pool, held, picks }
    }

    /// ns of an alloc and a free.
    fn run(mut self, steps: usize) -> f64 {
        if self.held.is_empty() {
            timed(steps, || {
                (0..steps / BURST).for_each(|_| self.take_and_give())
            })
        } else {
            timed(steps, || {
                (0..steps / BURST).for_each(|burst| self.give_and_take(burst))
            })
        }
    }

    /// In an empty pool: a burst of slots, given back in the order in which they came.
    fn take_and_give(&mut self) {
        self.held.extend((0..BURST).map_while(|_| self.pool.take()));
        self.held.drain(..).for_each(|slot| self.pool.give(slot));
    }

    /// In a full pool: random slots are given back, as many are taken.
    fn give_and_take(&mut self, burst: usize) {
        let from = burst % 64 * BURST;
        for &pick in &self.picks[from..from + BURST] {
            let slot = self.held.swap_remove(pick);
            self.pool.give(slot);
        }
        self.held.extend((0..BURST).map_while(|_| self.pool.take()));
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
    while pool.take().is_some() {}
    side(S::NAME, move |_| {
        timed(steps, || {
            (0..steps).for_each(|_| assert!(pool.take().is_none()))
        })
    })
}
