//! Lock-free building blocks that take an object id to its bytes without a map.

#[cfg(not(target_has_atomic = "64"))]
compile_error!("mapless needs 64-bit atomics");

#[cfg(feature = "alloc")]
mod alloc;
mod id;
#[cfg(feature = "index")]
mod index;
mod sync;

pub use id::{
    ByteLen, Extent, FileOffset, IdRange, MAX_RANGE_LEN, ObjectId, Overflow, RangeError, SlotIndex,
};
#[cfg(feature = "index")]
pub use index::{InsertError, Iter, LoadError, RangeIndex, RemoveError, ReplaceError, Value};
pub use sync::epoch::{Domain, Guard};
