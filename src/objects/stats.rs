//! What a store says of itself, and of one object.

use core::fmt;
use core::time::Duration;

use super::figures::BUCKETS;
use super::kind::StoredType;

/// What a store holds, and what was done with it.
///
/// # Consistency
/// Exact while nobody else uses the store; else of some moment for each figure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectStats {
    /// Objects with bytes: those that can be read, and the deleted ones that are pinned still.
    pub objects: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
    /// What of the store's limit objects may have; the rest, 64 KiB and a part in 128, is the store's own.
    pub limit: u64,
    /// What of the limit is in use: payloads, and what is kept beside each.
    pub used_bytes: u64,
    /// What of the limit the index has beside that: its places, of which each object has one, but for
    /// the first of each shard. It shrinks when room is wanted.
    pub index_bytes: u64,
    /// Of `used_bytes`, in objects that are pinned.
    pub pinned_bytes: u64,
    /// Builders and promises.
    pub pending: u64,
    /// Of `used_bytes`, in builders and promises.
    pub pending_bytes: u64,
    /// Of `used_bytes`, what left the store and is not freed: somebody has its `Bytes`, or reads it; or
    /// it waits to be freed with others, which is done before anything is refused.
    pub retained_bytes: u64,
    /// Reads that found their object ready, at once or when they had waited.
    pub hits: u64,
    /// Reads that did not, those that gave up waiting among them.
    pub misses: u64,
    /// Objects that got their bytes.
    pub puts: u64,
    /// Reads: hits and misses.
    pub gets: u64,
    /// Objects that left because room was needed.
    pub evicted: u64,
    /// The bytes of their payloads.
    pub evicted_bytes: u64,
    /// Objects that left because somebody deleted them, or nobody referred to them any more.
    pub removed: u64,
    /// The bytes of their payloads.
    pub removed_bytes: u64,
    /// How many of `objects` have a length of so many bits: `sizes[0]` those of 0 bytes, `sizes[n]`
    /// those of 2^(n-1) to 2^n - 1.
    pub sizes: [u64; BUCKETS],
}

impl Default for ObjectStats {
    fn default() -> Self {
        Self {
            objects: 0,
            bytes: 0,
            limit: 0,
            used_bytes: 0,
            index_bytes: 0,
            pinned_bytes: 0,
            pending: 0,
            pending_bytes: 0,
            retained_bytes: 0,
            hits: 0,
            misses: 0,
            puts: 0,
            gets: 0,
            evicted: 0,
            evicted_bytes: 0,
            removed: 0,
            removed_bytes: 0,
            sizes: [0; BUCKETS],
        }
    }
}

impl fmt::Display for ObjectStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "objects   {} of {} bytes", self.objects, self.bytes)?;
        writeln!(
            f,
            "used      {} of {} bytes: pinned {}, pending {}, retained {}; index {}",
            self.used_bytes,
            self.limit,
            self.pinned_bytes,
            self.pending_bytes,
            self.retained_bytes,
            self.index_bytes
        )?;
        writeln!(
            f,
            "gets      {}: {} hits, {} misses",
            self.gets, self.hits, self.misses
        )?;
        writeln!(f, "puts      {}", self.puts)?;
        write!(
            f,
            "left      {} evicted ({} bytes), {} removed ({} bytes)",
            self.evicted, self.evicted_bytes, self.removed, self.removed_bytes
        )?;
        for (bits, count) in self
            .sizes
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let least = if bits == 0 { 0 } else { 1u64 << (bits - 1) };
            write!(f, "\nsize      from {least}: {count}")?;
        }
        Ok(())
    }
}

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectState {
    /// A builder or a promise has it.
    Pending,
    /// It can be read.
    Ready,
    /// Its outcome is an error.
    Failed,
}

/// What a store knows of an object beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// How far it is.
    pub state: ObjectState,
    /// The length of its payload; 0 unless it is ready.
    pub size: u64,
    /// As what it was stored; as bytes unless it is ready.
    pub stored: StoredType,
    /// When its id was given out, since the store was made; to within 10 ms and the clock's step.
    pub created_at: Duration,
    /// When it was last read; before that, when it was put, sealed or fulfilled, or failed.
    pub last_accessed: Duration,
    /// How many pins it has.
    pub pins: u64,
    /// How many [`ObjectRef`](super::ObjectRef)s were made for it and live; clones are one.
    pub references: u64,
}
