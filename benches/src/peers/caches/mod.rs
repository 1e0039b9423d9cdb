//! Caches, and maps that evict nothing, behind one interface.

use std::sync::Arc;
use std::time::Duration;

mod evicting;
mod maps;

pub use evicting::{Foyer, Lru, Moka, Quick, Scc, Sieve, Tiny};
pub use maps::{Dash, Papaya, Plain};

/// What the caches hash with, whose hasher can be chosen.
pub type Hasher = ahash::RandomState;

/// What is kept under a key.
pub trait Stored: Clone + Send + Sync + 'static {
    /// In which unit a peer counts that has 16 bits for a weight.
    const UNIT: u64;

    /// What it weighs.
    fn weight(&self) -> u64;
}

impl Stored for u64 {
    const UNIT: u64 = 1;

    fn weight(&self) -> u64 {
        1
    }
}

/// Bytes, shared by those who read them.
#[derive(Clone, Debug)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// So many bytes, all written; the counts in front of them are among what it weighs.
    #[must_use]
    pub fn of(weight: u64, fill: u8) -> Self {
        let len = weight as usize - Self::HEAD;
        Self(std::iter::repeat_n(fill, len).collect())
    }

    /// The counts.
    const HEAD: usize = 2 * size_of::<usize>();

    /// Its first byte.
    #[must_use]
    pub fn first(&self) -> u8 {
        self.0[0]
    }
}

impl Stored for Payload {
    const UNIT: u64 = 1024;

    /// The bytes of its allocation.
    fn weight(&self) -> u64 {
        (Self::HEAD + self.0.len()) as u64
    }
}

/// What a cache is to be able to.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The sum of the weights that it may keep.
    pub capacity: u64,
    /// How many entries that will be, more or less.
    pub entries: usize,
    /// Whether it asks for weights; else each entry weighs 1.
    pub weighs: bool,
    /// How long an entry lives.
    pub lives: Option<Duration>,
}

impl Plan {
    /// So many entries, no weights, no expiry.
    #[must_use]
    pub fn entries(entries: usize) -> Self {
        Self {
            capacity: entries as u64,
            entries,
            weighs: false,
            lives: None,
        }
    }

    /// With weights, which are 1 where `u64` are kept.
    #[must_use]
    pub fn weighed(self) -> Self {
        let weighs = true;
        Self { weighs, ..self }
    }

    /// With a time to live that nothing reaches.
    #[must_use]
    pub fn expiring(self) -> Self {
        let lives = Some(Duration::from_secs(3600));
        Self { lives, ..self }
    }

    fn plain(&self) -> bool {
        !self.weighs && self.lives.is_none()
    }
}

/// A cache from ids to values.
pub trait Cache<V: Stored>: Send + Sync + Sized {
    /// Its name in the tables.
    const NAME: &'static str;

    /// How many times slower than most it is, about: it does fewer steps where these are counted.
    const SLOW: usize = 1;

    /// What a thread keeps over many reads.
    type Hold<'a>
    where
        Self: 'a;

    /// An empty cache; none if this one cannot do what is planned.
    fn build(plan: Plan) -> Option<Self>;

    /// Gets ready for reads.
    fn hold(&self) -> Self::Hold<'_>;

    /// Reads what is kept under a key; counts as a use of it.
    fn get(&self, key: u64, hold: &Self::Hold<'_>) -> Option<V>;

    /// Keeps a value, if there is or can be made room.
    fn insert(&self, key: u64, value: V);

    /// Whether there was a value; else there now is what `make` returns. The cache's own way
    /// where it has one.
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        let found = self.get(key, &self.hold()).is_some();
        if !found {
            self.insert(key, make());
        }
        found
    }

    /// The weight that it really may keep; `None` without a limit.
    fn capacity(&self) -> Option<u64>;

    /// How many entries there are, if it knows.
    fn count(&self) -> Option<u64>;

    /// What its entries weigh, if it knows.
    fn weight(&self) -> Option<u64> {
        None
    }

    /// What it has put off, it does now.
    fn settle(&self) {}

    /// Removes all entries, if it can.
    fn clear(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ours_cache::{Guarded, Live, Ours};

    fn keeps<C: Cache<u64>>() {
        let cache = C::build(Plan::entries(1000)).expect("every cache keeps entries");
        cache.insert(1, 10);
        assert!(!cache.get_or_insert(2, || 20), "{}", C::NAME);
        assert!(cache.get_or_insert(2, || 30), "{}", C::NAME);
        cache.settle();
        for (key, value) in [(1, Some(10)), (2, Some(20)), (3, None)] {
            assert_eq!(cache.get(key, &cache.hold()), value, "{}", C::NAME);
        }
        assert!(cache.count().is_none_or(|count| count == 2), "{}", C::NAME);
        assert!(
            cache.capacity().is_none_or(|most| most >= 1000),
            "{}",
            C::NAME
        );
        assert!(
            !cache.clear() || cache.get(1, &cache.hold()).is_none(),
            "{}",
            C::NAME
        );
    }

    #[test]
    fn all_of_them_keep_what_they_are_given() {
        keeps::<Ours<u64>>();
        keeps::<Ours<u64, Guarded>>();
        keeps::<Ours<u64, Live>>();
        keeps::<Quick<u64>>();
        keeps::<Moka<u64>>();
        keeps::<Scc<u64>>();
        keeps::<Sieve<u64>>();
        keeps::<Tiny<u64>>();
        keeps::<Foyer<u64>>();
        keeps::<Lru<u64>>();
        keeps::<Dash<u64>>();
        keeps::<Papaya<u64>>();
    }

    fn evicts<C: Cache<Payload>>() {
        let plan = Plan::entries(64).weighed();
        let capacity = 64 << 10;
        let cache = C::build(Plan { capacity, ..plan }).expect("it weighs");
        (0..1000).for_each(|key| cache.insert(key, Payload::of(1 << 10, 7)));
        cache.settle();
        let there = |key: &u64| cache.get(*key, &cache.hold()).is_some();
        let there = (0..1000).filter(there).count();
        assert!((1..=64).contains(&there), "{}: {there}", C::NAME);
    }

    #[test]
    fn weights_are_asked_for() {
        assert_eq!(Payload::of(1 << 10, 7).weight(), 1 << 10);
        evicts::<Ours<Payload>>();
        evicts::<Quick<Payload>>();
        evicts::<Moka<Payload>>();
        evicts::<Tiny<Payload>>();
        evicts::<Foyer<Payload>>();
    }
}
