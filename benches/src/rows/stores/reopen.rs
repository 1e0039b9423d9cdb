//! How long it takes to open a store: one that was closed, and one whose process was killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use mapless::{Disk, Durability, FileDisk, StoreOptions};
use tempfile::TempDir;

use super::{BATCH, OBJECTS, OURS, everyone, folder, load, loaded, named};
use crate::Config;
use crate::memory::uncounted;
use crate::ours_store::FILE;
use crate::peers::stores::{PEERS, Use};
use crate::report::{Line, Report};
use crate::rounds::{Series, race, side};

/// Both superblocks end here, and the journal begins.
const SUPERBLOCKS: u64 = 8192;

/// 2.65 million objects, in the page cache.
pub fn reopen(config: Config) -> Report {
    uncounted(|| {
        let mut report = clean(config);
        report.append(killed(config));
        report
    })
}

fn clean(config: Config) -> Report {
    let objects = config.size(OBJECTS);
    let (mut kept, mut sides) = (Vec::<TempDir>::new(), Vec::new());
    for (name, open) in everyone() {
        let (folder, _) = loaded(open, objects);
        let path = folder.path().to_owned();
        sides.push(side(name, move |_| millis(|| open(&path, Use::Bulk))));
        kept.push(folder);
    }
    let series = race(config.rounds.min(7), sides);
    let work = format!("reopen, {objects} objects of 64 B, closed");
    let mut report = Report::default();
    let ours = named(&series, OURS);
    report
        .lines
        .push(Line::absolute(&work, ours, 3.0).in_unit("ms"));
    for (name, _) in PEERS {
        let line = Line::beside(&work, ours, named(&series, name));
        report.lines.push(line.in_unit("ms"));
    }
    report
}

/// How long it takes; what is made is dropped after that.
fn millis<T>(make: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let made = make();
    let time = start.elapsed();
    drop(made);
    time.as_secs_f64() * 1e3
}

/// A file of which a copy is made when a checkpoint is about to end: what a kill leaves then.
#[derive(Debug)]
struct Watched {
    file: FileDisk,
    path: PathBuf,
    /// Whether the next one is the one.
    armed: AtomicBool,
    copies: AtomicU64,
}

impl Watched {
    fn copy(&self) -> PathBuf {
        self.path.with_extension("killed")
    }
}

impl Disk for Watched {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if offset < SUPERBLOCKS && self.armed.swap(false, Relaxed) {
            fs::copy(&self.path, self.copy())?;
            self.copies.fetch_add(1, Relaxed);
        }
        self.file.write_at(bytes, offset)
    }

    /// The page cache survives a kill: nobody waits for the disk here.
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.reserve(offset, len)
    }
}

/// The journal is full enough for a checkpoint, which is all but done: there is no more to be had.
fn killed(config: Config) -> Report {
    let folder = folder();
    let mut report = Report::default();
    let kinds = [("batches of 10,000", BATCH), ("puts one by one", 1)];
    for (kind, batch) in kinds {
        let objects = config.size(OBJECTS);
        let left = leave(folder.path(), objects, batch);
        let again = folder.path().join("again");
        let times = (0..config.rounds.min(7)).map(|_| {
            fs::copy(&left, &again).expect("there is room");
            millis(|| StoreOptions::new().open(&again).expect("it is whole"))
        });
        let ours = Series::new(OURS, times.collect());
        let work = format!("reopen, {objects} objects of 64 B, killed in a checkpoint, {kind}");
        report
            .lines
            .push(Line::absolute(work, &ours, 200.0).in_unit("ms"));
    }
    report
}

/// What a kill leaves of a store.
fn leave(folder: &Path, objects: usize, batch: usize) -> PathBuf {
    let path = folder.join(FILE);
    drop(fs::remove_file(&path));
    let options = || StoreOptions::new().durability(Durability::Buffered);
    drop(options().create(&path).expect("a store can be made here"));
    let file = File::options().read(true).write(true).open(&path);
    let disk = Arc::new(Watched {
        file: FileDisk::new(file.expect("it was made")),
        path,
        armed: AtomicBool::new(false),
        copies: AtomicU64::new(0),
    });
    let store = options().open_on(disk.clone()).expect("a store");
    load(&store, objects, BATCH);
    store.checkpoint().expect("there is room");
    disk.armed.store(true, Relaxed);
    while disk.copies.load(Relaxed) == 0 {
        if batch > 1 {
            load(&store, batch, batch);
        } else {
            store.put(super::PAYLOAD).expect("there is room");
        }
    }
    disk.copy()
}
