//! The whole: size classes over ranges of slots, large objects, and the way back from an id.
//!
//! # Shape
//! ```text
//! alloc(len) ─> class of len ─> a free slot of its ranges ─> id = first id + slot
//!        └─ above the largest class ─> a region of its own, one id
//! locate(id) ─> index: range ─> slot = id - first id ─> live? ─> first offset + slot * size
//! ```
//!
//! # Progress
//! `locate_in` and `locate_many_in` are wait-free; what pins by itself is lock-free. `alloc` and
//! `reserve` are lock-free while a range of the class has room. Growing blocks on the class's
//! lock and the root's; `reclaim` and `retire` on the class's limbo.
//!
//! # Checked by
//! `loom-tests/omni.rs`; `proptests/omni.rs`; `tests/stress_omni.rs`.

use core::fmt;
use std::sync::Arc;

use super::basic::{BasicAllocator, Request};
use super::class::Class;
use super::classes::{ClassError, Growth, MAX_CLASSES, SizeClasses};
use super::directory::NO_CLASS;
use super::error::{AllocError, FreeError, LookupError};
use super::found::Found;
use super::gaps::SpaceError;
use super::omni_build::OmniBuilder;
use super::omni_handles::{OmniReservation, Taken};
use super::omni_live::OmniLiveIds;
use super::published::Published;
use super::snapshot::{self, AllocatorSnapshot};
use super::wanted::Wanted;
use crate::bitset::{MAX_SLOTS, Mark, Want};
use crate::id::{ByteLen, Extent, FileOffset, IdRange, ObjectId, SlotIndex};
use crate::sync::epoch::{Domain, Guard};

/// The classes, by size and by number.
pub(crate) struct Table {
    by_size: Vec<Arc<Class>>,
    by_number: Vec<Arc<Class>>,
}

impl Table {
    fn new(by_size: Vec<Arc<Class>>) -> Self {
        let mut by_number = by_size.clone();
        by_number.sort_by_key(|class| class.number());
        Self { by_size, by_number }
    }

    /// The class of the smallest slots that hold `len` bytes.
    #[inline]
    pub(super) fn fit(&self, len: ByteLen) -> Option<&Class> {
        let at = self
            .by_size
            .partition_point(|class| class.slot_size() < len);
        self.by_size.get(at).map(|class| &**class)
    }

    pub(crate) fn of_size(&self, size: ByteLen) -> Option<&Class> {
        self.fit(size).filter(|class| class.slot_size() == size)
    }
}

/// Takes a size to an id and an id to its extent, without a map.
///
/// **An id is an address.** After `free` it is an error to use it, which is told; after its slot
/// was given out again it names the new object, which cannot be told here (generations are a
/// store's business). A range that was given back takes its ids with it: they are never issued
/// again.
///
/// ```
/// use mapless::{ByteLen, LookupError, OmniBlockAllocator};
/// let ids = OmniBlockAllocator::new();
/// let id = ids.alloc(ByteLen::new(100))?;
/// assert_eq!(ids.locate(id)?.len, ByteLen::new(112)); // the class of 100 bytes
///
/// let guard = ids.pin();
/// let extent = ids.locate_in(id, &guard)?;             // wait-free
/// ids.retire(id, &guard)?;                             // nobody finds it any more ..
/// assert_eq!(ids.locate(id), Err(LookupError::Hidden));
/// let _still_ours_to_read = extent;                    // .. and nobody gets it before we unpin
/// drop(guard);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OmniBlockAllocator {
    table: Published<Table>,
    large: Class,
    growth: Box<dyn Growth>,
    root: BasicAllocator,
}

impl Default for OmniBlockAllocator {
    fn default() -> Self {
        Self::new()
    }
}

impl OmniBlockAllocator {
    pub(super) fn over(
        root: BasicAllocator,
        large: Class,
        by_size: Vec<Arc<Class>>,
        growth: Box<dyn Growth>,
    ) -> Self {
        let table = Published::new(Table::new(by_size));
        Self {
            table,
            large,
            growth,
            root,
        }
    }

    /// One with default classes and growth and no limit. Its ranges' first ids are multiples of
    /// 32,768.
    #[must_use]
    pub fn new() -> Self {
        let built = Self::builder().build();
        built.expect("no header, no limit and no alignment to be refused")
    }

    /// Begins to build one.
    pub fn builder() -> OmniBuilder {
        OmniBuilder::default()
    }

    /// Enters the domain; see [`Domain::pin`].
    #[inline]
    pub fn pin(&self) -> Guard {
        self.root.pin()
    }

    /// The domain whose guards this allocator takes.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        self.root.domain()
    }

    /// The root, from which the ranges come: its gaps and its end. What is allocated there
    /// directly has ids of the same space and is found here as well.
    #[must_use]
    pub fn root(&self) -> &BasicAllocator {
        &self.root
    }

    // ---------------------------------------------------------------- ids for lengths

    /// Allocates a slot of at least `len` bytes (0 counts as 1). The object is live at once: where
    /// its bytes must be written first, [`OmniBlockAllocator::reserve`].
    ///
    /// # Errors
    /// [`AllocError::Space`] if the address space has no room below its limit, [`AllocError::Ids`]
    /// if the ids have run out.
    ///
    /// # Panics
    /// If the growth policy does; nothing has changed then.
    ///
    /// # Progress
    /// Lock-free while a range of the class has room; growing blocks on the class's lock and on
    /// the root's. A length above the largest class blocks on the root's lock.
    ///
    /// # Complexity
    /// A pin, a look at the index, and one read-modify-write; one time in 63 a look for another word.
    pub fn alloc(&self, len: ByteLen) -> Result<ObjectId, AllocError> {
        let table = self.table.get();
        let Some(class) = table.fit(len) else {
            return Ok(self.with_all_room(|| self.root.alloc(len))?.id);
        };
        self.take(class, Want::Live, |block, slot| block.id(slot))
    }

    /// Allocates `n` slots of at least `len` bytes each; all or none.
    ///
    /// # Errors
    /// As [`OmniBlockAllocator::alloc`].
    ///
    /// # Progress
    /// As [`OmniBlockAllocator::alloc`].
    pub fn alloc_many(&self, len: ByteLen, n: usize) -> Result<Vec<ObjectId>, AllocError> {
        let mut taken = Taken {
            owner: self,
            ids: Vec::new(),
        };
        for _ in 0..n {
            taken.ids.push(self.alloc(len)?);
        }
        Ok(core::mem::take(&mut taken.ids))
    }

    /// Allocates `n` slots of at least `len` bytes each that lie in a row: ids and bytes both.
    ///
    /// They become live one after the other: `iter` may show some before this returns.
    ///
    /// # Errors
    /// [`AllocError::EmptyRun`], and as [`OmniBlockAllocator::alloc`]; more than 2^31 slots are
    /// [`SpaceError::TooLarge`].
    ///
    /// # Progress
    /// As [`OmniBlockAllocator::alloc`]; above the largest class it blocks on the root's lock.
    pub fn alloc_run(&self, len: ByteLen, n: u32) -> Result<IdRange, AllocError> {
        let last = n.checked_sub(1).ok_or(AllocError::EmptyRun)?;
        if n > MAX_SLOTS {
            return Err(AllocError::Space(SpaceError::TooLarge));
        }
        let Some(class) = self.table.get().fit(len) else {
            return self.large_run(len, SlotIndex::new(last));
        };
        let directory = self.root.directory();
        loop {
            let seen = class.usage();
            if let Some(first) = class.take_run(directory, n.into()) {
                return IdRange::new(first, n.into()).map_err(AllocError::Ids);
            }
            self.make_room(class, seen, n)?;
        }
    }

    /// A run of large objects is a range of its own.
    fn large_run(&self, len: ByteLen, last: SlotIndex) -> Result<IdRange, AllocError> {
        let wanted = Wanted {
            slot_size: len,
            last,
            least: last,
            class: NO_CLASS,
            align: 1,
            near: None,
        };
        let live = |block: &crate::bitset::Block| {
            (0..=last.get()).for_each(|slot| block.raise(SlotIndex::new(slot)));
        };
        let (_, ids, _) = self.with_all_room(|| self.root.directory().add(wanted, live))?;
        Ok(ids)
    }

    /// Takes a slot of at least `len` bytes that nobody finds before it is published.
    ///
    /// Dropping the reservation, in a panic too, makes the slot free again.
    ///
    /// # Errors
    /// As [`OmniBlockAllocator::alloc`].
    ///
    /// # Progress
    /// As [`OmniBlockAllocator::alloc`].
    pub fn reserve(&self, len: ByteLen) -> Result<OmniReservation<'_>, AllocError> {
        let class = self.table.get().fit(len);
        let (id, extent) = match class {
            Some(class) => self.take(class, Want::Reserved, |block, slot| {
                (block.id(slot), block.extent(slot))
            })?,
            None => {
                let reserve = |block: &crate::bitset::Block| block.reserve(SlotIndex::ZERO);
                let region = self.with_all_room(|| self.root.add(Request::new(len), reserve))?;
                (region.id, region.extent)
            }
        };
        Ok(OmniReservation {
            owner: self,
            id,
            extent,
            is_single: class.is_none(),
        })
    }

    /// Takes a free slot of a class, which grows for it if it must.
    #[inline]
    fn take<R>(
        &self,
        class: &Class,
        want: Want,
        mut land: impl FnMut(&crate::bitset::Block, SlotIndex) -> R,
    ) -> Result<R, AllocError> {
        let directory = self.root.directory();
        loop {
            let seen = class.usage();
            if let Some(taken) = class.take(directory, want, &mut land) {
                return Ok(taken);
            }
            self.make_room(class, seen, 1)?;
        }
    }

    /// What nobody looks at any more comes first, then a new range; without room for one, what
    /// the epoch can be made to pass over, and then a smaller range of `least` slots or more.
    #[cold]
    fn make_room(
        &self,
        class: &Class,
        seen: super::ClassUse,
        least: u32,
    ) -> Result<(), AllocError> {
        let directory = self.root.directory();
        if class.reap(directory) {
            return Ok(());
        }
        let slots = self.next_slots(class).max(least);
        let grown = class.grow(directory, seen, slots..=slots);
        if grown.is_ok() || class.collect(directory) {
            return Ok(());
        }
        if !matches!(grown, Err(AllocError::Space(_) | AllocError::Ids(_))) {
            return grown;
        }
        let smaller = least..=least.max(slots / 2);
        self.with_all_room(|| class.grow(directory, seen, smaller.clone()))
    }

    /// Makes an attempt; where there is no room, a second one after all is given back that nobody
    /// uses: what is retired, of whatever class, and ranges without a taken slot.
    fn with_all_room<R>(
        &self,
        attempt: impl Fn() -> Result<R, AllocError>,
    ) -> Result<R, AllocError> {
        match attempt() {
            Err(AllocError::Space(SpaceError::NoSpace)) => {
                self.collect();
                if !self.root.directory().keeps_ranges() {
                    self.trim();
                }
                self.root.collect();
                attempt()
            }
            done => done,
        }
    }

    fn next_slots(&self, class: &Class) -> u32 {
        let slots = self.growth.next_slots(&class.usage());
        slots.clamp(1, MAX_SLOTS.into()) as u32
    }

    // ---------------------------------------------------------------- giving ids back

    /// Frees an object of which the caller knows that nobody looks at it: its slot may be given
    /// out again at once. Else [`OmniBlockAllocator::retire`].
    ///
    /// # Errors
    /// [`FreeError`], which says what the id names instead; nothing has changed then.
    ///
    /// # Progress
    /// Lock-free; a range that becomes empty, and a large object, block on the class's lock and
    /// the root's.
    pub fn free(&self, id: ObjectId) -> Result<(), FreeError> {
        let guard = self.pin();
        let found = self.find(id, &guard)?;
        found.free()?;
        self.root
            .directory()
            .emptied(self.class_of(found), found, &guard);
        Ok(())
    }

    /// Makes an object invisible at once; its slot stays taken until it is reclaimed.
    ///
    /// For callers with a condition of their own, a record that must be durable first.
    ///
    /// # Errors
    /// [`FreeError`]; nothing has changed then.
    ///
    /// # Progress
    /// Lock-free; the refusal of a large object blocks on the root's lock.
    pub fn hide(&self, id: ObjectId) -> Result<(), FreeError> {
        let guard = self.pin();
        let found = self.find(id, &guard)?;
        self.hide_as(Mark::Hidden, found, &guard)
    }

    fn hide_as(&self, mark: Mark, found: Found<'_>, guard: &Guard) -> Result<(), FreeError> {
        let hidden = found.hide(mark);
        hidden.inspect_err(|_| self.root.directory().mark_ended(found, guard))
    }

    /// Lets a hidden slot be given out again once every guard that lives now is gone.
    ///
    /// # Errors
    /// [`FreeError::NotHidden`] unless the id is hidden and was not reclaimed before.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Blocks on the class's limbo for a short, bounded time.
    pub fn reclaim(&self, id: ObjectId, guard: &Guard) -> Result<(), FreeError> {
        let found = self.find(id, guard)?;
        found.reclaim()?;
        self.wait_for_readers(found, guard);
        Ok(())
    }

    /// Makes an object invisible at once, and its slot free once every guard that lives now is
    /// gone: `hide` and `reclaim` in one.
    ///
    /// # Errors
    /// [`FreeError`]; nothing has changed then.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Blocks on the class's limbo; and, where others that were retired before are free now and a
    /// range is given back for it, on the class's lock and the root's.
    pub fn retire(&self, id: ObjectId, guard: &Guard) -> Result<(), FreeError> {
        let found = self.find(id, guard)?;
        self.hide_as(Mark::Retired, found, guard)?;
        self.wait_for_readers(found, guard);
        Ok(())
    }

    fn wait_for_readers(&self, found: Found<'_>, guard: &Guard) {
        let class = self.class_of(found);
        class.retire(self.root.directory(), found.retired(), guard);
    }

    fn find<'g>(&'g self, id: ObjectId, guard: &'g Guard) -> Result<Found<'g>, FreeError> {
        self.root
            .directory()
            .find(id, guard)
            .ok_or(FreeError::Foreign)
    }

    pub(super) fn class_of(&self, found: Found<'_>) -> &Class {
        let number = found.block.span().class as usize;
        let by_number = &self.table.get().by_number;
        by_number.get(number).map_or(&self.large, |class| &**class)
    }

    // ---------------------------------------------------------------- from ids to extents

    /// The bytes of an object. Pins.
    ///
    /// # Errors
    /// [`LookupError`].
    ///
    /// # Progress
    /// Lock-free; the lookup itself is wait-free, but a pin may register the thread.
    #[inline]
    pub fn locate(&self, id: ObjectId) -> Result<Extent, LookupError> {
        self.root.locate(id)
    }

    /// The bytes of an object, under a guard: an object that is retired later is not given out
    /// again before the guard is gone, so the extent may be read as long.
    ///
    /// # Errors
    /// [`LookupError`].
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free. A live object takes at most `9 * h + 71` atomic operations: those of
    /// [`crate::RangeIndex::get_in`], with `h` as there, and one look at the slot's bit. One that is
    /// not live takes `2 * (4 + 8 * ceil(m / 7))` more, where `m` is the greatest number of slots that
    /// were reserved, hidden or retired at one time in the 16 words (some 1,000 slots) around it.
    #[inline(always)]
    pub fn locate_in(&self, id: ObjectId, guard: &Guard) -> Result<Extent, LookupError> {
        self.root.locate_in(id, guard)
    }

    /// The bytes of many objects: one pin for all, and lookups that overlap.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// # Progress
    /// Lock-free.
    pub fn locate_many(&self, ids: &[ObjectId], extents: &mut [Result<Extent, LookupError>]) {
        self.locate_many_in(ids, extents, &self.pin());
    }

    /// The bytes of many objects at once, under a guard.
    ///
    /// # Panics
    /// If the slices differ in length, or the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    pub fn locate_many_in(
        &self,
        ids: &[ObjectId],
        extents: &mut [Result<Extent, LookupError>],
        guard: &Guard,
    ) {
        assert_eq!(ids.len(), extents.len(), "one place for each answer");
        self.domain().check(guard); // an empty batch asks nobody else
        // One after the other: the processor overlaps some ten lookups by itself, and going down
        // level by level cost five times as much where the index is in the cache, as it is here.
        for (&id, extent) in ids.iter().zip(extents) {
            *extent = self.root.locate_in(id, guard);
        }
    }

    /// Whether the id is that of a live object. Pins.
    #[must_use]
    pub fn is_allocated(&self, id: ObjectId) -> bool {
        self.locate(id).is_ok()
    }

    /// Whether the id lies in one of the ranges, live or not. Pins.
    #[must_use]
    pub fn contains(&self, id: ObjectId) -> bool {
        self.root.directory().find(id, &self.pin()).is_some()
    }

    /// The live ids, ascending.
    ///
    /// # Consistency
    /// Weak: every id shown was live at some moment of the call, none is shown twice.
    #[must_use]
    pub fn iter(&self) -> OmniLiveIds<'_> {
        OmniLiveIds::new(self.root.directory())
    }

    /// How many objects are live; exact at rest.
    ///
    /// # Complexity
    /// One load for 64 slots.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sum(|block| block.live())
    }

    /// Whether no object is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slots are hidden or wait for readers; exact at rest.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.sum(|block| block.hidden())
    }

    /// How many slots all ranges have, live or not.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.root.directory().slots()
    }

    fn sum(&self, count: impl Fn(&crate::bitset::Block) -> u64) -> u64 {
        let (directory, guard) = (self.root.directory(), self.pin());
        let blocks = directory.blocks(ObjectId::MIN, &guard);
        blocks.map(count).sum()
    }

    // ---------------------------------------------------------------- operating it

    /// The size classes as they are now.
    #[must_use]
    pub fn size_classes(&self) -> SizeClasses {
        let sizes = self
            .table
            .get()
            .by_size
            .iter()
            .map(|class| class.slot_size());
        SizeClasses::new(sizes).expect("the table ascends")
    }

    /// Adds a class; from now on lengths that fit it best go there. Objects stay where they are.
    ///
    /// # Errors
    /// [`ClassError`] if the size is 0 or there already, or there are [`MAX_CLASSES`] classes.
    ///
    /// # Progress
    /// Blocks on the lock of the class table; nobody waits for it. Tables that were replaced stay
    /// in memory until the allocator is dropped: some 16 bytes a class.
    pub fn add_size_class(&self, size: ByteLen) -> Result<(), ClassError> {
        if size == ByteLen::ZERO {
            return Err(ClassError::Zero);
        }
        self.table.replace(|table| {
            let at = table
                .by_size
                .partition_point(|class| class.slot_size() < size);
            let there = table
                .by_size
                .get(at)
                .is_some_and(|class| class.slot_size() == size);
            if there {
                return Err(ClassError::NotAscending(size));
            }
            if table.by_size.len() == MAX_CLASSES {
                return Err(ClassError::TooMany);
            }
            let number = table.by_size.len() as u32;
            let newest = table.by_number.last().map_or(&self.large, |class| class);
            let class = Class::new(size, number, newest.cursors_beside());
            let mut by_size = table.by_size.clone();
            by_size.insert(at, Arc::new(class));
            Ok(Table::new(by_size))
        })
    }

    /// Gives all ranges without a taken slot back to the root. (One unused range a class is
    /// otherwise kept, so that one object to and fro does not make and break ranges.)
    ///
    /// # Progress
    /// Blocks on each class's lock and the root's.
    pub fn trim(&self) {
        for class in self.classes() {
            class.reap(self.root.directory());
            class.trim(self.root.directory());
        }
    }

    /// Moves the epoch on and gives back what no reader holds up any more (see [`Domain`] for who
    /// counts as one).
    ///
    /// # Progress
    /// Blocks on each class's limbo and the root's lock, one after the other.
    pub fn collect(&self) {
        for class in self.classes() {
            class.collect(self.root.directory());
        }
        self.large.collect(self.root.directory());
        self.root.collect();
    }

    /// The first position past everything that was given out.
    #[must_use]
    pub fn end(&self) -> FileOffset {
        self.root.end()
    }

    /// Gives up the free tail and returns the new end: a file may be cut there.
    pub fn truncate(&self) -> FileOffset {
        self.root.truncate()
    }

    /// How many bytes of memory the allocator has: blocks, indexes, stripes. Not what waits for
    /// readers.
    #[must_use]
    pub fn memory(&self) -> usize {
        let (directory, guard) = (self.root.directory(), self.pin());
        let blocks = directory.blocks(ObjectId::MIN, &guard);
        let blocks: usize = blocks.map(size_of_val).sum();
        let classes: usize = self.classes().map(Class::memory).sum();
        size_of::<Self>() + blocks + classes + self.large.memory() + directory.index().memory()
    }

    pub(super) fn classes(&self) -> impl Iterator<Item = &Class> {
        self.table.get().by_size.iter().map(|class| &**class)
    }

    #[cfg(feature = "store")]
    pub(super) fn root_mut(&mut self) -> &mut BasicAllocator {
        &mut self.root
    }

    pub(crate) fn table(&self) -> &Table {
        self.table.get()
    }

    /// The whole state, for [`OmniBuilder::restore`]: reserved and hidden slots count as free.
    ///
    /// # Consistency
    /// Exact at rest. While others allocate and free, each range is as of its own moment; ranges
    /// that came and went meanwhile may then lie over each other, and a restore refuses them.
    #[must_use]
    pub fn snapshot(&self) -> AllocatorSnapshot {
        snapshot::take(self)
    }
}

impl fmt::Debug for OmniBlockAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OmniBlockAllocator")
            .field("classes", &self.table.get().by_size.len())
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
