//! Removing, and giving memory back: what the holder of the writers' lock does to take ranges out.
// Unsafe: says of what it unlinks that nothing leads to it any more.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! remove   empty the slot | a copy of the bucket with one less; then tidy each node on the way up
//! tidy     no range: unlinked | few ranges: a smaller node or a bucket | one child: it takes the
//!          node's place
//! reload   a whole new trie in the place of the old one, by one store
//! ```
//!
//! # Invariants
//! * R1  Each change is visible by one store; what it replaces is retired after that store.
//! * R2  A node is spliced out only while fewer than `SPLICES` spliced nodes wait in limbo. A
//!   reader that came through a spliced node holds it there, so depth + spliced nodes bounds
//!   every reader's path.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Under the lock: `O(height)` steps to remove a range, and at most one bucket built a level.
//!
//! # Checked by
//! `loom-tests/index.rs`, `loom-tests/index_shrink.rs` (R1); `proptests/index.rs` (R2, and
//! T1 after each step).

use super::build;
use super::cell::Item;
use super::heap::{NodeRef, Seen};
use super::spot::Spot;
use super::trie::Change;
use super::word::Word;
use super::write::Few;
use crate::sync::SMALL;

/// A node without a node below it that has fewer than a `SPARSE`th of its slots' number of ranges
/// is replaced by what suits these.
const SPARSE: usize = if SMALL { 2 } else { 16 };
/// So many spliced nodes may wait in limbo.
const SPLICES: usize = 4;

/// What a range is refused for.
pub(super) enum Refusal {
    Absent,
    Inside(Item),
}

impl<'a> Change<'a> {
    /// Removes the range that starts at `first`.
    pub(super) fn remove(&mut self, first: u64) -> Result<Item, Refusal> {
        let hit = self.view.find(first).ok_or(Refusal::Absent)?;
        let item = hit.item();
        if item.first != first {
            return Err(Refusal::Inside(item));
        }
        self.remove_below(self.root(), first);
        self.set_len(self.len() - 1);
        if item.last() == self.end() {
            self.refresh_end();
        }
        Ok(item)
    }

    fn remove_below(&mut self, spot: Spot<'a>, first: u64) {
        let seen = spot.seen();
        if let Some(node) = seen.node() {
            let index = node.shape().index_of(first);
            self.remove_below(Spot::Slot(node, index), first);
            self.tidy(spot, node);
        } else if let Some(bucket) = seen.bucket() {
            let left = Few::new(bucket.items().filter(|item| item.first != first));
            match left.as_slice() {
                [] => self.unlink(spot),
                left => self.supersede(spot, build::bucket(left)),
            }
        } else {
            spot.publish(Word::EMPTY);
        }
    }

    /// Empties a slot, and retires the node or bucket that it held.
    fn unlink(&mut self, spot: Spot<'a>) {
        let old = spot.seen();
        spot.publish(Word::EMPTY);
        // SAFETY: S1 the store above emptied its only link (T2); S2 it stood there until then.
        unsafe { self.retire(old, false) };
    }

    /// Gives back a node that has become too large for what it holds.
    fn tidy(&mut self, spot: Spot<'a>, node: NodeRef<'a>) {
        let (load, kids) = (node.head().load.get(), node.head().kids.get());
        if load + kids == 0 {
            self.unlink(spot);
        } else if kids == 0 && load * SPARSE <= node.shape().slots() as usize {
            let items: Vec<Item> = ranges_of(node).collect();
            self.supersede(spot, build::subtree(&items));
            self.retire_buckets(node);
        } else if load == 0 && kids == 1 {
            self.splice(spot, node);
        }
    }

    /// Retires the buckets of a node that is unlinked.
    pub(super) fn retire_buckets(&mut self, node: NodeRef<'a>) {
        for index in node.occupied() {
            let seen = Spot::Slot(node, index).seen();
            if seen.word.is_bucket() {
                // SAFETY: S1 its only link is in `node`, which is unlinked; S2 it stands there.
                unsafe { self.retire(seen, false) };
            }
        }
    }

    /// Puts the only child of a node in its place.
    fn splice(&mut self, spot: Spot<'a>, node: NodeRef<'a>) {
        let Some(index) = node.occupied().next() else {
            return;
        };
        if self.writer.spliced() < SPLICES {
            spot.publish(Spot::Slot(node, index).seen().word);
            // SAFETY: S1 the store above replaced its only link (T2); S2 it stood there until
            // then.
            unsafe { self.retire(node.seen, true) };
        }
    }

    /// Puts these sorted ranges in the place of all that is there, by one store.
    pub(super) fn reload(&mut self, items: &[Item]) {
        let root = self.root();
        let old = root.seen();
        match items {
            [] => root.publish(Word::EMPTY),
            items => self.publish(root, build::subtree(items)),
        }
        self.retire_below(old);
        self.set_len(items.len());
        self.extend_end(items.last().map_or(0, Item::last), None);
    }

    fn retire_below(&mut self, seen: Seen<'a>) {
        if let Some(node) = seen.node() {
            for index in node.occupied() {
                self.retire_below(Spot::Slot(node, index).seen());
            }
        }
        if seen.word.is_node() || seen.word.is_bucket() {
            // SAFETY: S1 the root leads to other nodes now; S2 each has one link in the old
            // trie (T2), and this walk goes through each link once.
            unsafe { self.retire(seen, false) };
        }
    }
}

/// The ranges in the slots of a node, in order.
pub(super) fn ranges_of<'a>(node: NodeRef<'a>) -> impl Iterator<Item = Item> + 'a {
    let spots = node.occupied().map(move |index| Spot::Slot(node, index));
    spots.flat_map(Spot::items)
}
