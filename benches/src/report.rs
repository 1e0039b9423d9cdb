//! Lines of the table, and the records behind them.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde_json::{Value, json};

use crate::machine;
use crate::rounds::{Series, Spread};

/// What a ratio must be.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    /// Ours over theirs, at most this.
    AtMost(f64),
    /// Theirs over ours (or ours over theirs, where more is better), at least this.
    AtLeast(f64),
    /// Nothing is required; for orientation.
    None,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was done.
    pub work: String,
    /// What the figures are.
    pub unit: &'static str,
    /// Our figures.
    pub ours: Series,
    /// What they are held against.
    pub against: Series,
    /// The ratio of each round.
    pub ratios: Vec<f64>,
    /// What the ratio's median must be.
    pub bar: Bar,
}

/// The lines of one row, and tables that belong to it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The comparisons.
    pub lines: Vec<Line>,
    /// Figures without a comparison: work, who, unit and series.
    pub figures: Vec<(String, &'static str, Series)>,
}

impl Line {
    /// Ours over theirs, per round, must be at most `most`.
    pub fn at_most(work: impl Into<String>, ours: &Series, theirs: &Series, most: f64) -> Self {
        let ratios = ours.over(theirs);
        Self::new(work.into(), ours, theirs, ratios, Bar::AtMost(most))
    }

    /// Theirs over ours, per round, must be at least `least`: how many times faster ours is.
    pub fn ahead(work: impl Into<String>, ours: &Series, theirs: &Series, least: f64) -> Self {
        let ratios = theirs.over(ours);
        Self::new(work.into(), ours, theirs, ratios, Bar::AtLeast(least))
    }

    /// Ours over theirs, per round, must be at least `least`: where more is better.
    pub fn at_least(work: impl Into<String>, ours: &Series, theirs: &Series, least: f64) -> Self {
        let ratios = ours.over(theirs);
        Self::new(work.into(), ours, theirs, ratios, Bar::AtLeast(least))
    }

    /// Ours over theirs, for orientation.
    pub fn beside(work: impl Into<String>, ours: &Series, theirs: &Series) -> Self {
        let ratios = ours.over(theirs);
        Self::new(work.into(), ours, theirs, ratios, Bar::None)
    }

    /// Our figure itself must be at most `most`.
    pub fn absolute(work: impl Into<String>, ours: &Series, most: f64) -> Self {
        let nobody = Series::new("-", Vec::new());
        let ratios = ours.values.clone();
        Self::new(work.into(), ours, &nobody, ratios, Bar::AtMost(most))
    }

    fn new(work: String, ours: &Series, theirs: &Series, ratios: Vec<f64>, bar: Bar) -> Self {
        let (ours, against) = (ours.clone(), theirs.clone());
        Self {
            work,
            unit: "ns",
            ours,
            against,
            ratios,
            bar,
        }
    }

    /// The same line in another unit.
    #[must_use]
    pub fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Whether the bar is met; `None` where there is none.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        let median = Spread::of(&self.ratios).median;
        match self.bar {
            Bar::AtMost(most) => Some(median <= most),
            Bar::AtLeast(least) => Some(median >= least),
            Bar::None => None,
        }
    }

    fn record(&self) -> Value {
        json!({
            "work": self.work,
            "unit": self.unit,
            "ours": series(&self.ours),
            "against": series(&self.against),
            "ratios": self.ratios,
            "bar": self.bar.to_string(),
            "met": self.met(),
        })
    }
}

impl Report {
    /// Adds figures without a comparison.
    pub fn note(
        &mut self,
        work: &str,
        unit: &'static str,
        series: impl IntoIterator<Item = Series>,
    ) {
        for one in series {
            self.figures.push((work.to_owned(), unit, one));
        }
    }

    /// Adds another report's lines and figures.
    pub fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.figures.extend(other.figures);
    }

    /// The comparisons and the figures as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.lines.is_empty() {
            text += "| work | ours | peer or baseline | ratio (least to most) | bar | met? |\n";
            text += "|---|---|---|---|---|---|\n";
            self.lines.iter().for_each(|line| text += &line.to_string());
        }
        if !self.figures.is_empty() {
            text += "\n| work | who | median | least to most |\n|---|---|---|---|\n";
            for (work, unit, series) in &self.figures {
                let Spread {
                    median,
                    least,
                    most,
                } = series.spread();
                let (name, range) = (&series.name, format!("{} to {}", num(least), num(most)));
                text += &format!("| {work} | {name} | {} {unit} | {range} |\n", num(median));
            }
        }
        text
    }

    /// Writes the raw figures under `folder`, with the machine, and returns the file's name.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, folder: &Path, row: &str, machine: &Value) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let figures = self
            .figures
            .iter()
            .map(|(work, unit, one)| json!({ "work": work, "unit": unit, "series": series(one) }));
        let record = json!({
            "row": row,
            "date": machine::today(),
            "machine": machine,
            "lines": self.lines.iter().map(Line::record).collect::<Vec<_>>(),
            "figures": figures.collect::<Vec<_>>(),
        });
        let path = folder.join(format!("{}-{row}.json", machine::today()));
        fs::write(&path, format!("{record:#}\n"))?;
        Ok(path)
    }
}

fn series(one: &Series) -> Value {
    json!({ "name": one.name, "values": one.values })
}

/// Three significant digits, more or less.
fn num(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = Spread::of(&self.ratios);
        let ours = num(self.ours.spread().median);
        let theirs = match self.against.values.as_slice() {
            [] => "-".to_owned(),
            some => {
                let median = num(Spread::of(some).median);
                format!("{}: {median} {}", self.against.name, self.unit)
            }
        };
        let met = match self.met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        writeln!(
            f,
            "| {} | {ours} {} | {theirs} | {:.2} ({:.2} to {:.2}) | {} | {met} |",
            self.work, self.unit, ratio.median, ratio.least, ratio.most, self.bar,
        )
    }
}
