//! Entries that are over leave: a few at each write of their shard.
#![allow(unsafe_code)] // vouches that what the wheel has is the shard's

use equivalent::Equivalent;

use super::cause::Cause;
use super::table::Spot;
use super::tick::Moment;
use super::times::{LOOKS_AT_ONCE, Term};
use super::writer::Writer;

impl<K, V> Writer<'_, K, V> {
    /// The entry of this key; one that is over leaves, and is none.
    pub(super) fn find_live<Q>(&mut self, fingerprint: u32, key: &Q) -> Option<(Spot, u32)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let (spot, entry) = self.find(fingerprint, key)?;
        if self.is_over(entry) {
            self.remove(entry, Cause::Expired);
            return None;
        }
        Some((spot, entry))
    }

    /// Whether an entry that stands in the table is over.
    pub(super) fn is_over(&self, entry: u32) -> bool {
        let (Some(times), Some(stamps)) = (&self.engine.times, &self.shard.stamps) else {
            return false;
        };
        // SAFETY: S1: the number is from the shard's table.
        unsafe { stamps.deadline(entry) }.is_over(times.moment())
    }

    /// Lets a few of the entries go that are over.
    pub(super) fn expire(&mut self) {
        let Some(times) = &self.engine.times else {
            return;
        };
        let now = times.moment();
        let due = self
            .core
            .timetable
            .as_ref()
            .is_some_and(|table| table.is_due(now));
        if due {
            self.expire_some(now, LOOKS_AT_ONCE);
        }
    }

    /// Lets all go that are over by now.
    pub(super) fn expire_all(&mut self) {
        if let Some(times) = &self.engine.times {
            self.expire_some(times.moment(), usize::MAX);
        }
    }

    fn expire_some(&mut self, now: Moment, mut at_most: usize) {
        let Some(stamps) = &self.shard.stamps else {
            return;
        };
        while let Some(timetable) = &mut self.core.timetable {
            // SAFETY: S1: both are this shard's.
            let Some(entry) = (unsafe { timetable.pop(stamps, now, &mut at_most) }) else {
                break;
            };
            self.remove(entry, Cause::Expired);
        }
        // The user's `Eq` comes next, and may panic.
        self.settle();
    }

    /// Writes down when a new entry is over.
    pub(super) fn schedule(&mut self, entry: u32, term: Term) {
        if let Some(stamps) = &self.shard.stamps {
            // SAFETY: S1: the entry is this shard's.
            unsafe { stamps.set(entry, term) };
        }
        self.wheel_is_told(entry, term.at);
    }

    /// Tells the wheel that an entry is over earlier than it was, unless it has left meanwhile.
    pub(super) fn reschedule(&mut self, entry: u32, now: Moment) {
        let fingerprint = self.fingerprint(entry);
        if self.table().spot_of(fingerprint, entry).is_some() {
            self.wheel_is_told(entry, now);
        }
    }

    fn wheel_is_told(&mut self, entry: u32, now: Moment) {
        if let (Some(stamps), Some(timetable)) = (&self.shard.stamps, &mut self.core.timetable) {
            // SAFETY: S1: the entry and the stamps are this shard's.
            unsafe { timetable.schedule(stamps, entry, now) };
        }
    }

    /// Takes an entry that leaves from the wheel.
    pub(super) fn unschedule(&mut self, entry: u32) {
        let (Some(timetable), Some(stamps)) = (&mut self.core.timetable, &self.shard.stamps) else {
            return;
        };
        // SAFETY: S1: the entry and the stamps are this shard's.
        unsafe { timetable.cancel(stamps, entry) };
    }
}
