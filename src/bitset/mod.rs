//! Which slots are taken: one bit a slot, and little else.
//!
//! # Shape
//! ```text
//! Block     [head | leaf words | summary | leased | touched]      one allocation
//!   leaf      1 bit a slot: live, and nothing else (the truth)
//!   summary   1 bit a leaf word: all live when last looked (a hint)
//!   leased    1 bit a leaf word: somebody may turn its free slots into taken ones
//!   touched   1 bit a leaf word: leased before (so its slots may have been given out)
//! Marks     reserved, hidden and retired slots, sparse          (marks.rs, cell.rs, chain.rs)
//! Leases    stripes, each naming one leased word of one block    (lease.rs, stripe.rs)
//! runs      many slots in a row                                  (run.rs)
//! ```
//! ```text
//!            reserve             publish            hide            reclaim         epoch passed
//!   free ───────────> reserved ─────────> live ───────────> hidden ─────────> retired ────────> free
//!    ^ │                 │ cancel         │ ^
//!    │ └─────────────────────────────── alloc
//!    └───────────────────┴───────── free ─┘
//! ```
//! Only the holder of a word's lease turns a free slot into a taken one; everybody may do the rest.
//!
//! # Checked by
//! `loom-tests/bitset.rs`, `loom-tests/block.rs`; `proptests/block.rs`.

mod block;
mod cell;
mod chain;
mod lease;
mod live;
mod marks;
mod run;
mod stripe;

pub(crate) use block::{Block, BlockBox, BlockRef, Span};
pub(crate) use cell::Mark;
pub(crate) use chain::{Link, Linked};
pub(crate) use lease::{BlockSource, Leases, LocalStripe};
pub(crate) use live::State;

use crate::sync::SMALL;

/// Bits in use of a word; few under loom, so that few slots give several words.
pub(crate) const BITS: u32 = if SMALL { 2 } else { 64 };

/// A word whose bits are all set.
const ALL: u64 = u64::MAX >> (64 - BITS);

/// The leaf word of a slot, or the summary word of a leaf word.
#[inline]
const fn word_of(slot: u32) -> usize {
    (slot / BITS) as usize
}

/// The bit of a slot in its leaf word, or of a leaf word in its summary word.
#[inline]
const fn bit_of(slot: u32) -> u64 {
    1 << (slot % BITS)
}
