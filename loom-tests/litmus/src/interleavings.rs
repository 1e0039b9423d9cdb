//! Every outcome under sequential consistency, by trying every interleaving.
//!
//! Whatever the orderings in the program are, each of these is legal, so an exhaustive checker
//! has to reach them all. Fences do nothing here.

use crate::{Op, Outcome, Program};
use std::collections::BTreeSet;

/// The outcomes of `program` over all interleavings.
pub fn outcomes(program: &Program) -> BTreeSet<Outcome> {
    let mut found = BTreeSet::new();
    let start = (
        vec![Vec::new(); program.threads.len()],
        vec![0; program.variables],
    );
    visit(
        program,
        &mut vec![0; program.threads.len()],
        &start,
        &mut found,
    );
    found
}

fn visit(program: &Program, next: &mut [usize], state: &Outcome, found: &mut BTreeSet<Outcome>) {
    let mut finished = true;
    for thread in 0..program.threads.len() {
        let Some(&op) = program.threads[thread].get(next[thread]) else {
            continue;
        };
        finished = false;
        let mut after = state.clone();
        step(op, &mut after.0[thread], &mut after.1);
        next[thread] += 1;
        visit(program, next, &after, found);
        next[thread] -= 1;
    }
    if finished {
        found.insert(state.clone());
    }
}

fn step(op: Op, reads: &mut Vec<u64>, memory: &mut [u64]) {
    match op {
        Op::Load(v, _) => reads.push(memory[v]),
        Op::Store(v, new, _) => memory[v] = new,
        Op::Add(v, _) => {
            reads.push(memory[v]);
            memory[v] += 1;
        }
        Op::Swap(v, new, _) => reads.push(std::mem::replace(&mut memory[v], new)),
        Op::CompareExchange(v, expected, new, ..) => {
            reads.push(memory[v]);
            if memory[v] == expected {
                memory[v] = new;
            }
        }
        Op::Fence(_) => {}
    }
}
