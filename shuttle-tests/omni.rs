//! `OmniBlockAllocator` under random schedules: 4 threads, 16 random operations each, ranges of 4
//! to 70 slots. What is checked: A1 to A5 of `tests/support/actor.rs`.

#![cfg(shuttle)]

#[path = "../tests/support/mod.rs"]
mod support;

use mapless_shuttle_tests::{Pick, explore, seed};
use shuttle::thread;
use support::actor::{Actor, World};

fn four_threads() {
    let world = World::new(16 << 10, 2);
    let rest = thread::scope(|scope| {
        let threads = [(); 4].map(|()| {
            let mut actor = Actor::new(&world, seed());
            scope.spawn(move || {
                (0..16).for_each(|_| actor.step());
                actor.rest()
            })
        });
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    world.finish(rest);
}

#[test]
fn random_schedules() {
    explore("omni", Pick::Random, four_threads);
}

#[test]
fn few_preemptions() {
    explore("omni", Pick::Pct, four_threads);
}
