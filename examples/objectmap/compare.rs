//! The allocator beside a `HashMap` object map: memory and lookups.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Result, ensure};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use mapless::{ByteLen, ObjectId, OmniBlockAllocator};
use stats_alloc::Region;

use crate::COUNTED;
use crate::files::{Found, progress};

const LOOKUPS: usize = 4_000_000;

type Map = HashMap<u64, (u64, u32), ahash::RandomState>;

pub(crate) fn run(files: &[Found], objects: usize) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sizes = Vec::with_capacity(objects);
    sizes.resize_with(objects, || {
        ByteLen::new(files[random.usize(..files.len())].len)
    });
    let mut ids = Vec::with_capacity(objects);

    let region = Region::new(COUNTED);
    let allocator = OmniBlockAllocator::builder().build()?;
    let bar = progress(objects, "allocating");
    for chunk in sizes.chunks(65_536) {
        for &len in chunk {
            ids.push(allocator.alloc(len)?);
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let derived_bytes = live_bytes(&region);

    let region = Region::new(COUNTED);
    let mut map = Map::with_hasher(ahash::RandomState::default());
    for (&id, &len) in ids.iter().zip(&sizes) {
        let extent = allocator.locate(id)?;
        map.insert(id.get(), (extent.offset.get(), len.get() as u32));
    }
    let map_bytes = live_bytes(&region);
    agree(&allocator, &map, &ids)?;

    random.shuffle(&mut ids);
    let guarded = |ids: &[ObjectId]| {
        let guard = allocator.pin();
        let offset = |&id: &ObjectId| {
            allocator
                .locate_in(id, &guard)
                .map_or(0, |e| e.offset.get())
        };
        ids.iter().map(offset).fold(0, u64::wrapping_add)
    };
    let pinning = |ids: &[ObjectId]| {
        let offset = |&id: &ObjectId| allocator.locate(id).map_or(0, |e| e.offset.get());
        ids.iter().map(offset).fold(0, u64::wrapping_add)
    };
    let mapped = |ids: &[ObjectId]| {
        let offset = |id: &ObjectId| map.get(&id.get()).map_or(0, |&(offset, _)| offset);
        ids.iter().map(offset).fold(0, u64::wrapping_add)
    };

    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "",
        "B/object",
        "ns/lookup, 1 thread",
        "ns/lookup, 2 threads",
    ]);
    let mut row = |name: &str, bytes: usize, lookup: &(dyn Fn(&[ObjectId]) -> u64 + Sync)| {
        table.add_row([
            name.to_string(),
            format!("{:.3}", bytes as f64 / objects as f64),
            format!("{:.1}", time(&ids, 1, lookup)),
            format!("{:.1}", time(&ids, 2, lookup)),
        ]);
    };
    row("HashMap, ahash (read-only)", map_bytes, &mapped);
    row("mapless, guard held", derived_bytes, &guarded);
    row("mapless, pins", derived_bytes, &pinning);
    println!("\n{objects} objects with the same sizes, random ids:\n{table}");
    Ok(())
}

fn live_bytes(region: &Region<'_, std::alloc::System>) -> usize {
    let change = region.change();
    change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated)
}

/// Every object where the map says, and no two at one place.
fn agree(allocator: &OmniBlockAllocator, map: &Map, ids: &[ObjectId]) -> Result<()> {
    ensure!(map.len() == ids.len(), "an id was given out twice");
    ensure!(allocator.len() == ids.len() as u64, "len() is off");
    let mut extents = Vec::with_capacity(ids.len());
    for &id in ids {
        extents.push(allocator.locate(id)?);
    }
    extents.sort_unstable();
    for pair in extents.windows(2) {
        ensure!(
            pair[0].end()? <= pair[1].offset,
            "{:?} overlaps {:?}",
            pair[0],
            pair[1]
        );
    }
    Ok(())
}

/// Nanoseconds per lookup and thread; the median of seven rounds.
fn time(ids: &[ObjectId], threads: usize, lookup: &(dyn Fn(&[ObjectId]) -> u64 + Sync)) -> f64 {
    let ids = &ids[..ids.len().min(LOOKUPS)];
    let mut rounds: Vec<f64> = (0..7).map(|_| round(ids, threads, lookup)).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn round(ids: &[ObjectId], threads: usize, lookup: &(dyn Fn(&[ObjectId]) -> u64 + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let worker = || {
        start.wait();
        let begin = Instant::now();
        black_box(lookup(black_box(ids)));
        begin.elapsed().as_nanos() as f64 / ids.len() as f64
    };
    let times: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|w| w.join().expect("a lookup panicked"))
            .collect()
    });
    times.iter().sum::<f64>() / threads as f64
}
