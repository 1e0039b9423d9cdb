//! How long one insert may search, and what a search comes to.

/// Looks that an eviction grants to the next one (c).
///
/// Four, and 64 to begin with, are the least of those tried that cost no hits on real traces.
pub(crate) const LOOKS_PER_EVICTION: u32 = 4;
/// Looks that one insert has to begin with (k).
pub(crate) const LOOKS_ONCE: u32 = 64;

/// What a hand came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This one leaves the cache; it is loose already.
    Evict(u32),
    /// This one is held: it is loose until `Policy::unpark`, or until the caller drops it.
    Park(u32),
    /// Nothing is on the rings.
    Empty,
}

/// How many entries one insert may still look at; held ones do not count.
#[derive(Debug)]
pub(crate) struct Looks {
    left: u32,
    taken: u32,
}

impl Looks {
    pub(crate) const fn new() -> Self {
        Self {
            left: LOOKS_ONCE,
            taken: 0,
        }
    }

    /// How many entries were looked at that are not held.
    #[allow(dead_code)] // for simulators and tests
    pub(crate) fn taken(&self) -> u32 {
        self.taken
    }

    /// Looks at one; whether it is the last that may be looked at, and has to leave.
    pub(super) fn is_last(&mut self) -> bool {
        self.taken = self.taken.saturating_add(1);
        self.left -= 1;
        self.left == 0
    }

    /// What comes of an entry that was taken off its ring: it leaves, or waits for its release.
    pub(super) fn leaves(&mut self, held: bool, e: u32) -> Step {
        if held {
            return Step::Park(e);
        }
        self.left = self.left.saturating_add(LOOKS_PER_EVICTION);
        Step::Evict(e)
    }
}
