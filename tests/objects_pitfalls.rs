//! What stores of objects before this one got wrong, each by name.
#![cfg(feature = "store")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::{block_on, poll_once};
use mapless::{InMemoryStore, ObjectError, ObjectId, ObjectRef};

const LONG: Duration = Duration::from_secs(30);

fn filled(len: usize, byte: u8) -> Bytes {
    Bytes::from(vec![byte; len])
}

#[test]
fn evictions_are_counted() {
    let store = InMemoryStore::new(1 << 20);
    for n in 0..100 {
        store.put_bytes(filled(100_000, n)).unwrap();
    }
    let stats = store.stats();
    assert!(stats.evicted >= 91, "{stats}");
    assert_eq!(stats.evicted_bytes, stats.evicted * 100_000);
    assert_eq!(stats.objects + stats.evicted, 100);
}

#[test]
fn pinned_bytes_count_against_the_limit() {
    let store = InMemoryStore::new(1_000_000);
    let pinned: Vec<_> = (0..8)
        .map(|n| store.put_bytes(filled(100_000, n)).unwrap())
        .map(|id| store.pinned(id).unwrap())
        .collect();
    for n in 0..20 {
        let _ = store.put_bytes(filled(90_000, n));
        let stats = store.stats();
        assert!(stats.used_bytes <= stats.limit && stats.limit <= 1_000_000);
    }
    for (n, pin) in pinned.iter().enumerate() {
        assert_eq!(pin.bytes(), &filled(100_000, n as u8));
    }
}

#[test]
fn a_put_beside_a_pinned_object_is_another_object() {
    let store = InMemoryStore::new(1 << 20);
    let old = store.put_bytes(filled(10, 1)).unwrap();
    let _pin = store.pinned(old).unwrap();
    let new = store.put_bytes(filled(10, 2)).unwrap();
    assert_ne!(old, new);
    assert_eq!(store.get_raw(new).unwrap(), filled(10, 2));
    assert_eq!(store.get_raw(old).unwrap(), filled(10, 1));
}

#[test]
fn who_awaits_a_pending_reference_is_woken() {
    let store = Arc::new(InMemoryStore::new(1 << 20));
    let promise = store.promise().unwrap();
    let reference: ObjectRef<Vec<u8>> = store.reference(promise.id()).unwrap();
    let others: Vec<_> = (0..4)
        .map(|_| {
            let reference = reference.clone();
            thread::spawn(move || block_on(async { reference.get().await }))
        })
        .collect();
    thread::sleep(Duration::from_millis(30));
    promise.fulfil(filled(5, 5)).unwrap();
    for other in others {
        assert_eq!(other.join().unwrap().unwrap(), [5; 5]);
    }
    assert_eq!(block_on(reference.get_cached()).unwrap()[..], [5; 5]);
}

#[test]
fn no_bytes_of_a_user_are_an_error() {
    let store = InMemoryStore::new(1 << 20);
    let looks_bad = [
        &b"ERROR"[..],
        b"\0",
        b"__error__:",
        &[0xff; 16],
        b"\x00err\x00",
    ];
    for bytes in looks_bad {
        let id = store.put_slice(bytes).unwrap();
        assert_eq!(store.get::<Vec<u8>>(id).unwrap(), bytes);
        let promise = store.promise().unwrap();
        let id = promise.fulfil(Bytes::copy_from_slice(bytes)).unwrap();
        assert_eq!(store.get_raw(id).unwrap(), bytes);
    }
}

#[test]
fn what_ends_on_an_evicted_object_says_so() {
    let store = InMemoryStore::builder(1 << 20)
        .collect_unreferenced(true)
        .build()
        .unwrap();
    let id = store.put_bytes(filled(500_000, 1)).unwrap();
    let reference: ObjectRef<Bytes> = store.reference(id).unwrap();
    for n in 0..20 {
        store.put_bytes(filled(400_000, n)).unwrap();
    }
    assert!(matches!(store.unpin(id), Err(ObjectError::Evicted(_))));
    assert!(matches!(
        reference.get_blocking(),
        Err(ObjectError::Evicted(_))
    ));
    drop(reference);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn a_result_that_does_not_fit_is_told() {
    let store = InMemoryStore::new(1 << 20);
    let promise = store.promise().unwrap();
    let reference: ObjectRef<Bytes> = store.reference(promise.id()).unwrap();
    let waits = thread::spawn(move || reference.get_blocking());
    thread::sleep(Duration::from_millis(20));
    let error = promise.fulfil(filled(2 << 20, 1)).unwrap_err();
    assert_eq!(error.bytes.len(), 2 << 20);
    assert!(matches!(
        waits.join().unwrap(),
        Err(ObjectError::TooLarge { .. })
    ));
}

/// All that is put by those who wait comes in, though nobody's room suffices for all, readers keep
/// what they have for a while, and there is no time that they could wait out.
#[test]
fn nobody_hangs_when_it_is_full() {
    let store = Arc::new(InMemoryStore::new(1 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let newest = Arc::new(AtomicUsize::new(1));
    let reader = {
        let (store, stop, newest) = (store.clone(), stop.clone(), newest.clone());
        thread::spawn(move || {
            let mut kept = Vec::new();
            while !stop.load(Relaxed) {
                let id = ObjectId::new(newest.load(Relaxed) as u64).unwrap();
                kept.extend(store.get_raw(id).ok());
                if kept.len() > 3 {
                    kept.clear();
                }
            }
        })
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            let (store, newest) = (&store, &newest);
            scope.spawn(move || {
                for n in 0..300 {
                    let len = 1 + (n * 7919 + thread * 104_729) % 200_000;
                    let id = store.put_timeout(filled(len, n as u8), LONG).unwrap();
                    newest.store(id.get() as usize, Relaxed);
                }
            });
        }
    });
    stop.store(true, Relaxed);
    reader.join().unwrap();
    assert_eq!(store.stats().puts, 1200);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn a_reader_that_leaves_wakes_who_waits() {
    let store = Arc::new(InMemoryStore::new(1 << 20));
    let id = store.put_bytes(filled(800_000, 1)).unwrap();
    let inside = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, inside) = (store.clone(), inside.clone());
        thread::spawn(move || {
            store
                .read(id, |bytes| {
                    inside.store(true, Relaxed);
                    thread::sleep(Duration::from_millis(100));
                    bytes.len()
                })
                .unwrap()
        })
    };
    while !inside.load(Relaxed) {
        thread::yield_now();
    }
    // It evicts the object, whose bytes the reader still has.
    let new = store.put_timeout(filled(700_000, 2), LONG).unwrap();
    assert_eq!(reader.join().unwrap(), 800_000);
    assert_eq!(store.get_raw(new).unwrap(), filled(700_000, 2));
}

#[test]
fn inside_of_a_read_nobody_waits_for_himself() {
    let store = InMemoryStore::new(1 << 20);
    let id = store.put_bytes(filled(800_000, 1)).unwrap();
    let put = store.read(id, |_| store.put_timeout(filled(700_000, 2), LONG));
    let error = put.unwrap().unwrap_err();
    assert!(matches!(error.reason, ObjectError::Full(_)));
    assert_eq!(error.bytes, filled(700_000, 2));
    store.put_bytes(error.bytes).unwrap();
}

#[test]
fn a_cancelled_wait_leaves_no_trace() {
    let store = InMemoryStore::new(1 << 20);
    let pin = store
        .pinned(store.put_bytes(filled(900_000, 1)).unwrap())
        .unwrap();
    let mut first = Box::pin(store.put_async(filled(500_000, 2)));
    let mut second = Box::pin(store.put_async(filled(10_000, 3)));
    assert!(block_on(poll_once(first.as_mut())).is_none());
    assert!(block_on(poll_once(second.as_mut())).is_none());
    drop(first);
    // The front is gone, and the next one fits.
    assert!(block_on(second).is_ok());
    store.put_bytes(filled(1, 4)).unwrap();
    let promise = store.promise().unwrap();
    let reference: ObjectRef<Bytes> = store.reference(promise.id()).unwrap();
    let mut waits = reference.get_raw();
    assert!(block_on(poll_once(&mut waits)).is_none());
    drop(waits);
    promise.fulfil(filled(9, 9)).unwrap();
    assert_eq!(reference.get_blocking().unwrap(), filled(9, 9));
    drop((pin, reference));
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

struct Panics;

impl serde::Serialize for Panics {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("no luck")
    }
}

#[test]
fn a_serializer_that_panics_takes_nothing() {
    let store = InMemoryStore::new(1 << 20);
    let put = std::panic::catch_unwind(|| store.put(Panics));
    assert!(put.is_err());
    assert_eq!(store.stats().used_bytes, 0);
    let id = store.put(7u8).unwrap();
    assert_eq!(store.get::<u8>(id).unwrap(), 7);
    let lent = std::panic::catch_unwind(|| store.read(id, |_| panic!("no luck")));
    assert!(lent.is_err());
    store.delete(id).unwrap();
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

/// User code in a `Bytes`' own drop runs where the last clone is dropped, and may use the store.
#[test]
fn the_drop_of_a_buffer_may_use_the_store() {
    struct Owner(Arc<InMemoryStore>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &[7; 50_000]
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.1.fetch_add(1, Relaxed);
            let _ = self.0.put_bytes(Bytes::from_static(b"from a drop"));
            let _ = self.0.stats();
        }
    }
    let store = Arc::new(InMemoryStore::new(1 << 20));
    let drops = Arc::new(AtomicUsize::new(0));
    for _ in 0..200 {
        let owner = Owner(Arc::clone(&store), Arc::clone(&drops));
        store.put_bytes(Bytes::from_owner(owner)).unwrap();
    }
    store.clear();
    assert!(drops.load(Relaxed) > 150);
}

#[test]
fn what_was_sealed_goes_for_who_waits() {
    let store = Arc::new(InMemoryStore::new(1 << 20));
    let mut builder = store.create(900_000).unwrap();
    builder.as_mut_slice().fill(1);
    let waits = {
        let store = store.clone();
        thread::spawn(move || store.put_timeout(filled(800_000, 2), LONG).unwrap())
    };
    thread::sleep(Duration::from_millis(50));
    let sealed = builder.seal().unwrap();
    let put = waits.join().unwrap();
    assert_eq!(store.get_raw(put).unwrap(), filled(800_000, 2));
    assert!(matches!(
        store.get_raw(sealed),
        Err(ObjectError::Evicted(_))
    ));
}
