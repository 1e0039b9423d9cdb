//! How a store is made.

use std::error::Error;
use std::fmt;

use super::inner::Inner;
use super::object::{OVERHEAD, PLACE};
use super::store::InMemoryStore;

/// What a store keeps for itself, whatever is in it ..
const BASE: u64 = 1 << 16;
/// .. and a part of the limit, for its tables and for what waits for readers in the epochs.
const PART: u64 = 128;
/// No limit is higher.
const MOST: u64 = 1 << 62;

/// What a store was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) count_retained: bool,
    pub(super) collect_unreferenced: bool,
    /// What a place in the index costs.
    pub(super) place: u64,
    /// Of the cache; as it chooses, unless a model does.
    pub(super) shards: Option<usize>,
}

/// A limit under which no store can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitTooSmall {
    /// What was asked for.
    pub limit: u64,
    /// What it has to be at least.
    pub least: u64,
}

impl fmt::Display for LimitTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a limit of {} bytes; it has to be {} at least",
            self.limit, self.least
        )
    }
}

impl Error for LimitTooSmall {}

/// Makes an [`InMemoryStore`].
///
/// ```
/// use mapless::InMemoryStore;
/// let store = InMemoryStore::builder(64 << 20).collect_unreferenced(true).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct InMemoryStoreBuilder {
    limit: u64,
    options: Options,
}

impl InMemoryStoreBuilder {
    pub(super) fn new(limit: u64) -> Self {
        let options = Options {
            count_retained: true,
            collect_unreferenced: false,
            place: PLACE,
            shards: None,
        };
        Self { limit, options }
    }

    /// Whether what left the store counts until it is freed, which is when the last `Bytes` of it is
    /// dropped: yes unless told. If not, it counts until it is out of sight, and what readers keep
    /// may come on top of the limit, beside a sixty-fourth of it that is not freed yet.
    pub fn count_retained(mut self, count: bool) -> Self {
        self.options.count_retained = count;
        self
    }

    /// Whether an object for which there were [`ObjectRef`](super::ObjectRef)s goes with the last of
    /// them, or with its last pin if that comes later: no unless told.
    pub fn collect_unreferenced(mut self, collect: bool) -> Self {
        self.options.collect_unreferenced = collect;
        self
    }

    /// Makes the store, empty; memory comes as objects do.
    ///
    /// # Errors
    /// If the limit leaves no room for an object.
    pub fn build(self) -> Result<InMemoryStore, LimitTooSmall> {
        let least = BASE + BASE / 32 + OVERHEAD;
        if self.limit < least {
            let limit = self.limit;
            return Err(LimitTooSmall { limit, least });
        }
        let limit = self.limit.min(MOST);
        let room = limit - BASE - limit / PART;
        Ok(InMemoryStore::of(Inner::new(room, self.options)))
    }
}
