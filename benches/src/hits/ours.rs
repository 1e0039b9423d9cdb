//! `ClockCache` itself, with its defaults, behind [`Peer`].

use mapless::ClockCache;

use super::contender::{Peer, Plan};

struct Ours(ClockCache<u64, u32>);

impl Peer for Ours {
    fn get(&self, key: u64) -> bool {
        self.0.get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        // Refused if it is larger than the cache.
        let _ = self.0.insert(key, size);
    }
}

/// With its default number of shards.
pub fn clock(plan: &Plan) -> Option<Box<dyn Peer>> {
    let builder = ClockCache::builder().max_capacity(plan.capacity);
    let builder = if plan.sized {
        builder.weigher(|_, size: &u32| u64::from(*size).max(1))
    } else {
        builder
    };
    Some(Box::new(Ours(builder.build().ok()?)))
}
