//! A small store with some of everything in it, and what was there after each operation.
#![allow(dead_code)] // each test takes what it needs

use std::collections::BTreeMap;
use std::sync::Arc;

use mapless::{ByteLen, MultiStore, ObjectId, SizeClasses, StoreError, StoreOptions};

use super::forgetful::Forgetful;

pub(crate) type Objects = BTreeMap<ObjectId, Vec<u8>>;

pub(crate) fn options() -> StoreOptions {
    let classes = SizeClasses::new([ByteLen::new(64), ByteLen::new(700)]).unwrap();
    StoreOptions::new().journal(64 << 10).size_classes(classes)
}

pub(crate) fn content(n: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at * 29 + at / 256 + n * 77 + 5) as u8)
        .collect()
}

/// An empty store's bytes.
pub(crate) fn formatted() -> Vec<u8> {
    let disk = Arc::new(Forgetful::default());
    drop(options().create_on(disk.clone()).unwrap());
    disk.bytes()
}

/// A file, what is in it, and what was in it before the last operation.
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) before: Objects,
    pub(crate) objects: Objects,
    /// Whatever was written, and under which id.
    pub(crate) ever: Vec<(ObjectId, Vec<u8>)>,
}

/// A store that was closed, or whose process was killed.
pub(crate) fn sample(closed: bool) -> Sample {
    let disk = Arc::new(Forgetful::new(formatted()));
    let store = options().open_on(disk.clone()).unwrap();
    let mut objects = Objects::new();
    let lens = [0, 1, 30, 48, 49, 600, 5000, 66_000];
    for (n, len) in lens.into_iter().enumerate() {
        objects.insert(store.put(content(n, len)).unwrap(), content(n, len));
    }
    let ids: Vec<ObjectId> = objects.keys().copied().collect();
    let mut ever: Vec<_> = objects.clone().into_iter().collect();
    store.set_root(Some(ids[2])).unwrap();
    store.delete(ids[1]).unwrap();
    objects.remove(&ids[1]);
    store.checkpoint().unwrap();
    store.add_size_class(ByteLen::new(128)).unwrap();
    let small: Vec<Vec<u8>> = (0..3).map(|n| content(20 + n, 40)).collect();
    objects.extend(store.put_many(&small).unwrap().into_iter().zip(small));
    for (id, bytes) in [(ids[0], content(30, 33)), (ids[7], content(31, 65_900))] {
        store.overwrite(id, &bytes).unwrap();
        objects.insert(id, bytes);
    }
    store.delete(ids[5]).unwrap();
    objects.remove(&ids[5]);
    let bytes = content(40, 4000);
    objects.insert(store.put(&bytes).unwrap(), bytes);
    let before = objects.clone();
    ever.extend(before.clone());
    let bytes = content(41, 20);
    objects.insert(store.put(&bytes).unwrap(), bytes);
    if closed {
        drop(store);
    }
    Sample {
        bytes: disk.bytes(),
        before,
        ever: ever.into_iter().chain(objects.clone()).collect(),
        objects,
    }
}

/// What a store has; nothing in place of what it knows to be damaged.
pub(crate) fn found(store: &MultiStore) -> BTreeMap<ObjectId, Option<Vec<u8>>> {
    let get = |id| match store.get(id) {
        Ok(bytes) => Some(bytes.to_vec()),
        Err(StoreError::Corrupt(at)) if at == id => None,
        Err(error) => panic!("{id:?}: {error}"),
    };
    store.ids().map(|id| (id, get(id))).collect()
}

/// Whether a store has these objects, but for damage that it knows of; how many are damaged.
pub(crate) fn is(found: &BTreeMap<ObjectId, Option<Vec<u8>>>, objects: &Objects) -> Option<usize> {
    let same = found.len() == objects.len()
        && found
            .iter()
            .zip(objects)
            .all(|((id, found), (other, bytes))| {
                id == other && found.as_ref().is_none_or(|found| found == bytes)
            });
    same.then(|| found.values().filter(|found| found.is_none()).count())
}
