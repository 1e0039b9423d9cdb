//! The only door to atomics, cells, locks, epochs and thread-locals.
//!
//! # Shape
//! ```text
//! atomic   AtomicU64 ..  core's own | loom's | shuttle's | counted   (one API)
//! cell     Slot, Locked, Canary     what loom must see raced or freed
//! barrier  Unequal                  a fence of which many pay nothing
//! lock     Mutex                    never poisoned: no user code runs under it
//! local    thread_number()          a small number for this thread; perhaps its own
//! stripes  Stripes                  counters that no decision reads
//! gauge    Gauge                    a figure that no protocol depends on
//! park     block_on                 a thread that waits for a future
//! waits    Waiting                  who waits for whom, so that nobody waits for itself
//! telling  Telling                  listeners inside of listeners
//! said     hear, say                a word past code that knows of neither
//! in_turn  drop_in_turn             things that are in one another
//! hint     prefetch                 a word to the processor
//! epoch    Domain, Guard, Limbo     who may still be looking, and what waits for them
//! ```
//! Which implementation stands behind it is decided here and nowhere else: `--cfg loom` with the
//! feature `loom`, `--cfg shuttle` with the feature `shuttle`, `--cfg mapless_count` (every atomic
//! operation is counted), and otherwise the standard library. A check in `ci/` fails on a bypass.
//!
//! # Checked by
//! `loom-tests/epoch.rs`; `loom-tests/numbers.rs`; `loom-tests/litmus` (what the checker itself
//! sees).

pub(crate) mod atomic;
#[cfg(feature = "store")]
pub(crate) mod barrier;
pub(crate) mod cell;
pub(crate) mod epoch;
#[cfg(feature = "cache")]
pub(crate) mod gauge;
pub(crate) mod hint;
#[cfg(feature = "store")]
pub(crate) mod in_turn;
pub(crate) mod local;
pub(crate) mod lock;
#[cfg_attr(all(shuttle, feature = "shuttle"), allow(dead_code))] // `local` counts for itself there
pub(crate) mod numbers;
#[cfg(feature = "cache")]
pub(crate) mod park;
#[cfg(feature = "store")]
pub(crate) mod said;
#[cfg(feature = "cache")]
pub(crate) mod stripes;
#[cfg(feature = "cache")]
pub(crate) mod telling;
#[cfg(feature = "cache")]
pub(crate) mod waits;

/// Sizes that shrink when a model checker runs, so that few steps reach every edge.
pub(crate) const SMALL: bool = cfg!(all(loom, feature = "loom"));
