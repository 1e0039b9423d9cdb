//! Models: the table of contents that wait, between who overwrites, who moves and who looks.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     none; with three threads the preemptions named at the model
//! Shrunk    one shard, slots of one number
//! Shows     M1 nobody sees an older content after a newer one                      (P1, P3, MOVED)
//!           M2 a slot is written by one at a time, and by none after its content was discarded (P2)
//!           M3 what was moved is in its slot, and nothing stays in the table                   (P1)
//! Blind to  load buffering; wakes for nothing, which loom has none of
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering::*};
use loom::thread;
use mapless::ObjectId;
use mapless::models::Contents;
use mapless_loom_tests::explore;

/// Two objects, whose overwrites come from one thread at a time.
struct World {
    contents: Contents,
    slots: [AtomicU64; 2],
    /// Who writes a slot does so alone.
    owner: UnsafeCell<()>,
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: nothing is in the cell; loom says who looks at it while another writes.
unsafe impl Sync for World {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for World {}

fn id(n: usize) -> ObjectId {
    ObjectId::new(n as u64 + 1).unwrap()
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            contents: Contents::new(),
            slots: [AtomicU64::new(0), AtomicU64::new(0)],
            owner: UnsafeCell::new(()),
        })
    }

    /// The record of content `n` ends at `n`.
    fn overwrite(&self, n: u64) {
        self.contents.insert(id(0), n, n);
    }

    fn write(&self, object: ObjectId, n: u64) {
        if object == id(0) {
            self.owner.with_mut(|_| ()); // M2
        }
        // Relaxed: the disk orders nothing.
        self.slots[object.get() as usize - 1].store(n, Relaxed);
    }

    fn move_until(&self, upto: u64) {
        self.contents.move_until(upto, |id, n| self.write(id, n));
    }

    fn move_all(&self) {
        self.contents.move_all(|id, n| self.write(id, n));
    }

    fn get(&self, n: usize) -> u64 {
        let found = self.contents.find(id(n));
        // Relaxed: as above.
        found.unwrap_or_else(|| self.slots[n].load(Relaxed))
    }

    /// M1, of looks one after the other.
    #[track_caller]
    fn looks(&self, n: usize, least: u64) {
        let found = [(); 2].map(|()| self.get(n));
        assert!(found.is_sorted() && found[0] >= least, "M1: {found:?}");
    }

    #[track_caller]
    fn assert_at_rest(&self, n: u64) {
        assert!(self.contents.is_empty(), "M3");
        self.owner.with_mut(|_| ());
        // Relaxed: all are joined.
        assert_eq!(self.slots[0].load(Relaxed), n, "M3");
    }
}

fn with<R: 'static>(
    world: &Arc<World>,
    f: impl FnOnce(&World) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

#[test]
fn looks_against_move() {
    explore("pending: looks/move", None, 240, || {
        let world = World::new();
        world.overwrite(1);
        let other = with(&world, |world| world.move_until(1));
        world.looks(0, 1);
        other.join().unwrap();
        world.assert_at_rest(1);
    });
}

#[test]
fn looks_against_overwrite_and_move() {
    explore("pending: looks/overwrite, move", None, 1500, || {
        let world = World::new();
        let other = with(&world, |world| {
            world.overwrite(1);
            world.move_until(1);
        });
        world.looks(0, 0);
        other.join().unwrap();
        world.assert_at_rest(1);
    });
}

/// The later content comes while the earlier one is moved.
#[test]
fn looks_against_overwrite_and_moves_3() {
    explore("pending: looks/move/overwrite", Some(3), 7500, || {
        let world = World::new();
        world.overwrite(1);
        let mover = with(&world, |world| world.move_until(1));
        let other = with(&world, |world| {
            world.overwrite(2);
            world.move_until(2);
        });
        world.looks(0, 1);
        mover.join().unwrap();
        other.join().unwrap();
        world.looks(0, 2);
        world.move_all();
        world.assert_at_rest(2);
    });
}

/// Another object's content leaves the table as this one's comes.
#[test]
fn looks_against_two_objects_3() {
    explore("pending: looks/overwrite/other", Some(3), 2600, || {
        let world = World::new();
        world.overwrite(1);
        let mover = with(&world, |world| world.move_until(1));
        let other = with(&world, |world| world.contents.insert(id(1), 5, 5));
        world.looks(1, 0);
        mover.join().unwrap();
        other.join().unwrap();
        assert_eq!(world.get(1), 5, "M1");
        world.move_all();
        world.assert_at_rest(1);
    });
}

/// The object is gone, and whoever discards its content has the slot.
#[test]
fn discard_against_move() {
    explore("pending: discard/move", None, 40, || {
        let world = World::new();
        world.overwrite(1);
        let other = with(&world, |world| world.move_until(1));
        world.contents.discard(id(0));
        world.write(id(0), 9);
        other.join().unwrap();
        world.assert_at_rest(9);
    });
}

/// A checkpoint waits for whoever moves.
#[test]
fn move_all_against_move() {
    explore("pending: move all/move", None, 160, || {
        let world = World::new();
        world.overwrite(1);
        let other = with(&world, |world| world.move_until(1));
        world.move_all();
        world.assert_at_rest(1);
        other.join().unwrap();
    });
}
