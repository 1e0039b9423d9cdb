//! Files that are damaged: every part of a small store's file rots, bit by bit, is cut off at every
//! length, and is replaced by others. What is read is right, or a typed error: never other bytes.
//!
//! Every bit that says something is tried, and some of those that say nothing; `MAPLESS_ROT=all`
//! tries them all.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/layout.rs"]
mod layout;
#[path = "support/sample.rs"]
mod sample;

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use forgetful::{Event, Forgetful, Moment};
use layout::{JOURNAL, SIZE};
use mapless::{MultiStore, StoreError};
use sample::{Sample, content, formatted, found, is, options, sample};

fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged(_) | StoreError::NotAStore)
}

/// What a store over these bytes has, for writers and for readers: nothing where both say that it
/// is damaged.
fn opened(bytes: &[u8]) -> Option<Vec<MultiStore>> {
    let disk = || Arc::new(Forgetful::new(bytes.to_vec()));
    let both = [
        options().open_read_only_on(disk()),
        options().open_on(disk()),
    ];
    match both {
        [Ok(one), Ok(two)] => Some(vec![one, two]),
        [Err(one), Err(two)] => {
            assert!(is_damage(&one) && is_damage(&two), "{one:?}, {two:?}");
            None
        }
        [one, two] => panic!("{one:?} to read, {two:?} to write"),
    }
}

/// Which bits are tried of which bytes.
#[derive(Clone)]
struct Part {
    bytes: Range<usize>,
    every_bit: bool,
    /// Every byte, or one of so many.
    step: usize,
    /// Whether the last operation may be missing.
    may_lose: bool,
}

fn tried(part: &Part) -> Vec<(usize, u8)> {
    let all = part.every_bit || std::env::var_os("MAPLESS_ROT").is_some();
    let bits = |at: usize| {
        if all {
            0..8
        } else {
            (at % 8) as u8..(at % 8) as u8 + 1
        }
    };
    let bytes = part.bytes.clone().step_by(if all { 1 } else { part.step });
    bytes
        .flat_map(|at| bits(at).map(move |bit| (at, bit)))
        .collect()
}

/// Everything but the objects' bytes.
fn metadata(sample: &Sample) -> Vec<Part> {
    let bytes = &sample.bytes;
    let part = |bytes: Range<usize>, every_bit| Part {
        bytes,
        every_bit,
        step: if every_bit { 1 } else { 5 },
        may_lose: false,
    };
    let mut parts = Vec::new();
    for at in [0, SIZE] {
        parts.push(part(at..at + 136, true));
        parts.push(part(at + 136..at + SIZE - 4, false));
        parts.push(part(at + SIZE - 4..at + SIZE, true));
    }
    let mut end = JOURNAL;
    let records = layout::records(bytes);
    for (n, record) in records.iter().enumerate() {
        end = end.max(record.end);
        parts.push(Part {
            bytes: record.clone(),
            // The bytes of long overwrites are many.
            every_bit: record.len() < 500,
            step: 1,
            may_lose: n + 1 == records.len(),
        });
    }
    let ring = layout::get(bytes, layout::newest(bytes) + 72) as usize;
    parts.push(part(end..JOURNAL + ring, false));
    let catalog = layout::catalog(bytes).unwrap();
    parts.push(part(catalog.clone(), true));
    parts.push(part(layout::catalogs(bytes).unwrap(), false));
    for at in layout::pages(bytes) {
        parts.push(part(at..at + 40, true));
        parts.push(part(at + SIZE..at + SIZE + 40, true));
        parts.push(part(at..at + 2 * SIZE, false));
    }
    parts
}

/// How many were refused, and how many answered.
fn rot_metadata(sample: &Sample, parts: &[Part]) -> [usize; 2] {
    let (mut counts, mut bytes) = ([0; 2], sample.bytes.clone());
    for part in parts {
        for (at, bit) in tried(part) {
            bytes[at] ^= 1 << bit;
            let stores = opened(&bytes);
            bytes[at] ^= 1 << bit;
            counts[usize::from(stores.is_some())] += 1;
            for store in stores.iter().flatten() {
                let found = found(store);
                let whole = is(&found, &sample.objects) == Some(0)
                    || part.may_lose && is(&found, &sample.before) == Some(0);
                assert!(whole, "byte {at}, bit {bit}: {:?}", found.keys());
            }
        }
    }
    counts
}

/// The parts, on two threads.
fn rot_all(closed: bool) {
    let parts = metadata(&sample(closed));
    let halves = [0, 1].map(|half| {
        // The samples are of other salts; what is where is the same.
        let parts: Vec<Part> = parts.iter().skip(half).step_by(2).cloned().collect();
        thread::spawn(move || rot_metadata(&sample(closed), &parts))
    });
    let counts = halves.map(|half| half.join().unwrap());
    let [refused, answered] = [0, 1].map(|n| counts[0][n] + counts[1][n]);
    println!("closed {closed}: {refused} files refused, {answered} read as they were");
    assert!(refused > 1000 && answered > 1000);
}

#[test]
fn a_closed_stores_metadata_rots() {
    rot_all(true);
}

#[test]
fn a_killed_stores_metadata_rots() {
    rot_all(false);
}

/// The objects' own bytes: one is damaged, and the others are not.
#[test]
fn the_objects_of_an_open_store_rot() {
    let sample = sample(true);
    let disk = Arc::new(Forgetful::new(sample.bytes));
    let store = options().open_on(disk.clone()).unwrap();
    let before = disk.bytes();
    for (id, bytes) in &sample.objects {
        let extent = store.extent(*id).unwrap();
        let slot = extent.offset.get() as usize;
        // The header; the list of those that have one; the bytes.
        let front = if extent.len.get() > 65_536 { 24 } else { 16 };
        for at in slot - front..slot + bytes.len() {
            let all = at < slot + 64;
            for bit in (0..8).filter(|bit| all || *bit == at % 8) {
                disk.rot(at, bit as u8);
                let read = store.get(*id);
                // The length is not verified where only it is asked for.
                let _ = store.object_len(*id);
                let piece = store.reader(*id).and_then(|mut reader| {
                    let mut all = Vec::new();
                    let read = std::io::Read::read_to_end(&mut reader, &mut all);
                    read.map(|_| all).map_err(|_| StoreError::Corrupt(*id))
                });
                disk.rot(at, bit as u8);
                let is_corrupt = |read: &Result<_, StoreError>| matches!(read, Err(StoreError::Corrupt(at)) if at == id);
                assert!(is_corrupt(&read.map(drop)), "{id:?}, byte {at}, bit {bit}");
                assert!(is_corrupt(&piece.map(drop)), "{id:?}, byte {at}, bit {bit}");
            }
        }
        assert_eq!(store.get(*id).unwrap(), bytes);
    }
    assert_eq!(disk.bytes(), before);
}

/// Objects rot while the store is killed: recovery loses none but the last one.
#[test]
fn the_objects_of_a_killed_store_rot() {
    let sample = sample(false);
    let store = options().open_read_only_on(Arc::new(Forgetful::new(sample.bytes.clone())));
    let store = store.unwrap();
    for (n, (id, content)) in sample.objects.iter().enumerate() {
        let slot = store.extent(*id).unwrap().offset.get() as usize;
        for at in (slot - 16..slot + content.len()).step_by(1 + content.len() / 50) {
            let mut bytes = sample.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            for store in opened(&bytes).expect("only an object is damaged") {
                let found = found(&store);
                let now = is(&found, &sample.objects).or(is(&found, &sample.before));
                assert!(now.is_some_and(|damaged| damaged <= 1), "{n}, byte {at}");
                let is_last = !sample.before.contains_key(id);
                assert!(is_last || found.contains_key(id), "{n}, byte {at}");
            }
        }
    }
}

/// A long overwrite's new bytes rot in the scratch area that its record names.
#[test]
fn what_waits_in_a_scratch_area_rots() {
    let sample = sample(false);
    let scratch = layout::records(&sample.bytes)
        .into_iter()
        .find(|record| layout::get_32(&sample.bytes, record.start + 24) == 5);
    let record = scratch.expect("the sample has a long overwrite");
    let id = layout::get(&sample.bytes, record.start + 32);
    let [at, len] = [64, 72].map(|at| layout::get(&sample.bytes, record.start + at) as usize);
    for at in (at..at + len).step_by(611).chain(at..at + 30) {
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        for store in opened(&bytes).expect("only an object is damaged") {
            let found = found(&store);
            let damaged = is(&found, &sample.objects).expect("the others are not");
            let one = found.iter().find(|(id_, _)| id_.get() == id).unwrap();
            // What is behind the list's own checksums is read by nobody.
            assert_eq!(damaged, usize::from(one.1.is_none()), "byte {at}");
        }
    }
}

/// Power is lost between a long overwrite's record and its copy into the slot, and what the copy
/// was to be made of rots: the object is known to be damaged, and its old bytes do not come back.
#[test]
fn what_recovery_would_copy_from_a_scratch_area_rots() {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    let (old, new) = (content(1, 66_000), content(2, 65_950));
    let (id, other) = (store.put(&old).unwrap(), store.put(b"other").unwrap());
    let slot = store.extent(id).unwrap().offset.get() as usize;
    let before = disk.bytes();
    disk.forget();
    store.overwrite(id, &new).unwrap();
    // Up to the first write of the slot.
    let events = disk.events();
    let is_copy = |event: &Event| {
        matches!(event, Event::Write { offset, bytes }
            if (*offset..offset + bytes.len()).contains(&slot))
    };
    let copied = events.iter().position(is_copy).expect("it is copied");
    let mut moment = Moment::new(before);
    events[..copied].iter().for_each(|event| moment.step(event));
    let bytes = moment.current();
    let records = layout::records(&bytes);
    let record = records.last().unwrap().start;
    assert_eq!(layout::get_32(&bytes, record + 24), 5);
    let [at, len] = [64, 72].map(|at| layout::get(&bytes, record + at) as usize);
    for store in opened(&bytes).expect("nothing is damaged") {
        assert_eq!(store.get(id).unwrap(), new);
    }
    let mut damaged = 0;
    for at in (at..at + len).step_by(601).chain(at..at + 40) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        for store in opened(&bytes).expect("only an object is damaged") {
            assert_eq!(store.get(other).unwrap(), &b"other"[..]);
            assert_eq!(store.len(), 2);
            let answer = store.get(id);
            assert!(
                matches!(answer, Err(StoreError::Corrupt(at)) if at == id),
                "byte {at}: {answer:?}"
            );
            damaged += 1;
            if let Ok(scrubbed) = store.check() {
                assert_eq!(scrubbed.corrupt.len(), 1);
            }
        }
    }
    assert!(damaged > 200, "{damaged}");
}

#[test]
fn files_are_cut_off_at_every_length() {
    for closed in [true, false] {
        let sample = sample(closed);
        let len = sample.bytes.len();
        // Around every border of a sector, and everywhere where things are small.
        let near = |at: &usize| *at < JOURNAL + 4096 || at % 512 < 2 || at % 512 == 511;
        for at in (0..len).filter(near).chain(len - 600..len) {
            let stores = opened(&sample.bytes[..at]);
            let lost_nothing = |store: &MultiStore| {
                let found = found(store);
                // What ends with the file may be the last object's.
                is(&found, &sample.objects)
                    .or(is(&found, &sample.before))
                    .is_some()
            };
            assert!(
                stores.iter().flatten().all(lost_nothing),
                "{closed}, {at} bytes"
            );
            assert!(stores.is_none(), "{closed}: {at} of {len} bytes were taken");
        }
    }
}

#[test]
fn what_is_no_store_is_told() {
    let open = |bytes: Vec<u8>| options().open_on(Arc::new(Forgetful::new(bytes))).err();
    let mut random = fastrand::Rng::with_seed(3);
    for len in [0, 1, 8, 4096, 8191, 8192, 8193, 100_000, 300_000] {
        for fill in [0, 0xFF] {
            let error = open(vec![fill; len]);
            assert!(
                matches!(error, Some(StoreError::NotAStore)),
                "{len}: {error:?}"
            );
        }
        for _ in 0..50 {
            let bytes = (0..len).map(|_| random.u8(..)).collect();
            let error = open(bytes);
            assert!(
                matches!(error, Some(StoreError::NotAStore)),
                "{len}: {error:?}"
            );
        }
    }
    let mut text = b"MAPLESS\n".to_vec();
    text.resize(9000, b' ');
    assert!(matches!(open(text), Some(StoreError::Damaged(_))));
}

#[test]
fn other_versions_and_unknown_features_are_told() {
    let sample = sample(true);
    let with = |at: usize, number: u64| {
        let mut bytes = sample.bytes.clone();
        for superblock in [0, SIZE] {
            layout::set(&mut bytes, superblock + at, 4, number);
            layout::seal_superblock(&mut bytes, superblock);
        }
        let disk = || Arc::new(Forgetful::new(bytes.clone()));
        let (one, two) = (disk(), disk());
        let said = (
            options().open_on(one.clone()).err(),
            options().open_read_only_on(two).err(),
        );
        if said.0.is_some() {
            assert_eq!(one.bytes(), bytes, "nothing was written");
        }
        said
    };
    for version in [0, 2, u64::from(u32::MAX)] {
        let (write, read) = with(8, version);
        for error in [write, read] {
            let told = matches!(error, Some(StoreError::Version(v)) if u64::from(v) == version);
            assert!(told, "{error:?}");
        }
    }
    assert!(matches!(with(12, 5), (None, None)), "may be unknown");
    let (write, read) = with(16, 5);
    assert!(matches!(write, Some(StoreError::Features(5))), "{write:?}");
    assert!(read.is_none(), "{read:?}");
    let (write, read) = with(20, 5);
    assert!(matches!(write, Some(StoreError::Features(5))), "{write:?}");
    assert!(matches!(read, Some(StoreError::Features(5))), "{read:?}");
}

/// A checkpoint that the newest superblock rots away from is found again by the one before it.
#[test]
fn one_superblock_is_enough() {
    for closed in [true, false] {
        let sample = sample(closed);
        for at in [0, SIZE] {
            let mut bytes = sample.bytes.clone();
            bytes[at..at + SIZE].fill(0);
            for store in opened(&bytes).into_iter().flatten() {
                assert_eq!(
                    is(&found(&store), &sample.objects),
                    Some(0),
                    "{closed} {at}"
                );
            }
        }
    }
}

/// Nothing is rolled back to the session before where the first checkpoint of this one rots.
#[test]
fn a_session_is_not_forgotten_with_its_superblock() {
    let disk = Arc::new(Forgetful::new(sample(true).bytes));
    let before = found(&options().open_on(disk.clone()).unwrap());
    let store = options().open_on(disk.clone()).unwrap();
    let id = store.put(b"acknowledged").unwrap();
    let bytes = disk.bytes();
    for at in [0, SIZE] {
        let mut bytes = bytes.clone();
        bytes[at + 50] ^= 1;
        for store in opened(&bytes).into_iter().flatten() {
            assert_eq!(store.get(id).unwrap(), &b"acknowledged"[..]);
            assert_eq!(store.len() as usize, before.len() + 1);
        }
    }
}
