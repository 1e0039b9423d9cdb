//! A trace through `ClockCache`, beside FIFO, LRU and Belady's optimum at the same capacity.
//!
//! ```text
//! cargo run --release --features cache --example cache -- --trace FILE
//! ```
//! FILE holds little-endian keys of 8 bytes or, if `.u64u32` is in its name, keys and sizes of 4
//! bytes; compressed if its name ends in `.zst`. Without one, a built-in synthetic trace is run.

#![allow(unreachable_pub, reason = "the shared files are a library's elsewhere")]

// The traces and the simulated policies are those of the comparison in `benches/`.
#[path = "../../benches/src/hits/belady.rs"]
mod belady;
#[path = "../../benches/src/hits/fifo.rs"]
mod fifo;
#[path = "../../benches/src/hits/lru.rs"]
mod lru;
#[path = "../../benches/src/hits/mix.rs"]
mod mix_of;
#[allow(dead_code, reason = "one of the made-up traces is enough here")]
#[path = "../../benches/src/hits/synth.rs"]
mod synth;
#[allow(dead_code, reason = "the comparison needs more of a trace")]
#[path = "../../benches/src/hits/trace.rs"]
mod trace;

mod run;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use mix_of::mix;
use run::Outcome;
use trace::Trace;

#[global_allocator]
static COUNTED: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// A trace through `ClockCache`, beside FIFO, LRU and Belady's optimum.
#[derive(Parser)]
struct Options {
    /// A file of requests; a built-in synthetic trace without it.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// The capacity, as a part of the unique keys (of their bytes, where the trace has sizes).
    #[arg(long, default_value_t = 0.1)]
    part: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let trace = match &options.trace {
        Some(path) => Trace::read(path).with_context(|| format!("{}", path.display()))?,
        None => built_in(),
    };
    ensure!(
        options.part > 0.0,
        "--part is a part of the unique keys, above 0"
    );
    let capacity = (trace.footprint as f64 * options.part) as u64;
    ensure!(capacity > 0, "--part leaves no capacity at all");
    let unit = if trace.sizes.is_some() {
        "bytes"
    } else {
        "entries"
    };
    println!(
        "{}: {} requests, {} keys; capacity {capacity} {unit}\n",
        trace.name,
        trace.keys.len(),
        trace.unique,
    );
    let outcomes = run::everyone(&trace, capacity)?;
    println!("{}", table(&outcomes));
    Ok(())
}

/// Popular keys, and scans over keys that do not come back.
fn built_in() -> Trace {
    let set = synth::set(false);
    let scans = set.into_iter().find(|trace| trace.name == "zipf-scans");
    scans.expect("one of the built-in traces is called that")
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["", "hit ratio", "M requests/s", "peak bytes", "most weight"]);
    for outcome in outcomes {
        table.add_row([
            outcome.name.to_string(),
            format!("{:.4}", outcome.hit_ratio()),
            format!("{:.1}", outcome.rate() / 1e6),
            outcome.peak.map_or("-".into(), |bytes| bytes.to_string()),
            outcome.most.map_or("-".into(), |weight| weight.to_string()),
        ]);
    }
    table
}
