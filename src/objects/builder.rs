//! An object in the making: room, an id, and a buffer.
//!
//! # Checked by
//! `loom-tests/objects.rs` (seal and abort against who waits); `tests/objects.rs`.
#![allow(unsafe_code)] // the caller says how much of the spare capacity it wrote

use core::fmt;
use core::mem::MaybeUninit;
use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ObjectError;
use super::inner::Inner;
use super::kind::StoredType;
use super::object::OVERHEAD;
use super::pins::PinGuard;
use super::refs::ObjectRef;
use super::room::Ticket;
use crate::id::ObjectId;

/// An object that is written in place, and published without a copy by [`seal`](Self::seal).
///
/// It has its room from the start. Dropped unsealed, it gives the room back, and its id answers
/// [`ObjectError::Aborted`].
#[must_use = "dropping a builder aborts its object"]
pub struct ObjectBuilder {
    inner: Arc<Inner>,
    id: ObjectId,
    size: usize,
    buffer: Vec<u8>,
    /// Some until it was sealed.
    ticket: Option<Ticket>,
}

/// More bytes than an object was created for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// How many were to be written.
    pub len: usize,
    /// How many were left.
    pub remaining: usize,
}

/// An object that could not be sealed, and its builder.
#[non_exhaustive]
pub struct SealError {
    /// As it was.
    pub builder: ObjectBuilder,
    /// Why not.
    pub reason: ObjectError,
}

impl ObjectBuilder {
    /// In room that was made for it; what is more than that pays for its place in the index.
    ///
    /// # Errors
    /// If there is no memory for the buffer, or no place.
    pub(super) fn new(
        inner: &Arc<Inner>,
        size: usize,
        mut ticket: Ticket,
    ) -> Result<Self, ObjectError> {
        let own = ticket.split(size as u64 + OVERHEAD);
        let mut buffer = Vec::new(); // freed before its room is given back
        let reserved = buffer.try_reserve_exact(size);
        reserved.map_err(|_| ObjectError::OutOfMemory { size })?;
        let id = inner.put_pending(ticket)?;
        inner.figures.reserved(size as u64);
        Ok(Self {
            inner: Arc::clone(inner),
            id,
            size,
            buffer,
            ticket: Some(own),
        })
    }

    /// # Errors
    /// As `new`.
    pub(super) fn many(
        inner: &Arc<Inner>,
        sizes: &[usize],
        mut ticket: Ticket,
    ) -> Result<Vec<Self>, ObjectError> {
        let own: u64 = sizes.iter().map(|&size| size as u64 + OVERHEAD).sum();
        // Each gives back what its place does not cost.
        let each = (ticket.tokens() - own) / sizes.len().max(1) as u64;
        let build = |&size: &usize| {
            let ticket = ticket.split(size as u64 + OVERHEAD + each);
            Self::new(inner, size, ticket)
        };
        sizes.iter().map(build).collect()
    }

    /// The id, which is pending until the object is sealed.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// How long the object will be.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many bytes are still to be written.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.size - self.buffer.len()
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.buffer
    }

    /// Writes behind what was written.
    ///
    /// # Errors
    /// If that is more than what remains; nothing is written then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Overrun> {
        let (len, remaining) = (bytes.len(), self.remaining());
        if len > remaining {
            return Err(Overrun { len, remaining });
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// What is still to be written, in any order; [`advance`](Self::advance) says that it was.
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let remaining = self.remaining();
        &mut self.buffer.spare_capacity_mut()[..remaining]
    }

    /// So much of the [spare capacity](Self::spare_capacity_mut) was written.
    ///
    /// # Panics
    /// If that is more than what remains.
    ///
    /// # Safety
    /// S1: the next `written` bytes are initialized.
    pub unsafe fn advance(&mut self, written: usize) {
        assert!(written <= self.remaining(), "more than the object is long");
        let len = self.buffer.len() + written;
        // SAFETY: S1: they are initialized, and within the capacity.
        unsafe { self.buffer.set_len(len) };
    }

    /// All of the object; what was not written yet is made zero, and counts as written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.buffer.resize(self.size, 0);
        &mut self.buffer
    }

    /// Publishes the object, without a copy.
    ///
    /// # Errors
    /// The builder comes back: with [`ObjectError::Short`] if bytes are still to be written; or it was
    /// deleted meanwhile, or the store is gone.
    ///
    /// # Linearization
    /// Where the object's state is stored, under the lock of its shard.
    pub fn seal(mut self) -> Result<ObjectId, SealError> {
        // To the end: what was published may have to go for somebody who waits, and we have it too.
        let inner = Arc::clone(&self.inner);
        let _visit = inner.visit();
        match self.publish() {
            Ok(bytes) => {
                drop(bytes);
                Ok(self.id)
            }
            Err(reason) => {
                let builder = self;
                Err(SealError { builder, reason })
            }
        }
    }

    /// As [`seal`](Self::seal), and pinned from then on: no moment is between in which it could be
    /// evicted.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_pinned(mut self) -> Result<PinGuard, SealError> {
        let pinned = self.inner.pin(self.id);
        let published = pinned
            .map_err(|_| self.inner.ended(self.id))
            .and_then(|()| {
                let published = self.publish();
                if published.is_err() {
                    // One that was deleted has no pins any more.
                    let _ = self.inner.unpin(self.id);
                }
                published
            });
        match published {
            Ok(bytes) => Ok(PinGuard::of_pin(&self.inner, self.id, bytes)),
            Err(reason) => {
                let builder = self;
                Err(SealError { builder, reason })
            }
        }
    }

    fn publish(&mut self) -> Result<Bytes, ObjectError> {
        let missing = self.remaining();
        if missing > 0 {
            return Err(ObjectError::Short { missing });
        }
        let ticket = self.ticket.take().expect("it is published once");
        // Where it has its size, the buffer is moved.
        let buffer = Bytes::from(core::mem::take(&mut self.buffer));
        let published = self
            .inner
            .fulfil(self.id, buffer, StoredType::BYTES, ticket);
        match published {
            Ok(bytes) => {
                self.inner
                    .figures
                    .reserved((self.size as u64).wrapping_neg());
                Ok(bytes)
            }
            Err((buffer, ticket)) => {
                self.inner.figures.pending(1); // until the builder is dropped
                self.buffer = Vec::from(buffer);
                self.ticket = Some(ticket);
                Err(self.inner.ended(self.id))
            }
        }
    }

    /// A reference to the object, for whoever waits for it.
    ///
    /// # Errors
    /// If it was deleted, or the store is gone.
    pub fn reference<T>(&self) -> Result<ObjectRef<T>, ObjectError> {
        ObjectRef::new(&self.inner, self.id)
    }

    /// What it has of the room, if it is of this store.
    pub(super) fn holds(&self, inner: &Arc<Inner>) -> Option<(u64, u64)> {
        let ticket = self.ticket.as_ref()?;
        Arc::ptr_eq(inner, &self.inner).then(|| (self.id.get(), ticket.tokens()))
    }
}

impl io::Write for ObjectBuilder {
    /// As much as remains.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.remaining());
        self.buffer.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectBuilder {
    fn drop(&mut self) {
        let Some(mut ticket) = self.ticket.take() else {
            return;
        };
        // The buffer is freed before its room is said to be.
        drop(core::mem::take(&mut self.buffer));
        self.inner
            .figures
            .reserved((self.size as u64).wrapping_neg());
        let entry = ticket.split(OVERHEAD);
        self.inner
            .fail(self.id, ObjectError::Aborted(self.id), Some(entry));
    }
}

impl fmt::Debug for ObjectBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBuilder")
            .field("id", &self.id)
            .field("size", &self.size)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes do not fit into the {} that remain",
            self.len, self.remaining
        )
    }
}

impl Error for Overrun {}

impl fmt::Debug for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealError")
            .field("builder", &self.builder)
            .field("reason", &self.reason)
            .finish()
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for SealError {}
