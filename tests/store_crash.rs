//! The store on a disk that loses power: at every moment, with every part of what was not synced.
//!
//! Every workload of a few operations on up to two objects, with checkpoints and reopenings at any
//! place, is run on a disk that remembers all that is done to it. For each moment and each state
//! that the disk may be in then, the store is opened: what was acknowledged must be there, the
//! operation in progress whole or not at all, and nothing else.
//!
//! `MAPLESS_CRASH_OPERATIONS` says how many operations a workload has (2; 3 in CI, 4 in the long run).
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
    /// As above, with a durability of its own.
    OverwriteAs(usize, Durability),
    DeleteAs(usize, Durability),
    Checkpoint,
    Reopen,
}

impl Call {
    /// What this and all before it survive, in a store of this durability.
    fn survives(self, store: Durability) -> Durability {
        match self {
            Call::Put | Call::Overwrite(_) | Call::Delete(_) => store,
            Call::OverwriteAs(_, its) | Call::DeleteAs(_, its) => its,
            Call::Checkpoint | Call::Reopen => Durability::Group,
        }
    }
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

/// In one sector, or torn between two.
fn length(n: usize) -> usize {
    if n.is_multiple_of(3) { 100 } else { 600 }
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
                let bytes = content(n, length(n));
                objects.insert(here.put(&bytes).unwrap(), bytes);
            }
            Call::Overwrite(at) | Call::OverwriteAs(at, _) => {
                let id = nth(at)?;
                let bytes = content(n, 60 + n);
                let durability = call.survives(durability);
                here.overwrite_with(id, &bytes, durability).unwrap();
                assert_eq!(here.get(id).unwrap(), bytes);
                objects.insert(id, bytes);
            }
            Call::Delete(at) | Call::DeleteAs(at, _) => {
                let id = nth(at)?;
                here.delete_with(id, call.survives(durability)).unwrap();
                objects.remove(&id);
                // So that the next one takes its slot, if it may.
                here.collect();
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
    let read_only = options().open_read_only_on(Arc::new(Forgetful::new(bytes.clone())));
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
        // What survives a loss of power, and a kill.
        let (mut floor, mut killed) = (0, 0);
        for event in &run.events {
            match event {
                Event::Mark(n) => {
                    done = Some(*n);
                    let last = n.checked_sub(1).map(|last| calls[last]);
                    let survives = last.map_or(Durability::Group, |last| last.survives(durability));
                    if survives == Durability::Group {
                        floor = *n;
                    }
                    if survives != Durability::None {
                        killed = *n;
                    }
                }
                Event::Sync => {
                    moment.step(event);
                    continue;
                }
                _ => moment.step(event),
            }
            let done = done.unwrap_or(0);
            if durability != Durability::Group {
                // The process is killed, and the disk goes on.
                let (objects, ..) = recovered(moment.current());
                let allowed = &run.states[killed..(done + 2).min(run.states.len())];
                assert!(
                    allowed.contains(&objects),
                    "{calls:?} killed after {done}: {objects:?}"
                );
            }
            let allowed = &run.states[floor..(done + 2).min(run.states.len())];
            for bytes in states_of(&moment, &mut self.random) {
                self.states += 1;
                let (objects, events, before) = recovered(bytes);
                assert!(
                    allowed.contains(&objects),
                    "{calls:?} after {done}: {objects:?}, not one of {allowed:?}"
                );
                if self.states.is_multiple_of(97) {
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
    workloads_of(&CALLS, operations)
}

fn workloads_of(some: &[Call], operations: usize) -> impl Iterator<Item = Vec<Call>> {
    let all = some.len().pow(operations as u32);
    (0..all).map(move |mut n| {
        let call = |_| {
            let call = some[n % some.len()];
            n /= some.len();
            call
        };
        (0..operations).map(call).collect()
    })
}

fn crashes(seed: u64) -> Crashes {
    let random = fastrand::Rng::with_seed(seed);
    Crashes {
        random,
        states: 0,
        nested: 0,
    }
}

/// Runs these workloads and their crashes, on all cores.
fn check_all(workloads: Vec<Vec<Call>>, durability: Durability) -> u64 {
    let before = formatted();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let parts = (0..threads).map(|part| {
        let mine: Vec<_> = workloads
            .iter()
            .skip(part)
            .step_by(threads)
            .cloned()
            .collect();
        let before = before.clone();
        std::thread::spawn(move || {
            let (mut crashes, mut ran) = (crashes(part as u64), 0);
            for calls in mine {
                // Where something cannot be done, a shorter workload is the same.
                let Some(run) = run(&before, &calls, durability) else {
                    continue;
                };
                ran += 1;
                crashes.check(&calls, &run, durability);
            }
            (ran, crashes)
        })
    });
    let parts: Vec<_> = parts.collect();
    let parts: Vec<_> = parts.into_iter().map(|part| part.join().unwrap()).collect();
    let ran: u64 = parts.iter().map(|(ran, _)| ran).sum();
    let nested: u64 = parts.iter().map(|(_, crashes)| crashes.nested).sum();
    let states: u64 = parts.iter().map(|(_, crashes)| crashes.states).sum();
    println!(
        "{durability:?}: {ran} workloads, {} states of the disk, {nested} of them inside of a recovery",
        states + nested
    );
    ran
}

#[test]
fn what_was_acknowledged_survives_every_loss_of_power() {
    let operations = std::env::var("MAPLESS_CRASH_OPERATIONS");
    let operations = operations.map_or(2, |n| n.parse().unwrap());
    let ran = check_all(workloads(operations).collect(), Durability::Group);
    assert!(ran > 10);
}

#[test]
fn what_is_left_of_weaker_writes_is_a_beginning_of_them() {
    for durability in [Durability::None, Durability::Buffered] {
        assert!(check_all(workloads(2).collect(), durability) > 10);
    }
}

#[test]
fn long_workloads_survive_as_well() {
    let mut random = fastrand::Rng::with_seed(77);
    let calls = |random: &mut fastrand::Rng| loop {
        // The first of many that can be done.
        let calls: Vec<Call> = (0..9).map(|_| CALLS[random.usize(..CALLS.len())]).collect();
        if can_be_done(&calls) {
            return calls;
        }
    };
    let all = (0..8).map(|_| calls(&mut random)).collect();
    assert_eq!(check_all(all, Durability::Group), 8);
}

/// The store's durability is the one, and that of some overwrites and deletes another one.
#[test]
fn overwrites_of_mixed_durabilities_survive_as_they_should() {
    use Durability::{Buffered, Group, None};
    let some = [
        Call::Put,
        Call::Overwrite(0),
        Call::OverwriteAs(0, None),
        Call::OverwriteAs(0, Buffered),
        Call::OverwriteAs(1, None),
        Call::OverwriteAs(0, Group),
        Call::Delete(0),
        Call::DeleteAs(0, Group),
        Call::Checkpoint,
        Call::Reopen,
    ];
    for durability in [None, Buffered] {
        let all = workloads_of(&some, 2).map(|calls| [vec![Call::Put], calls].concat());
        assert!(check_all(all.collect(), durability) > 40);
    }
}

#[test]
fn long_workloads_of_mixed_durabilities_survive_as_well() {
    let mut random = fastrand::Rng::with_seed(78);
    for durability in [Durability::None, Durability::Buffered] {
        let all = (0..8).map(|_| mixed(&mut random, 12)).collect();
        assert_eq!(check_all(all, durability), 8);
    }
}

/// A workload that can be done.
fn mixed(random: &mut fastrand::Rng, operations: usize) -> Vec<Call> {
    let all = [Durability::None, Durability::Buffered, Durability::Group];
    loop {
        let calls = (0..operations).map(|_| match random.u8(..10) {
            0 | 1 => Call::Put,
            2..=6 => Call::OverwriteAs(random.usize(..2), all[random.usize(..9) / 4]),
            7 => Call::DeleteAs(random.usize(..2), all[random.usize(..3)]),
            8 => Call::Checkpoint,
            _ => Call::Reopen,
        });
        let calls: Vec<Call> = calls.collect();
        if can_be_done(&calls) {
            return calls;
        }
    }
}

fn can_be_done(calls: &[Call]) -> bool {
    let mut objects = 0;
    calls.iter().all(|call| match call {
        Call::Put => {
            objects += 1;
            objects <= 2
        }
        Call::Overwrite(at) | Call::OverwriteAs(at, _) => *at < objects,
        Call::Delete(at) | Call::DeleteAs(at, _) => {
            let can = *at < objects;
            objects -= usize::from(can);
            can
        }
        Call::Checkpoint | Call::Reopen => true,
    })
}

/// Two threads, each with objects of its own, whose operations share syncs.
#[test]
fn of_two_operations_at_once_each_survives_by_itself() {
    let checked: u64 = (0..6).map(|seed| two_at_once(seed, 6)).sum();
    println!("two at once: {checked} states of the disk");
}

/// Runs two threads and their crashes; how many states the disk was in.
fn two_at_once(seed: u64, operations: usize) -> u64 {
    let before = formatted();
    let disk = Arc::new(Forgetful::new(before.clone()));
    let store = options().open_on(disk.clone()).unwrap();
    let actors = (0..2).map(|actor| {
        let (store, disk) = (store.clone(), disk.clone());
        std::thread::spawn(move || act(&store, &disk, actor, seed, operations))
    });
    let actors: Vec<_> = actors.collect();
    let states = actors.into_iter().map(|actor| actor.join().unwrap());
    let states: Vec<Vec<Objects>> = states.collect();
    let events = disk.events();
    drop(store);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut moment, mut done, mut checked) = (Moment::new(before), [0; 2], 0);
    for event in &events {
        moment.step(event);
        if let Event::Mark(n) = event {
            done[n % 2] = n / 2;
            continue;
        }
        for _ in 0..6 {
            let bytes = moment.chosen(|choices| random.usize(..choices));
            let (found, ..) = recovered(bytes);
            checked += 1;
            let possible = |actor: usize| states[actor].iter().skip(done[actor]).take(2);
            let mut both = possible(0).flat_map(|one| possible(1).map(move |two| (one, two)));
            let is_one = both.any(|(one, two)| {
                one.len() + two.len() == found.len()
                    && one
                        .iter()
                        .chain(two)
                        .all(|(id, bytes)| found.get(id) == Some(bytes))
            });
            assert!(is_one, "{done:?}: {found:?}");
        }
    }
    checked
}

/// One thread's operations: what it had after each.
fn act(store: &MultiStore, disk: &Forgetful, actor: usize, seed: u64, n: usize) -> Vec<Objects> {
    let mut random = fastrand::Rng::with_seed(seed * 2 + actor as u64);
    let (mut objects, mut states) = (Objects::new(), vec![Objects::new()]);
    for at in 1..=n {
        let bytes = content(actor + 10 * at, 50 + random.usize(..150));
        let nth = random.usize(..objects.len().max(1));
        let some = objects.keys().nth(nth).copied();
        match (some, random.u8(..4)) {
            (_, 3) => store.checkpoint().unwrap(),
            (Some(id), 0) => {
                store.overwrite(id, &bytes).unwrap();
                objects.insert(id, bytes);
            }
            (Some(id), 1) => {
                store.delete(id).unwrap();
                objects.remove(&id);
                store.collect();
            }
            _ => drop(objects.insert(store.put(&bytes).unwrap(), bytes)),
        }
        states.push(objects.clone());
        disk.mark(2 * at + actor);
    }
    states
}

// -------------------------------------------------------------------- the seven rules, one by one

/// Checks one workload, in whatever state a crash leaves the disk.
fn survives(calls: &[Call]) {
    let before = formatted();
    let run = run(&before, calls, Durability::Group).expect("it can be done");
    crashes(1).check(calls, &run, Durability::Group);
}

#[test]
fn rule_1_a_put_counts_only_with_its_bytes() {
    survives(&[Call::Put]);
    survives(&[Call::Put, Call::Put]);
}

#[test]
fn rule_2_nothing_is_acknowledged_before_what_came_earlier() {
    for seed in 20..24 {
        two_at_once(seed, 4);
    }
}

#[test]
fn rule_3_an_overwrite_touches_its_slot_after_its_record() {
    survives(&[Call::Put, Call::Overwrite(0)]);
    survives(&[Call::Put, Call::Overwrite(0), Call::Overwrite(0)]);
    survives(&[
        Call::Put,
        Call::Overwrite(0),
        Call::Checkpoint,
        Call::Overwrite(0),
    ]);
}

#[test]
fn rule_3_a_weaker_overwrite_touches_its_slot_after_its_record_as_well() {
    use Call::{Checkpoint, DeleteAs, OverwriteAs, Put};
    use Durability::{Buffered, Group, None};
    let before = formatted();
    for weak in [None, Buffered] {
        for calls in [
            vec![Put, OverwriteAs(0, weak), OverwriteAs(0, Group)],
            vec![Put, OverwriteAs(0, weak), OverwriteAs(0, weak), Checkpoint],
            vec![Put, OverwriteAs(0, weak), Put, OverwriteAs(1, Group)],
            vec![Put, OverwriteAs(0, weak), DeleteAs(0, Group), Put],
            vec![Put, OverwriteAs(0, weak), DeleteAs(0, weak), Put],
        ] {
            for durability in [weak, Group] {
                let run = run(&before, &calls, durability).expect("it can be done");
                crashes(1).check(&calls, &run, durability);
            }
        }
    }
}

#[test]
fn a_deleted_objects_slot_is_taken_by_the_next_one_once_that_is_durable() {
    for (durability, same) in [(Durability::Group, true), (Durability::None, false)] {
        let disk = Arc::new(Forgetful::new(formatted()));
        let store = options().durability(durability).open_on(disk).unwrap();
        let first = store.put(b"first").unwrap();
        store.delete(first).unwrap();
        store.collect();
        let second = store.put(b"second").unwrap();
        assert_eq!(first == second, same, "{durability:?}");
    }
}

#[test]
fn rule_4_a_slot_is_reused_after_its_end_is_durable() {
    use Call::{Checkpoint, Delete, Put};
    // Both objects in one slot, and in two sectors of it.
    let reused = [Checkpoint, Put, Checkpoint, Delete(0), Put, Delete(0), Put];
    survives(&reused);
    // With weaker durability the ends wait, and so do the slots.
    let before = formatted();
    for durability in [Durability::None, Durability::Buffered] {
        let run = run(&before, &reused, durability).expect("it can be done");
        crashes(1).check(&reused, &run, durability);
    }
}

#[test]
fn rule_5_a_checkpoint_spares_what_the_last_one_names() {
    use Call::{Checkpoint, Delete, Put};
    survives(&[Put, Checkpoint, Put, Checkpoint, Delete(0), Checkpoint]);
    survives(&[Put, Checkpoint, Delete(0), Checkpoint, Put, Checkpoint]);
}

#[test]
fn rule_6_the_last_word_of_a_slot_counts_alone() {
    use Call::{Delete, Overwrite, Put, Reopen};
    survives(&[Put, Overwrite(0), Delete(0), Put]);
    survives(&[Put, Overwrite(0), Reopen, Overwrite(0), Reopen, Delete(0)]);
}

#[test]
fn rule_7_after_a_sync_that_failed_nothing_is_accepted() {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    let id = store.put(b"before").unwrap();
    disk.fail(Some(forgetful::Failing::Sync));
    assert!(store.put(b"lost").is_err());
    disk.fail(None);
    let refused = store.put(b"after").unwrap_err();
    assert!(
        matches!(refused, mapless::StoreError::ReadOnly(_)),
        "{refused}"
    );
    assert!(store.delete(id).is_err() && store.checkpoint().is_err());
    assert_eq!(store.get(id).unwrap(), &b"before"[..]);
    drop(store);
    let store = options().open_on(disk).unwrap();
    assert_eq!(store.get(id).unwrap(), &b"before"[..]);
}

/// Live bits in several sectors of a page: a torn one would be found out, and lose what it holds.
#[test]
fn rule_5_pages_are_not_written_in_place() {
    let classes = SizeClasses::new([ByteLen::new(32)]).unwrap();
    let options = || {
        StoreOptions::new()
            .journal(256 << 10)
            .size_classes(classes.clone())
    };
    let disk = Arc::new(Forgetful::default());
    let store = options().create_on(disk.clone()).unwrap();
    let ids = store.put_many(&vec![b"ten bytes."; 6000]).unwrap();
    drop(store);
    let before = disk.bytes();
    let disk = Arc::new(Forgetful::new(before.clone()));
    let store = options().open_on(disk.clone()).unwrap();
    for (n, id) in [ids[0], ids[5999]].into_iter().enumerate() {
        store.delete(id).unwrap();
        store.checkpoint().unwrap();
        disk.mark(n + 1);
    }
    let (mut moment, mut done) = (Moment::new(before), 0);
    let mut random = fastrand::Rng::with_seed(4);
    for event in disk.events() {
        moment.step(&event);
        if let Event::Mark(n) = event {
            done = n;
        }
        for _ in 0..10 {
            let bytes = moment.chosen(|choices| random.usize(..choices));
            let left = options().open_on(Arc::new(Forgetful::new(bytes))).unwrap();
            let gone = [ids[0], ids[5999]].map(|id| left.get(id).is_err());
            let at_least = [done >= 1, done >= 2];
            assert!(
                gone[0] >= at_least[0] && gone[1] >= at_least[1],
                "{gone:?} after {done}"
            );
            let count = gone.iter().filter(|gone| **gone).count() as u64;
            assert_eq!(left.len(), 6000 - count);
        }
    }
}
