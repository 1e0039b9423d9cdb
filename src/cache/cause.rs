//! Why entries leave, and who is told.

use core::fmt;

/// Why an entry left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its deadline passed.
    Expired,
    /// It was removed by a call.
    Explicit,
    /// Another value took its place under the same key.
    Replaced,
    /// Room was needed: the policy chose it.
    Size,
}

impl Cause {
    /// Whether the cache, not a caller, let it go: by size or by time.
    #[must_use]
    pub fn was_evicted(self) -> bool {
        matches!(self, Self::Expired | Self::Size)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its deadline passed",
            Self::Explicit => "it was removed",
            Self::Replaced => "it was replaced",
            Self::Size => "room was needed",
        })
    }
}

/// Is told of each entry that leaves, once.
pub(super) type Listener<K, V> = Box<dyn Fn(&K, &V, Cause) + Send + Sync>;
/// Weighs an entry, once.
pub(super) type Weigher<K, V> = Box<dyn Fn(&K, &V) -> u64 + Send + Sync>;
