//! What brings a value in: inserts, computations that put, loads (C1, C6).

use mapless::cache::{Computed, Mode, Op, Reason, Refused};

use super::World;
use super::settle::{Allowed, NOTHING};
use super::steps::How;
use crate::cache_model::{Key, Value};

impl World {
    pub(super) fn put(&mut self, how: How, k: u8, weight: u64) {
        let value = self.value(weight);
        let (serial, weight) = (value.serial, value.weight);
        let seen = match how {
            How::Compute | How::Load | How::TryLoad => self.model.touch(k),
            _ => self.model.alive(k).map(|entry| entry.serial),
        };
        let kept = self.keep(how, k);
        let result = self.call(how, k, value, seen);
        let Some(result) = result else { return };
        let coming = Some((k, weight));
        let before = self.model.entries.clone();
        let (sized, old) = self.settle(Allowed { coming, ..NOTHING });
        self.check_result((how, k), seen, weight, &result, sized);
        if let Some(kept) = kept {
            self.model.release(kept);
        }
        if result.is_ok() {
            if !self.setup.listened {
                self.model.entries.remove(&k);
            } else if old {
                assert!(before.contains_key(&k), "C3: nothing was replaced");
            }
            self.model.insert(k, serial, weight);
        }
    }

    /// A computation holds what it saw; in `Live` its value needs room beside that.
    fn keep(&mut self, how: How, k: u8) -> Option<u64> {
        if how != How::Compute || self.setup.mode != Mode::Live {
            return None;
        }
        let entry = self.model.alive(k)?;
        self.model.hold(entry.serial, entry.weight);
        Some(entry.serial)
    }

    /// Whether the value came in; nothing where a load found one.
    fn call(
        &mut self,
        how: How,
        k: u8,
        value: Value,
        seen: Option<u64>,
    ) -> Option<Result<(), Reason>> {
        let (key, cache, serial) = (self.key(k), &self.cache, value.serial);
        let inserts = cache.stats().inserts;
        let refused = |refused: Refused<Key, Value>| {
            assert_eq!((refused.key.n, refused.value.serial), (k, serial));
            refused.reason
        };
        let loaded = |got: Value| {
            assert_eq!(got.serial, seen.unwrap_or(serial), "C1: loaded");
            if seen.is_some() {
                return None;
            }
            let came_in = cache.stats().inserts > inserts;
            Some(came_in.then_some(()).ok_or(Reason::Contended)) // of whatever reason
        };
        match how {
            How::Upsert => Some(cache.insert(key, value).map_err(refused)),
            How::Wait => Some(cache.insert_wait(key, value).map_err(refused)),
            How::IfAbsent => Some(cache.insert_if_absent(key, value).map_err(refused)),
            How::IfPresent => Some(cache.replace(key, value).map_err(refused)),
            How::Compute => {
                let computed = cache.compute(key, |found| {
                    assert_eq!(found.map(|value| value.serial), seen, "C1: computed");
                    Op::Put(value)
                });
                Some(match computed {
                    Computed::Inserted(_) | Computed::ReplacedWith(_) => Ok(()),
                    Computed::Refused(value, reason) => {
                        assert_eq!(value.serial, serial);
                        Err(reason)
                    }
                    other => panic!("{other:?}"),
                })
            }
            How::Load => loaded(cache.get_or_insert_with(key, || value)),
            How::TryLoad => loaded(
                cache
                    .try_get_or_insert_with(key, || Ok::<_, ()>(value))
                    .unwrap(),
            ),
        }
    }

    /// C6.
    fn check_result(
        &self,
        (how, k): (How, u8),
        seen: Option<u64>,
        weight: u64,
        result: &Result<(), Reason>,
        sized: usize,
    ) {
        let loads = matches!(how, How::Load | How::TryLoad);
        let occupied = match how {
            How::IfAbsent => seen.is_some(),
            // The room for it may have been made by what it was to replace.
            How::IfPresent if result.is_err() => self.cache.peek(&k).is_none(),
            How::IfPresent => seen.is_none(),
            _ => false,
        };
        let fits = self.model.held_weight() + weight <= self.capacity;
        let weightless_held = self.model.holds.values().any(|hold| hold.0 == 0);
        let may = |reason| match reason {
            Reason::TooHeavy => weight > self.capacity,
            Reason::Occupancy => occupied,
            Reason::AllHeld if weight == 0 => weightless_held,
            Reason::AllHeld => !fits,
            Reason::Retained => self.setup.mode == Mode::Live && !self.guards.is_empty(),
            Reason::OwnGuard => how == How::Wait && !self.guards.is_empty(),
            _ => false,
        };
        match result {
            Ok(()) => assert!(fits && !occupied, "C6: {weight} fits not"),
            Err(_) if loads => assert!(
                [Reason::TooHeavy, Reason::AllHeld, Reason::Retained]
                    .into_iter()
                    .any(may),
                "C6: the loaded value did not come in"
            ),
            Err(reason) => assert!(may(*reason), "C6: refused for {reason:?}"),
        }
        assert!(fits || sized == 0, "C6: what can never fit evicts nothing");
    }
}
