//! Caches for threads.

mod builder;
mod cache;
mod segment;
mod selector;

pub use super::iter::Iter;
pub use builder::CacheBuilder;
pub use cache::Cache;
pub use segment::SegmentedCache;
pub use selector::{EntrySelector, OwnedKeyEntrySelector, RefKeyEntrySelector};

/// Names a predicate that `invalidate_entries_if` was given.
pub type PredicateId = String;

/// For tests.
pub trait ConcurrentCacheExt<K, V> {
    /// Does what there is to be done.
    fn sync(&self);
}
