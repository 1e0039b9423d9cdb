//! Fresh subtrees from sorted ranges: for bursting buckets and for bulk loads.
//!
//! # Shape
//! ```text
//! 16 ranges or fewer    a bucket
//! more                  a node whose slots are as wide as the median distance between starts
//!                       (so dense aligned ranges fall one to a slot), or by a multiple of BITS
//!                       wider, until the node covers all; slots with several: the same again
//! ```
//!
//! # Invariants
//! * B1  The first and the last range fall into different slots, so every part is smaller.
//! * B2  Nothing is visible before the caller publishes the word; a subtree that is never
//!   published is freed by `trie::free`.
//!
//! # Edges
//! None: all of this happens before a publication.
//!
//! # Progress
//! `O(n log n)`: a median a level.
//!
//! # Checked by
//! `proptests/index.rs` (bulk loads and bursts against a `BTreeMap`).

use super::cell::Item;
use super::heap::{
    BITS, BUCKET_MAX, Content, NODE_BYTES, Shape, bytes_of_bucket, new_bucket, new_node,
};
use super::word::Word;

/// A subtree that no link leads to yet.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    pub(super) word: Word,
    /// What its nodes and buckets weigh.
    pub(super) bytes: usize,
}

/// A bucket of sorted ranges, at most [`BUCKET_MAX`].
pub(super) fn bucket(items: impl ExactSizeIterator<Item = Item>) -> Fresh {
    let word = new_bucket(items);
    Fresh {
        word,
        bytes: bytes_of_bucket(word),
    }
}

/// A node that holds what `fill` says.
pub(super) fn node(shape: Shape, fill: impl FnMut(u32) -> Content) -> Fresh {
    Fresh {
        word: new_node(shape, fill),
        bytes: NODE_BYTES,
    }
}

/// A subtree of sorted, disjoint ranges, at least one, for a link whose own shift is `above`.
pub(super) fn subtree(items: &[Item], above: u32) -> Fresh {
    if items.len() <= BUCKET_MAX {
        return bucket(items.iter().copied());
    }
    let shape = shape_for(items, above);
    let mut groups = items
        .chunk_by(|a, b| shape.index_of(a.first) == shape.index_of(b.first))
        .peekable();
    let mut bytes = 0;
    let mut fresh = node(shape, |index| {
        let group = groups.next_if(|group| shape.index_of(group[0].first) == index);
        group.map_or(Content::EMPTY, |group| part(group, shape.shift, &mut bytes))
    });
    fresh.bytes += bytes;
    fresh
}

/// What stands for some ranges in a slot; adds the bytes of what had to be made.
pub(super) fn part(group: &[Item], above: u32, bytes: &mut usize) -> Content {
    if let [item] = group {
        if let Some(inline) = Content::inline(*item) {
            return inline;
        }
    }
    let fresh = subtree(group, above);
    *bytes += fresh.bytes;
    Content::of(fresh.word)
}

/// The node that divides these ranges, two or more, best.
///
/// Where the word above leaves less than `BITS` bits, finer slots cost nothing.
fn shape_for(items: &[Item], above: u32) -> Shape {
    let (first, last) = (items[0].first, items[items.len() - 1].first);
    let span = (first ^ last).ilog2();
    let shift = to_reach(median_distance(items).ilog2().min(span), span);
    Shape::around(first, shift.min(above.saturating_sub(BITS)))
}

/// The least shift that is a multiple of `BITS` above `shift` and whose node tells bit `span`.
pub(super) fn to_reach(shift: u32, span: u32) -> u32 {
    shift + (span - shift) / BITS * BITS
}

fn median_distance(items: &[Item]) -> u64 {
    let mut distances: Vec<u64> = items.windows(2).map(|w| w[1].first - w[0].first).collect();
    let middle = distances.len() / 2;
    *distances.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_reaches_the_span_and_tells_it() {
        for shift in 0..64 {
            for span in shift..64 {
                let reached = to_reach(shift, span);
                assert_eq!((reached - shift) % BITS, 0);
                assert!(reached <= span && span < reached + BITS);
            }
        }
    }
}
