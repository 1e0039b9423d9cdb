//! Models: ids, ranges and large objects while others take, give back and look.
//!
//! Threads   main + 1; main + 2 where a model starts two
//! Bound     as each model's call of `explore` says: none where the search ends within a minute,
//!           else the greatest number of preemptions with which it does
//! Shrunk    2 slots a word, nodes of 2 slots, ranges of 1 to 4 slots, a limbo of 1
//! Shows     what the docs of each model say, under H1, H2, D1, D2, C1, C2, LIST and TABLE
//! Blind to  load buffering; SeqCst loads and stores
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]
#![allow(unsafe_code)] // a payload is shared on purpose: loom is to find who touches it too early

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{
    ByteLen, Extent, FileOffset, GrowByShare, Guard, ObjectId, OmniBlockAllocator, OmniBuilder,
    SizeClasses,
};
use mapless_loom_tests::explore;

/// The size of a slot of the only class.
const SLOT: ByteLen = ByteLen::new(8);
/// A length above the largest class.
const LARGE: ByteLen = ByteLen::new(9);

/// Some bytes of the file.
#[derive(Default)]
struct Payload(UnsafeCell<()>);

// SAFETY: nothing is in it; loom says who looks at it while another writes.
unsafe impl Sync for Payload {}
// SAFETY: as above.
unsafe impl Send for Payload {}

impl Payload {
    #[track_caller]
    fn read(&self) {
        self.0.with(|_| ());
    }

    #[track_caller]
    fn write(&self) {
        self.0.with_mut(|_| ());
    }
}

/// One class, one stripe, and ranges of so many slots each.
fn ranges_of(slots: u64) -> OmniBuilder {
    let growth = GrowByShare::default();
    let growth = growth
        .first_bytes(ByteLen::new(slots * SLOT.get()))
        .max_slots(slots);
    let classes = SizeClasses::new([SLOT]).unwrap();
    let builder = OmniBlockAllocator::builder();
    builder.classes(classes).growth(growth).stripes(1)
}

fn shared(builder: OmniBuilder) -> Arc<OmniBlockAllocator> {
    Arc::new(builder.build().unwrap())
}

fn with<R: 'static>(
    ids: &Arc<OmniBlockAllocator>,
    f: impl FnOnce(&OmniBlockAllocator) -> R + 'static,
) -> thread::JoinHandle<R> {
    let ids = Arc::clone(ids);
    thread::spawn(move || f(&ids))
}

/// Each is found, and no two share a byte.
fn assert_apart(ids: &OmniBlockAllocator, taken: &[ObjectId]) {
    let extents: Vec<Extent> = taken.iter().map(|&id| ids.locate(id).unwrap()).collect();
    for (i, one) in extents.iter().enumerate() {
        for other in &extents[..i] {
            let (one, other) = (one.offset.get(), other.offset.get());
            assert!(one.abs_diff(other) >= SLOT.get(), "{taken:?}: {extents:?}");
        }
    }
}

/// Nothing is live or waits, and every byte can be had again.
fn assert_all_given_back(ids: &OmniBlockAllocator) {
    ids.collect();
    ids.trim();
    ids.collect();
    assert_eq!((ids.len(), ids.waiting(), ids.capacity()), (0, 0, 0));
    assert_eq!(ids.root().regions(), 0);
    assert_eq!(ids.truncate(), FileOffset::ZERO);
}

// -------------------------------------------------------------------- growing

#[test]
fn growth_of_two() {
    explore("growth of two", Some(1), 100, || {
        let ids = shared(ranges_of(1));
        let other = with(&ids, |ids| ids.alloc(SLOT).unwrap());
        let mine = ids.alloc(SLOT).unwrap();
        let taken = [mine, other.join().unwrap()];
        assert_apart(&ids, &taken);
        assert_eq!(ids.len(), 2);
    });
}

#[test]
fn growth_for_both() {
    explore("growth for both", Some(2), 100, || {
        let ids = shared(ranges_of(2));
        let other = with(&ids, |ids| ids.alloc(SLOT).unwrap());
        let mine = ids.alloc(SLOT).unwrap();
        let taken = [mine, other.join().unwrap()];
        assert_apart(&ids, &taken);
    });
}

#[test]
fn new_class() {
    explore("new class", Some(3), 15, || {
        let small = ByteLen::new(4);
        let ids = shared(ranges_of(1));
        let other = with(&ids, move |ids| ids.add_size_class(small).unwrap());
        let id = ids.alloc(small).unwrap();
        let len = ids.locate(id).unwrap().len;
        assert!(len == small || len == SLOT);
        ids.free(id).unwrap();
        other.join().unwrap();
        let id = ids.alloc(small).unwrap();
        assert_eq!(ids.locate(id).unwrap().len, small);
    });
}

// -------------------------------------------------------------------- giving ranges back

/// Two ranges of one slot each, and what lives in them.
fn two_ranges() -> (Arc<OmniBlockAllocator>, ObjectId, ObjectId) {
    let ids = shared(ranges_of(1));
    let (one, two) = (ids.alloc(SLOT).unwrap(), ids.alloc(SLOT).unwrap());
    (ids, one, two)
}

#[test]
fn give_back_against_locate() {
    explore("give back against locate", Some(3), 100, || {
        let ids = shared(ranges_of(1));
        let id = ids.alloc(SLOT).unwrap();
        let reader = with(&ids, move |ids| {
            let guard = ids.pin();
            let _ = ids.locate_in(id, &guard);
            drop(guard);
        });
        ids.free(id).unwrap();
        ids.trim();
        ids.root().collect();
        reader.join().unwrap();
        assert_all_given_back(&ids);
    });
}

#[test]
fn give_back_against_alloc() {
    explore("give back against alloc", Some(2), 100, || {
        let ids = shared(ranges_of(2));
        let id = ids.alloc(SLOT).unwrap();
        ids.free(id).unwrap();
        let other = with(&ids, |ids| {
            let id = ids.alloc(SLOT).unwrap();
            ids.locate(id).unwrap();
            id
        });
        ids.trim();
        ids.root().collect();
        let id = other.join().unwrap();
        ids.locate(id).unwrap();
        assert_eq!(ids.capacity(), 2);
        ids.free(id).unwrap();
        assert_all_given_back(&ids);
    });
}

#[test]
fn give_back_against_give_back() {
    explore("give back against give back", Some(2), 100, || {
        let (ids, one, two) = two_ranges();
        let other = with(&ids, move |ids| {
            ids.free(two).unwrap();
            ids.trim();
        });
        ids.free(one).unwrap();
        other.join().unwrap();
        assert!(ids.capacity() <= 1, "at most the spare one is kept");
        assert_all_given_back(&ids);
    });
}

/// The walker is inside while a block goes from the middle of the list, and from memory.
#[test]
fn list_loses_a_block() {
    explore("list loses a block", Some(3), 100, || {
        let ids = shared(ranges_of(1));
        let [last, middle, first] = [(); 3].map(|()| ids.alloc(SLOT).unwrap());
        ids.free(last).unwrap(); // the spare one, at the list's end
        let other = with(&ids, |ids| ids.alloc(SLOT).unwrap());
        ids.free(middle).unwrap();
        ids.root().collect();
        let taken = [first, other.join().unwrap()];
        assert_apart(&ids, &taken);
    });
}

/// The walker meets blocks that it has never heard of, pushed by another or left over by a removal.
#[test]
fn list_of_strangers() {
    explore("list of strangers", Some(1), 100, || {
        let ids = shared(ranges_of(1));
        let other = with(&ids, |ids| ids.alloc(SLOT).unwrap());
        let (one, two) = (ids.alloc(SLOT).unwrap(), ids.alloc(SLOT).unwrap());
        ids.free(one).unwrap(); // the spare one ..
        ids.free(two).unwrap(); // .. so this range, at the list's head, is given back
        ids.locate(other.join().unwrap()).unwrap();
        assert_eq!(ids.len(), 1);
    });
}

// -------------------------------------------------------------------- retiring

/// A space with room for one object, in which it lives, and its bytes.
fn only(len: ByteLen) -> (Arc<OmniBlockAllocator>, ObjectId, Arc<Payload>) {
    let ids = shared(ranges_of(1).limit(FileOffset::new(len.get())));
    let (id, bytes) = (ids.alloc(len).unwrap(), Arc::new(Payload::default()));
    bytes.write();
    (ids, id, bytes)
}

fn read(ids: &OmniBlockAllocator, id: ObjectId, bytes: &Payload, guard: &Guard) {
    if ids.locate_in(id, guard).is_ok() {
        bytes.read();
    }
}

/// The bytes are written again only after the reader has left.
fn retire_against_lookup(len: ByteLen) {
    let (ids, id, bytes) = only(len);
    let read_bytes = Arc::clone(&bytes);
    let reader = with(&ids, move |ids| {
        let guard = ids.pin();
        read(ids, id, &read_bytes, &guard);
        drop(guard);
    });
    let guard = ids.pin();
    ids.retire(id, &guard).unwrap();
    drop(guard);
    let taken = ids.reserve(len).map(|slot| {
        bytes.write();
        slot.publish();
    });
    let early = taken.is_ok();
    reader.join().unwrap();
    ids.collect();
    assert!(early || ids.alloc(len).is_ok(), "nobody is inside");
    assert_eq!(ids.len(), 1);
}

#[test]
fn retire_slot_against_lookup() {
    explore("retire slot against lookup", Some(2), 100, || {
        retire_against_lookup(SLOT);
    });
}

#[test]
fn retire_large_against_lookup() {
    explore("retire large against lookup", Some(3), 100, || {
        retire_against_lookup(LARGE);
    });
}

#[test]
fn free_large_against_lookup() {
    explore("free large against lookup", Some(3), 100, || {
        let ids = shared(ranges_of(1));
        let id = ids.alloc(LARGE).unwrap();
        let reader = with(&ids, move |ids| {
            let guard = ids.pin();
            let _ = ids.locate_in(id, &guard);
            drop(guard);
        });
        ids.free(id).unwrap();
        ids.root().collect();
        reader.join().unwrap();
        assert_all_given_back(&ids);
    });
}

/// Of two that give the same large object back, one does.
fn large_ends_once(end: impl Fn(&OmniBlockAllocator, ObjectId) -> bool + Copy + 'static) {
    let ids = shared(ranges_of(1));
    let id = ids.alloc(LARGE).unwrap();
    let other = with(&ids, move |ids| ids.free(id).is_ok());
    let mine = end(&ids, id);
    assert!(mine ^ other.join().unwrap());
    ids.collect();
    assert_all_given_back(&ids);
}

#[test]
fn large_freed_twice() {
    explore("large freed twice", Some(3), 100, || {
        large_ends_once(|ids, id| ids.free(id).is_ok());
    });
}

#[test]
fn large_freed_and_retired() {
    explore("large freed and retired", Some(3), 100, || {
        large_ends_once(|ids, id| ids.retire(id, &ids.pin()).is_ok());
    });
}

#[test]
fn large_freed_and_taken_back_by_the_root() {
    explore("large freed, and by the root", Some(3), 100, || {
        large_ends_once(|ids, id| {
            let extent = ids.locate(id);
            extent.is_ok_and(|extent| ids.root().free(extent).is_ok())
        });
    });
}

#[test]
fn run_freed_by_two() {
    explore("run freed by two", Some(2), 100, || {
        let ids = shared(ranges_of(1));
        let run = ids.alloc_run(LARGE, 3).unwrap(); // two words
        let (first, last) = (run.first(), run.last());
        ids.free(ObjectId::new(first.get() + 1).unwrap()).unwrap();
        let other = with(&ids, move |ids| ids.free(last).unwrap());
        ids.free(first).unwrap();
        other.join().unwrap();
        assert_all_given_back(&ids);
    });
}

#[test]
fn dropped_with_retirements_pending() {
    explore("dropped with retirements pending", None, 10, || {
        let ids = ranges_of(1).build().unwrap();
        let (slot, large) = (ids.alloc(SLOT).unwrap(), ids.alloc(LARGE).unwrap());
        let domain = ids.domain().clone();
        let reader = thread::spawn(move || drop(domain.pin()));
        let guard = ids.pin();
        ids.retire(slot, &guard).unwrap();
        ids.free(large).unwrap();
        drop(ids);
        drop(guard);
        reader.join().unwrap();
    });
}

// -------------------------------------------------------------------- publishing

/// Who finds it sees what was written before it was published.
fn publish_against_lookup(len: ByteLen) {
    let ids = shared(ranges_of(1));
    let slot = ids.reserve(len).unwrap();
    let (id, bytes) = (slot.id(), Arc::new(Payload::default()));
    let read_bytes = Arc::clone(&bytes);
    let reader = with(&ids, move |ids| {
        let guard = ids.pin();
        read(ids, id, &read_bytes, &guard);
        drop(guard);
    });
    bytes.write();
    slot.publish();
    reader.join().unwrap();
    ids.locate(id).unwrap();
}

#[test]
fn publish_slot_against_lookup() {
    explore("publish slot against lookup", Some(3), 100, || {
        publish_against_lookup(SLOT);
    });
}

#[test]
fn publish_large_against_lookup() {
    explore("publish large against lookup", Some(3), 100, || {
        publish_against_lookup(LARGE);
    });
}

/// Who finds it may free it at once.
fn publish_against_free(len: ByteLen) {
    let ids = shared(ranges_of(1));
    let slot = ids.reserve(len).unwrap();
    let id = slot.id();
    let other = with(&ids, move |ids| ids.free(id).is_ok());
    slot.publish();
    if !other.join().unwrap() {
        ids.free(id).unwrap();
    }
    assert_all_given_back(&ids);
}

#[test]
fn publish_slot_against_free() {
    explore("publish slot against free", Some(3), 100, || {
        publish_against_free(SLOT);
    });
}

#[test]
fn publish_large_against_free() {
    explore("publish large against free", Some(3), 100, || {
        publish_against_free(LARGE);
    });
}
