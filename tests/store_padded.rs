//! Commits that are padded to pages of the disk, and durabilities by the call.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/layout.rs"]
mod layout;

use std::collections::BTreeMap;
use std::sync::Arc;

use forgetful::{Event, Forgetful, Moment};
use layout::JOURNAL;
use mapless::{Durability, MultiStore, ObjectId, StoreOptions};

const PAGE: usize = 4096;
const RING: usize = 64 << 10;

fn options() -> StoreOptions {
    StoreOptions::new().journal(RING as u64).pad_commits(true)
}

type Objects = BTreeMap<ObjectId, Vec<u8>>;

/// Puts, overwrites and deletes.
fn work(store: &MultiStore, rounds: u32, all: &mut Objects) {
    for n in 0..rounds {
        let bytes = vec![n as u8; 10 + 37 * n as usize % 500];
        all.insert(store.put(&bytes).unwrap(), bytes);
        let (id, bytes) = all.iter_mut().nth(n as usize / 3).unwrap();
        *bytes = vec![!n as u8; 5];
        store.overwrite(*id, &*bytes).unwrap();
        if n % 5 == 4 {
            let id = *all.keys().nth(n as usize / 7).unwrap();
            store.delete(id).unwrap();
            all.remove(&id);
        }
    }
}

fn holds(store: &MultiStore, all: &Objects) {
    assert_eq!(store.len(), all.len() as u64);
    for (id, bytes) in all {
        assert_eq!(&store.get(*id).unwrap(), bytes);
    }
}

#[test]
fn what_is_written_to_the_journal_begins_and_ends_with_a_page() {
    let disk = Arc::new(Forgetful::default());
    let store = options().create_on(disk.clone()).unwrap();
    store.put(b"aligns what follows").unwrap();
    disk.forget();
    for n in 0..300u32 {
        store.put(n.to_le_bytes()).unwrap();
    }
    let mut commits = 0;
    for event in disk.events() {
        if let Event::Write { offset, bytes } = event
            && (JOURNAL..JOURNAL + RING).contains(&offset)
        {
            commits += 1;
            assert_eq!((offset % PAGE, bytes.len() % PAGE), (0, 0));
        }
    }
    assert!(commits >= 300, "{commits}");
    assert_eq!(store.len(), 301);
}

#[test]
fn a_padded_journal_is_read_again_after_every_loss_of_power() {
    let disk = Arc::new(Forgetful::default());
    let store = options().create_on(disk.clone()).unwrap();
    let before = disk.bytes();
    disk.forget();
    let ids: Vec<ObjectId> = (0..40u32)
        .map(|n| store.put(n.to_le_bytes()).unwrap())
        .collect();
    let mut moment = Moment::new(before);
    let (mut most, mut states) = (0, 0);
    for event in &disk.events() {
        moment.step(event);
        for n in 0..moment.states().min(6) {
            let disk = Arc::new(Forgetful::new(moment.state(n)));
            let store = options().open_on(disk).unwrap();
            let there = ids.iter().take_while(|id| store.get(**id).is_ok()).count();
            assert_eq!(store.len(), there as u64, "a prefix of what was put");
            most = most.max(there);
            states += 1;
        }
    }
    assert_eq!(most, 40);
    assert!(states > 100, "{states}");
}

#[test]
fn padding_and_none_read_each_other() {
    let mut disk = Arc::new(Forgetful::default());
    let mut store = options().create_on(disk.clone()).unwrap();
    let mut all = Objects::new();
    for round in 0..6 {
        work(&store, 12, &mut all);
        holds(&store, &all);
        let bytes = disk.bytes();
        drop(store);
        let plain = StoreOptions::new().journal(RING as u64);
        let next = if round % 2 == 0 { plain } else { options() };
        disk = Arc::new(Forgetful::new(bytes));
        store = next.open_on(disk.clone()).unwrap();
        holds(&store, &all);
    }
}

#[test]
fn durabilities_are_chosen_by_the_call() {
    let disk = Arc::new(Forgetful::default());
    let store = StoreOptions::new().create_on(disk.clone()).unwrap();
    let syncs = || store.stats().unwrap().syncs;
    let before = syncs();
    let weak = Durability::None;
    let ids = store.put_many_with(&[b"one", b"two"], weak).unwrap();
    let (id, generation) = store.put_versioned_with(b"three", weak).unwrap();
    store.write_batch_with(&[(ids[0], b"1")], weak).unwrap();
    store.try_overwrite_with(ids[1], b"2", weak).unwrap();
    assert_eq!(syncs(), before);
    assert_eq!(store.get_version(id, generation).unwrap(), &b"three"[..]);
    store.put_many_with(&[b"four"], Durability::Group).unwrap();
    assert!(syncs() > before);
    assert_eq!(store.get(ids[0]).unwrap(), &b"1"[..]);
    assert_eq!(store.get(ids[1]).unwrap(), &b"2"[..]);
}
