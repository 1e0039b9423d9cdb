//! Which entries of a shard are empty, chunk by chunk.
//!
//! # Shape
//! ```text
//! chunk   taken | the list of its empty entries, through the entries
//! any     a bit for each chunk: it has an empty entry
//! ```
//! Entries are taken from the lowest chunk that has one: so what comes in gathers there, and chunks
//! above empty as what is in them leaves.
//!
//! # Invariants
//! * L1  An entry is taken, or in its chunk's list.
//!
//! # Checked by
//! The tests below; `loom-tests/objects.rs` (a chunk that is freed beside a reader).
#![allow(unsafe_code)] // the lists run through the entries

use super::chunks;
use super::policy::{Links, NONE};
use super::slab::Slab;

/// Of one chunk.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// The first empty entry.
    free: u32,
    /// `GONE` where it was freed.
    taken: u32,
    held: u32,
}

const GONE: u32 = u32::MAX;

/// The empty entries of one shard, whose lock guards this.
#[derive(Debug, Default)]
pub(super) struct Places {
    chunks: Vec<Chunk>,
    any: [u64; 4],
    /// How many entries there are, ..
    there: usize,
    /// .. how many of them are empty, ..
    empty: usize,
    /// .. how many lie in chunks of which none is taken, but for the first chunk, ..
    hollow: usize,
    /// .. and how many in the first chunk, and in others where one is held.
    fixed: usize,
}

impl Places {
    /// Whether an entry can be taken.
    pub(super) fn any(&self) -> bool {
        self.empty > 0
    }

    fn lowest(&self) -> Option<usize> {
        let word = self.any.iter().position(|&bits| bits != 0)?;
        Some(64 * word + self.any[word].trailing_zeros() as usize)
    }

    fn show(&mut self, chunk: usize) {
        let bit = 1 << (chunk % 64);
        let word = &mut self.any[chunk / 64];
        if self.chunks[chunk].free == NONE {
            *word &= !bit;
        } else {
            *word |= bit;
        }
    }

    /// An empty entry.
    ///
    /// # Safety
    /// S1: the slab is of the shard whose lock guards us.
    pub(super) unsafe fn take<K, V>(&mut self, slab: &Slab<K, V>) -> Option<u32> {
        let at = self.lowest()?;
        let chunk = &mut self.chunks[at];
        let entry = chunk.free;
        // SAFETY: S1, for both; it is in a list of ours.
        let next = unsafe { slab.links(entry) }.next;
        chunk.free = next;
        chunk.taken += 1;
        self.empty -= 1;
        self.came_or_went(at, 1);
        if next == NONE {
            self.show(at);
        } else {
            // SAFETY: S1, as above. It is the next to be taken.
            crate::sync::hint::prefetch(unsafe { slab.node(next) });
        }
        Some(entry)
    }

    /// An entry is empty again.
    ///
    /// # Safety
    /// S1: as in `take`. S2: the entry was taken, and is emptied.
    pub(super) unsafe fn give<K, V>(&mut self, slab: &Slab<K, V>, entry: u32) {
        let at = chunks::chunk_of(entry);
        self.chunks[at].taken -= 1;
        self.empty += 1;
        self.came_or_went(at, 0);
        // SAFETY: S1 and S2.
        unsafe { self.push(slab, entry) };
        self.show(at);
    }

    /// Where so many are taken now, a chunk became hollow, or is so no more.
    fn came_or_went(&mut self, at: usize, edge: u32) {
        if at > 0 && self.chunks[at].taken == edge {
            let len = chunks::len_of(at);
            self.hollow = if edge == 0 {
                self.hollow + len
            } else {
                self.hollow - len
            };
        }
    }

    /// # Safety
    /// As `give`.
    unsafe fn push<K, V>(&mut self, slab: &Slab<K, V>, entry: u32) {
        let chunk = &mut self.chunks[chunks::chunk_of(entry)];
        let (prev, next) = (NONE, chunk.free);
        // SAFETY: S1 and S2 of `give`.
        unsafe { slab.set_links(entry, Links { prev, next }) };
        chunk.free = entry;
    }

    /// Makes the slab one chunk larger, if it can be.
    ///
    /// # Safety
    /// S1: as in `take`.
    pub(super) unsafe fn grow<K, V>(&mut self, slab: &Slab<K, V>) -> Option<()> {
        let made = slab.grow()?;
        let at = chunks::chunk_of(made.start);
        let empty = Chunk {
            free: NONE,
            taken: 0,
            held: 0,
        };
        match self.chunks.get_mut(at) {
            Some(chunk) => *chunk = empty,
            None => self.chunks.push(empty),
        }
        self.there += made.len();
        self.empty += made.len();
        if at > 0 {
            self.hollow += made.len();
        } else {
            self.fixed += made.len();
        }
        for entry in made.rev() {
            // SAFETY: S1; it was just made, and nobody else knows of it.
            unsafe { self.push(slab, entry) };
        }
        self.show(at);
        Some(())
    }

    /// An entry is held from now on.
    pub(super) fn hold(&mut self, entry: u32) {
        let at = chunks::chunk_of(entry);
        self.chunks[at].held += 1;
        if at > 0 && self.chunks[at].held == 1 {
            self.fixed += chunks::len_of(at);
        }
    }

    /// An entry is held no more.
    pub(super) fn release(&mut self, entry: u32) {
        let at = chunks::chunk_of(entry);
        self.chunks[at].held -= 1;
        if at > 0 && self.chunks[at].held == 0 {
            self.fixed -= chunks::len_of(at);
        }
    }

    /// How many entries are neither in the first chunk, nor in one where an entry is held.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn movable(&self) -> usize {
        self.there - self.fixed
    }

    /// How many entries there are, up to the last of the highest chunk.
    pub(super) fn bound(&self) -> usize {
        chunks::len_before(self.chunks.len())
    }

    /// How many entries there are.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn there(&self) -> usize {
        self.there
    }

    /// How many of them are empty.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn empty(&self) -> usize {
        self.empty
    }

    /// How many lie in chunks of which none is taken, but for the first chunk.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn hollow(&self) -> usize {
        self.hollow
    }

    /// The chunks but the first of which so small a part is taken, but some.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn sparse(&self, part: usize) -> impl Iterator<Item = usize> + '_ {
        let taken = |at: &usize| self.chunks[*at].taken as usize;
        let all = 1..self.chunks.len();
        all.filter(move |at| (1..=chunks::len_of(*at) / part).contains(&taken(at)))
    }

    /// Frees all chunks but the first of which no entry is taken; how many entries they had.
    ///
    /// # Safety
    /// S1: as in `take`. S2: nobody looks at entries that were given back.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) unsafe fn free_hollow<K, V>(&mut self, slab: &Slab<K, V>) -> usize {
        let mut freed = 0;
        for at in 1..self.chunks.len() {
            if self.chunks[at].taken == 0 {
                self.chunks[at] = Chunk {
                    free: NONE,
                    taken: GONE,
                    held: 0,
                };
                self.show(at);
                // SAFETY: S1 and S2: it is there, and none of its entries is taken (L1).
                unsafe { slab.free(at) };
                freed += chunks::len_of(at);
            }
        }
        self.there -= freed;
        self.empty -= freed;
        self.hollow -= freed;
        while self.chunks.last().is_some_and(|chunk| chunk.taken == GONE) {
            self.chunks.pop();
        }
        freed
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A slab whose lock nobody else has.
    struct Alone(Slab<u64, u64>, Places);

    impl Alone {
        fn take(&mut self) -> u32 {
            if !self.1.any() {
                // SAFETY: S1: it is our slab, and nobody else has it.
                unsafe { self.1.grow(&self.0) }.unwrap();
            }
            // SAFETY: S1, as above.
            unsafe { self.1.take(&self.0) }.unwrap()
        }

        fn give(&mut self, entry: u32) {
            // SAFETY: S1, as above; S2: the tests took it, and never fill anything.
            unsafe { self.1.give(&self.0, entry) };
        }
    }

    #[test]
    fn every_entry_is_taken_once() {
        let mut all = Alone(Slab::new(), Places::default());
        let mut taken: Vec<u32> = (0..1000).map(|_| all.take()).collect();
        for entry in taken.drain(300..600).collect::<Vec<_>>() {
            all.give(entry);
        }
        taken.extend((0..300).map(|_| all.take()));
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 1000);
        assert!(all.1.bound() >= 1000);
    }

    #[test]
    #[cfg(feature = "store")]
    fn chunks_without_an_entry_are_freed_and_made_again() {
        let mut all = Alone(Slab::new(), Places::default());
        let taken: Vec<u32> = (0..1000).map(|_| all.take()).collect();
        let bound = all.1.bound();
        for &entry in &taken[..500] {
            all.give(entry);
        }
        let hollow = all.1.hollow();
        assert!((400..=500).contains(&hollow), "{hollow}");
        // SAFETY: S1: our slab. S2: nothing was ever filled.
        assert_eq!(unsafe { all.1.free_hollow(&all.0) }, hollow);
        assert_eq!((all.1.hollow(), all.1.bound()), (0, bound));
        let again: Vec<u32> = (0..500).map(|_| all.take()).collect();
        assert_eq!(all.1.bound(), bound);
        for &entry in again.iter().chain(&taken[500..]) {
            all.give(entry);
        }
        // SAFETY: as above.
        unsafe { all.1.free_hollow(&all.0) };
        assert_eq!(all.1.bound(), chunks::len_of(0));
    }
}
