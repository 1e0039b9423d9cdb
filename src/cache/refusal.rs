//! What is refused, in a cache that does not say so: it came in, and left at once.

use super::cause::Cause;
use super::engine::Engine;
use super::error::Reason;
use super::put::{Job, Rule};

impl<K: Eq, V> Engine<K, V> {
    /// Lets go of the value that a refused one was to replace, so that nobody reads it any more,
    /// and tells the listener of both; does nothing where refusals are handed back.
    pub(super) fn evict_refused(&self, job: &Job<'_, K, V>, reason: Reason) {
        if !self.evicts_refused || reason == Reason::Occupancy {
            return;
        }
        if job.rule == Rule::Upsert {
            self.remove_claimed(job.hashed, job.key(), Cause::Replaced);
        }
        self.tell_of(job.key(), job.value(), Cause::Size);
    }
}
