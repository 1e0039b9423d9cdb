//! Inserting: what the holder of the writers' lock does to add a range.
// Unsafe: says of what it unlinks that nothing leads to it any more.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! insert   at the end: inline into the last node | else: floor of the last id, then place
//! place    down to the first word that is no node covering the range:
//!            empty        the range inline, or a bucket of one where a range stood before
//!            range        a bucket of two
//!            bucket       append in place | a copy with one more | 17: a node
//!            other cell   a node above, with the child and the range
//! refresh  a node half of whose slots have held a range before: a copy, clean again
//! ```
//!
//! # Invariants
//! * U1  Each change is visible by one store; what it replaces is retired after that store.
//! * U2  A node is put above another where that does not cover a range of its slot; so a node
//!   that covers its whole slot stays where it is.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Under the lock: `O(height)` steps each, and at most one node or bucket built.
//!
//! # Checked by
//! `loom-tests/index_*.rs` (U1); `proptests/index.rs` (U2, and T1 after each step).

use super::build::{self, Fresh};
use super::cell::Item;
use super::heap::{BITS, BUCKET_MAX, BucketRef, Content, NodeRef, SLOTS, Shape};
use super::trie::{Change, Spot};
use super::walk::Floor;

/// A few items on the stack.
pub(super) struct Few {
    items: [Item; BUCKET_MAX + 1],
    len: usize,
}

impl Few {
    pub(super) fn new(items: impl Iterator<Item = Item>) -> Self {
        let mut few = Self {
            items: [Item::NONE; BUCKET_MAX + 1],
            len: 0,
        };
        for item in items {
            few.items[few.len] = item;
            few.len += 1;
        }
        few
    }

    pub(super) fn as_slice(&self) -> &[Item] {
        &self.items[..self.len]
    }

    /// Adds one more in its place.
    pub(super) fn with(mut self, item: Item) -> Self {
        let at = self.as_slice().partition_point(|i| i.first < item.first);
        self.items.copy_within(at..self.len, at + 1);
        self.items[at] = item;
        self.len += 1;
        self
    }
}

impl<'a> Change<'a> {
    /// Inserts a range, or names the last one that it overlaps.
    pub(super) fn insert(&mut self, item: Item) -> Result<(), Item> {
        if item.first > self.end() {
            if !self.append_inline(item) {
                let node = self.place(item);
                self.extend_end(item.last(), node);
            }
        } else {
            if let Some(near) = self.overlapped(item) {
                return Err(near);
            }
            self.place(item);
        }
        self.set_len(self.len() + 1);
        Ok(())
    }

    /// Stores another value for the range that contains `id`; yields the old one.
    pub(super) fn replace(&mut self, id: u64, bits: u64) -> Option<u64> {
        let hit = self.view.find(id)?;
        let old = hit.value.load();
        hit.value.replace(bits);
        Some(old)
    }

    /// The last range that shares an id with `item`.
    fn overlapped(&self, item: Item) -> Option<Item> {
        let near = self.view.nearest::<Floor>(item.last())?.item();
        (near.last() >= item.first).then_some(near)
    }

    /// Puts a range that lies behind all others into the node of the last one, if it can.
    fn append_inline(&mut self, item: Item) -> bool {
        let Some(node) = self.tail().filter(|node| node.shape().covers(item.first)) else {
            return false;
        };
        let done = Spot::Slot(node, node.shape().index_of(item.first)).put_inline(item);
        if done {
            self.extend_end(item.last(), Some(node));
        }
        done
    }

    /// Puts a range that overlaps none where it belongs; yields the node that it now lies in.
    fn place(&mut self, item: Item) -> Option<NodeRef<'a>> {
        let mut home = self.root();
        let mut spot = home;
        let mut last = None;
        while let Some(node) = spot.seen().node() {
            if !node.shape().covers(item.first) {
                self.place_above(spot, node, item);
                return last;
            }
            (last, home) = (Some(node), spot);
            spot = Spot::Slot(node, node.shape().index_of(item.first));
        }
        self.place_at(spot, item);
        match last {
            Some(node) if is_used_up(node) && !spot.is_clean() => Some(self.refresh(home, node)),
            _ => last,
        }
    }

    /// Puts a range where a word that is no node's lies.
    fn place_at(&mut self, spot: Spot<'a>, item: Item) {
        if let Some(bucket) = spot.seen().bucket() {
            self.place_in(spot, bucket, item);
        } else if let Some(other) = spot.inline() {
            let pair = Few::new([other].into_iter()).with(item);
            self.publish(spot, build::subtree(pair.as_slice(), spot.above()));
        } else if !spot.put_inline(item) {
            self.publish(spot, build::bucket([item].into_iter()));
        }
    }

    /// Adds a range to a bucket: in place if it comes last and there is room.
    fn place_in(&mut self, spot: Spot<'a>, bucket: BucketRef<'a>, item: Item) {
        let len = bucket.len();
        if len < bucket.entries.len() && bucket.entries[len - 1].first() < item.first {
            return bucket.entries[len].publish(item);
        }
        let items = Few::new(bucket.items()).with(item);
        let fresh = build::subtree(items.as_slice(), spot.above());
        self.supersede(spot, fresh);
    }

    /// Publishes a fresh subtree in the place of one node or bucket, which is retired.
    pub(super) fn supersede(&mut self, spot: Spot<'a>, fresh: Fresh) {
        let old = spot.seen();
        self.publish(spot, fresh);
        // SAFETY: S1 the store above replaced its only link (T2); S2 it stood there until then.
        unsafe { self.retire(old, false) };
    }

    /// Puts a node above `child`, which does not cover the range, and the range beside it.
    fn place_above(&mut self, spot: Spot<'a>, child: NodeRef<'a>, item: Item) {
        let below = child.shape();
        let span = (item.first ^ below.first()).ilog2();
        let shift = build::to_reach(below.shift + BITS, span);
        let shape = Shape::around(item.first, shift);
        let mut bytes = 0;
        let part = build::part(&[item], shift, &mut bytes);
        let (child_at, item_at) = (shape.index_of(below.first()), shape.index_of(item.first));
        let mut fresh = build::node(shape, |index| match index {
            _ if index == child_at => Content::of(child.seen().word),
            _ if index == item_at => part,
            _ => Content::EMPTY,
        });
        fresh.bytes += bytes;
        self.publish(spot, fresh);
    }

    /// Replaces a node by a copy whose slots can hold ranges inline again.
    fn refresh(&mut self, home: Spot<'a>, node: NodeRef<'a>) -> NodeRef<'a> {
        let fresh = build::node(node.shape(), |index| refreshed(Spot::Slot(node, index)));
        self.supersede(home, fresh);
        for index in node.occupied() {
            let seen = Spot::Slot(node, index).seen();
            if seen.bucket().is_some_and(|bucket| alone(bucket).is_some()) {
                // SAFETY: S1 its only link was in `node`, which is unlinked, and the copy has
                // the range inline; S2 it stood there until now.
                unsafe { self.retire(seen, false) };
            }
        }
        home.seen().node().expect("the copy")
    }
}

/// Whether most slots of a node have held a range that is gone.
fn is_used_up(node: NodeRef<'_>) -> bool {
    let dirty = node.head().dirty.peek().count_ones();
    2 * dirty >= SLOTS
}

/// The only range of a bucket, if a slot could hold it inline.
fn alone(bucket: BucketRef<'_>) -> Option<Content> {
    let mut items = bucket.items();
    let item = items.next()?;
    match items.next() {
        Some(_) => None,
        None => Content::inline(item),
    }
}

/// What a slot's content becomes in a copy of its node.
fn refreshed(spot: Spot<'_>) -> Content {
    let seen = spot.seen();
    let inline = match seen.bucket() {
        Some(bucket) => alone(bucket),
        None => spot.inline().and_then(Content::inline),
    };
    inline.unwrap_or(Content::of(seen.word))
}
