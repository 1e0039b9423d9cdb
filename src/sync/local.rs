//! A small number for each thread: to spread by, and to own a stripe by.
//!
//! # Shape
//! ```text
//! a thread's NUMBER   [unknown] --first call--> [7] --its end--> [7, to spread by alone]
//!                                   |  take          |  give
//! all threads' TAKEN            [ 0 1 2 .. 6 7 9 ..  numbers with an owner ]
//! ```
//!
//! # Invariants
//! * L1  `own_number` says a number only between `take` and `give` of it by this thread: it has one
//!   owner at a time (N1 of `numbers.rs`), and its owners are ordered one after another (HEIR).
//!
//! # Progress
//! Wait-free, but for a thread's first call, which is lock-free.
//!
//! # Checked by
//! The tests below; `loom-tests/numbers.rs` has the numbers themselves. Under a checker they are
//! only counted up, anew in each execution.

/// The number of this thread: as small as the number of live threads allows.
///
/// It spreads load and decides nothing: two threads may share one, when one of them is at its end.
#[inline]
pub(crate) fn thread_number() -> usize {
    imp::thread_number()
}

/// The number of this thread if no other thread has it. None has but at the thread's end, in the
/// destructors of other thread-locals that run after the number went back; and, while thousands of
/// threads live, in those that came too late for one of their own.
///
/// It is good until the calling function returns; whoever keeps it keeps another thread's number.
#[cfg(feature = "cache")]
#[inline]
pub(crate) fn own_number() -> Option<usize> {
    imp::own_number()
}

/// As `own_number` if that is known already; else more than any that a thread owns.
#[cfg(feature = "cache")]
#[inline(always)]
pub(crate) fn own_number_or_more() -> usize {
    imp::own_number_or_more()
}

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod imp {
    use core::cell::Cell;

    use crate::sync::numbers::Numbers;

    /// In `NUMBER`: not asked for yet.
    const UNKNOWN: usize = usize::MAX;
    /// Beside a number in `NUMBER`: it has gone back, and is good for spreading alone.
    const SPREAD_ONLY: usize = 1 << (usize::BITS - 1);

    static TAKEN: Numbers = Numbers::new();

    std::thread_local! {
        /// Needs no destructor, so it can be read to the very end.
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
        /// Touched once, so that its destructor runs at the thread's end.
        static OWNED: GiveBack = const { GiveBack };
    }

    #[inline]
    pub(super) fn thread_number() -> usize {
        let number = NUMBER.get();
        let number = if number == UNKNOWN { assign() } else { number };
        number & !SPREAD_ONLY
    }

    #[cfg(feature = "cache")]
    #[inline]
    pub(super) fn own_number() -> Option<usize> {
        let number = NUMBER.get();
        let number = if number == UNKNOWN { assign() } else { number };
        (number < SPREAD_ONLY).then_some(number)
    }

    #[cfg(feature = "cache")]
    #[inline(always)]
    pub(super) fn own_number_or_more() -> usize {
        NUMBER.get() // UNKNOWN and what is SPREAD_ONLY are more
    }

    #[cold]
    #[inline(never)]
    fn assign() -> usize {
        // A destructor of another thread-local may be the first to come here. A thread that can no
        // longer be made to give back gets nothing to own; nor does one among thousands.
        let will_give = OWNED.try_with(|_| ()).is_ok();
        let number = if will_give { TAKEN.take() } else { None };
        NUMBER.set(number.unwrap_or(SPREAD_ONLY));
        NUMBER.get()
    }

    /// Gives this thread's number back as the thread ends.
    struct GiveBack;

    impl Drop for GiveBack {
        fn drop(&mut self) {
            let number = NUMBER.get();
            if number < SPREAD_ONLY {
                NUMBER.set(number | SPREAD_ONLY);
                TAKEN.give(number);
            }
        }
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

    /// Numbers do not come back in an execution, so each thread's is its own.
    #[cfg(feature = "cache")]
    pub(super) fn own_number() -> Option<usize> {
        Some(thread_number())
    }

    #[cfg(feature = "cache")]
    pub(super) fn own_number_or_more() -> usize {
        thread_number()
    }
}

#[cfg(test)]
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use super::thread_number;

    #[test]
    fn a_thread_keeps_its_number() {
        assert_eq!(thread_number(), thread_number());
    }

    #[test]
    fn live_threads_have_numbers_of_their_own() {
        const THREADS: usize = 16;
        let (seen, all) = (Mutex::new(HashSet::new()), Barrier::new(THREADS));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    assert!(seen.lock().unwrap().insert(thread_number()));
                    all.wait(); // all live until the last has its number
                });
            }
        });
    }

    /// However many threads there have been, numbers stay below what lives at a time (the other
    /// tests' threads included).
    #[test]
    fn numbers_come_back() {
        for _ in 0..2_000 {
            let number = thread::spawn(thread_number).join().unwrap();
            assert!(number < 500, "{number}");
        }
    }

    #[cfg(feature = "cache")]
    mod owned {
        use core::cell::RefCell;
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        use std::thread;

        use super::super::{own_number, thread_number};

        #[test]
        fn a_live_thread_owns_its_number() {
            assert_eq!(own_number(), Some(thread_number()));
        }

        type Seen = (Option<usize>, usize);
        struct AtEnd(std::sync::mpsc::Sender<Seen>);

        impl Drop for AtEnd {
            fn drop(&mut self) {
                self.0.send((own_number(), thread_number())).unwrap();
            }
        }

        std::thread_local! {
            static EARLY: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
        }

        /// Asked in the destructor of another thread-local, be that before or after the number
        /// went back: owned then is what was owned before, or nothing.
        #[test]
        fn at_its_end_a_thread_owns_nothing_or_what_it_had() {
            for number_first in [false, true] {
                let (send, receive) = std::sync::mpsc::channel();
                let before = thread::spawn(move || {
                    let number = number_first.then(thread_number);
                    EARLY.with(|cell| *cell.borrow_mut() = Some(AtEnd(send)));
                    number.unwrap_or_else(thread_number)
                });
                let number = before.join().unwrap();
                let (own, spread) = receive.recv().unwrap();
                assert!(own.is_none_or(|own| own == number), "{own:?} {number}");
                assert_eq!(spread, number);
            }
        }

        /// L1: counters that only their owners write, by a load and a store, lose nothing
        /// while threads come and go.
        #[test]
        fn a_number_is_handed_over_with_all_that_was_written() {
            const THREADS: u64 = if cfg!(miri) { 20 } else { 1_000 };
            const EACH: u64 = 100;
            let cells: Vec<_> = (0..256).map(|_| AtomicU64::new(0)).collect();
            let count = || {
                for _ in 0..EACH {
                    let cell = &cells[own_number().expect("a live thread")];
                    // Relaxed, both: the hand-over of the numbers orders one owner after another.
                    cell.store(cell.load(Relaxed) + 1, Relaxed);
                }
            };
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..THREADS / 4 {
                            thread::scope(|inner| drop(inner.spawn(count)));
                        }
                    });
                }
            });
            let all = cells.iter().map(|cell| cell.load(Relaxed)).sum::<u64>();
            assert_eq!(all, THREADS / 4 * 4 * EACH);
        }
    }
}
