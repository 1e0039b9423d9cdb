//! Has the model follow the cache, and compares the two after each call (C1 to C5).

use mapless::cache::{Cause, Mode};

use super::World;
use crate::cache_model::Event;

/// So many entries may weigh nothing.
pub(super) const WEIGHTLESS: usize = 4;
/// In a window of the table there is room for so many.
const WINDOW: usize = 192;

/// What a call may lead to beside what it is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// What is to come in weighs so much, under this key.
    pub(super) coming: Option<(u8, u64)>,
    pub(super) explicit: bool,
}

pub(super) const NOTHING: Allowed = Allowed {
    coming: None,
    explicit: false,
};
pub(super) const EXPLICIT: Allowed = Allowed {
    coming: None,
    explicit: true,
};

impl World {
    /// Has the model follow what the listener was told; how many left by size, and whether one was
    /// replaced.
    pub(super) fn settle(&mut self, allowed: Allowed) -> (usize, bool) {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let mut total = self.model.weight();
        if self.setup.mode == Mode::Live {
            total = u64::MAX; // what is retained is not known from outside
        }
        let old = allowed
            .coming
            .and_then(|(k, _)| self.model.entries.get(&k).copied());
        // What is held gives its successor nothing.
        let old = old.filter(|old| !self.model.is_held(old.serial));
        let expired = |event: &&Event| event.2 == Cause::Expired;
        let expired: Vec<u64> = told.iter().filter(expired).map(|event| event.1).collect();
        let old = old.filter(|old| !expired.contains(&old.serial));
        let (mut sized, mut replaced) = (Vec::new(), false);
        let count = self.model.entries.len();
        for event in told {
            let entry = self.model.told(event);
            match event.2 {
                Cause::Expired if self.model.is_held(event.1) => {}
                Cause::Expired => total = total.saturating_sub(entry.weight),
                Cause::Explicit => assert!(allowed.explicit, "C3: {event:?}"),
                Cause::Replaced => {
                    let coming = allowed.coming.map(|coming| coming.0);
                    assert_eq!(coming, Some(event.0), "C3: {event:?}");
                    assert!(!std::mem::replace(&mut replaced, true));
                }
                Cause::Size => sized.push((event.0, entry)),
                _ => panic!("C3: {event:?}"),
            }
        }
        let full_window = self.setup.bits != 0xFF && count >= WINDOW;
        if let (Some(&(_, last)), false) = (sized.last(), full_window) {
            let (k, weight) = allowed.coming.expect("C3: nothing needs room");
            if weight == 0 {
                let weigh_nothing = sized.iter().all(|(_, entry)| entry.weight == 0);
                assert!(weigh_nothing, "C3: evicted for what weighs nothing");
            } else {
                let reused = old.map_or(0, |old| old.weight);
                assert!(
                    total.saturating_add(weight - weight.min(reused)) > self.capacity,
                    "C3: there was room"
                );
                let before_last = self.model.weight() + last.weight + weight;
                let evicted_itself = sized.iter().any(|(key, _)| *key == k);
                assert!(
                    self.setup.mode == Mode::Live || !evicted_itself,
                    "C4: evicted for its own successor"
                );
                assert!(
                    self.setup.mode == Mode::Live
                        || before_last > self.capacity
                        || !replaced && old.is_some(),
                    "C3: more left than had to"
                );
            }
        }
        (sized.len(), replaced)
    }

    /// Without a listener: entries of the model that a call removed.
    pub(super) fn forget(&mut self, which: impl Fn(u8, u64) -> bool) {
        if !self.setup.listened {
            self.model
                .entries
                .retain(|&key, entry| !which(key, entry.serial));
        }
    }

    /// C1 and C5, of everything.
    pub(super) fn check(&mut self) {
        self.settle(NOTHING);
        if !self.setup.listened {
            self.look();
        }
        for k in 0..self.setup.keys {
            let found = self.cache.peek(&k).map(|value| value.serial);
            let expected = self.model.alive(k).map(|entry| entry.serial);
            assert_eq!(found, expected, "C1: of {k}");
        }
        let (count, weight) = (self.cache.entry_count(), self.cache.weighted_size());
        let retained = self.cache.retained_weight();
        if self.setup.listened {
            assert_eq!(count, self.model.entries.len() as u64, "C5");
            assert_eq!(weight, self.model.weight(), "C5");
            let weigh_nothing = self.model.entries.values();
            let weigh_nothing = weigh_nothing.filter(|entry| entry.weight == 0).count();
            assert!(
                weigh_nothing <= WEIGHTLESS,
                "C5: {weigh_nothing} weigh nothing"
            );
        }
        assert_eq!(self.cache.held_weight(), self.model.held_weight(), "C5");
        assert!(weight <= self.capacity, "C5: {weight} of {}", self.capacity);
        if self.setup.mode == Mode::Live {
            assert!(
                weight + retained <= self.capacity,
                "C5: {weight} + {retained}"
            );
        }
        assert_eq!(self.cache.max_capacity(), self.capacity);
    }

    /// Without a listener: what left, left unseen; but what is held did not.
    fn look(&mut self) {
        for k in 0..self.setup.keys {
            let Some(entry) = self.model.alive(k) else {
                continue;
            };
            if self.cache.peek(&k).is_none() {
                assert!(!self.model.is_held(entry.serial), "C4");
                self.model.entries.remove(&k);
            }
        }
    }
}
