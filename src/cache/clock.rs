//! What a cache reads the time from, and how long an entry may live.
//!
//! # Shape
//! ```text
//! Timeline ── now() ──> Duration ──> Moment, Tick          (tick.rs)
//!    |  CoarseClock: the system's coarse clock, 2 to 6 ns
//!    |  or a Clock of the user's: ManualClock, ..
//!    +- instant(now) ──> Instant                           for Expiry
//! ```
//!
//! # Granularity
//! An entry is returned no later than its deadline, one [`TICK`](super::TICK), and the clock's own
//! step. Its deadline counts from what the clock read, so it may also leave a step early.
//!
//! # Progress
//! Reading the coarse clock takes no lock and, where the system maps it into the process, no
//! system call. `ManualClock` is lock-free to set and wait-free to read.
//!
//! # Checked by
//! The tests below.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use super::coarse;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Says what time it is, to a cache whose entries expire.
///
/// A clock is asked by every lookup that finds an entry with a deadline, from many threads at a
/// time, so it should be cheap and must not call the cache.
///
/// ```
/// use core::time::Duration;
/// use mapless::cache::{Clock, ManualClock};
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now() - before, Duration::from_secs(60));
/// ```
pub trait Clock: Send + Sync {
    /// The time since some moment that is the same for all calls.
    ///
    /// It must not go back. Where it does, by a little and seldom, an entry may be returned once
    /// more though it had expired; nothing else comes of it.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The system's monotonic clock: on Linux and Android the coarse one.
///
/// The coarse clock moves in steps, of 1 to 10 ms as the kernel was configured (mostly 4), and
/// costs a tenth to a quarter of the precise one. Elsewhere it is [`Instant`]. Whether it counts
/// the time for which the machine slept is up to the system.
#[derive(Clone, Copy, Debug)]
pub struct CoarseClock(coarse::Start);

impl CoarseClock {
    /// The clock. On Linux and Android it counts from the system's start, elsewhere from this call.
    #[must_use]
    pub fn new() -> Self {
        Self(coarse::Start::new())
    }
}

impl Default for CoarseClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that stands still until it is told otherwise: for tests, and for those who have a tick
/// of their own and spare each lookup the system's clock.
///
/// Cloning yields a handle to the same clock. It starts at 0 and goes to 584 years.
///
/// # Consistency
/// A thread that is ordered after a change, as by a lock, a channel or a join, sees it; others see
/// it soon.
#[derive(Clone, Debug)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that reads 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nanos: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Moves the clock on by `step`, at most to its end.
    pub fn advance(&self, step: Duration) {
        self.update(|seen| seen.saturating_add(nanos(step)));
    }

    /// Moves the clock on to `now`; where it is there or farther already, nothing happens.
    pub fn set(&self, now: Duration) {
        self.update(|seen| seen.max(nanos(now)));
    }

    fn update(&self, step: impl Fn(u64) -> u64) {
        // Relaxed: only a guess.
        let mut seen = self.nanos.load(Relaxed);
        loop {
            let next = step(seen);
            // Relaxed, both: a time publishes nothing; whoever needs an order brings it along.
            let result = self
                .nanos
                .compare_exchange_weak(seen, next, Relaxed, Relaxed);
            match result {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    #[inline]
    fn now(&self) -> Duration {
        // Relaxed: as in `update`.
        Duration::from_nanos(self.nanos.load(Relaxed))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long each entry may live, by its key and value. All methods have the signatures that they
/// have in moka, so an implementation moves over as it is.
///
/// What is returned is the time from now on; `None` means that the entry does not expire by
/// itself. Zero is over at once. A time farther than 248 days ahead ends there.
///
/// The `Instant`s are of the cache's own clock, laid on the system's: the clock's reading when the
/// cache was made stands for `Instant::now()` then. So they can be compared with each other
/// whatever the clock, a [`ManualClock`] too; with `Instant::now()` only where the clock is the
/// system's, and then to its step.
///
/// These methods run outside all locks. `expire_after_read` runs inside lookups, which are as
/// wait-free as it is; a panic in it leaves the lookup, and changes no entry.
///
/// ```
/// use core::time::Duration;
/// use std::time::Instant;
/// use mapless::cache::Expiry;
///
/// struct BySize;
/// impl Expiry<u64, Vec<u8>> for BySize {
///     fn expire_after_create(&self, _: &u64, value: &Vec<u8>, _: Instant) -> Option<Duration> {
///         (value.len() > 1_000).then_some(Duration::from_secs(60))
///     }
/// }
/// ```
pub trait Expiry<K, V> {
    /// An entry came in whose key was not there. By default it does not expire.
    #[allow(unused_variables)] // their names are for the docs
    fn expire_after_create(&self, key: &K, value: &V, created_at: Instant) -> Option<Duration> {
        None
    }

    /// An entry was found by a lookup that counts as a use. By default what is left stays as it is,
    /// that of a time to idle too: who has both returns the entry's own term. An entry that is over
    /// by the time that this returns is not returned.
    #[allow(unused_variables)] // their names are for the docs
    fn expire_after_read(
        &self,
        key: &K,
        value: &V,
        read_at: Instant,
        duration_until_expiry: Option<Duration>,
        last_modified_at: Instant,
    ) -> Option<Duration> {
        duration_until_expiry
    }

    /// An entry's value was replaced by `value`. By default what is left stays as it is.
    #[allow(unused_variables)] // their names are for the docs
    fn expire_after_update(
        &self,
        key: &K,
        value: &V,
        updated_at: Instant,
        duration_until_expiry: Option<Duration>,
    ) -> Option<Duration> {
        duration_until_expiry
    }
}

impl<K, V, T> Expiry<K, V> for T
where
    T: Deref<Target = dyn Expiry<K, V> + Send + Sync>,
{
    fn expire_after_create(&self, key: &K, value: &V, created_at: Instant) -> Option<Duration> {
        self.deref().expire_after_create(key, value, created_at)
    }

    fn expire_after_read(
        &self,
        key: &K,
        value: &V,
        read_at: Instant,
        duration_until_expiry: Option<Duration>,
        last_modified_at: Instant,
    ) -> Option<Duration> {
        let (left, modified_at) = (duration_until_expiry, last_modified_at);
        self.deref()
            .expire_after_read(key, value, read_at, left, modified_at)
    }

    fn expire_after_update(
        &self,
        key: &K,
        value: &V,
        updated_at: Instant,
        duration_until_expiry: Option<Duration>,
    ) -> Option<Duration> {
        let left = duration_until_expiry;
        self.deref()
            .expire_after_update(key, value, updated_at, left)
    }
}

/// A cache's clock, and where it lies on the system's.
pub(crate) struct Timeline {
    clock: Source,
    /// What the clock read, when it was `origin`.
    began: Duration,
    origin: Instant,
}

enum Source {
    Coarse(CoarseClock),
    Given(Arc<dyn Clock>),
}

impl Timeline {
    /// By the system's coarse clock, unless another is given.
    pub(crate) fn new(clock: Option<Arc<dyn Clock>>) -> Self {
        let clock = clock.map_or(Source::Coarse(CoarseClock::new()), Source::Given);
        Self {
            began: clock.now(),
            origin: Instant::now(),
            clock,
        }
    }

    /// What the clock reads.
    #[inline]
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// A reading as [`Expiry`] is told it; where the system cannot say it, when the timeline began.
    pub(crate) fn instant(&self, now: Duration) -> Instant {
        let since = now.saturating_sub(self.began);
        self.origin.checked_add(since).unwrap_or(self.origin)
    }
}

impl Source {
    #[inline]
    fn now(&self) -> Duration {
        match self {
            Self::Coarse(clock) => clock.now(),
            Self::Given(clock) => clock.now(),
        }
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeline({:?} since {:?})", self.now(), self.began)
    }
}

#[cfg(test)]
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;
    use std::time::Instant;

    use super::{Clock, CoarseClock, Expiry, ManualClock, Timeline};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_coarse_clock_keeps_up_with_the_precise_one() {
        let (clock, start) = (CoarseClock::new(), Instant::now());
        let (began, mut last) = (clock.now(), clock.now());
        while start.elapsed() < SECOND / 20 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        let (passed, most) = (last - began, start.elapsed() + SECOND / 50);
        assert!(passed >= SECOND / 40 && passed <= most, "{passed:?}");
    }

    #[test]
    fn a_manual_clock_is_one_for_all_handles_and_never_goes_back() {
        let clock = ManualClock::new();
        let handle = clock.clone();
        clock.advance(SECOND * 5);
        handle.set(SECOND * 3);
        assert_eq!(handle.now(), SECOND * 5);
        handle.set(SECOND * 7);
        assert_eq!(clock.now(), SECOND * 7);
        clock.advance(Duration::MAX);
        clock.advance(SECOND);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_timeline_tells_instants_by_its_clock() {
        let clock = ManualClock::new();
        clock.set(SECOND * 100);
        let time = Timeline::new(Some(Arc::new(clock.clone())));
        let before = time.instant(time.now());
        clock.advance(SECOND * 9);
        assert_eq!(time.instant(time.now()) - before, SECOND * 9);
        assert_eq!(time.instant(Duration::ZERO), before); // before it began
        assert_eq!(time.instant(Duration::MAX), before); // more than can be said
        let system = Timeline::new(None);
        let near = Instant::now() + SECOND / 10;
        assert!(system.instant(system.now()) < near);
    }

    struct Fixed;
    impl Expiry<u8, u8> for Fixed {
        fn expire_after_create(&self, key: &u8, _: &u8, _: Instant) -> Option<Duration> {
            Some(SECOND * u32::from(*key))
        }
    }

    #[test]
    fn an_expiry_may_be_shared_and_has_defaults() {
        fn made(expiry: impl Expiry<u8, u8>, now: Instant) -> [Option<Duration>; 3] {
            let left = Some(SECOND);
            [
                expiry.expire_after_create(&3, &0, now),
                expiry.expire_after_read(&3, &0, now, left, now),
                expiry.expire_after_update(&3, &0, now, None),
            ]
        }
        let expiry: Arc<dyn Expiry<u8, u8> + Send + Sync> = Arc::new(Fixed);
        assert_eq!(
            made(expiry, Instant::now()),
            [Some(SECOND * 3), Some(SECOND), None]
        );
    }
}
