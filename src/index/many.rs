//! Many lookups at once, level by level, so that their cache misses overlap.
//!
//! # Shape
//! ```text
//! lane 0   slot -> slot -> range
//! lane 1   slot -> slot -> slot -> range      one step of every lane, then the next step:
//! ..                                          loads of one round do not wait for each other
//! lane 15  slot -> slot -> bucket
//! ```
//!
//! # Edges
//! None of its own: see `cell.rs`.
//!
//! # Progress
//! Wait-free: as many rounds as the longest path has levels.
//!
//! # Checked by
//! `proptests/index.rs` (the same answers as single lookups).

use super::cell::Slot;
use super::find::Hit;
use super::heap::prefetched;
use super::trie::View;
use crate::id::ObjectId;

/// So many lookups go down together.
pub(super) const LANES: usize = 16;

impl<'a> View<'a> {
    /// Looks up each id, and writes what `shape` makes of the range that contains it.
    pub(super) fn find_many<T>(
        self,
        ids: &[ObjectId],
        answers: &mut [Option<T>],
        shape: impl Fn(Hit<'a>) -> T,
    ) {
        let Some(top) = self.top().node() else {
            // All is in one bucket.
            for (id, answer) in ids.iter().zip(answers) {
                *answer = self.find(id.get()).map(&shape);
            }
            return;
        };
        let mut ids = ids.chunks_exact(LANES);
        let mut answers = answers.chunks_exact_mut(LANES);
        for (ids, answers) in (&mut ids).zip(&mut answers) {
            let mut lanes = core::array::from_fn(|lane| Some(top.slot_of(ids[lane].get())));
            while self.step(&mut lanes, ids, answers, &shape) {}
        }
        for (id, answer) in ids.remainder().iter().zip(answers.into_remainder()) {
            *answer = self.find(id.get()).map(&shape);
        }
    }

    #[cold]
    #[inline(never)]
    fn find_cold(self, id: u64) -> Option<Hit<'a>> {
        self.find(id)
    }

    /// One step of every lane that is under way; false when all have arrived.
    #[inline(always)]
    fn step<T>(
        self,
        lanes: &mut [Option<&'a Slot>; LANES],
        ids: &[ObjectId],
        answers: &mut [Option<T>],
        shape: &impl Fn(Hit<'a>) -> T,
    ) -> bool {
        let mut left = false;
        for ((lane, id), answer) in lanes.iter_mut().zip(ids).zip(answers) {
            let Some(slot) = *lane else { continue };
            let id = id.get();
            let seen = self.read(slot);
            if let Some(node) = seen.node() {
                *lane = Some(prefetched(node.slot_of(id)));
                left = true;
            } else {
                *lane = None;
                let hit = Hit::inline_at(slot, seen.word, id);
                *answer = hit.or_else(|| self.find_cold(id)).map(shape);
            }
        }
        left
    }
}
