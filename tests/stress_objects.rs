//! Readers beside an index that grows and shrinks: for the address sanitizer.
#![cfg(feature = "store")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use mapless::{InMemoryStore, ObjectId};

const LIMIT: u64 = 2 << 20;
const ROUNDS: usize = if cfg!(miri) { 1 } else { 30 };

fn create(store: &InMemoryStore, len: usize) -> Option<ObjectId> {
    let mut builder = store.create(len).ok()?;
    builder.as_mut_slice().fill(len as u8);
    builder.seal().ok()
}

/// Tiny objects, which make the index large, and then one that has it shrink.
fn write(store: &InMemoryStore, newest: &AtomicU64) {
    for round in 0..ROUNDS {
        for n in 0..2_000 {
            if let Some(id) = create(store, 16) {
                newest.store(id.get(), Relaxed);
                if n % 50 == round % 50 {
                    let _ = store.pin(id).and_then(|()| store.unpin(id)); // it may be gone
                }
            }
        }
        if round % 3 == 0 {
            store.clear();
        }
        create(store, store.stats().limit as usize - (100 << 10));
    }
}

/// Whatever there is has the bytes that it was given.
fn read(store: &InMemoryStore, newest: &AtomicU64, end: &AtomicBool) -> u64 {
    let mut found = 0;
    let mut random = fastrand::Rng::new();
    while !end.load(Relaxed) {
        let back = random.u64(..4_000);
        let id = newest.load(Relaxed).saturating_sub(back).max(1);
        let id = ObjectId::new(id).expect("it is not 0");
        let read = store.read(id, |bytes| {
            assert!(bytes.iter().all(|byte| *byte == bytes.len() as u8));
        });
        found += u64::from(read.is_ok());
    }
    found
}

#[test]
fn readers_beside_an_index_that_shrinks() {
    let store = InMemoryStore::new(LIMIT);
    let (newest, end) = (AtomicU64::new(1), AtomicBool::new(false));
    let found = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| read(&store, &newest, &end)))
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| write(&store, &newest)))
            .collect();
        writers.into_iter().for_each(|it| it.join().unwrap());
        end.store(true, Relaxed);
        readers
            .into_iter()
            .map(|it| it.join().unwrap())
            .sum::<u64>()
    });
    assert!(found > 0);
    store.clear();
    let stats = store.stats();
    assert_eq!((stats.used_bytes, stats.index_bytes), (0, 0), "{stats}");
}
