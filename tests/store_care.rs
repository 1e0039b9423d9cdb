//! Checks, figures, backups, shrinking, salvage.
#![cfg(feature = "store")]

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use mapless::{Durability, MultiStore, ObjectId, StoreError, StoreOptions};

fn bytes(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + n * 7) as u8).collect()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) -> MultiStore {
        let options = StoreOptions::new()
            .journal(128 << 10)
            .durability(Durability::Buffered);
        options.open_or_create(self.path(name)).unwrap()
    }

    /// Changes a byte of a file that may be open.
    fn spoil(&self, name: &str, at: u64) {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(self.path(name))
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

#[test]
fn a_scrub_names_what_is_damaged_and_nothing_else() {
    let place = Place::new();
    let store = place.open("store");
    let ids: Vec<_> = (0..50)
        .map(|n| store.put(bytes(n, n * 3000)).unwrap())
        .collect();
    let scrubbed = store.check().unwrap();
    assert_eq!((scrubbed.objects, scrubbed.corrupt.len()), (50, 0));
    assert_eq!(scrubbed.bytes, (0..50).map(|n| n * 3000).sum::<u64>());
    for n in [7, 40] {
        let extent = store.extent(ids[n]).unwrap();
        place.spoil("store", extent.offset.get() + 100);
        assert!(matches!(store.get(ids[n]), Err(StoreError::Corrupt(id)) if id == ids[n]));
    }
    let scrubbed = store.scrub().unwrap();
    assert_eq!(scrubbed.corrupt, [ids[7], ids[40]]);
    assert_eq!(scrubbed.objects, 48);
    store.overwrite(ids[7], b"whole again").unwrap();
    store.delete(ids[40]).unwrap();
    assert!(store.check().unwrap().corrupt.is_empty());
}

#[test]
fn figures_say_what_was_done() {
    let place = Place::new();
    let store = place.open("store");
    let begin = store.stats().unwrap();
    let ids: Vec<_> = (0..100).map(|n| store.put(bytes(n, 64)).unwrap()).collect();
    store.delete(ids[0]).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.objects, stats.waiting, stats.open_objects),
        (99, 1, 0)
    );
    assert!(stats.slots >= 100 && stats.journal > begin.journal);
    assert_eq!(stats.syncs, begin.syncs);
    store.sync().unwrap();
    store.checkpoint().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.waiting, stats.journal), (0, 0));
    assert_eq!(stats.checkpoints, begin.checkpoints + 1);
    assert!(stats.syncs > begin.syncs);
    let _reader = store.reader(ids[1]).unwrap();
    assert_eq!(store.stats().unwrap().open_objects, 1);
    assert_eq!(
        stats.file_len,
        std::fs::metadata(place.path("store")).unwrap().len()
    );
}

#[test]
fn a_backup_is_one_moment_of_a_store_that_goes_on() {
    let place = Place::new();
    let store = place.open("store");
    let first: Vec<_> = (0..500)
        .map(|n| store.put(bytes(n, 500)).unwrap())
        .collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers = (0..2).map(|part: usize| {
            let (store, stop, first) = (&store, &stop, &first);
            scope.spawn(move || {
                let mut n = part;
                while !stop.load(Ordering::Relaxed) {
                    store
                        .overwrite(first[n % 500], bytes(n + 1000, 400))
                        .unwrap();
                    let id = store.put(bytes(n, 100)).unwrap();
                    store.delete(id).unwrap();
                    n += 2;
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        for round in 0..5 {
            let name = format!("backup {round}");
            store.backup_to(place.path(&name)).unwrap();
            let again = store.backup_to(place.path(&name));
            assert!(matches!(again, Err(StoreError::Exists(_))));
            let backup = place.open(&name);
            assert!(backup.check().unwrap().corrupt.is_empty());
            for id in &first {
                let len = backup.get(*id).unwrap().len();
                assert!(len == 500 || len == 400);
            }
            assert!((500..=502).contains(&backup.len()), "{}", backup.len());
            backup.put(b"more").unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
    });
    assert!(store.check().unwrap().corrupt.is_empty());
}

/// Tells the others to stop, whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// So long that a new version of it goes through a scratch area.
const BIG: usize = 100_000;

fn version(n: u32) -> Vec<u8> {
    n.to_le_bytes().repeat(BIG / 4)
}

/// Which version this is, whole.
fn version_of(content: &[u8]) -> u32 {
    let n = u32::from_le_bytes(content[..4].try_into().unwrap());
    assert!(content == version(n), "half of a version");
    n
}

/// Backs the store up, and says which versions the copy has: for readers and for writers the same.
fn versions_of_backup(place: &Place, store: &MultiStore, ids: &[ObjectId]) -> Vec<u32> {
    let versions = |backup: &MultiStore| -> Vec<u32> {
        let all = ids.iter().map(|id| version_of(&backup.get(*id).unwrap()));
        all.collect()
    };
    store.backup_to(place.path("backup")).unwrap();
    let read_only = MultiStore::open_read_only(place.path("backup")).unwrap();
    let seen = versions(&read_only);
    drop(read_only);
    let backup = place.open("backup");
    assert!(backup.check().unwrap().corrupt.is_empty());
    assert_eq!(versions(&backup), seen);
    drop(backup);
    std::fs::remove_file(place.path("backup")).unwrap();
    seen
}

#[test]
fn a_backup_has_whole_versions_of_what_goes_through_scratch_areas() {
    let place = Place::new();
    let store = place.open("store");
    let ids: Vec<_> = (0..12).map(|_| store.put(version(0)).unwrap()).collect();
    let next = AtomicU32::new(1);
    let overwrite = || {
        let n = next.load(Ordering::Relaxed);
        store.overwrite(ids[n as usize % 12], version(n)).unwrap();
        next.store(n + 1, Ordering::Relaxed);
    };
    // Scratch areas at the beginning of the file, which a backup has passed when they are used again,
    // and much that it copies after them.
    (0..40).for_each(|_| overwrite());
    for n in 0..8 {
        store.put(bytes(n, 4 << 20)).unwrap();
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                overwrite();
            }
        });
        let _stop = Stop(&stop);
        // Backups while which something was overwritten.
        let mut backups = 0;
        while backups < 3 {
            store.checkpoint().unwrap();
            let before = next.load(Ordering::Relaxed);
            let seen = versions_of_backup(&place, &store, &ids);
            let newest = seen.into_iter().max().unwrap();
            assert!(newest + 1 >= before, "{newest} of {before}");
            backups += usize::from(newest > before + 1);
        }
    });
}

#[test]
fn a_store_shrinks_as_far_as_its_last_object() {
    let place = Place::new();
    let store = place.open("store");
    let kept = store.put(b"kept").unwrap();
    let ids = store.put_many(&vec![bytes(1, 3000); 2000]).unwrap();
    let large = store.put(bytes(2, 5 << 20)).unwrap();
    let full = store.stats().unwrap().file_len;
    for id in ids {
        store.delete(id).unwrap();
    }
    // The large object is at the end.
    let less = store.shrink().unwrap();
    assert!(less < 6 << 20, "{less}");
    assert_eq!(store.get(large).unwrap(), bytes(2, 5 << 20));
    store.delete(large).unwrap();
    store.shrink().unwrap();
    let end = store.stats().unwrap().file_len;
    assert!(end < full / 10, "{end} of {full}");
    assert!(store.check().unwrap().corrupt.is_empty());
    drop(store);
    let store = place.open("store");
    assert_eq!(store.get(kept).unwrap(), &b"kept"[..]);
    let again = store.put_many(&vec![bytes(1, 3000); 2000]).unwrap();
    assert_eq!(store.get(again[1999]).unwrap(), bytes(1, 3000));
}

#[test]
fn what_can_be_found_is_salvaged_from_a_file_that_cannot_be_opened() {
    let place = Place::new();
    let store = place.open("store");
    let ids: Vec<_> = (0..100)
        .map(|n| store.put(bytes(n, n * 10)).unwrap())
        .collect();
    store.close().unwrap();
    let store = place.open("store");
    let late: Vec<_> = (100..120)
        .map(|n| store.put(bytes(n, n * 10)).unwrap())
        .collect();
    store.close().unwrap();
    // Both catalogs: the root object's id is wrong.
    let catalogs = 8192 + (128 << 10);
    place.spoil("store", catalogs + 24);
    place.spoil("store", catalogs + 4096 + 24);
    let opened = StoreOptions::new().open(place.path("store"));
    assert!(matches!(opened, Err(StoreError::Damaged(_))), "{opened:?}");
    let mut found = BTreeMap::new();
    let salvaged = MultiStore::salvage(place.path("store"), |id: ObjectId, _, bytes| {
        found.insert(id, bytes);
    });
    salvaged.unwrap();
    for (n, id) in ids.iter().chain(&late).enumerate() {
        assert_eq!(found[id], bytes(n, n * 10));
    }
}
