//! Threads that do everything at mixed durabilities, and what a kill or a loss of power leaves of it: for
//! each thread exactly what it had after some number of its operations, and no fewer than was promised
//! to anybody. A crash in the middle of the recovery changes nothing of that, and what is put afterwards
//! overlaps nothing.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/told.rs"]
mod told;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use fastrand::Rng;
use forgetful::{Event, Failing, Forgetful, Moment};
use mapless::Durability::{self, Buffered, Group, None as Weak};
use mapless::{ByteLen, MultiStore, ObjectId, SizeClasses, StoreOptions};
use told::{LEAST, tells, told};

const THREADS: usize = 3;
const STEPS: usize = 150;
/// Longer ones are not put by the dozen: all of those have one record.
const LARGEST_OF_MANY: usize = 2900;

fn options() -> StoreOptions {
    let classes = SizeClasses::new([96, 700, 3000].map(ByteLen::new)).unwrap();
    let options = StoreOptions::new().journal(64 << 10).size_classes(classes);
    options.durability(Weak)
}

/// The versions of a thread's objects, by its own numbers.
type State = BTreeMap<u32, u32>;

/// After how many operations of each thread something was there that survives a kill, or more.
struct Promise {
    power: bool,
    done: [usize; THREADS],
}

struct Shared {
    store: MultiStore,
    disk: Arc<Forgetful>,
    done: [AtomicUsize; THREADS],
    promises: Mutex<Vec<Promise>>,
}

impl Shared {
    fn done(&self) -> [usize; THREADS] {
        core::array::from_fn(|at| self.done[at].load(SeqCst))
    }

    fn promise(&self, power: bool, done: [usize; THREADS]) {
        let mut promises = self.promises.lock().unwrap();
        promises.push(Promise { power, done });
        self.disk.mark(promises.len() - 1);
    }
}

/// An object's own number, its id, its length and its version.
#[derive(Clone, Copy)]
struct Object {
    number: u32,
    id: ObjectId,
    len: usize,
    version: u32,
}

struct Actor<'a> {
    shared: &'a Shared,
    me: usize,
    random: Rng,
    own: BTreeMap<u32, Object>,
    states: Vec<State>,
    /// Numbers and versions drawn so far.
    drawn: u32,
}

impl Actor<'_> {
    fn draw(&mut self) -> u32 {
        self.drawn += 1;
        self.drawn
    }

    fn len(&mut self) -> usize {
        match self.random.u8(..20) {
            0..=9 => self.random.usize(LEAST..80),
            10..=14 => self.random.usize(100..680),
            15 | 16 => self.random.usize(700..2700),
            17 => self.random.usize(4000..13_000),
            18 => self.random.usize(17_000..26_000),
            _ => self.random.usize(70_000..79_000),
        }
    }

    fn durability(&mut self) -> Durability {
        [Weak, Weak, Weak, Buffered, Buffered, Group][self.random.usize(..6)]
    }

    fn some(&mut self) -> Option<Object> {
        let nth = self.random.usize(..self.own.len().max(1));
        self.own.values().nth(nth).copied()
    }

    fn content(&self, object: Object) -> Vec<u8> {
        told([self.me as u32, object.number, object.version], object.len)
    }

    /// The state after one more operation, noted before it begins.
    fn will_have(&mut self, news: &[Object]) {
        let mut state = self.states.last().unwrap().clone();
        state.extend(news.iter().map(|new| (new.number, new.version)));
        self.states.push(state);
    }

    fn will_lose(&mut self, number: u32) {
        let mut state = self.states.last().unwrap().clone();
        state.remove(&number);
        self.states.push(state);
    }

    /// The last operation has ended; before it began, so much was there.
    fn did(&self, durability: Durability, mut before: [usize; THREADS]) {
        let done = self.states.len() - 1;
        self.shared.done[self.me].store(done, SeqCst);
        if durability != Weak {
            before[self.me] = done;
            self.shared.promise(durability == Group, before);
        }
    }

    fn step(&mut self) {
        let before = self.shared.done();
        let some = self.some();
        match (self.random.u8(..100), some) {
            (0..=17, _) => self.put(before),
            (18..=23, _) => self.put_many(),
            (24..=58, Some(object)) => self.overwrite(object, before),
            (59..=63, _) => self.write_batch(),
            (64..=66, Some(object)) => self.write_over(object, before),
            (67 | 68, _) => self.write_new(before),
            (69, _) => self.give_up(),
            (70..=71, _) if self.random.u8(..4) == 0 => self.delete_all(),
            (70..=91, Some(object)) => self.delete(object, before),
            (92..=95, _) => self.sync(before),
            _ => self.check_own(),
        }
    }

    // ---------------------------------------------------------------- operations

    fn new_object(&mut self, len: usize) -> Object {
        let (number, version) = (self.draw(), self.draw());
        let id = ObjectId::new(1).unwrap(); // it comes later
        Object {
            number,
            id,
            len,
            version,
        }
    }

    fn put(&mut self, before: [usize; THREADS]) {
        let (len, durability) = (self.len(), self.durability());
        let new = self.new_object(len);
        self.will_have(&[new]);
        let bytes = self.content(new);
        let id = self.shared.store.put_with(bytes, durability).unwrap();
        self.own.insert(new.number, Object { id, ..new });
        self.did(durability, before);
    }

    fn put_many(&mut self) {
        let new = |actor: &mut Self| {
            let len = LEAST.max(actor.len() % LARGEST_OF_MANY);
            actor.new_object(len)
        };
        let n = self.random.usize(2..14);
        let news: Vec<Object> = (0..n).map(|_| new(self)).collect();
        self.will_have(&news);
        let all: Vec<Vec<u8>> = news.iter().map(|new| self.content(*new)).collect();
        let ids = self.shared.store.put_many(&all).unwrap();
        let all = ids.into_iter().zip(news);
        let all = all.map(|(id, new)| (new.number, Object { id, ..new }));
        self.own.extend(all);
        self.did(Weak, self.shared.done());
    }

    fn newer(&mut self, object: Object) -> Object {
        let version = self.draw();
        Object { version, ..object }
    }

    fn overwrite(&mut self, object: Object, before: [usize; THREADS]) {
        let durability = self.durability();
        let new = self.newer(object);
        self.will_have(&[new]);
        let store = &self.shared.store;
        let len = LEAST.max(new.len - self.random.usize(..=new.len / 2));
        let bytes = self.content(Object { len, ..new });
        store.overwrite_with(new.id, &bytes, durability).unwrap();
        assert_eq!(store.get(new.id).unwrap(), bytes);
        self.did(durability, before);
    }

    fn write_batch(&mut self) {
        let mut news = Vec::new();
        for _ in 0..self.random.usize(1..7) {
            if let Some(object) = self.some().filter(|one| one.len <= LARGEST_OF_MANY) {
                let new = self.newer(object);
                news.retain(|one: &Object| one.number != new.number);
                news.push(new);
            }
        }
        self.will_have(&news);
        let content = |new: &Object| (new.id, self.content(*new));
        let batch: Vec<_> = news.iter().map(content).collect();
        self.shared.store.write_batch(&batch).unwrap();
        self.did(Weak, self.shared.done());
    }

    fn write_over(&mut self, object: Object, before: [usize; THREADS]) {
        let new = self.newer(object);
        self.will_have(&[new]);
        let mut writer = self.shared.store.overwriter(new.id).unwrap();
        writer.write_all(&self.content(new)).unwrap();
        writer.finish().unwrap();
        self.did(Group, before);
    }

    fn write_new(&mut self, before: [usize; THREADS]) {
        let (len, durability) = (self.len(), self.durability());
        let new = self.new_object(len);
        self.will_have(&[new]);
        let id = self.shared.store.allocate(len as u64).unwrap();
        let mut writer = self.shared.store.writer(id).unwrap();
        writer.write_all(&self.content(new)).unwrap();
        writer.finish_with(durability).unwrap();
        self.own.insert(new.number, Object { id, ..new });
        self.did(durability, before);
    }

    fn give_up(&mut self) {
        let len = self.len();
        let (_, mut writer) = self.shared.store.create_writer(len as u64).unwrap();
        writer.write_all(&vec![7; len / 2]).unwrap();
        drop(writer);
        self.shared.store.allocate_run(3, 50).unwrap();
    }

    /// Some are read by somebody who began before.
    fn delete(&mut self, object: Object, before: [usize; THREADS]) {
        let (durability, store) = (self.durability(), &self.shared.store);
        self.own.remove(&object.number);
        let is_read = self.random.u8(..3) == 0;
        let reader = is_read.then(|| store.reader(object.id).unwrap());
        self.will_lose(object.number);
        store.delete_with(object.id, durability).unwrap();
        if self.random.u8(..3) == 0 {
            store.collect();
        }
        if let Some(mut reader) = reader {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(tells(&bytes)[..2], [self.me as u32, object.number]);
        }
        self.did(durability, before);
    }

    fn delete_all(&mut self) {
        let store = &self.shared.store;
        for (number, object) in core::mem::take(&mut self.own) {
            self.will_lose(number);
            store.delete(object.id).unwrap();
        }
        store.sync().unwrap();
        store.collect();
        store.shrink().unwrap();
        self.did(Weak, self.shared.done());
    }

    fn sync(&mut self, before: [usize; THREADS]) {
        let store = &self.shared.store;
        match self.random.u8(..8) {
            0 => drop(store.shrink().unwrap()),
            1 => store.checkpoint().unwrap(),
            _ => store.sync().unwrap(),
        }
        self.shared.promise(true, before);
    }

    fn check_own(&self) {
        let state = self.states.last().unwrap();
        for object in self.own.values() {
            let bytes = self.shared.store.get(object.id).unwrap();
            let expected = [self.me as u32, object.number, state[&object.number]];
            assert_eq!(tells(&bytes), expected);
        }
    }
}

/// What a thread had after each of its operations.
fn act(shared: &Shared, me: usize, seed: u64) -> Vec<State> {
    let mut actor = Actor {
        shared,
        me,
        random: Rng::with_seed(seed * 64 + me as u64),
        own: BTreeMap::new(),
        states: vec![State::new()],
        drawn: 0,
    };
    (0..STEPS).for_each(|_| actor.step());
    actor.states
}

// -------------------------------------------------------------------- what is left of it

/// All objects, as `get` and as a reader finds them.
fn all_of(store: &MultiStore) -> BTreeMap<ObjectId, Vec<u8>> {
    let all = store.ids().map(|id| {
        let (bytes, mut read) = (store.get(id).unwrap(), Vec::new());
        store.reader(id).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        assert_eq!(store.object_len(id).unwrap(), bytes.len() as u64);
        (id, read)
    });
    all.collect()
}

/// Opens what is left, and compares it with all that may be; the disk, with what that wrote.
fn check(bytes: Vec<u8>, all: &[Vec<State>], least: &[usize], what: &str) -> Arc<Forgetful> {
    let disk = Arc::new(Forgetful::new(bytes));
    let open = |opened: Result<MultiStore, mapless::StoreError>| {
        opened.unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    let shown = all_of(&open(options().open_read_only_on(disk.clone())));
    assert!(disk.events().is_empty(), "{what}: it was opened read-only");
    let objects = all_of(&open(options().open_on(disk.clone())));
    assert!(shown == objects, "{what}: read-only differs");
    let mut found = vec![State::new(); all.len()];
    for bytes in objects.values() {
        let [thread, number, version] = tells(bytes);
        let twice = found[thread as usize].insert(number, version);
        assert!(twice.is_none(), "{what}");
    }
    for ((states, found), least) in all.iter().zip(&found).zip(least) {
        let is = states.iter().rposition(|state| state == found);
        assert!(
            is >= Some(*least),
            "{what}: {is:?}, and {least} was promised"
        );
    }
    disk
}

/// As much of what a recovery wrote as a crash in the middle of it leaves.
fn crashed_again(bytes: Vec<u8>, events: &[Event], is_kill: bool, random: &mut Rng) -> Vec<u8> {
    let mut moment = Moment::new(bytes);
    let upto = random.usize(..=events.len());
    events[..upto].iter().for_each(|event| moment.step(event));
    if is_kill {
        moment.current()
    } else {
        moment.chosen(|n| random.usize(..n))
    }
}

/// New objects leave what is there alone.
fn goes_on(disk: Arc<Forgetful>, what: &str) {
    let store = options().open_on(disk).unwrap();
    let mut objects = all_of(&store);
    for n in 0..60_u32 {
        let bytes = told([9, n, n], [40, 600, 2000, 9000][n as usize % 4]);
        let other = objects.insert(store.put(&bytes).unwrap(), bytes);
        assert!(other.is_none(), "{what}");
    }
    store.sync().unwrap();
    assert!(all_of(&store) == objects, "{what}: overlapped");
    assert!(store.check().unwrap().corrupt.is_empty(), "{what}");
}

struct Crashes {
    all: Vec<Vec<State>>,
    random: Rng,
    states: usize,
}

impl Crashes {
    /// What is left of a moment, twice; `least` says what is promised of a kill, and of less.
    fn check(&mut self, moment: &Moment, least: [[usize; THREADS]; 2], what: &str) {
        let states = moment.some(&mut self.random);
        for (kind, bytes) in states.into_iter().enumerate() {
            let (least, what) = (least[kind.min(1)], format!("{what}, state {kind}"));
            let disk = check(bytes.clone(), &self.all, &least, &what);
            let bytes = crashed_again(bytes, &disk.events(), kind == 0, &mut self.random);
            let disk = check(bytes, &self.all, &least, &format!("{what}, again"));
            if kind == 3 {
                goes_on(disk, &what);
            }
            self.states += 2;
        }
    }
}

fn at_least(least: &mut [usize; THREADS], done: &[usize; THREADS]) {
    for (least, done) in least.iter_mut().zip(done) {
        *least = (*least).max(*done);
    }
}

/// Runs the threads and some of their crashes; how many states of the disk that were.
fn round(seed: u64, moments: usize, failing: Option<Failing>) -> usize {
    let disk = Arc::new(Forgetful::default());
    drop(options().create_on(disk.clone()).unwrap());
    disk.forget();
    let mut moment = Moment::new(disk.bytes());
    disk.fail(failing);
    let shared = Shared {
        store: options().open_on(disk.clone()).unwrap(),
        disk,
        done: Default::default(),
        promises: Mutex::default(),
    };
    let shared = &shared;
    let all = thread::scope(|scope| {
        let actors = (0..THREADS).map(|me| scope.spawn(move || act(shared, me, seed)));
        let actors: Vec<_> = actors.collect();
        let all = actors.into_iter().map(|actor| actor.join().unwrap());
        all.collect()
    });
    let (random, states) = (Rng::with_seed(seed), 0);
    let mut crashes = Crashes {
        all,
        random,
        states,
    };
    let (events, promises) = (shared.disk.events(), shared.promises.lock().unwrap());
    let mut least = [[0; THREADS]; 2];
    for (n, event) in events.iter().enumerate() {
        moment.step(event);
        if let Event::Mark(at) = event {
            let Promise { power, done } = &promises[*at];
            let so_strong = 1 + usize::from(*power);
            least[..so_strong]
                .iter_mut()
                .for_each(|least| at_least(least, done));
        }
        if crashes.random.usize(..events.len()) < moments {
            crashes.check(&moment, least, &format!("seed {seed}, event {n}"));
        }
    }
    crashes.states
}

#[test]
fn a_crash_under_threads_leaves_a_beginning_of_each() {
    let states: usize = (0..6).map(|seed| round(seed, 25, None)).sum();
    assert!(states > 600, "{states}");
}

#[test]
fn short_writes_and_interrupts_change_nothing_of_that() {
    let states: usize = (6..8)
        .map(|seed| round(seed, 20, Some(Failing::Short)))
        .sum();
    assert!(states > 100, "{states}");
}
