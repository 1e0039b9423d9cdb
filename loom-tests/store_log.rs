//! Models: the journal's group commit, and the gate that a checkpoint closes.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     none; with three threads the preemptions named at the model
//! Shrunk    records of 40 bytes in a ring of 12, or of 2 and a part
//! Shows     M1 a sync is acknowledged after all that was written before it is synced        (L2)
//!           M2 a write is acknowledged after all that was appended before it is written     (L2)
//!           M3 a record says of none that it is durable which is not
//!           M4 after a failure nothing is written or synced again, and everybody is told    (L3)
//!           M5 what is needed is not overwritten, and what was released can be              (L1)
//!           M6 who closed the gate is alone, and who waited at it goes on
//! Blind to  load buffering; wakes for nothing, which loom has none of
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use std::fmt;
use std::io;

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;
use mapless::Disk;
use mapless::models::{Door, Journal};
use mapless_loom_tests::explore;

const RECORD: u64 = Journal::RECORD;
/// For all records that a model makes.
const LONG: u64 = 12 * RECORD;
/// For two.
const SHORT: u64 = 2 * RECORD + 16;
/// Where slots are, a byte each.
const SLOTS: u64 = LONG;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fails {
    Never,
    FirstWrite,
    FirstSync,
}

/// A disk that can be asked what survives a loss of power.
struct Medium {
    ring: u64,
    fails: Fails,
    state: Mutex<State>,
}

struct State {
    bytes: Vec<u8>,
    /// The bytes that were there when the last sync that ended had begun.
    synced: Vec<u8>,
    /// How long the log was in each.
    head: u64,
    synced_head: u64,
    /// What recovery would begin with.
    needed: u64,
    failed: bool,
}

impl Medium {
    fn new(ring: u64, fails: Fails) -> Self {
        let bytes = vec![0; (SLOTS + 8) as usize];
        let state = State {
            synced: bytes.clone(),
            bytes,
            head: 0,
            synced_head: 0,
            needed: 0,
            failed: false,
        };
        Self {
            ring,
            fails,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> loom::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Fails if this is the first of those that fail; there is to be no second one (M4).
    fn fail(&self, state: &mut State, what: Fails) -> io::Result<()> {
        if self.fails != what {
            return Ok(());
        }
        assert!(!std::mem::replace(&mut state.failed, true), "M4");
        Err(io::Error::other("the first one"))
    }
}

impl State {
    /// The ring's next bytes come.
    fn extend(&mut self, bytes: &[u8], ring: u64) {
        if self.head.is_multiple_of(RECORD) {
            for record in bytes.chunks(RECORD as usize) {
                let durable = record.get(16..24).map(|word| word.try_into().unwrap());
                let durable = durable.map(u64::from_le_bytes);
                assert!(durable.is_none_or(|lsn| lsn <= self.synced_head), "M3");
            }
        }
        self.head += bytes.len() as u64;
        assert!(self.head - self.needed <= ring, "M5");
    }
}

impl Disk for Medium {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        unreachable!("the log reads nothing");
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state();
        let from = offset as usize;
        if offset < SLOTS {
            self.fail(&mut state, Fails::FirstWrite)?;
            state.extend(bytes, self.ring);
        }
        state.bytes[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    /// What is written after it began is not in it.
    fn sync_data(&self) -> io::Result<()> {
        let begun = {
            let state = self.state();
            (state.bytes.clone(), state.head)
        };
        let mut state = self.state();
        self.fail(&mut state, Fails::FirstSync)?;
        (state.synced, state.synced_head) = begun;
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!("the log's place is there");
    }

    fn len(&self) -> io::Result<u64> {
        unreachable!("the log knows its place");
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        unreachable!("the log's place is there");
    }
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Medium")
    }
}

/// What a disk holds.
#[derive(Debug)]
struct Still(Vec<u8>);

impl Disk for Still {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = offset as usize;
        buffer.copy_from_slice(&self.0[from..from + buffer.len()]);
        Ok(buffer.len())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        unreachable!("it is only looked at");
    }

    fn sync_data(&self) -> io::Result<()> {
        unreachable!("it is only looked at");
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!("it is only looked at");
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        unreachable!("it is only looked at");
    }
}

struct World {
    medium: std::sync::Arc<Medium>,
    journal: Journal,
}

impl World {
    fn new(ring: u64, fails: Fails) -> Arc<Self> {
        let medium = std::sync::Arc::new(Medium::new(ring, fails));
        let disk = std::sync::Arc::clone(&medium);
        let journal = Journal::new(disk, ring);
        Arc::new(Self { medium, journal })
    }

    /// Bytes to a slot, and their record; its end, or nothing after a failure.
    fn put(&self, number: u64) -> Option<u64> {
        let wrote = self.medium.write_at(&[number as u8], SLOTS + number);
        assert_eq!(wrote.unwrap(), 1);
        let end = self.journal.append(number).ok()?;
        Some(end.expect("there is room for all"))
    }

    /// These bytes have the slot of this number, and all records before `end`.
    fn assert_holds(&self, bytes: Vec<u8>, number: u64, end: u64, what: &str) {
        assert_eq!(
            u64::from(bytes[(SLOTS + number) as usize]),
            number,
            "{what}"
        );
        let records = Journal::records(&Still(bytes), LONG, 0);
        assert!(records.len() as u64 >= end / RECORD, "{what}");
        let mine = records.iter().find(|record| record.0 + RECORD == end);
        assert_eq!(mine.unwrap().2, number, "{what}");
    }

    /// Puts and waits for the sync; whether it was acknowledged.
    fn put_durably(&self, number: u64) -> bool {
        let Some(end) = self.put(number) else {
            return false;
        };
        if self.journal.sync(end).is_err() {
            return false;
        }
        let durable = self.journal.durable();
        let (synced, head) = {
            let state = self.medium.state();
            (state.synced.clone(), state.synced_head)
        };
        self.assert_holds(synced, number, end, "M1");
        // Nor is anything else called durable, for which nobody asked.
        assert!((end..=head).contains(&durable), "M1");
        true
    }

    /// Puts and waits for the write; whether it was acknowledged.
    fn put_buffered(&self, number: u64) -> bool {
        let Some(end) = self.put(number) else {
            return false;
        };
        if self.journal.write(end).is_err() {
            return false;
        }
        let written = self.medium.state().bytes.clone();
        self.assert_holds(written, number, end, "M2");
        true
    }
}

fn with<R: 'static>(
    world: &Arc<World>,
    f: impl FnOnce(&World) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

// -------------------------------------------------------------------- group commit

#[test]
fn sync_against_sync() {
    explore("log: sync/sync", None, 10000, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.put_durably(1));
        assert!(world.put_durably(2));
        assert!(other.join().unwrap());
    });
}

#[test]
fn two_syncs_against_sync() {
    explore("log: two syncs/sync", Some(4), 1000, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.put_durably(1) && world.put_durably(3));
        assert!(world.put_durably(2));
        assert!(other.join().unwrap());
    });
}

/// Each leader but the first lets the other come, who may be elsewhere by then.
#[test]
fn two_syncs_against_two_syncs() {
    explore("log: two syncs/two syncs", Some(3), 1000, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.put_durably(1) && world.put_durably(3));
        assert!(world.put_durably(2) && world.put_durably(4));
        assert!(other.join().unwrap());
    });
}

#[test]
fn syncs_3() {
    explore("log: sync/sync/sync", Some(3), 1500, || {
        let world = World::new(LONG, Fails::Never);
        let others = [1, 3].map(|n| with(&world, move |world| world.put_durably(n)));
        assert!(world.put_durably(2));
        assert!(others.map(|other| other.join().unwrap()) == [true; 2]);
    });
}

#[test]
fn write_against_sync() {
    explore("log: write/sync", None, 10000, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.put_buffered(1));
        assert!(world.put_durably(2));
        assert!(other.join().unwrap());
    });
}

#[test]
fn write_against_write() {
    explore("log: write/write", None, 500, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.put_buffered(1));
        assert!(world.put_buffered(2));
        assert!(other.join().unwrap());
    });
}

/// Appended by somebody who waits for nothing: nobody waits for it either, and it leaves no gap.
#[test]
fn append_against_sync() {
    explore("log: append/sync", None, 100, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| {
            [world.put(1), world.put(3)].map(Option::unwrap)
        });
        assert!(world.put_durably(2));
        let ends = other.join().unwrap();
        assert!(ends[0] < ends[1]);
        let end = world.journal.end();
        assert_eq!(end, 3 * RECORD);
        world.journal.sync(end).unwrap();
        let synced = world.medium.state().synced.clone();
        world.assert_holds(synced.clone(), 1, ends[0], "M1");
        world.assert_holds(synced, 3, ends[1], "M1");
    });
}

// -------------------------------------------------------------------- failures

/// M4: nobody is told that it was done, and nobody waits for ever.
fn assert_failed(world: &World) {
    assert!(world.journal.failed(), "M4");
    assert!(world.journal.append(9).is_err(), "M4");
    assert!(world.journal.write(0).is_err(), "M4");
    assert!(world.journal.sync(0).is_err(), "M4");
}

#[test]
fn sync_that_fails_against_sync() {
    explore("log: failing sync/sync", None, 400, || {
        let world = World::new(LONG, Fails::FirstSync);
        let other = with(&world, |world| world.put_durably(1));
        assert!(!world.put_durably(2), "M4");
        assert!(!other.join().unwrap(), "M4");
        assert_failed(&world);
    });
}

#[test]
fn write_that_fails_against_sync() {
    explore("log: failing write/sync", None, 300, || {
        let world = World::new(LONG, Fails::FirstWrite);
        let other = with(&world, |world| world.put_durably(1));
        assert!(!world.put_durably(2), "M4");
        assert!(!other.join().unwrap(), "M4");
        assert_failed(&world);
    });
}

#[test]
fn sync_that_fails_against_write() {
    explore("log: failing sync/write", None, 3000, || {
        let world = World::new(LONG, Fails::FirstSync);
        let other = with(&world, |world| world.put_buffered(1));
        assert!(!world.put_durably(2), "M4");
        other.join().unwrap();
        assert_failed(&world);
    });
}

#[test]
fn failures_3() {
    explore("log: failing sync/sync/sync", Some(3), 500, || {
        let world = World::new(LONG, Fails::FirstSync);
        let others = [1, 3].map(|n| with(&world, move |world| world.put_durably(n)));
        assert!(!world.put_durably(2), "M4");
        assert!(
            others.map(|other| other.join().unwrap()) == [false; 2],
            "M4"
        );
        assert_failed(&world);
    });
}

/// The disk tells one of the two, whoever ends first, and loses what both had written.
#[test]
fn stream_that_syncs_and_fails_against_sync() {
    explore("log: failing sync of a stream/sync", None, 25, || {
        let world = World::new(LONG, Fails::FirstSync);
        let other = with(&world, |world| world.journal.sync_data().is_ok());
        assert!(!world.put_durably(2), "M4");
        assert!(!other.join().unwrap(), "M4");
        assert!(world.journal.failed(), "M4");
    });
}

#[test]
fn stream_that_syncs_against_sync() {
    explore("log: sync of a stream/sync", None, 40, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.journal.sync_data().is_ok());
        assert!(world.put_durably(2));
        assert!(other.join().unwrap());
    });
}

#[test]
fn failure_elsewhere_against_sync() {
    explore("log: failure elsewhere/sync", None, 20, || {
        let world = World::new(LONG, Fails::Never);
        let other = with(&world, |world| world.journal.fail());
        world.put_durably(2);
        other.join().unwrap();
        assert_failed(&world);
    });
}

// -------------------------------------------------------------------- the ring

/// The ring is full: what comes is refused until a checkpoint has what is there.
#[test]
fn release_against_append() {
    explore("log: release/append", None, 20, || {
        let world = World::new(SHORT, Fails::Never);
        world.put(1).unwrap();
        world.put(2).unwrap();
        let other = with(&world, |world| {
            let end = world.journal.append(3).unwrap();
            if let Some(end) = end {
                world.journal.sync(end).unwrap();
            }
            end
        });
        let end = world.journal.end();
        world.journal.sync(end).unwrap();
        world.medium.state().needed = end; // the superblock
        world.journal.release(end);
        let late = other.join().unwrap();
        assert!(late.is_none_or(|end| end == 3 * RECORD), "M5");
        let last = world.journal.append(4).unwrap().expect("M5: there is room");
        world.journal.sync(last).unwrap();
        let synced = world.medium.state().synced.clone();
        let numbers = Journal::records(&Still(synced), SHORT, end);
        let numbers: Vec<u64> = numbers.iter().map(|record| record.2).collect();
        assert_eq!(
            numbers,
            if late.is_some() { vec![3, 4] } else { vec![4] },
            "M5"
        );
    });
}

// -------------------------------------------------------------------- the gate

/// What is written inside, without an ordering of its own, and looked at by who closed the gate.
struct Gated {
    door: Door,
    cells: [UnsafeCell<u64>; 2],
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: a cell is written by one thread, inside, and read by who closed the gate; if that is not
// so, loom reports it.
unsafe impl Sync for Gated {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for Gated {}

impl Gated {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            door: Door::new(),
            cells: std::array::from_fn(|_| UnsafeCell::new(0)),
        })
    }

    fn overwrite(&self, at: usize) {
        self.door.inside(|| {
            #[allow(unsafe_code)] // a plain write is what the gate is for
            // SAFETY: nobody else writes this cell, and who reads it has closed the gate.
            self.cells[at].with_mut(|cell| unsafe { *cell += 1 });
        });
    }

    /// M6.
    fn look(&self) -> u64 {
        self.door.closed(|| {
            #[allow(unsafe_code)] // as above
            // SAFETY: nobody is inside.
            let read = |cell: &UnsafeCell<u64>| cell.with(|cell| unsafe { *cell });
            self.cells.iter().map(read).sum()
        })
    }
}

#[test]
fn close_against_enter() {
    explore("gate: close/enter", None, 10, || {
        let gated = Gated::new();
        let other = Arc::clone(&gated);
        let other = thread::spawn(move || (0..2).for_each(|_| other.overwrite(0)));
        let (first, second) = (gated.look(), gated.look());
        assert!(first <= second && second <= 2, "M6");
        other.join().unwrap();
        assert_eq!(gated.look(), 2);
    });
}

#[test]
fn close_against_enter_3() {
    explore("gate: close/enter/enter", None, 20000, || {
        let gated = Gated::new();
        let others = [0, 1].map(|at| {
            let gated = Arc::clone(&gated);
            thread::spawn(move || gated.overwrite(at))
        });
        assert!(gated.look() <= 2, "M6");
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(gated.look(), 2);
    });
}
