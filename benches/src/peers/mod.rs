//! What others have built, behind one small interface for each kind of work.

#[cfg(not(loom))]
pub mod caches;
pub mod objects;
pub mod ranges;
pub mod slots;
#[cfg(not(loom))]
pub mod stores;
