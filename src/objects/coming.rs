//! How objects come in: with room that was made for them, under an id that has a place in the index.
//!
//! # Progress
//! Blocks on the lock of one shard; where it has no place, on those of others.
//!
//! # Checked by
//! `loom-tests/objects.rs`, `loom-tests/objects_index.rs`; `tests/objects_index.rs`.

use bytes::Bytes;

use super::error::{Full, ObjectError, PutError};
use super::inner::Inner;
use super::kind::StoredType;
use super::object::{OVERHEAD, Object, with_room};
use super::room::{Asks, Ticket};
use crate::cache::tend::NoPlace;
use crate::id::ObjectId;
use crate::sync::SMALL;

/// So many ids are drawn at most for one object that finds no place in the index.
const SHARDS: u32 = if SMALL { 2 } else { 64 };

impl Inner {
    /// An object in room that was made for it; what is more than that pays for its place in the index.
    pub(super) fn put_in(
        &self,
        bytes: Bytes,
        kind: StoredType,
        mut ticket: Ticket,
    ) -> Result<ObjectId, (Bytes, Full)> {
        let len = bytes.len();
        let own = ticket.split(OVERHEAD + len as u64);
        let weight = own.tokens();
        let mut parts = Some((bytes, own));
        let entered = self.enter(weight, ticket, || {
            let (bytes, own) = parts.take().expect("it is made once");
            self.figures.comes(len);
            Object::ready(self.take_in(bytes, own), kind, self.now())
        });
        entered.map_err(|full| {
            let (bytes, _) = parts.take().expect("it was not made");
            (bytes, full)
        })
    }

    /// The bytes, with whoever gives the room back.
    pub(super) fn take_in(&self, bytes: Bytes, ticket: Ticket) -> Bytes {
        if self.options.count_retained {
            return with_room(bytes, ticket);
        }
        ticket.spend();
        bytes
    }

    /// Has an object made under a new id, once there is a place for it in the index: an empty one, or
    /// one that is paid for by this ticket, or by what can be evicted.
    fn enter(
        &self,
        weight: u64,
        mut paying: Ticket,
        make: impl FnOnce() -> Object,
    ) -> Result<ObjectId, Full> {
        // Until it is in, the next in line finds neither its room nor anything to evict.
        let _visit = self.visit();
        let mut make = Some(make);
        let mut make = || make.take().expect("it is made once")();
        let mut full = None;
        // Where there is no room for another place, one in another shard does, under another id.
        for _ in 0..SHARDS {
            let id = self.draw_id();
            for _ in 0..3 {
                let mut paid = paying.tokens();
                let come = self.cache.come(id, weight, &mut paid, &mut make);
                let Err(NoPlace(cost)) = come else {
                    let rest = paying.split(paid);
                    self.room.index_takes(paying);
                    drop(rest);
                    return Ok(id);
                };
                if full.is_some() {
                    // One in its place, if any there may go.
                    if self.cache.shed_beside(&id) == 0 {
                        break;
                    }
                    self.cache.collect();
                    continue;
                }
                match self.make_room(cost, Asks::AtFront) {
                    Ok(more) => paying.join(more),
                    Err(why) => full = Some(why),
                }
            }
        }
        Err(full.unwrap_or_else(|| self.full(weight)))
    }

    /// An id whose object is to come; the ticket pays for its place in the index.
    pub(super) fn put_pending(&self, paying: Ticket) -> Result<ObjectId, Full> {
        self.enter(OVERHEAD, paying, || {
            self.figures.pending(1);
            Object::pending(self.now())
        })
    }

    /// A copy of these bytes, made once there is room for it.
    pub(super) fn put_copy(&self, bytes: &[u8]) -> Result<ObjectId, ObjectError> {
        let _visit = self.visit();
        let size = bytes.len();
        let ticket = self.ticket(self.need(size)?)?;
        let mut copy = Vec::new();
        let reserved = copy.try_reserve_exact(size);
        reserved.map_err(|_| ObjectError::OutOfMemory { size })?;
        copy.extend_from_slice(bytes);
        let put = self.put_in(Bytes::from(copy), StoredType::BYTES, ticket);
        put.map_err(|(_, full)| full.into())
    }

    pub(super) fn put(&self, bytes: Bytes, kind: StoredType) -> Result<ObjectId, PutError> {
        let _visit = self.visit();
        let ticket = self
            .need(bytes.len())
            .and_then(|need| Ok(self.ticket(need)?));
        match ticket {
            Ok(ticket) => {
                let put = self.put_in(bytes, kind, ticket);
                put.map_err(|(bytes, full)| PutError {
                    bytes,
                    reason: full.into(),
                })
            }
            Err(reason) => Err(PutError { bytes, reason }),
        }
    }
}
