//! A copy of a store that goes on being used.
//!
//! # Shape
//! ```text
//! no checkpoint, no slot reused      from here to the end
//! copy everything but the journal
//! gate closed: nobody overwrites     the journal up to E, and once more the slots that it names
//! the superblock, last
//! ```
//! So the copy is what the store would be after a loss of power at E, and opening it recovers that.
//!
//! # Progress
//! Others go on until the journal is full, and overwrites pause for the last step.
//!
//! # Checked by
//! `tests/store_care.rs`.

use std::collections::HashMap;

use super::disk::{Disk, DiskExt};
use super::engine::Engine;
use super::error::StoreError;
use super::format::Area;
use super::format::record::{Change, Record};
use super::format::superblock::{self, Superblock};
use super::image::Image;
use super::log::Reader;

/// So much is copied at once.
const AT_ONCE: u64 = 1 << 20;

impl Engine {
    /// Copies the store to a medium that is empty.
    pub(super) fn back_up(&self, to: &dyn Disk) -> Result<(), StoreError> {
        self.check_writable()?;
        let superblock = self.superblock.lock();
        let _guard = self.allocator().pin();
        let journal = superblock.journal;
        let begin = journal.offset + journal.len;
        let end = self.disk().len()?;
        to.set_len(end)?;
        copy(
            self.disk(),
            to,
            Area {
                offset: begin,
                len: end - begin,
            },
        )?;
        let closed = self.gate.close();
        let end = self.log.end();
        self.log
            .sync(end)
            .map_err(|failed| StoreError::Io(failed.0))?;
        copy_log(self.disk(), to, &superblock, end)?;
        for slot in self.slots_named(&superblock, end)? {
            if slot.end().is_some_and(|end| end > to.len().unwrap_or(0)) {
                to.set_len(slot.offset + slot.len)?;
            }
            copy(self.disk(), to, slot)?;
        }
        // What is behind the last slot belongs to a range that is named, and holds nothing.
        to.set_len(self.disk().len()?)?;
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

    /// The slots whose content the journal up to `end` speaks of.
    fn slots_named(&self, superblock: &Superblock, end: u64) -> Result<Vec<Area>, StoreError> {
        let mut image = Image::load(self.disk(), *superblock)?;
        let mut slots = HashMap::new();
        let mut reader = Reader::new(
            self.disk(),
            superblock.journal,
            superblock.salt,
            superblock.lsn,
        );
        while reader.lsn() < end {
            let Some(Record { change, .. }) = reader.read()? else {
                break;
            };
            let ids: Vec<u64> = match &change {
                Change::Put(puts) => puts.iter().map(|put| put.id).collect(),
                Change::Overwrite(all) => all.iter().map(|(put, _)| put.id).collect(),
                Change::PutLarge(put, _) | Change::FromScratch(put, _) => vec![put.id],
                _ => Vec::new(),
            };
            image.apply(self.disk(), &change)?;
            for id in ids {
                slots.extend(image.slot_of(id).map(|slot| (id, slot)));
            }
        }
        Ok(slots.into_values().collect())
    }
}

fn copy(from: &dyn Disk, to: &dyn Disk, area: Area) -> Result<(), StoreError> {
    let mut at = 0;
    while at < area.len {
        let part = (area.len - at).min(AT_ONCE);
        let bytes = from.read_vec_at(part as usize, area.offset + at)?;
        to.write_all_at(&bytes, area.offset + at)?;
        at += part;
    }
    Ok(())
}

/// The journal's records; the rest of its ring is zeros.
fn copy_log(
    from: &dyn Disk,
    to: &dyn Disk,
    superblock: &Superblock,
    end: u64,
) -> Result<(), StoreError> {
    let ring = superblock.journal;
    debug_assert_eq!(ring.offset, superblock::END);
    let mut lsn = superblock.lsn;
    while lsn < end {
        let at = lsn % ring.len;
        let len = (end - lsn).min(ring.len - at);
        copy(
            from,
            to,
            Area {
                offset: ring.offset + at,
                len,
            },
        )?;
        lsn += len;
    }
    Ok(())
}
