//! This crate's cache behind the peers' interface.

use std::fmt;
use std::marker::PhantomData;

use mapless::Guard;
use mapless::cache::{ClockCache, Mode};

use crate::peers::caches::{Cache, Plan, Stored};
use crate::rows::caches::{HELD, OURS};

/// Ways to use it.
pub trait Way: Send + Sync + 'static {
    /// Its name in the tables.
    const NAME: &'static str;
    /// Whether what is still retained counts as well.
    const LIVE: bool = false;
    /// Whether an insert waits for room.
    const WAITS: bool = false;
    /// What a thread keeps over many reads.
    type Hold;
    /// Gets it.
    fn hold<V: Stored>(cache: &ClockCache<u64, V>) -> Self::Hold;
    /// Reads with it.
    fn get<V: Stored>(cache: &ClockCache<u64, V>, key: u64, hold: &Self::Hold) -> Option<V>;
}

macro_rules! pinning {
    ($($(#[$about:meta])* $way:ident: $name:expr, $live:expr, $waits:expr;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug)]
        pub struct $way;

        impl Way for $way {
            const NAME: &'static str = $name;
            const LIVE: bool = $live;
            const WAITS: bool = $waits;

            type Hold = ();

            fn hold<V: Stored>(_: &ClockCache<u64, V>) {}

            #[inline]
            fn get<V: Stored>(cache: &ClockCache<u64, V>, key: u64, (): &()) -> Option<V> {
                cache.get(&key)
            }
        }
    )*};
}

pinning! {
    /// A pin a read; what is reachable or held is bounded.
    Pinning: OURS, false, false;
    /// A pin a read; what is retained is bounded as well, and an insert without room is refused.
    Live: "ClockCache, Live", true, false;
    /// The same, but an insert waits for room.
    LiveWaiting: "ClockCache, Live, insert_wait", true, true;
}

/// A guard held over many reads.
#[derive(Clone, Copy, Debug)]
pub struct Guarded;

impl Way for Guarded {
    const NAME: &'static str = HELD;

    type Hold = Guard;

    fn hold<V: Stored>(cache: &ClockCache<u64, V>) -> Guard {
        cache.pin()
    }

    #[inline]
    fn get<V: Stored>(cache: &ClockCache<u64, V>, key: u64, guard: &Guard) -> Option<V> {
        cache.get_in(&key, guard).cloned()
    }
}

/// `ClockCache`.
pub struct Ours<V: Stored, W = Pinning> {
    cache: ClockCache<u64, V>,
    capacity: u64,
    way: PhantomData<W>,
}

impl<V: Stored, W: Way> fmt::Debug for Ours<V, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(W::NAME)
    }
}

impl<V: Stored, W: Way> Cache<V> for Ours<V, W> {
    const NAME: &'static str = W::NAME;

    type Hold<'a> = W::Hold;

    fn build(plan: Plan) -> Option<Self> {
        let mut builder = ClockCache::<u64, V>::builder().max_capacity(plan.capacity);
        if plan.weighs {
            builder = builder.weigher(|_: &u64, value: &V| value.weight());
        }
        if let Some(lives) = plan.lives {
            builder = builder.time_to_live(lives);
        }
        if W::LIVE {
            builder = builder.mode(Mode::Live);
        }
        Some(Self {
            cache: builder.build().expect("a cache"),
            capacity: plan.capacity,
            way: PhantomData,
        })
    }

    fn hold(&self) -> W::Hold {
        W::hold(&self.cache)
    }

    #[inline]
    fn get(&self, key: u64, hold: &W::Hold) -> Option<V> {
        W::get(&self.cache, key, hold)
    }

    /// What is refused is dropped.
    #[inline]
    fn insert(&self, key: u64, value: V) {
        if W::WAITS {
            drop(self.cache.insert_wait(key, value));
        } else {
            drop(self.cache.insert(key, value));
        }
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        let mut found = true;
        let fresh = || {
            found = false;
            make()
        };
        drop(self.cache.get_or_insert_with(key, fresh));
        found
    }

    fn capacity(&self) -> Option<u64> {
        Some(self.capacity)
    }

    fn count(&self) -> Option<u64> {
        Some(self.cache.entry_count())
    }

    /// What the capacity bounds in this mode. Sums over shards that change meanwhile are of no
    /// single moment: they are taken twice, until both are the same.
    fn weight(&self) -> Option<u64> {
        let sums = || {
            let retained = W::LIVE.then(|| self.cache.retained_weight());
            (self.cache.weighted_size(), retained)
        };
        let (weighed, retained) = (0..16).find_map(|_| {
            let seen = sums();
            (seen == sums()).then_some(seen)
        })?;
        Some(weighed + retained.unwrap_or(0))
    }

    fn settle(&self) {
        self.cache.run_pending_tasks();
    }

    fn clear(&self) -> bool {
        self.cache.invalidate_all();
        true
    }
}
