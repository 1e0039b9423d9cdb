//! From an id to the range that contains it: the descent of readers.
//!
//! # Shape
//! ```text
//! fast    root -> slot -> slot -> .. -> a range that contains the id: the answer
//! hint    .. -> an empty slot: the slot that its hint names, if the range there contains the id
//! miss    in the last node, if it covers the id: the nearest earlier occupied slot's last range
//! search  root -> node (covers the id? earlier slots?) -> ..: the last range at or before the id
//! ```
//! The fast path looks at one slot a level and at no header: a range that contains the id proves
//! itself, wherever it was found, also by a hint that is out of date. A miss looks at headers and
//! maps, most often of one node only.
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
//! `loom-tests/index.rs` (F1, F3); `tests/counted.rs` (progress); `proptests/index.rs`.

use super::cell::{First, Item, Link, Rest, Slot, Value};
use super::heap::{BucketRef, Live, NodeRef, Seen, prefetch_all};
use super::walk::{self, Floor, Step};
use super::word::Word;

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

    /// The range that stands in `slot` beside `word`, if it contains `id`.
    #[inline(always)]
    pub(super) fn inline_at(slot: &'a Slot, word: Word, id: u64) -> Option<Self> {
        let hit = Self::inline(slot, word.len());
        (word.is_range() && hit.contains(id)).then_some(hit)
    }

    #[inline]
    pub(super) fn in_bucket(first: u64, rest: &'a Rest) -> Self {
        Self {
            first,
            len: rest.len(),
            value: &rest.value,
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
        self.hits().map(|hit| hit.item())
    }

    fn hits(self) -> impl Iterator<Item = Hit<'a>> {
        let firsts = self.firsts.iter().map(First::read);
        let used = firsts.take_while(|&first| first != First::UNUSED);
        used.zip(self.rests)
            .map(|(first, rest)| Hit::in_bucket(first, rest))
    }

    pub(super) fn len(self) -> usize {
        self.firsts
            .partition_point(|first| first.read() != First::UNUSED)
    }

    /// The last range that starts at or before `id`.
    #[inline]
    pub(super) fn floor(self, id: u64) -> Option<Hit<'a>> {
        prefetch_all(self.firsts);
        let after = self.firsts.partition_point(|first| first.read() <= id);
        let at = after.checked_sub(1)?;
        let (first, rest) = (self.firsts.get(at)?, self.rests.get(at)?);
        Some(Hit::in_bucket(first.read(), rest))
    }

    /// The first range that starts at or after `id`.
    pub(super) fn ceiling(self, id: u64) -> Option<Hit<'a>> {
        self.hits().find(|hit| hit.first >= id)
    }
}

/// How far a descent has come: the slot that it has arrived at, and what stands there.
#[derive(Clone, Copy)]
struct Descent<'a> {
    seen: Seen<'a>,
    node: NodeRef<'a>,
    slot: &'a Slot,
}

impl<'a> Descent<'a> {
    /// The step from a word, through the slot of its node; none if it is no node's.
    #[inline(always)]
    fn into(seen: Seen<'a>, id: u64) -> Option<Self> {
        let node = seen.node()?;
        Some(Self::at(node, node.slot_of(id)))
    }

    #[inline(always)]
    fn at(node: NodeRef<'a>, slot: &'a Slot) -> Self {
        let seen = node.live().read(&slot.link);
        Self { seen, node, slot }
    }

    /// One more step down, if there is one to take.
    #[inline(always)]
    fn step(self, id: u64) -> Option<Self> {
        Self::into(self.seen, id)
    }

    /// The range that contains `id`, if it stands inline in this slot.
    #[inline(always)]
    fn inline(&self, id: u64) -> Option<Hit<'a>> {
        Hit::inline_at(self.slot, self.seen.word, id)
    }

    /// The range that contains `id`, if it stands in this slot's bucket.
    #[inline]
    fn bucketed(&self, id: u64) -> Option<Hit<'a>> {
        let floor = self.seen.bucket()?.floor(id);
        floor.filter(|hit| hit.contains(id))
    }

    /// The range that contains `id`, if it does not stand inline in this slot.
    fn elsewhere(self, root: &'a Link, id: u64) -> Option<Hit<'a>> {
        let near = if self.seen.word.is_empty() {
            let there = Self::at(self.node, self.node.slot_hinted(self.slot.first()));
            there.inline(id).or_else(|| there.bucketed(id))
        } else {
            self.bucketed(id)
        };
        near.or_else(|| self.miss(root, id))
    }

    /// The range that contains `id`, by the maps.
    #[inline(never)]
    fn miss(self, root: &'a Link, id: u64) -> Option<Hit<'a>> {
        let near = match self.near(id) {
            Some(near) => near,
            None => walk::search::<Floor>(root, self.node.live(), id),
        };
        match near {
            Step::Found(hit) if hit.contains(id) => Some(hit),
            // A dead end is a range that came or went during this call (F2, F3).
            _ => None,
        }
    }

    /// The floor of `id`, if it lies in the node that the descent has arrived at.
    ///
    /// A node that covers the id and was found by its bits is the right one: the nodes above it
    /// cover more (H3), so none of them led astray.
    fn near(self, id: u64) -> Option<Step<'a>> {
        if let Some(hit) = walk::beside::<Floor>(self.seen, Some(self.slot), id) {
            // The node covers what it holds, so its header need not be asked.
            let covers = self.node.seen.word.covers_both(hit.first, id);
            return covers.then_some(Step::Found(hit));
        }
        let shape = self.node.shape();
        if !shape.covers(id) {
            return None;
        }
        walk::sideways::<Floor>(self.node, shape.index_of(id))
    }
}

/// The range that contains `id`.
#[inline(always)]
pub(super) fn find<'a>(root: &'a Link, live: Live<'a>, id: u64) -> Option<Hit<'a>> {
    let seen = live.read(root);
    let Some(mut descent) = Descent::into(seen, id) else {
        return find_in_bucket(seen, id);
    };
    while let Some(next) = descent.step(id) {
        descent = next;
    }
    match descent.inline(id) {
        Some(hit) => Some(hit),
        None => elsewhere(root, descent.seen, descent.node, descent.slot, id),
    }
}

/// [`Descent::elsewhere`]; word by word, so that nobody who does not come here has to put the
/// words into memory.
#[inline(never)]
fn elsewhere<'a>(
    root: &'a Link,
    seen: Seen<'a>,
    node: NodeRef<'a>,
    slot: &'a Slot,
    id: u64,
) -> Option<Hit<'a>> {
    Descent { seen, node, slot }.elsewhere(root, id)
}

/// The last range that starts at or before `id`, if it lies where a lookup of `id` arrives: no
/// header and no map is looked at but the last node's. For the holder of the writers' lock.
pub(super) fn floor_nearby<'a>(root: &'a Link, live: Live<'a>, id: u64) -> Option<Hit<'a>> {
    let mut descent = Descent::into(live.read(root), id)?;
    while let Some(next) = descent.step(id) {
        descent = next;
    }
    match descent.near(id)? {
        Step::Found(hit) => Some(hit),
        _ => None,
    }
}

/// The range that contains `id`, where the root's word is no node's.
#[inline(never)]
fn find_in_bucket(root: Seen<'_>, id: u64) -> Option<Hit<'_>> {
    root.bucket()?.floor(id).filter(|hit| hit.contains(id))
}
