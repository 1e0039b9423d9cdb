//! Room in the file, before it is put to use: real blocks, live bits, a place in the catalog.
//!
//! # Shape
//! ```text
//! a new range ─> room in the catalog, words in the pages     more of them, if there is too little
//!             ─> real blocks for its slots
//!             ─> its record; only then are slots of it given out
//! ```
//! So a full disk is met here, where nothing has changed yet, and not later.
//!
//! # Progress
//! Blocks on a lock of its own, the log's, and the disk.
//!
//! # Checked by
//! `tests/store_crash.rs`; `tests/store_faults.rs`.

use std::io;
use std::sync::Arc;

use super::disk::Disk;
use super::error::StoreError;
use super::format::catalog::{self, Range};
use super::format::page;
use super::format::record::Change;
use super::format::{Area, superblock};
use super::image::{Image, words_of};
use super::log::{Class, Log};
use crate::alloc::{AllocError, Directory, NO_CLASS, SpaceError, Watch};
use crate::bitset::Span;
use crate::id::{ByteLen, Extent, FileOffset, IdRange};
use crate::sync::lock::Mutex;

/// Areas of the store's own begin at multiples of this.
const ALIGN: u64 = 4096;
/// Pages are added so many at once.
const PAGES_AT_ONCE: u64 = 4;
/// Room for so many bytes of catalog, twice, is the least.
const LEAST_CATALOG: u64 = 4096;

impl Area {
    pub(super) fn extent(self) -> Extent {
        Extent::new(FileOffset::new(self.offset), ByteLen::new(self.len))
    }
}

/// What checkpoints will need.
#[derive(Debug)]
struct Meta {
    catalogs: Area,
    /// How long the catalog gets if everything is applied that was appended.
    catalog_len: u64,
    /// How many words the pages have.
    words: u64,
    /// How many of them belong to ranges.
    used: u64,
}

/// The room that a store has.
pub(super) struct Space {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    meta: Mutex<Meta>,
}

impl Space {
    pub(super) fn new(disk: Arc<dyn Disk>, log: Arc<Log>, image: &Image) -> Self {
        let used = image.ranges.values().map(words_of);
        let used = used.map(|(word, n)| u64::from(word) + n).max();
        let meta = Meta {
            catalogs: image.catalogs,
            catalog_len: image.catalog_len(),
            words: (image.pages.len() * page::WORDS) as u64,
            used: used.unwrap_or(0),
        };
        let meta = Mutex::new(meta);
        Self { disk, log, meta }
    }

    /// What an allocator's refusal comes from: nothing where a checkpoint may help.
    pub(super) fn explain(&self, error: AllocError) -> Option<StoreError> {
        if let Some(failed) = self.log.failed() {
            return Some(StoreError::ReadOnly(failed.0));
        }
        if self.log.is_half_full() {
            return None; // its record may have found no room
        }
        Some(match error {
            AllocError::Space(SpaceError::TooLarge) => {
                StoreError::Invalid("an object that large has no place in the file")
            }
            _ => StoreError::NoSpace,
        })
    }

    /// A large object is gone from the catalog.
    pub(super) fn forget_large(&self) {
        self.meta.lock().catalog_len -= catalog::LARGE;
    }

    /// Takes an area that nothing is in yet.
    pub(super) fn take(&self, directory: &Directory, len: u64) -> Result<Area, Refusal> {
        let len = len.next_multiple_of(ALIGN);
        let extent = directory.with_space(|space| space.alloc(ByteLen::new(len), ALIGN, None));
        let extent = extent.map_err(Refusal::Space)?;
        let area = Area {
            offset: extent.offset.get(),
            len,
        };
        self.reserve(area)
            .inspect_err(|_| self.give(directory, area))?;
        Ok(area)
    }

    /// Gives back an area that no superblock and no record names any more.
    pub(super) fn give(&self, directory: &Directory, area: Area) {
        directory.with_space(|space| space.free(area.extent()));
    }

    fn reserve(&self, area: Area) -> Result<(), Refusal> {
        // Whatever the disk says, it has no room for this, and nothing has changed.
        let reserved = self.disk.reserve(area.offset, area.len);
        reserved.map_err(|_| Refusal::Disk)
    }

    fn append(&self, change: &Change) -> Result<(), Refusal> {
        self.log
            .append(change, Class::Urgent)
            .map_err(|_| Refusal::Log)?;
        Ok(())
    }

    /// Sees to it that the catalog can grow by so much.
    fn more_catalog(
        &self,
        directory: &Directory,
        meta: &mut Meta,
        more: u64,
    ) -> Result<(), Refusal> {
        let needed = meta.catalog_len + more;
        if needed > meta.catalogs.len / 2 {
            let area = self.take(directory, (4 * needed).max(2 * LEAST_CATALOG))?;
            self.append(&Change::Catalogs(area))
                .inspect_err(|_| self.give(directory, area))?;
            meta.catalogs = area;
        }
        meta.catalog_len = needed;
        Ok(())
    }

    /// Words for a range's live bits; the first one.
    fn more_words(&self, directory: &Directory, meta: &mut Meta, n: u64) -> Result<u32, Refusal> {
        while meta.used + n > meta.words {
            let pair = 2 * page::SIZE as u64;
            let area = self.take(directory, PAGES_AT_ONCE * pair)?;
            let pages = area.len / pair;
            let catalog_len = meta.catalog_len;
            let grown = self.more_catalog(directory, meta, pages * catalog::PAGE);
            let grown = grown.and_then(|()| self.append(&Change::Pages(area)));
            grown.inspect_err(|_| {
                meta.catalog_len = catalog_len;
                self.give(directory, area);
            })?;
            meta.words += pages * page::WORDS as u64;
        }
        let word = u32::try_from(meta.used).map_err(|_| Refusal::Space(SpaceError::TooLarge))?;
        meta.used += n;
        Ok(word)
    }

    /// Room in the catalog for one more class.
    pub(super) fn room_for_class(&self, directory: &Directory) -> Result<(), Refusal> {
        self.more_catalog(directory, &mut self.meta.lock(), catalog::CLASS)
    }

    fn add_range(&self, directory: &Directory, ids: IdRange, span: &Span) -> Result<(), Refusal> {
        let mut meta = self.meta.lock();
        let slots = ids.len() as u32;
        let used = meta.used;
        let word = self.more_words(directory, &mut meta, ids.len().div_ceil(64))?;
        let catalog_len = meta.catalog_len;
        let range = Range {
            first_id: ids.first().get(),
            offset: span.first_offset.get(),
            slot_size: span.slot_size.get(),
            slots,
            word,
        };
        let area = Area {
            offset: range.offset,
            len: range.slot_size * u64::from(slots),
        };
        let added = self.more_catalog(directory, &mut meta, catalog::RANGE);
        let added = added.and_then(|()| self.reserve(area));
        let added = added.and_then(|()| self.append(&Change::Range(range)));
        added.inspect_err(|_| (meta.used, meta.catalog_len) = (used, catalog_len))
    }

    fn add_large(&self, directory: &Directory, span: &Span) -> Result<(), Refusal> {
        let mut meta = self.meta.lock();
        self.more_catalog(directory, &mut meta, catalog::LARGE)?;
        let area = Area {
            offset: span.first_offset.get(),
            len: span.slot_size.get(),
        };
        self.reserve(area)
            .inspect_err(|_| meta.catalog_len -= catalog::LARGE)
    }

    /// Real blocks for a file that is just made: superblocks, journal, the first catalogs.
    pub(super) fn first(disk: &dyn Disk, ring: u64, classes: usize) -> io::Result<(Area, Area)> {
        let journal = Area {
            offset: superblock::END,
            len: ring,
        };
        let half =
            (catalog::HEAD + classes as u64 * catalog::CLASS).next_multiple_of(LEAST_CATALOG);
        let catalogs = Area {
            offset: journal.offset + ring,
            len: 2 * half,
        };
        disk.reserve(0, catalogs.offset + catalogs.len)?;
        Ok((journal, catalogs))
    }
}

/// Why there is no room.
#[derive(Debug)]
pub(super) enum Refusal {
    Space(SpaceError),
    Disk,
    Log,
}

impl Watch for Space {
    fn adds(&self, directory: &Directory, ids: IdRange, span: &Span) -> Result<(), AllocError> {
        let added = if span.class == NO_CLASS {
            self.add_large(directory, span)
        } else {
            self.add_range(directory, ids, span)
        };
        added.map_err(|refusal| match refusal {
            Refusal::Space(error) => AllocError::Space(error),
            // `explain` asks the log whether that was why.
            Refusal::Disk | Refusal::Log => AllocError::Space(SpaceError::NoSpace),
        })
    }
}
