//! Actors that share a store: messages carry references, pins and promises, and no bytes.
//!
//! ```sh
//! cargo run --release -p mapless-examples-async --bin actors
//! ```
//! ```text
//! writer ──pinned document, promise──> counters ──promise fulfilled──> total, which has the references
//! ```
//! In the middle one of the counters is killed. What it had been sent goes with it: documents are
//! unpinned, and promises broken, which whoever waits for them is told; these are counted by others.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn, ready};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::error::{Infallible, SendError};
use kameo::message::{Context, Message};
use mapless::{InMemoryStore, ObjectError, ObjectRef, PinGuard, Promise};
use tokio::task::JoinSet;

const LIMIT: u64 = 4 << 20;
const DOCUMENTS: u64 = 96;
const WORDS: usize = 40_000;
const COUNTERS: usize = 4;

/// How often each word is there.
type Counts = BTreeMap<String, u64>;

/// A document's text.
fn document(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    let words = (0..WORDS).map(|_| format!("word{} ", random.u8(..)));
    words.collect()
}

fn count(text: &str) -> Counts {
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let owned = counts
        .into_iter()
        .map(|(word, count)| (word.to_string(), count));
    owned.collect()
}

fn add(total: &mut Counts, counts: Counts) {
    for (word, count) in counts {
        *total.entry(word).or_default() += count;
    }
}

/// Puts documents into the store.
struct Writer(Arc<InMemoryStore>);

impl Actor for Writer {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

/// A document is wanted.
struct Write(u64);

impl Message<Write> for Writer {
    type Reply = Result<PinGuard, ObjectError>;

    /// Waits for room, which comes as documents are counted.
    async fn handle(
        &mut self,
        Write(number): Write,
        _: &mut Context<Self, Self::Reply>,
    ) -> Self::Reply {
        loop {
            let id = self.0.put_async(document(number).into()).await?;
            match self.0.pinned(id) {
                // Before it could be pinned.
                Err(ObjectError::Evicted(_)) => {}
                pinned => return pinned,
            }
        }
    }
}

/// Counts words.
struct Counter;

impl Actor for Counter {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

/// A document is to be counted.
struct Count {
    document: PinGuard,
    into: Promise,
}

impl Message<Count> for Counter {
    type Reply = ();

    async fn handle(&mut self, message: Count, _: &mut Context<Self, ()>) {
        let Count { document, into } = message;
        let counts = str::from_utf8(&document).map(count);
        // Before it waits for room, in which the document may be.
        drop(document);
        match counts {
            // Who waits is told what is wrong, if it was deleted meanwhile.
            Ok(counts) => _ = into.fulfil_with_async(counts).await,
            Err(error) => into.fail(error),
        }
    }
}

/// What was counted, of one document.
type Counted = (u64, Result<Counts, ObjectError>);

/// Adds up what the counters come to.
#[derive(Default)]
struct Total {
    counts: Counts,
    waiting: JoinSet<Counted>,
}

impl Actor for Total {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

/// A document's counts are to come.
struct Add(u64, ObjectRef<Counts>);

impl Message<Add> for Total {
    type Reply = ();

    /// Waits from now on: a result for which nobody waits may be evicted as soon as it is there.
    async fn handle(&mut self, Add(number, counts): Add, _: &mut Context<Self, ()>) {
        let mut waiting = Box::pin(async move { (number, counts.get().await) });
        match poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await {
            Poll::Ready(counted) => self.waiting.spawn(ready(counted)),
            Poll::Pending => self.waiting.spawn(waiting),
        };
    }
}

/// Which documents' counts did not come, and why?
struct Missing;

impl Message<Missing> for Total {
    type Reply = Vec<(u64, ObjectError)>;

    async fn handle(&mut self, _: Missing, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        let mut missing = Vec::new();
        while let Some(counted) = self.waiting.join_next().await {
            match counted.expect("it does not panic") {
                (_, Ok(counts)) => add(&mut self.counts, counts),
                (number, Err(error)) => missing.push((number, error)),
            }
        }
        missing
    }
}

/// What is the sum?
struct Sum;

impl Message<Sum> for Total {
    type Reply = Result<Counts, Infallible>;

    async fn handle(&mut self, _: Sum, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Ok(std::mem::take(&mut self.counts))
    }
}

/// The actors, and their store.
struct System {
    store: Arc<InMemoryStore>,
    writer: ActorRef<Writer>,
    counters: Vec<ActorRef<Counter>>,
    total: ActorRef<Total>,
}

impl System {
    fn new() -> Self {
        let store = Arc::new(InMemoryStore::new(LIMIT));
        Self {
            writer: Writer::spawn(Writer(Arc::clone(&store))),
            counters: (0..COUNTERS).map(|_| Counter::spawn(Counter)).collect(),
            total: Total::spawn(Total::default()),
            store,
        }
    }

    /// Has a document counted by any counter that lives.
    async fn send(&self, number: u64) -> Result<()> {
        let document = self
            .writer
            .ask(Write(number))
            .await
            .ok()
            .context("no document")?;
        let into = self.store.promise_async().await?;
        let counts = self.store.reference(into.id())?;
        self.total
            .ask(Add(number, counts))
            .await
            .ok()
            .context("no total")?;
        let mut message = Count { document, into };
        for counter in self
            .counters
            .iter()
            .cycle()
            .skip(number as usize)
            .take(COUNTERS)
        {
            message = match counter.tell(message).await {
                Err(SendError::ActorNotRunning(message)) => message,
                _ => return Ok(()),
            };
        }
        bail!("all counters are dead")
    }

    /// Has documents counted; those that were not.
    async fn count(&self, documents: Vec<u64>) -> Result<Vec<u64>> {
        for number in documents {
            self.send(number).await?;
            if number == DOCUMENTS / 2 {
                self.counters[number as usize % COUNTERS].kill();
            }
        }
        let missing = self.total.ask(Missing).await.ok().context("no total")?;
        for (number, error) in &missing {
            println!("document {number}: {error}");
        }
        Ok(missing.into_iter().map(|(number, _)| number).collect())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut expected = Counts::new();
    (0..DOCUMENTS).for_each(|number| add(&mut expected, count(&document(number))));
    let (system, begin) = (System::new(), Instant::now());
    let mut documents: Vec<u64> = (0..DOCUMENTS).collect();
    let mut again = 0;
    while !documents.is_empty() {
        documents = system.count(documents).await?;
        again += documents.len();
    }
    let total = system.total.ask(Sum).await.ok().context("no total")?;
    println!(
        "{DOCUMENTS} documents counted by {COUNTERS} actors in {:.0?}, {again} of them again\n\n{}",
        begin.elapsed(),
        system.store.stats()
    );
    ensure!(total == expected, "the words are counted wrong");
    ensure!(again > 0, "the dead actor was missed by nobody");
    Ok(())
}
