//! Waiting for a pending object.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use super::error::ObjectError;
use super::inner::Inner;
use super::lot::{Answer, Waiter};
use super::op::Op;
use super::word::Phase;
use crate::cache::tend::Fate;
use crate::id::ObjectId;

/// A future of what an object comes to.
pub(super) struct Awaiting<'a> {
    inner: &'a Inner,
    id: ObjectId,
    waiter: Option<Arc<Waiter>>,
}

impl<'a> Awaiting<'a> {
    pub(super) fn new(inner: &'a Inner, id: ObjectId) -> Self {
        let waiter = None;
        Self { inner, id, waiter }
    }

    /// At once where the object is not pending.
    pub(super) fn op(inner: &'a Inner, id: ObjectId) -> Op<'a, Answer> {
        match inner.get_stored(id) {
            Err(ObjectError::Pending(_)) => Op::waits(Self::new(inner, id)),
            answer => Op::ready(answer),
        }
    }
}

impl Inner {
    /// Waits for an object, if it is pending.
    fn wait_for(&self, id: ObjectId) -> Option<Arc<Waiter>> {
        let waiter = self.cache.tend(&id, |object| {
            let seen = object.word.look();
            let waits = seen.phase() == Phase::Pending && !seen.is_deleted();
            let waiter = waits.then(|| {
                object.word.await_outcome();
                self.lot.add(id)
            });
            (Fate::STAYS, waiter)
        });
        waiter.flatten()
    }
}

impl Future for Awaiting<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        while self.waiter.is_none() {
            match self.inner.get_stored(self.id) {
                Err(ObjectError::Pending(_)) => self.waiter = self.inner.wait_for(self.id),
                answer => return Poll::Ready(answer),
            }
        }
        let waiter = self.waiter.as_ref().expect("it was just made");
        waiter.poll(context.waker())
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = &self.waiter {
            self.inner.lot.leave(self.id, waiter);
        }
    }
}
