//! A large array, written in place by some threads and read by many tasks: there is one of it.
//!
//! ```sh
//! cargo run --release -p mapless-examples-async --bin array
//! ```
#![allow(unsafe_code)] // the threads say that they wrote all; and a global allocator counts

use std::mem::MaybeUninit;
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use mapless::{InMemoryStore, ObjectBuilder, ObjectId, ObjectRef};
use tokio::task::JoinSet;

#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
#[path = "../../../tests/support/memory.rs"]
mod memory;

#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

const NUMBERS: usize = 8 << 20;
const SIZE: usize = 8 * NUMBERS;
const THREADS: usize = 4;
const TASKS: usize = 64;

fn number(place: usize) -> u64 {
    (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Each thread fills a part of the memory that nobody has written yet.
fn write_uninit(builder: &mut ObjectBuilder) {
    let (places, _) = builder.spare_capacity_mut().as_chunks_mut::<8>();
    let len = NUMBERS / THREADS;
    thread::scope(|scope| {
        for (thread, part) in places.chunks_mut(len).enumerate() {
            scope.spawn(move || {
                for (place, bytes) in part.iter_mut().enumerate() {
                    *bytes = number(thread * len + place)
                        .to_le_bytes()
                        .map(MaybeUninit::new);
                }
            });
        }
    });
    // SAFETY: S1: the parts are all of it, and each was filled.
    unsafe { builder.advance(SIZE) };
}

/// The same without `unsafe`, on memory that is made zero before.
fn write_zeroed(builder: &mut ObjectBuilder) {
    let (places, _) = builder.as_mut_slice().as_chunks_mut();
    let len = NUMBERS / THREADS;
    thread::scope(|scope| {
        for (thread, part) in places.chunks_mut(len).enumerate() {
            scope.spawn(move || {
                for (place, bytes) in part.iter_mut().enumerate() {
                    *bytes = number(thread * len + place).to_le_bytes();
                }
            });
        }
    });
}

/// An array that is published where it was written; its id, and its address.
fn make(store: &InMemoryStore, write: fn(&mut ObjectBuilder)) -> Result<(ObjectId, *const u8)> {
    let mut builder = store.create(SIZE)?;
    write(&mut builder);
    let place = builder.written().as_ptr();
    Ok((builder.seal()?, place))
}

/// Reads a part of the array; where the array is.
async fn read(array: ObjectRef<Bytes>, task: usize) -> Result<usize> {
    let bytes = array.get().await?;
    let (numbers, _) = bytes.as_chunks();
    let len = NUMBERS / TASKS;
    for (place, bytes) in numbers.iter().enumerate().skip(task * len).take(len) {
        ensure!(
            u64::from_le_bytes(*bytes) == number(place),
            "number {place} is wrong"
        );
    }
    Ok(bytes.as_ptr().addr())
}

async fn read_all(store: &InMemoryStore, id: ObjectId, place: *const u8) -> Result<()> {
    let array = store.reference::<Bytes>(id)?;
    let _pin = array.pinned()?;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(read(array.clone(), task));
    }
    while let Some(read) = tasks.join_next().await {
        ensure!(read?? == place.addr(), "a task was given a copy");
    }
    ensure!(store.read(id, <[u8]>::as_ptr)? == place, "it is elsewhere");
    Ok(())
}

fn run(how: &str, write: fn(&mut ObjectBuilder)) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (done, peak) = memory::peak(|| -> Result<_> {
        let begin = Instant::now();
        let store = InMemoryStore::new(SIZE as u64 + (2 << 20));
        let (id, place) = make(&store, write)?;
        let written = begin.elapsed();
        let begin = Instant::now();
        runtime.block_on(read_all(&store, id, place))?;
        Ok((written, begin.elapsed()))
    });
    let (written, read) = done?;
    println!(
        "{how}: {SIZE} bytes written by {THREADS} threads in {written:.0?}, read by {TASKS} tasks at \
         one address in {read:.0?}; peak of all live bytes {peak}, {:.4} x the array",
        peak as f64 / SIZE as f64
    );
    ensure!(
        peak as f64 <= 1.01 * SIZE as f64,
        "there was more than one array"
    );
    Ok(())
}

fn main() -> Result<()> {
    run("spare_capacity_mut", write_uninit)?;
    run("as_mut_slice", write_zeroed)
}
