//! Where retired things wait: an open batch, and sealed ones that ripen.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::{Domain, Guard};
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicBool, Ordering::*};

/// An open batch is sealed at so many bytes ..
const SEAL_BYTES: usize = 64 << 10;
/// .. or so many things.
const SEAL_ITEMS: usize = if SMALL { 1 } else { 64 };

/// Set once nobody can look at a sealed batch any more.
#[derive(Debug)]
pub(crate) struct Ripe(AtomicBool);

impl Ripe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(false)))
    }

    /// All that a collector ever runs for us.
    pub(super) fn mark(&self) {
        // Release [RIPE]: the readers' last looks, which the collector ordered before this
        // call, come before whatever is done with the batch.
        self.0.store(true, Release);
    }

    fn is_ripe(&self) -> bool {
        // Acquire [RIPE]: see the readers gone before the batch is taken apart.
        self.0.load(Acquire)
    }
}

/// Things that readers may still be looking at, in the order in which they were retired.
///
/// Owned by one structure and guarded by one of its locks.
pub(crate) struct Limbo<T> {
    domain: Domain,
    open: Vec<T>,
    open_bytes: u128,
    sealed: VecDeque<Batch<T>>,
    /// A sum of sizes in 64 bits each.
    sealed_bytes: u128,
}

struct Batch<T> {
    ripe: Arc<Ripe>,
    items: Vec<T>,
    bytes: u128,
}

impl<T> Limbo<T> {
    /// For what the readers of this domain see.
    pub(crate) fn new(domain: &Domain) -> Self {
        Self {
            domain: domain.clone(),
            open: Vec::new(),
            open_bytes: 0,
            sealed: VecDeque::new(),
            sealed_bytes: 0,
        }
    }

    /// Retires a thing that can no longer be reached and that weighs so many bytes.
    ///
    /// # Panics
    /// If the guard was made by another domain; here and in `seal`.
    pub(crate) fn push(&mut self, item: T, bytes: usize, guard: &Guard) {
        if self.add(item, bytes) {
            self.seal(guard);
        }
    }

    /// Retires a thing without a guard; says whether the open batch is full and wants to be sealed.
    pub(crate) fn add(&mut self, item: T, bytes: usize) -> bool {
        self.open.push(item);
        self.open_bytes += bytes as u128;
        self.open.len() >= SEAL_ITEMS || self.open_bytes >= SEAL_BYTES as u128
    }

    /// Closes the open batch: from now on it ripens.
    pub(crate) fn seal(&mut self, guard: &Guard) {
        let ripe = Ripe::new();
        if self.seal_with(&ripe) {
            self.domain.defer_mark(ripe, guard);
        }
    }

    /// As `seal`, for one who seals many limbos of the domain, and then has all of them marked at once
    /// by [`Domain::defer_mark`]; whether there was anything.
    pub(crate) fn seal_with(&mut self, ripe: &Arc<Ripe>) -> bool {
        if self.open.is_empty() {
            return false;
        }
        self.sealed_bytes += self.open_bytes;
        self.sealed.push_back(Batch {
            ripe: Arc::clone(ripe),
            items: core::mem::take(&mut self.open),
            bytes: core::mem::take(&mut self.open_bytes),
        });
        true
    }

    /// Takes the oldest batch if nobody looks at it any more.
    pub(crate) fn take_ripe(&mut self) -> Option<Vec<T>> {
        if !self.sealed.front()?.ripe.is_ripe() {
            return None;
        }
        let batch = self.sealed.pop_front()?;
        self.sealed_bytes -= batch.bytes;
        Some(batch.items)
    }

    /// Everything, ripe or not: for an owner that knows that nobody looks (`&mut`, or a drop).
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        (self.open_bytes, self.sealed_bytes) = (0, 0);
        let sealed = self.sealed.drain(..).flat_map(|batch| batch.items);
        sealed.chain(self.open.drain(..))
    }

    /// How many things wait.
    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.sealed.iter().map(|b| b.items.len()).sum::<usize>()
    }

    /// How many bytes wait, or `usize::MAX`.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.open_bytes + self.sealed_bytes).unwrap_or(usize::MAX)
    }
}

impl<T> fmt::Debug for Limbo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limbo")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .finish()
    }
}
