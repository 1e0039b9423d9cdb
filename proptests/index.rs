//! `RangeIndex` against a `BTreeMap`.
//!
//! * P1  Every operation answers as the oracle does, errors included, and a refused one changes
//!   nothing.
//! * P2  `get`, `entry`, `floor`, `ceiling` agree at the first and last id of every range that is
//!   or was there, and one id to either side; `get_many` says what `get` says.
//! * P3  `iter`, `range`, `snapshot`, `len`, `first`, `last` agree after every sequence.
//! * P4  The index's own invariants hold after every step (`audit`).
//! * P5  The height stays within its bound; emptied, the index takes no bytes.
//! * P6  `bulk_load` equals inserts one by one, and is all or nothing.
//!
//! Ids come from families that hit the boundaries of slots, nodes and the id space.

use std::collections::BTreeMap;
use std::ops::Bound;

use mapless::{IdRange, InsertError, LoadError, ObjectId, RangeIndex, RemoveError, ReplaceError};
use quickcheck::{Arbitrary, Gen, QuickCheck};

type Oracle = BTreeMap<u64, (u64, u64)>;

const MAX: u64 = u64::MAX - 1;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

fn range(first: u64, len: u64) -> IdRange {
    IdRange::new(id(first), len).unwrap()
}

/// How the ids of one run are spread.
#[derive(Clone, Copy, Debug)]
enum Family {
    /// `k << shift`, length `1 << shift`: as our allocators make them.
    Aligned(u32),
    /// Adjacent ranges of odd lengths over few ids: many overlaps.
    Crowded,
    /// Anywhere, lengths of 1 to 2^40.
    Wide,
    /// Around powers of two.
    Edges,
    /// Near both ends of the id space.
    Extremes,
    /// Lengths up to the longest, over and among small ones.
    Mixed,
}

impl Family {
    fn any(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 7 {
            0 | 1 => Self::Aligned(u32::arbitrary(g) % 40),
            2 => Self::Crowded,
            3 => Self::Wide,
            4 => Self::Edges,
            5 => Self::Extremes,
            _ => Self::Mixed,
        }
    }

    fn range(self, g: &mut Gen) -> (u64, u64) {
        let r = u64::arbitrary(g);
        let n = u64::arbitrary(g);
        let log = |r: u64, bits: u64| 1 + (r >> 8) % (1 << (1 + r % bits));
        let (first, len) = match self {
            Self::Aligned(shift) => ((1 + r % 300) << shift, 1 << shift),
            Self::Crowded => (1 + r % 2000, 1 + n % 7),
            Self::Wide => (r, log(n, 40)),
            Self::Edges => (
                (1u64 << (r % 64)).wrapping_add(n % 5).wrapping_sub(2),
                1 + (n >> 8) % 3,
            ),
            Self::Extremes if r % 2 == 0 => (1 + n % 80, 1 + (n >> 8) % 3),
            Self::Extremes => (MAX - n % 80, 1 + (n >> 8) % 3),
            Self::Mixed if r % 16 == 0 => (n, log(r.rotate_left(17), 63)),
            Self::Mixed => ((r >> 4) % (1 << 20), log(n, 8)),
        };
        let first = first.clamp(1, MAX);
        (first, len.min(MAX - first + 1).min(mapless::MAX_RANGE_LEN))
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u64, u64),
    /// Remove what lies around this id, or the id itself.
    Remove(u64),
    /// Remove the range with this number.
    RemoveNth(usize),
    Replace(u64, u64),
    Collect,
}

#[derive(Clone, Debug)]
struct Script {
    family: Family,
    ops: Vec<Op>,
}

impl Arbitrary for Script {
    fn arbitrary(g: &mut Gen) -> Self {
        let family = Family::any(g);
        // Some scripts grow, some hold, some shrink.
        let greed = 4 + u8::arbitrary(g) % 12;
        let ascending = u8::arbitrary(g) % 4 == 0;
        let len = usize::arbitrary(g) % (g.size() * 4);
        let mut ops: Vec<Op> = (0..len)
            .map(|_| {
                let (first, len) = family.range(g);
                match u8::arbitrary(g) % 16 {
                    kind if kind < greed => Op::Insert(first, len),
                    kind if kind % 4 == 0 => Op::Remove(first),
                    kind if kind % 4 == 1 => Op::Replace(first, len),
                    _ if u8::arbitrary(g) % 16 == 0 => Op::Collect,
                    _ => Op::RemoveNth(usize::arbitrary(g)),
                }
            })
            .collect();
        if ascending {
            ops.sort_by_key(|op| match op {
                Op::Insert(first, _) => *first,
                _ => MAX,
            });
        }
        Self { family, ops }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let family = self.family;
        let (ops, n) = (self.ops.clone(), self.ops.len());
        let parts = (0..).map(move |k| n >> k).take_while(|&part| part > 0);
        let cuts = parts.flat_map(move |part| (0..n / part).map(move |i| (i * part, part)));
        Box::new(cuts.map(move |(at, part)| {
            let mut ops = ops.clone();
            ops.drain(at..at + part);
            Self { family, ops }
        }))
    }
}

fn around(oracle: &Oracle, at: u64) -> Option<(u64, u64, u64)> {
    let (&first, &(len, value)) = oracle.range(..=at).next_back()?;
    (at - first < len).then_some((first, len, value))
}

fn overlapped(oracle: &Oracle, first: u64, len: u64) -> Option<IdRange> {
    let (&f, &(l, _)) = oracle.range(..=first + (len - 1)).next_back()?;
    (f + (l - 1) >= first).then(|| range(f, l))
}

fn entry((&first, &(len, value)): (&u64, &(u64, u64))) -> (IdRange, u64) {
    (range(first, len), value)
}

struct Pair {
    index: RangeIndex<u64>,
    oracle: Oracle,
    /// Ids to ask about: the boundaries of all that was ever there.
    marks: Vec<u64>,
}

impl Pair {
    fn new() -> Self {
        Self {
            index: RangeIndex::new(),
            oracle: Oracle::new(),
            marks: vec![1, MAX],
        }
    }

    fn insert(&mut self, first: u64, len: u64, value: u64) {
        let expected = match overlapped(&self.oracle, first, len) {
            Some(with) => Err(InsertError::Overlap { with }),
            None => Ok(()),
        };
        assert_eq!(self.index.insert(range(first, len), value), expected);
        if expected.is_ok() {
            self.oracle.insert(first, (len, value));
            self.mark(first, len);
        }
    }

    fn mark(&mut self, first: u64, len: u64) {
        let last = first + (len - 1);
        let near = [first.saturating_sub(1), first, last, last + 1];
        self.marks
            .extend(near.iter().filter(|&&at| (1..=MAX).contains(&at)));
    }

    fn remove(&mut self, at: u64) {
        let expected = match around(&self.oracle, at) {
            None => Err(RemoveError::NotFound),
            Some((first, len, value)) if first == at => Ok((range(first, len), value)),
            Some((first, len, _)) => Err(RemoveError::NotFirst {
                within: range(first, len),
            }),
        };
        assert_eq!(self.index.remove(id(at)), expected);
        if expected.is_ok() {
            self.oracle.remove(&at);
        }
    }

    fn replace(&mut self, at: u64, value: u64) {
        let expected = match around(&self.oracle, at) {
            None => Err(ReplaceError::NotFound),
            Some((first, _, old)) => {
                self.oracle.get_mut(&first).unwrap().1 = value;
                Ok(old)
            }
        };
        assert_eq!(self.index.replace(id(at), value), expected);
    }

    fn run(&mut self, op: Op, value: u64) {
        match op {
            Op::Insert(first, len) => self.insert(first, len, value),
            Op::Remove(at) => self.remove(at),
            Op::Replace(at, value) => self.replace(at, value),
            Op::Collect => {
                self.index.collect();
                assert_eq!(self.index.pending(), 0);
            }
            Op::RemoveNth(n) => {
                let n = n % (self.oracle.len() + 1);
                if let Some(first) = self.oracle.keys().nth(n).copied() {
                    self.remove(first);
                }
            }
        }
        self.index.audit();
    }

    fn check_points(&self) {
        let guard = self.index.pin();
        for &at in &self.marks {
            let found = around(&self.oracle, at);
            assert_eq!(
                self.index.get_in(id(at), &guard),
                found.map(|f| f.2),
                "get {at}"
            );
            let found = found.map(|(first, len, value)| (range(first, len), value));
            assert_eq!(self.index.entry_in(id(at), &guard), found, "entry {at}");
            let floor = self.oracle.range(..=at).next_back().map(entry);
            assert_eq!(self.index.floor_in(id(at), &guard), floor, "floor {at}");
            let ceiling = self.oracle.range(at..).next().map(entry);
            assert_eq!(
                self.index.ceiling_in(id(at), &guard),
                ceiling,
                "ceiling {at}"
            );
        }
        let ids: Vec<ObjectId> = self.marks.iter().map(|&at| id(at)).collect();
        let mut values = vec![None; ids.len()];
        self.index.get_many(&ids, &mut values);
        let single: Vec<_> = ids.iter().map(|&at| self.index.get(at)).collect();
        assert_eq!(values, single);
    }

    fn check_order(&self) {
        let all: Vec<_> = self.oracle.iter().map(entry).collect();
        assert_eq!(self.index.snapshot(), all);
        assert_eq!(self.index.iter().collect::<Vec<_>>(), all);
        assert_eq!(self.index.len(), all.len());
        assert_eq!(self.index.first(), all.first().copied());
        assert_eq!(self.index.last(), all.last().copied());
        for pair in self.marks.windows(2).take(20) {
            let bounds = (
                Bound::Excluded(pair[0].min(pair[1])),
                Bound::Included(pair[0].max(pair[1])),
            );
            if pair[0] == pair[1] {
                continue;
            }
            let (low, high) = (bounds.0.map(id), bounds.1.map(id));
            let shown: Vec<_> = self.index.range((low, high)).collect();
            let expected: Vec<_> = self.oracle.range(bounds).map(entry).collect();
            assert_eq!(shown, expected);
        }
        assert!(self.index.height() <= 24, "height {}", self.index.height());
    }

    fn empty(&mut self) {
        while let Some(&first) = self.oracle.keys().next() {
            self.remove(first);
            self.index.audit();
        }
        self.index.collect();
        assert_eq!((self.index.memory(), self.index.pending()), (0, 0));
        assert_eq!(self.index.height(), 0);
    }
}

fn agrees(script: Script) -> bool {
    let mut pair = Pair::new();
    for (value, &op) in script.ops.iter().enumerate() {
        pair.run(op, value as u64);
        if let Op::Remove(at) | Op::Insert(at, _) = op {
            pair.mark(at, 1);
        }
    }
    pair.check_points();
    pair.check_order();
    pair.empty();
    true
}

#[test]
fn every_sequence_agrees() {
    QuickCheck::new()
        .rng(Gen::new(400))
        .tests(400)
        .quickcheck(agrees as fn(Script) -> bool);
}

fn loads(scripts: (Script, Script)) -> bool {
    let mut pair = Pair::new();
    for (value, &op) in scripts.0.ops.iter().enumerate() {
        pair.run(op, value as u64);
    }
    let mut sorted: Vec<(u64, u64)> = Vec::new();
    let inserts = scripts.1.ops.iter().filter_map(|op| match *op {
        Op::Insert(first, len) => Some((first, len)),
        _ => None,
    });
    let mut wanted: Vec<_> = inserts.collect();
    wanted.sort_unstable();
    for (first, len) in wanted {
        if sorted.last().is_none_or(|&(f, l)| f + (l - 1) < first) {
            sorted.push((first, len));
        }
    }
    let new: Vec<_> = sorted
        .iter()
        .map(|&(first, len)| (range(first, len), first))
        .collect();
    let hit = new.iter().enumerate().find_map(|(at, &(r, _))| {
        let with = overlapped(&pair.oracle, r.first().get(), r.len())?;
        Some(LoadError::Overlap { at, with })
    });
    assert_eq!(
        pair.index.bulk_load(new.iter().copied()),
        hit.map_or(Ok(()), Err)
    );
    if hit.is_none() {
        for &(first, len) in &sorted {
            pair.oracle.insert(first, (len, first));
            pair.mark(first, len);
        }
    }
    pair.index.audit();
    pair.check_points();
    pair.check_order();
    for (value, &op) in scripts.0.ops.iter().enumerate() {
        pair.run(op, value as u64);
    }
    pair.check_points();
    pair.empty();
    true
}

#[test]
fn loads_agree() {
    QuickCheck::new()
        .rng(Gen::new(400))
        .tests(200)
        .quickcheck(loads as fn((Script, Script)) -> bool);
}

#[test]
fn unsorted_loads_are_refused() {
    let index: RangeIndex<u64> = RangeIndex::new();
    let cases = [
        (vec![(5, 2), (1, 2)], 1),
        (vec![(1, 2), (2, 2)], 1),
        (vec![(1, 2), (3, 2), (3, 1)], 2),
    ];
    for (ranges, at) in cases {
        let ranges = ranges
            .into_iter()
            .map(|(first, len)| (range(first, len), 0));
        assert_eq!(index.bulk_load(ranges), Err(LoadError::Unsorted { at }));
        assert!(index.is_empty());
    }
}

#[test]
fn rounds_of_fill_and_empty_leave_memory_where_it_was() {
    let index: RangeIndex<u64> = RangeIndex::new();
    let mut full = None;
    for _ in 0..100 {
        for k in 1..=2_000 {
            index.insert(range(k << 10, 1 << 10), k).unwrap();
        }
        assert_eq!(*full.get_or_insert(index.memory()), index.memory());
        for k in 1..=2_000 {
            index.remove(id(k << 10)).unwrap();
        }
        index.collect();
        assert_eq!((index.memory(), index.pending()), (0, 0));
    }
}

#[test]
fn a_window_that_moves_on_keeps_its_size() {
    let index: RangeIndex<u64> = RangeIndex::new();
    for k in 1..=100_000u64 {
        index.insert(range(k << 10, 1 << 10), k).unwrap();
        if k > 1000 {
            index.remove(id((k - 1000) << 10)).unwrap();
        }
    }
    index.audit();
    assert!(index.memory() < 1000 * 64, "{} bytes", index.memory());
    assert!(index.height() <= 8, "height {}", index.height());
}

#[test]
fn one_place_used_again_and_again_keeps_its_size() {
    let index: RangeIndex<u64> = RangeIndex::new();
    for k in 1..=1000u64 {
        index.insert(range(k << 10, 1 << 10), k).unwrap();
    }
    let before = index.memory();
    for round in 0..100u64 {
        for k in (round % 7 + 1..=1000).step_by(7) {
            index.remove(id(k << 10)).unwrap();
            index.insert(range(k << 10, 5), round).unwrap();
        }
    }
    index.audit();
    assert!(
        index.memory() <= before * 2,
        "{} bytes, {before} before",
        index.memory()
    );
}
