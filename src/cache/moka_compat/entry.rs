//! A copy of one entry.

use core::fmt;
use std::sync::Arc;

/// A key and a clone of its value, as they were when a call returned them.
pub struct Entry<K, V> {
    key: Arc<K>,
    value: V,
    is_fresh: bool,
    is_old_value_replaced: bool,
}

impl<K, V> Entry<K, V> {
    /// One that was there.
    pub(super) fn found(key: Arc<K>, value: V) -> Self {
        Self {
            key,
            value,
            is_fresh: false,
            is_old_value_replaced: false,
        }
    }

    /// One that came in, perhaps in the place of another.
    pub(super) fn fresh(key: Arc<K>, value: V, replaced: bool) -> Self {
        Self {
            key,
            value,
            is_fresh: true,
            is_old_value_replaced: replaced,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The value: the clone that this has, not the cache's.
    #[must_use]
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The value.
    #[must_use]
    pub fn into_value(self) -> V {
        self.value
    }

    /// Whether the call that returned this made the value, and did not find it.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Whether the value took the place of another, be it an equal one.
    #[must_use]
    pub fn is_old_value_replaced(&self) -> bool {
        self.is_old_value_replaced
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Entry<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value", &self.value)
            .field("is_fresh", &self.is_fresh)
            .field("is_old_value_replaced", &self.is_old_value_replaced)
            .finish()
    }
}
