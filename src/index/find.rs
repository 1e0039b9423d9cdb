//! From an id to the range that contains it: the descent of readers.
// Unsafe: the slot that a descent goes through is found from tags alone, without the header's line.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! fast    root -> slot -> slot -> .. -> a range that contains the id: the answer
//!                                   \-> anything else: a miss
//! miss    in the last node, if it covers the id: the deepest earlier occupied slot's last range
//! search  root -> node (covers the id? earlier slots?) -> ..: the last range at or before the id
//! ```
//! The fast path looks at one slot a level and at no header: a range that contains the id proves
//! itself, wherever it was found. A miss looks at headers and maps, most often of one node only.
//!
//! # Invariants
//! * F1  Each word that is followed was reachable at some moment of the call, and these moments
//!   come in the order of the steps: a node that was unlinked meanwhile is as it was then.
//! * F2  While a range is present, no other starts between its first id and its last; so no
//!   reader that looks for one of its ids sees another start, or a map's bit, in between.
//! * F3  A range that is present during the whole call is found (by F1 and F2, also over nodes
//!   that were replaced meanwhile). Whoever answers "none" met a moment when none was there.
//! * F4  Shifts fall on every step down.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Wait-free: one descent on the fast path, at most two more walks down on a miss, no retry.
//!
//! # Checked by
//! `loom-tests/index_*.rs` (F1, F3); `tests/counted.rs` (progress); `proptests/index.rs`.

use super::cell::{Entry, Item, Link, Slot, Value};
use super::heap::{BucketRef, Live, MASK, NodeRef, Seen, below};
use super::walk::{self, Floor, Step};

/// A range that was found, and where its value lies.
#[derive(Clone, Copy)]
pub(super) struct Hit<'a> {
    pub(super) first: u64,
    pub(super) len: u64,
    pub(super) value: &'a Value,
}

impl<'a> Hit<'a> {
    #[inline]
    pub(super) fn inline(slot: &'a Slot, len: u64) -> Self {
        Self {
            first: slot.first(),
            len,
            value: &slot.value,
        }
    }

    #[inline]
    pub(super) fn entry(first: u64, entry: &'a Entry) -> Self {
        Self {
            first,
            len: entry.len(),
            value: &entry.value,
        }
    }

    #[inline]
    pub(super) fn contains(&self, id: u64) -> bool {
        id.wrapping_sub(self.first) < self.len
    }

    #[inline]
    pub(super) fn item(&self) -> Item {
        Item {
            first: self.first,
            len: self.len,
            value: self.value.load(),
        }
    }
}

impl<'a> BucketRef<'a> {
    /// The ranges, in order.
    pub(super) fn items(self) -> impl Iterator<Item = Item> + 'a {
        let used = |entry: &&Entry| entry.first() != Entry::UNUSED;
        self.entries.iter().take_while(used).map(Entry::item)
    }

    pub(super) fn len(self) -> usize {
        self.items().count()
    }

    /// The last range that starts at or before `id`.
    #[inline]
    pub(super) fn floor(self, id: u64) -> Option<Hit<'a>> {
        let mut found = None;
        for entry in self.entries {
            let first = entry.first();
            if first <= id {
                found = Some((first, entry));
            }
        }
        found.map(|(first, entry)| Hit::entry(first, entry))
    }

    /// The first range that starts at or after `id`.
    pub(super) fn ceiling(self, id: u64) -> Option<Hit<'a>> {
        self.entries
            .iter()
            .map(|entry| (entry.first(), entry))
            .find(|&(first, _)| first >= id && first != Entry::UNUSED)
            .map(|(first, entry)| Hit::entry(first, entry))
    }
}

/// How far a descent has come.
#[derive(Clone, Copy)]
pub(super) struct Descent<'a> {
    /// What the descent has arrived at.
    pub(super) seen: Seen<'a>,
    /// The bits of the id below the shift of the word above.
    rest: u64,
    /// The slot that `seen` was read from, and its node; none for the root's word.
    at: Option<(NodeRef<'a>, &'a Slot)>,
}

impl<'a> Descent<'a> {
    #[inline]
    pub(super) fn begin(root: &'a Link, live: Live<'a>, id: u64) -> Self {
        Self {
            seen: live.read(root),
            rest: id,
            at: None,
        }
    }

    /// One level down; false if this is no node.
    #[inline]
    pub(super) fn step(&mut self) -> bool {
        let Some(node) = self.seen.node() else {
            return false;
        };
        let shift = self.seen.word.shift();
        let index = self.rest >> shift & MASK;
        // SAFETY: S1: `rest` is below 2^(shift of the word above), so `rest >> shift` is below
        // 2^(that - shift), and the mask bounds it by 2^BITS: together 2^bits (H3).
        let slot = unsafe { node.slot_unchecked(index) };
        self.rest &= below(shift);
        self.seen = node.live().read(&slot.link);
        self.at = Some((node, slot));
        true
    }

    /// The answer, if it lies where the descent has arrived.
    #[inline]
    pub(super) fn hit(&self, id: u64) -> Option<Hit<'a>> {
        if let Some(bucket) = self.seen.bucket() {
            return bucket.floor(id).filter(|hit| hit.contains(id));
        }
        let (_, slot) = self.at?;
        Some(Hit::inline(slot, self.seen.word.len())).filter(|hit| hit.contains(id))
    }

    /// The answer, after `hit` found none.
    #[cold]
    #[inline(never)]
    pub(super) fn miss(&self, root: &'a Link, id: u64) -> Option<Hit<'a>> {
        let (node, slot) = self.at?;
        let near = match self.near(node, slot, id) {
            Some(near) => near,
            None => walk::search::<Floor>(root, node.live(), id),
        };
        match near {
            Step::Found(hit) if hit.contains(id) => Some(hit),
            // A dead end is a range that came or went during this call (F2, F3).
            _ => None,
        }
    }

    /// The floor of `id`, if it lies in the node that the descent has arrived at.
    fn near(&self, node: NodeRef<'a>, slot: &'a Slot, id: u64) -> Option<Step<'a>> {
        if !node.covers(id) {
            return None;
        }
        if let Some(hit) = walk::beside::<Floor>(self.seen, Some(slot), id) {
            return Some(Step::Found(hit));
        }
        walk::sideways::<Floor>(node, node.index_of(id))
    }
}

/// The range that contains `id`.
#[inline]
pub(super) fn find<'a>(root: &'a Link, live: Live<'a>, id: u64) -> Option<Hit<'a>> {
    let mut descent = Descent::begin(root, live, id);
    while descent.step() {}
    match descent.hit(id) {
        Some(hit) => Some(hit),
        None => descent.miss(root, id),
    }
}
