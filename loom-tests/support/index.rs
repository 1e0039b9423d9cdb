//! What the models of the index share: an index, and a payload for each value.
//!
//! Whoever inserts or replaces a value writes the value's payload before; whoever finds the value
//! reads it. So a missing edge is a race that loom reports, and not a lucky number.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use mapless::{Domain, Guard, IdRange, ObjectId, RangeIndex};

pub(crate) fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

pub(crate) fn range(first: u64, len: u64) -> IdRange {
    IdRange::new(id(first), len).unwrap()
}

/// A range and its value.
pub(crate) type Row = (u64, u64, u64);

#[derive(Default)]
struct Payload(UnsafeCell<()>);

// SAFETY: nothing is in it; loom says who looks at it while another writes.
unsafe impl Sync for Payload {}
// SAFETY: as above.
unsafe impl Send for Payload {}

/// An index, and the payloads of values 0 to 7.
pub(crate) struct Subject {
    pub(crate) index: RangeIndex<u64>,
    payloads: [Payload; 8],
}

#[allow(dead_code)] // no file needs all of it
impl Subject {
    /// An index that holds these sorted rows.
    pub(crate) fn with(domain: &Domain, rows: &[Row]) -> Arc<Self> {
        let index = RangeIndex::with_domain(domain);
        let rows = rows
            .iter()
            .map(|&(first, len, value)| (range(first, len), value));
        index.bulk_load(rows).unwrap();
        let payloads = Default::default();
        Arc::new(Self { index, payloads })
    }

    pub(crate) fn new(rows: &[Row]) -> Arc<Self> {
        Self::with(&Domain::new(), rows)
    }

    #[track_caller]
    fn write(&self, value: u64) {
        self.payloads[value as usize].0.with_mut(|_| ());
    }

    #[track_caller]
    fn read(&self, value: u64) {
        self.payloads[value as usize].0.with(|_| ());
    }

    #[track_caller]
    pub(crate) fn insert(&self, first: u64, len: u64, value: u64) {
        self.write(value);
        self.index.insert(range(first, len), value).unwrap();
    }

    #[track_caller]
    pub(crate) fn replace(&self, at: u64, value: u64) -> u64 {
        self.write(value);
        self.index.replace(id(at), value).unwrap()
    }

    #[track_caller]
    pub(crate) fn remove(&self, first: u64) -> u64 {
        let (_, value) = self.index.remove(id(first)).unwrap();
        value
    }

    /// A look from inside one guard.
    pub(crate) fn look(&self) -> Look<'_> {
        let guard = self.index.pin();
        Look {
            subject: self,
            guard,
        }
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.index.audit();
        let rows = self.index.snapshot().into_iter();
        rows.map(|(range, value)| (range.first().get(), range.len(), value))
            .collect()
    }
}

/// A reader that stays inside.
pub(crate) struct Look<'a> {
    subject: &'a Subject,
    guard: Guard,
}

#[allow(dead_code)] // no file needs all of it
impl Look<'_> {
    #[track_caller]
    pub(crate) fn get(&self, at: u64) -> Option<u64> {
        let value = self.subject.index.get_in(id(at), &self.guard);
        value.inspect(|&value| self.subject.read(value))
    }

    /// First id, length and value of the range around an id.
    #[track_caller]
    pub(crate) fn entry(&self, at: u64) -> Option<Row> {
        let (range, value) = self.subject.index.entry_in(id(at), &self.guard)?;
        self.subject.read(value);
        Some((range.first().get(), range.len(), value))
    }

    pub(crate) fn floor(&self, at: u64) -> Option<u64> {
        let floor = self.subject.index.floor_in(id(at), &self.guard);
        floor.map(|(range, _)| range.first().get())
    }

    pub(crate) fn ceiling(&self, at: u64) -> Option<u64> {
        let ceiling = self.subject.index.ceiling_in(id(at), &self.guard);
        ceiling.map(|(range, _)| range.first().get())
    }
}
