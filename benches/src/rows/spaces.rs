//! Regions of variable size in a growing space: steady state at 10 k and at 1 M gaps.

use std::collections::{BTreeMap, BTreeSet};

use mapless::{BasicAllocator, ByteLen, Extent};
use offset_allocator::{Allocation, Allocator};
use rand::Rng;

use crate::Config;
use crate::drive::timed;
use crate::report::Report;
use crate::rounds::{Series, race, side};
use crate::sets;

/// A space that hands out regions of 1 to 4,096 units.
trait Space {
    const NAME: &'static str;
    type Region: Copy;
    fn new(regions: usize) -> Self;
    fn take(&mut self, len: u64) -> Self::Region;
    fn give(&mut self, region: Self::Region);
}

/// Allocs and frees, ns each: for the design document.
pub fn spaces(config: Config) -> Report {
    let mut report = Report::default();
    for n in [10_000, 1_000_000] {
        let n = config.size(n);
        let rounds = config.rounds.min(7);
        let allocs = [
            steady::<BasicAllocator>(rounds, n),
            steady::<Allocator<u32>>(rounds, n),
            steady::<TwoTrees>(rounds, n),
        ];
        for [take, give] in allocs {
            report.note(&format!("{n} gaps, alloc"), "ns", [take]);
            report.note(&format!("{n} gaps, free"), "ns", [give]);
        }
    }
    report
}

/// Fills to four regions a gap, frees half, and then frees and allocs in turn.
fn steady<S: Space>(rounds: usize, n: usize) -> [Series; 2] {
    let (mut dice, mut lens) = (sets::dice(2), sets::dice(4));
    let mut space = S::new(8 * n);
    let mut len = || sets::log_uniform(&mut lens, 12);
    let mut live: Vec<_> = (0..4 * n).map(|_| space.take(len())).collect();
    let mut any = |live: &mut Vec<S::Region>| live.swap_remove(dice.random_range(0..live.len()));
    for _ in 0..2 * n {
        space.give(any(&mut live));
    }
    let steps = (n / 4).min(10_000);
    let mut gives = Vec::new();
    let series = race(
        rounds,
        vec![side(S::NAME, |_| {
            let gone: Vec<_> = (0..steps).map(|_| any(&mut live)).collect();
            let lens: Vec<_> = (0..steps).map(|_| len()).collect();
            gives.push(timed(steps, || {
                gone.iter().for_each(|region| space.give(*region))
            }));
            timed(steps, || {
                live.extend(lens.iter().map(|len| space.take(*len)))
            })
        })],
    );
    let [takes] = series.try_into().expect("one side");
    [takes, Series::new(S::NAME, gives.split_off(1))]
}

impl Space for BasicAllocator {
    const NAME: &'static str = "mapless BasicAllocator, with its index";
    type Region = Extent;

    fn new(_: usize) -> Self {
        let space = Self::builder().alignment(1).build();
        space.expect("an empty space")
    }

    fn take(&mut self, len: u64) -> Extent {
        self.alloc(ByteLen::new(len)).expect("room").extent
    }

    fn give(&mut self, region: Extent) {
        self.free(region).expect("a live region");
    }
}

impl Space for Allocator<u32> {
    const NAME: &'static str = "offset-allocator, unchecked, 32 bits";
    type Region = Allocation<u32>;

    fn new(regions: usize) -> Self {
        Self::with_max_allocs(u32::MAX - 1, regions as u32)
    }

    fn take(&mut self, len: u64) -> Allocation<u32> {
        self.allocate(len as u32).expect("room")
    }

    fn give(&mut self, region: Allocation<u32>) {
        self.free(region);
    }
}

/// Best fit over two trees, coalescing; it trusts its caller.
#[derive(Default)]
struct TwoTrees {
    by_offset: BTreeMap<u64, u64>,
    by_len: BTreeSet<(u64, u64)>,
    end: u64,
}

impl TwoTrees {
    fn add(&mut self, offset: u64, len: u64) {
        self.by_offset.insert(offset, len);
        self.by_len.insert((len, offset));
    }

    fn drop(&mut self, offset: u64, len: u64) {
        self.by_offset.remove(&offset);
        self.by_len.remove(&(len, offset));
    }
}

impl Space for TwoTrees {
    const NAME: &'static str = "two BTreeMaps, best fit, unchecked";
    type Region = (u64, u64);

    fn new(_: usize) -> Self {
        Self::default()
    }

    fn take(&mut self, len: u64) -> (u64, u64) {
        let Some(&(gap, offset)) = self.by_len.range((len, 0)..).next() else {
            self.end += len;
            return (self.end - len, len);
        };
        self.drop(offset, gap);
        if gap > len {
            self.add(offset + len, gap - len);
        }
        (offset, len)
    }

    fn give(&mut self, (mut offset, mut len): (u64, u64)) {
        let before = self.by_offset.range(..offset).next_back();
        if let Some((&start, &gap)) = before.filter(|(start, gap)| *start + *gap == offset) {
            self.drop(start, gap);
            (offset, len) = (start, len + gap);
        }
        if let Some(&gap) = self.by_offset.get(&(offset + len)) {
            self.drop(offset + len, gap);
            len += gap;
        }
        self.add(offset, len);
    }
}
