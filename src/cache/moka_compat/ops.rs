//! Operations on single entries.

/// What `and_compute_with` does, and what came of it.
pub mod compute {
    use std::sync::Arc;

    use crate::cache::load;
    use crate::cache::moka_compat::Entry;

    /// What is to be done with an entry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Op<V> {
        /// Nothing.
        Nop,
        /// This value comes in, in place of the one that is there.
        Put(V),
        /// It is removed.
        Remove,
    }

    impl<V> From<Op<V>> for load::Op<V> {
        fn from(op: Op<V>) -> Self {
            match op {
                Op::Nop => Self::Nop,
                Op::Put(value) => Self::Put(value),
                Op::Remove => Self::Remove,
            }
        }
    }

    /// What was done with an entry.
    #[derive(Debug)]
    pub enum CompResult<K, V> {
        /// The entry was not there, and is not there.
        StillNone(Arc<K>),
        /// The entry that is there stays as it was.
        Unchanged(Entry<K, V>),
        /// This entry came in; there was none.
        Inserted(Entry<K, V>),
        /// This entry came in, in place of another.
        ReplacedWith(Entry<K, V>),
        /// This entry was removed.
        Removed(Entry<K, V>),
    }

    impl<K, V> CompResult<K, V> {
        /// The entry that the result tells of, unless it is `StillNone`.
        #[must_use]
        pub fn into_entry(self) -> Option<Entry<K, V>> {
            match self {
                Self::StillNone(_) => None,
                Self::Unchanged(entry)
                | Self::Inserted(entry)
                | Self::ReplacedWith(entry)
                | Self::Removed(entry) => Some(entry),
            }
        }

        /// The entry that the result tells of.
        ///
        /// # Panics
        /// If it is `StillNone`.
        #[must_use]
        #[track_caller]
        pub fn unwrap(self) -> Entry<K, V> {
            let entry = self.into_entry();
            entry.expect("`CompResult::unwrap` called on `StillNone`")
        }
    }
}
