//! A task graph whose data is many times the limit of the store that it goes through.
//!
//! ```sh
//! cargo run --release --example object_store -- --limit 16 --objects 512 --threads 4
//! ```
//! ```text
//! map     makes a block of numbers          not pinned: who finds it evicted makes it again
//! join    makes a block of two blocks       pinned until it was reduced
//! reduce  makes a few numbers of 8 joins    fulfils a promise, for which main waits from the start
//! ```
//! Maps and joins are written in place (`create`, `seal`), and read in place. Joins are made by many
//! threads and reduced by one: nothing but the room of the store holds the many back. Every number is
//! compared with one that was computed without the store.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use futures_lite::future::{block_on, poll_once};
use indicatif::{BinaryBytes, HumanCount};
use mapless::{
    InMemoryStore, ObjectBuilder, ObjectError, ObjectId, ObjectRef, ObjectStats, Op, PinGuard,
    Promise,
};

#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
#[path = "../tests/support/memory.rs"]
mod memory;

#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

/// A reduce task reads so many joins.
const FAN_IN: usize = 8;
/// Room comes long before this, or never.
const PATIENCE: Duration = Duration::from_secs(10);

/// A task graph through an object store that is too small for it.
#[derive(Parser)]
struct Args {
    /// The store's limit, in MiB.
    #[arg(long, default_value_t = 16)]
    limit: u64,
    /// So many blocks are mapped, and as many joined.
    #[arg(long, default_value_t = 512)]
    objects: usize,
    /// The length of a block, in KiB.
    #[arg(long, default_value_t = 256)]
    block: usize,
    /// So many threads map and join.
    #[arg(long, default_value_t = 4)]
    threads: usize,
}

/// What is left of some joins: their numbers' sum, the least, and the most.
type Summary = (u64, u64, u64);

/// The numbers of a block that is mapped.
fn numbers(block: usize) -> impl Iterator<Item = u64> {
    let mut random = fastrand::Rng::with_seed(block as u64);
    std::iter::repeat_with(move || random.u64(..))
}

/// The blocks that a join reads.
fn inputs(join: usize, objects: usize) -> (usize, usize) {
    (join, (join * 7 + 3) % objects)
}

fn joined(one: u64, other: u64) -> u64 {
    one.wrapping_add(other.rotate_left(17))
}

fn summarize(numbers: impl Iterator<Item = u64>) -> Summary {
    numbers.fold((0, u64::MAX, 0), |(sum, least, most), number| {
        let sum = sum.wrapping_add(number);
        (sum, least.min(number), most.max(number))
    })
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word))
}

/// What happened that need not have.
#[derive(Default)]
struct Tally {
    again: AtomicU64,
    waits: AtomicU64,
    waited: AtomicU64,
}

/// The tasks, and where their results are.
struct Graph<'a> {
    store: &'a InMemoryStore,
    args: &'a Args,
    /// What the map tasks made; the last of it, where they ran more than once.
    blocks: Vec<Mutex<Option<ObjectRef<Bytes>>>>,
    tally: Tally,
}

impl<'a> Graph<'a> {
    fn new(store: &'a InMemoryStore, args: &'a Args) -> Self {
        Self {
            store,
            args,
            blocks: (0..args.objects).map(|_| Mutex::default()).collect(),
            tally: Tally::default(),
        }
    }

    /// Room for so many blocks, all at once; waits for it where there is none.
    fn room(&self, blocks: usize) -> Result<Vec<ObjectBuilder>, ObjectError> {
        let sizes = vec![self.args.block << 10; blocks];
        match self.store.create_many(&sizes) {
            Err(ObjectError::Full(_)) => {
                let begin = Instant::now();
                let room = self.store.holding(&[]);
                let builders = room.create_many_timeout(&sizes, PATIENCE);
                self.tally.waits.fetch_add(1, Relaxed);
                let waited = begin.elapsed().as_micros() as u64;
                self.tally.waited.fetch_add(waited, Relaxed);
                builders
            }
            now => now,
        }
    }

    /// One of the blocks that there is room for, or new room if there are no more.
    fn one_of(&self, room: &mut Vec<ObjectBuilder>) -> Result<ObjectBuilder, ObjectError> {
        if room.is_empty() {
            *room = self.room(1)?;
        }
        Ok(room.pop().expect("there is one"))
    }

    fn map(&self, block: usize, room: &mut Vec<ObjectBuilder>) -> Result<()> {
        let mut builder = self.one_of(room)?;
        // While it is pending it cannot be evicted.
        let made = self.store.reference(builder.id())?;
        for number in numbers(block).take(builder.size() / 8) {
            builder.write(&number.to_le_bytes())?;
        }
        builder.seal()?;
        *self.blocks[block].lock().unwrap() = Some(made);
        Ok(())
    }

    /// A block, pinned; it is mapped again if it was evicted.
    fn block(&self, block: usize, room: &mut Vec<ObjectBuilder>) -> Result<PinGuard> {
        loop {
            let made = self.blocks[block].lock().unwrap().clone();
            match made.expect("all maps come before joins").pinned() {
                Err(ObjectError::Evicted(_)) => {
                    self.tally.again.fetch_add(1, Relaxed);
                    self.map(block, room)?;
                }
                pinned => return Ok(pinned?),
            }
        }
    }

    /// A join, pinned; it is made again if it was evicted before that.
    fn join(&self, join: usize, mut room: Vec<ObjectBuilder>) -> Result<PinGuard> {
        loop {
            match self.store.pinned(self.make_join(join, &mut room)?) {
                Err(ObjectError::Evicted(_)) => _ = self.tally.again.fetch_add(1, Relaxed),
                pinned => return Ok(pinned?),
            }
        }
    }

    fn make_join(&self, join: usize, room: &mut Vec<ObjectBuilder>) -> Result<ObjectId> {
        let (one, other) = inputs(join, self.args.objects);
        let mut builder = self.one_of(room)?;
        let (one, other) = (self.block(one, room)?, self.block(other, room)?);
        let (places, _) = builder.as_mut_slice().as_chunks_mut();
        for ((place, one), other) in places.iter_mut().zip(words(&one)).zip(words(&other)) {
            *place = joined(one, other).to_le_bytes();
        }
        Ok(builder.seal()?)
    }

    /// Runs a task for each object, on many threads.
    ///
    /// Tasks get all the room that they may need at once, and one after the other: or many tasks, each
    /// with some of the room, would wait for each other.
    fn in_parallel(
        &self,
        blocks: usize,
        task: impl Fn(usize, Vec<ObjectBuilder>) -> Result<()> + Sync,
    ) -> Result<()> {
        let next = Mutex::new(0..self.args.objects);
        let begin = || -> Result<_> {
            let mut next = next.lock().unwrap();
            let object = next.next();
            Ok(object
                .map(|object| Ok::<_, ObjectError>((object, self.room(blocks)?)))
                .transpose()?)
        };
        let some = || -> Result<()> {
            while let Some((object, room)) = begin()? {
                task(object, room)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.args.threads).map(|_| scope.spawn(some)).collect();
            let joined = threads.into_iter().map(|it| it.join());
            joined.flatten().collect()
        })
    }
}

/// Fulfils each promise when its joins are there.
fn reduce(made: mpsc::Receiver<(usize, PinGuard)>, promises: Vec<Promise>) -> Result<()> {
    let mut tasks: Vec<(Option<Promise>, Vec<PinGuard>)> = promises
        .into_iter()
        .map(|promise| (Some(promise), Vec::new()))
        .collect();
    for (join, pin) in made {
        let (promise, pins) = &mut tasks[join / FAN_IN];
        pins.push(pin);
        if pins.len() == FAN_IN {
            let promise = promise.take().expect("each join is made once");
            let summary = summarize(pins.iter().flat_map(|pin| words(pin)));
            pins.clear();
            block_on(promise.fulfil_with_async(summary))?;
        }
    }
    Ok(())
}

/// All of them, at a time.
async fn all<T>(mut ops: Vec<Op<'_, Result<T, ObjectError>>>) -> Result<Vec<T>, ObjectError> {
    let mut done: Vec<_> = ops.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (op, done) in ops.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(result) = pin!(op).poll(context)
            {
                *done = Some(result);
            }
        }
        let pending = done.iter().any(Option::is_none);
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Runs all tasks; their results, in order.
fn run(graph: &Graph<'_>) -> Result<Vec<Summary>> {
    let (store, args) = (graph.store, graph.args);
    let promises = (0..args.objects / FAN_IN).map(|_| store.promise());
    let promises = promises.collect::<Result<Vec<_>, _>>()?;
    let results = promises.iter().map(|it| store.reference(it.id()));
    let results = results.collect::<Result<Vec<ObjectRef<Summary>>, _>>()?;

    // Whoever waits before a result is there gets it, though it may be evicted right after.
    let mut summaries = pin!(all(results.iter().map(ObjectRef::get).collect()));
    ensure!(block_on(poll_once(&mut summaries)).is_none());

    graph.in_parallel(1, |block, mut room| graph.map(block, &mut room))?;
    let (made, joins) = mpsc::channel();
    thread::scope(|scope| {
        let reducing = scope.spawn(|| reduce(joins, promises));
        // For a join, and for its inputs if they were evicted.
        let joined = graph.in_parallel(3, |join, room| {
            made.send((join, graph.join(join, room)?))?;
            Ok(())
        });
        drop(made);
        // If it fails, so do they.
        reducing.join().expect("it does not panic")?;
        joined
    })?;
    Ok(block_on(summaries)?)
}

/// The results, computed without a store.
fn expected(args: &Args) -> Vec<Summary> {
    let words = (args.block << 10) / 8;
    let join = |join| {
        let (one, other) = inputs(join, args.objects);
        let pairs = numbers(one).zip(numbers(other)).take(words);
        pairs.map(|(one, other)| joined(one, other))
    };
    let tasks = 0..args.objects / FAN_IN;
    tasks
        .map(|task| summarize((task * FAN_IN..(task + 1) * FAN_IN).flat_map(join)))
        .collect()
}

fn check(args: &Args) -> Result<()> {
    ensure!(
        args.objects > 0 && args.objects.is_multiple_of(FAN_IN),
        "--objects is to be a multiple of {FAN_IN}"
    );
    ensure!(
        args.threads > 0 && args.block > 0,
        "no threads, or no bytes"
    );
    // What is pinned until the rest of its reduce task is there, and what the threads have at a time.
    let least = (2 * FAN_IN + 6 * args.threads) * args.block / 1024 + 1;
    ensure!(
        args.limit >= least as u64,
        "--limit is to be {least} at least for such blocks and threads, or all wait for ever"
    );
    Ok(())
}

fn table(args: &Args, tally: &Tally, stats: &ObjectStats, peak: usize, time: Duration) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["", ""]);
    let through = stats.bytes + stats.evicted_bytes + stats.removed_bytes;
    let [again, waits, waited] =
        [&tally.again, &tally.waits, &tally.waited].map(|count| count.load(Relaxed));
    for (what, figure) in [
        ("limit", BinaryBytes(args.limit << 20).to_string()),
        ("put through it", BinaryBytes(through).to_string()),
        (
            "peak of all live bytes",
            BinaryBytes(peak as u64).to_string(),
        ),
        (
            "tasks",
            HumanCount((2 * args.objects + args.objects / FAN_IN) as u64).to_string(),
        ),
        ("objects evicted", HumanCount(stats.evicted).to_string()),
        ("tasks done again", HumanCount(again).to_string()),
        (
            "waits for room",
            format!("{} ({} ms)", HumanCount(waits), waited / 1000),
        ),
        ("time", format!("{:.2} s", time.as_secs_f64())),
    ] {
        table.add_row([what.to_string(), figure]);
    }
    table
}

fn main() -> Result<()> {
    let args = Args::parse();
    check(&args)?;
    let expected = expected(&args);
    let begin = Instant::now();
    let (ran, peak) = memory::peak(|| {
        let store = InMemoryStore::new(args.limit << 20);
        let graph = Graph::new(&store, &args);
        run(&graph).map(|summaries| (summaries, store.stats(), graph.tally))
    });
    let time = begin.elapsed();
    let (summaries, stats, tally) = ran?;
    println!("{}\n\n{stats}\n", table(&args, &tally, &stats, peak, time));
    if summaries != expected {
        bail!("the results are wrong");
    }
    // References, promises and who waits are the tasks' own.
    let own = 256 * args.objects as u64;
    ensure!(
        peak as u64 <= (args.limit << 20) + own,
        "the limit was exceeded"
    );
    println!("all {} results are right", expected.len());
    Ok(())
}
