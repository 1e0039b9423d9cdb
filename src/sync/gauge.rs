//! Figures that steer and inform: no protocol depends on one, so no checker looks at them.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A figure that its owner stores, under a lock of its own, and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    #[cfg(feature = "store")]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn get(&self) -> u64 {
        // Relaxed: a figure; nothing is published by it.
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        // Relaxed: as above.
        self.0.store(value, Relaxed);
    }

    pub(crate) fn add(&self, value: u64) {
        // Relaxed: as above.
        self.0.fetch_add(value, Relaxed);
    }
}
