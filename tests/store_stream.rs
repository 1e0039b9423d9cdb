//! Objects written and read piece by piece.
#![cfg(feature = "store")]

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mapless::{Durability, MultiStore, StoreError, StoreOptions};

fn bytes(n: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at * 31 + at / 65_536 + n * 7) as u8)
        .collect()
}

fn store() -> (tempfile::TempDir, MultiStore) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::new()
        .journal(256 << 10)
        .durability(Durability::Buffered);
    let store = options.create(dir.path().join("objects")).unwrap();
    (dir, store)
}

const LENS: [usize; 8] = [
    0,
    1,
    65_535,
    65_536,
    65_537,
    131_072,
    1 << 20,
    (5 << 20) + 3,
];

#[test]
fn what_is_written_in_pieces_is_read_in_pieces_and_at_once() {
    let (_dir, store) = store();
    for (n, len) in LENS.into_iter().enumerate() {
        let payload = bytes(n, len);
        let (id, mut writer) = store.create_writer(len as u64).unwrap();
        assert!(matches!(store.get(id), Err(StoreError::NotWritten(_))));
        assert_eq!(store.len(), n as u64);
        for piece in payload.chunks(10_007) {
            writer.write_all(piece).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), id);
        assert_eq!(store.get(id).unwrap(), payload);
        let mut reader = store.reader(id).unwrap();
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, payload);
        for at in [0, len / 2, len.saturating_sub(5)] {
            reader.seek(SeekFrom::Start(at as u64)).unwrap();
            let mut rest = Vec::new();
            reader.by_ref().take(100).read_to_end(&mut rest).unwrap();
            assert_eq!(rest, payload[at..len.min(at + 100)]);
        }
        assert_eq!(reader.seek(SeekFrom::End(9)).unwrap(), len as u64 + 9);
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
        assert!(reader.seek(SeekFrom::Current(-(len as i64) - 10)).is_err());
    }
    assert_eq!(store.open_objects(), 0);
}

#[test]
fn too_many_or_too_few_bytes_leave_nothing_behind() {
    let (_dir, store) = store();
    for len in [10u64, 200_000] {
        let (id, mut writer) = store.create_writer(len).unwrap();
        let error = writer.write(&vec![0; len as usize + 1]).unwrap_err();
        assert!(error.to_string().contains("room for"), "{error}");
        writer.write_all(&vec![1; len as usize - 1]).unwrap();
        let error = writer.finish().unwrap_err();
        assert!(
            matches!(error, StoreError::WrongLength { expected, found } if (expected, found) == (len, len - 1))
        );
        assert!(store.get(id).is_err());
        let (again, writer) = store.create_writer(len).unwrap();
        drop(writer);
        assert!(store.is_empty());
        assert!(store.get(again).is_err());
    }
}

#[test]
fn a_reserved_id_is_written_once_by_one() {
    let (dir, store) = store();
    let ids = store.allocate_run(3, 100).unwrap();
    assert!(matches!(
        store.delete(ids[0]),
        Err(StoreError::NotWritten(_))
    ));
    assert!(matches!(
        store.overwrite(ids[0], b"x"),
        Err(StoreError::NotWritten(_))
    ));
    let mut writer = store.writer(ids[0]).unwrap();
    assert!(matches!(store.writer(ids[0]), Err(StoreError::Busy(_))));
    writer.write_all(b"first").unwrap();
    writer.finish().unwrap();
    assert!(matches!(store.writer(ids[0]), Err(StoreError::Written(_))));
    drop(store.writer(ids[1]).unwrap());
    assert!(matches!(
        store.writer(ids[1]),
        Err(StoreError::Freed(_) | StoreError::Unknown(_))
    ));
    assert_eq!((store.len(), store.open_objects()), (1, 0));
    drop(store);
    let store = MultiStore::open(dir.path().join("objects")).unwrap();
    assert_eq!(store.get(ids[0]).unwrap(), &b"first"[..]);
    assert!(store.get(ids[2]).is_err());
}

#[test]
fn an_overwriter_changes_all_or_nothing() {
    let (dir, store) = store();
    let id = store.put(bytes(1, 300_000)).unwrap();
    let mut writer = store.overwriter(id).unwrap();
    writer.write_all(&bytes(2, 200_000)).unwrap();
    drop(writer);
    assert_eq!(store.get(id).unwrap(), bytes(1, 300_000));
    let mut writer = store.overwriter(id).unwrap();
    writer.write_all(&bytes(3, 250_000)).unwrap();
    writer.finish().unwrap();
    assert_eq!(store.get(id).unwrap(), bytes(3, 250_000));
    let mut writer = store.overwriter(id).unwrap();
    writer.write_all(b"late").unwrap();
    store.overwrite(id, b"earlier").unwrap();
    assert!(matches!(writer.finish(), Err(StoreError::Stale(_))));
    drop(store);
    let store = MultiStore::open(dir.path().join("objects")).unwrap();
    assert_eq!(store.get(id).unwrap(), &b"earlier"[..]);
}

#[test]
fn a_reader_keeps_what_it_reads() {
    let (_dir, store) = store();
    let id = store.put(bytes(1, 200_000)).unwrap();
    let mut reader = store.reader(id).unwrap();
    assert!(matches!(
        store.try_overwrite(id, b"x"),
        Err(StoreError::Busy(_))
    ));
    store.delete(id).unwrap();
    store.checkpoint().unwrap();
    for n in 0..50 {
        store.put(bytes(n, 200_000)).unwrap();
    }
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes(1, 200_000));
    drop(reader);
    assert_eq!(store.open_objects(), 0);
}

#[test]
fn an_overwrite_waits_for_its_objects_readers_alone() {
    let (_dir, store) = store();
    let ids = [
        store.put(bytes(1, 50)).unwrap(),
        store.put(bytes(2, 50)).unwrap(),
    ];
    let reader = store.reader(ids[0]).unwrap();
    let (tell, told) = mpsc::channel();
    let writer = {
        let store = store.clone();
        thread::spawn(move || {
            store.overwrite(ids[1], b"other").unwrap();
            tell.send(1).unwrap();
            store.overwrite(ids[0], b"new").unwrap();
            tell.send(0).unwrap();
        })
    };
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(1));
    assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
    assert_eq!(store.get(ids[0]).unwrap(), bytes(1, 50));
    drop(reader);
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(0));
    writer.join().unwrap();
    assert_eq!(store.get(ids[0]).unwrap(), &b"new"[..]);
}

#[test]
fn many_are_put_at_once() {
    let (dir, store) = store();
    let mut all: Vec<Vec<u8>> = (0..20_000).map(|n| bytes(n, 64)).collect();
    all.extend((0..20).map(|n| bytes(n, n * 100_000)));
    let ids = store.put_many(&all).unwrap();
    assert_eq!(store.len(), all.len() as u64);
    assert!(store.put_many::<Vec<u8>>(&[]).unwrap().is_empty());
    drop(store);
    let store = MultiStore::open(dir.path().join("objects")).unwrap();
    for (id, bytes) in ids.iter().zip(&all) {
        assert_eq!(store.get(*id).unwrap(), bytes);
    }
}

#[test]
fn generations_tell_one_object_from_the_next() {
    let (_dir, store) = store();
    let (id, first) = store.put_versioned(b"one").unwrap();
    assert_eq!(store.get_version(id, first).unwrap(), &b"one"[..]);
    store.overwrite(id, b"two").unwrap();
    assert!(matches!(
        store.get_version(id, first),
        Err(StoreError::Stale(_))
    ));
    let second = store.generation(id).unwrap();
    assert_eq!(store.get_version(id, second).unwrap(), &b"two"[..]);
}
