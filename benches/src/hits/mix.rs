//! Numbers spread over all bits (the finalizer of SplitMix64).

/// A key's number, spread over 64 bits.
#[must_use]
pub fn mix(key: u64) -> u64 {
    let z = key.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
