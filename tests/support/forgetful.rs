//! A disk in memory that remembers everything that was done to it, and can be asked what a loss of
//! power would have left at any moment.
#![allow(dead_code)] // each test takes what it needs

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use mapless::Disk;

/// What a disk writes whole or not at all.
pub(crate) const SECTOR: usize = 512;

/// One thing that was done.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Len(usize),
    Sync,
    /// The test's own: something was acknowledged.
    Mark(usize),
}

/// A disk that remembers.
#[derive(Debug, Default)]
pub(crate) struct Forgetful {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    events: Vec<Event>,
    fails: Option<Failing>,
    /// So many calls go well before.
    after: usize,
    /// How often it went wrong.
    failures: usize,
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    Sync,
    Write,
    /// Half of what is to be written comes to be, and that is an error.
    Half,
    Read,
    /// Reads and writes take some bytes at a time, and are interrupted.
    Short,
    /// There is no room for more.
    Full,
}

/// No disk is larger.
const LARGEST: u64 = 1 << 30;

impl State {
    /// Counts a call; what goes wrong with it.
    fn call(&mut self) -> Option<Failing> {
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.fails
    }

    fn fails_as(&mut self, what: &'static str) -> io::Error {
        self.failures += 1;
        io::Error::other(what)
    }

    /// Whether there is less to be had at once; every third time there is nothing.
    fn short(&mut self) -> io::Result<()> {
        self.failures += 1;
        if self.failures.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// Makes the disk so long at least; whether it was shorter.
    fn grow(&mut self, end: u64, fails: Option<Failing>) -> io::Result<bool> {
        if end <= self.bytes.len() as u64 {
            return Ok(false);
        }
        if fails == Some(Failing::Full) || end > LARGEST {
            self.failures += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.resize(end as usize, 0);
        Ok(true)
    }
}

impl Forgetful {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let state = State {
            bytes,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    pub(crate) fn mark(&self, n: usize) {
        self.state.lock().unwrap().events.push(Event::Mark(n));
    }

    pub(crate) fn fail(&self, fails: Option<Failing>) {
        self.fail_after(0, fails);
    }

    /// As `fail`, once so many calls went well.
    pub(crate) fn fail_after(&self, calls: usize, fails: Option<Failing>) {
        let mut state = self.state.lock().unwrap();
        (state.after, state.fails) = (calls, fails);
    }

    /// How often something went wrong so far.
    pub(crate) fn failures(&self) -> usize {
        self.state.lock().unwrap().failures
    }

    /// Forgets what was done, to save memory.
    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().events.clear();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.state.lock().unwrap().events.clone()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    /// Changes a bit.
    pub(crate) fn rot(&self, at: usize, bit: u8) {
        self.state.lock().unwrap().bytes[at] ^= 1 << bit;
    }
}

impl Disk for Forgetful {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let some = match state.call() {
            Some(Failing::Read) => return Err(state.fails_as("a read failed")),
            Some(Failing::Short) => {
                state.short()?;
                buffer.len().min(1000)
            }
            _ => buffer.len(),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = from.min(state.bytes.len());
        let n = some.min(state.bytes.len() - from);
        buffer[..n].copy_from_slice(&state.bytes[from..from + n]);
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let fails = state.call();
        let bytes = match fails {
            Some(Failing::Write) => return Err(state.fails_as("a write failed")),
            Some(Failing::Half) => &bytes[..bytes.len() / 2],
            Some(Failing::Short) => {
                state.short()?;
                &bytes[..bytes.len().min(100)]
            }
            _ => bytes,
        };
        let written = bytes.len();
        state.grow(offset + written as u64, fails)?;
        let offset = offset as usize;
        state.bytes[offset..offset + written].copy_from_slice(bytes);
        let bytes = bytes.to_vec();
        state.events.push(Event::Write { offset, bytes });
        if fails == Some(Failing::Half) {
            return Err(state.fails_as("half of a write failed"));
        }
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.call() == Some(Failing::Sync) {
            return Err(state.fails_as("a sync failed"));
        }
        state.events.push(Event::Sync);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.bytes.resize(len as usize, 0);
        state.events.push(Event::Len(len as usize));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().bytes.len() as u64)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let fails = state.call();
        let end = offset.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
        if state.grow(end, fails)? {
            state.events.push(Event::Len(end as usize));
        }
        Ok(())
    }
}

/// What is durable, and what a disk may have written since: the contents that each sector had, from
/// the durable one on.
pub(crate) struct Moment {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Later contents of sectors, in the order in which they came.
    dirty: BTreeMap<usize, Vec<[u8; SECTOR]>>,
    lens: Vec<usize>,
}

impl Moment {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let lens = vec![bytes.len()];
        let (current, dirty) = (bytes.clone(), BTreeMap::new());
        Self {
            durable: bytes,
            current,
            dirty,
            lens,
        }
    }

    /// Goes on by one event.
    pub(crate) fn step(&mut self, event: &Event) {
        match event {
            Event::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if end > self.current.len() {
                    self.set_len(end);
                }
                self.current[*offset..end].copy_from_slice(bytes);
                for sector in offset / SECTOR..end.div_ceil(SECTOR) {
                    let content = sector_of(&self.current, sector);
                    self.dirty.entry(sector).or_default().push(content);
                }
            }
            Event::Len(len) => self.set_len(*len),
            Event::Sync => *self = Self::new(core::mem::take(&mut self.current)),
            Event::Mark(_) => {}
        }
    }

    fn set_len(&mut self, len: usize) {
        self.current.resize(len, 0);
        self.lens.push(len);
    }

    /// What the disk holds if its power stays.
    pub(crate) fn current(&self) -> Vec<u8> {
        self.current.clone()
    }

    /// How many states of the disk there may be.
    pub(crate) fn states(&self) -> u64 {
        let choices = self.dirty.values().map(|all| all.len() as u64 + 1);
        let lens = self.lens.len() as u64;
        choices.fold(lens, u64::saturating_mul)
    }

    /// The state of this number, below `states`.
    pub(crate) fn state(&self, mut n: u64) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let lens = self.lens.len() as u64;
        bytes.resize(self.lens[(n % lens) as usize], 0);
        n /= lens;
        for (sector, contents) in &self.dirty {
            let choices = contents.len() as u64 + 1;
            let choice = n % choices;
            n /= choices;
            if choice > 0 {
                put_sector(&mut bytes, *sector, &contents[choice as usize - 1]);
            }
        }
        bytes
    }

    /// A state with every sector's content chosen by `choose`, from how many there are.
    pub(crate) fn chosen(&self, mut choose: impl FnMut(usize) -> usize) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        bytes.resize(self.lens[choose(self.lens.len())], 0);
        for (sector, contents) in &self.dirty {
            let choice = choose(contents.len() + 1);
            if choice > 0 {
                put_sector(&mut bytes, *sector, &contents[choice - 1]);
            }
        }
        bytes
    }

    /// Four states: all that was written, nothing of it, most of the latest, and any.
    pub(crate) fn some(&self, random: &mut fastrand::Rng) -> [Vec<u8>; 4] {
        let mostly = |n: usize, random: &mut fastrand::Rng| match random.u8(..8) {
            0 => random.usize(..n),
            _ => n - 1,
        };
        [
            self.current(),
            self.chosen(|_| 0),
            self.chosen(|n| mostly(n, random)),
            self.chosen(|n| random.usize(..n)),
        ]
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut content = [0; SECTOR];
    let from = sector * SECTOR;
    let n = SECTOR.min(bytes.len() - from);
    content[..n].copy_from_slice(&bytes[from..from + n]);
    content
}

/// A sector behind the end that the disk remembers makes it longer: it was written.
fn put_sector(bytes: &mut Vec<u8>, sector: usize, content: &[u8; SECTOR]) {
    let from = sector * SECTOR;
    if from + SECTOR > bytes.len() {
        bytes.resize(from + SECTOR, 0);
    }
    bytes[from..from + SECTOR].copy_from_slice(content);
}
