//! A collector for loom's eyes: it frees at the first moment allowed.
//!
//! Its bookkeeping is invisible to loom (loom's threads share one OS thread, so plain locks
//! never block); what loom sees is what crossbeam-epoch promises and no more:
//! * a `SeqCst` fence in `pin` and one in `defer`: a reader that was not counted by a `defer`
//!   sees everything that its caller did before it;
//! * one read-modify-write in the unpin: a mark comes after the last look of every reader that
//!   its `defer` counted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use loom::sync::atomic::{AtomicUsize, Ordering::*, fence};

type Mark = Box<dyn FnOnce() + Send>;

#[derive(Clone)]
pub(super) struct Collector(Arc<Shared>);

struct Shared {
    unpins: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    pinned: BTreeSet<u64>,
    waiting: Vec<(BTreeSet<u64>, Mark)>,
}

impl State {
    /// Takes `reader` out, and with it the marks that waited for it alone.
    fn leave(&mut self, reader: u64) -> Vec<Mark> {
        self.pinned.remove(&reader);
        let (ready, waiting) = core::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(mut readers, mark)| {
                readers.remove(&reader);
                (readers, mark)
            })
            .partition(|(readers, _): &(BTreeSet<u64>, Mark)| readers.is_empty());
        self.waiting = waiting;
        ready.into_iter().map(|(_, mark)| mark).collect()
    }
}

impl Collector {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            unpins: AtomicUsize::new(0),
            state: Mutex::default(),
        }))
    }

    fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self) -> u64 {
        let reader = self.with_state(|state| {
            state.next += 1;
            state.pinned.insert(state.next);
            state.next
        });
        // SeqCst: either a `defer` counts us, or we see what came before it.
        fence(SeqCst);
        reader
    }

    fn leave(&self, reader: u64) {
        // AcqRel: our looks come before the marks, and so do those of all who left before.
        self.0.unpins.fetch_add(1, AcqRel);
        for mark in self.with_state(|state| state.leave(reader)) {
            mark();
        }
    }

    pub(super) fn pin(&self) -> Guard {
        Guard {
            reader: self.enter(),
            collector: self.clone(),
        }
    }
}

pub(super) struct Guard {
    collector: Collector,
    reader: u64,
}

impl Guard {
    pub(super) fn repin(&mut self) {
        self.collector.leave(self.reader);
        self.reader = self.collector.enter();
    }

    pub(super) fn defer(&self, mark: Mark) {
        // SeqCst: either we count a reader, or it sees what came before this call.
        fence(SeqCst);
        self.collector.with_state(|state| {
            let readers = state.pinned.clone();
            state.waiting.push((readers, mark));
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.collector.leave(self.reader);
    }
}
