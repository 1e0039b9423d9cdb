//! Many objects put at once: slots in rows, neighbours in one write, one record.
//!
//! # Checked by
//! `tests/store_stream.rs`, `tests/store_batch.rs`; `tests/store_crash.rs`.

use super::engine::{Engine, SYNCED_FIRST, layout_of};
use super::error::StoreError;
use super::format::record::{Change, Put};
use super::format::slot::Layout;
use super::object;
use super::options::Durability;
use crate::alloc::OmniRun;
use crate::id::{ByteLen, Extent, ObjectId};

/// Slots that are reserved, and given back unless they are published or kept.
pub(super) struct Reserved<'a> {
    engine: &'a Engine,
    runs: Vec<OmniRun<'a>>,
}

impl Reserved<'_> {
    /// Each slot: its id, its bytes, and whether it is of no class.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ObjectId, Extent, bool)> + '_ {
        self.runs.iter().flat_map(|run| {
            let is_single = run.is_single();
            run.iter().map(move |(id, extent)| (id, extent, is_single))
        })
    }

    /// Leaves them reserved.
    pub(super) fn keep(mut self) {
        self.runs.drain(..).for_each(OmniRun::keep);
    }

    fn publish(mut self) {
        self.runs.drain(..).for_each(OmniRun::publish);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        for run in self.runs.drain(..) {
            if run.is_single() {
                self.engine.space.forget_large();
            }
        }
    }
}

impl Engine {
    /// Slots for `n` objects of this length, or none.
    pub(super) fn reserve_all(&self, len: u64, n: usize) -> Result<Reserved<'_>, StoreError> {
        let mut all = self.reserve_none();
        self.reserve_more(len, n, &mut all)?;
        Ok(all)
    }

    fn reserve_none(&self) -> Reserved<'_> {
        Reserved {
            engine: self,
            runs: Vec::new(),
        }
    }

    /// Slots in rows, as far as there are some, and one by itself where ranges are to grow.
    fn reserve_more<'a>(
        &'a self,
        len: u64,
        n: usize,
        all: &mut Reserved<'a>,
    ) -> Result<(), StoreError> {
        self.check_writable()?;
        let slot = Layout::slot_for(len).map(ByteLen::new);
        let mut left = n as u64;
        while left > 0 {
            if let Some(slot) = slot.filter(|_| left > 1) {
                left -= self.allocator.reserve_many(slot, left, &mut all.runs);
            }
            if left > 0 {
                all.runs.push(self.reserve(len)?.into());
                left -= 1;
            }
        }
        Ok(())
    }

    /// Whether objects of these lengths go to slots of one size.
    fn are_alike(&self, one: u64, other: u64) -> bool {
        let size = |len| {
            let slot = Layout::slot_for(len).map(ByteLen::new);
            slot.and_then(|slot| self.allocator.slot_size(slot))
        };
        one == other || size(one) == size(other) && size(one).is_some()
    }

    pub(super) fn put_many<B: AsRef<[u8]>>(
        &self,
        all: &[B],
        durability: Durability,
    ) -> Result<Vec<ObjectId>, StoreError> {
        // Asked once: whoever says something else each time is not believed.
        let all: Vec<&[u8]> = all.iter().map(AsRef::as_ref).collect();
        let mut ids = Vec::with_capacity(all.len());
        for some in all.chunks(self.log.longest() as usize / 64) {
            if let Err(error) = self.put_some(some, durability, &mut ids) {
                // Nobody is told of those that are there: they go again, as far as that can be.
                let deleted = |id| self.delete(id, Durability::None);
                ids.into_iter().try_for_each(deleted).unwrap_or_default();
                return Err(error);
            }
        }
        self.tell_all(&ids);
        Ok(ids)
    }

    fn put_some(
        &self,
        all: &[&[u8]],
        durability: Durability,
        ids: &mut Vec<ObjectId>,
    ) -> Result<(), StoreError> {
        let len = |at: usize| all[at].len() as u64;
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| len(*at));
        let mut reserved = self.reserve_none();
        for alike in order.chunk_by(|one, other| self.are_alike(len(*one), len(*other))) {
            let longest = len(alike[alike.len() - 1]);
            self.reserve_more(longest, alike.len(), &mut reserved)?;
        }
        let from = ids.len();
        let mut batch = Batch::new(self, all.len());
        ids.resize(from + all.len(), ObjectId::MIN);
        let done = order
            .iter()
            .zip(reserved.iter())
            .try_for_each(|(at, slot)| {
                ids[from + at] = slot.0;
                batch.put(slot, all[*at])
            });
        let done = done.and_then(|()| batch.finish());
        let done = done.and_then(|changes| self.put_on_record(&changes, reserved, durability));
        if done.is_err() {
            ids.truncate(from);
        }
        done
    }

    /// Appends the records of objects, whose slots have their bytes, and publishes them.
    fn put_on_record(
        &self,
        changes: &[Change],
        reserved: Reserved<'_>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut end = None;
        let appended = changes.iter().try_for_each(|change| {
            end = Some(self.append(change)?);
            Ok(())
        });
        let done = appended.and_then(|()| end.map_or(Ok(()), |end| self.commit(end, durability)));
        match done {
            Ok(()) => reserved.publish(),
            // Their records may be on the disk: nobody may have the slots.
            Err(_) if end.is_some() => reserved.keep(),
            Err(_) => drop(reserved),
        }
        done
    }
}

/// Objects that are written in the order of their slots, neighbours at once.
struct Batch<'a> {
    engine: &'a Engine,
    bytes: Vec<u8>,
    /// Where in the file they begin.
    begin: u64,
    /// The next one's generation.
    generation: u64,
    puts: Vec<Put>,
    large: Vec<Change>,
    needs_sync: bool,
}

/// So many bytes are written at once.
const AT_ONCE: usize = 1 << 20;

impl<'a> Batch<'a> {
    /// For `n` objects.
    fn new(engine: &'a Engine, n: usize) -> Self {
        Self {
            engine,
            bytes: Vec::new(),
            begin: 0,
            generation: engine.draw_generations(n as u64),
            puts: Vec::with_capacity(n),
            large: Vec::new(),
            needs_sync: false,
        }
    }

    fn put(&mut self, slot: (ObjectId, Extent, bool), payload: &[u8]) -> Result<(), StoreError> {
        let (id, extent, is_single) = slot;
        let offset = extent.offset.get();
        if offset != self.begin + self.bytes.len() as u64 || self.bytes.len() >= AT_ONCE {
            self.write()?;
            self.begin = offset;
        }
        let begin = self.bytes.len();
        let (generation, layout) = (self.generation, layout_of(extent));
        self.generation += 1;
        let mut put = object::encode_to(&mut self.bytes, id.get(), generation, payload, layout);
        // Up to the next slot: what is behind an object in its slot is nobody's.
        self.bytes.resize(begin + extent.len.get() as usize, 0);
        put.synced = put.len > SYNCED_FIRST;
        self.needs_sync |= put.synced;
        if is_single {
            self.large.push(self.engine.large_change(put, extent));
        } else {
            self.puts.push(put);
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
