//! The rows of the table: one function each.

use crate::Config;
use crate::report::Report;

pub mod caches;
pub mod insert;
pub mod objects;
pub mod ranges;
pub mod slots;
pub mod spaces;
pub mod stuck;
pub mod threads;
pub mod writer;

/// One row: its name on the command line, and what measures it.
pub type Row = (&'static str, fn(Config) -> Report);

/// All rows, in the order of the table.
pub const ROWS: &[Row] = &[
    ("memory", objects::memory),
    ("locate-in", objects::locate_in),
    ("locate", objects::locate),
    ("get-many", ranges::get_many),
    ("get-in", ranges::get_in),
    ("get-in-10m", ranges::get_in_10m),
    ("threads", threads::lookups),
    ("threads-objects", objects::threads),
    ("writer-slow", writer::slow),
    ("writer-flat-out", writer::flat_out),
    ("insert", insert::insert),
    ("slots", slots::churn),
    ("slots-full", slots::refusal),
    ("cache-hits", caches::hits::hits),
    ("cache-mixed", caches::mixed::mixed),
    ("cache-hot", caches::hot::hot),
    ("cache-memory", caches::memory::memory),
    ("cache-peak", caches::peak::peak),
    ("cache-latency", caches::latency::latency),
];

/// Tables for the design document; they have no bars and are only run by name.
pub const EXTRAS: &[Row] = &[
    ("maps", objects::maps),
    ("locate-many", objects::locate_many),
    ("spaces", spaces::spaces),
    ("layouts", ranges::layouts),
    ("stuck-reader", stuck::stuck),
    ("cache-hits-all", caches::hits::peers),
    ("cache-mixed-all", caches::mixed::peers),
];
