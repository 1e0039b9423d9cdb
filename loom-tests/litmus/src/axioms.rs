//! What the language allows: every candidate execution, judged by the axioms.
//!
//! A candidate chooses which compare-exchanges succeed, an order of the writes of each
//! variable (modification order), and a write for each read. It is an execution if
//!
//! * C1  happens-before agrees with itself and with the order of reads and writes of each
//!   variable (coherence);
//! * C2  a read-modify-write reads the write just before its own (atomicity);
//! * C3  `SeqCst` fences and accesses fit into one order (the axiom of RC11, as in C++20).
//!
//! Release sequences are those of C++20: a write and the read-modify-writes that follow it.
//! Programs here have no dependencies, so nothing needs to be said about values out of thin air.
//!
//! Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing Sequential Consistency in C/C++11, PLDI 2017.

use crate::{Op, Outcome, Program};
use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Release, SeqCst};
use std::collections::BTreeSet;

/// The outcomes that the language allows, under three readings of it.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// As written.
    pub language: BTreeSet<Outcome>,
    /// As written, but no read sees a write that comes later in a common order of program and
    /// reads (no load buffering).
    pub no_buffering: BTreeSet<Outcome>,
    /// No load buffering, and `SeqCst` accesses are only acquire and release; fences keep their
    /// strength. What a checker with loom's reading of `SeqCst` may show.
    pub weak_accesses: BTreeSet<Outcome>,
}

/// The outcomes of `program`.
pub fn outcomes(program: &Program) -> Allowed {
    let mut allowed = Allowed::default();
    let choices: usize = program
        .threads
        .iter()
        .flatten()
        .filter(|op| is_cas(op))
        .count();
    for successes in 0..1u32 << choices {
        Candidates::new(program, successes).judge_all(&mut allowed);
    }
    allowed
}

fn is_cas(op: &Op) -> bool {
    matches!(op, Op::CompareExchange(..))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Value(u64),
    AddOne,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    thread: Option<usize>,
    /// `None`: a fence.
    variable: Option<usize>,
    order: Option<Ordering>,
    reads: bool,
    write: Option<Write>,
    /// What a compare-exchange must (`true`) or must not have read.
    condition: Option<(bool, u64)>,
}

impl Event {
    fn releases(&self) -> bool {
        matches!(self.order, Some(Release | AcqRel | SeqCst))
    }

    fn acquires(&self) -> bool {
        matches!(self.order, Some(Acquire | AcqRel | SeqCst))
    }

    fn is_fence(&self) -> bool {
        self.variable.is_none()
    }

    fn is_rmw(&self) -> bool {
        self.reads && self.write.is_some()
    }

    fn of(thread: usize, op: Op, succeeds: bool) -> Self {
        let (variable, order, reads, write, condition) = match op {
            Op::Load(v, order) => (Some(v), order, true, None, None),
            Op::Store(v, new, order) => (Some(v), order, false, Some(Write::Value(new)), None),
            Op::Add(v, order) => (Some(v), order, true, Some(Write::AddOne), None),
            Op::Swap(v, new, order) => (Some(v), order, true, Some(Write::Value(new)), None),
            Op::CompareExchange(v, old, new, success, _) if succeeds => (
                Some(v),
                success,
                true,
                Some(Write::Value(new)),
                Some((true, old)),
            ),
            Op::CompareExchange(v, old, _, _, failure) => {
                (Some(v), failure, true, None, Some((false, old)))
            }
            Op::Fence(order) => (None, order, false, None, None),
        };
        Self {
            thread: Some(thread),
            variable,
            order: Some(order),
            reads,
            write,
            condition,
        }
    }

    fn initial(variable: usize) -> Self {
        let write = Some(Write::Value(0));
        Self {
            thread: None,
            variable: Some(variable),
            order: None,
            reads: false,
            write,
            condition: None,
        }
    }
}

/// A relation between at most 32 events: bit `b` of row `a` says that `a` comes before `b`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Relation(Vec<u32>);

impl Relation {
    fn new(events: usize) -> Self {
        assert!(events <= 32, "too large a program");
        Self(vec![0; events])
    }

    fn add(&mut self, a: usize, b: usize) {
        self.0[a] |= 1 << b;
    }

    fn has(&self, a: usize, b: usize) -> bool {
        self.0[a] >> b & 1 == 1
    }

    fn or(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    fn then(&self, other: &Self) -> Self {
        let row = |&from: &u32| {
            (0..other.0.len())
                .filter(|b| from >> b & 1 == 1)
                .fold(0, |row, b| row | other.0[b])
        };
        Self(self.0.iter().map(row).collect())
    }

    fn closure(&self) -> Self {
        let mut closed = self.clone();
        for via in 0..closed.0.len() {
            let reached = closed.0[via];
            for row in &mut closed.0 {
                if *row >> via & 1 == 1 {
                    *row |= reached;
                }
            }
        }
        closed
    }

    fn reflexive(&self) -> Self {
        Self(
            self.0
                .iter()
                .enumerate()
                .map(|(a, row)| row | 1 << a)
                .collect(),
        )
    }

    fn filter(&self, keep: impl Fn(usize, usize) -> bool) -> Self {
        let mut kept = Self::new(self.0.len());
        for a in 0..self.0.len() {
            (0..self.0.len())
                .filter(|&b| self.has(a, b) && keep(a, b))
                .for_each(|b| kept.add(a, b));
        }
        kept
    }

    fn irreflexive(&self) -> bool {
        self.0.iter().enumerate().all(|(a, row)| row >> a & 1 == 0)
    }

    fn acyclic(&self) -> bool {
        self.closure().irreflexive()
    }
}

/// The candidates of one program and one choice of successful compare-exchanges.
struct Candidates {
    events: Vec<Event>,
    threads: usize,
    /// Order within each thread, and initial writes before everything.
    program_order: Relation,
    /// Writes of each variable, the initial one first.
    modification: Vec<Vec<usize>>,
    source: Vec<Option<usize>>,
}

impl Candidates {
    fn new(program: &Program, successes: u32) -> Self {
        let mut events: Vec<_> = (0..program.variables).map(Event::initial).collect();
        let mut choice = 0;
        for (thread, ops) in program.threads.iter().enumerate() {
            for &op in ops {
                events.push(Event::of(thread, op, successes >> choice & 1 == 1));
                choice += usize::from(is_cas(&op));
            }
        }
        let mut program_order = Relation::new(events.len());
        for (b, later) in events.iter().enumerate().skip(program.variables) {
            for (a, earlier) in events[..b].iter().enumerate() {
                if earlier.thread.is_none() || earlier.thread == later.thread {
                    program_order.add(a, b);
                }
            }
        }
        let source = vec![None; events.len()];
        let modification = (0..program.variables).map(|v| vec![v]).collect();
        Self {
            events,
            threads: program.threads.len(),
            program_order,
            modification,
            source,
        }
    }

    fn judge_all(&mut self, allowed: &mut Allowed) {
        self.order_writes(0, allowed);
    }

    /// Tries every modification order of `variable` and the variables after it.
    fn order_writes(&mut self, variable: usize, allowed: &mut Allowed) {
        if variable == self.modification.len() {
            return self.choose_sources(0, allowed);
        }
        let is_left = |&w: &usize| {
            let event = self.events[w];
            event.variable == Some(variable)
                && event.write.is_some()
                && !self.modification[variable].contains(&w)
        };
        let left: Vec<_> = (0..self.events.len()).filter(is_left).collect();
        if left.is_empty() {
            return self.order_writes(variable + 1, allowed);
        }
        for &next in &left {
            if left
                .iter()
                .any(|&other| self.program_order.has(other, next))
            {
                continue;
            }
            let previous = *self.modification[variable]
                .last()
                .expect("the initial write");
            self.modification[variable].push(next);
            if self.events[next].reads {
                self.source[next] = Some(previous);
            }
            if self.condition_holds(next) {
                self.order_writes(variable, allowed);
            }
            self.source[next] = None;
            self.modification[variable].pop();
        }
    }

    /// Tries every source of `reader` and the readers after it.
    fn choose_sources(&mut self, reader: usize, allowed: &mut Allowed) {
        let Some(event) = self.events.get(reader).copied() else {
            return self.judge(allowed);
        };
        let (Some(variable), true, false) = (event.variable, event.reads, event.is_rmw()) else {
            return self.choose_sources(reader + 1, allowed);
        };
        for i in 0..self.modification[variable].len() {
            self.source[reader] = Some(self.modification[variable][i]);
            if self.condition_holds(reader) {
                self.choose_sources(reader + 1, allowed);
            }
        }
        self.source[reader] = None;
    }

    fn value(&self, write: usize) -> u64 {
        match self.events[write].write.expect("a write") {
            Write::Value(value) => value,
            Write::AddOne => 1 + self.value(self.source[write].expect("the write before")),
        }
    }

    fn condition_holds(&self, event: usize) -> bool {
        self.events[event]
            .condition
            .is_none_or(|(equal, expected)| {
                let seen = self.value(self.source[event].expect("chosen before"));
                (seen == expected) == equal
            })
    }

    fn outcome(&self) -> Outcome {
        let mut reads = vec![Vec::new(); self.threads];
        for (e, event) in self.events.iter().enumerate() {
            if let (Some(thread), Some(source)) = (event.thread, self.source[e]) {
                reads[thread].push(self.value(source));
            }
        }
        let last = |order: &Vec<usize>| self.value(*order.last().expect("the initial write"));
        (reads, self.modification.iter().map(last).collect())
    }

    fn judge(&self, allowed: &mut Allowed) {
        let n = self.events.len();
        let (mut reads_from, mut modified, mut overwritten) =
            (Relation::new(n), Relation::new(n), Relation::new(n));
        for order in &self.modification {
            for (i, &a) in order.iter().enumerate() {
                order[i + 1..].iter().for_each(|&b| modified.add(a, b));
            }
        }
        for (reader, source) in self.source.iter().enumerate() {
            let Some(source) = *source else { continue };
            reads_from.add(source, reader);
            let later = (0..n).filter(|&w| modified.has(source, w) && w != reader);
            later.for_each(|w| overwritten.add(reader, w));
        }
        let before = self.program_order.or(&self.synchronizes()).closure();
        let conflict = reads_from.or(&modified).or(&overwritten).closure();
        if !before.irreflexive() || !before.then(&conflict).irreflexive() {
            return;
        }
        let buffers = !self.program_order.or(&reads_from).acyclic();
        let strong = self.one_order(&before, &conflict, &modified.or(&overwritten), true);
        let weak = self.one_order(&before, &conflict, &modified.or(&overwritten), false);
        let outcome = self.outcome();
        if strong {
            allowed.language.insert(outcome.clone());
        }
        if strong && !buffers {
            allowed.no_buffering.insert(outcome.clone());
        }
        if weak && !buffers {
            allowed.weak_accesses.insert(outcome);
        }
    }

    /// From a release (or a release fence before the write) to an acquire (or a fence after the
    /// read) whose source lies in the release sequence of that write.
    fn synchronizes(&self) -> Relation {
        let mut edges = Relation::new(self.events.len());
        for (reader, source) in self.source.iter().enumerate() {
            let mut head = *source;
            while let Some(write) = head {
                for release in self.fences_or_self(write, Event::releases, true) {
                    for acquire in self.fences_or_self(reader, Event::acquires, false) {
                        if release != acquire {
                            edges.add(release, acquire);
                        }
                    }
                }
                head = self.source[write];
            }
        }
        edges
    }

    fn fences_or_self(&self, access: usize, has: fn(&Event) -> bool, before: bool) -> Vec<usize> {
        let stands = |f: usize| {
            if before {
                self.program_order.has(f, access)
            } else {
                self.program_order.has(access, f)
            }
        };
        (0..self.events.len())
            .filter(|&e| has(&self.events[e]))
            .filter(|&e| e == access || self.events[e].is_fence() && stands(e))
            .collect()
    }

    /// C3. With `accesses` false only the fences are in the order.
    fn one_order(
        &self,
        before: &Relation,
        conflict: &Relation,
        communication: &Relation,
        accesses: bool,
    ) -> bool {
        let n = self.events.len();
        let is_sc = |e: usize| self.events[e].order == Some(SeqCst);
        let fence = |e: usize| is_sc(e) && self.events[e].is_fence();
        let access = |e: usize| accesses && is_sc(e) && !self.events[e].is_fence();
        let same = |a: usize, b: usize| {
            let (a, b) = (self.events[a].variable, self.events[b].variable);
            a.is_some() && a == b
        };
        let elsewhere = self.program_order.filter(|a, b| !same(a, b));
        let base = self
            .program_order
            .or(&elsewhere.then(before).then(&elsewhere))
            .or(&before.filter(same))
            .or(communication);
        let identity = Relation::new(n).reflexive();
        let maybe_before = before.reflexive();
        let enter = identity
            .filter(|e, _| access(e))
            .or(&maybe_before.filter(|e, _| fence(e)));
        let leave = identity
            .filter(|e, _| access(e))
            .or(&maybe_before.filter(|_, e| fence(e)));
        let fences = before
            .or(&before.then(conflict).then(before))
            .filter(|a, b| fence(a) && fence(b));
        enter.then(&base).then(&leave).or(&fences).acyclic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::atomic::Ordering::Relaxed;

    #[test]
    fn relations_compose_and_close() {
        let mut r = Relation::new(3);
        r.add(0, 1);
        r.add(1, 2);
        assert!(r.then(&r).has(0, 2) && !r.then(&r).has(0, 1));
        assert!(r.closure().has(0, 2) && r.acyclic());
        r.add(2, 0);
        assert!(!r.acyclic());
    }

    #[test]
    fn a_failing_compare_exchange_may_read_an_old_value() {
        let writer = vec![Op::Store(0, 1, Relaxed), Op::Store(1, 1, Relaxed)];
        let reader = vec![
            Op::Load(1, Relaxed),
            Op::CompareExchange(0, 7, 8, Relaxed, Relaxed),
        ];
        let program = Program {
            threads: vec![writer, reader],
            variables: 2,
        };
        assert!(
            outcomes(&program)
                .language
                .contains(&(vec![vec![], vec![1, 0]], vec![1, 1]))
        );
    }

    #[test]
    fn read_modify_writes_do_not_lose_updates() {
        let add = || vec![Op::Add(0, Relaxed)];
        let program = Program {
            threads: vec![add(), add()],
            variables: 1,
        };
        let allowed = outcomes(&program).language;
        assert!(allowed.iter().all(|(_, last)| last == &[2]), "{allowed:?}");
        assert_eq!(allowed.len(), 2);
    }
}
