//! What readers of the store's source found wrong in it, and is to stay right.
#![cfg(feature = "store")]

#[path = "support/attempts.rs"]
mod attempts;
#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/sample.rs"]
mod sample;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use attempts::{in_time, panics};
use forgetful::{Failing, Forgetful, Moment};
use mapless::Durability::{self, Buffered, Group, None as Weak};
use mapless::{ByteLen, Disk, MultiStore, ObjectId, StoreError};
use sample::{formatted, options};

fn new_store(durability: Durability) -> (Arc<Forgetful>, MultiStore) {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().durability(durability).open_on(disk.clone());
    (disk, store.unwrap())
}

fn opened(bytes: Vec<u8>) -> MultiStore {
    options().open_on(Arc::new(Forgetful::new(bytes))).unwrap()
}

/// Lets time pass for a thread that is to wait by then; one that comes late is tested less.
fn wait() {
    thread::sleep(Duration::from_millis(150));
}

/// A disk that counts who is at it, and whose long reads last as long as it is told to.
#[derive(Debug, Default)]
struct Watched {
    inner: Forgetful,
    now: AtomicUsize,
    most: AtomicUsize,
    is_slow: AtomicBool,
}

impl Watched {
    fn during<T>(&self, work: impl FnOnce(&Forgetful) -> T) -> T {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        thread::yield_now();
        let done = work(&self.inner);
        self.now.fetch_sub(1, SeqCst);
        done
    }
}

impl Disk for Watched {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        while buffer.len() > 100_000 && self.is_slow.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        self.during(|inner| inner.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.during(|inner| inner.write_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.during(Forgetful::sync_data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.during(|inner| inner.set_len(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.during(|inner| inner.reserve(offset, len))
    }
}

// -------------------------------------------------------------------- callbacks

/// What a callback may do with the object that it is told of.
const USES: [fn(&MultiStore, ObjectId); 4] = [
    |store, id| drop(store.get(id).unwrap()),
    |store, id| drop(store.reader(id).unwrap()),
    |store, id| store.overwrite(id, b"x").unwrap(),
    |store, id| store.set_root(Some(id)).unwrap(),
];

#[test]
fn a_callback_may_use_the_object_that_a_writer_finished() {
    for use_it in USES {
        let slot: Arc<OnceLock<MultiStore>> = Arc::default();
        let inner = slot.clone();
        let options = options().on_allocate(move |id| use_it(inner.get().unwrap(), id));
        let store = options.create_on(Arc::new(Forgetful::default())).unwrap();
        slot.set(store.clone()).unwrap();
        in_time(move || {
            let id = store.allocate(10).unwrap();
            let mut writer = store.writer(id).unwrap();
            writer.write_all(b"four").unwrap();
            writer.finish().unwrap();
        });
    }
}

#[test]
fn a_callback_that_panics_is_called_for_the_others_of_many() {
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = calls.clone();
    let options = options().on_allocate(move |_| {
        assert!(inner.fetch_add(1, SeqCst) > 0, "the first call's");
    });
    let store = options.create_on(Arc::new(Forgetful::default())).unwrap();
    assert!(panics(|| store.put_many(&[b"x"; 10])));
    assert_eq!((store.len(), calls.load(SeqCst)), (10, 10));
}

// -------------------------------------------------------------------- what fails

#[test]
fn no_room_for_the_last_of_many_changes_nothing() {
    let (disk, store) = new_store(Group);
    store.put_many(&vec![[1; 40]; 10]).unwrap();
    let mut many = vec![vec![1; 40]; 300];
    many[299] = vec![2; 1 << 20];
    disk.fail(Some(Failing::Full));
    let refused = store.put_many(&many);
    assert!(matches!(refused, Err(StoreError::NoSpace)), "{refused:?}");
    assert_eq!(store.len(), 10);
    drop(store);
    assert_eq!(opened(disk.bytes()).len(), 10);
}

#[test]
fn a_delete_that_fails_leaves_the_object() {
    let (disk, store) = new_store(Weak);
    let ids = store.put_many(&vec![b"some"; 3000]).unwrap();
    store.checkpoint().unwrap();
    disk.fail(Some(Failing::Read));
    let failed = ids.iter().find(|id| store.delete(**id).is_err());
    let id = *failed.expect("the journal is full, and a checkpoint reads");
    disk.fail(None);
    assert_eq!(store.get(id).unwrap(), &b"some"[..]);
    store.sync().unwrap();
    assert_eq!(opened(disk.bytes()).get(id).unwrap(), &b"some"[..]);
    store.delete(id).unwrap();
    assert!(matches!(store.get(id), Err(StoreError::Freed(_))));
    drop(store);
    assert!(opened(disk.bytes()).get(id).is_err());
}

#[test]
fn a_class_that_was_refused_is_not_there() {
    let (disk, store) = new_store(Weak);
    disk.fail(Some(Failing::Read));
    while store.set_root(None).is_ok() {}
    let refused = store.add_size_class(ByteLen::new(2000));
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    disk.fail(None);
    let large = store.put([3; 1900]).unwrap();
    store.add_size_class(ByteLen::new(2000)).unwrap();
    let small = store.put([4; 1900]).unwrap();
    store.close().unwrap();
    let store = opened(disk.bytes());
    assert_eq!(store.get(large).unwrap(), &[3; 1900][..]);
    assert_eq!(store.get(small).unwrap(), &[4; 1900][..]);
    store.check().unwrap();
}

fn is_whole(store: &MultiStore, id: ObjectId, len: usize) {
    let bytes = store.get(id).unwrap();
    assert!(bytes == vec![1; len] || bytes == vec![2; len], "{len}");
    let mut read = Vec::new();
    store.reader(id).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
}

/// Fails in the middle of a write; whether there were so many calls.
fn fails_halfway(calls: usize, durability: Durability, len: usize) -> bool {
    let (disk, store) = new_store(Group);
    let id = store.put(vec![1; len]).unwrap();
    disk.fail_after(calls, Some(Failing::Half));
    let done = store.overwrite_with(id, vec![2; len], durability);
    let _ = done.and_then(|()| store.sync());
    let failed = disk.failures() > 0;
    disk.fail(None);
    is_whole(&store, id, len);
    drop(store);
    is_whole(&opened(disk.bytes()), id, len);
    failed
}

#[test]
fn a_write_in_place_that_fails_halfway_damages_nothing() {
    for (durability, len) in [(Weak, 600), (Group, 600), (Group, 40_000), (Group, 200_000)] {
        let failed = (0..).take_while(|calls| fails_halfway(*calls, durability, len));
        assert!(failed.count() >= 3, "{durability:?} {len}");
    }
}

// -------------------------------------------------------------------- what is promised

/// Bytes that are more at the second look.
struct Fickle(Cell<usize>, Vec<u8>);

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        let looks = self.0.get();
        self.0.set(looks.saturating_sub(1));
        &self.1[..if looks > 0 { 10 } else { self.1.len() }]
    }
}

#[test]
fn bytes_whose_length_changes_hurt_nobody() {
    for (looks, len) in (0..8).flat_map(|looks| [50, 600, 5000].map(|len| (looks, len))) {
        let (disk, store) = new_store(Group);
        let mut before = store.put_many(&[b"neighbour"; 30]).unwrap();
        store.delete(before.remove(3)).unwrap();
        store.collect();
        let fickle = || Fickle(Cell::new(looks), vec![9; len]);
        let ids = store.put_many(&[fickle(), fickle()]).unwrap();
        let store = opened(disk.bytes());
        for id in before {
            assert_eq!(store.get(id).unwrap(), &b"neighbour"[..]);
        }
        for id in ids {
            let found = store.get(id).unwrap();
            assert!(
                found == [9; 10][..] || found == vec![9; len],
                "{looks} {len}"
            );
        }
        assert!(store.check().unwrap().corrupt.is_empty(), "{looks} {len}");
    }
}

#[test]
fn no_generation_is_given_twice_over_a_crash() {
    for durability in [Weak, Buffered] {
        let (disk, store) = new_store(durability);
        store.put(b"base").unwrap();
        store.sync().unwrap();
        let kept = disk.bytes();
        let (id, generation) = store.put_versioned(b"lost").unwrap();
        let store = opened(kept);
        let (next, _) = store.put_versioned(b"other").unwrap();
        assert_eq!(next, id, "the slot of what was lost");
        let stale = store.get_version(id, generation);
        assert!(matches!(stale, Err(StoreError::Stale(_))), "{stale:?}");
    }
}

/// How many were at the disk at once while four threads read.
fn most_at_once(disk: &Watched, store: &MultiStore) -> usize {
    let ids: Vec<ObjectId> = store.ids().collect();
    disk.most.store(0, SeqCst);
    let read = || (0..2000).for_each(|n| drop(store.get(ids[n % ids.len()]).unwrap()));
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(read))));
    disk.most.load(SeqCst)
}

#[test]
fn the_limit_of_disk_operations_is_a_readers_as_well() {
    let disk = Arc::new(Watched::default());
    let store = options().disk_operations(1).create_on(disk.clone());
    let store = store.unwrap();
    store.put_many(&[b"x"; 50]).unwrap();
    assert_eq!(most_at_once(&disk, &store), 1);
    drop(store);
    let options = options().disk_operations(1);
    let store = options.open_read_only_on(disk.clone()).unwrap();
    assert_eq!(most_at_once(&disk, &store), 1);
}

/// Overwrites of one object by one thread: how many bytes waited at most.
fn most_waiting(store: &MultiStore, id: ObjectId) -> usize {
    let overwrite = |n| {
        store.overwrite_with(id, vec![n; 900_000], Weak).unwrap();
        store.stats().unwrap().pending
    };
    (0..6).map(overwrite).max().unwrap()
}

#[test]
fn what_waits_is_bounded_whoever_comes() {
    let options = options().journal(64 << 20);
    let store = options.create_on(Arc::new(Forgetful::default())).unwrap();
    let ids = store.put_many(&vec![vec![0; 900_000]; 16]).unwrap();
    let store = &store;
    let most = thread::scope(|scope| {
        let waiting = |id| scope.spawn(move || most_waiting(store, id));
        let all: Vec<_> = ids.into_iter().map(waiting).collect();
        all.into_iter().map(|one| one.join().unwrap()).max()
    });
    let most = most.unwrap();
    assert!(most <= (1 << 20) + 900_000 + 4096, "{most}");
    store.sync().unwrap();
    assert_eq!(store.stats().unwrap().pending, 0);
}

// -------------------------------------------------------------------- who waits for whom

#[test]
fn a_batch_that_waits_keeps_nobody_from_its_other_objects() {
    let (_disk, store) = new_store(Group);
    let (one, two) = (store.put(b"one").unwrap(), store.put(b"two").unwrap());
    in_time(move || {
        let reader = store.reader(two).unwrap();
        let writer = store.clone();
        let batch = thread::spawn(move || writer.write_batch(&[(one, b"1"), (two, b"2")]));
        wait();
        let mut bytes = Vec::new();
        let mut other = store.reader(one).unwrap();
        other.read_to_end(&mut bytes).unwrap();
        drop((reader, other));
        batch.join().unwrap().unwrap();
        assert_eq!(
            (&bytes[..], &store.get(one).unwrap()[..]),
            (&b"one"[..], &b"1"[..])
        );
    });
}

type Refused = fn(&MultiStore, ObjectId) -> Result<(), StoreError>;

/// What is refused of an id that is reserved only.
const REFUSED: [Refused; 7] = [
    |store, id| store.get(id).map(drop),
    |store, id| store.reader(id).map(drop),
    |store, id| store.overwriter(id).map(drop),
    |store, id| store.overwrite(id, b"x"),
    |store, id| store.write_batch(&[(id, b"x")]),
    |store, id| store.delete(id),
    |store, id| store.set_root(Some(id)),
];

#[test]
fn a_reserved_id_with_a_writer_says_so_at_once() {
    let (_disk, store) = new_store(Group);
    let id = store.allocate(20).unwrap();
    let _writer = store.writer(id).unwrap();
    assert!(matches!(
        store.try_overwrite(id, b"x"),
        Err(StoreError::Busy(_))
    ));
    for refused in REFUSED {
        let store = store.clone();
        in_time(move || {
            let said = refused(&store, id);
            assert!(matches!(said, Err(StoreError::NotWritten(_))), "{said:?}");
        });
    }
}

// -------------------------------------------------------------------- a class that waits

/// While a backup keeps the journal full, somebody adds a class, and somebody puts an object of its
/// size: what there was then, and the object.
fn class_waits(
    disk: &Watched,
    store: &MultiStore,
    backup: &std::path::Path,
) -> (Vec<u8>, ObjectId) {
    disk.is_slow.store(true, SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| store.backup_to(backup).unwrap());
        wait();
        scope.spawn(|| (0..3000).for_each(|_| store.set_root(None).unwrap()));
        wait();
        scope.spawn(|| store.add_size_class(ByteLen::new(2000)).unwrap());
        wait();
        let put = scope.spawn(|| store.put([3; 1900]).unwrap());
        wait();
        store.sync().unwrap();
        let during = disk.inner.bytes();
        disk.is_slow.store(false, SeqCst);
        (during, put.join().unwrap())
    })
}

#[test]
fn a_class_that_waits_for_the_journal_is_in_it_before_its_ranges() {
    let disk = Arc::new(Watched::default());
    let options = options().durability(Buffered);
    let store = options.create_on(disk.clone()).unwrap();
    store.put(vec![1; 400_000]).unwrap();
    let kept = store.put(b"kept").unwrap();
    store.checkpoint().unwrap();
    disk.inner.forget();
    let mut moment = Moment::new(disk.inner.bytes());
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup");
    let (during, there) = class_waits(&disk, &store, &backup);
    assert_eq!(store.get(there).unwrap(), &[3; 1900][..]);
    assert_eq!(opened(during).get(kept).unwrap(), &b"kept"[..]);
    let backup = MultiStore::open(&backup).unwrap();
    assert_eq!(backup.get(kept).unwrap(), &b"kept"[..]);
    for (n, event) in disk.inner.events().iter().enumerate() {
        moment.step(event);
        if n % 11 == 0 {
            assert_eq!(opened(moment.current()).get(kept).unwrap(), &b"kept"[..]);
        }
    }
}
