//! Hits: all of a million keys fit.

use super::{Compared, Entrant, HELD, KEYS, Load, Mix, OURS, Slice, compare, enter};
use crate::Config;
use crate::draws::Draws;
use crate::memory::uncounted;
use crate::ours_cache::{Guarded, Ours};
use crate::peers::caches::{Cache, Dash, Foyer, Lru, Moka, Papaya, Quick, Scc, Sieve, Tiny};
use crate::report::{Bar, Report};

/// 100 % hits and 99/1, Zipf, a million keys, 1, 2 and 4 threads.
pub fn hits(config: Config) -> Report {
    uncounted(|| measure(config, &field))
}

/// The same for every peer, for orientation.
pub fn peers(config: Config) -> Report {
    uncounted(|| measure(config, &everyone))
}

type Field = dyn Fn(&Draws, usize) -> Vec<Box<dyn Entrant>>;

fn field(draws: &Draws, entries: usize) -> Vec<Box<dyn Entrant>> {
    let mut all = Vec::new();
    all.extend([
        enter::<Ours<u64>>(draws, entries),
        enter::<Ours<u64, Guarded>>(draws, entries),
    ]);
    all.extend([
        enter::<Quick<u64>>(draws, entries),
        enter::<Dash<u64>>(draws, entries),
        enter::<Moka<u64>>(draws, entries),
        enter::<Scc<u64>>(draws, entries),
    ]);
    all
}

fn everyone(draws: &Draws, entries: usize) -> Vec<Box<dyn Entrant>> {
    let mut all = field(draws, entries);
    all.extend([
        enter::<Papaya<u64>>(draws, entries),
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
    let draws = Draws::zipf(keys, config.size(1 << 22));
    let slice = Slice::of(config, 35);
    // Twice the room for the pure hits, so that nothing is evicted: shards do not fill evenly.
    for (mix, room) in [(Mix::Inserts(0), 2), (Mix::Inserts(1), 1)] {
        let entrants = field(&draws, keys * room);
        let what = format!("capacity {room} x {keys} keys");
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
            lines(&mut report, compare(config, &what, &entrants, load));
        }
    }
    report
}

fn lines(report: &mut Report, seen: Compared) {
    let (ahead, even) = match seen.threads {
        1 => (1.3, Bar::None),
        2 => (1.5, Bar::AtLeast(1.0)),
        _ => (1.5, Bar::None),
    };
    seen.line(report, OURS, Quick::<u64>::NAME, Bar::AtLeast(ahead));
    seen.line(report, OURS, Dash::<u64>::NAME, even);
    seen.line(report, OURS, Moka::<u64>::NAME, Bar::None);
    seen.line(report, OURS, Scc::<u64>::NAME, Bar::None);
    seen.line(report, HELD, OURS, Bar::AtLeast(1.3));
    seen.figures(report);
}
