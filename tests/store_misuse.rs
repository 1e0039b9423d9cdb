//! What a store is asked for that it cannot do: each is a typed error that names what, and changes
//! nothing.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use forgetful::Forgetful;
use mapless::{
    ByteLen, Durability, Generation, MultiStore, ObjectId, SizeClasses, StoreError, StoreOptions,
};
use sample::{content, formatted, options};

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

fn store() -> (Arc<Forgetful>, MultiStore) {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    (disk, store)
}

/// Everything that can be asked of an object, as errors.
fn all_calls(store: &MultiStore, id: ObjectId) -> Vec<(&'static str, Option<StoreError>)> {
    let some_generation = Generation::from(7);
    vec![
        ("get", store.get(id).err()),
        ("get_version", store.get_version(id, some_generation).err()),
        ("generation", store.generation(id).err()),
        ("object_len", store.object_len(id).err()),
        ("extent", store.extent(id).err()),
        ("extent_in", store.extent_in(id, &store.pin()).err()),
        ("overwrite", store.overwrite(id, b"x").err()),
        ("try_overwrite", store.try_overwrite(id, b"x").err()),
        ("write_batch", store.write_batch(&[(id, b"x")]).err()),
        ("delete", store.delete(id).err()),
        ("reader", store.reader(id).err()),
        ("overwriter", store.overwriter(id).err()),
        ("set_root", store.set_root(Some(id)).err()),
        ("writer", store.writer(id).err()),
    ]
}

// -------------------------------------------------------------------- ids

#[test]
fn ids_that_name_nothing_say_what_they_are() {
    let (disk, store) = store();
    let small = store.put(b"small").unwrap();
    let large = store.put(content(1, 5000)).unwrap();
    let freed = store.put(b"freed").unwrap();
    let freed_large = store.put(content(2, 5000)).unwrap();
    store.delete(freed).unwrap();
    store.delete(freed_large).unwrap();
    let before = disk.bytes();
    let never = [
        ObjectId::MIN,
        ObjectId::MAX,
        id(small.get() - 1),
        id(small.get() + 1000),
        id(large.get() + 7),
        id(u64::from(u32::MAX)),
    ];
    for never in never {
        for (call, error) in all_calls(&store, never) {
            let told = matches!(error, Some(StoreError::Unknown(of)) if of == never);
            assert!(told, "{call} of {never:?}: {error:?}");
        }
    }
    for freed in [freed, freed_large] {
        for (call, error) in all_calls(&store, freed) {
            // The range of a large object may be gone with it.
            let told = matches!(error, Some(StoreError::Freed(of) | StoreError::Unknown(of)) if of == freed);
            assert!(told, "{call} of {freed:?}: {error:?}");
        }
    }
    assert_eq!((disk.bytes(), store.open_objects()), (before, 0));
    assert_eq!(
        (store.get(small).unwrap(), store.len()),
        ("small".into(), 2)
    );
}

#[test]
fn a_reserved_id_says_so() {
    let (_, store) = store();
    for len in [40, 5000] {
        let reserved = store.allocate(len).unwrap();
        for (call, error) in all_calls(&store, reserved) {
            match (call, error) {
                ("writer", error) => assert!(error.is_none(), "{error:?}"),
                (call, Some(StoreError::NotWritten(of))) => assert_eq!(of, reserved, "{call}"),
                (call, error) => panic!("{call}: {error:?}"),
            }
        }
        // The writer that was made there, and dropped, has given the id up.
        assert!(store.writer(reserved).is_err());
    }
    assert_eq!((store.len(), store.open_objects()), (0, 0));
}

/// Another store's ids are numbers: they name what is there, or nothing.
#[test]
fn the_ids_of_another_store_are_unknown_here() {
    let ((_, one), (_, other)) = (store(), store());
    let ids: Vec<ObjectId> = (0..2000)
        .map(|n| one.put(content(n, 40)).unwrap())
        .collect();
    other.put(b"mine").unwrap();
    for id in &ids[1..] {
        // A slot of a range that is there may have been somebody's.
        for error in [other.get(*id).err(), other.delete(*id).err()] {
            let told =
                matches!(error, Some(StoreError::Unknown(of) | StoreError::Freed(of)) if of == *id);
            assert!(told, "{id:?}: {error:?}");
        }
    }
    assert_eq!(other.len(), 1);
}

#[test]
fn an_old_generation_is_stale() {
    let (_, store) = store();
    let put = |n| store.put_versioned(content(n, 9)).unwrap();
    let old: BTreeMap<ObjectId, Generation> = (0..2000).map(put).collect();
    for (id, generation) in &old {
        assert!(store.get_version(*id, *generation).is_ok());
        store.delete(*id).unwrap();
        assert!(matches!(
            store.get_version(*id, *generation),
            Err(StoreError::Freed(_))
        ));
    }
    // Slots are given out again by and by.
    let mut again = 0;
    for n in 0..5000 {
        let (id, generation) = put(n);
        let Some(before) = old.get(&id) else { continue };
        again += 1;
        assert_ne!(generation, *before);
        let stale = store.get_version(id, *before);
        assert!(
            matches!(stale, Err(StoreError::Stale(of)) if of == id),
            "{stale:?}"
        );
        assert_eq!(store.get_version(id, generation).unwrap(), content(n, 9));
    }
    assert!(again > 1000, "{again}");
}

// -------------------------------------------------------------------- sizes

#[test]
fn sizes_that_cannot_be_stored() {
    let (disk, store) = store();
    store.put(b"there").unwrap();
    let (before, events) = (disk.bytes(), disk.events().len());
    for len in [
        u64::MAX,
        u64::MAX - 15,
        u64::MAX - 16,
        MultiStore::MAX_LEN + 1,
        1 << 63,
    ] {
        let too_large = |error: Option<StoreError>| {
            let capacity = MultiStore::MAX_LEN;
            let told = matches!(error, Some(StoreError::TooLarge { len: l, capacity: c }) if (l, c) == (len, capacity));
            assert!(told, "{len}: {error:?}");
        };
        too_large(store.allocate(len).err());
        too_large(store.create_writer(len).err());
        let run = store.allocate_run(1, len).err();
        assert!(matches!(run, Some(StoreError::TooLarge { .. })), "{run:?}");
    }
    // So many fit into no disk.
    for len in [MultiStore::MAX_LEN, 1 << 50, 1 << 40] {
        let errors = [store.allocate(len).err(), store.create_writer(len).err()];
        for error in errors {
            let told = matches!(error, Some(StoreError::NoSpace | StoreError::Invalid(_)));
            assert!(told, "{len}: {error:?}");
        }
    }
    for (n, len) in [
        (usize::MAX, 1),
        (usize::MAX, u64::MAX),
        (1 << 40, 1 << 40),
        (usize::MAX, 0),
    ] {
        let run = store.allocate_run(n, len).err();
        assert!(
            matches!(run, Some(StoreError::TooLarge { .. })),
            "{n} of {len}: {run:?}"
        );
    }
    assert!(store.allocate_run(0, 10).unwrap().is_empty());
    assert_eq!((disk.bytes(), disk.events().len()), (before, events));
    assert_eq!(store.len(), 1);
    store.put(b"more").unwrap();
}

#[test]
fn a_slot_takes_what_it_holds_and_not_more() {
    let (_, store) = store();
    for len in [10, 600, 5000, 70_000] {
        let id = store.put(content(1, len)).unwrap();
        let capacity = store.extent(id).unwrap().len.get();
        store.overwrite(id, content(2, capacity as usize)).unwrap();
        let more = content(3, capacity as usize + 1);
        let refused = [
            store.overwrite(id, &more),
            store.try_overwrite(id, &more),
            store.write_batch(&[(id, &more)]),
        ];
        for refused in refused {
            assert!(
                matches!(refused, Err(StoreError::TooLarge { .. })),
                "{refused:?}"
            );
        }
        let mut writer = store.overwriter(id).unwrap();
        let error = writer.write(&more).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        drop(writer);
        assert_eq!(store.get(id).unwrap(), content(2, capacity as usize));
    }
    assert_eq!(store.open_objects(), 0);
}

#[test]
fn options_that_cannot_be() {
    let create = |options: StoreOptions| {
        let disk = Arc::new(Forgetful::default());
        let error = options.create_on(disk.clone()).err();
        assert!(disk.bytes().is_empty(), "nothing is written");
        matches!(error, Some(StoreError::Invalid(_)))
    };
    for journal in [
        0,
        1,
        4096,
        60 << 10,
        (64 << 10) + 1,
        (1 << 40) + 4096,
        u64::MAX,
        1 << 63,
    ] {
        assert!(create(options().journal(journal)), "{journal}");
    }
    let classes = |sizes: &[u64]| SizeClasses::new(sizes.iter().map(|n| ByteLen::new(*n)));
    assert!(classes(&[]).is_err() && classes(&[0, 64]).is_err() && classes(&[64, 64]).is_err());
    for sizes in [&[1, 64][..], &[15], &[64, u64::MAX], &[64, 1 << 60]] {
        assert!(
            create(options().size_classes(classes(sizes).unwrap())),
            "{sizes:?}"
        );
    }
    let (disk, store) = store();
    let events = disk.events().len();
    for size in [0, 1, 15, 64, 700, u64::MAX, 1 << 60] {
        let added = store.add_size_class(ByteLen::new(size));
        assert!(
            matches!(added, Err(StoreError::Invalid(_))),
            "{size}: {added:?}"
        );
    }
    assert_eq!(disk.events().len(), events);
    let mut added = 0;
    let refused = (1000..3000).find_map(|size| {
        let error = store.add_size_class(ByteLen::new(size)).err();
        added += usize::from(error.is_none());
        error
    });
    assert!(
        matches!(refused, Some(StoreError::Invalid(_))),
        "{refused:?}"
    );
    assert_eq!(added, 1022);
    drop(store);
    options().open_on(disk).unwrap().put(b"works").unwrap();
}

// -------------------------------------------------------------------- batches

#[test]
fn a_batch_with_something_wrong_in_the_middle_changes_nothing() {
    let (disk, store) = store();
    let ids: Vec<ObjectId> = (0..9).map(|n| store.put(content(n, 40)).unwrap()).collect();
    let good: Vec<_> = ids.iter().map(|id| (*id, content(90, 30))).collect();
    let (events, reserved) = (disk.events().len(), store.allocate(9).unwrap());
    let mut all = Vec::new();
    for at in [0, 4, 8] {
        let mut with = |id: ObjectId, bytes: Vec<u8>| {
            let mut batch = good.clone();
            batch[at] = (id, bytes);
            all.push(store.write_batch(&batch).unwrap_err());
        };
        with(ids[at], vec![0; 49]);
        with(ids[at], vec![0; 10_000]);
        with(ids[at], vec![0; 1 << 20]);
        with(id(999_999), vec![0; 3]);
        with(ids[at].get().checked_add(5000).map(id).unwrap(), vec![]);
        with(reserved, vec![1]);
        with(ids[(at + 1) % 9], vec![2]);
    }
    assert!(
        all.iter().all(|error| !matches!(error, StoreError::Io(_))),
        "{all:?}"
    );
    assert!(
        matches!(
            all[0],
            StoreError::TooLarge {
                len: 49,
                capacity: 48
            }
        ),
        "{:?}",
        all[0]
    );
    assert!(matches!(all[3], StoreError::Unknown(of) if of == id(999_999)));
    assert!(matches!(all[5], StoreError::NotWritten(of) if of == reserved));
    assert!(matches!(all[6], StoreError::Invalid(_)));
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(store.get(*id).unwrap(), content(n, 40));
    }
    assert_eq!((disk.events().len(), store.open_objects()), (events, 0));
    store.write_batch::<Vec<u8>>(&[]).unwrap();
    store.write_batch(&good).unwrap();
    assert_eq!(store.get(ids[8]).unwrap(), content(90, 30));
}

#[test]
fn many_that_cannot_all_be_put_are_not_put() {
    let (disk, store) = store();
    store.put(b"there").unwrap();
    disk.fail(Some(forgetful::Failing::Full));
    let many: Vec<Vec<u8>> = (0..20)
        .map(|n| content(n, if n == 9 { 1 << 20 } else { 9 }))
        .collect();
    let refused = store.put_many(&many).unwrap_err();
    assert!(matches!(refused, StoreError::NoSpace), "{refused}");
    assert_eq!(store.ids().count(), 1);
    assert_eq!(store.put_many(&many[..9]).unwrap().len(), 9);
}

// -------------------------------------------------------------------- the callback

#[test]
fn a_panic_in_the_callback_goes_to_the_caller_and_the_object_stays() {
    let (calls, panics) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let disk = Arc::new(Forgetful::new(formatted()));
    let callback = {
        let (calls, panics) = (calls.clone(), panics.clone());
        move |_| {
            calls.fetch_add(1, SeqCst);
            assert!(!panics.load(SeqCst), "the callback's");
        }
    };
    let store = options()
        .on_allocate(callback)
        .open_on(disk.clone())
        .unwrap();
    let tried = |call: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    tried(&|| drop(store.put(b"one")));
    tried(&|| drop(store.put(content(2, 5000))));
    tried(&|| drop(store.put_many(&[b"three"])));
    tried(&|| {
        let (_, mut writer) = store.create_writer(4).unwrap();
        writer.write_all(b"four").unwrap();
        drop(writer.finish());
    });
    let reserved = store.allocate(4).unwrap();
    tried(&|| {
        let mut writer = store.writer(reserved).unwrap();
        writer.write_all(b"five").unwrap();
        drop(writer.finish());
    });
    assert_eq!(
        (calls.load(SeqCst), store.len(), store.open_objects()),
        (5, 5, 0)
    );
    assert_eq!(store.get(reserved).unwrap(), &b"five"[..]);
    // Nothing is in the way of others.
    panics.store(false, SeqCst);
    store.put(b"six").unwrap();
    for id in store.ids().collect::<Vec<_>>() {
        store.overwrite(id, b"x").unwrap();
    }
    store.checkpoint().unwrap();
    store.delete(reserved).unwrap();
    drop(store);
    assert_eq!(options().open_on(disk).unwrap().len(), 5);
}

/// Once for each object, when it is there to be found.
#[test]
fn the_callback_finds_the_object_and_may_use_the_store() {
    let slot: Arc<std::sync::OnceLock<MultiStore>> = Arc::default();
    let seen: Arc<std::sync::Mutex<Vec<ObjectId>>> = Arc::default();
    let callback = {
        let (slot, seen) = (slot.clone(), seen.clone());
        move |id| {
            let store = slot.get().unwrap();
            store.overwrite(id, b"seen").unwrap();
            store.checkpoint().unwrap();
            seen.lock().unwrap().push(id);
        }
    };
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().on_allocate(callback).open_on(disk).unwrap();
    slot.set(store.clone()).unwrap();
    let mut ids = vec![store.put(b"first").unwrap()];
    ids.extend(store.put_many(&[b"other"; 5]).unwrap());
    let _ = store.allocate(9).unwrap();
    assert_eq!(*seen.lock().unwrap(), ids);
    assert!(ids.iter().all(|id| store.get(*id).unwrap() == "seen"));
}

// -------------------------------------------------------------------- a store that is dropped

#[test]
fn readers_and_writers_keep_a_dropped_store_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let store = MultiStore::create(&path).unwrap();
    let id = store.put(content(1, 300_000)).unwrap();
    let mut reader = store.reader(id).unwrap();
    let (new, mut writer) = store.create_writer(100_000).unwrap();
    let (gone, mut unfinished) = store.create_writer(100_000).unwrap();
    unfinished.write_all(&content(4, 90_000)).unwrap();
    let mut over = store.overwriter(id).unwrap();
    store.close().unwrap();
    assert!(matches!(MultiStore::open(&path), Err(StoreError::Locked(at)) if at == path));
    assert!(matches!(
        MultiStore::open_read_only(&path),
        Err(StoreError::Locked(_))
    ));
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, content(1, 300_000));
    drop(reader);
    writer.write_all(&content(2, 100_000)).unwrap();
    writer.finish().unwrap();
    over.write_all(b"short").unwrap();
    over.finish().unwrap();
    assert!(MultiStore::open(&path).is_err());
    drop(unfinished);
    let store = MultiStore::open(&path).unwrap();
    assert_eq!(store.get(new).unwrap(), content(2, 100_000));
    assert_eq!(store.get(id).unwrap(), &b"short"[..]);
    assert!(store.get(gone).is_err());
    assert_eq!((store.len(), store.open_objects()), (2, 0));
}

#[test]
fn a_reader_of_a_deleted_object_outlives_its_store() {
    let (disk, store) = store();
    let id = store.put(content(1, 5000)).unwrap();
    let mut reader = store.reader(id).unwrap();
    store.delete(id).unwrap();
    drop(store);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, content(1, 5000));
    drop(reader);
    assert!(options().open_on(disk).unwrap().is_empty());
}

// -------------------------------------------------------------------- files

#[test]
fn paths_that_hold_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let io = |error: Option<StoreError>| matches!(error, Some(StoreError::Io(_)));
    assert!(io(MultiStore::open(&path).err()));
    assert!(io(MultiStore::open_read_only(&path).err()));
    assert!(io(MultiStore::open(dir.path()).err()));
    assert!(io(
        MultiStore::create(dir.path().join("no/such/folder")).err()
    ));
    let exists = MultiStore::create(dir.path()).err();
    assert!(matches!(exists, Some(StoreError::Exists(_))), "{exists:?}");
    assert!(MultiStore::create("").is_err() && MultiStore::open("").is_err());
    for bytes in [&b""[..], b"x", &[0; 9000]] {
        fs::write(&path, bytes).unwrap();
        for opened in [
            MultiStore::open(&path),
            MultiStore::open_read_only(&path),
            options().open_or_create(&path),
        ] {
            assert!(matches!(opened, Err(StoreError::NotAStore)), "{opened:?}");
        }
        assert!(matches!(MultiStore::create(&path), Err(StoreError::Exists(at)) if at == path));
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is as it was");
    }
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_file_that_may_not_be_written_is_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let store = MultiStore::create(&path).unwrap();
    let id = store.put(b"bytes").unwrap();
    store.set_root(Some(id)).unwrap();
    drop(store);
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let before = fs::read(&path).unwrap();
    // Some users may write all the same.
    if File::options().write(true).open(&path).is_err() {
        let refused = MultiStore::open(&path).err();
        assert!(matches!(refused, Some(StoreError::Io(_))), "{refused:?}");
    }
    let store = MultiStore::open_read_only(&path).unwrap();
    assert_eq!(
        (store.get(id).unwrap(), store.root()),
        ("bytes".into(), Some(id))
    );
    let refused = [
        store.put(b"x").err(),
        store.put_with(b"x", Durability::None).err(),
        store.put_versioned(b"x").err(),
        store.put_many(&[b"x"]).err(),
        store.allocate(1).err(),
        store.allocate_run(2, 1).err(),
        store.create_writer(1).err(),
        store.writer(id).err(),
        store.overwriter(id).err(),
        store.overwrite(id, b"x").err(),
        store.try_overwrite(id, b"x").err(),
        store.write_batch(&[(id, b"x")]).err(),
        store.delete(id).err(),
        store.set_root(None).err(),
        store.add_size_class(ByteLen::new(100)).err(),
        store.sync().err(),
        store.checkpoint().err(),
    ];
    for (n, error) in refused.into_iter().enumerate() {
        assert!(
            matches!(error, Some(StoreError::OpenedReadOnly)),
            "{n}: {error:?}"
        );
    }
    store.close().unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
}
