//! Caches as shipped, with their defaults, behind [`Peer`].

use std::num::NonZeroUsize;

use parking_lot::Mutex;

use super::contender::{Peer, Plan};

type Made = Option<Box<dyn Peer>>;

/// A value is its own weight.
#[derive(Clone, Copy, Debug)]
struct BySize;

struct Quick(quick_cache::sync::Cache<u64, u32, BySize>);

impl quick_cache::Weighter<u64, u32> for BySize {
    fn weight(&self, _: &u64, size: &u32) -> u64 {
        (*size).into()
    }
}

impl Peer for Quick {
    fn get(&self, key: u64) -> bool {
        self.0.get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        self.0.insert(key, size);
    }
}

/// Its default: CLOCK-Pro in shards.
pub fn quick(plan: &Plan) -> Made {
    let cache = quick_cache::sync::Cache::with_weighter;
    Some(Box::new(Quick(cache(
        plan.entries as usize,
        plan.capacity,
        BySize,
    ))))
}

struct Moka {
    cache: moka::sync::Cache<u64, u32>,
    every: usize,
}

impl Peer for Moka {
    fn get(&self, key: u64) -> bool {
        self.cache.get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        self.cache.insert(key, size);
    }

    fn settle(&self, request: usize) {
        if request.is_multiple_of(self.every) {
            self.cache.run_pending_tasks();
        }
    }
}

/// Its default: W-TinyLFU. Until its pending tasks run it holds more than its capacity, and when
/// they run an entry stays only if it was asked for often enough by then: they run after every 64
/// requests, as by themselves after 64 writes, or after a 16th of the capacity if that is less.
pub fn moka(plan: &Plan) -> Made {
    let builder = moka::sync::Cache::builder().max_capacity(plan.capacity);
    let builder = if plan.sized {
        builder.weigher(|_, size| *size)
    } else {
        builder
    };
    Some(Box::new(Moka {
        cache: builder.build(),
        every: (plan.entries as usize / 16).clamp(1, 64),
    }))
}

struct Foyer(foyer::Cache<u64, u32>);

impl Peer for Foyer {
    fn get(&self, key: u64) -> bool {
        self.0.get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        drop(self.0.insert(key, size));
    }
}

/// In memory, S3-FIFO with its default configuration.
pub fn foyer(plan: &Plan) -> Made {
    let builder = foyer::CacheBuilder::new(plan.capacity as usize)
        .with_eviction_config(foyer::S3FifoConfig::default())
        .with_weighter(|_: &u64, size: &u32| *size as usize);
    Some(Box::new(Foyer(builder.build())))
}

struct Fibre(fibre_cache::Cache<u64, u32>);

impl Peer for Fibre {
    fn get(&self, key: u64) -> bool {
        self.0.fetch(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        self.0.insert(key, size, size.into());
    }
}

/// Its default: S3-FIFO in shards.
pub fn fibre(plan: &Plan) -> Made {
    let builder = fibre_cache::CacheBuilder::default().capacity(plan.capacity);
    Some(Box::new(Fibre(builder.build().ok()?)))
}

struct TinyUfo {
    cache: tinyufo::TinyUfo<u64, u32>,
    unit: u64,
}

impl Peer for TinyUfo {
    fn get(&self, key: u64) -> bool {
        self.cache.get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        let weight = u64::from(size).div_ceil(self.unit);
        let weight = weight.try_into().unwrap_or(u16::MAX);
        self.cache.put(key, size, weight);
    }
}

/// Its default. Weights have 16 bits: sized entries count in such units that a 64th of the
/// capacity, or 16 MiB if that is more, fits.
pub fn tiny_ufo(plan: &Plan) -> Made {
    let unit = match plan.sized {
        true => (plan.capacity / 64).max(1 << 24).div_ceil(u16::MAX.into()),
        false => 1,
    };
    let cache = tinyufo::TinyUfo::new((plan.capacity / unit) as usize, plan.entries as usize);
    Some(Box::new(TinyUfo { cache, unit }))
}

struct Sieve(sieve_cache::ShardedSieveCache<u64, u32>);

impl Peer for Sieve {
    fn get(&self, key: u64) -> bool {
        self.0.get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        self.0.insert(key, size);
    }
}

/// Sharded, with its default number of shards; it counts entries only.
pub fn sieve(plan: &Plan) -> Made {
    let cache = (!plan.sized).then(|| sieve_cache::ShardedSieveCache::new(plan.entries as usize));
    Some(Box::new(Sieve(cache?.ok()?)))
}

struct Scc(scc::HashCache<u64, u32>);

impl Peer for Scc {
    fn get(&self, key: u64) -> bool {
        self.0.read_sync(&key, |_, _| ()).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        // Refused if it is there already, which another thread may have done.
        let _ = self.0.put_sync(key, size);
    }

    fn real_capacity(&self) -> Option<u64> {
        Some(*self.0.capacity_range().end() as u64)
    }
}

/// LRU in sets of 32; it counts entries only, and rounds its capacity up to a power of two.
pub fn scc(plan: &Plan) -> Made {
    if plan.sized {
        return None;
    }
    let cache = scc::HashCache::with_capacity(plan.entries as usize, plan.entries as usize);
    Some(Box::new(Scc(cache)))
}

struct Lru(Mutex<lru::LruCache<u64, u32>>);

impl Peer for Lru {
    fn get(&self, key: u64) -> bool {
        self.0.lock().get(&key).is_some()
    }

    fn insert(&self, key: u64, size: u32) {
        self.0.lock().put(key, size);
    }
}

/// Behind one lock; it counts entries only.
pub fn lru(plan: &Plan) -> Made {
    if plan.sized {
        return None;
    }
    let capacity = NonZeroUsize::new(plan.entries as usize)?;
    Some(Box::new(Lru(Mutex::new(lru::LruCache::new(capacity)))))
}
