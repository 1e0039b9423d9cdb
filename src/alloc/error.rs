//! What the allocators answer when they cannot do it, and the states of a slot.

use core::fmt;

use super::gaps::SpaceError;
use crate::bitset::{Mark, State};
use crate::id::{Overflow, RangeError};

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlotState {
    /// Nobody has it: it may be handed out.
    Free,
    /// Handed out, not yet visible.
    Reserved,
    /// Visible.
    Live,
    /// Invisible, and kept until it is reclaimed. Also said while a call that wants to hide the
    /// slot is in progress.
    Hidden,
    /// Invisible. Once nobody can be looking at it any more, it becomes free: by `collect`, or by
    /// and by as others are retired, or when room runs out.
    Retired,
}

impl SlotState {
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Live => Self::Live,
            State::Free => Self::Free,
            State::Marked(Mark::Reserved) => Self::Reserved,
            State::Marked(Mark::Hiding | Mark::Hidden) => Self::Hidden,
            State::Marked(Mark::Retired) => Self::Retired,
        }
    }
}

/// Why no slot was handed out; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// Every slot was, at some moment of the call, live, reserved, hidden, retired, or in a word
    /// (64 slots) whose lease another call in progress held.
    Full {
        /// How many slots are hidden or retired: those that come back without anybody's `free`.
        waiting: u64,
    },
    /// There were not so many free slots in a row, outside words whose leases other calls in
    /// progress held.
    NoRun {
        /// How many slots are hidden or retired.
        waiting: u64,
    },
    /// A run has at least one slot.
    EmptyRun,
    /// The address space has no room for another range or region.
    Space(SpaceError),
    /// The ids have run out.
    Ids(RangeError),
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { waiting } => write!(f, "no slot is free ({waiting} wait to become so)"),
            Self::NoRun { waiting } => {
                write!(
                    f,
                    "not so many slots in a row are free ({waiting} wait to become so)"
                )
            }
            Self::EmptyRun => f.write_str("a run has at least one slot"),
            Self::Space(_) => f.write_str("the address space has no room"),
            Self::Ids(_) => f.write_str("the ids have run out"),
        }
    }
}

impl core::error::Error for AllocError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Space(error) => Some(error),
            Self::Ids(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a slot was not freed, hidden, reclaimed or retired; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreeError {
    /// The id is none of this allocator's, or its range was given back.
    Foreign,
    /// The id was never handed out.
    ///
    /// Said where it can be told: as long as no slot was handed out that has its bit in the same
    /// word (63 neighbours; every 64th slot shares words with others of its kind).
    NeverAllocated,
    /// The slot is free: it was freed before, or never handed out.
    AlreadyFree,
    /// The slot is reserved: publish or cancel it.
    Reserved,
    /// The slot is hidden, or another call is just about to hide it: reclaim it.
    Hidden,
    /// The slot is retired: it becomes free by itself.
    Retired,
    /// Only a hidden slot can be reclaimed, and this one is live.
    NotHidden,
    /// The address space has given out no such extent.
    Space(SpaceError),
}

impl FreeError {
    /// The error for a slot that was found in `state`, and was to be live.
    pub(crate) fn not_live(state: SlotState, touched: bool) -> Self {
        match state {
            SlotState::Free if !touched => Self::NeverAllocated,
            SlotState::Reserved => Self::Reserved,
            SlotState::Hidden => Self::Hidden,
            SlotState::Retired => Self::Retired,
            SlotState::Free | SlotState::Live => Self::AlreadyFree,
        }
    }
}

impl fmt::Display for FreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Space(_) => "the address space has given out no such extent",
            Self::Foreign => "the id is none of this allocator's",
            Self::NeverAllocated => "the id was never handed out",
            Self::AlreadyFree => "the slot is free already",
            Self::Reserved => "the slot is reserved, not live",
            Self::Hidden => "the slot is hidden",
            Self::Retired => "the slot is retired",
            Self::NotHidden => "the slot is live: hide it first",
        })
    }
}

impl core::error::Error for FreeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Space(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an id has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// The id is none of this allocator's, or its range was given back.
    Unknown,
    /// The id was never handed out.
    ///
    /// Said where it can be told: as long as no slot was handed out that has its bit in the same
    /// word (63 neighbours; every 64th slot shares words with others of its kind).
    NeverAllocated,
    /// The slot is free: it was freed, or never handed out.
    Freed,
    /// The slot is reserved, and not yet published.
    Reserved,
    /// The slot is hidden or retired.
    Hidden,
}

impl LookupError {
    /// The error for a slot that was found in `state`, which is not live.
    pub(crate) fn not_live(state: SlotState, touched: bool) -> Self {
        match state {
            SlotState::Free if !touched => Self::NeverAllocated,
            SlotState::Reserved => Self::Reserved,
            SlotState::Hidden | SlotState::Retired => Self::Hidden,
            SlotState::Free | SlotState::Live => Self::Freed,
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the id is none of this allocator's",
            Self::NeverAllocated => "the id was never handed out",
            Self::Freed => "the object was freed",
            Self::Reserved => "the object is not published yet",
            Self::Hidden => "the object was hidden",
        })
    }
}

impl core::error::Error for LookupError {}

/// Why an allocator cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A block has at least one slot.
    NoSlots,
    /// A block has at most 2^31 slots.
    TooManySlots,
    /// There is at least one stripe.
    NoStripes,
    /// There are at most 2^16 stripes.
    TooManyStripes,
    /// The ids would leave the id space.
    Ids(RangeError),
    /// The slots would leave the 64-bit address space.
    Offsets(Overflow),
    /// A snapshot of another size.
    WordCount {
        /// How many words a snapshot of such a block has.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// A word of the snapshot claims slots beyond the capacity.
    BeyondCapacity {
        /// Which word.
        word: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlots => f.write_str("a block has at least one slot"),
            Self::TooManySlots => f.write_str("a block has at most 2^31 slots"),
            Self::NoStripes => f.write_str("an allocator has at least one stripe"),
            Self::TooManyStripes => f.write_str("an allocator has at most 2^16 stripes"),
            Self::Ids(_) => f.write_str("the ids leave the id space"),
            Self::Offsets(_) => f.write_str("the slots leave the address space"),
            Self::WordCount { expected, found } => {
                write!(
                    f,
                    "a snapshot of {found} words, where {expected} are needed"
                )
            }
            Self::BeyondCapacity { word } => {
                write!(
                    f,
                    "word {word} of the snapshot claims slots beyond the capacity"
                )
            }
        }
    }
}

impl core::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Ids(error) => Some(error),
            Self::Offsets(error) => Some(error),
            _ => None,
        }
    }
}
