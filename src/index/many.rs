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

use super::find::Hit;
use super::trie::View;

/// So many lookups go down together.
pub(super) const LANES: usize = 16;

impl<'a> View<'a> {
    /// Looks up each id; `answer` is told the place of each and what contains it.
    pub(super) fn find_many(
        self,
        ids: impl ExactSizeIterator<Item = u64> + Clone,
        mut answer: impl FnMut(usize, Option<Hit<'a>>),
    ) {
        let mut from = 0;
        let mut rest = ids;
        while rest.len() >= LANES {
            let ids: [u64; LANES] = core::array::from_fn(|_| rest.next().unwrap_or(0));
            self.round(ids, |lane, hit| answer(from + lane, hit));
            from += LANES;
        }
        for (place, id) in rest.enumerate() {
            answer(from + place, self.find(id));
        }
    }

    #[inline]
    fn round(self, ids: [u64; LANES], mut answer: impl FnMut(usize, Option<Hit<'a>>)) {
        let mut lanes = ids.map(|id| self.descend(id));
        loop {
            let mut moved = false;
            for lane in &mut lanes {
                moved |= lane.step();
            }
            if !moved {
                break;
            }
        }
        for (place, (lane, id)) in lanes.iter().zip(ids).enumerate() {
            let hit = lane.hit(id).or_else(|| self.miss(lane, id));
            answer(place, hit);
        }
    }
}
