//! As `tests/moka_compat.rs`: programs for how long the entries of moka's `sync` caches live.

#![cfg(feature = "cache")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Longer than a tick of either clock.
const MOMENT: Duration = Duration::from_millis(100);

#[test]
fn entries_live_for_a_time() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder().time_to_live(MOMENT * 3).build();
    cache.insert(0, "zero");
    thread::sleep(MOMENT * 2);
    assert_eq!(cache.get(&0), Some("zero")); // a read prolongs nothing
    cache.insert(1, "one");
    thread::sleep(MOMENT * 2);
    assert_eq!(cache.get(&0), None);
    assert!(!cache.contains_key(&0));
    assert_eq!(cache.get(&1), Some("one"));
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn entries_that_are_idle_leave() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder()
        .time_to_live(Duration::from_secs(30 * 60))
        .time_to_idle(MOMENT * 3)
        .build();
    cache.insert("used", 1);
    cache.insert("idle", 2);
    for _ in 0..4 {
        thread::sleep(MOMENT);
        assert_eq!(cache.get("used"), Some(1));
        // To look whether it is there is no use.
        let _ = cache.contains_key("idle");
    }
    assert_eq!(cache.get("idle"), None);
    assert_eq!(cache.get("used"), Some(1));
}

#[test]
fn each_entry_has_its_own_time() {
    use mapless::cache::moka_compat::{Expiry, sync::Cache};
    use std::time::Instant;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Expiration {
        Never,
        Soon,
        Late,
    }
    struct MyExpiry;
    impl Expiry<u32, (Expiration, String)> for MyExpiry {
        fn expire_after_create(
            &self,
            _key: &u32,
            value: &(Expiration, String),
            _created_at: Instant,
        ) -> Option<Duration> {
            match value.0 {
                Expiration::Never => None,
                Expiration::Soon => Some(MOMENT),
                Expiration::Late => Some(MOMENT * 4),
            }
        }
    }

    let cache = Cache::builder()
        .max_capacity(100)
        .expire_after(MyExpiry)
        .eviction_listener(|key, _value, cause| println!("evicted {key}: {cause:?}"))
        .build();
    cache.get_with(0, || (Expiration::Soon, "a".to_string()));
    cache.get_with(1, || (Expiration::Late, "b".to_string()));
    cache.get_with(2, || (Expiration::Never, "c".to_string()));
    assert!((0..3).all(|n| cache.contains_key(&n)));
    thread::sleep(MOMENT * 2);
    assert!(!cache.contains_key(&0));
    assert!(cache.contains_key(&1) && cache.contains_key(&2));
    thread::sleep(MOMENT * 3);
    assert!(!cache.contains_key(&1));
    assert!(cache.contains_key(&2));
    cache.invalidate(&2);
    assert!(!cache.contains_key(&2));
}

#[test]
fn reads_and_updates_change_an_entrys_time() {
    use mapless::cache::moka_compat::policy::Expiry;
    use mapless::cache::moka_compat::sync::Cache;
    use std::time::Instant;

    #[derive(Default)]
    struct Calls {
        creations: AtomicUsize,
        reads: AtomicUsize,
        updates: AtomicUsize,
    }
    struct MyExpiry(Arc<Calls>);
    impl Expiry<&'static str, u32> for MyExpiry {
        fn expire_after_create(&self, _: &&str, _: &u32, _: Instant) -> Option<Duration> {
            self.0.creations.fetch_add(1, SeqCst);
            Some(MOMENT * 2)
        }

        fn expire_after_read(
            &self,
            _: &&str,
            _: &u32,
            read_at: Instant,
            left: Option<Duration>,
            last_modified_at: Instant,
        ) -> Option<Duration> {
            self.0.reads.fetch_add(1, SeqCst);
            assert!(read_at >= last_modified_at);
            assert!(left.is_some_and(|left| left <= MOMENT * 2));
            Some(MOMENT * 2)
        }

        fn expire_after_update(
            &self,
            _: &&str,
            value: &u32,
            _: Instant,
            left: Option<Duration>,
        ) -> Option<Duration> {
            self.0.updates.fetch_add(1, SeqCst);
            assert_eq!(*value, 2);
            left.map(|_| Duration::ZERO)
        }
    }

    let calls = Arc::new(Calls::default());
    let cache = Cache::builder()
        .expire_after(MyExpiry(Arc::clone(&calls)))
        .build();
    cache.insert("a", 1);
    for _ in 0..3 {
        thread::sleep(MOMENT);
        assert_eq!(cache.get("a"), Some(1)); // which prolongs it
    }
    assert_eq!(calls.creations.load(SeqCst), 1);
    assert_eq!(calls.reads.load(SeqCst), 3);
    cache.insert("a", 2); // which ends it
    assert_eq!(calls.updates.load(SeqCst), 1);
    thread::sleep(MOMENT);
    assert_eq!(cache.get("a"), None);
}

#[test]
fn an_expiry_may_be_shared() {
    use mapless::cache::moka_compat::{Expiry, sync::Cache};
    use std::time::Instant;

    struct Short;
    impl Expiry<u32, u32> for Short {
        fn expire_after_create(&self, _: &u32, _: &u32, _: Instant) -> Option<Duration> {
            Some(MOMENT)
        }
    }
    let expiry: Arc<dyn Expiry<u32, u32> + Send + Sync> = Arc::new(Short);
    let cache = Cache::builder().expire_after(expiry).build();
    cache.insert(1, 1);
    assert_eq!(cache.get(&1), Some(1));
    thread::sleep(MOMENT * 2);
    assert_eq!(cache.get(&1), None);
}

#[test]
#[should_panic(expected = "time_to_live is longer than 1000 years")]
fn a_time_to_live_of_more_than_a_thousand_years_is_none() {
    use mapless::cache::moka_compat::sync::CacheBuilder;

    let years = Duration::from_secs(1_000 * 365 * 24 * 3_600 + 1);
    let builder: CacheBuilder<char, String, _> = CacheBuilder::new(100);
    let _ = builder.time_to_live(years).build();
}

#[test]
#[should_panic(expected = "time_to_idle is longer than 1000 years")]
fn a_time_to_idle_of_more_than_a_thousand_years_is_none() {
    use mapless::cache::moka_compat::sync::CacheBuilder;

    let years = Duration::from_secs(1_000 * 365 * 24 * 3_600 + 1);
    let builder: CacheBuilder<char, String, _> = CacheBuilder::new(100);
    let _ = builder.time_to_idle(years).build();
}
