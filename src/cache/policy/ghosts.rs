//! What was evicted lately: two ghosts in one table.
//!
//! # Shape
//! ```text
//! bucket of 64 B, by the fingerprint's high bits
//!   tags    10 x [ghost 1 | fingerprint's low bits 15]   newest first
//!   stamps  10 x [what the ghost had taken in before, 32]
//! ```
//! A ghost remembers the youngest evictions up to a weight. Its clock is the weight it ever took
//! in: an entry is too old once the clock has gone on by more than the limit since its stamp. So
//! nothing is ever swept, an entry too old is one that no lookup finds, and whatever enters a full
//! bucket pushes out the bucket's oldest. Clocks tick in powers of two of weight, such that a
//! limit is less than 2^20 ticks: exact below that, and a stamp is misread only after its bucket
//! took nothing in while 4,096 limits went by.
//!
//! # Invariants
//! * G1  A lookup finds nothing that is older than its ghost's limit in weight.
//! * G2  Slots are at most as many as the entries that were resident when the table was sized
//!   (but one bucket), and 0.9 of them in tables of more than 160: 5.8 B for each.
//! * G3  Push and take touch one line of the table.
//!
//! # Checked by
//! The tests below; `proptests/policy.rs` against lists.

/// Which ghost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ghost {
    /// Of what the probation ring evicted.
    Probation = 0,
    /// Of what the main ring evicted.
    Main = 1,
}

/// Slots of a bucket.
const SLOTS: usize = 10;

/// Bits that a limit has at most, in ticks.
const LIMIT_BITS: u32 = 20;

/// Some of the youngest evictions whose fingerprints begin alike, newest first.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    stamps: [u32; SLOTS],
    tags: [u16; SLOTS],
    len: u16,
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    const EMPTY: Self = Self {
        stamps: [0; SLOTS],
        tags: [0; SLOTS],
        len: 0,
    };

    fn push(&mut self, tag: u16, stamp: u32) {
        self.stamps.copy_within(..SLOTS - 1, 1);
        self.tags.copy_within(..SLOTS - 1, 1);
        (self.stamps[0], self.tags[0]) = (stamp, tag);
        self.len = (self.len + 1).min(SLOTS as u16);
    }

    fn remove(&mut self, at: usize) {
        self.stamps.copy_within(at + 1.., at);
        self.tags.copy_within(at + 1.., at);
        self.len -= 1;
    }

    /// Where tags of this fingerprint are, newest first. All tags are compared, without a branch.
    fn places_of(&self, fingerprint: u32) -> impl Iterator<Item = usize> + use<> {
        let mut places = 0u32;
        for (at, tag) in self.tags.iter().enumerate() {
            places |= u32::from((tag ^ fingerprint as u16) & 0x7FFF == 0) << at;
        }
        places &= (1 << self.len) - 1;
        core::iter::from_fn(move || {
            let at = places.trailing_zeros() as usize;
            let any = places != 0;
            places &= places.wrapping_sub(1);
            any.then_some(at)
        })
    }

    fn iter(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        let slots = self.tags.iter().copied().zip(self.stamps);
        slots.take(self.len.into())
    }
}

/// How much a ghost has taken in, and how far back it remembers.
#[derive(Debug)]
struct Clock {
    taken: u128,
    limit: u64,
    shift: u32,
    /// About what it remembers now.
    weight: u64,
}

impl Clock {
    fn new(limit: u64) -> Self {
        Self {
            taken: 0,
            limit,
            shift: shift(limit),
            weight: 0,
        }
    }

    fn now(&self) -> u32 {
        (self.taken >> self.shift) as u32
    }

    fn age(&self, stamp: u32) -> u32 {
        self.now().wrapping_sub(stamp)
    }

    fn remembers(&self, stamp: u32) -> bool {
        self.age(stamp) <= (self.limit >> self.shift) as u32
    }

    fn take_in(&mut self, weight: u64) {
        self.taken += u128::from(weight);
        self.weight = self.weight.saturating_add(weight).min(self.limit);
    }
}

/// Weight to a tick, as a power of two.
fn shift(limit: u64) -> u32 {
    (u64::BITS - limit.leading_zeros()).saturating_sub(LIMIT_BITS)
}

fn tag(ghost: Ghost, fingerprint: u32) -> u16 {
    (fingerprint as u16 & 0x7FFF) | (ghost as u16) << 15
}

/// Both ghosts.
#[derive(Debug)]
pub(super) struct Ghosts {
    buckets: Box<[Bucket]>,
    clocks: [Clock; 2],
    /// The resident entries for which the table was sized.
    sized_for: u32,
}

impl Ghosts {
    /// That remember evictions of this weight, from probation and from main. Takes no memory.
    pub(super) fn new(limits: [u64; 2]) -> Self {
        Self {
            buckets: Box::default(),
            clocks: limits.map(Clock::new),
            sized_for: 0,
        }
    }

    /// About the weight that one remembers.
    pub(super) fn weight(&self, ghost: Ghost) -> u64 {
        self.clocks[ghost as usize].weight
    }

    /// The line that a push or take of this fingerprint touches.
    pub(super) fn line(&self, fingerprint: u32) -> Option<*const u8> {
        let bucket = self.buckets.get(self.home(fingerprint))?;
        Some(std::ptr::from_ref(bucket).cast())
    }

    /// Remembers an eviction, of now so many resident entries.
    pub(super) fn push(&mut self, ghost: Ghost, fingerprint: u32, weight: u64, residents: u32) {
        if residents > self.sized_for / 4 * 5 || residents < self.sized_for / 2 {
            self.resize(residents);
        }
        let home = self.home(fingerprint);
        let clock = &mut self.clocks[ghost as usize];
        if let Some(bucket) = self.buckets.get_mut(home) {
            bucket.push(tag(ghost, fingerprint), clock.now());
        }
        clock.take_in(weight);
    }

    /// Forgets an eviction that is remembered; which ghost did.
    pub(super) fn take(&mut self, fingerprint: u32, weight: u64) -> Option<Ghost> {
        let home = self.home(fingerprint);
        let bucket = self.buckets.get_mut(home)?;
        let clocks = &self.clocks;
        let (at, ghost) = bucket.places_of(fingerprint).find_map(|at| {
            let ghost = which(bucket.tags[at]);
            let remembers = clocks[ghost as usize].remembers(bucket.stamps[at]);
            remembers.then_some((at, ghost))
        })?;
        bucket.remove(at);
        let clock = &mut self.clocks[ghost as usize];
        clock.weight = clock.weight.saturating_sub(weight);
        Some(ghost)
    }

    /// Remembers other weights from now on.
    pub(super) fn set_limits(&mut self, limits: [u64; 2]) {
        for (ghost, limit) in [Ghost::Probation, Ghost::Main].into_iter().zip(limits) {
            self.restamp(ghost, shift(limit));
            let clock = &mut self.clocks[ghost as usize];
            clock.limit = limit;
            clock.weight = clock.weight.min(limit);
        }
    }

    /// Forgets everything, and gives the memory back.
    #[allow(dead_code)] // for simulators and tests
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.clocks.each_ref().map(|clock| clock.limit));
    }

    fn home(&self, fingerprint: u32) -> usize {
        ((u64::from(fingerprint) * self.buckets.len() as u64) >> 32) as usize
    }

    /// Ages of one ghost in other ticks.
    fn restamp(&mut self, ghost: Ghost, shift: u32) {
        let clock = &mut self.clocks[ghost as usize];
        if clock.shift == shift {
            return;
        }
        let (old, now) = (clock.shift, clock.now());
        clock.shift = shift;
        for bucket in &mut self.buckets {
            for (tag, stamp) in bucket.tags.iter().zip(&mut bucket.stamps) {
                if which(*tag) == ghost {
                    let age = u128::from(now.wrapping_sub(*stamp)) << old >> shift;
                    let age = age.min(u128::from(u32::MAX >> 1)) as u32;
                    *stamp = clock.now().wrapping_sub(age);
                }
            }
        }
    }

    /// A table for so many resident entries. A bucket's fingerprints are not known whole, so its
    /// evictions go to every new bucket that may be theirs; those in the wrong place grow old.
    fn resize(&mut self, residents: u32) {
        let len = buckets_for(residents);
        self.sized_for = residents;
        if len == self.buckets.len() {
            return;
        }
        let fresh = (0..len).map(|at| self.gather(at, len)).collect();
        self.buckets = fresh;
    }

    /// The youngest of the evictions that may belong into bucket `at` of `len`.
    fn gather(&self, at: usize, len: usize) -> Bucket {
        let (at, len, old) = (at as u64, len as u64, self.buckets.len() as u64);
        let (first, end) = (at * old / len, ((at + 1) * old).div_ceil(len));
        let from = &self.buckets[first as usize..end as usize];
        let mut found: Vec<_> = from.iter().flat_map(Bucket::iter).collect();
        found.retain(|&(tag, stamp)| self.clocks[which(tag) as usize].remembers(stamp));
        found.sort_by_key(|&(tag, stamp)| self.part_of_life(tag, stamp));
        found.truncate(SLOTS);
        let mut bucket = Bucket::EMPTY;
        for (tag, stamp) in found.into_iter().rev() {
            bucket.push(tag, stamp);
        }
        bucket
    }

    /// How much of the time that it is remembered is over.
    fn part_of_life(&self, tag: u16, stamp: u32) -> u64 {
        let clock = &self.clocks[which(tag) as usize];
        (u64::from(clock.age(stamp)) << 32) / (clock.limit >> clock.shift).max(1)
    }
}

fn which(tag: u16) -> Ghost {
    if tag >> 15 == 0 {
        Ghost::Probation
    } else {
        Ghost::Main
    }
}

/// See G2.
fn buckets_for(residents: u32) -> usize {
    let whole = residents as usize / SLOTS;
    let most = residents as usize / 10 * 9 / SLOTS;
    most.max(whole.min(16)).max(1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn spread(n: u32) -> u32 {
        n.wrapping_mul(0x9E37_79B9)
    }

    #[test]
    fn a_ghost_remembers_its_limit_in_weight() {
        let mut ghosts = Ghosts::new([9, 2]);
        for n in 0..5 {
            ghosts.push(Ghost::Probation, spread(n), 2, 100);
        }
        assert_eq!(ghosts.take(spread(0), 2), None);
        assert_eq!(ghosts.take(spread(1), 2), Some(Ghost::Probation));
        assert_eq!(ghosts.take(spread(1), 2), None);
        assert_eq!(ghosts.weight(Ghost::Probation), 7);
        ghosts.push(Ghost::Main, spread(7), 2, 100);
        assert_eq!(ghosts.take(spread(7), 2), Some(Ghost::Main));
        ghosts.push(Ghost::Main, spread(7), 3, 100);
        assert_eq!(ghosts.take(spread(7), 2), None);
    }

    #[test]
    fn a_table_grows_and_keeps_what_it_remembers() {
        let mut ghosts = Ghosts::new([1000, 10]);
        for n in 0..300 {
            ghosts.push(Ghost::Probation, spread(n), 1, 1000 + n);
        }
        ghosts.push(Ghost::Probation, spread(300), 1, 3000);
        let found = (0..=300).filter(|&n| ghosts.take(spread(n), 1).is_some());
        assert!(found.count() > 290);
    }

    #[test]
    fn slots_are_bounded_by_residents() {
        for residents in (10..2000).chain([1 << 20, u32::MAX]) {
            let slots = buckets_for(residents) * SLOTS;
            assert!(slots <= residents as usize && slots * 2 >= residents as usize);
            assert!(residents < 180 || slots * 10 <= residents as usize * 9);
        }
        assert_eq!(buckets_for(0), 1);
    }

    #[test]
    fn huge_weights_and_other_limits() {
        let mut ghosts = Ghosts::new([u64::MAX, u64::MAX / 10]);
        for n in 0..5 {
            ghosts.push(Ghost::Probation, spread(n), u64::MAX / 4, 4);
        }
        assert_eq!(ghosts.take(spread(0), 1), None);
        assert_eq!(ghosts.take(spread(2), 1), Some(Ghost::Probation));
        ghosts.set_limits([u64::MAX / 3, 10]);
        assert_eq!(ghosts.take(spread(3), 1), None);
        assert_eq!(ghosts.take(spread(4), 1), Some(Ghost::Probation));
        ghosts.push(Ghost::Main, 3, 5, 4);
        ghosts.clear();
        assert_eq!((ghosts.take(3, 5), ghosts.line(3)), (None, None));
    }
}
