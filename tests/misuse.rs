//! What must not be done, and what is said then: a typed error (a panic for a guard of another
//! domain), and nothing has changed. `tests/block.rs` and `tests/omni.rs` have the misuses of
//! single methods; here are those that all types share, and those of the root and the index.

#![cfg(feature = "alloc")]

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mapless::{
    AllocError, BasicAllocator, BlockAllocator, ByteLen, ClassError, Domain, Extent, FileOffset,
    FreeError, GrowByShare, Guard, IdRange, InsertError, LoadError, LookupError, ObjectId,
    OmniBlockAllocator, RangeError, RangeIndex, RemoveError, ReplaceError, Request, RestoreError,
    SizeClasses, SpaceError,
};

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

fn len(bytes: u64) -> ByteLen {
    ByteLen::new(bytes)
}

fn range(first: u64, len: u64) -> IdRange {
    IdRange::new(id(first), len).unwrap()
}

fn extent(offset: u64, bytes: u64) -> Extent {
    Extent::new(FileOffset::new(offset), len(bytes))
}

// ---------------------------------------------------------------- guards of another domain

/// Whether `call` panics, and because of the guard.
fn refuses<R: Debug>(name: &str, call: impl FnOnce(&Guard) -> R) {
    let foreign = Domain::new();
    let guard = foreign.pin();
    let result = catch_unwind(AssertUnwindSafe(|| call(&guard)));
    let panic = result.expect_err(name);
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    assert!(text.unwrap().contains("another domain"), "{name}");
}

#[test]
fn an_index_takes_no_guard_of_another_domain() {
    let empty: RangeIndex<u64> = RangeIndex::new();
    let full: RangeIndex<u64> = RangeIndex::new();
    for n in 1..2000 {
        full.insert(range(n * 10, 5), n).unwrap();
    }
    for index in [&empty, &full] {
        let asked = id(105);
        refuses("get_in", |guard| index.get_in(asked, guard));
        refuses("entry_in", |guard| index.entry_in(asked, guard));
        refuses("first_in", |guard| index.first_in(guard));
        refuses("last_in", |guard| index.last_in(guard));
        refuses("floor_in", |guard| index.floor_in(asked, guard));
        refuses("ceiling_in", |guard| index.ceiling_in(asked, guard));
        for n in [0, 1, 40] {
            let ids = vec![asked; n];
            refuses("get_many_in", |guard| {
                index.get_many_in(&ids, &mut vec![None; n], guard);
            });
            refuses("entries_many_in", |guard| {
                index.entries_many_in(&ids, &mut vec![None; n], guard);
            });
        }
    }
    full.audit();
    assert_eq!(full.len(), 1999);
}

#[test]
fn a_block_takes_no_guard_of_another_domain() {
    let slots = BlockAllocator::new(64, len(8)).unwrap();
    let (live, hidden) = (slots.alloc().unwrap(), slots.alloc().unwrap());
    slots.hide(hidden).unwrap();
    for asked in [live, hidden, ObjectId::MAX] {
        refuses("retire", |guard| slots.retire(asked, guard));
        refuses("reclaim", |guard| slots.reclaim(asked, guard));
    }
    assert_eq!((slots.len(), slots.waiting()), (1, 1));
    slots.reclaim(hidden, &slots.pin()).unwrap();
    slots.retire(live, &slots.pin()).unwrap();
    assert_eq!(slots.collect(), 2);
}

#[test]
fn the_root_takes_no_guard_of_another_domain() {
    let space = BasicAllocator::builder().build().unwrap();
    let region = space.alloc(len(100)).unwrap();
    for asked in [region.id, ObjectId::MAX] {
        refuses("locate_in", |guard| space.locate_in(asked, guard));
        refuses("retire", |guard| space.retire(asked, guard));
    }
    assert_eq!(space.locate(region.id), Ok(region.extent));
}

#[test]
fn an_allocator_takes_no_guard_of_another_domain() {
    let ids = OmniBlockAllocator::new();
    let (live, hidden) = (ids.alloc(len(9)).unwrap(), ids.alloc(len(9)).unwrap());
    ids.hide(hidden).unwrap();
    for asked in [live, hidden, ObjectId::MAX] {
        refuses("locate_in", |guard| ids.locate_in(asked, guard));
        refuses("retire", |guard| ids.retire(asked, guard));
        refuses("reclaim", |guard| ids.reclaim(asked, guard));
    }
    for n in [0, 1, 40] {
        let asked = vec![live; n];
        refuses("locate_many_in", |guard| {
            ids.locate_many_in(&asked, &mut vec![Err(LookupError::Unknown); n], guard);
        });
    }
    assert_eq!((ids.len(), ids.waiting()), (1, 1));
    ids.reclaim(hidden, &ids.pin()).unwrap();
    ids.retire(live, &ids.pin()).unwrap();
}

// ---------------------------------------------------------------- ids

#[test]
fn neither_end_of_the_numbers_is_an_id() {
    assert_eq!(ObjectId::new(0), None);
    assert_eq!(ObjectId::new(u64::MAX), None);
    assert_eq!(ObjectId::MAX.get(), u64::MAX - 1);
    assert!(ObjectId::MAX.checked_add(1).is_err());
    assert!(id(1).checked_add(u64::MAX).is_err());
    let last = IdRange::new(ObjectId::MAX, 2);
    assert_eq!(last, Err(RangeError::OutOfIds));
}

#[test]
fn an_index_answers_at_and_beside_every_boundary() {
    let index: RangeIndex<u64> = RangeIndex::new();
    let longest = mapless::MAX_RANGE_LEN;
    for (first, many) in [
        (1, 1),
        (3, 5),
        (1 << 20, 1 << 20),
        (longest, 7),
        (u64::MAX - 1, 1),
    ] {
        let range = range(first, many);
        index.insert(range, first).unwrap();
        let before = ObjectId::new(first - 1).and_then(|id| index.get(id));
        let after = range
            .last()
            .checked_add(1)
            .ok()
            .and_then(|id| index.get(id));
        assert_eq!((before, after), (None, None), "{range:?}");
        assert_eq!(index.get(range.first()), Some(first), "{range:?}");
        assert_eq!(index.get(range.last()), Some(first), "{range:?}");
    }
    index.audit();
}

#[test]
fn an_index_refuses_and_does_not_change() {
    let index: RangeIndex<u64> = RangeIndex::new();
    for n in 1..100 {
        index.insert(range(n * 100, 50), n).unwrap();
    }
    let before = index.snapshot();
    let with = range(500, 50);
    for (first, many) in [
        (500, 50),
        (549, 1),
        (451, 50),
        (510, 5),
        (549, 51),
        (500, 1),
    ] {
        let refused = index.insert(range(first, many), 0);
        assert_eq!(
            refused,
            Err(InsertError::Overlap { with }),
            "{first}+{many}"
        );
    }
    let last = range(9900, 50);
    let all = index.insert(range(1, mapless::MAX_RANGE_LEN), 0);
    assert_eq!(all, Err(InsertError::Overlap { with: last }));
    assert_eq!(index.remove(id(550)), Err(RemoveError::NotFound));
    assert_eq!(index.remove(ObjectId::MAX), Err(RemoveError::NotFound));
    let within = RemoveError::NotFirst { within: with };
    assert_eq!(index.remove(id(501)), Err(within));
    assert_eq!(index.remove(id(549)), Err(within));
    assert_eq!(index.replace(id(550), 0), Err(ReplaceError::NotFound));
    let fresh = (range(20_000, 1), 0);
    let unsorted = index.bulk_load([fresh, (range(19_999, 2), 0)]);
    assert_eq!(unsorted, Err(LoadError::Unsorted { at: 1 }));
    let overlap = index.bulk_load([(range(560, 1), 0), (range(640, 1), 0)]);
    assert!(matches!(overlap, Err(LoadError::Overlap { at: 1, .. })));
    assert_eq!(index.snapshot(), before);
    index.audit();
}

// ---------------------------------------------------------------- the root

/// Everything about a root that a refused call might change.
fn state(space: &BasicAllocator) -> (usize, FileOffset, ByteLen, Vec<Extent>) {
    (
        space.regions(),
        space.end(),
        space.free_bytes(),
        space.gaps(),
    )
}

#[test]
fn a_root_that_cannot_be() {
    let build = |header, limit, alignment| {
        let builder = BasicAllocator::builder()
            .header(len(header))
            .limit(FileOffset::new(limit))
            .alignment(alignment);
        builder.build().map(drop)
    };
    assert_eq!(build(101, 100, 1), Err(SpaceError::TooLarge));
    assert_eq!(build(100, 100, 1), Ok(()));
    assert_eq!(build(u64::MAX, u64::MAX, 1), Ok(()));
    for alignment in [0, 3, 12, u64::MAX] {
        let refused = Err(SpaceError::BadAlignment(alignment));
        assert_eq!(build(0, 100, alignment), refused);
    }
    assert_eq!(build(0, 100, 1 << 63), Ok(()));
}

#[test]
fn lengths_and_alignments_that_have_no_room() {
    let builder = BasicAllocator::builder().header(len(10));
    let space = builder.limit(FileOffset::new(1000)).build().unwrap();
    let kept = space.alloc(len(100)).unwrap();
    let before = state(&space);
    let refused = |request| match space.alloc_with(request) {
        Err(AllocError::Space(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Request::new(len(u64::MAX))), SpaceError::TooLarge);
    assert_eq!(refused(Request::new(len(991))), SpaceError::TooLarge);
    assert_eq!(refused(Request::new(len(891))), SpaceError::NoSpace);
    for align in [0, 3, u64::MAX] {
        let bad = SpaceError::BadAlignment(align);
        assert_eq!(refused(Request::new(len(1)).align(align)), bad);
    }
    let huge = refused(Request::new(len(1)).align(1 << 63));
    assert_eq!(huge, SpaceError::TooLarge);
    assert_eq!(state(&space), before);
    let hint = Request::new(len(0)).near(FileOffset::new(u64::MAX));
    assert_eq!(space.alloc_with(hint).unwrap().extent.len, len(1));
    assert_eq!(space.alloc(len(889)).unwrap().extent.len, len(889));
    assert_eq!(space.locate(kept.id), Ok(kept.extent));

    let coarse = BasicAllocator::builder().alignment(4096).build().unwrap();
    let bad = coarse.alloc_with(Request::new(len(1)).align(3));
    assert_eq!(bad, Err(AllocError::Space(SpaceError::BadAlignment(3))));
    assert_eq!((coarse.regions(), coarse.end()), (0, FileOffset::ZERO));
}

#[test]
fn the_end_of_the_address_space_is_usable_and_an_end() {
    let space = BasicAllocator::builder().header(len(u64::MAX - 10));
    let space = space.build().unwrap();
    assert!(matches!(
        space.alloc(len(11)),
        Err(AllocError::Space(SpaceError::TooLarge))
    ));
    let last = space.alloc(len(10)).unwrap();
    assert_eq!(last.extent.end().unwrap().get(), u64::MAX);
    assert!(space.alloc(len(1)).is_err());
    space.free(last.extent).unwrap();
    assert_eq!(space.truncate().get(), u64::MAX - 10);
}

#[test]
fn extents_that_were_never_given_out() {
    let space = BasicAllocator::builder().header(len(64)).build().unwrap();
    let other = BasicAllocator::builder().build().unwrap();
    let regions = [100, 200, 300].map(|bytes| space.alloc(len(bytes)).unwrap());
    space.free(regions[0].extent).unwrap();
    let before = state(&space);
    let Extent { offset, len: bytes } = regions[1].extent;
    let (at, bytes) = (offset.get(), bytes.get());
    let wrong = [
        extent(at + 1, bytes - 1),
        extent(at, bytes - 1),
        extent(at, bytes + 1),
        extent(at, 0),
        extent(at, u64::MAX),
        extent(at - 1, bytes + 1),
        extent(0, 64),
        extent(u64::MAX, u64::MAX),
        extent(u64::MAX, 0),
        regions[0].extent,
    ];
    for wrong in wrong {
        assert!(
            matches!(space.free(wrong), Err(FreeError::Space(_))),
            "{wrong:?}"
        );
    }
    let guard = space.pin();
    for wrong in [regions[0].id, ObjectId::MIN, ObjectId::MAX] {
        assert_eq!(space.retire(wrong, &guard), Err(FreeError::Foreign));
    }
    assert!(other.free(regions[1].extent).is_err());
    assert_eq!(state(&space), before);
    assert_eq!(space.locate(regions[1].id), Ok(regions[1].extent));
}

#[test]
fn the_ids_of_a_root_run_out() {
    let space = BasicAllocator::builder().first_id(ObjectId::MAX);
    let space = space.build().unwrap();
    let only = space.alloc(len(1)).unwrap();
    assert_eq!(only.id, ObjectId::MAX);
    let before = (state(&space), space.end(), space.free_bytes());
    assert!(matches!(space.alloc(len(1)), Err(AllocError::Ids(_))));
    assert_eq!((state(&space), space.end(), space.free_bytes()), before);
}

/// The root of an `OmniBlockAllocator` can be had by anybody: what belongs to the classes, or to
/// a run of large objects, is not the root's to take back.
#[test]
fn a_root_takes_back_only_its_own_regions() {
    let ids = OmniBlockAllocator::new();
    let slots: Vec<ObjectId> = (0..100).map(|_| ids.alloc(len(64)).unwrap()).collect();
    let run = ids.alloc_run(len(2 << 20), 3).unwrap();
    let guard = ids.pin();
    let snapshot = ids.snapshot();
    for &slot in slots.iter().chain([&run.first(), &run.last()]) {
        assert_eq!(ids.root().retire(slot, &guard), Err(FreeError::Foreign));
        let own = ids.locate(slot).unwrap();
        assert!(ids.root().free(own).is_err());
    }
    for range in &snapshot.ranges {
        let whole = range.slot_size.checked_mul(range.ids.len()).unwrap();
        let whole = Extent::new(range.offset, whole);
        assert!(ids.root().free(whole).is_err(), "{whole:?}");
    }
    assert_eq!(ids.snapshot(), snapshot);
    assert!(slots.iter().all(|&slot| ids.free(slot).is_ok()));
    assert!((0..3).all(|n| ids.free(run.first().checked_add(n).unwrap()).is_ok()));
    let single = ids.alloc(len(3 << 20)).unwrap();
    let own = ids.locate(single).unwrap();
    assert_eq!(ids.root().free(own), Ok(()));
    assert_eq!(ids.locate(single), Err(LookupError::Unknown));
}

// ---------------------------------------------------------------- the whole

#[test]
fn tables_and_builders_that_cannot_be() {
    assert_eq!(SizeClasses::new([]), Err(ClassError::Empty));
    assert_eq!(SizeClasses::new([len(0)]), Err(ClassError::Zero));
    let unsorted = SizeClasses::new([len(32), len(16)]);
    assert_eq!(unsorted, Err(ClassError::NotAscending(len(16))));
    let build = |alignment, header, limit| {
        let builder = OmniBlockAllocator::builder().alignment(alignment);
        let builder = builder.header(len(header)).limit(FileOffset::new(limit));
        builder.build().map(drop)
    };
    assert_eq!(build(3, 0, 9), Err(SpaceError::BadAlignment(3)));
    assert_eq!(build(0, 0, 9), Err(SpaceError::BadAlignment(0)));
    assert_eq!(build(1, 10, 9), Err(SpaceError::TooLarge));
}

#[test]
fn sizes_that_no_space_holds_change_nothing() {
    let ids = OmniBlockAllocator::builder()
        .growth(GrowByShare::default().first_bytes(len(4096)))
        .limit(FileOffset::new(1 << 30))
        .build()
        .unwrap();
    let live = ids.alloc(len(0)).unwrap();
    let before = (ids.snapshot(), ids.end());
    for bytes in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 30) + 1] {
        assert!(matches!(ids.alloc(len(bytes)), Err(AllocError::Space(_))));
        assert!(matches!(ids.reserve(len(bytes)), Err(AllocError::Space(_))));
        let run = ids.alloc_run(len(bytes), u32::MAX);
        assert!(matches!(run, Err(AllocError::Space(_))), "{run:?}");
        assert!(ids.alloc_many(len(bytes), 3).is_err());
    }
    assert_eq!(ids.alloc_run(len(1), 0), Err(AllocError::EmptyRun));
    assert_eq!(ids.alloc_run(len(u64::MAX), 0), Err(AllocError::EmptyRun));
    assert_eq!((ids.snapshot(), ids.end()), before);
    assert_eq!(ids.locate(live).unwrap().len, len(16));
}

#[test]
fn a_class_as_large_as_the_space_is_refused_when_it_is_used() {
    let ids = OmniBlockAllocator::new();
    for size in [u64::MAX, 1 << 63] {
        ids.add_size_class(len(size)).unwrap();
    }
    assert!(matches!(
        ids.alloc(len(1 << 62)),
        Err(AllocError::Space(_)) | Ok(_)
    ));
    assert!(matches!(
        ids.alloc_run(len(1 << 63), 5),
        Err(AllocError::Space(_))
    ));
    assert!(ids.alloc(len(100)).is_ok());
}

#[test]
fn snapshots_name_what_is_wrong_with_them() {
    let ids = OmniBlockAllocator::new();
    for n in 0..10 {
        ids.alloc(len(n * 100)).unwrap();
    }
    ids.alloc(len(5 << 20)).unwrap();
    let good = ids.snapshot();
    let restore = |change: &dyn Fn(&mut mapless::AllocatorSnapshot)| {
        let mut bad = good.clone();
        change(&mut bad);
        let restored = OmniBlockAllocator::builder().restore(&bad);
        restored.map(drop).expect_err("it lies")
    };
    let odd = good
        .ranges
        .iter()
        .position(|range| range.ids.len() % 64 != 0);
    let odd = odd.expect("a large object has one slot");
    let beyond = restore(&|bad| *bad.ranges[odd].words.last_mut().unwrap() = u64::MAX);
    assert!(matches!(beyond, RestoreError::BitsBeyondCapacity(_)));
    let words = restore(&|bad| bad.ranges[0].words.clear());
    assert!(matches!(words, RestoreError::WordCount(_)));
    let size = restore(&|bad| bad.ranges[0].slot_size = ByteLen::ZERO);
    assert!(matches!(size, RestoreError::SlotSize(_)));
    let size = restore(&|bad| bad.ranges[0].slot_size = len(17));
    assert!(matches!(size, RestoreError::SlotSize(_)));
    let shared = restore(&|bad| bad.ranges[1].ids = bad.ranges[0].ids);
    assert!(matches!(
        shared,
        RestoreError::SharedIds(_) | RestoreError::WordCount(_)
    ));
    let space = restore(&|bad| bad.ranges[1].offset = bad.ranges[0].offset);
    assert!(matches!(space, RestoreError::Space(_)));
    let over = restore(&|bad| bad.ranges[0].offset = FileOffset::new(u64::MAX - 5));
    assert!(matches!(over, RestoreError::Overflow));
    let many = restore(&|bad| bad.ranges[0].ids = range(1, 1 << 33));
    assert!(matches!(many, RestoreError::TooManySlots(_)));
    let builder = OmniBlockAllocator::builder().header(len(1 << 40));
    let header = builder.restore(&good).map(drop);
    assert!(matches!(header, Err(RestoreError::Space(_))));
}

// ---------------------------------------------------------------- who takes things apart

/// No destructor runs in a lookup's pin: values of an index are `Copy`, so they have none, and
/// what is retired becomes free on writers and in `collect` only, however often readers pin.
#[test]
fn readers_free_nothing() {
    let ids = OmniBlockAllocator::new();
    let slots = BlockAllocator::new(10_000, len(8)).unwrap();
    let index: RangeIndex<u64> = RangeIndex::new();
    let live: Vec<ObjectId> = (0..5000).map(|_| ids.alloc(len(64)).unwrap()).collect();
    let kept = ids.alloc(len(64)).unwrap();
    let guards = (ids.pin(), slots.pin(), index.pin());
    for &id in &live {
        ids.retire(id, &guards.0).unwrap();
        slots.retire(slots.alloc().unwrap(), &guards.1).unwrap();
    }
    (1..5000).for_each(|n| index.insert(range(n * 100, 50), n).unwrap());
    (1..5000).for_each(|n| assert!(index.remove(id(n * 100)).is_ok()));
    let region = ids.root().alloc(len(1 << 20)).unwrap();
    ids.root().retire(region.id, &guards.0).unwrap();
    drop(guards);
    let waiting = || {
        let root = ids.root().waiting_bytes();
        (ids.waiting(), slots.waiting(), index.pending(), root)
    };
    let before = waiting();
    assert!(before.0 == 5000 && before.1 == 5000 && before.2 > 0 && before.3 > 0);
    for _ in 0..10_000 {
        assert!(ids.locate(kept).is_ok());
        assert!(ids.locate(live[0]).is_err());
        assert_eq!(index.get(kept), None);
        drop((slots.pin(), index.floor(kept), index.iter().next()));
        let mut guard = ids.pin();
        guard.repin();
    }
    assert_eq!(waiting(), before, "a reader freed something");
    ids.collect();
    slots.collect();
    index.collect();
    assert_eq!(waiting(), (0, 0, 0, 0));
}
