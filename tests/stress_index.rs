//! Ranges that come and go beside ranges that stay, for a second a test; under the address sanitizer
//! too (`ci/sanitizers`).
//!
//! * S1  A range that stays is found by every kind of lookup, with its value.
//! * S2  A range that comes and goes is found with a value that it had, or not at all.
//! * S3  At rest exactly the ranges that stay are left, and nothing waits.

#![cfg(feature = "index")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mapless::{IdRange, ObjectId, RangeIndex};

const PLACES: u64 = 600;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

/// Ranges lie close together in some places and far apart in others.
fn range(place: u64, unit: u64) -> IdRange {
    let first = (place / 50) * (unit << 20) + (place % 50) * 4 * unit + 1;
    IdRange::new(id(first), 1 + place * 7 % (3 * unit)).unwrap()
}

fn stays(place: u64) -> bool {
    place.is_multiple_of(3)
}

fn write(index: &RangeIndex<u64>, unit: u64, me: u64, end: Instant) {
    let mine: Vec<u64> = (0..PLACES).filter(|place| place % 3 == me).collect();
    let mut step = me;
    while Instant::now() < end {
        for &place in &mine {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let range = range(place, unit);
            match index.get(range.first()) {
                None => index.insert(range, place).unwrap(),
                Some(_) if step >> 62 == 0 => {
                    index.replace(range.last(), place + PLACES).unwrap();
                }
                Some(_) => drop(index.remove(range.first()).unwrap()),
            }
        }
    }
    for place in mine {
        let _ = index.remove(range(place, unit).first());
    }
}

fn read(index: &RangeIndex<u64>, unit: u64, stop: &AtomicBool) {
    let ids: Vec<ObjectId> = (0..PLACES).map(|place| range(place, unit).last()).collect();
    let mut many = vec![None; ids.len()];
    while !stop.load(Relaxed) {
        let guard = index.pin();
        index.get_many_in(&ids, &mut many, &guard);
        for (place, id) in (0..PLACES).zip(&ids) {
            let one = index.get_in(*id, &guard);
            for seen in [one, many[place as usize]] {
                assert!(!stays(place) || seen == Some(place), "S1: {seen:?}");
                assert!(seen.is_none_or(|seen| seen % PLACES == place), "S2");
            }
        }
        drop(guard);
        let shown: Vec<IdRange> = index.iter().map(|(range, _)| range).collect();
        assert!(
            shown
                .windows(2)
                .all(|pair| pair[0].last() < pair[1].first())
        );
        assert!(shown.len() >= ids.len() / 3, "S1");
        index.snapshot();
    }
}

fn hammer(unit: u64) {
    let index: RangeIndex<u64> = RangeIndex::new();
    for place in (0..PLACES).filter(|&place| stays(place)) {
        index.insert(range(place, unit), place).unwrap();
    }
    let (end, stop) = (
        Instant::now() + Duration::from_secs(1),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        let writers = [1, 2].map(|me| {
            let index = &index;
            scope.spawn(move || write(index, unit, me, end))
        });
        let readers = [(); 2].map(|()| scope.spawn(|| read(&index, unit, &stop)));
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        stop.store(true, Relaxed);
        readers
            .into_iter()
            .for_each(|reader| reader.join().unwrap());
    });
    index.collect();
    index.audit();
    assert_eq!(index.pending(), 0, "S3");
    let left: Vec<u64> = index.iter().map(|(_, value)| value).collect();
    let expected: Vec<u64> = (0..PLACES).filter(|&place| stays(place)).collect();
    assert_eq!(left, expected, "S3");
}

#[test]
fn small_ranges() {
    hammer(4);
}

#[test]
fn large_ranges() {
    hammer(1 << 20);
}
