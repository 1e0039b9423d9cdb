//! Each thread's registrations: one handle a domain, the last used first.

use core::cell::RefCell;
use std::sync::{Arc, Weak};

use super::{DomainId, Inner, RawGuard, RawHandle};

struct Entry {
    id: DomainId,
    handle: RawHandle,
    domain: Weak<Inner>,
}

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
std::thread_local! {
    static HANDLES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}
#[cfg(all(loom, feature = "loom"))]
loom::thread_local! {
    static HANDLES: RefCell<Vec<Entry>> = RefCell::new(Vec::new());
}
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
shuttle::thread_local! {
    static HANDLES: RefCell<Vec<Entry>> = RefCell::new(Vec::new());
}

/// Pins this thread in a domain.
#[inline]
pub(super) fn pin(domain: &Arc<Inner>) -> RawGuard {
    HANDLES
        .try_with(|handles| {
            if let Some(first) = handles.borrow().first() {
                if first.id == domain.id {
                    return first.handle.pin();
                }
            }
            find_or_register(handles, domain)
        })
        // The thread is on its way out and its handles are gone: a handle for this pin alone.
        .unwrap_or_else(|_| domain.collector.register().pin())
}

/// Brings the domain's handle to the front, registering this thread if it has none.
#[cold]
fn find_or_register(handles: &RefCell<Vec<Entry>>, domain: &Arc<Inner>) -> RawGuard {
    let mut entries = handles.borrow_mut();
    let place = entries.iter().position(|entry| entry.id == domain.id);
    let place = place.unwrap_or_else(|| {
        // Domains that are gone leave their handles behind; this is where they go.
        entries.retain(|entry| entry.domain.strong_count() > 0);
        entries.push(Entry {
            id: domain.id,
            handle: domain.collector.register(),
            domain: Arc::downgrade(domain),
        });
        entries.len() - 1
    });
    entries.swap(0, place);
    entries[0].handle.pin()
}

/// Whether this thread is pinned in a domain.
#[cfg(feature = "cache")]
pub(super) fn is_pinned(domain: &Arc<Inner>) -> bool {
    let pinned = HANDLES.try_with(|handles| {
        let handles = handles.borrow();
        let mut own = handles.iter().filter(|entry| entry.id == domain.id);
        own.any(|entry| entry.handle.is_pinned())
    });
    pinned.unwrap_or(false)
}
