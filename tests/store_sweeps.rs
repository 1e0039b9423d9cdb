//! One operation after the other at mixed durabilities, on a disk that fails now and then, for one
//! operation or for many: an error changes nothing while the store goes on, and what it shows is what is
//! there after it was closed.
#![cfg(feature = "store")]

#[path = "support/forgetful.rs"]
mod forgetful;
#[path = "support/sample.rs"]
mod sample;
#[path = "support/told.rs"]
mod told;

use std::io::Write;
use std::sync::Arc;

use fastrand::Rng;
use forgetful::{Failing, Forgetful};
use mapless::Durability::{self, Buffered, Group, None as Weak};
use mapless::{MultiStore, ObjectId, StoreError};
use sample::{Objects, formatted, options};
use told::{LEAST, tells, told};

/// Lengths from one to the other: in slots of both sizes, and large.
const LENS: [(usize, usize); 5] = [
    (LEAST, 48),
    (49, 684),
    (5000, 6000),
    (20_000, 21_000),
    (70_000, 71_000),
];

/// All objects; each is whole.
fn all_of(store: &MultiStore) -> Objects {
    let all = store.ids().map(|id| {
        let bytes = store.get(id).unwrap();
        tells(&bytes);
        (id, bytes.to_vec())
    });
    all.collect()
}

/// What an operation said, and what there is if it was done.
struct Done {
    result: Result<(), StoreError>,
    after: Objects,
    /// Nobody knows its objects' ids unless it was done.
    is_put: bool,
}

struct Sweep {
    disk: Arc<Forgetful>,
    store: MultiStore,
    objects: Objects,
    root: Option<ObjectId>,
    random: Rng,
    step: u32,
    failures: usize,
    /// Contents are no longer.
    most: usize,
}

impl Sweep {
    fn new(seed: u64) -> Self {
        let disk = Arc::new(Forgetful::new(formatted()));
        let store = options().durability(Weak).open_on(disk.clone()).unwrap();
        Self {
            disk,
            store,
            objects: Objects::new(),
            root: None,
            random: Rng::with_seed(seed),
            step: 0,
            failures: 0,
            most: usize::MAX,
        }
    }

    fn durability(&mut self) -> Durability {
        [Weak, Weak, Buffered, Group][self.random.usize(..4)]
    }

    /// New content, no longer than `most`.
    fn content(&mut self, most: usize) -> Vec<u8> {
        let (from, to) = LENS[self.random.usize(..LENS.len())];
        let len = self.random.usize(from..=to);
        told(
            [self.step, self.random.u32(..1000), 0],
            len.min(most).min(self.most),
        )
    }

    fn some(&mut self) -> Option<ObjectId> {
        let nth = self.random.usize(..self.objects.len().max(1));
        self.objects.keys().nth(nth).copied()
    }

    // ---------------------------------------------------------------- operations

    fn operate(&mut self) -> Done {
        match (self.random.u8(..20), self.some()) {
            (5 | 6, _) => self.put_many(),
            (7..=12, Some(id)) => self.overwrite(id),
            (13, Some(id)) => self.write_over(id),
            (14..=16, Some(id)) => self.delete(id),
            (17, Some(id)) => self.set_root(id),
            (18, _) => self.changes_nothing(self.store.sync()),
            (19, _) => self.changes_nothing(self.store.checkpoint()),
            _ => self.put(),
        }
    }

    fn changes_nothing(&self, result: Result<(), StoreError>) -> Done {
        let (after, is_put) = (self.objects.clone(), false);
        Done {
            result,
            after,
            is_put,
        }
    }

    fn put(&mut self) -> Done {
        let (bytes, durability) = (self.content(usize::MAX), self.durability());
        let (mut after, is_put) = (self.objects.clone(), true);
        let result = self.store.put_with(&bytes, durability);
        let result = result.map(|id| drop(after.insert(id, bytes)));
        Done {
            result,
            after,
            is_put,
        }
    }

    /// None is large: all have one record, before which none is there.
    fn put_many(&mut self) -> Done {
        let all: Vec<Vec<u8>> = (0..5).map(|_| self.content(684)).collect();
        let (mut after, is_put) = (self.objects.clone(), true);
        let result = self.store.put_many(&all);
        let result = result.map(|ids| after.extend(ids.into_iter().zip(all)));
        Done {
            result,
            after,
            is_put,
        }
    }

    fn capacity(&self, id: ObjectId) -> usize {
        self.store.extent(id).unwrap().len.get() as usize
    }

    fn changed(&self, id: ObjectId, bytes: Vec<u8>, result: Result<(), StoreError>) -> Done {
        let mut done = self.changes_nothing(result);
        done.after.insert(id, bytes);
        done
    }

    fn overwrite(&mut self, id: ObjectId) -> Done {
        let (bytes, durability) = (self.content(self.capacity(id)), self.durability());
        let result = self.store.overwrite_with(id, &bytes, durability);
        self.changed(id, bytes, result)
    }

    fn write_over(&mut self, id: ObjectId) -> Done {
        let bytes = self.content(self.capacity(id));
        let result = self.store.overwriter(id).and_then(|mut writer| {
            writer.write_all(&bytes)?;
            writer.finish().map(drop)
        });
        self.changed(id, bytes, result)
    }

    fn delete(&mut self, id: ObjectId) -> Done {
        let durability = self.durability();
        let result = self.store.delete_with(id, durability);
        if result.is_ok() {
            self.root = self.root.filter(|root| *root != id);
        }
        let mut done = self.changes_nothing(result);
        done.after.remove(&id);
        done
    }

    fn set_root(&mut self, id: ObjectId) -> Done {
        let result = self.store.set_root(Some(id));
        if result.is_ok() {
            self.root = Some(id);
        }
        self.changes_nothing(result)
    }

    // ---------------------------------------------------------------- what is there

    /// After an operation whose disk is well again; whether the store goes on.
    fn goes_on(&mut self, done: Done) -> bool {
        let is_done = done.result.is_ok();
        let before = core::mem::take(&mut self.objects);
        self.objects = if is_done { done.after.clone() } else { before };
        let goes_on = self.store.set_root(self.root).is_ok();
        let found = all_of(&self.store);
        let is =
            found == self.objects || !goes_on && !is_done && (found == done.after || done.is_put);
        assert!(is, "{}: {:?}", self.step, done.result);
        assert!(!goes_on || self.store.root() == self.root, "{}", self.step);
        goes_on
    }

    /// Fails for the rest of one operation, and is looked at afterwards.
    fn fails_once(&mut self, failing: Failing) -> bool {
        self.disk.fail_after(self.random.usize(..12), Some(failing));
        let done = self.operate();
        self.disk.fail(None);
        self.failures += usize::from(done.result.is_err());
        self.goes_on(done)
    }

    /// Fails for some operations, during which nothing can be read; whether the store goes on.
    ///
    /// What needs a scratch area reads that again, and ends the store if it cannot: so there is none.
    fn fails_for(&mut self, operations: u32, failing: Failing) -> bool {
        self.disk.fail(Some(failing));
        self.most = 6000;
        for _ in 0..operations {
            let done = self.operate();
            match done.result {
                Ok(()) => self.objects = done.after,
                Err(_) => self.failures += 1,
            }
        }
        self.disk.fail(None);
        self.most = usize::MAX;
        let nothing = self.changes_nothing(Ok(()));
        self.goes_on(nothing)
    }

    fn works(&mut self) {
        let done = self.operate();
        done.result.unwrap();
        self.objects = done.after;
        self.disk.forget();
    }
}

/// Runs operations until the disk's failure ends the store, if it does; how many were refused.
fn sweep(seed: u64, steps: u32, failing: Failing, fails_for: u32) -> usize {
    let mut sweep = Sweep::new(seed);
    for step in 0..steps {
        sweep.step = step;
        let goes_on = match (sweep.random.u8(..60), fails_for) {
            (0..5, 0) => sweep.fails_once(failing),
            (0, _) => {
                let operations = sweep.random.u32(..fails_for);
                sweep.fails_for(operations, failing)
            }
            _ => {
                sweep.works();
                true
            }
        };
        if !goes_on {
            // What waited in memory alone may be lost: what is there is whole.
            drop(sweep.store);
            all_of(&options().open_on(sweep.disk).unwrap());
            return sweep.failures;
        }
    }
    drop(sweep.store);
    let store = options().open_on(sweep.disk).unwrap();
    assert!(all_of(&store) == sweep.objects, "seed {seed}");
    assert_eq!(store.root(), sweep.root);
    assert!(store.check().unwrap().corrupt.is_empty());
    sweep.failures
}

fn all_once(failing: Failing) {
    let failures: usize = (0..40).map(|seed| sweep(seed, 400, failing, 0)).sum();
    assert!(failures > 5, "{failing:?}: {failures}");
}

fn all_for_long(failing: Failing) {
    let failures: usize = (0..8).map(|seed| sweep(seed, 600, failing, 300)).sum();
    assert!(failures > 100, "{failing:?}: {failures}");
}

#[test]
fn reads_that_fail_change_nothing() {
    all_once(Failing::Read);
}

#[test]
fn reads_that_fail_for_long_change_nothing() {
    all_for_long(Failing::Read);
}

#[test]
fn a_full_disk_changes_nothing() {
    all_once(Failing::Full);
}

#[test]
fn a_disk_that_is_full_for_long_changes_nothing() {
    all_for_long(Failing::Full);
}

#[test]
fn writes_that_fail_latch_and_damage_nothing() {
    all_once(Failing::Write);
}

#[test]
fn writes_that_fail_halfway_latch_and_damage_nothing() {
    all_once(Failing::Half);
}

#[test]
fn syncs_that_fail_latch_and_damage_nothing() {
    all_once(Failing::Sync);
}
