//! `GapSet` against a `BTreeMap` of live extents.
//!
//! # Properties
//! * T1  What is given out is aligned, long enough, behind the header, within the limit, and
//!   overlaps nothing that is live.
//! * T2  The gaps are exactly what lies between the live extents, each in one piece (G1, G2).
//! * T3  The tables hold what they should and the sums add up (G3; B1, B2, L1, L2, P1).
//! * T4  A refused call changes nothing (G4), and `NoSpace` means that no gap fits.
//! * T5  A space restored from its live extents is the same space.

use std::collections::BTreeMap;

use super::*;

/// xorshift64*: deterministic, and good enough to pick operations.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Log-uniform from 0 to below `2^bits`.
    fn len(&mut self, bits: u64) -> u64 {
        let width = self.below(bits + 1);
        self.below(1 << width)
    }
}

fn at(offset: u64) -> FileOffset {
    FileOffset::new(offset)
}

fn bytes(len: u64) -> ByteLen {
    ByteLen::new(len)
}

fn extent(offset: u64, len: u64) -> Extent {
    Extent::new(at(offset), bytes(len))
}

fn unlimited(header: u64) -> GapSet {
    GapSet::new(bytes(header), at(u64::MAX)).unwrap()
}

/// A space and what is live in it.
struct Pair {
    space: GapSet,
    live: BTreeMap<u64, u64>,
    dice: Dice,
}

impl Pair {
    fn new(header: u64, limit: u64, seed: u64) -> Self {
        Self {
            space: GapSet::new(bytes(header), at(limit)).unwrap(),
            live: BTreeMap::new(),
            dice: Dice(seed | 1),
        }
    }

    fn pick(&mut self) -> Option<(u64, u64)> {
        let count = self.live.len() as u64;
        let nth = (count > 0).then(|| self.dice.below(count) as usize)?;
        self.live
            .iter()
            .nth(nth)
            .map(|(&offset, &len)| (offset, len))
    }

    fn alloc(&mut self, len: u64, align: u64, near: Option<u64>) {
        match self.space.alloc(bytes(len), align, near.map(at)) {
            Ok(got) => {
                assert_eq!(got.len.get(), len.max(1));
                assert_eq!(got.offset.get() % align, 0);
                self.note(got);
            }
            Err(SpaceError::NoSpace) => self.assert_nothing_fits(len, align),
            Err(SpaceError::TooLarge) => self.assert_too_large(len, align),
            Err(other) => panic!("{other}"),
        }
    }

    /// T1, by the neighbours in the oracle.
    fn note(&mut self, got: Extent) {
        let (start, end) = (got.offset.get(), got.end().unwrap().get());
        assert!(start >= self.space.header && end <= self.space.limit);
        let before = self.live.range(..end).next_back();
        assert!(before.is_none_or(|(offset, len)| offset + len <= start));
        self.live.insert(start, end - start);
    }

    /// T4: neither a gap nor the space behind the end.
    fn assert_nothing_fits(&self, len: u64, align: u64) {
        let want = Want::new(bytes(len), align).unwrap();
        let rest = self.gaps_by_oracle(self.space.limit);
        for (offset, len) in rest {
            assert!(want.place_from(offset, offset + len).is_none());
        }
    }

    fn assert_too_large(&self, len: u64, align: u64) {
        let want = Want::new(bytes(len), align).unwrap();
        let place = want.place_from(self.space.header, self.space.limit);
        assert!(place.is_none());
    }

    fn free(&mut self, offset: u64, len: u64) {
        self.space.free(extent(offset, len)).unwrap();
        self.live.remove(&offset);
    }

    fn gaps_by_oracle(&self, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut from = self.space.header;
        let ends = [(end, 0)];
        let live = self.live.iter().map(|(&offset, &len)| (offset, len));
        for (offset, len) in live.chain(ends) {
            if offset > from {
                gaps.push((from, offset - from));
            }
            from = offset + len;
        }
        gaps
    }

    fn check(&self) {
        let gaps = self.gaps_by_oracle(self.space.end);
        let seen: Vec<_> = self.space.gaps().map(plain).collect();
        assert_eq!(seen, gaps); // T2
        let live: Vec<_> = self.space.live().map(plain).collect();
        assert!(
            live.iter()
                .copied()
                .eq(self.live.iter().map(|(&o, &l)| (o, l)))
        );
        let free: u64 = gaps.iter().map(|gap| gap.1).sum();
        assert_eq!(self.space.free_bytes().get(), free);
        let longest = self.space.largest_gap().map(|gap| gap.len.get());
        assert_eq!(longest, gaps.iter().map(|gap| gap.1).max());
        check_tables(&self.space);
    }
}

fn plain(extent: Extent) -> (u64, u64) {
    (extent.offset.get(), extent.len.get())
}

/// T3.
fn check_tables(space: &GapSet) {
    let gaps = space.segments().filter(|seg| !seg.is_live()).count();
    let live = space.segments().filter(|seg| seg.is_live()).count();
    assert_eq!((space.gap_count(), space.live_count()), (gaps, live));
    let mut binned = 0;
    let mut bin = Some(Bin::of(0));
    while let Some(this) = bin {
        let members: Vec<_> = space.bin(this).collect();
        assert_eq!(
            space.bins.occupied_from(this) == Some(this),
            !members.is_empty()
        );
        for &handle in &members {
            let gap = space.slab.gap(handle).expect("a live segment in a bin");
            assert_eq!(Bin::of(gap.len), this);
        }
        binned += members.len();
        bin = this.next();
    }
    assert_eq!(binned, gaps);
    for extent in space.live() {
        space.check(extent).unwrap();
    }
    let sum = space.live_bytes().get() + space.free_bytes().get();
    assert_eq!(space.header + sum, space.end);
}

/// One random operation.
fn step(pair: &mut Pair, bits: u64) {
    let align = 1 << (pair.dice.below(2) * pair.dice.below(bits.min(14)));
    match pair.dice.below(16) {
        0..=6 => {
            let len = pair.dice.len(bits);
            pair.alloc(len, align, None);
        }
        7 => {
            let near = pair.pick().map(|(offset, _)| offset);
            let len = pair.dice.len(bits);
            pair.alloc(len, align, near);
        }
        8..=13 => {
            if let Some((offset, len)) = pair.pick() {
                pair.free(offset, len);
            }
        }
        14 => assert_refusals(pair),
        _ => claim_or_truncate(pair, bits),
    }
}

fn claim_or_truncate(pair: &mut Pair, bits: u64) {
    if pair.dice.below(8) == 0 {
        let end = pair.space.truncate().get();
        let last = pair
            .live
            .iter()
            .next_back()
            .map(|(offset, len)| offset + len);
        assert_eq!(end, last.unwrap_or(pair.space.header));
        return;
    }
    let span = pair.space.end - pair.space.header;
    let start = pair.space.header + pair.dice.below(span.saturating_add(3));
    let wanted = extent(start, pair.dice.len(bits).max(1));
    let Ok(end) = wanted.end() else { return };
    let before = pair.live.range(..end.get()).next_back();
    let taken = before.is_some_and(|(offset, len)| offset + len > start);
    match pair.space.claim(wanted) {
        Ok(()) => pair.note(wanted),
        Err(SpaceError::Taken) => assert!(taken),
        Err(SpaceError::OutOfBounds) => assert!(end > pair.space.limit()),
        Err(other) => panic!("{other}"),
    }
}

/// T4: frees of what is not given out.
fn assert_refusals(pair: &mut Pair) {
    let Some((offset, len)) = pair.pick() else {
        return;
    };
    let space = &mut pair.space;
    let live = bytes(len);
    let wrong = Err(SpaceError::WrongLen { live });
    assert_eq!(space.free(extent(offset, len + 1)), wrong);
    assert_eq!(space.free(extent(offset, 0)), wrong);
    if len > 1 {
        let inner = 1 + pair.dice.below(len - 1);
        let interior = space.free(extent(offset + inner, len - inner));
        assert_eq!(interior, Err(SpaceError::NotLive));
    }
    let gap = space.gaps().next();
    if let Some(gap) = gap {
        assert_eq!(space.free(gap), Err(SpaceError::NotLive));
    }
    assert_eq!(space.claim(extent(offset, 1)), Err(SpaceError::Taken));
}

fn assert_restores(pair: &Pair) {
    let space = &pair.space;
    let mut live: Vec<_> = space.live().collect();
    live.reverse();
    let again = GapSet::restore(bytes(space.header), space.limit(), space.end(), live).unwrap();
    check_tables(&again);
    assert!(again.live().eq(space.live()));
    assert!(again.gaps().eq(space.gaps()));
    assert_eq!((again.end(), again.limit()), (space.end(), space.limit()));
}

fn run(header: u64, limit: u64, bits: u64, steps: u64) {
    for seed in 1..=8 {
        let mut pair = Pair::new(header, limit, seed * 0x9E37_79B9);
        for n in 0..steps {
            step(&mut pair, bits);
            if n % 16 == 0 {
                pair.check();
            }
        }
        pair.check();
        assert_restores(&pair);
        drain(&mut pair);
    }
}

fn drain(pair: &mut Pair) {
    while let Some((offset, len)) = pair.pick() {
        pair.free(offset, len);
    }
    pair.check();
    assert!(pair.space.gap_count() <= 1);
    assert_eq!(pair.space.truncate().get(), pair.space.header);
    pair.check();
}

#[test]
fn behaves_in_an_unlimited_space() {
    run(4096, u64::MAX, 20, 3000);
}

#[test]
fn behaves_in_a_small_full_space() {
    run(7, 2000, 8, 3000);
}

#[test]
fn behaves_at_the_end_of_the_address_space() {
    run(u64::MAX - 5000, u64::MAX, 9, 3000);
    run(0, u64::MAX, 62, 1000);
}

#[test]
fn tables_shrink_when_emptied() {
    let mut pair = Pair::new(0, u64::MAX, 5);
    for round in 0..3 {
        for _ in 0..5000 {
            let len = pair.dice.len(12);
            pair.alloc(len, 1, None);
        }
        let live: Vec<_> = pair.live.iter().map(|(&o, &l)| (o, l)).collect();
        for (n, (offset, len)) in live.into_iter().enumerate() {
            if n % 64 != round {
                pair.free(offset, len);
            }
        }
        pair.check();
    }
}

#[test]
fn gives_out_the_header_to_nobody() {
    let mut space = unlimited(4096);
    assert_eq!(space.end(), at(4096));
    let first = space.alloc(bytes(0), 1, None).unwrap();
    assert_eq!(first, extent(4096, 1));
    assert_eq!(space.claim(extent(4095, 1)), Err(SpaceError::OutOfBounds));
    assert_eq!(space.free(extent(0, 4096)), Err(SpaceError::NotLive));
}

#[test]
fn joins_both_sides() {
    let mut space = unlimited(0);
    let parts: Vec<_> = (0..5)
        .map(|_| space.alloc(bytes(10), 1, None).unwrap())
        .collect();
    for &n in &[1, 3, 2] {
        space.free(parts[n]).unwrap();
    }
    assert!(space.gaps().eq([extent(10, 30)]));
    assert_eq!(space.free(parts[2]), Err(SpaceError::NotLive));
    assert_eq!(space.alloc(bytes(30), 2, None), Ok(extent(10, 30)));
}

#[test]
fn uses_the_free_tail_before_it_grows() {
    let mut space = unlimited(0);
    let low = space.alloc(bytes(100), 1, None).unwrap();
    let high = space.alloc(bytes(50), 1, None).unwrap();
    space.free(high).unwrap();
    assert_eq!(space.alloc(bytes(80), 1, None), Ok(extent(100, 80)));
    assert_eq!(space.end(), at(180));
    space.free(low).unwrap();
    assert_eq!(space.truncate(), at(180));
}

#[test]
fn prefers_a_gap_beside_the_hint() {
    let mut space = unlimited(0);
    let parts: Vec<_> = (0..64)
        .map(|_| space.alloc(bytes(16), 1, None).unwrap())
        .collect();
    for n in (1..64).step_by(4) {
        space.free(parts[n]).unwrap();
    }
    let near = Some(parts[20].offset);
    assert_eq!(space.alloc(bytes(16), 1, near), Ok(parts[21]));
    // Then the gap before it, at its end.
    assert_eq!(space.alloc(bytes(5), 1, near), Ok(extent(17 * 16 + 11, 5)));
    // A hint that is no live extent is no hint.
    assert!(space.alloc(bytes(5), 1, Some(at(3))).is_ok());
}

#[test]
fn fills_the_gap_before_the_hint_exactly() {
    let mut space = unlimited(0);
    let parts: Vec<_> = (0..16)
        .map(|_| space.alloc(bytes(16), 1, None).unwrap())
        .collect();
    // The second gap is the first of their bin, but not beside the hint.
    space.free(parts[0]).unwrap();
    space.free(parts[12]).unwrap();
    let near = Some(parts[1].offset);
    assert_eq!(space.alloc(bytes(16), 1, near), Ok(parts[0]));
}

#[test]
fn prefers_a_longer_gap_to_growth_when_it_aligns() {
    let mut space = unlimited(1);
    let mut freed = Vec::new();
    for _ in 0..20 {
        freed.push(space.alloc(bytes(100), 1, None).unwrap());
        // 101 bytes each: hardly any begins at a multiple of 512.
        space.alloc(bytes(1), 1, None).unwrap();
    }
    freed.push(space.alloc(bytes(2000), 1, None).unwrap());
    space.alloc(bytes(1), 1, None).unwrap();
    for extent in freed {
        space.free(extent).unwrap();
    }
    let end = space.end();
    space.alloc(bytes(90), 512, None).unwrap();
    assert_eq!(space.end(), end);
}

#[test]
fn rounds_of_filling_and_emptying_need_no_more_memory() {
    let mut space = unlimited(0);
    let mut places = Vec::new();
    for _ in 0..100 {
        let live: Vec<_> = (1..500).map(|n| space.alloc(bytes(n), 8, None)).collect();
        for extent in live.into_iter().flatten() {
            space.free(extent).unwrap();
        }
        places.push(space.slab.places());
    }
    assert_eq!(places[99], places[0]);
}

#[test]
fn takes_the_fitting_gap_and_not_a_longer_one() {
    let mut space = unlimited(0);
    let mut parts = Vec::new();
    for len in [1 << 20, 3000, 1 << 12, 1 << 30] {
        parts.push(space.alloc(bytes(len), 1, None).unwrap());
        space.alloc(bytes(1), 1, None).unwrap();
    }
    for &part in &parts {
        space.free(part).unwrap();
    }
    assert_eq!(space.alloc(bytes(3000), 1, None), Ok(parts[1]));
    assert_eq!(
        space.alloc(bytes(3001), 1, None).unwrap().offset,
        parts[2].offset
    );
}

#[test]
fn refuses_bad_requests() {
    let mut space = GapSet::new(bytes(10), at(110)).unwrap();
    for align in [0, 3, u64::MAX] {
        let bad = space.alloc(bytes(1), align, None);
        assert_eq!(bad, Err(SpaceError::BadAlignment(align)));
    }
    assert_eq!(
        space.alloc(bytes(u64::MAX), 1, None),
        Err(SpaceError::TooLarge)
    );
    assert_eq!(space.alloc(bytes(101), 1, None), Err(SpaceError::TooLarge));
    assert_eq!(
        space.alloc(bytes(1), 1 << 63, None),
        Err(SpaceError::TooLarge)
    );
    let all = space.alloc(bytes(100), 1, None).unwrap();
    assert_eq!(space.alloc(bytes(1), 1, None), Err(SpaceError::NoSpace));
    assert_eq!(
        space.free(extent(u64::MAX, u64::MAX)),
        Err(SpaceError::NotLive)
    );
    assert_eq!(
        space.claim(extent(u64::MAX, 2)),
        Err(SpaceError::OutOfBounds)
    );
    assert_eq!(space.claim(extent(50, 0)), Err(SpaceError::OutOfBounds));
    assert!(space.live().eq([all]));
    check_tables(&space);
}

#[test]
fn refuses_to_restore_what_cannot_be() {
    let restore = |end, live: Vec<Extent>| {
        let space = GapSet::restore(bytes(10), at(1000), at(end), live);
        space.map(|space| space.end().get())
    };
    assert_eq!(restore(50, vec![extent(20, 5), extent(10, 10)]), Ok(50));
    assert_eq!(
        restore(50, vec![extent(20, 5), extent(15, 6)]),
        Err(SpaceError::Taken)
    );
    assert_eq!(
        restore(50, vec![extent(20, 31)]),
        Err(SpaceError::OutOfBounds)
    );
    assert_eq!(
        restore(50, vec![extent(9, 3)]),
        Err(SpaceError::OutOfBounds)
    );
    assert_eq!(restore(1001, vec![]), Err(SpaceError::OutOfBounds));
    assert_eq!(restore(9, vec![]), Err(SpaceError::TooLarge));
}

#[test]
fn bins_are_ordered_and_narrow() {
    let mut dice = Dice(3);
    for _ in 0..100_000 {
        let len = dice.next() >> dice.below(64);
        let bin = Bin::of(len);
        let sure = Bin::all_at_least(len);
        assert!(len == u64::MAX || Bin::of(len + 1) >= bin);
        // The shortest of the next bin is at least as long, and less than a sixteenth longer.
        if let Some(sure) = sure.filter(|&sure| sure != bin) {
            let longer = len.saturating_add(len / 16 + 1);
            assert!(Bin::of(longer) >= sure && Some(sure) == bin.next());
        }
    }
    assert_eq!(Bin::of(u64::MAX).next(), None);
    assert_eq!(Bin::all_at_least(u64::MAX), None);
}
