//! A cache and its model, side by side.

mod calls;
mod puts;
mod settle;
mod steps;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mapless::cache::{Held, ManualClock, TICK};
use mapless::{ClockCache, Guard};

use crate::cache_model::{Dull, Event, Key, Ledger, Model, Value};
use settle::{EXPLICIT, WEIGHTLESS};
use steps::How;
pub(crate) use steps::{Setup, Step};

type Cache = ClockCache<Key, Value, Dull>;

/// A cache, what is held of it, and what it is to contain.
pub(crate) struct World {
    setup: Setup,
    cache: Cache,
    clock: ManualClock,
    told: Arc<Mutex<Vec<Event>>>,
    model: Model,
    ledger: Arc<Ledger>,
    held: Vec<Held<Key, Value, Dull>>,
    guards: Vec<Guard>,
    capacity: u64,
    serial: u64,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let (clock, told) = (ManualClock::new(), Arc::default());
        let cache = cache(&setup, &clock, &told);
        // The clock starts where no deadline is near the end of its numbers.
        clock.advance(Duration::from_secs(10));
        Self {
            cache,
            clock,
            told,
            model: Model {
                now: 1_000,
                live: setup.live,
                idle: setup.idle,
                ..Model::default()
            },
            ledger: Arc::default(),
            held: Vec::new(),
            guards: Vec::new(),
            capacity: setup.capacity,
            serial: 0,
            setup,
        }
    }

    fn key(&self, n: u8) -> Key {
        Key::new(n, &self.ledger)
    }

    fn value(&mut self, weight: u64) -> Value {
        self.serial += 1;
        let weight = if self.setup.weighted { weight } else { 1 };
        Value::new(self.serial, weight, &self.ledger)
    }

    pub(crate) fn step(&mut self, step: Step) {
        let keys = self.setup.keys;
        match step {
            Step::Put(how, k, weight) => self.put(how, k % keys, weight),
            Step::Fill(k, n) => (0..n).for_each(|at| {
                let key = (u16::from(k) + u16::from(at)) % u16::from(keys);
                self.put(How::Upsert, key as u8, 1);
            }),
            Step::Get(k) | Step::GetIn(k) | Step::Peek(k) => self.get(step, k % keys),
            Step::GetMany(k, m) => self.get_many(k % keys, m % keys),
            Step::Hold(k) => self.hold(k % keys),
            Step::CloneHold(at) if at < self.held.len() => self.count_hold(self.held[at].clone()),
            Step::Release(at) if at < self.held.len() => self.release(at),
            Step::ReleaseAll => (0..self.held.len()).for_each(|_| self.release(0)),
            Step::Remove(k) | Step::Invalidate(k) | Step::RemoveIf(k, _) => {
                self.remove(step, k % keys);
            }
            Step::ComputeNop(k) => self.compute_nothing(k % keys),
            Step::ComputeRemove(k) => self.compute_removal(k % keys),
            Step::FailLoad(k) => self.fail_to_load(k % keys),
            Step::InvalidateAll => {
                self.cache.invalidate_all();
                self.settle(EXPLICIT);
                self.forget(|_, _| true);
            }
            Step::Retain(n) => self.retain(n),
            Step::Drain(n) => self.drain(n),
            Step::Iterate => {
                let mut all: Vec<_> = self.cache.iter().map(|(k, v)| (k.n, v.serial)).collect();
                all.sort_unstable();
                assert_eq!(all, self.model.all_alive(), "C1");
            }
            Step::SetCapacity(capacity) => self.set_capacity(capacity),
            Step::Advance(ticks) => {
                self.clock.advance(TICK * ticks as u32);
                self.model.now += ticks;
            }
            Step::Pin if self.guards.len() < 3 => self.guards.push(self.cache.pin()),
            Step::Unpin => drop(self.guards.pop()),
            Step::RunPending => self.run_pending(),
            _ => {}
        }
        self.check();
    }

    /// The end, in one order or another.
    pub(crate) fn end(self) {
        let Self {
            cache,
            held,
            guards,
            ledger,
            serial,
            ..
        } = self;
        match serial % 3 {
            0 => drop((cache, held, guards)),
            1 => drop((held, guards, cache)),
            _ => drop((guards, cache, held)),
        }
        assert_eq!(ledger.live(), 0, "D1: something was never dropped");
    }
}

fn cache(setup: &Setup, clock: &ManualClock, told: &Arc<Mutex<Vec<Event>>>) -> Cache {
    let mut builder = ClockCache::builder()
        .max_capacity(setup.capacity)
        .mode(setup.mode)
        .shards(setup.shards)
        .max_weightless(WEIGHTLESS)
        .clock(clock.clone())
        .hasher(Dull(setup.bits));
    let ticks = |ticks: u64| TICK * ticks as u32;
    if let Some(live) = setup.live.map(ticks) {
        builder = builder.time_to_live(live);
    }
    if let Some(idle) = setup.idle.map(ticks) {
        builder = builder.time_to_idle(idle);
    }
    if setup.weighted {
        builder = builder.weigher(|_, value: &Value| value.weight);
    }
    if setup.listened {
        let told = Arc::clone(told);
        builder = builder.eviction_listener(move |key: &Key, value: &Value, cause| {
            told.lock().unwrap().push((key.n, value.serial, cause));
        });
    }
    builder.build().unwrap()
}
