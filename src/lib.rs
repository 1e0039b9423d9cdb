//! Lock-free building blocks that take an object id to its bytes without a map.
//!
//! A range of ids belongs to one block of equal slots, so an id *is* its place: the slot is the
//! id less the range's first, the offset is the first offset and so many slot sizes, and one bit
//! says whether the slot is live. What is left to keep is a bit an object, and a small sorted
//! index of ranges.
//!
//! ```
//! use mapless::{ByteLen, LookupError, OmniBlockAllocator};
//!
//! let ids = OmniBlockAllocator::new();
//! let id = ids.alloc(ByteLen::new(100))?;
//!
//! let guard = ids.pin();
//! let extent = ids.locate_in(id, &guard)?; // wait-free: no lock, no retry, no store
//! assert_eq!(extent.len, ByteLen::new(112)); // the class that 100 bytes go to
//!
//! ids.retire(id, &guard)?; // nobody finds it from now on,
//! assert_eq!(ids.locate(id), Err(LookupError::Hidden));
//! drop(guard); // and nobody gets its slot before this
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to take
//!
//! | you have | take |
//! |---|---|
//! | objects of many sizes in one file or address space | [`OmniBlockAllocator`] |
//! | objects of one size | [`BlockAllocator`] |
//! | objects that are to survive in one file | [`MultiStore`] (feature `store`) |
//! | objects in memory that tasks pass by reference | [`InMemoryStore`] (feature `store`) |
//! | what can be had again, within a capacity | [`ClockCache`] (feature `cache`) |
//! | a few large regions | [`BasicAllocator`] |
//! | ranges of ids of your own, and 8 bytes for each | [`RangeIndex`] (feature `index` alone) |
//!
//! # Guards
//!
//! Lookups come in two forms: `locate_in(id, &guard)` is wait-free under a [`Guard`] that you
//! took before, `locate(id)` takes one itself and is lock-free. A guard belongs to a [`Domain`],
//! the structures' own or one that you share among several. Keep guards short: what is retired
//! while one lives waits for it.
//!
//! # Features
//!
//! * `store` (default): [`MultiStore`] and [`InMemoryStore`]; brings `alloc` and `cache`.
//! * `cache`: [`ClockCache`], and [`cache::moka_compat`].
//! * `alloc`: the allocators; brings `index`.
//! * `index`: [`RangeIndex`] alone.
//! * `metrics`, `tracing`: the object store's figures and events, as those crates have them.
//! * `loom`: the types run inside your own loom models; inert without `--cfg loom`.
//! * `shuttle`: the same for shuttle, and `--cfg shuttle`.

// What links to the other pieces leads nowhere where one is taken alone.
#![cfg_attr(not(feature = "store"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(not(target_has_atomic = "64"))]
compile_error!("mapless needs 64-bit atomics");

#[cfg(feature = "alloc")]
mod alloc;
#[cfg(feature = "alloc")]
mod bitset;
#[cfg(feature = "cache")]
pub mod cache;
mod id;
#[cfg(feature = "index")]
mod index;
#[cfg(feature = "store")]
mod objects;
#[cfg(feature = "store")]
mod store;
// Whoever takes one piece alone leaves parts of the door unused.
#[cfg_attr(not(feature = "alloc"), allow(dead_code))]
#[cfg_attr(not(all(feature = "alloc", feature = "cache")), allow(unused_imports))]
mod sync;

#[cfg(feature = "alloc")]
pub use alloc::*;
#[cfg(feature = "cache")]
pub use cache::ClockCache;
pub use id::{
    ByteLen, Extent, FileOffset, IdRange, MAX_RANGE_LEN, ObjectId, Overflow, RangeError, SlotIndex,
};
#[cfg(feature = "index")]
pub use index::*;
#[cfg(feature = "store")]
pub use objects::*;
#[cfg(feature = "store")]
pub use store::*;
pub use sync::epoch::{Domain, Guard};

/// The README's blocks of Rust, which `cargo test --doc` runs.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// What the models in `loom-tests/` look at by itself.
#[cfg(all(loom, feature = "loom", feature = "alloc"))]
#[doc(hidden)]
pub mod models {
    pub use crate::bitset::Row;
    #[cfg(feature = "store")]
    pub use crate::objects::models::*;
    #[cfg(feature = "store")]
    pub use crate::store::models::*;
    pub use crate::sync::numbers::Numbers;
}

/// How many atomic operations the calling thread has done; for tests of progress guarantees.
#[cfg(mapless_count)]
#[doc(hidden)]
pub mod count {
    pub use crate::sync::atomic::count::steps;
}
