//! The bin `hitratio`; see there.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mapless_benches::hits::contender::{ALL, Contender, Kind};
use mapless_benches::hits::table::Table;
use mapless_benches::hits::trace::{PARTS, Trace};
use mapless_benches::hits::{run, synth};
use mapless_benches::machine;

/// Parts of the keys at which curves are drawn.
const FINE: [f64; 7] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

#[derive(Parser)]
#[command(about = "Hit ratios of cache policies on traces")]
struct Options {
    /// Files of little-endian u64 keys, with u32 sizes if the name has `.u64u32`; may be `.zst`
    #[arg(long, num_args = 1..)]
    trace: Vec<PathBuf>,
    /// Only the simulated policies, and a small made-up set
    #[arg(long)]
    quick: bool,
    /// Where the tables, the record and the pictures go
    #[arg(long)]
    out: Option<PathBuf>,
    /// More capacities, for smoother curves; the means are of the three all the same
    #[arg(long)]
    fine: bool,
    /// Only contenders whose name has one of these in it; FIFO and Belady take part anyway
    #[arg(long, num_args = 1..)]
    only: Vec<String>,
    /// How many contenders run at a time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let traces = match options.trace.is_empty() {
        true => synth::set(options.quick),
        false => options
            .trace
            .iter()
            .map(|path| Trace::read(path))
            .collect::<Result<_, _>>()?,
    };
    let contenders: Vec<_> = ALL
        .iter()
        .copied()
        .filter(|who| options.wants(who))
        .collect();
    let parts: &[f64] = if options.fine { &FINE } else { &PARTS };
    let bar = progress(run::ticks(&traces, &contenders, parts));
    let cells = run::all(&traces, &contenders, parts, options.jobs.max(1), &|| {
        bar.inc(1)
    });
    bar.finish_and_clear();
    let table = Table {
        traces: &traces,
        contenders: &contenders,
        cells: &cells,
    };
    println!("{}", table.markdown());
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("hitratio.md"), table.markdown())?;
        let record = table.record(&machine::describe());
        fs::write(
            folder.join("hitratio.json"),
            serde_json::to_string_pretty(&record)?,
        )?;
        table.draw(folder)?;
    }
    Ok(())
}

impl Options {
    fn wants(&self, who: &Contender) -> bool {
        let bound = matches!(who.kind, Kind::Fifo | Kind::Belady);
        let named = self
            .only
            .iter()
            .any(|part| who.name.contains(part.as_str()));
        let simulated = !matches!(who.kind, Kind::Peer(..));
        bound || named || self.only.is_empty() && (simulated || !self.quick)
    }
}

fn progress(len: usize) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
