//! Programs for moka's `sync` caches, after what its documentation shows, run against
//! `mapless::cache::moka_compat`. Each would run with moka itself, were its `use` line another: so
//! each allows what moka allows, and asks for pending tasks to be run where moka wants that.
//! What differs is in `tests/moka_differs.rs`.

#![cfg(feature = "cache")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// Longer than a tick of either clock.
const MOMENT: Duration = Duration::from_millis(100);

// ---------------------------------------------------------------- entries in and out

#[test]
fn many_threads_insert_get_and_invalidate() {
    use mapless::cache::moka_compat::sync::Cache;

    fn value(n: usize) -> String {
        format!("value {n}")
    }
    const THREADS: usize = 8;
    const KEYS: usize = 64;

    let cache = Cache::new(10_000);
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            let cache = cache.clone();
            let keys = i * KEYS..(i + 1) * KEYS;
            thread::spawn(move || {
                for key in keys.clone() {
                    cache.insert(key, value(key));
                    assert_eq!(cache.get(&key), Some(value(key)));
                }
                for key in keys.step_by(4) {
                    cache.invalidate(&key);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());

    for key in 0..THREADS * KEYS {
        let expected = (key % 4 != 0).then(|| value(key));
        assert_eq!(cache.get(&key), expected);
    }
}

#[test]
fn keys_are_found_by_any_borrowed_form() {
    use mapless::cache::moka_compat::Equivalent;
    use mapless::cache::moka_compat::sync::Cache;

    #[derive(Hash)]
    struct Pair<'a>(&'a str, u32);
    impl Equivalent<(String, u32)> for Pair<'_> {
        fn equivalent(&self, key: &(String, u32)) -> bool {
            self.0 == key.0 && self.1 == key.1
        }
    }

    let cache: Cache<String, u32> = Cache::new(10);
    cache.insert("a".to_string(), 1);
    assert_eq!(cache.get("a"), Some(1));
    assert!(cache.contains_key("a"));
    assert_eq!(cache.get_with_by_ref("b", || 2), 2);
    assert_eq!(cache.remove("b"), Some(2));
    assert_eq!(cache.remove("b"), None);

    let pairs: Cache<(String, u32), &str> = Cache::new(10);
    pairs.insert(("a".to_string(), 1), "a1");
    assert_eq!(pairs.get(&Pair("a", 1)), Some("a1"));
    assert_eq!(pairs.get(&Pair("a", 2)), None);
    pairs.invalidate(&Pair("a", 1));
    assert!(!pairs.contains_key(&Pair("a", 1)));

    let bytes: Cache<Vec<u8>, u32> = Cache::new(10);
    bytes.insert(vec![1, 2], 12);
    assert_eq!(bytes.get(&[1, 2][..]), Some(12));
}

#[test]
fn an_insert_replaces_and_a_remove_returns() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::new(10);
    cache.insert('a', Arc::new("Alice"));
    cache.insert('a', Arc::new("Anna"));
    assert_eq!(cache.get(&'a').as_deref(), Some(&"Anna"));
    assert_eq!(cache.remove(&'a').as_deref(), Some(&"Anna"));
    assert_eq!(cache.get(&'a'), None);
    cache.invalidate(&'a');
}

#[test]
fn invalidate_all_leaves_nothing() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::new(100);
    (0..50).for_each(|n| cache.insert(n, n));
    cache.invalidate_all();
    assert!((0..50).all(|n| cache.get(&n).is_none() && !cache.contains_key(&n)));
    cache.insert(3, 33);
    assert_eq!(cache.get(&3), Some(33));
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn entries_are_invalidated_by_a_predicate() {
    use mapless::cache::moka_compat::PredicateError;
    use mapless::cache::moka_compat::sync::{Cache, PredicateId};

    let cache = Cache::builder()
        .max_capacity(100)
        .support_invalidation_closures()
        .build();
    (0..20_u32).for_each(|n| cache.insert(n, n.to_string()));
    let first: PredicateId = cache
        .invalidate_entries_if(|key, _value| key % 2 == 0)
        .unwrap();
    let second = cache
        .invalidate_entries_if(|_, value| value.ends_with('5'))
        .unwrap();
    assert_ne!(first, second);
    for n in 0..20 {
        let stays = n % 2 == 1 && n % 10 != 5;
        assert_eq!(cache.get(&n).is_some(), stays, "{n}");
    }
    cache.insert(2, "again".to_string());
    assert_eq!(cache.get(&2).unwrap(), "again");

    let deaf: Cache<u32, u32> = Cache::new(100);
    let error = deaf.invalidate_entries_if(|_, _| true).unwrap_err();
    assert!(matches!(
        error,
        PredicateError::InvalidationClosuresDisabled
    ));
    let error: Box<dyn std::error::Error> = Box::new(error);
    assert!(error.to_string().contains("support_invalidation_closures"));
}

#[test]
fn all_entries_are_walked_through() {
    use mapless::cache::moka_compat::sync::{Cache, Iter};

    let cache = Cache::new(1_000);
    (0..100).for_each(|n| cache.insert(n, n * n));
    let walk: Iter<'_, i32, i32> = cache.iter();
    let mut all: Vec<(Arc<i32>, i32)> = walk.collect();
    all.sort();
    assert!(
        all.iter()
            .map(|(k, v)| (**k, *v))
            .eq((0..100).map(|n| (n, n * n)))
    );

    let mut sum = 0;
    for (key, value) in &cache {
        assert_eq!(*key * *key, value);
        sum += *key;
    }
    assert_eq!(sum, 4_950);

    // What was removed after the walk began is not returned.
    let few = Cache::new(10);
    few.insert("Julia", 14);
    let mut iter = few.iter();
    let (key, value) = iter.next().unwrap();
    assert_eq!((*key, value), ("Julia", 14));
    assert!(iter.next().is_none());

    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    is_send_and_sync(&iter);
}

#[test]
fn a_cache_shows_its_entries() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::new(10);
    cache.insert("a", 1);
    assert_eq!(format!("{cache:?}"), r#"{"a": 1}"#);
}

#[test]
fn counts_are_right_once_pending_tasks_ran() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::new(10);
    cache.insert('n', "Netherland Dwarf");
    cache.insert('l', "Lop Eared");
    cache.insert('d', "Dutch");
    assert!(cache.contains_key(&'n'));
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 3);
    assert_eq!(cache.weighted_size(), 3);
}

// ---------------------------------------------------------------- capacity

#[test]
fn a_cache_is_bounded_by_entries() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder().max_capacity(100).build();
    for n in 0..1_000 {
        cache.insert(n, "x".to_string());
    }
    cache.run_pending_tasks();
    assert!(cache.entry_count() <= 100);
    assert!(cache.iter().count() <= 100);
}

#[test]
fn a_cache_is_bounded_by_weight() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder()
        .weigher(|_key, value: &String| -> u32 { value.len().try_into().unwrap_or(u32::MAX) })
        .max_capacity(32 * 1024)
        .build();
    for n in 0..100 {
        cache.insert(n, "x".repeat(1_000));
    }
    cache.run_pending_tasks();
    assert!(cache.weighted_size() <= 32 * 1024);
    assert_eq!(cache.weighted_size(), cache.entry_count() * 1_000);
}

#[test]
fn a_cache_of_no_capacity_keeps_nothing() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::new(0);
    cache.insert(1, "one");
    cache.run_pending_tasks();
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.get_with(1, || "uno"), "uno");
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn a_cache_without_a_capacity_keeps_all() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder().build();
    assert_eq!(cache.policy().max_capacity(), None);
    (0..5_000).for_each(|n| cache.insert(n, n));
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 5_000);
}

#[test]
fn what_weighs_nothing_is_never_evicted() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder()
        .weigher(|_, weight: &u32| *weight)
        .max_capacity(10)
        .build();
    (0..500).for_each(|n| cache.insert(n, 0));
    (500..1_000).for_each(|n| cache.insert(n, 5));
    cache.run_pending_tasks();
    assert!((0..500).all(|n| cache.get(&n) == Some(0)));
    assert!(cache.weighted_size() <= 10);
}

// ---------------------------------------------------------------- time

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

// ---------------------------------------------------------------- the listener

#[test]
fn the_listener_is_told_every_cause() {
    use mapless::cache::moka_compat::notification::RemovalCause;
    use mapless::cache::moka_compat::sync::Cache;

    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let told = Arc::clone(&told);
        move |key: Arc<&'static str>, value: u32, cause: RemovalCause| {
            told.lock().unwrap().push((*key, value, cause));
        }
    };
    let cache = Cache::builder()
        .max_capacity(100)
        .weigher(|_, weight: &u32| *weight)
        .time_to_live(MOMENT * 2)
        .eviction_listener(listener)
        .build();

    cache.insert("replaced", 1);
    cache.insert("replaced", 2);
    cache.insert("removed", 3);
    cache.remove("removed");
    cache.insert("too heavy", 101);
    cache.run_pending_tasks();
    thread::sleep(MOMENT * 3);
    cache.run_pending_tasks();

    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|&(_, value, _)| value);
    let expected = [
        ("replaced", 1, RemovalCause::Replaced),
        ("replaced", 2, RemovalCause::Expired),
        ("removed", 3, RemovalCause::Explicit),
        ("too heavy", 101, RemovalCause::Size),
    ];
    assert_eq!(told, expected);
    let evicted: Vec<bool> = told.iter().map(|(.., cause)| cause.was_evicted()).collect();
    assert_eq!(evicted, [false, true, false, true]);
}

#[test]
fn the_listener_hears_of_all_that_is_invalidated() {
    use mapless::cache::moka_compat::sync::Cache;

    let (told, heard) = std::sync::mpsc::channel();
    let cache = Cache::builder()
        .max_capacity(1_000)
        .eviction_listener(move |key, value: u32, cause| {
            told.send((*key, value, cause)).unwrap();
        })
        .build();
    (0..100_u32).for_each(|n| cache.insert(n, n));
    cache.invalidate_all();
    cache.run_pending_tasks();
    let mut keys: Vec<u32> = heard.try_iter().map(|(key, ..)| key).collect();
    keys.sort_unstable();
    assert!(keys.into_iter().eq(0..100));
}

#[test]
fn a_listener_keeps_files_in_step() {
    use mapless::cache::moka_compat::{notification::RemovalCause, sync::Cache};
    use std::path::{Path, PathBuf};
    use std::{fs, io};

    let dir = std::env::temp_dir().join(format!("moka-compat-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let write = |key: &str, contents: &str| -> io::Result<PathBuf> {
        let path = dir.join(key);
        fs::write(&path, contents)?;
        Ok(path)
    };
    let listener = |_key: Arc<&str>, path: PathBuf, _cause: RemovalCause| {
        let _ = fs::remove_file(path);
    };
    let cache = Cache::builder()
        .max_capacity(100)
        .time_to_live(MOMENT * 2)
        .eviction_listener(listener)
        .build();

    let path = cache
        .try_get_with("user1", || write("user1", "user data"))
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "user data");
    let failed = cache.try_get_with("none/such", || write("none/such", ""));
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);

    thread::sleep(MOMENT * 3);
    cache.run_pending_tasks();
    assert!(!Path::new(&path).exists());
    fs::remove_dir(&dir).unwrap();
}

#[test]
fn a_listener_that_panics_does_no_harm() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::builder()
        .max_capacity(10)
        .eviction_listener(|_, _, _| panic!("on purpose"))
        .build();
    cache.insert(1, 1);
    cache.insert(1, 2);
    cache.invalidate(&1);
    cache.run_pending_tasks();
    cache.insert(2, 2);
    assert_eq!(cache.get(&2), Some(2));
}

// ---------------------------------------------------------------- values that are computed

#[test]
fn a_value_is_computed_once_for_all_threads() {
    use mapless::cache::moka_compat::sync::Cache;

    const TEN_MIB: usize = 10 * 1024 * 1024;
    let cache = Cache::new(100);
    let (runs, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(4)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (cache, runs, start) = (cache.clone(), runs.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                let value = cache.get_with("key1", || {
                    runs.fetch_add(1, SeqCst);
                    thread::sleep(MOMENT);
                    Arc::new(vec![0_u8; TEN_MIB])
                });
                assert_eq!(value.len(), TEN_MIB);
                assert!(cache.get(&"key1").is_some());
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(runs.load(SeqCst), 1);
}

#[test]
fn when_a_computation_panics_another_takes_its_place() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache: Cache<&str, u32> = Cache::new(100);
    let start = Arc::new(Barrier::new(2));
    let first = {
        let (cache, start) = (cache.clone(), start.clone());
        thread::spawn(move || {
            cache.get_with("key", || {
                start.wait();
                thread::sleep(MOMENT);
                panic!("on purpose")
            })
        })
    };
    start.wait();
    assert_eq!(cache.get_with("key", || 2), 2);
    assert!(first.join().is_err());
    assert_eq!(cache.get("key"), Some(2));
}

#[test]
fn a_computation_may_have_nothing_to_insert() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache: Cache<String, u64> = Cache::new(100);
    assert_eq!(cache.optionally_get_with("a".to_string(), || None), None);
    assert_eq!(cache.optionally_get_with_by_ref("a", || None), None);
    assert_eq!(cache.get("a"), None);
    assert_eq!(cache.optionally_get_with_by_ref("a", || Some(1)), Some(1));
    let again = cache.optionally_get_with("a".to_string(), || unreachable!());
    assert_eq!(again, Some(1));
}

#[test]
fn nothing_is_what_all_who_waited_get() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache: Cache<&str, u64> = Cache::new(100);
    let (runs, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(4)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (cache, runs, start) = (cache.clone(), runs.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                cache.optionally_get_with("key", || {
                    runs.fetch_add(1, SeqCst);
                    thread::sleep(MOMENT);
                    None
                })
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), None);
    }
    assert!((1..=4).contains(&runs.load(SeqCst)));
}

#[test]
fn a_computation_may_fail() {
    use mapless::cache::moka_compat::sync::Cache;
    use std::num::ParseIntError;

    let cache: Cache<String, u64> = Cache::new(100);
    let error: Arc<ParseIntError> = cache
        .try_get_with("x".to_string(), || "x".parse::<u64>())
        .unwrap_err();
    assert!(error.to_string().contains("invalid digit"));
    assert!(
        cache
            .try_get_with_by_ref("x", || "y".parse::<u64>())
            .is_err()
    );
    let value = cache.try_get_with_by_ref("x", || "7".parse::<u64>());
    assert_eq!(value, Ok(7));
    let value = cache.try_get_with("x".to_string(), || Err("not asked".to_string()));
    assert_eq!(value, Ok(7));
}

#[test]
fn an_error_is_shared_by_all_who_waited() {
    use mapless::cache::moka_compat::sync::Cache;

    #[derive(Debug)]
    struct NotThere;
    let cache: Cache<&str, u64> = Cache::new(100);
    let start = Arc::new(Barrier::new(2));
    let first = {
        let (cache, start) = (cache.clone(), start.clone());
        thread::spawn(move || {
            cache.try_get_with("key", || {
                start.wait();
                thread::sleep(MOMENT);
                Err(NotThere)
            })
        })
    };
    start.wait();
    let second = cache.try_get_with("key", || Ok::<_, NotThere>(1));
    let first = first.join().unwrap().unwrap_err();
    // The second waited, unless it came too late.
    match second {
        Err(second) => assert!(Arc::ptr_eq(&first, &second)),
        Ok(value) => assert_eq!(value, 1),
    }
}

#[test]
#[allow(deprecated)]
fn a_value_may_count_as_none() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache = Cache::new(100);
    assert_eq!(cache.get_with_if("a", || 1, |_| unreachable!()), 1);
    assert_eq!(cache.get_with_if("a", || 2, |old| *old == 7), 1);
    assert_eq!(cache.get_with_if("a", || 3, |old| *old == 1), 3);
    assert_eq!(cache.get("a"), Some(3));
}

// ---------------------------------------------------------------- entries

#[test]
fn an_entry_is_found_or_inserted() {
    use mapless::cache::moka_compat::{Entry, sync::Cache};

    let cache: Cache<String, u32> = Cache::new(100);
    let key = "key1".to_string();

    let entry: Entry<String, u32> = cache.entry(key.clone()).or_insert(3);
    assert!(entry.is_fresh() && !entry.is_old_value_replaced());
    assert_eq!((entry.key(), *entry.value()), (&key, 3));
    assert_eq!(entry.into_value(), 3);

    let entry = cache.entry(key.clone()).or_insert(6);
    assert!(!entry.is_fresh());
    assert_eq!((entry.key(), *entry.value()), (&key, 3));

    let entry = cache.entry_by_ref(&key).or_insert(9);
    assert!(!entry.is_fresh());
    assert_eq!((entry.key(), *entry.value()), (&key, 3));

    let entry = cache.entry_by_ref("key2").or_default();
    assert!(entry.is_fresh());
    assert_eq!((entry.key().as_str(), *entry.value()), ("key2", 0));
    assert!(!cache.entry("key2".to_string()).or_default().is_fresh());
    assert!(format!("{entry:?}").contains("key2"));
}

#[test]
fn an_entry_is_found_or_computed() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache: Cache<String, u32> = Cache::new(100);
    let key = || "key1".to_string();

    assert!(
        cache
            .entry(key())
            .or_optionally_insert_with(|| None)
            .is_none()
    );
    let error = cache.entry(key()).or_try_insert_with(|| Err("error"));
    assert_eq!(*error.unwrap_err(), "error");
    let entry = cache.entry(key()).or_insert_with(|| 3);
    assert!(entry.is_fresh());
    let entry = cache.entry_by_ref("key1").or_insert_with(|| unreachable!());
    assert!(!entry.is_fresh());
    let entry = cache
        .entry_by_ref("key1")
        .or_optionally_insert_with(|| Some(6));
    assert_eq!(entry.unwrap().into_value(), 3);
    let entry = cache
        .entry_by_ref("key1")
        .or_try_insert_with(|| Ok::<u32, &str>(6))
        .unwrap();
    assert!(!entry.is_fresh());
    assert_eq!(entry.into_value(), 3);

    let entry = cache.entry(key()).or_insert_with_if(|| 4, |old| *old > 3);
    assert_eq!((entry.is_fresh(), entry.into_value()), (false, 3));
    let entry = cache
        .entry_by_ref("key1")
        .or_insert_with_if(|| 4, |old| *old == 3);
    assert_eq!((entry.is_fresh(), entry.into_value()), (true, 4));
    let entry = cache.entry_by_ref("key2").or_insert_with_if(|| 5, |_| true);
    assert_eq!((entry.is_fresh(), entry.into_value()), (true, 5));
}

#[test]
fn a_counter_is_put_and_removed() {
    use mapless::cache::moka_compat::{
        ops::compute::{CompResult, Op},
        sync::Cache,
    };

    fn count(cache: &Cache<String, u64>, key: &str) -> CompResult<String, u64> {
        cache.entry(key.to_string()).and_compute_with(|entry| {
            match entry.map(|entry| entry.into_value()) {
                None => Op::Put(1),
                Some(counter) if counter < 2 => Op::Put(counter + 1),
                Some(_) => Op::Remove,
            }
        })
    }

    let cache: Cache<String, u64> = Cache::new(100);
    let result = count(&cache, "key1");
    let CompResult::Inserted(entry) = result else {
        panic!("`Inserted` was expected: {result:?}");
    };
    assert!(entry.is_fresh() && !entry.is_old_value_replaced());
    assert_eq!(entry.into_value(), 1);

    let result = count(&cache, "key1");
    let CompResult::ReplacedWith(entry) = result else {
        panic!("`ReplacedWith` was expected: {result:?}");
    };
    assert!(entry.is_fresh() && entry.is_old_value_replaced());
    assert_eq!(entry.into_value(), 2);

    let result = count(&cache, "key1");
    let CompResult::Removed(entry) = result else {
        panic!("`Removed` was expected: {result:?}");
    };
    assert!(!entry.is_fresh());
    assert_eq!((entry.key().as_str(), *entry.value()), ("key1", 2));
    assert!(!cache.contains_key("key1"));

    assert_eq!(count(&cache, "key1").unwrap().into_value(), 1);
    let nothing = cache.entry_by_ref("key1").and_compute_with(|_| Op::Nop);
    assert!(matches!(&nothing, CompResult::Unchanged(entry) if !entry.is_fresh()));
    assert_eq!(nothing.into_entry().unwrap().into_value(), 1);
    for op in [Op::Nop, Op::Remove] {
        let none = cache.entry_by_ref("key2").and_compute_with(|_| op.clone());
        assert!(matches!(&none, CompResult::StillNone(key) if **key == "key2"));
        assert!(none.into_entry().is_none());
    }
}

#[test]
#[should_panic(expected = "StillNone")]
fn still_none_is_no_entry() {
    use mapless::cache::moka_compat::{ops::compute::Op, sync::Cache};

    let cache: Cache<u8, u8> = Cache::new(100);
    let _ = cache.entry(1).and_compute_with(|_| Op::Nop).unwrap();
}

#[test]
fn a_computation_of_an_entry_may_fail() {
    use mapless::cache::moka_compat::ops::compute::{CompResult, Op};
    use mapless::cache::moka_compat::sync::Cache;

    let cache: Cache<String, String> = Cache::new(100);
    let append = |text: Result<&str, &'static str>| {
        cache.entry_by_ref("key").and_try_compute_with(|entry| {
            let before = entry.map_or(String::new(), |entry| entry.into_value());
            Ok::<_, &str>(Op::Put(before + text?))
        })
    };
    assert!(matches!(append(Ok("a")), Ok(CompResult::Inserted(_))));
    assert!(matches!(append(Ok("b")), Ok(CompResult::ReplacedWith(_))));
    assert_eq!(append(Err("no")).unwrap_err(), "no");
    assert_eq!(cache.get("key").as_deref(), Some("ab"));
    let removed = cache
        .entry("key".to_string())
        .and_try_compute_with(|_| Ok::<_, ()>(Op::Remove));
    assert!(matches!(removed, Ok(CompResult::Removed(_))));
}

#[test]
fn an_upsert_says_whether_it_replaced() {
    use mapless::cache::moka_compat::sync::Cache;

    let cache: Cache<String, u64> = Cache::new(100);
    let count = || {
        cache
            .entry("key1".to_string())
            .and_upsert_with(|entry| entry.map_or(1, |entry| entry.into_value() + 1))
    };
    let entry = count();
    assert!(entry.is_fresh() && !entry.is_old_value_replaced());
    assert_eq!((entry.key().as_str(), *entry.value()), ("key1", 1));
    let entry = count();
    assert!(entry.is_fresh() && entry.is_old_value_replaced());
    assert_eq!(entry.into_value(), 2);
    let entry = cache.entry_by_ref("key1").and_upsert_with(|_| 9);
    assert!(entry.is_old_value_replaced());
    assert_eq!(cache.get("key1"), Some(9));
}

#[test]
fn computations_of_one_entry_run_one_after_another() {
    use mapless::cache::moka_compat::{ops::compute::Op, sync::Cache};

    const THREADS: u64 = 8;
    const ROUNDS: u64 = 200;
    let cache: Cache<String, u64> = Cache::new(100);
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let cache = cache.clone();
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    if n % 2 == 0 {
                        let entry = cache.entry_by_ref("key");
                        entry.and_upsert_with(|seen| seen.map_or(0, |seen| seen.into_value()) + 1);
                    } else {
                        let entry = cache.entry("key".to_string());
                        entry.and_compute_with(|seen| {
                            Op::Put(seen.map_or(0, |seen| seen.into_value()) + 1)
                        });
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(cache.get("key"), Some(THREADS * ROUNDS));
}

#[test]
fn a_computation_may_use_other_keys() {
    use mapless::cache::moka_compat::sync::Cache;

    fn fibonacci(cache: &Cache<u64, u64>, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let init = || fibonacci(cache, n - 1) + fibonacci(cache, n - 2);
        cache.entry(n).or_insert_with(init).into_value()
    }
    assert_eq!(fibonacci(&Cache::new(100), 50), 12_586_269_025);
}

// ---------------------------------------------------------------- builders and types

#[test]
fn a_builder_is_told_everything() {
    use mapless::cache::moka_compat::Policy;
    use mapless::cache::moka_compat::policy::EvictionPolicy;
    use mapless::cache::moka_compat::sync::{Cache, CacheBuilder};

    let cache: Cache<char, &str> = CacheBuilder::new(100)
        .name("tracked_sessions")
        .initial_capacity(10)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_live(Duration::from_secs(45 * 60))
        .time_to_idle(Duration::from_secs(15 * 60))
        .weigher(|_, _| 1)
        .eviction_listener(|_, _, _| ())
        .support_invalidation_closures()
        .build();
    let policy: Policy = cache.policy();
    assert_eq!(cache.name(), Some("tracked_sessions"));
    assert_eq!(policy.max_capacity(), Some(100));
    assert_eq!(policy.num_segments(), 1);
    assert_eq!(policy.time_to_live(), Some(Duration::from_secs(45 * 60)));
    assert_eq!(policy.time_to_idle(), Some(Duration::from_secs(15 * 60)));
    cache.insert('a', "Alice");
    assert_eq!(cache.get(&'a'), Some("Alice"));

    let plain: Cache<char, &str> = CacheBuilder::default().build();
    assert_eq!(plain.name(), None);
    assert_eq!(plain.policy().time_to_live(), None);
    assert_eq!(plain.policy().time_to_idle(), None);
    let names = [EvictionPolicy::default(), EvictionPolicy::tiny_lfu()].map(|p| format!("{p:?}"));
    assert_eq!(names, ["EvictionPolicy::TinyLfu"; 2]);
}

#[test]
fn a_hasher_may_be_chosen() {
    use mapless::cache::moka_compat::sync::{Cache, SegmentedCache};

    struct Good {
        cache: Cache<i32, String, ahash::RandomState>,
        segments: SegmentedCache<i32, String, ahash::RandomState>,
    }
    let good = Good {
        cache: Cache::builder()
            .max_capacity(100)
            .build_with_hasher(ahash::RandomState::default()),
        segments: SegmentedCache::builder(4)
            .max_capacity(100)
            .build_with_hasher(ahash::RandomState::default()),
    };
    good.cache.insert(1, "one".to_string());
    good.segments.insert(2, "two".to_string());
    assert_eq!(good.cache.get(&1).as_deref(), Some("one"));
    assert_eq!(good.segments.get(&2).as_deref(), Some("two"));
}

#[test]
fn types_are_named_without_bounds() {
    use mapless::cache::moka_compat::ops::compute::CompResult;
    use mapless::cache::moka_compat::sync::{
        Cache, CacheBuilder, OwnedKeyEntrySelector, RefKeyEntrySelector, SegmentedCache,
    };
    use std::collections::hash_map::RandomState;
    use std::sync::OnceLock;

    static SESSIONS: OnceLock<Cache<String, Arc<Vec<u8>>>> = OnceLock::new();

    #[derive(Clone)]
    struct Layer<K, V> {
        cache: Cache<K, V>,
        next: Option<SegmentedCache<K, V, RandomState>>,
    }
    impl<K, V> Layer<K, V> {
        fn names(&self) -> [Option<&str>; 2] {
            let next = self.next.as_ref();
            [self.cache.name(), next.and_then(SegmentedCache::name)]
        }
    }
    fn build<C>(builder: CacheBuilder<u8, u8, C>) -> CacheBuilder<u8, u8, C> {
        builder.name("inner").max_capacity(7)
    }
    fn double(entry: OwnedKeyEntrySelector<'_, u8, u8, RandomState>) -> CompResult<u8, u8> {
        entry.and_compute_with(|_| mapless::cache::moka_compat::ops::compute::Op::Put(2))
    }
    fn default(entry: RefKeyEntrySelector<'_, u8, u8, u8, RandomState>) -> u8 {
        entry.or_default().into_value()
    }
    fn is_shared<T: Clone + Send + Sync + 'static>(value: &T) -> T {
        value.clone()
    }

    let layer = Layer {
        cache: build(Cache::builder()).build(),
        next: Some(build(CacheBuilder::new(1).segments(2)).build()),
    };
    assert_eq!(is_shared(&layer).names(), [Some("inner"); 2]);
    assert_eq!(double(layer.cache.entry(1)).unwrap().into_value(), 2);
    assert_eq!(default(layer.cache.entry_by_ref(&1)), 2);
    assert_eq!(default(layer.cache.entry_by_ref(&3)), 0);
    let sessions = SESSIONS.get_or_init(|| Cache::new(10));
    sessions.insert("a".to_string(), Arc::new(vec![1]));
    assert!(sessions.contains_key("a"));
}

#[test]
fn segments_have_the_same_methods() {
    use mapless::cache::moka_compat::ops::compute::Op;
    use mapless::cache::moka_compat::sync::{CacheBuilder, SegmentedCache};

    let cache: SegmentedCache<String, u32> = CacheBuilder::new(1_000)
        .name("parts")
        .support_invalidation_closures()
        .segments(6)
        .build();
    assert_eq!(cache.policy().num_segments(), 8);
    assert_eq!(cache.policy().max_capacity(), Some(1_000));
    assert_eq!(cache.name(), Some("parts"));

    cache.insert("a".to_string(), 1);
    assert_eq!(cache.get("a"), Some(1));
    assert_eq!(cache.get_with("b".to_string(), || 2), 2);
    assert_eq!(cache.get_with_by_ref("c", || 3), 3);
    assert_eq!(
        cache.optionally_get_with("d".to_string(), || Some(4)),
        Some(4)
    );
    assert_eq!(cache.optionally_get_with_by_ref("e", || None), None);
    assert_eq!(
        cache.try_get_with("e".to_string(), || Ok::<_, ()>(5)),
        Ok(5)
    );
    assert!(cache.try_get_with_by_ref("f", || Err("none")).is_err());
    assert_eq!(cache.entry("g".to_string()).or_insert(7).into_value(), 7);
    let counted = cache.entry_by_ref("g").and_compute_with(|_| Op::Put(8));
    assert_eq!(counted.unwrap().into_value(), 8);
    cache.run_pending_tasks();
    assert_eq!((cache.entry_count(), cache.weighted_size()), (6, 6));
    assert_eq!(cache.iter().count(), 6);
    assert_eq!((&cache).into_iter().count(), 6);
    assert_eq!(cache.clone().remove("g"), Some(8));
    cache.invalidate("a");
    assert!(!cache.contains_key("a"));
    cache.invalidate_entries_if(|_, value| *value == 2).unwrap();
    assert_eq!(cache.get("b"), None);
    cache.invalidate_all();
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(format!("{cache:?}"), "{}");

    let plain: SegmentedCache<char, &str> = SegmentedCache::new(100, 4);
    plain.insert('x', "y");
    assert_eq!(plain.get(&'x'), Some("y"));
}

#[test]
#[allow(deprecated)]
fn segments_keep_their_older_names() {
    use mapless::cache::moka_compat::sync::SegmentedCache;

    let cache: SegmentedCache<u32, u32> = SegmentedCache::new(100, 2);
    assert_eq!(cache.get_or_insert_with(1, || 1), 1);
    assert_eq!(cache.get_or_try_insert_with(2, || Ok::<_, ()>(2)), Ok(2));
    assert_eq!(cache.get_with_if(2, || 3, |old| *old == 2), 3);
}

#[test]
#[should_panic]
fn there_is_a_segment_or_more() {
    use mapless::cache::moka_compat::sync::SegmentedCache;

    let _: SegmentedCache<u32, u32> = SegmentedCache::new(100, 0);
}
