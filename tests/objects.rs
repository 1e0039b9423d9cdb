//! The object store, one operation at a time.
#![cfg(feature = "store")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapless::{
    InMemoryStore, ObjectError, ObjectId, ObjectRef, ObjectState, ObjectStore, ObjectStoreExt,
    StoredType, UnboundRef,
};

const LIMIT: u64 = 1 << 20;

fn store() -> InMemoryStore {
    InMemoryStore::new(LIMIT)
}

fn kib(n: usize) -> Bytes {
    Bytes::from(vec![n as u8; n << 10])
}

macro_rules! refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn bytes_come_back_without_a_copy() {
    let store = store();
    let bytes = kib(64);
    let at = bytes.as_ptr();
    let id = store.put_bytes(bytes).unwrap();
    assert_eq!(store.get_raw(id).unwrap().as_ptr(), at);
    assert!(store.read(id, |bytes| bytes.as_ptr() == at).unwrap());
    let vec = vec![7u8; 100];
    let at = vec.as_ptr();
    let id = store.put(vec).unwrap();
    assert_eq!(store.get_raw(id).unwrap().as_ptr(), at);
    assert_eq!(store.get::<Bytes>(id).unwrap().as_ptr(), at);
}

#[test]
fn all_room_comes_back() {
    let store = store();
    let ids: Vec<ObjectId> = (0..10).map(|n| store.put_bytes(kib(n)).unwrap()).collect();
    assert_eq!(store.stats().objects, 10);
    assert_eq!(store.stats().bytes, 45 << 10);
    store.delete(ids[3]).unwrap();
    assert_eq!(store.stats().removed, 1);
    store.clear();
    let stats = store.stats();
    assert_eq!((stats.objects, stats.bytes, stats.used_bytes), (0, 0, 0));
    assert_eq!((stats.removed, stats.removed_bytes), (10, 45 << 10));
    assert!(stats.sizes.iter().all(|count| *count == 0));
}

#[test]
fn zero_bytes_are_an_object() {
    let store = store();
    let id = store.put_bytes(Bytes::new()).unwrap();
    assert_eq!(store.get_raw(id).unwrap(), Bytes::new());
    let id = store.create(0).unwrap().seal().unwrap();
    assert_eq!(store.metadata(id).unwrap().size, 0);
}

#[test]
fn what_never_fits_is_too_large() {
    let store = store();
    let all = Bytes::from(vec![0; LIMIT as usize]);
    let error = store.put_bytes(all.clone()).unwrap_err();
    assert_eq!(error.bytes.as_ptr(), all.as_ptr());
    refused!(Err::<(), _>(error.reason), ObjectError::TooLarge { .. });
    refused!(store.create(usize::MAX), ObjectError::TooLarge { .. });
    refused!(
        store.create_many(&[usize::MAX, usize::MAX]),
        ObjectError::TooLarge { .. }
    );
}

#[test]
fn unknown_deleted_and_evicted_ids_are_told_apart() {
    let store = store();
    let never = ObjectId::new(1_000_000).unwrap();
    refused!(store.get_raw(never), ObjectError::NotFound(id) if id == never);
    let id = store.put_bytes(kib(1)).unwrap();
    store.delete(id).unwrap();
    refused!(store.get_raw(id), ObjectError::Evicted(_));
    refused!(store.delete(id), ObjectError::Evicted(_));
    refused!(store.unpin(id), ObjectError::Evicted(_));
    refused!(store.pin(never), ObjectError::NotFound(_));
}

#[test]
fn the_old_go_and_the_pinned_stay() {
    let store = store();
    let pinned = store.put_bytes(kib(100)).unwrap();
    store.pin(pinned).unwrap();
    let ids: Vec<ObjectId> = (0..100)
        .map(|_| store.put_bytes(kib(100)).unwrap())
        .collect();
    assert_eq!(store.get_raw(pinned).unwrap(), kib(100));
    let stats = store.stats();
    assert!(stats.evicted >= 90, "{stats}");
    assert_eq!(stats.objects + stats.evicted, 101);
    assert!(stats.used_bytes <= stats.limit);
    refused!(store.get_raw(ids[0]), ObjectError::Evicted(_));
    store.unpin(pinned).unwrap();
    refused!(store.unpin(pinned), ObjectError::NotPinned(_));
}

#[test]
fn full_says_what_keeps_the_room_and_evicts_nothing() {
    let store = store();
    let pinned: Vec<_> = (0..4)
        .map(|_| store.pinned(store.put_bytes(kib(100)).unwrap()).unwrap())
        .collect();
    let builder = store.create(300 << 10).unwrap();
    let retained = store.put_bytes(kib(150)).unwrap();
    let bytes = store.get_raw(retained).unwrap();
    store.delete(retained).unwrap();
    let loose = store.put_bytes(kib(1)).unwrap();
    let error = store.put_bytes(kib(200)).unwrap_err();
    assert_eq!(error.bytes, kib(200));
    let ObjectError::Full(full) = error.reason else {
        panic!("{error:?}");
    };
    assert!(full.pinned >= 400 << 10, "{full}");
    assert!(full.pending >= 300 << 10, "{full}");
    assert!(full.retained >= 150 << 10, "{full}");
    assert!(store.exists(loose));
    drop(bytes);
    store.put_bytes(kib(200)).unwrap();
    drop((pinned, builder));
}

#[test]
fn a_deleted_pinned_object_goes_with_its_last_pin() {
    let store = store();
    let id = store.put_bytes(kib(10)).unwrap();
    let guard = store.pinned(id).unwrap();
    store.pin(id).unwrap();
    store.delete(id).unwrap();
    refused!(store.get_raw(id), ObjectError::Deleted(_));
    refused!(store.pin(id), ObjectError::Deleted(_));
    assert_eq!(&guard[..], &kib(10)[..]);
    drop(guard);
    assert!(store.stats().pinned_bytes > 0);
    store.unpin(id).unwrap();
    refused!(store.get_raw(id), ObjectError::Evicted(_));
    assert_eq!(store.stats().pinned_bytes, 0);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn a_builder_seals_what_was_written() {
    let store = store();
    let mut builder = store.create(10).unwrap();
    let id = builder.id();
    refused!(store.get_raw(id), ObjectError::Pending(_));
    assert_eq!(store.metadata(id).unwrap().state, ObjectState::Pending);
    builder.write(b"01234").unwrap();
    let overrun = builder.write(b"567890").unwrap_err();
    assert_eq!((overrun.len, overrun.remaining), (6, 5));
    let error = builder.seal().unwrap_err();
    refused!(
        Err::<(), _>(error.reason),
        ObjectError::Short { missing: 5 }
    );
    let mut builder = error.builder;
    assert_eq!(builder.as_mut_slice(), b"01234\0\0\0\0\0");
    builder.as_mut_slice()[9] = b'!';
    let at = builder.written().as_ptr();
    assert_eq!(builder.seal().unwrap(), id);
    assert_eq!(store.get_raw(id).unwrap().as_ptr(), at);
    assert_eq!(store.get_raw(id).unwrap(), &b"01234\0\0\0\0!"[..]);
}

#[test]
fn pins_of_a_pending_object_stay() {
    let store = store();
    let mut builder = store.create(100_000).unwrap();
    builder.as_mut_slice().fill(1);
    let reference: ObjectRef<Bytes> = builder.reference().unwrap();
    refused!(store.pinned(builder.id()), ObjectError::Pending(_));
    let pin = builder.seal_pinned().unwrap();
    for _ in 0..50 {
        store.put_bytes(kib(100)).unwrap();
    }
    assert_eq!(reference.get_blocking().unwrap(), pin.bytes());
    assert!(store.stats().pinned_bytes > 100_000);
    drop(pin);
    assert_eq!(store.stats().pinned_bytes, 0);

    let promise = store.promise().unwrap();
    let id = promise.id();
    store.pin(id).unwrap();
    store.pin(id).unwrap();
    store.unpin(id).unwrap();
    promise.fulfil(kib(1)).unwrap();
    assert_eq!(store.metadata(id).unwrap().pins, 1);
    for _ in 0..50 {
        store.put_bytes(kib(100)).unwrap();
    }
    assert_eq!(store.get_raw(id).unwrap(), kib(1));
    store.unpin(id).unwrap();

    // A pin of what fails keeps nothing.
    let promise = store.promise().unwrap();
    let id = promise.id();
    store.pin(id).unwrap();
    promise.fail("no luck");
    store.unpin(id).unwrap();
    refused!(store.unpin(id), ObjectError::NotPinned(_));
    assert_eq!(store.stats().pinned_bytes, 0);

    let mut builder = store.create(1).unwrap();
    builder.write(b"a").unwrap();
    store.delete(builder.id()).unwrap();
    let error = builder.seal_pinned().unwrap_err();
    refused!(Err::<(), _>(error.reason), ObjectError::Deleted(_));
    store.clear();
}

#[test]
fn a_dropped_builder_aborts() {
    let store = store();
    let builder = store.create(100 << 10).unwrap();
    let id = builder.id();
    assert!(store.stats().pending_bytes > 100 << 10);
    drop(builder);
    refused!(store.get_raw(id), ObjectError::Aborted(_));
    assert_eq!(store.stats().pending_bytes, 0);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn a_deleted_builder_cannot_be_sealed() {
    let store = store();
    let mut builder = store.create(3).unwrap();
    builder.write(b"abc").unwrap();
    store.delete(builder.id()).unwrap();
    let error = builder.seal().unwrap_err();
    refused!(Err::<(), _>(error.reason), ObjectError::Deleted(_));
    assert_eq!(error.builder.written(), b"abc");
    drop(error.builder);
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn promises_end_in_every_way() {
    let store = store();
    let promise = store.promise().unwrap();
    let id = promise.id();
    refused!(store.get_raw(id), ObjectError::Pending(_));
    promise.fulfil(kib(3)).unwrap();
    assert_eq!(store.get_raw(id).unwrap(), kib(3));

    let promise = store.promise().unwrap();
    let id = promise.id();
    promise.fail("no luck");
    let error = store.get_raw(id).unwrap_err();
    assert!(error.to_string().contains("no luck"));

    let promise = store.promise().unwrap();
    let id = promise.id();
    drop(promise);
    refused!(store.get_raw(id), ObjectError::Abandoned(_));

    let promise = store.promise().unwrap();
    let id = promise.id();
    let error = promise.fulfil(kib(2_000)).unwrap_err();
    assert_eq!(error.bytes.len(), 2_000 << 10);
    refused!(store.get_raw(id), ObjectError::TooLarge { .. });

    let pinned = store.pinned(store.put_bytes(kib(900)).unwrap()).unwrap();
    let promise = store.promise().unwrap();
    let id = promise.id();
    refused!(
        promise.fulfil(kib(200)).map_err(|error| error.reason),
        ObjectError::Full(_)
    );
    refused!(store.get_raw(id), ObjectError::Full(_));
    drop(pinned);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
    assert_eq!(store.stats().pending, 0);
}

#[test]
fn an_error_stays_as_long_as_a_reference() {
    let store = store();
    let promise = store.promise().unwrap();
    let reference: ObjectRef<Vec<u8>> = store.reference(promise.id()).unwrap();
    promise.fail("no luck");
    for _ in 0..50 {
        store.put_bytes(kib(100)).unwrap();
    }
    let error = reference.get_blocking().unwrap_err();
    assert!(error.to_string().contains("no luck"));
    drop(reference);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn types_are_told_apart() {
    let store = store();
    let pairs = HashMap::from([("a".to_string(), 1u32)]);
    let id = store.put(pairs.clone()).unwrap();
    assert_eq!(store.get::<HashMap<String, u32>>(id).unwrap(), pairs);
    let error = store.get::<u32>(id).unwrap_err();
    let ObjectError::WrongType { stored, asked } = &error else {
        panic!("{error}");
    };
    assert_eq!(*stored, StoredType::of::<HashMap<String, u32>>());
    assert_eq!(*asked, StoredType::of::<u32>());
    refused!(store.get::<Vec<u8>>(id), ObjectError::WrongType { .. });
    let raw = store.put_slice(b"bytes").unwrap();
    assert_eq!(store.get::<Vec<u8>>(raw).unwrap(), b"bytes");
    assert_eq!(store.metadata(raw).unwrap().stored, StoredType::BYTES);
    refused!(store.get::<String>(raw), ObjectError::WrongType { .. });
    let lies = store
        .put_stored(Bytes::from_static(&[255; 3]), StoredType::of::<String>())
        .unwrap();
    refused!(store.get::<String>(lies), ObjectError::Decode(_));
}

#[test]
fn a_reference_that_was_put_comes_back_unbound() {
    let store = store();
    let text: ObjectRef<String> = store
        .reference(store.put("x".to_string()).unwrap())
        .unwrap();
    let unbound = StoredType::of::<UnboundRef<String>>();
    let promise = store.promise().unwrap();
    let ids = [
        store.put(text.clone()).unwrap(),
        store.put(text.unbound()).unwrap(),
        promise.fulfil_with(text.clone()).unwrap(),
    ];
    for id in ids {
        assert_eq!(store.metadata(id).unwrap().stored, unbound);
        let sent: UnboundRef<String> = store.get(id).unwrap();
        assert_eq!(sent.bind(&store).unwrap().get_blocking().unwrap(), "x");
        refused!(
            store.get::<UnboundRef<u32>>(id),
            ObjectError::WrongType { .. }
        );
        refused!(store.get::<u64>(id), ObjectError::WrongType { .. });
    }
    // What has one inside is stored as what it is.
    let id = store.put(vec![text]).unwrap();
    let stored = StoredType::of::<Vec<ObjectRef<String>>>();
    assert_eq!(store.metadata(id).unwrap().stored, stored);
}

#[test]
fn references_count_and_collect() {
    let store = InMemoryStore::builder(LIMIT)
        .collect_unreferenced(true)
        .build()
        .unwrap();
    let id = store.put(5u64).unwrap();
    let first: ObjectRef<u64> = store.reference(id).unwrap();
    let second = first.clone();
    let sent = postcard::to_allocvec(&first).unwrap();
    let unbound: UnboundRef<u64> = postcard::from_bytes(&sent).unwrap();
    let third = unbound.bind(&store).unwrap();
    assert_eq!(store.metadata(id).unwrap().references, 2);
    store.pin(id).unwrap();
    drop((first, second));
    assert_eq!(third.get_blocking().unwrap(), 5);
    drop(third);
    assert!(store.exists(id));
    store.unpin(id).unwrap();
    refused!(store.get_raw(id), ObjectError::Evicted(_));
    refused!(unbound.bind(&store), ObjectError::Evicted(_));
}

#[test]
fn a_dropped_store_is_closed_to_what_it_gave_out() {
    let store = store();
    let id = store.put_bytes(kib(1)).unwrap();
    let bytes = store.get_raw(id).unwrap();
    let reference: ObjectRef<Bytes> = store.reference(id).unwrap();
    let pin = store.pinned(id).unwrap();
    let (builder, promise) = (store.create(3).unwrap(), store.promise().unwrap());
    let pending: ObjectRef<Bytes> = store.reference(promise.id()).unwrap();
    drop(store);
    refused!(
        reference.get_blocking(),
        ObjectError::Closed | ObjectError::Deleted(_)
    );
    refused!(pending.get_blocking(), ObjectError::Closed);
    refused!(
        promise.fulfil(kib(1)).map_err(|error| error.reason),
        ObjectError::Closed
    );
    drop(builder);
    assert_eq!((&pin[..], &bytes[..]), (&kib(1)[..], &kib(1)[..]));
}

#[test]
fn waiters_are_woken_by_every_end() {
    let store = Arc::new(store());
    let wait = |id| {
        let store = Arc::clone(&store);
        std::thread::spawn(move || store.get_timeout(id, Duration::from_secs(20)))
    };
    let settle = || std::thread::sleep(Duration::from_millis(20));
    let promise = store.promise().unwrap();
    let waits = [wait(promise.id()), wait(promise.id())];
    settle();
    promise.fulfil(kib(1)).unwrap();
    for wait in waits {
        assert_eq!(wait.join().unwrap().unwrap(), kib(1));
    }
    let builder = store.create(3).unwrap();
    let waits = wait(builder.id());
    settle();
    drop(builder);
    refused!(waits.join().unwrap(), ObjectError::Aborted(_));
    let promise = store.promise().unwrap();
    let waits = wait(promise.id());
    settle();
    store.delete(promise.id()).unwrap();
    refused!(waits.join().unwrap(), ObjectError::Deleted(_));
    let promise = store.promise().unwrap();
    let waits = wait(promise.id());
    settle();
    drop(promise);
    refused!(waits.join().unwrap(), ObjectError::Abandoned(_));
    let promise = store.promise().unwrap();
    refused!(
        store.get_timeout(promise.id(), Duration::from_millis(10)),
        ObjectError::TimedOut(_)
    );
}

#[test]
fn who_waits_for_room_gets_it_in_order() {
    let store = Arc::new(store());
    let pin = store.pinned(store.put_bytes(kib(900)).unwrap()).unwrap();
    let put = |len| {
        let store = Arc::clone(&store);
        std::thread::spawn(move || store.put_timeout(kib(len), Duration::from_secs(20)))
    };
    let first = put(500);
    std::thread::sleep(Duration::from_millis(50));
    let second = put(20);
    std::thread::sleep(Duration::from_millis(50));
    // There is room for it, but others were first.
    refused!(
        store.put_bytes(kib(1)).map_err(|error| error.reason),
        ObjectError::Full(_)
    );
    assert!(!first.is_finished() && !second.is_finished());
    drop(pin);
    let first = first.join().unwrap().unwrap();
    second.join().unwrap().unwrap();
    let late = store.put_timeout(kib(2_000), Duration::from_secs(1));
    refused!(
        late.map_err(|error| error.reason),
        ObjectError::TooLarge { .. }
    );
    let pin = store.pinned(first).unwrap();
    let late = store.put_timeout(kib(600), Duration::from_millis(10));
    let error = late.unwrap_err();
    assert_eq!(error.bytes, kib(600));
    refused!(Err::<(), _>(error.reason), ObjectError::Full(_));
    drop(pin);
    store.put_bytes(kib(600)).unwrap();
}

#[test]
fn those_who_wait_for_each_other_do_not_wait_for_ever() {
    let store = store();
    let ours = store.create(600 << 10).unwrap();
    let long = Duration::from_secs(20);
    refused!(
        store.holding(&[&ours]).create_timeout(600 << 10, long),
        ObjectError::WouldDeadlock
    );
    std::thread::scope(|scope| {
        let other = store.create(300 << 10).unwrap();
        let store = &store;
        let waits = scope.spawn(move || {
            let waits = store.holding(&[&other]).create_timeout(200 << 10, long);
            waits.map(|builder| builder.size())
        });
        std::thread::sleep(Duration::from_millis(50));
        refused!(
            store.holding(&[&ours]).create_timeout(200 << 10, long),
            ObjectError::WouldDeadlock
        );
        drop(ours);
        assert_eq!(waits.join().unwrap().unwrap(), 200 << 10);
    });
}

#[test]
fn a_store_is_used_through_a_trait_object() {
    let store: Arc<dyn ObjectStore> = Arc::new(store());
    futures_lite::future::block_on(async {
        let id = store.put("text".to_string()).await.unwrap();
        assert_eq!(store.get::<String>(id).await.unwrap(), "text");
        let raw = store.put_bytes(kib(1)).now().unwrap().unwrap();
        assert_eq!(store.get_raw(raw).await.unwrap(), kib(1));
        let mut builder = store.create(2).await.unwrap();
        builder.write(b"ab").unwrap();
        let built = builder.seal().unwrap();
        store.pin(built).unwrap();
        store.unpin(built).unwrap();
        assert!(store.exists(built));
        store.delete(built).unwrap();
        store.clear();
        assert_eq!(store.stats().objects, 0);
    });
}

#[test]
fn what_does_not_count_when_it_has_left() {
    let store = InMemoryStore::builder(LIMIT)
        .count_retained(false)
        .build()
        .unwrap();
    let id = store.put_bytes(kib(600)).unwrap();
    let bytes = store.get_raw(id).unwrap();
    let other = store.put_bytes(kib(600)).unwrap();
    refused!(store.get_raw(id), ObjectError::Evicted(_));
    assert_eq!(bytes, kib(600));
    store.delete(other).unwrap();
    assert_eq!(store.stats().used_bytes, 0);
}
