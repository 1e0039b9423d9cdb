//! As `tests/moka_compat.rs`: programs for what moka's `sync` caches compute, and for its entries.

#![cfg(feature = "cache")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

/// Long enough for others to come and wait.
const MOMENT: Duration = Duration::from_millis(100);

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
#[allow(deprecated)] // moka's older names are to compile too
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
