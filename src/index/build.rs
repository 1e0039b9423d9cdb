//! Fresh subtrees from sorted ranges: for bursting buckets, finer nodes and bulk loads.
//!
//! # Shape
//! ```text
//! BUCKET_MAX ranges or fewer   a bucket
//! more                         a node of a shape that suits them; slots with one range hold it
//!                              inline, slots with several: the same again
//! ```
//!
//! # Invariants
//! * B1  The first and the last range fall into different slots (S2), so every part is smaller.
//! * B2  Nothing is visible before the caller publishes the word.
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
use super::heap::{BUCKET_MAX, Content, bytes_of_bucket, bytes_of_node, new_bucket, new_node};
use super::shape::Shape;
use super::word::Word;

/// A subtree that no link leads to yet.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    pub(super) word: Word,
    /// What its nodes and buckets weigh.
    pub(super) bytes: usize,
}

/// A bucket of sorted ranges, at least one and at most [`BUCKET_MAX`].
pub(super) fn bucket(items: &[Item]) -> Fresh {
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
        bytes: bytes_of_node(shape),
    }
}

/// A subtree of sorted, disjoint ranges, at least one.
pub(super) fn subtree(items: &[Item]) -> Fresh {
    if items.len() <= BUCKET_MAX {
        return bucket(items);
    }
    filled(Shape::suiting(items), items)
}

/// A node of this shape that holds these sorted, disjoint ranges, all of which it covers.
pub(super) fn filled(shape: Shape, items: &[Item]) -> Fresh {
    let mut groups = items
        .chunk_by(|a, b| shape.index_of(a.first) == shape.index_of(b.first))
        .peekable();
    let mut bytes = 0;
    let mut hint = 0;
    let mut fresh = node(shape, |index| {
        match groups.next_if(|group| shape.index_of(group[0].first) == index) {
            None => Content::empty(hint),
            Some(group) => {
                hint = index;
                part(group, &mut bytes)
            }
        }
    });
    fresh.bytes += bytes;
    fresh
}

/// What stands for some ranges in a slot; adds the bytes of what had to be made.
pub(super) fn part(group: &[Item], bytes: &mut usize) -> Content {
    if let [item] = group
        && let Some(inline) = Content::inline(*item)
    {
        return inline;
    }
    let fresh = subtree(group);
    *bytes += fresh.bytes;
    let load = if fresh.word.is_node() { 0 } else { group.len() };
    Content::of(fresh.word, load)
}
