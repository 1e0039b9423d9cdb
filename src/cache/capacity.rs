//! The capacity changes, and who waits for room.
//!
//! # Progress
//! Blocks on the shards' locks, one after the other; `put_waiting` on readers' guards too.

use super::budget::Reservation;
use super::engine::{Engine, Hashed};
use super::error::{CapacityError, Reason, Refused};
use super::policy::Looks;
use super::put::{Put, Rule};
use crate::sync::park::back_off;

impl<K, V> Engine<K, V> {
    /// Makes or destroys tokens; on an error all is as it was, but for what was evicted.
    pub(super) fn resize(&self, capacity: u64) -> Result<(), CapacityError> {
        let _one_at_a_time = self.resizing.lock();
        let before = self.capacity();
        if capacity >= before {
            self.set_capacity(capacity);
            self.budget.give(capacity - before);
        } else {
            let mut reservation = Reservation::none(&self.budget);
            let gathered = self.gather(
                &self.shards[0],
                before - capacity,
                &mut reservation,
                &mut Looks::new(),
            );
            gathered.map_err(|_| CapacityError { asked: capacity })?;
            self.set_capacity(capacity);
            let surplus = reservation.spend() - (before - capacity);
            self.budget.give(surplus);
        }
        for shard in &self.shards {
            let mut writer = self.open(shard);
            writer.core.policy.set_capacity(self.share());
            writer.close();
        }
        Ok(())
    }
}

impl<K: Eq, V> Engine<K, V> {
    /// As `put`, waiting as long as readers keep what was evicted.
    pub(super) fn put_waiting(
        &self,
        hashed: Hashed,
        mut key: K,
        mut value: V,
    ) -> Result<Put, Refused<K, V>> {
        let mut times = 0;
        loop {
            let refused = match self.put(hashed, key, value, Rule::Upsert) {
                Err(refused) if refused.reason == Reason::Retained => refused,
                result => return result,
            };
            if self.domain.is_pinned_here() {
                let reason = Reason::OwnGuard;
                return Err(Refused { reason, ..refused });
            }
            (key, value) = (refused.key, refused.value);
            back_off(times);
            times = times.saturating_add(1);
        }
    }
}
