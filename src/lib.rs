//! Lock-free building blocks that take an object id to its bytes without a map.

#[cfg(not(target_has_atomic = "64"))]
compile_error!("mapless needs 64-bit atomics");

#[cfg(feature = "alloc")]
mod alloc;
mod id;
mod sync;

pub use id::{
    ByteLen, Extent, FileOffset, IdRange, MAX_RANGE_LEN, ObjectId, Overflow, RangeError, SlotIndex,
};
pub use sync::epoch::{Domain, Guard};
