//! Overwrites that need not be durable yet: their bytes wait in memory, and readers find them there.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use forgetful::{Failing, Forgetful};
use mapless::Durability::{Buffered, Group, None};
use mapless::{ByteLen, MultiStore, ObjectId, SizeClasses, StoreError, StoreOptions};

fn options() -> StoreOptions {
    let classes = SizeClasses::new([64, 700].map(ByteLen::new)).unwrap();
    let options = StoreOptions::new().journal(1 << 20);
    options.size_classes(classes).durability(None)
}

fn new_store() -> (Arc<Forgetful>, MultiStore) {
    let disk = Arc::new(Forgetful::default());
    let store = options().create_on(disk.clone()).unwrap();
    (disk, store)
}

fn content(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 23 + n * 59 + 1) as u8).collect()
}

/// What stands in the object's slot.
fn in_place(disk: &Forgetful, store: &MultiStore, id: ObjectId, len: usize) -> Vec<u8> {
    let at = store.extent(id).unwrap().offset.get() as usize;
    disk.bytes()[at..at + len].to_vec()
}

fn read(store: &MultiStore, id: ObjectId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = store.reader(id).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(reader.len(), bytes.len() as u64);
    bytes
}

#[test]
fn new_bytes_are_seen_before_they_are_in_place() {
    for (durability, old, new) in [(None, 30, 48), (Buffered, 48, 0), (None, 90_000, 80_000)] {
        let (disk, store) = new_store();
        let (old, new) = (content(1, old), content(2, new));
        let (id, before) = store.put_versioned(&old).unwrap();
        store.sync().unwrap();
        let syncs = store.stats().unwrap().syncs;
        store.overwrite_with(id, &new, durability).unwrap();
        assert_eq!(in_place(&disk, &store, id, old.len()), old);
        let seen = || {
            assert_eq!(store.get(id).unwrap(), new);
            assert_eq!(read(&store, id), new);
            assert_eq!(store.object_len(id).unwrap(), new.len() as u64);
            let generation = store.generation(id).unwrap();
            assert_ne!(generation, before);
            assert_eq!(store.get_version(id, generation).unwrap(), new);
            let stale = store.get_version(id, before);
            assert!(matches!(stale, Err(StoreError::Stale(_))), "{stale:?}");
            assert!(store.scrub().unwrap().corrupt.is_empty());
        };
        seen();
        assert_eq!(store.stats().unwrap().syncs, syncs);
        assert!(store.stats().unwrap().pending >= new.len());
        store.sync().unwrap();
        assert_eq!(store.stats().unwrap().pending, 0);
        assert_eq!(in_place(&disk, &store, id, new.len()), new);
        seen();
        // A kill, and a clean close.
        let killed = Arc::new(Forgetful::new(disk.bytes()));
        store.overwrite(id, &old[..3]).unwrap();
        drop(store);
        for (disk, bytes) in [(killed, &new[..]), (disk, &old[..3])] {
            let store = options().open_on(disk).unwrap();
            assert_eq!(store.get(id).unwrap(), bytes);
        }
    }
}

#[test]
fn whoever_syncs_moves_what_waits() {
    let (disk, store) = new_store();
    let ids: Vec<_> = (0..20)
        .map(|n| store.put(content(n, 40)).unwrap())
        .collect();
    let syncs: [(&str, &dyn Fn()); 6] = [
        ("put", &|| {
            store.put_with(b"more", Group).unwrap();
        }),
        ("delete", &|| {
            let id = store.put(b"less").unwrap();
            store.delete_with(id, Group).unwrap();
        }),
        ("overwrite", &|| {
            store
                .overwrite_with(ids[3], content(103, 40), Group)
                .unwrap();
        }),
        ("sync", &|| store.sync().unwrap()),
        ("checkpoint", &|| store.checkpoint().unwrap()),
        ("check", &|| drop(store.check().unwrap())),
    ];
    for (n, (name, sync)) in syncs.into_iter().enumerate() {
        let new = |at: usize| content(100 + at + n % 2 * usize::from(at != 3), 40);
        for (at, id) in ids.iter().enumerate() {
            store.overwrite(*id, content(7, 9)).unwrap();
            store.overwrite(*id, new(at)).unwrap();
        }
        assert!(store.stats().unwrap().pending > 0);
        sync();
        assert_eq!(store.stats().unwrap().pending, 0, "{name}");
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(in_place(&disk, &store, *id, 40), new(at), "{name}");
        }
    }
}

#[test]
fn memory_that_waits_is_bounded() {
    // A journal that does not fill: its checkpoints would bound it as well.
    let disk = Arc::new(Forgetful::default());
    let store = options().journal(32 << 20).create_on(disk).unwrap();
    let ids: Vec<_> = (0..2000).map(|_| store.put([0; 600]).unwrap()).collect();
    let big = store.put(content(1, 200_000)).unwrap();
    let mut most = 0;
    for n in 0..6000 {
        store.overwrite(ids[n % 2000], content(n, 600)).unwrap();
        most = most.max(store.stats().unwrap().pending);
        if n % 500 == 0 {
            store.overwrite(big, content(n, 200_000)).unwrap();
        }
    }
    assert!((100_000..=1 << 20).contains(&most), "{most}");
    let last = (0..2000).map(|n| content(4000 + n, 600));
    assert!(
        ids.iter()
            .zip(last)
            .all(|(id, bytes)| store.get(*id).unwrap() == bytes)
    );
    store.sync().unwrap();
    assert_eq!(store.stats().unwrap().pending, 0);
}

#[test]
fn an_object_whose_bytes_wait_is_changed_in_every_way() {
    let (disk, store) = new_store();
    let id = store.put(content(1, 400_000)).unwrap();
    let wait = |n| store.overwrite(id, content(n, 1000)).unwrap();
    // Through a scratch area, at once and piece by piece; a sync in between, and a weaker one.
    wait(2);
    store.overwrite(id, content(3, 390_000)).unwrap();
    assert_eq!(store.get(id).unwrap(), content(3, 390_000));
    wait(4);
    let mut writer = store.overwriter(id).unwrap();
    writer.write_all(&content(5, 300_000)).unwrap();
    writer.finish().unwrap();
    assert_eq!(store.get(id).unwrap(), content(5, 300_000));
    let mut late = store.overwriter(id).unwrap();
    late.write_all(b"late").unwrap();
    wait(6);
    assert!(matches!(late.finish(), Err(StoreError::Stale(_))));
    store.write_batch(&[(id, content(7, 900))]).unwrap();
    assert_eq!(store.get(id).unwrap(), content(7, 900));
    // A reader keeps what it has; the object is deleted, and its slot is another's.
    let small = store.put(content(8, 40)).unwrap();
    store.sync().unwrap();
    store.overwrite(small, content(9, 40)).unwrap();
    let mut reader = store.reader(small).unwrap();
    assert!(matches!(
        store.try_overwrite(small, b""),
        Err(StoreError::Busy(_))
    ));
    store.delete(small).unwrap();
    assert!(matches!(store.get(small), Err(StoreError::Freed(_))));
    store.sync().unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, content(9, 40));
    drop(reader);
    store.collect();
    let next = store.put(content(10, 40)).unwrap();
    assert_eq!(next, small);
    store.sync().unwrap();
    assert_eq!(store.get(next).unwrap(), content(10, 40));
    drop(store);
    let store = options().open_on(disk).unwrap();
    assert_eq!(store.get(next).unwrap(), content(10, 40));
    assert_eq!(store.get(id).unwrap(), content(7, 900));
}

#[test]
fn after_a_sync_that_failed_nothing_is_moved() {
    let (disk, store) = new_store();
    let id = store.put(content(1, 40)).unwrap();
    store.sync().unwrap();
    store.overwrite(id, content(2, 40)).unwrap();
    disk.fail(Some(Failing::Sync));
    assert!(matches!(store.sync(), Err(StoreError::Io(_))));
    disk.fail(Option::None);
    assert!(matches!(
        store.overwrite(id, b""),
        Err(StoreError::ReadOnly(_))
    ));
    assert_eq!(store.get(id).unwrap(), content(2, 40));
    drop(store.close());
    assert!(options().open_on(disk).unwrap().get(id).is_ok());
}

#[test]
fn a_backup_has_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = options().create(dir.path().join("store")).unwrap();
    let id = store.put(content(1, 600)).unwrap();
    store.checkpoint().unwrap();
    store.overwrite(id, content(2, 500)).unwrap();
    store.backup_to(dir.path().join("backup")).unwrap();
    let backup = MultiStore::open_read_only(dir.path().join("backup")).unwrap();
    assert_eq!(backup.get(id).unwrap(), content(2, 500));
    drop(backup);
    let backup = MultiStore::open(dir.path().join("backup")).unwrap();
    assert_eq!(backup.get(id).unwrap(), content(2, 500));
}

/// Tells the others to stop, whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads an object for ever; no number it has follows a higher one.
fn watch(store: &MultiStore, id: ObjectId, stop: &AtomicBool) {
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let bytes = store.get(id).unwrap();
        let n = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert!(bytes == n.to_le_bytes().repeat(80), "half of an overwrite");
        assert!(n >= last, "{n} after {last}");
        last = n;
    }
}

#[test]
fn nobody_sees_older_bytes_after_newer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = options().create(dir.path().join("store")).unwrap();
    let ids: Vec<_> = (0..4).map(|_| store.put([0; 640]).unwrap()).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| watch(&store, ids[0], &stop));
        scope.spawn(|| watch(&store, ids[1], &stop));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.sync().unwrap();
                store.checkpoint().unwrap();
            }
        });
        for n in 1..4000_u64 {
            let id = ids[n as usize % 4];
            let durability = [None, Buffered, None, None, Group][n as usize % 5];
            let bytes = n.to_le_bytes().repeat(80);
            store.overwrite_with(id, &bytes, durability).unwrap();
            assert_eq!(store.get(id).unwrap(), bytes);
        }
    });
    assert!(store.check().unwrap().corrupt.is_empty());
}
