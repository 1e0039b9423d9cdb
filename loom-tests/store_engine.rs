//! Models: a whole store, its objects looked at while they are deleted, replaced, overwritten.
//!
//! Threads   main + 1
//! Bound     the preemptions named at each model: what opens and closes the store is thousands of
//!           steps, and what writes hundreds
//! Shrunk    ranges of one slot; 2 slots a word, a limbo of 1, one shard of open objects
//! Shows     M1 nobody reads a slot that has another owner, nor bytes of another object      (rule 4)
//!           M2 a look sees all of an overwrite or nothing, and damage where there is some only
//!           M3 what was acknowledged is there, whatever else went on
//! Blind to  load buffering; SeqCst loads and stores; two writers, which `store_log.rs` has
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use loom::cell::UnsafeCell;
use loom::thread;
use mapless::{
    ByteLen, Disk, Durability, Generation, MultiStore, ObjectId, SizeClasses, StoreError,
    StoreOptions,
};
use mapless_loom_tests::explore;

/// An object that has one checksum.
const SHORT: usize = 8;
/// One that has two, so that a reader comes back to its slot.
const LONG: usize = (64 << 10) + 8;
/// Where a slot's reads and writes are interrupted: inside the payload of a short object.
const HALF: u64 = 20;

/// How loom sees the object's slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Nobody may write it unless all who read it are done, and loom reports who does.
    Owned,
    /// It is read and written at once, in two parts.
    Torn,
}

/// A disk in memory. What is beside the object's slot is invisible to loom.
struct Memory {
    bytes: Mutex<Vec<u8>>,
    slot: Slot,
    /// Where the slot begins and ends.
    begin: u64,
    end: u64,
    owner: UnsafeCell<()>,
    part: loom::sync::Mutex<()>,
}

#[allow(unsafe_code)] // loom's cells are not `Sync`
// SAFETY: nothing is in the cell; loom says who looks at it while another writes.
unsafe impl Sync for Memory {}
#[allow(unsafe_code)] // as above
// SAFETY: as above.
unsafe impl Send for Memory {}

impl Memory {
    fn new(bytes: Vec<u8>, slot: Slot, (begin, end): (u64, u64)) -> Self {
        Self {
            bytes: Mutex::new(bytes),
            slot,
            begin,
            end,
            owner: UnsafeCell::new(()),
            part: loom::sync::Mutex::new(()),
        }
    }

    /// How much of so many bytes is done at once.
    fn part_of(&self, offset: u64, len: usize) -> usize {
        let half = self.begin + HALF;
        if self.slot == Slot::Torn && offset == self.begin {
            len.min((half - offset) as usize)
        } else {
            len
        }
    }

    /// Does something to the bytes as whoever owns the slot, or looks at it, if they are of it.
    fn access<R>(&self, offset: u64, writes: bool, f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let of_slot = (self.begin..self.end).contains(&offset);
        match self.slot {
            Slot::Owned if of_slot && writes => self.owner.with_mut(|_| ()),
            Slot::Owned if of_slot => self.owner.with(|_| ()),
            Slot::Torn if of_slot => {
                let _part = self.part.lock().unwrap();
                return f(&mut self.bytes.lock().unwrap());
            }
            _ => {}
        }
        f(&mut self.bytes.lock().unwrap())
    }
}

impl Disk for Memory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.access(offset, false, |bytes| {
            let from = (offset as usize).min(bytes.len());
            let n = buffer.len().min(bytes.len() - from);
            let n = self.part_of(offset, n);
            buffer[..n].copy_from_slice(&bytes[from..from + n]);
            Ok(n)
        })
    }

    fn write_at(&self, new: &[u8], offset: u64) -> io::Result<usize> {
        self.access(offset, true, |bytes| {
            let (from, n) = (offset as usize, self.part_of(offset, new.len()));
            bytes.resize(bytes.len().max(from + n), 0);
            bytes[from..from + n].copy_from_slice(&new[..n]);
            Ok(n)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap();
        let end = (offset + len) as usize;
        let longer = bytes.len().max(end);
        bytes.resize(longer, 0);
        Ok(())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

fn content(n: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| n + (at >> 12) as u8).collect()
}

/// A store of one object, closed.
struct Base {
    bytes: Vec<u8>,
    slot: (u64, u64),
    len: usize,
    id: ObjectId,
    generation: Generation,
}

impl Base {
    /// Made by itself, once for all executions.
    fn new(len: usize) -> Self {
        let made = Arc::new(Mutex::new(None));
        let make = Arc::clone(&made);
        loom::model(move || *make.lock().unwrap() = Some(Self::make(len)));
        let base = made.lock().unwrap().take();
        base.expect("it was made")
    }

    fn make(len: usize) -> Self {
        let disk = Arc::new(Memory::new(Vec::new(), Slot::Owned, (0, 0)));
        let shared: Arc<dyn Disk> = Arc::clone(&disk) as _;
        // A class whose first range is one slot.
        let classes = SizeClasses::new([ByteLen::new(80 << 10)]).unwrap();
        let options = StoreOptions::new().journal(64 << 10).size_classes(classes);
        let store = options.create_on(shared).unwrap();
        let (id, generation) = store.put_versioned(content(1, len)).unwrap();
        let extent = store.extent(id).unwrap();
        let end = extent.offset.get() + extent.len.get();
        store.close().unwrap();
        let bytes = disk.bytes.lock().unwrap().clone();
        Self {
            bytes,
            slot: (end - (80 << 10), end),
            len,
            id,
            generation,
        }
    }

    fn open(&self, slot: Slot) -> MultiStore {
        self.open_and_disk(slot).0
    }

    fn open_and_disk(&self, slot: Slot) -> (MultiStore, Arc<Memory>) {
        let disk = Arc::new(Memory::new(self.bytes.clone(), slot, self.slot));
        let shared: Arc<dyn Disk> = Arc::clone(&disk) as _;
        (StoreOptions::new().open_on(shared).unwrap(), disk)
    }
}

fn with<R: 'static>(
    store: &MultiStore,
    f: impl FnOnce(&MultiStore) -> R + 'static,
) -> thread::JoinHandle<R> {
    let store = store.clone();
    thread::spawn(move || f(&store))
}

/// How often a slot was given out again; invisible to loom.
#[derive(Clone, Default)]
struct Reused(Arc<AtomicUsize>);

impl Reused {
    fn count(&self, is_reused: bool) {
        self.0.fetch_add(usize::from(is_reused), Relaxed);
    }

    /// A model in which it never is shows nothing.
    fn assert_some(&self) {
        assert!(self.0.load(Relaxed) > 0, "no slot was ever given out again");
    }
}

/// Deletes the object and puts another one, which gets the slot if nobody is in the way; its id.
fn replace(store: &MultiStore, id: ObjectId, len: usize) -> ObjectId {
    store.delete(id).unwrap();
    store.put(content(9, len)).unwrap()
}

/// M1: the object, or what says that it is gone.
#[track_caller]
fn assert_old_or_gone(found: Result<Vec<u8>, StoreError>, len: usize) -> bool {
    match found {
        Ok(bytes) => assert!(bytes == content(1, len), "M1"),
        Err(StoreError::Freed(_) | StoreError::NotWritten(_) | StoreError::Stale(_)) => {
            return false;
        }
        Err(error) => panic!("M1: {error}"),
    }
    true
}

#[test]
fn get_against_delete_and_put() {
    let base = Base::new(SHORT);
    let reused = Reused::default();
    let count = reused.clone();
    explore("store: get/delete, put", Some(3), 5000, move || {
        let store = base.open(Slot::Owned);
        let (id, generation, len) = (base.id, base.generation, base.len);
        let other = with(&store, move |store| replace(store, id, len));
        let found = store.get_version(id, generation);
        assert_old_or_gone(found.map(|bytes| bytes.to_vec()), len);
        let new = other.join().unwrap();
        count.count(new == id);
        assert_eq!(store.get(new).unwrap(), content(9, len), "M3");
        assert_eq!(store.len(), 1);
    });
    reused.assert_some();
}

#[test]
fn reader_against_delete_and_put() {
    let base = Base::new(LONG);
    let reused = Reused::default();
    let count = reused.clone();
    explore("store: reader/delete, put", Some(3), 15000, move || {
        let store = base.open(Slot::Owned);
        let (id, len) = (base.id, base.len);
        let other = with(&store, move |store| replace(store, id, len));
        match store.reader(id) {
            Ok(mut reader) => {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                let whole = bytes == content(1, len) || bytes == content(9, len);
                assert!(whole, "M1");
            }
            Err(error) => assert!(!assert_old_or_gone(Err(error), len)),
        }
        let new = other.join().unwrap();
        count.count(new == id);
        assert_eq!(store.get(new).unwrap(), content(9, len), "M3");
        assert_eq!((store.len(), store.open_objects()), (1, 0));
    });
    reused.assert_some();
}

#[test]
fn get_against_overwrite() {
    let base = Base::new(SHORT);
    explore("store: get/overwrite", Some(4), 1000, move || {
        let store = base.open(Slot::Torn);
        let (id, len) = (base.id, base.len);
        let other = with(&store, move |store| store.overwrite(id, content(2, len)));
        let found = store.get(id).expect("M2");
        assert!(found == content(1, len) || found == content(2, len), "M2");
        other.join().unwrap().unwrap();
        assert_eq!(store.get(id).unwrap(), content(2, len), "M3");
    });
}

#[test]
fn reader_against_overwrite() {
    let base = Base::new(LONG);
    explore("store: reader/overwrite", Some(3), 6, move || {
        let store = base.open(Slot::Owned);
        let (id, len) = (base.id, base.len);
        let other = with(&store, move |store| store.overwrite(id, content(2, len)));
        let mut found = Vec::new();
        let mut reader = store.reader(id).unwrap();
        reader.read_to_end(&mut found).unwrap();
        drop(reader);
        assert!(found == content(1, len) || found == content(2, len), "M2");
        other.join().unwrap().unwrap();
        assert_eq!(store.get(id).unwrap(), content(2, len), "M3");
    });
}

/// The new bytes wait in memory, and are written in place meanwhile.
#[test]
fn gets_against_the_sync_of_an_overwrite() {
    let base = Base::new(SHORT);
    explore("store: gets/sync of overwrite", Some(3), 70, move || {
        let store = base.open(Slot::Torn);
        let (id, len) = (base.id, base.len);
        let overwritten = store.overwrite_with(id, content(2, len), Durability::None);
        overwritten.unwrap();
        let other = with(&store, MultiStore::sync);
        for _ in 0..2 {
            assert_eq!(store.get(id).expect("M2"), content(2, len), "M3");
        }
        other.join().unwrap().unwrap();
        assert_eq!(store.get(id).unwrap(), content(2, len), "M3");
        assert_eq!(store.stats().unwrap().pending, 0);
    });
}

#[test]
fn gets_against_overwrite_and_its_sync() {
    let base = Base::new(SHORT);
    explore("store: gets/overwrite, sync", Some(3), 6000, move || {
        let store = base.open(Slot::Torn);
        let (id, len) = (base.id, base.len);
        let other = with(&store, move |store| {
            let overwritten = store.overwrite_with(id, content(2, len), Durability::Buffered);
            overwritten.unwrap();
            store.sync().unwrap();
        });
        let found = [(); 2].map(|()| store.get(id).expect("M2"));
        assert!(found[0] == content(1, len) || found[0] == found[1], "M2");
        other.join().unwrap();
        assert_eq!(store.get(id).unwrap(), content(2, len), "M3");
    });
}

/// The object goes, and its slot is another's, while its new bytes are written in place.
#[test]
fn delete_and_put_against_the_sync_of_an_overwrite() {
    let base = Base::new(SHORT);
    let reused = Reused::default();
    let count = reused.clone();
    let name = "store: delete, put/sync of overwrite";
    explore(name, Some(2), 1200, move || {
        let store = base.open(Slot::Owned);
        let (id, len) = (base.id, base.len);
        let overwritten = store.overwrite_with(id, content(2, len), Durability::None);
        overwritten.unwrap();
        let other = with(&store, MultiStore::sync);
        let new = replace(&store, id, len);
        count.count(new == id);
        assert_eq!(store.get(new).unwrap(), content(9, len), "M1");
        other.join().unwrap().unwrap();
        assert_eq!(store.get(new).unwrap(), content(9, len), "M3");
        assert_eq!(store.stats().unwrap().pending, 0);
    });
    reused.assert_some();
}

/// M3: bytes that a checkpoint has seen are in place, though others come meanwhile.
#[test]
fn overwrite_that_waits_against_checkpoint() {
    let base = Base::new(SHORT);
    explore("store: overwrite/checkpoint", Some(2), 200, move || {
        let (store, disk) = base.open_and_disk(Slot::Torn);
        let (id, len) = (base.id, base.len);
        let weakly = |n| store.overwrite_with(id, content(n, len), Durability::None);
        weakly(2).unwrap();
        let other = with(&store, MultiStore::checkpoint);
        weakly(3).unwrap();
        other.join().unwrap().unwrap();
        // A loss of power.
        let bytes = disk.bytes.lock().unwrap().clone();
        let left = Memory::new(bytes, Slot::Owned, (0, 0));
        let left = StoreOptions::new().open_read_only_on(Arc::new(left));
        let found = left.unwrap().get(id).expect("M2");
        assert!(found == content(2, len) || found == content(3, len), "M3");
        assert_eq!(store.get(id).unwrap(), content(3, len), "M3");
    });
}

#[test]
fn delete_and_put_against_checkpoint() {
    let base = Base::new(SHORT);
    explore("store: delete, put/checkpoint", Some(2), 100, move || {
        let store = base.open(Slot::Owned);
        let (id, len) = (base.id, base.len);
        let other = with(&store, |store| store.checkpoint());
        let new = replace(&store, id, len);
        other.join().unwrap().unwrap();
        assert_eq!(store.get(new).unwrap(), content(9, len), "M3");
        assert_eq!(store.len(), 1);
    });
}
