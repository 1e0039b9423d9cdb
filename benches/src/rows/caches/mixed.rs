//! Reads among inserts: a tenth of a million keys fits.

use super::{Compared, Entrant, KEYS, Load, Mix, OURS, Slice, compare, enter};
use crate::Config;
use crate::draws::Draws;
use crate::memory::uncounted;
use crate::ours_cache::Ours;
use crate::peers::caches::{Cache, Foyer, Lru, Moka, Quick, Scc, Sieve, Tiny};
use crate::report::{Bar, Report};

/// 90/10, 50/50 and get-or-insert, Zipf, a million keys, a tenth of it as the capacity, 1, 2 and
/// 4 threads, each with its hit ratio.
pub fn mixed(config: Config) -> Report {
    uncounted(|| measure(config, &field))
}

/// The same for every peer, for orientation.
pub fn peers(config: Config) -> Report {
    uncounted(|| measure(config, &everyone))
}

type Field = dyn Fn(&Draws, usize) -> Vec<Box<dyn Entrant>>;

fn field(draws: &Draws, entries: usize) -> Vec<Box<dyn Entrant>> {
    let mut all = Vec::new();
    all.push(enter::<Ours<u64>>(draws, entries));
    all.extend([
        enter::<Quick<u64>>(draws, entries),
        enter::<Scc<u64>>(draws, entries),
        enter::<Moka<u64>>(draws, entries),
    ]);
    all
}

fn everyone(draws: &Draws, entries: usize) -> Vec<Box<dyn Entrant>> {
    let mut all = field(draws, entries);
    all.extend([
        enter::<Sieve<u64>>(draws, entries),
        enter::<Tiny<u64>>(draws, entries),
        enter::<Foyer<u64>>(draws, entries),
        enter::<Lru<u64>>(draws, entries),
    ]);
    all
}

fn measure(config: Config, field: &Field) -> Report {
    let mut report = Report::default();
    let keys = config.size(KEYS);
    let draws = Draws::zipf(keys, config.size(1 << 23));
    let slice = Slice::of(config, 35);
    for mix in [Mix::Inserts(10), Mix::Inserts(50), Mix::GetOrInsert] {
        let entrants = field(&draws, keys / 10);
        let what = format!("capacity {} of {keys} keys", keys / 10);
        let mut before = 0;
        for threads in [1, 2, 4] {
            let load = Load {
                draws: &draws,
                mix,
                threads,
                slice,
                before,
            };
            before += load.windows(config);
            lines(&mut report, mix, compare(config, &what, &entrants, load));
        }
    }
    report
}

fn lines(report: &mut Report, mix: Mix, seen: Compared) {
    let ahead = match (mix, seen.threads) {
        (Mix::Inserts(10), 1) => 1.1,
        (Mix::Inserts(10), _) => 1.3,
        _ => 1.0,
    };
    seen.line(report, OURS, Quick::<u64>::NAME, Bar::AtLeast(ahead));
    seen.line(report, OURS, Scc::<u64>::NAME, Bar::None);
    seen.line(report, OURS, Moka::<u64>::NAME, Bar::None);
    seen.figures(report);
}
