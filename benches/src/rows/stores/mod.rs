//! Stores: what all their rows share.
//!
//! Files are made in a folder of their own in the current directory, and removed afterwards: what
//! is durable there is as durable as that file system makes it, and the tables name it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rand::Rng;
use tempfile::TempDir;

use crate::ours_store;
use crate::peers::stores::{Open, PEERS, Store, Use};
use crate::rounds::Series;
use crate::sets::dice;

pub mod durable;
pub mod get;
pub mod load;
pub mod memory;
pub mod reopen;
pub mod size;
pub mod stream;

pub use crate::ours_store::OURS;

/// What most objects are.
pub const PAYLOAD: [u8; 64] = [0x5a; 64];
/// How many objects the large stores have.
pub const OBJECTS: usize = 2_650_000;
/// How many are loaded at once.
pub const BATCH: usize = 10_000;

/// A folder in the current directory, which is gone afterwards.
#[must_use]
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix(".bench-").tempdir_in(".");
    folder.expect("a folder in the current directory")
}

/// Which file system the current directory is in.
#[must_use]
pub fn file_system() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        here.starts_with(place).then_some((place.len(), kind))
    });
    let first = fields.next();
    let found = fields.fold(first, |best, next| best.max(Some(next)));
    found
        .map_or("an unknown file system", |(_, kind)| kind)
        .to_owned()
}

/// This crate's and all others, by name.
#[must_use]
pub fn everyone() -> Vec<(&'static str, Open)> {
    let ours: Open = |folder, to| Box::new(ours_store::open(folder, to));
    let mut all = vec![(OURS, ours)];
    all.extend(PEERS);
    all
}

/// Loads so many objects of 64 bytes, in batches; their keys.
pub fn load(store: &dyn Store, objects: usize, batch: usize) -> Vec<u64> {
    let mut keys = Vec::with_capacity(objects);
    let all = vec![&PAYLOAD[..]; batch.min(objects)];
    while keys.len() < objects {
        let some = batch.min(objects - keys.len());
        keys.extend(store.load(&all[..some]));
    }
    keys
}

/// A store of its own folder, with so many objects, and their keys.
#[must_use]
pub fn loaded(open: Open, objects: usize) -> (TempDir, Vec<u64>) {
    let folder = folder();
    let store = open(folder.path(), Use::Bulk);
    let keys = load(&*store, objects, BATCH);
    store.sync();
    drop(store);
    (folder, keys)
}

/// Some of the keys, drawn with replacement.
#[must_use]
pub fn draw(keys: &[u64], n: usize, seed: u64) -> Vec<u64> {
    let mut dice = dice(seed);
    (0..n)
        .map(|_| keys[dice.random_range(0..keys.len())])
        .collect()
}

/// The series of that name.
#[must_use]
pub fn named<'a>(series: &'a [Series], name: &str) -> &'a Series {
    let found = series.iter().find(|one| one.name == name);
    found.expect("it took part")
}

/// A file that was written from its beginning to its end, and synced.
#[must_use]
pub fn written(path: &Path, len: u64) -> File {
    let options = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path);
    let file = options.expect("a file can be made here");
    let zeros = vec![0; 1 << 20];
    for at in (0..len).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("there is room");
    }
    file.sync_all().expect("a file can be synced");
    file
}
