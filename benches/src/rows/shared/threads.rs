//! What a second thread brings.

use super::{AMPLE, PREDECESSOR, Predecessor, filled, first, id, payload};
use crate::Config;
use crate::drive::independent;
use crate::memory::uncounted;
use crate::report::{Line, Report};
use crate::rounds::race;
use crate::rows::threads::scaling;
use mapless::InMemoryStore;

const ARRAY: &str = "read-only array";
const OBJECTS: usize = 10_000;

/// `read` of one hot object and of many, and `get_raw` of objects that no two threads share.
pub fn threads(config: Config) -> Report {
    uncounted(|| measure(config))
}

fn measure(config: Config) -> Report {
    let steps = config.steps(1 << 17).max(1 << 12);
    let (ours, theirs, ids) = filled(OBJECTS, 1 << 10);
    let apart = apart(&ids, steps);
    let (store, lru) = hot();
    let hot = vec![1; apart.len()];
    let array: Vec<u64> = (0..=OBJECTS as u64).collect();
    let series = race(
        config.rounds,
        vec![
            scaling(ARRAY, &apart, steps, |ids| {
                independent(ids, |raw| array[raw as usize])
            }),
            scaling("`read`, one hot object", &hot, steps, |ids| {
                independent(ids, |raw| store.read(id(raw), first).unwrap_or(0))
            }),
            scaling("`read`, disjoint objects", &apart, steps, |ids| {
                independent(ids, |raw| ours.read(id(raw), first).unwrap_or(0))
            }),
            scaling("`get_raw`, disjoint objects", &apart, steps, |ids| {
                independent(ids, |raw| ours.get_raw(id(raw)).map_or(0, |it| first(&it)))
            }),
            scaling("`get_raw`, one hot object", &hot, steps / 4, |ids| {
                independent(ids, |raw| store.get_raw(id(raw)).map_or(0, |it| first(&it)))
            }),
            scaling(PREDECESSOR, &apart, steps / 4, |ids| {
                independent(ids, |raw| theirs.get(raw).map_or(0, |it| first(&it)))
            }),
            scaling("the same, one hot object", &hot, steps / 4, |ids| {
                independent(ids, |raw| lru.get(raw).map_or(0, |it| first(&it)))
            }),
        ],
    );
    let work = |what: &str| format!("2 threads against 1, {what}");
    let mut report = Report::default();
    for (ours, least) in series[1..4].iter().zip([0.97, 0.97, 0.95]) {
        let bar = Line::at_least(work(&ours.name), ours, &series[0], least).in_unit("x");
        report.lines.push(bar);
    }
    for one in &series[4..] {
        report.note(&work(&one.name), "x", [one.clone()]);
    }
    report
}

fn hot() -> (InMemoryStore, Predecessor) {
    let (ours, theirs) = (InMemoryStore::new(AMPLE), Predecessor::new(1));
    let first = ours.put_bytes(payload(1 << 10)).expect("there is room");
    theirs.put(first.get(), payload(1 << 10));
    (ours, theirs)
}

/// Windows of ids, each second one from the other half of the objects.
fn apart(ids: &[u64], steps: usize) -> Vec<u64> {
    let (even, odd) = ids.split_at(ids.len() / 2);
    let half = |window: usize| if window.is_multiple_of(2) { even } else { odd };
    // A window's warm part is the one before it, so each half has two in a row.
    let windows = (0..8).map(|window| half(window / 2));
    windows
        .flat_map(|half| (0..steps).map(|n| half[(n * 7919) % half.len()]))
        .collect()
}
