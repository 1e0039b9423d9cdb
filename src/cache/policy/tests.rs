//! One ring, one rule at a time.

use super::*;

#[path = "in_vec.rs"]
mod in_vec;

use in_vec::{Entry, Slab};

impl Slab {
    fn add(&mut self, weight: u64) -> u32 {
        let n = self.0.len() as u32;
        self.add_as(weight, n.wrapping_mul(0x9E37_79B9))
    }

    fn add_as(&mut self, weight: u64, fingerprint: u32) -> u32 {
        self.push(Entry::new(weight, fingerprint))
    }
}

/// A warm policy: one entry came and went.
fn warm(capacity: u64) -> (Slab, Policy) {
    let (mut slab, mut policy) = (Slab::default(), Policy::new(capacity));
    let e = slab.add(1);
    policy.insert(&mut slab, e);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(e));
    (slab, policy)
}

fn insert(policy: &mut Policy, slab: &mut Slab, weight: u64) -> u32 {
    let e = slab.add(weight);
    policy.insert(slab, e);
    e
}

fn step(policy: &mut Policy, slab: &mut Slab) -> Step {
    policy.step(slab, &mut Looks::new())
}

#[test]
fn until_it_is_full_all_enter_the_main_ring() {
    let (mut slab, mut policy) = (Slab::default(), Policy::new(4));
    let all: Vec<_> = (0..4).map(|_| insert(&mut policy, &mut slab, 1)).collect();
    assert!(all.iter().all(|&e| slab.limit(e) == MAIN));
    slab.read(all[0]);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(all[1]));
    let next = insert(&mut policy, &mut slab, 1);
    // Alone in probation, it is more than a fifth.
    assert_eq!(slab.limit(next), MATURE);
    assert_eq!(policy.len(), 4);
}

#[test]
fn reads_count_only_behind_the_trailing_hand() {
    let (mut slab, mut policy) = warm(100);
    let all: Vec<_> = (0..10).map(|_| insert(&mut policy, &mut slab, 1)).collect();
    let young = |slab: &Slab| all.iter().filter(|&&e| slab.limit(e) == YOUNG).count();
    assert_eq!(young(&slab), 2);
    all.iter().for_each(|&e| slab.read(e));
    assert_eq!(all.iter().filter(|&&e| slab.uses(e) == 1).count(), 8);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(all[8]));
    assert!(all[..8].iter().all(|&e| slab.limit(e) == MAIN));
}

#[test]
fn the_main_ring_counts_to_three() {
    let (mut slab, mut policy) = (Slab::default(), Policy::new(3));
    let all: Vec<_> = (0..3).map(|_| insert(&mut policy, &mut slab, 1)).collect();
    for (reads, &e) in [9, 2, 3].iter().zip(&all) {
        (0..*reads).for_each(|_| slab.read(e));
    }
    assert_eq!(slab.uses(all[0]), 3);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(all[1]));
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(all[0]));
}

#[test]
fn what_a_ghost_remembers_enters_the_main_ring() {
    let (mut slab, mut policy) = warm(100);
    let share = policy.share;
    let e = slab.add_as(1, 77);
    policy.insert(&mut slab, e);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(e));
    let again = slab.add_as(1, 77);
    policy.insert(&mut slab, again);
    assert_eq!(slab.limit(again), MAIN);
    assert!(policy.share > share);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(again));
    let third = slab.add_as(1, 77);
    let share = policy.share;
    policy.insert(&mut slab, third);
    assert_eq!(slab.limit(third), MAIN);
    assert!(policy.share < share);
}

#[test]
fn a_held_entry_waits_off_the_rings() {
    let (mut slab, mut policy) = warm(100);
    let held = insert(&mut policy, &mut slab, 1);
    let other = insert(&mut policy, &mut slab, 1);
    slab.0[held as usize].held = true;
    let mut looks = Looks::new();
    assert_eq!(policy.step(&mut slab, &mut looks), Step::Park(held));
    assert_eq!((looks.taken(), slab.links(held)), (0, Links::LOOSE));
    assert_eq!(policy.step(&mut slab, &mut looks), Step::Evict(other));
    assert_eq!(policy.step(&mut slab, &mut looks), Step::Empty);
    assert_eq!(looks.taken(), 1);
    slab.0[held as usize].held = false;
    policy.unpark(&mut slab, held);
    assert_eq!(step(&mut policy, &mut slab), Step::Evict(held));
}

#[test]
fn looks_are_bounded_and_the_last_one_evicts() {
    let (mut slab, mut policy) = (Slab::default(), Policy::new(1000));
    let all: Vec<_> = (0..1000)
        .map(|_| insert(&mut policy, &mut slab, 1))
        .collect();
    let mut looks = Looks::new();
    for evicted in 1..20 {
        all.iter().for_each(|&e| (0..3).for_each(|_| slab.read(e)));
        assert!(matches!(policy.step(&mut slab, &mut looks), Step::Evict(_)));
        assert!(looks.taken() <= LOOKS_ONCE + LOOKS_PER_EVICTION * evicted);
    }
}

#[test]
fn a_replacement_keeps_the_place_and_counts_as_a_read() {
    let (mut slab, mut policy) = (Slab::default(), Policy::new(10));
    let all: Vec<_> = (0..3).map(|_| insert(&mut policy, &mut slab, 1)).collect();
    let new = slab.add(5);
    policy.replace(&mut slab, all[0], new);
    assert_eq!((slab.uses(new), slab.limit(new)), (1, MAIN));
    assert_eq!((policy.weight(), policy.len()), (7, 3));
    assert_eq!(policy.oldest(), Some(new));
    let none = slab.add(0);
    policy.replace(&mut slab, new, none);
    assert_eq!((policy.len(), policy.weightless_len()), (2, 1));
    let some = slab.add(4);
    policy.replace(&mut slab, none, some);
    assert_eq!(
        (policy.len(), policy.weightless_len(), policy.weight()),
        (3, 0, 6)
    );
}

#[test]
fn entries_without_weight_have_a_ring_of_their_own() {
    let (mut slab, mut policy) = (Slab::default(), Policy::new(10));
    let all: Vec<_> = (0..3).map(|_| insert(&mut policy, &mut slab, 0)).collect();
    slab.read(all[0]);
    let mut looks = Looks::new();
    assert_eq!(policy.step(&mut slab, &mut looks), Step::Empty);
    let victims = [1, 2, 0].map(|at| Step::Evict(all[at]));
    assert_eq!(
        [(); 3].map(|()| policy.step_weightless(&mut slab, &mut looks)),
        victims
    );
    assert_eq!(policy.step_weightless(&mut slab, &mut looks), Step::Empty);
}

#[test]
fn removals_leave_no_trace() {
    let (mut slab, mut policy) = warm(100);
    let all: Vec<_> = (0..30).map(|_| insert(&mut policy, &mut slab, 3)).collect();
    for &e in all
        .iter()
        .step_by(2)
        .chain(all[1..].iter().step_by(2).rev())
    {
        policy.remove(&mut slab, e);
        assert_eq!(slab.links(e), Links::LOOSE);
    }
    assert_eq!((policy.len(), policy.weight(), policy.young), (0, 0, 0));
    assert_eq!(
        (policy.trailing, step(&mut policy, &mut slab)),
        (NONE, Step::Empty)
    );
}

#[test]
fn extreme_capacities_and_weights() {
    for capacity in [0, 1, u64::MAX] {
        let (mut slab, mut policy) = warm(capacity);
        let big = insert(&mut policy, &mut slab, u64::MAX);
        let more = insert(&mut policy, &mut slab, u64::MAX);
        assert_eq!(policy.weight(), u128::from(u64::MAX) * 2);
        assert_eq!(step(&mut policy, &mut slab), Step::Evict(big));
        let again = slab.add_as(u64::MAX, slab.fingerprint(big));
        policy.insert(&mut slab, again);
        policy.set_capacity(u64::MAX - capacity);
        policy.remove(&mut slab, more);
        assert!(matches!(step(&mut policy, &mut slab), Step::Evict(_)));
        policy.clear();
        assert_eq!(step(&mut policy, &mut slab), Step::Empty);
    }
}
