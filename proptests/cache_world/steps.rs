//! What is drawn: a setup of the cache, and the calls.

use mapless::cache::Mode;
use quickcheck::{Arbitrary, Gen};

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(super) mode: Mode,
    pub(super) shards: usize,
    pub(super) weighted: bool,
    pub(super) listened: bool,
    pub(super) capacity: u64,
    /// The bits of a key that are hashed.
    pub(super) bits: u8,
    pub(super) keys: u8,
    pub(super) live: Option<u64>,
    pub(super) idle: Option<u64>,
}

impl Arbitrary for Setup {
    fn arbitrary(g: &mut Gen) -> Self {
        let ticks = [None, None, None, Some(0), Some(3), Some(9)];
        let bits = *g.choose(&[0, 1, 3, 0xFF, 0xFF]).unwrap();
        let (capacity, keys) = *g
            .choose(&[(0, 4), (1, 4), (7, 12), (20, 24), (60, 60), (230, 250)])
            .unwrap();
        Self {
            mode: *g.choose(&[Mode::Reachable, Mode::Live]).unwrap(),
            shards: *g.choose(&[1, 4]).unwrap(),
            weighted: bool::arbitrary(g),
            listened: u8::arbitrary(g) % 4 > 0,
            capacity,
            bits,
            keys,
            live: *g.choose(&ticks).unwrap(),
            idle: *g.choose(&ticks).unwrap(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    Upsert,
    Wait,
    IfAbsent,
    IfPresent,
    Compute,
    Load,
    TryLoad,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Put(How, u8, u64),
    /// So many keys from here on.
    Fill(u8, u8),
    Get(u8),
    GetIn(u8),
    GetMany(u8, u8),
    Peek(u8),
    Hold(u8),
    CloneHold(usize),
    Release(usize),
    ReleaseAll,
    Remove(u8),
    Invalidate(u8),
    RemoveIf(u8, bool),
    ComputeNop(u8),
    ComputeRemove(u8),
    FailLoad(u8),
    InvalidateAll,
    Retain(u8),
    Drain(usize),
    Iterate,
    SetCapacity(u64),
    Advance(u64),
    Pin,
    Unpin,
    RunPending,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        use How::*;
        let (k, m) = (u8::arbitrary(g), u8::arbitrary(g));
        let n = usize::arbitrary(g) % 8;
        let hows = [
            Upsert, Upsert, Upsert, Wait, IfAbsent, IfPresent, Compute, Load, TryLoad,
        ];
        let weight = *g.choose(&[0, 1, 1, 1, 2, 3, 5, 9, 25, 70]).unwrap();
        match u8::arbitrary(g) % 64 {
            0..=22 => Self::Put(*g.choose(&hows).unwrap(), k, weight),
            23 => Self::Fill(k, m),
            24..=29 => Self::Get(k),
            30 | 31 => Self::GetIn(k),
            32 => Self::GetMany(k, m),
            33 => Self::Peek(k),
            34..=37 => Self::Hold(k),
            38 => Self::CloneHold(n),
            39..=41 => Self::Release(n),
            42 => Self::ReleaseAll,
            43 | 44 => Self::Remove(k),
            45 => Self::Invalidate(k),
            46 => Self::RemoveIf(k, m % 2 == 0),
            47 => Self::ComputeNop(k),
            48 | 49 => Self::ComputeRemove(k),
            50 => Self::FailLoad(k),
            51 => Self::InvalidateAll,
            52 => Self::Retain(m % 4),
            53 => Self::Drain(n),
            54 => Self::Iterate,
            55 | 56 => Self::SetCapacity(u64::from(m) % 80),
            57..=59 => Self::Advance(u64::from(m) % 5),
            60 | 61 => Self::Pin,
            62 => Self::Unpin,
            _ => Self::RunPending,
        }
    }
}
