//! A value is computed once, however many ask for it: loads and computations under a claim.
//!
//! # Shape
//! ```text
//! find, or claim, or wait        under the shard's lock
//!   found    the value that is there
//!   waited   what the claim came to; where that is nothing, from the beginning
//!   claimed  the closure or future runs, under no lock and no guard; the entry comes in, and the
//!            claim ends in the same moment; what a computation saw is held until then
//! ```
//! Both forms, for threads and for tasks, are the same futures; a thread polls them itself.
//!
//! # Progress
//! Blocks on the shard's lock, and on whoever computes the same key.
//!
//! # Checked by
//! `loom-tests/cache_load.rs`.

use core::any::Any;
use core::borrow::Borrow;
use core::future::Future;
use core::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use equivalent::Equivalent;

use super::cause::Cause;
use super::claims::{ClaimId, Kind, Line, Outcome, Wait, Within};
use super::engine::{Engine, Hashed};
use super::error::Reason;
use super::kept::Kept;
use super::put::{Claim, Put, Rule};
use super::writer::Writer;

/// A key that is asked for, and taken over only where nothing is found.
pub(super) trait Ask<K> {
    type Key: Equivalent<K> + ?Sized;

    fn key(&self) -> &Self::Key;
    /// A key of one's own, if that runs the user's code: then it is not to be done under a lock.
    fn make(&self) -> Option<K>;
    fn own(self) -> K;
}

/// A key of one's own.
pub(super) struct Own<K>(pub(super) K);

impl<K: Eq> Ask<K> for Own<K> {
    type Key = K;

    fn key(&self) -> &K {
        &self.0
    }

    fn make(&self) -> Option<K> {
        None
    }

    fn own(self) -> K {
        self.0
    }
}

/// A key that is made into one's own where that is needed.
pub(super) struct ByRef<'a, Q: ?Sized>(pub(super) &'a Q);

impl<K: Borrow<Q>, Q: Eq + ToOwned<Owned = K> + ?Sized> Ask<K> for ByRef<'_, Q> {
    type Key = Q;

    fn key(&self) -> &Q {
        self.0
    }

    fn make(&self) -> Option<K> {
        Some(self.0.to_owned())
    }

    fn own(self) -> K {
        self.0.to_owned()
    }
}

/// A value, and whether this caller computed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loaded<V> {
    pub(super) value: V,
    pub(super) is_fresh: bool,
}

/// What becomes of an entry that was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<V> {
    /// Nothing.
    Nop,
    /// It has this value from now on.
    Put(V),
    /// It is removed.
    Remove,
}

/// What a computation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed<V> {
    /// There was no entry, and there is one now.
    Inserted(V),
    /// The entry has this value now.
    ReplacedWith(V),
    /// The entry is as it was.
    Unchanged(V),
    /// The entry, which had this value, is gone.
    Removed(V),
    /// There was no entry, and there is none.
    StillNone,
    /// The value was not taken in; the entry is as it was.
    Refused(V, Reason),
}

/// What an attempt to claim a key came to.
enum Step<'a, A, K: Eq, V> {
    Found(V),
    /// Somebody was quicker: it is there now.
    Again(A),
    Wait(A, Wait<V>),
    Claimed(Claimed<'a, K, V>),
}

/// A key that we compute the value of; given up by the drop.
struct Claimed<'a, K: Eq, V> {
    engine: &'a Engine<K, V>,
    hashed: Hashed,
    /// There until it is in.
    key: Option<Arc<K>>,
    number: u64,
    /// What is computed anew: it is not evicted meanwhile.
    kept: Option<Kept<'a, K, V>>,
    rule: Rule,
    has_ended: bool,
}

impl<K: Eq, V: Clone> Engine<K, V> {
    /// The value of a key, or what `init` makes of it, once for all who ask meanwhile. An entry that
    /// `is_stale` counts as none.
    pub(super) async fn load<A: Ask<K>, E: Send + Sync + 'static>(
        &self,
        hashed: Hashed,
        mut ask: A,
        mut is_stale: impl FnMut(&V) -> bool,
        init: impl Future<Output = Result<V, E>>,
    ) -> Result<Loaded<V>, Arc<E>> {
        let mut made = None;
        loop {
            match self.find_or_claim(hashed, ask, &mut made, &mut is_stale) {
                Step::Found(value) => return Ok(Loaded::of_another(value)),
                Step::Claimed(claim) => {
                    self.counters.miss();
                    return claim.load(init).await;
                }
                Step::Again(back) => ask = back,
                Step::Wait(back, wait) => {
                    ask = back;
                    match &*wait.await {
                        Outcome::Value(value) => return Ok(Loaded::of_another(value.clone())),
                        Outcome::Failed(error) => {
                            // Of another type it is not for us: we try by ourselves.
                            if let Ok(error) = Arc::clone(error).downcast::<E>() {
                                return Err(error);
                            }
                        }
                        Outcome::Nothing => {}
                    }
                }
            }
        }
    }

    fn find_or_claim<A: Ask<K>>(
        &self,
        hashed: Hashed,
        ask: A,
        made: &mut Option<K>,
        is_stale: &mut impl FnMut(&V) -> bool,
    ) -> Step<'_, A, K, V> {
        self.prefetch(hashed);
        let guard = self.domain.pin();
        let found = self.find_alive(hashed, ask.key(), &guard, true);
        if let Some(pair) = found
            && !is_stale(&pair.1)
        {
            self.counters.hit();
            return Step::Found(pair.1.clone());
        }
        if made.is_none() {
            *made = ask.make();
        }
        let mut writer = self.open(self.shard(hashed));
        if let Some(wait) = writer.in_the_way(hashed, ask.key(), Kind::Load) {
            writer.close();
            return Step::Wait(ask, wait);
        }
        if found.is_none() && writer.find_live(hashed.fingerprint(), ask.key()).is_some() {
            writer.close();
            return Step::Again(ask);
        }
        // What was stale is replaced; what comes in meanwhile, by others, stays.
        let rule = if found.is_some() {
            Rule::Upsert
        } else {
            Rule::IfAbsent
        };
        drop(guard);
        let key = made.take().unwrap_or_else(|| ask.own());
        Step::Claimed(Claimed::push(writer, hashed, key, Kind::Load, rule))
    }

    /// What `decide` makes of an entry, or of none; nobody else writes the key meanwhile.
    pub(super) async fn compute<A: Ask<K>, F: Future<Output = Op<V>>>(
        &self,
        hashed: Hashed,
        mut ask: A,
        decide: impl FnOnce(Option<&V>) -> F,
    ) -> Computed<V> {
        let claim = loop {
            match self.claim(hashed, ask) {
                Ok(claim) => break claim,
                Err((back, wait)) => {
                    ask = back;
                    drop(wait.await);
                }
            }
        };
        let seen = claim.seen();
        let op = claim.run(async { decide(seen.as_ref()).await }).await;
        claim.apply(op, seen)
    }

    fn claim<A: Ask<K>>(&self, hashed: Hashed, ask: A) -> Result<Claimed<'_, K, V>, (A, Wait<V>)> {
        let made = ask.make();
        // Declared before the writer: where `Eq` panics, it is dropped without the lock.
        let key;
        let mut writer = self.open(self.shard(hashed));
        if let Some(wait) = writer.in_the_way(hashed, ask.key(), Kind::Load) {
            writer.close();
            return Err((ask, wait));
        }
        key = made.unwrap_or_else(|| ask.own());
        let found = writer.find_live(hashed.fingerprint(), &key);
        let kept = found.map(|(_, entry)| writer.keep(entry));
        let mut claim = Claimed::push(writer, hashed, key, Kind::Compute, Rule::Upsert);
        claim.kept = kept;
        Ok(claim)
    }
}

impl<'a, K: Eq, V> Claimed<'a, K, V> {
    fn push(mut writer: Writer<'a, K, V>, hashed: Hashed, key: K, kind: Kind, rule: Rule) -> Self {
        let (engine, key) = (writer.engine, Arc::new(key));
        let number = writer.core.claims.push(hashed, Arc::clone(&key), kind);
        writer.close();
        Self {
            engine,
            hashed,
            key: Some(key),
            number,
            kept: None,
            rule,
            has_ended: false,
        }
    }

    fn id(&self) -> ClaimId {
        ClaimId {
            shard: core::ptr::from_ref(self.engine.shard(self.hashed)).addr(),
            number: self.number,
        }
    }

    /// Runs what the claim was made for.
    async fn run<F: Future>(&self, future: F) -> F::Output {
        let future = pin!(future);
        Within {
            id: self.id(),
            future,
        }
        .await
    }

    /// Tells those who wait, once the claim has ended.
    fn tell(&mut self, line: Option<Arc<Line<V>>>, outcome: impl FnOnce() -> Outcome<V>) {
        self.has_ended = true;
        if let Some(line) = line {
            line.end(outcome());
        }
    }

    fn end(&mut self, outcome: impl FnOnce() -> Outcome<V>) {
        let mut writer = self.engine.open(self.engine.shard(self.hashed));
        let (key, line) = writer.core.claims.remove(self.number);
        if let Some(kept) = self.kept.take() {
            writer.let_go(kept);
        }
        writer.close();
        self.tell(line, outcome);
        drop(key); // the user's code, where it is the last one
    }
}

impl<K: Eq, V: Clone> Claimed<'_, K, V> {
    async fn load<E: Send + Sync + 'static>(
        mut self,
        init: impl Future<Output = Result<V, E>>,
    ) -> Result<Loaded<V>, Arc<E>> {
        let began = Instant::now();
        let result = self.run(init).await;
        self.engine
            .counters
            .load_took(began.elapsed(), result.is_err());
        match result {
            Ok(value) => {
                // Refused or not, it is the value that all who waited get.
                let shared = value.clone();
                if self.put(value.clone()).is_err() {
                    self.end(|| Outcome::Value(shared));
                }
                Ok(Loaded {
                    value,
                    is_fresh: true,
                })
            }
            Err(error) => {
                let error = Arc::new(error);
                let shared: Arc<dyn Any + Send + Sync> = Arc::<E>::clone(&error);
                self.end(|| Outcome::Failed(shared));
                Err(error)
            }
        }
    }

    /// Brings the value in, which ends the claim; one that is refused does not.
    fn put(&mut self, value: V) -> Result<Put, Reason> {
        let kept = value.clone();
        let key = self.key.take().expect("it is not in yet");
        let claim = Claim {
            key,
            number: self.number,
            kept: self.kept.take(),
        };
        let put = self
            .engine
            .put_claimed(self.hashed, claim, value, self.rule);
        if put.result.is_ok() {
            self.tell(put.line, || Outcome::Value(kept));
        }
        put.result
    }

    fn key(&self) -> &K {
        self.key.as_ref().expect("it is not in yet")
    }

    fn seen(&self) -> Option<V> {
        let engine = self.engine;
        let guard = engine.domain.pin();
        engine.prefetch(self.hashed);
        let found = engine.find_alive(self.hashed, self.key(), &guard, true);
        found.map(|pair| pair.1.clone())
    }

    fn apply(mut self, op: Op<V>, seen: Option<V>) -> Computed<V> {
        match op {
            Op::Nop => {
                self.end(|| Outcome::Nothing);
                seen.map_or(Computed::StillNone, Computed::Unchanged)
            }
            Op::Remove => {
                let engine = self.engine;
                engine.remove_claimed(self.hashed, self.key(), Cause::Explicit);
                self.end(|| Outcome::Nothing);
                seen.map_or(Computed::StillNone, Computed::Removed)
            }
            Op::Put(value) => match self.put(value.clone()) {
                Ok(Put::Inserted) => Computed::Inserted(value),
                Ok(Put::Replaced) => Computed::ReplacedWith(value),
                Err(reason) => {
                    // Who waited computes it by itself: this value was never there.
                    self.end(|| Outcome::Nothing);
                    Computed::Refused(value, reason)
                }
            },
        }
    }
}

impl<K: Eq, V> Drop for Claimed<'_, K, V> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(|| Outcome::Nothing);
        }
    }
}

impl<V> Loaded<V> {
    fn of_another(value: V) -> Self {
        Self {
            value,
            is_fresh: false,
        }
    }
}
