//! The newtypes of ids, offsets and lengths against 128-bit arithmetic.
//!
//! * I1  A number is an id exactly from 1 to `u64::MAX - 1`.
//! * I2  A checked sum, product or rounding is the exact one, or `Overflow` where that leaves the
//!   space.
//! * I3  A range of ids is refused exactly if it is empty, too long or leaves the ids, in this
//!   order; its last id, `contains` and `overlaps` are those of the set of numbers.
//!
//! Numbers come from around 0, powers of two, and both ends of the space.

use mapless::{
    ByteLen, Extent, FileOffset, IdRange, MAX_RANGE_LEN, ObjectId, Overflow, RangeError, SlotIndex,
};
use quickcheck::{Arbitrary, Gen, quickcheck};

/// The last number that is an id.
const LAST: u128 = u64::MAX as u128 - 1;

/// A number that is often next to a boundary.
#[derive(Clone, Copy, Debug)]
struct Raw(u64);

impl Arbitrary for Raw {
    fn arbitrary(g: &mut Gen) -> Self {
        let shift = u32::arbitrary(g) % 64;
        let around = [0, 1 << shift, u64::MAX, MAX_RANGE_LEN, u64::MAX >> shift];
        let near = *g.choose(&around).unwrap();
        let off = u64::arbitrary(g) % 4;
        Self(match u8::arbitrary(g) % 4 {
            0 => u64::arbitrary(g) >> shift,
            1 => near.wrapping_sub(off),
            _ => near.wrapping_add(off),
        })
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

/// The exact number, if it fits.
fn word(exact: u128) -> Result<u64, Overflow> {
    exact.try_into().map_err(|_| Overflow)
}

fn is_id(exact: u128) -> bool {
    (1..=LAST).contains(&exact)
}

/// A range as the two ends of a set of numbers, or why it is none.
fn model(first: u64, len: u64) -> Result<(u128, u128), RangeError> {
    let (first, len) = (u128::from(first), u128::from(len));
    if len == 0 {
        return Err(RangeError::Empty);
    }
    if len > u128::from(MAX_RANGE_LEN) {
        return Err(RangeError::TooLong);
    }
    match first + len - 1 {
        last if last <= LAST => Ok((first, last)),
        _ => Err(RangeError::OutOfIds),
    }
}

quickcheck! {
    fn a_number_is_an_id_but_for_both_ends(raw: Raw) -> bool {
        let id = ObjectId::new(raw.0);
        id.map(ObjectId::get) == is_id(raw.0.into()).then_some(raw.0)
    }

    fn ids_add_up(id: Raw, n: Raw) -> bool {
        let Some(first) = ObjectId::new(id.0) else { return true };
        let exact = u128::from(id.0) + u128::from(n.0);
        let expected = if is_id(exact) { Ok(exact as u64) } else { Err(Overflow) };
        first.checked_add(n.0).map(ObjectId::get) == expected
    }

    fn offsets_add_up(at: Raw, len: Raw) -> bool {
        let (at, len) = (FileOffset::new(at.0), ByteLen::new(len.0));
        let expected = word(u128::from(at.get()) + u128::from(len.get()));
        at.checked_add(len).map(FileOffset::get) == expected
            && Extent::new(at, len).end().map(FileOffset::get) == expected
    }

    fn offsets_are_rounded_up(at: Raw, align: Raw) -> bool {
        let (exact, step) = (u128::from(at.0), u128::from(align.0));
        let expected = match step {
            0 => Err(Overflow),
            _ => word(exact.div_ceil(step) * step),
        };
        // Zero is a multiple of everything, of nothing too.
        let rounded = FileOffset::new(at.0).align_up(align.0).map(FileOffset::get);
        rounded == expected || step == 0 && exact == 0 && rounded == Ok(0)
    }

    fn lengths_multiply(len: Raw, n: Raw) -> bool {
        let product = ByteLen::new(len.0).checked_mul(n.0);
        product.map(ByteLen::get) == word(u128::from(len.0) * u128::from(n.0))
    }

    fn words_keep_their_numbers_and_their_order(one: Raw, other: Raw) -> bool {
        let ids = ObjectId::new(one.0).zip(ObjectId::new(other.0));
        let slots = [one, other].map(|raw| SlotIndex::new(raw.0 as u32));
        FileOffset::new(one.0).get() == one.0
            && ByteLen::new(one.0).get() == one.0
            && slots[0].get() == one.0 as u32
            && FileOffset::new(one.0).cmp(&FileOffset::new(other.0)) == one.0.cmp(&other.0)
            && ByteLen::new(one.0).cmp(&ByteLen::new(other.0)) == one.0.cmp(&other.0)
            && slots[0].cmp(&slots[1]) == (one.0 as u32).cmp(&(other.0 as u32))
            && ids.is_none_or(|(a, b)| a.cmp(&b) == one.0.cmp(&other.0))
    }

    fn ranges_are_sets_of_ids(first: Raw, len: Raw, asked: Raw) -> bool {
        let Some(start) = ObjectId::new(first.0) else { return true };
        let (range, expected) = (IdRange::new(start, len.0), model(first.0, len.0));
        let (Ok(range), Ok((low, high))) = (range, expected) else {
            return range.map(|_| ()) == expected.map(|_| ());
        };
        let same = range.first() == start
            && range.len() == len.0
            && u128::from(range.last().get()) == high;
        let near = [asked.0, first.0.wrapping_sub(1), first.0, high as u64, high as u64 + 1];
        let mut near = near.into_iter().filter_map(ObjectId::new);
        same && near.all(|id| range.contains(id) == (low..=high).contains(&id.get().into()))
    }

    fn ranges_overlap_if_they_share_an_id(one: (Raw, Raw), other: (Raw, Raw)) -> bool {
        let range = |(first, len): (Raw, Raw)| IdRange::new(ObjectId::new(first.0)?, len.0).ok();
        let (Some(a), Some(b)) = (range(one), range(other)) else { return true };
        let share = a.first().max(b.first()) <= a.last().min(b.last());
        a.overlaps(b) == share && b.overlaps(a) == share && a.overlaps(a)
    }

    fn neighbours_do_not_overlap(first: Raw, len: Raw, then: Raw) -> bool {
        let range = |first, len| IdRange::new(ObjectId::new(first)?, len).ok();
        let Some(a) = range(first.0, len.0) else { return true };
        let next = a.last().get() + 1;
        let touches = range(next, then.0).is_none_or(|b| !a.overlaps(b));
        touches && range(next - 1, then.0).is_none_or(|b| a.overlaps(b))
    }
}

#[test]
fn the_ends_of_the_space() {
    assert_eq!((ObjectId::new(0), ObjectId::new(u64::MAX)), (None, None));
    assert_eq!(ObjectId::MIN.get(), 1);
    assert_eq!(u128::from(ObjectId::MAX.get()), LAST);
    assert_eq!(size_of::<Option<ObjectId>>(), 8);
    assert_eq!(ObjectId::MAX.checked_add(0), Ok(ObjectId::MAX));
    assert_eq!(ObjectId::MAX.checked_add(1), Err(Overflow));
    let whole = IdRange::new(ObjectId::MIN, MAX_RANGE_LEN).unwrap();
    assert_eq!(whole.last().get(), MAX_RANGE_LEN);
    let upper = ObjectId::new(MAX_RANGE_LEN + 1).unwrap();
    assert!(IdRange::new(upper, MAX_RANGE_LEN).is_ok());
    let one_more = IdRange::new(upper.checked_add(1).unwrap(), MAX_RANGE_LEN);
    assert_eq!(one_more, Err(RangeError::OutOfIds));
    let too_long = IdRange::new(ObjectId::MIN, MAX_RANGE_LEN + 1);
    assert_eq!(too_long, Err(RangeError::TooLong));
    assert_eq!(IdRange::new(ObjectId::MAX, 0), Err(RangeError::Empty));
}
