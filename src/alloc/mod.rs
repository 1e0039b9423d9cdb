//! Allocators: one block of slots, the root of an address space, and size classes over both.
//!
//! # Shape
//! ```text
//! OmniBlockAllocator ── classes ──> Class ── Cursors ─> Block, Block, ..
//!        |                            |  ^ retired slots wait in its limbo
//!        v                            v
//! BasicAllocator ─────────────── Directory: index of blocks, ids, gaps
//! BlockAllocator ── Cursors ─> one Block, without any index
//! ```

mod basic;
mod block;
mod block_build;
mod block_core;
mod block_handles;
mod class;
mod classes;
mod directory;
mod error;
mod found;
mod gaps;
mod ids;
mod omni;
mod omni_build;
mod omni_handles;
mod omni_live;
#[cfg(feature = "store")]
mod omni_store;
mod places;
mod published;
mod singles;
mod snapshot;
mod wanted;

pub use basic::{BasicAllocator, BasicBuilder, Region, Request};
pub use block::{BlockAllocator, LiveIds};
pub use block_build::BlockBuilder;
pub use block_handles::{LocalAlloc, Reservation};
pub use classes::{ClassError, ClassUse, GrowByShare, Growth, MAX_CLASSES, SizeClasses};
#[cfg(feature = "store")]
pub(crate) use directory::{Directory, NO_CLASS, Watch};
pub use error::{AllocError, BuildError, FreeError, LookupError, SlotState};
pub use gaps::SpaceError;
pub use omni::OmniBlockAllocator;
pub use omni_build::OmniBuilder;
pub use omni_handles::OmniReservation;
#[cfg(feature = "store")]
pub(crate) use omni_handles::OmniRun;
pub use omni_live::OmniLiveIds;
pub use snapshot::{AllocatorSnapshot, RangeSnapshot, RestoreError};
