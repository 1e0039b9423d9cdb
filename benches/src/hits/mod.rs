//! Hit ratios: traces, simulated policies, peers as shipped, and their tables and pictures.

pub mod belady;
pub mod clock;
pub mod contender;
pub mod curves;
pub mod fifo;
pub mod lru;
pub mod ours;
pub mod peers;
pub mod run;
pub mod synth;
pub mod table;
pub mod together;
pub mod trace;

/// A key's number, spread over 64 bits.
#[must_use]
pub fn mix(key: u64) -> u64 {
    let z = key.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
