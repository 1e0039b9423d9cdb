//! Programs of atomic operations, their outcomes, and a generator of random ones.

use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// One operation on a variable (by its number), or a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reads.
    Load(usize, Ordering),
    /// Writes a value.
    Store(usize, u64, Ordering),
    /// Adds one and reads what was there.
    Add(usize, Ordering),
    /// Writes a value and reads what was there.
    Swap(usize, u64, Ordering),
    /// Writes the second value if the first is there; reads what was there either way.
    CompareExchange(usize, u64, u64, Ordering, Ordering),
    /// A fence.
    Fence(Ordering),
}

impl Op {
    /// The variable it works on; `None` for a fence.
    pub fn variable(&self) -> Option<usize> {
        match *self {
            Op::Load(v, _) | Op::Store(v, ..) | Op::Add(v, _) => Some(v),
            Op::Swap(v, ..) | Op::CompareExchange(v, ..) => Some(v),
            Op::Fence(_) => None,
        }
    }
}

/// The operations of each thread; thread 0 is the model's main thread.
#[derive(Clone, Debug)]
pub struct Program {
    /// One list of operations per thread.
    pub threads: Vec<Vec<Op>>,
    /// Variables 0, 1, ..; all begin at 0.
    pub variables: usize,
}

impl Program {
    /// Does every variable have writers that cannot disagree about the order of their writes:
    /// one thread only, or read-modify-writes only?
    ///
    /// Where a plain store races with a write of another thread, loom keeps only a partial
    /// order of the two and may show outcomes that the language forbids.
    pub fn writers_agree(&self) -> bool {
        (0..self.variables).all(|variable| {
            let writes = |op: &&Op| op.variable() == Some(variable) && !matches!(op, Op::Load(..));
            let has_writer = |ops: &&Vec<Op>| ops.iter().any(|op| writes(&op));
            let writers = self.threads.iter().filter(has_writer).count();
            let stores = |op: &Op| writes(&op) && matches!(op, Op::Store(..));
            writers <= 1 || !self.threads.iter().flatten().any(stores)
        })
    }
}

/// What each thread read, in its order, and the last value of each variable.
pub type Outcome = (Vec<Vec<u64>>, Vec<u64>);

/// Which programs to draw.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Threads of each program.
    pub threads: usize,
    /// Operations of each thread, at most.
    pub max_ops: usize,
    /// Variables of each program.
    pub variables: usize,
    /// Draw orderings and fences; otherwise everything is `SeqCst` and there are no fences.
    pub mixed: bool,
}

/// xorshift64: the same programs on every machine.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// Begins at `seed`, which is not 0.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0);
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pick(&mut self, orderings: &[Ordering]) -> Ordering {
        orderings[self.below(orderings.len())]
    }

    fn op(&mut self, shape: Shape) -> Op {
        let variable = self.below(shape.variables);
        let value = 1 + self.below(3) as u64;
        let op = match self.below(if shape.mixed { 8 } else { 6 }) {
            0 | 1 => Op::Load(variable, SeqCst),
            2 => Op::Store(variable, value, SeqCst),
            3 => Op::CompareExchange(variable, self.below(3) as u64, value, SeqCst, SeqCst),
            4 => Op::Add(variable, SeqCst),
            5 => Op::Swap(variable, value, SeqCst),
            6 => Op::Store(variable, value, SeqCst),
            _ => Op::Fence(SeqCst),
        };
        if shape.mixed { self.weaken(op) } else { op }
    }

    fn weaken(&mut self, op: Op) -> Op {
        const LOAD: &[Ordering] = &[Relaxed, Acquire, SeqCst];
        const STORE: &[Ordering] = &[Relaxed, Release, SeqCst];
        const RMW: &[Ordering] = &[Relaxed, Acquire, Release, AcqRel, SeqCst];
        const FENCE: &[Ordering] = &[Acquire, Release, AcqRel, SeqCst];
        match op {
            Op::Load(v, _) => Op::Load(v, self.pick(LOAD)),
            Op::Store(v, new, _) => Op::Store(v, new, self.pick(STORE)),
            Op::Add(v, _) => Op::Add(v, self.pick(RMW)),
            Op::Swap(v, new, _) => Op::Swap(v, new, self.pick(RMW)),
            Op::CompareExchange(v, old, new, ..) => {
                Op::CompareExchange(v, old, new, self.pick(RMW), self.pick(LOAD))
            }
            Op::Fence(_) => Op::Fence(self.pick(FENCE)),
        }
    }

    /// Draws a program.
    pub fn program(&mut self, shape: Shape) -> Program {
        let mut thread = || {
            (0..1 + self.below(shape.max_ops))
                .map(|_| self.op(shape))
                .collect()
        };
        let threads = (0..shape.threads).map(|_| thread()).collect();
        Program {
            threads,
            variables: shape.variables,
        }
    }
}
