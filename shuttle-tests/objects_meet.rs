//! `InMemoryStore` under random schedules: few threads that meet in one place, each place one that a
//! loom model cannot reach in time. Every schedule takes one of them.
//!
//! * O1  What is read under an id are its bytes.
//! * O2  What is pinned can be read until it is unpinned or deleted.
//! * O5  Every wait ends; who would wait for ever is told.
//! * O6  In the end all room is back.

#![cfg(shuttle)]

#[path = "objects/model.rs"]
#[allow(dead_code)] // each user takes its part
mod model;

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use mapless::{InMemoryStore, ObjectBuilder, ObjectError, ObjectId, ObjectRef, PinGuard, Promise};
use mapless_shuttle_tests::{Pick, explore, seed};
use model::{OVERHEAD, check_at_rest, store};
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle, yield_now};

const ROOM: u64 = 8 << 10;
/// As long as an object can be.
const ALL: usize = (ROOM - OVERHEAD) as usize;
/// Two of them fill the room.
const HALF: usize = (ROOM / 2 - OVERHEAD) as usize;

std::thread_local! {
    /// Which meeting this is.
    static PLACE: Cell<&'static str> = const { Cell::new("") };
}

type Shared = Arc<InMemoryStore>;

fn shared() -> Shared {
    Arc::new(store(ROOM, true, seed().is_multiple_of(2)))
}

fn bytes(of: u8, len: usize) -> Bytes {
    Bytes::from(vec![of; len])
}

fn spawn<T: Send + 'static>(
    store: &Shared,
    work: impl FnOnce(&InMemoryStore) -> T + Send + 'static,
) -> JoinHandle<T> {
    let store = Arc::clone(store);
    begin(move || work(&store))
}

/// A thread that is named after the place, for what a checker says.
fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = thread::Builder::new().name(PLACE.get().to_owned());
    thread.spawn(work).expect("a checker's thread")
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let join = |thread: JoinHandle<T>| {
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    };
    threads.into_iter().map(join).collect()
}

/// Looks at all of an object.
fn look(store: &InMemoryStore, id: ObjectId, of: u8) -> Result<(), ObjectError> {
    store.read(id, |bytes| {
        yield_now();
        assert!(bytes.iter().all(|byte| *byte == of), "O1");
    })
}

/// Two want all of the room, one after the other; a reader has what is to go.
fn a_reader_leaves_a_line() {
    let store = shared();
    let old = store.put_bytes(bytes(1, ALL)).expect("it is empty");
    let put = |of| {
        spawn(&store, move |store| {
            let id = block_on(store.put_async(bytes(of, ALL))).expect("O5");
            let _ = look(store, id, of);
        })
    };
    let reader = spawn(&store, move |store| match seed() % 2 {
        0 => drop(look(store, old, 1)),
        _ => drop(store.get_raw(old)),
    });
    join([put(2), put(3), reader]);
    check_at_rest(&store);
}

/// Each has half of the room and wants the other half: the second to say so is told.
fn two_builders_want_more() {
    let store = shared();
    let build = || {
        spawn(&store, |store| {
            let mine = block_on(store.create_async(HALF)).expect("O5");
            let more = block_on(store.holding(&[&mine]).create_async(HALF));
            let is_stuck = matches!(more, Err(ObjectError::WouldDeadlock));
            assert!(is_stuck || more.is_ok(), "{more:?}");
            drop(mine);
            usize::from(is_stuck)
        })
    };
    let stuck: usize = join([build(), build()]).into_iter().sum();
    assert!(stuck < 2, "O5: nobody needed to be told twice");
    check_at_rest(&store);
}

/// A third one waits behind them, and one of them gives up half-way.
fn builders_and_a_put() {
    let store = shared();
    let build = || {
        spawn(&store, |store| {
            let mine = block_on(store.create_async(HALF)).expect("O5");
            let more = block_on(store.holding(&[&mine]).create_many_async(&[100, 200]));
            let built: Vec<ObjectBuilder> = more.unwrap_or_default();
            drop((mine, built));
        })
    };
    let put = spawn(&store, |store| {
        block_on(store.put_async(bytes(1, ALL))).expect("O5");
    });
    join([build(), build(), put]);
    check_at_rest(&store);
}

/// A pending object is pinned, fulfilled and perhaps deleted, and another one wants its room.
fn a_pending_object_is_pinned() {
    let store = shared();
    let promise = store.promise().expect("it is empty");
    let (id, is_deleted) = (promise.id(), seed().is_multiple_of(2));
    let maker = spawn(&store, move |_| promise.fulfil(bytes(1, HALF)));
    let pinner = spawn(&store, move |store| pin_and_look(store, id));
    let other = spawn(&store, move |store| {
        if is_deleted {
            let _ = store.delete(id);
        }
        let _ = store.put_bytes(bytes(2, HALF + 1));
        let _ = store.put_bytes(bytes(3, ALL));
    });
    let made = join([maker]).remove(0);
    let seen = join([pinner]).remove(0);
    join([other]);
    match made {
        Ok(_) if is_deleted => {}
        Ok(_) => assert!(seen.iter().all(is_there), "O2: {seen:?}"),
        Err(error) => {
            let is_full = matches!(error.reason, ObjectError::Full(_));
            assert!(is_full || is_deleted, "{error:?}");
        }
    }
    check_at_rest(&store);
}

fn is_there(seen: &Result<(), ObjectError>) -> bool {
    matches!(seen, Ok(()) | Err(ObjectError::Pending(_)))
}

/// What three looks between pin and unpin see, and the unpin; nothing if it cannot be pinned.
fn pin_and_look(store: &InMemoryStore, id: ObjectId) -> Vec<Result<(), ObjectError>> {
    if store.pin(id).is_err() {
        return Vec::new();
    }
    let mut seen: Vec<_> = (0..3).map(|_| look(store, id, 1)).collect();
    seen.push(store.unpin(id));
    seen
}

/// Room that comes back by an unpin, or by the last of somebody's bytes.
fn a_wait_for_a_pin() {
    let store = shared();
    let id = store.put_bytes(bytes(1, ALL)).expect("it is empty");
    let keep: PinGuard = store.pinned(id).expect("it is there");
    store.pin(id).expect("it is there");
    let holder = spawn(&store, move |store| {
        let bytes = keep.bytes().clone();
        drop(keep);
        assert!(look(store, id, 1).is_ok(), "O2: pinned once more");
        if seed().is_multiple_of(2) {
            store.delete(id).expect("it is there");
        }
        match seed() % 2 {
            0 => drop((bytes, store.unpin(id).expect("it is there"))),
            _ => {
                store.unpin(id).expect("it is there");
                drop(bytes);
            }
        }
    });
    let put = |of| {
        spawn(&store, move |store| {
            block_on(store.put_async(bytes(of, HALF))).expect("O5");
        })
    };
    join([put(2), put(3), holder]);
    check_at_rest(&store);
}

/// Two wait for a promise that is kept, broken, or deleted.
fn a_wait_for_a_promise() {
    let store = shared();
    let promise = store.promise().expect("it is empty");
    let (id, end) = (promise.id(), seed() % 4);
    let wait = |reference: ObjectRef<Bytes>| {
        spawn(&store, move |_| {
            let got = block_on(reference.get_raw());
            assert!(got.is_ok() == (end == 0), "{got:?}");
        })
    };
    let refer = || promise.reference().expect("it is pending");
    let waits = [wait(refer()), wait(refer())];
    let maker = spawn(&store, move |store| match end {
        0 => drop(promise.fulfil(bytes(1, HALF)).expect("there is room")),
        1 => promise.fail("no result"),
        2 => drop(promise),
        _ => store.delete(id).expect("it is there"),
    });
    join(waits.into_iter().chain([maker]));
    store.clear();
    check_at_rest(&store);
}

/// The store goes while one waits for an object, and one for room that does not come.
fn the_store_goes() {
    let store = store(ROOM, true, false);
    let full = store.put_bytes(bytes(1, HALF)).expect("it is empty");
    let keep = store.pinned(full).expect("it is there");
    let (first, second): (Promise, Promise) = (
        store.promise().expect("there is room"),
        store.promise().expect("there is room"),
    );
    let reference: ObjectRef<Bytes> = first.reference().expect("it is pending");
    let waits = begin(move || {
        let got = block_on(reference.get_raw());
        assert!(matches!(got, Err(ObjectError::Closed)), "{got:?}");
    });
    let wants = begin(move || {
        let error = block_on(second.fulfil_async(bytes(2, HALF))).expect_err("no room");
        assert!(matches!(error.reason, ObjectError::Closed), "{error:?}");
    });
    drop(store);
    join([waits, wants]);
    assert!(
        keep.iter().all(|byte| *byte == 1),
        "O2: of a store that is gone"
    );
    assert!(first.fulfil(Bytes::new()).is_err());
}

const PLACES: [(&str, fn()); 7] = [
    ("a reader leaves a line", a_reader_leaves_a_line),
    ("two builders want more", two_builders_want_more),
    ("builders and a put", builders_and_a_put),
    ("a pending object is pinned", a_pending_object_is_pinned),
    ("a wait for a pin", a_wait_for_a_pin),
    ("a wait for a promise", a_wait_for_a_promise),
    ("the store goes", the_store_goes),
];

fn meet() {
    let (place, work) = PLACES[(seed() % PLACES.len() as u64) as usize];
    PLACE.set(place);
    work();
}

#[test]
fn random_meetings() {
    explore("objects, meeting", Pick::Random, meet);
}

#[test]
fn few_preemptions() {
    explore("objects, meeting", Pick::Pct, meet);
}
