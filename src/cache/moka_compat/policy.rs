//! What a cache was told to do, and how long entries live.

use core::fmt;
use core::time::Duration;

pub use crate::cache::Expiry;

/// What a cache was told when it was built.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) max_capacity: Option<u64>,
    pub(super) num_segments: usize,
    pub(super) time_to_live: Option<Duration>,
    pub(super) time_to_idle: Option<Duration>,
}

impl Policy {
    /// How much the cache may hold; `None` where it was not told.
    #[must_use]
    pub fn max_capacity(&self) -> Option<u64> {
        self.max_capacity
    }

    /// How many segments were asked for, rounded up to a power of two; 1 where none were. It says
    /// nothing of the shards that the cache has.
    #[must_use]
    pub fn num_segments(&self) -> usize {
        self.num_segments
    }

    /// How long an entry lives after it was written.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live
    }

    /// How long an entry lives after it was read or written.
    #[must_use]
    pub fn time_to_idle(&self) -> Option<Duration> {
        self.time_to_idle
    }
}

/// A policy's name, which does nothing: the cache has the one policy of its own.
#[derive(Clone, Default)]
pub struct EvictionPolicy {
    is_lru: bool,
}

impl EvictionPolicy {
    /// moka's default.
    #[must_use]
    pub fn tiny_lfu() -> Self {
        Self { is_lru: false }
    }

    /// The least recently used first.
    #[must_use]
    pub fn lru() -> Self {
        Self { is_lru: true }
    }
}

impl fmt::Debug for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_lru {
            "EvictionPolicy::Lru"
        } else {
            "EvictionPolicy::TinyLfu"
        })
    }
}
