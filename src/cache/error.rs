//! What the cache refuses, and why; what was handed in comes back with it.

use core::fmt;

/// Why an entry was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It weighs more than the cache may hold.
    TooHeavy,
    /// What is held leaves too little room, whatever were evicted: by a [`Held`](super::Held), or
    /// while it is computed anew.
    AllHeld,
    /// Readers' guards still keep what was evicted ([`Mode::Live`](super::Mode::Live) only).
    Retained,
    /// [`insert_wait`](super::ClockCache::insert_wait) would wait for this thread's own guard, or for
    /// the listener that it was called by.
    OwnGuard,
    /// Other inserts took the room that was made, or needed for themselves what they replace,
    /// several times in a row.
    Contended,
    /// The key was there, and was to be absent; or absent, and was to be there.
    Occupancy,
    /// A shard has no number left for another entry.
    TooMany,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooHeavy => "it weighs more than the capacity",
            Self::AllHeld => "what is held leaves too little room",
            Self::Retained => "readers still keep what was evicted",
            Self::OwnGuard => "this thread is what the insert would wait for",
            Self::Contended => "other inserts took the room that was made",
            Self::Occupancy => "the key is there and was to be absent, or the other way round",
            Self::TooMany => "a shard has no number left for another entry",
        })
    }
}

/// A key and a value that were not taken in, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused<K, V> {
    /// The key that was handed in.
    pub key: K,
    /// The value that was handed in.
    pub value: V,
    /// Why it was refused.
    pub reason: Reason,
}

impl<K, V> fmt::Debug for Refused<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Refused");
        out.field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<K, V> fmt::Display for Refused<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cache did not take the entry: {}", self.reason)
    }
}

impl<K, V> core::error::Error for Refused<K, V> {}

/// A configuration that makes no cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of shards is not a power of two from 1 to 4096.
    Shards(usize),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards(n) => write!(f, "{n} shards: a power of two from 1 to 4096 was expected"),
        }
    }
}

impl core::error::Error for BuildError {}

/// The capacity could not be lowered: what is held weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityError {
    /// The capacity that was asked for.
    pub asked: u64,
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "what is held or retained leaves too little room for a capacity of {}",
            self.asked
        )
    }
}

impl core::error::Error for CapacityError {}
