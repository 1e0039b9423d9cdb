//! The policy of the cache as plain lists, written from its description: the oracle.

use std::mem;

/// How far an entry's reads count, by where it is.
pub(crate) const LIMITS: [u8; 4] = [0, 1, 2, 3];

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Young,
    Mature,
    Weightless,
    Main,
}

/// An entry, as the model knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) id: u32,
    pub(crate) weight: u64,
    pub(crate) fingerprint: u32,
    pub(crate) uses: u8,
    pub(crate) place: Place,
    pub(crate) held: bool,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Victim(u32),
    Held(u32),
    Nothing,
}

/// What one insert may still look at.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) taken: u32,
    pub(crate) victims: u32,
}

/// Looks an eviction, and once.
pub(crate) const LOOKS: (u32, u32) = (4, 64);

impl Budget {
    fn look(&mut self, held: bool) -> bool {
        self.taken += u32::from(!held);
        !held && self.taken == LOOKS.0 * self.victims + LOOKS.1
    }
}

/// What was evicted from one ring.
#[derive(Debug, Default)]
struct Ghost {
    /// What it ever took in.
    taken: u64,
    limit: u64,
    weight: u64,
}

/// The whole policy: lists with the oldest first.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) probation: Vec<Item>,
    pub(crate) main: Vec<Item>,
    pub(crate) weightless: Vec<Item>,
    pub(crate) parked: Vec<Item>,
    pub(crate) share: f64,
    capacity: u64,
    cold: bool,
    ghosts: [Ghost; 2],
    /// Both ghosts' evictions, newest first: fingerprint, which ghost, what it had taken in.
    ///
    /// Ten of them are kept: as in the policy while fewer than 20 entries are resident.
    evicted: Vec<(u32, usize, u64)>,
}

fn sum(items: &[Item], of: impl Fn(&Item) -> bool) -> u128 {
    let weights = items.iter().filter(|item| of(item));
    weights.map(|item| u128::from(item.weight)).sum()
}

fn float(weight: u128) -> f64 {
    u64::try_from(weight).unwrap_or(u64::MAX) as f64
}

impl Model {
    pub(crate) fn new(capacity: u64) -> Self {
        let ghost = |tenths| Ghost {
            limit: (u128::from(capacity) * tenths / 10) as u64,
            ..Ghost::default()
        };
        Self {
            probation: Vec::new(),
            main: Vec::new(),
            weightless: Vec::new(),
            parked: Vec::new(),
            share: 0.1,
            capacity,
            cold: true,
            ghosts: [ghost(7), ghost(1)],
            evicted: Vec::new(),
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        let fresh = Self::new(capacity);
        for (ghost, other) in self.ghosts.iter_mut().zip(fresh.ghosts) {
            ghost.limit = other.limit;
            ghost.weight = ghost.weight.min(other.limit);
        }
        self.capacity = capacity;
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Item> {
        self.probation
            .iter()
            .chain(&self.main)
            .chain(&self.weightless)
    }

    pub(crate) fn find(&mut self, id: u32) -> Option<&mut Item> {
        let rings = self.probation.iter_mut().chain(&mut self.main);
        let all = rings.chain(&mut self.weightless).chain(&mut self.parked);
        all.into_iter().find(|item| item.id == id)
    }

    pub(crate) fn read(&mut self, id: u32) {
        let item = self.find(id).expect("it is there");
        item.uses = (item.uses + 1).min(LIMITS[item.place as usize].max(item.uses));
    }

    pub(crate) fn insert(&mut self, id: u32, weight: u64, fingerprint: u32) {
        let mut item = Item {
            id,
            weight,
            fingerprint,
            uses: 0,
            place: Place::Young,
            held: false,
        };
        if weight == 0 {
            item.place = Place::Weightless;
        } else if self.came_back(weight, fingerprint) || self.cold {
            item.place = Place::Main;
        }
        self.put(item);
        self.ripen();
    }

    pub(crate) fn replace(&mut self, old: u32, id: u32, weight: u64, fingerprint: u32) {
        let was = *self.find(old).expect("it is there");
        if (was.weight == 0) != (weight == 0) {
            self.remove(old);
            return self.insert(id, weight, fingerprint);
        }
        *self.find(old).expect("it is there") = Item {
            id,
            weight,
            fingerprint,
            uses: (was.uses + 1).min(LIMITS[was.place as usize]),
            held: false,
            ..was
        };
        self.ripen();
    }

    pub(crate) fn remove(&mut self, id: u32) {
        for ring in [&mut self.probation, &mut self.main, &mut self.weightless] {
            ring.retain(|item| item.id != id);
        }
    }

    pub(crate) fn unpark(&mut self, id: u32) {
        let at = self.parked.iter().position(|item| item.id == id);
        let mut item = self.parked.remove(at.expect("it is parked"));
        if item.place == Place::Mature {
            item.place = Place::Young;
        }
        self.put(item);
        self.ripen();
    }

    pub(crate) fn step(&mut self, budget: &mut Budget) -> Found {
        self.cold = false;
        loop {
            let (probation, main) = (sum(&self.probation, |_| true), sum(&self.main, |_| true));
            let residents = self.probation.len() + self.main.len();
            if residents == 0 {
                return Found::Nothing;
            }
            let over = float(probation) > self.share * float(probation + main);
            let from_probation = self.main.is_empty() || !self.probation.is_empty() && over;
            let ring = if from_probation {
                &mut self.probation
            } else {
                &mut self.main
            };
            let mut item = ring.remove(0);
            let last = budget.look(item.held);
            if item.held {
                self.parked.push(item);
                return Found::Held(item.id);
            }
            if item.uses == 0 || last {
                budget.victims += 1;
                self.remember(usize::from(!from_probation), &item);
                return Found::Victim(item.id);
            }
            item.uses = if from_probation { 0 } else { item.uses - 1 };
            item.place = Place::Main;
            self.main.push(item);
        }
    }

    pub(crate) fn step_weightless(&mut self, budget: &mut Budget) -> Found {
        while !self.weightless.is_empty() {
            let mut item = self.weightless.remove(0);
            let last = budget.look(item.held);
            if item.held {
                self.parked.push(item);
                return Found::Held(item.id);
            }
            if item.uses == 0 || last {
                budget.victims += 1;
                return Found::Victim(item.id);
            }
            item.uses -= 1;
            self.weightless.push(item);
        }
        Found::Nothing
    }

    pub(crate) fn clear(&mut self) {
        *self = Self {
            parked: mem::take(&mut self.parked),
            ..Self::new(self.capacity)
        };
    }

    fn put(&mut self, item: Item) {
        match item.place {
            Place::Young | Place::Mature => self.probation.push(item),
            Place::Weightless => self.weightless.push(item),
            Place::Main => self.main.push(item),
        }
    }

    /// At most four of the young grow up in one call, while they are more than a fifth.
    fn ripen(&mut self) {
        let young = |item: &Item| item.place == Place::Young;
        for _ in 0..4 {
            let all = sum(&self.probation, |_| true);
            if sum(&self.probation, young) * 5 <= all {
                return;
            }
            let oldest = self.probation.iter_mut().find(|item| young(item));
            oldest.expect("they weigh something").place = Place::Mature;
        }
    }

    fn remember(&mut self, which: usize, item: &Item) {
        let ghost = &mut self.ghosts[which];
        self.evicted
            .insert(0, (item.fingerprint, which, ghost.taken));
        self.evicted.truncate(10);
        ghost.taken += item.weight;
        ghost.weight = ghost.weight.saturating_add(item.weight).min(ghost.limit);
    }

    /// Whether a ghost remembers it, which moves the share.
    fn came_back(&mut self, weight: u64, fingerprint: u32) -> bool {
        let ghosts = &self.ghosts;
        let known = |&(seen, which, stamp): &(u32, usize, u64)| {
            let ghost: &Ghost = &ghosts[which];
            seen == fingerprint && ghost.taken - stamp <= ghost.limit
        };
        let Some(at) = self.evicted.iter().position(known) else {
            return false;
        };
        let (_, which, _) = self.evicted.remove(at);
        self.ghosts[which].weight = self.ghosts[which].weight.saturating_sub(weight);
        let [probation, main] = [0, 1].map(|at| self.ghosts[at].weight.max(1) as f64);
        let rate = if which == 0 {
            main / probation
        } else {
            probation / main
        };
        let step = weight as f64 / self.capacity.max(1) as f64 * rate.clamp(1.0, 16.0);
        let step = if which == 0 { step } else { -step };
        self.share = (self.share + step).clamp(0.01, 0.9);
        true
    }
}
