//! Who waits for whom: computations whose thread sleeps until another computation ends.
//!
//! # Shape
//! ```text
//! thread   INSIDE  [a] [sleeps] [b] [sleeps]      what it is in the middle of, innermost last
//! all      ALL     a -> c, b -> c ..              b's thread sleeps until c ends, so a waits too
//! ```
//! Only a thread that sleeps in `block_on` for one thing alone is an edge. A task that awaits
//! something has other ways to go on (a timeout, a `select`), which nobody here can know of.
//!
//! # Invariants
//! * R1  An edge is there from before its thread sleeps until after it is woken. So of the threads
//!   that close a ring the last one finds it, and does not sleep.
//! * R2  What is over has no edges from it: its thread took them away first. Nothing is ever told
//!   of a ring that is none.
//!
//! # Progress
//! A lock for all, taken only by who would sleep inside of a computation.
//!
//! # Checked by
//! `tests/cache_mended.rs` (R1, R2).

use core::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that one can be in the middle of, and others wait for.
type What = (usize, u64);

/// In `INSIDE`: from here on the thread does nothing until a future of its own is ready.
const SLEEPS: What = (usize::MAX, u64::MAX);

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
std::thread_local! {
    static INSIDE: RefCell<Vec<What>> = const { RefCell::new(Vec::new()) };
}
#[cfg(all(loom, feature = "loom"))]
loom::thread_local! {
    static INSIDE: RefCell<Vec<What>> = RefCell::new(Vec::new());
}
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
shuttle::thread_local! {
    static INSIDE: RefCell<Vec<What>> = RefCell::new(Vec::new());
}

/// A plain lock under the checkers too: nothing they look at happens under it.
static ALL: Mutex<Vec<Edge>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, PartialEq, Eq)]
struct Edge {
    from: What,
    to: What,
}

/// Ends with its drop.
pub(crate) struct Inside(());

/// This thread is in the middle of `what` until the drop.
pub(crate) fn enter(what: What) -> Inside {
    INSIDE.with(|inside| inside.borrow_mut().push(what));
    Inside(())
}

/// Until the drop this thread waits for one future, and does what that does.
pub(super) fn sleeps() -> Inside {
    enter(SLEEPS)
}

pub(crate) fn is_inside(what: What) -> bool {
    INSIDE.with(|inside| inside.borrow().contains(&what))
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.borrow_mut().pop());
    }
}

/// What this thread is in the middle of, if all of that waits with it.
fn asleep() -> Vec<What> {
    INSIDE.with(|inside| {
        let inside = inside.borrow();
        if inside.last() != Some(&SLEEPS) {
            return Vec::new();
        }
        inside
            .iter()
            .copied()
            .filter(|what| *what != SLEEPS)
            .collect()
    })
}

/// Waiting would never end: what is waited for waits for this thread.
#[derive(Debug)]
pub(crate) struct Ring;

/// Computations wait for another one, until the drop.
pub(crate) struct Waiting(Vec<Edge>);

/// This thread is about to sleep until `what` is over, if it sleeps at all.
pub(crate) fn wait_for(what: What) -> Result<Waiting, Ring> {
    let from = asleep();
    if from.is_empty() {
        return Ok(Waiting(Vec::new()));
    }
    let mut all = lock();
    if waits_for_any(&all, what, &from) {
        return Err(Ring);
    }
    let edges: Vec<Edge> = from.iter().map(|&from| Edge { from, to: what }).collect();
    all.extend(&edges);
    Ok(Waiting(edges))
}

/// Whether `what` is one of `targets`, or waits for one, itself or through others.
fn waits_for_any(all: &[Edge], what: What, targets: &[What]) -> bool {
    let mut seen = vec![what];
    let mut at = 0;
    while let Some(&next) = seen.get(at) {
        if targets.contains(&next) {
            return true;
        }
        for edge in all.iter().filter(|edge| edge.from == next) {
            if !seen.contains(&edge.to) {
                seen.push(edge.to);
            }
        }
        at += 1;
    }
    false
}

fn lock() -> MutexGuard<'static, Vec<Edge>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let mut all = lock();
        for edge in &self.0 {
            let at = all.iter().position(|other| other == edge);
            all.swap_remove(at.expect("it is taken away by its thread alone"));
        }
    }
}
