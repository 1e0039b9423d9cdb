//! `InMemoryStore` under random schedules: 4 threads, some random calls each, of every kind, on one
//! store with room for a few objects, with or without what it retains counted. Each thread learns of
//! all ids. Some waits are given up. Who waits to the end holds nothing that others could wait for but
//! the builders that it names.
//!
//! * O1  What is read under an id are the bytes that were put under it, or are to be.
//! * O2  What is pinned can be read until it is unpinned or deleted.
//! * O3  What is in the store, or was and is not freed, is never more than its limit; payloads count
//!   themselves.
//! * O4  An object comes to what its maker did, and its state does not go back; it is deleted once.
//! * O5  Every wait ends (shuttle reports those that do not).
//! * O6  At rest the figures are exact, and after `clear` all room is back.

#![cfg(shuttle)]

#[path = "objects/cancelled.rs"]
mod cancelled;
#[path = "objects/model.rs"]
mod model;
#[path = "../tests/support/mod.rs"]
#[allow(unused_imports)] // each user takes its part
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapless::{
    InMemoryStore, ObjectBuilder, ObjectError, ObjectId, ObjectRef, ObjectState, PinGuard, Promise,
    PutError,
};
use mapless_shuttle_tests::{Pick, explore, on_threads, seed};
use model::{
    ABANDONED, ABORTED, FAILED, FULL, Known, Model, OVERHEAD, Parcel, READY, check_at_rest, store,
};
use shuttle::future::block_on;
use shuttle::thread::yield_now;
use support::Rng;

const THREADS: u64 = 4;
const CALLS: usize = 14;
/// What an object takes, or some of them; more than the index of all.
const UNIT: u64 = 8 << 10;
const UNITS: u64 = 6;
/// Each thread may have one promise while it waits, which cannot be named: room for those of the
/// others is apart, and is less than what a promise of one unit lacks.
const ROOM: u64 = UNITS * UNIT + (THREADS - 1) * OVERHEAD + INDEX;
/// For as many objects as threads make, in chunks of four.
const INDEX: u64 = 40 * 128;
/// Nothing of this is ever reached: under a checker there is no time.
const LONG: Duration = Duration::from_secs(3_600);

struct World {
    store: InMemoryStore,
    model: Arc<Model>,
    is_strict: bool,
}

impl World {
    fn random(rng: &mut Rng) -> Self {
        let is_strict = rng.below(4) > 0;
        Self {
            store: store(ROOM, is_strict, rng.below(2) == 0),
            model: Arc::default(),
            is_strict,
        }
    }

    fn finish(self) {
        let Self { store, model, .. } = self;
        for id in model.ids() {
            let (before, got) = (model.known(id), store.get_raw(id));
            assert!(
                !matches!(got, Err(ObjectError::Pending(_))),
                "O4: {id} is pending"
            );
            model.check(id, before, false, got.as_ref().err());
        }
        check_at_rest(&store);
        model.check_empty();
    }
}

/// One thread, and what it has.
struct Actor<'w> {
    world: &'w World,
    rng: Rng,
    pins: Vec<ObjectId>,
    guards: Vec<PinGuard>,
    held: Vec<(ObjectId, Bytes)>,
    references: Vec<ObjectRef<Bytes>>,
    builders: Vec<ObjectBuilder>,
    promises: Vec<Promise>,
}

impl<'w> Actor<'w> {
    fn new(world: &'w World) -> Self {
        Self {
            world,
            rng: Rng::new(seed()),
            pins: Vec::new(),
            guards: Vec::new(),
            held: Vec::new(),
            references: Vec::new(),
            builders: Vec::new(),
            promises: Vec::new(),
        }
    }

    fn work(mut self) {
        for _ in 0..CALLS {
            self.call();
            if self.world.is_strict {
                self.world.model.check_room(ROOM);
            }
        }
        self.rest();
    }

    fn call(&mut self) {
        match self.rng.below(46) {
            0..=5 => self.put(),
            6..=9 => self.put_waiting(),
            10..=12 => self.get(),
            13 | 14 => self.read(),
            15..=17 => self.wait(),
            18..=20 => self.pin(),
            21 => self.guard(),
            22 | 23 => self.unpin(),
            24 | 25 => self.delete(),
            26 | 27 => self.create(),
            28 => self.create_waiting(),
            29..=31 => self.end_builder(),
            32 | 33 => self.promise(),
            34 | 35 => self.end_promise(),
            36 => self.fulfil_waiting(),
            37 => self.refer(),
            38 => self.look(),
            40.. => self.give_up(),
            _ => self.seldom(),
        }
    }

    fn seldom(&mut self) {
        match self.rng.below(4) {
            0 => self.clear(),
            1 => self.let_go(),
            _ => {
                let stats = self.world.store.stats();
                assert!(stats.used_bytes <= stats.limit, "O3");
            }
        }
    }

    /// Any id that anybody has, a late one rather than an early one.
    fn any(&mut self) -> Option<ObjectId> {
        let ids = self.world.model.ids();
        let back = self.rng.below(ids.len() as u64).min(self.rng.below(8)) as usize;
        ids.len().checked_sub(back + 1).map(|at| ids[at])
    }

    /// Such that some of them fill the room.
    fn len(&mut self) -> usize {
        (self.rng.one_of(&[1, 1, 2, 3]) * UNIT - OVERHEAD) as usize
    }

    fn is_pinned(&self, id: ObjectId) -> bool {
        self.pins.contains(&id) || self.guards.iter().any(|guard| guard.id() == id)
    }

    /// Checks what a look at `id` comes to.
    fn seen<T>(
        &self,
        id: ObjectId,
        look: impl FnOnce(&InMemoryStore) -> Result<T, ObjectError>,
    ) -> Option<T> {
        let before = self.world.model.known(id);
        let result = look(&self.world.store);
        self.checked(id, before, &result);
        result.ok()
    }

    fn checked<T>(&self, id: ObjectId, before: Known, result: &Result<T, ObjectError>) {
        let error = result.as_ref().err();
        self.world
            .model
            .check(id, before, self.is_pinned(id), error);
    }

    // ---------------------------------------------------------------- put

    fn was_put(
        &self,
        parcel: &Parcel,
        len: usize,
        put: Result<ObjectId, PutError>,
        may_be_full: bool,
    ) {
        match put {
            Ok(id) => self.world.model.put(id, parcel, len),
            Err(PutError { bytes, reason, .. }) => {
                assert_eq!(bytes.len(), len, "O1: other bytes came back");
                assert!(is_refusal(&reason, may_be_full), "{reason:?}");
            }
        }
    }

    fn put(&mut self) {
        let len = if self.rng.below(8) == 0 {
            0
        } else {
            self.len()
        };
        let mut parcel = self.world.model.parcel(len);
        let bytes = std::mem::take(&mut parcel.bytes);
        let put = self.world.store.put_bytes(bytes);
        self.was_put(&parcel, len, put, true);
    }

    /// Nothing that is not named is held then.
    fn put_waiting(&mut self) {
        self.let_go();
        self.end_promises();
        let len = self.len();
        let mut parcel = self.world.model.parcel(len);
        let bytes = std::mem::take(&mut parcel.bytes);
        let named: Vec<&ObjectBuilder> = self.builders.iter().collect();
        let waiting = self.world.store.holding(&named);
        let put = match self.rng.below(2) {
            0 => waiting.put_timeout(bytes, LONG),
            _ => block_on(waiting.put_async(bytes)),
        };
        let is_stuck = put
            .as_ref()
            .is_err_and(|error| !named.is_empty() && is_stuck(&error.reason));
        let reason = put.as_ref().err().map(|error| &error.reason);
        assert!(put.is_ok() || is_stuck, "O5: {reason:?}");
        self.was_put(&parcel, len, put, false);
        if is_stuck {
            self.abort_all();
        }
    }

    // ---------------------------------------------------------------- get

    fn get(&mut self) {
        let Some(id) = self.any() else { return };
        if let Some(bytes) = self.seen(id, |store| store.get_raw(id)) {
            self.world.model.check_bytes(id, &bytes);
            self.held.push((id, bytes));
        }
        if self.held.len() > 2 {
            let (id, bytes) = self.held.remove(0);
            self.world.model.check_bytes(id, &bytes);
        }
    }

    fn read(&mut self) {
        let Some(id) = self.any() else { return };
        let model = &self.world.model;
        let lends = self.rng.below(3);
        self.seen(id, |store| {
            store.read(id, |bytes| {
                (0..lends).for_each(|_| yield_now());
                model.check_bytes(id, bytes);
            })
        });
    }

    /// It may be pending, so nothing is held that its maker could wait for.
    fn wait(&mut self) {
        let Some(id) = self.any() else { return };
        self.rest();
        let how = self.rng.below(3);
        let before = self.world.model.known(id);
        let store = &self.world.store;
        let got = match how {
            0 => block_on(store.get_async(id)),
            1 => store.get_timeout(id, LONG),
            _ => match store.reference::<Bytes>(id) {
                Ok(reference) => block_on(reference.get_raw()),
                Err(error) => Err(error),
            },
        };
        assert!(!matches!(got, Err(ObjectError::Pending(_))), "O5: {got:?}");
        self.checked(id, before, &got);
        if let Ok(bytes) = got {
            self.world.model.check_bytes(id, &bytes);
        }
    }

    // ---------------------------------------------------------------- keep

    fn pin(&mut self) {
        let Some(id) = self.any() else { return };
        let before = self.world.model.known(id);
        match self.world.store.pin(id) {
            Ok(()) => self.pins.push(id),
            Err(ObjectError::Pending(_)) => panic!("what is pending can be pinned"),
            Err(error) => self.checked(id, before, &Err::<(), _>(error)),
        }
    }

    fn guard(&mut self) {
        let Some(id) = self.any() else { return };
        if let Some(guard) = self.seen(id, |store| store.pinned(id)) {
            self.world.model.check_bytes(id, &guard);
            self.guards.push(guard);
        }
    }

    fn unpin(&mut self) {
        if self.rng.below(3) == 0 && !self.guards.is_empty() {
            let guard = self.guards.remove(0);
            self.world.model.check_bytes(guard.id(), &guard);
        } else if let Some(id) = self.rng.take(&mut self.pins) {
            self.unpin_one(id);
        }
    }

    fn unpin_one(&self, id: ObjectId) {
        let unpinned = self.world.store.unpin(id);
        let known = self.world.model.known(id);
        let must = known.deleting == 0 && (known.may == 0 || known.may == READY);
        assert!(unpinned.is_ok() || !must, "O2: {unpinned:?} of {id}");
    }

    fn refer(&mut self) {
        let Some(id) = self.any() else { return };
        let before = self.world.model.known(id);
        match self.world.store.reference(id) {
            Ok(reference) => self.references.push(reference),
            Err(error) => self.checked(id, before, &Err::<(), _>(error)),
        }
    }

    fn delete(&mut self) {
        let Some(id) = self.any() else { return };
        let model = &self.world.model;
        model.deletes(id);
        let deleted = self.world.store.delete(id);
        let is_alone = model.known(id).deleting == 1;
        match deleted {
            Ok(()) => model.deleted(id),
            Err(ObjectError::Deleted(_)) => assert!(!is_alone, "O4"),
            Err(ObjectError::Evicted(_)) => {
                let stays = self.is_pinned(id) && model.known(id).may == READY;
                assert!(!is_alone || !stays, "O2: {id} was evicted");
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn clear(&self) {
        self.world.model.clears();
        self.world.store.clear();
        self.world.model.cleared();
    }

    /// What is known beside the bytes.
    fn look(&mut self) {
        let Some(id) = self.any() else { return };
        let (before, pinned) = (self.world.model.known(id), self.is_pinned(id));
        let (check, failed) = (&self.world.model, ObjectError::Aborted(id));
        match self.world.store.metadata(id) {
            Ok(it) if it.state == ObjectState::Ready => {
                check.check(id, before, pinned, None);
                assert!(!pinned || it.pins > 0 || check.known(id).deleting > 0, "O2");
            }
            Ok(it) if it.state == ObjectState::Pending => {
                check.check(id, before, pinned, Some(&ObjectError::Pending(id)));
            }
            Ok(_) => assert!(check.known(id).may & !READY != 0, "O4: {failed}"),
            Err(error) => check.check(id, before, pinned, Some(&error)),
        }
    }

    // ---------------------------------------------------------------- builders

    fn built(&mut self, builders: Vec<ObjectBuilder>, parcels: Vec<Parcel>) {
        for (mut builder, parcel) in builders.into_iter().zip(parcels) {
            self.world
                .model
                .pending(builder.id(), &parcel, builder.size());
            builder.write(&parcel.bytes).expect("it is as long");
            self.builders.push(builder);
        }
    }

    fn parcels(&mut self) -> (Vec<Parcel>, Vec<usize>) {
        let lens: Vec<usize> = (0..self.rng.one_of(&[1, 1, 2]))
            .map(|_| self.len())
            .collect();
        let parcel = |len: &usize| self.world.model.parcel(*len);
        (lens.iter().map(parcel).collect(), lens)
    }

    fn create(&mut self) {
        let (parcels, lens) = self.parcels();
        match self.world.store.create_many(&lens) {
            Ok(builders) => self.built(builders, parcels),
            Err(error) => assert!(is_refusal(&error, true), "{error:?}"),
        }
    }

    fn create_waiting(&mut self) {
        self.let_go();
        self.end_promises();
        let (parcels, lens) = self.parcels();
        let named: Vec<&ObjectBuilder> = self.builders.iter().collect();
        let waiting = self.world.store.holding(&named);
        let made = match self.rng.below(2) {
            0 => waiting.create_many_timeout(&lens, LONG),
            _ => block_on(waiting.create_many_async(&lens)),
        };
        match made {
            Ok(builders) => self.built(builders, parcels),
            Err(error) => {
                assert!(is_stuck(&error) && !named.is_empty(), "O5: {error:?}");
                self.abort_all();
            }
        }
    }

    fn end_builder(&mut self) {
        let Some(builder) = self.rng.take(&mut self.builders) else {
            return;
        };
        match self.rng.below(5) {
            0 => self.abort(builder),
            1 => self.seal_pinned(builder),
            _ => self.seal(builder),
        }
    }

    fn abort(&self, builder: ObjectBuilder) {
        let id = builder.id();
        self.world.model.settles(id, ABORTED);
        drop(builder);
        self.world.model.settled(id, ABORTED);
    }

    fn abort_all(&mut self) {
        while let Some(builder) = self.builders.pop() {
            self.abort(builder);
        }
    }

    fn seal(&self, builder: ObjectBuilder) {
        let (id, model) = (builder.id(), &self.world.model);
        model.settles(id, READY);
        match builder.seal() {
            Ok(_) => model.settled(id, READY),
            Err(error) => self.not_sealed(id, &error.reason),
        }
    }

    fn seal_pinned(&mut self, builder: ObjectBuilder) {
        let id = builder.id();
        self.world.model.settles(id, READY);
        match builder.seal_pinned() {
            Ok(guard) => {
                self.world.model.settled(id, READY);
                self.world.model.check_bytes(id, &guard);
                self.guards.push(guard);
            }
            Err(error) => self.not_sealed(id, &error.reason),
        }
    }

    fn not_sealed(&self, id: ObjectId, reason: &ObjectError) {
        let is_deleted = self.world.model.known(id).deleting > 0;
        assert!(
            is_deleted && matches!(reason, ObjectError::Deleted(_)),
            "{reason:?}"
        );
    }

    // ---------------------------------------------------------------- promises

    fn promise(&mut self) {
        let parcel = self.world.model.parcel(0);
        match self.world.store.promise() {
            Ok(promise) => {
                self.world.model.pending(promise.id(), &parcel, 0);
                self.promises.push(promise);
            }
            Err(error) => assert!(is_refusal(&error, true), "{error:?}"),
        }
    }

    fn end_promise(&mut self) {
        let Some(promise) = self.rng.take(&mut self.promises) else {
            return;
        };
        match self.rng.below(4) {
            0 => self.fail(promise),
            1 => {
                let id = promise.id();
                self.world.model.settles(id, ABANDONED);
                drop(promise);
                self.world.model.settled(id, ABANDONED);
            }
            _ => {
                let len = self.len();
                self.fulfil(promise, len, |promise, bytes| promise.fulfil(bytes));
            }
        }
    }

    fn fail(&self, promise: Promise) {
        let id = promise.id();
        self.world.model.settles(id, FAILED);
        promise.fail("no result");
        self.world.model.settled(id, FAILED);
    }

    fn fulfil(
        &self,
        promise: Promise,
        len: usize,
        by: impl FnOnce(Promise, Bytes) -> Result<ObjectId, PutError>,
    ) {
        let (id, model) = (promise.id(), &self.world.model);
        let mut parcel = model.will_have(id, len);
        model.settles(id, READY | FULL);
        match by(promise, std::mem::take(&mut parcel.bytes)) {
            Ok(_) => model.fulfilled(id, &parcel, len),
            Err(PutError {
                reason: ObjectError::Full(_),
                ..
            }) => model.settled(id, FULL),
            Err(PutError { reason, .. }) => self.not_sealed(id, &reason),
        }
    }

    /// Only this one promise is held then, and no builder.
    fn fulfil_waiting(&mut self) {
        let Some(promise) = self.promises.pop() else {
            return;
        };
        self.rest();
        let len = self.len();
        self.fulfil(promise, len, |promise, bytes| {
            let fulfilled = block_on(promise.fulfil_async(bytes));
            let reason = fulfilled.as_ref().err().map(|error| &error.reason);
            assert!(
                !matches!(reason, Some(ObjectError::Full(_))),
                "O5: {reason:?}"
            );
            fulfilled
        });
    }

    // ---------------------------------------------------------------- at rest

    /// Keeps nothing that others could wait for, but builders and promises.
    fn let_go(&mut self) {
        for guard in self.guards.drain(..) {
            self.world.model.check_bytes(guard.id(), &guard);
        }
        while let Some(id) = self.pins.pop() {
            self.unpin_one(id);
        }
        for (id, bytes) in self.held.drain(..) {
            self.world.model.check_bytes(id, &bytes);
        }
        self.references.clear();
    }

    fn end_promises(&mut self) {
        while let Some(promise) = self.promises.pop() {
            self.fail(promise);
        }
    }

    fn rest(&mut self) {
        self.let_go();
        self.end_promises();
        while let Some(builder) = self.builders.pop() {
            self.seal(builder);
        }
    }
}

fn is_stuck(error: &ObjectError) -> bool {
    matches!(error, ObjectError::WouldDeadlock)
}

fn is_refusal(error: &ObjectError, may_be_full: bool) -> bool {
    match error {
        ObjectError::Full(_) => may_be_full,
        error => is_stuck(error) && !may_be_full,
    }
}

fn four_threads() {
    let world = World::random(&mut Rng::new(seed()));
    let (world, _) = on_threads(world, THREADS, |world, _| Actor::new(world).work());
    world.finish();
}

#[test]
fn random_schedules() {
    explore("objects", Pick::Random, four_threads);
}

#[test]
fn few_preemptions() {
    explore("objects", Pick::Pct, four_threads);
}
