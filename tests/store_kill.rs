//! A process that writes, says what was acknowledged, and is killed at any moment; session after
//! session on one file.
//!
//! `MAPLESS_KILLS` says how often (20; 100 and more in the long run). `MAPLESS_KILL_CHILD` makes this
//! program the one that is killed.
#![cfg(all(feature = "store", unix))]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mapless::{Durability, MultiStore, ObjectId, StoreOptions};

/// No more objects than these are alive at once.
const OBJECTS: usize = 300;

fn content(n: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at * 13 + n * 7) as u8).collect()
}

/// What object `n` was given.
fn bytes(n: u64) -> Vec<u8> {
    content(n, [0, 50, 64, 900, 5_000, 70_000][n as usize % 6])
}

fn open(path: &Path) -> MultiStore {
    let options = StoreOptions::new()
        .journal(256 << 10)
        .durability(Durability::Buffered);
    options.open_or_create(path).unwrap()
}

/// Writes for ever, and tells on its output what it is about to do and what is done.
fn write_for_ever(path: &Path, seed: u64) -> ! {
    let store = open(path);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut live: Vec<ObjectId> = store.ids().collect();
    let mut out = std::io::stdout();
    let mut n = seed << 32;
    loop {
        n += 1;
        let some = random.usize(..live.len().max(1));
        let id = live.get(some).copied();
        match (id, random.u8(..4)) {
            (Some(id), 0) => {
                writeln!(out, "over {} {n}", id.get()).unwrap();
                let room = store.extent(id).unwrap().len.get() as usize;
                let bytes = bytes(n);
                store
                    .overwrite(id, &bytes[..bytes.len().min(room)])
                    .unwrap();
            }
            (Some(id), 1) => {
                writeln!(out, "delete {} {n}", id.get()).unwrap();
                store.delete(id).unwrap();
                live.swap_remove(some);
            }
            _ if live.len() < OBJECTS => {
                writeln!(out, "put 0 {n}").unwrap();
                let id = store.put(bytes(n)).unwrap();
                live.push(id);
                writeln!(out, "is {} {n}", id.get()).unwrap();
            }
            _ => continue,
        }
        writeln!(out, "done 0 {n}").unwrap();
        if n.is_multiple_of(97) {
            store.checkpoint().unwrap();
        }
    }
}

/// A line of the child's.
#[derive(Clone, Debug)]
struct Line {
    what: String,
    id: u64,
    n: u64,
}

/// Runs a child for a while, kills it, and returns what it said.
fn killed(path: &Path, seed: u64, after: Duration) -> Vec<Line> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "objects_survive_kills", "--nocapture"])
        .env("MAPLESS_KILL_CHILD", path)
        .env("MAPLESS_KILL_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        lines.filter_map(|line| parse(&line)).collect::<Vec<Line>>()
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let what = words.next()?.to_string();
    let mut number = || words.next()?.parse().ok();
    let (id, n) = (number()?, number()?);
    ["put", "is", "over", "delete", "done"]
        .contains(&&*what)
        .then_some(Line { what, id, n })
}

/// What must be there, by id, and what was in progress.
#[derive(Default)]
struct Expected {
    objects: BTreeMap<u64, Vec<u8>>,
    pending: Option<Line>,
}

impl Expected {
    fn apply(&mut self, lines: Vec<Line>, capacity: impl Fn(u64) -> usize) {
        for line in lines {
            match &*line.what {
                "done" => self.finish(&capacity),
                "is" => {
                    self.pending = Some(Line {
                        what: "put".into(),
                        ..line
                    })
                }
                _ => self.pending = Some(line),
            }
        }
    }

    fn finish(&mut self, capacity: impl Fn(u64) -> usize) {
        let Some(line) = self.pending.take() else {
            return;
        };
        let bytes = bytes(line.n);
        match &*line.what {
            "put" => drop(self.objects.insert(line.id, bytes)),
            "over" => {
                let len = bytes.len().min(capacity(line.id));
                self.objects.insert(line.id, bytes[..len].to_vec());
            }
            _ => drop(self.objects.remove(&line.id)),
        }
    }

    /// Compares, and takes over what became of the operation that was in progress.
    fn settle(&mut self, store: &MultiStore) {
        let found: BTreeMap<u64, Vec<u8>> = store
            .ids()
            .map(|id| (id.get(), store.get(id).unwrap().to_vec()))
            .collect();
        if found != self.objects {
            let pending = self
                .pending
                .clone()
                .expect("more changed than was in progress");
            let before = self.objects.clone();
            if pending.what == "put" && pending.id == 0 {
                // It was not told its id: whatever is new is it.
                let new = found.keys().find(|id| !before.contains_key(id));
                let new = *new.expect("an object was lost");
                self.pending = Some(Line { id: new, ..pending });
            }
            let capacity = |id| room(store, id);
            self.finish(capacity);
            let same = found == self.objects;
            assert!(
                same,
                "lost or wrong: {:?}",
                differing(&found, &self.objects)
            );
        }
        self.pending = None;
    }
}

fn room(store: &MultiStore, id: u64) -> usize {
    let id = ObjectId::new(id).unwrap();
    store
        .extent(id)
        .map_or(0, |extent| extent.len.get() as usize)
}

fn differing(one: &BTreeMap<u64, Vec<u8>>, two: &BTreeMap<u64, Vec<u8>>) -> Vec<u64> {
    let ids = one.keys().chain(two.keys()).copied();
    ids.filter(|id| one.get(id) != two.get(id)).collect()
}

#[test]
fn objects_survive_kills() {
    if let Some(path) = std::env::var_os("MAPLESS_KILL_CHILD") {
        let seed = std::env::var("MAPLESS_KILL_SEED").unwrap();
        write_for_ever(&PathBuf::from(path), seed.parse().unwrap());
    }
    let kills = std::env::var("MAPLESS_KILLS").map_or(20, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    drop(open(&path));
    let mut random = fastrand::Rng::with_seed(3);
    let mut expected = Expected::default();
    let (mut said, mut longest) = (0, 0);
    for session in 1..=kills {
        let after = Duration::from_millis(random.u64(20..150));
        let lines = killed(&path, session, after);
        said += lines.iter().filter(|line| line.what == "done").count();
        let store = open(&path);
        expected.apply(lines, |id| room(&store, id));
        expected.settle(&store);
        drop(store);
        longest = longest.max(std::fs::metadata(&path).unwrap().len());
    }
    println!("{kills} kills, {said} operations acknowledged, a file of {longest} bytes at most");
    assert!(said > 0);
    // What lives at most, a quarter more for slots, a first range of each of five classes, the ring.
    let most = OBJECTS as u64 * 13_000 * 5 / 2 + (2 << 20);
    assert!(longest < most, "{longest}, {most}");
}
