//! Properties of `BlockAllocator`, against a map of states.
//!
//! * P1  What is handed out was free; `Full` and `NoRun` are said only when it is so.
//! * P2  After each step every slot has the state that the map says: by `state`, `extent`,
//!   `is_allocated`, `iter`, `len`, `waiting`, `snapshot`.
//! * P3  A call that is refused says why, and changes nothing.
//! * P4  A run is contiguous and was free; there is one if the map has one.
//! * P5  What is retired stays so while a guard from before lives, and is free after it and a
//!   `collect`.
//! * P6  A snapshot restores to the same live ids and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use mapless::{
    AllocError, BlockAllocator, ByteLen, FreeError, Guard, LocalAlloc, LookupError, ObjectId,
    Reservation, SlotState,
};
use quickcheck::{Arbitrary, Gen, quickcheck};

/// One call. Numbers choose among the slots that there are.
#[derive(Clone, Debug)]
enum Step {
    Alloc { by_handle: bool },
    AllocRun(u16),
    Fill(u16),
    Reserve { by_handle: bool },
    Publish(u16),
    Cancel(u16),
    Free(u16),
    FreeMany(u16, u16),
    Hide(u16),
    Reclaim(u16),
    Retire(u16),
    RetireMany(u16, u16),
    Pin,
    Unpin,
    Collect,
    Restore,
    Foreign(u16),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let n = u16::arbitrary(g);
        let by_handle = bool::arbitrary(g);
        match u8::arbitrary(g) % 20 {
            0 | 1 => Self::Alloc { by_handle },
            2 => Self::AllocRun(n % 200),
            3 => Self::Fill(n),
            4 | 5 => Self::Reserve { by_handle },
            6 => Self::Publish(n),
            7 => Self::Cancel(n),
            8 | 9 => Self::Free(n),
            10 => Self::FreeMany(n, u16::arbitrary(g) % 300),
            11 => Self::Hide(n),
            12 => Self::Reclaim(n),
            13 => Self::Retire(n),
            14 => Self::RetireMany(n, u16::arbitrary(g) % 300),
            15 => Self::Pin,
            16 => Self::Unpin,
            17 => Self::Collect,
            18 => Self::Restore,
            _ => Self::Foreign(n),
        }
    }
}

/// An allocator beside what it should be.
struct Pair<'a> {
    slots: &'a BlockAllocator,
    handle: LocalAlloc<'a>,
    first: u64,
    /// What is not free, by slot.
    taken: BTreeMap<u64, SlotState>,
    reserved: Vec<Reservation<'a>>,
    guard: Option<Guard>,
    /// What was retired while the guard lived.
    held: BTreeSet<u64>,
}

impl<'a> Pair<'a> {
    fn new(slots: &'a BlockAllocator) -> Self {
        let live = slots
            .iter()
            .map(|id| (id.get() - slots.ids().first().get(), SlotState::Live));
        Self {
            slots,
            handle: slots.local(),
            first: slots.ids().first().get(),
            taken: live.collect(),
            reserved: Vec::new(),
            guard: None,
            held: BTreeSet::new(),
        }
    }

    fn id(&self, slot: u64) -> ObjectId {
        ObjectId::new(self.first + slot).unwrap()
    }

    /// Any slot of the block.
    fn pick(&self, n: u16) -> ObjectId {
        self.id(u64::from(n) % self.slots.capacity())
    }

    fn state(&self, id: ObjectId) -> SlotState {
        let state = self.taken.get(&(id.get() - self.first)).copied();
        state.unwrap_or(SlotState::Free)
    }

    fn set(&mut self, id: ObjectId, state: SlotState) {
        let slot = id.get() - self.first;
        if state == SlotState::Free {
            self.taken.remove(&slot);
        } else {
            self.taken.insert(slot, state);
        }
    }

    fn count(&self, states: &[SlotState]) -> u64 {
        self.taken
            .values()
            .filter(|state| states.contains(state))
            .count() as u64
    }

    fn waiting(&self) -> u64 {
        self.count(&[SlotState::Hidden, SlotState::Retired])
    }

    /// An alloc that finds nothing makes free what it may; so the map must forget it too.
    fn helped(&mut self) {
        if self.guard.is_none() {
            self.taken.retain(|_, state| *state != SlotState::Retired);
        }
        self.sync_retired();
    }

    /// Retiring makes free what is ripe: how much that is is seen, but never too much.
    fn sync_retired(&mut self) {
        let is_taken = |slot: &u64, state: &mut SlotState| {
            let id = ObjectId::new(self.first + slot).unwrap();
            *state != SlotState::Retired || self.slots.state(id) == Ok(SlotState::Retired)
        };
        self.taken.retain(is_taken);
        let is_held = |slot: &u64| self.taken.get(slot) == Some(&SlotState::Retired);
        assert!(self.held.iter().all(is_held), "P5");
    }

    /// A slot was retired.
    fn retired(&mut self, id: ObjectId) {
        self.set(id, SlotState::Retired);
        if self.guard.is_some() {
            self.held.insert(id.get() - self.first);
        }
    }

    fn alloc(&mut self, by_handle: bool) {
        let taken = if by_handle {
            self.handle.alloc()
        } else {
            self.slots.alloc()
        };
        match taken {
            Ok(id) => {
                self.sync_retired();
                assert_eq!(self.state(id), SlotState::Free, "P1");
                self.set(id, SlotState::Live);
            }
            Err(error) => self.full(error),
        }
    }

    fn full(&mut self, error: AllocError) {
        self.helped();
        assert_eq!(self.taken.len() as u64, self.slots.capacity(), "P1");
        let waiting = self.waiting();
        assert_eq!(error, AllocError::Full { waiting });
    }

    fn reserve(&mut self, by_handle: bool) {
        let taken = if by_handle {
            self.handle.reserve()
        } else {
            self.slots.reserve()
        };
        match taken {
            Ok(slot) => {
                self.sync_retired();
                assert_eq!(self.state(slot.id()), SlotState::Free, "P1");
                self.set(slot.id(), SlotState::Reserved);
                self.reserved.push(slot);
            }
            Err(error) => self.full(error),
        }
    }

    fn alloc_run(&mut self, len: u64) {
        match self.slots.alloc_run(len) {
            Ok(run) => {
                self.sync_retired();
                assert_eq!(run.len(), len, "P4");
                for i in 0..len {
                    let id = run.first().checked_add(i).unwrap();
                    assert_eq!(self.state(id), SlotState::Free, "P4");
                    self.set(id, SlotState::Live);
                }
            }
            Err(AllocError::EmptyRun) => assert_eq!(len, 0),
            Err(error) => {
                self.helped();
                let waiting = self.waiting();
                assert_eq!(error, AllocError::NoRun { waiting });
                assert!(self.longest_run() < len, "P4");
            }
        }
    }

    fn longest_run(&self) -> u64 {
        let (mut from, mut longest) = (0, 0);
        for slot in self.taken.keys().copied().chain([self.slots.capacity()]) {
            longest = longest.max(slot - from);
            from = slot + 1;
        }
        longest
    }

    /// What a call that wants a live slot says to one in this state.
    fn refusal(state: SlotState) -> &'static [FreeError] {
        match state {
            SlotState::Reserved => &[FreeError::Reserved],
            SlotState::Hidden => &[FreeError::Hidden],
            SlotState::Retired => &[FreeError::Retired],
            _ => &[FreeError::AlreadyFree, FreeError::NeverAllocated],
        }
    }

    /// A call that turns a live slot into `then`.
    fn end(&mut self, id: ObjectId, then: SlotState, ended: Result<(), FreeError>) {
        match (self.state(id), ended) {
            (SlotState::Live, ended) => {
                assert_eq!(ended, Ok(()));
                if then == SlotState::Retired {
                    self.retired(id);
                } else {
                    self.set(id, then);
                }
            }
            (state, Err(error)) => assert!(Self::refusal(state).contains(&error), "P3"),
            (state, Ok(())) => panic!("P3: a slot that is {state:?}"),
        }
        self.sync_retired();
    }

    fn retire(&mut self, id: ObjectId) {
        let retired = self.slots.retire(id, &self.slots.pin());
        self.end(id, SlotState::Retired, retired);
    }

    fn reclaim(&mut self, id: ObjectId) {
        match (self.state(id), self.slots.reclaim(id, &self.slots.pin())) {
            (SlotState::Hidden, reclaimed) => {
                assert_eq!(reclaimed, Ok(()));
                self.retired(id);
            }
            (SlotState::Live, reclaimed) => assert_eq!(reclaimed, Err(FreeError::NotHidden)),
            (state, Err(error)) => assert!(Self::refusal(state).contains(&error), "P3"),
            (state, Ok(())) => panic!("P3: a slot that is {state:?}"),
        }
        self.sync_retired();
    }

    fn take_reservation(&mut self, n: u16) -> Option<Reservation<'a>> {
        let at = usize::from(n).checked_rem(self.reserved.len())?;
        Some(self.reserved.swap_remove(at))
    }

    fn unpin(&mut self) {
        self.guard = None;
        self.held.clear();
    }

    fn collect(&mut self) {
        let retired = self.count(&[SlotState::Retired]);
        let freed = self.slots.collect();
        assert!(
            freed <= retired && (self.guard.is_some() || freed == retired),
            "P5"
        );
        self.helped();
    }

    fn foreign(&self, n: u16) {
        let far = self.first + self.slots.capacity() + u64::from(n);
        for raw in [
            far,
            self.first.wrapping_sub(1 + u64::from(n)),
            far + (1 << 32),
        ] {
            let Some(id) = ObjectId::new(raw).filter(|id| !self.slots.contains(*id)) else {
                continue;
            };
            assert_eq!(self.slots.free(id), Err(FreeError::Foreign));
            assert_eq!(self.slots.hide(id), Err(FreeError::Foreign));
            assert_eq!(self.slots.extent(id), Err(LookupError::Unknown));
            assert_eq!(self.slots.state(id), Err(LookupError::Unknown));
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Alloc { by_handle } => self.alloc(by_handle),
            Step::AllocRun(len) => self.alloc_run(len.into()),
            Step::Fill(n) => (0..n % 512).for_each(|i| self.alloc(i % 7 == 0)),
            Step::Reserve { by_handle } => self.reserve(by_handle),
            Step::Publish(n) => {
                if let Some(slot) = self.take_reservation(n) {
                    let id = slot.publish();
                    self.set(id, SlotState::Live);
                }
            }
            Step::Cancel(n) => {
                if let Some(slot) = self.take_reservation(n) {
                    self.set(slot.id(), SlotState::Free);
                    slot.cancel();
                }
            }
            Step::Free(n) => self.end(self.pick(n), SlotState::Free, self.slots.free(self.pick(n))),
            Step::FreeMany(n, many) => (0..many).for_each(|i| {
                let id = self.pick(n.wrapping_add(i));
                self.end(id, SlotState::Free, self.slots.free(id));
            }),
            Step::Hide(n) => self.end(
                self.pick(n),
                SlotState::Hidden,
                self.slots.hide(self.pick(n)),
            ),
            Step::Reclaim(n) => self.reclaim(self.pick(n)),
            Step::Retire(n) => self.retire(self.pick(n)),
            Step::RetireMany(n, many) => {
                (0..many).for_each(|i| self.retire(self.pick(n.wrapping_add(i))))
            }
            Step::Pin => {
                self.unpin();
                self.guard = Some(self.slots.pin());
            }
            Step::Unpin => self.unpin(),
            Step::Collect => self.collect(),
            Step::Restore => self.restores(),
            Step::Foreign(n) => self.foreign(n),
        }
    }

    /// P6.
    fn restores(&self) {
        let words = self.slots.snapshot();
        let builder = BlockAllocator::builder(self.slots.capacity(), self.slots.slot_size());
        let again = builder
            .first_id(self.slots.ids().first())
            .restore(&words)
            .unwrap();
        assert!(again.iter().eq(self.slots.iter()), "P6");
        assert_eq!(again.snapshot(), words, "P6");
        let free = std::iter::from_fn(|| again.alloc().ok()).count() as u64;
        assert_eq!(free, self.slots.capacity() - self.slots.len(), "P6");
    }

    /// P2.
    fn agrees(&self) {
        let live = self.count(&[SlotState::Live]);
        assert_eq!(
            (self.slots.len(), self.slots.waiting()),
            (live, self.waiting())
        );
        assert_eq!(self.slots.is_empty(), live == 0);
        let is_live =
            |(slot, state): (&u64, &SlotState)| (*state == SlotState::Live).then(|| self.id(*slot));
        assert!(self.slots.iter().eq(self.taken.iter().filter_map(is_live)));
        for slot in 0..self.slots.capacity() {
            let id = self.id(slot);
            let state = self.state(id);
            assert_eq!(self.slots.state(id), Ok(state));
            assert_eq!(self.slots.is_allocated(id), state == SlotState::Live);
            let extent = self.slots.extent(id);
            assert!(match state {
                SlotState::Live => extent.unwrap().offset.get() == slot * 24,
                SlotState::Reserved => extent == Err(LookupError::Reserved),
                SlotState::Hidden | SlotState::Retired => extent == Err(LookupError::Hidden),
                _ => matches!(
                    extent,
                    Err(LookupError::Freed | LookupError::NeverAllocated)
                ),
            });
        }
    }
}

fn run(slots: u64, first: u64, stripes: usize, steps: &[Step]) {
    let builder = BlockAllocator::builder(slots, ByteLen::new(24)).stripes(stripes);
    let slots = builder
        .first_id(ObjectId::new(first).unwrap())
        .build()
        .unwrap();
    let mut pair = Pair::new(&slots);
    for step in steps {
        pair.step(step);
        pair.agrees();
    }
    pair.unpin();
    pair.collect();
    pair.agrees();
}

quickcheck! {
    fn small_blocks_do_as_the_map(slots: u8, stripes: u8, steps: Vec<Step>) -> bool {
        run(u64::from(slots) + 1, 1, usize::from(stripes % 4) + 1, &steps);
        true
    }

    fn blocks_do_as_the_map(slots: u16, first: u32, steps: Vec<Step>) -> bool {
        run(u64::from(slots) % 5000 + 1, u64::from(first) + 1, 2, &steps);
        true
    }
}
