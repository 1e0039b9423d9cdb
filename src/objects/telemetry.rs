//! What a store tells those who watch, by the features `tracing` and `metrics`; nothing without.

/// Events, at `DEBUG` and `TRACE`, under the target `mapless::objects`.
#[cfg(feature = "tracing")]
mod events {
    const TARGET: &str = "mapless::objects";

    /// Somebody had so much evicted.
    pub(in super::super) fn made_room(need: u64, evicted: u64) {
        tracing::debug!(target: TARGET, need, evicted, "made room");
    }

    /// Somebody stands in line for room.
    pub(in super::super) fn waits(need: u64) {
        tracing::debug!(target: TARGET, need, "waits for room");
    }

    /// There was no room.
    pub(in super::super) fn refused(full: &super::super::error::Full) {
        tracing::trace!(target: TARGET, ?full, "no room");
    }
}

#[cfg(not(feature = "tracing"))]
mod events {
    pub(in super::super) fn made_room(_: u64, _: u64) {}
    pub(in super::super) fn waits(_: u64) {}
    pub(in super::super) fn refused(_: &super::super::error::Full) {}
}

pub(super) use events::{made_room, refused, waits};

#[cfg(feature = "metrics")]
impl super::stats::ObjectStats {
    /// Hands all figures to the recorder of the `metrics` crate: counters that end in `_total`, and
    /// gauges, all beginning with `mapless_objects_`, with the store's name as the label `store`. Call
    /// it as often as the figures are wanted; operations themselves record nothing.
    pub fn record(&self, store: &str) {
        let counters = [
            ("mapless_objects_hits_total", self.hits),
            ("mapless_objects_misses_total", self.misses),
            ("mapless_objects_puts_total", self.puts),
            ("mapless_objects_evicted_total", self.evicted),
            ("mapless_objects_evicted_bytes_total", self.evicted_bytes),
            ("mapless_objects_removed_total", self.removed),
            ("mapless_objects_removed_bytes_total", self.removed_bytes),
        ];
        for (name, value) in counters {
            metrics::counter!(name, "store" => store.to_owned()).absolute(value);
        }
        let gauges = [
            ("mapless_objects_count", self.objects),
            ("mapless_objects_bytes", self.bytes),
            ("mapless_objects_limit_bytes", self.limit),
            ("mapless_objects_used_bytes", self.used_bytes),
            ("mapless_objects_index_bytes", self.index_bytes),
            ("mapless_objects_pinned_bytes", self.pinned_bytes),
            ("mapless_objects_pending_bytes", self.pending_bytes),
            ("mapless_objects_retained_bytes", self.retained_bytes),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name, "store" => store.to_owned()).set(value as f64);
        }
    }
}
