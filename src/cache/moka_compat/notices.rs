//! Removals that an asynchronous listener is to be told, and has not been yet.
//!
//! # Shape
//! ```text
//! the core tells --by this thread--> queue --deliver--> listener's future, awaited by the caller
//!                                      ^                     |
//!                                      +--- what a caller that is dropped meanwhile leaves
//! ```
//! A call that writes takes out what was told on its own thread, which is what it caused itself:
//! nothing is awaited between the two. `run_pending_tasks` takes out everything.
//!
//! # Invariants
//! * A1  A removal is told once: it is in the queue, or in one delivery, or told.
//! * A2  What a delivery that is dropped had before it goes back, ahead of the others.
//!
//! # Progress
//! Blocks on the queue's lock, under which no user code runs; otherwise on the listener.
//!
//! # Checked by
//! `tests/moka_compat_future.rs` (A1, A2).

use core::fmt;
use core::future::poll_fn;
use core::panic::AssertUnwindSafe;
use core::task::Poll;
use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::sync::Arc;

use super::notification::{ListenerFuture, RemovalCause};
use crate::sync::local::own_number;
use crate::sync::lock::Mutex;

pub(super) type AsyncListener<K, V> =
    Arc<dyn Fn(Arc<K>, V, RemovalCause) -> ListenerFuture + Send + Sync>;

/// Removals on their way to an asynchronous listener.
pub(super) struct Notices<K, V> {
    listener: AsyncListener<K, V>,
    queue: Mutex<VecDeque<Notice<K, V>>>,
}

struct Notice<K, V> {
    /// The number of the thread that told of it, while the call that caused it goes on there.
    by: Option<usize>,
    what: What<K, V>,
}

enum What<K, V> {
    Untold(Arc<K>, V, RemovalCause),
    /// The listener's future was begun and not finished.
    Begun(ListenerFuture),
}

/// Whose removals are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// This thread's, and those that a dropped call left.
    Own,
    All,
}

impl<K, V> Notices<K, V> {
    pub(super) fn new(listener: AsyncListener<K, V>) -> Self {
        Self {
            listener,
            queue: Mutex::new(VecDeque::new()),
        }
    }

    /// An entry left.
    pub(super) fn add(&self, key: Arc<K>, value: V, cause: RemovalCause) {
        let by = own_number();
        let what = What::Untold(key, value, cause);
        self.queue.lock().push_back(Notice { by, what });
    }

    /// Leaves what this thread was told to whoever comes next: its call cannot wait.
    pub(super) fn disown(&self) {
        let own = own_number();
        let mut queue = self.queue.lock();
        let told = queue.iter_mut().filter(|notice| notice.by == own);
        told.for_each(|notice| notice.by = None);
    }

    /// Tells the listener, one removal after the other, and waits for it.
    pub(super) async fn deliver(&self, whose: Whose) {
        let mut delivery = Delivery {
            notices: self,
            left: self.take(whose),
        };
        poll_fn(|context| {
            while let Some(future) = delivery.begin() {
                // A panic in the listener ends its own future and no more.
                let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
                if let Ok(poll @ Poll::Pending) = polled {
                    return poll;
                }
                delivery.left.pop_front();
            }
            Poll::Ready(())
        })
        .await;
    }

    fn take(&self, whose: Whose) -> VecDeque<What<K, V>> {
        let own = own_number();
        let mut queue = self.queue.lock();
        let all = core::mem::take(&mut *queue);
        let is_meant =
            |notice: &Notice<K, V>| whose == Whose::All || notice.by.is_none() || notice.by == own;
        let (meant, others) = all.into_iter().partition(is_meant);
        *queue = others;
        drop(queue);
        let meant: VecDeque<Notice<K, V>> = meant;
        meant.into_iter().map(|notice| notice.what).collect()
    }
}

impl<K, V> fmt::Debug for Notices<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.lock().len();
        f.debug_struct("Notices")
            .field("waiting", &waiting)
            .finish()
    }
}

/// Removals that one caller tells of; the first may have been begun.
struct Delivery<'a, K, V> {
    notices: &'a Notices<K, V>,
    left: VecDeque<What<K, V>>,
}

impl<K, V> Delivery<'_, K, V> {
    /// The listener's future for the first of those that are left.
    fn begin(&mut self) -> Option<&mut ListenerFuture> {
        loop {
            if matches!(self.left.front()?, What::Begun(_)) {
                break;
            }
            let Some(What::Untold(key, value, cause)) = self.left.pop_front() else {
                unreachable!("the first one is there and was not begun");
            };
            let listener = &self.notices.listener;
            let begun = catch_unwind(AssertUnwindSafe(|| listener(key, value, cause)));
            if let Ok(future) = begun {
                self.left.push_front(What::Begun(future));
            }
        }
        match self.left.front_mut() {
            Some(What::Begun(future)) => Some(future),
            _ => None,
        }
    }
}

impl<K, V> Drop for Delivery<'_, K, V> {
    fn drop(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let mut queue = self.notices.queue.lock();
        while let Some(what) = self.left.pop_back() {
            queue.push_front(Notice { by: None, what });
        }
    }
}
