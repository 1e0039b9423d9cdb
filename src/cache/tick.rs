//! Time in steps of ten milliseconds, small enough for an entry to carry.
//!
//! # Shape
//! ```text
//! Duration   the clock's reading: nanoseconds since some start
//! Moment     u64: whole ticks since that start, rounded down                (a cache's now)
//! Tick       u32: a moment's low half; 0 says "never", all ones "over"     (an entry's deadline)
//!
//!   ..over.. | now |  ahead: 2^31 - 1 ticks, 248 days  ..|..  over, for as long  ..
//! ```
//!
//! # Invariants
//! * K1  An entry is over from the first tick on that begins at its deadline or later: so it is
//!   never over before its deadline, and always from one tick after it on.
//! * K2  Where that cannot be said in 32 bits, an entry is over early: by one tick if its
//!   deadline's low half is all ones, by two if it is 0; at 248 days if it is farther ahead.
//! * K3  A deadline that passed is told from one ahead for 248 days. Whoever keeps entries longer
//!   than that has to take them out before, or to set them to `OVER`.
//!
//! # Checked by
//! The tests below; `proptests/wheel.rs` (K1, K2).

use core::time::Duration;

/// The granularity of deadlines: 10 ms.
pub const TICK: Duration = Duration::from_millis(10);

const PER_SECOND: u64 = 100;
const NANOS: u32 = 10_000_000;

/// Ticks that a deadline may lie ahead; one that is farther off is taken to be there.
pub(crate) const MAX_AHEAD: u64 = (1 << 31) - 1;

/// Whole ticks since the start of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const fn new(ticks: u64) -> Self {
        Self(ticks)
    }

    /// The tick in which a clock reads `now`.
    #[inline]
    pub(crate) const fn of(now: Duration) -> Self {
        let ticks = now.as_secs().saturating_mul(PER_SECOND);
        Self(ticks.saturating_add((now.subsec_nanos() / NANOS) as u64))
    }

    /// The first tick that begins at `time` or later.
    const fn not_before(time: Duration) -> Self {
        let begun = Self::of(time);
        let partly = !time.subsec_nanos().is_multiple_of(NANOS);
        Self(begun.0.saturating_add(partly as u64))
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    const fn low(self) -> u32 {
        self.0 as u32
    }
}

/// The tick from which on an entry is over, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(u32);

impl Tick {
    /// No deadline.
    pub(crate) const NEVER: Self = Self(0);
    /// A deadline that passed, however long ago.
    pub(crate) const OVER: Self = Self(u32::MAX);

    /// The deadline of what at `now` has `left` to live.
    ///
    /// Nothing left is over at once, within the same tick. What reaches beyond the clock's end or
    /// 248 days ahead is over by then.
    #[inline]
    pub(crate) fn after(now: Duration, left: Duration) -> Self {
        let begun = Moment::of(now);
        if left.is_zero() {
            return Self::at(begun);
        }
        let deadline = Moment::not_before(now.saturating_add(left));
        let ahead = deadline.0.saturating_sub(begun.0).min(MAX_AHEAD);
        Self::at(Moment(begun.0.saturating_add(ahead)))
    }

    /// That very moment, or the last one before whose low half says nothing else.
    #[inline]
    pub(crate) const fn at(moment: Moment) -> Self {
        match moment.low() {
            0 | u32::MAX => Self(u32::MAX - 1),
            low => Self(low),
        }
    }

    /// Whether the deadline has passed.
    #[inline]
    pub(crate) const fn is_over(self, now: Moment) -> bool {
        let passed = now.low().wrapping_sub(self.0) as i32 >= 0;
        self.0 == Self::OVER.0 || passed && self.0 != Self::NEVER.0
    }

    /// The deadline as a moment: the one within 2^31 ticks of `now`, or `None` for never. What is
    /// over for good is over now.
    pub(crate) const fn near(self, now: Moment) -> Option<Moment> {
        match self {
            Self::NEVER => return None,
            Self::OVER => return Some(now),
            _ => {}
        }
        let ahead = self.0.wrapping_sub(now.low()) as i32;
        Some(Moment(now.0.saturating_add_signed(ahead as i64)))
    }

    /// How long until the deadline, to the tick; nothing if it has passed, `None` for never.
    pub(crate) fn left(self, now: Duration) -> Option<Duration> {
        let deadline = self.near(Moment::of(now))?.0;
        let nanos = (deadline % PER_SECOND) as u32 * NANOS;
        Some(Duration::new(deadline / PER_SECOND, nanos).saturating_sub(now))
    }

    /// As an entry keeps it.
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    /// As [`to_bits`](Self::to_bits) said.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{MAX_AHEAD, Moment, TICK, Tick};

    const NANO: Duration = Duration::from_nanos(1);

    fn over(deadline: Tick, at: Duration) -> bool {
        deadline.is_over(Moment::of(at))
    }

    #[test]
    fn a_moment_is_rounded_down() {
        assert_eq!(Moment::of(TICK * 7), Moment(7));
        assert_eq!(Moment::of(TICK * 7 - NANO), Moment(6));
        assert_eq!(Moment::of(TICK * 12_345 + NANO), Moment(12_345));
        assert_eq!(Moment::of(Duration::MAX), Moment(u64::MAX));
    }

    /// K1, with nows and deadlines beside and between the ticks.
    #[test]
    fn over_within_a_tick_after_the_deadline_and_not_before() {
        let offsets = [0, 1, 4_999_999, 9_999_999, 10_000_000, 25_000_000];
        let start = Duration::from_secs(1_000);
        for (now, left) in offsets.iter().flat_map(|a| offsets.map(|b| (*a, b))) {
            let (now, left) = (
                start + Duration::from_nanos(now),
                Duration::from_nanos(left),
            );
            let (tick, deadline) = (Tick::after(now, left), now + left);
            assert!(over(tick, deadline + TICK), "{now:?} {left:?}");
            assert!(left.is_zero() || !over(tick, deadline - NANO));
        }
    }

    #[test]
    fn nothing_left_is_over_at_once() {
        for now in [Duration::ZERO, TICK - NANO, TICK * 3, TICK * (1 << 31)] {
            assert!(over(Tick::after(now, Duration::ZERO), now), "{now:?}");
        }
    }

    /// K2: what cannot be said is over early, and not for ever.
    #[test]
    fn too_far_is_over_at_the_last_tick_ahead() {
        let last = TICK * u32::try_from(MAX_AHEAD).unwrap();
        for now in [Duration::ZERO, TICK * 5, TICK * u32::MAX] {
            for left in [last, last + TICK, last * 2, Duration::MAX] {
                let tick = Tick::after(now, left);
                assert!(!over(tick, now) && !over(tick, now + last - TICK * 2));
                assert!(over(tick, now + last), "{now:?} {left:?}");
            }
        }
        for now in [Duration::MAX, Duration::MAX - TICK] {
            let _ = Tick::after(now, Duration::MAX).is_over(Moment::of(now));
        }
    }

    #[test]
    fn never_is_never_over_and_no_deadline_says_it() {
        for now in [0, 1, u64::from(u32::MAX), 1 << 31, 1 << 40] {
            assert!(!Tick::NEVER.is_over(Moment(now)));
            assert!(Tick::OVER.is_over(Moment(now)));
            assert_eq!(Tick::OVER.near(Moment(now)), Some(Moment(now)));
            assert!(![Tick::NEVER, Tick::OVER].contains(&Tick::at(Moment(now))));
        }
        assert_eq!(Tick::NEVER.near(Moment(9)), None);
        assert_eq!(Tick::OVER.left(TICK * 9), Some(Duration::ZERO));
        let wrap = TICK * (u32::MAX - 1); // the tick before those that say something else
        for ahead in [2, 3] {
            let tick = Tick::after(wrap - TICK, TICK * ahead);
            assert!(over(tick, wrap) && !over(tick, wrap - TICK));
        }
    }

    #[test]
    fn near_and_left_are_what_was_meant() {
        let now = TICK * u32::MAX + NANO;
        let left = Duration::from_secs(3_600);
        let tick = Tick::after(now, left);
        let moment = Moment::of(now);
        assert_eq!(tick.near(moment), Some(Moment(moment.0 + 360_001)));
        assert_eq!(tick.left(now), Some(left + TICK - NANO));
        assert_eq!(tick.left(now + left * 2), Some(Duration::ZERO));
        assert_eq!(Tick::from_bits(tick.to_bits()), tick);
    }
}
