//! Waiting for a pending object; which is one read, however often it looks.

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
    /// Some while it waits.
    waiter: Option<Arc<Waiter>>,
    /// As a hit or a miss.
    is_counted: bool,
}

impl<'a> Awaiting<'a> {
    pub(super) fn new(inner: &'a Inner, id: ObjectId) -> Self {
        Self {
            inner,
            id,
            waiter: None,
            is_counted: false,
        }
    }

    /// At once where the object is not pending.
    pub(super) fn op(inner: &'a Inner, id: ObjectId) -> Op<'a, Answer> {
        match inner.get_or_wait(id) {
            Err(ObjectError::Pending(_)) => Op::waits(Self::new(inner, id)),
            answer => Op::ready(answer),
        }
    }
}

impl Inner {
    /// As `get_stored`, for one who waits where it is pending, which does not count.
    fn get_or_wait(&self, id: ObjectId) -> Answer {
        self.read_or_wait(id, true, |bytes, kind| Ok((bytes.clone(), kind)))
    }

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
            match self.inner.get_or_wait(self.id) {
                Err(ObjectError::Pending(_)) => self.waiter = self.inner.wait_for(self.id),
                answer => {
                    self.is_counted = true;
                    return Poll::Ready(answer);
                }
            }
        }
        let waiter = self.waiter.as_ref().expect("it was just made");
        let told = waiter.poll(context.waker());
        if let Poll::Ready(answer) = &told {
            self.inner.figures.was_told(answer.is_ok());
            self.is_counted = true;
        }
        told
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        if !self.is_counted {
            self.inner.figures.miss(); // it gave up
        }
        if let Some(waiter) = &self.waiter {
            self.inner.lot.leave(self.id, waiter);
        }
    }
}
