//! One store of objects in memory: the cache that has its entries, the room, who waits.
//!
//! # Shape
//! ```text
//! put      room for it (evicting what may go) -> an id -> its entry, reachable at once
//! create   room for it -> an id -> a pending entry, held -> .. -> settled, evictable
//! read     a guard, the entry, its outcome; nothing shared is written but the stamp, once a tick
//! ```
//!
//! # Invariants
//! * S1  An entry is held in the cache exactly while it is pending, pinned, or an error that
//!   somebody refers to.
//! * S2  What the entries weigh, and builders hold, is at most the tokens in tickets; so the cache,
//!   whose capacity is a little more, never evicts by itself.
//!
//! # Progress
//! Reads are lock-free. What changes an entry blocks on its shard's lock; where there is no room, a
//! put blocks on one shard's lock after the other.
//!
//! # Checked by
//! `loom-tests/objects.rs` (S1, and T3, O2, O3 in a whole store); `tests/objects_pressure.rs` (S2).

use core::time::Duration;
use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;

use super::error::{Full, ObjectError, PutError};
use super::figures::Figures;
use super::kind::StoredType;
use super::lot::{Answer, Lot};
use super::object::{Failure, OVERHEAD, Object, Outcome, with_room};
use super::options::Options;
use super::room::{Asks, Room, Ticket};
use super::telemetry;
use super::word::{Phase, Seen, Word};
use crate::cache::tend::{Fate, Hold, Owner};
use crate::cache::{Cause, Clock, ClockCache, CoarseClock};
use crate::id::ObjectId;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use crate::sync::epoch::Guard;
use crate::sync::park::yield_now;

/// So often room is made that others take.
const ROUNDS: u32 = if SMALL { 2 } else { 16 };
/// Beside what is needed, such a part of the limit is made free, so that not every put has to.
const AHEAD: u64 = 128;
/// What weighs so much is freed as soon as it can be; the rest, by many at a time or for want of room.
const LARGE: u64 = 64 << 10;
/// A tick of the store's clock.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// One store.
pub(super) struct Inner {
    pub(super) cache: ClockCache<ObjectId, Object>,
    pub(super) room: Arc<Room>,
    pub(super) lot: Lot,
    pub(super) figures: Arc<Figures>,
    pub(super) options: Options,
    /// The next id.
    next: AtomicU64,
    closed: AtomicBool,
    clock: CoarseClock,
    start: Duration,
}

/// What the cache asks and tells of the store's entries.
struct Keeper {
    room: Arc<Room>,
    figures: Arc<Figures>,
    count_retained: bool,
}

/// What a ready or failed object weighs.
fn weight_of(outcome: &Outcome) -> u64 {
    OVERHEAD
        + outcome
            .result
            .as_ref()
            .map_or(0, |bytes| bytes.len() as u64)
}

fn weigh(_: &ObjectId, object: &Object) -> u64 {
    object
        .outcome(object.word.look())
        .map_or(OVERHEAD, weight_of)
}

/// In each execution of a model the same.
fn hasher() -> RandomState {
    if SMALL {
        RandomState::with_seeds(1, 2, 3, 4)
    } else {
        RandomState::new()
    }
}

impl Owner<Object> for Keeper {
    fn comes_held(&self, object: &Object) -> bool {
        object.word.look().phase() == Phase::Pending
    }

    fn left(&self, object: &Object, cause: Cause) {
        let Some(outcome) = object.outcome(object.word.look()) else {
            return;
        };
        if let Ok(bytes) = &outcome.result {
            self.figures.leaves(bytes.len(), cause);
            if !self.count_retained {
                // Whoever had it removed looks after those who wait.
                self.room.give_unsaid(weight_of(outcome));
            }
        }
    }
}

/// One is inside of the store; at its end those who wait for room may find that it is gone.
pub(super) struct Visit<'a>(&'a Inner);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.room.reader_left();
    }
}

/// Whether an object may be pinned: one that is ready, or pending.
fn pinnable(id: ObjectId, object: &Object, seen: Seen) -> Result<(), ObjectError> {
    if seen.is_deleted() {
        return Err(ObjectError::Deleted(id));
    }
    match object.outcome(seen) {
        Some(Outcome {
            result: Err(failure),
            ..
        }) => Err(failure.error.clone()),
        _ => Ok(()),
    }
}

/// What a tended object came to.
enum Told {
    Done,
    /// It was pending, and somebody waited for it.
    Awaited,
    Refused(ObjectError),
}

impl Inner {
    pub(super) fn new(limit: u64, options: Options) -> Self {
        let room = Room::new(limit);
        let figures = Arc::new(Figures::new());
        let keeper = Arc::new(Keeper {
            room: Arc::clone(&room),
            figures: Arc::clone(&figures),
            count_retained: options.count_retained,
        });
        let builder = ClockCache::builder()
            .max_capacity(limit.saturating_add(limit / 16).saturating_add(1))
            .weigher(weigh)
            .hasher(hasher())
            .owner(keeper);
        let builder = match options.shards {
            Some(shards) => builder.shards(shards),
            None => builder,
        };
        let clock = CoarseClock::new();
        Self {
            cache: builder
                .build()
                .expect("the default number of shards is one that can be"),
            room,
            lot: Lot::new(),
            figures,
            options,
            next: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            start: clock.now(),
            clock,
        }
    }

    pub(super) fn visit(&self) -> Visit<'_> {
        Visit(self)
    }

    /// Under loom time stands still: each execution has to be as the one before.
    pub(super) fn now(&self) -> u32 {
        if SMALL {
            return 0;
        }
        let ticks = (self.clock.now() - self.start).as_millis() / TICK.as_millis();
        ticks as u32
    }

    fn draw_id(&self) -> ObjectId {
        // Relaxed: a number that nobody else has.
        let id = self.next.fetch_add(1, Relaxed);
        ObjectId::new(id).expect("there are fewer than 2^64 objects")
    }

    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: what is out of reach since then is found by way of the shards' locks, and who stands
        // in line looks after it had the line's, which the closing takes too.
        self.closed.load(Relaxed)
    }

    /// Why there is no entry of this id.
    pub(super) fn absent(&self, id: ObjectId) -> ObjectError {
        if self.is_closed() {
            return ObjectError::Closed;
        }
        // Relaxed: whoever has an id got it from somebody who drew it.
        if id.get() < self.next.load(Relaxed) {
            ObjectError::Evicted(id)
        } else {
            ObjectError::NotFound(id)
        }
    }

    // ---------------------------------------------------------------- reads

    /// The bytes of an object, as long as the guard lives; a hit or a miss, unless it is pending and the
    /// caller `waits`.
    #[inline]
    pub(super) fn look<'g>(
        &'g self,
        id: ObjectId,
        guard: &'g Guard,
        waits: bool,
    ) -> Result<(&'g Bytes, StoredType), ObjectError> {
        if let Some(object) = self.cache.use_in(&id, guard) {
            let seen = object.word.look();
            if seen.is_readable()
                && let Some(Outcome {
                    result: Ok(bytes),
                    kind,
                }) = object.outcome(seen)
            {
                object.stamp(self.now());
                self.figures.hit();
                return Ok((bytes, *kind));
            }
        }
        let error = self.unreadable(id, guard);
        if !waits || !matches!(error, ObjectError::Pending(_)) {
            self.figures.miss();
        }
        Err(error)
    }

    #[cold]
    fn unreadable(&self, id: ObjectId, guard: &Guard) -> ObjectError {
        let Some(object) = self.cache.peek_in(&id, guard) else {
            return self.absent(id);
        };
        let seen = object.word.look();
        if seen.is_deleted() {
            return self.ended(id);
        }
        match object.outcome(seen) {
            Some(Outcome {
                result: Err(failure),
                ..
            }) => failure.error.clone(),
            // It was settled between the two looks: who comes again finds it.
            _ => ObjectError::Pending(id),
        }
    }

    /// What `f` makes of an object's bytes.
    #[inline]
    pub(super) fn read<R>(
        &self,
        id: ObjectId,
        f: impl FnOnce(&Bytes, StoredType) -> R,
    ) -> Result<R, ObjectError> {
        self.read_or_wait(id, false, f)
    }

    /// As `read`, for one who may wait.
    #[inline]
    pub(super) fn read_or_wait<R>(
        &self,
        id: ObjectId,
        waits: bool,
        f: impl FnOnce(&Bytes, StoredType) -> R,
    ) -> Result<R, ObjectError> {
        let _visit = self.visit();
        self.cache.prefetch(&id);
        let guard = self.cache.pin();
        let (bytes, kind) = self.look(id, &guard, waits)?;
        Ok(f(bytes, kind))
    }

    pub(super) fn get_stored(&self, id: ObjectId) -> Answer {
        self.read(id, |bytes, kind| (bytes.clone(), kind))
    }

    // ---------------------------------------------------------------- room

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
            if let Some(ticket) = self.room.take(need, who) {
                return Ok(ticket);
            }
            // What readers of this moment look at comes back when they have left.
            let coming = self.room.free() + self.coming();
            if coming.saturating_add(self.cache.loose_weight()) < need {
                break;
            }
            if coming < need {
                let ahead = self.room.limit() / AHEAD;
                let evicted = self.cache.shed(need - coming + ahead);
                telemetry::made_room(need, evicted);
                self.cache.collect();
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
            retained: (limit - self.room.free()).saturating_sub(inside),
        }
    }

    // ---------------------------------------------------------------- objects come

    /// An object in room that was made for it.
    pub(super) fn put_in(&self, bytes: Bytes, kind: StoredType, ticket: Ticket) -> ObjectId {
        let id = self.draw_id();
        let len = bytes.len();
        let object = Object::ready(self.take_in(bytes, ticket), kind, self.now());
        self.figures.comes(len);
        self.enter(id, object);
        id
    }

    /// The bytes, with whoever gives the room back.
    fn take_in(&self, bytes: Bytes, ticket: Ticket) -> Bytes {
        if self.options.count_retained {
            return with_room(bytes, ticket);
        }
        ticket.spend();
        bytes
    }

    fn enter(&self, id: ObjectId, object: Object) {
        // Until it is in, the next in line finds neither its room nor anything to evict.
        let _visit = self.visit();
        let entered = self.cache.insert(id, object);
        // A shard has room for more entries than memory has for the rest of them.
        entered.unwrap_or_else(|refused| panic!("an entry was refused: {:?}", refused.reason));
    }

    /// An id whose object is to come.
    pub(super) fn put_pending(&self) -> ObjectId {
        let id = self.draw_id();
        self.figures.pending(1);
        self.enter(id, Object::pending(self.now()));
        id
    }

    pub(super) fn put(&self, bytes: Bytes, kind: StoredType) -> Result<ObjectId, PutError> {
        let _visit = self.visit();
        let ticket = self
            .need(bytes.len())
            .and_then(|need| Ok(self.ticket(need)?));
        match ticket {
            Ok(ticket) => Ok(self.put_in(bytes, kind, ticket)),
            Err(reason) => Err(PutError { bytes, reason }),
        }
    }

    /// Ends the wait for an object: its bytes, as they are in the store. Bytes and room come back if it
    /// was deleted meanwhile.
    pub(super) fn fulfil(
        &self,
        id: ObjectId,
        bytes: Bytes,
        kind: StoredType,
        ticket: Ticket,
    ) -> Result<Bytes, (Bytes, Ticket)> {
        let len = bytes.len();
        let mut parts = Some((bytes, ticket));
        let make = || {
            let (bytes, ticket) = parts.take().expect("it is made once");
            let result = Ok(self.take_in(bytes, ticket));
            Outcome { result, kind }
        };
        match self.settle(id, make) {
            Some(Ok((bytes, _))) => {
                self.figures.comes(len);
                Ok(bytes)
            }
            _ => Err(parts.expect("it was not made")),
        }
    }

    /// Ends the wait for an object with an error.
    pub(super) fn fail(&self, id: ObjectId, error: ObjectError, ticket: Option<Ticket>) {
        let failure = Failure {
            error,
            _ticket: ticket,
        };
        self.settle(id, || Outcome {
            result: Err(Arc::new(failure)),
            kind: StoredType::BYTES,
        });
    }

    /// Why an object is no more that was there.
    pub(super) fn ended(&self, id: ObjectId) -> ObjectError {
        if self.is_closed() {
            ObjectError::Closed
        } else {
            ObjectError::Deleted(id)
        }
    }

    /// Has an object that is pending come to what is made for it; nothing if there is none of this id.
    fn settle(&self, id: ObjectId, make: impl FnOnce() -> Outcome) -> Option<Answer> {
        let _visit = self.visit();
        let settled = self.cache.tend(&id, |object| {
            let (outcome, seen) = (make(), object.word.look());
            let answer = match &outcome.result {
                Ok(bytes) => Ok((bytes.clone(), outcome.kind)),
                Err(failure) => Err(failure.error.clone()),
            };
            let weight = weight_of(&outcome);
            let stays_held = if answer.is_err() {
                seen.references() > 0
            } else {
                seen.pins() > 0
            };
            if stays_held && answer.is_ok() {
                self.figures.pinned(weight);
            }
            let is_used = seen.references() > 0 || seen.pins() > 0;
            let fate = Fate {
                hold: if stays_held { Hold::Same } else { Hold::Ends },
                weight: Some(weight),
                leaves: seen.is_collectable() && !is_used,
            };
            (fate, (answer, object.settle(outcome, self.now())))
        });
        self.figures.pending(u64::MAX);
        let (answer, is_awaited) = settled?;
        if is_awaited {
            self.lot.tell(id, &answer);
        }
        self.room.changed();
        Some(answer)
    }

    // ---------------------------------------------------------------- objects change

    /// Tends an object that is there, and sees to those who wait for what comes of it.
    fn tend(
        &self,
        id: ObjectId,
        of: impl FnOnce(&Object, Seen) -> (Fate, Told),
    ) -> Result<bool, ObjectError> {
        let mut is_large = false;
        let told = self.cache.tend(&id, |object| {
            let (fate, told) = of(object, object.word.look());
            is_large = fate.leaves && weigh(&id, object) >= LARGE;
            (fate, told)
        });
        if is_large {
            self.cache.collect();
        }
        self.room.changed();
        match told {
            None => Err(self.absent(id)),
            Some(Told::Refused(error)) => Err(error),
            Some(Told::Done) => Ok(false),
            Some(Told::Awaited) => Ok(true),
        }
    }

    pub(super) fn delete(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.delete_as(id, ObjectError::Deleted(id))
    }

    /// Deletes an object; who waits for it is told this.
    fn delete_as(&self, id: ObjectId, answer: ObjectError) -> Result<(), ObjectError> {
        let _visit = self.visit();
        let awaited = self.tend(id, |object, seen| {
            if seen.is_deleted() {
                return (Fate::STAYS, Told::Refused(ObjectError::Deleted(id)));
            }
            let seen = object.word.delete();
            let is_held = match seen.phase() {
                Phase::Pending => true,
                Phase::Failed => seen.references() > 0,
                Phase::Ready => seen.pins() > 0,
            };
            if seen.phase() == Phase::Ready && is_held {
                return (Fate::STAYS, Told::Done);
            }
            let fate = Fate {
                hold: if is_held { Hold::Ends } else { Hold::Same },
                leaves: true,
                ..Fate::STAYS
            };
            let awaited = seen.phase() == Phase::Pending && seen.is_awaited();
            (fate, if awaited { Told::Awaited } else { Told::Done })
        })?;
        if awaited {
            self.lot.tell(id, &Err(answer));
        }
        Ok(())
    }

    /// Whether a change of an object's word could do without the lock of its shard.
    fn without_lock(&self, id: ObjectId, change: impl FnOnce(&Word) -> bool) -> bool {
        let guard = self.cache.pin();
        let object = self.cache.peek_in(&id, &guard);
        object.is_some_and(|object| change(&object.word))
    }

    pub(super) fn pin(&self, id: ObjectId) -> Result<(), ObjectError> {
        let _visit = self.visit();
        if self.without_lock(id, Word::pin_again) {
            return Ok(());
        }
        self.tend(id, |object, seen| {
            if let Err(error) = pinnable(id, object, seen) {
                return (Fate::STAYS, Told::Refused(error));
            }
            let Some(before) = object.word.pin() else {
                let error = ObjectError::TooManyPins(id);
                return (Fate::STAYS, Told::Refused(error));
            };
            // What is pending is held for as long as it is.
            if before.pins() > 0 || before.phase() == Phase::Pending {
                return (Fate::STAYS, Told::Done);
            }
            self.figures.pinned(weigh(&id, object));
            let hold = Hold::Begins;
            (
                Fate {
                    hold,
                    ..Fate::STAYS
                },
                Told::Done,
            )
        })?;
        Ok(())
    }

    pub(super) fn unpin(&self, id: ObjectId) -> Result<(), ObjectError> {
        let _visit = self.visit();
        if self.without_lock(id, Word::unpin_one_of_many) {
            return Ok(());
        }
        self.tend(id, |object, _| {
            let Some(before) = object.word.unpin() else {
                return (Fate::STAYS, Told::Refused(ObjectError::NotPinned(id)));
            };
            if before.pins() > 1 || before.phase() != Phase::Ready {
                return (Fate::STAYS, Told::Done);
            }
            self.figures.unpinned(weigh(&id, object));
            let unused = before.is_collectable() && before.references() == 0;
            let fate = Fate {
                hold: Hold::Ends,
                leaves: before.is_deleted() || unused,
                ..Fate::STAYS
            };
            (fate, Told::Done)
        })?;
        Ok(())
    }

    /// One reference more.
    pub(super) fn refer(&self, id: ObjectId) -> Result<(), ObjectError> {
        let _visit = self.visit();
        self.tend(id, |object, seen| {
            if seen.is_deleted() {
                return (Fate::STAYS, Told::Refused(ObjectError::Deleted(id)));
            }
            let before = object.word.refer(self.options.collect_unreferenced);
            let begins = before.phase() == Phase::Failed && before.references() == 0;
            let hold = if begins { Hold::Begins } else { Hold::Same };
            (
                Fate {
                    hold,
                    ..Fate::STAYS
                },
                Told::Done,
            )
        })?;
        Ok(())
    }

    /// One reference less; the object may be gone before.
    pub(super) fn unrefer(&self, id: ObjectId) {
        let _visit = self.visit();
        let _ = self.tend(id, |object, _| {
            let before = object.word.unrefer();
            let is_last = before.references() == 1 && !before.is_deleted();
            let fate = match before.phase() {
                Phase::Failed if is_last => Fate {
                    hold: Hold::Ends,
                    leaves: before.is_collectable(),
                    ..Fate::STAYS
                },
                Phase::Ready if is_last && before.pins() == 0 => Fate {
                    leaves: before.is_collectable(),
                    ..Fate::STAYS
                },
                _ => Fate::STAYS,
            };
            (fate, Told::Done)
        });
    }

    /// Deletes all that there is.
    pub(super) fn clear(&self) {
        self.clear_as(ObjectError::Deleted);
        self.cache.collect();
    }

    fn clear_as(&self, answer: impl Fn(ObjectId) -> ObjectError) {
        let guard = self.cache.pin();
        let ids: Vec<ObjectId> = self.cache.iter_in(&guard).map(|(id, _)| *id).collect();
        drop(guard);
        for id in ids {
            // It may be gone, or deleted, by now.
            let _ = self.delete_as(id, answer(id));
        }
    }

    /// The store's handle is gone.
    pub(super) fn close(&self) {
        // Relaxed: see `is_closed`.
        self.closed.store(true, Relaxed);
        self.clear_as(|_| ObjectError::Closed);
        self.room.wake_all();
        self.cache.collect();
    }
}
