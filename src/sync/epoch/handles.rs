//! Each thread's registrations: one handle a domain, the last used first.
#![allow(unsafe_code)] // the handle in front is behind a pointer: a pin passes no checks on its way
//!
//! # Shape
//! ```text
//! FRONT ──> entry        what nearly every pin wants: no destructor, no borrow to be counted
//! HANDLES  [entry][entry] ..
//! ```
//!
//! # Invariants
//! * F1  FRONT is null or points at an entry of this thread's HANDLES.
//!
//! # Edges
//! None: all of it is the thread's own.
//!
//! # Progress
//! `pin` is lock-free: the first of a thread and a domain registers.
//!
//! # Checked by
//! `loom-tests/epoch.rs`, whose threads pin and end (F1).

use core::cell::{Cell, RefCell};
use core::ptr;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::{DomainId, Inner, RawGuard, RawHandle};

struct Entry {
    id: DomainId,
    handle: RawHandle,
    domain: Weak<Inner>,
}

/// Entries do not move as the list does.
struct Handles(RefCell<Vec<Rc<Entry>>>);

impl Drop for Handles {
    fn drop(&mut self) {
        set_front(ptr::null());
    }
}

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
std::thread_local! {
    static HANDLES: Handles = const { Handles(RefCell::new(Vec::new())) };
    static FRONT: Cell<*const Entry> = const { Cell::new(ptr::null()) };
}
#[cfg(all(loom, feature = "loom"))]
loom::thread_local! {
    static HANDLES: Handles = Handles(RefCell::new(Vec::new()));
    static FRONT: Cell<*const Entry> = Cell::new(ptr::null());
}
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
shuttle::thread_local! {
    static HANDLES: Handles = Handles(RefCell::new(Vec::new()));
    static FRONT: Cell<*const Entry> = Cell::new(ptr::null());
}

/// Pins this thread in the domain of this number.
#[inline]
pub(super) fn pin(id: DomainId, domain: &Arc<Inner>) -> RawGuard {
    let front = FRONT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: F1: an entry lives as long as it is in the list, which only `find_or_register` and
    // the thread's end change; neither runs inside the pin below.
    if let Some(front) = unsafe { front.as_ref() }
        && front.id == id
    {
        return front.handle.pin();
    }
    pin_another(domain)
}

#[cold]
#[inline(never)]
fn pin_another(domain: &Arc<Inner>) -> RawGuard {
    HANDLES
        .try_with(|handles| find_or_register(handles, domain))
        // The thread is on its way out and its handles are gone: a handle for this pin alone.
        .unwrap_or_else(|_| domain.collector.register().pin())
}

/// Brings the domain's handle to the front, registering this thread if it has none.
fn find_or_register(handles: &Handles, domain: &Arc<Inner>) -> RawGuard {
    let mut entries = handles.0.borrow_mut();
    let place = entries.iter().position(|entry| entry.id == domain.id);
    let place = place.unwrap_or_else(|| {
        set_front(ptr::null());
        // Domains that are gone leave their handles behind; this is where they go.
        entries.retain(|entry| entry.domain.strong_count() > 0);
        entries.push(Rc::new(Entry {
            id: domain.id,
            handle: domain.collector.register(),
            domain: Arc::downgrade(domain),
        }));
        entries.len() - 1
    });
    entries.swap(0, place);
    set_front(Rc::as_ptr(&entries[0]));
    entries[0].handle.pin()
}

fn set_front(front: *const Entry) {
    // Where it fails the thread is at its end, and nobody asks any more.
    let _ = FRONT.try_with(|place| place.set(front));
}

/// Whether this thread is pinned in a domain.
#[cfg(feature = "cache")]
pub(super) fn is_pinned(domain: &Arc<Inner>) -> bool {
    let pinned = HANDLES.try_with(|handles| {
        let handles = handles.0.borrow();
        let mut own = handles.iter().filter(|entry| entry.id == domain.id);
        own.any(|entry| entry.handle.is_pinned())
    });
    pinned.unwrap_or(false)
}
