//! What `invalidate_entries_if` may answer.

use core::fmt;

/// Why a predicate was not taken.
#[derive(Debug)]
pub enum PredicateError {
    /// The builder was not told `support_invalidation_closures`.
    InvalidationClosuresDisabled,
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this cache takes no predicates: its builder was not told \
             `support_invalidation_closures`",
        )
    }
}

impl core::error::Error for PredicateError {}
