//! Waits that are given up: futures that are polled a few times, and dropped wherever they are then.
//! None of them blocks its thread, which may hold anything meanwhile.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

/// What it comes to within so many polls. Whoever wakes it meanwhile finds nobody.
fn polled<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        yield_now();
    }
    None
}

impl Actor<'_> {
    pub(crate) fn give_up(&mut self) {
        let polls = self.rng.below(4);
        match self.rng.below(6) {
            0 | 1 => self.give_up_put(polls),
            2 => self.give_up_create(polls),
            3 | 4 => self.give_up_get(polls),
            _ => self.give_up_fulfil(polls),
        }
    }

    fn give_up_put(&mut self, polls: u64) {
        let len = self.len();
        let mut parcel = self.world.model.parcel(len);
        let bytes = std::mem::take(&mut parcel.bytes);
        let named: Vec<&ObjectBuilder> = self.builders.iter().collect();
        let waiting = self.world.store.holding(&named);
        if let Some(put) = polled(waiting.put_async(bytes), polls) {
            self.was_put(&parcel, len, put, false);
        }
    }

    fn give_up_create(&mut self, polls: u64) {
        let (parcels, lens) = self.parcels();
        let named: Vec<&ObjectBuilder> = self.builders.iter().collect();
        let waiting = self.world.store.holding(&named);
        match polled(waiting.create_many_async(&lens), polls) {
            Some(Ok(builders)) => self.built(builders, parcels),
            Some(Err(error)) => assert!(is_stuck(&error) && !named.is_empty(), "O5: {error:?}"),
            None => {}
        }
    }

    fn give_up_get(&mut self, polls: u64) {
        let Some(id) = self.any() else { return };
        let is_plain = self.rng.below(2) == 0;
        let before = self.world.model.known(id);
        let store = &self.world.store;
        let got = match store.reference::<Bytes>(id) {
            _ if is_plain => polled(store.get_async(id), polls),
            Ok(reference) => polled(reference.get_raw(), polls),
            Err(error) => Some(Err(error)),
        };
        let Some(got) = got else { return };
        assert!(!matches!(got, Err(ObjectError::Pending(_))), "O5: {got:?}");
        self.checked(id, before, &got);
        if let Ok(bytes) = got {
            self.world.model.check_bytes(id, &bytes);
        }
    }

    fn give_up_fulfil(&mut self, polls: u64) {
        let Some(promise) = self.rng.take(&mut self.promises) else {
            return;
        };
        let (id, len, model) = (promise.id(), self.len(), &self.world.model);
        let mut parcel = model.will_have(id, len);
        let bytes = std::mem::take(&mut parcel.bytes);
        model.settles(id, READY | ABANDONED);
        match polled(promise.fulfil_async(bytes), polls) {
            Some(Ok(_)) => model.fulfilled(id, &parcel, len),
            Some(Err(PutError { reason, .. })) => self.not_sealed(id, &reason),
            None => model.settled(id, ABANDONED),
        }
    }
}
