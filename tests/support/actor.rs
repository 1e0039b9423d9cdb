//! A thread that does everything there is to an `OmniBlockAllocator`, and checks every answer
//! that can be known while others do the same.
//!
//! * A1  The ledger's G1 and G2.
//! * A2  An object that the actor owns is found, at its extent, by every lookup and iteration.
//! * A3  Calls that the state of an own object forbids are refused, with the right error.
//! * A4  Of two calls that hide the same object one succeeds.
//! * A5  At rest `len`, `iter` and a snapshot show exactly the live objects; without any, `trim`
//!   gives every range back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mapless::{
    AllocError, ByteLen, ClassUse, Extent, FileOffset, FreeError, Growth, LookupError, ObjectId,
    OmniBlockAllocator, SizeClasses, SpaceError,
};

use super::{Fate, Ledger, Object, Rng, UNIT, lock};

/// Numbers of slots that are one off a word, and small.
pub(crate) struct Odd(AtomicU64);

impl Growth for Odd {
    fn next_slots(&self, _: &ClassUse) -> u64 {
        let at = self.0.fetch_add(1, SeqCst);
        [4, 70, 5, 64, 65, 33][at as usize % 6]
    }
}

/// Two calls for one object, of which one succeeds.
#[derive(Default)]
struct Contest {
    calls: AtomicU64,
    wins: AtomicU64,
}

type Contested = (Object, Arc<Contest>);

/// The allocator, the ledger beside it, and what actors hand to each other.
pub(crate) struct World {
    pub(crate) ids: OmniBlockAllocator,
    pub(crate) ledger: Ledger,
    pool: Mutex<Vec<Object>>,
    contested: Mutex<Vec<Contested>>,
    header: u64,
}

impl World {
    /// Tiny classes and ranges in a space of `limit` bytes.
    pub(crate) fn new(limit: u64, stripes: usize) -> Self {
        let header = 4 * UNIT;
        let classes = SizeClasses::new([16, 32, 64].map(ByteLen::new)).unwrap();
        let ids = OmniBlockAllocator::builder()
            .classes(classes)
            .growth(Odd(AtomicU64::new(0)))
            .stripes(stripes)
            .header(ByteLen::new(header))
            .limit(FileOffset::new(limit))
            .alignment(UNIT)
            .build()
            .unwrap();
        Self {
            ids,
            ledger: Ledger::new(limit),
            pool: Mutex::default(),
            contested: Mutex::default(),
            header,
        }
    }

    /// A5, once all actors are done: what they left in their own hands is `rest`.
    pub(crate) fn finish(self, rest: Vec<Object>) {
        let mut last = Actor::new(&self, 0);
        while !lock(&self.contested).is_empty() {
            last.contend();
        }
        last.own = rest;
        last.own.append(&mut lock(&self.pool));
        self.check_at_rest(&last.own);
        while last.end() {}
        self.check_empty();
    }

    fn check_at_rest(&self, live: &[Object]) {
        let expected: BTreeSet<ObjectId> = live.iter().map(|object| object.id).collect();
        assert_eq!(self.ledger.live(), expected.len() as u64, "A5");
        assert_eq!(self.ids.len(), expected.len() as u64, "A5: len");
        assert!(self.ids.iter().eq(expected.iter().copied()), "A5: iter");
        let snapshot = self.ids.snapshot();
        let builder = OmniBlockAllocator::builder();
        let builder = builder.header(ByteLen::new(self.header)).alignment(UNIT);
        let restored = builder.restore(&snapshot).unwrap();
        assert!(restored.iter().eq(expected.iter().copied()), "A5: restored");
        for object in live {
            assert_eq!(self.ids.locate(object.id), Ok(object.extent), "A2");
            assert_eq!(restored.locate(object.id), Ok(object.extent), "A5");
        }
    }

    fn check_empty(&self) {
        self.ids.collect();
        self.ids.trim();
        self.ids.collect();
        assert_eq!((self.ids.len(), self.ids.waiting()), (0, 0), "A5");
        assert_eq!(self.ids.capacity(), 0, "A5: a range was not given back");
        assert_eq!(self.ids.root().regions(), 0, "A5");
        assert_eq!(self.ids.root().waiting_bytes(), 0, "A5");
        assert_eq!(self.ids.truncate().get(), self.header, "A5: lost bytes");
    }
}

/// One thread's view.
pub(crate) struct Actor<'w> {
    world: &'w World,
    rng: Rng,
    own: Vec<Object>,
    /// It hands objects on when it has so many.
    most: usize,
}

impl<'w> Actor<'w> {
    pub(crate) fn new(world: &'w World, seed: u64) -> Self {
        Self {
            world,
            rng: Rng::new(seed),
            own: Vec::new(),
            most: 100,
        }
    }

    /// What it still owns.
    pub(crate) fn rest(self) -> Vec<Object> {
        self.own
    }

    /// One random operation.
    pub(crate) fn step(&mut self) {
        match self.rng.below(40) {
            0..=8 => self.alloc(),
            9..=12 => self.reserve(),
            13 | 14 => self.run(),
            15 => self.many(),
            16..=24 => drop(self.end()),
            25..=27 => self.swap(),
            28..=31 => self.read(),
            32 => self.open_contest(),
            33 | 34 => self.contend(),
            35 => self.world.ids.trim(),
            36 => self.world.ids.collect(),
            37 => drop(self.world.ids.add_size_class(self.size())),
            38 => self.look_around(),
            _ => self.misuse(),
        }
        while self.own.len() > self.most {
            self.end();
        }
    }

    /// Up to 96 bytes: the largest are no class's at first.
    fn size(&mut self) -> ByteLen {
        ByteLen::new(UNIT * (1 + self.rng.below(6)))
    }

    fn fate(&mut self) -> Fate {
        self.rng.one_of(&[Fate::Free, Fate::Retire, Fate::Retire])
    }

    /// What was refused for want of room: something is given back, so that the next call differs.
    fn refused(&mut self, error: AllocError) {
        // Too large: the whole space has no room for as many slots as `Odd` wants.
        let full = [SpaceError::NoSpace, SpaceError::TooLarge].map(AllocError::Space);
        assert!(full.contains(&error), "{error:?}");
        self.end();
    }

    /// An object that was made live at once.
    fn born(&mut self, id: ObjectId) {
        let extent = self.world.ids.locate(id).expect("A2: it is ours");
        self.world.ledger.claim(extent);
        self.list(id, extent);
    }

    fn list(&mut self, id: ObjectId, extent: Extent) {
        let fate = self.fate();
        self.own.push(self.world.ledger.born(id, extent, fate));
    }

    fn alloc(&mut self) {
        let len = self.size();
        match self.world.ids.alloc(len) {
            Ok(id) => self.born(id),
            Err(error) => self.refused(error),
        }
    }

    fn many(&mut self) {
        let (len, n) = (self.size(), self.rng.below(6) as usize);
        match self.world.ids.alloc_many(len, n) {
            Ok(ids) => ids.into_iter().for_each(|id| self.born(id)),
            Err(error) => self.refused(error),
        }
    }

    fn run(&mut self) {
        let (len, n) = (self.size(), 1 + self.rng.below(9) as u32);
        match self.world.ids.alloc_run(len, n) {
            Ok(run) => {
                (0..run.len()).for_each(|at| self.born(run.first().checked_add(at).unwrap()))
            }
            Err(error) => self.refused(error),
        }
    }

    fn reserve(&mut self) {
        let len = self.size();
        let ids = &self.world.ids;
        let reservation = match ids.reserve(len) {
            Ok(reservation) => reservation,
            Err(error) => return self.refused(error),
        };
        let (id, extent) = (reservation.id(), reservation.extent());
        assert!(extent.len >= len);
        self.world.ledger.claim(extent);
        assert_eq!(ids.locate(id), Err(LookupError::Reserved), "A3");
        assert_eq!(ids.free(id), Err(FreeError::Reserved), "A3");
        assert_eq!(ids.hide(id), Err(FreeError::Reserved), "A3");
        match self.rng.below(3) {
            0 => {
                self.world.ledger.release(extent);
                reservation.cancel();
            }
            _ => {
                assert_eq!(reservation.publish(), id);
                self.list(id, extent);
            }
        }
    }

    /// Ends one of our objects as its fate says; whether there was one.
    fn end(&mut self) -> bool {
        let Some(object) = self.rng.take(&mut self.own) else {
            return false;
        };
        let (ids, id) = (&self.world.ids, object.id);
        self.world.ledger.gone(object);
        match (object.fate, self.rng.below(2)) {
            (Fate::Free, _) => ids.free(id).expect("A3: it was ours"),
            (Fate::Retire, 0) => ids.retire(id, &ids.pin()).expect("A3: it was ours"),
            (Fate::Retire, _) => self.hide_and_reclaim(id),
        }
        true
    }

    fn hide_and_reclaim(&mut self, id: ObjectId) {
        let ids = &self.world.ids;
        ids.hide(id).expect("A3: it was ours");
        assert_eq!(ids.locate(id), Err(LookupError::Hidden), "A3");
        assert_eq!(ids.free(id), Err(FreeError::Hidden), "A3");
        assert_eq!(ids.hide(id), Err(FreeError::Hidden), "A3");
        let guard = ids.pin();
        ids.reclaim(id, &guard).expect("A3: it was hidden");
        assert_eq!(ids.reclaim(id, &guard), Err(FreeError::Retired), "A3");
        assert_eq!(ids.retire(id, &guard), Err(FreeError::Retired), "A3");
    }

    /// Gives one object to whoever comes, and takes one.
    fn swap(&mut self) {
        let mut pool = lock(&self.world.pool);
        pool.extend(self.rng.take(&mut self.own));
        if self.rng.below(2) == 0 {
            self.own.extend(self.rng.take(&mut pool));
        }
    }

    /// Reads an object of anybody's under a guard, and does something else meanwhile.
    fn read(&mut self) {
        let ids = &self.world.ids;
        let guard = ids.pin();
        let known: Vec<ObjectId> = {
            let pool = lock(&self.world.pool);
            pool.iter()
                .chain(&self.own)
                .map(|object| object.id)
                .collect()
        };
        let Some(&id) = known.get(self.rng.below(known.len() as u64) as usize) else {
            return;
        };
        let Some(watched) = self.world.ledger.watch(id) else {
            return;
        };
        let found = ids.locate_in(id, &guard);
        if self.world.ledger.still(watched) {
            assert_eq!(found, Ok(watched.extent), "A2");
        }
        for _ in 0..self.rng.below(4) {
            self.alloc();
        }
        if self.rng.below(4) == 0 {
            ids.collect();
        }
        self.world.ledger.still(watched);
        drop(guard);
    }

    fn open_contest(&mut self) {
        let Some(object) = self.rng.take(&mut self.own) else {
            return;
        };
        self.world.ledger.unlist(object);
        let contest = Arc::new(Contest::default());
        let both = [(object, Arc::clone(&contest)), (object, contest)];
        lock(&self.world.contested).extend(both);
    }

    /// A4.
    fn contend(&mut self) {
        let taken = self.rng.take(&mut lock(&self.world.contested));
        let Some((object, contest)) = taken else {
            return;
        };
        let ids = &self.world.ids;
        match ids.hide(object.id) {
            Ok(()) => drop(contest.wins.fetch_add(1, SeqCst)),
            Err(error) => assert_eq!(error, FreeError::Hidden, "A4"),
        }
        if contest.calls.fetch_add(1, SeqCst) == 1 {
            assert_eq!(contest.wins.load(SeqCst), 1, "A4");
            self.world.ledger.release(object.extent);
            let reclaimed = ids.reclaim(object.id, &ids.pin());
            reclaimed.expect("A4: it was hidden");
        }
    }

    /// What can be said of the whole while others change it.
    fn look_around(&mut self) {
        let ids = &self.world.ids;
        let shown: Vec<ObjectId> = ids.iter().collect();
        assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        for object in &self.own {
            assert!(shown.binary_search(&object.id).is_ok(), "A2: {object:?}");
        }
        assert!(ids.len() >= self.own.len() as u64, "A2");
        let ranges = ids.snapshot().ranges;
        let apart = |pair: &[mapless::RangeSnapshot]| pair[0].ids.last() < pair[1].ids.first();
        assert!(ranges.windows(2).all(apart), "ranges overlap");
        let asked: Vec<ObjectId> = self.own.iter().map(|object| object.id).collect();
        let mut found = vec![Err(LookupError::Unknown); asked.len()];
        ids.locate_many(&asked, &mut found);
        let expected = self.own.iter().map(|object| Ok(object.extent));
        assert!(found.into_iter().eq(expected), "A2");
    }

    /// A3.
    fn misuse(&mut self) {
        let ids = &self.world.ids;
        assert_eq!(ids.locate(ObjectId::MAX), Err(LookupError::Unknown));
        assert_eq!(ids.free(ObjectId::MIN), Err(FreeError::Foreign));
        for object in &self.own {
            let refused = ids.reclaim(object.id, &ids.pin());
            assert_eq!(refused, Err(FreeError::NotHidden), "A3");
            assert_eq!(ids.locate(object.id), Ok(object.extent), "A2");
        }
    }
}
