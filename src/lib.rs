//! Lock-free building blocks that take an object id to its bytes without a map.

#[cfg(not(target_has_atomic = "64"))]
compile_error!("mapless needs 64-bit atomics");

#[cfg(feature = "alloc")]
mod alloc;
#[cfg(feature = "alloc")]
mod bitset;
mod id;
#[cfg(feature = "index")]
mod index;
mod sync;

#[cfg(feature = "alloc")]
pub use alloc::*;
pub use id::{
    ByteLen, Extent, FileOffset, IdRange, MAX_RANGE_LEN, ObjectId, Overflow, RangeError, SlotIndex,
};
#[cfg(feature = "index")]
pub use index::*;
pub use sync::epoch::{Domain, Guard};
