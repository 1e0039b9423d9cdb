//! An entry comes in: under a new key, or in the place of another.
#![allow(unsafe_code)] // fills an empty entry
//!
//! # Progress
//! Blocks on the shard's lock; where the shard has no room, on the others', one after the other.

use super::budget::Reservation;
use super::cause::Cause;
use super::engine::{Engine, Hashed, Mode};
use super::error::{Reason, Refused};
use super::policy::Looks;
use super::room::Short;
use super::shard::SpareTable;
use super::table::{Spot, Table};
use super::view::View;
use super::writer::Writer;

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
pub(super) struct Job<K, V> {
    pub(super) hashed: Hashed,
    pub(super) rule: Rule,
    pub(super) weight: u64,
    /// There until it is in.
    pair: Option<(K, V)>,
}

/// Why one attempt came to nothing.
enum Stop {
    Short(Short),
    Refused(Reason),
}

impl From<Short> for Stop {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

impl<K: Eq, V> Engine<K, V> {
    /// What an entry weighs: asked once, outside every lock.
    pub(super) fn weight_of(&self, key: &K, value: &V) -> u64 {
        self.weigher.as_ref().map_or(1, |weigh| weigh(key, value))
    }

    /// Brings an entry in; says whether it replaced one.
    pub(super) fn put(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
        rule: Rule,
    ) -> Result<bool, Refused<K, V>> {
        let weight = self.weight_of(&key, &value);
        let mut job = Job {
            hashed,
            rule,
            weight,
            pair: Some((key, value)),
        };
        self.put_job(&mut job).map_err(|reason| {
            let (key, value) = job.pair.take().expect("what was refused was not taken");
            Refused { key, value, reason }
        })
    }

    fn put_job(&self, job: &mut Job<K, V>) -> Result<bool, Reason> {
        if job.weight > self.capacity() {
            return Err(Reason::TooHeavy);
        }
        self.prefetch(job.hashed);
        let shard = self.shard(job.hashed);
        let mut reservation = Reservation::none(&self.budget);
        for _ in 0..TRIES {
            let mut writer = self.open(shard);
            writer.core.credit += reservation.spend();
            let result = writer.try_put(job);
            if let Err(Stop::Refused(_)) = result {
                writer.core.tally.refused += 1;
            }
            writer.close();
            match result {
                Ok(replaced) => return Ok(replaced),
                Err(Stop::Refused(reason)) => return Err(reason),
                Err(Stop::Short(short)) => self.gather(shard, short.need, &mut reservation)?,
            }
        }
        Err(Reason::Contended)
    }
}

impl<K: Eq, V> Writer<'_, K, V> {
    fn try_put(&mut self, job: &mut Job<K, V>) -> Result<bool, Stop> {
        let key = &job.pair.as_ref().expect("it is not in yet").0;
        let fingerprint = job.hashed.fingerprint();
        self.core.prefetch_for(fingerprint);
        let found = self.find(fingerprint, key);
        match (job.rule, found) {
            (Rule::IfAbsent, Some(_)) | (Rule::IfPresent, None) => {
                return Err(Stop::Refused(Reason::Occupancy));
            }
            _ => {}
        }
        let mut looks = Looks::new();
        let old = self.room_beside(found, job.weight, &mut looks)?;
        if job.weight == 0 {
            self.room_for_weightless(&mut looks)?;
        }
        let spot = self.spot_for(fingerprint, old)?;
        // SAFETY: S1: the slab of the shard that we have locked.
        let entry = unsafe { self.core.take_empty(&self.shard.slab) };
        let entry = entry.ok_or(Stop::Refused(Reason::TooMany))?;
        let pair = job.pair.take().expect("it is not in yet");
        // SAFETY: S1 and S2: it was just given to us, and we hold the lock.
        unsafe { self.shard.slab.fill(entry, fingerprint, pair) };
        self.enter(entry, job.weight, spot, old.map(|(_, old)| old));
        Ok(old.is_some())
    }

    /// Makes room, for which the entry that is to be replaced gives its own; says whether it is
    /// still there, since it may be what is evicted.
    fn room_beside(
        &mut self,
        mut found: Option<(Spot, u32)>,
        weight: u64,
        looks: &mut Looks,
    ) -> Result<Option<(Spot, u32)>, Short> {
        loop {
            let reused = found.map_or(0, |(_, old)| self.reusable(old));
            self.make_room(weight.saturating_sub(reused), looks)?;
            let still = found.filter(|&(spot, old)| self.table().is_at(spot, old));
            if still == found {
                return Ok(found);
            }
            found = still;
        }
    }

    /// What an entry's successor need not pay for.
    fn reusable(&self, old: u32) -> u64 {
        if self.engine.mode == Mode::Live || self.core.book.is_held(old) {
            return 0;
        }
        self.core.book.weight(old)
    }

    fn room_for_weightless(&mut self, looks: &mut Looks) -> Result<(), Stop> {
        while self.core.weightless >= self.engine.weightless {
            let evicted = self.evict(looks, true);
            evicted.ok_or(Stop::Refused(Reason::AllHeld))?;
        }
        Ok(())
    }

    /// Where the new word goes: in place of the old one, or to a free place.
    fn spot_for(&mut self, fingerprint: u32, old: Option<(Spot, u32)>) -> Result<Spot, Stop> {
        if let Some((spot, _)) = old {
            return Ok(spot);
        }
        self.grow_table_for(self.core.len + 1);
        if let Some(spot) = self.table().free_spot(fingerprint) {
            return Ok(spot);
        }
        self.make_space_in_window(fingerprint)
    }

    /// A window is full: a wider table spreads it, or else what stands in it is evicted.
    #[cold]
    fn make_space_in_window(&mut self, fingerprint: u32) -> Result<Spot, Stop> {
        if self.table().places() / 4 < self.core.len + 1 {
            self.resize_table(2 * self.core.len);
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
        Ok(spot.expect("a word of the window was just freed"))
    }

    /// Publishes a filled entry.
    fn enter(&mut self, entry: u32, weight: u64, spot: Spot, old: Option<u32>) {
        if self.engine.weigher.is_some() {
            self.core.weigh(entry, weight);
        }
        let fingerprint = self.fingerprint(entry);
        self.onto_the_rings(entry, old);
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
    }

    fn uses(&self, entry: u32) -> u8 {
        // SAFETY: S1: the number is from a word of the table.
        unsafe { self.shard.slab.node(entry) }.uses()
    }

    fn grow_table_for(&mut self, entries: usize) {
        if entries * 8 <= self.table().places() * 7 {
            return;
        }
        let mut room = 2 * entries;
        if self.engine.weigher.is_none() {
            // An entry weighs 1: there will hardly be more of them than this shard's share.
            let share = usize::try_from(self.engine.share()).unwrap_or(usize::MAX);
            room = (16 * entries)
                .min(share.saturating_add(share / 8))
                .max(entries + entries / 8);
        }
        self.resize_table(room);
    }

    /// Copies the table to a wider or narrower one; leaves it where a window is too narrow there.
    fn resize_table(&mut self, entries: usize) {
        let least = Table::buckets_for(entries);
        for buckets in [least, 2 * least, 4 * least] {
            let next = self.empty_table(buckets);
            let copied = self
                .table()
                .copy_to(next.get(), |entry| self.fingerprint(entry));
            if copied.is_some() {
                return self.publish(next);
            }
            self.core.spare.push(next);
        }
    }

    /// A table of so many buckets, or of some more where one lies about.
    fn empty_table(&mut self, buckets: usize) -> SpareTable {
        let fits = |table: &SpareTable| (buckets..=2 * buckets).contains(&table.get().buckets());
        let Some(at) = self.core.spare.iter().position(fits) else {
            return SpareTable::new(Table::of(buckets));
        };
        let table = self.core.spare.swap_remove(at);
        table.get().clear();
        table
    }

    fn publish(&mut self, table: SpareTable) {
        let old = self.shard.publish(table);
        let bytes = old.get().bytes();
        if self.core.old_tables.add(old, bytes) {
            self.seal();
        }
    }

    fn onto_the_rings(&mut self, entry: u32, old: Option<u32>) {
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
