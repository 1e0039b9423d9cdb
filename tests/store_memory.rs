//! What a store keeps of memory, and takes while it works; a file of its own, since the allocator
//! counts for all tests of one.
#![cfg(feature = "store")]
#![allow(unsafe_code)] // a global allocator is an unsafe trait

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

use mapless::{ByteLen, Durability, MultiStore, ObjectId, SizeClasses, StoreOptions};

/// The system's allocator, which also counts the bytes that are live, and how many at most were.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is passed on to `System`; the counters change nothing about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() as isize;
        MOST.fetch_max(LIVE.fetch_add(size, Relaxed) + size, Relaxed);
        // SAFETY: the caller keeps `System::alloc`'s contract, which is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: `place` came from `System` with this layout.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// One test at a time: their bytes are counted together.
static ONE: Mutex<()> = Mutex::new(());

const OBJECTS: usize = 2_650_000;
const AT_ONCE: usize = 1000;
const LARGE: usize = 10_000;

fn live() -> isize {
    LIVE.load(Relaxed)
}

/// Bytes since `before`, for each of so many objects.
fn each(since: isize, now: isize, objects: usize) -> f64 {
    (now - since) as f64 / objects as f64
}

fn buffered() -> StoreOptions {
    StoreOptions::new().durability(Durability::Buffered)
}

fn reopened(path: &Path) -> MultiStore {
    MultiStore::open(path).unwrap()
}

/// A store of `OBJECTS`, put in batches of `AT_ONCE`.
fn loaded(path: &Path, ids: &mut Vec<ObjectId>) -> MultiStore {
    let store = buffered().create(path).unwrap();
    for n in 0..OBJECTS / AT_ONCE {
        let objects = [[n as u8; 64]; AT_ONCE];
        ids.extend(store.put_many(&objects).unwrap());
    }
    store.checkpoint().unwrap();
    store
}

#[test]
fn a_quarter_of_a_byte_an_object_also_after_reopening() {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let mut ids = Vec::with_capacity(OBJECTS);
    let before = live();
    let store = loaded(&path, &mut ids);
    assert_eq!(store.len(), OBJECTS as u64);
    let at_rest = each(before, live(), OBJECTS);
    drop(store);
    let store = reopened(&path);
    assert_eq!(store.len(), OBJECTS as u64);
    let opened = each(before, live(), OBJECTS);
    for (n, id) in ids.iter().enumerate().step_by(97) {
        assert_eq!(store.get(*id).unwrap(), vec![(n / AT_ONCE) as u8; 64]);
    }
    let used = each(before, live(), OBJECTS);
    println!("{at_rest:.3} bytes an object, {opened:.3} after reopening, {used:.3} after reading");
    assert!((0.0..=0.25).contains(&at_rest), "{at_rest}");
    assert!((0.0..=0.17).contains(&opened), "{opened}");
    assert!((0.0..=0.17).contains(&used), "{used}");
}

#[test]
fn half_a_byte_at_most_while_a_tenth_is_replaced() {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::with_capacity(OBJECTS);
    let before = live();
    let store = loaded(&dir.path().join("objects"), &mut ids);
    MOST.store(live(), Relaxed);
    let runs = ids.chunks_exact_mut(AT_ONCE);
    for run in runs.step_by(10) {
        for id in run {
            store.delete(*id).unwrap();
            *id = store.put([7; 64]).unwrap();
        }
    }
    store.checkpoint().unwrap();
    let most = each(before, MOST.load(Relaxed), OBJECTS);
    let rest = each(before, live(), OBJECTS);
    println!("{most:.3} bytes an object at most, {rest:.3} afterwards");
    assert!((0.0..=0.45).contains(&most), "{most}");
    assert!((0.0..=0.3).contains(&rest), "{rest}");
}

/// Objects above the largest class, which is a small one here, so that they are.
#[test]
fn what_a_large_object_takes() {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let classes = SizeClasses::new((1..=64).map(|n| ByteLen::new(n * 16))).unwrap();
    let object = vec![7; 4000];
    let before = live();
    let store = buffered().size_classes(classes).create(&path).unwrap();
    for _ in 0..LARGE {
        store.put(&object).unwrap();
    }
    store.sync().unwrap();
    let at_rest = each(before, live(), LARGE);
    drop(store);
    let store = reopened(&path);
    let opened = each(before, live(), LARGE);
    assert_eq!(store.len(), LARGE as u64);
    println!("{at_rest:.1} bytes a large object, {opened:.1} after reopening");
    assert!((0.0..=100.0).contains(&at_rest), "{at_rest}");
    assert!((0.0..=100.0).contains(&opened), "{opened}");
}
