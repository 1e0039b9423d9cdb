//! `OmniBlockAllocator` as its users meet it: every answer, every misuse.

#![cfg(feature = "alloc")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use mapless::{
    AllocError, ByteLen, ClassError, Domain, Extent, FileOffset, FreeError, GrowByShare, Growth,
    LookupError, ObjectId, OmniBlockAllocator, SizeClasses, SpaceError,
};

fn len(bytes: u64) -> ByteLen {
    ByteLen::new(bytes)
}

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

fn small() -> OmniBlockAllocator {
    let classes = SizeClasses::new([len(16), len(64), len(1024)]).unwrap();
    let growth = GrowByShare::default().first_bytes(len(1024));
    OmniBlockAllocator::builder()
        .classes(classes)
        .growth(growth)
        .build()
        .unwrap()
}

#[test]
fn an_id_leads_to_an_extent_of_its_class() {
    let ids = small();
    for (asked, got) in [
        (0, 16),
        (1, 16),
        (16, 16),
        (17, 64),
        (64, 64),
        (65, 1024),
        (1024, 1024),
    ] {
        let id = ids.alloc(len(asked)).unwrap();
        assert_eq!(ids.locate(id).unwrap().len, len(got), "{asked} bytes");
    }
    assert_eq!(ids.len(), 7);
}

#[test]
fn above_the_largest_class_the_root_serves() {
    let ids = small();
    let large = ids.alloc(len(1025)).unwrap();
    let huge = ids.alloc(len(1 << 40)).unwrap();
    assert_eq!(ids.locate(large).unwrap().len, len(1025));
    assert_eq!(ids.locate(huge).unwrap().len, len(1 << 40));
    assert!(matches!(
        ids.alloc(len(u64::MAX)),
        Err(AllocError::Space(_))
    ));
    ids.free(large).unwrap();
    assert_eq!(ids.free(large), Err(FreeError::Foreign));
    assert_eq!(ids.locate(large), Err(LookupError::Unknown));
}

#[test]
fn no_two_objects_share_a_byte() {
    let ids = small();
    let mut extents: Vec<Extent> = (0..5000u64)
        .map(|n| ids.locate(ids.alloc(len(n * 7 % 3000)).unwrap()).unwrap())
        .collect();
    extents.sort();
    for pair in extents.windows(2) {
        assert!(pair[0].end().unwrap() <= pair[1].offset, "{pair:?}");
    }
}

#[test]
fn answers_about_ids_that_are_not_live_differ() {
    let ids = small();
    let live = ids.alloc(len(16)).unwrap();
    let reserved = ids.reserve(len(16)).unwrap();
    let hidden = ids.alloc(len(16)).unwrap();
    ids.hide(hidden).unwrap();
    let freed = ids.alloc(len(16)).unwrap();
    ids.free(freed).unwrap();

    assert!(ids.locate(live).is_ok());
    assert_eq!(ids.locate(reserved.id()), Err(LookupError::Reserved));
    assert_eq!(ids.locate(hidden), Err(LookupError::Hidden));
    assert_eq!(ids.locate(freed), Err(LookupError::Freed));
    assert_eq!(ids.locate(id(1)), Err(LookupError::Unknown));
    assert_eq!(ids.locate(ObjectId::MAX), Err(LookupError::Unknown));

    assert_eq!(ids.free(reserved.id()), Err(FreeError::Reserved));
    assert_eq!(ids.free(hidden), Err(FreeError::Hidden));
    assert_eq!(ids.free(freed), Err(FreeError::AlreadyFree));
    assert_eq!(ids.free(id(1)), Err(FreeError::Foreign));
    assert_eq!(ids.len(), 1);
}

#[test]
fn the_first_id_past_a_range_is_unknown() {
    let ids = small();
    let first = ids.alloc(len(1024)).unwrap(); // 1 slot a range
    assert_eq!(ids.locate(id(first.get() + 1)), Err(LookupError::Unknown));
    assert_eq!(ids.locate(id(first.get() - 1)), Err(LookupError::Unknown));
}

#[test]
fn a_reservation_shows_when_published_and_is_gone_when_dropped() {
    let ids = small();
    let reservation = ids.reserve(len(100)).unwrap();
    let id = reservation.id();
    assert_eq!(reservation.extent().len, len(1024));
    assert_eq!(reservation.publish(), id);
    assert!(ids.locate(id).is_ok());

    let dropped = ids.reserve(len(100)).unwrap().id();
    assert!(matches!(
        ids.locate(dropped),
        Err(LookupError::Freed | LookupError::NeverAllocated)
    ));
    let large = ids.reserve(len(5000)).unwrap();
    assert_eq!(ids.locate(large.id()), Err(LookupError::Reserved));
    let large = large.publish();
    assert_eq!(ids.locate(large).unwrap().len, len(5000));
    let dropped = ids.reserve(len(5000)).unwrap().id();
    assert_eq!(ids.locate(dropped), Err(LookupError::Unknown));
}

#[test]
fn a_retired_slot_comes_back_only_after_the_guard() {
    let ids = small();
    let guard = ids.pin();
    let retired: HashSet<ObjectId> = (0..64).map(|_| ids.alloc(len(16)).unwrap()).collect();
    for &id in &retired {
        ids.retire(id, &guard).unwrap();
        assert_eq!(ids.locate_in(id, &guard), Err(LookupError::Hidden));
        assert_eq!(ids.retire(id, &guard), Err(FreeError::Retired));
    }
    ids.collect();
    for _ in 0..1000 {
        assert!(
            !retired.contains(&ids.alloc(len(16)).unwrap()),
            "handed out under a guard"
        );
    }
    drop(guard);
    ids.collect();
    let again = (0..1000).filter(|_| retired.contains(&ids.alloc(len(16)).unwrap()));
    assert_eq!(again.count(), 64);
}

#[test]
fn hide_waits_for_its_reclaim() {
    let ids = small();
    let id = ids.alloc(len(16)).unwrap();
    assert_eq!(ids.reclaim(id, &ids.pin()), Err(FreeError::NotHidden));
    ids.hide(id).unwrap();
    assert_eq!(ids.hide(id), Err(FreeError::Hidden));
    ids.collect();
    let others: HashSet<ObjectId> = (0..500).map(|_| ids.alloc(len(16)).unwrap()).collect();
    assert!(!others.contains(&id));
    ids.reclaim(id, &ids.pin()).unwrap();
    assert!(ids.reclaim(id, &ids.pin()).is_err());
    ids.collect();
    assert!((0..500).any(|_| ids.alloc(len(16)).unwrap() == id));
}

#[test]
#[should_panic(expected = "another domain")]
fn a_guard_of_another_domain_is_refused() {
    let ids = small();
    let _ = ids.locate_in(ObjectId::MIN, &Domain::new().pin());
}

#[test]
fn a_shared_domain_has_shared_guards() {
    let domain = Domain::new();
    let one = OmniBlockAllocator::builder()
        .domain(&domain)
        .build()
        .unwrap();
    let other = OmniBlockAllocator::builder()
        .domain(&domain)
        .build()
        .unwrap();
    let guard = one.pin();
    assert_eq!(
        other.locate_in(ObjectId::MIN, &guard),
        Err(LookupError::Unknown)
    );
}

#[test]
fn spaces_are_disjoint_by_their_first_ids() {
    let one = OmniBlockAllocator::builder().build().unwrap();
    let other = OmniBlockAllocator::builder()
        .first_id(id(1 << 60))
        .build()
        .unwrap();
    let foreign = other.alloc(len(10)).unwrap();
    assert!(foreign >= id(1 << 60));
    let before = one.len();
    assert_eq!(one.locate(foreign), Err(LookupError::Unknown));
    assert_eq!(one.free(foreign), Err(FreeError::Foreign));
    assert_eq!(one.len(), before);
}

#[test]
fn the_id_space_runs_out_with_an_error() {
    let ids = OmniBlockAllocator::builder()
        .first_id(ObjectId::MAX)
        .build()
        .unwrap();
    assert_eq!(ids.alloc(len(16)), Ok(ObjectId::MAX));
    assert!(matches!(ids.alloc(len(16)), Err(AllocError::Ids(_))));
    assert!(matches!(ids.alloc(len(1 << 30)), Err(AllocError::Ids(_))));
    assert_eq!(ids.len(), 1);
}

#[test]
fn the_limit_is_a_limit_and_freed_space_is_used_again() {
    let classes = SizeClasses::new([len(64)]).unwrap();
    let ids = OmniBlockAllocator::builder()
        .classes(classes)
        .growth(GrowByShare::default().first_bytes(len(4096)))
        .header(len(4096))
        .limit(FileOffset::new(3 * 4096))
        .build()
        .unwrap();
    let live: Vec<ObjectId> = std::iter::from_fn(|| ids.alloc(len(64)).ok()).collect();
    assert_eq!(live.len(), 2 * 64);
    for &id in &live {
        assert!(ids.locate(id).unwrap().offset >= FileOffset::new(4096));
    }
    assert!(matches!(
        ids.alloc(len(1)),
        Err(AllocError::Space(SpaceError::NoSpace))
    ));
    assert!(matches!(
        ids.alloc(len(65)),
        Err(AllocError::Space(SpaceError::NoSpace))
    ));
    for &id in &live {
        ids.free(id).unwrap();
    }
    ids.trim();
    ids.collect();
    assert_eq!(
        ids.locate(ids.alloc(len(8192)).unwrap()).unwrap().len,
        len(8192)
    );
}

#[test]
fn a_class_can_be_added_while_others_are_used() {
    let ids = small();
    let before = ids.alloc(len(100)).unwrap();
    ids.add_size_class(len(128)).unwrap();
    let after = ids.alloc(len(100)).unwrap();
    assert_eq!(ids.locate(before).unwrap().len, len(1024));
    assert_eq!(ids.locate(after).unwrap().len, len(128));
    assert_eq!(
        ids.add_size_class(len(128)),
        Err(ClassError::NotAscending(len(128)))
    );
    assert_eq!(ids.add_size_class(len(0)), Err(ClassError::Zero));
    ids.free(before).unwrap();
    ids.free(after).unwrap();
}

#[test]
fn batches_are_whole_or_not_at_all() {
    let ids = small();
    let many = ids.alloc_many(len(16), 1000).unwrap();
    assert_eq!(many.iter().collect::<HashSet<_>>().len(), 1000);
    assert!(ids.alloc_many(len(16), 0).unwrap().is_empty());

    let classes = SizeClasses::new([len(64)]).unwrap();
    let ids = OmniBlockAllocator::builder()
        .classes(classes)
        .growth(GrowByShare::default().first_bytes(len(4096)))
        .limit(FileOffset::new(4096))
        .build()
        .unwrap();
    assert!(ids.alloc_many(len(64), 65).is_err());
    assert_eq!(ids.len(), 0);
    assert_eq!(ids.alloc_many(len(64), 64).unwrap().len(), 64);
}

#[test]
fn a_run_is_contiguous_in_ids_and_in_bytes() {
    let ids = small();
    for n in [1, 2, 63, 64, 65, 200] {
        let run = ids.alloc_run(len(16), n).unwrap();
        assert_eq!(run.len(), u64::from(n));
        let first = ids.locate(run.first()).unwrap();
        let last = ids.locate(run.last()).unwrap();
        let between = last.offset.get() - first.offset.get();
        assert_eq!(between, (u64::from(n) - 1) * 16);
    }
    assert!(ids.alloc_run(len(16), 0).is_err());
}

#[test]
fn many_lookups_at_once_agree_with_single_ones() {
    let ids = small();
    let mut asked: Vec<ObjectId> = (0..300).map(|n| ids.alloc(len(n * 9)).unwrap()).collect();
    asked.extend([ObjectId::MIN, ObjectId::MAX]);
    ids.free(asked[7]).unwrap();
    let mut found = vec![Err(LookupError::Unknown); asked.len()];
    ids.locate_many(&asked, &mut found);
    for (&id, found) in asked.iter().zip(&found) {
        assert_eq!(*found, ids.locate(id), "{id}");
    }
}

#[test]
fn ids_of_a_range_that_was_given_back_are_never_issued_again() {
    let ids = small();
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let ranges: HashSet<u64> = (0..200)
            .map(|_| ids.alloc(len(16)).unwrap())
            .map(|id| id.get() >> 15)
            .collect();
        let live: Vec<ObjectId> = ids.iter().collect();
        for id in live {
            ids.free(id).unwrap();
        }
        ids.trim();
        assert!(ranges.is_disjoint(&seen), "a range came twice");
        seen.extend(ranges);
    }
}

#[test]
fn a_hundred_rounds_of_fill_and_empty_leave_memory_where_it_was() {
    let ids = OmniBlockAllocator::builder().build().unwrap();
    let round = || {
        let live: Vec<ObjectId> = (0..20_000)
            .map(|n| ids.alloc(len(n % 500)).unwrap())
            .collect();
        for id in live {
            ids.retire(id, &ids.pin()).unwrap();
        }
        ids.collect();
        ids.trim();
        ids.collect();
        (ids.memory(), ids.truncate())
    };
    let (memory, end) = round();
    for _ in 0..99 {
        let (now, now_end) = round();
        assert!(
            now <= memory + memory / 10 + 4096,
            "{now} bytes after {memory}"
        );
        assert!(now_end <= end, "the space grew: {end} to {now_end}");
    }
    assert_eq!(ids.len(), 0);
}

#[test]
fn a_snapshot_restores_ids_and_offsets_exactly() {
    let ids = small();
    let mut live: Vec<ObjectId> = (0..2000).map(|n| ids.alloc(len(n * 3)).unwrap()).collect();
    for id in live.drain(..700) {
        ids.free(id).unwrap();
    }
    let reserved = ids.reserve(len(16)).unwrap();
    let snapshot = ids.snapshot();
    let restored = OmniBlockAllocator::builder().restore(&snapshot).unwrap();
    assert_eq!(restored.len(), live.len() as u64);
    for &id in &live {
        assert_eq!(restored.locate(id), ids.locate(id));
    }
    assert!(
        restored.locate(reserved.id()).is_err(),
        "a reservation does not survive"
    );
    assert!(restored.iter().eq(ids.iter()));
    let fresh: HashSet<ObjectId> = (0..3000)
        .map(|_| restored.alloc(len(16)).unwrap())
        .collect();
    assert!(live.iter().all(|id| !fresh.contains(id)));
    let mut extents: Vec<Extent> = restored
        .iter()
        .map(|id| restored.locate(id).unwrap())
        .collect();
    extents.sort();
    assert!(
        extents
            .windows(2)
            .all(|pair| pair[0].end().unwrap() <= pair[1].offset)
    );
}

#[test]
fn a_snapshot_that_lies_is_refused() {
    let ids = small();
    for n in 0..100 {
        ids.alloc(len(n * 20)).unwrap();
    }
    let good = ids.snapshot();
    let restore = |snapshot| OmniBlockAllocator::builder().restore(&snapshot).map(|_| ());
    assert!(restore(good.clone()).is_ok());

    let mut bad = good.clone();
    *bad.ranges[0].words.last_mut().unwrap() = u64::MAX;
    bad.ranges[0].words.push(1);
    assert!(restore(bad).is_err(), "bits beyond the capacity");

    let mut bad = good.clone();
    bad.ranges[1].offset = bad.ranges[0].offset;
    assert!(restore(bad).is_err(), "two ranges at one place");

    let mut bad = good.clone();
    bad.ranges[1].ids = bad.ranges[0].ids;
    assert!(restore(bad).is_err(), "two ranges with the same ids");

    let mut bad = good.clone();
    bad.ranges[0].slot_size = len(u64::MAX);
    assert!(restore(bad).is_err(), "a range beyond the space");
}

struct Panics(AtomicBool);

impl Growth for Panics {
    fn next_slots(&self, _: &mapless::ClassUse) -> u64 {
        assert!(
            !self.0.swap(false, Ordering::Relaxed),
            "a growth policy that panics once"
        );
        4
    }
}

#[test]
fn a_panicking_policy_leaves_the_allocator_as_it_was() {
    let ids = OmniBlockAllocator::builder()
        .growth(Panics(AtomicBool::new(true)))
        .build()
        .unwrap();
    let alloc = std::panic::AssertUnwindSafe(|| ids.alloc(len(16)));
    assert!(std::panic::catch_unwind(alloc).is_err());
    assert_eq!(ids.len(), 0);
    let id = ids.alloc(len(16)).unwrap();
    assert!(ids.locate(id).is_ok());
}

#[test]
fn dropping_with_retirements_pending_is_sound() {
    let domain = Domain::new();
    let guard = domain.pin();
    let ids = OmniBlockAllocator::builder()
        .domain(&domain)
        .build()
        .unwrap();
    for n in 0..1000 {
        let id = ids.alloc(len(n * 100)).unwrap();
        ids.retire(id, &guard).unwrap();
    }
    drop(ids);
    drop(guard);
    domain.pin().repin();
}

#[test]
fn threads_that_exit_strand_nothing() {
    let classes = SizeClasses::new([len(64)]).unwrap();
    let ids = OmniBlockAllocator::builder()
        .classes(classes)
        .limit(FileOffset::new(64 * 1024))
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| ids.alloc(len(64)).unwrap());
        }
    });
    let rest = std::iter::from_fn(|| ids.alloc(len(64)).ok()).count();
    assert_eq!(rest, 1024 - 16);
}

/// The default policy wants ranges of 64 KiB.
#[test]
fn a_space_too_small_for_the_policys_ranges_gets_smaller_ones() {
    for limit in [4096, 4000, 64, 127] {
        let ids = OmniBlockAllocator::builder().limit(FileOffset::new(limit));
        let ids = ids.build().unwrap();
        let live: Vec<ObjectId> = std::iter::from_fn(|| ids.alloc(len(64)).ok()).collect();
        assert_eq!(live.len() as u64, limit / 64, "all of {limit} bytes");
        let refused = AllocError::Space(SpaceError::NoSpace);
        assert_eq!(ids.alloc(len(64)), Err(refused));
        assert_eq!(ids.alloc_run(len(64), 1), Err(refused));
        assert!(matches!(ids.reserve(len(64)), Err(AllocError::Space(_))));
        for id in live {
            ids.free(id).unwrap();
        }
        ids.trim();
        ids.collect();
        let all = ids.alloc_run(len(64), (limit / 64) as u32).unwrap();
        assert_eq!(all.len(), limit / 64);
    }
    let ids = OmniBlockAllocator::builder().limit(FileOffset::new(63));
    let none = ids.build().unwrap().alloc(len(64));
    assert_eq!(none, Err(AllocError::Space(SpaceError::TooLarge)));
}

/// Slots that wait for readers who are gone come before small ranges.
#[test]
fn at_the_limit_retired_slots_come_before_smaller_ranges() {
    let classes = SizeClasses::new([len(64)]).unwrap();
    let ids = OmniBlockAllocator::builder()
        .classes(classes)
        .growth(GrowByShare::default().first_bytes(len(4096)))
        .limit(FileOffset::new(4096 + 64))
        .build()
        .unwrap();
    let live = ids.alloc_many(len(64), 64).unwrap();
    ids.retire(live[7], &ids.pin()).unwrap();
    assert_eq!(ids.alloc(len(64)), Ok(live[7]));
    assert_eq!(ids.capacity(), 64);
    let last = ids.alloc(len(64)).unwrap();
    assert_eq!(ids.locate(last).unwrap().offset, FileOffset::new(4096));
    assert_eq!(ids.capacity(), 65);
}
