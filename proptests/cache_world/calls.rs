//! The other calls, each compared with what the model says of it.

use mapless::cache::{Computed, Held, Mode, Op};

use super::World;
use super::settle::{Allowed, EXPLICIT, NOTHING};
use super::steps::Step;
use crate::cache_model::{Dull, Key, Value};

impl World {
    pub(super) fn get(&mut self, step: Step, k: u8) {
        let found = match step {
            Step::Get(_) => self.cache.get(&k).map(|value| value.serial),
            Step::GetIn(_) => {
                let guard = self.cache.pin();
                self.cache.get_in(&k, &guard).map(|value| value.serial)
            }
            _ => {
                let there = self.cache.contains_key(&k);
                let found = self.cache.peek(&k).map(|value| value.serial);
                assert_eq!(there, found.is_some());
                assert_eq!(found, self.model.alive(k).map(|entry| entry.serial), "C1");
                return;
            }
        };
        assert_eq!(found, self.model.touch(k), "C1");
    }

    pub(super) fn get_many(&mut self, first: u8, last: u8) {
        let keys: Vec<u8> = (first.min(last)..=first.max(last)).collect();
        let keys: Vec<&u8> = keys.iter().collect();
        let mut values = vec![None; keys.len()];
        self.cache.get_many(&keys, &mut values);
        for (key, value) in keys.iter().zip(values) {
            assert_eq!(
                value.map(|value| value.serial),
                self.model.touch(**key),
                "C1"
            );
        }
    }

    pub(super) fn hold(&mut self, k: u8) {
        let held = self.cache.hold(&k);
        self.settle(NOTHING);
        let expected = self.model.alive(k).map(|entry| entry.serial);
        assert_eq!(held.as_ref().map(|held| held.serial), expected, "C1");
        if let Some(held) = held {
            self.count_hold(held);
        }
    }

    pub(super) fn count_hold(&mut self, held: Held<Key, Value, Dull>) {
        self.model.hold(held.serial, held.weight);
        self.held.push(held);
    }

    pub(super) fn release(&mut self, at: usize) {
        let held = self.held.swap_remove(at);
        self.model.release(held.serial);
        drop(held);
    }

    pub(super) fn remove(&mut self, step: Step, k: u8) {
        let expected = self.model.alive(k);
        let serial = expected.map(|entry| entry.serial);
        let removed = match step {
            Step::Remove(_) => {
                let removed = self.cache.remove(&k).map(|value| value.serial);
                assert_eq!(removed, serial, "C1");
                removed.is_some()
            }
            Step::RemoveIf(_, yes) => {
                let removed = self.cache.remove_if(&k, |key, _| {
                    assert_eq!(key.n, k);
                    yes
                });
                assert_eq!(removed, yes && serial.is_some(), "C1");
                removed
            }
            _ => self.cache.invalidate(&k),
        };
        self.settle(EXPLICIT);
        if removed {
            self.forget(|key, _| key == k);
            assert_eq!(self.model.entries.get(&k), None, "C2: untold");
        }
    }

    pub(super) fn compute_nothing(&mut self, k: u8) {
        let seen = self.model.touch(k);
        let computed = self.cache.compute(self.key(k), |found| {
            assert_eq!(found.map(|value| value.serial), seen, "C1");
            Op::Nop
        });
        self.settle(NOTHING);
        match computed {
            Computed::StillNone => assert_eq!(seen, None),
            Computed::Unchanged(value) => assert_eq!(Some(value.serial), seen),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn compute_removal(&mut self, k: u8) {
        let seen = self.model.touch(k);
        let computed = self.cache.compute(self.key(k), |_| Op::Remove);
        self.settle(EXPLICIT);
        match computed {
            Computed::StillNone => assert_eq!(seen, None),
            Computed::Removed(value) => assert_eq!(Some(value.serial), seen),
            other => panic!("{other:?}"),
        }
        self.forget(|key, _| key == k);
        assert_eq!(self.model.alive(k), None, "C2: untold");
    }

    pub(super) fn fail_to_load(&mut self, k: u8) {
        let seen = self.model.touch(k);
        let loaded = self
            .cache
            .try_get_or_insert_with(self.key(k), || Err::<Value, _>(7));
        self.settle(NOTHING);
        match loaded {
            Ok(value) => assert_eq!(Some(value.serial), seen),
            Err(error) => assert_eq!((*error, seen), (7, None)),
        }
    }

    pub(super) fn retain(&mut self, n: u8) {
        let alive = self.model.all_alive();
        let mut asked = Vec::new();
        self.cache.retain(|key, value| {
            asked.push((key.n, value.serial));
            key.n % 4 != n
        });
        asked.sort_unstable();
        assert_eq!(asked, alive, "C1: each is asked about once");
        self.settle(EXPLICIT);
        self.forget(|key, _| key % 4 == n);
        let left = self.model.all_alive();
        assert!(left.iter().all(|(key, _)| key % 4 != n), "C2: untold");
    }

    /// Takes some out, and keeps a few of those held.
    pub(super) fn drain(&mut self, n: usize) {
        let alive = self.model.all_alive();
        let drained: Vec<_> = self.cache.drain().take(4 * n).collect();
        self.settle(EXPLICIT);
        for held in &drained {
            assert!(alive.contains(&(held.key().n, held.serial)), "C1");
        }
        let taken: Vec<u64> = drained.iter().map(|held| held.serial).collect();
        let cache = self.cache.clone();
        // It takes whole shards.
        self.forget(|key, serial| taken.contains(&serial) || !cache.contains_key(&key));
        for held in drained.into_iter().take(2) {
            self.count_hold(held);
        }
    }

    pub(super) fn set_capacity(&mut self, capacity: u64) {
        let fits = self.model.held_weight() <= capacity;
        let result = self.cache.set_capacity(capacity);
        let kept = self.capacity;
        self.capacity = capacity;
        if capacity < kept {
            // As if what is taken away came in.
            let before = std::mem::replace(&mut self.capacity, kept);
            self.settle(Allowed {
                coming: Some((u8::MAX, kept - before)),
                ..NOTHING
            });
            self.capacity = before;
        }
        let may_fail = self.setup.mode == Mode::Live && !self.guards.is_empty();
        assert!(
            if result.is_ok() {
                fits
            } else {
                !fits || may_fail
            },
            "C6"
        );
        if result.is_err() {
            self.capacity = kept;
        }
    }

    pub(super) fn run_pending(&mut self) {
        self.cache.run_pending_tasks();
        self.settle(NOTHING);
        if self.guards.is_empty() {
            assert_eq!(self.cache.retained_weight(), 0, "D1");
            if self.setup.listened {
                assert_eq!(self.ledger.live(), 2 * self.model.present(), "D1");
            }
        }
    }
}
