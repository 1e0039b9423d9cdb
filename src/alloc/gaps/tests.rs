//! `GapSet` against a `BTreeMap` of live extents.
//!
//! # Properties
//! * T1  What is given out is aligned, long enough, behind the header, within the limit, and
//!   overlaps nothing that is live.
//! * T2  The gaps are exactly what lies between the live extents, each in one piece (G1, G2).
//! * T3  The tables hold what they should and the sums add up (G3, G6; B1, B2, E1, L1).
//! * T4  A refused call changes nothing (G4), and `NoSpace` means that no gap fits.
//! * T5  A space whose live extents are claimed in ascending order is the same space.

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

    fn alloc(&mut self, len: u64, align: u64, near: Option<(u64, u64)>) {
        let near = near.map(|(offset, len)| extent(offset, len));
        match self.space.alloc(bytes(len), align, near) {
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
        self.space.free(extent(offset, len));
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
        let seen: Vec<_> = self.space.gaps().into_iter().map(plain).collect();
        assert_eq!(seen, gaps); // T2
        assert_eq!(self.space.live, self.live.len());
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
    let gaps = space.gaps();
    assert_eq!(space.slab.used(), gaps.len());
    assert_eq!(space.ends.len(), 2 * gaps.len());
    assert!(gaps.len() <= space.live + 1); // G6
    for gap in &gaps {
        let (first, last) = (gap.offset.get(), gap.end().unwrap().get());
        let begins = space.beginning_at(first).expect("a beginning (E1)");
        assert_eq!(space.ending_at(last), Some(begins));
    }
    let mut binned = 0;
    let mut bin = Some(Bin::of(0));
    while let Some(this) = bin {
        let members: Vec<_> = space.bin(this).collect();
        assert_eq!(
            space.bins.occupied_from(this) == Some(this),
            !members.is_empty()
        );
        for &handle in &members {
            assert_eq!(Bin::of(space.slab.get(handle).len()), this);
        }
        binned += members.len();
        bin = this.next();
    }
    assert_eq!(binned, gaps.len());
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
            let near = pair.pick();
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
    let start = pair.space.end.saturating_add(pair.dice.below(50));
    let wanted = extent(start, pair.dice.len(bits).max(1));
    let Ok(end) = wanted.end() else { return };
    match pair.space.claim(wanted) {
        Ok(()) => pair.note(wanted),
        Err(SpaceError::OutOfBounds) => assert!(end > pair.space.limit()),
        Err(other) => panic!("{other}"),
    }
}

/// T4: claims of what is given out.
fn assert_refusals(pair: &mut Pair) {
    let Some((offset, len)) = pair.pick() else {
        return;
    };
    for wanted in [extent(offset, len), extent(offset, 1)] {
        assert_eq!(pair.space.claim(wanted), Err(SpaceError::Taken));
    }
    let empty = extent(pair.space.end, 0);
    assert_eq!(pair.space.claim(empty), Err(SpaceError::OutOfBounds));
}

/// T5.
fn assert_claims(pair: &mut Pair) {
    let limit = pair.space.limit();
    let mut again = GapSet::new(bytes(pair.space.header), limit).unwrap();
    for (&offset, &len) in &pair.live {
        again.claim(extent(offset, len)).unwrap();
    }
    check_tables(&again);
    pair.space.truncate();
    assert_eq!(again.gaps(), pair.space.gaps());
    assert_eq!((again.end(), again.limit()), (pair.space.end(), limit));
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
        assert_claims(&mut pair);
        drain(&mut pair);
    }
}

fn drain(pair: &mut Pair) {
    while let Some((offset, len)) = pair.pick() {
        pair.free(offset, len);
    }
    pair.check();
    assert!(pair.space.gaps().len() <= 1);
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
}

#[test]
fn joins_both_sides() {
    let mut space = unlimited(0);
    let parts: Vec<_> = (0..5)
        .map(|_| space.alloc(bytes(10), 1, None).unwrap())
        .collect();
    for &n in &[1, 3, 2] {
        space.free(parts[n]);
    }
    assert_eq!(space.gaps(), [extent(10, 30)]);
    assert_eq!(space.alloc(bytes(30), 2, None), Ok(extent(10, 30)));
}

#[test]
fn uses_the_free_tail_before_it_grows() {
    let mut space = unlimited(0);
    let low = space.alloc(bytes(100), 1, None).unwrap();
    let high = space.alloc(bytes(50), 1, None).unwrap();
    space.free(high);
    assert_eq!(space.alloc(bytes(80), 1, None), Ok(extent(100, 80)));
    assert_eq!(space.end(), at(180));
    space.free(low);
    assert_eq!(space.truncate(), at(180));
}

#[test]
fn prefers_a_gap_beside_the_hint() {
    let mut space = unlimited(0);
    let parts: Vec<_> = (0..64)
        .map(|_| space.alloc(bytes(16), 1, None).unwrap())
        .collect();
    for n in (1..64).step_by(4) {
        space.free(parts[n]);
    }
    let near = Some(parts[20]);
    assert_eq!(space.alloc(bytes(16), 1, near), Ok(parts[21]));
    space.free(parts[19]);
    space.free(parts[21]);
    // Behind comes first; then the gap before it, at its end.
    assert_eq!(space.alloc(bytes(16), 1, near), Ok(parts[21]));
    assert_eq!(space.alloc(bytes(5), 1, near), Ok(extent(19 * 16 + 11, 5)));
    // Other gaps do where neither has room.
    assert!(space.alloc(bytes(16), 1, near).is_ok());
}

#[test]
fn fills_the_gap_before_the_hint_exactly() {
    let mut space = unlimited(0);
    let parts: Vec<_> = (0..16)
        .map(|_| space.alloc(bytes(16), 1, None).unwrap())
        .collect();
    // The second gap is the first of their bin, but not beside the hint.
    space.free(parts[0]);
    space.free(parts[12]);
    let near = Some(parts[1]);
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
        space.free(extent);
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
            space.free(extent);
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
        space.free(part);
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
        space.claim(extent(u64::MAX, 2)),
        Err(SpaceError::OutOfBounds)
    );
    assert_eq!(space.claim(extent(50, 0)), Err(SpaceError::OutOfBounds));
    assert_eq!((all, space.live), (extent(10, 100), 1));
    check_tables(&space);
}

#[test]
fn refuses_to_restore_what_cannot_be() {
    let claim = |live: &[Extent]| {
        let mut space = GapSet::new(bytes(10), at(1000)).unwrap();
        live.iter().try_for_each(|&extent| space.claim(extent))
    };
    assert_eq!(claim(&[extent(10, 10), extent(20, 980)]), Ok(()));
    let taken = claim(&[extent(15, 6), extent(20, 5)]);
    assert_eq!(taken, Err(SpaceError::Taken));
    for outside in [extent(9, 3), extent(20, 0), extent(20, 981)] {
        assert_eq!(claim(&[outside]), Err(SpaceError::OutOfBounds));
    }
    let past = extent(u64::MAX - 1, 5);
    assert_eq!(claim(&[past]), Err(SpaceError::OutOfBounds));
}

#[test]
fn extents_are_counted_so_that_a_free_finds_a_handle() {
    let mut space = unlimited(0);
    space.live = MAX_LIVE; // as if
    let refused = Err(SpaceError::TooManySegments);
    assert_eq!(space.alloc(bytes(1), 1, None), refused);
    assert_eq!(space.claim(extent(0, 1)).map(|()| extent(0, 1)), refused);
    assert_eq!((space.end().get(), space.gaps().len()), (0, 0));
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
