//! `BasicAllocator` against a `BTreeMap` of live extents.
//!
//! Properties
//! * B1  No two live regions share a byte, none touches the header, none passes the limit.
//! * B2  A region's id leads to exactly its extent until it is freed, and to nothing afterwards.
//! * B3  Gaps are joined: no two touch, and gaps and regions together fill the space.
//! * B4  A refused call changes nothing.
//! * B5  No id is issued twice.

use std::collections::{BTreeMap, HashSet};

use mapless::{
    AllocError, BasicAllocator, ByteLen, Extent, FileOffset, LookupError, ObjectId, Region,
    Request, SpaceError,
};
use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};

const HEADER: u64 = 100;
const LIMIT: u64 = 1 << 20;

#[derive(Clone, Debug)]
enum Op {
    Alloc { len: u64, align: u8, near: u8 },
    Free(u8),
    Retire(u8),
    FreeWrong { at: u8, shift: i8, len: u16 },
    Collect,
    Truncate,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let n = u8::arbitrary(g);
        match n % 16 {
            0..=6 => {
                let most = *g.choose(&[1, 16, 1000, 50_000, LIMIT, u64::MAX]).unwrap();
                Self::Alloc {
                    len: u64::arbitrary(g) % most.max(1),
                    align: u8::arbitrary(g) % 14,
                    near: u8::arbitrary(g),
                }
            }
            7..=9 => Self::Free(u8::arbitrary(g)),
            10..=12 => Self::Retire(u8::arbitrary(g)),
            13 => Self::FreeWrong {
                at: u8::arbitrary(g),
                shift: i8::arbitrary(g),
                len: u16::arbitrary(g),
            },
            14 => Self::Collect,
            _ => Self::Truncate,
        }
    }
}

#[derive(Default)]
struct Oracle {
    live: BTreeMap<FileOffset, Region>,
    dead: Vec<ObjectId>,
    issued: HashSet<ObjectId>,
}

impl Oracle {
    fn pick(&self, n: u8) -> Option<Region> {
        let at = usize::from(n) % self.live.len().max(1);
        self.live.values().nth(at).copied()
    }

    fn bury(&mut self, region: Region) {
        self.live.remove(&region.extent.offset);
        self.dead.push(region.id);
    }

    fn check(&self, space: &BasicAllocator) {
        assert_eq!(space.regions(), self.live.len());
        for region in self.live.values() {
            assert_eq!(space.locate(region.id), Ok(region.extent), "B2");
        }
        for &id in &self.dead {
            assert_eq!(space.locate(id), Err(LookupError::Unknown), "B2");
        }
        let mut all: Vec<(Extent, bool)> = space.gaps().iter().map(|&gap| (gap, true)).collect();
        all.extend(self.live.values().map(|region| (region.extent, false)));
        all.sort();
        let mut at = HEADER;
        for pair in all.windows(2) {
            assert!(
                !(pair[0].1 && pair[1].1 && pair[0].0.end() == Ok(pair[1].0.offset)),
                "B3"
            );
        }
        for (extent, _) in all {
            assert!(extent.offset.get() >= at, "B1: {extent:?} at {at}");
            at = extent.end().unwrap().get();
        }
        assert!(
            at <= space.end().get().max(HEADER) && space.end().get() <= LIMIT,
            "B1"
        );
    }
}

fn alloc(space: &BasicAllocator, oracle: &mut Oracle, len: u64, align: u64, near: u8) {
    let mut request = Request::new(ByteLen::new(len)).align(align);
    if let Some(beside) = oracle.pick(near) {
        request = request.near(beside.extent.offset);
    }
    match space.alloc_with(request) {
        Ok(region) => {
            assert_eq!(region.extent.len.get(), len.max(1));
            assert_eq!(region.extent.offset.get() % align, 0);
            assert!(oracle.issued.insert(region.id), "B5");
            oracle.live.insert(region.extent.offset, region);
        }
        Err(AllocError::Space(SpaceError::NoSpace | SpaceError::TooLarge)) => {}
        Err(error) => panic!("{error}"),
    }
}

fn run(ops: &[Op]) {
    let space = BasicAllocator::builder()
        .header(ByteLen::new(HEADER))
        .limit(FileOffset::new(LIMIT))
        .build()
        .unwrap();
    let mut oracle = Oracle::default();
    for op in ops {
        match *op {
            Op::Alloc { len, align, near } => alloc(&space, &mut oracle, len, 1 << align, near),
            Op::Free(n) => {
                if let Some(region) = oracle.pick(n) {
                    space.free(region.extent).unwrap();
                    assert!(space.free(region.extent).is_err(), "a double free");
                    oracle.bury(region);
                }
            }
            Op::Retire(n) => {
                if let Some(region) = oracle.pick(n) {
                    space.retire(region.id, &space.pin()).unwrap();
                    assert!(
                        space.retire(region.id, &space.pin()).is_err(),
                        "a double free"
                    );
                    oracle.bury(region);
                }
            }
            Op::FreeWrong { at, shift, len } => {
                if let Some(region) = oracle.pick(at) {
                    let offset = region
                        .extent
                        .offset
                        .get()
                        .saturating_add_signed(shift.into());
                    let wrong = Extent::new(FileOffset::new(offset), ByteLen::new(len.into()));
                    if oracle
                        .live
                        .get(&wrong.offset)
                        .is_none_or(|r| r.extent != wrong)
                    {
                        assert!(space.free(wrong).is_err(), "B4");
                    }
                }
            }
            Op::Collect => {
                space.collect();
                assert_eq!(space.waiting_bytes(), 0);
            }
            Op::Truncate => {
                let end = space.truncate();
                assert_eq!(end, space.end());
            }
        }
        oracle.check(&space);
    }
}

quickcheck! {
    fn regions_behave_like_a_map_of_extents(ops: Vec<Op>) -> TestResult {
        run(&ops);
        TestResult::passed()
    }
}
