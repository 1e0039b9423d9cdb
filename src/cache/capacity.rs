//! The capacity changes.
//!
//! # Progress
//! Blocks on the shards' locks, one after the other.

use super::budget::Reservation;
use super::engine::Engine;
use super::error::CapacityError;
use super::policy::Looks;

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
                0,
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
