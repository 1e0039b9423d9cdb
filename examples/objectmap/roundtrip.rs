//! Every file goes in by its size and comes back by its id alone.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use mapless::{ByteLen, ObjectId, OmniBlockAllocator};

use crate::files::{Found, progress};

/// Before an object's bytes: their number and their checksum.
const HEADER: usize = 12;

/// What the walk knows of an object; only its id is used to find it again.
struct Stored {
    file: usize,
    id: ObjectId,
    checksum: u32,
}

pub(crate) fn run(files: &[Found]) -> Result<()> {
    let ids = OmniBlockAllocator::builder().build()?;
    let home = tempfile::tempfile().context("a temporary file for the objects")?;
    let mut stored = store(&ids, &home, files, &mut (0..files.len()), "storing")?;
    verify(&ids, &home, &stored, "reading back by id")?;
    let full = ids.end();

    let gone = delete_a_third(&ids, &mut stored)?;
    ensure!(ids.len() == stored.len() as u64, "len() after the deletes");
    for dead in &gone {
        ensure!(
            ids.locate(dead.id).is_err(),
            "{} was deleted and is still found",
            dead.id
        );
    }
    let again = store(
        &ids,
        &home,
        files,
        &mut gone.iter().map(|dead| dead.file),
        "storing again",
    )?;
    stored.extend(again);
    verify(&ids, &home, &stored, "reading back by id again")?;
    println!(
        "{} objects stored, read by id, a third deleted and stored again: every checksum agrees",
        stored.len()
    );
    println!(
        "the file: {:.1} MB after the first pass, {:.1} MB after the reuse",
        full.get() as f64 / 1e6,
        ids.end().get() as f64 / 1e6
    );
    Ok(())
}

fn store(
    ids: &OmniBlockAllocator,
    home: &File,
    files: &[Found],
    which: &mut dyn ExactSizeIterator<Item = usize>,
    what: &'static str,
) -> Result<Vec<Stored>> {
    let bar = progress(which.len(), what);
    let mut stored = Vec::with_capacity(which.len());
    for file in which {
        let path = &files[file].path;
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let id = ids.alloc(ByteLen::new((HEADER + bytes.len()) as u64))?;
        let extent = ids.locate(id)?;
        ensure!(
            extent.len.get() >= (HEADER + bytes.len()) as u64,
            "{id}: {extent:?} is short"
        );
        let checksum = crc32fast::hash(&bytes);
        let mut slot = Vec::with_capacity(HEADER + bytes.len());
        slot.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        slot.extend_from_slice(&checksum.to_le_bytes());
        slot.extend_from_slice(&bytes);
        home.write_all_at(&slot, extent.offset.get())?;
        stored.push(Stored { file, id, checksum });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(stored)
}

fn verify(
    ids: &OmniBlockAllocator,
    home: &File,
    stored: &[Stored],
    what: &'static str,
) -> Result<()> {
    let bar = progress(stored.len(), what);
    for object in stored {
        let (bytes, checksum) = read(ids, home, object.id)?;
        ensure!(
            crc32fast::hash(&bytes) == checksum,
            "{}: damaged",
            object.id
        );
        ensure!(
            checksum == object.checksum,
            "{}: the bytes of another object",
            object.id
        );
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The bytes of an object and the checksum that was stored with them, by its id alone.
fn read(ids: &OmniBlockAllocator, home: &File, id: ObjectId) -> Result<(Vec<u8>, u32)> {
    let extent = ids.locate(id)?;
    let mut header = [0; HEADER];
    home.read_exact_at(&mut header, extent.offset.get())?;
    let (len, checksum) = header.split_at(8);
    let len = u64::from_le_bytes(len.try_into()?);
    ensure!(
        len <= extent.len.get() - HEADER as u64,
        "{id}: a length of {len} in {extent:?}"
    );
    let mut bytes = vec![0; len as usize];
    home.read_exact_at(&mut bytes, extent.offset.get() + HEADER as u64)?;
    Ok((bytes, u32::from_le_bytes(checksum.try_into()?)))
}

fn delete_a_third(ids: &OmniBlockAllocator, stored: &mut Vec<Stored>) -> Result<Vec<Stored>> {
    fastrand::Rng::with_seed(3).shuffle(stored);
    let gone = stored.split_off(stored.len() - stored.len() / 3);
    let guard = ids.pin();
    for dead in &gone {
        ids.retire(dead.id, &guard)?;
    }
    drop(guard);
    ids.collect();
    Ok(gone)
}
