//! From a fingerprint to the entries that have it: words in buckets of one cache line.
//!
//! # Shape
//! ```text
//! bucket  [word x 7][passed]     64 bytes
//! word    [fingerprint 32 | entry + 1, 32], or 0
//! home    fingerprint * buckets >> 32; the window is the home and the seven that follow it
//! ```
//! `passed` counts the entries whose home is here or before and whose word stands behind: a read
//! goes on only where something has passed. There are no tombstones.
//!
//! # Invariants
//! * T1  Words are stored under the shard's lock only; an entry is named by at most one word.
//! * T2  A word does not move within a table: an entry that is there throughout is found.
//! * T3  A table that was replaced is not stored to again: who still reads it sees what was true
//!   when the next one was published, which is after that read began.
//!
//! # Edges
//! | edge | released by    | acquired by     | what crosses                            |
//! |------|----------------|-----------------|-----------------------------------------|
//! | WORD | `Table::place` | `Probe::next`   | the entry's chunk, key and value        |
//!
//! # Progress
//! `find` is wait-free: at most eight buckets.
//!
//! # Checked by
//! `loom-tests/cache.rs` (T2, WORD); `proptests/cache.rs`.

use crate::sync::SMALL;
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::cell::Canary;

/// Words in a bucket.
pub(super) const WORDS: usize = if SMALL { 2 } else { 7 };
/// Buckets in a window.
pub(super) const WINDOW: usize = if SMALL { 2 } else { 8 };

#[derive(Debug)]
#[repr(align(64))]
struct Bucket {
    words: [AtomicU64; WORDS],
    passed: AtomicU64,
}

impl Bucket {
    fn new() -> Self {
        Self {
            words: core::array::from_fn(|_| AtomicU64::new(0)),
            passed: AtomicU64::new(0),
        }
    }
}

/// Where in a table a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    bucket: usize,
    word: usize,
}

/// The words of one size of a shard.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    canary: Canary,
}

/// Every entry of this fingerprint, one after the other.
pub(super) struct Probe<'a> {
    table: &'a Table,
    fingerprint: u32,
    spot: Spot,
    step: usize,
}

impl Iterator for Probe<'_> {
    type Item = (Spot, u32);

    #[inline(always)]
    fn next(&mut self) -> Option<(Spot, u32)> {
        while self.step < WINDOW {
            let bucket = &self.table.buckets[self.spot.bucket];
            while self.spot.word < WORDS {
                let spot = self.spot;
                self.spot.word += 1;
                // Acquire [WORD]: see the entry before its number is used.
                let word = bucket.words[spot.word].load(Acquire);
                if (word >> 32) as u32 == self.fingerprint {
                    return Some((spot, word as u32 - 1));
                }
            }
            // Relaxed: for whoever knows that the entry is there, this count was raised before
            // its word was published, and it stays above 0 as long as the entry is there.
            if bucket.passed.load(Relaxed) == 0 {
                return None;
            }
            self.step += 1;
            self.spot = Spot {
                bucket: self.table.after(self.spot.bucket),
                word: 0,
            };
        }
        None
    }
}

impl Table {
    pub(super) const BUCKET_BYTES: usize = size_of::<Bucket>();

    /// A table with room for so many entries, and some to spare.
    pub(super) fn with_room_for(entries: usize) -> Self {
        Self::of(Self::buckets_for(entries))
    }

    fn buckets_for(entries: usize) -> usize {
        let words = entries + entries / 4; // a load of at most 0.8
        words.div_ceil(WORDS).max(1)
    }

    fn of(buckets: usize) -> Self {
        Self {
            buckets: (0..buckets).map(|_| Bucket::new()).collect(),
            canary: Canary::new(),
        }
    }

    pub(super) fn words(&self) -> usize {
        self.buckets.len() * WORDS
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// For a checker: the buckets are about to be read.
    #[inline(always)]
    pub(super) fn touch(&self) {
        self.canary.touch();
    }

    /// For a checker: nobody may read the buckets any more.
    pub(super) fn bury(&self) {
        self.canary.bury();
    }

    #[inline(always)]
    fn home(&self, fingerprint: u32) -> usize {
        Self::home_of(fingerprint, self.buckets.len() as u64) as usize
    }

    /// The home among so many buckets.
    #[inline(always)]
    pub(super) fn home_of(fingerprint: u32, buckets: u64) -> u64 {
        u64::from(fingerprint).wrapping_mul(buckets) >> 32
    }

    /// The address of the first bucket, and how many there are.
    pub(super) fn place_of_buckets(&self) -> (usize, usize) {
        (self.buckets.as_ptr().addr(), self.buckets.len())
    }

    #[inline(always)]
    fn after(&self, bucket: usize) -> usize {
        let next = bucket + 1;
        if next == self.buckets.len() { 0 } else { next }
    }

    /// The entries with this fingerprint, which is not 0.
    #[inline(always)]
    pub(super) fn find(&self, fingerprint: u32) -> Probe<'_> {
        Probe {
            table: self,
            fingerprint,
            spot: Spot {
                bucket: self.home(fingerprint),
                word: 0,
            },
            step: 0,
        }
    }

    /// The first free word in the window of this fingerprint. Under the lock.
    pub(super) fn free_spot(&self, fingerprint: u32) -> Option<Spot> {
        self.window(fingerprint).find_map(|bucket| {
            let words = &self.buckets[bucket].words;
            // Relaxed: words are stored under the lock that we hold (T1).
            let word = words.iter().position(|word| word.load(Relaxed) == 0)?;
            Some(Spot { bucket, word })
        })
    }

    /// The entries that stand in the window of this fingerprint. Under the lock.
    pub(super) fn in_window(&self, fingerprint: u32) -> impl Iterator<Item = u32> + '_ {
        self.window(fingerprint).flat_map(|bucket| {
            let words = self.buckets[bucket].words.iter();
            words.filter_map(|word| entry_of(word))
        })
    }

    fn window(&self, fingerprint: u32) -> impl Iterator<Item = usize> + use<'_> {
        let first = Some(self.home(fingerprint));
        let all = core::iter::successors(first, |&bucket| Some(self.after(bucket)));
        all.take(WINDOW.min(self.buckets.len()))
    }

    /// Publishes an entry in a free word. Under the lock.
    pub(super) fn place(&self, spot: Spot, fingerprint: u32, entry: u32) {
        self.pass(fingerprint, spot, |passed| passed + 1);
        self.put(spot, fingerprint, entry);
    }

    /// Publishes an entry in place of another one with the same key. Under the lock.
    pub(super) fn put(&self, spot: Spot, fingerprint: u32, entry: u32) {
        let word = u64::from(fingerprint) << 32 | u64::from(entry + 1);
        // Release [WORD]: the entry is written before anybody finds it.
        self.buckets[spot.bucket].words[spot.word].store(word, Release);
    }

    /// Takes an entry's word away. Under the lock.
    pub(super) fn remove(&self, spot: Spot, fingerprint: u32) {
        // Relaxed: nothing is published; readers that still found the entry are waited for.
        self.buckets[spot.bucket].words[spot.word].store(0, Relaxed);
        self.pass(fingerprint, spot, |passed| passed - 1);
    }

    /// Changes the counts of the buckets between this fingerprint's home and a spot.
    fn pass(&self, fingerprint: u32, spot: Spot, change: impl Fn(u64) -> u64) {
        for bucket in self.window(fingerprint).take_while(|&at| at != spot.bucket) {
            let passed = &self.buckets[bucket].passed;
            // Relaxed: stored under the lock that we hold.
            let seen = passed.load(Relaxed);
            // Relaxed: see `Probe::next`.
            passed.store(change(seen), Relaxed);
        }
    }

    /// Whether an entry's word stands here. Under the lock.
    pub(super) fn is_at(&self, spot: Spot, entry: u32) -> bool {
        entry_of(&self.buckets[spot.bucket].words[spot.word]) == Some(entry)
    }

    /// Where an entry's word stands. Under the lock.
    pub(super) fn spot_of(&self, fingerprint: u32, entry: u32) -> Option<Spot> {
        let found = self.find(fingerprint).find(|&(_, at)| at == entry);
        found.map(|(spot, _)| spot)
    }

    /// A copy with room for so many entries, or for more where a window is too narrow for all; none
    /// if that does not help, as where many keys have one hash.
    pub(super) fn resized(&self, entries: usize) -> Option<Self> {
        let least = Self::buckets_for(entries);
        [1, 2, 4].into_iter().find_map(|times| {
            let next = Self::of(least * times);
            self.copy_to(&next).map(|()| next)
        })
    }

    fn copy_to(&self, next: &Self) -> Option<()> {
        for word in self.buckets.iter().flat_map(|bucket| &bucket.words) {
            // Relaxed: stored under the lock that we hold.
            let seen = word.load(Relaxed);
            if seen != 0 {
                let fingerprint = (seen >> 32) as u32;
                next.place(next.free_spot(fingerprint)?, fingerprint, seen as u32 - 1);
            }
        }
        Some(())
    }

    /// The entries in this bucket, for whoever walks through the table; none behind the last.
    pub(super) fn bucket(&self, bucket: usize) -> Option<impl Iterator<Item = u32> + '_> {
        let words = self.buckets.get(bucket)?.words.iter();
        Some(words.filter_map(|word| entry_of(word)))
    }
}

/// The entry that a word names.
fn entry_of(word: &AtomicU64) -> Option<u32> {
    // Acquire [WORD]: see the entry before its number is used.
    (word.load(Acquire) as u32).checked_sub(1)
}
