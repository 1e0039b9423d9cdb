//! Files that lie under good checksums: whatever a superblock, a catalog, a page or a record says,
//! opening the file is an error or gives a store, and never a panic; and no more memory is taken
//! than the file's length justifies. A file of its own, since the allocator counts for all tests of one.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/layout.rs"]
mod layout;
#[path = "support/sample.rs"]
mod sample;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use forgetful::Forgetful;
use layout::{SIZE, SUPERBLOCK, set};
use mapless::{MultiStore, StoreError};
use sample::{options, sample};

#[global_allocator]
static GLOBAL: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// All that an opening allocates, freed meanwhile or not, for each byte of the file.
const A_BYTE: usize = 24;

/// Numbers around what is there, and around what can be.
fn numbers(was: u64, len: u64) -> Vec<u64> {
    let around = [0, was, len, 1 << 32, 1 << 56, 1 << 63, 32_768, 8192];
    let around = around.into_iter().flat_map(|n: u64| {
        [
            n.wrapping_sub(1),
            n,
            n.wrapping_add(1),
            n ^ 8,
            n.wrapping_mul(2),
            n ^ 4096,
        ]
    });
    let mut all: Vec<u64> = around.filter(|n| *n != was).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[derive(Default, Debug)]
struct Tally {
    refused: usize,
    opened: usize,
}

/// What is tried with every file.
fn open(bytes: &[u8], what: &dyn std::fmt::Debug, tally: &mut Tally) {
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let before = Arc::new(Forgetful::new(bytes.to_vec()));
        let disks = [before, Arc::new(Forgetful::new(bytes.to_vec()))];
        let region = stats_alloc::Region::new(GLOBAL);
        let read = options().open_read_only_on(disks[0].clone());
        let write = options().open_on(disks[1].clone());
        let taken = region.change().bytes_allocated;
        let most = 2 * A_BYTE * bytes.len();
        assert!(taken < most, "{taken} bytes for a file of {}", bytes.len());
        for store in [read, write] {
            match store {
                Ok(store) => {
                    tally.opened += 1;
                    use_it(&store);
                }
                Err(error) => {
                    tally.refused += 1;
                    assert!(!matches!(
                        error,
                        StoreError::Locked(_) | StoreError::Exists(_)
                    ));
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }));
    assert!(tried.is_ok(), "{what:?}");
}

/// Nothing of it panics; what it answers may be anything.
fn use_it(store: &MultiStore) {
    let ids: Vec<_> = store.ids().take(20).collect();
    for id in ids.iter().copied().chain(store.root()) {
        let _ = (store.get(id), store.object_len(id), store.extent(id));
        let mut all = Vec::new();
        let _ = store
            .reader(id)
            .map(|mut reader| reader.read_to_end(&mut all));
    }
    let more = [
        store.put(b"more"),
        store.put([7; 650]),
        store.put([7; 3000]),
    ];
    for id in more.into_iter().flatten() {
        assert!(!ids.contains(&id));
    }
    if let Some(id) = ids.first() {
        let _ = (store.overwrite(*id, b"other"), store.delete(*id));
    }
    let _ = (store.checkpoint(), store.put(b"again"), store.sync());
}

fn lie_in(
    bytes: &[u8],
    fields: impl IntoIterator<Item = (usize, usize)>,
    tally: &mut Tally,
    seal: impl Fn(&mut [u8]),
) {
    for (at, len) in fields {
        let mut number = [0; 8];
        number[..len].copy_from_slice(&bytes[at..at + len]);
        for lie in numbers(u64::from_le_bytes(number), bytes.len() as u64) {
            let mut bytes = bytes.to_vec();
            set(&mut bytes, at, len, lie);
            seal(&mut bytes);
            open(&bytes, &(at, len, lie), tally);
        }
    }
}

fn lie(closed: bool) {
    let bytes = sample(closed).bytes;
    let mut tally = Tally::default();
    open(&bytes, &"as it was", &mut tally);
    assert_eq!(tally.opened, 2);

    let at = layout::newest(&bytes);
    let fields = SUPERBLOCK.map(|(field, len)| (at + field, len));
    lie_in(&bytes, fields, &mut tally, |bytes| {
        layout::seal_superblock(bytes, at)
    });
    println!("closed {closed}: superblocks: {tally:?}");

    // Its catalog, from the counts on: every number has four or eight bytes.
    let mut tally = Tally::default();
    let catalog = layout::catalog(&bytes).unwrap();
    let numbers = catalog.clone().step_by(4).map(|at| (at, 4));
    let words = catalog.clone().step_by(8).map(|at| (at, 8));
    lie_in(
        &bytes,
        numbers.chain(words),
        &mut tally,
        layout::seal_catalog,
    );
    for len in [
        0,
        1,
        24,
        32,
        catalog.len() - 8,
        catalog.len() + 8,
        4096,
        1 << 20,
    ] {
        let mut bytes = bytes.clone();
        set(&mut bytes, at + 88, 8, len as u64);
        layout::seal_catalog(&mut bytes);
        open(&bytes, &("catalog of", len), &mut tally);
    }
    println!("closed {closed}: catalogs: {tally:?}");

    let mut tally = Tally::default();
    for page in layout::pages(&bytes) {
        for copy in [page, page + SIZE] {
            let head = [(copy + 4, 4), (copy + 8, 8)];
            let words = (copy + 16..copy + 120).step_by(8).map(|at| (at, 8));
            lie_in(&bytes, head.into_iter().chain(words), &mut tally, |bytes| {
                layout::seal_page(bytes, copy);
            });
        }
    }
    println!("closed {closed}: pages: {tally:?}");

    let mut tally = Tally::default();
    for record in layout::records(&bytes) {
        // Long records are mostly objects' bytes.
        let end = record.end.min(record.start + 140);
        let numbers = (record.start + 4..end).step_by(4).map(|at| (at, 4));
        let words = (record.start + 8..end).step_by(8).map(|at| (at, 8));
        lie_in(&bytes, numbers.chain(words), &mut tally, |bytes| {
            layout::seal_record(bytes, record.clone());
        });
        // Every kind, in place of its own.
        for kind in 0..14 {
            for count in [0, 1, 2, 3, u64::from(u32::MAX)] {
                let mut bytes = bytes.clone();
                set(&mut bytes, record.start + 24, 4, kind);
                set(&mut bytes, record.start + 28, 4, count);
                layout::seal_record(&mut bytes, record.clone());
                open(&bytes, &("record", record.start, kind, count), &mut tally);
            }
        }
    }
    println!("closed {closed}: records: {tally:?}");
}

/// Of these bytes the store is opened, whole or with their checksums made good, and used.
#[test]
fn whatever_a_file_says_is_an_error_or_a_store() {
    lie(true);
    lie(false);
}
