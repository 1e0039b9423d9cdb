//! What a cache has done so far: counted in stripes, read as a snapshot.
//!
//! # Shape
//! ```text
//! Counters   Stripes<14>   a thread's stripe:  [hits | misses | inserts | .. ]  112 of 128 bytes
//!    |
//!    +- snapshot() ──> Stats { hits, misses, .. }      plain numbers
//! ```
//!
//! # Invariants
//! * S1  A snapshot is exact if all that it counts happens before it; else each number is one that
//!   it had some time during the call, and numbers need not fit each other.
//!
//! # Progress
//! Counting is wait-free: a load and a store on a line of the thread's own; a `fetch_add` where
//! more threads live than there are stripes. A snapshot is wait-free, a load for each stripe and
//! number.
//!
//! # Checked by
//! The tests below and those of `sync/stripes.rs`.

use core::fmt;
use core::time::Duration;

use crate::sync::stripes::Stripes;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Event {
    Hit,
    Miss,
    Insert,
    RejectedInsert,
    Expired,
    Explicit,
    Replaced,
    Size,
    Load,
    LoadFailure,
    /// In nanoseconds, by [`Counters::load_took`].
    LoadTime,
    ListenerPanic,
    DropPanic,
}

/// One more than there are: a stripe is as large with it.
const EVENTS: usize = 14;

/// The counters of a cache.
pub(crate) struct Counters(Stripes<EVENTS>);

impl Counters {
    /// Nothing was counted yet.
    pub(crate) fn new() -> Self {
        Self(Stripes::new())
    }

    /// Counts a lookup that found its key.
    #[inline]
    pub(crate) fn hit(&self) {
        self.count(Event::Hit);
    }

    /// Counts a lookup that did not.
    #[inline]
    pub(crate) fn miss(&self) {
        self.count(Event::Miss);
    }

    /// Counts one event.
    #[inline]
    pub(crate) fn count(&self, event: Event) {
        self.count_many(event, 1);
    }

    /// Counts `many` events of a kind at once.
    #[inline]
    pub(crate) fn count_many(&self, event: Event, many: u64) {
        self.0.add(event as usize, many);
    }

    /// Counts a loader's closure that returned a value, or `failed` to, after `time`.
    pub(crate) fn load_took(&self, time: Duration, failed: bool) {
        let event = if failed {
            Event::LoadFailure
        } else {
            Event::Load
        };
        self.count(event);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count_many(Event::LoadTime, nanos);
    }

    /// What was counted so far.
    pub(crate) fn snapshot(&self) -> Stats {
        let sum = |event| self.0.sum(event as usize);
        Stats {
            hits: sum(Event::Hit),
            misses: sum(Event::Miss),
            inserts: sum(Event::Insert),
            rejected_inserts: sum(Event::RejectedInsert),
            expired: sum(Event::Expired),
            explicit: sum(Event::Explicit),
            replaced: sum(Event::Replaced),
            size: sum(Event::Size),
            loads: sum(Event::Load),
            load_failures: sum(Event::LoadFailure),
            load_time: Duration::from_nanos(sum(Event::LoadTime)),
            listener_panics: sum(Event::ListenerPanic),
            drop_panics: sum(Event::DropPanic),
        }
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

/// What a cache has done since it was made.
///
/// # Consistency
/// Exact for what happens before the snapshot is taken, as by a join. While others work, each
/// number is one that it had during the call; they need not fit each other.
///
/// ```
/// use mapless::cache::Stats;
/// assert_eq!(Stats::default().hit_ratio(), None); // nothing was looked up
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Lookups that found their key; not those that do not count as a use.
    pub hits: u64,
    /// Lookups that did not, or found an entry that had expired.
    pub misses: u64,
    /// Entries that became visible, those that replaced another among them.
    pub inserts: u64,
    /// Inserts that were refused, and returned their value.
    pub rejected_inserts: u64,
    /// Entries that left since their time was over.
    pub expired: u64,
    /// Entries that left since the user said so.
    pub explicit: u64,
    /// Values that left since another took their place.
    pub replaced: u64,
    /// Entries that left to make room.
    pub size: u64,
    /// Loader closures that returned a value.
    pub loads: u64,
    /// Loader closures that failed; one that panicked is not counted.
    pub load_failures: u64,
    /// How long all loader closures took together, those that failed among them.
    pub load_time: Duration,
    /// Panics of the listener, which were caught.
    pub listener_panics: u64,
    /// Panics of a key's or value's `Drop`, which were caught.
    pub drop_panics: u64,
}

impl Stats {
    /// How many lookups there were: hits and misses. Who waited for a load of somebody else's is
    /// neither.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.hits.saturating_add(self.misses)
    }

    /// The share of lookups that were hits, from 0 to 1; `None` if there were no lookups.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        share(self.hits, self.lookups())
    }

    /// How many entries left without the user's doing: to make room, or since they expired.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.expired.saturating_add(self.size)
    }

    /// How many entries left, by whatever cause.
    #[must_use]
    pub fn removals(&self) -> u64 {
        let asked_for = self.explicit.saturating_add(self.replaced);
        self.evictions().saturating_add(asked_for)
    }

    /// How long a loader closure took on the mean; `None` if there was none.
    #[must_use]
    pub fn mean_load_time(&self) -> Option<Duration> {
        let loads = self.loads.saturating_add(self.load_failures);
        let mean = share(1, loads)? * self.load_time.as_secs_f64();
        Duration::try_from_secs_f64(mean).ok()
    }
}

/// `part / whole`, unless that is empty.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod tests {
    use core::time::Duration;

    use super::{Counters, EVENTS, Event, Stats};

    #[test]
    fn a_snapshot_has_each_number_in_its_place() {
        let counters = Counters::new();
        for event in 0..EVENTS as u64 {
            counters.0.add(event as usize, event + 1);
        }
        let expected = Stats {
            hits: 1,
            misses: 2,
            inserts: 3,
            rejected_inserts: 4,
            expired: 5,
            explicit: 6,
            replaced: 7,
            size: 8,
            loads: 9,
            load_failures: 10,
            load_time: Duration::from_nanos(11),
            listener_panics: 12,
            drop_panics: 13,
        };
        assert_eq!(counters.snapshot(), expected);
        assert_eq!(expected.removals(), 5 + 6 + 7 + 8);
        assert_eq!(expected.evictions(), 5 + 8);
        assert!((Event::DropPanic as usize) < EVENTS);
    }

    #[test]
    fn ratios_and_means() {
        let counters = Counters::new();
        for n in 0..8_000 {
            counters.hit();
            if n % 4 == 0 {
                counters.miss();
            }
            counters.load_took(Duration::from_nanos(10), n % 2 == 0);
        }
        let stats = counters.snapshot();
        assert_eq!((stats.hits, stats.misses), (8_000, 2_000));
        assert_eq!(stats.hit_ratio(), Some(0.8));
        assert_eq!((stats.loads, stats.load_failures), (4_000, 4_000));
        assert_eq!(stats.load_time, Duration::from_micros(80));
        assert_eq!(stats.mean_load_time(), Some(Duration::from_nanos(10)));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let stats = Stats {
            hits: u64::MAX,
            misses: 1,
            size: u64::MAX,
            expired: u64::MAX,
            load_time: Duration::MAX,
            loads: 1,
            ..Stats::default()
        };
        assert_eq!(stats.lookups(), u64::MAX);
        assert_eq!(stats.removals(), u64::MAX);
        assert_eq!(stats.hit_ratio(), Some(1.0));
        let _ = stats.mean_load_time();
        assert_eq!(Stats::default().mean_load_time(), None);
        Counters::new().load_took(Duration::MAX, false);
    }
}
