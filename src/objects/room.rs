//! The limit, as tokens, and the line of those who wait for some.
//!
//! # Shape
//! ```text
//! word   [ free tokens, 63 bits ][ somebody waits ]
//! limit = free + index + tickets   a ticket is with an object's bytes, a builder, or an error
//! line   front, .., back        only the front takes, while somebody waits
//! ```
//! A byte is held only by whoever holds a ticket for it, and gives it back after the byte was freed:
//! no moment can find more held than the limit.
//!
//! # Invariants
//! * T1  A token is free, in one ticket, or the index's, which gives it back when it has freed what it
//!   stood for.
//! * T2  The bit says whether the line has anybody; it changes under the line's lock. While it is set,
//!   whoever does not wait takes nothing.
//! * T3  Whoever may have made room looks at the bit after that, and wakes the front if it is set. The
//!   front leaves its waker before it looks for room.
//!
//! # Edges
//! | edge  | released by         | acquired by   | what crosses                                     |
//! |-------|---------------------|---------------|--------------------------------------------------|
//! | TOKEN | `Room::give`        | `Room::take`  | that what the tokens stood for is freed          |
//!
//! # Progress
//! `take` and `give` are lock-free where nobody waits; else they block on the line's lock.
//!
//! # Checked by
//! `loom-tests/objects_parts.rs` (T1 to T3, TOKEN, LEFT); `tests/objects_pressure.rs`.

use core::task::Waker;
use std::collections::VecDeque;
use std::sync::Arc;

use super::error::ObjectError;
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::barrier::Unequal;
use crate::sync::gauge::Gauge;
use crate::sync::lock::Mutex;
use crate::sync::park::wake;

const WAITED_FOR: u64 = 1;
const TOKEN: u64 = 2;

/// The tokens of one store.
pub(super) struct Room {
    word: AtomicU64,
    limit: u64,
    places: Places,
    /// What the index has of it.
    index: Gauge,
    line: Mutex<Line>,
    /// Between a reader who leaves and the front who looks.
    leaving: Unequal,
}

#[derive(Default)]
struct Line {
    next: u64,
    all: VecDeque<Stander>,
    /// How many of them hold builders.
    holders: usize,
}

/// Somebody who waits.
struct Stander {
    number: u64,
    need: u64,
    /// The builders that it holds meanwhile, by number, with their tokens.
    holds: Vec<(u64, u64)>,
    waker: Option<Waker>,
    /// It would wait for ever.
    stuck: bool,
}

/// Tokens, given back with it.
pub(super) struct Ticket {
    room: Arc<Room>,
    tokens: u64,
}

/// What the index takes for objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    /// So many cost nothing; ..
    pub(super) first: u64,
    /// .. and others so much each.
    pub(super) each: u64,
}

impl Places {
    /// What so many cost at least.
    pub(super) fn cost(self, places: u64) -> u64 {
        places.saturating_sub(self.first).saturating_mul(self.each)
    }
}

/// Who asks for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Does not wait, and so comes behind all who do.
    Now,
    /// Is at the front of the line.
    AtFront,
}

impl Room {
    /// `limit` tokens, all of them free.
    pub(super) fn new(limit: u64, places: Places) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU64::new(limit * TOKEN),
            limit,
            places,
            index: Gauge::default(),
            line: Mutex::new(Line::default()),
            leaving: Unequal::new(),
        })
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn free(&self) -> u64 {
        // Relaxed: a figure.
        self.word.load(Relaxed) / TOKEN
    }

    /// All of these tokens, or nothing.
    pub(super) fn take(self: &Arc<Self>, tokens: u64, who: Asks) -> Option<Ticket> {
        // Relaxed: the first guess.
        let mut seen = self.word.load(Relaxed);
        loop {
            if who == Asks::Now && seen & WAITED_FOR != 0 {
                return None;
            }
            let next = seen.checked_sub(tokens.checked_mul(TOKEN)?)?;
            // Acquire [TOKEN]: what they stood for was freed before we use them. Relaxed on failure:
            // the next guess.
            match self
                .word
                .compare_exchange_weak(seen, next, Acquire, Relaxed)
            {
                Ok(_) => break,
                Err(newer) => seen = newer,
            }
        }
        let room = Arc::clone(self);
        Some(Ticket { room, tokens })
    }

    // ---------------------------------------------------------------- the index

    /// What it takes for objects.
    pub(super) fn places(&self) -> Places {
        self.places
    }

    /// What the index has.
    pub(super) fn index(&self) -> u64 {
        self.index.get()
    }

    /// The index has these from now on.
    pub(super) fn index_takes(&self, ticket: Ticket) {
        self.index.add(ticket.spend());
    }

    /// The index has freed what they stood for.
    pub(super) fn index_gives(&self, tokens: u64) {
        self.index.add(tokens.wrapping_neg());
        self.give(tokens);
    }

    // ---------------------------------------------------------------- whoever makes room

    /// Whether somebody waits, so that whoever does not need not try.
    pub(super) fn is_waited_for(&self) -> bool {
        // Relaxed: `take` decides.
        self.word.load(Relaxed) & WAITED_FOR != 0
    }

    /// What they stood for is freed.
    pub(super) fn give(&self, tokens: u64) {
        // Release [TOKEN]: it was freed before.
        let before = self.word.fetch_add(tokens * TOKEN, Release);
        if before & WAITED_FOR != 0 {
            self.wake_front();
        }
    }

    /// As `give`, for one who calls `changed` when no lock is held any more.
    pub(super) fn give_unsaid(&self, tokens: u64) {
        // Relaxed: nothing is freed here; and what comes in the place of what left needs room of the cache
        // too, whose own budget is in order with the leaving.
        self.word.fetch_add(tokens * TOKEN, Relaxed);
    }

    /// There may be room now, which those who made it see to under a lock that the front takes too
    /// when it looks.
    pub(super) fn changed(&self) {
        if self.is_waited_for() {
            self.wake_front();
        }
    }

    /// As `changed`, where a reader has left and no lock is between it and the front.
    pub(super) fn reader_left(&self) {
        // The leaving before the look at the bit; against the bit before the look at who is still
        // there, in `stand`.
        self.leaving.light();
        self.changed();
    }

    #[cold]
    fn wake_front(&self) {
        let waker = self.line.lock().wake_front();
        waker.into_iter().for_each(wake);
    }

    // ---------------------------------------------------------------- the line

    /// Stands in line; a number.
    ///
    /// # Errors
    /// [`ObjectError::WouldDeadlock`] if all that wait, this one too, wait for what they hold.
    pub(super) fn join(&self, need: u64, holds: Vec<(u64, u64)>) -> Result<u64, ObjectError> {
        let mut line = self.line.lock();
        line.next += 1;
        let number = line.next;
        let is_holder = !holds.is_empty();
        line.holders += usize::from(is_holder);
        line.all.push_back(Stander {
            number,
            need,
            holds,
            waker: None,
            stuck: false,
        });
        if is_holder && line.is_stuck(self) {
            let last = line.leave(number);
            drop(line);
            drop(last);
            return Err(ObjectError::WouldDeadlock);
        }
        // Relaxed: under the line's lock, as every change of the bit.
        self.word.fetch_or(WAITED_FOR, Relaxed);
        Ok(number)
    }

    /// Leaves a waker with one in the line; whether it is at the front.
    pub(super) fn stand(&self, number: u64, waker: &Waker) -> Result<bool, ObjectError> {
        let waker = waker.clone(); // somebody's code
        let mut line = self.line.lock();
        let at = line.position(number);
        let stander = &mut line.all[at];
        if stander.stuck {
            drop(line);
            return Err(ObjectError::WouldDeadlock);
        }
        let before = stander.waker.replace(waker);
        drop(line);
        drop(before); // whatever it owns
        if at == 0 {
            // The bit before the look at who is still there; against `reader_left`.
            self.leaving.heavy();
        }
        Ok(at == 0)
    }

    /// Nobody needs to wait any more.
    pub(super) fn wake_all(&self) {
        let mut line = self.line.lock();
        let wakers: Vec<Waker> = line
            .all
            .iter_mut()
            .filter_map(|one| one.waker.take())
            .collect();
        drop(line);
        wakers.into_iter().for_each(wake);
    }

    /// Leaves the line, served or not.
    pub(super) fn leave(&self, number: u64) {
        let mut line = self.line.lock();
        let left = line.leave(number);
        if line.all.is_empty() {
            // Relaxed: as in `join`.
            self.word.fetch_and(!WAITED_FOR, Relaxed);
        }
        let stuck = line.tell_stuck(self);
        let front = line.wake_front();
        drop(line);
        drop(left);
        stuck.into_iter().chain(front).for_each(wake);
    }
}

impl Line {
    fn position(&self, number: u64) -> usize {
        // In the order in which they came.
        let at = self.all.binary_search_by_key(&number, |one| one.number);
        at.expect("it has not left the line")
    }

    fn leave(&mut self, number: u64) -> Option<Stander> {
        let at = self.position(number);
        let left = self.all.remove(at)?;
        self.holders -= usize::from(!left.holds.is_empty());
        Some(left)
    }

    fn wake_front(&mut self) -> Option<Waker> {
        self.all.front_mut()?.waker.take()
    }

    /// Whether the front cannot be served while those who wait hold what they hold.
    fn is_stuck(&self, room: &Room) -> bool {
        if self.holders == 0 {
            return false;
        }
        let waiting = || self.all.iter().filter(|one| !one.stuck);
        let mut held: Vec<(u64, u64)> = waiting().flat_map(|one| one.holds.clone()).collect();
        held.sort_unstable();
        held.dedup();
        let tokens: u64 = held.iter().map(|(_, tokens)| tokens).sum();
        let all = tokens + room.places.cost(held.len() as u64);
        let front = waiting().next();
        front.is_some_and(|front| tokens > 0 && front.need > room.limit.saturating_sub(all))
    }

    /// Tells who came last of those who hold something, as long as all wait for that.
    fn tell_stuck(&mut self, room: &Room) -> Vec<Waker> {
        let mut told = Vec::new();
        while self.is_stuck(room) {
            let mut holders = self.all.iter_mut().filter(|one| !one.holds.is_empty());
            let newest = holders.rfind(|one| !one.stuck);
            let newest = newest.expect("somebody holds what all wait for");
            newest.stuck = true;
            told.extend(newest.waker.take());
        }
        told
    }
}

impl Ticket {
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// A part of it, on its own.
    pub(super) fn split(&mut self, tokens: u64) -> Self {
        self.tokens -= tokens;
        let room = Arc::clone(&self.room);
        Self { room, tokens }
    }

    /// One of both, of the same room.
    pub(super) fn join(&mut self, mut other: Self) {
        self.tokens += core::mem::take(&mut other.tokens);
    }

    /// From now on somebody else gives them back.
    pub(super) fn spend(mut self) -> u64 {
        core::mem::take(&mut self.tokens)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.tokens > 0 {
            self.room.give(self.tokens);
        }
    }
}
