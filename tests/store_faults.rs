//! The store on a disk that fails: errors of writes, syncs and reads, a full disk, short writes.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use forgetful::{Failing, Forgetful, Moment};
use mapless::{Durability, MultiStore, ObjectId, StoreError};
use sample::{Objects, content, formatted, options};

/// What an operation does to what is there.
#[derive(Clone, Debug, Default)]
struct Effect {
    gone: Vec<ObjectId>,
    changed: Objects,
    new: Vec<Vec<u8>>,
}

const OPERATIONS: usize = 9;

/// The operation of this number, on what is there.
fn effect(n: usize, objects: &Objects) -> Effect {
    let mut effect = Effect::default();
    let nth = |at: usize| *objects.keys().nth(at).unwrap();
    let longest = || {
        *objects
            .iter()
            .max_by_key(|(_, bytes)| bytes.len())
            .unwrap()
            .0
    };
    match n {
        0 => effect.new = vec![content(50, 40)],
        1 => drop(effect.changed.insert(nth(0), content(51, 44))),
        2 => effect.gone = vec![nth(1)],
        3 => effect.new = vec![content(52, 9000)],
        4 => effect.new = (0..20).map(|n| content(n, 500)).collect(),
        5 => effect.changed = [(nth(2), content(53, 45)), (nth(3), content(54, 9))].into(),
        6 => drop(effect.changed.insert(longest(), content(55, 40_000))),
        7 => {}
        _ => effect.gone = vec![nth(0)],
    }
    effect
}

fn run(store: &MultiStore, n: usize, effect: &Effect) -> Result<Vec<ObjectId>, StoreError> {
    let mut new = Vec::new();
    match n {
        0 | 3 => new.push(store.put(&effect.new[0])?),
        4 => new = store.put_many(&effect.new)?,
        5 => {
            let batch: Vec<_> = effect.changed.iter().map(|(id, b)| (*id, b)).collect();
            store.write_batch(&batch)?;
        }
        7 => store.checkpoint()?,
        _ => {
            for (id, bytes) in &effect.changed {
                store.overwrite(*id, bytes)?;
            }
            for id in &effect.gone {
                store.delete(*id)?;
            }
        }
    }
    Ok(new)
}

fn apply(objects: &mut Objects, effect: &Effect, new: &[ObjectId]) {
    effect.gone.iter().for_each(|id| drop(objects.remove(id)));
    objects.extend(effect.changed.clone());
    objects.extend(new.iter().copied().zip(effect.new.clone()));
}

/// Whether this is what was there before, or with the operation that failed.
fn is_one(found: &Objects, before: &Objects, failed: Option<&Effect>) -> bool {
    let Some(effect) = failed.filter(|_| found != before) else {
        return found == before;
    };
    let (mut old, mut new) = (Objects::new(), Vec::new());
    for (id, bytes) in found {
        if before.contains_key(id) {
            old.insert(*id, bytes.clone());
        } else {
            new.push(bytes.clone());
        }
    }
    let mut expected = before.clone();
    apply(&mut expected, effect, &[]);
    let mut wanted = effect.new.clone();
    new.sort();
    wanted.sort();
    old == expected && new == wanted
}

fn all_of(store: &MultiStore) -> Objects {
    let all = store.ids().map(|id| (id, store.get(id).unwrap().to_vec()));
    all.collect()
}

/// A store with an object for each of these lengths.
fn store_with(lens: &[usize]) -> (Arc<Forgetful>, MultiStore, Objects) {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    let put = |(n, len): (usize, &usize)| {
        let bytes = content(n, *len);
        (store.put(&bytes).unwrap(), bytes)
    };
    let objects = lens.iter().enumerate().map(put).collect();
    (disk, store, objects)
}

fn refused(store: &MultiStore, id: ObjectId) {
    let says_so = |result| assert!(matches!(result, Err(StoreError::ReadOnly(_))), "{result:?}");
    says_so(store.put(b"more").map(drop));
    says_so(store.put_many(&[b"more"]).map(drop));
    says_so(store.overwrite(id, b"other"));
    says_so(store.write_batch(&[(id, b"other")]));
    says_so(store.delete(id));
    says_so(store.set_root(None));
    says_so(store.sync());
    says_so(store.checkpoint());
    says_so(store.allocate(9).map(drop));
    says_so(store.create_writer(9).map(drop));
    says_so(store.overwriter(id).map(drop));
    says_so(store.add_size_class(mapless::ByteLen::new(96)));
}

/// Fails the call of this number; whether there were so many.
fn fails_at(calls: usize, failing: Failing) -> bool {
    let (disk, store, mut objects) = store_with(&[48, 30, 690, 20, 70_000, 10]);
    let before = disk.bytes();
    disk.forget();
    disk.fail_after(calls, Some(failing));
    let mut failed = None;
    for n in 0..OPERATIONS {
        let effect = effect(n, &objects);
        match run(&store, n, &effect) {
            Ok(new) => apply(&mut objects, &effect, &new),
            Err(error) => {
                assert!(matches!(error, StoreError::Io(_)), "{n}: {error:?}");
                failed = Some(effect);
                break;
            }
        }
    }
    let Some(effect) = failed else {
        return false;
    };
    // What was not touched can be read, and nothing can be written.
    for (id, bytes) in &objects {
        if !effect.gone.contains(id) && !effect.changed.contains_key(id) {
            assert_eq!(store.get(*id).unwrap(), bytes, "{calls}: {id:?}");
        }
    }
    let failures = disk.failures();
    refused(&store, *objects.keys().nth(3).unwrap());
    let events = disk.events();
    drop(store);
    assert_eq!(disk.failures(), failures, "it is not tried again");
    let mut moment = Moment::new(before);
    events.iter().for_each(|event| moment.step(event));
    let mut random = fastrand::Rng::with_seed(calls as u64);
    let states = [
        moment.current(),
        moment.chosen(|_| 0),
        moment.chosen(|choices| random.usize(..choices)),
    ];
    for bytes in states {
        let store = options().open_on(Arc::new(Forgetful::new(bytes))).unwrap();
        let found = all_of(&store);
        assert!(
            is_one(&found, &objects, Some(&effect)),
            "{failing:?} {calls}"
        );
    }
    true
}

#[test]
fn a_failed_write_latches_and_loses_nothing() {
    let failed = (0..).take_while(|calls| fails_at(*calls, Failing::Write));
    assert!(failed.count() > 30);
}

#[test]
fn a_failed_sync_latches_and_loses_nothing() {
    let failed = (0..).take_while(|calls| fails_at(*calls, Failing::Sync));
    assert!(failed.count() > 30);
}

#[test]
fn everybody_is_told_of_a_failed_sync() {
    let (disk, store, objects) = store_with(&[48, 30, 690]);
    disk.fail_after(60, Some(Failing::Sync));
    let writers = (0..6usize).map(|n| {
        let store = store.clone();
        thread::spawn(move || {
            let put = |at| store.put(content(n, at % 600)).err();
            (0usize..).find_map(put).unwrap()
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        let error = writer.join().unwrap();
        assert!(matches!(error, StoreError::Io(_) | StoreError::ReadOnly(_)));
    }
    for (id, bytes) in &objects {
        assert_eq!(store.get(*id).unwrap(), bytes);
    }
    refused(&store, *objects.keys().next().unwrap());
}

#[test]
fn a_failed_read_is_told_and_changes_nothing() {
    let (disk, store, objects) = store_with(&[48, 30, 690, 70_000]);
    disk.fail(Some(Failing::Read));
    for id in objects.keys() {
        let said = [
            store.get(*id).map(drop),
            store.object_len(*id).map(drop),
            store.reader(*id).map(drop),
            store.generation(*id).map(drop),
            store.overwriter(*id).map(drop),
        ];
        for said in said {
            assert!(matches!(said, Err(StoreError::Io(_))), "{said:?}");
        }
    }
    disk.fail(None);
    assert_eq!((all_of(&store), store.open_objects()), (objects.clone(), 0));
    let mut reader = store.reader(*objects.keys().last().unwrap()).unwrap();
    disk.fail(Some(Failing::Read));
    assert!(reader.read(&mut [0; 10]).is_err());
    disk.fail(None);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(&bytes, objects.values().last().unwrap());
    drop(reader);
    store.put(b"more").unwrap();
    assert_eq!(store.len(), objects.len() as u64 + 1);
}

/// Opening fails at every read of it, and leaves the file as it was.
#[test]
fn a_failed_read_of_an_opening_is_told() {
    let (disk, store, objects) = store_with(&[48, 30, 690, 70_000]);
    let bytes = disk.bytes();
    drop(store);
    let mut calls = 0;
    loop {
        let disk = Arc::new(Forgetful::new(bytes.clone()));
        disk.fail_after(calls, Some(Failing::Read));
        match options().open_on(disk.clone()) {
            Ok(store) => {
                disk.fail(None);
                assert_eq!(all_of(&store), objects);
                break;
            }
            Err(error) => assert!(matches!(error, StoreError::Io(_)), "{error:?}"),
        }
        disk.fail(None);
        assert_eq!(all_of(&options().open_on(disk).unwrap()), objects);
        calls += 1;
    }
    assert!(calls > 4);
}

#[test]
fn short_reads_and_writes_and_interrupts_are_nothing() {
    let disk = Arc::new(Forgetful::default());
    disk.fail(Some(Failing::Short));
    let mut store = options().create_on(disk.clone()).unwrap();
    let mut objects = Objects::new();
    for n in [0, 100, 690, 5000] {
        let bytes = content(n, n);
        objects.insert(store.put(&bytes).unwrap(), bytes);
    }
    for round in 0..3 {
        for n in (0..OPERATIONS).filter(|n| *n < 6 || *n == 7) {
            let effect = match n {
                1 | 2 | 5 => Effect::default(),
                _ => effect(n, &objects),
            };
            let new = match n {
                1 | 2 | 5 => Vec::new(),
                _ => run(&store, n, &effect).unwrap(),
            };
            apply(&mut objects, &effect, &new);
        }
        let id = *objects.keys().nth(round + 1).unwrap();
        store.overwrite(id, b"other").unwrap();
        objects.insert(id, b"other".to_vec());
        assert_eq!(all_of(&store), objects);
        drop(store);
        store = options().open_on(disk.clone()).unwrap();
        assert_eq!(all_of(&store), objects);
    }
    assert!(disk.failures() > 1000);
}

// -------------------------------------------------------------------- a full disk

fn full(result: Result<ObjectId, StoreError>) -> bool {
    match result {
        Ok(_) => false,
        Err(StoreError::NoSpace) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Puts until there is no room.
fn fill(store: &MultiStore, len: usize, objects: &mut Objects) {
    for n in 0.. {
        let bytes = content(n, len);
        match store.put(&bytes) {
            Ok(id) => drop(objects.insert(id, bytes)),
            Err(error) => {
                assert!(matches!(error, StoreError::NoSpace), "{error}");
                return;
            }
        }
    }
}

fn is_usable_though_full(durability: Durability) {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().durability(durability).open_on(disk.clone());
    let store = store.unwrap();
    let mut objects = Objects::new();
    for (n, len) in [40, 600, 5000, 5000, 9000].into_iter().enumerate() {
        objects.insert(store.put(content(n, len)).unwrap(), content(n, len));
    }
    let large: Vec<ObjectId> = objects.keys().copied().skip(2).collect();
    store.sync().unwrap();
    disk.fail(Some(Failing::Full));
    let _ = [40, 600].map(|len| fill(&store, len, &mut objects));
    let (len, catalogs) = (disk.bytes().len(), disk.bytes()[4096..4232].to_vec());
    for round in 0..300 {
        let sizes = [40, 600, 5000, 1 << 20];
        assert!(
            sizes
                .iter()
                .all(|len| full(store.put(content(round, *len))))
        );
        assert!(full(store.create_writer(600).map(|(id, _)| id)));
        assert!(full(store.allocate(1 << 40)));
        assert!(full(store.put_many(&[b"small"; 3]).map(|ids| ids[0])));
    }
    assert_eq!(
        (all_of(&store), store.len()),
        (objects.clone(), objects.len() as u64)
    );
    store.checkpoint().unwrap();
    // What needs no room goes on.
    let id = *objects.keys().next().unwrap();
    for n in 0..3000 {
        store.overwrite(id, content(n, 33)).unwrap();
    }
    store.set_root(Some(id)).unwrap();
    objects.insert(id, content(2999, 33));
    // What is deleted makes room for as much.
    for round in 0..40 {
        for len in [40usize, 600] {
            let is_so_long = |b: &Vec<u8>| b.len() == len;
            let (&id, _) = objects.iter().find(|(_, b)| is_so_long(b)).unwrap();
            store.delete(id).unwrap();
            objects.remove(&id);
            let bytes = content(round, len);
            objects.insert(store.put(&bytes).unwrap(), bytes);
            assert!(full(store.put(content(1, len))), "{durability:?} {round}");
        }
    }
    let mut one = large[0];
    for round in 0..40 {
        store.delete(one).unwrap();
        objects.remove(&one);
        let bytes = content(round, 5000);
        one = store.put(&bytes).unwrap();
        objects.insert(one, bytes);
        assert!(full(store.put(content(1, 5000))));
    }
    assert_eq!(all_of(&store), objects);
    // It is closed and opened on the full disk.
    drop(store);
    assert_eq!(disk.bytes().len(), len);
    let store = options().open_on(disk.clone()).unwrap();
    assert_eq!((all_of(&store), store.root()), (objects.clone(), Some(id)));
    assert!(full(store.put(content(1, 600))));
    // Then there is room again.
    disk.fail(None);
    for len in [40, 600, 5000] {
        objects.insert(store.put(content(7, len)).unwrap(), content(7, len));
    }
    drop(store);
    let now = &disk.bytes()[4096..4232];
    assert_eq!(now[104..120], catalogs[104..120], "room for catalogs");
    let store = options().open_on(disk).unwrap();
    assert_eq!(all_of(&store), objects);
}

#[test]
fn a_full_disk_is_told_and_what_is_deleted_makes_room() {
    for durability in [Durability::Group, Durability::Buffered, Durability::None] {
        is_usable_though_full(durability);
    }
}

/// A large object that somebody reads makes room when it is not read any more.
#[test]
fn what_waits_for_a_reader_makes_room_after_it() {
    let (disk, store, objects) = store_with(&[5000]);
    disk.fail(Some(Failing::Full));
    let mut none = Objects::new();
    fill(&store, 5000, &mut none);
    let id = *objects.keys().next().unwrap();
    let mut reader = store.reader(id).unwrap();
    store.delete(id).unwrap();
    assert!(full(store.put(content(1, 5000))));
    store.checkpoint().unwrap();
    assert!(full(store.put(content(1, 5000))));
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, objects[&id]);
    drop(reader);
    store.put(content(1, 5000)).unwrap();
}

/// New content that is too long for the journal needs room for a while.
#[test]
fn an_overwrite_without_room_changes_nothing() {
    let (disk, store, objects) = store_with(&[40_000]);
    let id = *objects.keys().next().unwrap();
    disk.fail(Some(Failing::Full));
    assert!(full(store.overwrite(id, content(1, 39_000)).map(|()| id)));
    assert!(full(store.overwriter(id).map(|_| id)));
    assert_eq!(all_of(&store), objects);
    store.overwrite(id, content(1, 9000)).unwrap();
    disk.fail(None);
    for n in 0..50 {
        store.overwrite(id, content(n, 40_000)).unwrap();
        assert_eq!(store.get(id).unwrap(), content(n, 40_000));
        if n == 5 {
            store.checkpoint().unwrap();
            disk.fail(Some(Failing::Full)); // scratch areas are used again
        }
    }
}

#[test]
fn a_store_that_finds_no_room_is_not_made() {
    let disk = Arc::new(Forgetful::default());
    disk.fail(Some(Failing::Full));
    let refused = options().create_on(disk.clone());
    assert!(matches!(refused, Err(StoreError::NoSpace)));
    assert!(disk.bytes().is_empty());
}

#[test]
fn a_writer_on_a_disk_that_fails_leaves_nothing_behind() {
    for calls in 0..12 {
        let (disk, store, objects) = store_with(&[30]);
        let (id, mut writer) = store.create_writer(300_000).unwrap();
        disk.fail_after(calls, Some(Failing::Write));
        let bytes = content(1, 300_000);
        let written = writer.write_all(&bytes);
        let finished = written
            .map_err(drop)
            .and_then(|()| writer.finish().map_err(drop));
        disk.fail(None);
        if finished.is_err() {
            assert!(store.get(id).is_err());
            refused(&store, *objects.keys().next().unwrap());
        }
        drop(store);
        let found = all_of(&options().open_on(disk).unwrap());
        let mut with = objects.clone();
        with.insert(id, bytes);
        let expected = if finished.is_ok() { &with } else { &objects };
        assert!(&found == expected || found == with, "{calls}");
    }
}

/// Nothing else is in the way of a test here: the types are what they seem.
#[test]
fn errors_are_told_with_what_they_come_from() {
    let (disk, store, _) = store_with(&[]);
    disk.fail(Some(Failing::Sync));
    let error = store.put(b"x").unwrap_err();
    assert_eq!(error.to_string(), "the disk failed: a sync failed");
    assert!(std::error::Error::source(&error).is_some());
    let error = store.put(b"x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "read-only since the disk failed: a sync failed"
    );
    let kept: BTreeMap<_, _> = all_of(&store);
    assert!(kept.is_empty());
}
