//! The root: regions of any size in a growing address space, each with an id of its own.
//!
//! # Shape
//! ```text
//! alloc(len) ─> the gap that fits best ─> region { id, extent } ─> the index: id ─> extent
//! free(extent), retire(id) ─> the gaps on both sides join
//! ```
//! Writers take one lock, which no lookup does: whoever allocates often allocates slots
//! ([`crate::OmniBlockAllocator`]), and comes here for whole ranges of them.
//!
//! # Progress
//! `locate_in` is wait-free, `locate` lock-free. All other methods block on the root's lock.
//!
//! # Checked by
//! `loom-tests/omni.rs`; `proptests/basic.rs` against a `BTreeMap`.

use core::fmt;

use super::directory::{Directory, NO_CLASS, Reuse, is_single};
use super::error::{AllocError, FreeError, LookupError};
use super::gaps::{GapSet, SpaceError};
use super::ids::IdCounter;
use super::wanted::Wanted;
use crate::bitset::Block;
use crate::id::{ByteLen, Extent, FileOffset, ObjectId, SlotIndex};
use crate::sync::epoch::{Domain, Guard};

/// Builds a [`BasicAllocator`].
#[derive(Clone, Debug)]
#[must_use]
pub struct BasicBuilder {
    pub(crate) first_id: ObjectId,
    pub(crate) header: ByteLen,
    pub(crate) limit: FileOffset,
    pub(crate) alignment: u64,
    pub(crate) domain: Option<Domain>,
}

impl Default for BasicBuilder {
    fn default() -> Self {
        Self {
            first_id: ObjectId::MIN,
            header: ByteLen::ZERO,
            limit: FileOffset::new(u64::MAX),
            alignment: 1,
            domain: None,
        }
    }
}

impl BasicBuilder {
    /// No id below this one is issued (1): makes the ids of several allocators disjoint.
    pub fn first_id(self, first_id: ObjectId) -> Self {
        Self { first_id, ..self }
    }

    /// So many bytes at the beginning are never given out (0).
    pub fn header(self, header: ByteLen) -> Self {
        Self { header, ..self }
    }

    /// The space never grows past this position (`u64::MAX`).
    pub fn limit(self, limit: FileOffset) -> Self {
        Self { limit, ..self }
    }

    /// Every region begins at a multiple of this power of two (1).
    pub fn alignment(self, alignment: u64) -> Self {
        Self { alignment, ..self }
    }

    /// Shares the epochs of `domain` (a domain of its own).
    pub fn domain(self, domain: &Domain) -> Self {
        let domain = Some(domain.clone());
        Self { domain, ..self }
    }

    /// Builds it.
    ///
    /// # Errors
    /// [`SpaceError::TooLarge`] if the header does not fit below the limit,
    /// [`SpaceError::BadAlignment`].
    pub fn build(self) -> Result<BasicAllocator, SpaceError> {
        let space = GapSet::new(self.header, self.limit)?;
        let ids = IdCounter::new(self.first_id);
        self.build_over(space, ids)
    }

    pub(crate) fn build_over(
        self,
        space: GapSet,
        ids: IdCounter,
    ) -> Result<BasicAllocator, SpaceError> {
        if !self.alignment.is_power_of_two() {
            return Err(SpaceError::BadAlignment(self.alignment));
        }
        let domain = self.domain.unwrap_or_default();
        let directory = Directory::new(domain, space, ids, self.alignment);
        Ok(BasicAllocator { directory })
    }
}

/// A region that was given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Its name: what [`BasicAllocator::locate`] takes.
    pub id: ObjectId,
    /// Its place.
    pub extent: Extent,
}

/// What is wanted of a region, beside its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Request {
    len: ByteLen,
    align: u64,
    near: Option<FileOffset>,
}

impl Request {
    /// A region of `len` bytes; 0 counts as 1.
    pub const fn new(len: ByteLen) -> Self {
        Self {
            len,
            align: 1,
            near: None,
        }
    }

    /// It shall begin at a multiple of `align`, a power of two.
    pub const fn align(self, align: u64) -> Self {
        Self { align, ..self }
    }

    /// It shall lie beside the live region that begins at `near`: in the gap directly behind it,
    /// or else at the end of the gap directly before it. A hint, which is passed over where neither
    /// has room, and where no live region begins.
    pub const fn near(self, near: FileOffset) -> Self {
        Self {
            near: Some(near),
            ..self
        }
    }
}

/// Regions of any size in a growing address space (a file), found by their ids.
///
/// A region's id is never issued again. Freeing joins the gap with those on both sides; an
/// allocation takes a gap that fits well (within 1/16 of the best, see `gaps/find.rs`), or lets
/// the space grow.
///
/// ```
/// use mapless::{BasicAllocator, ByteLen};
/// let space = BasicAllocator::builder().header(ByteLen::new(4096)).build()?;
/// let region = space.alloc(ByteLen::new(10_000))?;
/// assert_eq!(region.extent.offset.get(), 4096);
/// assert_eq!(space.locate(region.id), Ok(region.extent));
/// space.free(region.extent)?;
/// assert!(space.locate(region.id).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BasicAllocator {
    directory: Directory,
}

impl BasicAllocator {
    /// Begins to build one.
    pub fn builder() -> BasicBuilder {
        BasicBuilder::default()
    }

    #[cfg(feature = "store")]
    pub(crate) fn directory_mut(&mut self) -> &mut Directory {
        &mut self.directory
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Enters the domain; see [`Domain::pin`].
    #[inline]
    pub fn pin(&self) -> Guard {
        self.directory.domain().pin()
    }

    /// The domain whose guards this allocator takes.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        self.directory.domain()
    }

    /// Gives out a region of `len` bytes; 0 counts as 1.
    ///
    /// # Errors
    /// [`AllocError::Space`] if no gap fits below the limit, [`AllocError::Ids`] if the ids have
    /// run out. Nothing has changed then.
    ///
    /// # Progress
    /// Blocks on the root's lock.
    ///
    /// # Complexity
    /// Constant, amortized, plus an insert into the index.
    pub fn alloc(&self, len: ByteLen) -> Result<Region, AllocError> {
        self.alloc_with(Request::new(len))
    }

    /// Gives out a region as wanted; see [`BasicAllocator::alloc`].
    ///
    /// # Errors
    /// As there, and [`SpaceError::BadAlignment`] within [`AllocError::Space`].
    pub fn alloc_with(&self, request: Request) -> Result<Region, AllocError> {
        if !request.align.is_power_of_two() {
            return Err(AllocError::Space(SpaceError::BadAlignment(request.align)));
        }
        self.add(request, |block| block.raise(SlotIndex::ZERO))
    }

    pub(crate) fn add(
        &self,
        request: Request,
        first_use: impl FnOnce(&Block),
    ) -> Result<Region, AllocError> {
        let wanted = Wanted {
            slot_size: request.len.max(ByteLen::new(1)),
            last: SlotIndex::ZERO,
            least: SlotIndex::ZERO,
            class: NO_CLASS,
            align: request.align,
            near: request.near,
        };
        let (_, ids, extent) = self.directory.add(wanted, first_use)?;
        let id = ids.first();
        Ok(Region { id, extent })
    }

    /// Takes back exactly this region; its bytes may be given out again at once.
    ///
    /// For callers that know that nobody reads it; else [`BasicAllocator::retire`].
    ///
    /// # Errors
    /// [`FreeError::Space`] if the extent was never given out, was freed, lies inside another or
    /// has another length; nothing has changed then.
    ///
    /// # Progress
    /// Blocks on the root's lock.
    pub fn free(&self, extent: Extent) -> Result<(), FreeError> {
        self.directory.free_at(extent, &self.pin())
    }

    /// Takes back the region of this id once every guard that lives now is gone.
    ///
    /// # Errors
    /// [`FreeError`], which says what the id names instead; nothing has changed then.
    ///
    /// # Progress
    /// Blocks on the root's lock.
    pub fn retire(&self, id: ObjectId, guard: &Guard) -> Result<(), FreeError> {
        let found = self.directory.find(id, guard);
        // The slots of a class and of a run are the business of who made them.
        let found = found.filter(|found| is_single(found.block.span()));
        let found = found.ok_or(FreeError::Foreign)?;
        found.free()?;
        self.directory
            .remove_unused(found, Reuse::AfterEpoch, guard);
        Ok(())
    }

    /// The place of the region of this id. Pins.
    ///
    /// # Errors
    /// [`LookupError`].
    ///
    /// # Progress
    /// Lock-free.
    pub fn locate(&self, id: ObjectId) -> Result<Extent, LookupError> {
        self.locate_in(id, &self.pin())
    }

    /// The place of the region of this id, under a guard.
    ///
    /// # Errors
    /// [`LookupError`].
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    #[inline(always)]
    pub fn locate_in(&self, id: ObjectId, guard: &Guard) -> Result<Extent, LookupError> {
        self.directory.locate(id, guard)
    }

    /// How many regions (with an [`crate::OmniBlockAllocator`] on top: and ranges) there are.
    #[must_use]
    pub fn regions(&self) -> usize {
        self.directory.index().len()
    }

    /// The first position past everything that was given out.
    ///
    /// # Progress
    /// Blocks on the root's lock, as do all of the following.
    #[must_use]
    pub fn end(&self) -> FileOffset {
        self.directory.with_space(|space| space.end())
    }

    /// Gives up the free tail and returns the new end: a file may be cut there.
    pub fn truncate(&self) -> FileOffset {
        self.directory.with_space(GapSet::truncate)
    }

    /// The bytes of all gaps below [`BasicAllocator::end`].
    #[must_use]
    pub fn free_bytes(&self) -> ByteLen {
        self.directory.with_space(|space| space.free_bytes())
    }

    /// The longest gap.
    #[must_use]
    pub fn largest_gap(&self) -> Option<Extent> {
        self.directory.with_space(|space| space.largest_gap())
    }

    /// The gaps, in the order of their offsets.
    ///
    /// # Complexity
    /// Sorts them, under the lock.
    #[must_use]
    pub fn gaps(&self) -> Vec<Extent> {
        self.directory.with_space(|space| space.gaps())
    }

    /// The bytes that wait for readers: those of retired regions, and what describes a region that
    /// is gone (64 bytes each, also of one that was freed at once).
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.directory.waiting_bytes()
    }

    /// Moves the epoch on and gives back what no reader holds up any more.
    pub fn collect(&self) {
        self.directory.collect();
    }
}

impl fmt::Debug for BasicAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAllocator")
            .field("regions", &self.regions())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
