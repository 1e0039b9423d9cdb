//! What a store holds as of an LSN: the last checkpoint, and the log applied to it.
//!
//! # Shape
//! ```text
//! superblock ─> catalog ─> pages        load
//!            + the log's records        apply, one after the other
//!            = the next checkpoint      write: pages and catalog to their other copies, sync,
//!                                       the other superblock, sync
//! ```
//! A checkpoint is a function of the last one and the log, and looks at nothing that goes on: so it
//! shows exactly the state at its LSN.
//!
//! # Invariants
//! * K1  `write` touches no copy that the superblock names which recovery would choose now.
//! * K2  No two of the areas that an image names overlap, and all are behind the superblocks.
//!
//! # Checked by
//! `tests/store_crash.rs`; `tests/store_lies.rs` and `proptests/store_open.rs` (K2).

use std::collections::BTreeMap;
use std::io;

use super::disk::{Disk, DiskExt};
use super::error::Damage;
use super::format::catalog::{self, Catalog, Large, PageRef, Range};
use super::format::page::{self, Page, WORDS};
use super::format::record::{self, Change};
use super::format::superblock::{self, Superblock};
use super::format::{Area, checksum};

/// Why an image could not be made.
#[derive(Debug)]
pub(super) enum Bad {
    Io(io::Error),
    Damage(Damage),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Damage> for Bad {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// What the next checkpoint is to say of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    /// What is before it is in the image.
    pub(super) lsn: u64,
    pub(super) salt: u64,
    /// Nothing will be appended before the store is opened again.
    pub(super) clean: bool,
}

/// A store's content as of an LSN, but for the objects' bytes.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) superblock: Superblock,
    pub(super) root: Option<u64>,
    pub(super) classes: Vec<u64>,
    /// By their first ids.
    pub(super) ranges: BTreeMap<u64, Range>,
    /// By their ids.
    pub(super) large: BTreeMap<u64, Large>,
    pub(super) pages: Vec<PageRef>,
    /// Where the next catalog goes, if not beside the current one.
    pub(super) catalogs: Area,
    /// Pages that were looked at, and whether they were changed.
    loaded: BTreeMap<u32, (Page, bool)>,
}

impl Image {
    /// Of a store without anything.
    pub(super) fn empty(superblock: Superblock, classes: Vec<u64>) -> Self {
        Self {
            catalogs: superblock.catalogs,
            superblock,
            root: None,
            classes,
            ranges: BTreeMap::new(),
            large: BTreeMap::new(),
            pages: Vec::new(),
            loaded: BTreeMap::new(),
        }
    }

    /// What a superblock says.
    pub(super) fn load(disk: &dyn Disk, superblock: Superblock) -> Result<Self, Bad> {
        let area = superblock.catalog;
        let within = area.end().is_some_and(|end| end <= disk.len().unwrap_or(0));
        if !within {
            return Err(Damage::Catalog.into());
        }
        let bytes = disk.read_vec_at(area.len as usize, area.offset)?;
        if checksum(&[&bytes]) != superblock.catalog_checksum {
            return Err(Damage::Catalog.into());
        }
        let image = Self::of_catalog(superblock, &bytes).ok_or(Damage::Catalog)?;
        image.check(disk)?;
        if !image.halves().contains(&area.offset) {
            return Err(Damage::Catalog.into());
        }
        Ok(image)
    }

    /// What can be made of a catalog that may be damaged.
    pub(super) fn load_damaged(disk: &dyn Disk, superblock: Superblock) -> Option<Self> {
        let area = superblock.catalog;
        area.end().filter(|end| *end <= disk.len().unwrap_or(0))?;
        let bytes = disk.read_vec_at(area.len as usize, area.offset).ok()?;
        Self::of_catalog(superblock, &bytes)
    }

    fn of_catalog(superblock: Superblock, bytes: &[u8]) -> Option<Self> {
        let catalog = Catalog::from_bytes(bytes)?;
        let ranges = catalog.ranges.iter().map(|range| (range.first_id, *range));
        let large = catalog.large.iter().map(|large| (large.id, *large));
        Some(Self {
            root: catalog.root,
            ranges: ranges.collect(),
            large: large.collect(),
            classes: catalog.classes,
            pages: catalog.pages,
            ..Self::empty(superblock, Vec::new())
        })
    }

    // ---------------------------------------------------------------- what it says

    /// What belongs to the store itself, behind the journal.
    pub(super) fn own_areas(&self) -> Vec<Area> {
        let pages = self.pages.iter().map(|page| Area {
            offset: page.offset,
            len: 2 * page::SIZE as u64,
        });
        let catalogs = self.superblock.catalogs;
        let next = (self.catalogs != catalogs).then_some(self.catalogs);
        pages.chain([catalogs]).chain(next).collect()
    }

    /// Everything that the image names.
    fn areas(&self) -> Vec<Area> {
        let superblocks = Area {
            offset: 0,
            len: superblock::END,
        };
        let mut all = vec![superblocks, self.superblock.journal];
        all.extend(self.own_areas());
        all.extend(self.objects());
        all
    }

    fn objects(&self) -> impl Iterator<Item = Area> + '_ {
        let ranges = self.ranges.values().map(|range| Area {
            offset: range.offset,
            len: range.slot_size.saturating_mul(range.slots.into()),
        });
        ranges.chain(self.large.values().map(|large| Area {
            offset: large.offset,
            len: large.slot_size,
        }))
    }

    /// K2, and that ids and words belong to one range each.
    pub(super) fn check(&self, disk: &dyn Disk) -> Result<(), Bad> {
        let len = disk.len()?;
        let mut areas = self.areas();
        areas.sort_by_key(|area| area.offset);
        let mut end = 0;
        for area in areas {
            if area.offset < end || area.end().is_none_or(|end| end > len) {
                return Err(Damage::Overlap {
                    offset: area.offset,
                }
                .into());
            }
            end = area.offset + area.len;
        }
        if self.catalog_len() > self.catalogs.len / 2 {
            return Err(Damage::Catalog.into());
        }
        self.check_ids()?;
        self.check_words()
    }

    fn check_ids(&self) -> Result<(), Bad> {
        let ranges = self.ranges.values();
        let ranges = ranges.map(|range| (range.first_id, u64::from(range.slots), range.slot_size));
        let large = self
            .large
            .values()
            .map(|large| (large.id, 1, large.slot_size));
        let mut all: Vec<_> = ranges.chain(large).collect();
        all.sort_unstable();
        let mut next = 1;
        for (first, slots, size) in all {
            let end = first.checked_add(slots);
            if first < next || slots == 0 || size < super::format::slot::HEADER {
                return Err(Damage::Ids { first }.into());
            }
            next = end.ok_or(Damage::Ids { first })?;
        }
        Ok(())
    }

    fn check_words(&self) -> Result<(), Bad> {
        let room = self.pages.len() as u64 * WORDS as u64;
        let mut words: Vec<_> = self.ranges.values().map(words_of).collect();
        words.sort_unstable();
        let mut next = 0;
        for (word, n) in words {
            if u64::from(word) < next || u64::from(word) + n > room {
                return Err(Damage::Words { word }.into());
            }
            next = u64::from(word) + n;
        }
        Ok(())
    }

    /// Its ranges and large objects alone.
    pub(super) fn with_no_pages(&self) -> Self {
        Self {
            ranges: self.ranges.clone(),
            large: self.large.clone(),
            ..Self::empty(self.superblock, Vec::new())
        }
    }

    /// The range that has this id.
    pub(super) fn range_of(&self, id: u64) -> Option<&Range> {
        let (_, range) = self.ranges.range(..=id).next_back()?;
        (id - range.first_id < range.slots.into()).then_some(range)
    }

    /// All slots, by their ids.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u64, Area)> + '_ {
        let of_range = |range: &Range| {
            let Range {
                first_id,
                offset,
                slot_size,
                slots,
                ..
            } = *range;
            (0..u64::from(slots)).map_while(move |at| {
                let offset = slot_size.checked_mul(at)?.checked_add(offset)?;
                let id = first_id.checked_add(at)?;
                Some((
                    id,
                    Area {
                        offset,
                        len: slot_size,
                    },
                ))
            })
        };
        let large = self.large.values().map(|large| {
            let (offset, len) = (large.offset, large.slot_size);
            (large.id, Area { offset, len })
        });
        self.ranges.values().flat_map(of_range).chain(large)
    }

    /// Where the slot of an id is.
    pub(super) fn slot_of(&self, id: u64) -> Option<Area> {
        if let Some(large) = self.large.get(&id) {
            return Some(Area {
                offset: large.offset,
                len: large.slot_size,
            });
        }
        let range = self.range_of(id)?;
        let at = (id - range.first_id) * range.slot_size;
        Some(Area {
            offset: range.offset + at,
            len: range.slot_size,
        })
    }

    /// The live bits of a range.
    pub(super) fn words(&mut self, disk: &dyn Disk, range: Range) -> Result<Vec<u64>, Bad> {
        let (first, n) = words_of(&range);
        let (mut at, mut left) = (u64::from(first), n as usize);
        let mut words = Vec::with_capacity(left);
        while left > 0 {
            let (number, from) = place_of(at)?;
            let page = self.load_page(disk, number)?;
            let some = left.min(WORDS - from);
            words.extend(&page.words[from..from + some]);
            (at, left) = (at + some as u64, left - some);
        }
        Ok(words)
    }

    /// How many bytes its catalog has.
    pub(super) fn catalog_len(&self) -> u64 {
        let classes = self.classes.len() as u64 * catalog::CLASS;
        let ranges = self.ranges.len() as u64 * catalog::RANGE;
        let large = self.large.len() as u64 * catalog::LARGE;
        let pages = self.pages.len() as u64 * catalog::PAGE;
        catalog::HEAD + classes + ranges + large + pages
    }

    // ---------------------------------------------------------------- what happens to it

    /// Applies a record.
    pub(super) fn apply(&mut self, disk: &dyn Disk, change: &Change) -> Result<(), Bad> {
        match change {
            Change::Put(puts) => {
                for put in puts {
                    self.drew(put.generation);
                    self.set(disk, put.id, true)?;
                }
            }
            Change::PutLarge(put, large) => {
                self.drew(put.generation);
                self.issued(large.id, 1);
                self.large.insert(large.id, *large);
            }
            Change::Overwrite(all) => all.iter().for_each(|(put, _)| self.drew(put.generation)),
            Change::FromScratch(put, _) => self.drew(put.generation),
            Change::Free(ids) => {
                for &id in ids {
                    self.free(disk, id)?;
                }
            }
            Change::Range(range) => {
                self.issued(range.first_id, range.slots.into());
                self.ranges.insert(range.first_id, *range);
            }
            Change::RangeGone(first) => {
                self.ranges
                    .remove(first)
                    .ok_or(Damage::Ids { first: *first })?;
            }
            Change::Root(id) => self.root = *id,
            Change::Class(size) => self.classes.push(*size),
            Change::Pages(area) => {
                let room = disk.len()? / (2 * page::SIZE as u64);
                self.pages.extend(pages_in(*area));
                if self.pages.len() as u64 > room {
                    let offset = area.offset;
                    return Err(Damage::Overlap { offset }.into());
                }
            }
            Change::Catalogs(area) => self.catalogs = *area,
            Change::Padding(_) => {}
        }
        Ok(())
    }

    /// Where the last session did not end well, some generations were given to puts whose records are
    /// lost: no more than the journal has room for.
    pub(super) fn skip_generations(&mut self) {
        let superblock = &mut self.superblock;
        if !superblock.clean {
            let lost = superblock.journal.len / record::PUT_LEN as u64;
            superblock.generations = superblock.generations.saturating_add(lost);
        }
    }

    fn drew(&mut self, generation: u64) {
        let drawn = &mut self.superblock.generations;
        *drawn = (*drawn).max(generation.saturating_add(1));
    }

    fn issued(&mut self, first: u64, n: u64) {
        let next = &mut self.superblock.next_id;
        if *next != 0 {
            *next = first.checked_add(n).map_or(0, |end| end.max(*next));
        }
    }

    fn free(&mut self, disk: &dyn Disk, id: u64) -> Result<(), Bad> {
        if self.root == Some(id) {
            self.root = None;
        }
        match self.large.remove(&id) {
            Some(_) => Ok(()),
            None => self.set(disk, id, false),
        }
    }

    fn set(&mut self, disk: &dyn Disk, id: u64, live: bool) -> Result<(), Bad> {
        let range = *self.range_of(id).ok_or(Damage::Ids { first: id })?;
        let slot = id - range.first_id;
        let word = self.word_mut(disk, u64::from(range.word) + slot / 64)?;
        let bit = 1 << (slot % 64);
        *word = if live { *word | bit } else { *word & !bit };
        Ok(())
    }

    fn load_page(&mut self, disk: &dyn Disk, number: u32) -> Result<&Page, Bad> {
        if !self.loaded.contains_key(&number) {
            let page = self.read_page(disk, number)?;
            self.loaded.insert(number, (page, false));
        }
        Ok(&self.loaded[&number].0)
    }

    fn word_mut(&mut self, disk: &dyn Disk, word: u64) -> Result<&mut u64, Bad> {
        let (number, at) = place_of(word)?;
        self.load_page(disk, number)?;
        let (page, changed) = self.loaded.get_mut(&number).expect("it was just loaded");
        *changed = true;
        Ok(&mut page.words[at])
    }

    fn read_page(&self, disk: &dyn Disk, number: u32) -> Result<Page, Bad> {
        let page = self
            .pages
            .get(number as usize)
            .ok_or(Damage::Page { number })?;
        let Some(offset) = page.current() else {
            return Ok(Page::empty(number));
        };
        let bytes = disk.read_vec_at(page::SIZE, offset)?;
        Ok(Page::from_bytes(number, &bytes).ok_or(Damage::Page { number })?)
    }

    // ---------------------------------------------------------------- the next checkpoint

    /// Makes this the next checkpoint. What the records before it did to objects in place must
    /// be on the disk, if not yet synced.
    pub(super) fn write(&mut self, disk: &dyn Disk, next: Next) -> io::Result<()> {
        let Next { lsn, salt, clean } = next;
        let sequence = self.superblock.sequence + 1;
        for (number, (page, changed)) in &mut self.loaded {
            if core::mem::take(changed) {
                let at = &mut self.pages[*number as usize];
                page.sequence = sequence;
                disk.write_all_at(&page.to_bytes(), at.flip())?;
            }
        }
        let bytes = self.to_catalog().to_bytes();
        let catalog = self.other_catalog(bytes.len() as u64);
        disk.write_all_at(&bytes, catalog.offset)?;
        disk.sync_data()?;
        let superblock = Superblock {
            sequence,
            salt,
            lsn,
            clean,
            catalog,
            catalog_checksum: checksum(&[&bytes]),
            catalogs: self.catalogs,
            ..self.superblock
        };
        disk.write_all_at(&superblock.to_bytes(), superblock.offset())?;
        disk.sync_data()?;
        self.superblock = superblock;
        Ok(())
    }
}

impl Image {
    fn to_catalog(&self) -> Catalog {
        Catalog {
            root: self.root,
            classes: self.classes.clone(),
            ranges: self.ranges.values().copied().collect(),
            large: self.large.values().copied().collect(),
            pages: self.pages.clone(),
        }
    }

    /// Where catalogs begin.
    fn halves(&self) -> [u64; 2] {
        let Area { offset, len } = self.catalogs;
        [offset, offset + len / 2]
    }

    /// Where a catalog of this length goes: the half of its area that the present one is not in.
    fn other_catalog(&self, len: u64) -> Area {
        debug_assert!(len <= self.catalogs.len / 2);
        let [first, second] = self.halves();
        let taken = self.superblock.catalog.offset == first;
        let offset = if taken { second } else { first };
        Area { offset, len }
    }
}

/// The page that a word is in, and where.
fn place_of(word: u64) -> Result<(u32, usize), Damage> {
    let number = u32::try_from(word / WORDS as u64).map_err(|_| Damage::Catalog)?;
    Ok((number, (word % WORDS as u64) as usize))
}

/// The first word of a range, and how many it has.
pub(super) fn words_of(range: &Range) -> (u32, u64) {
    (range.word, u64::from(range.slots).div_ceil(64))
}

/// Pages that were never written, one behind the other.
fn pages_in(area: Area) -> impl Iterator<Item = PageRef> {
    let pair = 2 * page::SIZE as u64;
    let offsets = (0..area.len / pair).map(move |at| area.offset + at * pair);
    offsets.map(|offset| PageRef { offset, copy: None })
}
