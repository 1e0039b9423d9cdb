//! An example of somebody else's program that keeps its objects by id: what `tests/models.rs`
//! models is this, and mapless inside it.
#![cfg(loom)]
#![allow(unsafe_code)] // a message is shared on purpose: loom is to find who looks too early

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering::*};

/// A message that is written once, by whoever published the id that leads to it.
///
/// The cell is loom's, and the flag says that nobody may look any more: if mapless let an id be
/// seen too early, or memory go too early, loom would report a race here.
#[derive(Debug)]
pub struct Message {
    text: UnsafeCell<u32>,
    gone: AtomicBool,
}

// The cell is written before the message is shared, and only read afterwards.
// SAFETY: S1 `write` and `read` are ordered by the model's subject; loom checks it.
unsafe impl Sync for Message {}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self {
            text: UnsafeCell::new(0),
            gone: AtomicBool::new(false),
        }
    }

    /// Writes the text; before the id is published.
    pub fn write(&self, text: u32) {
        // SAFETY: S1 nobody else has the id yet; loom reports it if that is not so.
        self.text.with_mut(|cell| unsafe { *cell = text });
    }

    /// Reads the text; after the id was found.
    pub fn read(&self) -> u32 {
        // Relaxed: only whoever ends the message sets it, before anything else.
        assert!(!self.gone.load(Relaxed), "the message is gone");
        // SAFETY: S1 the id was found, so the text was written before.
        self.text.with(|cell| unsafe { *cell })
    }
}
