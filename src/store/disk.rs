//! What a store stands on: a medium with positional reads and writes.
//!
//! # Shape
//! ```text
//! MultiStore ─> InTurn ─> dyn Disk ─> FileDisk     a file
//!                                 └─> yours        a block device, a simulation that loses power
//! ```
//!
//! # Progress
//! `sync_data` of `InTurn` blocks on whoever syncs; all else is the medium's.
//!
//! # Checked by
//! The tests below; `loom-tests/store_log.rs` (syncs in turn); `tests/store_crash.rs` runs the
//! store over a disk that forgets.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::sync::Arc;

use super::format::Area;
use crate::sync::lock::{Condition, Mutex};

/// A medium that keeps bytes at offsets, as a file does.
///
/// Assumed of it: what was written before a [`sync_data`](Self::sync_data) that succeeded is read
/// back after a crash; of what was written since, any part may be there, in any order, in sectors
/// of 512 bytes that are each there whole or not at all (a torn one reads as anything).
///
/// All methods take `&self` and are called by several threads at once.
#[allow(clippy::len_without_is_empty)] // an empty medium is nothing to ask for
pub trait Disk: Send + Sync + fmt::Debug {
    /// Reads some bytes; 0 at the end of the medium only.
    ///
    /// # Errors
    /// The medium's own; `Interrupted` is tried again.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes, at least one, and makes the medium longer if it must.
    ///
    /// # Errors
    /// As `read_at`; `StorageFull` if there is no room.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Waits until all that was written, and the length, would survive a loss of power.
    ///
    /// # Errors
    /// The medium's own: afterwards nobody knows what survives, and the store accepts no more.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the medium longer, with zeros, or shorter.
    ///
    /// # Errors
    /// The medium's own.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// How long the medium is.
    ///
    /// # Errors
    /// The medium's own.
    fn len(&self) -> io::Result<u64>;

    /// Takes real space for a part of the medium, and makes it longer if it must, so that no later
    /// write there lacks room. What is there stays.
    ///
    /// # Errors
    /// `StorageFull` if there is none; nothing has changed then but, perhaps, the length.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;
}

/// Reads that are whole, writes that are whole.
pub(super) trait DiskExt: Disk {
    /// # Errors
    /// `UnexpectedEof` behind the medium's end.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// # Errors
    /// `WriteZero` if the medium takes nothing.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_vec_at(&self, len: usize, offset: u64) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; len];
        self.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }
}

impl<D: Disk + ?Sized> DiskExt for D {}

/// So much is copied at once.
const COPIED: u64 = 1 << 20;

/// Copies a part of a medium to where it is to be, there or on another one.
pub(super) fn copy(from: &dyn Disk, area: Area, to: &dyn Disk, offset: u64) -> io::Result<()> {
    let mut at = 0;
    while at < area.len {
        let part = (area.len - at).min(COPIED);
        let bytes = from.read_vec_at(part as usize, area.offset + at)?;
        to.write_all_at(&bytes, offset + at)?;
        at += part;
    }
    Ok(())
}

/// A medium that is synced by one at a time, and by nobody after a sync that failed.
///
/// Of those who sync a file at once, one is told of a write that was lost, and the others that all
/// is well; who syncs later is told that too. So they take turns, and the first failure is kept.
#[derive(Debug)]
pub(super) struct InTurn {
    disk: Arc<dyn Disk>,
    failed: Mutex<Option<io::ErrorKind>>,
}

impl InTurn {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        let failed = Mutex::new(None);
        Self { disk, failed }
    }
}

impl Disk for InTurn {
    #[inline]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(buffer, offset)
    }

    #[inline]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut failed = self.failed.lock();
        if let Some(kind) = *failed {
            return Err(io::Error::new(kind, "an earlier sync failed"));
        }
        let synced = self.disk.sync_data();
        synced.inspect_err(|error| *failed = Some(error.kind()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.reserve(offset, len)
    }
}

/// A file as a medium.
#[derive(Debug)]
pub struct FileDisk(File);

impl FileDisk {
    /// Takes a file that is open for what is to be done with it.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self(file)
    }

    /// Keeps other stores off the file until this is dropped: writers each other and readers;
    /// readers may be many. Whether it could be had at once.
    pub(super) fn lock(&self, shared: bool) -> io::Result<bool> {
        let tried = if shared {
            self.0.try_lock_shared()
        } else {
            self.0.try_lock()
        };
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Disk for FileDisk {
    #[inline]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        positional::read_at(&self.0, buffer, offset)
    }

    #[inline]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        positional::write_at(&self.0, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        reserve::reserve(&self.0, offset, len)
    }
}

/// A disk at which so many operations are in progress at most.
#[derive(Debug)]
pub(super) struct Limited {
    disk: Arc<dyn Disk>,
    tokens: Mutex<usize>,
    given_back: Condition,
}

/// Leave to use the disk, until the drop.
struct Token<'a>(&'a Limited);

impl Limited {
    pub(super) fn new(disk: Arc<dyn Disk>, tokens: usize) -> Self {
        let (tokens, given_back) = (Mutex::new(tokens), Condition::new());
        Self {
            disk,
            tokens,
            given_back,
        }
    }

    fn token(&self) -> Token<'_> {
        let mut tokens = self.tokens.lock();
        while *tokens == 0 {
            tokens = self.given_back.wait(tokens);
        }
        *tokens -= 1;
        Token(self)
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        *self.0.tokens.lock() += 1;
        self.0.given_back.notify_all();
    }
}

impl Disk for Limited {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _token = self.token();
        self.disk.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let _token = self.token();
        self.disk.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let _token = self.token();
        self.disk.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let _token = self.token();
        self.disk.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let _token = self.token();
        self.disk.reserve(offset, len)
    }
}

#[cfg(unix)]
mod positional {
    pub(super) use std::os::unix::fs::FileExt;
    use std::{fs::File, io};

    pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }
}

#[cfg(windows)]
mod positional {
    use std::os::windows::fs::FileExt;
    use std::{fs::File, io};

    // Both move the file's cursor, which nobody here looks at.
    pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buffer, offset)
    }

    pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(bytes, offset)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod reserve {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    use std::{fs::File, io};

    /// A file system that cannot (`EOPNOTSUPP`) gets zeros.
    pub(super) fn reserve(file: &File, offset: u64, len: u64) -> io::Result<()> {
        loop {
            match fallocate(file, FallocateFlags::empty(), offset, len) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP) => return super::fill(file, offset, len),
                done => return Ok(done?),
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod reserve {
    pub(super) use super::fill as reserve;
}

/// Writes zeros behind the end of the file, as far as it is wanted; what was there before has its
/// space already.
fn fill(file: &File, offset: u64, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let end = offset.checked_add(len);
    let end = end.ok_or(io::ErrorKind::InvalidInput)?;
    let mut at = file.metadata()?.len();
    while at < end {
        let part = (end - at).min(ZEROS.len() as u64);
        match positional::write_at(file, &ZEROS[..part as usize], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => at += written as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_what_is_written_and_reserves_without_changing_it() {
        let disk = FileDisk::new(tempfile::tempfile().unwrap());
        disk.write_all_at(b"bytes", 10).unwrap();
        disk.reserve(12, 5000).unwrap();
        assert_eq!(disk.len().unwrap(), 5012);
        assert_eq!(disk.read_vec_at(7, 9).unwrap(), b"\0bytes\0");
        fill(&disk.0, 5000, 70_000).unwrap();
        assert_eq!(disk.len().unwrap(), 75_000);
        assert_eq!(disk.read_vec_at(5, 10).unwrap(), b"bytes");
        let error = disk.read_vec_at(2, 74_999).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_second_opener_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let open = || {
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        };
        let (one, two) = (
            FileDisk::new(open().unwrap()),
            FileDisk::new(open().unwrap()),
        );
        assert!(one.lock(false).unwrap());
        assert!(!two.lock(false).unwrap());
        assert!(!two.lock(true).unwrap());
        drop(one);
        assert!(two.lock(true).unwrap());
        let three = FileDisk::new(open().unwrap());
        assert!(three.lock(true).unwrap());
    }
}
