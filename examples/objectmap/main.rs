//! From real files to ids and back, without an object map.
//!
//! ```text
//! cargo run --release --example objectmap -- DIR...
//! ```
//! Walks the directories (by default this crate's sources and the registry sources of cargo),
//! gives every file an id by its size, writes the bytes into one file at the derived extents,
//! reads every one back by its id alone and compares checksums; deletes a random third, puts them
//! in again where there is room, and verifies once more. Then it allocates 2.65 million objects
//! of the same sizes and holds the allocator against a `HashMap` object map.

mod compare;
mod files;
mod roundtrip;

use std::path::PathBuf;

use anyhow::{Context, Result};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// As many objects as the store had whose map took 105 MB.
const OBJECTS: usize = 2_650_000;

fn main() -> Result<()> {
    let dirs: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let dirs = if dirs.is_empty() {
        files::default_dirs()
    } else {
        dirs
    };
    let objects = std::env::var("OBJECTMAP_OBJECTS").ok();
    let objects = match objects {
        Some(text) => text.parse().context("OBJECTMAP_OBJECTS is not a number")?,
        None => OBJECTS,
    };

    let files = files::walk(&dirs)?;
    roundtrip::run(&files)?;
    compare::run(&files, objects)
}
