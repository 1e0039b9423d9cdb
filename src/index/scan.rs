//! Whole-trie looks under the writers' lock: exact snapshots, the height, and bulk loads.
//!
//! # Edges
//! None of its own: the lock orders all of it.
//!
//! # Progress
//! Under the lock, `O(n)`.
//!
//! # Checked by
//! `proptests/index.rs` against a `BTreeMap`.

use super::cell::Item;
use super::heap::{NodeRef, Seen, bytes_of};
use super::spot::Spot;
use super::trie::Change;

/// Why sorted ranges were not loaded.
pub(super) enum Misfit {
    Unsorted { at: usize },
    Overlap { at: usize, with: Item },
}

impl<'a> Change<'a> {
    /// Every range, in order.
    pub(super) fn items(&self) -> Vec<Item> {
        let mut items = Vec::with_capacity(self.len());
        gather(self.root(), &mut items);
        items
    }

    /// How many nodes the longest path of a reader goes through.
    pub(super) fn height(&self) -> usize {
        depth(self.root()) + self.writer.spliced()
    }

    /// Adds sorted ranges, all at once.
    pub(super) fn load(&mut self, new: Vec<Item>) -> Result<(), Misfit> {
        if let Some(at) = new.windows(2).position(|w| w[1].first <= w[0].last()) {
            return Err(Misfit::Unsorted { at: at + 1 });
        }
        let old = self.items();
        if old.is_empty() {
            self.reload(&new);
        } else if !new.is_empty() {
            self.reload(&merged(&old, &new)?);
        }
        Ok(())
    }
}

fn gather(spot: Spot<'_>, items: &mut Vec<Item>) {
    match spot.seen().node() {
        Some(node) => node
            .occupied()
            .for_each(|index| gather(Spot::Slot(node, index), items)),
        None => items.extend(spot.items()),
    }
}

fn depth(spot: Spot<'_>) -> usize {
    spot.seen().node().map_or(0, |node| {
        let below = node.occupied().map(|index| depth(Spot::Slot(node, index)));
        1 + below.max().unwrap_or(0)
    })
}

/// Two sorted sequences as one, unless a new range overlaps an old one.
fn merged(old: &[Item], new: &[Item]) -> Result<Vec<Item>, Misfit> {
    let mut all = Vec::with_capacity(old.len() + new.len());
    let mut rest = old;
    for (at, &item) in new.iter().enumerate() {
        let before = rest.partition_point(|o| o.first <= item.last());
        let (earlier, later) = rest.split_at(before);
        all.extend_from_slice(earlier);
        match all.last() {
            Some(&with) if with.last() >= item.first => {
                return Err(Misfit::Overlap { at, with });
            }
            _ => all.push(item),
        }
        rest = later;
    }
    all.extend_from_slice(rest);
    Ok(all)
}

/// What a walk over everything found.
#[derive(Default)]
struct Census {
    bytes: usize,
    /// First and last id of all that was met, in the order of the walk.
    ranges: Vec<(u64, u64)>,
}

impl<'a> Change<'a> {
    /// Panics unless the invariants hold.
    pub(super) fn audit(&self) {
        let mut census = Census::default();
        census.visit(self.root());
        let apart = |w: &[(u64, u64)]| w[0].1 < w[1].0;
        assert!(census.ranges.windows(2).all(apart), "out of order");
        assert_eq!(census.ranges.len(), self.len(), "the length");
        assert_eq!(census.bytes, self.writer.bytes(), "the bytes");
        let end = census.ranges.last().map_or(0, |range| range.1);
        assert_eq!(end, self.end(), "T3: the end");
    }
}

impl Census {
    fn visit(&mut self, spot: Spot<'_>) {
        let seen = spot.seen();
        match seen.node() {
            Some(node) => self.visit_node(seen, node),
            None => {
                let ranges = spot.items().map(|item| (item.first, item.last()));
                self.ranges.extend(ranges);
            }
        }
        if !seen.word.is_empty() && spot.inline().is_none() {
            self.bytes += bytes_of(seen);
        }
    }

    fn visit_node(&mut self, seen: Seen<'_>, node: NodeRef<'_>) {
        let (head, shape) = (node.head(), node.shape());
        let tag = (seen.word.shift(), seen.word.node_bits());
        assert_eq!(tag, (shape.shift(), shape.bits()), "W2");
        let (mut load, mut shared, mut kids) = (0, 0, 0);
        for word in 0..shape.maps() {
            let bit = head.summary.peek() >> word & 1 == 1;
            assert_eq!(bit, node.map(word).peek() != 0, "T1: the summary");
        }
        for index in 0..shape.slots() {
            let slot = Spot::Slot(node, index);
            load += slot.load();
            shared += usize::from(slot.seen().word.is_bucket());
            kids += usize::from(slot.seen().word.is_node());
            let before = self.ranges.len();
            self.visit(slot);
            let found = &self.ranges[before..];
            let bit = node.map(index / 64).peek() >> (index % 64) & 1 == 1;
            assert_eq!(bit, !found.is_empty(), "T1: the map");
            assert_eq!(found.is_empty(), slot.seen().word.is_empty(), "T1: empty");
            let cell = shape.slot_first(index)..=shape.slot_last(index);
            assert!(
                found.iter().all(|range| cell.contains(&range.0)),
                "H3 {shape:?} {index} {found:?}"
            );
        }
        let tallies = (head.load.get(), head.shared.get(), head.kids.get());
        assert_eq!((load, shared, kids), tallies, "P1");
        assert!(load + kids > 0, "T1: an empty node");
    }
}
