//! Pools of slots: a slot is taken, named by a number, and given back.

use crossbeam_queue::ArrayQueue;
use sharded_slab::{Config, Slab};

/// How many slots the benches have.
pub const SLOTS: usize = 32_768;

/// A pool of slots. Each thread takes and gives through a hand of its own.
pub trait Slots: Sync {
    /// Its name in the tables.
    const NAME: &'static str;

    /// What a thread keeps over many calls.
    type Hand<'a>
    where
        Self: 'a;

    /// A pool with [`SLOTS`] free slots, or about as many.
    fn build() -> Self;

    /// How many slots one of `threads` threads can take.
    #[must_use]
    fn share(threads: usize) -> usize {
        SLOTS / threads
    }

    /// A hand for this thread.
    fn hand(&self) -> Self::Hand<'_>;

    /// Takes a slot, if any is free.
    fn take(hand: &Self::Hand<'_>) -> Option<u64>;

    /// Gives a slot back.
    fn give(hand: &Self::Hand<'_>, slot: u64);
}

/// `sharded_slab::Slab`, with pages for about as many slots a thread.
#[derive(Debug)]
pub struct Sharded(Slab<u64, Pages>);

/// 32 + 64 + .. + 16,384 slots a thread.
#[derive(Debug)]
pub struct Pages;

impl Config for Pages {
    const INITIAL_PAGE_SIZE: usize = 32;
    const MAX_PAGES: usize = 10;
}

impl Slots for Sharded {
    type Hand<'a> = &'a Self;

    const NAME: &'static str = "sharded-slab";

    fn build() -> Self {
        Self(Slab::new_with_config())
    }

    /// Each thread has pages of its own.
    fn share(_: usize) -> usize {
        32 * ((1 << 10) - 1)
    }

    fn hand(&self) -> &Self {
        self
    }

    #[inline]
    fn take(hand: &&Self) -> Option<u64> {
        hand.0.insert(0).map(|slot| slot as u64)
    }

    #[inline]
    fn give(hand: &&Self, slot: u64) {
        hand.0.remove(slot as usize);
    }
}

/// A free list in a `crossbeam_queue::ArrayQueue`.
#[derive(Debug)]
pub struct FreeList(ArrayQueue<u32>);

impl Slots for FreeList {
    type Hand<'a> = &'a Self;

    const NAME: &'static str = "ArrayQueue free list";

    fn build() -> Self {
        let queue = ArrayQueue::new(SLOTS);
        for slot in 0..SLOTS as u32 {
            queue.push(slot).expect("room for every slot");
        }
        Self(queue)
    }

    fn hand(&self) -> &Self {
        self
    }

    #[inline]
    fn take(hand: &&Self) -> Option<u64> {
        hand.0.pop().map(u64::from)
    }

    #[inline]
    fn give(hand: &&Self, slot: u64) {
        let _ = hand.0.push(slot as u32);
    }
}
