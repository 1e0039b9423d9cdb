//! Models: a number that goes from one thread to the next, with all that belongs to it.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     none; 2 preemptions with three threads: without, it is not over in five minutes
//! Shrunk    one word of numbers
//! Shows     M1 no two threads have a number at a time           (N1)
//!           M2 an heir sees what was written under its number   (HEIR)
//! Blind to  load buffering; SeqCst loads and stores
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::models::Numbers;
use mapless_loom_tests::explore;

/// What belongs to each number, written without any ordering of its own.
struct World {
    numbers: Numbers,
    counts: [UnsafeCell<u64>; 3],
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            numbers: Numbers::new(),
            counts: std::array::from_fn(|_| UnsafeCell::new(0)),
        })
    }

    /// A thread's life: takes a number, counts by it, gives it back.
    fn live(&self) {
        let number = self.numbers.take().unwrap();
        #[allow(unsafe_code)] // a plain write is what a number is for
        // SAFETY: nobody else has the number; if that is not so, loom reports it.
        self.counts[number].with_mut(|count| unsafe { *count += 1 });
        self.numbers.give(number);
    }

    fn sum(&self) -> u64 {
        #[allow(unsafe_code)] // as above
        // SAFETY: the threads are joined.
        let read = |cell: &UnsafeCell<u64>| cell.with(|count| unsafe { *count });
        self.counts.iter().map(read).sum()
    }
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: a count is touched by whoever has its number.
unsafe impl Sync for World {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for World {}

fn lives(threads: u64, each: u64) {
    let world = World::new();
    let live = |world: Arc<World>| move || (0..each).for_each(|_| world.live());
    let others: Vec<_> = (1..threads)
        .map(|_| thread::spawn(live(Arc::clone(&world))))
        .collect();
    live(Arc::clone(&world))();
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(world.sum(), threads * each);
}

#[test]
fn a_number_goes_to_an_heir() {
    explore("a number goes to an heir", None, 20, || lives(2, 2));
}

#[test]
fn a_number_goes_round_3() {
    explore("a number goes round", Some(2), 100, || lives(3, 1));
}
