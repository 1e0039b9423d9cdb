//! As `tests/moka_compat.rs`: programs for what builds moka's `sync` caches, and for the types that
//! they name.

#![cfg(feature = "cache")]

use std::sync::Arc;
use std::time::Duration;

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
#[allow(deprecated)] // moka's older names are to compile too
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
