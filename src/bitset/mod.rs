//! Which slots are taken: one bit a slot, and little else.
//!
//! # Shape
//! ```text
//! Block     [head | leaf words | summary | leased | touched]      one allocation (block.rs, parts.rs)
//!                                 in one word where the leaf words are few
//!   leaf      63 slots: live, and nothing else (the truth); 1 bit: the word is guarded  (leaf.rs)
//!   summary   1 bit a leaf word: all live when last looked (a hint)                   (summary.rs)
//!   leased    1 bit a leaf word: a call is at work on it, where one bit does not do
//!   touched   1 bit a leaf word: slots of it were handed out
//! Marks     reserved, hidden and retired slots, sparse          (marks.rs, cell.rs, chain.rs)
//! slots     take, reserve, publish, free, hide                                          (slots.rs)
//! runs      many slots in a row                                                          (run.rs)
//! many      reserved and published, a word at once                                      (many.rs)
//! Cursors   where each thread goes on looking: hints                                  (cursor.rs)
//! List      the blocks of one owner, linked through their heads                         (list.rs)
//! ```
//! ```text
//!            reserve             publish            hide            reclaim         epoch passed
//!   free ───────────> reserved ─────────> live ───────────> hidden ─────────> retired ────────> free
//!    ^ │                 │ cancel         │ ^
//!    │ └─────────────────────────────── alloc
//!    └───────────────────┴───────── free ─┘
//! ```
//! A slot of an unguarded word that is not live is free, so one compare-exchange on the word takes
//! it. In a guarded word the marks have a say: there, a free slot is taken under the word's lease,
//! which is held within one call and never between calls.
//!
//! # Checked by
//! `loom-tests/bitset.rs`, `loom-tests/block.rs`; `proptests/block.rs`.

mod block;
mod cell;
mod chain;
mod cursor;
mod leaf;
mod list;
#[cfg(feature = "store")]
mod many;
mod marks;
mod parts;
mod run;
mod slots;
mod summary;

pub(crate) use block::{Block, BlockBox, BlockRef, Span};
pub(crate) use cell::Mark;
pub(crate) use cursor::{BlockSource, Cursor, Cursors};
pub(crate) use list::BlockList;
#[cfg(all(loom, feature = "loom"))]
pub use list::Row;
pub(crate) use parts::MAX_SLOTS;
pub(crate) use slots::{State, Want};

use crate::sync::SMALL;

/// So many slots have consecutive places, and a snapshot has so many in a word: few under loom,
/// so that few slots give several words.
pub(crate) const BITS: u32 = if SMALL { 3 } else { 64 };

/// Slots in a leaf word: one bit says that the word is guarded.
const USABLE: u32 = BITS - 1;

/// The live bits of a leaf word.
const ALL: u64 = (1 << USABLE) - 1;
