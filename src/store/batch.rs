//! Many objects put at once: in the order of their slots, neighbours in one write.
//!
//! # Checked by
//! `tests/store_stream.rs`; `tests/store_crash.rs`.

use super::engine::{Engine, SYNCED_FIRST, layout_of};
use super::error::StoreError;
use super::format::record::{Change, Put};
use super::object;
use super::options::Durability;
use crate::alloc::OmniReservation;
use crate::id::ObjectId;

impl Engine {
    pub(super) fn put_many<B: AsRef<[u8]>>(
        &self,
        all: &[B],
        durability: Durability,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let mut ids = Vec::with_capacity(all.len());
        for some in all.chunks(self.log.longest() as usize / 64) {
            self.put_some(some, durability, &mut ids)?;
        }
        Ok(ids)
    }

    fn put_some<B: AsRef<[u8]>>(
        &self,
        all: &[B],
        durability: Durability,
        ids: &mut Vec<ObjectId>,
    ) -> Result<(), StoreError> {
        let reserved = self.reserve_all(all.iter().map(|bytes| bytes.as_ref().len() as u64))?;
        let payloads = all.iter().map(AsRef::as_ref);
        let reserved: Vec<(_, &[u8])> = reserved.into_iter().zip(payloads).collect();
        let mut in_order: Vec<_> = reserved.iter().collect();
        in_order.sort_unstable_by_key(|(reservation, _)| reservation.extent().offset);
        let mut batch = Batch::new(self);
        for (reservation, payload) in in_order {
            batch.put(reservation, payload)?;
        }
        let changes = batch.finish()?;
        let mut end = 0;
        for change in &changes {
            end = self.append(change)?;
        }
        if let Err(error) = self.commit(end, durability) {
            // Their records may be on the disk: nobody may have the slots.
            reserved.into_iter().for_each(|(reservation, _)| {
                reservation.keep();
            });
            return Err(error);
        }
        let published = reserved
            .into_iter()
            .map(|(reservation, _)| reservation.publish());
        let from = ids.len();
        ids.extend(published);
        if let Some(call) = &self.on_allocate {
            ids[from..].iter().for_each(|id| call(*id));
        }
        Ok(())
    }
}

/// Objects that are written in the order of their slots, neighbours at once.
struct Batch<'a> {
    engine: &'a Engine,
    bytes: Vec<u8>,
    /// Where in the file they begin.
    begin: u64,
    puts: Vec<Put>,
    large: Vec<Change>,
    needs_sync: bool,
}

/// So many bytes are written at once.
const AT_ONCE: usize = 1 << 20;

impl<'a> Batch<'a> {
    fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            bytes: Vec::new(),
            begin: 0,
            puts: Vec::new(),
            large: Vec::new(),
            needs_sync: false,
        }
    }

    fn put(&mut self, slot: &OmniReservation<'_>, payload: &[u8]) -> Result<(), StoreError> {
        let (id, extent) = (slot.id().get(), slot.extent());
        let generation = self.engine.draw_generation();
        let offset = extent.offset.get();
        if offset != self.begin + self.bytes.len() as u64 || self.bytes.len() >= AT_ONCE {
            self.write()?;
            self.begin = offset;
        }
        let begin = self.bytes.len();
        let layout = layout_of(extent);
        let mut put = object::encode_to(&mut self.bytes, id, generation, payload, layout);
        // Up to the next slot: what is behind an object in its slot is nobody's.
        self.bytes.resize(begin + extent.len.get() as usize, 0);
        put.synced = put.len > SYNCED_FIRST;
        self.needs_sync |= put.synced;
        match self.engine.large_change(put, slot) {
            Some(large) => self.large.push(large),
            None => self.puts.push(put),
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.engine.write(&self.bytes, self.begin)?;
        self.bytes.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Change>, StoreError> {
        self.write()?;
        if self.needs_sync {
            self.engine.sync_data()?;
        }
        let mut changes = self.large;
        if !self.puts.is_empty() {
            changes.push(Change::Put(self.puts));
        }
        Ok(changes)
    }
}
