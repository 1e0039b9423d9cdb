//! Waiting for room, in the order in which one came.
//!
//! # Checked by
//! `loom-tests/objects.rs`, `loom-tests/objects_promise.rs`; `tests/objects.rs`.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::builder::ObjectBuilder;
use super::error::{ObjectError, PutError};
use super::inner::Inner;
use super::kind::StoredType;
use super::object::OVERHEAD;
use super::promise::Promise;
use super::room::{Asks, Ticket};
use super::telemetry;
use super::word::Phase;
use crate::id::ObjectId;
use crate::sync::park::block_on_until;

/// Operations that wait for room while the caller holds some builders: see
/// [`InMemoryStore::holding`](super::InMemoryStore::holding).
///
/// Whoever waits is woken, and does not poll. Who came first is served first, and until then nobody
/// gets room who does not wait. Inside of `read`, which may itself keep the room, none waits.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    inner: &'a Arc<Inner>,
    builders: &'a [&'a ObjectBuilder],
}

/// When a timeout is over that begins now; ten years are for ever, which the clock can say.
pub(super) fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(Duration::from_secs(10 * 365 * 24 * 3600))
}

impl Inner {
    /// What objects of these lengths, of which there are some, take of the room, together; beside places
    /// of the index, for which there has to be room too.
    pub(super) fn need_of_all(&self, lens: &[usize]) -> Result<u64, ObjectError> {
        let sum = lens
            .iter()
            .try_fold(0usize, |sum, len| sum.checked_add(*len));
        let overhead = OVERHEAD as usize * lens.len().saturating_sub(1);
        let all = sum.and_then(|sum| sum.checked_add(overhead));
        let need = self.need(all.unwrap_or(usize::MAX))?;
        let index = self.room.places().cost(lens.len() as u64);
        if need + index > self.room.limit() {
            let most = self.room.limit().saturating_sub(index + OVERHEAD);
            return Err(ObjectError::TooLarge {
                len: need - OVERHEAD,
                most,
            });
        }
        Ok(need)
    }

    /// Whether an object is still to come. Others than the front of the line visit meanwhile.
    fn is_pending(&self, id: ObjectId) -> bool {
        let guard = self.cache.pin();
        let object = self.cache.peek_in(&id, &guard);
        object.is_some_and(|object| {
            let seen = object.word.look();
            seen.phase() == Phase::Pending && !seen.is_deleted()
        })
    }
}

impl<'a> Waiting<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, builders: &'a [&'a ObjectBuilder]) -> Self {
        Self { inner, builders }
    }

    fn acquire(self, need: u64) -> Acquire<'a> {
        Acquire {
            waiting: self,
            need,
            pending: None,
            number: None,
        }
    }

    /// Has `enter` make something in room that was acquired for it, and for its place in the index.
    async fn acquire_for<T>(
        self,
        need: u64,
        mut enter: impl FnMut(Ticket) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let mut more = 0u64;
        loop {
            let all = need.saturating_add(more).min(self.inner.room.limit());
            match enter(self.acquire(all).await?) {
                // With all that there is it cannot have more.
                Err(ObjectError::Full(full))
                    if all < self.inner.room.limit()
                        && !self.inner.cache.domain().is_pinned_here() =>
                {
                    more = more.saturating_add(full.asked);
                }
                done => return done,
            }
        }
    }

    /// As `acquire_for`, and blocks no longer than that.
    fn acquire_until<T>(
        self,
        need: u64,
        timeout: Duration,
        enter: impl FnMut(Ticket) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let done = block_on_until(self.acquire_for(need, enter), deadline(timeout));
        done.unwrap_or_else(|| Err(self.inner.full(need).into()))
    }

    /// Puts the bytes in once there is room; they stay where they are if it fails.
    fn entering(
        self,
        bytes: &mut Option<Bytes>,
    ) -> impl FnMut(Ticket) -> Result<ObjectId, ObjectError> + use<'_, 'a> {
        move |ticket| {
            let owned = bytes.take().expect("they are put once");
            let put = self.inner.put_in(owned, StoredType::BYTES, ticket);
            put.map_err(|(owned, full)| {
                *bytes = Some(owned);
                full.into()
            })
        }
    }

    /// As [`InMemoryStore::put_timeout`](super::InMemoryStore::put_timeout).
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub fn put_timeout(self, bytes: Bytes, timeout: Duration) -> Result<ObjectId, PutError> {
        let need = self.inner.need(bytes.len());
        let mut bytes = Some(bytes);
        let put = need.and_then(|need| {
            let enter = self.entering(&mut bytes);
            self.acquire_until(need, timeout, enter)
        });
        put.map_err(|reason| refused(bytes, reason))
    }

    /// As [`InMemoryStore::put_async`](super::InMemoryStore::put_async).
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub async fn put_async(self, bytes: Bytes) -> Result<ObjectId, PutError> {
        let need = self.inner.need(bytes.len());
        let mut bytes = Some(bytes);
        let put = match need {
            Ok(need) => self.acquire_for(need, self.entering(&mut bytes)).await,
            Err(error) => Err(error),
        };
        put.map_err(|reason| refused(bytes, reason))
    }

    /// As [`InMemoryStore::create_timeout`](super::InMemoryStore::create_timeout).
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub fn create_timeout(
        self,
        size: usize,
        timeout: Duration,
    ) -> Result<ObjectBuilder, ObjectError> {
        let need = self.inner.need(size)?;
        let enter = |ticket| ObjectBuilder::new(self.inner, size, ticket);
        self.acquire_until(need, timeout, enter)
    }

    /// As [`InMemoryStore::create_async`](super::InMemoryStore::create_async).
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub async fn create_async(self, size: usize) -> Result<ObjectBuilder, ObjectError> {
        let need = self.inner.need(size)?;
        let enter = |ticket| ObjectBuilder::new(self.inner, size, ticket);
        self.acquire_for(need, enter).await
    }

    /// As [`InMemoryStore::promise_async`](super::InMemoryStore::promise_async).
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub async fn promise_async(self) -> Result<Promise, ObjectError> {
        let enter = |ticket| Promise::new(self.inner, ticket);
        self.acquire_for(self.inner.need(0)?, enter).await
    }

    /// As [`InMemoryStore::create_many`](super::InMemoryStore::create_many), and waits so long until
    /// there is room for all.
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub fn create_many_timeout(
        self,
        sizes: &[usize],
        timeout: Duration,
    ) -> Result<Vec<ObjectBuilder>, ObjectError> {
        if sizes.is_empty() {
            return Ok(Vec::new());
        }
        let need = self.inner.need_of_all(sizes)?;
        let enter = |ticket| ObjectBuilder::many(self.inner, sizes, ticket);
        self.acquire_until(need, timeout, enter)
    }

    /// As [`InMemoryStore::create_many`](super::InMemoryStore::create_many), and waits until there is
    /// room for all.
    ///
    /// # Errors
    /// As there; and [`ObjectError::WouldDeadlock`].
    pub async fn create_many_async(
        self,
        sizes: &[usize],
    ) -> Result<Vec<ObjectBuilder>, ObjectError> {
        if sizes.is_empty() {
            return Ok(Vec::new());
        }
        let need = self.inner.need_of_all(sizes)?;
        let enter = |ticket| ObjectBuilder::many(self.inner, sizes, ticket);
        self.acquire_for(need, enter).await
    }

    /// More room for an object that is pending, as long as it is.
    pub(super) async fn acquire_more(
        self,
        id: ObjectId,
        len: usize,
    ) -> Result<Ticket, ObjectError> {
        let need = self.inner.need(len)? - OVERHEAD;
        let mut more = self.acquire(need);
        more.pending = Some(id);
        more.await
    }
}

/// The bytes come back.
fn refused(bytes: Option<Bytes>, reason: ObjectError) -> PutError {
    let bytes = bytes.expect("they were not put");
    PutError { bytes, reason }
}

impl fmt::Debug for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.builders).finish()
    }
}

/// A future of room.
struct Acquire<'a> {
    waiting: Waiting<'a>,
    need: u64,
    /// For what it is more, which nobody needs once that is deleted.
    pending: Option<ObjectId>,
    /// In the line.
    number: Option<u64>,
}

impl Acquire<'_> {
    /// What there is without waiting; else a place in the line.
    fn begin(&mut self) -> Result<Option<Ticket>, ObjectError> {
        let inner = self.waiting.inner;
        let _visit = inner.visit();
        let full = match inner.ticket(self.need) {
            Ok(ticket) => return Ok(Some(ticket)),
            Err(full) => full,
        };
        if inner.cache.domain().is_pinned_here() {
            return Err(full.into());
        }
        let builders = self.waiting.builders.iter();
        let holds = builders
            .filter_map(|builder| builder.holds(inner))
            .collect();
        self.number = Some(inner.room.join(self.need, holds)?);
        telemetry::waits(self.need);
        Ok(None)
    }
}

impl Future for Acquire<'_> {
    type Output = Result<Ticket, ObjectError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.waiting.inner;
        if inner.is_closed() {
            return Poll::Ready(Err(ObjectError::Closed));
        }
        if self.number.is_none()
            && let Some(done) = self.begin().transpose()
        {
            return Poll::Ready(done);
        }
        let number = self.number.expect("it stands in line");
        let is_front = inner.room.stand(number, context.waker())?;
        // Again: whoever closed it, or deleted the object, may have woken all that stood by then.
        if inner.is_closed() {
            return Poll::Ready(Err(ObjectError::Closed));
        }
        if let Some(id) = self.pending {
            // The front, who would be woken by it, is nobody whom our guard keeps from room.
            let _visit = (!is_front).then(|| inner.visit());
            if !inner.is_pending(id) {
                return Poll::Ready(Err(inner.ended(id)));
            }
        }
        if !is_front {
            return Poll::Pending;
        }
        match inner.make_room(self.need, Asks::AtFront) {
            Ok(ticket) => Poll::Ready(Ok(ticket)),
            // It began outside, but here nobody else may be what it waits for.
            Err(full) if inner.cache.domain().is_pinned_here() => Poll::Ready(Err(full.into())),
            Err(_) => Poll::Pending,
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.waiting.inner.room.leave(number);
        }
    }
}
