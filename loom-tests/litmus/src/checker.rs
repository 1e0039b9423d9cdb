//! Runs a program under loom and collects what it reaches.

use crate::{Op, Outcome, Program};
use loom::sync::atomic::{
    AtomicU64,
    Ordering::{self, Relaxed, Release, SeqCst},
    fence,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What loom reached, and in how many executions.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Every outcome, once.
    pub outcomes: BTreeSet<Outcome>,
    /// How often the program ran.
    pub executions: usize,
}

/// How a compare-exchange is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareExchange {
    /// As loom has it: always on the newest value.
    Bare,
    /// Through [`stale_compare_exchange`].
    Stale,
    /// Through [`hasty_compare_exchange`].
    Hasty,
}

/// A compare-exchange that may fail on an old value, as the language allows.
///
/// It first loads, and returns an error if that is not `expected`: a real compare-exchange
/// could have read the same store and failed. The load has the failure ordering, but not
/// where only failure acquires: then the load would also acquire for a compare-exchange that
/// succeeds, and hide that success lacks it. A fence on the way out acquires instead.
///
/// # Errors
/// What was read, when that is not `expected`.
pub fn stale_compare_exchange(
    cell: &AtomicU64,
    expected: u64,
    new: u64,
    success: Ordering,
    failure: Ordering,
) -> Result<u64, u64> {
    let late = failure != Relaxed && matches!(success, Relaxed | Release);
    let seen = cell.load(if late { Relaxed } else { failure });
    if seen != expected {
        if late {
            fence(failure);
        }
        return Err(seen);
    }
    cell.compare_exchange(expected, new, success, failure)
}

/// The same without the fence: blind to a success ordering that should acquire.
///
/// # Errors
/// What was read, when that is not `expected`.
pub fn hasty_compare_exchange(
    cell: &AtomicU64,
    expected: u64,
    new: u64,
    success: Ordering,
    failure: Ordering,
) -> Result<u64, u64> {
    let seen = cell.load(failure);
    if seen != expected {
        return Err(seen);
    }
    cell.compare_exchange(expected, new, success, failure)
}

fn run_thread(ops: &[Op], memory: &[AtomicU64], how: CompareExchange) -> Vec<u64> {
    let mut reads = Vec::new();
    for &op in ops {
        match op {
            Op::Load(v, order) => reads.push(memory[v].load(order)),
            Op::Store(v, new, order) => memory[v].store(new, order),
            Op::Add(v, order) => reads.push(memory[v].fetch_add(1, order)),
            Op::Swap(v, new, order) => reads.push(memory[v].swap(new, order)),
            Op::CompareExchange(v, expected, new, success, failure) => {
                let compare_exchange = match how {
                    CompareExchange::Bare => AtomicU64::compare_exchange,
                    CompareExchange::Stale => stale_compare_exchange,
                    CompareExchange::Hasty => hasty_compare_exchange,
                };
                let seen = compare_exchange(&memory[v], expected, new, success, failure);
                reads.push(seen.unwrap_or_else(|seen| seen));
            }
            Op::Fence(order) => fence(order),
        }
    }
    reads
}

/// Every outcome of `program` that loom reaches.
pub fn explore(program: &Program, bound: Option<usize>, how: CompareExchange) -> Reached {
    let reached = Arc::new(Mutex::new(Reached::default()));
    let (record, program) = (reached.clone(), program.clone());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = bound;
    model.max_branches = 10_000;
    model.check(move || {
        let memory: Arc<Vec<_>> =
            Arc::new((0..program.variables).map(|_| AtomicU64::new(0)).collect());
        let spawn = |ops: &Vec<Op>| {
            let (ops, memory) = (ops.clone(), memory.clone());
            loom::thread::spawn(move || run_thread(&ops, &memory, how))
        };
        let others: Vec<_> = program.threads[1..].iter().map(spawn).collect();
        let mut reads = vec![run_thread(&program.threads[0], &memory, how)];
        reads.extend(others.into_iter().map(|thread| thread.join().unwrap()));
        let last = memory.iter().map(|v| v.load(SeqCst)).collect();
        let mut record = record.lock().unwrap();
        record.outcomes.insert((reads, last));
        record.executions += 1;
    });
    let reached = reached.lock().unwrap();
    reached.clone()
}

/// Which loom this was built against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loom {
    /// As published: it skips interleavings.
    Stock,
    /// The copy that `ci/repair-loom.sh` makes.
    Repaired,
}

/// Which loom this is: asked of the checker itself, and held against `LOOM_LITMUS_EXPECT`
/// (`stock` or `repaired`) where that is set.
///
/// # Panics
/// If it is another one than expected.
pub fn which() -> Loom {
    let is = if is_repaired() {
        Loom::Repaired
    } else {
        Loom::Stock
    };
    match (std::env::var("LOOM_LITMUS_EXPECT").as_deref(), is) {
        (Err(_), _) | (Ok("stock"), Loom::Stock) | (Ok("repaired"), Loom::Repaired) => is,
        (Ok("stock"), Loom::Repaired) => panic!(
            "a loom without repair finds what it used to lose: the repair can go (or this was \
             built with the repaired copy by mistake)"
        ),
        (Ok("repaired"), Loom::Stock) => panic!(
            "built against the stock loom: run with --config 'paths=[..]' and the folder that \
             ci/repair-loom.sh prints"
        ),
        (Ok(other), _) => panic!("LOOM_LITMUS_EXPECT is {other:?}, not stock or repaired"),
    }
}

/// Is this loom the repaired one? Asks the shortest program whose outcome the stock one loses.
///
/// Main loads; the other thread loads, then stores. The second load hides the first one from
/// the store, so a stock loom never tries the store before main's load.
fn is_repaired() -> bool {
    let main = vec![Op::Load(0, Relaxed)];
    let other = vec![Op::Load(0, Relaxed), Op::Store(0, 1, Relaxed)];
    let probe = Program {
        threads: vec![main, other],
        variables: 1,
    };
    let reached = explore(&probe, None, CompareExchange::Bare);
    reached
        .outcomes
        .contains(&(vec![vec![1], vec![0]], vec![1]))
}

/// What `LOOM_LITMUS_EXPECT` says about this loom; where it is not set, what the probe says.
///
/// # Panics
/// If the probe contradicts it.
pub fn expect_repaired() -> bool {
    let repaired = is_repaired();
    match std::env::var("LOOM_LITMUS_EXPECT").as_deref() {
        Ok("repaired") => assert!(
            repaired,
            "this loom skips interleavings: see ci/repair-loom.sh"
        ),
        Ok("stock") => assert!(
            !repaired,
            "loom finds what it used to lose: the repair can go"
        ),
        Ok(other) => panic!("LOOM_LITMUS_EXPECT={other}: `repaired` or `stock`"),
        Err(_) => {}
    }
    repaired
}
