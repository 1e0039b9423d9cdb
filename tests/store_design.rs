//! The tests that the original design names, made honest: reverse lookup, membership, the router.
#![cfg(feature = "store")]

use mapless::{
    BasicAllocator, ByteLen, Durability, Extent, FreeError, LookupError, MultiStore, ObjectId,
    OmniBlockAllocator, SizeClasses, StoreError, StoreOptions,
};

fn len(bytes: u64) -> ByteLen {
    ByteLen::new(bytes)
}

// -------------------------------------------------------------------- the root, from an id back

#[test]
fn the_root_knows_the_exact_size_of_every_id() {
    let space = BasicAllocator::builder().header(len(100)).build().unwrap();
    let regions: Vec<_> = (1..200u64)
        .map(|n| space.alloc(len(n * 7)).unwrap())
        .collect();
    for (region, n) in regions.iter().zip(1..) {
        assert_eq!(region.extent.len, len(n * 7));
        assert_eq!(space.locate(region.id), Ok(region.extent));
    }
    let past = regions[198].id.checked_add(1).unwrap();
    assert_eq!(space.locate(past), Err(LookupError::Unknown));
}

/// Freed: an error, once and again; and what is inside of a region is no region.
#[test]
fn what_the_root_took_back_is_an_error() {
    let space = BasicAllocator::builder().build().unwrap();
    let regions = [100, 200, 300].map(|bytes| space.alloc(len(bytes)).unwrap());
    let whole = regions[1].extent;
    let inside = Extent::new(whole.offset.checked_add(len(8)).unwrap(), len(100));
    assert!(matches!(space.free(inside), Err(FreeError::Space(_))));
    space.free(whole).unwrap();
    assert_eq!(space.locate(regions[1].id), Err(LookupError::Unknown));
    assert!(matches!(space.free(whole), Err(FreeError::Space(_))));
    assert_eq!(space.locate(regions[0].id), Ok(regions[0].extent));
    assert_eq!(space.locate(regions[2].id), Ok(regions[2].extent));
}

/// Three neighbours, freed in every order, are one gap; and what takes it has its own size.
#[test]
fn gaps_grow_together_on_both_sides_and_are_used_again() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let space = BasicAllocator::builder().build().unwrap();
        let regions = [100, 200, 300].map(|bytes| space.alloc(len(bytes)).unwrap());
        let last = space.alloc(len(50)).unwrap();
        let _ = order.map(|n: usize| space.free(regions[n].extent).unwrap());
        let gap = Extent::new(regions[0].extent.offset, len(600));
        assert_eq!(space.gaps(), [gap], "{order:?}");
        let again = space.alloc(len(450)).unwrap();
        assert_eq!(again.extent, Extent::new(gap.offset, len(450)));
        assert_eq!(space.locate(again.id), Ok(again.extent));
        assert!(regions.iter().all(|old| space.locate(old.id).is_err()));
        assert_eq!(space.locate(last.id), Ok(last.extent));
        assert_eq!(space.free_bytes(), len(150));
    }
}

#[test]
fn a_restored_allocator_answers_as_the_old_one_did() {
    let ids = OmniBlockAllocator::new();
    let live: Vec<ObjectId> = (0..3000u64)
        .map(|n| ids.alloc(len(n * n % 2_000_000)).unwrap())
        .collect();
    let (freed, kept): (Vec<ObjectId>, Vec<ObjectId>) =
        live.iter().partition(|id| id.get() % 3 == 0);
    freed.iter().for_each(|id| ids.free(*id).unwrap());
    let restored = OmniBlockAllocator::builder()
        .restore(&ids.snapshot())
        .unwrap();
    for id in &kept {
        assert_eq!(restored.locate(*id), ids.locate(*id));
    }
    assert!(
        freed
            .iter()
            .all(|id| restored.locate(*id).is_err() && restored.free(*id).is_err())
    );
    assert_eq!(
        (restored.len(), restored.root().gaps()),
        (ids.len(), ids.root().gaps())
    );
}

// -------------------------------------------------------------------- membership

/// The four boundaries of a range of ids; and to be in it is not to be allocated.
#[test]
fn ids_at_the_boundaries_of_a_range_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::new().durability(Durability::None);
    let store = options.create(dir.path().join("objects")).unwrap();
    // The whole range: 64 KiB of slots of 64 bytes, in whatever order.
    let mut all: Vec<ObjectId> = (0..1024).map(|_| store.put([2; 40]).unwrap()).collect();
    all.sort_unstable();
    let (first, last) = (all[0], all[1023]);
    assert_eq!(last.get() - first.get(), 1023);
    let before = ObjectId::new(first.get() - 1).unwrap();
    let after = last.checked_add(1).unwrap();
    for outside in [before, after, ObjectId::MIN, ObjectId::MAX] {
        let is_unknown =
            |e: Option<StoreError>| matches!(e, Some(StoreError::Unknown(id)) if id == outside);
        assert!(is_unknown(store.get(outside).err()), "{outside:?}");
        assert!(is_unknown(store.extent(outside).err()), "{outside:?}");
    }
    assert_eq!(store.get(first).unwrap(), vec![2; 40]);
    assert_eq!(store.get(last).unwrap(), vec![2; 40]);
    store.delete(last).unwrap();
    assert!(matches!(store.get(last), Err(StoreError::Freed(id)) if id == last));
    let (a, b) = (store.extent(first).unwrap(), store.extent(all[1]).unwrap());
    assert_eq!(b.offset.get() - a.offset.get(), 64);
}

// -------------------------------------------------------------------- the router

fn disjoint(store: &MultiStore, ids: &[ObjectId]) {
    let extents = ids.iter().map(|id| store.extent(*id).unwrap());
    let mut extents: Vec<_> = extents
        .map(|e| (e.offset.get(), e.end().unwrap().get()))
        .collect();
    extents.sort_unstable();
    // A header of 16 bytes stands before each.
    let apart = |pair: &[(u64, u64)]| pair[0].1 + 16 <= pair[1].0;
    assert!(extents.windows(2).all(apart));
}

fn bytes(n: usize, lens: &[usize]) -> Vec<u8> {
    let len = lens[n % lens.len()];
    (0..len).map(|at| (at + n * 131 + n / 256) as u8).collect()
}

/// Three classes and what is above them, 33,000 objects; some deleted, and others in their places.
#[test]
fn no_two_of_33_000_objects_share_a_byte() {
    const LENS: [usize; 8] = [10, 48, 49, 200, 240, 241, 1000, 3000];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let classes = SizeClasses::new([64, 256, 1024].map(len)).unwrap();
    let options = StoreOptions::new()
        .size_classes(classes)
        .durability(Durability::None);
    let store = options.create(&path).unwrap();
    let put = |store: &MultiStore, n: usize| (store.put(bytes(n, &LENS)).unwrap(), n);
    let mut objects: Vec<_> = (0..33_000).map(|n| put(&store, n)).collect();
    for n in 0..5000 {
        let (id, _) = objects.swap_remove(n * 5 % objects.len());
        store.delete(id).unwrap();
        objects.push(put(&store, 40_000 + n));
    }
    let check = |store: &MultiStore| {
        let ids: Vec<ObjectId> = objects.iter().map(|(id, _)| *id).collect();
        disjoint(store, &ids);
        assert_eq!(store.len(), 33_000);
        for (id, n) in &objects {
            assert_eq!(store.get(*id).unwrap(), bytes(*n, &LENS), "{id:?}");
        }
    };
    check(&store);
    let extents: Vec<_> = objects
        .iter()
        .map(|(id, _)| store.extent(*id).unwrap())
        .collect();
    drop(store);
    let store = MultiStore::open(&path).unwrap();
    check(&store);
    let again: Vec<_> = objects
        .iter()
        .map(|(id, _)| store.extent(*id).unwrap())
        .collect();
    assert_eq!(extents, again);
}

/// A session after another, of the same work: the file does not grow.
#[test]
fn the_file_does_not_grow_from_session_to_session() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects");
    let mut lens = Vec::new();
    for session in 0..8 {
        let options = StoreOptions::new()
            .journal(256 << 10)
            .durability(Durability::Buffered);
        let store = options.open_or_create(&path).unwrap();
        let ids: Vec<_> = (0..3000usize)
            .map(|n| store.put(bytes(n + session, &[5, 60, 900, 5000])).unwrap())
            .collect();
        let large = store.put(vec![7; 3 << 20]).unwrap();
        store.overwrite(large, vec![8; 2 << 20]).unwrap();
        drop(store.create_writer(2 << 20).unwrap());
        ids.iter()
            .chain([&large])
            .for_each(|id| store.delete(*id).unwrap());
        assert!(store.is_empty());
        drop(store);
        lens.push(std::fs::metadata(&path).unwrap().len());
    }
    assert!(lens[7] <= lens[1] + (lens[1] >> 4), "{lens:?}");
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 1, "temporary files");
}
