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
            let mut lanes = core::array::from_fn(|lane| top.slot_of(ids[lane].get()));
            while self.step(&mut lanes, ids) {}
            for ((slot, id), answer) in lanes.into_iter().zip(ids).zip(answers) {
                let hit = Hit::inline_at(slot, self.read(slot).word, id.get());
                *answer = hit.or_else(|| self.find_cold(id.get())).map(&shape);
            }
        }
        for (id, answer) in ids.remainder().iter().zip(answers.into_remainder()) {
            *answer = self.find(id.get()).map(&shape);
        }
    }

    /// One step down for every lane that has one to take; whether there was any.
    #[inline(always)]
    fn step(self, lanes: &mut [&'a Slot; LANES], ids: &[ObjectId]) -> bool {
        let mut any = false;
        for (slot, id) in lanes.iter_mut().zip(ids) {
            if let Some(node) = self.read(slot).node() {
                *slot = prefetched(node.slot_of(id.get()));
                any = true;
            }
        }
        any
    }

    #[cold]
    #[inline(never)]
    fn find_cold(self, id: u64) -> Option<Hit<'a>> {
        self.find(id)
    }
}
