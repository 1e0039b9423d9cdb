//! Requests in a row, from a file or made up.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The capacities of the bars, as parts of the unique keys (of the footprint where sized).
pub const PARTS: [f64; 3] = [0.001, 0.01, 0.1];

/// Capacities of fewer entries are skipped.
const LEAST_ENTRIES: f64 = 32.0;

/// One capacity of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Which part of the unique keys or of the footprint it is.
    pub part: f64,
    /// In entries or, if sized, in bytes.
    pub capacity: u64,
    /// About how many entries it is.
    pub entries: u64,
}

/// Requests, each a lookup that inserts on a miss.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it is called in tables.
    pub name: String,
    /// Keys, numbered in the order of their first appearance.
    pub keys: Vec<u32>,
    /// The size with each request, if they have any.
    pub sizes: Option<Vec<u32>>,
    /// How many keys there are.
    pub unique: usize,
    /// What all of them weigh, as they first appear.
    pub footprint: u64,
}

impl Trace {
    /// Of keys as they come, numbered here.
    #[must_use]
    pub fn new(name: &str, keys: impl IntoIterator<Item = u64>, sizes: Option<Vec<u32>>) -> Self {
        let mut numbers = HashMap::new();
        let mut footprint = 0;
        let keys = keys.into_iter().enumerate().map(|(at, key)| {
            let next = numbers.len() as u32;
            *numbers.entry(key).or_insert_with(|| {
                footprint += sizes
                    .as_ref()
                    .map_or(1, |sizes| u64::from(sizes[at].max(1)));
                next
            })
        });
        let keys = keys.collect();
        Self {
            name: name.into(),
            keys,
            sizes,
            unique: numbers.len(),
            footprint,
        }
    }

    /// From a file: little-endian records of a key (8 bytes) and, if `.u64u32` is in its name, a
    /// size (4 bytes), compressed if the name ends in `.zst`.
    ///
    /// # Errors
    /// What reading yields; `InvalidData` if the last record is cut off.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.split('.').next().unwrap_or_default();
        let mut bytes = Vec::new();
        let plain = BufReader::new(File::open(path)?);
        if file.ends_with(".zst") {
            zstd::Decoder::with_buffer(plain)?.read_to_end(&mut bytes)?;
        } else {
            { plain }.read_to_end(&mut bytes)?;
        }
        let sized = file.contains(".u64u32");
        let records = bytes.chunks_exact(if sized { 12 } else { 8 });
        if !records.remainder().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "half a record"));
        }
        let keys = records
            .clone()
            .map(|r| u64::from_le_bytes(r[..8].try_into().expect("8")));
        let size = |r: &[u8]| u32::from_le_bytes(r[8..].try_into().expect("4"));
        let sizes = sized.then(|| records.clone().map(size).collect());
        Ok(Self::new(name, keys, sizes))
    }

    /// Every request: its key and size.
    pub fn requests(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let sizes = self.sizes.as_deref();
        let size = move |at: usize| sizes.map_or(1, |sizes| u64::from(sizes[at].max(1)));
        self.keys
            .iter()
            .enumerate()
            .map(move |(at, &key)| (key, size(at)))
    }

    /// The capacities to run at: of these parts, those that are not too small.
    #[must_use]
    pub fn sizes_at(&self, parts: &[f64]) -> Vec<Size> {
        let keys = self.unique as f64;
        let large = parts.iter().filter(|&&part| keys * part >= LEAST_ENTRIES);
        let size = |&part: &f64| Size {
            part,
            capacity: (self.footprint as f64 * part) as u64,
            entries: (keys * part) as u64,
        };
        large.map(size).collect()
    }
}
