//! What does not wait for room cannot pass those who do; its waiting form gets in line.
//!
//! Checks `Promise::fulfil_with_async`, `InMemoryStore::promise_async`.
#![cfg(feature = "store")]

use std::pin::pin;

use bytes::Bytes;
use futures_lite::future::{block_on, poll_once};
use mapless::{InMemoryStore, ObjectError, ObjectId, ObjectRef, PinGuard};

const LIMIT: u64 = 1 << 20;
const HALF: usize = 400 << 10;

/// A store that is full of two pinned objects.
fn full() -> (InMemoryStore, Vec<PinGuard>) {
    let store = InMemoryStore::new(LIMIT);
    let put = |_| store.put_bytes(vec![1; HALF].into()).unwrap();
    let ids: Vec<ObjectId> = (0..2).map(put).collect();
    let pins = ids.iter().map(|id| store.pinned(*id).unwrap()).collect();
    (store, pins)
}

#[test]
fn a_typed_result_waits_for_room_behind_who_came_before() {
    let (store, mut pins) = full();
    let [refused, waits] = [(); 2].map(|()| store.promise().unwrap());
    let result: ObjectRef<(u64, String)> = store.reference(waits.id()).unwrap();
    let mut put = pin!(store.put_async(Bytes::from(vec![2; HALF])));
    assert!(block_on(poll_once(&mut put)).is_none());

    let error = refused.fulfil_with(7u64).unwrap_err();
    assert!(matches!(error, ObjectError::Full(_)), "{error}");
    let mut fulfil = pin!(waits.fulfil_with_async((7u64, "seven".to_string())));
    let mut get = pin!(result.get());
    assert!(block_on(poll_once(&mut fulfil)).is_none());
    assert!(block_on(poll_once(&mut get)).is_none());

    pins.pop();
    assert!(block_on(&mut put).is_ok());
    assert!(block_on(&mut fulfil).is_ok());
    assert_eq!(block_on(&mut get).unwrap(), (7, "seven".to_string()));
}

#[test]
fn a_value_without_bytes_fails_its_promise() {
    struct Never;
    impl serde::Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let store = InMemoryStore::new(LIMIT);
    let promise = store.promise().unwrap();
    let id = promise.id();
    let error = block_on(promise.fulfil_with_async(Never)).unwrap_err();
    assert!(matches!(error, ObjectError::Encode(_)), "{error}");
    let told = store.get_raw(id).unwrap_err();
    assert!(!matches!(told, ObjectError::Pending(_)), "{told}");
}

#[test]
fn a_dropped_fulfilment_abandons_its_promise_and_leaves_the_line() {
    let (store, pins) = full();
    let promise = store.promise().unwrap();
    let result: ObjectRef<Vec<u8>> = store.reference(promise.id()).unwrap();
    {
        let mut fulfil = pin!(promise.fulfil_with_async(vec![3u8; HALF]));
        assert!(block_on(poll_once(&mut fulfil)).is_none());
    }
    let told = block_on(result.get()).unwrap_err();
    assert!(matches!(told, ObjectError::Abandoned(_)), "{told}");
    drop(pins);
    assert!(store.put_bytes(vec![4; HALF].into()).is_ok());
}

#[test]
fn a_promise_waits_for_room_behind_who_came_before() {
    let (store, mut pins) = full();
    let mut put = pin!(store.put_async(Bytes::from(vec![2; HALF])));
    assert!(block_on(poll_once(&mut put)).is_none());
    assert!(matches!(store.promise(), Err(ObjectError::Full(_))));
    let mut promise = pin!(store.promise_async());
    assert!(block_on(poll_once(&mut promise)).is_none());
    pins.pop();
    assert!(block_on(&mut put).is_ok());
    let promise = block_on(&mut promise).unwrap();
    let id = block_on(promise.fulfil_async(Bytes::from("late"))).unwrap();
    assert_eq!(store.get_raw(id).unwrap(), "late");
}
