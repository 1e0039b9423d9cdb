//! Durable puts beside a thread that streams a large object.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use mapless::MultiStore;

use super::{PAYLOAD, file_system, folder};
use crate::Config;
use crate::latency::Seen;
use crate::memory::uncounted;
use crate::ours_store::{self, OURS};
use crate::peers::stores::Use;
use crate::report::{Line, Report};
use crate::rounds::Series;
use crate::ticks;

/// How long the large object is.
const STREAM: usize = 1 << 30;

/// The median alone, and while it is written.
pub fn stream(config: Config) -> Report {
    uncounted(|| measure(config))
}

fn measure(config: Config) -> Report {
    let rounds = config.rounds.min(3);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let len = config.size(STREAM);
    for _ in 0..rounds {
        let folder = folder();
        let store = ours_store::open(folder.path(), Use::Durable);
        let mut steps = 0..config.steps(1000).max(20);
        alone.push(median(&store, || steps.next().is_some()));
        beside.push(streaming(&store, len));
    }
    let name = format!("{OURS}, alone");
    let (alone, beside) = (Series::new(name, alone), Series::new(OURS, beside));
    let work = format!(
        "durable put, 64 B, beside a stream of {} MiB, {}, median",
        len >> 20,
        file_system()
    );
    let mut report = Report::default();
    let line = Line::at_most(work, &beside, &alone, 20.0);
    report.lines.push(line.in_unit("µs"));
    report
}

/// The median in µs of puts, as long as there are to be more.
fn median(store: &MultiStore, mut more: impl FnMut() -> bool) -> f64 {
    let mut seen = Seen::default();
    while more() {
        let start = ticks::now();
        store.put(PAYLOAD).expect("there is room");
        seen.add(ticks::now() - start);
    }
    seen.tail().p50 / 1e3
}

fn streaming(store: &MultiStore, len: usize) -> f64 {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (_, mut writer) = store.create_writer(len as u64).expect("there is room");
            let piece = vec![3; 1 << 20];
            for at in (0..len).step_by(piece.len()) {
                let piece = &piece[..piece.len().min(len - at)];
                writer.write_all(piece).expect("there is room");
            }
            writer.finish().expect("it is all there");
            done.store(true, Relaxed);
        });
        median(store, || !done.load(Relaxed))
    })
}
