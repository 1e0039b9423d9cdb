//! Keys that somebody computes a value for, and who waits for that.
//!
//! # Shape
//! ```text
//! shard   claims [id, hash, key, kind, line?] ..      under the lock; none where nobody computes
//! line    [outcome?, wakers ..]                       made by the first who waits
//! thread  ids of the claims that it computes for now: waiting for one of them would be for ever,
//!         as would threads that wait for each other's (sync/waits.rs)
//! ```
//!
//! # Invariants
//! * L1  A key has one claim at most. It is given up by its owner alone, by returning, failing or
//!   unwinding; dropping the future of an asynchronous one is unwinding too.
//! * L2  Whoever waits is woken once the claim is given up.
//!
//! # Progress
//! Who waits for a claim blocks on the closure or future that it was made for.
//!
//! # Checked by
//! `loom-tests/cache_load.rs` (L1, L2).

use core::any::Any;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use equivalent::Equivalent;

use super::engine::Hashed;
use crate::sync::lock::Mutex;
use crate::sync::waits::{self, Ring, Waiting};

/// What a claim keeps others from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Other loads and computations of the key; it may be written.
    Load,
    /// All that writes the key.
    Compute,
}

/// What a claim came to, for those who waited.
pub(super) enum Outcome<V> {
    Value(V),
    Failed(Arc<dyn Any + Send + Sync>),
    /// Nothing: who waited goes on by itself.
    Nothing,
}

/// Names a claim: its shard, and a number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClaimId {
    pub(super) shard: usize,
    pub(super) number: u64,
}

impl ClaimId {
    fn as_pair(self) -> (usize, u64) {
        (self.shard, self.number)
    }
}

/// A future that computes the value of a claim's key: who waits for that inside of it is told.
pub(super) struct Within<F> {
    pub(super) id: ClaimId,
    pub(super) future: F,
}

impl<F: Future + ?Sized> Future for Within<Pin<&mut F>> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _inside = waits::enter(self.id.as_pair());
        self.future.as_mut().poll(context)
    }
}

struct Claim<K, V> {
    number: u64,
    hashed: Hashed,
    kind: Kind,
    /// Its owner's too, and nobody else's.
    key: Arc<K>,
    line: Option<Arc<Line<V>>>,
}

/// The claims of one shard.
pub(super) struct Claims<K, V> {
    all: Vec<Claim<K, V>>,
    next: u64,
}

impl<K, V> Default for Claims<K, V> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            next: 0,
        }
    }
}

impl<K, V> Claims<K, V> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The line behind a claim of this key that stands in the way, and the claim's number.
    pub(super) fn in_the_way<Q>(
        &mut self,
        hashed: Hashed,
        key: &Q,
        least: Kind,
    ) -> Option<(u64, Arc<Line<V>>)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let claim = self.all.iter_mut().find(|claim| {
            claim.hashed == hashed && claim.kind >= least && key.equivalent(&claim.key)
        })?;
        let line = claim.line.get_or_insert_with(|| Arc::new(Line::new()));
        Some((claim.number, Arc::clone(line)))
    }

    /// Makes a claim, where none stands in the way.
    pub(super) fn push(&mut self, hashed: Hashed, key: Arc<K>, kind: Kind) -> u64 {
        let number = self.next;
        self.next += 1;
        self.all.push(Claim {
            number,
            hashed,
            kind,
            key,
            line: None,
        });
        number
    }

    /// Ends a claim; says whose key it was, and who waits. The key may be the last one of it, and is
    /// not to be dropped under the lock.
    #[must_use]
    pub(super) fn remove(&mut self, number: u64) -> (Arc<K>, Option<Arc<Line<V>>>) {
        let place = self.all.iter().position(|claim| claim.number == number);
        let place = place.expect("a claim is given up by its owner alone (L1)");
        let claim = self.all.swap_remove(place);
        (claim.key, claim.line)
    }
}

/// Those who wait for a claim.
pub(super) struct Line<V>(Mutex<State<V>>);

struct State<V> {
    outcome: Option<Arc<Outcome<V>>>,
    wakers: Vec<Waker>,
}

impl<V> Line<V> {
    fn new() -> Self {
        Self(Mutex::new(State {
            outcome: None,
            wakers: Vec::new(),
        }))
    }

    /// Tells everybody what it came to.
    pub(super) fn end(&self, outcome: Outcome<V>) {
        let mut state = self.0.lock();
        state.outcome = Some(Arc::new(outcome));
        let wakers = core::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Ready when the claim is given up, with what it came to.
pub(super) struct Wait<V> {
    id: ClaimId,
    line: Arc<Line<V>>,
    /// Once its thread sleeps, or a task awaits it.
    waiting: Option<Waiting>,
}

impl<V> Wait<V> {
    pub(super) fn new(id: ClaimId, line: Arc<Line<V>>) -> Self {
        Self {
            id,
            line,
            waiting: None,
        }
    }
}

impl<V> Future for Wait<V> {
    type Output = Arc<Outcome<V>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Arc<Outcome<V>>> {
        let id = self.id.as_pair();
        assert!(
            !waits::is_inside(id),
            "mapless: a closure that computes the value of a key waits for the value of that key"
        );
        // The thread, and with it the answer, may be another one each time.
        self.waiting = None;
        match waits::wait_for(id) {
            Ok(waiting) => self.waiting = Some(waiting),
            Err(Ring) => panic!(
                "mapless: closures that compute the values of keys wait for each other's values"
            ),
        }
        let mut state = self.line.0.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(Arc::clone(outcome));
        }
        let waker = context.waker();
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}
