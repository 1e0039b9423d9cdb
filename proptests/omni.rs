//! `OmniBlockAllocator` against a `BTreeMap` of the states of ids.
//!
//! Properties
//! * O1  Live ids lead to extents that are large enough and share no byte.
//! * O2  Every id has the state that its history gives it; a refused call changes nothing.
//! * O3  An id that was retired is not handed out while a guard from before lives.
//! * O4  `len`, `iter` and `snapshot` show exactly the live ids, at rest.
//! * O5  A restored snapshot answers as the original did.

use std::collections::BTreeMap;

use mapless::{
    AllocError, ByteLen, Extent, FreeError, GrowByShare, Guard, LookupError, ObjectId,
    OmniBlockAllocator, SizeClasses,
};
use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live(u64),
    Hidden,
    Retired,
    Freed,
}

#[derive(Clone, Debug)]
enum Op {
    Alloc(u16),
    Many(u16, u8),
    Run(u16, u8),
    Reserve(u16, bool),
    Free(u16),
    Hide(u16),
    Reclaim(u16),
    Retire(u16),
    Pin,
    Unpin,
    Collect,
    Trim,
    AddClass(u16),
    Restore,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let (n, small) = (u16::arbitrary(g), u8::arbitrary(g));
        let len = if n % 50 == 0 { n } else { n % 200 };
        match u8::arbitrary(g) % 32 {
            0..=7 => Self::Alloc(len),
            8 | 9 => Self::Many(len, small),
            10 | 11 => Self::Run(len, small),
            12 | 13 => Self::Reserve(len, bool::arbitrary(g)),
            14..=18 => Self::Free(n),
            19 | 20 => Self::Hide(n),
            21 | 22 => Self::Reclaim(n),
            23..=25 => Self::Retire(n),
            26 => Self::Pin,
            27 => Self::Unpin,
            28 => Self::Collect,
            29 => Self::Trim,
            30 => Self::AddClass(n % 300),
            _ => Self::Restore,
        }
    }
}

struct World {
    ids: OmniBlockAllocator,
    states: BTreeMap<ObjectId, State>,
    guard: Option<Guard>,
    /// Retired since the guard was taken.
    kept: Vec<ObjectId>,
}

impl World {
    fn new() -> Self {
        let classes = [16, 48, 96, 1000].map(ByteLen::new);
        let ids = OmniBlockAllocator::builder()
            .classes(SizeClasses::new(classes).unwrap())
            .growth(GrowByShare::default().first_bytes(ByteLen::new(2048)))
            .build()
            .unwrap();
        Self {
            ids,
            states: BTreeMap::new(),
            guard: None,
            kept: Vec::new(),
        }
    }

    fn born(&mut self, id: ObjectId, len: u16) {
        assert!(!self.kept.contains(&id), "O3: {id} came back under a guard");
        let before = self.states.insert(id, State::Live(u64::from(len).max(1)));
        assert!(
            !matches!(before, Some(State::Live(_) | State::Hidden)),
            "O1: {id} was {before:?}"
        );
    }

    fn pick(&self, n: u16) -> Option<(ObjectId, State)> {
        let at = usize::from(n) % self.states.len().max(1);
        self.states.iter().nth(at).map(|(&id, &state)| (id, state))
    }

    fn on(&mut self, n: u16, op: fn(&mut Self, ObjectId, State)) {
        if let Some((id, state)) = self.pick(n) {
            op(self, id, state);
        }
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Alloc(len) => {
                let id = self.ids.alloc(ByteLen::new(len.into())).unwrap();
                self.born(id, len);
            }
            Op::Many(len, n) => {
                let many = self
                    .ids
                    .alloc_many(ByteLen::new(len.into()), n.into())
                    .unwrap();
                assert_eq!(many.len(), usize::from(n));
                many.into_iter().for_each(|id| self.born(id, len));
            }
            Op::Run(len, n) => self.run(len, n),
            Op::Reserve(len, publish) => self.reserve(len, publish),
            Op::Free(n) => self.on(n, Self::free),
            Op::Hide(n) => self.on(n, Self::hide),
            Op::Reclaim(n) => self.on(n, Self::reclaim),
            Op::Retire(n) => self.on(n, Self::retire),
            Op::Pin => {
                self.guard = None;
                self.kept.clear();
                self.guard = Some(self.ids.pin());
            }
            Op::Unpin => {
                self.guard = None;
                self.kept.clear();
            }
            Op::Collect => self.ids.collect(),
            Op::Trim => self.ids.trim(),
            Op::AddClass(size) => {
                let size = ByteLen::new(size.into());
                let known = self.ids.size_classes().as_slice().contains(&size);
                let added = self.ids.add_size_class(size);
                assert_eq!(added.is_ok(), !known && size != ByteLen::ZERO);
            }
            Op::Restore => self.restored(),
        }
    }

    fn run(&mut self, len: u16, n: u8) {
        match self.ids.alloc_run(ByteLen::new(len.into()), n.into()) {
            Ok(run) => {
                assert_eq!(run.len(), u64::from(n));
                for at in 0..run.len() {
                    self.born(run.first().checked_add(at).unwrap(), len);
                }
            }
            Err(AllocError::EmptyRun) => assert_eq!(n, 0),
            Err(error) => panic!("{error}"),
        }
    }

    fn reserve(&mut self, len: u16, publish: bool) {
        let reservation = self.ids.reserve(ByteLen::new(len.into())).unwrap();
        let id = reservation.id();
        assert_eq!(self.ids.locate(id), Err(LookupError::Reserved));
        assert_eq!(self.ids.free(id), Err(FreeError::Reserved));
        if publish {
            assert_eq!(reservation.publish(), id);
            self.born(id, len);
        }
    }

    fn free(&mut self, id: ObjectId, state: State) {
        let freed = self.ids.free(id);
        assert_eq!(
            freed.is_ok(),
            matches!(state, State::Live(_)),
            "O2 {id} {state:?} {freed:?}"
        );
        if freed.is_ok() {
            self.states.insert(id, State::Freed);
        }
    }

    fn hide(&mut self, id: ObjectId, state: State) {
        let hidden = self.ids.hide(id);
        assert_eq!(
            hidden.is_ok(),
            matches!(state, State::Live(_)),
            "O2 {id} {state:?} {hidden:?}"
        );
        if hidden.is_ok() {
            self.states.insert(id, State::Hidden);
        }
    }

    fn reclaim(&mut self, id: ObjectId, state: State) {
        let reclaimed = self.ids.reclaim(id, &self.ids.pin());
        assert_eq!(
            reclaimed.is_ok(),
            state == State::Hidden,
            "O2 {id} {state:?} {reclaimed:?}"
        );
        if reclaimed.is_ok() {
            self.buried(id);
        }
    }

    fn retire(&mut self, id: ObjectId, state: State) {
        let retired = self.ids.retire(id, &self.ids.pin());
        let live = matches!(state, State::Live(_));
        assert_eq!(retired.is_ok(), live, "O2 {id} {state:?} {retired:?}");
        if retired.is_ok() {
            self.buried(id);
        }
    }

    fn buried(&mut self, id: ObjectId) {
        self.states.insert(id, State::Retired);
        if self.guard.is_some() {
            self.kept.push(id);
        }
    }

    fn live(&self) -> impl Iterator<Item = (ObjectId, u64)> {
        self.states.iter().filter_map(|(&id, &state)| match state {
            State::Live(len) => Some((id, len)),
            _ => None,
        })
    }

    fn restored(&self) {
        let restored = OmniBlockAllocator::builder()
            .restore(&self.ids.snapshot())
            .unwrap();
        assert_eq!(restored.len(), self.ids.len(), "O5");
        for (id, _) in self.live() {
            assert_eq!(restored.locate(id), self.ids.locate(id), "O5");
        }
    }

    fn check(&self) {
        let mut extents = Vec::new();
        for (&id, &state) in &self.states {
            let found = self.ids.locate(id);
            match state {
                State::Live(len) => {
                    let extent: Extent = found.expect("O1: a live id");
                    assert!(extent.len.get() >= len, "O1: {extent:?} for {len} bytes");
                    extents.push(extent);
                }
                State::Hidden => assert_eq!(found, Err(LookupError::Hidden), "O2"),
                State::Retired | State::Freed => assert!(found.is_err(), "O2: {id} {state:?}"),
            }
        }
        extents.sort();
        for pair in extents.windows(2) {
            assert!(pair[0].end().unwrap() <= pair[1].offset, "O1: {pair:?}");
        }
        assert_eq!(self.ids.len(), extents.len() as u64, "O4");
        assert!(self.ids.iter().eq(self.live().map(|(id, _)| id)), "O4");
    }
}

quickcheck! {
    fn ids_have_the_states_that_their_histories_give_them(ops: Vec<Op>) -> TestResult {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        world.check();
        TestResult::passed()
    }
}
