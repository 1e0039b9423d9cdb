//! Many objects at once: rows of slots, lengths in any order, and what a failure gives back.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/sample.rs"]
mod sample;

use std::sync::Arc;

use forgetful::{Failing, Forgetful};
use mapless::{Durability, MultiStore, ObjectId, StoreError, StoreOptions};
use sample::{content, formatted, options};

fn store() -> (tempfile::TempDir, MultiStore) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::new().durability(Durability::None);
    let store = options.create(dir.path().join("objects")).unwrap();
    (dir, store)
}

/// How often the next id is not the one behind the one before.
fn breaks(ids: &[ObjectId]) -> usize {
    let behind = |pair: &&[ObjectId]| pair[0].get() + 1 != pair[1].get();
    ids.windows(2).filter(behind).count()
}

#[test]
fn slots_come_in_rows() {
    let (_dir, store) = store();
    let ids = store.put_many(&vec![content(1, 64); 10_000]).unwrap();
    let ranges = breaks(&ids);
    // A range begins with one slot by itself, and has at most two rows beside it.
    assert!(ranges < 60, "{ranges}");
    let run = store.allocate_run(10_000, 64).unwrap();
    assert!(breaks(&run) < 60);
    assert_eq!(store.len(), 10_000);
    assert!(matches!(
        store.get(run[5000]),
        Err(StoreError::NotWritten(_))
    ));
    let gone: Vec<ObjectId> = ids.iter().copied().step_by(3).collect();
    gone.iter().for_each(|id| store.delete(*id).unwrap());
    store.sync().unwrap();
    store.collect();
    let len = store.stats().unwrap().file_len;
    let again = store.put_many(&vec![content(2, 64); gone.len()]).unwrap();
    assert_eq!(store.stats().unwrap().file_len, len);
    assert_eq!(store.len(), 10_000);
    assert!(
        again
            .iter()
            .all(|id| store.get(*id).unwrap() == content(2, 64))
    );
}

#[test]
fn lengths_come_in_any_order() {
    let (dir, store) = store();
    let len = |n: usize| [64, 3000, 0, 70_000, 65, 2 << 20][n % 6] + n % 3;
    let all: Vec<Vec<u8>> = (0..60).map(|n| content(n, len(n))).collect();
    let ids = store.put_many(&all).unwrap();
    let check = |store: &MultiStore| {
        for (id, bytes) in ids.iter().zip(&all) {
            assert_eq!(store.get(*id).unwrap(), bytes);
        }
    };
    check(&store);
    drop(store);
    let store = MultiStore::open(dir.path().join("objects")).unwrap();
    check(&store);
    assert!(store.check().unwrap().corrupt.is_empty());
}

/// Slots without a room for all: those that were had are there for the next ones.
#[test]
fn what_is_too_much_gives_all_back() {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    let ids = store.put_many(&vec![content(1, 500); 100]).unwrap();
    disk.fail(Some(Failing::Full));
    let mut more = Vec::new();
    while let Ok(id) = store.put(content(2, 500)) {
        more.push(id);
    }
    ids.iter().for_each(|id| store.delete(*id).unwrap());
    store.collect();
    for n in 0..5 {
        let many = vec![content(3, 500); 101 + n];
        assert!(matches!(store.put_many(&many), Err(StoreError::NoSpace)));
        assert!(matches!(
            store.allocate_run(101 + n, 500),
            Err(StoreError::NoSpace)
        ));
        assert_eq!(store.len(), more.len() as u64);
    }
    let again = store.put_many(&vec![content(4, 500); 100]).unwrap();
    assert!(
        again
            .iter()
            .all(|id| store.get(*id).unwrap() == content(4, 500))
    );
}

/// A large object among them that finds no room takes the others' slots with it, to be given back.
#[test]
fn a_large_one_too_much_gives_all_back() {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    let ids = store.put_many(&vec![content(1, 40); 50]).unwrap();
    ids.iter().for_each(|id| store.delete(*id).unwrap());
    store.collect();
    disk.fail(Some(Failing::Full));
    for _ in 0..300 {
        let mut many = vec![content(3, 40); 50];
        many.push(content(5, 1 << 20));
        assert!(matches!(store.put_many(&many), Err(StoreError::NoSpace)));
    }
    disk.fail(None);
    assert_eq!(store.len(), 0);
    let len = store.stats().unwrap().file_len;
    store.put_many(&vec![content(4, 40); 50]).unwrap();
    assert_eq!(store.stats().unwrap().file_len, len);
}

/// A failure whose end nobody knows keeps the slots, and the store is read-only.
#[test]
fn a_write_that_fails_shows_nothing() {
    for failing in [Failing::Write, Failing::Sync] {
        let disk = Arc::new(Forgetful::new(formatted()));
        let store = options().durability(Durability::Group);
        let store = store.open_on(disk.clone()).unwrap();
        let ids = store.put_many(&vec![content(1, 64); 20]).unwrap();
        disk.fail(Some(failing));
        assert!(store.put_many(&vec![content(2, 64); 20]).is_err());
        assert_eq!(store.len(), 20);
        assert!(store.put(content(3, 64)).is_err());
        assert!(
            ids.iter()
                .all(|id| store.get(*id).unwrap() == content(1, 64))
        );
    }
}
