//! A whole cache, one call at a time, against a map.
//!
//! Properties
//! * C1  What is found is the newest value of its key, and what was removed or is over is not found.
//!   With a listener, the cache contains exactly what came in and was not told of.
//! * C2  The listener is told of each entry that leaves, once, ..
//! * C3  .. with the cause: `Size` where room was lacking, for as many entries as were needed;
//!   `Expired` where it was over; `Replaced` and `Explicit` where a call did it.
//! * C4  What is held is not evicted.
//! * C5  Counts and weights are exact after each call, and within the capacity.
//! * C6  Only what cannot fit is refused, and with the reason; nothing leaves for what can never fit.
//! * D1  Each key and value is dropped once; `run_pending_tasks` drops all that no guard keeps.

mod cache_model;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_model::{Dull, Event, Key, Ledger, Model, Value};
use mapless::cache::{Cause, Computed, Held, ManualClock, Mode, Op, Reason, Refused, TICK};
use mapless::{ClockCache, Guard};
use quickcheck::{Arbitrary, Gen, QuickCheck};

type Cache = ClockCache<Key, Value, Dull>;

/// In a window of the table there is room for so many.
const WINDOW: usize = 192;

#[derive(Clone, Debug)]
struct Setup {
    mode: Mode,
    shards: usize,
    weighted: bool,
    listened: bool,
    capacity: u64,
    /// The bits of a key that are hashed.
    bits: u8,
    keys: u8,
    live: Option<u64>,
    idle: Option<u64>,
}

impl Arbitrary for Setup {
    fn arbitrary(g: &mut Gen) -> Self {
        let ticks = [None, None, None, Some(0), Some(3), Some(9)];
        let bits = *g.choose(&[0, 1, 3, 0xFF, 0xFF]).unwrap();
        let (capacity, keys) = *g
            .choose(&[(0, 4), (1, 4), (7, 12), (20, 24), (60, 60), (230, 250)])
            .unwrap();
        Self {
            mode: *g.choose(&[Mode::Reachable, Mode::Live]).unwrap(),
            shards: *g.choose(&[1, 4]).unwrap(),
            weighted: bool::arbitrary(g),
            listened: u8::arbitrary(g) % 4 > 0,
            capacity,
            bits,
            keys,
            live: *g.choose(&ticks).unwrap(),
            idle: *g.choose(&ticks).unwrap(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Upsert,
    Wait,
    IfAbsent,
    IfPresent,
    Compute,
    Load,
    TryLoad,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(How, u8, u64),
    /// So many keys from here on.
    Fill(u8, u8),
    Get(u8),
    GetIn(u8),
    GetMany(u8, u8),
    Peek(u8),
    Hold(u8),
    CloneHold(usize),
    Release(usize),
    ReleaseAll,
    Remove(u8),
    Invalidate(u8),
    RemoveIf(u8, bool),
    ComputeNop(u8),
    ComputeRemove(u8),
    FailLoad(u8),
    InvalidateAll,
    Retain(u8),
    Drain(usize),
    Iterate,
    SetCapacity(u64),
    Advance(u64),
    Pin,
    Unpin,
    RunPending,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        use How::*;
        let (k, m) = (u8::arbitrary(g), u8::arbitrary(g));
        let n = usize::arbitrary(g) % 8;
        let hows = [
            Upsert, Upsert, Upsert, Wait, IfAbsent, IfPresent, Compute, Load, TryLoad,
        ];
        let weight = *g.choose(&[0, 1, 1, 1, 2, 3, 5, 9, 25, 70]).unwrap();
        match u8::arbitrary(g) % 64 {
            0..=22 => Self::Put(*g.choose(&hows).unwrap(), k, weight),
            23 => Self::Fill(k, m),
            24..=29 => Self::Get(k),
            30 | 31 => Self::GetIn(k),
            32 => Self::GetMany(k, m),
            33 => Self::Peek(k),
            34..=37 => Self::Hold(k),
            38 => Self::CloneHold(n),
            39..=41 => Self::Release(n),
            42 => Self::ReleaseAll,
            43 | 44 => Self::Remove(k),
            45 => Self::Invalidate(k),
            46 => Self::RemoveIf(k, m % 2 == 0),
            47 => Self::ComputeNop(k),
            48 | 49 => Self::ComputeRemove(k),
            50 => Self::FailLoad(k),
            51 => Self::InvalidateAll,
            52 => Self::Retain(m % 4),
            53 => Self::Drain(n),
            54 => Self::Iterate,
            55 | 56 => Self::SetCapacity(u64::from(m) % 80),
            57..=59 => Self::Advance(u64::from(m) % 5),
            60 | 61 => Self::Pin,
            62 => Self::Unpin,
            _ => Self::RunPending,
        }
    }
}

/// What a call may lead to beside what it is for.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    /// What is to come in weighs so much, under this key.
    coming: Option<(u8, u64)>,
    explicit: bool,
}

const NOTHING: Allowed = Allowed {
    coming: None,
    explicit: false,
};
const EXPLICIT: Allowed = Allowed {
    coming: None,
    explicit: true,
};

struct World {
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
    fn new(setup: Setup) -> Self {
        let (clock, told) = (ManualClock::new(), Arc::default());
        Self {
            cache: cache(&setup, &clock, &told),
            clock,
            told,
            model: Model {
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

    fn step(&mut self, step: Step) {
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

    fn put(&mut self, how: How, k: u8, weight: u64) {
        let value = self.value(weight);
        let (serial, weight) = (value.serial, value.weight);
        let seen = match how {
            How::Compute | How::Load | How::TryLoad => self.model.touch(k),
            _ => self.model.alive(k).map(|entry| entry.serial),
        };
        let result = self.call(how, k, value, seen);
        let Some(result) = result else { return };
        let coming = Some((k, weight));
        let before = self.model.entries.clone();
        let (sized, old) = self.settle(Allowed { coming, ..NOTHING });
        self.check_result((how, k), seen, weight, &result, sized);
        if result.is_ok() {
            if !self.setup.listened {
                self.model.entries.remove(&k);
            } else if old {
                assert!(before.contains_key(&k), "C3: nothing was replaced");
            }
            self.model.insert(k, serial, weight);
        }
    }

    /// Whether the value came in; nothing where a load found one.
    fn call(
        &mut self,
        how: How,
        k: u8,
        value: Value,
        seen: Option<u64>,
    ) -> Option<Result<(), Reason>> {
        let (key, cache, serial) = (self.key(k), &self.cache, value.serial);
        let inserts = cache.stats().inserts;
        let refused = |refused: Refused<Key, Value>| {
            assert_eq!((refused.key.n, refused.value.serial), (k, serial));
            refused.reason
        };
        let loaded = |got: Value| {
            assert_eq!(got.serial, seen.unwrap_or(serial), "C1: loaded");
            if seen.is_some() {
                return None;
            }
            let came_in = cache.stats().inserts > inserts;
            Some(came_in.then_some(()).ok_or(Reason::Contended)) // of whatever reason
        };
        match how {
            How::Upsert => Some(cache.insert(key, value).map_err(refused)),
            How::Wait => Some(cache.insert_wait(key, value).map_err(refused)),
            How::IfAbsent => Some(cache.insert_if_absent(key, value).map_err(refused)),
            How::IfPresent => Some(cache.replace(key, value).map_err(refused)),
            How::Compute => {
                let computed = cache.compute(key, |found| {
                    assert_eq!(found.map(|value| value.serial), seen, "C1: computed");
                    Op::Put(value)
                });
                Some(match computed {
                    Computed::Inserted(_) | Computed::ReplacedWith(_) => Ok(()),
                    Computed::Refused(value, reason) => {
                        assert_eq!(value.serial, serial);
                        Err(reason)
                    }
                    other => panic!("{other:?}"),
                })
            }
            How::Load => loaded(cache.get_or_insert_with(key, || value)),
            How::TryLoad => loaded(
                cache
                    .try_get_or_insert_with(key, || Ok::<_, ()>(value))
                    .unwrap(),
            ),
        }
    }

    /// C6.
    fn check_result(
        &self,
        (how, k): (How, u8),
        seen: Option<u64>,
        weight: u64,
        result: &Result<(), Reason>,
        sized: usize,
    ) {
        let loads = matches!(how, How::Load | How::TryLoad);
        let occupied = match how {
            How::IfAbsent => seen.is_some(),
            // The room for it may have been made by what it was to replace.
            How::IfPresent if result.is_err() => self.cache.peek(&k).is_none(),
            How::IfPresent => seen.is_none(),
            _ => false,
        };
        let fits = self.model.held_weight() + weight <= self.capacity;
        let weightless_held = self.model.holds.values().any(|hold| hold.0 == 0);
        let may = |reason| match reason {
            Reason::TooHeavy => weight > self.capacity,
            Reason::Occupancy => occupied,
            Reason::AllHeld if weight == 0 => weightless_held,
            Reason::AllHeld => !fits,
            Reason::Retained => self.setup.mode == Mode::Live && !self.guards.is_empty(),
            Reason::OwnGuard => how == How::Wait && !self.guards.is_empty(),
            _ => false,
        };
        match result {
            Ok(()) => assert!(fits && !occupied, "C6: {weight} fits not"),
            Err(_) if loads => assert!(
                [Reason::TooHeavy, Reason::AllHeld, Reason::Retained]
                    .into_iter()
                    .any(may),
                "C6: the loaded value did not come in"
            ),
            Err(reason) => assert!(may(*reason), "C6: refused for {reason:?}"),
        }
        assert!(fits || sized == 0, "C6: what can never fit evicts nothing");
    }

    /// Has the model follow what the listener was told; how many left by size, and whether one was
    /// replaced.
    fn settle(&mut self, allowed: Allowed) -> (usize, bool) {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let mut total = self.model.weight();
        if self.setup.mode == Mode::Live {
            total = u64::MAX; // what is retained is not known from outside
        }
        let old = allowed
            .coming
            .and_then(|(k, _)| self.model.entries.get(&k).copied());
        // What is held gives its successor nothing.
        let old = old.filter(|old| !self.model.is_held(old.serial));
        let expired = |event: &&Event| event.2 == Cause::Expired;
        let expired: Vec<u64> = told.iter().filter(expired).map(|event| event.1).collect();
        let old = old.filter(|old| !expired.contains(&old.serial));
        let (mut sized, mut replaced) = (Vec::new(), false);
        let count = self.model.entries.len();
        for event in told {
            let entry = self.model.told(event);
            match event.2 {
                Cause::Expired if self.model.is_held(event.1) => {}
                Cause::Expired => total = total.saturating_sub(entry.weight),
                Cause::Explicit => assert!(allowed.explicit, "C3: {event:?}"),
                Cause::Replaced => {
                    let coming = allowed.coming.map(|coming| coming.0);
                    assert_eq!(coming, Some(event.0), "C3: {event:?}");
                    assert!(!std::mem::replace(&mut replaced, true));
                }
                Cause::Size => sized.push((event.0, entry)),
                _ => panic!("C3: {event:?}"),
            }
        }
        let full_window = self.setup.bits != 0xFF && count >= WINDOW;
        if let (Some(&(_, last)), false) = (sized.last(), full_window) {
            let (k, weight) = allowed.coming.expect("C3: nothing needs room");
            if weight == 0 {
                let weigh_nothing = sized.iter().all(|(_, entry)| entry.weight == 0);
                assert!(weigh_nothing, "C3: evicted for what weighs nothing");
            } else {
                let reused = old.map_or(0, |old| old.weight);
                assert!(
                    total.saturating_add(weight - weight.min(reused)) > self.capacity,
                    "C3: there was room"
                );
                let before_last = self.model.weight() + last.weight + weight;
                let evicted_itself = sized.iter().any(|(key, _)| *key == k);
                assert!(
                    self.setup.mode == Mode::Live
                        || evicted_itself
                        || before_last > self.capacity
                        || !replaced && old.is_some(),
                    "C3: more left than had to"
                );
            }
        }
        (sized.len(), replaced)
    }

    /// Without a listener: entries of the model that a call removed.
    fn forget(&mut self, which: impl Fn(u8, u64) -> bool) {
        if !self.setup.listened {
            self.model
                .entries
                .retain(|&key, entry| !which(key, entry.serial));
        }
    }

    fn get(&mut self, step: Step, k: u8) {
        let found = match step {
            Step::Get(_) => self.cache.get(&k).map(|value| value.serial),
            Step::GetIn(_) => {
                let guard = self.cache.pin();
                self.cache.get_in(&k, &guard).map(|value| value.serial)
            }
            _ => {
                let there = self.cache.contains_key(&k);
                let found = self.cache.peek(&k).map(|value| value.serial);
                assert_eq!(there, found.is_some());
                assert_eq!(found, self.model.alive(k).map(|entry| entry.serial), "C1");
                return;
            }
        };
        assert_eq!(found, self.model.touch(k), "C1");
    }

    fn get_many(&mut self, first: u8, last: u8) {
        let keys: Vec<u8> = (first.min(last)..=first.max(last)).collect();
        let keys: Vec<&u8> = keys.iter().collect();
        let mut values = vec![None; keys.len()];
        self.cache.get_many(&keys, &mut values);
        for (key, value) in keys.iter().zip(values) {
            assert_eq!(
                value.map(|value| value.serial),
                self.model.touch(**key),
                "C1"
            );
        }
    }

    fn hold(&mut self, k: u8) {
        let held = self.cache.hold(&k);
        self.settle(NOTHING);
        let expected = self.model.alive(k).map(|entry| entry.serial);
        assert_eq!(held.as_ref().map(|held| held.serial), expected, "C1");
        if let Some(held) = held {
            self.count_hold(held);
        }
    }

    fn count_hold(&mut self, held: Held<Key, Value, Dull>) {
        let hold = self
            .model
            .holds
            .entry(held.serial)
            .or_insert((held.weight, 0));
        hold.1 += 1;
        self.held.push(held);
    }

    fn release(&mut self, at: usize) {
        let held = self.held.swap_remove(at);
        let hold = self.model.holds.get_mut(&held.serial).unwrap();
        hold.1 -= 1;
        if hold.1 == 0 {
            self.model.holds.remove(&held.serial);
        }
        drop(held);
    }

    fn remove(&mut self, step: Step, k: u8) {
        let expected = self.model.alive(k);
        let serial = expected.map(|entry| entry.serial);
        let removed = match step {
            Step::Remove(_) => {
                let removed = self.cache.remove(&k).map(|value| value.serial);
                assert_eq!(removed, serial, "C1");
                removed.is_some()
            }
            Step::RemoveIf(_, yes) => {
                let removed = self.cache.remove_if(&k, |key, _| {
                    assert_eq!(key.n, k);
                    yes
                });
                assert_eq!(removed, yes && serial.is_some(), "C1");
                removed
            }
            _ => self.cache.invalidate(&k),
        };
        self.settle(EXPLICIT);
        if removed {
            self.forget(|key, _| key == k);
            assert_eq!(self.model.entries.get(&k), None, "C2: untold");
        }
    }

    fn compute_nothing(&mut self, k: u8) {
        let seen = self.model.touch(k);
        let computed = self.cache.compute(self.key(k), |found| {
            assert_eq!(found.map(|value| value.serial), seen, "C1");
            Op::Nop
        });
        self.settle(NOTHING);
        match computed {
            Computed::StillNone => assert_eq!(seen, None),
            Computed::Unchanged(value) => assert_eq!(Some(value.serial), seen),
            other => panic!("{other:?}"),
        }
    }

    fn compute_removal(&mut self, k: u8) {
        let seen = self.model.touch(k);
        let computed = self.cache.compute(self.key(k), |_| Op::Remove);
        self.settle(EXPLICIT);
        match computed {
            Computed::StillNone => assert_eq!(seen, None),
            Computed::Removed(value) => assert_eq!(Some(value.serial), seen),
            other => panic!("{other:?}"),
        }
        self.forget(|key, _| key == k);
        assert_eq!(self.model.alive(k), None, "C2: untold");
    }

    fn fail_to_load(&mut self, k: u8) {
        let seen = self.model.touch(k);
        let loaded = self
            .cache
            .try_get_or_insert_with(self.key(k), || Err::<Value, _>(7));
        self.settle(NOTHING);
        match loaded {
            Ok(value) => assert_eq!(Some(value.serial), seen),
            Err(error) => assert_eq!((*error, seen), (7, None)),
        }
    }

    fn retain(&mut self, n: u8) {
        let alive = self.model.all_alive();
        let mut asked = Vec::new();
        self.cache.retain(|key, value| {
            asked.push((key.n, value.serial));
            key.n % 4 != n
        });
        asked.sort_unstable();
        assert_eq!(asked, alive, "C1: each is asked about once");
        self.settle(EXPLICIT);
        self.forget(|key, _| key % 4 == n);
        let left = self.model.all_alive();
        assert!(left.iter().all(|(key, _)| key % 4 != n), "C2: untold");
    }

    /// Takes some out, and keeps a few of those held.
    fn drain(&mut self, n: usize) {
        let alive = self.model.all_alive();
        let drained: Vec<_> = self.cache.drain().take(4 * n).collect();
        self.settle(EXPLICIT);
        for held in &drained {
            assert!(alive.contains(&(held.key().n, held.serial)), "C1");
        }
        let taken: Vec<u64> = drained.iter().map(|held| held.serial).collect();
        let cache = self.cache.clone();
        // It takes whole shards.
        self.forget(|key, serial| taken.contains(&serial) || !cache.contains_key(&key));
        for held in drained.into_iter().take(2) {
            self.count_hold(held);
        }
    }

    fn set_capacity(&mut self, capacity: u64) {
        let fits = self.model.held_weight() <= capacity;
        let result = self.cache.set_capacity(capacity);
        let kept = self.capacity;
        self.capacity = capacity;
        if capacity < kept {
            // As if what is taken away came in.
            let before = std::mem::replace(&mut self.capacity, kept);
            self.settle(Allowed {
                coming: Some((u8::MAX, kept - before)),
                ..NOTHING
            });
            self.capacity = before;
        }
        let may_fail = self.setup.mode == Mode::Live && !self.guards.is_empty();
        assert!(
            if result.is_ok() {
                fits
            } else {
                !fits || may_fail
            },
            "C6"
        );
        if result.is_err() {
            self.capacity = kept;
        }
    }

    fn run_pending(&mut self) {
        self.cache.run_pending_tasks();
        self.settle(NOTHING);
        if self.guards.is_empty() {
            assert_eq!(self.cache.retained_weight(), 0, "D1");
            if self.setup.listened {
                assert_eq!(self.ledger.live(), 2 * self.model.present(), "D1");
            }
        }
    }

    /// C1 and C5, of everything.
    fn check(&mut self) {
        self.settle(NOTHING);
        if !self.setup.listened {
            self.look();
        }
        for k in 0..self.setup.keys {
            let found = self.cache.peek(&k).map(|value| value.serial);
            let expected = self.model.alive(k).map(|entry| entry.serial);
            assert_eq!(found, expected, "C1: of {k}");
        }
        let (count, weight) = (self.cache.entry_count(), self.cache.weighted_size());
        let retained = self.cache.retained_weight();
        if self.setup.listened {
            assert_eq!(count, self.model.entries.len() as u64, "C5");
            assert_eq!(weight, self.model.weight(), "C5");
        }
        assert_eq!(self.cache.held_weight(), self.model.held_weight(), "C5");
        assert!(weight <= self.capacity, "C5: {weight} of {}", self.capacity);
        if self.setup.mode == Mode::Live {
            assert!(
                weight + retained <= self.capacity,
                "C5: {weight} + {retained}"
            );
        }
        assert_eq!(self.cache.max_capacity(), self.capacity);
    }

    /// Without a listener: what left, left unseen; but what is held did not.
    fn look(&mut self) {
        for k in 0..self.setup.keys {
            let Some(entry) = self.model.alive(k) else {
                continue;
            };
            if self.cache.peek(&k).is_none() {
                assert!(!self.model.is_held(entry.serial), "C4");
                self.model.entries.remove(&k);
            }
        }
    }

    /// The end, in one order or another.
    fn end(self) {
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
        .max_weightless(4)
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

fn run(setup: Setup, steps: Vec<Step>) -> bool {
    let mut world = World::new(setup);
    // The clock starts where no deadline is near the end of its numbers.
    world.clock.advance(Duration::from_secs(10));
    world.model.now = 1_000;
    steps.into_iter().for_each(|step| world.step(step));
    world.end();
    true
}

#[test]
fn a_cache_is_a_map_of_what_did_not_leave() {
    let tests = std::env::var("QUICKCHECK_TESTS").map_or(2_000, |n| n.parse().unwrap());
    QuickCheck::new()
        .tests(tests)
        .rng(Gen::new(150))
        .quickcheck(run as fn(Setup, Vec<Step>) -> bool);
}
