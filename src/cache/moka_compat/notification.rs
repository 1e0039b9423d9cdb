//! What an eviction listener is told.

use core::future::Future;
use core::pin::Pin;

use crate::cache::Cause;

/// What an asynchronous eviction listener returns.
pub type ListenerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why an entry left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalCause {
    /// Its time to live or to idle, or its own expiry, was over.
    Expired,
    /// It was removed by a call.
    Explicit,
    /// Another value took its place under the same key.
    Replaced,
    /// Room was needed; or there was none for it, when it was inserted.
    Size,
}

impl RemovalCause {
    /// Whether the cache, not a caller, let it go: by size or by time.
    #[must_use]
    pub fn was_evicted(&self) -> bool {
        matches!(self, Self::Expired | Self::Size)
    }
}

impl From<Cause> for RemovalCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Expired => Self::Expired,
            Cause::Explicit => Self::Explicit,
            Cause::Replaced => Self::Replaced,
            Cause::Size => Self::Size,
        }
    }
}
