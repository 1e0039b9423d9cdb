//! How a store is made, and how it is brought to where it was.
//!
//! # Checked by
//! `tests/store_crash.rs`; `tests/store.rs`.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::{Disk, DiskExt, InTurn, copy};
use super::engine::{Callback, Engine, Overlaid, random};
use super::error::{Damage, StoreError};
use super::format::Area;
use super::format::slot::{Header, Layout};
use super::format::superblock::{Features, Superblock};
use super::gate::Gate;
use super::image::{Image, Next};
use super::log::Log;
use super::object;
use super::open::Open;
use super::options::Durability;
use super::pending::Pending;
use super::recover::{self, Redo};
use super::space::Space;
use crate::alloc::{AllocatorSnapshot, OmniBlockAllocator, RangeSnapshot, SizeClasses};
use crate::id::{ByteLen, Extent, FileOffset, IdRange, ObjectId};
use crate::sync::atomic::{AtomicU64, AtomicUsize};
use crate::sync::lock::Mutex;

impl Engine {
    /// Writes an empty store.
    pub(super) fn format(
        disk: &dyn Disk,
        journal: u64,
        classes: &SizeClasses,
    ) -> Result<(), StoreError> {
        let sizes: Vec<u64> = classes.as_slice().iter().map(|size| size.get()).collect();
        let (journal, catalogs) = Space::first(disk, journal, sizes.len())?;
        zero(disk, journal)?;
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&random().to_le_bytes());
        uuid[8..].copy_from_slice(&random().to_le_bytes());
        let superblock = Superblock {
            features: Features::default(),
            uuid,
            sequence: 0,
            salt: random(),
            lsn: 0,
            journal,
            // The second half: the first image is written to the first one.
            catalog: Area {
                offset: catalogs.offset + catalogs.len / 2,
                len: 0,
            },
            catalog_checksum: 0,
            clean: true,
            catalogs,
            generations: 1,
            next_id: 1,
        };
        let mut image = Image::empty(superblock, sizes);
        let next = Next {
            lsn: 0,
            salt: superblock.salt,
            clean: true,
        };
        image.write(disk, next)?;
        Ok(())
    }

    /// Brings a store to where it was, and writes that down before anything is accepted.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        durability: Durability,
        on_allocate: Option<Callback>,
        pads: bool,
    ) -> Result<Arc<Self>, StoreError> {
        let mut found = recover::look(&*disk)?;
        if found.image.superblock.features.read_only != 0 {
            return Err(StoreError::Features(
                found.image.superblock.features.read_only,
            ));
        }
        found.image.skip_generations();
        for redo in &found.redo {
            redo_in_place(&*disk, &found.image, redo)?;
        }
        let allocator = allocator_of(&*disk, &mut found.image)?;
        let next = Next {
            lsn: found.next_lsn,
            salt: random(),
            clean: false,
        };
        found.image.write(&*disk, next)?;
        // Once more, to the other superblock: else that is the last session's, and should this one rot,
        // recovery would not know that there was a session since.
        found.image.write(&*disk, next)?;
        let mut engine = Self::over(disk, found.image, allocator, pads);
        (engine.durability, engine.on_allocate) = (durability, on_allocate);
        let watch = Arc::clone(&engine.space);
        engine.allocator.watch(watch);
        Ok(Arc::new(engine))
    }

    /// Looks at a store and writes nothing.
    pub(super) fn open_read_only(disk: Arc<dyn Disk>) -> Result<Arc<Self>, StoreError> {
        let mut found = recover::look(&*disk)?;
        let contents = found.redo.iter();
        let contents = contents.map(|redo| {
            let (put, bytes) = content_of(&*disk, &found.image, redo)?;
            Ok((put.id, (put, bytes)))
        });
        let overlay = contents.collect::<Result<HashMap<_, _>, StoreError>>()?;
        let allocator = allocator_of(&*disk, &mut found.image)?;
        let mut engine = Self::over(disk, found.image, allocator, false);
        engine.overlay = Some(overlay);
        Ok(Arc::new(engine))
    }

    fn over(disk: Arc<dyn Disk>, image: Image, allocator: OmniBlockAllocator, pads: bool) -> Self {
        let Superblock {
            journal,
            salt,
            lsn,
            generations,
            ..
        } = image.superblock;
        let disk: Arc<dyn Disk> = Arc::new(InTurn::new(disk));
        let log = Arc::new(Log::new(Arc::clone(&disk), journal, salt, lsn, pads));
        let space = Arc::new(Space::new(Arc::clone(&disk), Arc::clone(&log), &image));
        Self {
            disk,
            log,
            space,
            allocator,
            open: Open::new(),
            gate: Gate::new(),
            pending: Pending::new(),
            generations: AtomicU64::new(generations),
            root: AtomicU64::new(image.root.unwrap_or(0)),
            rooting: Mutex::new(()),
            classing: Mutex::new(()),
            freed: Mutex::new(VecDeque::new()),
            frees: AtomicUsize::new(0),
            later: Mutex::new(Vec::new()),
            superblock: Mutex::new(image.superblock),
            checkpoints: AtomicU64::new(0),
            durability: Durability::default(),
            on_allocate: None,
            overlay: None,
        }
    }
}

fn zero(disk: &dyn Disk, area: Area) -> io::Result<()> {
    let zeros = vec![0; (1 << 20).min(area.len as usize)];
    let mut at = 0;
    while at < area.len {
        let part = (area.len - at).min(zeros.len() as u64);
        disk.write_all_at(&zeros[..part as usize], area.offset + at)?;
        at += part;
    }
    Ok(())
}

/// Writes an overwrite that is its slot's last word once more. What is in a scratch area and
/// damaged stays there: the slot may have it already.
fn redo_in_place(disk: &dyn Disk, image: &Image, redo: &Redo) -> Result<(), StoreError> {
    let (slot, layout) = slot_of(image, redo)?;
    match redo {
        Redo::Bytes(put, payload) => {
            let (_, bytes) = object::encode(put.id, put.generation, payload, layout);
            disk.write_all_at(&bytes, slot.offset)?;
        }
        Redo::Scratch(put, area) => {
            if object::verifies_at(disk, area.offset, put, layout)? {
                copy(disk, *area, disk, slot.offset)?;
            } else if !object::verifies_at(disk, slot.offset, put, layout)? {
                // What was acknowledged is lost, and the old bytes do not come back in its place.
                let lost = Header::of_lost(put.checksum, put.generation as u32, put.len);
                disk.write_all_at(&lost.to_bytes(), slot.offset)?;
            }
        }
    }
    Ok(())
}

/// The content that an overwrite gives to its slot; what is in a scratch area is verified, and
/// may have been copied before.
fn content_of(disk: &dyn Disk, image: &Image, redo: &Redo) -> Result<Overlaid, StoreError> {
    let (slot, layout) = slot_of(image, redo)?;
    match redo {
        Redo::Bytes(put, payload) => Ok((*put, Some(payload.clone().into()))),
        Redo::Scratch(put, area) => {
            for offset in [area.offset, slot.offset] {
                let bytes = disk.read_vec_at(area.len as usize, offset)?;
                let found = object::decode(put.id, &bytes, layout);
                let found = found.filter(|(header, _)| put.is(header));
                if let Some((_, range)) = found {
                    return Ok((*put, Some(Bytes::from(bytes).slice(range))));
                }
            }
            Ok((*put, None))
        }
    }
}

/// The slot that an overwrite goes to, if it fits.
fn slot_of(image: &Image, redo: &Redo) -> Result<(Area, Layout), StoreError> {
    let (put, len) = match redo {
        Redo::Bytes(put, _) => (put, 0),
        Redo::Scratch(put, area) => (put, area.len),
    };
    let slot = image.slot_of(put.id).filter(|slot| len <= slot.len);
    let found = slot.and_then(|slot| Some((slot, Layout::of_slot(slot.len)?)));
    let found = found.filter(|(_, layout)| put.len <= layout.capacity);
    found.ok_or(StoreError::Damaged(Damage::Ids { first: put.id }))
}

/// An allocator with all that an image names.
fn allocator_of(disk: &dyn Disk, image: &mut Image) -> Result<OmniBlockAllocator, StoreError> {
    let damaged = |_| StoreError::Damaged(Damage::Catalog);
    let mut sizes: Vec<ByteLen> = image.classes.iter().copied().map(ByteLen::new).collect();
    sizes.sort_unstable();
    let classes = SizeClasses::new(sizes);
    let classes = classes.map_err(|_| StoreError::Damaged(Damage::Catalog))?;
    let mut ranges = Vec::new();
    let all: Vec<_> = image.ranges.values().copied().collect();
    for range in all {
        let words = image.words(disk, range)?;
        ranges.push(range_of(
            range.first_id,
            range.slots.into(),
            range.offset,
            range.slot_size,
            true,
            words,
        )?);
    }
    for large in image.large.values() {
        ranges.push(range_of(
            large.id,
            1,
            large.offset,
            large.slot_size,
            false,
            vec![1],
        )?);
    }
    ranges.sort_by_key(|range| range.ids.first());
    let next_id = ObjectId::new(image.superblock.next_id);
    let snapshot = AllocatorSnapshot {
        next_id,
        classes,
        ranges,
    };
    let journal = image.superblock.journal;
    let header = journal.offset + journal.len;
    let builder = OmniBlockAllocator::builder().header(ByteLen::new(header));
    let taken: Vec<Extent> = image.own_areas().into_iter().map(Area::extent).collect();
    builder.restore_beside(&snapshot, &taken).map_err(damaged)
}

fn range_of(
    first: u64,
    slots: u64,
    offset: u64,
    slot_size: u64,
    in_class: bool,
    words: Vec<u64>,
) -> Result<RangeSnapshot, StoreError> {
    let damage = StoreError::Damaged(Damage::Ids { first });
    let ids = ObjectId::new(first).and_then(|first| IdRange::new(first, slots).ok());
    Ok(RangeSnapshot {
        ids: ids.ok_or(damage)?,
        offset: FileOffset::new(offset),
        slot_size: ByteLen::new(slot_size),
        in_class,
        words,
    })
}
