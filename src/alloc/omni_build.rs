//! How an [`OmniBlockAllocator`] is made, new or from a snapshot.

use core::fmt;
use std::sync::Arc;

use super::basic::BasicBuilder;
use super::class::Class;
use super::classes::{GrowByShare, Growth, SizeClasses};
use super::directory::NO_CLASS;
use super::gaps::SpaceError;
use super::omni::OmniBlockAllocator;
use super::snapshot::{self, AllocatorSnapshot, RestoreError};
use crate::bitset::Cursors;
use crate::id::{ByteLen, Extent, FileOffset, ObjectId};
use crate::sync::epoch::Domain;

/// Builds an [`OmniBlockAllocator`].
#[must_use]
pub struct OmniBuilder {
    root: BasicBuilder,
    classes: SizeClasses,
    growth: Box<dyn Growth>,
    stripes: Option<usize>,
}

impl Default for OmniBuilder {
    fn default() -> Self {
        Self {
            root: BasicBuilder::default(),
            classes: SizeClasses::default(),
            growth: Box::new(GrowByShare::default()),
            stripes: None,
        }
    }
}

impl OmniBuilder {
    /// The sizes of slots ([`SizeClasses::default`]).
    pub fn classes(self, classes: SizeClasses) -> Self {
        Self { classes, ..self }
    }

    /// How many slots the next range of a class gets ([`GrowByShare`]).
    pub fn growth(self, growth: impl Growth + 'static) -> Self {
        let growth = Box::new(growth);
        Self { growth, ..self }
    }

    /// How many threads may allocate in one class without meeting, rounded up to a power of two
    /// (as many as the machine has processors, at most 16); 0 counts as 1. A stripe takes some 26
    /// bytes a class.
    pub fn stripes(self, stripes: usize) -> Self {
        let stripes = Some(stripes.clamp(1, 1 << 10));
        Self { stripes, ..self }
    }

    /// See [`BasicBuilder::first_id`].
    pub fn first_id(self, first_id: ObjectId) -> Self {
        let root = self.root.first_id(first_id);
        Self { root, ..self }
    }

    /// See [`BasicBuilder::header`].
    pub fn header(self, header: ByteLen) -> Self {
        let root = self.root.header(header);
        Self { root, ..self }
    }

    /// See [`BasicBuilder::limit`].
    pub fn limit(self, limit: FileOffset) -> Self {
        let root = self.root.limit(limit);
        Self { root, ..self }
    }

    /// See [`BasicBuilder::alignment`]: of ranges and of large objects.
    pub fn alignment(self, alignment: u64) -> Self {
        let root = self.root.alignment(alignment);
        Self { root, ..self }
    }

    /// See [`BasicBuilder::domain`].
    pub fn domain(self, domain: &Domain) -> Self {
        let root = self.root.domain(domain);
        Self { root, ..self }
    }

    /// Builds it.
    ///
    /// # Errors
    /// As [`BasicBuilder::build`].
    pub fn build(self) -> Result<OmniBlockAllocator, SpaceError> {
        let root = self.root.build()?;
        let mut cursors = Cursors::new(self.stripes);
        let mut class = |size, number| {
            let next = cursors.beside();
            Class::new(size, number, core::mem::replace(&mut cursors, next))
        };
        let large = class(ByteLen::ZERO, NO_CLASS);
        let sorted = self.classes.as_slice().iter().zip(0..);
        let sorted = sorted.map(|(&size, number)| Arc::new(class(size, number)));
        let sorted = sorted.collect();
        Ok(OmniBlockAllocator::over(root, large, sorted, self.growth))
    }

    /// Builds one that answers as the one that was snapshot did: the same ids, the same offsets.
    ///
    /// The classes are the snapshot's; header, limit and everything else are the builder's.
    ///
    /// # Errors
    /// [`RestoreError`], which names what does not fit.
    pub fn restore(self, snapshot: &AllocatorSnapshot) -> Result<OmniBlockAllocator, RestoreError> {
        self.restore_beside(snapshot, &[])
    }

    /// As `restore`, with extents that are taken and are no objects.
    pub(crate) fn restore_beside(
        self,
        snapshot: &AllocatorSnapshot,
        taken: &[Extent],
    ) -> Result<OmniBlockAllocator, RestoreError> {
        let classes = snapshot.classes.clone();
        let built = self.classes(classes).build().map_err(RestoreError::Space)?;
        snapshot::restore(&built, snapshot, taken)?;
        Ok(built)
    }
}

impl fmt::Debug for OmniBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OmniBuilder")
            .field("root", &self.root)
            .field("classes", &self.classes)
            .field("stripes", &self.stripes)
            .finish_non_exhaustive()
    }
}
