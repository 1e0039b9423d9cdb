//! The live ids, one block after the other.

use core::fmt;

use super::directory::Directory;
use crate::bitset::BITS;
use crate::id::ObjectId;

/// The live ids of an allocator, ascending; see [`crate::OmniBlockAllocator::iter`].
///
/// It copies the live bits of one range at a time, and holds no guard in between.
///
/// It cannot outlive its allocator:
///
/// ```compile_fail,E0505
/// let ids = mapless::OmniBlockAllocator::new();
/// let mut live = ids.iter();
/// drop(ids); // error: it is borrowed
/// live.next();
/// ```
pub struct OmniLiveIds<'a> {
    directory: &'a Directory,
    /// From here on ranges are still to be shown.
    next: Option<ObjectId>,
    first: u64,
    word: usize,
    words: Vec<u64>,
}

impl<'a> OmniLiveIds<'a> {
    pub(crate) fn new(directory: &'a Directory) -> Self {
        Self {
            directory,
            next: Some(ObjectId::MIN),
            first: 0,
            word: 0,
            words: Vec::new(),
        }
    }

    /// Copies the live bits of the next range.
    fn load(&mut self) -> Option<()> {
        let guard = self.directory.domain().pin();
        let block = self.directory.blocks(self.next?, &guard).next()?;
        let span = block.span();
        self.next = block.id(span.last).checked_add(1).ok();
        self.first = span.first_id.get();
        self.word = 0;
        self.words.clear();
        self.words.extend(block.live_words());
        Some(())
    }
}

impl Iterator for OmniLiveIds<'_> {
    type Item = ObjectId;

    fn next(&mut self) -> Option<ObjectId> {
        loop {
            let Some(bits) = self.words.get_mut(self.word) else {
                self.load()?;
                continue;
            };
            if *bits != 0 {
                let slot = self.word as u64 * u64::from(BITS) + u64::from(bits.trailing_zeros());
                *bits &= *bits - 1;
                return ObjectId::new(self.first + slot);
            }
            self.word += 1;
        }
    }
}

impl fmt::Debug for OmniLiveIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OmniLiveIds")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
