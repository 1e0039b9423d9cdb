//! moka's names over [`ClockCache`](super::ClockCache): change the `use` line, and the code compiles.
//!
//! Neither [`sync`] nor [`future`] depends on an executor. The rest of this page is `docs/MOKA.md`.
//!
#![doc = include_str!("../../../docs/MOKA.md")]

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
