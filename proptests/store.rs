//! `MultiStore` against a `BTreeMap` of ids and bytes, on a disk in memory.
//!
//! Properties
//! * S1  `get`, a reader, `object_len` and `extent` answer with exactly what was written last.
//! * S2  The ids that are live are those of the oracle: `ids`, `len`, `root`.
//! * S3  No two extents share a byte, and none leaves the file.
//! * S4  A refused call says why, and changes nothing.
//! * S5  After a clean close everything is there, whatever the durability was; after a `sync`, and
//!   after a write with `Group`, also if the process is killed.
//! * S6  A kill leaves a beginning of what was done: the state after one of the operations since the
//!   last one that was durable.

#[path = "../tests/support/forgetful.rs"]
mod forgetful;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use forgetful::{Forgetful, Moment};
use mapless::{
    ByteLen, Durability, Generation, MultiStore, ObjectId, SizeClasses, StoreError, StoreOptions,
};
use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};

type Objects = BTreeMap<ObjectId, Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Put(u32, Durability),
    Versioned(u32),
    Many(u32, u8),
    /// In pieces of so many bytes; unfinished, or with fewer bytes than promised.
    Stream(u32, u16, Ending),
    Reserve(u32, u8),
    WriteReserved(u16, u32),
    Get(u16),
    Seek(u16, u32),
    Overwrite(u16, u32, Durability),
    Overwriter(u16, u32, Ending),
    Batch(u16, u8, u32),
    Delete(u16, Durability),
    Root(u16),
    AddClass(u16),
    Sync,
    Checkpoint,
    Reopen(Durability),
    Kill(Durability),
    LosePower(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Finish,
    Short,
    Drop,
}

impl Arbitrary for Ending {
    fn arbitrary(g: &mut Gen) -> Self {
        *g.choose(&[Self::Finish, Self::Finish, Self::Short, Self::Drop])
            .unwrap()
    }
}

fn durability(g: &mut Gen) -> Durability {
    *g.choose(&[Durability::None, Durability::Buffered, Durability::Group])
        .unwrap()
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let (n, some) = (u16::arbitrary(g), u8::arbitrary(g));
        let len = match u8::arbitrary(g) % 16 {
            0..=9 => u32::arbitrary(g) % 60,
            10..=13 => u32::arbitrary(g) % 800,
            14 => u32::arbitrary(g) % 9000,
            _ => 60_000 + u32::arbitrary(g) % 20_000,
        };
        match u8::arbitrary(g) % 40 {
            0..=6 => Self::Put(len, durability(g)),
            7 => Self::Versioned(len),
            8 => Self::Many(len, some % 40),
            9 | 10 => Self::Stream(len, n, Ending::arbitrary(g)),
            11 => Self::Reserve(len, some % 4),
            12 | 13 => Self::WriteReserved(n, len),
            14..=16 => Self::Get(n),
            17 => Self::Seek(n, len),
            18..=21 => Self::Overwrite(n, len, durability(g)),
            22 => Self::Overwriter(n, len, Ending::arbitrary(g)),
            23 | 24 => Self::Batch(n, some % 9, len),
            25..=30 => Self::Delete(n, durability(g)),
            31 => Self::Root(n),
            32 => Self::AddClass(n % 2000),
            33 => Self::Sync,
            34 | 35 => Self::Checkpoint,
            36 | 37 => Self::Reopen(durability(g)),
            38 => Self::Kill(durability(g)),
            _ => Self::LosePower(u64::arbitrary(g)),
        }
    }
}

fn options(durability: Durability) -> StoreOptions {
    let classes = SizeClasses::new([48, 100, 700].map(ByteLen::new)).unwrap();
    let options = StoreOptions::new().journal(64 << 10);
    options.size_classes(classes).durability(durability)
}

/// What is there, but for bytes.
#[derive(Clone, Default, PartialEq, Debug)]
struct Oracle {
    objects: Objects,
    root: Option<ObjectId>,
}

struct World {
    disk: Arc<Forgetful>,
    before: Vec<u8>,
    store: Option<MultiStore>,
    durability: Durability,
    now: Oracle,
    /// After each operation since the last one that was durable; the first one is that.
    since: Vec<Oracle>,
    reserved: Vec<ObjectId>,
    versions: Vec<(ObjectId, Generation)>,
    written: usize,
}

impl World {
    fn new() -> Self {
        let disk = Arc::new(Forgetful::default());
        let store = options(Durability::Buffered)
            .create_on(disk.clone())
            .unwrap();
        let mut world = Self {
            before: Vec::new(),
            store: Some(store),
            disk,
            durability: Durability::Buffered,
            now: Oracle::default(),
            since: vec![Oracle::default()],
            reserved: Vec::new(),
            versions: Vec::new(),
            written: 0,
        };
        world.before = world.disk.bytes();
        world.disk.forget();
        world
    }

    fn store(&self) -> MultiStore {
        self.store.clone().unwrap()
    }

    fn bytes(&mut self, len: u32) -> Vec<u8> {
        self.written += 1;
        let n = self.written;
        (0..len as usize)
            .map(|at| (at * 31 + at / 251 + n * 7) as u8)
            .collect()
    }

    fn pick(&self, n: u16) -> Option<ObjectId> {
        let all = &self.now.objects;
        all.keys().nth(usize::from(n) % all.len().max(1)).copied()
    }

    /// Something was done, and survives this.
    fn done(&mut self, durability: Durability) {
        self.since.push(self.now.clone());
        if durability == Durability::Group {
            self.durable();
        }
    }

    fn durable(&mut self) {
        self.since = vec![self.now.clone()];
    }

    fn born(&mut self, id: ObjectId, bytes: Vec<u8>) {
        let before = self.now.objects.insert(id, bytes);
        assert!(before.is_none(), "S2: {id:?} was given out twice");
        assert!(!self.reserved.contains(&id), "S2: {id:?} is reserved");
    }

    fn step(&mut self, op: &Op) {
        let store = self.store();
        match *op {
            Op::Put(len, durability) => {
                let bytes = self.bytes(len);
                let id = store.put_with(&bytes, durability).unwrap();
                self.born(id, bytes);
                self.done(durability);
            }
            Op::Versioned(len) => {
                let bytes = self.bytes(len);
                let (id, generation) = store.put_versioned(&bytes).unwrap();
                self.born(id, bytes);
                self.done(self.durability);
                self.versions.push((id, generation));
            }
            Op::Many(len, n) => {
                let all: Vec<_> = (0..u32::from(n))
                    .map(|n| self.bytes(len % 600 + n))
                    .collect();
                let ids = store.put_many(&all).unwrap();
                ids.iter()
                    .zip(all)
                    .for_each(|(id, bytes)| self.born(*id, bytes));
                self.done(self.durability);
            }
            Op::Stream(len, piece, ending) => self.stream(&store, len, piece, ending),
            Op::Reserve(len, n) => {
                let ids = store.allocate_run(n.into(), len.into()).unwrap();
                let is_new = |id: &ObjectId| !self.now.objects.contains_key(id);
                assert!(ids.iter().all(is_new));
                self.reserved.extend(ids);
            }
            Op::WriteReserved(n, len) => self.write_reserved(&store, n, len),
            Op::Get(n) => self.get(&store, n),
            Op::Seek(n, at) => self.seek(&store, n, at),
            Op::Overwrite(n, len, durability) => self.overwrite(&store, n, len, durability),
            Op::Overwriter(n, len, ending) => self.overwriter(&store, n, len, ending),
            Op::Batch(n, many, len) => self.batch(&store, n, many, len),
            Op::Delete(n, durability) => self.delete(&store, n, durability),
            Op::Root(n) => {
                let id = self.pick(n).filter(|_| n % 5 > 0);
                store.set_root(id).unwrap();
                self.now.root = id;
                self.done(self.durability);
            }
            Op::AddClass(size) => {
                let added = store.add_size_class(ByteLen::new(size.into()));
                let refused = matches!(added, Err(StoreError::Invalid(_)));
                assert!(added.is_ok() || refused, "{added:?}");
            }
            Op::Sync => {
                store.sync().unwrap();
                self.durable();
            }
            Op::Checkpoint => {
                store.checkpoint().unwrap();
                self.durable();
            }
            Op::Reopen(durability) => {
                store.close().unwrap();
                self.reopen(self.disk.clone(), durability);
                self.check();
            }
            Op::Kill(durability) => {
                // What a process had not written is lost; all else is there.
                let bytes = self.disk.bytes();
                self.crash(bytes, durability);
            }
            Op::LosePower(seed) => self.lose_power(seed),
        }
    }

    fn stream(&mut self, store: &MultiStore, len: u32, piece: u16, ending: Ending) {
        let bytes = self.bytes(len);
        let (id, mut writer) = store.create_writer(len.into()).unwrap();
        assert!(matches!(store.get(id), Err(StoreError::NotWritten(_))));
        let short = usize::from(ending == Ending::Short).min(bytes.len());
        for piece in bytes[short..].chunks(usize::from(piece).max(7)) {
            writer.write_all(piece).unwrap();
        }
        if ending == Ending::Drop {
            drop(writer);
        } else if short > 0 {
            let error = writer.finish().unwrap_err();
            assert!(matches!(error, StoreError::WrongLength { .. }), "{error}");
        } else {
            assert_eq!(writer.finish().unwrap(), id);
            self.born(id, bytes);
            self.done(self.durability);
        }
    }

    fn write_reserved(&mut self, store: &MultiStore, n: u16, len: u32) {
        if self.reserved.is_empty() {
            return;
        }
        let at = usize::from(n) % self.reserved.len();
        let id = self.reserved.swap_remove(at);
        let mut writer = store.writer(id).unwrap();
        let bytes = self.bytes(len % (writer.capacity() as u32 + 1));
        writer.write_all(&bytes).unwrap();
        if !n.is_multiple_of(4) {
            writer.finish().unwrap();
            self.born(id, bytes);
            self.done(self.durability);
        }
    }

    fn get(&mut self, store: &MultiStore, n: u16) {
        if let Some((id, generation)) = self.versions.get(usize::from(n) % 8) {
            let read = store.get_version(*id, *generation);
            let stale = matches!(read, Err(StoreError::Stale(_)));
            let gone = read.is_err() && !stale && !self.now.objects.contains_key(id);
            let is_it = read.is_ok_and(|read| self.now.objects.get(id).is_some_and(|b| read == *b));
            assert!(stale || gone || is_it, "S1: {id:?}");
        }
        if let Some(id) = self.pick(n) {
            assert_eq!(store.get(id).unwrap(), self.now.objects[&id], "S1");
        }
        for id in &self.reserved {
            assert!(matches!(store.get(*id), Err(StoreError::NotWritten(_))));
        }
    }

    fn seek(&self, store: &MultiStore, n: u16, at: u32) {
        let Some(id) = self.pick(n) else { return };
        let bytes = &self.now.objects[&id];
        let mut reader = store.reader(id).unwrap();
        assert_eq!(reader.len(), bytes.len() as u64);
        let mut read = Vec::new();
        reader.seek(SeekFrom::Start(at.into())).unwrap();
        reader.by_ref().take(70_000).read_to_end(&mut read).unwrap();
        let from = (at as usize).min(bytes.len());
        assert_eq!(read, bytes[from..bytes.len().min(from + 70_000)], "S1");
        let busy = store.try_overwrite(id, b"");
        assert!(matches!(busy, Err(StoreError::Busy(_))), "S4: {busy:?}");
    }

    /// The object, how many bytes it takes, and new ones.
    fn changed(
        &mut self,
        store: &MultiStore,
        n: u16,
        len: u32,
    ) -> Option<(ObjectId, u64, Vec<u8>)> {
        let id = self.pick(n)?;
        let bytes = self.bytes(len);
        Some((id, store.extent(id).unwrap().len.get(), bytes))
    }

    fn overwrite(&mut self, store: &MultiStore, n: u16, len: u32, durability: Durability) {
        let Some((id, room, bytes)) = self.changed(store, n, len) else {
            return;
        };
        match store.overwrite_with(id, &bytes, durability) {
            Ok(()) => {
                assert!(bytes.len() as u64 <= room);
                self.now.objects.insert(id, bytes);
                self.done(durability);
            }
            Err(StoreError::TooLarge { len, capacity }) => {
                assert_eq!((len, capacity), (bytes.len() as u64, room), "S4");
                assert!(len > room, "S4");
            }
            Err(error) => panic!("S4: {error}"),
        }
    }

    fn overwriter(&mut self, store: &MultiStore, n: u16, len: u32, ending: Ending) {
        let Some((id, room, mut bytes)) = self.changed(store, n, len) else {
            return;
        };
        bytes.truncate(room as usize);
        let mut writer = store.overwriter(id).unwrap();
        writer.write_all(&bytes).unwrap();
        match ending {
            Ending::Finish => {
                writer.finish().unwrap();
                self.now.objects.insert(id, bytes);
                self.done(Durability::Group);
            }
            Ending::Short => {
                // Somebody else is faster.
                let other = self.bytes(5);
                store.overwrite(id, &other).unwrap();
                self.now.objects.insert(id, other);
                self.done(self.durability);
                assert!(matches!(writer.finish(), Err(StoreError::Stale(_))), "S4");
            }
            Ending::Drop => drop(writer),
        }
    }

    fn batch(&mut self, store: &MultiStore, n: u16, many: u8, len: u32) {
        let ids = (0..u16::from(many)).filter_map(|at| self.pick(n.wrapping_add(at)));
        let mut ids: Vec<ObjectId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let batch = ids.iter().map(|id| (*id, self.bytes(len % 200)));
        let batch: Vec<_> = batch.collect();
        match store.write_batch(&batch) {
            Ok(()) if batch.is_empty() => {}
            Ok(()) => {
                self.now.objects.extend(batch);
                self.done(self.durability);
            }
            Err(StoreError::TooLarge { .. }) => {}
            Err(error) => panic!("S4: {error}"),
        }
    }

    fn delete(&mut self, store: &MultiStore, n: u16, durability: Durability) {
        let Some(id) = self.pick(n) else { return };
        store.delete_with(id, durability).unwrap();
        self.now.objects.remove(&id);
        self.now.root = self.now.root.filter(|root| *root != id);
        self.done(durability);
        for error in [store.get(id).err(), store.delete(id).err()] {
            let told = matches!(error, Some(StoreError::Freed(_) | StoreError::Unknown(_)));
            assert!(told, "S4: {error:?}");
        }
    }

    fn reopen(&mut self, disk: Arc<Forgetful>, durability: Durability) {
        self.store = None;
        (self.disk, self.durability) = (disk, durability);
        self.before = self.disk.bytes();
        self.disk.forget();
        self.store = Some(options(durability).open_on(self.disk.clone()).unwrap());
        self.reserved.clear();
    }

    /// Goes on with what a crash left.
    fn crash(&mut self, bytes: Vec<u8>, durability: Durability) {
        // The store that is left behind is not to write to the disk any more.
        let left = core::mem::replace(&mut self.disk, Arc::new(Forgetful::new(bytes)));
        self.store = None;
        drop(left);
        self.reopen(self.disk.clone(), durability);
        let store = self.store();
        let found = Oracle {
            objects: store
                .ids()
                .map(|id| (id, store.get(id).unwrap().to_vec()))
                .collect(),
            root: store.root(),
        };
        assert!(
            self.since.contains(&found),
            "S5, S6: {:?}",
            found.objects.keys()
        );
        self.now = found;
        self.durable();
        // Generations of what is lost may be drawn again.
        self.versions.clear();
        self.check();
    }

    fn lose_power(&mut self, seed: u64) {
        let mut moment = Moment::new(self.before.clone());
        self.disk
            .events()
            .iter()
            .for_each(|event| moment.step(event));
        let mut state = seed | 1;
        let bytes = moment.chosen(|choices| {
            // Marsaglia's xorshift (JSS 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % choices as u64) as usize
        });
        self.crash(bytes, self.durability);
    }

    fn check(&self) {
        let store = self.store();
        let ids: Vec<ObjectId> = store.ids().collect();
        assert!(ids.iter().eq(self.now.objects.keys()), "S2: {ids:?}");
        assert_eq!(
            (store.len(), store.root()),
            (ids.len() as u64, self.now.root),
            "S2"
        );
        assert_eq!(store.open_objects(), 0);
        let mut extents = Vec::new();
        for (id, bytes) in &self.now.objects {
            assert_eq!(store.get(*id).unwrap(), bytes, "S1: {id:?}");
            assert_eq!(store.object_len(*id).unwrap(), bytes.len() as u64, "S1");
            let extent = store.extent(*id).unwrap();
            assert!(extent.len.get() >= bytes.len() as u64, "S1");
            extents.push((extent.offset.get(), extent.end().unwrap().get()));
        }
        extents.sort_unstable();
        let disjoint = extents.windows(2).all(|pair| pair[0].1 + 16 <= pair[1].0);
        assert!(disjoint, "S3: {extents:?}");
        let end = extents.last().map_or(0, |last| last.1);
        assert!(end <= self.disk.bytes().len() as u64, "S3");
    }
}

fn run(ops: &[Op]) {
    let mut world = World::new();
    for op in ops {
        world.step(op);
    }
    world.check();
    world.step(&Op::Reopen(Durability::Group));
}

quickcheck! {
    fn a_store_behaves_like_a_map_of_bytes(ops: Vec<Op>) -> TestResult {
        run(&ops);
        TestResult::passed()
    }
}

/// Long runs, in which the journal goes round and checkpoints come by themselves.
#[test]
fn long_runs_behave_so_as_well() {
    for size in [300, 600, 1200] {
        let mut g = Gen::new(size);
        for _ in 0..4 {
            let ops: Vec<Op> = (0..size).map(|_| Op::arbitrary(&mut g)).collect();
            run(&ops);
        }
    }
}
