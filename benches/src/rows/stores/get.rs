//! Random reads of warm objects.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{OURS, draw, everyone, loaded, named};
use crate::Config;
use crate::drive::timed;
use crate::memory::uncounted;
use crate::ours_store::{self, FILE, id};
use crate::peers::stores::{Store, Use, digest};
use crate::report::{Line, Report};
use crate::rounds::{Side, race, side};

const RAW: &str = "a bare pread of the same bytes";

/// One thread, a million objects of 64 bytes, in the page cache.
pub fn get(config: Config) -> Report {
    uncounted(|| measure(config))
}

fn measure(config: Config) -> Report {
    let (objects, steps) = (config.size(1_000_000), config.steps(200_000));
    let all = everyone();
    let mut kept = Vec::new();
    let mut stores: Vec<(&str, Box<dyn Store>, Vec<u64>)> = Vec::new();
    let (folder, keys) = loaded(all[0].1, objects);
    let draws = (config.rounds + 1) * steps;
    let ours = ours_store::open(folder.path(), Use::Bulk);
    let ids = draw(&keys, draws, 7);
    let offset = |id| ours.extent(id).expect("it is there").offset.get();
    let offsets: Vec<u64> = ids.iter().map(|key| offset(id(*key))).collect();
    let file = File::open(folder.path().join(FILE)).expect("it is there");
    for (name, open) in &all[1..] {
        let (folder, keys) = loaded(*open, objects);
        stores.push((name, open(folder.path(), Use::Bulk), draw(&keys, draws, 7)));
        kept.push(folder);
    }
    stores.push((OURS, Box::new(ours.clone()), ids));
    let raw = |offset: u64| {
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, offset).expect("it is read");
        digest(&bytes)
    };
    let window = |round: usize| round * steps..(round + 1) * steps;
    let mut sides: Vec<Side<'_>> = stores
        .iter()
        .map(|(name, store, keys)| {
            side(*name, move |round| {
                sum(&keys[window(round)], |key| store.get(key))
            })
        })
        .collect();
    sides.push(side(RAW, |round| sum(&offsets[window(round)], raw)));
    let series = race(config.rounds, sides);
    let ours = named(&series, OURS);
    let work = format!("random get of 64 B, {objects} objects, warm, 1 thread");
    let mut report = Report::default();
    let bar = Line::at_most(&work, ours, named(&series, RAW), 1.5);
    report.lines.push(bar);
    for (name, _) in &all[1..] {
        let bar = Line::ahead(&work, ours, named(&series, name), 1.0);
        report.lines.push(bar);
    }
    report
}

/// ns each.
fn sum(keys: &[u64], get: impl Fn(u64) -> u64) -> f64 {
    let mut sum = 0;
    let time = timed(keys.len(), || keys.iter().for_each(|key| sum += get(*key)));
    assert_eq!(
        sum,
        keys.len() as u64 * digest(&super::PAYLOAD),
        "all are there"
    );
    time
}
