//! BlockAllocator from outside: the states of a slot, bad input, many threads.

#![cfg(feature = "alloc")]

use std::collections::BTreeSet;
use std::sync::{Barrier, Mutex};
use std::thread;

use mapless::{
    AllocError, BlockAllocator, BuildError, ByteLen, Domain, FileOffset, FreeError, LookupError,
    ObjectId, SlotState,
};

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

fn slots(n: u64) -> BlockAllocator {
    BlockAllocator::new(n, ByteLen::new(64)).unwrap()
}

fn fill(slots: &BlockAllocator) -> Vec<ObjectId> {
    std::iter::from_fn(|| slots.alloc().ok()).collect()
}

#[test]
fn every_slot_is_handed_out_once() {
    for n in [1, 2, 63, 64, 65, 127, 128, 1000, 4096, 4097] {
        let slots = slots(n);
        let ids: BTreeSet<_> = fill(&slots).into_iter().collect();
        assert_eq!(ids.len() as u64, n);
        assert!(
            ids.iter()
                .all(|id| slots.contains(*id) && slots.is_allocated(*id))
        );
        assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 0 }));
        assert_eq!(slots.len(), n);
        assert!(slots.iter().eq(ids.iter().copied()));
        for id in &ids {
            slots.free(*id).unwrap();
            assert_eq!(slots.free(*id), Err(FreeError::AlreadyFree));
        }
        assert!(slots.is_empty());
        assert_eq!(fill(&slots).len() as u64, n);
    }
}

#[test]
fn a_slot_freed_in_a_full_block_is_found_again() {
    let slots = slots(1000);
    let ids = fill(&slots);
    for id in ids {
        slots.free(id).unwrap();
        assert_eq!(slots.alloc(), Ok(id));
        assert!(slots.alloc().is_err());
    }
}

#[test]
fn offsets_follow_from_ids() {
    let slots = BlockAllocator::builder(100, ByteLen::new(48))
        .first_id(id(1 << 40))
        .first_offset(FileOffset::new(4096))
        .build()
        .unwrap();
    for id in fill(&slots) {
        let extent = slots.extent(id).unwrap();
        assert_eq!(extent.offset.get(), 4096 + 48 * (id.get() - (1 << 40)));
        assert_eq!(extent.len, ByteLen::new(48));
    }
}

#[test]
fn a_slot_goes_through_its_states() {
    let slots = slots(64);
    assert_eq!(slots.state(id(5)), Ok(SlotState::Free));
    let reserved = slots.reserve().unwrap();
    let id = reserved.id();
    assert_eq!(slots.state(id), Ok(SlotState::Reserved));
    assert_eq!(slots.extent(id), Err(LookupError::Reserved));
    assert_eq!(slots.free(id), Err(FreeError::Reserved));
    assert_eq!(slots.hide(id), Err(FreeError::Reserved));
    assert_eq!(slots.retire(id, &slots.pin()), Err(FreeError::Reserved));
    assert_eq!(reserved.publish(), id);
    assert_eq!(slots.state(id), Ok(SlotState::Live));

    let guard = slots.pin();
    assert_eq!(slots.reclaim(id, &guard), Err(FreeError::NotHidden));
    slots.hide(id).unwrap();
    assert_eq!(slots.state(id), Ok(SlotState::Hidden));
    assert_eq!(slots.extent(id), Err(LookupError::Hidden));
    assert_eq!(slots.free(id), Err(FreeError::Hidden));
    assert_eq!(slots.hide(id), Err(FreeError::Hidden));
    assert_eq!(slots.waiting(), 1);

    slots.reclaim(id, &guard).unwrap();
    assert_eq!(slots.state(id), Ok(SlotState::Retired));
    assert_eq!(slots.extent(id), Err(LookupError::Hidden));
    assert_eq!(slots.reclaim(id, &guard), Err(FreeError::Retired));
    assert_eq!(slots.free(id), Err(FreeError::Retired));
    drop(guard);
    assert_eq!(slots.collect(), 1);
    assert_eq!(slots.state(id), Ok(SlotState::Free));
    assert_eq!(slots.extent(id), Err(LookupError::Freed));
    assert_eq!(slots.reclaim(id, &slots.pin()), Err(FreeError::AlreadyFree));
}

#[test]
fn a_reservation_that_is_dropped_is_free_again() {
    let slots = slots(1);
    let reserved = slots.reserve().unwrap();
    assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 0 }));
    drop(reserved);
    slots.reserve().unwrap().cancel();
    assert!(slots.alloc().is_ok());
}

#[test]
fn a_retired_slot_is_not_handed_out_under_a_guard() {
    let slots = slots(64);
    let ids = fill(&slots);
    let guard = slots.pin();
    for id in &ids[..10] {
        slots.retire(*id, &guard).unwrap();
    }
    assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 10 }));
    slots.collect();
    assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 10 }));
    drop(guard);
    // An alloc that finds nothing helps itself.
    assert_eq!(fill(&slots).len(), 10);
}

#[test]
fn a_guard_of_another_thread_holds_slots_too() {
    let domain = Domain::new();
    let slots = BlockAllocator::builder(1, ByteLen::new(8))
        .domain(&domain)
        .build()
        .unwrap();
    let id = slots.alloc().unwrap();
    let (pinned, go) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let _guard = domain.pin();
            pinned.wait();
            go.wait();
        });
        pinned.wait();
        slots.retire(id, &slots.pin()).unwrap();
        for _ in 0..100 {
            slots.collect();
            assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 1 }));
        }
        go.wait();
        // The scope would not wait for the thread's end, where its thread-locals pin once more.
        reader.join().unwrap();
    });
    assert_eq!(slots.alloc(), Ok(id));
}

#[test]
fn a_hidden_slot_waits_for_its_reclaim() {
    let slots = slots(1);
    let id = slots.alloc().unwrap();
    slots.hide(id).unwrap();
    slots.collect();
    assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 1 }));
    slots.reclaim(id, &slots.pin()).unwrap();
    assert_eq!(slots.alloc(), Ok(id));
}

#[test]
fn runs_are_contiguous_and_cross_words() {
    let slots = slots(300);
    assert_eq!(slots.alloc_run(0), Err(AllocError::EmptyRun));
    assert_eq!(slots.alloc_run(301), Err(AllocError::NoRun { waiting: 0 }));
    assert_eq!(
        slots.alloc_run(u64::MAX),
        Err(AllocError::NoRun { waiting: 0 })
    );
    let one = slots.alloc().unwrap();
    let run = slots.alloc_run(150).unwrap();
    assert!(!run.contains(one));
    assert!((0..150).all(|i| slots.is_allocated(run.first().checked_add(i).unwrap())));
    assert_eq!(slots.len(), 151);
    assert_eq!(slots.alloc_run(150), Err(AllocError::NoRun { waiting: 0 }));
    slots.free(one).unwrap();
    (0..150).for_each(|i| slots.free(run.first().checked_add(i).unwrap()).unwrap());
    // The word that a stripe has leased is robbed.
    assert_eq!(slots.alloc_run(300).unwrap().len(), 300);
}

#[test]
fn a_run_waits_for_readers_like_any_slot() {
    let slots = slots(128);
    let run = slots.alloc_run(128).unwrap();
    let guard = slots.pin();
    (0..128).for_each(|i| {
        slots
            .retire(run.first().checked_add(i).unwrap(), &guard)
            .unwrap()
    });
    assert_eq!(slots.alloc_run(2), Err(AllocError::NoRun { waiting: 128 }));
    drop(guard);
    assert!(slots.alloc_run(128).is_ok());
}

#[test]
fn never_allocated_is_told_where_it_can_be() {
    let slots = slots(1000);
    let first = slots.alloc().unwrap();
    let far = id((first.get() + 499) % 1000 + 1);
    assert_eq!(slots.extent(far), Err(LookupError::NeverAllocated));
    assert_eq!(slots.free(far), Err(FreeError::NeverAllocated));
    assert_eq!(slots.hide(far), Err(FreeError::NeverAllocated));
    assert_eq!(
        slots.reclaim(far, &slots.pin()),
        Err(FreeError::NeverAllocated)
    );
    slots.free(first).unwrap();
    assert_eq!(slots.extent(first), Err(LookupError::Freed));
}

#[test]
fn foreign_ids_change_nothing() {
    let slots = BlockAllocator::builder(100, ByteLen::new(8))
        .first_id(id(500))
        .build()
        .unwrap();
    fill(&slots);
    let before = slots.snapshot();
    let foreign = [1, 499, 600, 601, 500 + (1 << 32), u64::MAX - 1];
    for id in foreign.map(id) {
        let guard = slots.pin();
        assert!(!slots.contains(id) && !slots.is_allocated(id));
        assert_eq!(slots.extent(id), Err(LookupError::Unknown));
        assert_eq!(slots.state(id), Err(LookupError::Unknown));
        assert_eq!(slots.free(id), Err(FreeError::Foreign));
        assert_eq!(slots.hide(id), Err(FreeError::Foreign));
        assert_eq!(slots.reclaim(id, &guard), Err(FreeError::Foreign));
        assert_eq!(slots.retire(id, &guard), Err(FreeError::Foreign));
    }
    assert_eq!(slots.snapshot(), before);
    assert!(slots.contains(id(500)) && slots.contains(id(599)));
}

#[test]
fn sizes_offsets_and_ids_that_cannot_be() {
    let build = |slots, size| BlockAllocator::new(slots, ByteLen::new(size)).map(drop);
    assert_eq!(build(0, 8), Err(BuildError::NoSlots));
    assert_eq!(build((1 << 32) + 1, 1), Err(BuildError::TooManySlots));
    assert_eq!(build(u64::MAX, 1), Err(BuildError::TooManySlots));
    assert!(matches!(build(2, u64::MAX), Err(BuildError::Offsets(_))));
    assert_eq!(build(1, u64::MAX), Ok(()));
    let at = |offset, size| {
        let builder = BlockAllocator::builder(4, ByteLen::new(size));
        builder
            .first_offset(FileOffset::new(offset))
            .build()
            .map(drop)
    };
    assert_eq!(at(u64::MAX - 32, 8), Ok(()));
    assert!(matches!(at(u64::MAX - 31, 8), Err(BuildError::Offsets(_))));
    let from = |first| {
        BlockAllocator::builder(4, ByteLen::new(1))
            .first_id(id(first))
            .build()
    };
    assert!(from(u64::MAX - 4).is_ok());
    assert!(matches!(
        from(u64::MAX - 3).map(drop),
        Err(BuildError::Ids(_))
    ));
    let none = BlockAllocator::builder(4, ByteLen::new(1))
        .stripes(0)
        .build();
    assert!(matches!(none.map(drop), Err(BuildError::NoStripes)));
    let many = BlockAllocator::builder(4, ByteLen::new(1))
        .stripes(usize::MAX)
        .build();
    assert!(matches!(many.map(drop), Err(BuildError::TooManyStripes)));
}

#[test]
fn the_last_id_and_the_last_byte_are_usable() {
    let slots = BlockAllocator::builder(4, ByteLen::new(8))
        .first_id(id(u64::MAX - 4))
        .first_offset(FileOffset::new(u64::MAX - 32))
        .build()
        .unwrap();
    let last = fill(&slots).into_iter().max().unwrap();
    assert_eq!(last, ObjectId::MAX);
    assert_eq!(slots.extent(last).unwrap().end().unwrap().get(), u64::MAX);
}

#[test]
fn size_zero_is_rounded_up() {
    let slots = BlockAllocator::new(4, ByteLen::ZERO).unwrap();
    let offsets: BTreeSet<_> = fill(&slots)
        .iter()
        .map(|id| slots.extent(*id).unwrap().offset)
        .collect();
    assert_eq!((offsets.len(), slots.slot_size()), (4, ByteLen::new(1)));
}

#[test]
fn a_snapshot_is_restored_exactly() {
    let slots = slots(1000);
    let ids = fill(&slots);
    ids.iter()
        .step_by(3)
        .for_each(|id| slots.free(*id).unwrap());
    slots.hide(ids[1]).unwrap();
    let words = slots.snapshot();
    let again = BlockAllocator::builder(1000, ByteLen::new(64))
        .restore(&words)
        .unwrap();
    assert_eq!(again.snapshot(), words);
    assert!(again.iter().eq(slots.iter()));
    assert_eq!(again.state(ids[1]), Ok(SlotState::Free));
    // Nobody knows what was handed out before: so nothing is called never allocated.
    assert_eq!(again.extent(ids[0]), Err(LookupError::Freed));
    assert_eq!(fill(&again).len() as u64, 1000 - slots.len());
}

#[test]
fn a_full_snapshot_is_full() {
    let words = [u64::MAX, u64::MAX, 0b111];
    let again = BlockAllocator::builder(131, ByteLen::new(64))
        .restore(&words)
        .unwrap();
    assert_eq!(again.alloc(), Err(AllocError::Full { waiting: 0 }));
    again.free(id(131)).unwrap();
    assert_eq!(again.alloc(), Ok(id(131)));
}

#[test]
fn words_that_claim_too_much_are_refused() {
    let restore = |n, words: &[u64]| {
        BlockAllocator::builder(n, ByteLen::new(64))
            .restore(words)
            .map(drop)
    };
    assert_eq!(
        restore(65, &[0, 2]),
        Err(BuildError::BeyondCapacity { word: 1 })
    );
    assert_eq!(restore(65, &[0, 1]), Ok(()));
    assert_eq!(
        restore(63, &[1 << 63]),
        Err(BuildError::BeyondCapacity { word: 0 })
    );
    assert_eq!(
        restore(64, &[]),
        Err(BuildError::WordCount {
            expected: 1,
            found: 0
        })
    );
    assert_eq!(
        restore(64, &[0, 0]),
        Err(BuildError::WordCount {
            expected: 1,
            found: 2
        })
    );
}

#[test]
#[should_panic(expected = "guard was made by another domain")]
fn a_guard_of_another_domain_is_refused() {
    let slots = slots(4);
    let id = slots.alloc().unwrap();
    let _ = slots.retire(id, &Domain::new().pin());
}

#[test]
fn dropping_with_retirements_pending_is_sound() {
    let domain = Domain::new();
    let guard = domain.pin();
    for _ in 0..10 {
        let slots = BlockAllocator::builder(500, ByteLen::new(8))
            .domain(&domain)
            .build()
            .unwrap();
        for id in fill(&slots) {
            slots.retire(id, &guard).unwrap();
        }
        drop(slots);
    }
}

#[test]
fn handles_strand_nothing() {
    let slots = BlockAllocator::builder(1024, ByteLen::new(8))
        .stripes(1)
        .build()
        .unwrap();
    let handles: Vec<_> = (0..20).map(|_| slots.local()).collect();
    let mut ids: BTreeSet<_> = handles
        .iter()
        .map_while(|handle| handle.alloc().ok())
        .collect();
    assert_eq!(ids.len(), 20);
    // Their words can be had while they live ..
    ids.extend(fill(&slots));
    assert_eq!(ids.len(), 1024);
    ids.iter().for_each(|id| slots.free(*id).unwrap());
    // .. and runs can when they are idle or gone.
    assert!(slots.alloc_run(512).is_ok());
    drop(handles);
    assert!(slots.alloc_run(512).is_ok());
    let again = slots.local();
    assert!(again.alloc().is_err() && again.reserve().is_err());
}

#[test]
fn threads_that_exit_strand_nothing() {
    let slots = slots(1024);
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| slots.alloc().unwrap());
        }
    });
    assert_eq!(fill(&slots).len(), 1024 - 40);
}

#[test]
fn sixty_four_threads_allocate_exactly_all() {
    for round in 0..20 {
        let slots = slots(1024);
        let all = Mutex::new(BTreeSet::new());
        thread::scope(|scope| {
            for thread in 0..64 {
                let (slots, all) = (&slots, &all);
                scope.spawn(move || {
                    let handle = (thread % 3 == round % 3).then(|| slots.local());
                    let alloc = || match &handle {
                        Some(handle) => handle.alloc(),
                        None => slots.alloc(),
                    };
                    let mine: Vec<_> = std::iter::from_fn(|| alloc().ok()).collect();
                    let mut all = all.lock().unwrap();
                    mine.into_iter()
                        .for_each(|id| assert!(all.insert(id), "{id} twice"));
                });
            }
        });
        assert_eq!(all.into_inner().unwrap().len(), 1024);
        assert_eq!(slots.alloc(), Err(AllocError::Full { waiting: 0 }));
    }
}

#[test]
fn debug_says_what_it_is() {
    let slots = slots(100);
    let id = slots.alloc().unwrap();
    slots.alloc().unwrap();
    slots.hide(id).unwrap();
    let text = format!("{slots:?}");
    assert!(
        text.contains("len: 1") && text.contains("waiting: 1"),
        "{text}"
    );
    assert!(!format!("{:?}{:?}", slots.local(), slots.reserve()).is_empty());
}

#[cfg(not(loom))] // loom's own cells, which stand in for memory there, are not `Sync`
#[test]
fn it_can_be_shared() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<BlockAllocator>();
    is_shared::<mapless::Reservation<'_>>();
    is_shared::<mapless::LocalAlloc<'_>>();
}
