//! What a shard's lock guards.
#![allow(unsafe_code)] // vouches for the lock, where entries are taken and given back

use core::mem;
use std::collections::HashMap;

use super::chunks;
use super::claims::Claims;
use super::places::Places;
use super::policy::Policy;
use super::shard::{Shard, SpareTable};
use super::slab::Slab;
use super::times::Timetable;
use super::writer::Leaver;
use crate::sync::epoch::{Domain, Limbo};

/// The state of a shard that only the holder of its lock looks at.
pub(super) struct Core<K, V> {
    pub(super) policy: Policy,
    pub(super) book: Book,
    /// Entries that left and that readers may still look at.
    pub(super) limbo: Limbo<u32>,
    /// Tables that readers may still look at ..
    pub(super) old_tables: Limbo<SpareTable>,
    /// .. and those that may be written anew.
    pub(super) spare: Vec<SpareTable>,
    /// Tokens that no entry owns.
    pub(super) credit: u64,
    /// What reachable and held entries own.
    pub(super) weight: u64,
    /// What held entries own.
    pub(super) held: u64,
    /// What those of them own that nobody held before their successors' room was made.
    pub(super) making: u64,
    /// What waits in the limbo, or to be told to a listener. It has no bound but in `Live`.
    pub(super) retained: u128,
    /// How many entries are reachable.
    pub(super) len: usize,
    pub(super) weightless: usize,
    pub(super) tally: Tally,
    /// Unlinked, and not told yet: a panic came between, or it is to be told by the outermost one of
    /// many listeners inside each other.
    pub(super) backlog: Vec<Leaver>,
    pub(super) places: Places,
    pub(super) claims: Claims<K, V>,
    pub(super) timetable: Option<Timetable>,
}

/// What happened in a shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) inserts: u64,
    /// By cause.
    pub(super) left: [u64; 4],
}

/// What weighs so much is written down elsewhere.
const HEAVY: u32 = u32::MAX;

/// What is known of entries beside what lies in them.
#[derive(Default)]
pub(super) struct Book {
    /// By entry, `HEAVY` for those that weigh that much or more; empty where every entry weighs 1.
    weights: Vec<u32>,
    /// What an entry weighs for the policy beside that.
    pub(super) place: u64,
    heavy: HashMap<u32, u64, ahash::RandomState>,
    pub(super) holds: HashMap<u32, Hold, ahash::RandomState>,
}

/// An entry that is held. Packed, since all of a store's objects may be.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(super) struct Hold {
    /// So many that no one can count beyond, not even by forgetting clones.
    pub(super) count: u64,
    /// The policy met it and put it aside.
    pub(super) parked: bool,
    /// No word names it any more.
    pub(super) removed: bool,
}

impl Hold {
    pub(super) const NONE: Self = Self {
        count: 0,
        parked: false,
        removed: false,
    };
}

impl Book {
    /// There are no more than so many entries by now.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn shrink_to(&mut self, entries: usize) {
        self.weights.truncate(entries);
        self.weights.shrink_to_fit();
        self.holds.shrink_to_fit();
        self.heavy.shrink_to_fit();
    }

    #[inline(always)]
    pub(super) fn weight(&self, entry: u32) -> u64 {
        if self.weights.is_empty() {
            return 1;
        }
        self.written_weight(entry)
    }

    fn written_weight(&self, entry: u32) -> u64 {
        match self.weights.get(chunks::rank(entry)) {
            Some(&HEAVY) => self.heavy[&entry],
            Some(&weight) => weight.into(),
            None => 1,
        }
    }

    pub(super) fn is_parked(&self, entry: u32) -> bool {
        self.holds.get(&entry).is_some_and(|hold| hold.parked)
    }

    /// How many hold an entry.
    pub(super) fn holders(&self, entry: u32) -> u64 {
        self.holds.get(&entry).map_or(0, |hold| hold.count)
    }

    pub(super) fn is_held(&self, entry: u32) -> bool {
        !self.holds.is_empty() && self.holds.contains_key(&entry)
    }
}

impl<K, V> Core<K, V> {
    pub(super) fn new(
        domain: &Domain,
        policy: Policy,
        place: u64,
        timetable: Option<Timetable>,
    ) -> Self {
        Self {
            policy,
            book: Book {
                place,
                ..Book::default()
            },
            limbo: Limbo::new(domain),
            old_tables: Limbo::new(domain),
            spare: Vec::new(),
            credit: 0,
            weight: 0,
            held: 0,
            making: 0,
            retained: 0,
            len: 0,
            weightless: 0,
            tally: Tally::default(),
            backlog: Vec::new(),
            places: Places::default(),
            claims: Claims::default(),
            timetable,
        }
    }

    /// A word to the processor: an entry with this fingerprint comes in.
    pub(super) fn prefetch_for(&self, fingerprint: u32) {
        if let Some(line) = self.policy.ghost_line(fingerprint) {
            crate::sync::hint::prefetch_at(line);
        }
    }

    /// An empty entry, if there is a number left for one.
    ///
    /// # Safety
    /// S1: it is the lock of this shard that guards us.
    pub(super) unsafe fn take_empty(&mut self, shard: &Shard<K, V>) -> Option<u32> {
        if !self.places.any() {
            // SAFETY: S1.
            unsafe { self.grow(shard) }?;
        }
        // SAFETY: S1.
        unsafe { self.places.take(&shard.slab) }
    }

    /// Makes some more entries; none if there are as many as there can be.
    ///
    /// # Safety
    /// As `take_empty`.
    unsafe fn grow(&mut self, shard: &Shard<K, V>) -> Option<()> {
        // SAFETY: S1.
        unsafe { self.places.grow(&shard.slab) }?;
        if let Some(stamps) = &shard.stamps {
            stamps.grow();
        }
        if let Some(timetable) = &mut self.timetable {
            timetable.grow(self.places.bound());
        }
        Some(())
    }

    /// Makes an emptied entry one that can be taken.
    ///
    /// # Safety
    /// S1: as in `take_empty`. S2: the entry was taken from there, and is emptied.
    pub(super) unsafe fn give_empty(&mut self, slab: &Slab<K, V>, entry: u32) {
        // SAFETY: S1 and S2.
        unsafe { self.places.give(slab, entry) };
    }

    /// Frees the tables that may be written anew.
    pub(super) fn free_spare(&mut self) {
        for table in self.spare.drain(..) {
            // SAFETY: S1: they were ripe, or never published.
            unsafe { table.free() };
        }
    }

    /// Writes down what an entry weighs, where entries are weighed.
    pub(super) fn weigh(&mut self, entry: u32, weight: u64) {
        let (book, room) = (&mut self.book, self.places.bound());
        let weights = &mut book.weights;
        if weights.len() < room {
            weights.reserve_exact(room - weights.len());
            weights.resize(room, 0);
        }
        let short = u32::try_from(weight).unwrap_or(HEAVY);
        let before = mem::replace(&mut weights[chunks::rank(entry)], short);
        if before == HEAVY {
            book.heavy.remove(&entry);
        }
        if short == HEAVY {
            book.heavy.insert(entry, weight);
        }
    }
}
