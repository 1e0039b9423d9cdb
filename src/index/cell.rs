//! The cells that readers and the writer share, with every ordering of the index.
//!
//! # Shape
//! ```text
//! Link    [word]                     a word: the root's, or a slot's
//! Map     [64 bits]                  which slots are occupied, or which maps have a bit
//! Slot    [link | first | value]     first and value belong to an inline range; while there never
//!                                    was one, first is a hint: where to look for the floor
//! First   [first]                    a bucket's ranges: where each begins, u64::MAX while unused,
//! Rest    [len | value]              in one row, and the rest of each in another
//! ```
//! Only the holder of the writers' lock stores; so stores are plain, and its own loads relaxed.
//!
//! # Invariants
//! * C1  Once a slot's word was inline, its `first` is never written again: a slot that held a
//!   range inline never holds another, and no hint.
//! * C2  The `len` in a bucket is written once, before its `first`, which is written once.
//! * C3  A bit of a map is set before its slot's word is stored, and cleared after the word is
//!   empty again; a bit of a summary is set while its map has a bit, and cleared after that.
//! * C4  A hint proves nothing: whatever it leads to proves itself, or is passed over.
//!
//! # Edges
//! | edge  | released by                    | acquired by                | what crosses             |
//! |-------|--------------------------------|----------------------------|--------------------------|
//! | WORD  | `Link::publish`                | `Link::read`               | all that the writer did: fresh nodes, `first`, `value`, earlier changes elsewhere |
//! | ENTRY | `First::publish`               | `First::read`              | `len`, `value`; earlier changes elsewhere |
//! | VALUE | `Value::replace`               | `Value::load`              | what the caller wrote before it replaced a value |
//! | MAP   | `Map::raise`, `Map::clear`     | `Map::read`                | the words that had become empty before a bit fell |
//!
//! # Progress
//! One atomic operation a call.
//!
//! # Checked by
//! `loom-tests/index_publish.rs` (WORD, ENTRY, VALUE, C2), `loom-tests/index_remove.rs` (MAP, C1,
//! C3, C4).

use super::word::Word;
use crate::sync::atomic::{AtomicU64, Ordering::*};

/// A range and the bits of its value, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) first: u64,
    pub(super) len: u64,
    pub(super) value: u64,
}

impl Item {
    pub(super) const NONE: Self = Self {
        first: 0,
        len: 0,
        value: 0,
    };

    #[inline]
    pub(super) fn last(&self) -> u64 {
        self.first + (self.len - 1)
    }
}

/// Where a word lies.
#[derive(Debug)]
pub(super) struct Link(AtomicU64);

impl Link {
    pub(super) fn new(word: Word) -> Self {
        Self(AtomicU64::new(word.bits()))
    }

    /// The word, as a reader sees it.
    #[inline]
    pub(super) fn read(&self) -> Word {
        // Acquire [WORD]: see what the word names, and all that its writer did before.
        Word::from_bits(self.0.load(Acquire))
    }

    /// The word, as the holder of the writers' lock sees it.
    pub(super) fn peek(&self) -> Word {
        // Relaxed: whoever stored it held the lock that the caller holds now.
        Word::from_bits(self.0.load(Relaxed))
    }

    /// The linearization point of most changes. Only under the writers' lock.
    pub(super) fn publish(&self, word: Word) {
        // Release [WORD]: what the word names is complete, and earlier changes come first.
        self.0.store(word.bits(), Release);
    }
}

/// The value of a range.
#[derive(Debug)]
pub(super) struct Value(AtomicU64);

impl Value {
    pub(super) fn new(bits: u64) -> Self {
        Self(AtomicU64::new(bits))
    }

    #[inline]
    pub(super) fn load(&self) -> u64 {
        // Acquire [VALUE]: see what the caller wrote before it stored this value.
        self.0.load(Acquire)
    }

    /// The linearization point of a replace. Only under the writers' lock.
    pub(super) fn replace(&self, bits: u64) {
        // Release [VALUE]: what the caller wrote before, and earlier changes, come first.
        self.0.store(bits, Release);
    }

    /// Writes the value of a range that is not published yet.
    fn prepare(&self, bits: u64) {
        // Relaxed: the store of the word or of `first` that follows publishes it.
        self.0.store(bits, Relaxed);
    }
}

/// Which slots of a node are occupied.
#[derive(Debug)]
pub(super) struct Map(AtomicU64);

impl Map {
    pub(super) fn new(bits: u64) -> Self {
        Self(AtomicU64::new(bits))
    }

    /// The bits, as a reader sees them.
    #[inline]
    pub(super) fn read(&self) -> u64 {
        // Acquire [MAP]: a bit that fell is no news to whoever saw it: the word is empty.
        self.0.load(Acquire)
    }

    /// The bits, as the holder of the writers' lock sees them.
    pub(super) fn peek(&self) -> u64 {
        // Relaxed: whoever stored them held the lock that the caller holds now.
        self.0.load(Relaxed)
    }

    /// Sets a bit, before its slot's word is stored.
    pub(super) fn raise(&self, index: u32) {
        // Release [MAP]: this store replaces one that cleared a bit, and passes its news on.
        self.0.store(self.peek() | 1 << index, Release);
    }

    /// Clears a bit, after its slot's word is empty.
    pub(super) fn clear(&self, index: u32) {
        // Release [MAP]: the word is empty for whoever sees the bit clear.
        self.0.store(self.peek() & !(1 << index), Release);
    }
}

/// A count that only the holder of the writers' lock looks at.
#[derive(Debug)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    pub(super) fn new(count: usize) -> Self {
        Self(AtomicU64::new(count as u64))
    }

    pub(super) fn get(&self) -> usize {
        // Relaxed: whoever stored it held the lock that the caller holds now.
        self.0.load(Relaxed) as usize
    }

    pub(super) fn set(&self, count: usize) {
        // Relaxed: only the next holder of the lock looks.
        self.0.store(count as u64, Relaxed);
    }
}

/// One of a node's places.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) link: Link,
    first: AtomicU64,
    pub(super) value: Value,
}

impl Slot {
    /// A slot that holds `word`, and beside it the range that an inline word speaks of.
    pub(super) fn new(word: Word, first: u64, value: u64) -> Self {
        Self {
            link: Link::new(word),
            first: AtomicU64::new(first),
            value: Value::new(value),
        }
    }

    /// The first id of the range that is, or was, inline here; or a hint.
    #[inline]
    pub(super) fn first(&self) -> u64 {
        // Relaxed: under an inline word it was written before that, and the caller has read the
        // word [WORD]; otherwise it is a hint, which proves nothing (C4).
        self.first.load(Relaxed)
    }

    /// Says where the floor of the ids of this empty slot may lie. Not once a range was here.
    pub(super) fn hint(&self, index: u32) {
        // Relaxed: it proves nothing (C4).
        self.first.store(u64::from(index), Relaxed);
    }

    /// Writes the range that an inline word will speak of.
    pub(super) fn prepare(&self, item: Item) {
        // Relaxed: the store of the word publishes it, and no reader looks here before (C1).
        self.first.store(item.first, Relaxed);
        self.value.prepare(item.value);
    }
}

/// Where a range of a bucket begins.
#[derive(Debug)]
pub(super) struct First(AtomicU64);

impl First {
    /// Holds no range: above every id.
    pub(super) const UNUSED: u64 = u64::MAX;

    pub(super) fn new(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    /// The first id, or [`First::UNUSED`], as a reader sees it.
    #[inline]
    pub(super) fn read(&self) -> u64 {
        // Acquire [ENTRY]: see the length, the value, and all that the writer did before.
        self.0.load(Acquire)
    }

    /// The linearization point of an insert behind the others, whose rest is written. Only under
    /// the lock.
    pub(super) fn publish(&self, first: u64) {
        // Release [ENTRY]: length and value are there, and earlier changes come first.
        self.0.store(first, Release);
    }
}

/// How long a range of a bucket is, and its value.
#[derive(Debug)]
pub(super) struct Rest {
    len: AtomicU64,
    pub(super) value: Value,
}

impl Rest {
    pub(super) fn new(item: Item) -> Self {
        Self {
            len: AtomicU64::new(item.len),
            value: Value::new(item.value),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> u64 {
        // Relaxed: written once, before the `first` that the caller has read [ENTRY].
        self.len.load(Relaxed)
    }

    /// Writes the rest of a range whose `first` will be published.
    pub(super) fn prepare(&self, item: Item) {
        // Relaxed: the store of `first` publishes it.
        self.len.store(item.len, Relaxed);
        self.value.prepare(item.value);
    }
}
