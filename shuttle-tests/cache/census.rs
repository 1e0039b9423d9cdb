//! What the cache may know of its values, kept beside it and apart from it; nothing in here is
//! scheduled, each call is one moment.
//!
//! Inside the cache a panic may be caught: so what is found wrong is remembered, and told by
//! `assert_all_right`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mapless::cache::{Cause, Mode};

/// A value that was offered, whatever clones there are of it; one of them at most comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Root(usize);

#[derive(Default)]
struct Offer {
    key: u64,
    weight: u64,
    seen: bool,
    refused: bool,
    came_in: bool,
    told: Option<Cause>,
    holds: u64,
}

/// A closure that computes the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    number: usize,
    is_compute: bool,
}

#[derive(Default)]
struct State {
    /// By number: which keys and values were not dropped yet.
    lives: Vec<bool>,
    offers: Vec<Offer>,
    running: HashMap<u64, Run>,
    runs: usize,
    /// What the instances weigh that were let in, or are about to be.
    live: u64,
    /// That of it which a thread brings in just now, or was refused.
    in_hands: HashMap<u64, u64>,
    /// What the cache may weigh just now.
    limit: u64,
    is_resized: bool,
    panics: u64,
    wrong: Option<String>,
}

impl State {
    fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.get_or_insert(what.into());
    }

    /// W1, where what readers keep counts too.
    fn check_live(&mut self, mode: Mode) {
        let hands = self.in_hands.values().sum::<u64>();
        let (live, limit) = (self.live, self.limit);
        if mode == Mode::Live && live > limit + hands {
            self.wrong(format!(
                "W1: {live} live, {limit} allowed, {hands} in hands"
            ));
        }
    }
}

pub(crate) struct Census {
    mode: Mode,
    state: Mutex<State>,
}

/// What was so at one moment.
pub(crate) struct Moment {
    pub(crate) limit: u64,
    pub(crate) held: HashMap<Root, u64>,
}

impl Census {
    pub(crate) fn new(mode: Mode, limit: u64) -> Arc<Self> {
        let state = Mutex::new(State {
            limit,
            ..State::default()
        });
        Arc::new(Self { mode, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wrong(&self, what: impl Into<String>) {
        self.state().wrong(what);
    }

    pub(crate) fn assert_all_right(&self) {
        let wrong = self.state().wrong.take();
        if let Some(wrong) = wrong {
            panic!("{wrong}");
        }
    }

    /// How many keys and values were not dropped.
    pub(crate) fn living(&self) -> usize {
        self.state().lives.iter().filter(|&&alive| alive).count()
    }

    pub(crate) fn live(&self) -> u64 {
        self.state().live
    }

    pub(crate) fn limit(&self) -> u64 {
        self.state().limit
    }

    /// What this thread brought in is in, or dropped.
    pub(crate) fn hands_empty(&self, thread: u64) {
        let mut state = self.state();
        state.in_hands.remove(&thread);
        state.check_live(self.mode);
    }

    /// The capacity is about to be changed, unless somebody else does that; from what.
    pub(crate) fn resizes(&self, to: u64) -> Option<u64> {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_resized, true) {
            return None;
        }
        let from = state.limit;
        state.limit = from.max(to);
        Some(from)
    }

    pub(crate) fn resized(&self, limit: u64) {
        let mut state = self.state();
        (state.limit, state.is_resized) = (limit, false);
        state.check_live(self.mode);
    }

    pub(crate) fn moment(&self) -> Moment {
        let state = self.state();
        let offers = state.offers.iter().enumerate();
        let held = offers.filter(|(_, offer)| offer.holds > 0);
        Moment {
            limit: state.limit,
            held: held.map(|(n, offer)| (Root(n), offer.weight)).collect(),
        }
    }

    pub(crate) fn came_in(&self, root: Root) {
        self.state().offers[root.0].came_in = true;
    }

    pub(crate) fn refused(&self, root: Root) {
        let mut state = self.state();
        let offer = &mut state.offers[root.0];
        offer.refused = true;
        if offer.seen || offer.told.is_some() {
            state.wrong("W3: found or told of, and refused");
        }
    }

    pub(crate) fn hold(&self, root: Root) {
        self.state().offers[root.0].holds += 1;
    }

    pub(crate) fn release(&self, root: Root) {
        self.state().offers[root.0].holds -= 1;
    }

    /// W4: the listener was told.
    pub(crate) fn told(&self, root: Root, cause: Cause, expires: bool, panics: bool) {
        let mut state = self.state();
        state.panics += u64::from(panics);
        let key = state.offers[root.0].key;
        let offered = state.offers.iter().filter(|offer| offer.key == key).count();
        let offer = &mut state.offers[root.0];
        let fits = match cause {
            Cause::Expired => expires,
            Cause::Replaced => offered > 1,
            Cause::Size => offer.holds == 0,
            _ => true,
        };
        let before = offer.told.replace(cause);
        if before.is_some() || offer.refused || !fits {
            state.wrong(format!("W4: told {cause:?} of {root:?} after {before:?}"));
        }
    }

    /// W4: a call says that it removed this very one.
    pub(crate) fn removed(&self, root: Root) {
        let mut state = self.state();
        let told = state.offers[root.0].told;
        if told != Some(Cause::Explicit) {
            state.wrong(format!("W4: {root:?} was removed, and told {told:?}"));
        }
    }

    /// How many left, and how often the listener panicked then.
    pub(crate) fn told_in_all(&self) -> (u64, u64) {
        let state = self.state();
        let told = state.offers.iter().filter(|offer| offer.told.is_some());
        (told.count() as u64, state.panics)
    }

    /// Those that came in for certain, and of which nobody was told that they left.
    pub(crate) fn inside(&self) -> Vec<Root> {
        let state = self.state();
        let offers = state.offers.iter().enumerate();
        let inside = offers.filter(|(_, offer)| offer.came_in && offer.told.is_none());
        inside.map(|(n, _)| Root(n)).collect()
    }

    /// W5: a closure begins to compute the value of a key; until the drop.
    pub(crate) fn begin(self: &Arc<Self>, key: u64, is_compute: bool) -> Running {
        let mut state = self.state();
        state.runs += 1;
        let number = state.runs;
        if state
            .running
            .insert(key, Run { number, is_compute })
            .is_some()
        {
            state.wrong("W5: two compute the value of one key");
        }
        let census = Arc::clone(self);
        Running { census, key }
    }

    pub(crate) fn running(&self, key: u64) -> Option<Run> {
        self.state().running.get(&key).copied()
    }

    /// W5: a call that wrote the key began when this ran, and ends now.
    pub(crate) fn wrote(&self, key: u64, before: Option<Run>) {
        let through = before.filter(|run| run.is_compute);
        if through.is_some() && through == self.running(key) {
            self.wrong("W5: written while it was computed upon");
        }
    }
}

/// A closure that runs.
pub(crate) struct Running {
    census: Arc<Census>,
    key: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.census.state().running.remove(&self.key);
    }
}

/// From a construction to the drop: W2.
struct Life {
    number: usize,
    census: Arc<Census>,
}

impl Life {
    fn new(census: &Arc<Census>) -> Self {
        let census = Arc::clone(census);
        let mut state = census.state();
        state.lives.push(true);
        let number = state.lives.len() - 1;
        drop(state);
        Self { number, census }
    }

    fn check(&self) {
        let mut state = self.census.state();
        if !state.lives[self.number] {
            state.wrong("W2: looked at what was dropped");
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut state = self.census.state();
        if !std::mem::replace(&mut state.lives[self.number], false) {
            state.wrong("W2: dropped twice");
        }
    }
}

pub(crate) struct Key {
    pub(crate) n: u64,
    life: Life,
}

impl Key {
    pub(crate) fn new(n: u64, census: &Arc<Census>) -> Self {
        let life = Life::new(census);
        Self { n, life }
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        self.life.check();
        Self::new(self.n, &self.life.census)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.life.check();
        other.life.check();
        self.n == other.n
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.n.hash(state);
    }
}

/// What user code panics with here.
pub(crate) struct Planned;

pub(crate) fn panic_as_planned() -> ! {
    resume_unwind(Box::new(Planned))
}

pub(crate) struct Value {
    pub(crate) root: Root,
    pub(crate) weight: u64,
    key: u64,
    thread: u64,
    /// Asked what it weighs, it panics.
    pub(crate) is_unweighable: bool,
    /// It is weighed as often as it takes.
    pub(crate) waits: bool,
    is_weighed: AtomicBool,
    life: Life,
}

impl Value {
    pub(crate) fn new(key: u64, weight: u64, thread: u64, census: &Arc<Census>) -> Self {
        let mut state = census.state();
        state.offers.push(Offer {
            key,
            weight,
            ..Offer::default()
        });
        let root = Root(state.offers.len() - 1);
        drop(state);
        Self {
            root,
            weight,
            key,
            thread,
            is_unweighable: false,
            waits: false,
            is_weighed: AtomicBool::new(false),
            life: Life::new(census),
        }
    }

    /// W3: it was found under this key.
    pub(crate) fn check(&self, key: u64) -> Root {
        self.life.check();
        let mut state = self.life.census.state();
        let offer = &mut state.offers[self.root.0];
        offer.seen = true;
        if offer.refused || offer.key != key || self.key != key {
            state.wrong("W3: found what was refused, or is another key's");
        }
        self.root
    }

    /// What the cache's weigher says of the instance that is to come in.
    pub(crate) fn weigh(&self) -> u64 {
        if self.is_unweighable {
            panic_as_planned();
        }
        let census = &self.life.census;
        let mut state = census.state();
        if self.is_weighed.swap(true, SeqCst) {
            if !self.waits {
                state.wrong("weighed twice");
            }
            return self.weight;
        }
        state.live += self.weight;
        *state.in_hands.entry(self.thread).or_default() += self.weight;
        state.check_live(census.mode);
        self.weight
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.life.check();
        let life = Life::new(&self.life.census);
        let is_weighed = AtomicBool::new(false);
        Self {
            is_weighed,
            life,
            ..*self
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if *self.is_weighed.get_mut() {
            self.life.census.state().live -= self.weight;
        }
    }
}
