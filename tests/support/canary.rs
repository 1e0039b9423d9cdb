//! Keys and values that know whether they live, and that panic where they are told to.
//!
//! A `Drop` panics only in what was weighed: where a parameter's destructor panics, the compiler itself
//! loses what the function was about to return (rust-lang/rust#47949).
//!
//! * V1  Who looks at a value finds its canary and its checksum whole.
//! * V2  Each instance is dropped once; what lives and what that weighs is counted by the instances.

#![allow(dead_code)] // each user takes its part

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::thread::panicking;

const ALIVE: u64 = 0xA11C_E5CA_4A4A_0001;
const DEAD: u64 = 0xDEAD_DEAD_DEAD_DEAD;
const MESSAGE: &str = "on purpose";

thread_local! {
    /// One in so many calls panics; 0 for none.
    static FAULTS: Cell<u64> = const { Cell::new(0) };
    static SEED: Cell<u64> = const { Cell::new(1) };
}

/// What happened that must not have: a panic would be contained by the cache.
static WRONG: AtomicBool = AtomicBool::new(false);

pub(crate) fn wrong(what: &str) {
    eprintln!("{what}");
    WRONG.store(true, SeqCst);
}

pub(crate) fn assert_all_right() {
    assert!(!WRONG.load(SeqCst), "see above");
}

/// A number below `n`, of this thread's own row.
pub(crate) fn below(n: u64) -> u64 {
    SEED.with(|seed| {
        // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        seed.set(seed.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut z = seed.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    })
}

pub(crate) fn seed(seed: u64) {
    SEED.with(|cell| cell.set(seed.wrapping_mul(0xD134_2543_DE82_EF95)));
}

/// From here on, one in so many calls of the user's code in this thread panics.
pub(crate) fn faults(one_in: u64) {
    FAULTS.with(|faults| faults.set(one_in));
}

pub(crate) fn maybe_panic() {
    let one_in = FAULTS.with(Cell::get);
    if one_in > 0 && !panicking() && below(one_in) == 0 {
        panic!("{MESSAGE}");
    }
}

/// Panics on purpose are not printed.
pub(crate) fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<String>().map(String::as_str);
            let text = text.or(info.payload().downcast_ref::<&str>().copied());
            if text != Some(MESSAGE) {
                before(info);
            }
        }));
    });
}

/// What lives.
#[derive(Default, Debug)]
pub(crate) struct Census {
    keys: AtomicI64,
    values: AtomicI64,
    weight: AtomicI64,
    serial: AtomicU64,
}

impl Census {
    pub(crate) fn keys(&self) -> i64 {
        self.keys.load(SeqCst)
    }

    pub(crate) fn values(&self) -> i64 {
        self.values.load(SeqCst)
    }

    pub(crate) fn weight(&self) -> i64 {
        self.weight.load(SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct Key {
    canary: u64,
    pub(crate) n: u64,
    weighed: AtomicBool,
    census: Arc<Census>,
}

impl Key {
    pub(crate) fn new(n: u64, census: &Arc<Census>) -> Self {
        census.keys.fetch_add(1, SeqCst);
        Self {
            canary: ALIVE,
            n,
            weighed: AtomicBool::new(false),
            census: Arc::clone(census),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        maybe_panic();
        if (self.canary, other.canary) != (ALIVE, ALIVE) {
            wrong("V1: a key that is dead");
        }
        self.n == other.n
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        maybe_panic();
        self.n.hash(state);
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.canary, DEAD) != ALIVE {
            wrong("V2: a key was dropped twice");
        }
        self.census.keys.fetch_sub(1, SeqCst);
        if self.weighed.load(SeqCst) {
            maybe_panic();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Value {
    canary: u64,
    pub(crate) key: u64,
    pub(crate) serial: u64,
    pub(crate) weight: u64,
    /// On the heap, for the address sanitizer.
    sum: Box<u64>,
    told: AtomicBool,
    weighed: AtomicBool,
    census: Arc<Census>,
}

impl Value {
    pub(crate) fn new(key: u64, weight: u64, census: &Arc<Census>) -> Self {
        let serial = census.serial.fetch_add(1, SeqCst);
        census.values.fetch_add(1, SeqCst);
        census.weight.fetch_add(weight as i64, SeqCst);
        Self {
            canary: ALIVE,
            key,
            serial,
            weight,
            sum: Box::new(key ^ serial.rotate_left(20) ^ weight.rotate_left(40)),
            told: AtomicBool::new(false),
            weighed: AtomicBool::new(false),
            census: Arc::clone(census),
        }
    }

    /// It, and its key, are about to come in.
    pub(crate) fn weigh(&self, key: &Key) -> u64 {
        key.weighed.store(true, SeqCst);
        self.weighed.store(true, SeqCst);
        maybe_panic();
        self.weight
    }

    /// V1.
    pub(crate) fn check(&self, key: u64) {
        let sum = self.key ^ self.serial.rotate_left(20) ^ self.weight.rotate_left(40);
        if self.canary != ALIVE || *self.sum != sum || self.key != key {
            wrong("V1: a value that is not whole, or another key's");
        }
    }

    /// The listener was told of it.
    pub(crate) fn tell(&self) {
        if self.told.swap(true, SeqCst) {
            wrong("a listener was told twice");
        }
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        maybe_panic();
        self.check(self.key);
        Self::new(self.key, self.weight, &self.census)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.check(self.key);
        self.canary = DEAD;
        self.census.values.fetch_sub(1, SeqCst);
        self.census.weight.fetch_sub(self.weight as i64, SeqCst);
        if self.weighed.load(SeqCst) {
            maybe_panic();
        }
    }
}
