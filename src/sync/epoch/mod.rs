//! Who may still be looking, and what waits until nobody does.
//!
//! # Shape
//! ```text
//! Domain ── pin() ──> Guard          a reader is inside; its own collector, nobody else's
//!   writer: unlink, then
//!   Limbo [open batch] ── seal ──> [sealed | ripe?] [sealed | ripe?] ──> destructors
//!                          |                 ^                            (on a writer)
//!                          +- defer(mark) ---+  all that the collector ever runs
//! ```
//! crossbeam-epoch runs deferred work inside every 128th pin, a reader's too. So it is only ever
//! handed a mark of constant size, one per batch: "the batch is ripe". Batches are sealed by
//! bytes, and what is in them is dropped by writers and by explicit calls.
//!
//! # Invariants
//! * E1  A batch is ripe only after every guard that was live when it was sealed is gone.
//! * E2  No destructor runs inside a pin.
//! * E3  A guard of another domain is refused by a panic, in every build.
//!
//! # Edges
//! | edge | released by         | acquired by        | what crosses                         |
//! |------|---------------------|--------------------|--------------------------------------|
//! | RIPE | `Ripe::mark`        | `Ripe::is_ripe`    | the last looks of the readers        |
//!
//! # Progress
//! `Domain::pin` is lock-free: the first pin of a thread registers it, and some pins run marks.
//!
//! # Checked by
//! `loom-tests/epoch.rs` (E1, RIPE), on crossbeam-epoch and on the seam.
//!
//! K. Fraser, "Practical lock-freedom", PhD thesis, Cambridge, 2004 (epoch-based reclamation).

use core::fmt;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

mod handles;
mod limbo;
#[cfg(all(loom, feature = "loom"))]
mod seam;

pub(crate) use limbo::{Limbo, Ripe};

use crate::sync::SMALL;

/// After so many attempts in vain a guard is in the way. The epoch has to move twice, and an attempt
/// may come to nothing where a thread has just left.
const NUDGES: usize = if SMALL { 2 } else { 4 };

/// A set of structures that share their epochs, and so their guards.
///
/// A thread that has used a domain leaves it as its thread-locals are dropped, and is inside for that
/// moment as if by a guard: join the thread (a scope's end does not wait for that) before you count
/// on a `collect` to leave nothing behind.
///
/// A domain takes some 3 KB, and some 5 KB more in each thread that used it, which come back when the
/// thread uses another one or ends.
///
/// Each domain has a collector of its own: a stuck reader of another domain, or of another crate
/// that uses crossbeam-epoch, delays nothing here. Cloning yields a handle to the same domain.
///
/// ```
/// use mapless::{Domain, RangeIndex};
/// let domain = Domain::new();
/// let sizes: RangeIndex<u64> = RangeIndex::with_domain(&domain);
/// let names: RangeIndex<u64> = RangeIndex::with_domain(&domain);
/// let guard = domain.pin(); // good for both
/// # let _ = (sizes.len(), names.len(), guard);
/// ```
#[derive(Clone)]
pub struct Domain {
    /// That of `inner`, where a lookup finds it without a step.
    id: DomainId,
    inner: Arc<Inner>,
}

struct Inner {
    id: DomainId,
    collector: Collector,
    unripe: Arc<Unripe>,
}

/// How many sealed batches there are that are not ripe. It decides only how often a nudge tries
/// again, so it is not the checkers' business.
#[derive(Default)]
struct Unripe(AtomicUsize);

impl Unripe {
    fn add(&self) {
        // Relaxed: nothing is published by it.
        self.0.fetch_add(1, Relaxed);
    }

    fn sub(&self) {
        // Relaxed: as above.
        self.0.fetch_sub(1, Relaxed);
    }

    fn get(&self) -> usize {
        // Relaxed: as above.
        self.0.load(Relaxed)
    }
}

/// Tells domains apart; never reused in a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DomainId(NonZeroU64);

impl DomainId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness is wanted; nothing is published by it.
        let raw = NEXT.fetch_add(1, Relaxed);
        Self(NonZeroU64::new(raw).expect("2^64 domains"))
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self::new()
    }
}

impl Domain {
    /// A new domain. Under loom it reclaims through a small model of an epoch collector.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(all(loom, feature = "loom"))]
        let collector = Collector::Seam(seam::Collector::new());
        #[cfg(not(all(loom, feature = "loom")))]
        let collector = crossbeam_epoch::Collector::new();
        Self::over(collector)
    }

    /// A domain that reclaims through crossbeam-epoch itself, for the models of that joint.
    #[cfg(all(loom, feature = "loom"))]
    #[doc(hidden)]
    #[must_use]
    pub fn over_crossbeam() -> Self {
        Self::over(Collector::Real(crossbeam_epoch::Collector::new()))
    }

    fn over(collector: Collector) -> Self {
        let id = DomainId::next();
        let inner = Arc::new(Inner {
            id,
            collector,
            unripe: Arc::default(),
        });
        Self { id, inner }
    }

    /// Enters the domain: what is reachable now stays in memory until the guard is dropped.
    ///
    /// A guard is cheap (one store and one fence; nested, less) and should be short-lived: while
    /// it lives, no memory and no slot that was retired after it was taken comes back. It stops
    /// no lookup and no writer.
    ///
    /// # Progress
    /// Lock-free: the first pin of a thread registers it, and some pins mark batches as ripe.
    /// No destructor runs in it.
    #[inline]
    pub fn pin(&self) -> Guard {
        Guard {
            domain: self.id,
            inner: handles::pin(self.id, &self.inner),
        }
    }

    /// Whether this thread has a guard of the domain. Under loom's seam nobody keeps account of that.
    #[cfg(feature = "cache")]
    pub(crate) fn is_pinned_here(&self) -> bool {
        handles::is_pinned(&self.inner)
    }

    /// Has `ripe` marked once every guard that lives now is gone.
    pub(crate) fn defer_mark(&self, ripe: Arc<Ripe>, guard: &Guard) {
        self.check(guard);
        let unripe = Arc::clone(&self.inner.unripe);
        unripe.add();
        guard.inner.defer(move || {
            ripe.mark();
            unripe.sub();
        });
        guard.inner.flush();
    }

    /// How many batches, or marks of many, wait for readers.
    #[cfg(feature = "cache")]
    pub(crate) fn unripe(&self) -> usize {
        self.inner.unripe.get()
    }

    /// Tries to move the epoch on, so that what is sealed becomes ripe.
    ///
    /// Without any guard alive, what was sealed before the call is ripe after it, by whomever:
    /// an attempt marks a few batches, the oldest first, and goes on while that comes to something.
    pub(crate) fn nudge(&self) {
        #[cfg(all(loom, feature = "loom"))]
        if self.inner.collector.is_eager() {
            return;
        }
        let (mut before, mut in_vain) = (self.inner.unripe.get(), 0);
        while before > 0 && in_vain < NUDGES {
            self.pin().flush();
            let now = self.inner.unripe.get();
            in_vain = if now < before { 0 } else { in_vain + 1 };
            before = now;
        }
    }

    /// Panics unless `guard` was made by this domain.
    #[inline(always)]
    pub(crate) fn check(&self, guard: &Guard) {
        if guard.domain != self.id {
            foreign_guard();
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn foreign_guard() -> ! {
    panic!("mapless: this guard was made by another domain; pin the structure that you ask");
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.id.0)
    }
}

#[cfg(not(all(loom, feature = "loom")))]
type Collector = crossbeam_epoch::Collector;
#[cfg(not(all(loom, feature = "loom")))]
type RawHandle = crossbeam_epoch::LocalHandle;
#[cfg(not(all(loom, feature = "loom")))]
type RawGuard = crossbeam_epoch::Guard;

#[cfg(all(loom, feature = "loom"))]
use choice::{Collector, RawGuard, RawHandle};

/// Proof that a reader is inside a [`Domain`]: what it can reach stays in memory.
///
/// A guard belongs to the thread that made it:
///
/// ```compile_fail
/// let domain = mapless::Domain::new();
/// let guard = domain.pin();
/// std::thread::spawn(move || drop(guard)); // error: a guard is not `Send`
/// ```
///
/// A structure that is asked with a guard of another domain panics:
///
/// ```should_panic
/// use mapless::{Domain, ObjectId, RangeIndex};
/// let index: RangeIndex<u64> = RangeIndex::new();
/// let foreign = Domain::new().pin();
/// index.get_in(ObjectId::MIN, &foreign);
/// ```
#[must_use = "a guard protects only while it lives"]
pub struct Guard {
    domain: DomainId,
    inner: RawGuard,
}

impl Guard {
    /// Leaves and enters again, cheaper than a drop and a pin.
    ///
    /// Nothing that was reached before may be used afterwards, and `&mut` sees to it.
    pub fn repin(&mut self) {
        self.inner.repin();
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard({})", self.domain.0)
    }
}

/// Under loom: crossbeam-epoch or the seam, chosen by the domain.
#[cfg(all(loom, feature = "loom"))]
mod choice {
    use super::seam;

    pub(super) enum Collector {
        Real(crossbeam_epoch::Collector),
        Seam(seam::Collector),
    }

    pub(super) enum RawHandle {
        Real(crossbeam_epoch::LocalHandle),
        Seam(seam::Collector),
    }

    pub(super) enum RawGuard {
        Real(crossbeam_epoch::Guard),
        Seam(seam::Guard),
    }

    impl Collector {
        /// Whether it needs no nudge, whose pins would only order what is not ordered.
        pub(super) fn is_eager(&self) -> bool {
            matches!(self, Self::Seam(_))
        }

        pub(super) fn register(&self) -> RawHandle {
            match self {
                Self::Real(collector) => RawHandle::Real(collector.register()),
                Self::Seam(collector) => RawHandle::Seam(collector.clone()),
            }
        }
    }

    impl RawHandle {
        #[cfg(feature = "cache")]
        pub(super) fn is_pinned(&self) -> bool {
            matches!(self, Self::Real(handle) if handle.is_pinned())
        }

        pub(super) fn pin(&self) -> RawGuard {
            match self {
                Self::Real(handle) => RawGuard::Real(handle.pin()),
                Self::Seam(collector) => RawGuard::Seam(collector.pin()),
            }
        }
    }

    impl RawGuard {
        pub(super) fn repin(&mut self) {
            match self {
                Self::Real(guard) => guard.repin(),
                Self::Seam(guard) => guard.repin(),
            }
        }

        pub(super) fn defer(&self, mark: impl FnOnce() + Send + 'static) {
            match self {
                Self::Real(guard) => guard.defer(mark),
                Self::Seam(guard) => guard.defer(Box::new(mark)),
            }
        }

        pub(super) fn flush(&self) {
            if let Self::Real(guard) = self {
                guard.flush();
            }
        }
    }
}
