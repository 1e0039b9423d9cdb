//! Where first ids come from: a counter that never goes back.
//!
//! # Shape
//! ```text
//! |<- 2^15 ids ->|<- 2^15 ids ->|<- 2^15 ids ->|
//! [range of 1024 ][range of 9000][page of single objects, one id each ..
//! ```
//! Every range begins at a multiple of 2^15, so that in the index each range has a slot of its own
//! and one lookup finds it; objects that are ranges of one slot share pages of 2^15 ids. Ids are
//! not scarce: 2^49 ranges before the space is used up.
//!
//! # Invariants
//! * N1  No id is issued twice, whatever was given back.

use crate::id::{IdRange, ObjectId, RangeError};

/// The ids between the beginnings of two neighbouring ranges.
const PAGE: u64 = 1 << 15;

/// Issues ranges of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdCounter {
    /// The first id that belongs to no page yet.
    next: u64,
    /// The rest of the page of single objects.
    single: u64,
    single_end: u64,
}

impl IdCounter {
    pub(crate) const fn new(first: ObjectId) -> Self {
        Self {
            next: first.get(),
            single: 0,
            single_end: 0,
        }
    }

    /// A range of `len` ids that were never issued before.
    pub(crate) fn issue(&mut self, len: u64) -> Result<IdRange, RangeError> {
        if len == 1 {
            return self.issue_single();
        }
        let (range, next) = self.page_for(len)?;
        self.next = next;
        Ok(range)
    }

    fn issue_single(&mut self) -> Result<IdRange, RangeError> {
        if self.single == self.single_end {
            let (page, next) = self.page_for(1)?;
            self.single = page.first().get();
            self.single_end = self.single.saturating_add(PAGE);
            self.next = next.max(self.single_end);
        }
        let first = ObjectId::new(self.single).ok_or(RangeError::OutOfIds)?;
        let range = IdRange::new(first, 1)?;
        self.single += 1;
        Ok(range)
    }

    /// The next `len` ids from a page's beginning, and where the page after them begins.
    fn page_for(&self, len: u64) -> Result<(IdRange, u64), RangeError> {
        let aligned = self.next.checked_next_multiple_of(PAGE);
        let at = |start: Option<u64>| {
            let first = start.and_then(ObjectId::new).ok_or(RangeError::OutOfIds)?;
            IdRange::new(first, len)
        };
        // In the last page, where no other begins, from wherever it is.
        let range = at(aligned).or_else(|_| at(Some(self.next)))?;
        let end = range.last().get() + 1;
        Ok((range, end.checked_next_multiple_of(PAGE).unwrap_or(end)))
    }

    /// Every id that is issued from now on for a range is at or above this one; single objects
    /// may still fill their page, which is skipped by [`IdCounter::skip`].
    pub(crate) fn high(&self) -> u64 {
        self.next
    }

    /// Sees to it that `range`, which a snapshot names, is never issued again.
    pub(crate) fn skip(&mut self, range: IdRange) {
        self.skip_to(range.last().get() + 1);
    }

    /// Sees to it that nothing below `next` is ever issued again.
    pub(crate) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
        (self.single, self.single_end) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_begin_on_pages_and_singles_share_one() {
        let mut ids = IdCounter::new(ObjectId::MIN);
        let firsts: Vec<u64> = [1024, 40_000, 1, 1, 2, 1]
            .map(|len| ids.issue(len).unwrap().first().get())
            .to_vec();
        assert_eq!(
            firsts,
            [
                PAGE,
                2 * PAGE,
                4 * PAGE,
                4 * PAGE + 1,
                5 * PAGE,
                4 * PAGE + 2
            ]
        );
    }

    #[test]
    fn the_space_runs_out_with_an_error_and_without_a_change() {
        let mut ids = IdCounter::new(ObjectId::new(u64::MAX - PAGE - 5).unwrap());
        let before = ids;
        assert_eq!(ids.issue(PAGE + 6), Err(RangeError::OutOfIds));
        assert_eq!(ids, before);
        let last = ids.issue(PAGE - 1).unwrap();
        assert_eq!(last.last(), ObjectId::MAX);
        assert_eq!(ids.issue(1), Err(RangeError::OutOfIds));
        assert_eq!(ids.issue(2), Err(RangeError::OutOfIds));
    }

    #[test]
    fn the_last_ids_need_no_page() {
        let mut ids = IdCounter::new(ObjectId::new(u64::MAX - 100).unwrap());
        assert_eq!(ids.issue(60).unwrap().first().get(), u64::MAX - 100);
        assert_eq!(ids.issue(50), Err(RangeError::OutOfIds));
        assert_eq!(ids.issue(40).unwrap().last(), ObjectId::MAX);
        assert_eq!(ids.issue(2), Err(RangeError::OutOfIds));

        // One by one, and none twice.
        let mut ids = IdCounter::new(ObjectId::new(u64::MAX - 3).unwrap());
        let issued: Vec<u64> = core::iter::from_fn(|| ids.issue(1).ok())
            .map(|range| range.first().get())
            .collect();
        assert_eq!(issued, [u64::MAX - 3, u64::MAX - 2, u64::MAX - 1]);
    }

    #[test]
    fn a_page_of_singles_at_the_very_end_is_used_to_its_last_id() {
        let mut ids = IdCounter::new(ObjectId::new(u64::MAX - PAGE + 1).unwrap());
        let mut issued = 0;
        while ids.issue(1).is_ok() {
            issued += 1;
        }
        assert_eq!(issued, PAGE - 1);
    }
}
