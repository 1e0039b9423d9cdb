//! A hash table of small things that know their own keys.
//!
//! # Shape
//! ```text
//! table  [ entry ][ - ][ entry ] ..   one entry a place, at most 3/4 taken, linear probing
//!            |
//!           home = upper bits of its hash;  distance = how far behind its home it stands
//! ```
//! An entry may keep its hash, or its distance, or neither and be asked for its hash, which then
//! costs a look at what it names. Only entries of the wanted home are looked at closer: those that
//! keep their distance are passed over, and moved, without a look at what they name.
//!
//! # Invariants
//! * P1  From its home to an entry there is no empty place.
//! * P2  An entry that keeps its distance keeps the right one.
//!
//! # Edges
//! None: sequential, under the caller's lock.
//!
//! # Progress
//! Constant time on average; an insertion that grows the table, or a removal that shrinks it,
//! moves every entry.
//!
//! # Checked by
//! The unit tests below (P1, P2); `gaps/tests.rs` and `proptests/basic.rs`, through its users.

/// A thing in a table. `Option` of it should have no tag of its own.
pub(super) trait Entry: Copy {
    /// Well-mixed bits of its key ([`hash`]).
    fn hash(self) -> u32;

    /// The entry as it is kept so far from its home.
    fn at(self, _distance: usize) -> Self {
        self
    }

    /// What it was told last by `at`, if it kept it.
    fn distance(self) -> Option<usize> {
        None
    }
}

const LEAST_BITS: u32 = 4;

/// A set of entries. It knows no keys: the caller says which entry is meant.
pub(super) struct Places<E> {
    table: Box<[Option<E>]>,
    bits: u32,
    used: usize,
}

/// Where an entry was found; good until the next change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<E> {
    index: usize,
    pub(super) entry: E,
}

impl<E: Entry> Places<E> {
    pub(super) fn new() -> Self {
        Self::with_bits(LEAST_BITS)
    }

    pub(super) fn with_capacity(entries: usize) -> Self {
        let places = entries.saturating_add(entries / 3).saturating_add(1);
        Self::with_bits(places.next_power_of_two().ilog2().max(LEAST_BITS))
    }

    fn with_bits(bits: u32) -> Self {
        Self {
            table: vec![None; 1 << bits].into_boxed_slice(),
            bits,
            used: 0,
        }
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The entry of this hash that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(E) -> bool) -> Option<Found<E>> {
        let mut index = self.home(hash);
        let mut distance = 0;
        while let Some(entry) = self.table[index] {
            if self.distance(entry, index) == distance && is_it(entry) {
                return Some(Found { index, entry });
            }
            index = self.after(index);
            distance += 1;
        }
        None
    }

    /// Says that the places of this hash will be looked at soon.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        crate::sync::hint::prefetch(&self.table[self.home(hash)]);
    }

    /// Adds an entry; the caller knows that it is not there.
    #[inline]
    pub(super) fn insert(&mut self, entry: E) {
        if (self.used + 1) * 4 > self.table.len() * 3 {
            self.resize(self.bits + 1);
        }
        self.used += 1;
        self.place(entry);
    }

    /// Removes an entry; the entries behind it move up (P1).
    pub(super) fn remove(&mut self, found: Found<E>) {
        let mut hole = found.index;
        let mut index = self.after(hole);
        while let Some(entry) = self.table[index] {
            let (distance, gain) = (self.distance(entry, index), self.between(hole, index));
            // The entry may move if the hole is not before its home.
            if distance >= gain {
                self.table[hole] = Some(entry.at(distance - gain));
                hole = index;
            }
            index = self.after(index);
        }
        self.table[hole] = None;
        self.used -= 1;
        if self.bits > LEAST_BITS && self.used * 8 < self.table.len() {
            self.resize(self.bits - 1);
        }
    }

    #[cold]
    fn resize(&mut self, bits: u32) {
        let old = core::mem::replace(self, Self::with_bits(bits));
        self.used = old.used;
        for &entry in old.table.iter().flatten() {
            self.place(entry);
        }
    }

    fn place(&mut self, entry: E) {
        let mut index = self.home(entry.hash());
        let mut distance = 0;
        while self.table[index].is_some() {
            index = self.after(index);
            distance += 1;
        }
        self.table[index] = Some(entry.at(distance));
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        // More than 2^32 places: homes are then every second or fourth place.
        ((u64::from(hash) << self.bits) >> 32) as usize
    }

    #[inline]
    fn distance(&self, entry: E, index: usize) -> usize {
        let kept = entry.distance();
        kept.unwrap_or_else(|| self.between(self.home(entry.hash()), index))
    }

    #[inline]
    fn after(&self, index: usize) -> usize {
        (index + 1) & (self.table.len() - 1)
    }

    #[inline]
    fn between(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.table.len() - 1)
    }
}

/// 32 well-mixed bits of an offset (offsets are multiples of this and that).
#[inline]
pub(super) fn hash(offset: u64) -> u32 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let product = u128::from(offset ^ ODD) * u128::from(ODD);
    ((product >> 64) as u64 ^ product as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::num::NonZeroU64;

    /// A number, and its distance in the lowest two bits. All hashes are among a few.
    #[derive(Clone, Copy, Debug)]
    struct Number(NonZeroU64);

    impl Number {
        fn new(number: u64) -> Self {
            Self(NonZeroU64::new(number << 2 | 3).unwrap())
        }

        fn get(self) -> u64 {
            self.0.get() >> 2
        }
    }

    impl Entry for Number {
        fn hash(self) -> u32 {
            hash(self.get() / 4)
        }

        fn at(self, distance: usize) -> Self {
            let kept = self.0.get() & !3 | distance.min(3) as u64;
            // 0 has no place in an entry, so number 0 is not used.
            Self(NonZeroU64::new(kept).unwrap())
        }

        fn distance(self) -> Option<usize> {
            let kept = self.0.get() & 3;
            (kept < 3).then_some(kept as usize)
        }
    }

    fn check(places: &Places<Number>, oracle: &BTreeSet<u64>) {
        assert_eq!(places.len(), oracle.len());
        for number in 1..600 {
            let found = places.find(Number::new(number).hash(), |entry| entry.get() == number);
            assert_eq!(found.is_some(), oracle.contains(&number)); // P1
        }
        for (index, entry) in places.table.iter().enumerate() {
            let Some(entry) = *entry else { continue };
            let distance = places.between(places.home(entry.hash()), index);
            assert_eq!(entry.distance().unwrap_or(distance), distance); // P2
        }
    }

    #[test]
    fn a_table_is_a_set() {
        let (mut places, mut oracle) = (Places::<Number>::new(), BTreeSet::new());
        let mut dice = 1_u32;
        for round in 0_u32..20_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = u64::from(dice >> 16) % 599 + 1;
            let found = places.find(Number::new(number).hash(), |entry| entry.get() == number);
            // Fills and empties in turn.
            match (found, round / 2000 % 2 == 0) {
                (None, true) => places.insert(Number::new(number)),
                (Some(found), false) => places.remove(found),
                _ => continue,
            }
            match round / 2000 % 2 == 0 {
                true => oracle.insert(number),
                false => oracle.remove(&number),
            };
            if round % 64 == 0 {
                check(&places, &oracle);
            }
        }
        check(&places, &oracle);
    }
}
