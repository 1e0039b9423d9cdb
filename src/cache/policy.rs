//! Who leaves when room is needed: the adaptive two-ring CLOCK of one shard.
//!
//! Pure: no atomics, no locks, no user code. The cache runs it over its slab, under the shard's
//! lock; simulators run the same file over a `Vec`.
//!
//! # Shape
//! ```text
//!  miss ------> [ probation: MATURE .. MATURE | YOUNG .. YOUNG ]   about `share` of the weight
//!                 hand: used -> main,         ^
//!                 else -> probation ghost     trailing hand: reads count from here on
//!  ghost hit -> [ main: counts to 3 ]
//!                 hand: count - 1 and pass; at 0 -> main ghost
//!  weight 0 --> [ weightless: counts to 2 ]
//! ```
//! * A new entry begins in probation. Reads do not count while it is among the youngest fifth
//!   (the burst right after insertion says little). One read after that takes it to the main ring
//!   when the hand comes.
//! * An entry whose fingerprint is still in a ghost enters the main ring at once, and moves the
//!   share: the probation ghost's hit says that probation is too small, the main ghost's that the
//!   main ring is (by the rule of ARC).
//! * Until the first eviction everything enters the main ring; and always, where nothing that left ever
//!   comes back (`plain`): there probation would keep what came first, used or not, and let go of
//!   what is new.
//!
//! An entry's `limit` is its ring, and how far reads may count: a reader needs no other word.
//!
//! # Invariants
//! * P1  An entry is on the ring that its limit names, or loose (evicted, removed or parked).
//! * P2  YOUNG entries are the youngest of probation, without a gap.
//! * P3  After E evictions with the same [`Looks`], at most [`LOOKS_PER_EVICTION`] * E +
//!   [`LOOKS_ONCE`] entries were looked at that are not held.
//! * P4  The share stays within a hundredth and nine tenths.
//!
//! # Progress
//! Every call is bounded: `step` by its looks, since a held entry ends it; others by
//! [`RIPENED_AT_ONCE`] entries of the trailing hand. A ghost that is sized anew is the exception.
//!
//! # Checked by
//! The tests below; `proptests/policy.rs` against a model of lists (P1 to P4, same victims).
//!
//! # Papers
//! S3-FIFO (Yang et al., SOSP 2023), ARC (Megiddo and Modha, FAST 2003), CLOCK-Pro (Jiang et al.,
//! USENIX ATC 2005), Clock2Q+ for the correlation window.

#[path = "policy/entries.rs"]
mod entries;
#[path = "policy/ghosts.rs"]
mod ghosts;
#[path = "policy/looks.rs"]
mod looks;
#[path = "policy/ring.rs"]
mod ring;
#[cfg(all(test, not(loom)))]
#[path = "policy/tests.rs"]
mod tests;

pub(crate) use entries::Entries;
use ghosts::{Ghost, Ghosts};
#[allow(unused_imports)] // for those who assert it
pub(crate) use looks::{LOOKS_ONCE, LOOKS_PER_EVICTION, Looks, Step};
use ring::Ring;
pub(crate) use ring::{Links, NONE};

/// In probation, and so young that reads do not count.
pub(crate) const YOUNG: u8 = 0;
/// In probation, passed by the trailing hand: one read counts.
pub(crate) const MATURE: u8 = 1;
/// Of weight 0, on a ring of their own: two reads count.
pub(crate) const WEIGHTLESS: u8 = 2;
/// On the main ring: three reads count.
pub(crate) const MAIN: u8 = 3;

/// Entries that the trailing hand passes at most in one call.
pub(crate) const RIPENED_AT_ONCE: u32 = 4;

/// Probation's share to begin with.
const FIRST_SHARE: f64 = 0.1;
/// Probation's share at least, and at most.
const SHARES: (f64, f64) = (0.01, 0.9);
/// By how much more than its weight a ghost hit moves the share, at most.
const MOST_STEP: f64 = 16.0;
/// Probation is so many times the weight of its young entries, or more.
const WINDOW: u128 = 5;
/// What the ghosts of probation and main remember, in tenths of the capacity.
const GHOSTS: [u64; 2] = [7, 1];

/// The rings and ghosts of one shard.
#[derive(Debug)]
pub(crate) struct Policy {
    probation: Ring,
    main: Ring,
    weightless: Ring,
    /// The trailing hand: the oldest YOUNG entry, or `NONE`.
    trailing: u32,
    /// What the YOUNG entries weigh.
    young: u128,
    /// What probation may weigh, of all.
    share: f64,
    capacity: u64,
    /// Nothing was ever evicted.
    cold: bool,
    /// Nothing ever comes back.
    is_plain: bool,
    ghosts: Ghosts,
}

impl Policy {
    /// For a shard with this share of the cache's capacity, in weight.
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            probation: Ring::new(),
            main: Ring::new(),
            weightless: Ring::new(),
            trailing: NONE,
            young: 0,
            share: FIRST_SHARE,
            capacity,
            cold: true,
            is_plain: false,
            ghosts: Ghosts::new(limits(capacity)),
        }
    }

    /// As `new`, where what left never comes back: nothing is remembered of it, and whatever comes in
    /// enters the main ring. That is a CLOCK which counts to 3.
    #[allow(dead_code)] // for caches with owners
    pub(crate) fn plain(capacity: u64) -> Self {
        Self {
            is_plain: true,
            ..Self::new(capacity)
        }
    }

    /// Changes the share of the cache's capacity. Whoever lowers it evicts what is too much.
    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.ghosts.set_limits(limits(capacity));
    }

    /// Takes in an entry whose key was not resident.
    pub(crate) fn insert(&mut self, entries: &mut impl Entries, e: u32) {
        let limit = self.limit_of_new(entries.weight(e), entries.fingerprint(e));
        entries.set_uses(e, 0);
        self.link(entries, e, limit);
        self.ripen(entries);
    }

    /// Puts `new` in the place of `old`, which is on a ring and leaves: an overwrite counts as a
    /// read.
    pub(crate) fn replace(&mut self, entries: &mut impl Entries, old: u32, new: u32) {
        let limit = entries.limit(old);
        if (limit == WEIGHTLESS) != (entries.weight(new) == 0) {
            self.remove(entries, old);
            return self.insert(entries, new);
        }
        entries.set_uses(new, entries.uses(old).saturating_add(1).min(limit));
        entries.set_limit(new, limit);
        if limit == YOUNG {
            self.young -= u128::from(entries.weight(old));
            self.young += u128::from(entries.weight(new));
        }
        if self.trailing == old {
            self.trailing = new;
        }
        self.ring(limit).swap(entries, old, new);
        self.ripen(entries);
    }

    /// Takes `e`, which is on a ring, off it; no ghost remembers it.
    pub(crate) fn remove(&mut self, entries: &mut impl Entries, e: u32) {
        match entries.limit(e) {
            YOUNG | MATURE => self.leave_probation(entries, e),
            limit => self.ring(limit).unlink(entries, e),
        }
    }

    /// The next to leave to make room in weight.
    pub(crate) fn step(&mut self, entries: &mut impl Entries, looks: &mut Looks) -> Step {
        self.cold = false;
        loop {
            let probation = self.is_probations_turn();
            let ring = if probation {
                &self.probation
            } else {
                &self.main
            };
            let e = ring.hand();
            if e == NONE {
                return Step::Empty;
            }
            let step = if probation {
                self.step_probation(entries, looks, e)
            } else {
                self.step_main(entries, looks, e)
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// The next to leave among those of weight 0, which the caller bounds by their number.
    pub(crate) fn step_weightless(
        &mut self,
        entries: &mut impl Entries,
        looks: &mut Looks,
    ) -> Step {
        loop {
            let e = self.weightless.hand();
            if e == NONE {
                return Step::Empty;
            }
            let held = entries.is_held(e);
            let last = !held && looks.is_last();
            let uses = entries.uses(e);
            if held || last || uses == 0 {
                self.weightless.unlink(entries, e);
                return looks.leaves(held, e);
            }
            entries.set_uses(e, uses - 1);
            self.weightless.pass(entries);
        }
    }

    /// Takes back a parked entry after its last release: it is the youngest of its ring again.
    pub(crate) fn unpark(&mut self, entries: &mut impl Entries, e: u32) {
        let limit = match entries.limit(e) {
            YOUNG | MATURE => YOUNG,
            limit => limit,
        };
        self.link(entries, e, limit);
        self.ripen(entries);
    }

    /// How many entries are on the rings, those of weight 0 not counted.
    pub(crate) fn len(&self) -> u32 {
        self.probation.len() + self.main.len()
    }

    /// How many entries of weight 0 are on their ring.
    #[allow(dead_code)] // for simulators and tests
    pub(crate) fn weightless_len(&self) -> u32 {
        self.weightless.len()
    }

    /// What the entries on the rings weigh.
    pub(crate) fn weight(&self) -> u128 {
        self.probation.weight() + self.main.weight()
    }

    /// The entry that `step` would look at first, if any: worth a prefetch.
    pub(crate) fn oldest(&self) -> Option<u32> {
        let ring = if self.is_probations_turn() {
            &self.probation
        } else {
            &self.main
        };
        (!ring.is_empty()).then(|| ring.hand())
    }

    /// The line of a ghost that an insert with this fingerprint will touch: worth a prefetch.
    pub(crate) fn ghost_line(&self, fingerprint: u32) -> Option<*const u8> {
        self.ghosts.line(fingerprint)
    }

    /// Forgets all entries, which stay as they are, and everything learnt.
    #[allow(dead_code)] // for simulators and tests
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    /// Which ring a new entry goes to.
    fn limit_of_new(&mut self, weight: u64, fingerprint: u32) -> u8 {
        if weight == 0 {
            return WEIGHTLESS;
        }
        match self.ghosts.take(fingerprint, weight) {
            Some(ghost) => self.adapt(ghost, weight),
            None if self.cold || self.is_plain => {}
            None => return YOUNG,
        }
        MAIN
    }

    /// A ghost of this weight came back: the ring that let it go was too small.
    fn adapt(&mut self, ghost: Ghost, weight: u64) {
        let probation = self.ghosts.weight(Ghost::Probation).max(1) as f64;
        let main = self.ghosts.weight(Ghost::Main).max(1) as f64;
        let (sign, rate) = match ghost {
            Ghost::Probation => (1.0, main / probation),
            Ghost::Main => (-1.0, probation / main),
        };
        let step = weight as f64 / self.capacity.max(1) as f64 * rate.clamp(1.0, MOST_STEP);
        self.share = (self.share + sign * step).clamp(SHARES.0, SHARES.1);
    }

    fn is_probations_turn(&self) -> bool {
        if self.main.is_empty() || self.probation.is_empty() {
            return self.main.is_empty();
        }
        as_f64(self.probation.weight()) > self.share * as_f64(self.weight())
    }

    /// Looks at the oldest of probation; what came of it if it does not go to the main ring.
    fn step_probation(
        &mut self,
        entries: &mut impl Entries,
        looks: &mut Looks,
        e: u32,
    ) -> Option<Step> {
        let held = entries.is_held(e);
        let last = !held && looks.is_last();
        let used = entries.uses(e) > 0;
        let residents = self.len();
        self.leave_probation(entries, e);
        self.probation.prefetch(entries);
        if !held && used && !last {
            entries.set_uses(e, 0);
            self.link(entries, e, MAIN);
            return None;
        }
        if !held {
            self.remember(entries, Ghost::Probation, e, residents);
        }
        Some(looks.leaves(held, e))
    }

    /// Looks at the oldest of the main ring; what came of it if it does not pass.
    fn step_main(&mut self, entries: &mut impl Entries, looks: &mut Looks, e: u32) -> Option<Step> {
        let held = entries.is_held(e);
        let last = !held && looks.is_last();
        let uses = entries.uses(e);
        if !held && uses > 0 && !last {
            entries.set_uses(e, uses - 1);
            self.main.pass(entries);
            self.main.prefetch(entries);
            return None;
        }
        let residents = self.len();
        self.main.unlink(entries, e);
        self.main.prefetch(entries);
        if !held {
            self.remember(entries, Ghost::Main, e, residents);
        }
        Some(looks.leaves(held, e))
    }

    fn remember(&mut self, entries: &impl Entries, ghost: Ghost, e: u32, residents: u32) {
        if self.is_plain {
            return;
        }
        let (fingerprint, weight) = (entries.fingerprint(e), entries.weight(e));
        self.ghosts.push(ghost, fingerprint, weight, residents);
    }

    /// Puts a loose entry at the young end of the ring of `limit`, which is not MATURE.
    fn link(&mut self, entries: &mut impl Entries, e: u32, limit: u8) {
        entries.set_limit(e, limit);
        self.ring(limit).link(entries, e);
        if limit == YOUNG {
            self.young += u128::from(entries.weight(e));
            if self.trailing == NONE {
                self.trailing = e;
            }
        }
    }

    /// Takes an entry off probation.
    fn leave_probation(&mut self, entries: &mut impl Entries, e: u32) {
        if entries.limit(e) == YOUNG {
            self.young -= u128::from(entries.weight(e));
        }
        if self.trailing == e {
            self.trailing = self.younger(entries, e);
        }
        self.probation.unlink(entries, e);
    }

    /// Moves the trailing hand on.
    fn ripen(&mut self, entries: &mut impl Entries) {
        for _ in 0..RIPENED_AT_ONCE {
            if self.trailing == NONE || self.young * WINDOW <= self.probation.weight() {
                return;
            }
            let e = self.trailing;
            self.trailing = self.younger(entries, e);
            self.young -= u128::from(entries.weight(e));
            entries.set_limit(e, MATURE);
            if self.trailing != NONE {
                entries.prefetch(self.trailing);
            }
        }
    }

    /// The next younger one of probation, or `NONE` after the youngest.
    fn younger(&self, entries: &impl Entries, e: u32) -> u32 {
        match entries.links(e).next {
            next if next == self.probation.hand() => NONE,
            next => next,
        }
    }

    fn ring(&mut self, limit: u8) -> &mut Ring {
        match limit {
            YOUNG | MATURE => &mut self.probation,
            WEIGHTLESS => &mut self.weightless,
            _ => &mut self.main,
        }
    }
}

/// What the ghosts remember.
fn limits(capacity: u64) -> [u64; 2] {
    GHOSTS.map(|tenths| (u128::from(capacity) * u128::from(tenths) / 10) as u64)
}

fn as_f64(weight: u128) -> f64 {
    u64::try_from(weight).unwrap_or(u64::MAX) as f64
}
