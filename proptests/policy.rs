//! The cache's policy against plain lists.
//!
//! * P1  After every call each entry has the limit and the uses that the lists say.
//! * P2  A search finds the same victim, or the same held entry, as the lists do.
//! * P3  A search looks at no more entries that are not held than it may; what the rings weigh
//!   and how many they hold is what the lists do.
//! * P4  Whatever is asked, at whatever weights, nothing overflows and every entry leaves once.
//!
//! Keys come back while fewer than 20 entries are resident: then one bucket holds the ghosts.
//! Larger runs have keys that never come back, and reach the bound of the looks.

#[path = "../src/cache/policy/in_vec.rs"]
#[allow(dead_code, clippy::duplicate_mod)] // the crate's own file; its tests, taken too, name it
mod in_vec;
#[path = "../src/cache/policy.rs"]
#[allow(dead_code)] // the crate's own file, taken as it is
mod policy;
mod policy_model;

use in_vec::{Entry, Slab};
use policy::{Entries, LOOKS_ONCE, LOOKS_PER_EVICTION, Links, Looks, Policy, Step};
use policy_model::{Budget, Found, LIMITS, LOOKS, Model};
use quickcheck::{Arbitrary, Gen, QuickCheck};

/// One call. Entries are named by their place among those that are there.
#[derive(Clone, Copy, Debug)]
enum Call {
    Insert {
        weight: u64,
        key: u8,
    },
    Read(u16),
    Replace {
        which: u16,
        weight: u64,
    },
    Remove(u16),
    Hold(u16),
    Release(u16),
    /// Until so many are out.
    Evict(u8),
    EvictWeightless(u8),
    SetCapacity(u64),
    Clear,
}

impl Arbitrary for Call {
    fn arbitrary(g: &mut Gen) -> Self {
        let which = u16::arbitrary(g);
        let weight = *g.choose(&[0, 1, 1, 1, 1, 2, 3, 7]).unwrap();
        let key = u8::arbitrary(g) % 48;
        match u8::arbitrary(g) % 64 {
            0..20 => Self::Insert { weight, key },
            20..36 => Self::Read(which),
            36..40 => Self::Replace { which, weight },
            40..43 => Self::Remove(which),
            43..45 => Self::Hold(which),
            45..48 => Self::Release(which),
            48..58 => Self::Evict(1 + key % 3),
            58..61 => Self::EvictWeightless(1 + key % 2),
            61..63 => Self::SetCapacity(u64::from(key) * 2),
            _ if key < 6 => Self::Clear,
            _ => Self::Read(which),
        }
    }
}

impl Slab {
    fn add(&mut self, weight: u64, fingerprint: u32) -> u32 {
        self.push(Entry::new(weight, fingerprint))
    }
}

fn found(step: Step) -> Found {
    match step {
        Step::Evict(e) => Found::Victim(e),
        Step::Park(e) => Found::Held(e),
        Step::Empty => Found::Nothing,
    }
}

fn spread(key: u32) -> u32 {
    key.wrapping_add(1).wrapping_mul(0x9E37_79B9)
}

/// Both, side by side.
struct Pair {
    slab: Slab,
    policy: Policy,
    model: Model,
    /// How many entries may be resident.
    most: usize,
    /// Whether keys come back.
    keys: bool,
}

impl Pair {
    fn new(capacity: u64, most: usize, keys: bool) -> Self {
        Self {
            slab: Slab::default(),
            policy: Policy::new(capacity),
            model: Model::new(capacity),
            most,
            keys,
        }
    }

    fn fingerprint(&self, key: u8) -> u32 {
        match self.keys {
            true => spread(key.into()),
            false => spread(self.slab.0.len() as u32),
        }
    }

    fn pick(&self, which: u16) -> Option<u32> {
        let all: Vec<u32> = self.model.all().map(|item| item.id).collect();
        all.get(usize::from(which) % all.len().max(1)).copied()
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Insert { weight, key } => self.insert(weight, key),
            Call::Evict(n) => drop(self.evict(n.into(), false)),
            Call::EvictWeightless(n) => drop(self.evict(n.into(), true)),
            Call::Release(which) => self.release(which),
            Call::SetCapacity(capacity) => {
                self.policy.set_capacity(capacity);
                self.model.set_capacity(capacity);
            }
            Call::Clear => {
                self.policy.clear();
                self.model.clear();
            }
            Call::Read(which)
            | Call::Replace { which, .. }
            | Call::Remove(which)
            | Call::Hold(which) => {
                if let Some(e) = self.pick(which) {
                    self.call_on(call, e);
                }
            }
        }
    }

    fn call_on(&mut self, call: Call, e: u32) {
        let entry = self.slab.0[e as usize];
        match call {
            Call::Read(_) => {
                if entry.uses < entry.limit {
                    self.slab.0[e as usize].uses += 1;
                }
                self.model.read(e);
            }
            Call::Replace { weight, .. } => {
                let new = self.slab.add(weight, entry.fingerprint);
                self.policy.replace(&mut self.slab, e, new);
                self.model.replace(e, new, weight, entry.fingerprint);
            }
            Call::Remove(_) => {
                self.policy.remove(&mut self.slab, e);
                self.model.remove(e);
            }
            _ => {
                self.slab.0[e as usize].held = true;
                self.model.find(e).unwrap().held = true;
            }
        }
    }

    fn insert(&mut self, weight: u64, key: u8) {
        // An insert that has no room makes it, as the cache's do.
        let entries = |model: &Model| model.all().count() + model.parked.len();
        if entries(&self.model) >= self.most {
            self.evict(1, self.model.weightless.len() * 2 > self.most);
        }
        if entries(&self.model) >= self.most {
            return;
        }
        let fingerprint = self.fingerprint(key);
        let e = self.slab.add(weight, fingerprint);
        self.policy.insert(&mut self.slab, e);
        self.model.insert(e, weight, fingerprint);
    }

    fn release(&mut self, which: u16) {
        let model = &self.model;
        let held = model.all().chain(&model.parked).filter(|item| item.held);
        let held: Vec<u32> = held.map(|item| item.id).collect();
        let Some(&e) = held.get(usize::from(which) % held.len().max(1)) else {
            return;
        };
        self.slab.0[e as usize].held = false;
        self.model.find(e).unwrap().held = false;
        if self.model.parked.iter().any(|item| item.id == e) {
            self.policy.unpark(&mut self.slab, e);
            self.model.unpark(e);
        }
    }

    /// The steps of one insert that needs `n` victims; how many it looked at.
    fn evict(&mut self, n: u32, weightless: bool) -> u32 {
        let mut looks = Looks::new();
        let mut budget = Budget {
            taken: 0,
            victims: 0,
        };
        while budget.victims < n {
            let slab = &mut self.slab;
            let (step, expected) = if weightless {
                let step = self.policy.step_weightless(slab, &mut looks);
                (step, self.model.step_weightless(&mut budget))
            } else {
                let step = self.policy.step(slab, &mut looks);
                (step, self.model.step(&mut budget))
            };
            assert_eq!(found(step), expected);
            assert_eq!(looks.taken(), budget.taken);
            assert!(budget.taken <= LOOKS_PER_EVICTION * budget.victims + LOOKS_ONCE);
            if let Step::Evict(e) | Step::Park(e) = step {
                assert_eq!(self.slab.links(e), Links::LOOSE);
                assert_eq!(self.slab.is_held(e), matches!(step, Step::Park(_)));
            }
            if step == Step::Empty {
                break;
            }
        }
        budget.taken
    }

    fn check(&self) {
        for item in self.model.all() {
            let entry = self.slab.0[item.id as usize];
            let limit = LIMITS[item.place as usize];
            assert_eq!((entry.limit, entry.uses), (limit, item.uses), "{item:?}");
        }
        let weighted = || self.model.probation.iter().chain(&self.model.main);
        let weight: u128 = weighted().map(|item| u128::from(item.weight)).sum();
        assert_eq!(self.policy.weight(), weight);
        assert_eq!(self.policy.len() as usize, weighted().count());
        let weightless = self.model.weightless.len();
        assert_eq!(self.policy.weightless_len() as usize, weightless);
    }

    /// All that is left comes out in the same order.
    fn drain(&mut self) {
        self.evict(u32::MAX, false);
        self.evict(u32::MAX, true);
        self.check();
        assert_eq!(self.policy.len() + self.policy.weightless_len(), 0);
    }
}

fn run(mut pair: Pair, calls: &[Call]) {
    for &call in calls {
        pair.call(call);
        pair.check();
    }
    pair.drain();
}

fn checks(size: usize, tests: u64) -> QuickCheck {
    let generator = Gen::new(size);
    QuickCheck::new()
        .rng(generator)
        .tests(tests)
        .max_tests(tests)
}

#[test]
fn the_model_has_the_same_bounds() {
    assert_eq!((LOOKS_PER_EVICTION, LOOKS_ONCE), LOOKS);
    let limits = [
        policy::YOUNG,
        policy::MATURE,
        policy::WEIGHTLESS,
        policy::MAIN,
    ];
    assert_eq!(limits, LIMITS);
}

#[test]
fn victims_are_those_of_the_lists() {
    fn property(calls: Vec<Call>, capacity: u8) {
        run(Pair::new(capacity.into(), 19, true), &calls);
    }
    checks(600, 5000).quickcheck(property as fn(Vec<Call>, u8));
}

#[test]
fn victims_of_many_entries_are_those_of_the_lists() {
    fn property(calls: Vec<Call>, capacity: u8) {
        run(Pair::new(capacity.into(), 300, false), &calls);
    }
    checks(2000, 300).quickcheck(property as fn(Vec<Call>, u8));
}

#[test]
fn the_bound_of_the_looks_is_reached() {
    fn property(reads: Vec<u16>, more: u16) {
        let mut pair = Pair::new(400, 401, false);
        (0..400).for_each(|_| pair.insert(1, 0));
        // Every entry read as far as it counts: only the bound ends the search.
        (0..400).for_each(|which| (0..3).for_each(|_| pair.call(Call::Read(which))));
        let taken = pair.evict(8, false);
        assert_eq!(taken, LOOKS_ONCE + 7 * LOOKS_PER_EVICTION);
        for which in reads {
            (0..3).for_each(|_| pair.call(Call::Read(which)));
            pair.evict(u32::from(more) % 5, false);
            pair.insert(1, 0);
        }
        pair.drain();
    }
    checks(300, 60).quickcheck(property as fn(Vec<u16>, u16));
}

#[test]
fn no_weight_overflows_and_every_entry_leaves_once() {
    fn property(weights: Vec<u64>, capacities: Vec<u64>, keys: u8) {
        let (mut slab, mut policy) = (Slab::default(), Policy::new(u64::MAX));
        let mut resident = 0;
        for (at, &weight) in weights.iter().enumerate() {
            if let Some(&capacity) = capacities.get(at / 3) {
                policy.set_capacity(capacity);
            }
            let e = slab.add(weight, spread(at as u32 % (u32::from(keys) + 1)));
            policy.insert(&mut slab, e);
            resident += 1;
            if at % 3 == 0 {
                let mut looks = Looks::new();
                resident -= match policy.step(&mut slab, &mut looks) {
                    Step::Evict(_) => 1,
                    _ => 0,
                };
            }
        }
        assert_eq!(policy.len() + policy.weightless_len(), resident);
        let mut out = vec![false; slab.0.len()];
        let mut looks = Looks::new();
        let leave = |step, out: &mut Vec<bool>| match step {
            Step::Evict(e) => !std::mem::replace(&mut out[e as usize], true),
            _ => false,
        };
        while leave(policy.step(&mut slab, &mut looks), &mut out) {}
        while leave(policy.step_weightless(&mut slab, &mut looks), &mut out) {}
        assert_eq!(out.iter().filter(|&&out| out).count() as u32, resident);
        assert_eq!(policy.weight(), 0);
    }
    checks(400, 500).quickcheck(property as fn(Vec<u64>, Vec<u64>, u8));
}
