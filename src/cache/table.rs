//! From a fingerprint to the entries that may have it: buckets of one cache line.
//!
//! # Shape
//! ```text
//! bucket  [tags 8 x 8][tags 4 x 8 | passed 32][entry, or 0: 12 x 32]     64 bytes
//! home    fingerprint * buckets >> 32; the number of buckets is odd
//! window  the home and 15 more, each 1, 2, 4, .. or 128 buckets after the one before, by three
//!         bits of the fingerprint: whose homes are full do not crowd the same buckets next to them
//! tag     the fingerprint's low byte, or 1 for 0; a place without a tag is free
//! ```
//! All tags of a bucket are compared at once, without a branch for each. `passed` counts the entries
//! whose window leads through here to their place: a read goes on only where something
//! has passed. There are no tombstones.
//!
//! # Invariants
//! * T1  Places are written under the shard's lock only; an entry is at no more than one.
//! * T2  An entry does not move within a table: one that is there throughout is found.
//! * T3  A table that was replaced is not written again, or freed, before the last look of every guard: who
//!   still reads it sees what was true when the next was published, which is after that read began.
//! * T4  Tag and entry of a place are written apart. A reader may see the tag of one and the number
//!   of another, and asks the entry for its key in any case.
//!
//! # Edges
//! | edge | released by  | acquired by     | what crosses                            |
//! |------|--------------|-----------------|-----------------------------------------|
//! | WORD | `Table::put` | `Bucket::entry` | the entry's chunk, key and value        |
//!
//! # Progress
//! `find` is wait-free: at most 16 buckets.
//!
//! # Checked by
//! `loom-tests/cache.rs` (T2, T3, T4, WORD); `proptests/cache.rs`.
//!
//! The layout is that of F14 (Bronson and Shi, Facebook, 2019) and of Swiss tables (Kulukundis,
//! CppCon 2017), with counts in the place of tombstones.
#![allow(unsafe_code)] // a bucket is found without a question whether it is there

use super::tags;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use crate::sync::cell::Canary;

/// Places in a bucket.
pub(super) const PLACES: usize = tags::TAGS;
/// A table has room for so many entries, or more.
pub(super) const LEAST_ROOM: usize = if SMALL { 1 } else { 4 };
/// Buckets in a window.
pub(super) const WINDOW: usize = if SMALL { 2 } else { 16 };

#[derive(Debug)]
#[repr(align(64))]
struct Bucket {
    /// Eight tags; four tags, and `passed` in the upper half.
    tags: [AtomicU64; 2],
    entries: [AtomicU32; PLACES],
}

/// The places of a bucket that a search still has to look at, a bit for each.
#[derive(Clone, Copy, Debug)]
struct Places(u32);

impl Places {
    /// Those whose tag is this one.
    #[inline(always)]
    fn with(tags: [u64; 2], tag: u8) -> Self {
        Self(tags::equal(tags, tag))
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

impl Bucket {
    fn new() -> Self {
        Self {
            tags: [AtomicU64::new(0), AtomicU64::new(0)],
            entries: core::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    #[inline(always)]
    fn tags(&self) -> [u64; 2] {
        // Relaxed: a tag says where to look, and `passed` whether to go on: for whoever knows that
        // an entry is there, both were written before that, and stay as long as it is there (T4).
        [self.tags[0].load(Relaxed), self.tags[1].load(Relaxed)]
    }

    #[inline(always)]
    fn entry(&self, place: usize) -> Option<u32> {
        // Acquire [WORD]: see the entry before its number is used.
        let entry = self.entries[place].load(Acquire);
        (entry != 0).then_some(entry)
    }

    /// Changes a place's tag, under the lock.
    fn set_tag(&self, place: usize, tag: u8) {
        let (word, shift) = (place / 8, 8 * (place % 8));
        let seen = self.tags()[word];
        let next = seen & !(0xFF << shift) | u64::from(tag) << shift;
        // Relaxed: written under the lock alone; see `tags`.
        self.tags[word].store(next, Relaxed);
    }

    /// Changes `passed`, under the lock.
    fn pass(&self, by: i32) {
        let next = self.tags()[1].wrapping_add_signed(i64::from(by) << 32);
        // Relaxed: written under the lock alone; see `tags`.
        self.tags[1].store(next, Relaxed);
    }
}

#[inline(always)]
fn tag_of(fingerprint: u32) -> u8 {
    (fingerprint as u8).max(1)
}

/// Where in a table an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    bucket: usize,
    place: usize,
}

/// The entries of one size of a shard.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    canary: Canary,
}

/// Where the homes of a table are, for whoever may not look at it: what is wrong here costs a prefetch.
#[derive(Debug)]
pub(super) struct Homes {
    first: AtomicUsize,
    buckets: AtomicUsize,
}

impl Homes {
    pub(super) fn of(table: &Table) -> Self {
        Self {
            first: AtomicUsize::new(table.buckets.as_ptr().addr()),
            buckets: AtomicUsize::new(table.buckets.len()),
        }
    }

    /// Under the lock.
    pub(super) fn are_of(&self, table: &Table) {
        if !SMALL {
            // Relaxed, both: nothing is read there.
            self.first.store(table.buckets.as_ptr().addr(), Relaxed);
            // Relaxed: as above.
            self.buckets.store(table.buckets.len(), Relaxed);
        }
    }

    /// A word to the processor that this fingerprint will be looked for soon.
    #[inline(always)]
    pub(super) fn prefetch(&self, fingerprint: u32) {
        // Relaxed, both: nothing is read there.
        let (first, buckets) = (self.first.load(Relaxed), self.buckets.load(Relaxed));
        let home = (u64::from(fingerprint) * buckets as u64) >> 32;
        let at = first.wrapping_add(home as usize * size_of::<Bucket>());
        crate::sync::hint::prefetch_at(core::ptr::without_provenance(at));
    }
}

impl Table {
    /// A table with room for so many entries, and some to spare.
    pub(super) fn with_room_for(entries: usize) -> Self {
        Self::of(Self::buckets_for(entries))
    }

    pub(super) fn of(buckets: usize) -> Self {
        assert!(buckets > 0, "a home for every fingerprint");
        Self {
            buckets: (0..buckets).map(|_| Bucket::new()).collect(),
            canary: Canary::new(),
        }
    }

    pub(super) fn places(&self) -> usize {
        self.buckets.len() * PLACES
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// For a checker: the buckets are about to be read.
    #[inline(always)]
    pub(super) fn touch(&self) {
        self.canary.touch();
    }

    /// For a checker: nobody with a guard may read the buckets any more.
    pub(super) fn bury(&self) {
        self.canary.bury();
    }

    #[inline(always)]
    fn home(&self, fingerprint: u32) -> usize {
        ((u64::from(fingerprint) * self.buckets.len() as u64) >> 32) as usize
    }

    /// # Safety
    /// S1: `bucket` is what `home` or `after` said.
    #[inline(always)]
    unsafe fn line(&self, bucket: usize) -> &Bucket {
        // SAFETY: S1: a 32-bit part of what there is, or a remainder of that.
        unsafe { self.buckets.get_unchecked(bucket) }
    }

    /// The bucket after this one, in the window of this fingerprint.
    #[inline(always)]
    fn after(&self, bucket: usize, fingerprint: u32) -> usize {
        // The steps are powers of two, and the number of buckets is odd: no window meets one twice
        // before it met all.
        let (next, all) = (bucket + (1 << (fingerprint >> 8 & 7)), self.buckets.len());
        if next < all { next } else { next % all }
    }

    /// The first entry in this fingerprint's window that has its tag and that `is_it`.
    #[inline(always)]
    pub(super) fn find<T>(
        &self,
        fingerprint: u32,
        mut is_it: impl FnMut(Spot, u32) -> Option<T>,
    ) -> Option<T> {
        let mut bucket = self.home(fingerprint);
        for _ in 0..WINDOW {
            // SAFETY: S1: from `home`, and from `after` later on.
            let line = unsafe { self.line(bucket) };
            let tags = line.tags();
            for place in Places::with(tags, tag_of(fingerprint)) {
                let found = line.entry(place);
                let found = found.and_then(|entry| is_it(Spot { bucket, place }, entry));
                if found.is_some() {
                    return found;
                }
            }
            if tags[1] >> 32 == 0 {
                return None;
            }
            bucket = self.after(bucket, fingerprint);
        }
        None
    }

    /// The first entry in this fingerprint's home that has its tag.
    #[inline(always)]
    pub(super) fn first(&self, fingerprint: u32) -> Option<u32> {
        // SAFETY: S1.
        let line = unsafe { self.line(self.home(fingerprint)) };
        let place = Places::with(line.tags(), tag_of(fingerprint)).next()?;
        line.entry(place)
    }

    /// A word to the processor that this fingerprint will be looked for soon.
    #[inline(always)]
    pub(super) fn prefetch(&self, fingerprint: u32) {
        // SAFETY: S1.
        let home = unsafe { self.line(self.home(fingerprint)) };
        crate::sync::hint::prefetch(home);
    }

    /// The first free place in the window of this fingerprint. Under the lock.
    pub(super) fn free_spot(&self, fingerprint: u32) -> Option<Spot> {
        let mut bucket = self.home(fingerprint);
        for _ in 0..WINDOW {
            // SAFETY: S1: from `home`, and from `after` later on.
            let tags = unsafe { self.line(bucket) }.tags();
            if let Some(place) = Places::with(tags, 0).next() {
                return Some(Spot { bucket, place });
            }
            bucket = self.after(bucket, fingerprint);
        }
        None
    }

    /// The entries that stand in the window of this fingerprint. Under the lock.
    pub(super) fn in_window(&self, fingerprint: u32) -> impl Iterator<Item = u32> + '_ {
        let buckets = self.window(fingerprint);
        buckets.flat_map(|bucket| self.bucket(bucket).into_iter().flatten())
    }

    fn window(&self, fingerprint: u32) -> impl Iterator<Item = usize> + use<'_> {
        let first = Some(self.home(fingerprint));
        let all =
            core::iter::successors(first, move |&bucket| Some(self.after(bucket, fingerprint)));
        all.take(WINDOW.min(self.buckets.len()))
    }

    /// Publishes an entry in a free place. Under the lock.
    pub(super) fn place(&self, spot: Spot, fingerprint: u32, entry: u32) {
        self.pass(fingerprint, spot, 1);
        self.put(spot, entry);
        self.buckets[spot.bucket].set_tag(spot.place, tag_of(fingerprint));
    }

    /// Publishes an entry in the place of another one with the same key. Under the lock.
    pub(super) fn put(&self, spot: Spot, entry: u32) {
        // Release [WORD]: the entry is written before anybody finds it.
        self.buckets[spot.bucket].entries[spot.place].store(entry, Release);
    }

    /// Takes an entry from its place. Under the lock.
    pub(super) fn remove(&self, spot: Spot, fingerprint: u32) {
        let bucket = &self.buckets[spot.bucket];
        // Relaxed: nothing is published; readers that still found the entry are waited for.
        bucket.entries[spot.place].store(0, Relaxed);
        bucket.set_tag(spot.place, 0);
        self.pass(fingerprint, spot, -1);
    }

    /// Changes the counts of the buckets between this fingerprint's home and a spot.
    fn pass(&self, fingerprint: u32, spot: Spot, by: i32) {
        let mut bucket = self.home(fingerprint);
        while bucket != spot.bucket {
            // SAFETY: S1: from `home`, and from `after` later on.
            unsafe { self.line(bucket) }.pass(by);
            bucket = self.after(bucket, fingerprint);
        }
    }

    /// Where an entry stands. Under the lock.
    pub(super) fn spot_of(&self, fingerprint: u32, entry: u32) -> Option<Spot> {
        self.find(fingerprint, |spot, at| (at == entry).then_some(spot))
    }

    /// How many buckets a copy with room for so many entries has at least.
    pub(super) fn buckets_for(entries: usize) -> usize {
        let places = entries + entries / 4; // a load of at most 0.8
        places.div_ceil(PLACES) | 1
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Makes a table that nobody looks at an empty one.
    pub(super) fn clear(&self) {
        for bucket in &self.buckets {
            for tags in &bucket.tags {
                // Relaxed: it is published later, by its table's address.
                tags.store(0, Relaxed);
            }
            for entry in &bucket.entries {
                // Relaxed: as above.
                entry.store(0, Relaxed);
            }
        }
    }

    /// Copies everything to an empty table; none if a window there is too narrow.
    pub(super) fn copy_to(&self, next: &Self, fingerprint: impl Fn(u32) -> u32) -> Option<()> {
        for entry in (0..).map_while(|at| self.bucket(at)).flatten() {
            let fingerprint = fingerprint(entry);
            next.place(next.free_spot(fingerprint)?, fingerprint, entry);
        }
        Some(())
    }

    /// What stands at a place, for whoever walks through the table; none behind the last.
    pub(super) fn at(&self, bucket: usize, place: usize) -> Option<Option<u32>> {
        Some(self.buckets.get(bucket)?.entry(place))
    }

    /// The place after this one.
    pub(super) fn following(bucket: usize, place: usize) -> (usize, usize) {
        let next = place + 1;
        if next == PLACES {
            (bucket + 1, 0)
        } else {
            (bucket, next)
        }
    }

    /// The entries in this bucket, for whoever walks through the table; none behind the last.
    pub(super) fn bucket(&self, bucket: usize) -> Option<impl Iterator<Item = u32> + '_> {
        let bucket = self.buckets.get(bucket)?;
        Some((0..PLACES).filter_map(|place| bucket.entry(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_with_the_tag_and_no_others() {
        let tags = [0x8001_00FF_0102_0101, 0xDEAD_BEEF_0100_017F];
        let places = |tag| Places::with(tags, tag).collect::<Vec<_>>();
        let sorted = |tag| {
            let mut all = places(tag);
            all.sort_unstable();
            all
        };
        assert_eq!(sorted(0x01), [0, 1, 3, 6, 9, 11]);
        assert_eq!(sorted(0x00), [5, 10]);
        assert_eq!(sorted(0x80), [7]);
        assert_eq!(sorted(0x7F), [8]);
        assert_eq!(sorted(0xFF), [4]);
        assert_eq!(sorted(0xAD), []);
    }

    #[test]
    fn what_is_placed_is_found_until_it_is_removed() {
        let table = Table::with_room_for(40);
        let fingerprints: Vec<u32> = (0..40u32).map(|at| at.wrapping_mul(0x9E37_79B9)).collect();
        for (entry, &fingerprint) in (1..).zip(&fingerprints) {
            let spot = table.free_spot(fingerprint).unwrap();
            table.place(spot, fingerprint, entry);
        }
        for (entry, &fingerprint) in (1..).zip(&fingerprints) {
            let spot = table.spot_of(fingerprint, entry).unwrap();
            table.remove(spot, fingerprint);
            assert_eq!(table.spot_of(fingerprint, entry), None);
        }
        let passed = table.buckets.iter().map(|bucket| bucket.tags()[1] >> 32);
        assert_eq!(passed.sum::<u64>(), 0);
    }
}
