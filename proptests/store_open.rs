//! Any bytes are a valid input to a store's opening: an error or a store, whatever stands there.
//!
//! Properties
//! * F1  Nothing panics: not the opening, not what is done with a store that was opened.
//! * F2  An opening allocates no more than the file's length justifies.
//! * F3  Where no checksum was made good, an object is what was once written under its id, or an error.
//! * F4  A refused file is left as it was.
//!
//! Valid files are changed: numbers, bytes, parts of one file in another, lengths; of half of them the
//! checksums are made good again. One test, since the allocator counts for all.

#[path = "../tests/support/forgetful.rs"]
mod forgetful;
#[path = "../tests/support/layout.rs"]
mod layout;
#[path = "../tests/support/sample.rs"]
mod sample;

use std::io::Read;
use std::sync::{Arc, OnceLock};

use forgetful::Forgetful;
use mapless::{MultiStore, ObjectId, StoreError};
use quickcheck::{Arbitrary, Gen, QuickCheck, TestResult};
use sample::{Sample, formatted, options, sample};

#[global_allocator]
static GLOBAL: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// All that an opening allocates, freed meanwhile or not, for each byte of the file, and beside that.
const A_BYTE: usize = 24;
const BESIDE: usize = 256 << 10;

/// A place in a file: where something is that says something, mostly.
#[derive(Clone, Copy, Debug)]
enum Place {
    Superblock(u8, u16),
    Catalog(u16),
    Record(u8, u16),
    Page(u8, u16),
    Any(u32),
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Number(Place, u64, bool),
    Bit(Place, u8),
    Fill(Place, u16, u8),
    /// A part of the other file.
    Splice(Place, Place, u16),
    Cut(u32),
    Grow(u32),
}

#[derive(Clone, Debug)]
struct Input {
    closed: bool,
    changes: Vec<Change>,
    repaired: bool,
}

impl Arbitrary for Place {
    fn arbitrary(g: &mut Gen) -> Self {
        let (n, at) = (u8::arbitrary(g), u16::arbitrary(g));
        match u8::arbitrary(g) % 16 {
            0..=4 => Self::Superblock(n, if n % 8 == 0 { at } else { at % 136 }),
            5..=7 => Self::Catalog(at),
            8..=12 => Self::Record(n, at % 200),
            13 | 14 => Self::Page(n, if n % 8 == 0 { at } else { at % 64 }),
            _ => Self::Any(u32::arbitrary(g)),
        }
    }
}

impl Arbitrary for Change {
    fn arbitrary(g: &mut Gen) -> Self {
        let place = Place::arbitrary(g);
        match u8::arbitrary(g) % 16 {
            0..=8 => {
                let near = i64::arbitrary(g) % 3;
                let base: u64 = 1 << (u32::arbitrary(g) % 64);
                let small = u64::arbitrary(g) % 600_000;
                let around = [0, base, small, small & !4095, u64::arbitrary(g)];
                let number = g.choose(&around).unwrap().wrapping_add_signed(near);
                Self::Number(place, number, bool::arbitrary(g))
            }
            9..=11 => Self::Bit(place, u8::arbitrary(g) % 8),
            12 => Self::Fill(
                place,
                u16::arbitrary(g) % 300,
                *g.choose(&[0, 255, 7]).unwrap(),
            ),
            13 => Self::Splice(place, Place::arbitrary(g), u16::arbitrary(g)),
            14 => Self::Cut(u32::arbitrary(g)),
            _ => Self::Grow(u32::arbitrary(g) % 100_000),
        }
    }
}

impl Arbitrary for Input {
    fn arbitrary(g: &mut Gen) -> Self {
        let n = 1 + usize::arbitrary(g) % 4;
        Self {
            closed: bool::arbitrary(g),
            changes: (0..n).map(|_| Change::arbitrary(g)).collect(),
            repaired: bool::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let (all, this) = (self.changes.clone(), self.clone());
        let without = (0..all.len()).map(move |at| {
            let mut this = this.clone();
            this.changes.remove(at);
            this
        });
        Box::new(without)
    }
}

/// Where things are in a valid file.
struct Base {
    sample: Sample,
    catalog: usize,
    records: Vec<usize>,
    pages: Vec<usize>,
}

fn base(closed: bool) -> &'static Base {
    static BASES: OnceLock<[Base; 2]> = OnceLock::new();
    let base = |closed| {
        let sample = sample(closed);
        let records = layout::records(&sample.bytes);
        Base {
            catalog: layout::catalog(&sample.bytes).unwrap().start,
            records: records.iter().map(|record| record.start).collect(),
            pages: layout::pages(&sample.bytes),
            sample,
        }
    };
    &BASES.get_or_init(|| [base(false), base(true)])[usize::from(closed)]
}

impl Base {
    fn at(&self, place: Place) -> usize {
        let one = |all: &[usize], n: u8| all.get(usize::from(n) % all.len().max(1)).copied();
        let at = match place {
            Place::Superblock(n, at) => usize::from(n) % 2 * layout::SIZE + usize::from(at) % 4096,
            Place::Catalog(at) => self.catalog + usize::from(at) % 320,
            Place::Record(n, at) => one(&self.records, n).unwrap_or(0) + usize::from(at),
            Place::Page(n, at) => one(&self.pages, n / 2).unwrap_or(0) + usize::from(at) % 8192,
            Place::Any(at) => at as usize,
        };
        at % self.sample.bytes.len()
    }

    fn change(&self, bytes: &mut Vec<u8>, change: Change, other: &Self) {
        let len = bytes.len();
        match change {
            Change::Number(place, number, half) => {
                // Numbers stand at multiples of their length.
                let size = if half { 4 } else { 8 };
                let at = self.at(place) / size * size;
                if at + size <= len {
                    layout::set(bytes, at, size, number);
                }
            }
            Change::Bit(place, bit) => {
                if let Some(byte) = bytes.get_mut(self.at(place)) {
                    *byte ^= 1 << bit;
                }
            }
            Change::Fill(place, n, with) => {
                let at = self.at(place).min(len);
                let end = (at + usize::from(n)).min(len);
                bytes[at..end].fill(with);
            }
            Change::Splice(from, to, n) => {
                let (from, to) = (other.at(from), self.at(to).min(len));
                let there = &other.sample.bytes[from..];
                let n = usize::from(n).min(there.len()).min(len - to);
                bytes[to..to + n].copy_from_slice(&there[..n]);
            }
            Change::Cut(to) => bytes.truncate(to as usize % (len + 1)),
            Change::Grow(by) => bytes.resize(len + by as usize, 0),
        }
    }

    /// Makes checksums good: of what is where it was.
    fn repair(&self, bytes: &mut [u8]) {
        if bytes.len() < self.sample.bytes.len() {
            return;
        }
        for page in &self.pages {
            layout::seal_page(bytes, *page);
            layout::seal_page(bytes, page + layout::SIZE);
        }
        for superblock in [0, layout::SIZE] {
            layout::seal_superblock(bytes, superblock);
        }
        layout::seal_catalog(bytes);
        for record in &self.records {
            let len = layout::get_32(bytes, record + 4) as usize;
            let end = record.saturating_add(len);
            if len >= 32 && end <= bytes.len() {
                layout::seal_record(bytes, *record..end);
            }
        }
    }
}

/// F1, and F3 by what was ever written.
fn use_it(store: &MultiStore, ever: Option<&[(ObjectId, Vec<u8>)]>) {
    let ids: Vec<_> = store.ids().take(30).collect();
    for id in ids.iter().copied().chain(store.root()) {
        let _ = (store.object_len(id), store.extent(id));
        let mut all = Vec::new();
        let read = store
            .reader(id)
            .map(|mut reader| reader.read_to_end(&mut all));
        let whole = matches!(read, Ok(Ok(_))).then_some(&all[..]);
        let got = store.get(id).ok();
        for bytes in got.as_deref().into_iter().chain(whole) {
            let is_one =
                |ever: &[(ObjectId, Vec<u8>)]| ever.iter().any(|(of, b)| *of == id && b == bytes);
            assert!(ever.is_none_or(is_one), "F3: {id:?}, {} bytes", bytes.len());
        }
    }
    let more = [
        store.put(b"more"),
        store.put([7; 650]),
        store.put([7; 3000]),
    ];
    for id in more.iter().flatten() {
        assert!(!ids.contains(id), "F3: {id:?} is another object's");
        assert!(store.get(*id).is_ok(), "F3: {id:?}");
    }
    if let Some(id) = ids.first() {
        let _ = (store.overwrite(*id, b"other"), store.delete(*id));
    }
    let _ = (store.checkpoint(), store.put(b"again"), store.sync());
}

fn check(input: Input) -> TestResult {
    let (own, other) = (base(input.closed), base(!input.closed));
    let mut bytes = own.sample.bytes.clone();
    for change in &input.changes {
        own.change(&mut bytes, *change, other);
    }
    if input.repaired {
        own.repair(&mut bytes);
    }
    let ever = (!input.repaired).then_some(&own.sample.ever[..]);
    for read_only in [true, false] {
        let disk = Arc::new(Forgetful::new(bytes.clone()));
        let region = stats_alloc::Region::new(GLOBAL);
        let store = if read_only {
            options().open_read_only_on(disk.clone())
        } else {
            options().open_on(disk.clone())
        };
        let taken = region.change().bytes_allocated;
        let most = A_BYTE * bytes.len() + BESIDE;
        assert!(
            taken < most,
            "F2: {taken} bytes, for a file of {}",
            bytes.len()
        );
        match store {
            Ok(store) => use_it(&store, ever),
            Err(error) => {
                let odd = matches!(error, StoreError::Locked(_) | StoreError::Exists(_));
                assert!(!odd && !error.to_string().is_empty());
                assert!(disk.events().is_empty() || !read_only, "F4: {error}");
            }
        }
    }
    TestResult::passed()
}

#[test]
fn any_bytes_are_an_error_or_a_store() {
    assert!(!formatted().is_empty());
    let tests = std::env::var("MAPLESS_FUZZ").map_or(30_000, |n| n.parse().unwrap());
    let mut check_many = QuickCheck::new().tests(tests).max_tests(tests);
    check_many.quickcheck(check as fn(Input) -> TestResult);
}
