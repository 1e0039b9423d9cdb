//! What the benches share: sets of ids, drivers, rounds, peers, baselines and reports.
//!
//! # Shape
//! ```text
//! sets      ids and ranges to ask for       drive     loops over them, ns a step
//! draws     keys that caches are asked for
//! ours      this crate, behind the peers' interfaces
//! baseline  the bare tables of the bars     peers     what others have built
//! rounds    sides measured in turn, A B A B; a ratio per round
//! rows      one function a row of the table, each returns its lines
//! hits      hit ratios of caches: traces, simulated policies, peers, tables and pictures
//! report    lines as a table, and as a record with the machine described
//! ```

pub mod baseline;
pub mod cores;
pub mod draws;
pub mod drive;
#[cfg(not(loom))]
pub mod hits;
pub mod latency;
pub mod machine;
#[path = "../../tests/support/memory.rs"]
pub mod memory;
pub mod ours;
#[cfg(not(loom))]
pub mod ours_cache;
#[cfg(not(loom))]
pub mod ours_store;
pub mod peers;
pub mod report;
pub mod rounds;
pub mod rows;
pub mod sets;
pub mod ticks;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How often the sides take turns.
    pub rounds: usize,
    /// A smoke test: small sets, few rounds; the numbers mean nothing.
    pub quick: bool,
}

impl Config {
    /// `full`, or a hundredth of it (at least 1,000) in a smoke test.
    #[must_use]
    pub fn size(self, full: usize) -> usize {
        if self.quick {
            (full / 100).max(1000)
        } else {
            full
        }
    }

    /// The steps of one side in one round: about `full`.
    #[must_use]
    pub fn steps(self, full: usize) -> usize {
        if self.quick { full / 50 } else { full }
    }
}
