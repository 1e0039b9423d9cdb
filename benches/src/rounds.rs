//! Sides that take turns, so that what the machine does meanwhile hits all of them.

/// What one side measured, a figure a round.
#[derive(Clone, Debug)]
pub struct Series {
    /// Who was measured.
    pub name: String,
    /// The figures, in the order of the rounds.
    pub values: Vec<f64>,
}

/// The median and the extremes of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest one.
    pub least: f64,
    /// The largest one.
    pub most: f64,
}

impl Spread {
    /// Of at least one figure.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        Self {
            median: f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]),
            least: sorted[0],
            most: sorted[last],
        }
    }
}

impl Series {
    /// A series by name.
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        let name = name.into();
        Self { name, values }
    }

    /// The median and the extremes.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread::of(&self.values)
    }

    /// Round by round, this one over another.
    #[must_use]
    pub fn over(&self, other: &Self) -> Vec<f64> {
        let pairs = self.values.iter().zip(&other.values);
        pairs.map(|(ours, theirs)| ours / theirs).collect()
    }

    /// Round by round, a function of two series.
    pub fn with(&self, name: &str, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let pairs = self.values.iter().zip(&other.values);
        Self::new(name, pairs.map(|(a, b)| f(*a, *b)).collect())
    }
}

/// One side of a race: it is told the number of the round and answers with a figure.
pub struct Side<'a> {
    name: String,
    run: Box<dyn FnMut(usize) -> f64 + 'a>,
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Side({})", self.name)
    }
}

/// A side by name.
pub fn side<'a>(name: impl Into<String>, run: impl FnMut(usize) -> f64 + 'a) -> Side<'a> {
    let (name, run) = (name.into(), Box::new(run));
    Side { name, run }
}

/// Lets the sides take turns, in alternating order, after one round that does not count.
#[must_use]
pub fn race(rounds: usize, mut sides: Vec<Side<'_>>) -> Vec<Series> {
    let mut values = vec![Vec::with_capacity(rounds); sides.len()];
    for round in 0..=rounds {
        for turn in 0..sides.len() {
            let number = if round % 2 == 0 {
                turn
            } else {
                sides.len() - 1 - turn
            };
            let figure = (sides[number].run)(round);
            if round > 0 {
                values[number].push(figure);
            }
        }
    }
    let names = sides.into_iter().map(|side| side.name);
    names
        .zip(values)
        .map(|(name, values)| Series { name, values })
        .collect()
}
