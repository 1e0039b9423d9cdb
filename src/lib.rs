//! Lock-free building blocks that take an object id to its bytes without a map.

#[cfg(not(target_has_atomic = "64"))]
compile_error!("mapless needs 64-bit atomics");

#[cfg(feature = "alloc")]
mod alloc;
#[cfg(feature = "alloc")]
mod bitset;
mod id;
mod sync;

#[cfg(feature = "alloc")]
pub use alloc::{
    AllocError, BlockAllocator, BlockBuilder, BuildError, FreeError, LiveIds, LocalAlloc,
    LookupError, Reservation, SlotState,
};
pub use id::{
    ByteLen, Extent, FileOffset, IdRange, MAX_RANGE_LEN, ObjectId, Overflow, RangeError, SlotIndex,
};
pub use sync::epoch::{Domain, Guard};
