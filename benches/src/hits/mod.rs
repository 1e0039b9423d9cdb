//! Hit ratios: traces, simulated policies, peers as shipped, and their tables and pictures.

pub mod belady;
pub mod clock;
pub mod contender;
pub mod curves;
pub mod fifo;
pub mod lru;
mod mix;
pub mod ours;
pub mod peers;
pub mod run;
pub mod synth;
pub mod table;
pub mod together;
pub mod trace;

pub use mix::mix;
