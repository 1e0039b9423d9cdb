//! What the builders of both kinds of caches are told.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use super::base::{About, Base};
use super::notices::{AsyncListener, Notices};
use super::notification::RemovalCause;
use super::policy::{Expiry, Policy};
use crate::cache::{Cause, ClockCache};
use crate::sync::lock::Mutex;

pub(super) type Weigher<K, V> = Arc<dyn Fn(&K, &V) -> u32 + Send + Sync>;
pub(super) type SyncListener<K, V> = Arc<dyn Fn(Arc<K>, V, RemovalCause) + Send + Sync>;
pub(super) type AnyExpiry<K, V> = Arc<dyn Expiry<K, V> + Send + Sync>;

/// Longer times are refused.
const MOST: Duration = Duration::from_secs(1_000 * 365 * 24 * 3_600);

/// Who is told of removals.
pub(super) enum Listener<K, V> {
    Sync(SyncListener<K, V>),
    Async(AsyncListener<K, V>),
}

/// All that a builder is told.
pub(super) struct Settings<K, V> {
    pub(super) name: Option<String>,
    pub(super) max_capacity: Option<u64>,
    pub(super) initial_capacity: Option<usize>,
    pub(super) segments: usize,
    pub(super) weigher: Option<Weigher<K, V>>,
    pub(super) listener: Option<Listener<K, V>>,
    pub(super) time_to_live: Option<Duration>,
    pub(super) time_to_idle: Option<Duration>,
    pub(super) expiry: Option<AnyExpiry<K, V>>,
    pub(super) predicates: bool,
}

impl<K, V> Default for Settings<K, V> {
    fn default() -> Self {
        Self {
            name: None,
            max_capacity: None,
            initial_capacity: None,
            segments: 1,
            weigher: None,
            listener: None,
            time_to_live: None,
            time_to_idle: None,
            expiry: None,
            predicates: false,
        }
    }
}

impl<K, V> Settings<K, V> {
    fn check(&self) {
        let live = self.time_to_live.is_none_or(|time| time <= MOST);
        assert!(live, "time_to_live is longer than 1000 years");
        let idle = self.time_to_idle.is_none_or(|time| time <= MOST);
        assert!(idle, "time_to_idle is longer than 1000 years");
    }

    fn policy(&self) -> Policy {
        Policy {
            max_capacity: self.max_capacity,
            num_segments: self.segments.next_power_of_two(),
            time_to_live: self.time_to_live,
            time_to_idle: self.time_to_idle,
        }
    }
}

impl<K, V> Settings<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// # Panics
    /// If a time is longer than 1000 years.
    pub(super) fn build<S: BuildHasher>(mut self, hasher: S) -> Base<K, V, S> {
        self.check();
        let policy = self.policy();
        let predicates = self.predicates.then(|| Mutex::new(0));
        let listener = self.listener.take();
        let (builder, notices) = heard(self.timed(self.bounded()), listener);
        let cache = builder.hasher(hasher).build();
        let cache = cache.expect("the default number of shards is one that can be");
        let about = About {
            policy,
            predicates,
            notices,
        };
        Base::new(cache, about)
    }

    fn bounded(&self) -> Builder<K, V> {
        let mut builder = ClockCache::builder()
            .max_capacity(self.max_capacity.unwrap_or(u64::MAX))
            // Whatever weighs nothing is welcome, as it is in moka.
            .max_weightless(usize::MAX)
            .initial_capacity(self.initial_capacity.unwrap_or(0))
            .evict_refused();
        if let Some(name) = &self.name {
            builder = builder.name(name);
        }
        if let Some(weigh) = self.weigher.clone() {
            builder = builder.weigher(move |key: &Arc<K>, value| weigh(key, value).into());
        }
        builder
    }

    fn timed(&self, mut builder: Builder<K, V>) -> Builder<K, V> {
        if let Some(time) = self.time_to_live {
            builder = builder.time_to_live(time);
        }
        if let Some(time) = self.time_to_idle {
            builder = builder.time_to_idle(time);
        }
        if let Some(expiry) = self.expiry.clone() {
            builder = builder.expire_after(ByKey(expiry));
        }
        builder
    }
}

type Builder<K, V> = crate::cache::CacheBuilder<Arc<K>, V>;

/// Has the listener told: at once, or by way of the queue that comes back.
fn heard<K, V>(
    builder: Builder<K, V>,
    listener: Option<Listener<K, V>>,
) -> (Builder<K, V>, Option<Arc<Notices<K, V>>>)
where
    K: Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    match listener {
        None => (builder, None),
        Some(Listener::Sync(listener)) => {
            let tell = move |key: &Arc<K>, value: &V, cause: Cause| {
                listener(Arc::clone(key), value.clone(), cause.into());
            };
            (builder.eviction_listener(tell), None)
        }
        Some(Listener::Async(listener)) => {
            let notices = Arc::new(Notices::new(listener));
            let queue = Arc::clone(&notices);
            let tell = move |key: &Arc<K>, value: &V, cause: Cause| {
                queue.add(Arc::clone(key), value.clone(), cause.into());
            };
            (builder.eviction_listener(tell), Some(notices))
        }
    }
}

impl<K, V> fmt::Debug for Settings<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("name", &self.name)
            .field("max_capacity", &self.max_capacity)
            .field("initial_capacity", &self.initial_capacity)
            .field("num_segments", &self.segments)
            .field("time_to_live", &self.time_to_live)
            .field("time_to_idle", &self.time_to_idle)
            .finish_non_exhaustive()
    }
}

/// An expiry by `K`, for a cache whose keys are `Arc<K>`.
struct ByKey<K, V>(AnyExpiry<K, V>);

impl<K, V> Expiry<Arc<K>, V> for ByKey<K, V> {
    fn expire_after_create(&self, key: &Arc<K>, value: &V, at: Instant) -> Option<Duration> {
        self.0.expire_after_create(key, value, at)
    }

    fn expire_after_read(
        &self,
        key: &Arc<K>,
        value: &V,
        at: Instant,
        left: Option<Duration>,
        written: Instant,
    ) -> Option<Duration> {
        self.0.expire_after_read(key, value, at, left, written)
    }

    fn expire_after_update(
        &self,
        key: &Arc<K>,
        value: &V,
        at: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        self.0.expire_after_update(key, value, at, left)
    }
}

/// The setters that both builders have, which are structs around `Settings` and a type.
macro_rules! setters {
    () => {
        /// The cache's name, which it tells and does no more with.
        pub fn name(mut self, name: &str) -> Self {
            self.settings.name = Some(name.to_owned());
            self
        }

        /// How much the cache may hold: entries, or their weight where there is a weigher. Unless
        /// told, it holds all. It is never exceeded, not for a moment.
        pub fn max_capacity(mut self, max_capacity: u64) -> Self {
            self.settings.max_capacity = Some(max_capacity);
            self
        }

        /// For how many entries memory is to be there from the beginning.
        pub fn initial_capacity(mut self, number_of_entries: usize) -> Self {
            self.settings.initial_capacity = Some(number_of_entries);
            self
        }

        /// Does nothing: the cache has one policy, its own.
        pub fn eviction_policy(self, policy: EvictionPolicy) -> Self {
            let _ = policy;
            self
        }

        /// What an entry weighs; without it, 1. It is asked once, before the entry comes in.
        pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u32 + Send + Sync + 'static) -> Self {
            self.settings.weigher = Some(Arc::new(weigher));
            self
        }

        /// How long an entry lives after it was written; what is beyond 248 days counts as that.
        ///
        /// # Panics
        /// `build` does, where it is longer than 1000 years.
        pub fn time_to_live(mut self, duration: Duration) -> Self {
            self.settings.time_to_live = Some(duration);
            self
        }

        /// How long an entry lives after it was read or written; what is beyond 248 days counts as
        /// that.
        ///
        /// # Panics
        /// `build` does, where it is longer than 1000 years.
        pub fn time_to_idle(mut self, duration: Duration) -> Self {
            self.settings.time_to_idle = Some(duration);
            self
        }

        /// How long each entry lives, by its key and value.
        pub fn expire_after(mut self, expiry: impl Expiry<K, V> + Send + Sync + 'static) -> Self {
            self.settings.expiry = Some(Arc::new(expiry));
            self
        }

        /// Has `invalidate_entries_if` take predicates, and not return an error.
        pub fn support_invalidation_closures(mut self) -> Self {
            self.settings.predicates = true;
            self
        }
    };
}
pub(super) use setters;
