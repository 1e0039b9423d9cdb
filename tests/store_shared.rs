//! Objects that several threads overwrite, at mixed durabilities: what readers see never goes back; what
//! a kill, a loss of power or a backup leaves is no older than what was promised.
//!
//! Each operation has a time at which it began and one at which it ended. Content is too old at a time
//! before which another operation ended that began after the content's own had ended.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/sample.rs"]
mod sample;
#[path = "support/told.rs"]
mod told;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, ScopedJoinHandle};

use fastrand::Rng;
use forgetful::{Event, Forgetful, Moment};
use mapless::Durability::{Buffered, Group, None as Weak};
use mapless::{MultiStore, ObjectId};
use sample::{formatted, options};
use tempfile::TempDir;
use told::{LEAST, tells, told};

/// The objects' capacities, at least: of each kind of slot, through the journal and past it.
const LENS: [usize; 5] = [40, 600, 5000, 30_000, 68_000];
const THREADS: u64 = 4;
const STEPS: usize = 120;

#[derive(Clone, Copy, Debug)]
struct Op {
    object: usize,
    start: u64,
    end: u64,
}

/// Something survives: a loss of power or a kill alone, and from which time on.
#[derive(Clone, Copy)]
struct Promise {
    power: bool,
    since: u64,
}

struct Shared {
    disk: Arc<Forgetful>,
    store: MultiStore,
    ids: Vec<ObjectId>,
    clock: AtomicU64,
    ops: Mutex<Vec<Op>>,
    promises: Mutex<Vec<Promise>>,
}

impl Shared {
    fn new(disk: Arc<Forgetful>) -> Self {
        let store = options().durability(Weak).open_on(disk.clone()).unwrap();
        let mut shared = Self {
            disk,
            store,
            ids: Vec::new(),
            clock: AtomicU64::new(1),
            ops: Mutex::default(),
            promises: Mutex::default(),
        };
        for (object, len) in LENS.iter().enumerate() {
            let op = shared.begin(object);
            let id = shared.store.put(told([op as u32, 0, 0], *len)).unwrap();
            shared.end(op);
            shared.ids.push(id);
        }
        let since = shared.tick();
        shared.store.sync().unwrap();
        shared.promise(true, since);
        shared
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst)
    }

    fn begin(&self, object: usize) -> usize {
        let mut ops = self.ops.lock().unwrap();
        let (start, end) = (self.tick(), u64::MAX);
        ops.push(Op { object, start, end });
        ops.len() - 1
    }

    /// When it began.
    fn end(&self, op: usize) -> u64 {
        let mut ops = self.ops.lock().unwrap();
        ops[op].end = self.tick();
        ops[op].start
    }

    fn promise(&self, power: bool, since: u64) {
        let mut promises = self.promises.lock().unwrap();
        promises.push(Promise { power, since });
        self.disk.mark(promises.len() - 1);
    }

    /// Fails if content is another object's, or too old at a time.
    fn is_no_older(&self, object: usize, bytes: &[u8], since: u64, what: &str) {
        let ops = self.ops.lock().unwrap();
        let seen = ops[tells(bytes)[0] as usize];
        assert_eq!(seen.object, object, "{what}");
        let is_later = |op: &&Op| op.object == object && op.start > seen.end && op.end < since;
        let later = ops.iter().find(is_later);
        assert!(later.is_none(), "{what}: {seen:?} after {later:?}");
    }

    fn all_no_older(&self, store: &MultiStore, since: u64, what: &str) {
        for (object, id) in self.ids.iter().enumerate() {
            let bytes = store.get(*id);
            let bytes = bytes.unwrap_or_else(|error| panic!("{what}: {error}"));
            self.is_no_older(object, &bytes, since, what);
        }
    }
}

// -------------------------------------------------------------------- what a thread does

fn overwrite(shared: &Shared, object: usize, len: usize, random: &mut Rng) {
    let durability = [Weak, Weak, Buffered, Group][random.usize(..4)];
    let op = shared.begin(object);
    let bytes = told([op as u32, 0, 0], len);
    let id = shared.ids[object];
    shared.store.overwrite_with(id, bytes, durability).unwrap();
    let since = shared.end(op);
    if durability != Weak {
        shared.promise(durability == Group, since);
    }
}

fn overwrite_two(shared: &Shared) {
    let ops = [1, 0].map(|object| (object, shared.begin(object)));
    let batch = ops.map(|(object, op)| {
        let bytes = told([op as u32, 0, 0], LENS[object] / 2);
        (shared.ids[object], bytes)
    });
    shared.store.write_batch(&batch).unwrap();
    for (_, op) in ops {
        shared.end(op);
    }
}

/// One that finds other content at its end changes nothing, and its operation never ends.
fn write(shared: &Shared, object: usize, len: usize) {
    let op = shared.begin(object);
    let mut writer = shared.store.overwriter(shared.ids[object]).unwrap();
    writer.write_all(&told([op as u32, 0, 0], len)).unwrap();
    if writer.finish().is_ok() {
        let since = shared.end(op);
        shared.promise(true, since);
    }
}

fn read(shared: &Shared, object: usize) {
    let (since, mut bytes) = (shared.tick(), Vec::new());
    let mut reader = shared.store.reader(shared.ids[object]).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    shared.is_no_older(object, &bytes, since, "reader");
}

fn get(shared: &Shared, object: usize) {
    let since = shared.tick();
    let bytes = shared.store.get(shared.ids[object]).unwrap();
    shared.is_no_older(object, &bytes, since, "get");
}

fn step(shared: &Shared, random: &mut Rng) {
    let object = [0, 0, 0, 1, 1, 2, 3, 4][random.usize(..8)];
    let len = random.usize(LEAST..=LENS[object]);
    let store = &shared.store;
    match random.u8(..20) {
        0..=9 => overwrite(shared, object, len, random),
        10 => overwrite_two(shared),
        11 => write(shared, object, len),
        12 | 13 => {
            let since = shared.tick();
            let sync = [MultiStore::sync, MultiStore::checkpoint][random.usize(..2)];
            sync(store).unwrap();
            shared.promise(true, since);
        }
        14 => store.delete(store.put(told([0; 3], 50)).unwrap()).unwrap(),
        15 | 16 => read(shared, object),
        _ => get(shared, object),
    }
}

/// Copies of the store, and when each was begun, until all have ended.
fn back_up(shared: &Shared, all: &[ScopedJoinHandle<'_, ()>]) -> Vec<(TempDir, u64)> {
    let mut copies = Vec::new();
    while all.iter().any(|one| !one.is_finished()) {
        let (dir, since) = (tempfile::tempdir().unwrap(), shared.tick());
        shared.store.backup_to(dir.path().join("copy")).unwrap();
        copies.push((dir, since));
        assert!(shared.store.scrub().unwrap().corrupt.is_empty());
    }
    copies
}

// -------------------------------------------------------------------- and what is left of it

fn check_copies(shared: &Shared, copies: &[(TempDir, u64)]) {
    for (n, (dir, since)) in copies.iter().enumerate() {
        let (path, what) = (dir.path().join("copy"), format!("copy {n}"));
        let copy = MultiStore::open_read_only(&path).unwrap();
        shared.all_no_older(&copy, *since, &what);
        drop(copy);
        let copy = MultiStore::open(&path).unwrap();
        shared.all_no_older(&copy, *since, &what);
        assert!(copy.check().unwrap().corrupt.is_empty(), "{what}");
    }
}

/// Kills and losses of power at some moments; how many states of the disk that were.
fn check_crashes(shared: &Shared, before: Vec<u8>, moments: usize, random: &mut Rng) -> usize {
    let (events, promises) = (shared.disk.events(), shared.promises.lock().unwrap());
    let (mut moment, mut states) = (Moment::new(before), 0);
    let (mut of_power, mut of_kill) = (0, 0);
    for (n, event) in events.iter().enumerate() {
        moment.step(event);
        if let Event::Mark(at) = event {
            let Promise { power, since } = promises[*at];
            of_kill = of_kill.max(since);
            of_power = of_power.max(if power { since } else { 0 });
        }
        if of_power == 0 || random.usize(..events.len()) >= moments {
            continue;
        }
        let sinces = [of_kill, of_power, of_power, of_power];
        for (bytes, since) in moment.some(random).into_iter().zip(sinces) {
            let disk = Arc::new(Forgetful::new(bytes));
            for again in [false, true] {
                let what = format!("event {n}, state {states}, {again}");
                let store = options().open_on(disk.clone());
                let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
                shared.all_no_older(&store, since, &what);
            }
            states += 1;
        }
    }
    states
}

fn round(seed: u64, moments: usize, backups: bool) -> usize {
    let before = formatted();
    let shared = Shared::new(Arc::new(Forgetful::new(before.clone())));
    let copies = thread::scope(|scope| {
        let shared = &shared;
        let actors = (0..THREADS).map(|me| {
            let mut random = Rng::with_seed(seed * 64 + me);
            scope.spawn(move || (0..STEPS).for_each(|_| step(shared, &mut random)))
        });
        let actors: Vec<_> = actors.collect();
        let copies = backups.then(|| back_up(shared, &actors));
        copies.unwrap_or_default()
    });
    check_copies(&shared, &copies);
    check_crashes(&shared, before, moments, &mut Rng::with_seed(seed)) + copies.len()
}

#[test]
fn objects_that_are_shared_never_go_back() {
    let states: usize = (0..4).map(|seed| round(seed, 40, false)).sum();
    assert!(states > 200, "{states}");
}

#[test]
fn backups_of_shared_objects_are_of_one_moment() {
    let states: usize = (0..4).map(|seed| round(seed, 10, true)).sum();
    assert!(states > 50, "{states}");
}
