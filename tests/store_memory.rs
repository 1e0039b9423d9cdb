//! What a store of 2.65 million objects keeps of memory; a file of its own, since the allocator counts
//! for all tests of one.
#![cfg(feature = "store")]

use mapless::{Durability, MultiStore, ObjectId, StoreOptions};

#[global_allocator]
static GLOBAL: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

const OBJECTS: usize = 2_650_000;
const AT_ONCE: usize = 100;

/// What is kept since.
fn kept(region: &stats_alloc::Region<'_, std::alloc::System>) -> f64 {
    let stats = region.change();
    let bytes = stats.bytes_allocated as f64 - stats.bytes_deallocated as f64;
    bytes / OBJECTS as f64
}

#[test]
fn a_quarter_of_a_byte_an_object_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let region = stats_alloc::Region::new(GLOBAL);
    let options = StoreOptions::new().durability(Durability::Buffered);
    let store = options.create(&path).unwrap();
    let mut some: Vec<ObjectId> = Vec::with_capacity(OBJECTS / AT_ONCE);
    for n in 0..OBJECTS / AT_ONCE {
        let objects = vec![[n as u8; 64]; AT_ONCE];
        some.push(store.put_many(&objects).unwrap()[n % AT_ONCE]);
    }
    store.checkpoint().unwrap();
    assert_eq!(store.len(), OBJECTS as u64);
    let own = some.capacity() as f64 * 8.0 / OBJECTS as f64;
    let loaded = kept(&region) - own;
    drop(store);
    let store = MultiStore::open(&path).unwrap();
    assert_eq!(store.len(), OBJECTS as u64);
    let reopened = kept(&region) - own;
    println!("{loaded:.3} bytes an object, {reopened:.3} after reopening");
    for (n, id) in some.iter().enumerate() {
        assert_eq!(store.get(*id).unwrap(), vec![n as u8; 64]);
    }
    let used = kept(&region) - own;
    for bytes in [loaded, reopened, used] {
        assert!((0.0..=0.25).contains(&bytes), "{loaded} {reopened} {used}");
    }
}
