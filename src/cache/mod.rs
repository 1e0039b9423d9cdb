//! A sharded CLOCK cache: the parts that it is made of.
#![allow(dead_code)] // until the cache is put together

mod clock;
mod coarse;
mod stats;
mod tick;
mod wheel;

pub use clock::{Clock, CoarseClock, Expiry, ManualClock};
pub use stats::Stats;
pub use tick::TICK;
