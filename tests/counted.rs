//! Wait-freedom, counted: `RUSTFLAGS='--cfg mapless_count' cargo test --release --test counted`.
//!
//! Every atomic operation of the crate is counted per thread. A lookup under a guard stays below
//! the bound that its docs state, whatever a writer does meanwhile.
#![cfg(feature = "alloc")]
#![cfg(mapless_count)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mapless::count::steps;
use mapless::{
    ByteLen, GrowByShare, IdRange, LookupError, ObjectId, OmniBlockAllocator, RangeIndex,
    SizeClasses,
};

const ROUNDS: u64 = 300;
const WRITES: u64 = 20_000;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

/// What the docs of `RangeIndex` promise of `get_in`.
/// The most of a `locate_in` of an object that is not live, with `marks` marked slots or fewer in the
/// 16 words around it.
fn bound_not_live(height: usize, marks: u64) -> u64 {
    bound(height) + 2 * (4 + 8 * marks.div_ceil(7))
}

fn bound(height: usize) -> u64 {
    9 * height as u64 + 70
}

/// Runs `look` again and again while `write` runs flat out in another thread.
fn beside(write: impl FnMut() + Send, mut look: impl FnMut()) {
    let (done, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut write = write;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                write();
                writes.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut rounds = 0;
        while rounds < ROUNDS || writes.load(Ordering::Relaxed) < WRITES {
            look();
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn counted<R>(f: impl FnOnce() -> R) -> (R, u64) {
    let before = steps();
    let result = f();
    (result, steps() - before)
}

#[test]
fn operations_are_counted() {
    let index: RangeIndex<u64> = RangeIndex::new();
    index.insert(IdRange::new(id(8), 8).unwrap(), 1).unwrap();
    let guard = index.pin();
    let (found, taken) = counted(|| index.get_in(id(9), &guard));
    assert_eq!(found, Some(1));
    assert!(
        taken >= 2,
        "a lookup reads at least two words, and {taken} were counted"
    );
}

#[test]
fn get_in_is_bounded_by_the_height_while_a_writer_runs() {
    let index: RangeIndex<u64> = RangeIndex::new();
    let range = |n: u64| {
        // Clumps: dense runs far apart, so that nodes come and go at all heights.
        let first = (n % 64 + 1) << (20 + n % 36) | (n / 64 % 64) << 4;
        IdRange::new(id(first), 1 + n % 16)
    };
    let (mut n, mut most, mut looks) = (0u64, 0, 0u64);
    let mut highest = 0;
    beside(
        || {
            n = n
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let Ok(range) = range(n >> 33) else { return };
            if index.insert(range, range.first().get()).is_err() {
                let _ = index.remove(range.first());
            }
        },
        || {
            highest = highest.max(index.height());
            let guard = index.pin();
            for m in 0..200u64 {
                looks += 1;
                let Ok(range) = range(m.wrapping_mul(0x9e37_79b9) + looks) else {
                    continue;
                };
                let (_, taken) = counted(|| index.get_in(range.first(), &guard));
                most = most.max(taken);
            }
            drop(guard);
            highest = highest.max(index.height());
        },
    );
    // The height may have been greater for a moment between two looks at it.
    assert!(
        most <= bound(highest + 2),
        "{most} operations at height {highest}"
    );
    println!(
        "get_in: at most {most} operations at height {highest}, bound {}",
        bound(highest)
    );
}

#[test]
fn locate_in_is_bounded_while_a_writer_runs() {
    let ids = OmniBlockAllocator::builder()
        .classes(SizeClasses::new([16, 64].map(ByteLen::new)).unwrap())
        .growth(GrowByShare::default().first_bytes(ByteLen::new(1024)))
        .build()
        .unwrap();
    let kept: Vec<ObjectId> = (0..5000)
        .map(|_| ids.alloc(ByteLen::new(16)).unwrap())
        .collect();
    let mut mine = Vec::new();
    let mut most = (0, 0);
    beside(
        || {
            if mine.len() < 4000 {
                mine.push(ids.alloc(ByteLen::new(mine.len() as u64 % 64)).unwrap());
            } else {
                let guard = ids.pin();
                for id in mine.drain(..) {
                    ids.retire(id, &guard).unwrap();
                }
                drop(guard);
                ids.trim();
            }
        },
        || {
            let guard = ids.pin();
            for id in kept.iter().step_by(7) {
                let (found, taken) = counted(|| ids.locate_in(*id, &guard));
                assert!(found.is_ok());
                most.0 = most.0.max(taken);
            }
            let (found, taken) = counted(|| ids.locate_in(ObjectId::MAX, &guard));
            assert_eq!(found, Err(LookupError::Unknown));
            most.1 = most.1.max(taken);
        },
    );
    // One look at the slot's bit beside the steps of the index; the height is at most 4 here.
    assert!(
        most.0 <= bound(4) + 1,
        "{} operations for a live object",
        most.0
    );
    assert!(
        most.1 <= bound(4),
        "{} operations for an unknown one",
        most.1
    );
    println!(
        "locate_in: at most {} operations live, {} unknown",
        most.0, most.1
    );
}

#[test]
fn locate_in_of_a_hidden_object_is_bounded_by_the_marks_around_it() {
    let classes = SizeClasses::new([ByteLen::new(16)]).unwrap();
    let builder = OmniBlockAllocator::builder().classes(classes);
    let ids = builder.build().unwrap();
    let live: Vec<ObjectId> = (0..1000)
        .map(|_| ids.alloc(ByteLen::new(16)).unwrap())
        .collect();
    let (mut most, mut marks) = (0, 0);
    for hidden in live.iter().step_by(3) {
        ids.hide(*hidden).unwrap();
        marks += 1;
        let guard = ids.pin();
        let (found, taken) = counted(|| ids.locate_in(*hidden, &guard));
        assert_eq!(found, Err(LookupError::Hidden));
        let allowed = bound_not_live(2, marks);
        assert!(
            taken <= allowed,
            "{taken} operations, {marks} marks, {allowed}"
        );
        most = most.max(taken);
    }
    println!("locate_in: at most {most} operations hidden, beside {marks} marks");
}
