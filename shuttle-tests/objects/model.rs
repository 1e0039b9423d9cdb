//! What callers know of the objects of a store: which bytes an id may have, who ended what. Only facts
//! that stay true are written down, before a call what it may do and after it what it did; so a call
//! that overlaps others is checked against what was known when it began and when it ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mapless::{InMemoryStore, ObjectError, ObjectId};

/// What the store keeps for an object beside its bytes.
pub(crate) const OVERHEAD: u64 = 96;

/// What an object may come to; a set of them is a sum.
pub(crate) const READY: u8 = 1;
pub(crate) const ABORTED: u8 = 2;
pub(crate) const ABANDONED: u8 = 4;
pub(crate) const FAILED: u8 = 8;
pub(crate) const FULL: u8 = 16;

/// A store that has room for so much.
pub(crate) fn store(room: u64, retained: bool, collects: bool) -> InMemoryStore {
    // The store keeps 64 KiB and a 128th of the limit for itself.
    let least = (room + (1 << 16)) * 128 / 127;
    let built = (least - 2..).find_map(|limit| {
        let builder = InMemoryStore::builder(limit)
            .count_retained(retained)
            .collect_unreferenced(collects);
        builder.build().ok().filter(|it| it.stats().limit >= room)
    });
    let store = built.expect("some limit leaves this room");
    assert_eq!(store.stats().limit, room);
    store
}

/// What is known of an id.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    root: u64,
    len: usize,
    /// What it may come to: nothing until somebody begins to end it.
    pub(crate) may: u8,
    /// It has come to something.
    settled: bool,
    /// So many began to delete it.
    pub(crate) deleting: u32,
    /// One of them did.
    deleted: bool,
}

impl Known {
    /// Has bytes, and will.
    fn stays_ready(self) -> bool {
        self.may == READY && self.deleting == 0
    }
}

#[derive(Default)]
struct State {
    ids: BTreeMap<ObjectId, Known>,
    roots: u64,
    clears_begun: u64,
    clears_ended: u64,
}

#[derive(Default)]
pub(crate) struct Model {
    state: Mutex<State>,
    /// What is in the store for certain, with what the store keeps for it.
    inside: AtomicU64,
    /// Payloads that are not freed.
    payloads: AtomicU64,
}

/// Content that no other payload has.
fn content(root: u64, len: usize) -> impl Iterator<Item = u8> {
    (0..len).map(move |at| (root.rotate_left(at as u32 * 8) as u8) ^ (at >> 3) as u8)
}

const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const GONE: u8 = 2;

/// A payload that knows where it is.
struct Owned {
    bytes: Vec<u8>,
    place: Arc<AtomicU8>,
    model: Arc<Model>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.model.payloads.fetch_sub(1, SeqCst);
        if self.place.swap(GONE, SeqCst) == INSIDE {
            let weight = OVERHEAD + self.bytes.len() as u64;
            self.model.inside.fetch_sub(weight, SeqCst);
        }
    }
}

/// A payload to be put, by a call that begins now.
pub(crate) struct Parcel {
    pub(crate) bytes: Bytes,
    place: Arc<AtomicU8>,
    root: u64,
    clears_ended: u64,
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn parcel(self: &Arc<Self>, len: usize) -> Parcel {
        let mut state = self.state();
        state.roots += 1;
        let (root, clears_ended) = (
            state.roots.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            state.clears_ended,
        );
        let place = Arc::new(AtomicU8::new(OUTSIDE));
        self.payloads.fetch_add(1, SeqCst);
        let owned = Owned {
            bytes: content(root, len).collect(),
            place: Arc::clone(&place),
            model: Arc::clone(self),
        };
        Parcel {
            bytes: Bytes::from_owner(owned),
            place,
            root,
            clears_ended,
        }
    }

    /// So much was put: it counts until it is freed.
    fn came_in(&self, place: &AtomicU8, len: usize) {
        let inside = place.compare_exchange(OUTSIDE, INSIDE, SeqCst, SeqCst);
        if inside.is_ok() {
            self.inside.fetch_add(OVERHEAD + len as u64, SeqCst);
        }
    }

    /// An id has a payload, or will have.
    fn add(&self, id: ObjectId, parcel: &Parcel, len: usize, may: u8) {
        let mut state = self.state();
        let known = Known {
            root: parcel.root,
            len,
            may,
            settled: may != 0,
            deleting: u32::from(state.clears_begun > parcel.clears_ended),
            deleted: false,
        };
        assert!(
            state.ids.insert(id, known).is_none(),
            "{id} was given twice"
        );
    }

    pub(crate) fn put(&self, id: ObjectId, parcel: &Parcel, len: usize) {
        self.came_in(&parcel.place, len);
        self.add(id, parcel, len, READY);
    }

    /// The id of a builder or promise, with what it is to have.
    pub(crate) fn pending(&self, id: ObjectId, parcel: &Parcel, len: usize) {
        self.add(id, parcel, len, 0);
    }

    /// A payload whose size nobody knew.
    pub(crate) fn will_have(self: &Arc<Self>, id: ObjectId, len: usize) -> Parcel {
        let parcel = self.parcel(len);
        self.change(id, |known| (known.root, known.len) = (parcel.root, len));
        parcel
    }

    pub(crate) fn change(&self, id: ObjectId, f: impl FnOnce(&mut Known)) {
        f(self.state().ids.get_mut(&id).expect("it was given out"));
    }

    /// It will come to one of these, now.
    pub(crate) fn settles(&self, id: ObjectId, may: u8) {
        self.change(id, |known| known.may |= may);
    }

    pub(crate) fn settled(&self, id: ObjectId, as_what: u8) {
        self.change(id, |known| {
            assert!(known.may & as_what != 0, "{id} came to what it could not");
            (known.may, known.settled) = (as_what, true);
        });
    }

    pub(crate) fn fulfilled(&self, id: ObjectId, parcel: &Parcel, len: usize) {
        self.came_in(&parcel.place, len);
        self.settled(id, READY);
    }

    pub(crate) fn known(&self, id: ObjectId) -> Known {
        self.state().ids[&id]
    }

    pub(crate) fn ids(&self) -> Vec<ObjectId> {
        self.state().ids.keys().copied().collect()
    }

    // ---------------------------------------------------------------- deletion

    pub(crate) fn deletes(&self, id: ObjectId) {
        self.change(id, |known| known.deleting += 1);
    }

    pub(crate) fn deleted(&self, id: ObjectId) {
        self.change(id, |known| {
            assert!(!known.deleted, "O4: {id} was deleted twice");
            known.deleted = true;
        });
    }

    pub(crate) fn clears(&self) {
        let mut state = self.state();
        state.clears_begun += 1;
        state.ids.values_mut().for_each(|known| known.deleting += 1);
    }

    pub(crate) fn cleared(&self) {
        self.state().clears_ended += 1;
    }

    // ---------------------------------------------------------------- checks

    /// O1: these are the bytes of this id.
    pub(crate) fn check_bytes(&self, id: ObjectId, bytes: &[u8]) {
        let known = self.known(id);
        let is_it = content(known.root, known.len).eq(bytes.iter().copied());
        assert!(is_it, "O1: {id} has other bytes");
    }

    /// O1, O2 and O4: what a look at `id` that began when `before` was known came to.
    pub(crate) fn check(
        &self,
        id: ObjectId,
        before: Known,
        pinned: bool,
        error: Option<&ObjectError>,
    ) {
        let after = self.known(id);
        let may = |what| after.may & what != 0;
        let is_right = match error {
            None => may(READY) && !before.deleted,
            Some(ObjectError::Pending(_)) => !before.settled && !before.deleted,
            Some(ObjectError::Deleted(_)) => after.deleting > 0,
            Some(ObjectError::Evicted(_)) if pinned && after.stays_ready() => false,
            Some(ObjectError::Evicted(_)) => after.may != 0 || after.deleting > 0,
            Some(ObjectError::Aborted(_)) => may(ABORTED),
            Some(ObjectError::Abandoned(_)) => may(ABANDONED),
            Some(ObjectError::Failed(_)) => may(FAILED),
            Some(ObjectError::Full(_)) => may(FULL),
            Some(_) => false,
        };
        let Known {
            may,
            settled,
            deleting,
            deleted,
            ..
        } = after;
        assert!(
            is_right,
            "{id}, pinned {pinned}: {error:?}, but it may come to {may} ({settled}), \
             is deleted by {deleting} ({deleted})"
        );
    }

    /// O3: no more is inside than there may be.
    pub(crate) fn check_room(&self, limit: u64) {
        let inside = self.inside.load(SeqCst);
        assert!(inside <= limit, "O3: {inside} inside of {limit}");
    }

    /// O6: nothing is left.
    pub(crate) fn check_empty(&self) {
        let left = (self.inside.load(SeqCst), self.payloads.load(SeqCst));
        assert_eq!(left, (0, 0), "O6: bytes inside, and payloads");
    }
}

/// O6: a store in which nothing is left has all of its room.
pub(crate) fn check_at_rest(store: &InMemoryStore) {
    let stats = store.stats();
    assert_eq!(
        stats.puts,
        stats.objects + stats.evicted + stats.removed,
        "O6"
    );
    assert_eq!(stats.sizes.iter().sum::<u64>(), stats.objects, "O6");
    assert_eq!(stats.pinned_bytes, 0, "O6: pinned");
    assert_eq!((stats.pending, stats.pending_bytes), (0, 0), "O6: pending");
    store.clear();
    let stats = store.stats();
    assert_eq!((stats.objects, stats.bytes), (0, 0), "O6: objects");
    assert_eq!((stats.used_bytes, stats.retained_bytes), (0, 0), "O6: room");
    let all = (stats.limit - OVERHEAD) as usize;
    let builder = store.create(all).expect("O6: all the room can be had");
    drop(builder);
    store.clear();
    assert_eq!(store.stats().used_bytes, 0, "O6: room");
}
