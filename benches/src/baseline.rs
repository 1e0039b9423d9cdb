//! The bare tables that the bars are set against. They find what they were built with, and can
//! do nothing else: no insert, no removal, no proof that anybody may look.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::drive::BATCH;
use crate::sets::{DENSE_BITS, Ranges};
use crate::ticks::prefetch;

/// Start, end and value of one stretch of ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    start: u64,
    end: u64,
    value: u64,
}

/// A table of start, end and value, directly mapped: entry `(id - base) >> bits`.
#[derive(Clone, Debug)]
pub struct Table {
    base: u64,
    bits: u32,
    entries: Vec<Entry>,
}

impl Table {
    /// Of ranges that begin at multiples of `2^bits` from the first one on. A longer range has
    /// several entries, a shorter one leaves a part of its entry empty.
    #[must_use]
    pub fn new(bits: u32, spans: impl IntoIterator<Item = (u64, u64, u64)>) -> Self {
        let spans: Vec<_> = spans.into_iter().collect();
        let (base, ..) = spans[0];
        let (last, len, _) = spans[spans.len() - 1];
        let count = ((last + len - base - 1) >> bits) as usize + 1;
        let mut entries = vec![Entry::default(); count];
        for (start, len, value) in spans {
            assert_eq!((start - base) % (1 << bits), 0, "an unaligned range");
            let end = start + len;
            let covered = (start - base) >> bits..=(end - 1 - base) >> bits;
            entries[*covered.start() as usize..=*covered.end() as usize].fill(Entry {
                start,
                end,
                value,
            });
        }
        Self {
            base,
            bits,
            entries,
        }
    }

    /// Of the dense set.
    #[must_use]
    pub fn dense(ranges: &Ranges) -> Self {
        Self::new(DENSE_BITS, ranges.entries())
    }

    #[inline(always)]
    fn entry(&self, id: u64) -> Option<&Entry> {
        self.entries
            .get((id.wrapping_sub(self.base) >> self.bits) as usize)
    }

    /// The value of the range that has this id, or 0.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, id: u64) -> u64 {
        match self.entry(id) {
            Some(entry) if entry.start <= id && id < entry.end => entry.value,
            _ => 0,
        }
    }

    /// Start and value of the range that has this id.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, id: u64) -> Option<(u64, u64)> {
        let entry = self.entry(id)?;
        (entry.start <= id && id < entry.end).then_some((entry.start, entry.value))
    }

    /// `get` of a batch, interleaved: all entries are asked for before the first is looked at.
    #[inline(always)]
    pub fn get_many(&self, ids: &[u64; BATCH], answers: &mut [u64; BATCH]) {
        for &id in ids {
            if let Some(entry) = self.entry(id) {
                prefetch(entry);
            }
        }
        for (answer, &id) in answers.iter_mut().zip(ids) {
            *answer = self.get(id);
        }
    }
}

/// A block of equal slots, as the bare table knows it.
#[derive(Debug)]
pub struct BareBlock {
    first_offset: u64,
    slot_size: u64,
    words: Box<[AtomicU64]>,
}

/// The table, with the block behind each range: the offset is derived, one bit is looked at.
#[derive(Debug)]
pub struct Bare {
    table: Table,
    blocks: Vec<BareBlock>,
}

/// A range of slots: where it is in both spaces, and which slots are live.
#[derive(Clone, Debug)]
pub struct Place {
    /// The first id.
    pub first: u64,
    /// How many slots.
    pub slots: u64,
    /// Where the first slot begins.
    pub offset: u64,
    /// Bytes of a slot.
    pub slot_size: u64,
    /// One bit a slot.
    pub words: Vec<u64>,
}

impl Place {
    fn shared_words(&self) -> impl Iterator<Item = AtomicU64> + '_ {
        self.words.iter().map(|word| AtomicU64::new(*word))
    }
}

impl Bare {
    /// Over ranges that begin at multiples of `2^bits` from the first one on.
    #[must_use]
    pub fn new(bits: u32, places: &[Place]) -> Self {
        let numbered = places.iter().zip(0..);
        let spans = numbered.map(|(place, number)| (place.first, place.slots, number));
        let table = Table::new(bits, spans);
        let block = |place: &Place| BareBlock {
            first_offset: place.offset,
            slot_size: place.slot_size,
            words: place.shared_words().collect(),
        };
        let blocks = places.iter().map(block).collect();
        Self { table, blocks }
    }

    /// Where the object is and how long its slot is, if it is live.
    #[inline(always)]
    #[must_use]
    pub fn locate(&self, id: u64) -> Option<(u64, u64)> {
        let (start, number) = self.table.find(id)?;
        let block = self.blocks.get(number as usize)?;
        let slot = id - start;
        let word = block.words.get((slot / 64) as usize)?.load(Relaxed);
        let live = word >> (slot % 64) & 1 == 1;
        live.then(|| (block.first_offset + slot * block.slot_size, block.slot_size))
    }
}

/// The leanest of all: the value is where the range's bits begin in one array of words, and the
/// bit is the whole answer. No offset, no size.
#[derive(Debug)]
pub struct Lean {
    table: Table,
    words: Box<[AtomicU64]>,
}

impl Lean {
    /// Over the same ranges as [`Bare`].
    #[must_use]
    pub fn new(bits: u32, places: &[Place]) -> Self {
        let mut words = Vec::new();
        let mut spans = Vec::new();
        for place in places {
            spans.push((place.first, place.slots, words.len() as u64));
            words.extend(place.shared_words());
        }
        let table = Table::new(bits, spans);
        Self {
            table,
            words: words.into(),
        }
    }

    /// 1 if the object is live.
    #[inline(always)]
    #[must_use]
    pub fn is_live(&self, id: u64) -> u64 {
        let Some((start, from)) = self.table.find(id) else {
            return 0;
        };
        let slot = id - start;
        let word = self.words.get((from + slot / 64) as usize);
        word.map_or(0, |word| word.load(Relaxed) >> (slot % 64) & 1)
    }
}

/// Two levels over ids of the dense set, one packed word an entry (the value, and nothing else):
/// the fastest layout that was measured, which cannot tell where a range begins or ends.
#[derive(Debug)]
pub struct OneWordRadix {
    tops: Vec<Box<[AtomicU64]>>,
}

const RADIX_BITS: u32 = 14;

impl OneWordRadix {
    /// Of the dense set.
    #[must_use]
    pub fn dense(ranges: &Ranges) -> Self {
        let mut tops: Vec<Box<[AtomicU64]>> = Vec::new();
        for (first, _, value) in ranges.entries() {
            let key = first >> DENSE_BITS;
            let top = (key >> RADIX_BITS) as usize;
            tops.resize_with(tops.len().max(top + 1), || {
                (0..1 << RADIX_BITS).map(|_| AtomicU64::new(0)).collect()
            });
            tops[top][(key as usize) % (1 << RADIX_BITS)].store(value, Relaxed);
        }
        Self { tops }
    }

    /// The value of the range that has this id, or 0.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, id: u64) -> u64 {
        let key = id >> DENSE_BITS;
        let Some(leaf) = self.tops.get((key >> RADIX_BITS) as usize) else {
            return 0;
        };
        leaf[(key as usize) % (1 << RADIX_BITS)].load(Relaxed)
    }
}

/// One atomic word a range of the dense set: what a writer can store into while others read.
#[derive(Debug)]
pub struct AtomicTable(Vec<AtomicU64>);

impl AtomicTable {
    /// Room for the dense set of `n` ranges; all words are set.
    #[must_use]
    pub fn dense(n: usize) -> Self {
        Self((0..=n as u64).map(AtomicU64::new).collect())
    }

    /// The value of the range that has this id, or 0.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, id: u64) -> u64 {
        let word = self.0.get((id >> DENSE_BITS) as usize);
        word.map_or(0, |word| word.load(Relaxed))
    }

    /// Sets the value of the range that has this id.
    #[inline(always)]
    pub fn set(&self, id: u64, value: u64) {
        if let Some(word) = self.0.get((id >> DENSE_BITS) as usize) {
            word.store(value, Relaxed);
        }
    }
}
