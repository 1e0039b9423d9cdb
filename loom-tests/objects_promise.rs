//! Models: a promise of an object store that is fulfilled, at once or when there is room, beside what may
//! end before that.
//!
//! Threads   main + 1
//! Bound     the preemptions named at each model; none where a search without ends within a minute
//! Shrunk    room for 1 or 2 objects, which have no bytes but for the result; 1 shard, a limbo of 1
//! Shows     M2 who waits for an object is told what became of it                   (O1, L1)
//!           M4 who waits for room is woken when the store goes                         (T3)
//!           M7 the bytes of whose promise waits for room are in the store, or the caller's again; who
//!              waits for the object is told; and no token is lost              (L1, T1, T2)
//! Blind to  load buffering; figures that steer (`sync/gauge.rs`); the counts of `Bytes`, of `Arc`
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

#[path = "support/objects.rs"]
#[allow(dead_code)] // each user takes its part
mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use loom::thread;
use mapless::models::Tiny;
use mapless::{ObjectError, Promise};
use mapless_loom_tests::explore;
use support::{GONE, NEW, TINY, World, block_on};

/// What a promise is fulfilled with.
const RESULT: &[u8] = b"it";

#[test]
fn fulfil_against_a_dropped_waiter() {
    explore("objects: fulfil/drop", Some(2), 10000, || {
        let world = World::new(TINY);
        let promise = world.store.promise().unwrap();
        let id = promise.id();
        let other = thread::spawn(move || promise.fulfil(Bytes::new()).expect("M2"));
        let mut waits = world.store.get_async(id);
        let first = pin!(&mut waits).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(found) = first {
            assert_eq!(found.expect("M2").len(), 0);
        }
        drop(waits);
        let found = block_on(world.store.get_async(id));
        assert_eq!(found.expect("M2").len(), 0);
        other.join().unwrap();
        world.end();
    });
}

// ---------------------------------------------------------------- a promise that waits for room

/// A store, all of whose room a promise and a `Bytes` of an object that was deleted have.
fn with_a_promise() -> (World, Promise, Bytes) {
    let world = World::new(Tiny { objects: 2, ..TINY });
    let (old, _) = world.put().unwrap();
    let kept = world.store.get_raw(old).unwrap();
    world.store.delete(old).unwrap();
    let promise = world.store.promise().unwrap();
    (world, promise, kept)
}

/// The bytes are in the store, or with the caller again.
fn fulfil_waiting(world: &World, promise: Promise) -> Result<(), ObjectError> {
    let (bytes, watch) = world.payload_of(RESULT);
    match block_on(promise.fulfil_async(bytes)) {
        Ok(_) => {
            world.count(&watch);
            Ok(())
        }
        Err(refused) => {
            assert_eq!(refused.bytes, RESULT, "M7");
            watch.payload.with(|_| ());
            assert_eq!(watch.state.load(Relaxed), NEW, "M7");
            Err(refused.reason)
        }
    }
}

fn poll_unwoken<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn end_in_line(world: World) {
    world.store.clear();
    assert!(world.put().is_some(), "M7: nobody is in line");
    world.end();
}

#[test]
fn delete_against_a_waiting_fulfil() {
    explore("objects: delete/fulfil in line", Some(3), 35000, || {
        let (world, promise, kept) = with_a_promise();
        let id = promise.id();
        let mut waits = world.store.get_async(id);
        assert!(poll_unwoken(&mut waits).is_pending());
        let other = world.spawn(|world| fulfil_waiting(world, promise));
        drop(kept);
        world.store.delete(id).expect("M7");
        let fulfilled = other.join().unwrap();
        // Whichever was first told it.
        match (poll_unwoken(&mut waits), fulfilled) {
            (Poll::Ready(Ok(found)), Ok(())) => assert_eq!(found, RESULT, "M7"),
            (Poll::Ready(Err(ObjectError::Deleted(_))), Err(ObjectError::Deleted(_))) => {}
            other => panic!("M7: {other:?}"),
        }
        drop(waits);
        end_in_line(world);
    });
}

/// Nobody ever gives room back, and who waits for it is told that he need not.
#[test]
fn delete_against_a_fulfil_that_waits_for_ever() {
    explore("objects: delete/fulfil without room", Some(3), 1000, || {
        let (world, promise, kept) = with_a_promise();
        let id = promise.id();
        let other = world.spawn(|world| fulfil_waiting(world, promise));
        world.store.delete(id).expect("M7");
        let fulfilled = other.join().unwrap();
        assert!(matches!(fulfilled, Err(ObjectError::Deleted(_))), "M7");
        drop(kept);
        end_in_line(world);
    });
}

#[test]
fn a_dropped_reader_against_a_waiting_fulfil() {
    explore("objects: drop/fulfil in line", None, 400, || {
        let (world, promise, kept) = with_a_promise();
        let id = promise.id();
        let mut goes = world.store.get_async(id);
        let mut waits = world.store.get_async(id);
        assert!(poll_unwoken(&mut goes).is_pending());
        assert!(poll_unwoken(&mut waits).is_pending());
        let other = world.spawn(|world| fulfil_waiting(world, promise));
        drop(kept);
        drop(goes);
        other.join().unwrap().expect("M7");
        let told = poll_unwoken(&mut waits);
        assert!(
            matches!(&told, Poll::Ready(Ok(found)) if found == RESULT),
            "M7: {told:?}"
        );
        drop((waits, told));
        end_in_line(world);
    });
}

/// Whoever fulfils gives up, and who waits for the object is told.
#[test]
fn a_dropped_fulfil_against_who_lets_go_of_bytes() {
    explore("objects: drop of fulfil/room", None, 100, || {
        let (world, promise, kept) = with_a_promise();
        let mut waits = world.store.get_async(promise.id());
        assert!(poll_unwoken(&mut waits).is_pending());
        let other = world.spawn(|world| {
            let (bytes, watch) = world.payload_of(RESULT);
            let mut fulfils = Box::pin(promise.fulfil_async(bytes));
            let ended = poll_unwoken(&mut fulfils);
            drop(fulfils);
            match ended {
                Poll::Ready(fulfilled) => {
                    fulfilled.expect("M7");
                    world.count(&watch);
                    true
                }
                Poll::Pending => {
                    watch.payload.with(|_| ());
                    assert_eq!(watch.state.load(Relaxed), GONE, "M7");
                    false
                }
            }
        });
        drop(kept);
        let is_fulfilled = other.join().unwrap();
        match (poll_unwoken(&mut waits), is_fulfilled) {
            (Poll::Ready(Ok(found)), true) => assert_eq!(found, RESULT, "M7"),
            (Poll::Ready(Err(ObjectError::Abandoned(_))), false) => {}
            other => panic!("M7: {other:?}"),
        }
        drop(waits);
        end_in_line(world);
    });
}

/// The store goes while a promise waits for room that nobody gives back.
#[test]
fn close_against_a_waiting_promise() {
    explore("objects: close/fulfil", Some(4), 20000, || {
        let (world, promise, kept) = with_a_promise();
        let reference = world.store.reference::<Bytes>(promise.id()).unwrap();
        let mut waits = reference.get_raw();
        assert!(poll_unwoken(&mut waits).is_pending());
        let (bytes, watch) = world.payload_of(RESULT);
        let other = thread::spawn(move || {
            let fulfilled = block_on(promise.fulfil_async(bytes));
            fulfilled.expect_err("there is no room")
        });
        drop(world);
        let refused = other.join().unwrap();
        assert!(matches!(refused.reason, ObjectError::Closed), "M4");
        assert_eq!(refused.bytes, RESULT, "M7");
        watch.payload.with(|_| ());
        let told = poll_unwoken(&mut waits);
        assert!(
            matches!(told, Poll::Ready(Err(ObjectError::Closed))),
            "M7: {told:?}"
        );
        drop(kept);
    });
}
