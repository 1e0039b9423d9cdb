//! A copy of a store that goes on being used.
//!
//! # Shape
//! ```text
//! no checkpoint, no slot reused      from here to the end
//! copy everything but the journal
//! gate closed: nobody overwrites     the journal up to E, and once more the areas that it names
//! the superblock, last
//! ```
//! So the copy is what the store would be after a loss of power at E, and opening it recovers that.
//!
//! # Progress
//! Others go on until the journal is full, and overwrites pause for the last step.
//!
//! # Checked by
//! `tests/store_care.rs`.

use std::collections::BTreeMap;

use super::disk::{Disk, DiskExt, copy};
use super::engine::Engine;
use super::error::StoreError;
use super::format::Area;
use super::format::record::{Change, Record};
use super::format::superblock::Superblock;
use super::image::Image;
use super::log::Reader;

impl Engine {
    /// Copies the store to a medium that is empty.
    pub(super) fn back_up(&self, to: &dyn Disk) -> Result<(), StoreError> {
        self.check_writable()?;
        let superblock = self.superblock.lock();
        let _guard = self.allocator.pin();
        let disk = &*self.disk;
        let journal = superblock.journal;
        let (offset, len) = (journal.offset + journal.len, disk.len()?);
        to.reserve(0, len)?;
        let all = Area {
            offset,
            len: len - offset,
        };
        copy(disk, all, to, offset)?;
        let closed = self.gate.close();
        let end = self.log.end();
        self.log
            .sync(end)
            .map_err(|failed| StoreError::Io(failed.0))?;
        to.reserve(0, disk.len()?)?;
        for area in self.areas_named(&superblock, end)? {
            copy(disk, area, to, area.offset)?;
        }
        drop(closed);
        to.sync_data()?;
        let open = Superblock {
            clean: false,
            ..*superblock
        };
        to.write_all_at(&open.to_bytes(), open.offset())?;
        to.sync_data()?;
        Ok(())
    }

    /// The journal up to `end`, the slots whose content it speaks of, and the areas where it says
    /// that content is.
    fn areas_named(&self, superblock: &Superblock, end: u64) -> Result<Vec<Area>, StoreError> {
        let (disk, ring, begin) = (&*self.disk, superblock.journal, superblock.lsn);
        let mut image = Image::load(disk, *superblock)?;
        let mut areas = BTreeMap::new();
        let mut reader = Reader::new(disk, ring, superblock.salt, begin);
        while reader.lsn() < end {
            let Some(Record { change, .. }) = reader.read()? else {
                break;
            };
            image.apply(disk, &change)?;
            let ids: Vec<u64> = match &change {
                Change::Put(puts) => puts.iter().map(|put| put.id).collect(),
                Change::Overwrite(all) => all.iter().map(|(put, _)| put.id).collect(),
                Change::PutLarge(put, _) => vec![put.id],
                Change::FromScratch(put, area) => {
                    areas.insert(area.offset, *area);
                    vec![put.id]
                }
                _ => Vec::new(),
            };
            let slots = ids.into_iter().filter_map(|id| image.slot_of(id));
            areas.extend(slots.map(|slot| (slot.offset, slot)));
        }
        areas.extend(ring.around(begin, end).map(|area| (area.offset, area)));
        Ok(areas.into_values().collect())
    }
}
