//! What a cache keeps of memory; a file of its own, since the allocator counts for all tests of one.
#![cfg(feature = "cache")]

use mapless::ClockCache;

type Numbers = ClockCache<u64, u64>;

#[test]
fn emptying_a_cache_again_and_again_takes_no_memory() {
    let region = stats_alloc::Region::new(GLOBAL);
    let cache: Numbers = ClockCache::builder().shards(1).build().unwrap();
    let mut taken = [0; 2];
    for taken in &mut taken {
        for _ in 0..2_000 {
            cache.invalidate_all();
            cache.drain().for_each(drop);
            cache.run_pending_tasks();
        }
        let stats = region.change();
        *taken = stats.bytes_allocated as i64 - stats.bytes_deallocated as i64;
    }
    assert!(taken[1] - taken[0] < 20_000, "{taken:?}");
}

#[global_allocator]
static GLOBAL: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;
