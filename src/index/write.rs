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
//!            bucket       append in place | a copy with one more | too many: a node
//!            other cell   a coarser node for few ranges | a node twice as wide, if it is half
//!                         full | a node above both
//! crowded  a node with more ranges than slots, and no node below: twice the slots in its place
//! refresh  a node half of whose slots have held a range before: a copy, clean again
//! ```
//!
//! # Invariants
//! * U1  Each change is visible by one store; what it replaces is retired after that store.
//! * U2  A node is put above another, or made wider, only where that does not cover all of its
//!   slot; so H3 holds.
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Under the lock: `O(height)` steps, and at most one subtree built. A node is copied only when it
//! has as many ranges as half of its slots, so that copies cost `O(1)` a range, amortized.
//!
//! # Checked by
//! `loom-tests/index.rs` (U1); `proptests/index.rs` (U2, and T1 after each step).

use super::build::{self, Fresh};
use super::cell::Item;
use super::heap::{BUCKET_MAX, BucketRef, Content, NodeRef};
use super::shape::Shape;
use super::shrink::ranges_of;
use super::spot::Spot;
use super::trie::Change;
use super::walk::Floor;
use super::word::MIN_BITS;

/// How many slots the smallest nodes have.
const SMALLEST: usize = 1 << MIN_BITS;

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
            let home = if self.append_nearby(item) {
                None
            } else {
                Some(self.place(item))
            };
            self.extend_end(item.last(), home);
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
        let nearby = self.view.floor_nearby(item.last());
        let near = nearby.or_else(|| self.view.nearest::<Floor>(item.last()));
        let near = near?.item();
        (near.last() >= item.first).then_some(near)
    }

    /// Puts a range that lies behind all others into the node of the last one, if it can: into a
    /// slot of its own, or behind the others of a bucket.
    fn append_nearby(&mut self, item: Item) -> bool {
        let Some(slot) = self.next_slot(item) else {
            return false;
        };
        if slot.put_inline(item) {
            slot.spread(item);
            return true;
        }
        let bucket = slot.seen().bucket();
        bucket.is_some_and(|bucket| slot.append(bucket, item))
    }

    /// Puts a range that overlaps none where it belongs; yields where the node lies that it is
    /// now in.
    fn place(&mut self, item: Item) -> Spot<'a> {
        let (mut home, mut spot) = (self.root(), self.root());
        let mut last = None;
        while let Some(node) = spot.seen().node() {
            if !node.shape().covers(item.first) {
                self.place_outside(spot, node, item);
                return spot;
            }
            (last, home) = (Some(node), spot);
            spot = Spot::Slot(node, node.shape().index_of(item.first));
        }
        match last {
            Some(node) => self.place_within(home, node, spot, item),
            None => self.place_at(spot, item),
        }
        home
    }

    /// Puts a range into a slot of this node, or of a finer or cleaner one in its place.
    fn place_within(&mut self, home: Spot<'a>, node: NodeRef<'a>, spot: Spot<'a>, item: Item) {
        if spot.put_inline(item) {
            return spot.spread(item);
        }
        if let Some(shape) = crowded(node) {
            return self.rebuild(home, node, item, |items| build::filled(shape, items));
        }
        if spot.seen().word.is_empty() && is_used_up(node) {
            return self.reshape(home, node, node.shape(), item);
        }
        self.place_at(spot, item);
        spot.spread(item);
    }

    /// Puts a range where a word that is no node's lies, and not inline.
    fn place_at(&mut self, spot: Spot<'a>, item: Item) {
        let seen = spot.seen();
        if let Some(bucket) = seen.bucket() {
            if spot.append(bucket, item) {
                return;
            }
            let items = Few::new(bucket.items()).with(item);
            self.supersede(spot, build::subtree(items.as_slice()));
        } else {
            let items = Few::new(spot.items()).with(item);
            self.publish(spot, build::subtree(items.as_slice()));
        }
    }

    /// Publishes a fresh subtree in the place of one node or bucket, which is retired.
    pub(super) fn supersede(&mut self, spot: Spot<'a>, fresh: Fresh) {
        let old = spot.seen();
        self.publish(spot, fresh);
        // SAFETY: S1 the store above replaced its only link (T2); S2 it stood there until then.
        unsafe { self.retire(old, false) };
    }

    /// Puts a range beside a node that does not cover it: into a wider copy, if it is full
    /// enough and that covers the range, or into a node above both.
    fn place_outside(&mut self, spot: Spot<'a>, child: NodeRef<'a>, item: Item) {
        let (shape, head) = (child.shape(), child.head());
        if head.kids.get() == 0 && shape.bits() == MIN_BITS && 2 * head.load.get() <= SMALLEST {
            return self.rebuild(spot, child, item, build::subtree);
        }
        let wider = shape.wider();
        if let Some(shape) = wider.filter(|shape| shape.covers(item.first))
            && 2 * child.occupied().count() >= child.shape().slots() as usize
        {
            return self.reshape(spot, child, shape, item);
        }
        let shape = child.shape().above(item.first);
        let mut bytes = 0;
        let part = build::part(&[item], &mut bytes);
        let child_at = shape.index_of(child.shape().first());
        let item_at = shape.index_of(item.first);
        let mut fresh = build::node(shape, |index| match index {
            _ if index == child_at => Content::of(child.seen.word, 0),
            _ if index == item_at => part,
            _ => Content::empty(item_at),
        });
        fresh.bytes += bytes;
        self.publish(spot, fresh);
    }

    /// Replaces a node by a copy whose slots, as wide as before, can hold ranges inline again,
    /// and puts a range in.
    fn reshape(&mut self, home: Spot<'a>, node: NodeRef<'a>, shape: Shape, item: Item) {
        let mut bytes = 0;
        let mut hint = 0;
        let part = build::part(&[item], &mut bytes);
        let item_at = shape.index_of(item.first);
        let old_slots = node.shape().slots();
        let old_from = shape.index_of(node.shape().first());
        let mut fresh = build::node(shape, |index| {
            let old = index.checked_sub(old_from).filter(|&old| old < old_slots);
            let old = old.and_then(|old| old_content(Spot::Slot(node, old)));
            let new = (index == item_at).then_some(part);
            debug_assert!(old.is_none() || new.is_none());
            match old.or(new) {
                None => Content::empty(hint),
                Some(content) => {
                    hint = index;
                    content
                }
            }
        });
        fresh.bytes += bytes;
        self.supersede(home, fresh);
        for index in node.occupied() {
            let seen = Spot::Slot(node, index).seen();
            if seen.bucket().is_some_and(|bucket| alone(bucket).is_some()) {
                // SAFETY: S1 its only link was in `node`, which is unlinked, and the copy has
                // the range inline; S2 it stood there until now.
                unsafe { self.retire(seen, false) };
            }
        }
    }

    /// Replaces a node without kids by what `build` makes of its ranges and one more.
    fn rebuild(
        &mut self,
        home: Spot<'a>,
        node: NodeRef<'a>,
        item: Item,
        build: impl FnOnce(&[Item]) -> Fresh,
    ) {
        let mut items = Vec::with_capacity(node.head().load.get() + 1);
        items.extend(ranges_of(node));
        let at = items.partition_point(|other| other.first < item.first);
        items.insert(at, item);
        self.supersede(home, build(&items));
        self.retire_buckets(node);
    }
}

/// The shape that a node should have that holds more ranges than slots, if it can.
///
/// Only if they crowd in an eighth of its slots: a few slots that hold many are better off with
/// nodes of their own.
fn crowded(node: NodeRef<'_>) -> Option<Shape> {
    let (head, slots) = (node.head(), node.shape().slots() as usize);
    let everywhere = head.load.get() >= slots && head.shared.get() >= slots / 8;
    if everywhere && head.kids.get() == 0 {
        node.shape().finer()
    } else {
        None
    }
}

/// Whether most slots of a node have held a range that is gone.
fn is_used_up(node: NodeRef<'_>) -> bool {
    let shape = node.shape();
    let dirty = (0..shape.maps()).map(|word| node.dirty(word).peek().count_ones());
    2 * dirty.sum::<u32>() >= shape.slots()
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

/// What an occupied slot's content becomes in a copy of its node.
fn old_content(spot: Spot<'_>) -> Option<Content> {
    let word = spot.seen().word;
    if word.is_empty() {
        return None;
    }
    let inline = match spot.seen().bucket() {
        Some(bucket) => alone(bucket),
        None => spot.inline().and_then(Content::inline),
    };
    Some(inline.unwrap_or_else(|| Content::of(word, spot.load())))
}
