//! Keys that somebody is computing a value for.

/// The claims of one shard.
pub(super) struct Claims<K>(Vec<K>);

impl<K> Default for Claims<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
