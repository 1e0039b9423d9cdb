//! What can go wrong with an object in memory.

use core::fmt;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;

use super::builder::Overrun;
use super::kind::StoredType;
use crate::id::ObjectId;

/// Room that is not to be had now, and what keeps it; in bytes, each object with what the store
/// keeps beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Full {
    /// What was asked for.
    pub asked: u64,
    /// The store's limit.
    pub limit: u64,
    /// In objects that are pinned.
    pub pinned: u64,
    /// In builders and promises.
    pub pending: u64,
    /// Out of the store, but not freed: a reader has it, or somebody's `Bytes`.
    pub retained: u64,
    /// In the index.
    pub index: u64,
}

/// Why an operation on an object came to nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ObjectError {
    /// This store never gave out the id.
    NotFound(ObjectId),
    /// The store gave the id out, and the object is no more: evicted, collected, or deleted before.
    Evicted(ObjectId),
    /// The object was deleted: while somebody waited for it, or it is still pinned.
    Deleted(ObjectId),
    /// The object is still being made; whoever can wait may.
    Pending(ObjectId),
    /// The object's builder was dropped before it was sealed.
    Aborted(ObjectId),
    /// The object's promise was dropped before it was fulfilled.
    Abandoned(ObjectId),
    /// Whoever made the object failed, with this error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// No object of so many bytes can ever be in this store.
    TooLarge {
        /// The bytes of the payload.
        len: u64,
        /// The bytes of the largest payload that the limit allows.
        most: u64,
    },
    /// The system has no memory for a buffer, though the store has room for it.
    OutOfMemory {
        /// The bytes of the buffer.
        size: usize,
    },
    /// There is no room now.
    Full(Full),
    /// All that would have to go for room is held by builders of those who wait for room; the caller
    /// came last, and waits no more.
    WouldDeadlock,
    /// It took longer than the caller was to wait.
    TimedOut(ObjectId),
    /// The object was stored as another type.
    WrongType {
        /// As what it was stored.
        stored: StoredType,
        /// As what it was asked for.
        asked: StoredType,
    },
    /// The object has too few bytes to be sealed.
    Short {
        /// So many are still to be written.
        missing: usize,
    },
    /// More bytes than the object was created for.
    Overrun(Overrun),
    /// The codec could not make bytes of the value.
    Encode(Arc<dyn Error + Send + Sync>),
    /// The codec could not make a value of the bytes.
    Decode(Arc<dyn Error + Send + Sync>),
    /// The object has no pin that could end.
    NotPinned(ObjectId),
    /// The object has as many pins as can be counted, 2^27 - 1.
    TooManyPins(ObjectId),
    /// The store is gone.
    Closed,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked,
            limit,
            pinned,
            pending,
            retained,
            index,
        } = self;
        write!(
            f,
            "no room for {asked} of {limit} bytes: {pinned} are pinned, {pending} pending, \
             {retained} still in use outside, {index} in the index"
        )
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "{id} is no object of this store"),
            Self::Evicted(id) => write!(f, "object {id} is not here any more"),
            Self::Deleted(id) => write!(f, "object {id} was deleted"),
            Self::Pending(id) => write!(f, "object {id} is not made yet"),
            Self::Aborted(id) => write!(f, "the builder of object {id} was dropped unsealed"),
            Self::Abandoned(id) => write!(f, "the promise of object {id} was dropped unfulfilled"),
            Self::Failed(error) => write!(f, "whoever made the object failed: {error}"),
            Self::TooLarge { len, most } => {
                write!(f, "{len} bytes never fit; {most} would at most")
            }
            Self::OutOfMemory { size } => write!(f, "there is no memory for {size} bytes"),
            Self::Full(full) => full.fmt(f),
            Self::WouldDeadlock => {
                f.write_str("all room is held by builders of those who wait for room")
            }
            Self::TimedOut(id) => write!(f, "object {id} was not made in time"),
            Self::WrongType { stored, asked } => {
                write!(f, "the object was stored as {stored}, and is no {asked}")
            }
            Self::Short { missing } => write!(f, "{missing} bytes are still to be written"),
            Self::Overrun(overrun) => overrun.fmt(f),
            Self::Encode(error) => write!(f, "the value could not be encoded: {error}"),
            Self::Decode(error) => write!(f, "the bytes could not be decoded: {error}"),
            Self::NotPinned(id) => write!(f, "object {id} is not pinned"),
            Self::TooManyPins(id) => write!(f, "object {id} has too many pins"),
            Self::Closed => f.write_str("the store is gone"),
        }
    }
}

impl Error for ObjectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) | Self::Encode(error) | Self::Decode(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<Full> for ObjectError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl From<Overrun> for ObjectError {
    fn from(overrun: Overrun) -> Self {
        Self::Overrun(overrun)
    }
}

/// Bytes that were not taken, and why.
#[derive(Clone)]
#[non_exhaustive]
pub struct PutError {
    /// As they came.
    pub bytes: Bytes,
    /// Why they were not taken.
    pub reason: ObjectError,
}

/// The bytes by their number: there may be many.
impl fmt::Debug for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError")
            .field("len", &self.bytes.len())
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for PutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

impl From<PutError> for ObjectError {
    fn from(error: PutError) -> Self {
        error.reason
    }
}
