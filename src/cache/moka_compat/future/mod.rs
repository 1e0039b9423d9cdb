//! Caches for tasks, on any executor.

mod builder;
mod cache;
mod selector;

use core::future::Future;
use core::pin::Pin;

pub use super::iter::Iter;
pub use builder::CacheBuilder;
pub use cache::Cache;
pub use selector::{EntrySelector, OwnedKeyEntrySelector, RefKeyEntrySelector};

/// Names a predicate that `invalidate_entries_if` was given.
pub type PredicateId = String;

/// Boxes futures, as an asynchronous eviction listener has to.
pub trait FutureExt: Future {
    /// The future in a box.
    fn boxed<'a, T>(self) -> Pin<Box<dyn Future<Output = T> + Send + 'a>>
    where
        Self: Future<Output = T> + Sized + Send + 'a,
    {
        Box::pin(self)
    }
}

impl<F: Future + ?Sized> FutureExt for F {}
