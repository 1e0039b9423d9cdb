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

use super::find::{Descent, Hit};
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
        let (root, seen) = self.root();
        let lanes = ids.map(|id| Descent::into(seen, id));
        if lanes[0].is_none() {
            // The root's word is no node's: all is in one bucket.
            return (0..LANES).for_each(|lane| answer(lane, self.find(ids[lane])));
        }
        let mut lanes = lanes.map(|lane| lane.expect("one root for all"));
        while Self::step_all(&mut lanes, &ids) {}
        for (place, (lane, id)) in lanes.iter().zip(ids).enumerate() {
            let hit = lane.inline(id).or_else(|| lane.elsewhere(root, id));
            answer(place, hit);
        }
    }

    /// One step of every lane that has one to take.
    #[inline(always)]
    fn step_all(lanes: &mut [Descent<'a>; LANES], ids: &[u64; LANES]) -> bool {
        let mut moved = false;
        for (lane, &id) in lanes.iter_mut().zip(ids) {
            if let Some(next) = lane.step(id) {
                *lane = next;
                moved = true;
            }
        }
        moved
    }
}
