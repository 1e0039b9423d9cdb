//! The store, one property at a time.
#![cfg(feature = "store")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mapless::{ByteLen, Durability, MultiStore, ObjectId, StoreError, StoreOptions};

fn bytes(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + n * 7) as u8).collect()
}

/// A store in a directory of its own, which goes with it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("objects")
    }

    fn open(&self) -> MultiStore {
        let options = StoreOptions::new()
            .journal(256 << 10)
            .durability(Durability::Buffered);
        options.open_or_create(self.path()).unwrap()
    }
}

#[test]
fn objects_of_all_lengths_come_back_as_they_were_also_after_reopening() {
    let place = Place::new();
    let lens = [0, 1, 50, 64, 1000, 65_535, 65_536, 65_537, 300_000, 3 << 20];
    let mut ids = Vec::new();
    for round in 0..3 {
        let store = place.open();
        for (n, &(id, len)) in ids.iter().enumerate() {
            assert_eq!(
                store.get(id).unwrap(),
                bytes(n, len),
                "{len} bytes in round {round}"
            );
            assert_eq!(store.object_len(id).unwrap(), len as u64);
        }
        for len in lens {
            let id = store.put(bytes(ids.len(), len)).unwrap();
            ids.push((id, len));
        }
        assert_eq!(store.len(), ids.len() as u64);
        let mut live: Vec<ObjectId> = store.ids().collect();
        live.sort_unstable();
        let mut all: Vec<ObjectId> = ids.iter().map(|(id, _)| *id).collect();
        all.sort_unstable();
        assert_eq!(live, all);
    }
}

#[test]
fn what_was_deleted_is_gone_and_its_slot_is_used_again() {
    let place = Place::new();
    let store = place.open();
    let mut lengths = Vec::new();
    for round in 0..10 {
        let ids: Vec<_> = (0..2000)
            .map(|n| store.put(bytes(n, 64)).unwrap())
            .collect();
        lengths.push(std::fs::metadata(place.path()).unwrap().len());
        for (n, &id) in ids.iter().enumerate() {
            assert_eq!(store.get(id).unwrap(), bytes(n, 64));
            store.delete(id).unwrap();
            let get = store.get(id);
            assert!(matches!(get, Err(StoreError::Freed(_))), "round {round}");
            assert!(matches!(store.delete(id), Err(StoreError::Freed(_))));
        }
        assert!(store.is_empty());
        store.sync().unwrap();
    }
    // What still waited for an epoch may have been missing once.
    assert!(lengths[9] <= lengths[1], "{lengths:?}");
}

#[test]
fn overwrites_stay_and_are_as_long_as_the_slot_holds() {
    let place = Place::new();
    let store = place.open();
    let id = store.put(bytes(1, 60)).unwrap();
    let big = store.put(bytes(2, 1 << 20)).unwrap();
    let capacity = store.extent(id).unwrap().len.get();
    for len in [0, 7, 64] {
        store.overwrite(id, bytes(3, len)).unwrap();
        assert_eq!(store.get(id).unwrap(), bytes(3, len));
    }
    let error = store.overwrite(id, vec![0; 100]).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { len: 100, capacity: c } if c == capacity));
    store.overwrite(big, bytes(4, 1 << 20)).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.get(id).unwrap(), bytes(3, 64));
    assert_eq!(store.get(big).unwrap(), bytes(4, 1 << 20));
}

#[test]
fn the_root_object_is_kept_and_goes_with_its_object() {
    let place = Place::new();
    let store = place.open();
    let id = store.put(b"root").unwrap();
    store.set_root(Some(id)).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.root(), Some(id));
    store.delete(id).unwrap();
    assert_eq!(store.root(), None);
    assert!(matches!(
        store.set_root(Some(id)),
        Err(StoreError::Freed(_))
    ));
    drop(store);
    assert_eq!(place.open().root(), None);
}

#[test]
fn a_second_opener_is_told() {
    let place = Place::new();
    let store = place.open();
    assert!(matches!(
        MultiStore::open(place.path()),
        Err(StoreError::Locked(_))
    ));
    assert!(matches!(
        MultiStore::create(place.path()),
        Err(StoreError::Exists(_))
    ));
    let id = store.put(b"x").unwrap();
    drop(store);
    let reader = MultiStore::open_read_only(place.path()).unwrap();
    let other = MultiStore::open_read_only(place.path()).unwrap();
    assert_eq!(reader.get(id).unwrap(), other.get(id).unwrap());
    assert!(matches!(reader.put(b"y"), Err(StoreError::OpenedReadOnly)));
    assert!(matches!(
        MultiStore::open(place.path()),
        Err(StoreError::Locked(_))
    ));
}

#[test]
fn a_batch_is_written_whole_or_refused_whole() {
    let place = Place::new();
    let store = place.open();
    let ids: Vec<_> = (0..10).map(|n| store.put(bytes(n, 40)).unwrap()).collect();
    let batch: Vec<_> = ids.iter().map(|id| (*id, bytes(50, 30))).collect();
    store.write_batch(&batch).unwrap();
    ids.iter()
        .for_each(|id| assert_eq!(store.get(*id).unwrap(), bytes(50, 30)));
    let mut wrong = batch.clone();
    wrong[5].1 = vec![0; 1000];
    wrong[2].1 = bytes(51, 3);
    assert!(matches!(
        store.write_batch(&wrong),
        Err(StoreError::TooLarge { len: 1000, .. })
    ));
    wrong[5] = wrong[2].clone();
    assert!(matches!(
        store.write_batch(&wrong),
        Err(StoreError::Invalid(_))
    ));
    ids.iter()
        .for_each(|id| assert_eq!(store.get(*id).unwrap(), bytes(50, 30)));
}

#[test]
fn a_class_may_be_added() {
    let place = Place::new();
    let store = place.open();
    store.add_size_class(ByteLen::new(1016)).unwrap();
    assert!(matches!(
        store.add_size_class(ByteLen::new(1016)),
        Err(StoreError::Invalid(_))
    ));
    drop(store);
    let store = place.open();
    let id = store.put(bytes(1, 1000)).unwrap();
    assert_eq!(store.extent(id).unwrap().len, ByteLen::new(1000));
}

/// A disk that counts who is at it.
#[derive(Debug)]
struct Counting {
    file: mapless::FileDisk,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counting {
    fn during<R>(&self, operation: impl FnOnce() -> R) -> R {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_micros(50));
        let done = operation();
        self.now.fetch_sub(1, Ordering::SeqCst);
        done
    }
}

impl mapless::Disk for Counting {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.during(|| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
        self.during(|| self.file.write_at(bytes, offset))
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.during(|| self.file.sync_data())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.during(|| self.file.set_len(len))
    }

    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn reserve(&self, offset: u64, len: u64) -> std::io::Result<()> {
        self.during(|| self.file.reserve(offset, len))
    }
}

#[test]
fn no_more_operations_are_at_the_disk_than_were_allowed() {
    let none = StoreOptions::new().disk_operations(0);
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        none.create(dir.path().join("x")),
        Err(StoreError::Invalid(_))
    ));
    for most in [1, 3] {
        let disk = Arc::new(Counting {
            file: mapless::FileDisk::new(tempfile::tempfile().unwrap()),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let options = StoreOptions::new().journal(64 << 10).disk_operations(most);
        let store = options.create_on(disk.clone()).unwrap();
        std::thread::scope(|scope| {
            for part in 0..6 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..20 {
                        let id = store.put(bytes(n + part, 64)).unwrap();
                        assert_eq!(store.get(id).unwrap(), bytes(n + part, 64));
                    }
                });
            }
        });
        let seen = disk.most.load(Ordering::SeqCst);
        assert!(seen <= most, "{seen} at once, {most} allowed");
    }
}

/// A disk that panics in its next sync.
#[derive(Debug)]
struct Panicking {
    file: mapless::FileDisk,
    now: std::sync::atomic::AtomicBool,
}

impl mapless::Disk for Panicking {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        assert!(!self.now.swap(false, Ordering::SeqCst), "as it was told");
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn reserve(&self, offset: u64, len: u64) -> std::io::Result<()> {
        self.file.reserve(offset, len)
    }
}

#[test]
fn a_disk_that_panics_leaves_nobody_waiting() {
    let disk = Arc::new(Panicking {
        file: mapless::FileDisk::new(tempfile::tempfile().unwrap()),
        now: std::sync::atomic::AtomicBool::new(false),
    });
    let store = StoreOptions::new()
        .journal(64 << 10)
        .create_on(disk.clone())
        .unwrap();
    let id = store.put(b"before").unwrap();
    disk.now.store(true, Ordering::SeqCst);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.put(b"lost")));
    assert!(caught.is_err());
    let told = std::thread::scope(|scope| scope.spawn(|| store.put(b"after")).join().unwrap());
    assert!(matches!(told, Err(StoreError::ReadOnly(_))));
    assert_eq!(store.get(id).unwrap(), &b"before"[..]);
}
