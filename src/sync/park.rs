//! Waiting for a future without an executor: the thread sleeps until it is woken.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};
use std::sync::Arc;
use std::task::{Wake, Waker};

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
