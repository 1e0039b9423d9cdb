//! Models: what was retired while a reader was inside is not given out before it is gone.
//!
//! Threads   see the table
//! Bound     see the next sentence
//!
//! Each model runs on the seam, without a bound, and on crossbeam-epoch itself, with 2
//! preemptions: its registration, its bags and its epochs are some hundred steps, and 3 are not
//! over within a minute.
//!
//! Shows     see the table
//!
//! | model                 | threads   | executions | shows                                       |
//! |-----------------------|-----------|------------|---------------------------------------------|
//! | `retire_while_read`   | main + 1  | seam, real | M1 a slot is not written while it is read (E1, RIPE) |
//! | `repin_while_read`    | main + 1  | seam, real | M2 a repin lets go, and protects anew (E1)  |
//! | `retire_by_another`   | main + 2  | seam       | M3 as M1, if one retires and another takes (RIPE) |
//! | `guard_of_a_sibling`  | main + 1  | seam       | M4 a guard protects in all structures of its domain |
//!
//! Shrunk    one slot; a batch of one retirement
//! Blind to  load buffering; SeqCst loads and stores; when crossbeam-epoch frees its own memory
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]
#![allow(unsafe_code)] // a payload is shared on purpose: loom is to find who touches it too early

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{BlockAllocator, ByteLen, Domain, Guard, ObjectId};
use mapless_loom_tests::explore;

/// The bytes of the only slot.
#[derive(Default)]
struct Payload(UnsafeCell<()>);

// SAFETY: nothing is in it; loom says who looks at it while another writes.
unsafe impl Sync for Payload {}
// SAFETY: as above.
unsafe impl Send for Payload {}

impl Payload {
    #[track_caller]
    fn read(&self) {
        self.0.with(|_| ());
    }

    #[track_caller]
    fn write(&self) {
        self.0.with_mut(|_| ());
    }
}

/// One slot, live and written, and its bytes.
struct Subject {
    slots: BlockAllocator,
    id: ObjectId,
    bytes: Payload,
}

impl Subject {
    fn new(domain: &Domain) -> Arc<Self> {
        let slots = BlockAllocator::builder(1, ByteLen::new(8));
        let slots = slots.domain(domain).stripes(1).build().unwrap();
        let (id, bytes) = (slots.alloc().unwrap(), Payload::default());
        bytes.write();
        Arc::new(Self { slots, id, bytes })
    }

    /// What a reader does: if the slot is found live, its bytes are there to be read.
    fn read(&self, _guard: &Guard) -> bool {
        let found = self.slots.extent(self.id).is_ok();
        if found {
            self.bytes.read();
        }
        found
    }

    fn retire(&self) {
        let guard = self.slots.pin();
        self.slots.retire(self.id, &guard).unwrap();
    }

    /// Takes the slot if it is to be had, and writes its bytes before anybody finds it.
    fn reuse(&self) -> bool {
        let taken = self.slots.reserve();
        taken.is_ok_and(|slot| {
            assert_eq!(slot.id(), self.id);
            self.bytes.write();
            slot.publish();
            true
        })
    }
}

/// Whether the slot was written again, early or late, is for the caller to judge.
fn retire_while_read(domain: &Domain) -> (Arc<Subject>, bool) {
    let subject = Subject::new(domain);
    let reader = Arc::clone(&subject);
    let reader = thread::spawn(move || {
        let guard = reader.slots.pin();
        reader.read(&guard);
        drop(guard);
    });
    subject.retire();
    let early = subject.slots.collect() == 1 && subject.reuse();
    reader.join().unwrap();
    (subject, early)
}

#[test]
fn retire_while_read_on_the_seam() {
    explore("retire while read, seam", Some(3), 100, || {
        let (subject, early) = retire_while_read(&Domain::new());
        subject.slots.collect();
        assert!(early || subject.reuse(), "nobody is inside");
    });
}

#[test]
fn retire_while_read_on_crossbeam() {
    explore("retire while read, crossbeam", Some(1), 100, || {
        retire_while_read(&Domain::over_crossbeam());
    });
}

fn repin_while_read(domain: &Domain) {
    let subject = Subject::new(domain);
    let reader = Arc::clone(&subject);
    let reader = thread::spawn(move || {
        let mut guard = reader.slots.pin();
        let first = reader.read(&guard);
        guard.repin();
        let second = reader.read(&guard);
        drop(guard);
        (first, second)
    });
    subject.retire();
    if subject.slots.collect() == 1 {
        subject.reuse();
    }
    reader.join().unwrap();
}

#[test]
fn repin_while_read_on_the_seam() {
    explore("repin while read, seam", Some(3), 100, || {
        repin_while_read(&Domain::new());
    });
}

#[test]
fn repin_while_read_on_crossbeam() {
    explore("repin while read, crossbeam", Some(1), 100, || {
        repin_while_read(&Domain::over_crossbeam());
    });
}

#[test]
fn retire_by_another() {
    explore("retire by another", Some(2), 100, || {
        let subject = Subject::new(&Domain::new());
        let (reader, writer) = (Arc::clone(&subject), Arc::clone(&subject));
        let reader = thread::spawn(move || {
            reader.read(&reader.slots.pin());
        });
        let writer = thread::spawn(move || writer.retire());
        subject.reuse();
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn guard_of_a_sibling() {
    explore("guard of a sibling", Some(3), 100, || {
        let domain = Domain::new();
        let sibling = BlockAllocator::builder(1, ByteLen::new(8));
        let sibling = Arc::new(sibling.domain(&domain).stripes(1).build().unwrap());
        let subject = Subject::new(&domain);
        let reader = Arc::clone(&subject);
        let reader = thread::spawn(move || {
            let guard = sibling.pin();
            reader.read(&guard);
            drop(guard);
        });
        subject.retire();
        subject.reuse();
        reader.join().unwrap();
    });
}
