//! An entry comes in: under a new key, or in the place of another.
//!
//! # Shape
//! ```text
//! weigh, ask for a term     outside the lock: the user's code
//! lock                      find; room; a place in the table; fill; onto the rings; publish
//! no room                   unlock, gather elsewhere, and again
//! a computation of the key  unlock, wait for it, and again
//! ```
//!
//! # Progress
//! Blocks on the shard's lock; where the shard has no room, on the others', one after the other;
//! where the key is being computed, on that.
//!
//! # Checked by
//! `loom-tests/cache.rs`; `proptests/cache.rs`.
#![allow(unsafe_code)] // fills an empty entry

use std::sync::Arc;

use super::budget::Reservation;
use super::cause::Cause;
use super::claims::{Kind, Line, Wait};
use super::engine::{Engine, Hashed, Mode};
use super::error::{Reason, Refused};
use super::kept::Kept;
use super::policy::Looks;
use super::room::{NoRoom, Short};
use super::shard::Shard;
use super::table::Spot;
use super::times::Term;
use super::view::View;
use super::writer::Writer;
use crate::sync::park::{back_off, block_on};

/// After so many times others took the room that was made.
const TRIES: usize = 8;

/// What is to become of an entry that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is replaced; else the new one is inserted.
    Upsert,
    /// It stays, and the new one is refused.
    IfAbsent,
    /// It is replaced; else the new one is refused.
    IfPresent,
}

/// An entry that wants to come in.
pub(super) struct Job<'a, K, V> {
    pub(super) hashed: Hashed,
    pub(super) rule: Rule,
    /// Both there until it is in.
    key: Option<Key<K>>,
    value: Option<V>,
    /// Those who waited for the claim that ended as it came in.
    line: Option<Arc<Line<V>>>,
    weight: u64,
    /// How many entries may still be looked at for its room, wherever that is made.
    looks: Looks,
    /// The entry that is to be replaced, so that it is not evicted for its successor's room.
    kept: Option<Kept<'a, K, V>>,
    term: Option<Term>,
    /// Whether the term is for an entry that replaces one.
    term_of_update: bool,
}

/// A key that comes in.
enum Key<K> {
    Own(K),
    /// Under this claim, which has it too.
    Claimed(Arc<K>, u64),
}

impl<K> Key<K> {
    fn get(&self) -> &K {
        match self {
            Self::Own(key) => key,
            Self::Claimed(key, _) => key,
        }
    }
}

/// An entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Inserted,
    Replaced,
}

/// Why one attempt came to nothing.
enum Stop<V> {
    Short(Short),
    Refused(Reason),
    Wait(Wait<V>),
    /// The entry that is to be replaced came or went: its term is another one.
    OtherTerm,
}

/// Whether there is now what an attempt lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    All,
    /// Not yet.
    Nothing,
}

impl<V> From<Short> for Stop<V> {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

impl<K, V> Job<'_, K, V> {
    fn new(hashed: Hashed, key: Key<K>, value: V, rule: Rule) -> Self {
        Self {
            hashed,
            rule,
            key: Some(key),
            value: Some(value),
            line: None,
            weight: 1,
            looks: Looks::new(),
            kept: None,
            term: None,
            term_of_update: false,
        }
    }

    pub(super) fn key(&self) -> &K {
        self.key.as_ref().expect("it is not in yet").get()
    }

    pub(super) fn value(&self) -> &V {
        self.value.as_ref().expect("it is not in yet")
    }

    fn refused(self, reason: Reason) -> Refused<K, V> {
        let Some(Key::Own(key)) = self.key else {
            unreachable!("only what comes in under a claim has another key")
        };
        let value = self.value.expect("what was refused was not taken");
        Refused { key, value, reason }
    }
}

impl<V> Stop<V> {
    fn reason(&self) -> Reason {
        match self {
            Self::Refused(reason) => *reason,
            _ => Reason::Contended,
        }
    }
}

/// What a value that was computed comes in under.
pub(super) struct Claim<'a, K, V> {
    pub(super) key: Arc<K>,
    pub(super) number: u64,
    pub(super) kept: Option<Kept<'a, K, V>>,
}

/// What came of a value that was computed under a claim, which has ended if it is in.
pub(super) struct PutClaimed<V> {
    pub(super) result: Result<Put, Reason>,
    pub(super) line: Option<Arc<Line<V>>>,
}

impl<K: Eq, V> Engine<K, V> {
    /// Brings an entry in, waiting where its key is being computed.
    pub(super) fn put(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
        rule: Rule,
    ) -> Result<Put, Refused<K, V>> {
        let mut job = Job::new(hashed, Key::Own(key), value, rule);
        self.weigh(&mut job);
        loop {
            match self.try_job(&mut job) {
                Ok(put) => return Ok(put),
                Err(Stop::Wait(wait)) => drop(block_on(wait)),
                Err(stop) => return Err(self.refuse(job, stop.reason())),
            }
        }
    }

    /// As `put`, for tasks.
    pub(super) async fn put_async(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
        rule: Rule,
    ) -> Result<Put, Refused<K, V>> {
        let mut job = Job::new(hashed, Key::Own(key), value, rule);
        self.weigh(&mut job);
        loop {
            match self.try_job(&mut job) {
                Ok(put) => return Ok(put),
                Err(Stop::Wait(wait)) => drop(wait.await),
                Err(stop) => return Err(self.refuse(job, stop.reason())),
            }
        }
    }

    /// As `put`, waiting as long as readers keep what was evicted.
    pub(super) fn put_waiting(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
    ) -> Result<Put, Refused<K, V>> {
        let mut job = Job::new(hashed, Key::Own(key), value, Rule::Upsert);
        self.weigh(&mut job);
        let mut times = 0u32;
        loop {
            let reason = match self.try_job(&mut job) {
                Ok(put) => return Ok(put),
                Err(Stop::Wait(wait)) => {
                    drop(block_on(wait));
                    continue;
                }
                Err(stop) => stop.reason(),
            };
            if reason != Reason::Retained {
                return Err(self.refuse(job, reason));
            }
            if self.domain.is_pinned_here() || self.depth() > 0 {
                return Err(self.refuse(job, Reason::OwnGuard));
            }
            back_off(times);
            times = times.saturating_add(1);
        }
    }

    fn refuse(&self, job: Job<'_, K, V>, reason: Reason) -> Refused<K, V> {
        self.count_refused(&job, reason);
        job.refused(reason)
    }

    fn count_refused(&self, job: &Job<'_, K, V>, reason: Reason) {
        self.shard(job.hashed).gauges.refused.add(1);
        self.evict_refused(job, reason);
    }

    /// Brings in what was computed under a claim, and ends that; if refused, does neither.
    pub(super) fn put_claimed(
        &self,
        hashed: Hashed,
        claim: Claim<'_, K, V>,
        value: V,
        rule: Rule,
    ) -> PutClaimed<V> {
        let key = Key::Claimed(claim.key, claim.number);
        let mut job = Job::new(hashed, key, value, rule);
        self.weigh(&mut job);
        job.kept = claim.kept;
        let result = self.try_job(&mut job).map_err(|stop| stop.reason());
        if let Err(reason) = result {
            self.count_refused(&job, reason);
        }
        PutClaimed {
            result,
            line: job.line,
        }
    }

    fn try_job<'a>(&'a self, job: &mut Job<'a, K, V>) -> Result<Put, Stop<V>> {
        let result = self.try_to_put(job);
        job.kept = None;
        result
    }

    fn try_to_put<'a>(&'a self, job: &mut Job<'a, K, V>) -> Result<Put, Stop<V>> {
        self.set_first_term(job);
        if job.weight > self.capacity() {
            return Err(Stop::Refused(Reason::TooHeavy));
        }
        self.prefetch_entry(job.hashed);
        let shard = self.shard(job.hashed);
        let mut reservation = Reservation::none(&self.budget);
        for times in 0..TRIES {
            let mut writer = self.open(shard);
            writer.core.credit += reservation.spend();
            match writer.try_put(job) {
                Ok(put) => {
                    writer.close();
                    return Ok(put);
                }
                Err(stop) => {
                    writer.close();
                    let made = self.after_stop(stop, shard, job, &mut reservation)?;
                    if made == Made::Nothing {
                        self.give_way(times, job, &mut reservation);
                    }
                }
            }
        }
        Err(Stop::Refused(Reason::Contended))
    }

    /// Does what an attempt lacked, if it can be done.
    fn after_stop(
        &self,
        stop: Stop<V>,
        shard: &Shard<K, V>,
        job: &mut Job<'_, K, V>,
        reservation: &mut Reservation<'_>,
    ) -> Result<Made, Stop<V>> {
        match stop {
            Stop::Short(Short { need }) => {
                let kept = job.kept.as_ref().and_then(Kept::for_room).unwrap_or(0);
                match self.gather(shard, need, kept, reservation, &mut job.looks) {
                    Ok(()) => Ok(Made::All),
                    Err(NoRoom { soon: true, .. }) => Ok(Made::Nothing),
                    Err(NoRoom { reason, .. }) => Err(Stop::Refused(reason)),
                }
            }
            Stop::OtherTerm => {
                self.set_term(job, !job.term_of_update);
                Ok(Made::All)
            }
            stop => Err(stop),
        }
    }

    /// Lets go of all that another may wait for, and gives it some time.
    #[cold]
    fn give_way<'a>(
        &'a self,
        times: usize,
        job: &mut Job<'a, K, V>,
        reservation: &mut Reservation<'a>,
    ) {
        drop(job.kept.take_if(|kept| kept.for_room().is_some()));
        *reservation = Reservation::none(&self.budget);
        back_off(4 * times as u32);
    }

    /// Asks what the entry weighs: once, outside every lock.
    fn weigh(&self, job: &mut Job<'_, K, V>) {
        if let Some(weigh) = &self.weigher {
            job.weight = weigh(job.key(), job.value());
        }
    }

    /// Asks how long the entry lives, outside every lock.
    fn set_first_term(&self, job: &mut Job<'_, K, V>) {
        if let Some(times) = &self.times {
            let there = times.asks_of_updates() && self.left(job.hashed, job.key()).is_some();
            self.set_term(job, there);
        }
    }

    fn set_term(&self, job: &mut Job<'_, K, V>, of_update: bool) {
        if let Some(times) = &self.times {
            let left = of_update.then(|| self.left(job.hashed, job.key()).flatten());
            job.term = Some(times.term(job.key(), job.value(), left));
            job.term_of_update = of_update;
        }
    }
}

impl<'a, K: Eq, V> Writer<'a, K, V> {
    fn try_put(&mut self, job: &mut Job<'a, K, V>) -> Result<Put, Stop<V>> {
        self.expire();
        if let Some(Key::Own(key)) = &job.key
            && let Some(wait) = self.in_the_way(job.hashed, key, Kind::Compute)
        {
            return Err(Stop::Wait(wait));
        }
        let key = job.key();
        let fingerprint = job.hashed.fingerprint();
        self.core.prefetch_for(fingerprint);
        let found = self.find_live(fingerprint, key);
        let old = found.map(|(_, old)| old);
        if let Some(kept) = job.kept.take_if(|kept| Some(kept.entry()) != old) {
            self.let_go(kept); // it was removed meanwhile
        }
        if let Some(old) = old {
            self.prefetch_neighbours(old);
        }
        match (job.rule, found) {
            (Rule::IfAbsent, Some(_)) | (Rule::IfPresent, None) => {
                return Err(Stop::Refused(Reason::Occupancy));
            }
            _ => {}
        }
        let asks = self.asks_of_updates();
        if job.term.is_some() && found.is_some() != job.term_of_update && asks {
            return Err(Stop::OtherTerm);
        }
        self.room_beside(old, job)?;
        if job.weight == 0 && !old.is_some_and(|old| self.is_weightless(old)) {
            self.room_for_weightless(&mut job.looks)?;
        }
        let spot = self.spot_for(fingerprint, found)?;
        // SAFETY: S1: the slab of the shard that we have locked.
        let entry = unsafe { self.core.take_empty(self.shard) };
        let entry = entry.ok_or(Stop::Refused(Reason::TooMany))?;
        let pair = self.take_pair(job);
        // SAFETY: S1 and S2: it was just given to us, and we hold the lock.
        unsafe { self.shard.slab.fill(entry, fingerprint, pair) };
        self.enter(entry, job, spot, old);
        Ok(if old.is_some() {
            Put::Replaced
        } else {
            Put::Inserted
        })
    }

    /// What comes in, with the end of the claim that it comes under.
    fn take_pair(&mut self, job: &mut Job<'_, K, V>) -> (K, V) {
        let key = match job.key.take().expect("it is not in yet") {
            Key::Own(key) => key,
            Key::Claimed(key, number) => {
                let (other, line) = self.core.claims.remove(number);
                job.line = line;
                drop(other); // not the last one
                Arc::into_inner(key).expect("the claim had the only other one")
            }
        };
        (key, job.value.take().expect("it is not in yet"))
    }

    fn asks_of_updates(&self) -> bool {
        let times = self.engine.times.as_ref();
        times.is_some_and(|times| times.asks_of_updates())
    }

    /// Makes room, for which the entry that is to be replaced gives its own, and stays meanwhile.
    fn room_beside(&mut self, old: Option<u32>, job: &mut Job<'a, K, V>) -> Result<(), Short> {
        let reused = old.and_then(|old| self.reusable(old, job.kept.is_some()));
        let need = job.weight.saturating_sub(reused.unwrap_or(0));
        if need <= self.core.credit {
            return Ok(());
        }
        if reused.is_some() && job.kept.is_none() {
            job.kept = old.map(|old| self.keep_for_room(old));
        }
        self.make_room(need, &mut job.looks)
    }

    /// What an entry's successor need not pay for, if that can be: nothing as long as a holder or,
    /// in `Live`, a reader may have it too.
    fn reusable(&self, old: u32, is_kept: bool) -> Option<u64> {
        let holds = self.core.book.holders(old) - u64::from(is_kept);
        (self.engine.mode == Mode::Reachable && holds == 0).then(|| self.core.book.weight(old))
    }

    fn room_for_weightless(&mut self, looks: &mut Looks) -> Result<(), Stop<V>> {
        while self.core.weightless >= self.engine.weightless {
            let evicted = self.evict(looks, true);
            evicted.ok_or(Stop::Refused(Reason::AllHeld))?;
        }
        Ok(())
    }

    /// Where the new word goes: in place of the old one, or to a free place.
    fn spot_for(&mut self, fingerprint: u32, old: Option<(Spot, u32)>) -> Result<Spot, Stop<V>> {
        if let Some((spot, _)) = old {
            return Ok(spot);
        }
        self.grow_table_for(self.core.len + 1);
        if let Some(spot) = self.table().free_spot(fingerprint) {
            return Ok(spot);
        }
        self.make_space_in_window(fingerprint)
    }

    /// Where a new word goes, in a table that is widened until there is a place: an owner's entries leave
    /// when he says so.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn free_spot_for(&mut self, fingerprint: u32) -> Spot {
        self.grow_table_for(self.core.len + 1);
        loop {
            if let Some(spot) = self.table().free_spot(fingerprint) {
                return spot;
            }
            self.resize_table(self.table().places());
        }
    }

    /// A window is full: a wider table spreads it, or else what stands in it is evicted.
    #[cold]
    fn make_space_in_window(&mut self, fingerprint: u32) -> Result<Spot, Stop<V>> {
        // A table that was grown has fewer entries to its places: then a copy helps no more.
        let entries = self.core.len + 1;
        if self.table().places() * 4 < entries * 5 {
            self.grow_table(entries);
            if let Some(spot) = self.table().free_spot(fingerprint) {
                return Ok(spot);
            }
        }
        let victim = self.table().in_window(fingerprint);
        let victim = victim.filter(|&entry| !self.core.book.is_held(entry));
        let victim = victim.min_by_key(|&entry| self.uses(entry));
        let victim = victim.ok_or(Stop::Refused(Reason::AllHeld))?;
        self.remove(victim, Cause::Size);
        let spot = self.table().free_spot(fingerprint);
        Ok(spot.expect("a place of the window was just freed"))
    }

    /// Publishes a filled entry.
    fn enter(&mut self, entry: u32, job: &mut Job<'a, K, V>, spot: Spot, old: Option<u32>) {
        if let Some(kept) = job.kept.take() {
            self.let_go(kept);
        }
        let (fingerprint, weight) = (job.hashed.fingerprint(), job.weight);
        self.enter_as(entry, (fingerprint, weight), spot, old, job.term);
    }

    /// As `enter`, of an entry of this fingerprint and weight.
    pub(super) fn enter_as(
        &mut self,
        entry: u32,
        (fingerprint, weight): (u32, u64),
        spot: Spot,
        old: Option<u32>,
        term: Option<Term>,
    ) {
        if self.engine.weigher.is_some() {
            self.core.weigh(entry, weight);
        }
        self.onto_the_rings(entry, old);
        if let Some(term) = term {
            self.schedule(entry, term);
        }
        if let Some(old) = old {
            self.table().put(spot, entry);
            self.left(old, Cause::Replaced);
        } else {
            self.table().place(spot, fingerprint, entry);
            self.core.len += 1;
        }
        self.core.weightless += usize::from(weight == 0);
        self.core.credit -= weight;
        self.core.weight += weight;
        self.core.tally.inserts += 1;
        if let Some(owner) = &self.engine.owner
            && owner.comes_held(&self.pair(entry).1)
        {
            self.hold(entry);
        }
    }

    pub(super) fn onto_the_rings(&mut self, entry: u32, old: Option<u32>) {
        let core = &mut *self.core;
        let old = old.filter(|old| !core.book.is_parked(*old));
        // SAFETY: S1: we hold the lock. S2: the policy's entries are ours.
        let mut view = unsafe { View::new(&self.shard.slab, &core.book) };
        match old {
            Some(old) => core.policy.replace(&mut view, old, entry),
            None => core.policy.insert(&mut view, entry),
        }
    }
}
