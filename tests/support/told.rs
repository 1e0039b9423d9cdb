//! Contents that tell what they are, and whether they are whole.
#![allow(dead_code)] // each test takes what it needs

/// No content is shorter.
pub(crate) const LEAST: usize = 16;

/// Three numbers, the length, and bytes that follow from them.
pub(crate) fn told(what: [u32; 3], len: usize) -> Vec<u8> {
    let len = len.max(LEAST);
    let words = what.into_iter().chain([len as u32]);
    let mut bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    let [a, b, c] = what;
    let mixed = a + b * 101 + c * 7;
    bytes.extend((LEAST..len).map(|at| (at as u32 * 31 + mixed) as u8));
    bytes
}

/// The numbers of a content, which is whole.
pub(crate) fn tells(bytes: &[u8]) -> [u32; 3] {
    let word = |at: usize| u32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap());
    let what = [word(0), word(1), word(2)];
    assert!(bytes == told(what, bytes.len()), "mixed bytes");
    what
}
