//! One trace through each cache, one after the other.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mapless::ClockCache;

use crate::COUNTED;
use crate::belady::Belady;
use crate::fifo::Fifo;
use crate::lru::Lru;
use crate::trace::Trace;

/// Memory is looked at after so many requests.
const EVERY: usize = 1_024;

/// What came of a trace.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    hits: u64,
    requests: u64,
    time: Duration,
    /// The most heap bytes, above what was there before; of simulations, nothing of interest.
    pub(crate) peak: Option<u64>,
    /// The most weight that was seen.
    pub(crate) most: Option<u64>,
}

impl Outcome {
    pub(crate) fn hit_ratio(&self) -> f64 {
        self.hits as f64 / self.requests as f64
    }

    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }
}

pub(crate) fn everyone(trace: &Trace, capacity: u64) -> Result<Vec<Outcome>> {
    let bar = ProgressBar::new(4 * trace.keys.len() as u64);
    let style = "{msg:20} {wide_bar} {percent:>3} %  {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    let mut fifo = Fifo::new(capacity, trace.unique);
    let mut lru = Lru::new(capacity, trace.unique);
    let mut belady = Belady::new(capacity, trace.unique, &trace.keys);
    let outcomes = vec![
        simulated("FIFO", trace, &bar, |key, size| fifo.request(key, size)),
        simulated("LRU", trace, &bar, |key, size| lru.request(key, size)),
        ours(trace, capacity, &bar)?,
        simulated("Belady's optimum", trace, &bar, |key, size| {
            belady.request(key, size)
        }),
    ];
    bar.finish_and_clear();
    Ok(outcomes)
}

fn simulated(
    name: &'static str,
    trace: &Trace,
    bar: &ProgressBar,
    request: impl FnMut(u32, u64) -> bool,
) -> Outcome {
    replay(name, trace, bar, request, || ())
}

fn ours(trace: &Trace, capacity: u64, bar: &ProgressBar) -> Result<Outcome> {
    let before = heap();
    let mut builder = ClockCache::<u32, Box<[u8]>>::builder().max_capacity(capacity);
    if trace.sizes.is_some() {
        builder = builder.weigher(|_, value| value.len() as u64);
    }
    let cache = builder.build()?;
    let (mut peak, mut most) = (0, 0);
    let request = |key: u32, size: u64| {
        let guard = cache.pin();
        if cache.get_in(&key, &guard).is_some() {
            return true;
        }
        drop(guard);
        // One that is larger than the cache is handed back; here nobody needs it.
        drop(cache.insert(key, value_of(trace, size)));
        false
    };
    let look = || {
        peak = heap().saturating_sub(before).max(peak);
        most = cache.weighted_size().max(most);
    };
    let outcome = replay("ClockCache", trace, bar, request, look);
    Ok(Outcome {
        peak: Some(peak),
        most: Some(most),
        ..outcome
    })
}

/// As many bytes as the trace says.
fn value_of(trace: &Trace, size: u64) -> Box<[u8]> {
    let len = if trace.sizes.is_some() {
        size as usize
    } else {
        0
    };
    vec![0; len].into()
}

fn replay(
    name: &'static str,
    trace: &Trace,
    bar: &ProgressBar,
    mut request: impl FnMut(u32, u64) -> bool,
    mut look: impl FnMut(),
) -> Outcome {
    bar.set_message(name);
    let (mut hits, began) = (0, Instant::now());
    for (at, (key, size)) in trace.requests().enumerate() {
        hits += u64::from(request(key, size));
        if at % EVERY == 0 {
            look();
            bar.inc(EVERY as u64);
        }
    }
    Outcome {
        name,
        hits,
        requests: trace.keys.len() as u64,
        time: began.elapsed(),
        peak: None,
        most: None,
    }
}

fn heap() -> u64 {
    let stats = COUNTED.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}
