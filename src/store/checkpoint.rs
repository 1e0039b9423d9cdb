//! When the journal ends and the next image begins: checkpoints, and what waited for them.
//!
//! # Progress
//! Whoever makes a checkpoint has the superblock's lock; overwrites pause while its end is chosen,
//! and until what waits in memory is in its slots.
//!
//! # Checked by
//! `tests/store_crash.rs`; `tests/store_care.rs`.

use super::engine::{Engine, Later};
use super::error::{Damage, StoreError};
use super::format::Area;
use super::format::record::Change;
use super::format::superblock::Superblock;
use super::image::{Image, Next};
use super::log::Reader;
use super::options::Durability;
use crate::sync::atomic::Ordering::*;
use crate::sync::lock::MutexGuard;

impl Engine {
    /// Makes a checkpoint if it is time for one and nobody else does. What it fails with is not
    /// its caller's matter, whose own record is where it should be: whoever needs the room is told.
    pub(super) fn checkpoint_by_and_by(&self) {
        if self.log.is_half_full()
            && let Some(superblock) = self.superblock.try_lock()
        {
            let _ = self.checkpoint_with(superblock, false);
        }
    }

    pub(super) fn make_room_in_the_log(&self) -> Result<(), StoreError> {
        let superblock = self.superblock.lock();
        if !self.log.is_half_full() {
            return Ok(()); // somebody else did
        }
        self.checkpoint_with(superblock, false)
    }

    /// Makes a checkpoint: the journal is empty afterwards.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.checkpoint_with(self.superblock.lock(), false)
    }

    /// The last checkpoint, after which there is no record.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.checkpoint_with(self.superblock.lock(), true)
    }

    fn checkpoint_with(
        &self,
        mut superblock: MutexGuard<'_, Superblock>,
        clean: bool,
    ) -> Result<(), StoreError> {
        let closed = self.gate.close();
        let end = self.log.end();
        if end == superblock.lsn && (superblock.clean || !clean) {
            drop((closed, superblock));
            self.release_until(end); // somebody else made it meanwhile
            return Ok(());
        }
        if self.pending.is_empty() {
            drop(closed);
            self.survive(end, Durability::Group)?;
        } else {
            // Nobody takes the place of what waits, and must be in its slot.
            self.survive(end, Durability::Group)?;
            self.move_all(end)?;
            drop(closed);
        }
        let salt = superblock.salt;
        let next = Next {
            lsn: end,
            salt,
            clean,
        };
        let mut image = self.next_image(*superblock, end)?;
        let written = image.write(&*self.disk, next);
        written.map_err(|error| self.fail(error))?;
        let before = core::mem::replace(&mut *superblock, image.superblock);
        self.log.release(end);
        // Relaxed: a figure.
        self.checkpoints.fetch_add(1, Relaxed);
        let directory = self.allocator.root().directory();
        if before.catalogs != superblock.catalogs {
            self.space.give(directory, before.catalogs);
        }
        drop(superblock);
        self.settle();
        self.release_until(end);
        Ok(())
    }

    /// The last checkpoint, and the log up to `end`.
    fn next_image(&self, superblock: Superblock, end: u64) -> Result<Image, StoreError> {
        let disk = &*self.disk;
        let mut image = Image::load(disk, superblock)?;
        let Superblock {
            journal, salt, lsn, ..
        } = superblock;
        let mut reader = Reader::new(disk, journal, salt, lsn);
        while reader.lsn() < end {
            let lsn = reader.lsn();
            let record = reader.read()?;
            let record = record.ok_or(StoreError::Damaged(Damage::Record { lsn }))?;
            image.apply(disk, &record.change)?;
        }
        Ok(image)
    }

    /// What waited for a checkpoint at `end` is free now.
    fn release_until(&self, end: u64) {
        let mut later = self.later.lock();
        let (ready, rest) = later.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= end);
        *later = rest;
        drop(later);
        let guard = self.allocator.pin();
        for (_, what) in ready {
            match what {
                Later::Object(id) => drop(self.allocator.reclaim(id, &guard)),
                Later::Area(area) => self.give_scratch(area),
            }
        }
    }

    /// Makes a checkpoint, and reads back what it says.
    pub(super) fn check_layout(&self) -> Result<(), StoreError> {
        if !self.is_read_only() {
            self.checkpoint()?;
        }
        let superblock = self.superblock.lock();
        let mut image = Image::load(&*self.disk, *superblock)?;
        let ranges: Vec<_> = image.ranges.values().copied().collect();
        for range in ranges {
            let words = image.words(&*self.disk, range)?;
            let spare = (64 - range.slots % 64) % 64;
            let beyond = words
                .last()
                .is_some_and(|word| word.leading_zeros() < spare);
            if beyond {
                let word = range.word;
                return Err(StoreError::Damaged(Damage::Words { word }));
            }
        }
        Ok(())
    }

    /// Gives unused ranges back, and cuts the file; how many bytes it is shorter.
    pub(super) fn shrink(&self) -> Result<u64, StoreError> {
        self.checkpoint()?;
        self.allocator.collect();
        for (first, extent) in self.allocator.take_unused() {
            let end = self.append(&Change::RangeGone(first.get()))?;
            let area = Area {
                offset: extent.offset.get(),
                len: extent.len.get(),
            };
            self.later.lock().push((end, Later::Area(area)));
        }
        self.checkpoint()?;
        self.allocator.collect();
        // A backup reads the file as far as it was when it began.
        let _superblock = self.superblock.lock();
        let before = self.disk.len()?;
        let directory = self.allocator.root().directory();
        // Under the lock of the space, so that nobody takes what is cut off.
        let cut = directory.with_space(|space| {
            let end = space.truncate().get();
            (end < before).then(|| self.disk.set_len(end)).transpose()
        });
        cut.map_err(|error| self.fail(error))?;
        Ok(before - self.disk.len()?)
    }
}
