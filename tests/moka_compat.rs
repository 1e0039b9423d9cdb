//! Programs for moka's `sync` caches, after what its documentation shows, run against
//! `mapless::cache::moka_compat`. Each would run with moka itself, were its `use` line another: so
//! each allows what moka allows, and asks for pending tasks to be run where moka wants that.
//! Times are in `tests/moka_compat_time.rs`, builders and types in `tests/moka_compat_types.rs`, what is
//! computed in `tests/moka_compat_computed.rs`. What differs is in `tests/moka_differs.rs`.

#![cfg(feature = "cache")]

use std::sync::{Arc, Mutex};
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
