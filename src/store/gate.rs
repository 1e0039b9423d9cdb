//! A door that many go through, and that one may close to wait until nobody is inside.
//!
//! # Progress
//! `enter` blocks while it is closed; `close` until those inside have left.
//!
//! # Checked by
//! `loom-tests/store_log.rs`.

use crate::sync::lock::{Condition, Mutex};

#[derive(Debug, Default)]
struct State {
    inside: u64,
    closed: bool,
}

/// Overwrites are inside between their record and the end of their writes in place, or until their
/// bytes can be found in the table of those that wait.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condition,
}

/// Somebody inside.
pub(super) struct Inside<'a>(&'a Gate);

/// Nobody is inside.
pub(super) struct Closed<'a>(&'a Gate);

impl Gate {
    pub(super) fn new() -> Self {
        let (state, changed) = (Mutex::new(State::default()), Condition::new());
        Self { state, changed }
    }

    pub(super) fn enter(&self) -> Inside<'_> {
        let mut state = self.state.lock();
        while state.closed {
            state = self.changed.wait(state);
        }
        state.inside += 1;
        Inside(self)
    }

    /// By one at a time.
    pub(super) fn close(&self) -> Closed<'_> {
        let mut state = self.state.lock();
        state.closed = true;
        while state.inside > 0 {
            state = self.changed.wait(state);
        }
        Closed(self)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state.lock().inside -= 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.state.lock().closed = false;
        self.0.changed.notify_all();
    }
}
