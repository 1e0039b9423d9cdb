//! Models: a whole object store, its objects pinned, sealed, deleted, referred to, waited for.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     the preemptions named at each model: an eviction looks at its table some dozens of
//!           times, and without a bound the search does not end
//! Shrunk    room for 1 or 2 objects, which have no bytes; 1 or 2 shards, a limbo of 1
//! Shows     M1 what is pinned is there, and what is let go is let go once      (S1, O2, O3)
//!           M2 who waits for an object is told what became of it                   (O1, L1)
//!           M3 no more is held than the limit, at any moment                       (T1, TOKEN)
//!           M4 who waits for room is woken, whoever makes it                       (T2, T3)
//!           M5 what the last reference lets go is gone, and not before
//!           M6 where readers do not count, who sees the new object sees the old one gone   (S2)
//! Blind to  load buffering; figures that steer (`sync/gauge.rs`); the counts of `Bytes`, of `Arc`
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

#[path = "support/objects.rs"]
#[allow(dead_code)] // each user takes its part
mod support;

use bytes::Bytes;
use loom::thread;
use mapless::models::Tiny;
use mapless::{ObjectError, ObjectId};
use mapless_loom_tests::explore;
use std::sync::atomic::Ordering::Relaxed;
use support::{LONG, TINY, World, is_gone};

// ---------------------------------------------------------------- pins

#[test]
fn pin_against_eviction() {
    explore("objects: pin/evict", Some(5), 3000, || {
        let world = World::new(TINY);
        let (id, watch) = world.put().unwrap();
        let other = world.spawn(|world| world.put().is_some());
        match world.store.pin(id) {
            Ok(()) => {
                world.read(id, &watch).expect("M1: it is pinned");
                assert_eq!(world.store.stats().evicted, 0, "M1");
                world.store.unpin(id).expect("M1");
            }
            Err(error) => assert!(is_gone(&error), "M1: {error}"),
        }
        let evicted = other.join().unwrap();
        assert_eq!(world.read(id, &watch).is_err(), evicted, "M1");
        world.end();
    });
}

#[test]
fn delete_against_pin_and_get() {
    explore("objects: delete/pin, get", Some(3), 8000, || {
        let world = World::new(TINY);
        let (id, watch) = world.put().unwrap();
        let other = world.spawn(move |world| world.store.delete(id).expect("M1"));
        let is_pinned = world.store.pin(id).is_ok();
        let found = world.read(id, &watch);
        if is_pinned {
            // Whoever deletes it lets it be as long as it is pinned.
            watch.payload.with(|_| ());
            assert_eq!(world.store.stats().objects, 1, "M1");
            world.store.unpin(id).expect("M1");
        } else {
            assert!(found.is_err(), "M1: it was gone before");
        }
        other.join().unwrap();
        assert_eq!(world.store.stats().objects, 0, "M1");
        world.end();
    });
}

// ---------------------------------------------------------------- who waits for an object

#[test]
fn seal_against_a_reader() {
    explore("objects: seal/wait", Some(3), 10000, || {
        let world = World::new(TINY);
        let builder = world.store.create(0).unwrap();
        let id = builder.id();
        let other = thread::spawn(move || builder.seal().expect("M2"));
        let found = world.store.get_timeout(id, LONG);
        assert_eq!(found.expect("M2").len(), 0);
        other.join().unwrap();
        world.end();
    });
}

#[test]
fn abort_and_delete_against_a_reader() {
    explore("objects: abort/wait", Some(3), 8000, || {
        let world = World::new(TINY);
        let builder = world.store.create(0).unwrap();
        let id = builder.id();
        let other = thread::spawn(move || drop(builder));
        let found = world.store.get_timeout(id, LONG);
        assert!(matches!(found, Err(ObjectError::Aborted(_))), "M2");
        other.join().unwrap();
        world.end();
    });
    explore("objects: delete/wait", Some(3), 10000, || {
        let world = World::new(TINY);
        let builder = world.store.create(0).unwrap();
        let id = builder.id();
        let other = world.spawn(move |world| world.store.delete(id).expect("M2"));
        let found = world.store.get_timeout(id, LONG);
        let found = found.expect_err("M2");
        assert!(
            is_gone(&found) || matches!(found, ObjectError::Deleted(_)),
            "M2"
        );
        other.join().unwrap();
        assert!(builder.seal().is_err(), "M2");
        world.end();
    });
}

// ---------------------------------------------------------------- room

#[test]
fn two_puts_for_the_last_room() {
    explore("objects: put/put", Some(5), 3000, || {
        let world = World::new(TINY);
        let other = world.spawn(|world| world.put().is_some());
        let here = world.put().is_some();
        let there = other.join().unwrap();
        assert!(here || there, "M3: the first has room");
        world.end();
    });
}

/// M3: two put, and one reads what may have to go for that.
#[test]
fn two_puts_against_a_reader_3() {
    explore("objects: put/put/read", Some(2), 40000, || {
        let world = World::new(TINY);
        let (id, watch) = world.put().unwrap();
        let others = [(); 2].map(|()| world.spawn(|world| world.put().is_some()));
        if let Err(error) = world.read(id, &watch) {
            assert!(is_gone(&error), "M3: {error}");
        }
        for other in others {
            other.join().unwrap();
        }
        world.end();
    });
}

/// A builder is not evicted: its room is its own.
#[test]
fn two_builders_for_the_last_room() {
    explore("objects: create/create", Some(4), 2500, || {
        let world = World::new(TINY);
        let build = |world: &World| {
            let Ok(builder) = world.store.create(0) else {
                return false;
            };
            assert_eq!(world.held.fetch_add(1, Relaxed), 0, "M3");
            thread::yield_now();
            world.held.fetch_sub(1, Relaxed);
            drop(builder);
            true
        };
        let other = world.spawn(build);
        let here = build(&world);
        let there = other.join().unwrap();
        assert!(here || there, "M3: the first has room");
        world.end();
    });
}

#[test]
fn put_against_who_lets_go_of_bytes() {
    explore("objects: put/drop of bytes", None, 60, || {
        let world = World::new(TINY);
        let (id, _) = world.put().unwrap();
        let bytes = world.store.get_raw(id).unwrap();
        world.store.delete(id).unwrap();
        let other = world.spawn(|world| world.put_waiting());
        drop(bytes);
        let new = other.join().unwrap();
        assert!(world.store.exists(new), "M4");
        world.end();
    });
}

#[test]
fn put_against_a_reader() {
    explore("objects: put/read", Some(4), 18000, || {
        let world = World::new(TINY);
        let (id, watch) = world.put().unwrap();
        let other = world.spawn(|world| world.put_waiting());
        if let Err(error) = world.read(id, &watch) {
            assert!(is_gone(&error), "M4: {error}");
        }
        let new = other.join().unwrap();
        assert!(world.store.exists(new), "M4");
        world.end();
    });
}

/// Somebody waits for the room of an object, which is let go in some way.
fn put_against<G: 'static>(
    name: &str,
    at_least: usize,
    before: fn(&World) -> G,
    lets_go: fn(&World, G),
) {
    explore(name, Some(4), at_least, move || {
        let world = World::new(Tiny {
            collect_unreferenced: true,
            ..TINY
        });
        let held = before(&world);
        let other = world.spawn(|world| world.put_waiting());
        lets_go(&world, held);
        let new = other.join().unwrap();
        assert!(world.store.exists(new), "M4");
        world.end();
    });
}

fn pinned(world: &World) -> ObjectId {
    let (id, _) = world.put().unwrap();
    world.store.pin(id).unwrap();
    id
}

#[test]
fn put_against_unpin() {
    put_against("objects: put/unpin", 2000, pinned, |world, id| {
        world.store.unpin(id).expect("M1");
    });
    let deleted = |world: &World| {
        let id = pinned(world);
        world.store.delete(id).unwrap();
        id
    };
    put_against(
        "objects: put/unpin of a deleted one",
        8000,
        deleted,
        |world, id| {
            world.store.unpin(id).expect("M1");
        },
    );
}

#[test]
fn put_against_the_end_of_a_builder() {
    let builder = |world: &World| world.store.create(0).unwrap();
    put_against("objects: put/seal", 1500, builder, |_, builder| {
        builder.seal().expect("M2");
    });
    put_against("objects: put/abort", 2000, builder, |_, builder| {
        drop(builder)
    });
    put_against(
        "objects: put/delete, abort",
        5000,
        builder,
        |world, builder| {
            world.store.delete(builder.id()).expect("M2");
            drop(builder);
        },
    );
}

#[test]
fn put_against_the_end_of_an_error() {
    let failed = |world: &World| {
        let promise = world.store.promise().unwrap();
        let kept = world.store.reference::<Bytes>(promise.id()).unwrap();
        promise.fail("it did not go well");
        kept
    };
    put_against("objects: put/unrefer", 8000, failed, |_, kept| drop(kept));
}

/// Who was served puts its object, which may go for the next one, after that one has looked: and is
/// inside of the epochs then, as its table grows.
#[test]
fn put_against_one_that_was_served() {
    let puts = |objects| {
        move || {
            let world = World::new(Tiny { objects, ..TINY });
            if objects > 1 {
                world.put().unwrap();
            }
            let other = world.spawn(|world| world.put_waiting());
            world.put_waiting();
            other.join().unwrap();
            world.end();
        }
    };
    explore("objects: put/put in", Some(4), 8000, puts(1));
    explore("objects: put/put in, of 2", Some(4), 20000, puts(2));
}

// ---------------------------------------------------------------- shards

/// M6: two objects, in two shards, and room for one; the old one is deleted.
#[test]
fn room_that_changes_shards() {
    explore("objects: delete/put, two shards", Some(3), 4000, || {
        let world = World::new(Tiny {
            shards: 2,
            count_retained: false,
            ..TINY
        });
        let (old, _) = world.put().unwrap();
        let other = world.spawn(move |world| world.store.delete(old));
        let (bytes, _) = world.payload();
        if world.store.put_bytes(bytes).is_ok() {
            assert!(!world.store.exists(old), "M6");
        }
        let _ = other.join().unwrap();
        world.end();
    });
}

// ---------------------------------------------------------------- references

/// `bind` is `reference`, of an id that came from elsewhere.
#[test]
fn last_reference_against_bind() {
    explore("objects: unrefer/bind", Some(3), 2500, || {
        let world = World::new(Tiny {
            collect_unreferenced: true,
            ..TINY
        });
        let (id, watch) = world.put().unwrap();
        let last = world.store.reference::<Bytes>(id).unwrap();
        let other = thread::spawn(move || drop(last));
        match world.store.reference::<Bytes>(id) {
            Ok(bound) => {
                world.read(id, &watch).expect("M5: it is referred to");
                drop(bound);
            }
            Err(error) => assert!(is_gone(&error), "M5: {error}"),
        }
        other.join().unwrap();
        assert_eq!(world.store.stats().objects, 0, "M5");
        world.end();
    });
}

#[test]
fn last_reference_against_last_pin() {
    explore("objects: unrefer/unpin", Some(3), 2000, || {
        let world = World::new(Tiny {
            collect_unreferenced: true,
            ..TINY
        });
        let (id, watch) = world.put().unwrap();
        let last = world.store.reference::<Bytes>(id).unwrap();
        world.store.pin(id).unwrap();
        let other = thread::spawn(move || drop(last));
        world.read(id, &watch).expect("M5: it is pinned");
        world.store.unpin(id).expect("M5");
        other.join().unwrap();
        assert_eq!(world.store.stats().objects, 0, "M5");
        world.end();
    });
}
