//! Hit ratios of the policy, of its peers as shipped, and of the optimum.
//!
//! ```text
//! cargo run --release -p mapless-benches --bin hitratio -- [--trace FILE..] [--quick] [--out DIR]
//! ```
//! Every request is a lookup that inserts on a miss. Capacities are 0.1 %, 1 % and 10 % of the
//! unique keys (of the footprint where sized); those under 32 entries are skipped. Without traces
//! a made-up set runs.

#[cfg(not(loom))]
mod program;

#[cfg(not(loom))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::main()
}

/// One of the peers does not build under loom.
#[cfg(loom)]
fn main() {}
