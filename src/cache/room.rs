//! Tokens for what comes in: from the shard itself, from the pool, from other shards.
//!
//! # Shape
//! ```text
//! 1  the shard's credit, then the pool
//! 2  the shard's own policy evicts .. unless the shard has less than its share, or much is needed
//! 3  gather: the other shards, those above their share first, one lock at a time;
//!    then all, each in proportion to its weight; then whoever has anything
//! ```
//! Were much taken from the one shard that happens to be its key's, the shard would lose what is
//! dear to it while others keep what is not.
//!
//! In [`Mode::Live`] what was evicted gives its tokens back only when its last reader is gone:
//! whoever needs them evicts what is lacking beyond what is on its way, has it ripen, and looks
//! again, a few times.
//!
//! # Progress
//! Blocks on one shard's lock after the other. `gather` takes a bounded number of rounds.
//!
//! # Checked by
//! `loom-tests/cache_capacity.rs`; `tests/stress_cache.rs`.

use super::budget::Reservation;
use super::engine::{Engine, Mode};
use super::error::Reason;
use super::policy::Looks;
use super::shard::Shard;
use super::writer::Writer;

/// After so many rounds in vain, others are quicker.
const ROUNDS: usize = 4;
/// What weighs more than so small a part of a shard is made room for by all shards.
const HEAVY: u64 = 32;

/// Which shards give, and how much.
#[derive(Clone, Copy, Debug)]
enum Givers {
    /// Those that weigh more than their share, down to it.
    AboveShare,
    /// All, each in proportion to what it weighs.
    AllAlike,
    /// One after the other, all that it has.
    Anyone,
}

/// What is needed, and what of it is on its way.
#[derive(Clone, Copy, Debug)]
struct Lack {
    need: u64,
    coming: u64,
}

/// What one that weighs `weight` of `all` gives of `lacking`: a little more than its part.
fn part(lacking: u64, weight: u64, all: u64) -> u64 {
    let part = u128::from(lacking) * u128::from(weight) / u128::from(all.max(1));
    u64::try_from(part + 1).unwrap_or(u64::MAX)
}

/// The shard's own means do not suffice.
#[derive(Debug)]
pub(super) struct Short {
    pub(super) need: u64,
}

/// Why the room was not to be had.
#[derive(Debug)]
pub(super) struct NoRoom {
    pub(super) reason: Reason,
    /// It may be soon: others hold what they replace while they make room too.
    pub(super) soon: bool,
}

impl<K, V> Writer<'_, K, V> {
    /// Raises the shard's credit to `need`, by what is near.
    pub(super) fn make_room(&mut self, need: u64, looks: &mut Looks) -> Result<(), Short> {
        if self.core.credit >= need {
            return Ok(());
        }
        let lacking = need - self.core.credit;
        self.core.credit += self.engine.budget.take(lacking.max(self.engine.slack()));
        if self.core.credit >= need {
            return Ok(());
        }
        if self.engine.mode == Mode::Live || !self.should_evict(need) {
            return Err(Short { need });
        }
        while self.core.credit < need {
            self.evict(looks, false).ok_or(Short { need })?;
        }
        Ok(())
    }

    /// Whether this shard is the one to give, and can.
    fn should_evict(&self, need: u64) -> bool {
        let core = &*self.core;
        let share = self.engine.share();
        let poor = core.weight.saturating_add(need).saturating_add(share / 16) <= share;
        let alone = self.engine.shards.len() == 1;
        let heavy = need > (share / HEAVY).max(1);
        let evictable = core.weight - core.held;
        evictable >= need - core.credit && (alone || !poor && !heavy)
    }

    /// Evicts until `want` is had, or nothing is left, or what is left is no more than `keep`.
    pub(super) fn evict_for(&mut self, want: u64, keep: u64, looks: &mut Looks) -> u64 {
        let mut had = 0u64;
        while had < want && self.core.weight > keep {
            let Some(weight) = self.evict(looks, false) else {
                break;
            };
            had = had.saturating_add(weight);
        }
        had
    }
}

impl<K, V> Engine<K, V> {
    /// Raises a reservation to `need`, from wherever it can be had, for one who holds `kept` until
    /// then.
    pub(super) fn gather(
        &self,
        home: &Shard<K, V>,
        need: u64,
        kept: u64,
        reservation: &mut Reservation<'_>,
        looks: &mut Looks,
    ) -> Result<(), NoRoom> {
        for _ in 0..ROUNDS {
            if reservation.fill(need) {
                return Ok(());
            }
            if self.held().saturating_add(need) > self.capacity() {
                return Err(self.held_up(need, kept));
            }
            let mut coming = self.coming();
            for givers in [Givers::AboveShare, Givers::AllAlike, Givers::Anyone] {
                let lack = Lack { need, coming };
                coming += self.evict_from_all(givers, home, lack, reservation, looks);
            }
            if self.mode == Mode::Live && coming > 0 {
                self.collect();
                self.take_credits(reservation);
            }
            if reservation.fill(need) {
                return Ok(());
            }
        }
        Err(self.held_up(need, kept))
    }

    /// What will come back without anything being evicted.
    fn coming(&self) -> u64 {
        match self.mode {
            Mode::Live => self.retained(),
            Mode::Reachable => 0,
        }
    }

    /// Evicts from the shards until enough is had or on its way; says how much more is on its way.
    fn evict_from_all(
        &self,
        givers: Givers,
        home: &Shard<K, V>,
        Lack { need, coming }: Lack,
        reservation: &mut Reservation<'_>,
        looks: &mut Looks,
    ) -> u64 {
        let mut sent = 0;
        let lacking = need.saturating_sub(reservation.tokens().saturating_add(coming));
        let all = self.sum(|shard| shard.gauges.weight.get());
        for shard in self.others_then(home) {
            let had = reservation
                .tokens()
                .saturating_add(coming)
                .saturating_add(sent);
            if had >= need {
                break;
            }
            let mut writer = self.open(shard);
            let (want, keep) = match givers {
                Givers::AboveShare => (lacking, self.share()),
                Givers::AllAlike => (part(lacking, writer.core.weight, all), 0),
                Givers::Anyone => (lacking, 0),
            };
            let evicted = writer.evict_for(want.min(need - had), keep, looks);
            reservation.add(core::mem::take(&mut writer.core.credit));
            writer.close();
            if self.mode == Mode::Live {
                sent += evicted;
            }
        }
        sent
    }

    fn take_credits(&self, reservation: &mut Reservation<'_>) {
        for shard in &self.shards {
            let mut writer = self.open(shard);
            reservation.add(core::mem::take(&mut writer.core.credit));
            writer.settle_only();
        }
    }

    /// Every shard, from the one after `home` on.
    fn others_then<'a>(
        &'a self,
        home: &Shard<K, V>,
    ) -> impl Iterator<Item = &'a Shard<K, V>> + use<'a, K, V> {
        let at = self
            .shards
            .iter()
            .position(|shard| core::ptr::eq(&**shard, home));
        let (before, after) = self.shards.split_at(at.map_or(0, |at| at + 1));
        after.iter().chain(before).map(|shard| &**shard)
    }

    fn held_up(&self, need: u64, kept: u64) -> NoRoom {
        let is_short_of = |held: u64| held.saturating_add(need) > self.capacity();
        let soon = is_short_of(self.held());
        let firm = self.sum(|shard| shard.gauges.firm.get());
        let (reason, soon) = if is_short_of(firm.saturating_add(kept)) {
            (Reason::AllHeld, false)
        } else if self.coming() > 0 {
            (Reason::Retained, false)
        } else {
            (Reason::Contended, soon)
        };
        NoRoom { reason, soon }
    }
}
