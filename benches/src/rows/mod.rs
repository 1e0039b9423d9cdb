//! The rows of the table: one function each.

use crate::Config;
use crate::report::Report;

#[cfg(not(loom))]
pub mod caches;
pub mod insert;
pub mod objects;
pub mod ranges;
#[cfg(not(loom))]
pub mod shared;
pub mod slots;
pub mod spaces;
#[cfg(not(loom))]
pub mod stores;
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
    #[cfg(not(loom))]
    ("cache-hits", caches::hits::hits),
    #[cfg(not(loom))]
    ("cache-mixed", caches::mixed::mixed),
    #[cfg(not(loom))]
    ("cache-hot", caches::hot::hot),
    #[cfg(not(loom))]
    ("cache-memory", caches::memory::memory),
    #[cfg(not(loom))]
    ("cache-peak", caches::peak::peak),
    #[cfg(not(loom))]
    ("cache-latency", caches::latency::latency),
    // Those that wait for the disk first: the others write so much that some disks slow down.
    #[cfg(not(loom))]
    ("store-put", stores::durable::put),
    #[cfg(not(loom))]
    ("store-change", stores::durable::change),
    #[cfg(not(loom))]
    ("store-threads", stores::durable::threads),
    #[cfg(not(loom))]
    ("store-stream", stores::stream::stream),
    #[cfg(not(loom))]
    ("store-get", stores::get::get),
    #[cfg(not(loom))]
    ("store-load", stores::load::load),
    #[cfg(not(loom))]
    ("store-memory", stores::memory::memory),
    #[cfg(not(loom))]
    ("store-reopen", stores::reopen::reopen),
    #[cfg(not(loom))]
    ("store-size", stores::size::size),
    #[cfg(not(loom))]
    ("objects-get", shared::get::get),
    #[cfg(not(loom))]
    ("objects-threads", shared::threads::threads),
    #[cfg(not(loom))]
    ("objects-put", shared::put::put),
    #[cfg(not(loom))]
    ("objects-peak", shared::peak::peak),
];

/// Tables for the design document; they have no bars and are only run by name.
pub const EXTRAS: &[Row] = &[
    ("maps", objects::maps),
    ("locate-many", objects::locate_many),
    ("spaces", spaces::spaces),
    ("layouts", ranges::layouts),
    ("stuck-reader", stuck::stuck),
    #[cfg(not(loom))]
    ("cache-hits-all", caches::hits::peers),
    #[cfg(not(loom))]
    ("cache-mixed-all", caches::mixed::peers),
];
