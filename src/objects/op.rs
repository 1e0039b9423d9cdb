//! A future that allocates only where it has to wait.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// What an operation of an [`ObjectStore`](super::ObjectStore) comes to: at once, or in time.
#[must_use = "an operation that has to wait does nothing unless it is awaited"]
pub struct Op<'a, T>(State<'a, T>);

enum State<'a, T> {
    Ready(Option<T>),
    Waits(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<'a, T> Op<'a, T> {
    /// It is done.
    pub fn ready(value: T) -> Self {
        Self(State::Ready(Some(value)))
    }

    /// It has to wait.
    pub fn waits(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self(State::Waits(Box::pin(future)))
    }

    /// Its result, if it did not have to wait.
    ///
    /// # Errors
    /// The operation itself, if it has to.
    ///
    /// # Panics
    /// If it was awaited to its end before.
    pub fn now(self) -> Result<T, Self> {
        match self.0 {
            State::Ready(value) => Ok(value.expect("an operation ends once")),
            State::Waits(future) => Err(Self(State::Waits(future))),
        }
    }

    /// With its result made into another.
    pub fn map<U>(self, f: impl FnOnce(T) -> U + Send + 'a) -> Op<'a, U>
    where
        T: Send + 'a,
    {
        match self.now() {
            Ok(value) => Op::ready(f(value)),
            Err(op) => Op::waits(async move { f(op.await) }),
        }
    }
}

// Nobody is promised that the value stays where it is.
impl<T> Unpin for Op<'_, T> {}

impl<T> Future for Op<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(value) => Poll::Ready(value.take().expect("an operation ends once")),
            State::Waits(future) => future.as_mut().poll(context),
        }
    }
}

impl<T> fmt::Debug for Op<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Op(ready)",
            State::Waits(_) => "Op(waits)",
        })
    }
}
