//! How room is made: what may go is evicted, the index made smaller, and what is on its way waited for.
//!
//! # Shape
//! ```text
//! let ripe entries go -> trim the index -> enough?
//! do free, coming and loose suffice?   no: Full, and nothing is evicted
//! compact the index, evict what is lacking and some more -> let go, trim -> enough? else again
//! ```
//!
//! # Progress
//! Blocks on one shard's lock after the other.
//!
//! # Checked by
//! `loom-tests/objects.rs`, `loom-tests/objects_index.rs`; `tests/objects_pressure.rs`.

use super::error::{Full, ObjectError};
use super::inner::Inner;
use super::object::OVERHEAD;
use super::room::{Asks, Ticket};
use super::telemetry;
use crate::sync::SMALL;
use crate::sync::park::yield_now;

/// So often room is made that others take.
const ROUNDS: u32 = if SMALL { 2 } else { 16 };
/// Beside what is needed, such a part of the limit is made free, so that not every put has to.
const AHEAD: u64 = 128;
/// Where more than such a part of the limit is in empty places of the index, it is made smaller.
const SPARSE: u64 = 16;

impl Inner {
    /// What an object of this length takes of the room.
    pub(super) fn need(&self, len: usize) -> Result<u64, ObjectError> {
        let len = len as u64;
        let most = self.room.limit().saturating_sub(OVERHEAD);
        if len > most {
            return Err(ObjectError::TooLarge { len, most });
        }
        Ok(len + OVERHEAD)
    }

    /// Room for whoever does not wait.
    pub(super) fn ticket(&self, need: u64) -> Result<Ticket, Full> {
        match self.room.take(need, Asks::Now) {
            Some(ticket) => Ok(ticket),
            None => self.make_room(need, Asks::Now),
        }
    }

    /// Evicts what may go until there is room; nothing, if what may not go leaves none.
    #[cold]
    pub(super) fn make_room(&self, need: u64, who: Asks) -> Result<Ticket, Full> {
        for _ in 0..ROUNDS {
            if who == Asks::Now && self.room.is_waited_for() {
                break;
            }
            if self.cache.retained_weight() > 0 {
                self.cache.collect();
            }
            self.cache.trim();
            if let Some(ticket) = self.room.take(need, who) {
                return Ok(ticket);
            }
            // What readers of this moment look at comes back when they have left.
            let coming = self.room.free() + self.coming();
            if coming.saturating_add(self.loose()) < need {
                break;
            }
            if coming < need {
                self.evict(need - coming);
            }
            if let Some(ticket) = self.room.take(need, who) {
                return Ok(ticket);
            }
            yield_now();
        }
        let full = self.full(need);
        telemetry::refused(&full);
        Err(full)
    }

    /// Evicts what is lacking, and some more.
    fn evict(&self, lacking: u64) {
        let lacking = lacking + self.room.limit() / AHEAD;
        let empty = self.options.place * self.cache.empty_places();
        let compacted = if empty > self.room.limit() / SPARSE {
            self.cache.compact()
        } else {
            0
        };
        let shed = self.cache.shed(lacking.saturating_sub(compacted));
        telemetry::made_room(lacking, compacted + shed);
        self.cache.collect();
        self.cache.trim();
    }

    /// What evictions can give: objects, and those parts of the index that nobody who stays is in.
    fn loose(&self) -> u64 {
        let index = self.options.place * self.cache.movable_places();
        self.cache.loose_weight().saturating_add(index)
    }

    /// What comes back without anything being evicted.
    fn coming(&self) -> u64 {
        if self.options.count_retained {
            self.cache.retained_weight()
        } else {
            0
        }
    }

    /// What keeps the room.
    pub(super) fn full(&self, need: u64) -> Full {
        let (limit, pending) = (self.room.limit(), self.figures.pending_bytes());
        let inside = self.cache.weighted_size() + self.figures.reserved_bytes();
        Full {
            asked: need,
            limit,
            pinned: self.figures.pinned_bytes(),
            pending,
            retained: self.used().saturating_sub(inside),
            index: self.room.index(),
        }
    }

    /// What is in tickets.
    pub(super) fn used(&self) -> u64 {
        let (free, index) = (self.room.free(), self.room.index());
        self.room.limit().saturating_sub(free + index)
    }
}
