//! All of a cache but its hasher: shards, budget, and what is done outside the locks.
// Unsafe: vouches for guards, and takes out pairs that nobody looks at any more.
#![allow(unsafe_code)]

use core::fmt;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crossbeam_utils::CachePadded;
use equivalent::Equivalent;

use super::budget::Budget;
use super::cause::{Listener, Weigher};
use super::core::Core;
use super::shard::{Found, Shard};
use super::writer::{After, Leaver, Writer};
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::epoch::{Domain, Guard};
use crate::sync::gauge::Gauge;
use crate::sync::lock::Mutex;

/// What never exceeds the capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// The weight of what is reachable or held. What left and is still looked at by a reader is
    /// counted apart, and has no hard bound.
    #[default]
    Reachable,
    /// The weight of what is reachable, held, or still kept for a reader.
    Live,
}

/// A cache without its hasher.
pub(super) struct Engine<K, V> {
    pub(super) domain: Domain,
    pub(super) mode: Mode,
    pub(super) budget: Budget,
    pub(super) listener: Option<Listener<K, V>>,
    pub(super) weigher: Option<Weigher<K, V>>,
    pub(super) shards: Box<[CachePadded<Shard<K, V>>]>,
    /// How many entries of weight 0 a shard may have.
    pub(super) weightless: usize,
    pub(super) panics: Panics,
    capacity: AtomicU64,
    /// Taken by whoever changes the capacity.
    pub(super) resizing: Mutex<()>,
}

/// Panics that were contained.
#[derive(Debug, Default)]
pub(super) struct Panics {
    pub(super) listener: Gauge,
    pub(super) drops: Gauge,
}

/// A key's hash, spread over all bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hashed(u64);

impl Hashed {
    #[inline(always)]
    pub(super) fn new(raw: u64) -> Self {
        // Weak hashers leave bits empty: a multiplication folds all into all.
        let product = u128::from(raw) * 0x9E37_79B9_7F4A_7C15;
        Self((product >> 64) as u64 ^ product as u64)
    }

    /// Never 0.
    #[inline(always)]
    pub(super) fn fingerprint(self) -> u32 {
        (self.0 as u32).max(1)
    }

    #[inline(always)]
    fn shard(self, shards: usize) -> usize {
        (self.0 >> 32) as usize & (shards - 1)
    }
}

/// The parts of an engine that a builder chooses.
pub(super) struct Parts<K, V> {
    pub(super) domain: Domain,
    pub(super) mode: Mode,
    pub(super) capacity: u64,
    pub(super) shards: usize,
    pub(super) weightless: usize,
    pub(super) listener: Option<Listener<K, V>>,
    pub(super) weigher: Option<Weigher<K, V>>,
}

impl<K, V> Engine<K, V> {
    pub(super) fn new(parts: Parts<K, V>) -> Self {
        let share = parts.capacity / parts.shards as u64;
        let shard = |_| CachePadded::new(Shard::new(Core::new(&parts.domain, share)));
        Self {
            mode: parts.mode,
            budget: Budget::new(parts.capacity),
            listener: parts.listener,
            weigher: parts.weigher,
            shards: (0..parts.shards).map(shard).collect(),
            weightless: parts.weightless.div_ceil(parts.shards),
            panics: Panics::default(),
            capacity: AtomicU64::new(parts.capacity),
            resizing: Mutex::new(()),
            domain: parts.domain,
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        // Relaxed: a number; tokens, not this, keep what is held within it.
        self.capacity.load(Relaxed)
    }

    pub(super) fn set_capacity(&self, capacity: u64) {
        // Relaxed: as above.
        self.capacity.store(capacity, Relaxed);
    }

    /// What a shard may weigh when all weigh the same.
    pub(super) fn share(&self) -> u64 {
        self.capacity() / self.shards.len() as u64
    }

    /// How many tokens a shard may keep to itself.
    pub(super) fn slack(&self) -> u64 {
        self.share() / 64
    }

    #[inline(always)]
    pub(super) fn shard(&self, hashed: Hashed) -> &Shard<K, V> {
        &self.shards[hashed.shard(self.shards.len())]
    }

    /// The entry of this key.
    #[inline(always)]
    pub(super) fn find<'g, Q>(
        &'g self,
        hashed: Hashed,
        key: &Q,
        guard: &'g Guard,
    ) -> Option<Found<'g, K, V>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.domain.check(guard);
        // SAFETY: S1: just checked.
        unsafe { self.shard(hashed).find(hashed.fingerprint(), key, guard) }
    }

    /// The entry that somebody holds.
    pub(super) fn held_pair(&self, hashed: Hashed, entry: u32) -> &(K, V) {
        // SAFETY: S1: `hold` was told the number under the lock.
        let node = unsafe { self.shard(hashed).slab.node(entry) };
        // SAFETY: S1: it is retired after the last release, which takes what borrows this.
        unsafe { node.pair() }
    }

    /// A word to the processor, before one pins or locks.
    #[inline(always)]
    pub(super) fn prefetch(&self, hashed: Hashed) {
        self.shard(hashed).prefetch(hashed.fingerprint());
    }

    pub(super) fn open<'a>(&'a self, shard: &'a Shard<K, V>) -> Writer<'a, K, V> {
        Writer::new(self, shard)
    }

    /// What is held, of all shards.
    pub(super) fn held(&self) -> u64 {
        self.sum(|shard| shard.gauges.held.get())
    }

    /// What readers may still look at, of all shards.
    pub(super) fn retained(&self) -> u64 {
        self.sum(|shard| shard.gauges.retained.get())
    }

    pub(super) fn sum(&self, figure: impl Fn(&Shard<K, V>) -> u64) -> u64 {
        let all = self.shards.iter().map(|shard| figure(shard));
        all.fold(0, u64::wrapping_add)
    }

    /// What a writer left to be done without the lock.
    #[cold]
    pub(super) fn finish(&self, shard: &Shard<K, V>, after: After) {
        for leaver in &after.untold {
            self.tell(shard, leaver);
        }
        for &entry in &after.ripe {
            self.drop_pair(shard, entry);
        }
        let mut writer = self.open(shard);
        for leaver in &after.untold {
            writer.was_told(leaver);
        }
        writer.recycle(&after.ripe);
        writer.settle_only();
    }

    fn tell(&self, shard: &Shard<K, V>, leaver: &Leaver) {
        let Some(listener) = &self.listener else {
            return;
        };
        // SAFETY: S1: the number was ours under the lock.
        let node = unsafe { shard.slab.node(leaver.entry) };
        // SAFETY: S1: it is not retired before it was told.
        let pair = unsafe { node.pair() };
        let told = catch_unwind(AssertUnwindSafe(|| {
            listener(&pair.0, &pair.1, leaver.cause)
        }));
        if told.is_err() {
            self.panics.listener.add(1);
        }
    }

    fn drop_pair(&self, shard: &Shard<K, V>, entry: u32) {
        // SAFETY: S1: it is the shard's. S2: it was in a ripe batch, which is ours.
        let (key, value) = unsafe { shard.slab.empty(entry) };
        let key = catch_unwind(AssertUnwindSafe(|| drop(key)));
        let value = catch_unwind(AssertUnwindSafe(|| drop(value)));
        let panics = u64::from(key.is_err()) + u64::from(value.is_err());
        if panics > 0 {
            self.panics.drops.add(panics);
        }
    }

    /// Lets go of all that nobody looks at any more, in every shard.
    pub(super) fn collect(&self) {
        for shard in &self.shards {
            self.seal(shard);
        }
        self.domain.nudge();
        for shard in &self.shards {
            self.reap(shard);
        }
    }

    fn seal(&self, shard: &Shard<K, V>) {
        self.open(shard).seal();
    }

    /// Drops one ripe batch after the other.
    pub(super) fn reap(&self, shard: &Shard<K, V>) {
        while self.open(shard).close_one() {}
    }
}

impl<K, V> Drop for Engine<K, V> {
    fn drop(&mut self) {
        for at in 0..self.shards.len() {
            let shard = &self.shards[at];
            for entry in self.open(shard).drain() {
                self.drop_pair(shard, entry);
            }
        }
    }
}

impl<K, V> fmt::Debug for Engine<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("mode", &self.mode)
            .field("capacity", &self.capacity())
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}
