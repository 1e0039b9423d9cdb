//! A place in the trie where a word lies, and how the writer changes what lies there.
//!
//! # Shape
//! ```text
//! Spot::Root    the root's link
//! Spot::Slot    a slot of a node, with its bits in the node's map, summary and dirty map, and its
//!               part of the node's load and kids
//! ```
//!
//! # Invariants
//! C1 and C3 of `cell.rs` are kept here, and:
//! * P1  A node's load is the number of ranges in its slots and their buckets, its kids the number
//!   of nodes in its slots.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Under the writers' lock; a constant number of steps each.
//!
//! # Checked by
//! `loom-tests/index.rs`; `proptests/index.rs` checks P1 after every step (`audit`).

use super::cell::{Item, Link};
use super::find::Hit;
use super::heap::{BucketRef, Live, NodeRef, Seen};
use super::word::Word;

/// So many empty slots behind a range are told where it starts.
const HINTS: u32 = 64;

/// Where a word lies: in the trie, or in a slot of a node.
#[derive(Clone, Copy)]
pub(super) enum Spot<'a> {
    Root(&'a Link, Live<'a>),
    Slot(NodeRef<'a>, u32),
}

impl<'a> Spot<'a> {
    fn link(self) -> &'a Link {
        match self {
            Self::Root(link, _) => link,
            Self::Slot(node, index) => &node.slot(index).link,
        }
    }

    pub(super) fn seen(self) -> Seen<'a> {
        match self {
            Self::Root(link, live) => live.peek(link),
            Self::Slot(node, index) => node.live().peek(&node.slot(index).link),
        }
    }

    /// The last id that what lies here may hold.
    pub(super) fn last(self) -> u64 {
        match self {
            Self::Root(..) => u64::MAX,
            Self::Slot(node, index) => node.shape().slot_last(index),
        }
    }

    /// The range that stands inline here.
    pub(super) fn inline(self) -> Option<Item> {
        let word = self.seen().word;
        match self {
            Self::Slot(node, index) if word.is_inline() => {
                Some(Hit::inline(node.slot(index), word.len()).item())
            }
            _ => None,
        }
    }

    /// The ranges of an inline word or a bucket, in order.
    pub(super) fn items(self) -> impl Iterator<Item = Item> + 'a {
        let bucket = self.seen().bucket();
        let many = bucket.into_iter().flat_map(BucketRef::items);
        self.inline().into_iter().chain(many)
    }

    /// How many ranges an inline word or a bucket holds.
    pub(super) fn load(self) -> usize {
        let seen = self.seen();
        let many = seen.bucket().map(BucketRef::len);
        many.unwrap_or(usize::from(seen.word.is_inline()))
    }

    /// Whether a range has stood inline here before and is gone.
    pub(super) fn is_dirty(self) -> bool {
        match self {
            Self::Root(..) => false,
            Self::Slot(node, index) => node.dirty(index / 64).peek() >> (index % 64) & 1 == 1,
        }
    }

    /// Puts a range inline, if this is an empty slot that never held one, and it fits.
    pub(super) fn put_inline(self, item: Item) -> bool {
        let Self::Slot(node, index) = self else {
            return false;
        };
        let slot = node.slot(index);
        match Word::inline(item.len) {
            Some(word) if slot.link.peek().is_empty() && !self.is_dirty() => {
                slot.prepare(item);
                raise(node, index);
                slot.link.publish(word);
                node.head().load.set(node.head().load.get() + 1);
                true
            }
            _ => false,
        }
    }

    /// Adds a range behind those of the bucket that lies here, if there is room.
    pub(super) fn append(self, bucket: BucketRef<'a>, item: Item) -> bool {
        let len = bucket.len();
        if len == bucket.firsts.len() || bucket.firsts[len - 1].read() > item.first {
            return false;
        }
        bucket.rests[len].prepare(item);
        bucket.firsts[len].publish(item.first);
        if let Self::Slot(node, _) = self {
            node.head().load.set(node.head().load.get() + 1);
        }
        true
    }

    /// Replaces the word that lies here.
    pub(super) fn publish(self, word: Word) {
        let Self::Slot(node, index) = self else {
            return self.link().publish(word);
        };
        let old = self.seen().word;
        self.weigh(|count, part| count - part);
        if old.is_inline() {
            node.dirty(index / 64).raise(index % 64);
        }
        if old.is_empty() {
            raise(node, index);
        }
        self.link().publish(word);
        if word.is_empty() {
            clear(node, index);
        }
        self.weigh(|count, part| count + part);
    }

    /// Takes what lies here out of the node's counts, or adds it.
    fn weigh(self, sum: impl Fn(usize, usize) -> usize) {
        let Self::Slot(node, _) = self else { return };
        let (head, word) = (node.head(), self.seen().word);
        if word.is_empty() {
            return;
        }
        if word.is_node() {
            return head.kids.set(sum(head.kids.get(), 1));
        }
        head.load.set(sum(head.load.get(), self.load()));
        if word.is_bucket() {
            head.shared.set(sum(head.shared.get(), 1));
        }
    }

    /// Tells the empty slots that a range of this slot reaches where it starts.
    pub(super) fn spread(self, item: Item) {
        let Self::Slot(node, index) = self else {
            return;
        };
        let shape = node.shape();
        let end = shape.index_of(item.last().min(shape.last()));
        for behind in (index + 1..=end).take(HINTS as usize) {
            let spot = Self::Slot(node, behind);
            if !spot.seen().word.is_empty() {
                return;
            }
            if !spot.is_dirty() {
                node.slot(behind).hint(index);
            }
        }
    }
}

fn raise(node: NodeRef<'_>, index: u32) {
    let (word, bit) = (index / 64, index % 64);
    let map = node.map(word);
    if map.peek() == 0 {
        node.head().summary.raise(word);
    }
    map.raise(bit);
}

fn clear(node: NodeRef<'_>, index: u32) {
    let (word, bit) = (index / 64, index % 64);
    let map = node.map(word);
    map.clear(bit);
    if map.peek() == 0 {
        node.head().summary.clear(word);
    }
}
