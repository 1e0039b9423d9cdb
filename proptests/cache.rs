//! A whole cache, one call at a time, against a map.
//!
//! Properties
//! * C1  What is found is the newest value of its key, and what was removed or is over is not found.
//!   With a listener, the cache contains exactly what came in and was not told of.
//! * C2  The listener is told of each entry that leaves, once, ..
//! * C3  .. with the cause: `Size` where room was lacking, for as many entries as were needed;
//!   `Expired` where it was over; `Replaced` and `Explicit` where a call did it.
//! * C4  What is held is not evicted.
//! * C5  Counts and weights are exact after each call, and within the capacity; no more entries weigh
//!   nothing than may.
//! * C6  Only what cannot fit is refused, and with the reason; nothing leaves for what can never fit.
//! * D1  Each key and value is dropped once; `run_pending_tasks` drops all that no guard keeps.

mod cache_model;
mod cache_world;

use cache_world::{Setup, Step, World};
use quickcheck::{Gen, QuickCheck};

fn run(setup: Setup, steps: Vec<Step>) -> bool {
    let mut world = World::new(setup);
    steps.into_iter().for_each(|step| world.step(step));
    world.end();
    true
}

#[test]
fn a_cache_is_a_map_of_what_did_not_leave() {
    let tests = std::env::var("QUICKCHECK_TESTS").map_or(2_000, |n| n.parse().unwrap());
    QuickCheck::new()
        .tests(tests)
        .rng(Gen::new(150))
        .quickcheck(run as fn(Setup, Vec<Step>) -> bool);
}
