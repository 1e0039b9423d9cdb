//! A mutex that is never poisoned: no user code runs under any lock of this crate, so a panic
//! can leave nothing half done that the next holder would have to know of.

use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

#[cfg(all(loom, feature = "loom"))]
use loom::sync as imp;
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
use shuttle::sync as imp;
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
use std::sync as imp;

pub(crate) use imp::MutexGuard;
/// A value that is set once. No checker looks at it: what sets it does nothing that one sees.
#[cfg(feature = "store")]
pub(crate) use std::sync::OnceLock as SetOnce;

/// Threads that wait for what a lock guards.
#[cfg(feature = "store")]
#[derive(Debug)]
pub(crate) struct Condition(imp::Condvar);

#[cfg(feature = "store")]
impl Condition {
    pub(crate) fn new() -> Self {
        Self(imp::Condvar::new())
    }

    /// Frees the lock, waits to be woken, perhaps for nothing, and takes it again.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let result: LockResult<_> = self.0.wait(guard);
        result.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Lets others run, if there are any.
#[cfg(feature = "store")]
pub(crate) fn yield_now() {
    #[cfg(all(loom, feature = "loom"))]
    loom::thread::yield_now();
    #[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
    shuttle::thread::yield_now();
    #[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
    std::thread::yield_now();
}

/// Mutual exclusion for writers; no lookup takes one.
#[derive(Debug)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let result: LockResult<_> = self.0.lock();
        result.unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, if it is free: never waits.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let result: TryLockResult<_> = self.0.try_lock();
        match result {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
