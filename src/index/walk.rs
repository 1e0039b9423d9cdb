//! The nearest range at or before an id, or at or after it.
//!
//! # Shape
//! ```text
//! search   down towards the id; on the way, remember the deepest slot beside the path
//! edge     from there down along the side that is nearest to the id
//! nearest  the same, again and again further off, while ranges vanish under its feet
//! ```
//! Both directions are one walk; a [`Side`] says which way is "nearer".
//!
//! # Invariants
//! * N1  What is found was present at some moment of the call.
//! * N2  No range that was present during the whole call lies between the id and what is found.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! `search` is wait-free: one walk down, and one along an edge. `nearest` is lock-free: it starts
//! anew only past a place where a writer was just then adding or removing a range.
//!
//! # Checked by
//! `loom-tests/index_iter.rs` (N1, N2); `proptests/index.rs` against a `BTreeMap`.

use super::cell::{Link, Slot};
use super::find::Hit;
use super::heap::{BucketRef, Live, NodeRef, Seen};
use super::shape::{Shape, below};

/// What a walk arrived at.
pub(super) enum Step<'a> {
    /// The nearest range.
    Found(Hit<'a>),
    /// There is none.
    Nothing,
    /// A place that a writer is about to fill, or has just emptied; from this id on, further
    /// off, there may be one.
    DeadEnd(u64),
}

/// A direction: downwards ([`Floor`]) or upwards ([`Ceiling`]).
pub(super) trait Side {
    /// Whether a range that starts at `first` lies on this side of `id`.
    fn admits(first: u64, id: u64) -> bool;
    /// Those bits of a map that lie beyond bit `index`.
    fn beyond(map: u64, index: u32) -> u64;
    /// The bit of a map that is nearest, or, if it has none, the one that is farthest off.
    fn edge(map: u64) -> u32;
    /// The nearest range of a bucket.
    fn of_bucket(bucket: BucketRef<'_>, id: u64) -> Option<Hit<'_>>;
    /// The id of a node that is nearest to the other side.
    fn far_end(shape: Shape) -> u64;
    /// The first id, further off, beyond what a slot covers.
    fn past_slot(shape: Shape, index: u32) -> Option<u64>;
    /// An id that every range of a whole cell is on this side of.
    const ANY: u64;
}

/// At or before.
pub(super) struct Floor;
/// At or after.
pub(super) struct Ceiling;

impl Side for Floor {
    const ANY: u64 = u64::MAX - 1;

    fn admits(first: u64, id: u64) -> bool {
        first <= id
    }

    fn beyond(map: u64, index: u32) -> u64 {
        map & below(index)
    }

    fn edge(map: u64) -> u32 {
        map.checked_ilog2().unwrap_or(0)
    }

    fn of_bucket(bucket: BucketRef<'_>, id: u64) -> Option<Hit<'_>> {
        bucket.floor(id)
    }

    fn far_end(shape: Shape) -> u64 {
        shape.last()
    }

    fn past_slot(shape: Shape, index: u32) -> Option<u64> {
        shape.slot_first(index).checked_sub(1)
    }
}

impl Side for Ceiling {
    const ANY: u64 = 0;

    fn admits(first: u64, id: u64) -> bool {
        first >= id
    }

    fn beyond(map: u64, index: u32) -> u64 {
        map & !below(index + 1)
    }

    fn edge(map: u64) -> u32 {
        map.trailing_zeros().min(63)
    }

    fn of_bucket(bucket: BucketRef<'_>, id: u64) -> Option<Hit<'_>> {
        bucket.ceiling(id)
    }

    fn far_end(shape: Shape) -> u64 {
        shape.first()
    }

    fn past_slot(shape: Shape, index: u32) -> Option<u64> {
        shape.slot_last(index).checked_add(1)
    }
}

/// The range on this side of `id` among those that a word, not a node's, holds.
#[inline]
pub(super) fn beside<'a, S: Side>(
    seen: Seen<'a>,
    slot: Option<&'a Slot>,
    id: u64,
) -> Option<Hit<'a>> {
    if let Some(bucket) = seen.bucket() {
        return S::of_bucket(bucket, id);
    }
    if !seen.word.is_inline() {
        return None;
    }
    let hit = Hit::inline(slot?, seen.word.len());
    S::admits(hit.first, id).then_some(hit)
}

/// The nearest range in the slots of this node beyond slot `index`, if one is occupied.
pub(super) fn sideways<'a, S: Side>(node: NodeRef<'a>, index: u32) -> Option<Step<'a>> {
    Some(edge_of_slot::<S>(node, beyond::<S>(node, index)?))
}

/// Of the occupied slots of a node, the nearest beyond slot `index`.
fn beyond<S: Side>(node: NodeRef<'_>, index: u32) -> Option<u32> {
    let (word, bit) = (index / 64, index % 64);
    let map = S::beyond(node.map(word).read(), bit);
    if map != 0 {
        return Some(64 * word + S::edge(map));
    }
    nearest_of::<S>(node, S::beyond(node.head().summary.read(), word))
}

/// Of the occupied slots of a node, the nearest.
fn edge<S: Side>(node: NodeRef<'_>) -> Option<u32> {
    nearest_of::<S>(node, node.head().summary.read())
}

/// Of the occupied slots in those maps that `summary` names, the nearest. If a map has just
/// become empty, that is its farthest slot: a dead end.
fn nearest_of<S: Side>(node: NodeRef<'_>, summary: u64) -> Option<u32> {
    if summary == 0 {
        return None;
    }
    let word = S::edge(summary);
    Some(64 * word + S::edge(node.map(word).read()))
}

/// The nearest range of all that lie in a slot.
fn edge_of_slot<'a, S: Side>(mut node: NodeRef<'a>, mut index: u32) -> Step<'a> {
    loop {
        let slot = node.slot(index);
        let seen = node.live().read(&slot.link);
        let child = match seen.node() {
            Some(child) => child,
            None => {
                let hit = beside::<S>(seen, Some(slot), S::ANY);
                return hit.map_or_else(|| dead_end::<S>(node, index), Step::Found);
            }
        };
        match edge::<S>(child) {
            Some(edge) => (node, index) = (child, edge),
            None => return dead_end::<S>(node, index),
        }
    }
}

/// Nothing was found in an occupied slot: a range came or went. The search goes on beyond it.
fn dead_end<'a, S: Side>(node: NodeRef<'a>, index: u32) -> Step<'a> {
    S::past_slot(node.shape(), index).map_or(Step::Nothing, Step::DeadEnd)
}

/// The nearest range on this side of `id`, or a dead end: one walk, whatever others do.
pub(super) fn search<'a, S: Side>(root: &'a Link, live: Live<'a>, id: u64) -> Step<'a> {
    // The nearest occupied slot beside the path, and the slot that the path has come to.
    let mut aside = None;
    let mut place: Option<(NodeRef<'a>, u32)> = None;
    let mut seen = live.read(root);
    while let Some(node) = seen.node() {
        let shape = node.shape();
        if !shape.covers(id) {
            if S::admits(S::far_end(shape), id) {
                return edge_of_node::<S>(node, place);
            }
            // All of it lies on the other side.
            return aside_or_nothing::<S>(aside);
        }
        let index = shape.index_of(id);
        if let Some(beyond) = beyond::<S>(node, index) {
            aside = Some((node, beyond));
        }
        place = Some((node, index));
        seen = live.read(&node.slot(index).link);
    }
    let slot = place.map(|(node, index)| node.slot(index));
    match beside::<S>(seen, slot, id) {
        Some(hit) => Step::Found(hit),
        None => aside_or_nothing::<S>(aside),
    }
}

/// The nearest range of all that lie in a node, which was found in `place`.
fn edge_of_node<'a, S: Side>(node: NodeRef<'a>, place: Option<(NodeRef<'a>, u32)>) -> Step<'a> {
    match (edge::<S>(node), place) {
        (Some(index), _) => edge_of_slot::<S>(node, index),
        (None, Some((above, index))) => dead_end::<S>(above, index),
        (None, None) => Step::Nothing,
    }
}

fn aside_or_nothing<'a, S: Side>(aside: Option<(NodeRef<'a>, u32)>) -> Step<'a> {
    aside.map_or(Step::Nothing, |(node, index)| {
        edge_of_slot::<S>(node, index)
    })
}

/// The nearest range on this side of `id`.
pub(super) fn nearest<'a, S: Side>(root: &'a Link, live: Live<'a>, id: u64) -> Option<Hit<'a>> {
    let mut from = id;
    loop {
        match search::<S>(root, live, from) {
            Step::Found(hit) => return Some(hit),
            Step::Nothing => return None,
            Step::DeadEnd(past) => from = past,
        }
    }
}
