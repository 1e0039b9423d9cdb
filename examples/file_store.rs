//! A directory tree in one file: put in, killed in the middle, started again, read back and compared.
//!
//! ```sh
//! cargo run --release --example file_store -- DIR
//! ```
//!
//! Files are put 256 at a time, then a page of a table of contents that names them and the page
//! before it, then the root object is set to that page: so whoever starts again finds what is in,
//! and what was put and not named yet is deleted.

use std::alloc::System;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use mapless::{Durability, MultiStore, ObjectId, StoreOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// So many files go in at once.
const AT_ONCE: usize = 256;

#[derive(Parser)]
struct Args {
    /// What to put in (this crate's sources, and those of the crates that it uses).
    dirs: Vec<PathBuf>,
    /// Where the store is to be (a temporary directory).
    #[arg(long)]
    store: Option<PathBuf>,
    /// Put files in, and no more: what the program calls itself with, and kills.
    #[arg(long, hide = true)]
    ingest: bool,
}

/// A page of the table of contents.
struct Page {
    before: Option<ObjectId>,
    files: Vec<(ObjectId, PathBuf)>,
}

impl Page {
    fn to_bytes(&self) -> Vec<u8> {
        let before = self.before.map_or(0, ObjectId::get);
        let mut text = format!("{before}\n");
        for (id, path) in &self.files {
            text += &format!("{} {}\n", id.get(), path.display());
        }
        text.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut lines = std::str::from_utf8(bytes)?.lines();
        let before = lines.next().context("an empty page")?.parse()?;
        let files = lines.map(|line| {
            let (id, path) = line.split_once(' ').context("a line without a path")?;
            let id = ObjectId::new(id.parse()?).context("no id is 0")?;
            Ok((id, PathBuf::from(path)))
        });
        Ok(Self {
            before: ObjectId::new(before),
            files: files.collect::<Result<_>>()?,
        })
    }
}

/// What is in, and the pages that say so.
fn contents(store: &MultiStore) -> Result<(BTreeMap<PathBuf, ObjectId>, HashSet<ObjectId>)> {
    let (mut files, mut pages) = (BTreeMap::new(), HashSet::new());
    let mut next = store.root();
    while let Some(id) = next {
        ensure!(pages.insert(id), "the pages go round");
        let page = Page::from_bytes(&store.get(id)?)?;
        files.extend(page.files.into_iter().map(|(id, path)| (path, id)));
        next = page.before;
    }
    Ok((files, pages))
}

fn files_in(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let all = dirs.iter().flat_map(walkdir::WalkDir::new);
    let files = all
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    let mut files: Vec<PathBuf> = files
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.to_str().is_some_and(|path| !path.contains('\n')))
        .collect();
    files.sort();
    files
}

fn default_dirs() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let registry = cargo.or(home).map(|cargo| cargo.join("registry/src"));
    [Some(own), registry]
        .into_iter()
        .flatten()
        .filter(|dir| dir.is_dir())
        .collect()
}

fn open(path: &Path) -> Result<MultiStore> {
    let options = StoreOptions::new().durability(Durability::Buffered);
    Ok(options.open_or_create(path)?)
}

/// Puts in what is not in yet.
fn ingest(store: &MultiStore, files: &[PathBuf], quiet: bool) -> Result<u64> {
    let (known, pages) = contents(store)?;
    let named: HashSet<ObjectId> = known.values().copied().chain(pages).collect();
    let orphans: Vec<ObjectId> = store.ids().filter(|id| !named.contains(id)).collect();
    for id in &orphans {
        store.delete(*id)?;
    }
    let missing: Vec<&PathBuf> = files
        .iter()
        .filter(|path| !known.contains_key(*path))
        .collect();
    if !quiet {
        println!(
            "{} files are in; {} objects that no page names are deleted; {} files to go",
            known.len(),
            orphans.len(),
            missing.len()
        );
    }
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(missing.len() as u64)
    };
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} files {elapsed}",
    )?);
    let mut bytes = 0;
    for some in missing.chunks(AT_ONCE) {
        let read = some.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
        bytes += read.iter().map(|file| file.len() as u64).sum::<u64>();
        let ids = store.put_many(&read)?;
        let files = ids
            .into_iter()
            .zip(some.iter().map(|path| path.to_path_buf()));
        let page = Page {
            before: store.root(),
            files: files.collect(),
        };
        let page = store.put(page.to_bytes())?;
        store.set_root(Some(page))?;
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    Ok(bytes)
}

/// Compares every file with what its id gives back.
fn verify(store: &MultiStore, files: &[PathBuf]) -> Result<u64> {
    let (known, pages) = contents(store)?;
    let mut bytes = 0;
    for path in files {
        let id = *known
            .get(path)
            .with_context(|| format!("{} is missing", path.display()))?;
        let object = store.get(id)?;
        if object != fs::read(path)? {
            bail!("{} is not what was put in", path.display());
        }
        bytes += object.len() as u64;
    }
    ensure!(
        store.len() == (known.len() + pages.len()) as u64,
        "there is something else"
    );
    Ok(bytes)
}

/// Lets a child put files in, and kills it in the middle.
fn ingest_and_be_killed(path: &Path, dirs: &[PathBuf], size: u64) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--ingest")
        .arg("--store")
        .arg(path)
        .args(dirs)
        .stdout(Stdio::null())
        .spawn()?;
    loop {
        let len = fs::metadata(path).map_or(0, |file| file.len());
        if len > size / 3 + (17 << 20) || child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    println!("killed while it was writing");
    Ok(())
}

fn rate(bytes: u64, time: Duration) -> String {
    format!(
        "{}/s",
        HumanBytes((bytes as f64 / time.as_secs_f64()) as u64)
    )
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dirs = if args.dirs.is_empty() {
        default_dirs()
    } else {
        args.dirs
    };
    let files = files_in(&dirs);
    ensure!(!files.is_empty(), "there are no files in {dirs:?}");
    if args.ingest {
        let path = args.store.context("a store to put them in")?;
        ingest(&open(&path)?, &files, true)?;
        return Ok(());
    }
    let temporary = tempfile::tempdir()?;
    let path = args
        .store
        .unwrap_or_else(|| temporary.path().join("files.mapless"));
    let sizes = files.iter().filter_map(|path| fs::metadata(path).ok());
    let size = sizes.map(|file| file.len()).sum::<u64>();
    println!("{} files, {}, from {dirs:?}", files.len(), HumanBytes(size));

    ingest_and_be_killed(&path, &dirs, size)?;
    let begin = Instant::now();
    let store = open(&path)?;
    println!("opened again in {:?}, after the kill", begin.elapsed());
    let begin = Instant::now();
    let bytes = ingest(&store, &files, false)?;
    println!("put in at {}", rate(bytes, begin.elapsed()));
    store.close()?;

    let before = ALLOCATOR.stats();
    let begin = Instant::now();
    let store = open(&path)?;
    let opened = begin.elapsed();
    let after = ALLOCATOR.stats();
    let live = |stats: stats_alloc::Stats| stats.bytes_allocated - stats.bytes_deallocated;
    let memory = live(after).saturating_sub(live(before));
    let begin = Instant::now();
    let verified = verify(&store, &files)?;
    println!(
        "{} objects, {} verified byte for byte at {}",
        store.len(),
        HumanBytes(verified),
        rate(verified, begin.elapsed())
    );
    println!(
        "opened in {opened:?}; {} of memory, {:.2} bytes an object",
        HumanBytes(memory as u64),
        memory as f64 / store.len() as f64
    );
    let len = fs::metadata(&path)?.len();
    println!(
        "a file of {}, {:.2} x what is in it",
        HumanBytes(len),
        len as f64 / verified as f64
    );
    Ok(())
}
