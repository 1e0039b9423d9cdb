//! The store, one property at a time.
#![cfg(feature = "store")]

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
        Err(StoreError::Option(_))
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
        Err(StoreError::Option(_))
    ));
    drop(store);
    let store = place.open();
    let id = store.put(bytes(1, 1000)).unwrap();
    assert_eq!(store.extent(id).unwrap().len, ByteLen::new(1000));
}
