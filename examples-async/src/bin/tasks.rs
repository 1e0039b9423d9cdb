//! Tasks of tokio that pass references on: a fan-out and a fan-in of eight times what the store holds.
//!
//! ```sh
//! cargo run --release -p mapless-examples-async --bin tasks
//! ```
//! ```text
//! source ──ref──> 4 tasks, a part each ──refs──> 1 task
//! ```
//! Once with each source pinned until its parts are done: who makes the next one waits for room. Once
//! with nothing pinned: who finds a source evicted makes it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use mapless::{InMemoryStore, ObjectBuilder, ObjectError, ObjectRef, PinGuard};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const LIMIT: u64 = 8 << 20;
const SOURCES: u64 = 64;
const SIZE: usize = 1 << 20;
const PARTS: usize = 4;

/// A store, and what its users had to do for want of room.
struct Store {
    objects: InMemoryStore,
    pinning: bool,
    again: AtomicU64,
    parts_again: AtomicU64,
    waits: AtomicU64,
}

/// An object that can be made again.
struct Source {
    store: Arc<Store>,
    seed: u64,
    made: Mutex<ObjectRef<Bytes>>,
}

fn fill(seed: u64, bytes: &mut [u8]) {
    fastrand::Rng::with_seed(seed).fill(bytes);
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

impl Store {
    fn new(pinning: bool) -> Arc<Self> {
        Arc::new(Self {
            objects: InMemoryStore::new(LIMIT),
            pinning,
            again: AtomicU64::new(0),
            parts_again: AtomicU64::new(0),
            waits: AtomicU64::new(0),
        })
    }

    /// Room for all of these, while the caller has some builders; waits for it where there is none.
    async fn room(
        &self,
        sizes: &[usize],
        held: &[&ObjectBuilder],
    ) -> Result<Vec<ObjectBuilder>, ObjectError> {
        match self.objects.create_many(sizes) {
            Err(ObjectError::Full(_)) => {
                self.waits.fetch_add(1, Relaxed);
                self.objects.holding(held).create_many_async(sizes).await
            }
            now => now,
        }
    }

    /// Fills a source in. The reference is there before the object can be evicted.
    fn make(&self, seed: u64, mut builder: ObjectBuilder) -> Result<ObjectRef<Bytes>> {
        let made = self.objects.reference(builder.id())?;
        fill(seed, builder.as_mut_slice());
        builder.seal()?;
        Ok(made)
    }
}

impl Source {
    /// The source's bytes; it is made again if it was evicted.
    async fn bytes(&self, held: &[&ObjectBuilder]) -> Result<Bytes> {
        let mut made = self.made.lock().await;
        loop {
            match made.get_raw().await {
                Err(ObjectError::Evicted(_)) => {
                    self.store.again.fetch_add(1, Relaxed);
                    let room = self.store.room(&[SIZE], held).await?;
                    for builder in room {
                        *made = self.store.make(self.seed, builder)?;
                    }
                }
                bytes => return Ok(bytes?),
            }
        }
    }

    /// A pin, if this store's users pin.
    async fn pinned(&self, held: &[&ObjectBuilder]) -> Result<Option<PinGuard>> {
        if !self.store.pinning {
            return Ok(None);
        }
        loop {
            self.bytes(held).await?;
            match self.made.lock().await.pinned() {
                // Between the two.
                Err(ObjectError::Evicted(_)) => {}
                pinned => return Ok(Some(pinned?)),
            }
        }
    }

    /// The sum of a part.
    async fn sum(&self, part: usize, held: &[&ObjectBuilder]) -> Result<u64> {
        let bytes = self.bytes(held).await?;
        let len = SIZE / PARTS;
        Ok(sum(&bytes[part * len..][..len]))
    }

    /// The sum that a part's task left; taken again if that was evicted.
    async fn sum_of(&self, part: usize, result: &ObjectRef<Bytes>) -> Result<u64> {
        match result.get_raw().await {
            Err(ObjectError::Evicted(_)) => {
                self.store.parts_again.fetch_add(1, Relaxed);
                self.sum(part, &[]).await
            }
            bytes => Ok(u64::from_le_bytes(bytes?[..].try_into()?)),
        }
    }
}

/// Reads a part of a source, and leaves its sum.
async fn part(source: Arc<Source>, part: usize, mut result: ObjectBuilder) -> Result<()> {
    let sum = source.sum(part, &[&result]).await?;
    result.write(&sum.to_le_bytes())?;
    result.seal()?;
    Ok(())
}

/// One source, its parts, and their sum.
async fn fan(store: Arc<Store>, seed: u64) -> Result<u64> {
    // Together: who has a source and waits for its results' room, behind those who wait for room for a
    // source, would wait for ever.
    let mut builders = store.room(&[SIZE, 8, 8, 8, 8], &[]).await?;
    let results = builders.split_off(1);
    let refs = results.iter().map(|it| store.objects.reference(it.id()));
    let refs = refs.collect::<Result<Vec<_>, _>>()?;
    let made = Mutex::new(store.make(seed, builders.remove(0))?);
    let source = Arc::new(Source { store, seed, made });
    let pin = source.pinned(&results.iter().collect::<Vec<_>>()).await?;
    let mut parts = JoinSet::new();
    for (number, result) in results.into_iter().enumerate() {
        parts.spawn(part(Arc::clone(&source), number, result));
    }
    let mut total = 0;
    for (number, result) in refs.iter().enumerate() {
        total += source.sum_of(number, result).await?;
    }
    while let Some(done) = parts.join_next().await {
        done??;
    }
    drop(pin);
    Ok(total)
}

async fn run(pinning: bool) -> Result<()> {
    let (store, begin) = (Store::new(pinning), Instant::now());
    let mut fans = JoinSet::new();
    for seed in 0..SOURCES {
        let fan = fan(Arc::clone(&store), seed);
        fans.spawn(async move { (seed, fan.await) });
    }
    while let Some(done) = fans.join_next().await {
        let (seed, total) = done?;
        let mut bytes = vec![0; SIZE];
        fill(seed, &mut bytes);
        ensure!(total? == sum(&bytes), "the sum of source {seed} is wrong");
    }
    let (how, stats) = (
        if pinning { "pinned" } else { "not pinned" },
        store.objects.stats(),
    );
    println!(
        "{SOURCES} sources of {SIZE} bytes within {LIMIT}, {how}: {} sources and {} sums made again, \
         {} waits for room, {} objects evicted, {:.0?}",
        store.again.load(Relaxed),
        store.parts_again.load(Relaxed),
        store.waits.load(Relaxed),
        stats.evicted,
        begin.elapsed()
    );
    ensure!(stats.used_bytes <= LIMIT, "more than the limit is in use");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    run(true).await?;
    run(false).await
}
