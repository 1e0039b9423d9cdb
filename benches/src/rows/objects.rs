//! From an id to its bytes, at 2.65 million objects of mixed classes.

use std::collections::HashSet;

use rand::seq::SliceRandom;

use crate::Config;
use crate::baseline::{Bare, Lean, Place};
use crate::drive::{batched, dependent, independent, timed};
use crate::memory;
use crate::ours::{Objects, id};
use crate::peers::objects::{Dash, Locked, ObjectMap, Papaya, Plain};
use crate::report::{Line, Report};
use crate::rounds::{Series, race, side};
use crate::rows::threads::{ARRAY, scaling};
use crate::sets::{self, window};

const OBJECTS: usize = 2_650_000;
/// Every range of ours begins at a multiple of so many ids, as a power of two.
const OUR_BITS: u32 = 15;
/// Slots in a range of the bare table with ranges of its own, as a power of two.
const BARE_BITS: u32 = 10;

/// Sizes from 64 B to 64 KiB, log-uniform.
fn sizes(n: usize) -> Vec<u64> {
    let mut dice = sets::dice(9);
    (0..n)
        .map(|_| 32 * sets::log_uniform(&mut dice, 11).max(2))
        .collect()
}

/// Sizes of eight classes, 64 B to 8 KiB, as many of each.
fn eight_sizes(n: usize) -> Vec<u64> {
    (0..n).map(|k| 64 << (k % 8)).collect()
}

/// Live bytes an object, as the allocator counts them, after `collect`.
pub fn memory(config: Config) -> Report {
    let mut report = memory_of("8 classes", &eight_sizes(config.size(OBJECTS)));
    let sizes = sizes(config.size(OBJECTS));
    report.append(memory_of("log-uniform, 40 classes", &sizes));
    let n = sizes.len() as f64;
    let per = |name: &str, bytes: usize| Series::new(name, vec![bytes as f64 / n]);
    let work = format!("memory, {} objects", sizes.len());
    let objects = hashed(&sizes);
    let maps = [
        per(Plain::NAME, memory::grown(|| Plain::build(&objects)).1),
        per(Dash::NAME, memory::grown(|| Dash::build(&objects)).1),
        per(Papaya::NAME, memory::grown(|| Papaya::build(&objects)).1),
    ];
    report.note(&work, "B an object", maps);
    report
}

fn memory_of(what: &str, sizes: &[u64]) -> Report {
    let (ours, bytes) = memory::grown(|| Objects::fill_uncounted(sizes));
    let per = vec![bytes as f64 / sizes.len() as f64];
    let (objects, ranges) = (sizes.len(), ours.ranges());
    let work = format!("memory, {objects} objects, {what}, {ranges} ranges");
    let ours = Series::new("mapless OmniBlockAllocator", per);
    let mut report = Report::default();
    report
        .lines
        .push(Line::absolute(work, &ours, 0.2).in_unit("B an object"));
    report
}

/// Ids and places of objects as a map keeps them.
fn hashed(sizes: &[u64]) -> Vec<(u64, (u64, u32))> {
    let mut offset = 0;
    let place = |(number, &len): (u64, &u64)| {
        offset += len;
        (number, (offset - len, len as u32))
    };
    (1..).zip(sizes).map(place).collect()
}

/// Ours; the bare tables over the very same ranges, ids and bits (but for ranges of one slot, of
/// which several share the ids of one table entry: those are not asked for); and one over ranges of 1,024
/// slots, with ids of its own. Ids are in random order.
struct Stage {
    ours: Objects,
    bare: Bare,
    lean: Lean,
    small: Bare,
    ids: Vec<u64>,
    small_ids: Vec<u64>,
}

impl Stage {
    fn new(config: Config) -> Self {
        let sizes = sizes(config.size(OBJECTS));
        let mut ours = Objects::fill(&sizes);
        let mut ids = std::mem::take(&mut ours.ids);
        let (places, single): (Vec<_>, Vec<_>) =
            ours.places().into_iter().partition(|place| place.slots > 1);
        let single: HashSet<u64> = single.iter().map(|place| place.first).collect();
        ids.retain(|id| !single.contains(id));
        let small = small_places(sizes.len() as u64);
        let first = small[0].first;
        let mut small_ids: Vec<u64> = (first..first + sizes.len() as u64).collect();
        ids.shuffle(&mut sets::dice(1));
        small_ids.shuffle(&mut sets::dice(1));
        Self {
            ours,
            bare: Bare::new(OUR_BITS, &places),
            lean: Lean::new(OUR_BITS, &places),
            small: Bare::new(BARE_BITS, &small),
            ids,
            small_ids,
        }
    }
}

/// Ranges of 1,024 slots for `n` objects, of eight slot sizes. The rest of the last is live too.
fn small_places(n: u64) -> Vec<Place> {
    let slots = 1 << BARE_BITS;
    let place = |number: u64| Place {
        first: (number + 1) * slots,
        slots,
        offset: number * slots * 8192,
        slot_size: 64 << (number % 8),
        words: vec![u64::MAX; slots as usize / 64],
    };
    (0..n.div_ceil(slots)).map(place).collect()
}

#[inline(always)]
fn bare_digest(found: Option<(u64, u64)>) -> u64 {
    found.map_or(0, |(offset, len)| offset + len)
}

/// `locate_in` with a guard held, against the bare table of start, end and value plus the bit.
pub fn locate_in(config: Config) -> Report {
    let stage = Stage::new(config);
    let steps = config.steps(1_000_000);
    let ids = |round| window(&stage.ids, round, steps);
    let small_ids = |round| window(&stage.small_ids, round, steps);
    let bare = |id| bare_digest(stage.bare.locate(id));
    let small = |id| bare_digest(stage.small.locate(id));
    let lean = |id| stage.lean.is_live(id);
    let ours = &stage.ours;
    let series = race(
        config.rounds,
        vec![
            side("locate_in", |round| {
                let guard = ours.pin();
                independent(ids(round), |id| ours.locate_in(id, &guard))
            }),
            side("bare table + bit", |round| independent(ids(round), bare)),
            side("the bit alone", |round| independent(ids(round), lean)),
            side("bare table + bit, 1,024 slots a range", |round| {
                independent(small_ids(round), small)
            }),
            side("locate_in", |round| {
                let guard = ours.pin();
                dependent(ids(round), |id| ours.locate_in(id, &guard))
            }),
            side("bare table + bit", |round| dependent(ids(round), bare)),
            side("the bit alone", |round| dependent(ids(round), lean)),
            side("bare table + bit, 1,024 slots a range", |round| {
                dependent(small_ids(round), small)
            }),
        ],
    );
    let mut report = Report::default();
    for (mode, series) in ["throughput", "latency"].iter().zip(series.chunks(4)) {
        let work = format!("`locate_in`, {} objects, {mode}", stage.ids.len());
        report
            .lines
            .push(Line::at_most(&work, &series[0], &series[1], 1.5));
        report
            .lines
            .push(Line::beside(&work, &series[0], &series[2]));
        report
            .lines
            .push(Line::beside(&work, &series[0], &series[3]));
    }
    report
}

/// `locate`, which pins: against 1.5 x the bare table plus 1.3 x a bare pin.
pub fn locate(config: Config) -> Report {
    let Stage {
        ours, bare, ids, ..
    } = &Stage::new(config);
    let steps = config.steps(1_000_000);
    let part = |round| window(ids, round, steps);
    let bare = |id| bare_digest(bare.locate(id));
    let pins = |_| {
        timed(steps, || {
            (0..steps).for_each(|_| drop(crossbeam_epoch::pin()))
        })
    };
    let series = race(
        config.rounds,
        vec![
            side("locate", |round| {
                independent(part(round), |id| ours.locate(id))
            }),
            side("bare", |round| independent(part(round), bare)),
            side("locate", |round| {
                dependent(part(round), |id| ours.locate(id))
            }),
            side("bare", |round| dependent(part(round), bare)),
            side("a pin and its drop", pins),
        ],
    );
    let mut report = Report::default();
    for (mode, pair) in ["throughput", "latency"].iter().zip(series.chunks(2)) {
        let name = "1.5 x bare table + 1.3 x a pin";
        let allowed = pair[1].with(name, &series[4], |bare, pin| 1.5 * bare + 1.3 * pin);
        let work = format!("`locate`, {} objects, {mode}", ids.len());
        report
            .lines
            .push(Line::at_most(work, &pair[0], &allowed, 1.0));
    }
    report.note("for `locate`", "ns", [series[4].clone()]);
    report
}

/// Two threads against one, at 2.65 million objects.
pub fn threads(config: Config) -> Report {
    let Stage {
        ours, bare, ids, ..
    } = &Stage::new(config);
    let steps = config.steps(500_000);
    let bare = |id| bare_digest(bare.locate(id));
    let series = race(
        config.rounds,
        vec![
            scaling(ARRAY, ids, steps, |ids| independent(ids, bare)),
            scaling("locate_in", ids, steps, |ids| {
                let guard = ours.pin();
                independent(ids, |id| ours.locate_in(id, &guard))
            }),
            scaling("locate", ids, steps, |ids| {
                independent(ids, |id| ours.locate(id))
            }),
        ],
    );
    let mut report = Report::default();
    for ours in &series[1..] {
        let work = format!(
            "2 threads against 1, `{}`, {} objects",
            ours.name,
            ids.len()
        );
        report
            .lines
            .push(Line::at_least(work, ours, &series[0], 0.97).in_unit("x"));
    }
    report
}

/// The maps that are replaced, at 2.65 million objects: ns a lookup, and what two threads bring.
pub fn maps(config: Config) -> Report {
    let objects = hashed(&sizes(config.size(OBJECTS)));
    let mut ids: Vec<u64> = objects.iter().map(|(id, _)| *id).collect();
    ids.shuffle(&mut sets::dice(1));
    let mut report = Report::default();
    report.append(map_row::<Plain>(config, &objects, &ids));
    report.append(map_row::<Locked>(config, &objects, &ids));
    report.append(map_row::<Dash>(config, &objects, &ids));
    report.append(map_row::<Papaya>(config, &objects, &ids));
    report.append(our_row(config));
    report
}

fn map_row<M: ObjectMap>(config: Config, objects: &[(u64, (u64, u32))], ids: &[u64]) -> Report {
    let map = M::build(objects);
    let steps = config.steps(250_000);
    let series = race(
        config.rounds.min(5),
        vec![
            side(M::NAME, |round| {
                independent(window(ids, round, steps), |id| map.get(id))
            }),
            side(M::NAME, |round| {
                dependent(window(ids, round, steps), |id| map.get(id))
            }),
            scaling(M::NAME, ids, steps / 4, |ids| {
                independent(ids, |id| map.get(id))
            }),
        ],
    );
    modes(ids.len(), series)
}

fn our_row(config: Config) -> Report {
    const NAME: &str = "mapless, guard held";
    let Stage { ours, ids, .. } = Stage::new(config);
    let steps = config.steps(250_000);
    let hold = || ours.pin();
    modes(
        ids.len(),
        race(
            config.rounds.min(5),
            vec![
                side(NAME, |round| {
                    let guard = hold();
                    independent(window(&ids, round, steps), |id| ours.locate_in(id, &guard))
                }),
                side(NAME, |round| {
                    let guard = hold();
                    dependent(window(&ids, round, steps), |id| ours.locate_in(id, &guard))
                }),
                scaling(NAME, &ids, steps, |ids| {
                    let guard = hold();
                    independent(ids, |id| ours.locate_in(id, &guard))
                }),
            ],
        ),
    )
}

fn modes(objects: usize, series: Vec<Series>) -> Report {
    let mut report = Report::default();
    let names = [("indep", "ns"), ("dep", "ns"), ("2 threads", "x")];
    for ((mode, unit), one) in names.into_iter().zip(series) {
        report.note(&format!("{objects} objects, {mode}"), unit, [one]);
    }
    report
}

/// Batches of 16 `locate_many_in` beside single lookups: for orientation.
pub fn locate_many(config: Config) -> Report {
    let stage = Stage::new(config);
    let ids: Vec<_> = stage.ids.iter().map(|&raw| id(raw)).collect();
    let steps = config.steps(1_000_000);
    let series = race(
        config.rounds.min(5),
        vec![side("locate_many_in", |round| {
            let guard = stage.ours.pin();
            batched(window(&ids, round, steps), |ids| {
                stage.ours.locate_many(ids, &guard)
            })
        })],
    );
    let mut report = Report::default();
    report.note(
        &format!("{} objects, 16 at a time", ids.len()),
        "ns",
        series,
    );
    report
}
