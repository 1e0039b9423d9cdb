//! The capacity, as tokens: an entry is reachable or held only while it owns its weight in them.
//!
//! # Shape
//! ```text
//! capacity = pool + each shard's credit + reservations in hand + what entries own
//!             ^          |    ^                                       |
//!             +----------+    +------- an entry left, its weight -----+
//! ```
//! Tokens are made when the cache is built or its capacity raised, destroyed when it is lowered, and
//! otherwise only change hands. So the sum of what entries own can not exceed the capacity: there
//! is no moment at which it could, since nobody ever adds up.
//!
//! # Invariants
//! * B1  A token has one owner: the pool, a shard's credit, a reservation, or an entry.
//!
//! # Edges
//! | edge  | released by    | acquired by    | what crosses                                     |
//! |-------|----------------|----------------|--------------------------------------------------|
//! | TOKEN | `Budget::give` | `Budget::take` | that the entry which had the token is unlinked   |
//!
//! # Progress
//! `take` and `give` are lock-free.
//!
//! # Checked by
//! `loom-tests/cache_capacity.rs` (B1, TOKEN); `proptests/cache.rs`.

use crate::sync::atomic::{AtomicU64, Ordering::*};

/// Tokens that no shard has.
#[derive(Debug)]
pub(super) struct Budget {
    pool: AtomicU64,
}

impl Budget {
    pub(super) fn new(tokens: u64) -> Self {
        Self {
            pool: AtomicU64::new(tokens),
        }
    }

    /// As many tokens as there are, up to so many.
    pub(super) fn take(&self, most: u64) -> u64 {
        // Relaxed: only the first guess.
        let mut seen = self.pool.load(Relaxed);
        loop {
            let taken = seen.min(most);
            if taken == 0 {
                return 0;
            }
            // Acquire [TOKEN]: who had them before is out of sight before we use them. Relaxed on
            // failure: the next guess.
            match self
                .pool
                .compare_exchange_weak(seen, seen - taken, Acquire, Relaxed)
            {
                Ok(_) => return taken,
                Err(newer) => seen = newer,
            }
        }
    }

    pub(super) fn give(&self, tokens: u64) {
        if tokens > 0 {
            // Release [TOKEN]: what they were taken from was unlinked before.
            self.pool.fetch_add(tokens, Release);
        }
    }
}

/// Tokens on their way to a shard; what is left goes back to the pool.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    tokens: u64,
}

impl<'a> Reservation<'a> {
    pub(super) fn none(budget: &'a Budget) -> Self {
        Self { budget, tokens: 0 }
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn add(&mut self, tokens: u64) {
        self.tokens += tokens;
    }

    /// Fetches what is lacking to `need` from the pool, as far as it goes.
    pub(super) fn fill(&mut self, need: u64) -> bool {
        self.tokens += self.budget.take(need.saturating_sub(self.tokens));
        self.tokens >= need
    }

    /// Hands all of it over.
    pub(super) fn spend(&mut self) -> u64 {
        core::mem::take(&mut self.tokens)
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budget.give(self.tokens);
    }
}
