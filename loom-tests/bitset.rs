//! Models: slots taken, published, hidden and given back by two threads, now and then three.
//!
//! Threads   main + 1, both at work; where a name ends in `_3`, main + 2
//! Bound     none where a search without one ends within a minute; elsewhere 3 preemptions, and 2
//!           for two runs and with three threads: a sound loom takes two loads of one word for dependent, and a look
//!           through the marks is five of them
//! Shrunk    two slots a leaf word, every third in a word behind; 2 leaf words a summary word; 1 cell
//!           a chunk, 2 or 3 words a chain; one round of a search. Most models begin *warm*: with a
//!           cursor on the first word, and a chunk for marks. Those of one slot run twice: with the only
//!           cell of a block of one, and with a chain
//! Shows     in the table
//! Blind to  load buffering; SeqCst accesses
//! Explores  at least so many executions as each call of `explore` says (asserted)
//!
//! | model | shows |
//! |-------|-------|
//! | `allocs_get_different_slots` | I2 in an unguarded word; I5: with a slot for each, both get one |
//! | `an_alloc_sees_the_last_owner_gone` | FREE from `free` to `claim` |
//! | `a_slot_freed_under_a_search_is_found` | I3, FULL: the fall and the note see each other |
//! | `a_slot_freed_from_a_full_word_is_found` | I3, FULL: neither order of fill and fall hides a slot |
//! | `the_last_slot_goes_to_one` | I2, I3 on the last slot, with a free beside it |
//! | `a_reservation_is_nobody_elses` | W1: a claim that began before the word was guarded fails |
//! | `who_sees_it_live_sees_the_payload` | LIVE from `publish` to `look` |
//! | `a_published_slot_is_not_free` | I4, SHOWN: the mark is not seen gone without the live bit |
//! | `a_published_slot_is_not_taken` | the same for who takes slots |
//! | `reservations_are_different` | I2 under leases; LEASE |
//! | `a_cancelled_slot_sees_the_last_owner_gone` | FREE from `clear_at` to `word` |
//! | `one_of_two_hides_wins` | M2: one wins, the other leaves no mark |
//! | `a_hide_or_a_free_wins` | I1, M2: a slot is free or hidden afterwards, as the winner said |
//! | `a_hide_meets_a_publication` | M3: marks of both kinds; in the only cell, neither takes the other's |
//! | `a_hidden_slot_is_not_taken` | I4, W1, LIVE: hide beside a claim and a look at the marks |
//! | `a_slot_hidden_from_a_full_word_is_not_taken` | the same where nothing else is free |
//! | `a_hidden_slot_is_not_free` | I4, LIVE from `hide` to `look`: a lookup finds the mark |
//! | `a_guard_does_not_fall_under_a_hide` | W2: unguard beside a hide |
//! | `hides_share_cells` | M3: marks of two slots set at once; CHAIN |
//! | `a_cell_changes_hands` | M1: a mark is set in the cell in which another ends |
//! | `an_unguarded_word_passes_on_what_ended_there_3` | UNGUARD: FREE by way of who unguards |
//! | `a_run_is_nobody_elses` | R1: run beside alloc, across words |
//! | `one_of_two_runs_wins` | R1: run beside run, and no lease stays behind |
//! | `a_run_beside_a_free` | I3 and R1; a run of freed slots sees the last owners gone |
//! | `a_revoked_block_is_empty` | revoke beside alloc: a slot of a revoked block is never had |
//! | `a_revoked_block_is_not_reserved_from` | revoke beside reserve |
//! | `handles_hold_nothing` | a handle that goes beside an alloc |
#![cfg(loom)]
#![allow(unsafe_code)] // handles live beside their allocator

use std::collections::BTreeSet;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{
    AllocError, BlockAllocator, ByteLen, FreeError, IdRange, LocalAlloc, LookupError, ObjectId,
    Reservation, SlotState,
};
use mapless_loom_tests::explore;

/// For the models that do not end without one.
const BOUND: Option<usize> = Some(3);

/// An allocator, and the bytes of its slots, which loom watches.
struct World {
    // Before the allocator, whose they are.
    handles: Vec<LocalAlloc<'static>>,
    slots: Box<BlockAllocator>,
    bytes: Vec<UnsafeCell<()>>,
}

impl World {
    /// With nothing done yet.
    fn cold(slots: u64) -> Arc<Self> {
        Arc::new(Self::new(slots))
    }

    /// With both cursors on the first word, which is not guarded, and a chunk for marks.
    fn warm(slots: u64) -> Arc<Self> {
        let mut world = Self::new(slots);
        for _ in 0..2 {
            // SAFETY: S1 the handle goes before the allocator, which does not move.
            let slots: &'static BlockAllocator = unsafe { &*core::ptr::from_ref(&*world.slots) };
            let handle = slots.local();
            drop(handle.reserve().unwrap());
            slots.free(handle.alloc().unwrap()).unwrap();
            world.handles.push(handle);
        }
        Arc::new(world)
    }

    fn new(slots: u64) -> Self {
        let builder = BlockAllocator::builder(slots, ByteLen::new(8)).stripes(2);
        Self {
            handles: Vec::new(),
            slots: Box::new(builder.build().unwrap()),
            bytes: (0..slots).map(|_| UnsafeCell::new(())).collect(),
        }
    }

    fn alloc(&self, handle: usize) -> Option<ObjectId> {
        match self.handles.get(handle) {
            Some(handle) => handle.alloc().ok(),
            None => self.slots.alloc().ok(),
        }
    }

    /// As its owner.
    #[track_caller]
    fn write(&self, id: ObjectId) {
        self.bytes[id.get() as usize - 1].with_mut(|_| ());
    }

    fn write_all(&self, ids: IdRange) {
        (0..ids.len()).for_each(|i| self.write(ids.first().checked_add(i).unwrap()));
    }

    /// As somebody who found it live.
    #[track_caller]
    fn read(&self, id: ObjectId) {
        self.bytes[id.get() as usize - 1].with(|_| ());
    }

    /// Takes a slot and writes it.
    #[track_caller]
    fn take(&self) -> Option<ObjectId> {
        let id = self.alloc(0)?;
        self.write(id);
        Some(id)
    }

    /// The same, in the other thread.
    #[track_caller]
    fn take_beside(&self) -> Option<ObjectId> {
        let id = self.alloc(1)?;
        self.write(id);
        Some(id)
    }

    /// Takes a slot that nobody sees, and writes it.
    #[track_caller]
    fn reserve(&self) -> Option<Reservation<'static>> {
        self.reserve_by(0)
    }

    /// The same, in the other thread.
    #[track_caller]
    fn reserve_beside(&self) -> Option<Reservation<'static>> {
        self.reserve_by(1)
    }

    #[track_caller]
    fn reserve_by(&self, handle: usize) -> Option<Reservation<'static>> {
        let slot = self.handles[handle].reserve().ok()?;
        self.write(slot.id());
        Some(slot)
    }

    fn run(&self, len: u64) -> Option<IdRange> {
        let run = self.slots.alloc_run(len).ok()?;
        self.write_all(run);
        Some(run)
    }

    /// Takes all slots that there are.
    #[track_caller]
    fn fill(&self) -> Vec<ObjectId> {
        std::iter::from_fn(|| self.take()).collect()
    }
}

/// Runs `f` in a second thread.
fn beside<R: 'static>(
    world: &Arc<World>,
    f: impl FnOnce(&World) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// Runs `a` in a second thread and `b` in this one.
fn both<A: 'static, B>(
    world: &Arc<World>,
    a: impl FnOnce(&World) -> A + 'static,
    b: impl FnOnce(&World) -> B,
) -> (A, B) {
    let other = beside(world, a);
    let b = b(world);
    (other.join().unwrap(), b)
}

/// A model of one slot: in a block of its own, which has one cell for marks, and beside one that is
/// live, where the marks are in a chain.
fn explore_both(
    name: &str,
    bound: Option<usize>,
    at_least: usize,
    model: impl Fn(&Arc<World>) + Send + Sync + Copy + 'static,
) {
    let chain = move || {
        let world = World::warm(2);
        world.take().unwrap();
        model(&world);
    };
    let only = format!("{name}, in the only cell");
    explore(&only, bound, at_least, move || model(&World::warm(1)));
    explore(&format!("{name}, in a chain"), bound, at_least, chain);
}

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

#[track_caller]
fn distinct(ids: impl IntoIterator<Item = ObjectId>) -> usize {
    let ids: Vec<_> = ids.into_iter().collect();
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!(
        different.len(),
        ids.len(),
        "a slot was given out twice: {ids:?}"
    );
    ids.len()
}

#[test]
fn allocs_get_different_slots() {
    explore("allocs get different slots", None, 100, || {
        let world = World::cold(3);
        let (a, b) = both(&world, World::take_beside, World::take);
        assert_eq!(distinct([a.unwrap(), b.unwrap()]), 2);
        assert_eq!(distinct(world.fill()), 1);
    });
}

#[test]
fn an_alloc_sees_the_last_owner_gone() {
    explore("an alloc sees the last owner gone", None, 20, || {
        let world = World::warm(2);
        let mine = world.fill()[1];
        let free = move |world: &World| {
            world.read(mine);
            world.slots.free(mine).unwrap();
        };
        let ((), taken) = both(&world, free, World::take);
        assert_eq!(taken.or_else(|| world.take()), Some(mine));
    });
}

#[test]
fn a_slot_freed_from_a_full_word_is_found() {
    explore("a slot freed from a full word is found", None, 20, || {
        let world = World::warm(2);
        let ids = world.fill();
        let (mine, other) = (ids[0], ids[1]);
        world.slots.free(other).unwrap();
        // One fills the word while a slot of it falls: whichever way, one is left.
        let free = move |world: &World| world.slots.free(mine).unwrap();
        let ((), taken) = both(&world, free, World::take);
        assert!(taken.is_some());
        // A new cursor finds it by the summary.
        assert!(world.slots.local().alloc().is_ok());
    });
}

#[test]
fn a_slot_freed_under_a_search_is_found() {
    explore("a slot freed under a search is found", None, 40, || {
        let world = World::warm(2);
        // Full, but nobody has searched in vain yet.
        let mine = world.take().unwrap();
        world.take().unwrap();
        let free = move |world: &World| world.slots.free(mine).unwrap();
        // The search finds the slot, or says that the word is full, which is then not so.
        let ((), taken) = both(&world, free, World::take);
        // (By a new cursor: the others look at their words first.)
        assert!(taken.or_else(|| world.slots.local().alloc().ok()) == Some(mine));
    });
}

#[test]
fn the_last_slot_goes_to_one() {
    explore("the last slot goes to one", None, 500, || {
        let world = World::warm(2);
        let mine = world.take().unwrap();
        let free_and_take = move |world: &World| {
            world.slots.free(mine).unwrap();
            world.take_beside()
        };
        let (a, b) = both(&world, free_and_take, World::take);
        let taken = distinct(a.into_iter().chain(b));
        // The second may meet the first at work on the summary.
        assert!(b.is_some() && taken > 0);
        assert_eq!(world.fill().len(), 2 - taken);
    });
}

#[test]
fn a_reservation_is_nobody_elses() {
    explore("a reservation is nobody else's", BOUND, 20, || {
        let world = World::warm(2);
        let (reserved, taken) = both(&world, World::reserve_beside, World::take);
        assert_ne!(reserved.as_ref().map(Reservation::id), taken);
        // The alloc may meet the other at work; the other meets nobody who has a lease.
        let reserved = reserved.unwrap().publish();
        let rest = world.fill();
        assert_eq!(distinct(taken.into_iter().chain(rest).chain([reserved])), 2);
    });
}

#[test]
fn who_sees_it_live_sees_the_payload() {
    explore_both("who sees it live sees the payload", None, 300, |world| {
        let slot = world.reserve().unwrap();
        let id = slot.id();
        let publish = move |world: &World| {
            world.write(id);
            slot.publish();
        };
        both(world, publish, |world| match world.slots.extent(id) {
            Ok(_) => world.read(id),
            Err(other) => assert_eq!(other, LookupError::Reserved),
        });
    });
}

#[test]
fn a_published_slot_is_not_free() {
    explore_both("a published slot is not free", None, 150, |world| {
        let slot = world.reserve().unwrap();
        let id = slot.id();
        let publish = move |_: &World| slot.publish();
        let (_, state) = both(world, publish, |world| world.slots.state(id).unwrap());
        assert!(
            matches!(state, SlotState::Reserved | SlotState::Live),
            "{state:?}"
        );
    });
}

#[test]
fn a_published_slot_is_not_taken() {
    explore_both("a published slot is not taken", BOUND, 10, |world| {
        let slot = world.reserve().unwrap();
        let publish = move |_: &World| slot.publish();
        let (_, taken) = both(world, publish, World::take);
        assert_eq!(taken, None);
    });
}

#[test]
fn reservations_are_different() {
    explore("reservations are different", BOUND, 50, || {
        let world = World::warm(2);
        let (a, b) = both(&world, World::reserve_beside, World::reserve);
        let ids = a.iter().chain(&b).map(Reservation::id);
        assert!(distinct(ids) > 0);
        drop((a, b));
        assert_eq!(distinct(world.fill()), 2);
    });
}

#[test]
fn a_cancelled_slot_sees_the_last_owner_gone() {
    explore_both(
        "a cancelled slot sees the last owner gone",
        BOUND,
        10,
        |world| {
            let slot = world.reserve().unwrap();
            let id = slot.id();
            let cancel = move |world: &World| {
                world.write(id);
                slot.cancel();
            };
            let ((), taken) = both(world, cancel, World::take);
            assert_eq!(taken.or_else(|| world.take()), Some(id));
        },
    );
}

#[test]
fn one_of_two_hides_wins() {
    explore_both("one of two hides wins", BOUND, 50, |world| {
        let mine = world.take().unwrap();
        let hide = move |world: &World| world.slots.hide(mine);
        let (a, b) = both(world, hide, hide);
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        assert_eq!(a.and(b), Err(FreeError::Hidden));
        assert_eq!(world.slots.waiting(), 1);
        assert_eq!(world.slots.state(mine), Ok(SlotState::Hidden));
        let guard = world.slots.pin();
        world.slots.reclaim(mine, &guard).unwrap();
        assert_eq!(world.slots.reclaim(mine, &guard), Err(FreeError::Retired));
        drop(guard);
        assert_eq!(world.slots.collect(), 1);
        assert_eq!(world.fill(), [mine]);
    });
}

#[test]
fn a_hide_or_a_free_wins() {
    explore_both("a hide or a free wins", None, 500, |world| {
        let mine = world.take().unwrap();
        let hide = move |world: &World| world.slots.hide(mine);
        let free = move |world: &World| {
            let freed = world.slots.free(mine);
            (freed, if freed.is_ok() { world.take() } else { None })
        };
        let (hidden, (freed, taken)) = both(world, hide, free);
        match (hidden, freed) {
            (Ok(()), Err(FreeError::Hidden)) => {
                assert_eq!(world.slots.state(mine), Ok(SlotState::Hidden));
            }
            // The stale id named the next object.
            (Ok(()), Ok(())) => {
                assert_eq!(taken, Some(mine));
                assert_eq!(world.slots.state(mine), Ok(SlotState::Hidden));
            }
            (Err(FreeError::AlreadyFree), Ok(())) => {
                assert_eq!(world.slots.waiting(), 0);
                assert!(taken.or_else(|| world.take()).is_some());
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_hide_meets_a_publication() {
    explore_both("a hide meets a publication", BOUND, 50, |world| {
        let slot = world.reserve().unwrap();
        let id = slot.id();
        let publish = move |_: &World| slot.publish();
        let (_, hidden) = both(world, publish, |world| world.slots.hide(id));
        if hidden.is_err() {
            // Not yet live at the first look; and what is so at the next one tells nothing.
            assert!(matches!(
                hidden,
                Err(FreeError::Reserved | FreeError::AlreadyFree)
            ));
            assert_eq!(world.slots.hide(id), Ok(()));
        }
        assert_eq!(world.slots.state(id), Ok(SlotState::Hidden));
        assert_eq!((world.slots.waiting(), world.take()), (1, None));
        let guard = world.slots.pin();
        world.slots.reclaim(id, &guard).unwrap();
        drop(guard);
        assert_eq!(world.slots.collect(), 1);
        assert_eq!(world.fill(), [id]);
    });
}

#[test]
fn a_hidden_slot_is_not_taken() {
    explore("a hidden slot is not taken", BOUND, 50, || {
        let world = World::warm(2);
        let mine = world.take().unwrap();
        let hide = move |world: &World| {
            world.slots.hide(mine).unwrap();
            world.write(mine); // hidden, and so still ours
        };
        let ((), taken) = both(&world, hide, World::take);
        assert!(taken.is_some() && taken != Some(mine));
        assert_eq!(world.slots.waiting(), 1);
    });
}

#[test]
fn a_slot_hidden_from_a_full_word_is_not_taken() {
    explore(
        "a slot hidden from a full word is not taken",
        BOUND,
        50,
        || {
            let world = World::warm(2);
            let mine = world.fill()[0];
            let hide = move |world: &World| {
                world.slots.hide(mine).unwrap();
                world.write(mine);
            };
            let ((), taken) = both(&world, hide, World::take);
            assert_eq!(taken, None);
            assert_eq!(world.slots.waiting(), 1);
        },
    );
}

#[test]
fn a_hidden_slot_is_not_free() {
    explore_both("a hidden slot is not free", None, 16, |world| {
        let mine = world.take().unwrap();
        let hide = move |world: &World| world.slots.hide(mine).unwrap();
        let ((), state) = both(world, hide, |world| world.slots.state(mine).unwrap());
        assert!(
            matches!(state, SlotState::Live | SlotState::Hidden),
            "{state:?}"
        );
    });
}

#[test]
fn a_guard_does_not_fall_under_a_hide() {
    explore("a guard does not fall under a hide", BOUND, 100, || {
        let world = World::warm(2);
        let mine = world.take().unwrap();
        drop(world.reserve().unwrap()); // guarded, without marks
        let hide = move |world: &World| {
            world.slots.hide(mine).unwrap();
            world.write(mine);
        };
        let ((), taken) = both(&world, hide, World::take);
        assert!(taken.is_some() && taken != Some(mine));
        world.slots.free(taken.unwrap()).unwrap();
        assert_eq!(world.fill(), [taken.unwrap()]);
    });
}

#[test]
fn hides_share_cells() {
    explore("hides share cells", BOUND, 100, || {
        let world = World::cold(2);
        let ids = world.fill();
        let (one, two) = (ids[0], ids[1]);
        both(
            &world,
            move |world| world.slots.hide(one).unwrap(),
            move |world| world.slots.hide(two).unwrap(),
        );
        assert_eq!(world.slots.waiting(), 2);
        for id in [one, two] {
            assert_eq!(world.slots.state(id), Ok(SlotState::Hidden));
        }
        assert_eq!(world.slots.alloc(), Err(AllocError::Full { waiting: 2 }));
    });
}

#[test]
fn a_cell_changes_hands() {
    explore("a cell changes hands", None, 150, || {
        let world = World::warm(4);
        world.fill();
        // One slot of each of two words that share a chain: the first, and the one behind.
        let (one, two) = (id(1), id(3));
        world.slots.hide(one).unwrap();
        let guard = world.slots.pin();
        world.slots.reclaim(one, &guard).unwrap();
        drop(guard);
        let collect = |world: &World| world.slots.collect();
        let (collected, hidden) = both(&world, collect, |world| world.slots.hide(two));
        assert_eq!((collected, hidden), (1, Ok(())));
        assert_eq!(world.slots.waiting(), 1);
        assert_eq!(world.slots.state(one), Ok(SlotState::Free));
        assert_eq!(world.slots.state(two), Ok(SlotState::Hidden));
    });
}

#[test]
fn an_unguarded_word_passes_on_what_ended_there_3() {
    let name = "an unguarded word passes on what ended there";
    explore(name, Some(2), 1000, || {
        let world = World::warm(2);
        let (one, two) = (world.reserve().unwrap(), world.reserve().unwrap());
        drop(one);
        let reserved = two.id();
        let cancel = move |world: &World| {
            world.write(reserved);
            two.cancel();
        };
        let canceller = beside(&world, cancel);
        let first = beside(&world, World::take_beside);
        let second = world.take();
        canceller.join().unwrap();
        let first = first.join().unwrap();
        distinct(first.into_iter().chain(second));
    });
}

#[test]
fn a_run_is_nobody_elses() {
    explore("a run is nobody else's", BOUND, 100, || {
        let world = World::warm(4);
        let (run, taken) = both(&world, |world| world.run(3), World::take);
        assert!(run.is_some() || taken.is_some());
        assert!(!run.is_some_and(|run| taken.is_some_and(|id| run.contains(id))));
        let had = run.map_or(0, |_| 3) + usize::from(taken.is_some());
        assert_eq!(distinct(world.fill()), 4 - had);
    });
}

#[test]
fn one_of_two_runs_wins() {
    explore("one of two runs wins", Some(2), 1000, || {
        let world = World::warm(3);
        let (a, b) = both(&world, |world| world.run(2), |world| world.run(2));
        assert!(!(a.is_some() && b.is_some()));
        let left = if a.or(b).is_some() { 1 } else { 3 };
        assert_eq!(world.slots.alloc_run(left).unwrap().len(), left);
    });
}

#[test]
fn a_run_beside_a_free() {
    explore("a run beside a free", None, 6, || {
        let world = World::warm(3);
        world.fill();
        world.slots.free(id(3)).unwrap();
        let free = |world: &World| {
            world.read(id(2));
            world.slots.free(id(2)).unwrap();
        };
        let ((), taken) = both(&world, free, |world| world.run(2));
        let taken = taken.or_else(|| world.run(2));
        assert_eq!(taken.map(IdRange::first), Some(id(2)));
        assert!(world.slots.alloc().is_err());
    });
}

#[test]
fn a_revoked_block_is_empty() {
    explore("a revoked block is empty", BOUND, 50, || {
        let world = World::warm(2);
        let revoke = |world: &World| world.slots.revoke();
        let (revoked, taken) = both(&world, revoke, World::take);
        assert!(!(revoked && taken.is_some()));
        if revoked {
            assert!(world.slots.alloc().is_err() && world.slots.reserve().is_err());
            assert!(world.slots.alloc_run(1).is_err());
        } else {
            assert_eq!(world.fill().len(), 2 - usize::from(taken.is_some()));
        }
    });
}

#[test]
fn a_revoked_block_is_not_reserved_from() {
    explore("a revoked block is not reserved from", BOUND, 50, || {
        let world = World::warm(1);
        let revoke = |world: &World| world.slots.revoke();
        let (revoked, reserved) = both(&world, revoke, World::reserve);
        assert!(!(revoked && reserved.is_some()));
        let _ = reserved.map(Reservation::publish);
        assert!(!revoked || world.slots.alloc().is_err());
    });
}

#[test]
fn handles_hold_nothing() {
    explore("handles hold nothing", None, 1000, || {
        let world = World::cold(3);
        let handle = |world: &World| {
            let handle = world.slots.local();
            let id = handle.alloc().unwrap();
            world.write(id);
            id
        };
        let (a, b) = both(&world, handle, World::take);
        assert_eq!(distinct([a, b.unwrap()]), 2);
        assert_eq!(world.fill().len(), 1);
    });
}
