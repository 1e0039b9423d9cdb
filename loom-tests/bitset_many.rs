//! Models: slots that are reserved, published and given back a word at a time, beside one other thread.
//!
//! Threads   main + 1
//! Bound     3 preemptions: a look through the marks is several loads of one word
//! Shrunk    two slots a leaf word, every third in a word behind; 1 cell a chunk, 2 words a chain
//! Shows     in the table
//! Blind to  load buffering; SeqCst accesses
//! Explores  at least so many executions as each call of `explore` says (asserted)
//!
//! | model | shows |
//! |-------|-------|
//! | `many_beside_an_alloc` | I2: who takes one gets none of the many, across words |
//! | `many_beside_many` | I2, LEASE: two calls get different slots, and all are given back |
//! | `many_beside_a_reservation` | a cell that another changes meanwhile keeps the other's mark |
//! | `many_beside_a_hide` | W1: a slot that is being hidden is none of the many |
//! | `who_sees_many_live_sees_their_payload` | LIVE of many at once |
//! | `many_published_are_not_free` | I4, SHOWN: no mark is seen gone without its live bit |
//! | `many_published_are_not_taken` | the same for who takes slots |
//! | `many_given_back_see_the_last_owner_gone` | FREE of many at once |
//! | `many_see_the_last_owners_gone` | FREE: who reserves many sees the writes before them |
#![cfg(loom)]

use std::collections::BTreeSet;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{BlockAllocator, ByteLen, IdRange, LookupError, ObjectId, SlotState};
use mapless_loom_tests::explore;

const BOUND: Option<usize> = Some(3);

/// An allocator, and the bytes of its slots, which loom watches.
struct World {
    slots: BlockAllocator,
    bytes: Vec<UnsafeCell<()>>,
}

fn ids(range: IdRange) -> impl Iterator<Item = ObjectId> {
    (0..range.len()).map(move |nth| range.first().checked_add(nth).unwrap())
}

impl World {
    /// With a chunk for marks.
    fn new(slots: u64) -> Arc<Self> {
        let builder = BlockAllocator::builder(slots, ByteLen::new(8)).stripes(1);
        let world = Self {
            slots: builder.build().unwrap(),
            bytes: (0..slots).map(|_| UnsafeCell::new(())).collect(),
        };
        world.slots.reserve().unwrap().cancel();
        Arc::new(world)
    }

    #[track_caller]
    fn write(&self, id: ObjectId) {
        self.bytes[id.get() as usize - 1].with_mut(|_| ());
    }

    #[track_caller]
    fn read(&self, id: ObjectId) {
        self.bytes[id.get() as usize - 1].with(|_| ());
    }

    fn take(&self) -> Option<ObjectId> {
        let id = self.slots.alloc().ok()?;
        self.write(id);
        Some(id)
    }

    /// Reserves many and writes them.
    fn reserve(&self, most: u64) -> Vec<IdRange> {
        let all = self.slots.reserve_many(most);
        all.iter()
            .copied()
            .flat_map(ids)
            .for_each(|id| self.write(id));
        all
    }

    fn publish(&self, all: Vec<IdRange>) {
        all.into_iter().for_each(|ids| self.slots.publish_many(ids));
    }

    fn cancel(&self, all: Vec<IdRange>) {
        all.into_iter().for_each(|ids| self.slots.cancel_many(ids));
    }

    /// As many as can be taken one by one.
    fn fill(&self) -> usize {
        std::iter::from_fn(|| self.take()).count()
    }
}

/// Runs one in a thread of its own, beside the other.
fn both<A: 'static, B>(
    world: &Arc<World>,
    one: impl FnOnce(&World) -> A + 'static,
    other: impl FnOnce(&World) -> B,
) -> (A, B) {
    let beside = Arc::clone(world);
    let one = thread::spawn(move || one(&beside));
    let other = other(world);
    (one.join().unwrap(), other)
}

fn all_of(ranges: &[IdRange]) -> Vec<ObjectId> {
    ranges.iter().copied().flat_map(ids).collect()
}

fn assert_distinct(all: &[ObjectId]) {
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn many_beside_an_alloc() {
    explore("many beside an alloc", BOUND, 50, || {
        let world = World::new(4);
        let (many, one) = both(&world, |world| world.reserve(3), World::take);
        let mut all = all_of(&many);
        all.extend(one);
        assert_distinct(&all);
        assert!(!all.is_empty());
        world.publish(many);
        assert_eq!(world.slots.len(), all.len() as u64);
        assert_eq!(world.fill(), 4 - all.len());
    });
}

#[test]
fn many_beside_many() {
    explore("many beside many", BOUND, 50, || {
        let world = World::new(3);
        let (a, b) = both(&world, |world| world.reserve(2), |world| world.reserve(2));
        let all = [all_of(&a), all_of(&b)].concat();
        assert_distinct(&all);
        assert!(!all.is_empty());
        world.cancel(a);
        world.cancel(b);
        assert_eq!(world.fill(), 3);
    });
}

#[test]
fn many_beside_a_reservation() {
    explore("many beside a reservation", BOUND, 50, || {
        let world = World::new(2);
        let one = world.reserve(1);
        let id = one[0].first();
        let publish = move |world: &World| world.publish(one);
        let ((), many) = both(&world, publish, |world| world.reserve(2));
        assert_eq!(many.len(), 1);
        let other = all_of(&many)[0];
        assert_ne!(other, id);
        assert_eq!(world.slots.state(other), Ok(SlotState::Reserved));
        world.publish(many);
        assert_eq!((world.slots.len(), world.fill()), (2, 0));
    });
}

#[test]
fn many_beside_a_hide() {
    explore("many beside a hide", BOUND, 50, || {
        let world = World::new(2);
        let id = world.take().unwrap();
        let hide = move |world: &World| world.slots.hide(id).unwrap();
        let ((), many) = both(&world, hide, |world| world.reserve(2));
        assert_eq!(all_of(&many).len(), 1);
        assert_eq!(world.slots.state(id), Ok(SlotState::Hidden));
        world.publish(many);
        assert_eq!((world.slots.len(), world.fill()), (1, 0));
    });
}

#[test]
fn who_sees_many_live_sees_their_payload() {
    explore("who sees many live sees their payload", BOUND, 50, || {
        let world = World::new(2);
        let many = world.slots.reserve_many(2);
        let all = all_of(&many);
        let last = all[1];
        let publish = move |world: &World| {
            all.into_iter().for_each(|id| world.write(id));
            world.publish(many);
        };
        both(&world, publish, |world| match world.slots.extent(last) {
            Ok(_) => world.read(last),
            Err(other) => assert_eq!(other, LookupError::Reserved),
        });
    });
}

#[test]
fn many_published_are_not_free() {
    explore("many published are not free", BOUND, 50, || {
        let world = World::new(2);
        let many = world.slots.reserve_many(2);
        let last = all_of(&many)[1];
        let publish = move |world: &World| world.publish(many);
        let ((), state) = both(&world, publish, |world| world.slots.state(last).unwrap());
        assert!(
            matches!(state, SlotState::Reserved | SlotState::Live),
            "{state:?}"
        );
    });
}

#[test]
fn many_published_are_not_taken() {
    explore("many published are not taken", BOUND, 10, || {
        let world = World::new(2);
        let many = world.slots.reserve_many(2);
        let publish = move |world: &World| world.publish(many);
        let ((), taken) = both(&world, publish, World::take);
        assert_eq!(taken, None);
    });
}

#[test]
fn many_given_back_see_the_last_owner_gone() {
    explore("many given back see the last owner gone", BOUND, 10, || {
        let world = World::new(2);
        let many = world.slots.reserve_many(2);
        let cancel = move |world: &World| {
            all_of(&many).into_iter().for_each(|id| world.write(id));
            world.cancel(many);
        };
        let ((), taken) = both(&world, cancel, World::take);
        assert_eq!(usize::from(taken.is_some()) + world.fill(), 2);
    });
}

#[test]
fn many_see_the_last_owners_gone() {
    explore("many see the last owners gone", BOUND, 10, || {
        let world = World::new(2);
        let ids = [world.take().unwrap(), world.take().unwrap()];
        let free = move |world: &World| {
            for id in ids {
                world.write(id);
                world.slots.free(id).unwrap();
            }
        };
        let ((), many) = both(&world, free, |world| world.reserve(2));
        world.publish(many);
        assert_eq!(world.slots.len() as usize + world.fill(), 2);
    });
}
