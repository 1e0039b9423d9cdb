//! Leases: who may make free slots taken, without anybody owning them for longer than a call.
//!
//! # Shape
//! ```text
//! stripes  [lock|block|word|avail]  x N      a thread uses the one of its number
//! locals   [lock|block|word|avail] ──> ..    one for each living handle, used again
//! ```
//! A stripe keeps the lease of one word *between* calls; whoever needs slots may use or rob any
//! stripe that is idle. So nothing is stranded by threads that exit, panic or sleep between calls.
//! A thread that sleeps *inside* a call holds up the free slots of one word, and nothing else.
//!
//! # Invariants
//! * L1  A lock is tried, never waited for, so that no order of locks is needed.
//! * L2  The lease of a word is held by one stripe, or by one call.
//! * L3  `take` gives up only after every slot was, at some moment of the call, live, marked, or in
//!   a word whose lease a call in progress held.
//!
//! # Progress
//! `take`, `take_run`, `revoke` are lock-free: every step but a lost `try_hold` is bounded, a search
//! is repeated a few times at most, and a run is sought again only after somebody else took
//! slots of it.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (L1 to L3); `tests/stress_block.rs`; `proptests/block.rs`.

use core::fmt;
use std::thread::available_parallelism;

use crossbeam_utils::CachePadded;

use super::block::Block;
use super::chain::{Link, Linked};
use super::stripe::{Held, Stripe};
use crate::id::SlotIndex;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicBool, Ordering::*};
use crate::sync::cell::Canary;
use crate::sync::local::thread_number;

/// So often a search is made anew if it met calls in progress.
const ROUNDS: usize = if SMALL { 1 } else { 3 };

/// The most stripes that are made without being asked for.
const DEFAULT_STRIPES: usize = 16;

/// The blocks that slots may be taken from.
///
/// # Safety
/// S1: a block that was shown to a [`Leases`] stays allocated until [`Leases::revoke`] of it
/// succeeded there, or that `Leases` is not used any more.
#[allow(unsafe_code)] // the trait is the contract by which a stripe may name a block
pub(crate) unsafe trait BlockSource {
    /// Shows blocks to `look` until it says that it has what it wanted; whether it did.
    fn find(&self, look: &mut dyn FnMut(&Block) -> bool) -> bool;
}

/// The stripes of one or more blocks.
pub(crate) struct Leases {
    stripes: Box<[CachePadded<Stripe>]>,
    locals: Link<Local>,
}

/// A stripe that a handle uses.
struct Local {
    stripe: CachePadded<Stripe>,
    used: AtomicBool,
    home: usize,
    next: Link<Local>,
    born: Canary,
}

impl Linked for Local {
    fn next(&self) -> &Link<Self> {
        self.born.touch();
        &self.next
    }

    fn next_mut(&mut self) -> &mut Link<Self> {
        &mut self.next
    }
}

/// A stripe that no thread picks by its number; given back on drop.
pub(crate) struct LocalStripe<'a>(&'a Local);

impl Leases {
    /// `stripes` of them, rounded up to a power of two; by default as many as the machine has
    /// processors, and at most 16.
    pub(crate) fn new(stripes: Option<usize>) -> Self {
        let processors = || available_parallelism().map_or(1, usize::from);
        let stripes = stripes.unwrap_or_else(|| processors().min(DEFAULT_STRIPES));
        let stripes = stripes.next_power_of_two();
        Self {
            stripes: (0..stripes)
                .map(|_| CachePadded::new(Stripe::new()))
                .collect(),
            locals: Link::new(),
        }
    }

    /// A stripe of the caller's own, which others may use while it is idle.
    pub(crate) fn local(&self) -> LocalStripe<'_> {
        let idle = self.locals.iter().find(|local| {
            // Relaxed, both: who uses a stripe takes its lock; this only spreads the users.
            !local.used.load(Relaxed) && !local.used.swap(true, Relaxed)
        });
        LocalStripe(idle.unwrap_or_else(|| self.locals.append(Box::new(self.new_local()))))
    }

    fn new_local(&self) -> Local {
        Local {
            stripe: CachePadded::new(Stripe::new()),
            used: AtomicBool::new(true),
            home: self.stripes.len() + self.locals.iter().count(),
            next: Link::new(),
            born: Canary::new(),
        }
    }

    /// How many bytes the stripes have.
    pub(crate) fn memory(&self) -> usize {
        let locals = self.locals.iter().count() * size_of::<Local>();
        size_of_val(&*self.stripes) + locals
    }

    /// All stripes, those of the handles last.
    fn all(&self, first: usize) -> impl Iterator<Item = &Stripe> {
        let (before, after) = self.stripes.split_at(first);
        let shared = after.iter().chain(before).map(|stripe| &**stripe);
        shared.chain(self.locals.iter().map(|local| &*local.stripe))
    }

    /// Takes a free slot, and has `land` make it live or mark it as reserved.
    ///
    /// `None` only as L3 says.
    #[inline]
    pub(crate) fn take<R>(
        &self,
        local: Option<&LocalStripe<'_>>,
        source: &impl BlockSource,
        mut land: impl FnMut(&Block, SlotIndex) -> R,
    ) -> Option<R> {
        let (own, home) = match local {
            Some(LocalStripe(local)) => (&*local.stripe, local.home),
            None => {
                let number = thread_number() & (self.stripes.len() - 1);
                (&*self.stripes[number], number)
            }
        };
        if own.has_some_hint() {
            if let Some(landed) = own.try_hold().and_then(|held| held.pop(&mut land)) {
                return Some(landed);
            }
        }
        self.search(own, home, source, &mut land)
    }

    #[cold]
    #[inline(never)]
    fn search<R>(
        &self,
        own: &Stripe,
        home: usize,
        source: &impl BlockSource,
        land: &mut impl FnMut(&Block, SlotIndex) -> R,
    ) -> Option<R> {
        for _ in 0..ROUNDS {
            if !source.find(&mut |block| !block.looks_full()) {
                return None;
            }
            let mut met_busy = false;
            let landed = self.round(own, home, source, land, &mut met_busy);
            if landed.is_some() {
                return landed;
            }
            if !met_busy && !source.find(&mut Block::has_open_word) {
                return None;
            }
        }
        None
    }

    /// Our own stripe or the first idle one, with a new word if need be; else any stripe's word;
    /// else, if none was idle, a word for this call alone.
    fn round<R>(
        &self,
        own: &Stripe,
        home: usize,
        source: &impl BlockSource,
        land: &mut impl FnMut(&Block, SlotIndex) -> R,
        met_busy: &mut bool,
    ) -> Option<R> {
        let mut first = true;
        let others = self.all(home & (self.stripes.len() - 1));
        let others = others.filter(|stripe| !core::ptr::eq(*stripe, own));
        for stripe in core::iter::once(own).chain(others) {
            let Some(held) = stripe.try_hold() else {
                *met_busy = true;
                continue;
            };
            let landed = held.pop(land).or_else(|| {
                let refilled = held.refresh() || first && refill(&held, home, source);
                if refilled { held.pop(land) } else { None }
            });
            if landed.is_some() {
                return landed;
            }
            first = false;
        }
        if first {
            for_one_call(home, source, land)
        } else {
            None
        }
    }

    /// Takes over the lease of a word from the stripe that names it, if that is idle.
    pub(super) fn rob(&self, block: &Block, word: usize) -> bool {
        let names = |stripe: &&Stripe| stripe.names_hint(block);
        self.all(0).filter(names).any(|stripe| {
            let held = stripe.try_hold().filter(|held| held.names(block, word));
            held.is_some_and(|held| {
                held.forget();
                true
            })
        })
    }

    /// Takes all leases of a block in which no slot is taken, for good; whether it could.
    ///
    /// Afterwards no slot of it is ever handed out, no stripe names it, and it may be freed once
    /// nobody looks at it any more. It fails if a slot is taken, or a call in progress has one
    /// of the leases.
    pub(crate) fn revoke(&self, block: &Block) -> bool {
        if !block.is_unused() || !self.give_up(block) || !block.lease_all() {
            return false;
        }
        let unused = block.is_unused();
        if !unused {
            block.give_all();
        }
        unused
    }

    /// Gives back what idle stripes have leased of a block; whether no stripe was busy with it.
    fn give_up(&self, block: &Block) -> bool {
        let names = |stripe: &&Stripe| stripe.names_hint(block);
        self.all(0).filter(names).all(|stripe| {
            let held = stripe.try_hold();
            held.is_some_and(|held| {
                if held
                    .leased()
                    .is_some_and(|(named, _)| core::ptr::eq(named, block))
                {
                    held.give();
                }
                true
            })
        })
    }
}

/// Gets a new word for a stripe whose own has nothing left.
fn refill(held: &Held<'_>, home: usize, source: &impl BlockSource) -> bool {
    source.find(&mut |block| {
        let start = held.next_in(block).unwrap_or_else(|| block.home(home));
        let found = block.lease_word(start);
        if let Some((word, avail)) = found {
            held.replace(block.as_ref(), word, avail);
        }
        found.is_some()
    })
}

/// Leases a word, takes one slot, and gives the lease back.
fn for_one_call<R>(
    home: usize,
    source: &impl BlockSource,
    land: &mut impl FnMut(&Block, SlotIndex) -> R,
) -> Option<R> {
    let mut landed = None;
    source.find(&mut |block| {
        let Some((word, avail)) = block.lease_word(block.home(home)) else {
            return false;
        };
        landed = Some(land(block, Block::slot_at(word, avail.trailing_zeros())));
        block.give(word);
        true
    });
    landed
}

impl Drop for LocalStripe<'_> {
    fn drop(&mut self) {
        // If somebody just uses the stripe, its lease stays there: for everybody, as before.
        if let Some(held) = self.0.stripe.try_hold() {
            held.give();
        }
        // Relaxed: who uses the stripe takes its lock; this only spreads the users.
        self.0.used.store(false, Relaxed);
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.locals.clear();
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("stripes", &self.stripes.len())
            .field("locals", &self.locals.iter().count())
            .finish()
    }
}

impl fmt::Debug for LocalStripe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalStripe").field(&self.0.home).finish()
    }
}
