//! One store of objects in memory: the cache that has its entries, the room, who waits.
//!
//! # Shape
//! ```text
//! put      room for it (evicting what may go) -> an id -> a place in the index -> reachable at once
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

use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;

use super::error::ObjectError;
use super::figures::Figures;
use super::kind::StoredType;
use super::lot::{Answer, Lot};
use super::object::{Failure, OVERHEAD, Object, Outcome};
use super::options::Options;
use super::room::{Asks, Places, Room, Ticket};
use super::word::{Phase, Seen, Word};
pub(super) use crate::cache::TICK;
use crate::cache::tend::{FIRST, Fate, Hold, Owner, Sought};
use crate::cache::tick::Moment;
use crate::cache::{Cause, Clock, ClockCache, CoarseClock};
use crate::id::ObjectId;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use crate::sync::epoch::Guard;
use crate::sync::hint::prefetch_at;

/// What left and does not count is freed where it is more than such a part of the limit.
const UNCOUNTED: u64 = 64;
/// A shard has so much of the limit, or more.
const SHARE: u64 = 16 << 20;
/// What weighs so much is freed as soon as it can be; the rest, by many at a time or for want of room.
const LARGE: u64 = 64 << 10;

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
    start: Moment,
}

/// What the cache asks and tells of the store's entries.
struct Keeper {
    room: Arc<Room>,
    figures: Arc<Figures>,
    count_retained: bool,
    place: u64,
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

    fn place(&self) -> u64 {
        self.place
    }

    fn grows(&self, cost: u64) -> bool {
        // For one who has room for his object: he goes before those who wait.
        let ticket = self.room.take(cost, Asks::AtFront);
        ticket.map(|ticket| self.room.index_takes(ticket)).is_some()
    }

    fn shrank(&self, cost: u64) {
        self.room.index_gives(cost);
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
fn pinnable(object: &Object, seen: Seen) -> Result<(), ObjectError> {
    match object.outcome(seen) {
        Some(Outcome {
            result: Err(failure),
            ..
        }) => Err(failure.error.clone()),
        _ => Ok(()),
    }
}

/// So many shards have limits of so much at least for each, as long as there are no more of them than
/// processors could want: what leaves first is chosen in each shard by itself.
fn shards_of(limit: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = (16 * cores as u64).next_power_of_two();
    let shards = if SMALL {
        1
    } else {
        (limit / SHARE).clamp(1, most)
    };
    1 << shards.ilog2() // the greatest power of two that is no more
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
        let shards = options.shards.unwrap_or_else(|| shards_of(limit));
        let places = Places {
            first: FIRST * shards as u64,
            each: options.place,
        };
        let room = Room::new(limit, places);
        let figures = Arc::new(Figures::new());
        let keeper = Arc::new(Keeper {
            room: Arc::clone(&room),
            figures: Arc::clone(&figures),
            count_retained: options.count_retained,
            place: options.place,
        });
        let builder = ClockCache::builder()
            .max_capacity(limit.saturating_add(limit / 16).saturating_add(1))
            .weigher(weigh)
            .hasher(hasher())
            .shards(shards)
            .owner(keeper);
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
            start: Moment::of(clock.now()),
            clock,
        }
    }

    pub(super) fn visit(&self) -> Visit<'_> {
        Visit(self)
    }

    /// Under loom time stands still: each execution has to be as the one before.
    #[inline]
    pub(super) fn now(&self) -> u32 {
        if SMALL {
            return 0;
        }
        let ticks = Moment::of(self.clock.now()).get() - self.start.get();
        ticks as u32
    }

    pub(super) fn draw_id(&self) -> ObjectId {
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

    /// The bytes of an object that is ready, as long as the guard lives.
    #[inline]
    fn look<'g>(
        &'g self,
        (id, sought): (ObjectId, Sought),
        guard: &'g Guard,
    ) -> Option<(&'g Bytes, StoredType)> {
        let object = self.cache.use_in(&id, sought, guard)?;
        let seen = object.word.look();
        if !seen.is_readable() {
            return None;
        }
        let Outcome { result, kind } = object.outcome(seen)?;
        let bytes = result.as_ref().ok()?;
        object.stamp(self.now());
        self.figures.hit();
        Some((bytes, *kind))
    }

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
    ///
    /// As `f` has the whole answer made, a clone in it is written where it is wanted: from a place of its
    /// own it would come by wider loads than it was stored by, which wait until the stores are done.
    #[inline]
    pub(super) fn read<R>(
        &self,
        id: ObjectId,
        f: impl FnOnce(&Bytes, StoredType) -> Result<R, ObjectError>,
    ) -> Result<R, ObjectError> {
        self.read_or_wait(id, false, f)
    }

    /// As `read`, for one who may wait: a pending object is no miss yet.
    #[inline]
    pub(super) fn read_or_wait<R>(
        &self,
        id: ObjectId,
        waits: bool,
        f: impl FnOnce(&Bytes, StoredType) -> Result<R, ObjectError>,
    ) -> Result<R, ObjectError> {
        let _visit = self.visit();
        let sought = self.cache.prefetch(&id);
        let guard = self.cache.pin();
        match self.look((id, sought), &guard) {
            Some((bytes, kind)) => f(bytes, kind),
            None => Err(self.unread(id, waits, &guard)),
        }
    }

    /// Why an object was not read: a miss, unless it is pending and the caller `waits`.
    #[cold]
    fn unread(&self, id: ObjectId, waits: bool, guard: &Guard) -> ObjectError {
        let error = self.unreadable(id, guard);
        if !waits || !matches!(error, ObjectError::Pending(_)) {
            self.figures.miss();
        }
        error
    }

    pub(super) fn get_raw(&self, id: ObjectId) -> Result<Bytes, ObjectError> {
        self.read(id, |bytes, _| {
            prefetch_at(bytes.as_ptr()); // on their way while the clone waits to be counted
            Ok(bytes.clone())
        })
    }

    pub(super) fn get_stored(&self, id: ObjectId) -> Answer {
        self.read(id, |bytes, kind| {
            prefetch_at(bytes.as_ptr()); // as above
            Ok((bytes.clone(), kind))
        })
    }

    // ---------------------------------------------------------------- objects come to something

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
            self.figures.comes(len);
            let result = Ok(self.take_in(bytes, ticket));
            Outcome { result, kind }
        };
        match self.settle(id, make) {
            Some(Ok((bytes, _))) => Ok(bytes),
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
            result: Err(Box::new(failure)),
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
        let mut is_large = !self.options.count_retained
            && self.cache.retained_weight() > self.room.limit() / UNCOUNTED;
        let told = self.cache.tend(&id, |object| {
            let (fate, told) = of(object, object.word.look());
            is_large |= fate.leaves && weigh(&id, object) >= LARGE;
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
        let mut was_pending = false;
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
            was_pending = seen.phase() == Phase::Pending;
            let awaited = was_pending && seen.is_awaited();
            (fate, if awaited { Told::Awaited } else { Told::Done })
        })?;
        if awaited {
            self.lot.tell(id, &Err(answer));
        }
        if was_pending {
            // A promise of it may wait for room.
            self.room.wake_all();
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
            if seen.is_deleted() {
                return (Fate::STAYS, Told::Refused(self.ended(id)));
            }
            if let Err(error) = pinnable(object, seen) {
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
        self.let_go();
    }

    /// Frees what can be, and the index of it.
    fn let_go(&self) {
        self.cache.collect();
        self.cache.trim();
        // The tables that were replaced.
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
        self.let_go();
    }
}
