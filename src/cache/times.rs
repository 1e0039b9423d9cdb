//! When entries are over: each one's deadline, and the wheel that finds those that passed.
//!
//! # Shape
//! ```text
//! Times      the rules and the clock                              one a cache, if anything expires
//! Stamps     [deadline 32]  [bound 32] ..   by entry, atomic      reads look here, and move it on
//! Timetable  wheel + [links 2 x 32] ..      by entry              under the shard's lock
//! ```
//! The bound is the tick that a read may not move the deadline beyond, where there is a time to live
//! beside a time to idle; or when the entry was written, for an [`Expiry`] of the user's.
//!
//! # Invariants
//! * X1  A reader returns no entry whose deadline it saw passed, and says so in the stamp: from then
//!   on nobody does, however long it stays. A deadline moves by reads, from the one that was seen
//!   and was still ahead once all was asked; and never beyond what the rules say.
//! * X2  An entry with a deadline is in the wheel as long as it is reachable, no later than at its
//!   deadline; reads move deadlines to later only, or tell the shard.
//!
//! # Edges
//! None: a deadline publishes nothing; what was written before an entry came in crosses with it.
//!
//! # Progress
//! `look` is wait-free but for what the user's clock and `Expiry` do: one compare-exchange at most.
//!
//! # Checked by
//! `tests/cache.rs`; `tests/cache_mended.rs` (X1); `proptests/wheel.rs`.
#![allow(unsafe_code)] // deadlines lie in chunks, at the numbers of their entries

use core::time::Duration;
use std::sync::Arc;

use super::chunks::{self, Chunks};
use super::clock::{Clock, Expiry, Timeline};
use super::tick::{Moment, Tick};
use super::wheel::{Links, Timers, Wheel};
use crate::sync::atomic::{AtomicU32, Ordering::*};

/// What a user says of single entries.
pub(super) type AnyExpiry<K, V> = Arc<dyn Expiry<K, V> + Send + Sync>;

/// How many entries of a wheel one write looks at.
pub(super) const LOOKS_AT_ONCE: usize = 32;

/// The rules by which entries expire.
pub(super) struct Rules<K, V> {
    pub(super) live: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) expiry: Option<AnyExpiry<K, V>>,
    pub(super) clock: Option<Arc<dyn Clock>>,
}

impl<K, V> Default for Rules<K, V> {
    fn default() -> Self {
        Self {
            live: None,
            idle: None,
            expiry: None,
            clock: None,
        }
    }
}

impl<K, V> Rules<K, V> {
    /// Nothing where nothing expires: then no clock is ever read.
    pub(super) fn start(self) -> Option<Times<K, V>> {
        let any = self.live.is_some() || self.idle.is_some() || self.expiry.is_some();
        any.then(|| Times {
            timeline: Timeline::new(self.clock.clone()),
            rules: self,
        })
    }
}

/// The rules, and the clock.
pub(super) struct Times<K, V> {
    rules: Rules<K, V>,
    timeline: Timeline,
}

/// When a new entry is over, and what a read may not exceed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    deadline: Tick,
    bound: Tick,
    /// When this was asked.
    pub(super) at: Moment,
}

impl<K, V> Times<K, V> {
    pub(super) fn now(&self) -> Duration {
        self.timeline.now()
    }

    pub(super) fn moment(&self) -> Moment {
        Moment::of(self.now())
    }

    /// Whether it matters if an entry replaces another.
    pub(super) fn asks_of_updates(&self) -> bool {
        self.rules.expiry.is_some()
    }

    /// The term of an entry that comes in; `left` is what is left to the one that it replaces.
    pub(super) fn term(&self, key: &K, value: &V, replaces: Option<Option<Duration>>) -> Term {
        let now = self.now();
        let own = self.rules.expiry.as_ref().and_then(|expiry| {
            let at = self.timeline.instant(now);
            match replaces {
                None => expiry.expire_after_create(key, value, at),
                Some(left) => expiry.expire_after_update(key, value, at, left),
            }
        });
        let left = earliest([own, self.rules.live, self.rules.idle]);
        let deadline = left.map_or(Tick::NEVER, |left| Tick::after(now, left));
        Term {
            deadline,
            bound: self.bound(now),
            at: Moment::of(now),
        }
    }

    fn bound(&self, now: Duration) -> Tick {
        if self.rules.expiry.is_some() {
            return Tick::at(Moment::of(now));
        }
        let live = self.rules.live;
        live.map_or(Tick::NEVER, |live| Tick::after(now, live))
    }

    /// Whether there are two stamps to an entry.
    fn is_bounded(&self) -> bool {
        self.rules.expiry.is_some() || (self.rules.live.is_some() && self.rules.idle.is_some())
    }

    /// Where a shard keeps what reads look at.
    pub(super) fn stamps(&self) -> Stamps {
        Stamps {
            deadlines: Chunks::new(),
            bounds: self.is_bounded().then(Chunks::new),
        }
    }

    /// Whether an entry is not over yet; a read that counts as a use may move its deadline.
    ///
    /// # Safety
    /// S1: as `Chunks::get` wants it of `entry`.
    #[inline]
    pub(super) unsafe fn look(&self, at: At<'_, K, V>, is_use: bool) -> Look {
        let now = self.now();
        // SAFETY: S1.
        let stamp = unsafe { at.stamps.deadlines.get(at.entry) };
        // Relaxed: it publishes nothing.
        let deadline = Tick::from_bits(stamp.load(Relaxed));
        if deadline.is_over(Moment::of(now)) {
            return over_for_good(stamp, deadline, now);
        }
        let moves = self.rules.idle.is_some() || self.rules.expiry.is_some();
        if !is_use || !moves {
            return Look::Alive;
        }
        // SAFETY: S1.
        let next = unsafe { self.after_use(at, deadline, now) };
        // The user's code took its time.
        if self.rules.expiry.is_some() {
            let now = self.now();
            if deadline.is_over(Moment::of(now)) {
                return over_for_good(stamp, deadline, now);
            }
        }
        if next == deadline {
            return Look::Alive;
        }
        // Relaxed, both: as above. At most once an entry and tick, since then they are equal.
        match stamp.compare_exchange(deadline.to_bits(), next.to_bits(), Relaxed, Relaxed) {
            Ok(_) if is_sooner(next, deadline, now) => Look::Sooner,
            Ok(_) => Look::Alive,
            Err(moved) => moved_to(moved, now),
        }
    }

    /// # Safety
    /// S1: as in `look`.
    unsafe fn after_use(&self, at: At<'_, K, V>, deadline: Tick, now: Duration) -> Tick {
        // SAFETY: S1.
        let bound = unsafe { at.stamps.bound(at.entry) };
        let left = deadline.left(now);
        let written = bound.left(Duration::ZERO).unwrap_or_default();
        let own = self.rules.expiry.as_ref().and_then(|expiry| {
            let read = self.timeline.instant(now);
            let written = self.timeline.instant(written);
            let (key, value) = at.pair;
            expiry.expire_after_read(key, value, read, left, written)
        });
        let idle = self.rules.idle;
        if self.rules.expiry.is_none() {
            let next = idle.map_or(deadline, |idle| Tick::after(now, idle));
            return if is_sooner(bound, next, now) {
                bound
            } else {
                next
            };
        }
        let age = now.saturating_sub(written);
        let live = self.rules.live.map(|live| live.saturating_sub(age));
        match earliest([own, live, idle]) {
            Some(next) if Some(next) == left => deadline,
            Some(next) => Tick::after(now, next),
            None => Tick::NEVER,
        }
    }
}

/// An entry that is looked at.
pub(super) struct At<'a, K, V> {
    pub(super) stamps: &'a Stamps,
    pub(super) entry: u32,
    pub(super) pair: &'a (K, V),
}

/// What a look at a deadline came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Alive,
    /// Alive, and its deadline moved to an earlier time, which the wheel is to be told.
    Sooner,
    Over,
}

/// Writes down that a deadline passed, so that no read which began before moves it on, and none
/// takes it for one that is ahead when the ticks have come round.
#[cold]
fn over_for_good(stamp: &AtomicU32, deadline: Tick, now: Duration) -> Look {
    let (seen, over) = (deadline.to_bits(), Tick::OVER.to_bits());
    if seen == over {
        return Look::Over;
    }
    // Relaxed, both: it publishes nothing.
    match stamp.compare_exchange(seen, over, Relaxed, Relaxed) {
        Ok(_) => Look::Over,
        Err(moved) => moved_to(moved, now),
    }
}

/// What another read made of the deadline meanwhile, counts.
fn moved_to(moved: u32, now: Duration) -> Look {
    if Tick::from_bits(moved).is_over(Moment::of(now)) {
        Look::Over
    } else {
        Look::Alive
    }
}

fn earliest<const N: usize>(all: [Option<Duration>; N]) -> Option<Duration> {
    all.into_iter().flatten().min()
}

/// What reads look at.
pub(super) struct Stamps {
    deadlines: Chunks<AtomicU32>,
    bounds: Option<Chunks<AtomicU32>>,
}

impl Stamps {
    pub(super) fn grow(&self) {
        let _ = self.deadlines.grow(|| AtomicU32::new(0));
        if let Some(bounds) = &self.bounds {
            let _ = bounds.grow(|| AtomicU32::new(0));
        }
    }

    /// # Safety
    /// S1: as in `Chunks::get`.
    unsafe fn bound(&self, entry: u32) -> Tick {
        let Some(bounds) = &self.bounds else {
            return Tick::NEVER;
        };
        // SAFETY: S1.
        let bound = unsafe { bounds.get(entry) };
        // Relaxed: it publishes nothing.
        Tick::from_bits(bound.load(Relaxed))
    }

    /// # Safety
    /// S1: as in `Chunks::get`.
    pub(super) unsafe fn deadline(&self, entry: u32) -> Tick {
        // SAFETY: S1.
        let deadline = unsafe { self.deadlines.get(entry) };
        // Relaxed: it publishes nothing.
        Tick::from_bits(deadline.load(Relaxed))
    }

    /// # Safety
    /// S1: as in `Chunks::get`.
    pub(super) unsafe fn set(&self, entry: u32, term: Term) {
        // SAFETY: S1.
        let deadline = unsafe { self.deadlines.get(entry) };
        // Relaxed: the entry is published after that.
        deadline.store(term.deadline.to_bits(), Relaxed);
        if let Some(bounds) = &self.bounds {
            // SAFETY: S1.
            let bound = unsafe { bounds.get(entry) };
            // Relaxed: as above.
            bound.store(term.bound.to_bits(), Relaxed);
        }
    }
}

/// The wheel of a shard.
pub(super) struct Timetable {
    wheel: Wheel,
    links: Vec<Links>,
}

impl Timetable {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            wheel: Wheel::new(now),
            links: Vec::new(),
        }
    }

    pub(super) fn grow(&mut self, room: usize) {
        self.links.reserve_exact(room - self.links.len());
        self.links.resize(room, Links::NONE);
    }

    /// # Safety
    /// S1: the entry is the shard's, and the stamps are.
    pub(super) unsafe fn schedule(&mut self, stamps: &Stamps, entry: u32, now: Moment) {
        let mut deck = Deck {
            links: &mut self.links,
            stamps,
        };
        self.wheel.schedule(&mut deck, rank(entry), now);
    }

    /// # Safety
    /// S1: as in `schedule`.
    pub(super) unsafe fn cancel(&mut self, stamps: &Stamps, entry: u32) {
        let mut deck = Deck {
            links: &mut self.links,
            stamps,
        };
        self.wheel.cancel(&mut deck, rank(entry));
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.wheel.is_due(now)
    }

    /// An entry that is over, and is in the wheel no more.
    ///
    /// # Safety
    /// S1: the stamps are the shard's.
    pub(super) unsafe fn pop(
        &mut self,
        stamps: &Stamps,
        now: Moment,
        at_most: &mut usize,
    ) -> Option<u32> {
        let mut deck = Deck {
            links: &mut self.links,
            stamps,
        };
        let rank = self.wheel.pop(&mut deck, now, at_most)?;
        Some(chunks::number(rank as usize))
    }
}

/// What the wheel calls an entry.
fn rank(entry: u32) -> u32 {
    chunks::rank(entry) as u32
}

/// The wheel's view of a shard's entries, by rank.
struct Deck<'a> {
    links: &'a mut Vec<Links>,
    stamps: &'a Stamps,
}

impl Timers for Deck<'_> {
    fn links(&self, rank: u32) -> Links {
        self.links[rank as usize]
    }

    fn set_links(&mut self, rank: u32, links: Links) {
        self.links[rank as usize] = links;
    }

    fn deadline(&self, rank: u32) -> Tick {
        // SAFETY: S1: the wheel has entries of this shard only (S1 of the timetable's methods).
        unsafe { self.stamps.deadline(chunks::number(rank as usize)) }
    }
}

/// Whether one deadline is before another.
fn is_sooner(one: Tick, other: Tick, now: Duration) -> bool {
    let now = Moment::of(now);
    match (one.near(now), other.near(now)) {
        (Some(one), Some(other)) => one < other,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
