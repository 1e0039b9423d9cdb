//! Maps that evict nothing: what a bare lookup costs.

use std::collections::HashMap;

use dashmap::DashMap;

use super::{Cache, Hasher, Plan, Stored};

/// `DashMap` with ahash. It evicts nothing.
#[derive(Debug)]
pub struct Dash<V>(DashMap<u64, V, Hasher>);

impl<V: Stored> Cache<V> for Dash<V> {
    const NAME: &'static str = "DashMap (evicts nothing)";

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        plan.plain().then(|| Self(DashMap::default()))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.get(&key).map(|found| found.clone())
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.insert(key, value);
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        let mut found = true;
        let fresh = || {
            found = false;
            make()
        };
        self.0.entry(key).or_insert_with(fresh);
        found
    }

    fn capacity(&self) -> Option<u64> {
        None
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn clear(&self) -> bool {
        self.0.clear();
        true
    }
}

/// `papaya::HashMap` with ahash, a pin a call. It evicts nothing.
#[derive(Debug)]
pub struct Papaya<V>(papaya::HashMap<u64, V, Hasher>);

impl<V: Stored> Cache<V> for Papaya<V> {
    const NAME: &'static str = "papaya (evicts nothing)";

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        plan.plain().then(|| Self(papaya::HashMap::default()))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.pin().get(&key).cloned()
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.pin().insert(key, value);
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        let mut found = true;
        let fresh = || {
            found = false;
            make()
        };
        self.0.pin().get_or_insert_with(key, fresh);
        found
    }

    fn capacity(&self) -> Option<u64> {
        None
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn clear(&self) -> bool {
        self.0.pin().clear();
        true
    }
}

/// A `HashMap` with ahash that is only read.
#[derive(Debug)]
pub struct Plain(pub HashMap<u64, u64, Hasher>);

impl Plain {
    /// Its name in the tables.
    pub const NAME: &'static str = "&HashMap";

    /// What is kept under a key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key).copied()
    }
}
