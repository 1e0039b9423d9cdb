//! What the features `metrics` and `tracing` tell.
#![cfg(all(feature = "metrics", feature = "tracing"))]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use mapless::InMemoryStore;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

fn full() -> InMemoryStore {
    let store = InMemoryStore::new(1 << 20);
    for n in 0..40u8 {
        store.put_bytes(Bytes::from(vec![n; 100_000])).unwrap();
    }
    store
}

/// In turn: events are asked for anew with each subscriber that comes.
#[test]
fn a_store_is_watched() {
    all_figures_go_to_the_recorder();
    evictions_refusals_and_waits_are_events();
}

fn all_figures_go_to_the_recorder() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let store = full();
    metrics::with_local_recorder(&recorder, || store.stats().record("blocks"));
    let seen = snapshotter.snapshot().into_vec();
    let value = |name: &str| {
        let found = seen.iter().find(|(key, ..)| key.key().name() == name);
        let (key, _, _, value) = found.unwrap_or_else(|| panic!("{name}"));
        let label = key.key().labels().next().unwrap();
        assert_eq!((label.key(), label.value()), ("store", "blocks"));
        match value {
            DebugValue::Counter(value) => *value as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("{name}"),
        }
    };
    let stats = store.stats();
    assert_eq!(value("mapless_objects_evicted_total"), stats.evicted as f64);
    assert_eq!(value("mapless_objects_puts_total"), 40.0);
    assert_eq!(value("mapless_objects_bytes"), stats.bytes as f64);
}

struct Count(AtomicUsize);

impl tracing::Subscriber for Count {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "mapless::objects"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn evictions_refusals_and_waits_are_events() {
    let dispatch = tracing::Dispatch::new(Count(AtomicUsize::new(0)));
    let events = || dispatch.downcast_ref::<Count>().unwrap().0.load(Relaxed);
    tracing::dispatcher::with_default(&dispatch, || {
        let store = full();
        let evictions = events();
        assert!(evictions > 0);
        let _builder = store.create(900_000).unwrap();
        let before = events();
        let short = Duration::from_millis(5);
        store
            .put_timeout(Bytes::from(vec![0; 500_000]), short)
            .unwrap_err();
        assert!(events() >= before + 2);
    });
}
