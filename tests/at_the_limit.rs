//! Where the space or the ids end: what nobody uses any more is had again, and a refusal changes
//! nothing.

#![cfg(feature = "alloc")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use mapless::{
    AllocError, AllocatorSnapshot, BasicAllocator, ByteLen, ClassUse, FileOffset, GrowByShare,
    Growth, IdRange, ObjectId, OmniBlockAllocator, RangeSnapshot, RestoreError, SizeClasses,
    SpaceError,
};

const MIB: u64 = 1 << 20;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

fn len(bytes: u64) -> ByteLen {
    ByteLen::new(bytes)
}

fn two_classes(limit: u64) -> OmniBlockAllocator {
    let classes = SizeClasses::new([len(64), len(4096)]).unwrap();
    let builder = OmniBlockAllocator::builder().classes(classes);
    builder.limit(FileOffset::new(limit)).build().unwrap()
}

#[test]
fn a_retired_large_object_makes_room_for_the_next() {
    let builder = OmniBlockAllocator::builder();
    let ids = builder.limit(FileOffset::new(4 * MIB)).build().unwrap();
    for _ in 0..100 {
        let large = ids.alloc(len(3 * MIB)).unwrap();
        ids.retire(large, &ids.pin()).unwrap();
    }
    let kept = ids.alloc(len(3 * MIB)).unwrap();
    let guard = ids.pin();
    ids.retire(kept, &guard).unwrap();
    assert_eq!(
        ids.alloc(len(3 * MIB)),
        Err(AllocError::Space(SpaceError::NoSpace)),
        "somebody may be looking"
    );
}

#[test]
fn another_classs_slots_make_room() {
    let ids = two_classes(MIB);
    let small: Vec<_> = std::iter::from_fn(|| ids.alloc(len(64)).ok()).collect();
    for id in small {
        ids.retire(id, &ids.pin()).unwrap();
    }
    assert!(ids.alloc(len(4096)).is_ok());
}

#[test]
fn another_classs_unused_range_makes_room() {
    let ids = two_classes(64 << 10);
    let small = ids.alloc(len(64)).unwrap();
    ids.free(small).unwrap();
    assert!(ids.alloc(len(4096)).is_ok());
}

#[test]
fn without_ids_nothing_changes() {
    let builder = BasicAllocator::builder();
    let space = builder.first_id(ObjectId::MAX).build().unwrap();
    space.alloc(len(1)).unwrap();
    let before = (space.end(), space.free_bytes(), space.gaps());
    assert!(matches!(space.alloc(len(1 << 40)), Err(AllocError::Ids(_))));
    assert_eq!((space.end(), space.free_bytes(), space.gaps()), before);
}

#[test]
fn where_ids_are_few_a_range_is_smaller() {
    let growth = GrowByShare::default()
        .max_slots(1 << 16)
        .first_bytes(len(MIB));
    let builder = OmniBlockAllocator::builder().first_id(id(u64::MAX - 1000));
    let ids = builder.growth(growth).build().unwrap();
    let had = std::iter::from_fn(|| ids.alloc(len(16)).ok()).count();
    assert!((500..=1000).contains(&had), "{had}");
}

#[test]
fn a_run_is_no_longer_than_a_block() {
    let ids = OmniBlockAllocator::new();
    let refused = Err(AllocError::Space(SpaceError::TooLarge));
    assert_eq!(ids.alloc_run(len(1), (1 << 31) + 1), refused);
    assert_eq!(ids.alloc_run(len(2 * MIB), u32::MAX), refused);
    assert!(ids.is_empty() && ids.end() == FileOffset::ZERO);
}

#[test]
fn a_restored_range_is_no_longer_than_a_block() {
    let slots = (1 << 31) + 64;
    let range = IdRange::new(id(1 << 15), slots).unwrap();
    let snapshot = AllocatorSnapshot {
        next_id: ObjectId::new(1 << 40),
        classes: SizeClasses::new([len(16)]).unwrap(),
        ranges: vec![RangeSnapshot {
            ids: range,
            offset: FileOffset::ZERO,
            slot_size: len(16),
            in_class: true,
            words: vec![0; (slots / 64) as usize],
        }],
    };
    let restored = OmniBlockAllocator::builder().restore(&snapshot);
    assert_eq!(restored.err(), Some(RestoreError::TooManySlots(range)));
}

#[test]
fn what_a_snapshot_names_is_not_issued_again() {
    let ids = OmniBlockAllocator::new();
    let kept = ids.reserve(len(3 * MIB)).unwrap();
    let mut snapshot = ids.snapshot();
    snapshot.next_id = ObjectId::new(1); // it lies
    let restored = OmniBlockAllocator::builder().restore(&snapshot).unwrap();
    assert_ne!(restored.alloc(len(3 * MIB)).unwrap(), kept.id());
}

#[test]
fn regions_as_large_as_the_space_wait_like_others() {
    let space = BasicAllocator::builder().build().unwrap();
    let small = space.alloc(len(1)).unwrap();
    let huge = space.alloc(len(u64::MAX - 1)).unwrap();
    let guard = space.pin();
    space.retire(small.id, &guard).unwrap();
    space.retire(huge.id, &guard).unwrap();
    assert_eq!(space.waiting_bytes(), usize::MAX);
    drop(guard);
    space.collect();
    assert!(space.alloc(len(u64::MAX)).is_ok());
}

/// Says 8 twice, then panics.
struct Panics(AtomicU64);

impl Growth for Panics {
    fn next_slots(&self, _: &ClassUse) -> u64 {
        assert!(self.0.fetch_add(1, Relaxed) < 2, "a policy's own panic");
        8
    }
}

#[test]
fn many_are_all_or_none_in_a_panic_too() {
    let builder = OmniBlockAllocator::builder().growth(Panics(AtomicU64::new(0)));
    let ids = builder.build().unwrap();
    let many = catch_unwind(AssertUnwindSafe(|| ids.alloc_many(len(16), 100)));
    assert!(many.is_err());
    assert_eq!(ids.len(), 0);
}

#[test]
fn many_beside_somebody_who_frees_what_is_shown() {
    let ids = two_classes(64 << 10);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                for id in ids.iter() {
                    let _ = ids.free(id);
                }
            }
        });
        for _ in 0..2_000 {
            let _ = ids.alloc_many(len(64), 2_000);
        }
        stop.store(true, Relaxed);
    });
}
