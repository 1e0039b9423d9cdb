//! Listeners inside of listeners: how deep a thread is, and what it puts off until it is out again.
//!
//! # Shape
//! ```text
//! thread   tells  [cache 7] [cache 9] [cache 7] ..     innermost last
//!          later  [(cache 7, shard 3)] ..              where something waits to be told
//! ```
//!
//! # Invariants
//! * T1  What is put off is taken by the outermost telling of the same cache, before that ends.
//!
//! # Progress
//! Wait-free: a thread's own.
//!
//! # Checked by
//! `tests/cache_mended.rs` (T1).

use core::cell::RefCell;

/// What a thread is telling.
struct State {
    /// Of which caches it tells, by their addresses.
    tells: Vec<usize>,
    later: Vec<(usize, usize)>,
}

impl State {
    const NONE: Self = Self {
        tells: Vec::new(),
        later: Vec::new(),
    };

    fn depth(&self, cache: usize) -> usize {
        self.tells.iter().filter(|told| **told == cache).count()
    }
}

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
std::thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::NONE) };
}
#[cfg(all(loom, feature = "loom"))]
loom::thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::NONE);
}
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
shuttle::thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::NONE);
}

/// A thread tells the listener of a cache, until the drop.
pub(crate) struct Telling {
    cache: usize,
    is_outermost: bool,
}

impl Telling {
    /// At a thread's very end, when it has no state any more, each is an outermost one.
    pub(crate) fn begin(cache: usize) -> Self {
        let outermost = STATE.try_with(|state| {
            let mut state = state.borrow_mut();
            state.tells.push(cache);
            state.depth(cache) == 1
        });
        Self {
            cache,
            is_outermost: outermost.unwrap_or(true),
        }
    }

    /// What was put off inside of this one, for the outermost one.
    pub(crate) fn take_later(&self) -> Option<usize> {
        if !self.is_outermost {
            return None;
        }
        let shard = STATE.try_with(|state| {
            let later = &mut state.borrow_mut().later;
            let at = later.iter().position(|(cache, _)| *cache == self.cache)?;
            Some(later.remove(at).1)
        });
        shard.ok().flatten()
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = STATE.try_with(|state| state.borrow_mut().tells.pop());
    }
}

/// How many tellings of this cache the thread is inside of.
pub(crate) fn depth(cache: usize) -> usize {
    let depth = STATE.try_with(|state| state.borrow().depth(cache));
    depth.unwrap_or(0)
}

/// Something of this shard waits for the outermost telling, inside of which the thread is.
pub(crate) fn put_off(cache: usize, shard: usize) {
    let _ = STATE.try_with(|state| {
        let later = &mut state.borrow_mut().later;
        if !later.contains(&(cache, shard)) {
            later.push((cache, shard));
        }
    });
}
