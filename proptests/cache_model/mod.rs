//! Keys and values that are counted, and what a cache has to contain: a map, kept by what the
//! listener is told.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use mapless::cache::Cause;

/// Instances that were made and not dropped yet.
#[derive(Default, Debug)]
pub(crate) struct Ledger(Mutex<(u64, HashSet<u64>)>);

impl Ledger {
    pub(crate) fn live(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

/// An instance: made once, dropped once.
#[derive(Debug)]
struct Token(Arc<Ledger>, u64);

impl Token {
    fn new(ledger: &Arc<Ledger>) -> Self {
        let mut state = ledger.0.lock().unwrap();
        state.0 += 1;
        let number = state.0;
        state.1.insert(number);
        Self(Arc::clone(ledger), number)
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let was_live = self.0.0.lock().unwrap().1.remove(&self.1);
        assert!(was_live, "D1: dropped twice");
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) n: u8,
    _token: Token,
}

impl Key {
    pub(crate) fn new(n: u8, ledger: &Arc<Ledger>) -> Self {
        let token = Token::new(ledger);
        Self { n, _token: token }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.n == other.n
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.n.hash(state);
    }
}

impl Borrow<u8> for Key {
    fn borrow(&self) -> &u8 {
        &self.n
    }
}

/// A value that tells which one it is; its clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) serial: u64,
    pub(crate) weight: u64,
    _token: Token,
}

impl Value {
    pub(crate) fn new(serial: u64, weight: u64, ledger: &Arc<Ledger>) -> Self {
        let token = Token::new(ledger);
        Self {
            serial,
            weight,
            _token: token,
        }
    }
}

/// Leaves as many bits of a key as it is told: none makes all keys alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dull(pub(crate) u8);

impl BuildHasher for Dull {
    type Hasher = DullHasher;

    fn build_hasher(&self) -> DullHasher {
        DullHasher(self.0, 0)
    }
}

#[derive(Debug)]
pub(crate) struct DullHasher(u8, u64);

impl Hasher for DullHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.1 = self.1 << 8 | u64::from(byte & self.0);
        }
    }

    fn finish(&self) -> u64 {
        self.1.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// What the model knows of a reachable entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) serial: u64,
    pub(crate) weight: u64,
    /// In ticks.
    deadline: Option<u64>,
    bound: Option<u64>,
}

pub(crate) type Event = (u8, u64, Cause);

/// What a cache contains.
#[derive(Default, Debug)]
pub(crate) struct Model {
    pub(crate) entries: BTreeMap<u8, Entry>,
    /// By serial: weight, and how many holds.
    pub(crate) holds: BTreeMap<u64, (u64, usize)>,
    pub(crate) now: u64,
    pub(crate) live: Option<u64>,
    pub(crate) idle: Option<u64>,
}

impl Model {
    fn is_over(&self, entry: &Entry) -> bool {
        entry.deadline.is_some_and(|deadline| self.now >= deadline)
    }

    /// What a read of this key finds.
    pub(crate) fn alive(&self, key: u8) -> Option<Entry> {
        let entry = self.entries.get(&key)?;
        (!self.is_over(entry)).then_some(*entry)
    }

    pub(crate) fn all_alive(&self) -> Vec<(u8, u64)> {
        let entries = self.entries.iter();
        let alive = entries.filter(|(_, entry)| !self.is_over(entry));
        alive.map(|(&key, entry)| (key, entry.serial)).collect()
    }

    /// A read that counts as a use.
    pub(crate) fn touch(&mut self, key: u8) -> Option<u64> {
        let alive = self.alive(key)?;
        if let Some(idle) = self.idle {
            let entry = self.entries.get_mut(&key).unwrap();
            let next = self.now + idle;
            entry.deadline = Some(entry.bound.map_or(next, |bound| bound.min(next)));
        }
        Some(alive.serial)
    }

    pub(crate) fn insert(&mut self, key: u8, serial: u64, weight: u64) {
        let bound = self.live.map(|live| self.now + live);
        let idle = self.idle.map(|idle| self.now + idle);
        let deadline = bound.into_iter().chain(idle).min();
        let entry = Entry {
            serial,
            weight,
            deadline,
            bound,
        };
        assert!(self.entries.insert(key, entry).is_none(), "C2: untold");
    }

    pub(crate) fn hold(&mut self, serial: u64, weight: u64) {
        self.holds.entry(serial).or_insert((weight, 0)).1 += 1;
    }

    pub(crate) fn release(&mut self, serial: u64) {
        let hold = self.holds.get_mut(&serial).unwrap();
        hold.1 -= 1;
        if hold.1 == 0 {
            self.holds.remove(&serial);
        }
    }

    pub(crate) fn is_held(&self, serial: u64) -> bool {
        self.holds.contains_key(&serial)
    }

    pub(crate) fn held_weight(&self) -> u64 {
        self.holds.values().map(|hold| hold.0).sum()
    }

    /// How many are reachable or held.
    pub(crate) fn present(&self) -> usize {
        self.entries.len() + self.only_held().count()
    }

    /// What is reachable or held weighs.
    pub(crate) fn weight(&self) -> u64 {
        let reachable: u64 = self.entries.values().map(|entry| entry.weight).sum();
        reachable + self.only_held().sum::<u64>()
    }

    fn only_held(&self) -> impl Iterator<Item = u64> + '_ {
        let is_reachable = |serial: u64| self.entries.values().any(|entry| entry.serial == serial);
        let holds = self.holds.iter();
        holds
            .filter(move |(serial, _)| !is_reachable(**serial))
            .map(|(_, hold)| hold.0)
    }

    /// The listener was told.
    pub(crate) fn told(&mut self, (key, serial, cause): Event) -> Entry {
        let entry = self.entries.remove(&key);
        let entry = entry.unwrap_or_else(|| panic!("C2: told of {key} twice, as {cause}"));
        assert_eq!(entry.serial, serial, "C2: told of another value");
        assert!(
            cause != Cause::Expired || self.is_over(&entry),
            "C3: it was not over"
        );
        assert!(
            cause != Cause::Size || !self.is_held(serial),
            "C4: a held entry was evicted"
        );
        entry
    }
}
