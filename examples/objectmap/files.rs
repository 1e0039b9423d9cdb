//! The real files whose bytes are stored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use walkdir::WalkDir;

/// A file that was found, and its size when it was.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

/// This crate's sources and, where there are some, the registry sources of cargo.
pub(crate) fn default_dirs() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let registry = home.map(|home| home.join("registry/src"));
    let own = ["src", "benches", "loom-tests", "proptests"].map(|dir| here.join(dir));
    own.into_iter()
        .chain(registry)
        .filter(|dir| dir.is_dir())
        .collect()
}

/// All regular files below `dirs`.
pub(crate) fn walk(dirs: &[PathBuf]) -> Result<Vec<Found>> {
    let bar = ProgressBar::new_spinner().with_message("walking");
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut files = Vec::new();
    for entry in dirs.iter().flat_map(WalkDir::new) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let len = entry.metadata()?.len();
            files.push(Found {
                path: entry.into_path(),
                len,
            });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    ensure!(!files.is_empty(), "no file below {dirs:?}");
    let bytes: u64 = files.iter().map(|file| file.len).sum();
    println!(
        "{} files, {:.1} MB, below {dirs:?}",
        files.len(),
        bytes as f64 / 1e6
    );
    Ok(files)
}

/// A progress bar for `len` steps of `what`.
pub(crate) fn progress(len: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<28} {wide_bar} {pos}/{len} {elapsed}");
    ProgressBar::new(len as u64)
        .with_style(style.expect("a valid template"))
        .with_message(what)
}
