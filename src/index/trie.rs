//! The trie: its root, its writers' lock, and what waits to be freed.
// Unsafe: makes the proofs that let readers and writers follow words, and frees what is retired.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! Trie    [ domain | root link ]  [ len ]  [ lock: Writer ]
//! Writer  end of the last range, the node it lies in, bytes, limbo
//! Change  one change in progress: the lock is held, and nothing is freed before it ends
//! ```
//!
//! # Invariants
//! * T1  Between changes, a bit of a map is set exactly if its slot is occupied; no node and no
//!   bucket is empty, except that the root's word may be.
//! * T2  Every node and bucket has one link, until it is retired; then it has none.
//! * T3  `Writer::end` is the last id of the last range, or 0; `Writer::tail`, if any, is
//!   reachable.
//!
//! # Edges
//! None of its own: see `cell.rs`, and the lock.
//!
//! # Progress
//! Changes are serialized by one lock. Readers never take it.
//!
//! # Checked by
//! `loom-tests/index.rs` (T2); `proptests/index.rs` checks T1 and T3 after every step.

use core::fmt;

use crossbeam_utils::CachePadded;

use super::build::Fresh;
use super::cell::{Item, Link, Slot};
use super::find::{self, Hit};
use super::heap::{Garbage, Live, Seen, bytes_of};
use super::spot::Spot;
use super::walk::{self, Floor, Side};
use super::word::Word;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicUsize, Ordering::*};
use crate::sync::epoch::{Domain, Guard, Limbo};
use crate::sync::lock::Mutex;

/// A trie of ranges with 64 bits each.
pub(super) struct Trie {
    pub(super) domain: Domain,
    pub(super) root: Link,
    len: CachePadded<AtomicUsize>,
    writer: CachePadded<Mutex<Writer>>,
}

/// What only the holder of the lock knows.
pub(super) struct Writer {
    /// The last id of the last range; 0 if there is none.
    end: u64,
    /// The node that the last range lies in, or [`Word::EMPTY`] if it is not known.
    tail: Word,
    /// The last id that the tail may hold.
    tail_last: u64,
    bytes: usize,
    /// Spliced nodes that are still in limbo.
    spliced: usize,
    limbo: Limbo<Garbage>,
    /// Under a checker, what is freed stays until the end, so that a late look is reported.
    kept: Vec<Garbage>,
}

impl Trie {
    pub(super) fn new(domain: &Domain) -> Self {
        let writer = Writer {
            end: 0,
            tail: Word::EMPTY,
            tail_last: 0,
            bytes: 0,
            spliced: 0,
            limbo: Limbo::new(domain),
            kept: Vec::new(),
        };
        Self {
            domain: domain.clone(),
            root: Link::new(Word::EMPTY),
            len: CachePadded::new(AtomicUsize::new(0)),
            writer: CachePadded::new(Mutex::new(writer)),
        }
    }

    /// A look at the trie that lasts as long as the guard.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    #[inline(always)]
    pub(super) fn view<'a>(&'a self, guard: &'a Guard) -> View<'a> {
        self.domain.check(guard);
        // SAFETY: S1 the guard is of this domain and lives during 'a; S2 the view keeps the
        // proof beside the root of this trie and hands it on with what it reads there.
        let live = unsafe { Live::new() };
        View {
            root: &self.root,
            live,
        }
    }

    /// How many ranges there are; may be stale at once.
    pub(super) fn len(&self) -> usize {
        // Relaxed: a number for people; nothing is published by it.
        self.len.load(Relaxed)
    }

    /// Changes the trie, or looks at it while it stands still, under the writers' lock.
    pub(super) fn change<R>(&self, f: impl for<'a> FnOnce(&mut Change<'a>) -> R) -> R {
        let mut writer = self.writer.lock();
        let result = {
            // SAFETY: S1 the lock is held, and nothing is freed before `reclaim` below, which
            // comes after the last use of 'a (`f` cannot keep what it is lent); S2 as in `view`.
            let live = unsafe { Live::new() };
            let view = View {
                root: &self.root,
                live,
            };
            f(&mut Change {
                trie: self,
                writer: &mut writer,
                view,
            })
        };
        writer.reclaim();
        result
    }

    /// Closes the open batch of what waits, and frees what nobody looks at any more.
    pub(super) fn collect(&self) {
        self.change(|change| change.writer.limbo.seal(&self.domain.pin()));
        self.domain.nudge();
        self.change(|_| ());
    }
}

impl Writer {
    /// Frees what has become ripe. No user code runs here: nodes hold plain bits.
    fn reclaim(&mut self) {
        while let Some(batch) = self.limbo.take_ripe() {
            for garbage in batch {
                self.spliced -= usize::from(garbage.spliced);
                garbage.bury();
                if SMALL {
                    self.kept.push(garbage);
                }
            }
        }
    }

    /// What nodes and buckets weigh, without those that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What waits in limbo weighs.
    pub(super) fn pending(&self) -> usize {
        self.limbo.bytes()
    }

    /// How many spliced nodes wait in limbo.
    pub(super) fn spliced(&self) -> usize {
        self.spliced
    }
}

/// A look at the trie: what is reachable stays in memory during `'a`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    root: &'a Link,
    live: Live<'a>,
}

impl<'a> View<'a> {
    #[inline(always)]
    pub(super) fn find(self, id: u64) -> Option<Hit<'a>> {
        find::find(self.root, self.live, id)
    }

    /// What the root's link holds now.
    #[inline]
    pub(super) fn top(self) -> Seen<'a> {
        self.live.read(self.root)
    }

    /// What a slot of the trie holds now.
    #[inline(always)]
    pub(super) fn read(self, slot: &Slot) -> Seen<'a> {
        self.live.read(&slot.link)
    }

    /// As `find::floor_nearby`.
    pub(super) fn floor_nearby(self, id: u64) -> Option<Hit<'a>> {
        find::floor_nearby(self.root, self.live, id)
    }

    pub(super) fn nearest<S: Side>(self, id: u64) -> Option<Hit<'a>> {
        walk::nearest::<S>(self.root, self.live, id)
    }
}

/// One change in progress.
pub(super) struct Change<'a> {
    trie: &'a Trie,
    pub(super) writer: &'a mut Writer,
    pub(super) view: View<'a>,
}

impl<'a> Change<'a> {
    pub(super) fn root(&self) -> Spot<'a> {
        Spot::Root(self.view.root, self.view.live)
    }

    /// Publishes a fresh subtree; the caller retires what it replaces.
    pub(super) fn publish(&mut self, spot: Spot<'a>, fresh: Fresh) {
        self.writer.bytes += fresh.bytes;
        spot.publish(fresh.word);
    }

    /// Hands a node (not what lies below it) or a bucket to the limbo.
    ///
    /// # Safety
    /// S1: no link of the trie leads to it any more. S2: it was not retired before.
    pub(super) unsafe fn retire(&mut self, seen: Seen<'a>, spliced: bool) {
        let bytes = bytes_of(seen);
        self.writer.bytes -= bytes;
        self.writer.spliced += usize::from(spliced);
        if seen.word == self.writer.tail {
            self.writer.tail = Word::EMPTY;
        }
        // SAFETY: S1 and S2 are the caller's; S3 the limbo gives it back when no guard that is
        // alive now is left, and readers hold one.
        let garbage = unsafe { Garbage::new(seen.word, spliced) };
        let guard = self.trie.domain.pin();
        self.writer.limbo.push(garbage, bytes, &guard);
    }

    pub(super) fn set_len(&self, len: usize) {
        // Relaxed: a number for people; nothing is published by it.
        self.trie.len.store(len, Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.trie.len()
    }

    /// The last id of the last range, or 0.
    pub(super) fn end(&self) -> u64 {
        self.writer.end
    }

    /// Finds the end anew, after the last range went.
    pub(super) fn refresh_end(&mut self) {
        let last = self.view.nearest::<Floor>(Floor::ANY);
        self.writer.end = last.map_or(0, |hit| hit.item().last());
    }

    /// Notes the end of the last range, and the node that it lies in, at `home`, if any.
    pub(super) fn extend_end(&mut self, end: u64, home: Option<Spot<'a>>) {
        self.writer.end = end;
        let found = home.and_then(|home| Some((home.seen().node()?, home.last())));
        if let Some((node, last)) = found {
            self.writer.tail = node.seen.word;
            self.writer.tail_last = last.min(node.shape().last());
        }
    }

    /// The slot that a range behind all others begins in, if the tail has it.
    pub(super) fn next_slot(&mut self, item: Item) -> Option<Spot<'a>> {
        if self.writer.tail.is_empty() || item.first > self.writer.tail_last {
            return None;
        }
        // SAFETY: S1 a tail is reachable (T3): `retire` forgets it.
        let seen = unsafe { self.view.live.of(self.writer.tail) };
        let node = seen.node()?;
        Some(Spot::Slot(node, node.shape().index_of(item.first)))
    }
}

impl Drop for Trie {
    fn drop(&mut self) {
        self.change(|change| {
            let root = change.root();
            free(root.seen());
            root.publish(Word::EMPTY);
            let writer = &mut *change.writer;
            writer.kept.extend(writer.limbo.drain());
            writer.kept.clear();
        });
    }
}

/// Frees a subtree that nobody looks at.
fn free(seen: Seen<'_>) {
    if let Some(node) = seen.node() {
        for index in node.occupied() {
            free(node.live().peek(&node.slot(index).link));
        }
    }
    if seen.node().is_some() || seen.bucket().is_some() {
        // SAFETY: S1 the callers are the trie's drop, which empties the root's link, and this
        // function, whose caller frees the node that held the link; S2 once each (T2); S3 a
        // drop has no readers.
        drop(unsafe { Garbage::new(seen.word, false) });
    }
}

impl fmt::Debug for Trie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trie").field("len", &self.len()).finish()
    }
}
