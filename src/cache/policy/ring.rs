//! A ring of entries, linked through the entries themselves.
//!
//! # Shape
//! ```text
//!          next (younger) --->
//!   hand -> [oldest] <-> [..] <-> [youngest] -.
//!             ^----------------------------- -'
//! ```
//! The ring is closed, so the hand passes an entry by pointing at the next one: the oldest becomes
//! the youngest, and no link is written.
//!
//! # Invariants
//! * R1  An entry's links name its neighbours exactly while it is on a ring; else they are loose.
//! * R2  `len` and `weight` are those of the entries on the ring.
//!
//! # Checked by
//! The tests of `policy.rs`; `proptests/policy.rs` against a `Vec`.

use super::Entries;

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// The neighbours of an entry on its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    /// The next older one.
    pub(crate) prev: u32,
    /// The next younger one.
    pub(crate) next: u32,
}

impl Links {
    /// Of an entry that is on no ring.
    pub(crate) const LOOSE: Self = Self {
        prev: NONE,
        next: NONE,
    };
}

/// Entries in the order in which they came, and a hand at the oldest.
#[derive(Debug)]
pub(super) struct Ring {
    hand: u32,
    len: u32,
    weight: u128,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            hand: NONE,
            len: 0,
            weight: 0,
        }
    }

    /// The oldest entry, or `NONE`.
    pub(super) fn hand(&self) -> u32 {
        self.hand
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn weight(&self) -> u128 {
        self.weight
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hand == NONE
    }

    /// Puts `e` at the young end.
    pub(super) fn link(&mut self, entries: &mut impl Entries, e: u32) {
        debug_assert_eq!(entries.links(e), Links::LOOSE);
        self.len += 1;
        self.weight += u128::from(entries.weight(e));
        if self.hand == NONE {
            self.hand = e;
            return entries.set_links(e, Links { prev: e, next: e });
        }
        let (young, old) = (entries.links(self.hand).prev, self.hand);
        entries.set_links(
            e,
            Links {
                prev: young,
                next: old,
            },
        );
        set_prev(entries, old, e);
        set_next(entries, young, e);
    }

    /// Takes `e` from wherever it is on this ring.
    pub(super) fn unlink(&mut self, entries: &mut impl Entries, e: u32) {
        let Links { prev, next } = entries.links(e);
        debug_assert_ne!(prev, NONE);
        self.len -= 1;
        self.weight -= u128::from(entries.weight(e));
        entries.set_links(e, Links::LOOSE);
        if next == e {
            self.hand = NONE;
            return;
        }
        if self.hand == e {
            self.hand = next;
        }
        set_next(entries, prev, next);
        set_prev(entries, next, prev);
    }

    /// Puts `new` where `old` is, which leaves.
    pub(super) fn swap(&mut self, entries: &mut impl Entries, old: u32, new: u32) {
        let Links { prev, next } = entries.links(old);
        debug_assert_ne!(prev, NONE);
        self.weight -= u128::from(entries.weight(old));
        self.weight += u128::from(entries.weight(new));
        entries.set_links(old, Links::LOOSE);
        if self.hand == old {
            self.hand = new;
        }
        if next == old {
            return entries.set_links(
                new,
                Links {
                    prev: new,
                    next: new,
                },
            );
        }
        entries.set_links(new, Links { prev, next });
        set_next(entries, prev, new);
        set_prev(entries, next, new);
    }

    /// The hand will soon come to the one after the oldest, whose own turn to be fetched this was
    /// when the hand came to the one before it.
    pub(super) fn prefetch(&self, entries: &impl Entries) {
        if self.hand != NONE {
            entries.prefetch(entries.links(self.hand).next);
        }
    }

    /// The oldest becomes the youngest.
    pub(super) fn pass(&mut self, entries: &impl Entries) {
        self.hand = entries.links(self.hand).next;
    }
}

fn set_prev(entries: &mut impl Entries, e: u32, prev: u32) {
    let links = entries.links(e);
    entries.set_links(e, Links { prev, ..links });
}

fn set_next(entries: &mut impl Entries, e: u32, next: u32) {
    let links = entries.links(e);
    entries.set_links(e, Links { next, ..links });
}
