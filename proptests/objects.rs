//! `InMemoryStore` against a map from ids to what is known of them.
//!
//! Properties
//! * M1  With room for all, every call answers as the map says: bytes, pins, references, errors.
//! * M2  Without, what can be read has its bytes; what is pinned or pending is there; what is not there
//!   says so by `Evicted`, and nothing but ready, unpinned objects ever goes by itself.
//! * M3  `used` is never above the limit, and the figures are those of the map.
//! * M4  When all is deleted and nobody has anything any more, all of the room is back.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapless::{
    InMemoryStore, ObjectBuilder, ObjectError, ObjectId, ObjectRef, ObjectState, PinGuard, Promise,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};

#[derive(Clone, Debug)]
enum Op {
    Put(u32),
    Slice(u16),
    Create(u32),
    Seal(u8),
    Abort(u8),
    Promise,
    Fulfil(u8, u32),
    Fail(u8),
    Read(u8),
    Keep(u8),
    LetGo,
    Pin(u8),
    Guard(u8),
    Unguard,
    Unpin(u8),
    Refer(u8),
    Unrefer,
    Delete(u8),
    Clear,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let (which, len) = (u8::arbitrary(g), u32::arbitrary(g) % 30_000);
        match u8::arbitrary(g) % 40 {
            0..=7 => Self::Put(len),
            8 => Self::Slice(u16::arbitrary(g) % 500),
            9..=10 => Self::Create(len),
            11..=12 => Self::Seal(which),
            13 => Self::Abort(which),
            14..=15 => Self::Promise,
            16..=17 => Self::Fulfil(which, len),
            18 => Self::Fail(which),
            19..=23 => Self::Read(which),
            24 => Self::Keep(which),
            25 => Self::LetGo,
            26..=27 => Self::Pin(which),
            28 => Self::Guard(which),
            29 => Self::Unguard,
            30..=31 => Self::Unpin(which),
            32..=33 => Self::Refer(which),
            34..=35 => Self::Unrefer,
            36..=38 => Self::Delete(which),
            _ => Self::Clear,
        }
    }
}

/// What is known of an id.
#[derive(Clone, Debug, Default)]
struct Known {
    bytes: Option<Bytes>,
    failed: bool,
    deleted: bool,
    /// By calls of `pin`, and guards.
    pins: u64,
    references: u64,
}

impl Known {
    fn is_pending(&self) -> bool {
        self.bytes.is_none() && !self.failed
    }
}

struct World {
    store: InMemoryStore,
    ample: bool,
    all: BTreeMap<ObjectId, Known>,
    builders: Vec<ObjectBuilder>,
    promises: Vec<Promise>,
    guards: Vec<PinGuard>,
    references: Vec<ObjectRef<Bytes>>,
    kept: Vec<Bytes>,
    written: u8,
}

fn bytes(len: u32, byte: u8) -> Bytes {
    Bytes::from(vec![byte; len as usize])
}

impl World {
    fn new(ample: bool) -> Self {
        let limit = if ample { 1 << 30 } else { 200_000 };
        Self {
            store: InMemoryStore::new(limit),
            ample,
            all: BTreeMap::new(),
            builders: Vec::new(),
            promises: Vec::new(),
            guards: Vec::new(),
            references: Vec::new(),
            kept: Vec::new(),
            written: 0,
        }
    }

    /// One of the ids.
    fn id(&self, which: u8) -> Option<ObjectId> {
        let n = usize::from(which) * self.all.len() / 256;
        self.all.keys().nth(n).copied()
    }

    fn knows(&mut self, id: ObjectId, bytes: Option<Bytes>) {
        let known = Known {
            bytes,
            ..Known::default()
        };
        assert!(self.all.insert(id, known).is_none(), "an id came twice");
    }

    /// What a full store refuses; a store with room does not.
    fn full<T>(&self, error: &ObjectError) -> Option<T> {
        assert!(matches!(error, ObjectError::Full(_)), "{error}");
        assert!(!self.ample);
        None
    }

    fn next_byte(&mut self) -> u8 {
        self.written = self.written.wrapping_add(1);
        self.written
    }

    /// Evicted by itself: nobody may know of it any more.
    fn evicted(&mut self, id: ObjectId) {
        let known = self.all.remove(&id).expect("it is known");
        assert!(!self.ample, "there was room");
        assert!(known.pins == 0 || known.failed, "{known:?}");
        assert!(!known.is_pending(), "{known:?}");
        assert!(!known.failed || known.references == 0, "{known:?}");
    }

    fn read(&mut self, id: ObjectId) -> Option<Bytes> {
        let known = self.all[&id].clone();
        match self.store.get_raw(id) {
            Ok(bytes) => {
                assert!(!known.deleted);
                assert_eq!(Some(&bytes), known.bytes.as_ref());
                Some(bytes)
            }
            Err(ObjectError::Pending(_)) => {
                assert!(known.is_pending());
                None
            }
            Err(ObjectError::Deleted(_)) => {
                assert!(known.deleted && known.pins > 0);
                None
            }
            Err(ObjectError::Evicted(_)) => {
                self.evicted(id);
                None
            }
            Err(error) => {
                assert!(known.failed, "{error}");
                None
            }
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Put(len) => self.put(len),
            Op::Slice(len) => self.slice(len),
            Op::Create(len) => self.create(len),
            Op::Seal(which) => self.seal(which),
            Op::Abort(which) => self.abort(which),
            Op::Promise => self.promise(),
            Op::Fulfil(which, len) => self.fulfil(which, len),
            Op::Fail(which) => self.fail(which),
            Op::LetGo => self.kept.clear(),
            Op::Unguard => self.unguard(),
            Op::Unrefer => self.unrefer(),
            Op::Clear => self.clear(),
            Op::Read(which)
            | Op::Keep(which)
            | Op::Pin(which)
            | Op::Guard(which)
            | Op::Unpin(which)
            | Op::Refer(which)
            | Op::Delete(which) => {
                if let Some(id) = self.id(which) {
                    self.step_of(&op, id);
                }
            }
        }
    }

    fn step_of(&mut self, op: &Op, id: ObjectId) {
        match op {
            Op::Keep(_) => {
                let bytes = self.read(id);
                self.kept.extend(bytes);
            }
            Op::Pin(_) => self.pin(id),
            Op::Guard(_) => self.guard(id),
            Op::Unpin(_) => self.unpin(id),
            Op::Refer(_) => self.refer(id),
            Op::Delete(_) => self.delete(id),
            _ => drop(self.read(id)),
        }
    }

    fn put(&mut self, len: u32) {
        let bytes = bytes(len, self.next_byte());
        match self.store.put_bytes(bytes.clone()) {
            Ok(id) => self.knows(id, Some(bytes)),
            Err(error) => {
                assert_eq!(error.bytes, bytes);
                self.full(&error.reason).unwrap_or_default()
            }
        }
    }

    fn slice(&mut self, len: u16) {
        let bytes = bytes(len.into(), self.next_byte());
        match self.store.put_slice(&bytes) {
            Ok(id) => self.knows(id, Some(bytes)),
            Err(error) => self.full(&error).unwrap_or_default(),
        }
    }

    fn create(&mut self, len: u32) {
        match self.store.create(len as usize) {
            Ok(builder) => {
                self.knows(builder.id(), None);
                self.builders.push(builder);
            }
            Err(error) => self.full(&error).unwrap_or_default(),
        }
    }

    fn seal(&mut self, which: u8) {
        let Some(mut builder) = take(&mut self.builders, which) else {
            return;
        };
        let byte = self.next_byte();
        builder.as_mut_slice().fill(byte);
        let (id, len) = (builder.id(), builder.size() as u32);
        match builder.seal() {
            Ok(sealed) => {
                assert_eq!(sealed, id);
                let known = self.all.get_mut(&id).expect("it was not deleted");
                known.bytes = Some(bytes(len, byte));
            }
            Err(error) => {
                assert!(matches!(error.reason, ObjectError::Deleted(_)));
                assert!(!self.all.contains_key(&id));
            }
        }
    }

    fn abort(&mut self, which: u8) {
        if let Some(builder) = take(&mut self.builders, which) {
            let id = builder.id();
            drop(builder);
            self.failed(id);
        }
    }

    fn failed(&mut self, id: ObjectId) {
        if let Some(known) = self.all.get_mut(&id) {
            known.failed = true;
        }
    }

    fn promise(&mut self) {
        match self.store.promise() {
            Ok(promise) => {
                self.knows(promise.id(), None);
                self.promises.push(promise);
            }
            Err(error) => self.full(&error).unwrap_or_default(),
        }
    }

    fn fulfil(&mut self, which: u8, len: u32) {
        let Some(promise) = take(&mut self.promises, which) else {
            return;
        };
        let (id, bytes) = (promise.id(), bytes(len, self.next_byte()));
        match promise.fulfil(bytes.clone()) {
            Ok(fulfilled) => {
                assert_eq!(fulfilled, id);
                let known = self.all.get_mut(&id).expect("it was not deleted");
                known.bytes = Some(bytes);
            }
            Err(error) => {
                assert_eq!(error.bytes, bytes);
                if matches!(error.reason, ObjectError::Deleted(_)) {
                    assert!(!self.all.contains_key(&id));
                } else {
                    self.failed(id);
                    self.full(&error.reason).unwrap_or_default()
                }
            }
        }
    }

    fn fail(&mut self, which: u8) {
        if let Some(promise) = take(&mut self.promises, which) {
            let id = promise.id();
            promise.fail("no luck");
            self.failed(id);
        }
    }

    fn pin(&mut self, id: ObjectId) {
        let may = self.all[&id].is_pending() || self.read(id).is_some();
        if may {
            self.store.pin(id).expect("it can be read");
            self.all.get_mut(&id).expect("it is known").pins += 1;
        } else {
            assert!(self.store.pin(id).is_err());
        }
    }

    fn guard(&mut self, id: ObjectId) {
        let readable = self.read(id).is_some();
        match self.store.pinned(id) {
            Ok(guard) => {
                assert!(readable);
                self.all.get_mut(&id).expect("it is known").pins += 1;
                self.guards.push(guard);
            }
            Err(error) => assert!(!readable, "{error}"),
        }
    }

    fn unguard(&mut self) {
        if let Some(guard) = self.guards.pop() {
            let id = guard.id();
            drop(guard);
            self.unpinned(id);
        }
    }

    fn unpinned(&mut self, id: ObjectId) {
        let known = self.all.get_mut(&id).expect("it was pinned");
        known.pins -= 1;
        if known.pins == 0 && known.deleted {
            self.all.remove(&id);
        }
    }

    /// By the call; a guard's pin is the guard's.
    fn unpin(&mut self, id: ObjectId) {
        let guards = self.guards.iter().filter(|guard| guard.id() == id);
        let guards = guards.count() as u64;
        let known = self.all[&id].clone();
        if known.pins > guards {
            self.store.unpin(id).expect("it is pinned");
            self.unpinned(id);
        } else if known.pins == 0 {
            match self.store.unpin(id) {
                Err(ObjectError::NotPinned(_)) => {}
                Err(ObjectError::Evicted(_)) => self.evicted(id),
                other => panic!("{other:?}"),
            }
        }
    }

    fn refer(&mut self, id: ObjectId) {
        match self.store.reference(id) {
            Ok(reference) => {
                let known = self.all.get_mut(&id).expect("it is known");
                assert!(!known.deleted);
                known.references += 1;
                self.references.push(reference);
            }
            Err(ObjectError::Deleted(_)) => assert!(self.all[&id].deleted),
            Err(ObjectError::Evicted(_)) => self.evicted(id),
            Err(error) => panic!("{error}"),
        }
    }

    fn unrefer(&mut self) {
        if let Some(reference) = self.references.pop()
            && let Some(known) = self.all.get_mut(&reference.id())
        {
            known.references -= 1;
        }
    }

    fn delete(&mut self, id: ObjectId) {
        match self.store.delete(id) {
            Ok(()) => self.deleted(id),
            Err(ObjectError::Deleted(_)) => assert!(self.all[&id].deleted),
            Err(ObjectError::Evicted(_)) => self.evicted(id),
            Err(error) => panic!("{error}"),
        }
    }

    fn deleted(&mut self, id: ObjectId) {
        let known = self.all.get_mut(&id).expect("it is known");
        assert!(!known.deleted);
        known.deleted = true;
        if known.pins == 0 || known.bytes.is_none() {
            self.all.remove(&id);
        }
    }

    fn clear(&mut self) {
        self.store.clear();
        self.all.retain(|_, known| {
            known.deleted = true;
            known.pins > 0 && known.bytes.is_some()
        });
    }

    /// M1 to M3, of all that there is.
    fn check(&mut self) {
        let ids: Vec<ObjectId> = self.all.keys().copied().collect();
        for id in ids {
            let Ok(metadata) = self.store.metadata(id) else {
                drop(self.read(id));
                continue;
            };
            let known = &self.all[&id];
            assert_eq!(metadata.pins, known.pins);
            assert_eq!(metadata.references, known.references);
            let state = match (&known.bytes, known.failed) {
                (Some(_), _) => ObjectState::Ready,
                (None, true) => ObjectState::Failed,
                (None, false) => ObjectState::Pending,
            };
            assert_eq!(metadata.state, state);
        }
        let ready = self.all.values().filter_map(|known| known.bytes.as_ref());
        let stats = self.store.stats();
        assert_eq!(stats.objects, ready.clone().count() as u64);
        assert_eq!(stats.bytes, ready.map(|bytes| bytes.len() as u64).sum());
        assert_eq!(stats.sizes.iter().sum::<u64>(), stats.objects);
        let pending = self.builders.len() + self.promises.len();
        assert_eq!(stats.pending, pending as u64);
        assert!(stats.used_bytes <= stats.limit, "{stats}");
    }

    /// M4.
    fn end(mut self) {
        self.store.clear();
        for id in std::mem::take(&mut self.all).keys() {
            while self.store.unpin(*id).is_ok() {}
        }
        self.builders.clear();
        self.promises.clear();
        self.guards.clear();
        self.references.clear();
        self.kept.clear();
        self.store.clear();
        let stats = self.store.stats();
        assert_eq!(stats.used_bytes, 0, "{stats}");
        assert_eq!((stats.pinned_bytes, stats.pending_bytes), (0, 0));
    }
}

fn take<T>(from: &mut Vec<T>, which: u8) -> Option<T> {
    let n = usize::from(which) * from.len() / 256;
    (n < from.len()).then(|| from.swap_remove(n))
}

fn run(ample: bool, ops: Vec<Op>) -> bool {
    let mut world = World::new(ample);
    for op in ops {
        world.step(op);
        world.check();
    }
    world.end();
    true
}

#[test]
fn the_store_does_what_the_map_says() {
    QuickCheck::new()
        .rng(Gen::new(150))
        .tests(400)
        .quickcheck(run as fn(bool, Vec<Op>) -> bool);
}
