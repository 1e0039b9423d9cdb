//! How a cache is made.

use core::fmt;
use core::hash::BuildHasher;
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;

use super::cause::{Cause, Listener, Weigher};
use super::clock::{Clock, Expiry};
use super::engine::{Engine, Mode, Parts};
use super::error::BuildError;
use super::tend::Owner;
use super::times::Rules;
use super::{ClockCache, Inner};
use crate::sync::SMALL;
use crate::sync::epoch::Domain;

/// A shard is to have so many entries, or more.
const LEAST_SHARE: u64 = 512;
/// The same where entries are weighed, in weight: nobody knows how many that will be, and a shard
/// is to be much more than any one of them.
const LEAST_WEIGHT: u64 = 1 << 22;
const MOST_SHARDS: usize = 4096;

/// Makes a [`ClockCache`].
///
/// ```
/// use mapless::ClockCache;
/// let cache: ClockCache<String, Vec<u8>> = ClockCache::builder()
///     .max_capacity(64 << 20)
///     .weigher(|key: &String, value: &Vec<u8>| (key.len() + value.len()) as u64)
///     .build()?;
/// assert!(cache.insert("a".into(), vec![1, 2, 3]).is_ok());
/// assert_eq!(cache.weighted_size(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct CacheBuilder<K, V, S = ahash::RandomState> {
    capacity: u64,
    mode: Mode,
    shards: Option<usize>,
    weightless: usize,
    domain: Option<Domain>,
    listener: Option<Listener<K, V>>,
    weigher: Option<Weigher<K, V>>,
    rules: Rules<K, V>,
    name: Option<String>,
    initial: usize,
    evicts_refused: bool,
    owner: Option<Arc<dyn Owner<V>>>,
    hasher: S,
    pair: PhantomData<fn(K, V)>,
}

impl<K, V> CacheBuilder<K, V> {
    pub(super) fn new() -> Self {
        Self {
            capacity: u64::MAX,
            mode: Mode::Reachable,
            shards: None,
            weightless: 1 << 16,
            domain: None,
            listener: None,
            weigher: None,
            rules: Rules::default(),
            name: None,
            initial: 0,
            evicts_refused: false,
            owner: None,
            hasher: ahash::RandomState::new(),
            pair: PhantomData,
        }
    }
}

impl<K, V, S> CacheBuilder<K, V, S> {
    /// How much the cache may hold: entries, or their weight where there is a weigher. Any number
    /// will do: a cache of 0 takes in only what weighs nothing, one of `u64::MAX` (the default)
    /// never evicts. Each shard may keep a sixty-fourth of its share unused, for its next inserts.
    pub fn max_capacity(mut self, capacity: u64) -> Self {
        self.capacity = capacity;
        self
    }

    /// What an entry weighs; without it, 1. It is asked once for each entry, before the entry comes
    /// in and outside every lock; what it says later does not count. An entry of weight 0 takes no
    /// room, see [`max_weightless`](Self::max_weightless); one that weighs more than the capacity
    /// is refused.
    pub fn weigher(mut self, weigh: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigh));
        self
    }

    /// How many entries of weight 0 there may be, shared out among the shards (at least one to
    /// each); 65,536 unless told.
    pub fn max_weightless(mut self, entries: usize) -> Self {
        self.weightless = entries;
        self
    }

    /// What the capacity bounds; [`Mode::Reachable`] unless told.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Is told of each entry that leaves, once, after it left: by the thread that caused it, under
    /// no lock and never inside a read. It may call the cache. What it panics with is contained and
    /// counted.
    ///
    /// What it removes or evicts itself it is told of inside of that call, up to eight deep; beyond
    /// that by the outermost call, one after the other, before it returns. So it needs little stack,
    /// however many evictions follow from one; a listener each of whose calls evicts never ends.
    /// In [`Mode::Live`] what waits to be told keeps its room: an insert so deep inside may be refused
    /// as [`Retained`](super::Reason::Retained).
    pub fn eviction_listener(
        mut self,
        listener: impl Fn(&K, &V, Cause) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Into how many parts the cache is divided, each with a lock for its writers: a power of two
    /// from 1 to 4096. Unless told, 16 for each core, and no more than leave 512 entries of capacity
    /// to each; where entries are weighed, 4 Mi of weight.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Shares epochs, and so guards, with other structures; a domain of its own unless told.
    pub fn domain(mut self, domain: &Domain) -> Self {
        self.domain = Some(domain.clone());
        self
    }

    /// How keys are hashed; `ahash`, seeded anew in each process, unless told.
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> CacheBuilder<K, V, T> {
        CacheBuilder {
            capacity: self.capacity,
            mode: self.mode,
            shards: self.shards,
            weightless: self.weightless,
            domain: self.domain,
            listener: self.listener,
            weigher: self.weigher,
            rules: self.rules,
            name: self.name,
            initial: self.initial,
            evicts_refused: self.evicts_refused,
            owner: self.owner,
            hasher,
            pair: PhantomData,
        }
    }

    /// How long an entry lives after it came in, at most. To within a [`TICK`](super::TICK) and the
    /// clock's step; farther than 248 days ahead is 248 days.
    ///
    /// Deadlines are kept in 32 bits, which come round. An entry that expired is not returned, but
    /// for this: if for 248 days after its deadline nobody looks it up, its shard sees no insert,
    /// and nobody calls [`run_pending_tasks`](ClockCache::run_pending_tasks), it may be returned
    /// again. One such call in 248 days rules that out.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.rules.live = Some(time);
        self
    }

    /// How long an entry lives after it came in or was last read, at most. As exact as
    /// [`time_to_live`](Self::time_to_live).
    pub fn time_to_idle(mut self, time: Duration) -> Self {
        self.rules.idle = Some(time);
        self
    }

    /// How long each entry lives; the earliest of this and the two above counts. It makes reads as
    /// slow, and as wait-free, as it is itself.
    pub fn expire_after(mut self, expiry: impl Expiry<K, V> + Send + Sync + 'static) -> Self {
        self.rules.expiry = Some(Arc::new(expiry));
        self
    }

    /// What time it is: the system's coarse clock unless told. It is not read where nothing
    /// expires.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.rules.clock = Some(Arc::new(clock));
        self
    }

    /// For how many entries the table has room from the start, at most the capacity; it grows by
    /// itself.
    pub fn initial_capacity(mut self, entries: usize) -> Self {
        self.initial = entries;
        self
    }

    /// A name, for whoever tells caches apart.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has what is refused count as one that came in and left at once, for want of room: the
    /// listener is told, and the value that it was to replace goes too.
    pub(super) fn evict_refused(mut self) -> Self {
        self.evicts_refused = true;
        self
    }

    /// Whom the cache asks and tells of its entries, under its locks.
    #[cfg(feature = "store")]
    pub(crate) fn owner(mut self, owner: Arc<dyn Owner<V>>) -> Self {
        self.owner = Some(owner);
        self
    }

    fn shard_count(&self) -> Result<usize, BuildError> {
        if let Some(shards) = self.shards {
            let fits = shards.is_power_of_two() && shards <= MOST_SHARDS;
            return if fits {
                Ok(shards)
            } else {
                Err(BuildError::Shards(shards))
            };
        }
        if SMALL {
            return Ok(1);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = (16 * cores).next_power_of_two().min(MOST_SHARDS);
        let least = if self.weigher.is_some() {
            LEAST_WEIGHT
        } else {
            LEAST_SHARE
        };
        let share = (self.capacity / least).clamp(1, most as u64) as usize;
        // The greatest power of two that is no more.
        Ok(1 << share.ilog2())
    }
}

impl<K, V, S> CacheBuilder<K, V, S>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Makes the cache, empty; memory comes as entries do.
    ///
    /// # Errors
    /// If the number of shards is none that can be.
    pub fn build(self) -> Result<ClockCache<K, V, S>, BuildError> {
        let parts = Parts {
            shards: self.shard_count()?,
            domain: self.domain.unwrap_or_default(),
            mode: self.mode,
            capacity: self.capacity,
            weightless: self.weightless,
            listener: self.listener,
            weigher: self.weigher,
            rules: self.rules,
            initial: self.initial,
            evicts_refused: self.evicts_refused,
            owner: self.owner,
        };
        Ok(ClockCache {
            inner: Arc::new(Inner {
                hasher: self.hasher,
                name: self.name,
                engine: Engine::new(parts),
            }),
        })
    }
}

impl<K, V, S> fmt::Debug for CacheBuilder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("capacity", &self.capacity)
            .field("mode", &self.mode)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
