//! How large the files are, over what is in them; of ours, without its journal.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mapless::StoreError;
use tempfile::TempDir;

use super::{OURS, PAYLOAD, everyone, folder};
use crate::Config;
use crate::memory::uncounted;
use crate::ours_store;
use crate::peers::stores::{Open, Use};
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::sets::{dice, log_uniform};

/// The bytes of the journal that a store has if nothing else is said.
const JOURNAL: u64 = 16 << 20;
/// Source files that are looked for.
const FILES: usize = 5000;
/// Loaded at once, at most.
const AT_ONCE: usize = 4 << 20;

/// Objects of 64 B, log-uniform ones up to 64 KiB, and source files.
pub fn size(config: Config) -> Report {
    uncounted(|| {
        let mut report = small(config);
        report.append(mixed(config));
        report.append(reserved(config));
        report.append(sources(config));
        report
    })
}

/// Allocated and apparent bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    allocated: u64,
    apparent: u64,
}

impl Size {
    fn of(folder: &Path) -> Self {
        let mut sum = Self::default();
        for entry in fs::read_dir(folder).expect("it is there") {
            let entry = entry.expect("it can be read");
            let about = entry.metadata().expect("it can be asked");
            let Self {
                allocated,
                apparent,
            } = if about.is_dir() {
                Self::of(&entry.path())
            } else {
                Self::of_file(&about)
            };
            sum.allocated += allocated;
            sum.apparent += apparent;
        }
        sum
    }

    fn of_file(about: &Metadata) -> Self {
        Self {
            allocated: about.blocks() * 512,
            apparent: about.len(),
        }
    }

    /// What is bare of a journal, beside what is allowed anyway.
    fn less(self, bytes: u64) -> Self {
        Self {
            allocated: self.allocated.saturating_sub(bytes),
            apparent: self.apparent.saturating_sub(bytes),
        }
    }
}

/// One contender's folder after everything was put there, and the store closed.
fn fill(open: Open, objects: &[&[u8]]) -> TempDir {
    let folder = folder();
    let store = open(folder.path(), Use::Bulk);
    let mut rest = objects;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|one| {
            bytes += one.len();
            bytes <= AT_ONCE
        });
        let n = fits.count().clamp(1, super::BATCH);
        store.load(&rest[..n]);
        rest = &rest[n..];
    }
    store.sync();
    drop(store);
    folder
}

/// The lines of ours, and notes of the others; `free` bytes are allowed beside the journal.
fn beside(what: &str, objects: &[&[u8]], most: f64, free: u64) -> Report {
    let payload: u64 = objects.iter().map(|one| one.len() as u64).sum();
    let work = format!("file over payload, {} {what}", objects.len());
    let mut report = Report::default();
    for (name, open) in everyone() {
        let size = Size::of(fill(open, objects).path());
        if name == OURS {
            report.append(ours(&work, size.less(JOURNAL + free), payload, most));
            continue;
        }
        let ratio = size.allocated as f64 / payload as f64;
        let work = format!("{work}, allocated");
        report.note(&work, "x", [Series::new(name, vec![ratio])]);
    }
    report
}

fn ours(work: &str, size: Size, payload: u64, most: f64) -> Report {
    let mut report = Report::default();
    let both = [("allocated", size.allocated), ("apparent", size.apparent)];
    for (kind, bytes) in both {
        let ratio = Series::new(OURS, vec![bytes as f64 / payload as f64]);
        let line = Line::absolute(format!("{work}, {kind}"), &ratio, most);
        report.lines.push(line.in_unit("x"));
    }
    report
}

fn small(config: Config) -> Report {
    let objects = vec![&PAYLOAD[..]; config.size(1_000_000)];
    beside("objects of 64 B", &objects, 1.3, 0)
}

/// 64 B to 64 KiB.
fn lens(n: usize) -> Vec<usize> {
    let mut dice = dice(12);
    let mut len = || {
        let fine = log_uniform(&mut dice, 30) as f64;
        // 2^6 to 2^16, with all the lengths between.
        (6.0 + fine.log2() / 3.0).exp2() as usize
    };
    (0..n).map(|_| len()).collect()
}

/// A twentieth of a million, whose bytes are all written, beside the others.
fn mixed(config: Config) -> Report {
    let lens = lens(config.size(50_000));
    let bytes: Vec<u8> = (0..1_u64 << 16).map(|at| ((at * at) >> 7) as u8).collect();
    let objects: Vec<&[u8]> = lens.iter().map(|len| &bytes[..*len]).collect();
    beside("objects of 64 B to 64 KiB", &objects, 1.25, 0)
}

/// A million, whose slots are given out and not written: that takes the same space, and less time.
fn reserved(config: Config) -> Report {
    let mut n = config.size(1_000_000);
    loop {
        match try_reserved(n) {
            Ok(report) => return report,
            // The disk here is too small for that many.
            Err(StoreError::NoSpace) => n /= 4,
            Err(error) => panic!("slots can be reserved: {error}"),
        }
    }
}

fn try_reserved(n: usize) -> Result<Report, StoreError> {
    let folder = folder();
    let store = ours_store::open(folder.path(), Use::Bulk);
    let lens = lens(n);
    for len in &lens {
        store.allocate(*len as u64)?;
    }
    let (size, payload) = (Size::of(folder.path()), lens.iter().sum::<usize>() as u64);
    let work = format!("file over payload, {n} objects of 64 B to 64 KiB, slots reserved");
    Ok(ours(&work, size.less(JOURNAL), payload, 1.25))
}

/// Rust's own sources and its packages', as many as there are here.
fn sources(config: Config) -> Report {
    let mut files = Vec::new();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home =
        home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let roots = [
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("src")),
        home.map(|home| home.join("registry").join("src")),
    ];
    for root in roots.into_iter().flatten() {
        find(&root, config.size(FILES), &mut files);
    }
    let objects: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    beside("source files, 1 MiB apart", &objects, 1.5, 1 << 20)
}

fn find(folder: &Path, most: usize, files: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if files.len() == most {
            return;
        }
        if path.is_dir() {
            find(&path, most, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.extend(fs::read(&path));
        }
    }
}
