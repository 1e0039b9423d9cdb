//! A shard whose lock is held: entries found, published, unlinked, let go.
//!
//! # Shape
//! ```text
//! empty --fill--> filled --place--> reachable --unlink--> [told?] --> in limbo --ripe--> empty
//!                                       |  ^                 ^
//!                                     hold release           | last release
//!                                       v  |                 |
//!                                      held ---unlink---> held and removed
//! ```
//! What is unlinked while a listener is there is told first, outside the lock, and goes to the
//! limbo after that. Pairs are dropped outside the lock too. `close` sees to both.
//!
//! # Progress
//! Blocks on the shard's lock, under which no user code runs but `Eq` and a clock of the user's.
//!
//! # Checked by
//! `loom-tests/cache.rs`; `loom-tests/cache_hold.rs`; `tests/stress_cache.rs` under the address
//! sanitizer.
// Unsafe: vouches that the lock is held for what needs it, and for what leaves and when.
#![allow(unsafe_code)]

use core::mem;
use std::sync::Arc;

use equivalent::Equivalent;

use super::cause::Cause;
use super::claims::{ClaimId, Kind, Wait};
use super::core::{Core, Hold};
use super::engine::{Engine, Hashed, Mode};
use super::policy::{Looks, NONE, Step, WEIGHTLESS};
use super::shard::Shard;
use super::table::{Spot, Table};
use super::view::View;
use crate::sync::epoch::Ripe;
use crate::sync::lock::MutexGuard;

/// The holder of a shard's lock.
pub(super) struct Writer<'a, K, V> {
    pub(super) engine: &'a Engine<K, V>,
    pub(super) shard: &'a Shard<K, V>,
    pub(super) core: MutexGuard<'a, Core<K, V>>,
    /// Unlinked, and not told yet.
    untold: Vec<Leaver>,
}

/// An entry that left, for a listener.
pub(super) struct Leaver {
    pub(super) entry: u32,
    pub(super) cause: Cause,
    /// The telling holds it, beside others.
    held: bool,
}

/// What is to be done once the lock is free.
#[must_use]
pub(super) struct After {
    pub(super) untold: Vec<Leaver>,
    /// Entries that nobody looks at any more.
    pub(super) ripe: Vec<u32>,
}

impl<'a, K, V> Writer<'a, K, V> {
    pub(super) fn new(engine: &'a Engine<K, V>, shard: &'a Shard<K, V>) -> Self {
        Self {
            engine,
            shard,
            core: shard.core.lock(),
            untold: Vec::new(),
        }
    }

    /// Without waiting for the lock.
    pub(super) fn try_new(engine: &'a Engine<K, V>, shard: &'a Shard<K, V>) -> Option<Self> {
        Some(Self {
            engine,
            shard,
            core: shard.core.try_lock()?,
            untold: Vec::new(),
        })
    }

    /// Frees the lock, tells what left, and drops what nobody looks at any more.
    #[inline]
    pub(super) fn close(self) {
        self.close_one();
    }

    /// As `close`; says whether a ripe batch was there.
    pub(super) fn close_one(mut self) -> bool {
        let (engine, shard) = (self.engine, self.shard);
        let (any, ripe) = self.take_ripe();
        self.settle();
        self.untold.append(&mut self.core.backlog);
        if !self.untold.is_empty() && engine.puts_off(shard) {
            self.core.backlog.append(&mut self.untold);
        }
        let untold = mem::take(&mut self.untold);
        drop(self);
        if !untold.is_empty() || !ripe.is_empty() {
            engine.finish(shard, After { untold, ripe });
        }
        any
    }

    /// What others put off, of those that left.
    pub(super) fn take_backlog(mut self) -> Vec<Leaver> {
        mem::take(&mut self.core.backlog)
    }

    /// Frees the lock and does no more.
    pub(super) fn settle_only(mut self) {
        self.settle();
    }

    /// For the end of the cache: all entries that have a pair.
    pub(super) fn leavings(&mut self) -> Vec<u32> {
        let mut all = self.entries();
        all.extend(self.core.limbo.drain());
        all.extend(self.core.backlog.drain(..).map(|leaver| leaver.entry));
        all
    }

    /// Hands back what credit is too much for one shard, and shows the figures.
    pub(super) fn settle(&mut self) {
        let slack = self.engine.slack();
        if self.core.credit > 2 * slack {
            let surplus = self.core.credit - slack;
            self.core.credit = slack;
            self.engine.budget.give(surplus);
        }
        let gauges = &self.shard.gauges;
        gauges.entries.set(self.core.len as u64);
        gauges.weight.set(self.core.weight);
        gauges.held.set(self.core.held);
        gauges.firm.set(self.core.held - self.core.making);
        let retained = u64::try_from(self.core.retained);
        gauges.retained.set(retained.unwrap_or(u64::MAX));
        if self.engine.owner.is_some() {
            gauges.empty.set(self.core.places.empty() as u64);
            gauges.hollow.set(self.core.places.hollow() as u64);
            gauges.movable.set(self.core.places.movable() as u64);
        }
    }

    pub(super) fn table(&self) -> &'a Table {
        // SAFETY: S1: the lock, as long as we do; what `publish` takes from its place is looked at no more.
        unsafe { self.shard.table() }
    }

    /// The entry of this key, and where its word stands.
    pub(super) fn find<Q>(&self, fingerprint: u32, key: &Q) -> Option<(Spot, u32)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.table().find(fingerprint, |spot, entry| {
            let found = key.equivalent(&self.pair(entry).0);
            found.then_some((spot, entry))
        })
    }

    /// The key and value of an entry that a word names.
    pub(super) fn pair(&self, entry: u32) -> &(K, V) {
        // SAFETY: S1: the number is from a word of the table.
        let node = unsafe { self.shard.slab.node(entry) };
        // SAFETY: S1: it is filled as long as its word is there, which the lock sees to.
        unsafe { node.pair() }
    }

    pub(super) fn fingerprint(&self, entry: u32) -> u32 {
        // SAFETY: S1 as above; S2: we hold the lock.
        unsafe { self.shard.slab.fingerprint(entry) }
    }

    fn limit(&self, entry: u32) -> u8 {
        // SAFETY: S1 as above.
        unsafe { self.shard.slab.node(entry) }.limit()
    }

    pub(super) fn is_weightless(&self, entry: u32) -> bool {
        self.limit(entry) == WEIGHTLESS
    }

    /// The claim of this key that stands in the way, to be waited for without the lock.
    pub(super) fn in_the_way<Q>(&mut self, hashed: Hashed, key: &Q, least: Kind) -> Option<Wait<V>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        if self.core.claims.is_empty() {
            return None;
        }
        let shard = core::ptr::from_ref(self.shard).addr();
        let (number, line) = self.core.claims.in_the_way(hashed, key, least)?;
        let id = ClaimId { shard, number };
        Some(Wait::new(id, line))
    }

    /// Takes the entry off the rings and out of the table.
    pub(super) fn remove(&mut self, entry: u32, cause: Cause) {
        self.off_the_rings(entry);
        self.unlink(entry, cause);
    }

    pub(super) fn off_the_rings(&mut self, entry: u32) {
        if self.core.book.is_parked(entry) {
            return;
        }
        let core = &mut *self.core;
        // SAFETY: S1: we hold the lock. S2: the policy's entries are ours.
        let mut view = unsafe { View::new(&self.shard.slab, &core.book) };
        core.policy.remove(&mut view, entry);
    }

    /// Has the policy choose an entry, and lets it go. Says what room that made, if any was there.
    pub(super) fn evict(&mut self, looks: &mut Looks, weightless: bool) -> Option<u64> {
        loop {
            let core = &mut *self.core;
            // SAFETY: S1: we hold the lock. S2: the policy's entries are ours.
            let mut view = unsafe { View::new(&self.shard.slab, &core.book) };
            let step = if weightless {
                core.policy.step_weightless(&mut view, looks)
            } else {
                core.policy.step(&mut view, looks)
            };
            match step {
                Step::Empty => return None,
                Step::Park(entry) => {
                    let hold = core.book.holds.get_mut(&entry);
                    hold.expect("only held entries are parked").parked = true;
                }
                Step::Evict(entry) => {
                    let weight = core.book.weight(entry);
                    self.unlink(entry, Cause::Size);
                    self.prefetch_next();
                    return Some(weight);
                }
            }
        }
    }

    /// A word to the processor: the next entry to leave is known, and where its word stands.
    fn prefetch_next(&self) {
        if let Some(next) = self.core.policy.oldest() {
            let fingerprint = self.fingerprint(next);
            self.table().prefetch(fingerprint);
            self.core.prefetch_for(fingerprint);
        }
    }

    /// A word to the processor: an entry leaves its ring, or is replaced there.
    #[inline]
    pub(super) fn prefetch_neighbours(&self, entry: u32) {
        // SAFETY: S1: it is an entry of ours. S2: we hold the lock.
        let links = unsafe { self.shard.slab.links(entry) };
        for next in [links.prev, links.next] {
            if next != NONE {
                // SAFETY: S1: an entry on a ring.
                crate::sync::hint::prefetch(unsafe { self.shard.slab.node(next) });
            }
        }
    }

    /// Takes an entry that is off the rings out of the table.
    fn unlink(&mut self, entry: u32, cause: Cause) {
        let fingerprint = self.fingerprint(entry);
        let spot = self.table().spot_of(fingerprint, entry);
        let spot = spot.expect("an entry on a ring has a word");
        self.table().remove(spot, fingerprint);
        self.core.len -= 1;
        self.left(entry, cause);
    }

    /// An entry's word is gone, or names its successor.
    pub(super) fn left(&mut self, entry: u32, cause: Cause) {
        self.core.tally.left[cause as usize] += 1;
        if let Some(owner) = &self.engine.owner {
            owner.left(&self.pair(entry).1, cause);
        }
        self.unschedule(entry);
        if self.is_weightless(entry) {
            self.core.weightless -= 1;
        }
        let told = self.engine.listener.is_some();
        let held = self.core.book.is_held(entry);
        if told {
            self.untold.push(Leaver { entry, cause, held });
        }
        if let Some(hold) = self.core.book.holds.get_mut(&entry) {
            hold.removed = true;
            hold.count += u64::from(told);
        } else {
            self.depart(entry);
            if !told {
                self.retire(entry);
            }
        }
    }

    /// The listener knows.
    pub(super) fn was_told(&mut self, leaver: &Leaver) {
        if leaver.held {
            self.release(leaver.entry);
        } else {
            self.retire(leaver.entry);
        }
    }

    /// An entry is neither reachable nor held any more.
    fn depart(&mut self, entry: u32) {
        let weight = self.core.book.weight(entry);
        self.core.weight -= weight;
        self.core.retained += u128::from(weight);
        if self.engine.mode == Mode::Reachable {
            self.core.credit += weight;
        }
    }

    /// From now on an entry waits for its last reader.
    pub(super) fn retire(&mut self, entry: u32) {
        let weight = usize::try_from(self.core.book.weight(entry)).unwrap_or(usize::MAX);
        let bytes = if self.engine.owner.is_some() {
            0 // it collects when it wants room
        } else {
            weight.max(size_of::<(K, V)>())
        };
        if self.core.limbo.add(entry, bytes) && self.engine.may_mark() {
            self.seal();
        }
    }

    /// From now on what is in the limbo ripens.
    pub(super) fn seal(&mut self) {
        let guard = self.engine.domain.pin();
        self.core.limbo.seal(&guard);
        self.core.old_tables.seal(&guard);
    }

    /// As `seal`, where many shards are, by one who has all marked at once.
    pub(super) fn seal_with(&mut self, ripe: &Arc<Ripe>) -> bool {
        // Both, always.
        self.core.limbo.seal_with(ripe) | self.core.old_tables.seal_with(ripe)
    }

    /// What nobody looks at any more. Where nothing is to be dropped it is emptied at once.
    fn take_ripe(&mut self) -> (bool, Vec<u32>) {
        while let Some(tables) = self.core.old_tables.take_ripe() {
            tables.iter().for_each(|table| table.get().bury());
            self.core.spare.extend(tables);
            if self.engine.owner.is_some() {
                self.core.free_spare();
            }
        }
        let Some(batch) = self.core.limbo.take_ripe() else {
            return (false, Vec::new());
        };
        if mem::needs_drop::<(K, V)>() {
            return (true, batch);
        }
        for &entry in &batch {
            // SAFETY: S1: it is ours. S2: it left, and nobody looks at a ripe batch.
            drop(unsafe { self.shard.slab.empty(entry) });
        }
        self.recycle(&batch);
        (true, Vec::new())
    }

    /// Makes emptied entries ones that can be taken.
    pub(super) fn recycle(&mut self, emptied: &[u32]) {
        for &entry in emptied {
            let weight = self.core.book.weight(entry);
            self.core.retained -= u128::from(weight);
            if self.engine.mode == Mode::Live {
                self.core.credit += weight;
            }
            // SAFETY: S1: our slab. S2: the callers emptied it.
            unsafe { self.core.give_empty(&self.shard.slab, entry) };
        }
    }

    /// Holds an entry that a word names.
    pub(super) fn hold(&mut self, entry: u32) {
        let weight = self.core.book.weight(entry);
        let core = &mut *self.core;
        let hold = core.book.holds.entry(entry).or_insert_with(|| {
            core.held += weight;
            core.places.hold(entry);
            Hold::NONE
        });
        hold.count += 1;
        // SAFETY: S1: the number is from a place of the table.
        unsafe { self.shard.slab.node(entry) }.touch();
    }

    /// One hold less; the last one lets a removed entry go, and gives the policy back the others.
    pub(super) fn release(&mut self, entry: u32) {
        let holds = &mut self.core.book.holds;
        let hold = holds.get_mut(&entry).expect("it is held");
        hold.count -= 1;
        if hold.count > 0 {
            return;
        }
        let hold = holds.remove(&entry).expect("it is held");
        self.core.places.release(entry);
        self.core.held -= self.core.book.weight(entry);
        if hold.removed {
            self.depart(entry);
            self.retire(entry);
        } else if hold.parked {
            let core = &mut *self.core;
            // SAFETY: S1: we hold the lock. S2: the entry is ours.
            let mut view = unsafe { View::new(&self.shard.slab, &core.book) };
            core.policy.unpark(&mut view, entry);
        }
    }
}

/// Where `Eq` panicked, what has left before that is told by the next one who closes.
impl<K, V> Drop for Writer<'_, K, V> {
    fn drop(&mut self) {
        if !self.untold.is_empty() {
            self.core.backlog.append(&mut self.untold);
        }
    }
}
