//! Models: the table of open objects, between one object's readers, overwrites and deletes.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     none; with three threads the preemptions named at the model
//! Shrunk    one shard, one object, a slot without bytes
//! Shows     M1 an overwrite is alone with its object                                        (T1)
//!           M2 a slot is handed over once, when nobody has the object open any more         (T2)
//!           M3 who waits is woken, and nothing stays in the table
//!           M4 a look that found half of an overwrite is told apart from damage
//! Blind to  load buffering; wakes for nothing, which loom has none of
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use std::collections::VecDeque;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering::*};
use loom::sync::{Arc, Mutex};
use loom::thread;
use mapless::ObjectId;
use mapless::models::Users;
use mapless_loom_tests::explore;

/// One object, as the store keeps it: live or not, a slot, a table, what waits to be settled.
struct World {
    id: ObjectId,
    users: Users,
    /// Whether the allocator would find it.
    live: AtomicU64,
    /// Who reads an object looks at it, who overwrites it or has its slot next writes it.
    slot: UnsafeCell<()>,
    /// How often the slot was handed over.
    handed: AtomicU64,
    freed: Mutex<VecDeque<ObjectId>>,
    /// Two halves of its bytes, which are equal when nobody overwrites it.
    halves: [AtomicU64; 2],
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: nothing is in the cell; loom says who looks at it while another writes.
unsafe impl Sync for World {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            id: ObjectId::new(5).unwrap(),
            users: Users::new(),
            live: AtomicU64::new(1),
            slot: UnsafeCell::new(()),
            handed: AtomicU64::new(0),
            freed: Mutex::new(VecDeque::new()),
            halves: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    fn is_live(&self) -> bool {
        // Acquire: as the allocator's own look.
        self.live.load(Acquire) == 1
    }

    /// The slot has another owner, who writes at once (M2).
    fn hand_over(&self) {
        self.slot.with_mut(|_| ());
        // Relaxed: the models look when all are joined.
        self.handed.fetch_add(1, Relaxed);
    }

    /// What every reader does; whether it found the object.
    fn read(&self) -> bool {
        self.users.read(self.id);
        let found = self.is_live();
        if found {
            self.slot.with(|_| ());
            thread::yield_now();
            self.slot.with(|_| ());
        }
        if self.users.end_read(self.id) {
            self.hand_over();
        }
        found
    }

    fn end_change(&self) {
        if self.users.end_change(self.id) {
            self.hand_over();
        }
    }

    /// The overwrite of who has it alone; whether it found the object (M1).
    fn write(&self) -> bool {
        let found = self.is_live();
        if found {
            self.slot.with_mut(|_| ());
        }
        self.end_change();
        found
    }

    fn overwrite(&self) -> bool {
        self.users.overwrite(self.id);
        self.write()
    }

    /// Nothing if somebody has it open.
    fn try_overwrite(&self) -> Option<bool> {
        self.users.try_overwrite(self.id).then(|| self.write())
    }

    /// Whether it was there.
    fn delete(&self) -> bool {
        self.users.delete(self.id);
        // AcqRel: as the allocator's own.
        let found = self.live.swap(0, AcqRel) == 1;
        self.end_change();
        if found {
            self.freed.lock().unwrap().push_back(self.id);
        }
        self.settle();
        found
    }

    /// What was freed is durable: whoever finds that sees to it.
    fn settle(&self) {
        let ready: Vec<_> = self.freed.lock().unwrap().drain(..).collect();
        for id in ready {
            if self.users.free(id) {
                self.hand_over();
            }
        }
    }

    #[track_caller]
    fn assert_at_rest(&self, deletes: u64) {
        // Relaxed: all are joined.
        assert_eq!(self.handed.load(Relaxed), deletes, "M2");
        assert_eq!(self.users.open(), 0, "M3");
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
fn read_against_overwrite() {
    explore("open: read/overwrite", None, 7, || {
        let world = World::new();
        let other = with(&world, World::overwrite);
        assert!(world.read());
        assert!(other.join().unwrap());
        world.assert_at_rest(0);
    });
}

#[test]
fn reads_against_overwrite() {
    explore("open: two reads/overwrite", None, 40, || {
        let world = World::new();
        let other = with(&world, World::overwrite);
        assert!(world.read() && world.read());
        assert!(other.join().unwrap());
        world.assert_at_rest(0);
    });
}

#[test]
fn overwrite_against_overwrite() {
    explore("open: overwrite/overwrite", None, 6, || {
        let world = World::new();
        let other = with(&world, World::overwrite);
        assert!(world.overwrite());
        assert!(other.join().unwrap());
        world.assert_at_rest(0);
    });
}

#[test]
fn trial_against_read() {
    explore("open: try/read", None, 4, || {
        let world = World::new();
        let other = with(&world, World::read);
        world.try_overwrite();
        assert!(other.join().unwrap());
        assert_eq!(world.try_overwrite(), Some(true));
        world.assert_at_rest(0);
    });
}

#[test]
fn read_against_delete() {
    explore("open: read/delete", None, 90, || {
        let world = World::new();
        let other = with(&world, World::delete);
        world.read();
        assert!(other.join().unwrap());
        assert!(!world.read());
        world.assert_at_rest(1);
    });
}

#[test]
fn delete_against_delete() {
    explore("open: delete/delete", None, 150, || {
        let world = World::new();
        let other = with(&world, World::delete);
        let deleted = world.delete();
        assert!(other.join().unwrap() != deleted);
        world.assert_at_rest(1);
    });
}

#[test]
fn overwrite_against_delete() {
    explore("open: overwrite/delete", None, 12, || {
        let world = World::new();
        let other = with(&world, World::delete);
        world.overwrite();
        assert!(other.join().unwrap());
        world.assert_at_rest(1);
    });
}

/// The free is settled by somebody else, perhaps while it is being changed or read.
#[test]
fn read_against_delete_that_another_settles_3() {
    explore("open: read/delete/settle", Some(4), 700, || {
        let world = World::new();
        let reader = with(&world, World::read);
        let settler = with(&world, World::settle);
        assert!(world.delete());
        reader.join().unwrap();
        settler.join().unwrap();
        world.assert_at_rest(1);
    });
}

#[test]
fn reads_against_delete_3() {
    explore("open: read/read/delete", Some(4), 2000, || {
        let world = World::new();
        let readers = [(); 2].map(|()| with(&world, World::read));
        assert!(world.delete());
        readers
            .into_iter()
            .for_each(|reader| assert!(reader.join().is_ok()));
        world.assert_at_rest(1);
    });
}

#[test]
fn reads_against_overwrite_3() {
    explore("open: read/read/overwrite", Some(4), 1300, || {
        let world = World::new();
        let readers = [(); 2].map(|()| with(&world, World::read));
        assert!(world.overwrite());
        assert!(readers.map(|reader| reader.join().unwrap()) == [true; 2]);
        world.assert_at_rest(0);
    });
}

#[test]
fn read_against_overwrite_and_delete_3() {
    explore("open: read/overwrite/delete", Some(4), 1500, || {
        let world = World::new();
        let reader = with(&world, World::read);
        let writer = with(&world, World::overwrite);
        assert!(world.delete());
        reader.join().unwrap();
        writer.join().unwrap();
        world.assert_at_rest(1);
    });
}

#[test]
fn overwrites_against_read_3() {
    explore("open: overwrite/overwrite/read", Some(4), 1500, || {
        let world = World::new();
        let writers = [(); 2].map(|()| with(&world, World::overwrite));
        assert!(world.read());
        assert!(writers.map(|writer| writer.join().unwrap()) == [true; 2]);
        world.assert_at_rest(0);
    });
}

// -------------------------------------------------------------------- a look that is not counted

impl World {
    /// New bytes, half by half.
    fn overwrite_halves(&self, number: u64) {
        self.users.overwrite(self.id);
        // Relaxed: the disk orders nothing.
        self.halves[0].store(number, Relaxed);
        // Relaxed: as above.
        self.halves[1].store(number, Relaxed);
        self.end_change();
    }

    /// A look; nothing if the halves are of different bytes.
    fn try_get(&self) -> Option<u64> {
        // Relaxed: as above.
        let halves = [0, 1].map(|half| self.halves[half].load(Relaxed));
        (halves[0] == halves[1]).then_some(halves[0])
    }

    /// What `get` does: M4, it is never told that the object is damaged.
    fn get(&self) -> u64 {
        if let Some(number) = self.try_get() {
            return number;
        }
        self.users.read(self.id);
        let found = self.try_get();
        assert!(!self.users.end_read(self.id), "nobody deletes it");
        found.expect("M4")
    }
}

#[test]
fn get_against_overwrite() {
    explore("open: get/overwrite", None, 50, || {
        let world = World::new();
        let other = with(&world, |world| world.overwrite_halves(1));
        assert!(world.get() <= 1);
        other.join().unwrap();
        assert_eq!(world.get(), 1);
        world.assert_at_rest(0);
    });
}

#[test]
fn get_against_two_overwrites() {
    explore("open: get/two overwrites", None, 500, || {
        let world = World::new();
        let other = with(&world, |world| {
            world.overwrite_halves(1);
            world.overwrite_halves(2);
        });
        assert!(world.get() <= 2);
        other.join().unwrap();
        assert_eq!(world.get(), 2);
        world.assert_at_rest(0);
    });
}

#[test]
fn gets_against_overwrite_3() {
    explore("open: get/get/overwrite", Some(3), 9000, || {
        let world = World::new();
        let others = [(); 2].map(|()| with(&world, World::get));
        world.overwrite_halves(1);
        assert!(
            others
                .map(|other| other.join().unwrap())
                .iter()
                .all(|&n| n <= 1)
        );
        world.assert_at_rest(0);
    });
}
