//! Model: the budget, by what a thread can see under a guard.
//!
//! Threads   main + 1
//! Bound     the preemptions named at each model: an insert that makes room looks at its table some
//!           dozens of times, and without a bound the search does not end
//! Shrunk    as in `cache.rs`; capacities of 1 to 3, 1 or 2 shards, no slack
//! Shows     M1 what is in sight at one time is within the capacity, also over two shards (B1, TOKEN)
//!           M2 in `Live`, what a guard keeps counts until the guard is gone
//!           M3 no token is lost or made: at rest the whole capacity can be filled         (B1)
//!           M4 two that grow in the place of what they keep are not both refused for that
//! Blind to  load buffering; figures that steer (`sync/gauge.rs`), statistics; looks without a guard
//! Explores  the least number of executions that each model asserts
#![cfg(loom)]
#![allow(unsafe_code)] // the payloads are looked at through loom's cells, which report every race

#[path = "support/cache.rs"]
mod support;

use mapless::cache::{Mode, Reason};
use mapless_loom_tests::explore;
use support::{Builder, Value, World, builder};

/// M1: two keys, each inserted once, which have room for one: never `mine`, the other, and `mine`
/// again.
fn never_both(world: &World, mine: u64, other: u64) {
    let guard = world.cache.pin();
    let looks = [mine, other, mine].map(|key| world.cache.get_in(&key, &guard).is_some());
    assert_ne!(looks, [true; 3], "M1: both are in sight");
}

/// Two threads insert a key each, and one looks at both.
fn insert_insert(builder: impl Fn() -> Builder + Send + Sync) -> impl Fn() + Send + Sync {
    move || {
        let world = World::with(builder());
        let there = world.spawn(|world| world.insert(1, 1));
        let here = world.insert(2, 2);
        never_both(&world, 2, 1);
        let there = there.join().expect("no panic");
        assert!(here || there, "the first has room");
        fill(world, &[1, 2]);
    }
}

/// M3: at rest, all of these have room.
fn fill(world: World, keys: &[u64]) {
    world.check();
    let most = world.cache.max_capacity();
    world.cache.invalidate_all();
    world.cache.run_pending_tasks();
    let keys = &keys[..keys.len().min(most as usize)];
    for &key in keys {
        assert!(world.insert(key, 1), "M3: a token is lost");
    }
    assert_eq!(world.cache.entry_count(), keys.len() as u64, "M3");
    world.end();
}

#[test]
fn two_inserts_for_the_last_room() {
    explore("insert/insert", Some(2), 3000, insert_insert(|| builder(1)));
    let live = || builder(1).mode(Mode::Live);
    explore("insert/insert, live", Some(2), 2000, insert_insert(live));
}

/// Even keys up to 3 belong to one shard, 1 and 4 to the other.
#[test]
fn two_inserts_for_the_last_room_of_two_shards() {
    let shards = || builder(1).shards(2);
    explore(
        "insert/insert, two shards",
        Some(2),
        4000,
        insert_insert(shards),
    );
    let live = || builder(1).shards(2).mode(Mode::Live);
    explore(
        "insert/insert, two shards, live",
        Some(2),
        9000,
        insert_insert(live),
    );
}

/// M1: whoever sees the new one sees the old one gone.
fn evict_look(builder: impl Fn() -> Builder + Send + Sync) -> impl Fn() + Send + Sync {
    move || {
        let world = World::with(builder()).and(&[2]);
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            if world.cache.get_in(&1, &guard).is_some() {
                assert!(world.cache.get_in(&2, &guard).is_none(), "M1");
            }
        });
        assert!(world.insert(1, 1));
        there.join().expect("no panic");
        fill(world, &[1]);
    }
}

#[test]
fn a_look_at_both_against_eviction() {
    explore("look/evict", Some(4), 2000, evict_look(|| builder(1)));
    let shards = || builder(1).shards(2);
    explore("look/evict, two shards", None, 1000, evict_look(shards));
}

/// M1, TOKEN: one shard's token, given back by a removal, pays in the other shard. A listener is told
/// before the entry is retired, so that no fence of a collector stands between.
#[test]
fn a_token_that_changes_shards() {
    explore("token", Some(4), 10_000, || {
        let world = World::with(builder(1).shards(2).eviction_listener(|_, _, _| ())).and(&[2]);
        let there = world.spawn(|world| world.cache.invalidate(&2));
        let guard = world.cache.pin();
        if world.insert(1, 1) {
            assert!(world.cache.get_in(&2, &guard).is_none(), "M1");
        }
        drop(guard);
        there.join().expect("no panic");
        fill(world, &[1]);
    });
}

/// M2: the reader has the only room as long as it looks.
#[test]
fn live_counts_what_a_guard_keeps() {
    explore("live/guard", Some(3), 9000, || {
        let world = World::with(builder(1).mode(Mode::Live)).and(&[1]);
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            if let Some(value) = world.cache.get_in(&1, &guard) {
                assert!(world.cache.get_in(&2, &guard).is_none(), "M2");
                value.read();
            }
        });
        if world.insert(2, 2) {
            assert_eq!(world.alive(), 1, "M2");
        }
        there.join().expect("no panic");
        fill(world, &[2]);
    });
}

#[test]
fn waiting_for_a_guard() {
    explore("live/wait", Some(3), 5000, || {
        let world = World::with(builder(1).mode(Mode::Live)).and(&[1]);
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            let found = world.cache.get_in(&1, &guard);
            found.map(|value| value.read())
        });
        let waited = world.cache.insert_wait(2, world.value(2));
        assert!(waited.is_ok_and(|()| world.alive() == 1), "M2");
        there.join().expect("no panic");
        fill(world, &[2]);
    });
}

/// Two hands: each thread makes room in the other's shard.
#[test]
fn two_hands() {
    explore("hand/hand", None, 4000, || {
        let world = World::with(builder(2).shards(2)).and(&[1, 2]);
        let there = world.spawn(|world| world.insert(3, 3));
        let here = world.insert(4, 4);
        let there = there.join().expect("no panic");
        assert!(here || there, "the first has room");
        assert!(world.cache.weighted_size() <= 2, "M1");
        fill(world, &[1, 2]);
    });
}

#[test]
fn eviction_against_removal() {
    explore("evict/remove", Some(4), 8000, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(|world| world.remove(1));
        assert!(world.insert(2, 2));
        there.join().expect("no panic");
        assert_eq!(world.cache.entry_count(), 1);
        fill(world, &[1]);
    });
}

/// The one that comes back enters the main ring while the hand takes another one.
#[test]
fn ghost_hit_against_eviction() {
    explore("ghost/evict", None, 3000, || {
        let world = World::new(2, &[1, 2, 3]);
        let there = world.spawn(|world| world.insert(1, 1));
        assert!(world.insert(4, 4));
        assert!(there.join().expect("no panic"));
        assert_eq!(world.cache.entry_count(), 2, "M1");
        fill(world, &[1, 2]);
    });
}

/// M1: 2 and 1, by weight, have room for 2.
#[test]
fn weights() {
    explore("weights", Some(2), 3000, || {
        let weigh = |_: &u64, value: &support::Value| value.number;
        let world = World::with(builder(2).weigher(weigh));
        let there = world.spawn(|world| world.insert(1, 1));
        let here = world.insert(2, 2);
        never_both(&world, 2, 1);
        let there = there.join().expect("no panic");
        assert!(here || there);
        assert!(world.cache.weighted_size() <= 2, "M1");
        fill(world, &[1, 2]);
    });
}

#[test]
fn the_capacity_changes_against_an_insert() {
    explore("shrink/insert", Some(2), 6000, || {
        let world = World::new(2, &[1]);
        let there = world.spawn(|world| world.insert(2, 2));
        if world.cache.set_capacity(1).is_ok() {
            assert_eq!(world.cache.max_capacity(), 1);
            never_both(&world, 1, 2);
        }
        there.join().expect("no panic");
        fill(world, &[1, 2]);
    });
    explore("widen/insert", Some(4), 300, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(|world| world.insert(2, 2));
        assert!(world.cache.set_capacity(2).is_ok());
        assert!(there.join().expect("no panic"));
        fill(world, &[1, 2]);
    });
}

/// M4: a shard each, all of the room between them, and each wants more.
#[test]
fn two_that_grow() {
    explore("grow/grow", Some(3), 1000, || {
        let weigher = |_: &u64, value: &Value| value.number;
        let world = World::with(builder(4).shards(2).weigher(weigher));
        for key in [1, 2] {
            assert!(world.insert(key, 2));
        }
        let there = world.spawn(|world| world.try_insert(1, 3).map_err(|refused| refused.reason));
        let here = world.try_insert(2, 3).map_err(|refused| refused.reason);
        let there = there.join().expect("no panic");
        assert!(here.is_ok() || there.is_ok(), "M4: {here:?}, {there:?}");
        assert!(![here, there].contains(&Err(Reason::AllHeld)), "M4");
        fill(world, &[1, 2]);
    });
}
