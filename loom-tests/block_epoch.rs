//! Models: slots that readers look at while they are retired and handed out again.
//!
//! Threads   main + 1, both at work; where a name ends in `_3`, main + 2
//! Bound     none for the first; else 3 preemptions: the limbo's lock and several looks through the
//!           marks are too many steps for a search without one; 2 with three threads, and 1 on
//!           crossbeam-epoch, which is pinned five times to move on (more than 400,000 executions
//!           at 2; `epoch.rs` has the joint itself)
//! Shrunk    one leaf word of two slots; 1 cell a chunk; the limbo seals after one slot
//! Shows     in the table
//! Blind to  load buffering; SeqCst accesses
//! Explores  at least so many executions as each call of `explore` says (asserted)
//!
//! | model | shows |
//! |-------|-------|
//! | `a_retired_slot_waits_for_its_reader` | A2: retire, collect and reuse beside a lookup under a guard |
//! | `a_retired_slot_waits_for_its_reader_of_crossbeam` | the same on the real epoch |
//! | `a_reclaimed_slot_waits_for_its_reader_3` | HIDE: who hides and who reclaims are two threads |
//! | `one_of_two_reclaims_wins` | A1, M2: a slot is retired once |
//! | `one_of_two_retires_wins` | A1: as the short form |
//! | `a_slot_comes_back_once` | A1, FREE: collect beside an alloc that helps itself |
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{BlockAllocator, ByteLen, Domain, FreeError, ObjectId};
use mapless_loom_tests::explore;

/// An allocator of two slots, and their bytes, which loom watches.
struct World {
    slots: BlockAllocator,
    bytes: Vec<UnsafeCell<()>>,
}

impl World {
    fn new(domain: &Domain) -> Arc<Self> {
        let builder = BlockAllocator::builder(2, ByteLen::new(8)).stripes(1);
        Arc::new(Self {
            slots: builder.domain(domain).build().unwrap(),
            bytes: (0..2).map(|_| UnsafeCell::new(())).collect(),
        })
    }

    fn at(&self, id: ObjectId) -> &UnsafeCell<()> {
        &self.bytes[id.get() as usize - 1]
    }

    /// Takes a slot and writes it before anybody sees it.
    #[track_caller]
    fn take(&self) -> Option<ObjectId> {
        let slot = self.slots.reserve().ok()?;
        self.at(slot.id()).with_mut(|_| ());
        Some(slot.publish())
    }

    /// A reader: looks at the bytes if the id is live.
    fn look(&self, id: ObjectId) {
        let _guard = self.slots.pin();
        if self.slots.is_allocated(id) {
            self.at(id).with(|_| ());
        }
    }

    fn retire(&self, id: ObjectId) -> Result<(), FreeError> {
        self.slots.retire(id, &self.slots.pin())
    }

    fn reclaim(&self, id: ObjectId) -> Result<(), FreeError> {
        self.slots.reclaim(id, &self.slots.pin())
    }
}

fn beside<R: 'static>(
    world: &Arc<World>,
    f: impl FnOnce(&World) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// A reader, beside somebody who retires the slot and takes one; which one that was to be, and
/// which it was.
fn retire_beside_a_reader(domain: &Domain) -> (Arc<World>, ObjectId, Option<ObjectId>) {
    let world = World::new(domain);
    let mine = world.take().unwrap();
    world.take().unwrap();
    let reader = beside(&world, move |world| world.look(mine));
    world.retire(mine).unwrap();
    let again = world.take();
    reader.join().unwrap();
    assert!(again.is_none_or(|id| id == mine));
    (world, mine, again)
}

#[test]
fn a_retired_slot_waits_for_its_reader() {
    explore("a retired slot waits for its reader", None, 500, || {
        let (world, mine, again) = retire_beside_a_reader(&Domain::new());
        assert_eq!(again.or_else(|| world.take()), Some(mine));
    });
}

#[test]
fn a_retired_slot_waits_for_its_reader_of_crossbeam() {
    let name = "a retired slot waits for its reader (crossbeam-epoch)";
    // How soon it comes back is the collector's business.
    explore(name, Some(1), 500, || {
        retire_beside_a_reader(&Domain::over_crossbeam());
    });
}

#[test]
fn a_reclaimed_slot_waits_for_its_reader_3() {
    explore(
        "a reclaimed slot waits for its reader",
        Some(2),
        1000,
        || {
            let world = World::new(&Domain::new());
            let mine = world.take().unwrap();
            let reclaimer = beside(&world, move |world| {
                if world.reclaim(mine).is_ok() {
                    world.slots.collect();
                    world.take();
                    world.take();
                }
            });
            let reader = beside(&world, move |world| world.look(mine));
            world.slots.hide(mine).unwrap();
            reclaimer.join().unwrap();
            reader.join().unwrap();
        },
    );
}

#[test]
fn one_of_two_reclaims_wins() {
    explore("one of two reclaims wins", Some(3), 50, || {
        let world = World::new(&Domain::new());
        let mine = world.take().unwrap();
        world.slots.hide(mine).unwrap();
        let other = beside(&world, move |world| world.reclaim(mine));
        let ours = world.reclaim(mine);
        let theirs = other.join().unwrap();
        assert!(ours.is_ok() != theirs.is_ok(), "{ours:?} {theirs:?}");
        assert!(matches!(
            ours.and(theirs),
            Err(FreeError::Retired | FreeError::AlreadyFree)
        ));
        world.slots.collect();
        assert_eq!(world.slots.waiting(), 0);
        assert!(world.take().is_some() && world.take().is_some() && world.take().is_none());
    });
}

#[test]
fn one_of_two_retires_wins() {
    explore("one of two retires wins", Some(3), 50, || {
        let world = World::new(&Domain::new());
        let mine = world.take().unwrap();
        let other = beside(&world, move |world| world.retire(mine));
        let ours = world.retire(mine);
        let theirs = other.join().unwrap();
        assert!(ours.is_ok() != theirs.is_ok(), "{ours:?} {theirs:?}");
        world.slots.collect();
        assert_eq!(world.slots.waiting(), 0);
        assert!(world.take().is_some() && world.take().is_some() && world.take().is_none());
    });
}

#[test]
fn a_slot_comes_back_once() {
    explore("a slot comes back once", Some(2), 500, || {
        let world = World::new(&Domain::new());
        let mine = world.take().unwrap();
        world.take().unwrap();
        let other = beside(&world, move |world| {
            world.at(mine).with(|_| ());
            world.retire(mine).unwrap();
            world.slots.collect();
        });
        let ours = world.take();
        other.join().unwrap();
        assert!(ours.is_none_or(|id| id == mine));
        assert!(ours.is_some() || world.take() == Some(mine));
        assert_eq!(world.take(), None);
    });
}
