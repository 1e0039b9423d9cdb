//! Why a request for space was refused.

use core::fmt;

use crate::id::ByteLen;

/// Why space was not given out or not taken back. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceError {
    /// An alignment is a power of two.
    BadAlignment(u64),
    /// The length would not fit even into an empty space: it is longer than what lies between
    /// the header and the limit, or the sum leaves the 64-bit space.
    TooLarge,
    /// No gap is long enough, and the space may not grow so far.
    NoSpace,
    /// The space is cut into too many pieces: at most `u32::MAX - 2` extents are given out.
    TooManySegments,
    /// No live extent begins at this offset: it was never given out, was freed already, lies
    /// inside another extent, or belongs to a size class or to a run.
    NotLive,
    /// A live extent begins at this offset, but it has another length.
    WrongLen {
        /// The length of the live extent.
        live: ByteLen,
    },
    /// The extent is empty, touches the header, or ends past the limit.
    OutOfBounds,
    /// A part of the extent is given out.
    Taken,
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAlignment(align) => write!(f, "the alignment {align} is not a power of two"),
            Self::TooLarge => f.write_str("the length fits into no space of this limit"),
            Self::NoSpace => f.write_str("no gap is long enough and the limit is reached"),
            Self::TooManySegments => f.write_str("the space is cut into too many pieces"),
            Self::NotLive => f.write_str("no live extent begins at this offset"),
            Self::WrongLen { live } => {
                write!(f, "the extent at this offset has {} bytes", live.get())
            }
            Self::OutOfBounds => f.write_str("the extent leaves the space"),
            Self::Taken => f.write_str("a part of the extent is given out"),
        }
    }
}

impl core::error::Error for SpaceError {}
