//! An object whose size nobody knows yet.
//!
//! # Checked by
//! `loom-tests/objects_promise.rs`; `tests/objects.rs`.

use core::fmt;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::codec::{Postcard, encode};
use super::error::{ObjectError, PutError};
use super::inner::Inner;
use super::kind::StoredType;
use super::object::OVERHEAD;
use super::refs::ObjectRef;
use super::room::Ticket;
use super::waiting::Waiting;
use crate::id::ObjectId;

/// A task's result that is to come: an id, and no room but for its entry.
///
/// Whatever happens, who waits for it wakes: it is fulfilled, or failed; a result that does not fit is
/// [`ObjectError::TooLarge`] or [`ObjectError::Full`] for them; and a promise that is dropped is
/// [`ObjectError::Abandoned`].
#[must_use = "dropping a promise abandons its object"]
pub struct Promise {
    inner: Arc<Inner>,
    id: ObjectId,
    /// Some until it ended.
    ticket: Option<Ticket>,
}

impl Promise {
    /// In room that was made for it; what is more than that pays for its place in the index.
    pub(super) fn new(inner: &Arc<Inner>, mut ticket: Ticket) -> Result<Self, ObjectError> {
        let own = ticket.split(OVERHEAD);
        Ok(Self {
            inner: Arc::clone(inner),
            id: inner.put_pending(ticket)?,
            ticket: Some(own),
        })
    }

    /// The id, which is pending until the promise ends.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// A reference to the object, for whoever waits for it.
    ///
    /// # Errors
    /// If it was deleted, or the store is gone.
    pub fn reference<T>(&self) -> Result<ObjectRef<T>, ObjectError> {
        ObjectRef::new(&self.inner, self.id)
    }

    /// The object has these bytes.
    ///
    /// # Errors
    /// The bytes come back if there is no room for them, which is final for those who wait, or if the
    /// object was deleted, or the store is gone.
    pub fn fulfil(self, bytes: Bytes) -> Result<ObjectId, PutError> {
        let more = self.more(bytes.len());
        self.end(bytes, StoredType::BYTES, more)
    }

    /// The object has this value, as `put` of a store would write it.
    ///
    /// # Errors
    /// As [`fulfil`](Self::fulfil); [`ObjectError::Encode`], and who waits is told that it
    /// [failed](Self::fail).
    pub fn fulfil_with<T: Serialize + 'static>(self, value: T) -> Result<ObjectId, ObjectError> {
        match encode(value, &Postcard) {
            Ok((bytes, stored)) => {
                let more = self.more(bytes.len());
                Ok(self.end(bytes, stored, more)?)
            }
            Err(error) => {
                self.fail(error.clone());
                Err(error)
            }
        }
    }

    /// As [`fulfil`](Self::fulfil), and waits for room, as long as the object is not deleted.
    ///
    /// # Cancellation
    /// Dropped before its end, it abandons the object.
    ///
    /// # Errors
    /// As [`fulfil`](Self::fulfil), but [`ObjectError::Full`] only inside of
    /// [`read`](super::InMemoryStore::read).
    pub async fn fulfil_async(self, bytes: Bytes) -> Result<ObjectId, PutError> {
        let inner = Arc::clone(&self.inner);
        let more = Waiting::new(&inner, &[])
            .acquire_more(self.id, bytes.len())
            .await;
        self.end(bytes, StoredType::BYTES, more)
    }

    /// As [`fulfil_with`](Self::fulfil_with), and waits for room.
    ///
    /// # Cancellation
    /// Dropped before its end, it abandons the object.
    ///
    /// # Errors
    /// As [`fulfil_with`](Self::fulfil_with), but [`ObjectError::Full`] only inside of
    /// [`read`](super::InMemoryStore::read).
    pub async fn fulfil_with_async<T: Serialize + 'static>(
        self,
        value: T,
    ) -> Result<ObjectId, ObjectError> {
        let (bytes, stored) = match encode(value, &Postcard) {
            Ok(encoded) => encoded,
            Err(error) => {
                self.fail(error.clone());
                return Err(error);
            }
        };
        let inner = Arc::clone(&self.inner);
        let more = Waiting::new(&inner, &[])
            .acquire_more(self.id, bytes.len())
            .await;
        Ok(self.end(bytes, stored, more)?)
    }

    /// There is no object, for this reason.
    pub fn fail(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let ticket = self.ticket.take();
        let error = ObjectError::Failed(Arc::from(error.into()));
        self.inner.fail(self.id, error, ticket);
    }

    /// Room for so many bytes.
    fn more(&self, len: usize) -> Result<Ticket, ObjectError> {
        let _visit = self.inner.visit();
        let need = self.inner.need(len)? - OVERHEAD;
        Ok(self.inner.ticket(need)?)
    }

    fn end(
        mut self,
        bytes: Bytes,
        stored: StoredType,
        more: Result<Ticket, ObjectError>,
    ) -> Result<ObjectId, PutError> {
        let mut ticket = self.ticket.take().expect("a promise ends once");
        match more {
            Ok(more) => {
                ticket.join(more);
                let (inner, id) = (&self.inner, self.id);
                let fulfilled = inner.fulfil(id, bytes, stored, ticket);
                fulfilled.map(|_| id).map_err(|(bytes, _)| PutError {
                    bytes,
                    reason: inner.ended(id),
                })
            }
            Err(reason) => {
                self.inner.fail(self.id, reason.clone(), Some(ticket));
                Err(PutError { bytes, reason })
            }
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let error = ObjectError::Abandoned(self.id);
            self.inner.fail(self.id, error, Some(ticket));
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
