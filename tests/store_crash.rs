//! The store on a disk that loses power: at every moment, with every part of what was not synced.
//!
//! Every workload of a few operations on up to two objects, with checkpoints and reopenings at any
//! place, is run on a disk that remembers all that is done to it. For each moment and each state
//! that the disk may be in then, the store is opened: what was acknowledged must be there, the
//! operation in progress whole or not at all, and nothing else.
//!
//! `MAPLESS_CRASH_OPERATIONS` says how many operations a workload has (3; 4 in the long run).
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;

use std::collections::BTreeMap;
use std::sync::Arc;

use forgetful::{Event, Forgetful, Moment};
use mapless::{ByteLen, Durability, MultiStore, ObjectId, SizeClasses, StoreOptions};

/// More states than this are sampled.
const STATES: u64 = 1 << 10;
const SAMPLES: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Put,
    /// Of the older or the younger object that is there.
    Overwrite(usize),
    Delete(usize),
    Checkpoint,
    Reopen,
}

const CALLS: [Call; 7] = [
    Call::Put,
    Call::Overwrite(0),
    Call::Overwrite(1),
    Call::Delete(0),
    Call::Delete(1),
    Call::Checkpoint,
    Call::Reopen,
];

type Objects = BTreeMap<ObjectId, Vec<u8>>;

fn options() -> StoreOptions {
    let classes = SizeClasses::new([ByteLen::new(256), ByteLen::new(700)]).unwrap();
    StoreOptions::new().journal(64 << 10).size_classes(classes)
}

fn content(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 17 + n * 101 + 3) as u8).collect()
}

/// A workload that was run: what was there after each operation.
struct Run {
    before: Vec<u8>,
    events: Vec<Event>,
    /// After so many operations.
    states: Vec<Objects>,
}

/// An empty store.
fn formatted() -> Vec<u8> {
    let disk = Arc::new(Forgetful::default());
    drop(options().create_on(disk.clone()).unwrap());
    disk.bytes()
}

fn run(before: &[u8], calls: &[Call], durability: Durability) -> Option<Run> {
    let disk = Arc::new(Forgetful::new(before.to_vec()));
    let open = || {
        options()
            .durability(durability)
            .open_on(disk.clone())
            .unwrap()
    };
    let mut store = Some(open());
    let (mut objects, mut states) = (Objects::new(), vec![Objects::new()]);
    disk.mark(0);
    for (n, call) in calls.iter().enumerate() {
        let here = store.as_ref().unwrap();
        let nth = |at: usize| objects.keys().nth(at).copied();
        match *call {
            Call::Put if objects.len() < 2 => {
                let bytes = content(n, 100 + 400 * (n % 2));
                objects.insert(here.put(&bytes).unwrap(), bytes);
            }
            Call::Overwrite(at) => {
                let id = nth(at)?;
                let bytes = content(n, 60 + n);
                here.overwrite(id, &bytes).unwrap();
                objects.insert(id, bytes);
            }
            Call::Delete(at) => {
                let id = nth(at)?;
                here.delete(id).unwrap();
                objects.remove(&id);
            }
            Call::Checkpoint => here.checkpoint().unwrap(),
            Call::Reopen => {
                drop(store.take());
                store = Some(open());
            }
            Call::Put => return None,
        }
        states.push(objects.clone());
        disk.mark(n + 1);
    }
    let events = disk.events();
    drop(store);
    Some(Run {
        before: before.to_vec(),
        events,
        states,
    })
}

fn objects_of(store: &MultiStore) -> Objects {
    let all = store.ids().map(|id| (id, store.get(id).unwrap().to_vec()));
    let all: Objects = all.collect();
    assert_eq!(all.len() as u64, store.len());
    all
}

/// Opens what is left, and says what is there; it must go on working.
fn recovered(bytes: Vec<u8>) -> (Objects, Vec<Event>, Vec<u8>) {
    let before = bytes.clone();
    let read_only = options().open_on_read_only(Arc::new(Forgetful::new(bytes.clone())));
    let disk = Arc::new(Forgetful::new(bytes));
    let store = options().open_on(disk.clone()).unwrap();
    let (events, objects) = (disk.events(), objects_of(&store));
    assert_eq!(objects_of(&read_only.unwrap()), objects);
    let extents = store.ids().map(|id| store.extent(id).unwrap());
    let mut extents: Vec<_> = extents.map(|extent| (extent.offset, extent.len)).collect();
    extents.sort_unstable();
    for pair in extents.windows(2) {
        assert!(
            pair[0].0.get() + pair[0].1.get() <= pair[1].0.get(),
            "{extents:?}"
        );
    }
    let more = store.put(b"more").unwrap();
    assert!(!objects.contains_key(&more));
    drop(store);
    let store = options().open_on(disk).unwrap();
    let mut expected = objects.clone();
    expected.insert(more, b"more".to_vec());
    assert_eq!(objects_of(&store), expected);
    (objects, events, before)
}

/// Every state of a moment, or some of them.
fn states_of(moment: &Moment, random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let states = moment.states();
    if states <= STATES {
        return (0..states).map(|n| moment.state(n)).collect();
    }
    let some = (0..SAMPLES).map(|n| match n {
        0 => moment.chosen(|_| 0),
        1 => moment.chosen(|choices| choices - 1),
        _ => moment.chosen(|choices| random.usize(..choices)),
    });
    some.collect()
}

struct Crashes {
    random: fastrand::Rng,
    states: u64,
    nested: u64,
}

impl Crashes {
    fn check(&mut self, calls: &[Call], run: &Run, durability: Durability) {
        let mut moment = Moment::new(run.before.clone());
        let mut done = None;
        let mut floor = 0;
        for event in &run.events {
            match event {
                Event::Mark(n) => {
                    done = Some(*n);
                    if durability == Durability::Group {
                        floor = *n;
                    }
                }
                Event::Sync => {
                    moment.step(event);
                    continue;
                }
                _ => moment.step(event),
            }
            let done = done.unwrap_or(0);
            let allowed = &run.states[floor..(done + 2).min(run.states.len())];
            for bytes in states_of(&moment, &mut self.random) {
                self.states += 1;
                let (objects, events, before) = recovered(bytes);
                assert!(
                    allowed.contains(&objects),
                    "{calls:?} after {done}: {objects:?}, not one of {allowed:?}"
                );
                if self.states % 97 == 0 {
                    self.check_nested(&objects, &events, before);
                }
            }
        }
    }

    /// A crash inside of the recovery changes nothing of its answer.
    fn check_nested(&mut self, objects: &Objects, events: &[Event], before: Vec<u8>) {
        let mut moment = Moment::new(before);
        for event in events {
            moment.step(event);
            for _ in 0..3 {
                let bytes = moment.chosen(|choices| self.random.usize(..choices));
                self.nested += 1;
                assert_eq!(recovered(bytes).0, *objects);
            }
        }
    }
}

fn workloads(operations: usize) -> impl Iterator<Item = Vec<Call>> {
    let all = CALLS.len().pow(operations as u32);
    (0..all).map(move |mut n| {
        let call = |_| {
            let call = CALLS[n % CALLS.len()];
            n /= CALLS.len();
            call
        };
        (0..operations).map(call).collect()
    })
}

#[test]
fn what_was_acknowledged_survives_every_loss_of_power() {
    let operations = std::env::var("MAPLESS_CRASH_OPERATIONS");
    let operations = operations.map_or(3, |n| n.parse().unwrap());
    let before = formatted();
    let random = fastrand::Rng::with_seed(5);
    let mut crashes = Crashes {
        random,
        states: 0,
        nested: 0,
    };
    let mut ran = 0;
    for calls in workloads(operations) {
        // Others are the same, with something that cannot be done.
        let Some(run) = run(&before, &calls, Durability::Group) else {
            continue;
        };
        ran += 1;
        crashes.check(&calls, &run, Durability::Group);
    }
    println!(
        "{ran} workloads, {} states of the disk, {} of them inside of a recovery",
        crashes.states + crashes.nested,
        crashes.nested
    );
    assert!(ran > 10);
}
