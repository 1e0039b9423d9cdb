//! moka's names over [`ClockCache`]: change the `use` line, and the code compiles.
//!
//! ```
//! // was: use moka::sync::Cache;
//! use mapless::cache::moka_compat::sync::Cache;
//!
//! let cache = Cache::builder().max_capacity(10_000).build();
//! cache.insert("one", 1);
//! assert_eq!(cache.get(&"one"), Some(1));
//! assert_eq!(cache.get_with("two", || 2), 2);
//! ```
//!
//! The modules, types and methods are those of moka 0.12, with its signatures, over a
//! `ClockCache<Arc<K>, V, S>`. What differs in what they do is in `docs/MOKA.md`, with every name and
//! what it is called in [`ClockCache`] itself; in short:
//!
//! * the capacity is never exceeded; what does not fit is dropped when it is inserted, and the
//!   listener is told so with the cause `Size`;
//! * counts are exact, and what is invalidated is gone when the call returns;
//! * the eviction policy is the cache's own, whatever is asked for;
//! * an entry expires within one [`TICK`](super::TICK) after its time, and after 248 days at most.
//!
//! Neither module depends on an executor.
//!
//! [`ClockCache`]: super::ClockCache

mod base;
mod entry;
mod error;
mod iter;
mod lookup;
mod notices;
mod settings;

pub mod future;
pub mod notification;
pub mod ops;
pub mod policy;
pub mod sync;

pub use entry::Entry;
pub use equivalent::Equivalent;
pub use error::PredicateError;
pub use policy::{Expiry, Policy};
