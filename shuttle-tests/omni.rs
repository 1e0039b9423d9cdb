//! `OmniBlockAllocator` under random schedules: 4 threads, 16 random operations each, ranges of 4
//! to 70 slots. What is checked: A1 to A5 of `tests/support/actor.rs`.

#![cfg(shuttle)]

#[path = "../tests/support/mod.rs"]
mod support;

use mapless_shuttle_tests::{Pick, explore, on_threads, seed};
use support::actor::{Actor, World};

fn four_threads() {
    let (world, rest) = on_threads(World::new(16 << 10, 2), 4, |world, _| {
        let mut actor = Actor::new(world, seed());
        (0..16).for_each(|_| actor.step());
        actor.rest()
    });
    world.finish(rest.concat());
}

#[test]
fn random_schedules() {
    explore("omni", Pick::Random, four_threads);
}

#[test]
fn few_preemptions() {
    explore("omni", Pick::Pct, four_threads);
}
