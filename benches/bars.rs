//! Measures the rows of the table beside their bars.
//!
//! `cargo run --release -p mapless-benches --bin bars [-- [--quick] [--rounds N] [ROW..]]`

use std::path::Path;
use std::process::ExitCode;

use mapless_benches::rows::{EXTRAS, ROWS, Row};
use mapless_benches::{Config, machine};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n{}", usage());
            return ExitCode::FAILURE;
        }
    };
    println!("{}\n", machine::line_of(&machine::describe()));
    for &(name, measure) in &options.rows {
        if let Err(problem) = run(name, measure, options.config) {
            eprintln!("{name}: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(
    name: &str,
    measure: fn(Config) -> mapless_benches::report::Report,
    config: Config,
) -> std::io::Result<()> {
    eprintln!("measuring {name} ..");
    let machine = machine::describe();
    let report = measure(config);
    println!("{}", report.markdown());
    if config.quick {
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("record");
    let path = report.save(&folder, name, &machine)?;
    eprintln!("written to {}", path.display());
    Ok(())
}

struct Options {
    config: Config,
    rows: Vec<Row>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut config = Config {
            rounds: 15,
            quick: false,
        };
        let mut rows = Vec::new();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => {
                    config = Config {
                        rounds: 3,
                        quick: true,
                    }
                }
                "--rounds" => config.rounds = number(args.next())?,
                name => rows.push(row(name)?),
            }
        }
        if rows.is_empty() {
            rows = ROWS.to_vec();
        }
        Ok(Self { config, rows })
    }
}

fn number(arg: Option<String>) -> Result<usize, String> {
    let number = arg
        .and_then(|arg| arg.parse().ok())
        .filter(|&number| number > 0);
    number.ok_or_else(|| "--rounds wants a number".to_owned())
}

fn row(name: &str) -> Result<Row, String> {
    let mut all = ROWS.iter().chain(EXTRAS);
    let found = all.find(|(known, _)| *known == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no row {name}"))
}

fn usage() -> String {
    let names: Vec<_> = ROWS.iter().chain(EXTRAS).map(|(name, _)| *name).collect();
    format!(
        "usage: bars [--quick] [--rounds N] [ROW..]\nrows: {}",
        names.join(" ")
    )
}
