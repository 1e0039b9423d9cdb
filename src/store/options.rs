//! How a store is made and opened.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, FileDisk, Limited};
use super::engine::{Callback, Engine};
use super::error::StoreError;
use super::multi::MultiStore;
use crate::alloc::SizeClasses;
use crate::id::ObjectId;

/// What survives which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A clean close, a `sync` or a checkpoint after it.
    None,
    /// The end of the process, however it comes.
    Buffered,
    /// A loss of power: those who come while a sync is in progress share the next one. What is
    /// written for it ends where the records end, or with a page
    /// ([`pad_commits`](StoreOptions::pad_commits)).
    #[default]
    Group,
}

/// The least and the most bytes of a journal.
const JOURNALS: (u64, u64) = (64 << 10, 1 << 40);

/// Options of a [`MultiStore`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use mapless::{Durability, StoreOptions};
/// let store = StoreOptions::new()
///     .durability(Durability::Buffered)
///     .journal(1 << 20)
///     .create(dir.path().join("objects"))?;
/// # drop(store);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct StoreOptions {
    durability: Durability,
    journal: u64,
    classes: SizeClasses,
    on_allocate: Option<Callback>,
    disk_operations: Option<usize>,
    pad_commits: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl StoreOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            durability: Durability::default(),
            journal: 16 << 20,
            classes: SizeClasses::default(),
            on_allocate: None,
            disk_operations: None,
            pad_commits: false,
        }
    }

    /// What an acknowledged write survives, where a call says nothing else ([`Durability::Group`]).
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// How many bytes the journal of a new store has (16 MiB); a multiple of 4096, and at least
    /// 64 KiB. A checkpoint is made when half of it is full.
    pub fn journal(self, journal: u64) -> Self {
        Self { journal, ..self }
    }

    /// The sizes of a new store's slots, of which a header takes 16 bytes
    /// ([`SizeClasses::default`]).
    pub fn size_classes(self, classes: SizeClasses) -> Self {
        Self { classes, ..self }
    }

    /// Called once for each object, after it is visible, by the thread that made it, under no lock.
    /// Its panic goes to that caller; the object stays.
    pub fn on_allocate(self, callback: impl Fn(ObjectId) + Send + Sync + 'static) -> Self {
        let on_allocate: Option<Callback> = Some(Arc::new(callback));
        Self {
            on_allocate,
            ..self
        }
    }

    /// How many operations may be in progress at the disk at once, and others wait (no limit).
    pub fn disk_operations(self, most: usize) -> Self {
        let disk_operations = Some(most);
        Self {
            disk_operations,
            ..self
        }
    }

    /// Whether what is written to the journal at once is padded to 4 KiB (no). A disk that tears more than
    /// a sector, where power is lost, then tears nothing that was written before; each commit takes a
    /// page of the journal or more. Where the journal is all but full, commits are as long as they are.
    pub fn pad_commits(self, pad_commits: bool) -> Self {
        Self {
            pad_commits,
            ..self
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if !self.journal.is_multiple_of(4096) || !(JOURNALS.0..=JOURNALS.1).contains(&self.journal)
        {
            return Err(StoreError::Invalid(
                "a journal has a multiple of 4096 bytes, from 64 KiB to 1 TiB",
            ));
        }
        if self.disk_operations == Some(0) {
            return Err(StoreError::Invalid(
                "one disk operation at a time is the least",
            ));
        }
        let mut sizes = self.classes.as_slice().iter();
        sizes.try_for_each(|size| super::engine::check_class(*size))
    }

    /// Makes a store where there is no file.
    ///
    /// The file comes to be whole: it is written under another name first, and synced.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Invalid`], [`StoreError::NoSpace`], [`StoreError::Io`].
    pub fn create(self, path: impl AsRef<Path>) -> Result<MultiStore, StoreError> {
        let path = path.as_ref();
        self.check()?;
        create_whole(path, |disk| {
            Engine::format(disk, self.journal, &self.classes)
        })?;
        self.open(path)
    }

    /// Opens the store in a file, and brings it to where it was when the last one who had it open
    /// closed it, or died.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NotAStore`], [`StoreError::Version`],
    /// [`StoreError::Features`], [`StoreError::Damaged`], [`StoreError::NoSpace`],
    /// [`StoreError::Io`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<MultiStore, StoreError> {
        let path = path.as_ref();
        let disk = open_file(path, false, false)?;
        self.open_on(Arc::new(disk))
    }

    /// Opens the store in a file, or makes one.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(self, path: impl AsRef<Path>) -> Result<MultiStore, StoreError> {
        let path = path.as_ref();
        match self.clone().create(path) {
            Err(StoreError::Exists(_)) => self.open(path),
            done => done,
        }
    }

    /// Opens the store in a file for reading: what was not finished when the last one died is
    /// brought to its end in memory, and nothing is written.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<MultiStore, StoreError> {
        let disk = open_file(path.as_ref(), false, true)?;
        let engine = Engine::open_read_only(Arc::new(disk))?;
        Ok(MultiStore::over(engine))
    }

    /// As [`open_read_only`](Self::open_read_only), on a medium of the caller's.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the file's.
    pub fn open_read_only_on(self, disk: Arc<dyn Disk>) -> Result<MultiStore, StoreError> {
        let engine = Engine::open_read_only(self.limited(disk))?;
        Ok(MultiStore::over(engine))
    }

    /// Makes a store on a medium of the caller's.
    ///
    /// # Errors
    /// As [`create`](Self::create), but for the file's.
    pub fn create_on(self, disk: Arc<dyn Disk>) -> Result<MultiStore, StoreError> {
        self.check()?;
        Engine::format(&*disk, self.journal, &self.classes)?;
        self.open_on(disk)
    }

    /// Opens a store on a medium of the caller's, who sees to it that nobody else does.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the file's.
    pub fn open_on(self, disk: Arc<dyn Disk>) -> Result<MultiStore, StoreError> {
        self.check()?;
        let engine = Engine::open(
            self.limited(disk),
            self.durability,
            self.on_allocate,
            self.pad_commits,
        )?;
        Ok(MultiStore::over(engine))
    }

    /// The disk, with so many operations at once as were asked for.
    fn limited(&self, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        match self.disk_operations {
            Some(most) => Arc::new(Limited::new(disk, most)),
            None => disk,
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("durability", &self.durability)
            .field("journal", &self.journal)
            .field("classes", &self.classes)
            .finish_non_exhaustive()
    }
}

/// A file that is removed when it has its own name, or none.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Result<Self, StoreError> {
        let name = path.file_name();
        let name = name.ok_or(StoreError::Invalid("a store's path names a file"))?;
        let mut name = name.to_os_string();
        name.push(format!(".{:016x}.new", super::engine::random()));
        Ok(Self(path.with_file_name(name)))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not be there yet; a name that stays is no store's.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a file where there is none, whole or not at all: under another name first, and synced by
/// `write`.
pub(super) fn create_whole(
    path: &Path,
    write: impl FnOnce(&FileDisk) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    if path.try_exists()? {
        return Err(StoreError::Exists(path.to_path_buf()));
    }
    let temporary = Temporary::beside(path)?;
    write(&open_file(&temporary.0, true, false)?)?;
    // A hard link does not replace what came meanwhile, as a rename would.
    if let Err(error) = fs::hard_link(&temporary.0, path) {
        match error.kind() {
            ErrorKind::AlreadyExists => return Err(StoreError::Exists(path.to_path_buf())),
            // A file system without them.
            ErrorKind::Unsupported | ErrorKind::PermissionDenied => {
                fs::rename(&temporary.0, path)?;
            }
            _ => return Err(error.into()),
        }
    }
    drop(temporary);
    Ok(sync_directory(path)?)
}

fn open_file(path: &Path, new: bool, read_only: bool) -> Result<FileDisk, StoreError> {
    let file = File::options()
        .read(true)
        .write(!read_only)
        .create_new(new)
        .open(path)?;
    let disk = FileDisk::new(file);
    if disk.lock(read_only)? {
        Ok(disk)
    } else {
        Err(StoreError::Locked(path.to_path_buf()))
    }
}

/// Makes a file's name durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
