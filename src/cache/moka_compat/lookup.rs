//! How keys are given, where the cache's own are `Arc<K>`.

use core::hash::{Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;

/// A borrowed form of `K`, to look for an `Arc<K>`: an `Arc` hashes as what it points to.
#[derive(Debug)]
pub(super) struct Lookup<'a, Q: ?Sized>(pub(super) &'a Q);

impl<Q: Hash + ?Sized> Hash for Lookup<'_, Q> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K, Q: Equivalent<K> + ?Sized> Equivalent<Arc<K>> for Lookup<'_, Q> {
    fn equivalent(&self, key: &Arc<K>) -> bool {
        self.0.equivalent(&**key)
    }
}

/// A key to look for, of which an own one is made where the entry is not there.
pub trait Wanted<K> {
    /// Its borrowed form.
    type Form: Hash + Equivalent<K> + ?Sized;

    /// What to look for.
    fn form(&self) -> &Self::Form;

    /// What to insert.
    fn into_key(self) -> Arc<K>;
}

/// A key that was handed over.
#[derive(Debug)]
pub struct Owned<K>(pub(super) K);

impl<K: Hash + Eq> Wanted<K> for Owned<K> {
    type Form = K;

    fn form(&self) -> &K {
        &self.0
    }

    fn into_key(self) -> Arc<K> {
        Arc::new(self.0)
    }
}

/// A key that was lent.
#[derive(Debug)]
pub struct Lent<'a, Q: ?Sized>(pub(super) &'a Q);

impl<K, Q> Wanted<K> for Lent<'_, Q>
where
    Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
{
    type Form = Q;

    fn form(&self) -> &Q {
        self.0
    }

    fn into_key(self) -> Arc<K> {
        Arc::new(self.0.to_owned())
    }
}
