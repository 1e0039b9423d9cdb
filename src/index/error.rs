//! Why the index refused something. A refusal changes nothing.

use core::fmt;

use crate::id::IdRange;

/// Why a range was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertError {
    /// It shares an id with a range that is there.
    Overlap {
        /// The range that it hit; the last one, if it hit several.
        with: IdRange,
    },
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap { with } => write!(f, "the range overlaps {with:?}"),
        }
    }
}

impl core::error::Error for InsertError {}

/// Why a range was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveError {
    /// No range contains the id.
    NotFound,
    /// The id lies inside of a range and is not its first.
    NotFirst {
        /// The range that the id lies in.
        within: IdRange,
    },
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no range contains the id"),
            Self::NotFirst { within } => {
                write!(f, "the id lies inside of {within:?} and is not its first")
            }
        }
    }
}

impl core::error::Error for RemoveError {}

/// Why a value was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplaceError {
    /// No range contains the id.
    NotFound,
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no range contains the id")
    }
}

impl core::error::Error for ReplaceError {}

/// Why a sorted sequence of ranges was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// A range begins before the one in front of it ends.
    Unsorted {
        /// The place of that range in the sequence, from 0.
        at: usize,
    },
    /// A range shares an id with one that was in the index before.
    Overlap {
        /// The place of that range in the sequence, from 0.
        at: usize,
        /// The range that it hit.
        with: IdRange,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsorted { at } => write!(f, "range {at} begins before its predecessor ends"),
            Self::Overlap { at, with } => write!(f, "range {at} overlaps {with:?}"),
        }
    }
}

impl core::error::Error for LoadError {}
