//! A sharded CLOCK cache: the parts that it is made of.
#![allow(dead_code)] // until the cache is put together

mod stats;

pub use stats::Stats;
