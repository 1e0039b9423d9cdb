//! Does loom tell the truth?
//!
//! A [`Program`] is a few atomic operations on each of two to four threads. Two oracles say
//! by brute force what it may do, and [`checker::explore`] says what loom reaches:
//!
//! ```text
//! interleavings::outcomes   <=   loom reaches   <=   axioms::outcomes
//! every interleaving is          (checker)           the language: happens-before,
//! legal at any orderings                             coherence, atomicity, fences
//! ```
//!
//! The left side is what an exhaustive checker may not lose, whatever the orderings are. The
//! right side is what it may not exceed: an outcome beyond it is a false alarm in somebody's
//! model. Between the two lies weak behaviour that a checker may or may not see.
//!
//! `tests/random.rs` asserts this for random programs, `tests/named.rs` prints the table of
//! the textbook litmus tests, `tests/stale.rs` shows what a failing compare-exchange hides.

pub mod axioms;
pub mod checker;
pub mod interleavings;
pub mod program;

pub use program::{Op, Outcome, Program};
