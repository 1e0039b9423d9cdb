//! Who takes part: simulated policies, and caches as shipped.

use super::belady::Belady;
use super::clock::Clock;
use super::fifo::Fifo;
use super::lru::Lru;
use super::mix;
use super::ours;
use super::peers;
use super::trace::Trace;

/// How large a cache is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What it may hold, in entries or, if sized, in bytes.
    pub capacity: u64,
    /// About how many entries that is.
    pub entries: u64,
    /// Whether entries have sizes.
    pub sized: bool,
}

/// A cache as shipped.
pub trait Peer: Send + Sync {
    /// Whether `key` is there; counts as a use.
    fn get(&self, key: u64) -> bool;
    /// Puts in an entry of this size.
    fn insert(&self, key: u64, size: u32);
    /// After every request, with its number: does what the peer leaves to later.
    fn settle(&self, _request: usize) {}
    /// What it really holds at most, if not what was asked for.
    fn real_capacity(&self) -> Option<u64> {
        None
    }
}

/// Makes a peer, or nothing where it cannot do what the plan asks.
pub type Make = fn(&Plan) -> Option<Box<dyn Peer>>;

/// How a contender is run.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// First in, first out: what all are held against.
    Fifo,
    /// Least recently used.
    Lru,
    /// The ceiling.
    Belady,
    /// The policy of this crate, in one shard.
    Clock,
    /// A cache as shipped, by so many threads.
    Peer(Make, usize),
}

/// One row of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// What it is called.
    pub name: &'static str,
    /// How it is run.
    pub kind: Kind,
}

const fn row(name: &'static str, kind: Kind) -> Contender {
    Contender { name, kind }
}

/// All of them, in the order of the tables.
pub const ALL: &[Contender] = &[
    row("FIFO", Kind::Fifo),
    row("LRU", Kind::Lru),
    row("Belady", Kind::Belady),
    row("ClockCache, simulated", Kind::Clock),
    row("ClockCache", Kind::Peer(ours::clock, 1)),
    row("ClockCache, 2 threads", Kind::Peer(ours::clock, 2)),
    row("quick_cache", Kind::Peer(peers::quick, 1)),
    row("quick_cache, 2 threads", Kind::Peer(peers::quick, 2)),
    row("moka", Kind::Peer(peers::moka, 1)),
    row("foyer, S3-FIFO", Kind::Peer(peers::foyer, 1)),
    row("foyer, S3-FIFO, 2 threads", Kind::Peer(peers::foyer, 2)),
    row("fibre, S3-FIFO", Kind::Peer(peers::fibre, 1)),
    row("fibre, S3-FIFO, 2 threads", Kind::Peer(peers::fibre, 2)),
    row("TinyUFO", Kind::Peer(peers::tiny_ufo, 1)),
    row("sieve-cache", Kind::Peer(peers::sieve, 1)),
    row("scc::HashCache", Kind::Peer(peers::scc, 1)),
    row("Mutex<lru>", Kind::Peer(peers::lru, 1)),
];

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests that found nothing.
    pub misses: u64,
    /// The sizes of those.
    pub missed_bytes: u64,
    /// What the cache could really hold, if not what was asked for.
    pub real_capacity: Option<u64>,
}

impl Counts {
    /// Runs all requests of a trace through a simulation.
    pub fn of(trace: &Trace, mut request: impl FnMut(u32, u64) -> bool) -> Self {
        let mut counts = Self::default();
        for (key, size) in trace.requests() {
            if !request(key, size) {
                counts.miss(size);
            }
        }
        counts
    }

    /// One more request found nothing.
    pub fn miss(&mut self, size: u64) {
        self.misses += 1;
        self.missed_bytes += size;
    }
}

impl Contender {
    /// Runs the trace; `None` if this one cannot.
    #[must_use]
    pub fn run(&self, trace: &Trace, plan: &Plan) -> Option<Counts> {
        let (capacity, unique) = (plan.capacity, trace.unique);
        Some(match self.kind {
            Kind::Fifo => {
                let mut cache = Fifo::new(capacity, unique);
                Counts::of(trace, |key, size| cache.request(key, size))
            }
            Kind::Lru => {
                let mut cache = Lru::new(capacity, unique);
                Counts::of(trace, |key, size| cache.request(key, size))
            }
            Kind::Belady => {
                let mut cache = Belady::new(capacity, unique, &trace.keys);
                Counts::of(trace, |key, size| cache.request(key, size))
            }
            Kind::Clock => {
                let mut cache = Clock::new(capacity, unique);
                Counts::of(trace, |key, size| cache.request(key, size))
            }
            Kind::Peer(make, threads) => {
                let peer = make(plan)?;
                let mut counts = match threads {
                    1 => alone(&*peer, trace),
                    _ => super::together::run(&*peer, trace, threads),
                };
                counts.real_capacity = peer.real_capacity();
                counts
            }
        })
    }
}

/// One request to a peer: whether it was a hit.
pub fn request(peer: &dyn Peer, at: usize, key: u32, size: u64) -> bool {
    let key = mix(key.into());
    let hit = peer.get(key);
    if !hit {
        peer.insert(key, size as u32);
    }
    peer.settle(at);
    hit
}

fn alone(peer: &dyn Peer, trace: &Trace) -> Counts {
    let mut at = 0;
    Counts::of(trace, |key, size| {
        at += 1;
        request(peer, at, key, size)
    })
}
