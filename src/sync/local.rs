//! A small number for each thread, by which threads spread over stripes.

/// The number of this thread: threads that start one after the other get consecutive numbers.
///
/// It spreads load and decides nothing: two threads may share one.
#[inline]
pub(crate) fn thread_number() -> usize {
    imp::thread_number()
}

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod imp {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    static NEXT: AtomicUsize = AtomicUsize::new(0);

    std::thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    #[inline]
    pub(super) fn thread_number() -> usize {
        NUMBER.with(|number| match number.get() {
            usize::MAX => assign(number),
            assigned => assigned,
        })
    }

    #[cold]
    fn assign(number: &Cell<usize>) -> usize {
        // Relaxed: only uniqueness is wanted; nothing is published by it.
        number.set(NEXT.fetch_add(1, Relaxed) & (usize::MAX >> 1));
        number.get()
    }
}

/// A checker's thread-locals; the counter starts anew in every execution.
#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
mod imp {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[cfg(all(loom, feature = "loom"))]
    use loom::{lazy_static, thread_local};
    #[cfg(not(all(loom, feature = "loom")))]
    use shuttle::{lazy_static, thread_local};

    lazy_static! {
        static ref NEXT: AtomicUsize = AtomicUsize::new(0);
    }

    thread_local! {
        static NUMBER: Cell<usize> = Cell::new(usize::MAX);
    }

    pub(super) fn thread_number() -> usize {
        NUMBER.with(|number| {
            if number.get() == usize::MAX {
                // Relaxed: only uniqueness is wanted; nothing is published by it.
                number.set(NEXT.fetch_add(1, Relaxed));
            }
            number.get()
        })
    }
}
