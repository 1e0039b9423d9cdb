//! Waiting for a future without an executor: the thread sleeps until it is woken.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};
#[cfg(feature = "store")]
use std::mem;
#[cfg(feature = "store")]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};
#[cfg(feature = "store")]
use std::time::Instant;

use super::waits;

#[cfg(all(loom, feature = "loom"))]
use loom::thread;
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
use shuttle::thread;
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
use std::thread;

/// Wakes a thread that sleeps in `block_on`.
struct Sleeper(thread::Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // Mostly it is ready at once, and nobody has to be able to wake us.
    if let Poll::Ready(output) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        return output;
    }
    let waker = Waker::from(Arc::new(Sleeper(thread::current())));
    let mut context = Context::from_waker(&waker);
    let _sleeps = waits::sleeps();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// As `block_on`, until the deadline: nothing if that comes first. Under a checker there is no time,
/// and none comes.
#[cfg(feature = "store")]
pub(crate) fn block_on_until<F: Future>(future: F, deadline: Instant) -> Option<F::Output> {
    let mut future = pin!(future);
    let sleeper = Arc::new(timed::Sleeper::new());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        sleeper.sleep_until(deadline)?;
    }
}

#[cfg(all(
    feature = "store",
    not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))
))]
mod timed {
    use super::{Instant, thread};

    /// Wakes a thread that sleeps until a deadline.
    pub(super) struct Sleeper(thread::Thread);

    impl Sleeper {
        pub(super) fn new() -> Self {
            Self(thread::current())
        }

        /// Nothing if the deadline has passed.
        pub(super) fn sleep_until(&self, deadline: Instant) -> Option<()> {
            let left = deadline.checked_duration_since(Instant::now())?;
            thread::park_timeout(left);
            Some(())
        }

        pub(super) fn wake(&self) {
            self.0.unpark();
        }
    }
}

/// A lock and a condition: loom forgets an `unpark` that comes while the thread waits for a lock, or
/// gives way.
#[cfg(all(
    feature = "store",
    any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))
))]
mod timed {
    use super::Instant;
    use crate::sync::lock::{Condition, Mutex};

    pub(super) struct Sleeper(Mutex<bool>, Condition);

    impl Sleeper {
        pub(super) fn new() -> Self {
            Self(Mutex::new(false), Condition::new())
        }

        pub(super) fn sleep_until(&self, _: Instant) -> Option<()> {
            let mut woken = self.0.lock();
            while !*woken {
                woken = self.1.wait(woken);
            }
            *woken = false;
            Some(())
        }

        pub(super) fn wake(&self) {
            *self.0.lock() = true;
            self.1.notify_all();
        }
    }
}

#[cfg(feature = "store")]
impl Wake for timed::Sleeper {
    fn wake(self: Arc<Self>) {
        timed::Sleeper::wake(&self);
    }
}

/// Wakes somebody. If that panics, it is nobody's affair here: others wait as well.
#[cfg(feature = "store")]
pub(crate) fn wake(waker: Waker) {
    let woken = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    // What it panicked with may panic again as it is dropped.
    mem::forget(woken);
}

/// Gives way to others.
#[cfg(feature = "store")]
pub(crate) fn yield_now() {
    thread::yield_now();
}

/// Gives way to others, longer each time.
pub(crate) fn back_off(times: u32) {
    #[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
    if times > 8 {
        thread::sleep(core::time::Duration::from_micros(50 << (times - 8).min(5)));
        return;
    }
    let _ = times;
    thread::yield_now();
}
