//! How a block allocator is made: its ids, its bytes, its stripes.

use super::block::BlockAllocator;
use super::block_core::Core;
use super::error::BuildError;
use crate::bitset::{BITS, Block, BlockBox, Cursors, MAX_SLOTS, Span};
use crate::id::{ByteLen, FileOffset, IdRange, ObjectId, SlotIndex};
use crate::sync::epoch::Domain;

/// Says what a [`BlockAllocator`] shall be like.
///
/// ```
/// use mapless::{BlockAllocator, ByteLen, FileOffset, ObjectId};
/// let slots = BlockAllocator::builder(1024, ByteLen::new(64))
///     .first_id(ObjectId::new(5000).unwrap())
///     .first_offset(FileOffset::new(4096))
///     .build()?;
/// let id = slots.alloc()?;
/// assert_eq!(slots.extent(id)?.offset.get(), 4096 + 64 * (id.get() - 5000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct BlockBuilder {
    slots: u64,
    slot_size: ByteLen,
    first_id: ObjectId,
    first_offset: FileOffset,
    domain: Option<Domain>,
    stripes: Option<usize>,
}

impl BlockBuilder {
    pub(super) fn new(slots: u64, slot_size: ByteLen) -> Self {
        Self {
            slots,
            slot_size,
            first_id: ObjectId::MIN,
            first_offset: FileOffset::ZERO,
            domain: None,
            stripes: None,
        }
    }

    /// The id of the first slot; by default 1.
    pub fn first_id(mut self, id: ObjectId) -> Self {
        self.first_id = id;
        self
    }

    /// Where the first slot begins; by default at 0.
    pub fn first_offset(mut self, offset: FileOffset) -> Self {
        self.first_offset = offset;
        self
    }

    /// The domain whose guards protect retired slots; by default one of its own.
    pub fn domain(mut self, domain: &Domain) -> Self {
        self.domain = Some(domain.clone());
        self
    }

    /// How many threads allocate without meeting, rounded up to a power of two.
    ///
    /// By default as many as the machine has processors, and at most 16. A stripe takes 128 bytes
    /// on x86-64.
    pub fn stripes(mut self, stripes: usize) -> Self {
        self.stripes = Some(stripes);
        self
    }

    /// Makes the allocator, with every slot free.
    ///
    /// # Errors
    /// [`BuildError`] if there is no slot or no stripe, more than 2^31 slots or 2^16 stripes, or if
    /// ids or offsets would overflow.
    pub fn build(self) -> Result<BlockAllocator, BuildError> {
        let span = self.span()?;
        self.finish(Block::new(span))
    }

    /// Makes the allocator anew from what [`BlockAllocator::snapshot`] gave.
    ///
    /// Every slot that was live is live again, with the same id; all others are free.
    ///
    /// # Errors
    /// As [`build`](Self::build); and if the snapshot is of another size, or claims slots beyond
    /// the capacity.
    pub fn restore(self, words: &[u64]) -> Result<BlockAllocator, BuildError> {
        let span = self.span()?;
        check_words(self.slots, words)?;
        self.finish(Block::restore(span, words))
    }

    fn span(&self) -> Result<Span, BuildError> {
        let last = self.slots.checked_sub(1).ok_or(BuildError::NoSlots)?;
        let last = u32::try_from(last).ok().filter(|last| *last < MAX_SLOTS);
        let last = last.ok_or(BuildError::TooManySlots)?;
        check_stripes(self.stripes)?;
        IdRange::new(self.first_id, self.slots).map_err(BuildError::Ids)?;
        let slot_size = self.slot_size.max(ByteLen::new(1));
        let bytes = slot_size
            .checked_mul(self.slots)
            .map_err(BuildError::Offsets)?;
        self.first_offset
            .checked_add(bytes)
            .map_err(BuildError::Offsets)?;
        Ok(Span {
            first_id: self.first_id,
            first_offset: self.first_offset,
            slot_size,
            last: SlotIndex::new(last),
            class: 0,
        })
    }

    fn finish(self, block: BlockBox) -> Result<BlockAllocator, BuildError> {
        let cursors = Cursors::new(self.stripes);
        let domain = self.domain.unwrap_or_default();
        Ok(BlockAllocator::over(Core::new(block, cursors, domain)))
    }
}

/// The most stripes of one allocator.
const MAX_STRIPES: usize = 1 << 16;

/// Whether there can be so many stripes.
pub(crate) fn check_stripes(stripes: Option<usize>) -> Result<(), BuildError> {
    match stripes {
        Some(0) => Err(BuildError::NoStripes),
        Some(many) if many > MAX_STRIPES => Err(BuildError::TooManyStripes),
        _ => Ok(()),
    }
}

/// Whether `words` can be the live bits of so many slots.
pub(crate) fn check_words(slots: u64, words: &[u64]) -> Result<(), BuildError> {
    let bits = u64::from(BITS);
    let (expected, found) = (slots.div_ceil(bits) as usize, words.len());
    if expected != found {
        return Err(BuildError::WordCount { expected, found });
    }
    let within = |word: usize| (slots - word as u64 * bits).min(bits) as u32;
    let beyond = |word: &usize| u64::BITS - words[*word].leading_zeros() > within(*word);
    match (0..found).find(beyond) {
        Some(word) => Err(BuildError::BeyondCapacity { word }),
        None => Ok(()),
    }
}
