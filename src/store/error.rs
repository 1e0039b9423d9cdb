//! What a store answers when it cannot do it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::ObjectId;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Neither superblock is whole.
    Superblocks,
    /// The catalog is not the one that the superblock means, or says what cannot be.
    Catalog,
    /// Two areas overlap, or one leaves the file.
    Overlap {
        /// Where the later one begins.
        offset: u64,
    },
    /// An id, or a range that begins with it, is where none can be.
    Ids {
        /// The first id.
        first: u64,
    },
    /// The live bits of two ranges overlap, or leave the pages.
    Words {
        /// The word with which the later ones begin.
        word: u32,
    },
    /// Neither copy of a page will do: the one that counts has another checksum or number.
    Page {
        /// Which page.
        number: u32,
    },
    /// A record that was durable is missing from the journal, or not whole.
    Record {
        /// Its log sequence number.
        lsn: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superblocks => f.write_str("no superblock is whole"),
            Self::Catalog => f.write_str("the catalog is damaged"),
            Self::Overlap { offset } => {
                write!(
                    f,
                    "what begins at {offset} overlaps something, or leaves the file"
                )
            }
            Self::Ids { first } => write!(f, "there can be no id or range at {first}"),
            Self::Words { word } => write!(f, "live bits overlap at word {word}"),
            Self::Page { number } => write!(f, "page {number} of the bitmap is damaged"),
            Self::Record { lsn } => write!(f, "the journal's record at {lsn} is damaged"),
        }
    }
}

/// Why a store did not do what it was asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk has an error. After one of a write or a sync, the store is read-only until it is
    /// opened anew; after one of a read that only reads, it is as it was.
    Io(Arc<io::Error>),
    /// An earlier write or sync failed: nobody knows what is on the disk, and the store accepts
    /// nothing more. What was acknowledged can be read, and is there after it was opened anew; an
    /// object of more than a mebibyte whose overwrite failed in its slot is `Corrupt` until then.
    ReadOnly(Arc<io::Error>),
    /// The store was opened read-only.
    OpenedReadOnly,
    /// The disk has no room; nothing has changed.
    NoSpace,
    /// Somebody else has the file open.
    Locked(PathBuf),
    /// There is a file already where one was to be created.
    Exists(PathBuf),
    /// The file is no store.
    NotAStore,
    /// The file is a store of a version that this crate does not know.
    Version(u32),
    /// The file has features that this crate does not know.
    Features(u32),
    /// The file is damaged.
    Damaged(Damage),
    /// What was asked for cannot be, for the reason that is told.
    Invalid(&'static str),
    /// The id was never given out, or its range is gone.
    Unknown(ObjectId),
    /// The object was deleted, and its id not given out again.
    Freed(ObjectId),
    /// The id is reserved, and nothing was written yet.
    NotWritten(ObjectId),
    /// The id is not reserved any more: its object was written.
    Written(ObjectId),
    /// The id names another object by now, or the object has new content.
    Stale(ObjectId),
    /// The object's bytes are not those that were written.
    Corrupt(ObjectId),
    /// Somebody has the object open.
    Busy(ObjectId),
    /// The object is larger than the store takes, or than its slot.
    TooLarge {
        /// How many bytes it has.
        len: u64,
        /// How many it may have.
        capacity: u64,
    },
    /// A writer got more or fewer bytes than were promised.
    WrongLength {
        /// How many were promised.
        expected: u64,
        /// How many came.
        found: u64,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the disk failed: {error}"),
            Self::ReadOnly(error) => write!(f, "read-only since the disk failed: {error}"),
            Self::OpenedReadOnly => f.write_str("the store was opened read-only"),
            Self::NoSpace => f.write_str("the disk has no room"),
            Self::Locked(path) => write!(f, "somebody else has {} open", path.display()),
            Self::Exists(path) => write!(f, "there is a file at {}", path.display()),
            Self::NotAStore => f.write_str("the file is no store"),
            Self::Version(version) => write!(f, "the file is of version {version}, not 1"),
            Self::Features(bits) => write!(f, "the file has unknown features {bits:#x}"),
            Self::Damaged(damage) => write!(f, "the file is damaged: {damage}"),
            Self::Invalid(what) => f.write_str(what),
            Self::Unknown(id) => write!(f, "{id:?} was never given out"),
            Self::Freed(id) => write!(f, "{id:?} was deleted"),
            Self::NotWritten(id) => write!(f, "{id:?} is reserved, and not written yet"),
            Self::Written(id) => write!(f, "{id:?} is written already"),
            Self::Stale(id) => write!(f, "{id:?} has other content by now"),
            Self::Corrupt(id) => write!(f, "the bytes of {id:?} are damaged"),
            Self::Busy(id) => write!(f, "somebody has {id:?} open"),
            Self::TooLarge { len, capacity } => {
                write!(f, "{len} bytes, where there is room for {capacity}")
            }
            Self::WrongLength { expected, found } => {
                write!(f, "{found} bytes, where {expected} were promised")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::ReadOnly(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io(Arc::new(error)),
        }
    }
}
