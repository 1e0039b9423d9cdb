//! Allocators: slots of one size in one block, ..

mod block;
mod block_build;
mod block_core;
mod block_handles;
mod error;

pub use block::{BlockAllocator, LiveIds};
pub use block_build::BlockBuilder;
pub use block_handles::{LocalAlloc, Reservation};
pub use error::{AllocError, BuildError, FreeError, LookupError, SlotState};
