//! All of a cache but its hasher: shards, budget, and what is done outside the locks.
// Unsafe: vouches for guards, and takes out pairs that nobody looks at any more.
#![allow(unsafe_code)]

use core::fmt;
use core::mem;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::panic::catch_unwind;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use equivalent::Equivalent;

use super::budget::Budget;
use super::cause::{Cause, Listener, Weigher};
use super::core::Core;
use super::policy::Policy;
use super::shard::{Found, Shard};
use super::stats::{Counters, Event, Stats};
use super::table::{LEAST_ROOM, Table};
use super::tend::Owner;
use super::tick::Moment;
use super::times::{At, Look, Rules, Times, Timetable};
use super::writer::{After, Leaver, Writer};
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::epoch::{Domain, Guard, Ripe};
use crate::sync::gauge::Gauge;
use crate::sync::lock::Mutex;
use crate::sync::telling::{self, Telling};

/// A listener may call the cache, which tells it of what left by that, so often inside of itself; from
/// there on the outermost call tells, one after the other.
const DEEP: usize = 8;
/// So many marks may wait for readers where the cache has an owner.
const MARKS: usize = 32;

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
    /// What is refused counts as one that came in and left at once.
    pub(super) evicts_refused: bool,
    pub(super) owner: Option<Arc<dyn Owner<V>>>,
    /// How often `shed` was called, so that it does not always begin with the same shard.
    pub(super) sheds: Gauge,
    /// So many compactions are left out from now on.
    pub(super) rest: Gauge,
    pub(super) counters: Counters,
    pub(super) times: Option<Times<K, V>>,
    capacity: AtomicU64,
    /// Taken by whoever changes the capacity.
    pub(super) resizing: Mutex<()>,
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

    #[inline(always)]
    pub(super) fn fingerprint(self) -> u32 {
        self.0 as u32
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
    pub(super) rules: Rules<K, V>,
    pub(super) evicts_refused: bool,
    pub(super) owner: Option<Arc<dyn Owner<V>>>,
    /// For how many entries the tables have room from the start.
    pub(super) initial: usize,
}

impl<K, V> Engine<K, V> {
    pub(super) fn new(parts: Parts<K, V>) -> Self {
        let share = parts.capacity / parts.shards as u64;
        let times = parts.rules.start();
        let most = usize::try_from(share).unwrap_or(usize::MAX);
        let room = (parts.initial / parts.shards).min(most).max(LEAST_ROOM);
        let shard = |_| {
            let timetable = times.as_ref().map(|times| Timetable::new(times.moment()));
            // An owner's keys come once.
            let (policy, place) = match &parts.owner {
                Some(owner) => (Policy::plain(share), owner.place()),
                None => (Policy::new(share), 0),
            };
            let core = Core::new(&parts.domain, policy, place, timetable);
            CachePadded::new(Shard::new(core, times.as_ref().map(Times::stamps), room))
        };
        let shards = (0..parts.shards).map(shard).collect();
        Self {
            mode: parts.mode,
            budget: Budget::new(parts.capacity),
            listener: parts.listener,
            weigher: parts.weigher,
            shards,
            weightless: parts.weightless.div_ceil(parts.shards).max(1),
            evicts_refused: parts.evicts_refused,
            owner: parts.owner,
            sheds: Gauge::default(),
            rest: Gauge::default(),
            counters: Counters::new(),
            times,
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
        self.capacity() >> self.shards.len().trailing_zeros()
    }

    /// How many tokens a shard may keep to itself, twice over.
    pub(super) fn slack(&self) -> u64 {
        self.share() / 128
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

    /// The entry of this key, if it is not over; a use may move its deadline.
    #[inline(always)]
    pub(super) fn find_alive<'g, Q>(
        &'g self,
        hashed: Hashed,
        key: &Q,
        guard: &'g Guard,
        is_use: bool,
    ) -> Option<&'g (K, V)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let found = self.find(hashed, key, guard)?;
        if let Some(times) = &self.times {
            self.look(times, hashed, (found.entry, found.pair), is_use)?;
        }
        if is_use {
            found.node.touch();
        }
        Some(found.pair)
    }

    /// Whether an entry is not over.
    fn look(
        &self,
        times: &Times<K, V>,
        hashed: Hashed,
        (entry, pair): (u32, &(K, V)),
        is_use: bool,
    ) -> Option<()> {
        let shard = self.shard(hashed);
        let stamps = shard.stamps.as_ref()?;
        let at = At {
            stamps,
            entry,
            pair,
        };
        // SAFETY: S1: the number was read from a place of the table.
        match unsafe { times.look(at, is_use) } {
            Look::Over => None,
            Look::Alive => Some(()),
            Look::Sooner => {
                self.reschedule(shard, entry, times.moment());
                Some(())
            }
        }
    }

    /// A read moved an entry's deadline to an earlier time: the wheel is told, if it can be at once;
    /// else it finds the entry later than it could, and reads do not return it meanwhile.
    #[cold]
    fn reschedule(&self, shard: &Shard<K, V>, entry: u32, now: Moment) {
        if let Some(mut writer) = Writer::try_new(self, shard) {
            writer.reschedule(entry, now);
        }
    }

    /// What is left to the entry of this key: nothing where there is none, `None` inside where it
    /// has no deadline.
    pub(super) fn left(&self, hashed: Hashed, key: &K) -> Option<Option<Duration>>
    where
        K: Eq,
    {
        let (times, shard) = (self.times.as_ref()?, self.shard(hashed));
        let guard = self.domain.pin();
        let found = self.find(hashed, key, &guard)?;
        let stamps = shard.stamps.as_ref()?;
        // SAFETY: S1: the number was read from a place of the table.
        let deadline = unsafe { stamps.deadline(found.entry) };
        let now = times.now();
        (!deadline.is_over(Moment::of(now))).then(|| deadline.left(now))
    }

    /// Holds the entry of this key: its shard and number.
    pub(super) fn hold<Q>(&self, hashed: Hashed, key: &Q) -> Option<(usize, u32)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let at = hashed.shard(self.shards.len());
        let mut writer = self.open(&self.shards[at]);
        let found = writer.find_live(hashed.fingerprint(), key);
        if let Some((_, entry)) = found {
            writer.hold(entry);
        }
        writer.close();
        found.map(|(_, entry)| (at, entry))
    }

    /// A shard's table, for as long as a guard of ours lives.
    pub(super) fn table_under<'g>(&'g self, shard: &'g Shard<K, V>, guard: &'g Guard) -> &'g Table {
        self.domain.check(guard);
        // SAFETY: S1: just checked.
        unsafe { shard.table() }
    }

    /// An entry that was read from a shard's table under a guard.
    pub(super) fn pair_under<'g>(
        &'g self,
        shard: &'g Shard<K, V>,
        entry: u32,
        _guard: &'g Guard,
    ) -> &'g (K, V) {
        // SAFETY: S1: the number was read from a place under the guard.
        let node = unsafe { shard.slab.node(entry) };
        // SAFETY: S1: it was filled when its place was read, and the guard keeps it so.
        unsafe { node.pair() }
    }

    /// Whether an entry that a reader found is over.
    pub(super) fn is_over(&self, shard: &Shard<K, V>, entry: u32) -> bool {
        let (Some(times), Some(stamps)) = (&self.times, &shard.stamps) else {
            return false;
        };
        // SAFETY: S1: the number was read from a place of the table.
        unsafe { stamps.deadline(entry) }.is_over(times.moment())
    }

    /// What was done so far.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        for shard in &self.shards {
            stats.rejected_inserts += shard.gauges.refused.get();
            let tally = self.open(shard).core.tally;
            stats.inserts += tally.inserts;
            stats.expired += tally.left[Cause::Expired as usize];
            stats.explicit += tally.left[Cause::Explicit as usize];
            stats.replaced += tally.left[Cause::Replaced as usize];
            stats.size += tally.left[Cause::Size as usize];
        }
        stats
    }

    /// The entry that somebody holds.
    pub(super) fn held_pair(&self, shard: usize, entry: u32) -> &(K, V) {
        // SAFETY: S1: `hold` was told the number under the lock.
        let node = unsafe { self.shards[shard].slab.node(entry) };
        // SAFETY: S1: it is retired after the last release, which takes what borrows this.
        unsafe { node.pair() }
    }

    /// A word to the processor, before one pins or locks.
    #[inline(always)]
    pub(super) fn prefetch(&self, hashed: Hashed) {
        self.shard(hashed).prefetch(hashed.fingerprint());
    }

    /// As `prefetch`, of the entry that the home seems to name.
    #[inline(always)]
    pub(super) fn prefetch_entry(&self, hashed: Hashed) {
        if self.owner.is_none() {
            // SAFETY: S1: there is no owner.
            unsafe { self.shard(hashed).prefetch_entry(hashed.fingerprint()) };
        }
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
        let all = self.shards.iter().map(|shard| shard.gauges.retained.get());
        all.fold(0, u64::saturating_add)
    }

    pub(super) fn sum(&self, figure: impl Fn(&Shard<K, V>) -> u64) -> u64 {
        let all = self.shards.iter().map(|shard| figure(shard));
        all.fold(0, u64::wrapping_add)
    }

    /// What a writer left to be done without the lock.
    #[cold]
    pub(super) fn finish(&self, shard: &Shard<K, V>, after: After) {
        if after.untold.is_empty() {
            return self.finish_one(shard, after);
        }
        let telling = Telling::begin(core::ptr::from_ref(self).addr());
        self.finish_one(shard, after);
        while let Some(later) = telling.take_later() {
            let Some(shard) = self.shards.get(later) else {
                continue;
            };
            let untold = self.open(shard).take_backlog();
            let ripe = Vec::new();
            self.finish_one(shard, After { untold, ripe });
        }
    }

    /// Whether this thread is so deep inside of listeners that the outermost one tells what left.
    pub(super) fn puts_off(&self, shard: &Shard<K, V>) -> bool {
        let is_deep = self.depth() >= DEEP;
        if is_deep {
            let mut shards = self.shards.iter();
            let at = shards.position(|other| core::ptr::eq(&**other, shard));
            let at = at.expect("it is one of this cache");
            telling::put_off(core::ptr::from_ref(self).addr(), at);
        }
        is_deep
    }

    /// How many calls of this cache's listener this thread is inside of.
    pub(super) fn depth(&self) -> usize {
        telling::depth(core::ptr::from_ref(self).addr())
    }

    fn finish_one(&self, shard: &Shard<K, V>, after: After) {
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
        // SAFETY: S1: the number was ours under the lock.
        let node = unsafe { shard.slab.node(leaver.entry) };
        // SAFETY: S1: it is not retired before it was told.
        let pair = unsafe { node.pair() };
        self.tell_of(&pair.0, &pair.1, leaver.cause);
    }

    /// Tells the listener, if there is one, of an entry that left.
    pub(super) fn tell_of(&self, key: &K, value: &V, cause: Cause) {
        let Some(listener) = &self.listener else {
            return;
        };
        if panics(|| listener(key, value, cause)) {
            self.counters.count(Event::ListenerPanic);
        }
    }

    fn drop_pair(&self, shard: &Shard<K, V>, entry: u32) {
        // SAFETY: S1: it is the shard's. S2: it was in a ripe batch, which is ours.
        let (key, value) = unsafe { shard.slab.empty(entry) };
        let panics = u64::from(panics(|| drop(key))) + u64::from(panics(|| drop(value)));
        if panics > 0 {
            self.counters.count_many(Event::DropPanic, panics);
        }
    }

    /// Lets go of all that is over, and of all that nobody looks at.
    pub(super) fn run_pending_tasks(&self) {
        for shard in &self.shards {
            let mut writer = self.open(shard);
            writer.expire_all();
            writer.close();
        }
        self.collect();
    }

    /// Lets go of all that nobody looks at any more, in every shard.
    pub(super) fn collect(&self) {
        if !self.may_mark() {
            self.domain.nudge();
        }
        if self.may_mark() {
            // One mark for all.
            let (ripe, mut any) = (Ripe::new(), false);
            for shard in &self.shards {
                any |= self.open(shard).seal_with(&ripe);
            }
            if any {
                let guard = self.domain.pin();
                self.domain.defer_mark(ripe, &guard);
            }
        }
        self.domain.nudge();
        for shard in &self.shards {
            self.reap(shard);
        }
    }

    /// Whether what left may ask to be marked now. Each mark takes the epochs some kilobytes, which an
    /// owner does not count: while a reader stays he waits with more of them.
    pub(super) fn may_mark(&self) -> bool {
        self.owner.is_none() || self.domain.unripe() < MARKS
    }

    /// Drops one ripe batch after the other.
    pub(super) fn reap(&self, shard: &Shard<K, V>) {
        while self.open(shard).close_one() {}
    }
}

/// Runs the user's code; whether it panicked. What it panicked with may panic in its own drop, which
/// is contained too, and leaked if it does so again.
fn panics(run: impl FnOnce()) -> bool {
    let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else {
        return false;
    };
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
    true
}

impl<K, V> Drop for Engine<K, V> {
    fn drop(&mut self) {
        for at in 0..self.shards.len() {
            let shard = &self.shards[at];
            let left = self.open(shard).leavings();
            for entry in left {
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
