//! A pin that ends with its guard.

use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ObjectError;
use super::inner::Inner;
use crate::id::ObjectId;

/// Keeps an object from being evicted until it is dropped, and lends its bytes.
///
/// # Progress
/// Dropping it is lock-free where others have pinned the object too; else it blocks on the lock of
/// the object's shard.
pub struct PinGuard {
    inner: Arc<Inner>,
    id: ObjectId,
    bytes: Bytes,
}

impl PinGuard {
    pub(super) fn new(inner: &Arc<Inner>, id: ObjectId) -> Result<Self, ObjectError> {
        inner.pin(id)?;
        // It may be pending; or deleted, but then it is not here any more.
        match inner.get_stored(id) {
            Ok((bytes, _)) => Ok(Self::of_pin(inner, id, bytes)),
            Err(error) => {
                let _ = inner.unpin(id);
                Err(error)
            }
        }
    }

    /// Of a pin that the object has, and that is ours.
    pub(super) fn of_pin(inner: &Arc<Inner>, id: ObjectId, bytes: Bytes) -> Self {
        let inner = Arc::clone(inner);
        Self { inner, id, bytes }
    }

    /// The object's id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The object's bytes, to keep beyond the pin.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Deref for PinGuard {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        // Its pin may have been ended by a call of `unpin` too many: then there is none to end.
        let _ = self.inner.unpin(self.id);
    }
}

impl fmt::Debug for PinGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinGuard")
            .field("id", &self.id)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
