//! Tiny stores whose payloads loom watches.
//!
//! The letters in what is asserted are those of the models that use it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use mapless::models::{Tiny, awaited};
use mapless::{InMemoryStore, ObjectError, ObjectId};

/// There is no time here.
pub(crate) const LONG: Duration = Duration::from_secs(1);

pub(crate) const NEW: u8 = 0;
pub(crate) const COUNTED: u8 = 1;
pub(crate) const GONE: u8 = 2;

/// Sees a payload read, and freed.
pub(crate) struct Watch {
    pub(crate) payload: UnsafeCell<()>,
    /// Invisible to loom.
    pub(crate) state: AtomicU8,
    held: Arc<AtomicUsize>,
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: nothing is in the cell; loom says who looks at it while another writes.
unsafe impl Sync for Watch {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for Watch {}

/// The owner of a payload.
pub(crate) struct Payload(Arc<Watch>, &'static [u8]);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.1
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.payload.with_mut(|_| ());
        if self.0.state.swap(GONE, Relaxed) == COUNTED {
            self.0.held.fetch_sub(1, Relaxed);
        }
    }
}

/// A store, and how many payloads it holds.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<InMemoryStore>,
    limit: usize,
    /// Invisible to loom.
    pub(crate) held: Arc<AtomicUsize>,
}

pub(crate) const TINY: Tiny = Tiny {
    objects: 1,
    shards: 1,
    count_retained: true,
    collect_unreferenced: false,
    place: 0,
};

impl World {
    pub(crate) fn new(tiny: Tiny) -> Self {
        Self {
            store: Arc::new(tiny.build()),
            limit: tiny.objects as usize,
            held: Arc::default(),
        }
    }

    /// Of an object without bytes.
    pub(crate) fn payload(&self) -> (Bytes, Arc<Watch>) {
        self.payload_of(&[])
    }

    pub(crate) fn payload_of(&self, bytes: &'static [u8]) -> (Bytes, Arc<Watch>) {
        let watch = Arc::new(Watch {
            payload: UnsafeCell::new(()),
            state: AtomicU8::new(NEW),
            held: Arc::clone(&self.held),
        });
        (Bytes::from_owner(Payload(Arc::clone(&watch), bytes)), watch)
    }

    /// The store has it from now on (M3), unless it is gone again.
    pub(crate) fn count(&self, watch: &Watch) {
        let counted = watch
            .state
            .compare_exchange(NEW, COUNTED, Relaxed, Relaxed)
            .is_ok();
        let before = self.held.fetch_add(usize::from(counted), Relaxed);
        assert!(!counted || before < self.limit, "M3");
    }

    /// Puts an object, if there is room for it.
    pub(crate) fn put(&self) -> Option<(ObjectId, Arc<Watch>)> {
        let (bytes, watch) = self.payload();
        match self.store.put_bytes(bytes) {
            Ok(id) => {
                self.count(&watch);
                Some((id, watch))
            }
            Err(refused) => {
                assert!(matches!(refused.reason, ObjectError::Full(_)));
                None
            }
        }
    }

    pub(crate) fn put_waiting(&self) -> ObjectId {
        let (bytes, watch) = self.payload();
        let id = self.store.put_timeout(bytes, LONG).expect("M4");
        self.count(&watch);
        id
    }

    /// Reads an object, whose payload nobody may free meanwhile.
    pub(crate) fn read(&self, id: ObjectId, watch: &Watch) -> Result<(), ObjectError> {
        self.store.read(id, |_| watch.payload.with(|_| ()))
    }

    /// Nothing is lost, and nobody waits any more.
    #[track_caller]
    pub(crate) fn end(self) {
        assert_eq!(awaited(&self.store), 0, "M2");
        self.store.clear();
        let stats = self.store.stats();
        assert_eq!((stats.used_bytes, stats.retained_bytes), (0, 0), "M3");
        assert_eq!((stats.pinned_bytes, stats.pending), (0, 0), "M1");
        assert_eq!(self.held.load(Relaxed), 0, "M3");
    }

    pub(crate) fn spawn<R: 'static>(
        &self,
        f: impl FnOnce(&Self) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let world = self.clone();
        thread::spawn(move || f(&world))
    }
}

/// Wakes a thread that sleeps. Not by `unpark`, of which loom forgets one that finds the thread in the
/// queue of a lock.
#[derive(Default)]
pub(crate) struct Sleeper {
    is_woken: Mutex<bool>,
    wakes: Condvar,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.wakes.notify_one();
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                let mut is_woken = sleeper.is_woken.lock().unwrap();
                while !*is_woken {
                    is_woken = sleeper.wakes.wait(is_woken).unwrap();
                }
                *is_woken = false;
            }
        }
    }
}

pub(crate) fn is_gone(error: &ObjectError) -> bool {
    matches!(error, ObjectError::Evicted(_))
}
