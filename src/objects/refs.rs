//! References to objects, for tasks to pass on.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::awaiting::Awaiting;
use super::codec::{Postcard, decode};
use super::error::ObjectError;
use super::inner::Inner;
use super::kind::StoredType;
use super::lot::Answer;
use super::op::Op;
use super::pins::PinGuard;
use super::store::InMemoryStore;
use super::waiting::deadline;
use crate::id::ObjectId;
use crate::sync::lock::SetOnce;
use crate::sync::park::{block_on, block_on_until};

/// A reference to an object of type `T`: its id, and its store.
///
/// Clones are one reference. A reference does not keep its object from being evicted:
/// [`pinned`](Self::pinned) does. It keeps an error that its object came to, and with
/// [`collect_unreferenced`](super::InMemoryStoreBuilder::collect_unreferenced) the object goes with the
/// last one. It does not keep the store: when that is dropped, it answers [`ObjectError::Closed`].
///
/// Serialized, it is its id, and counts no more; an [`UnboundRef`] comes out. So one that is put by
/// itself is stored as an `UnboundRef<T>`. A value that has one inside comes out as another type than
/// went in: let it have [`unbound`](Self::unbound) ones from the start.
///
/// ```
/// use mapless::{InMemoryStore, ObjectRef, UnboundRef};
///
/// let store = InMemoryStore::new(1 << 20);
/// let text: ObjectRef<String> = store.reference(store.put("a text".to_string())?)?;
///
/// let id = store.put(text.clone())?;
/// let sent: UnboundRef<String> = store.get(id)?;
/// assert_eq!(sent.bind(&store)?.get_blocking()?, "a text");
///
/// let id = store.put(vec![(1, text.unbound())])?;
/// let sent: Vec<(i32, UnboundRef<String>)> = store.get(id)?;
/// assert_eq!(sent[0].1.bind(&store)?.get_blocking()?, "a text");
/// # Ok::<(), mapless::ObjectError>(())
/// ```
pub struct ObjectRef<T> {
    handle: Arc<Handle>,
    value: Arc<SetOnce<Arc<T>>>,
}

/// One reference of the object's count.
struct Handle {
    inner: Arc<Inner>,
    id: ObjectId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.unrefer(self.id);
    }
}

impl<T> ObjectRef<T> {
    pub(super) fn new(inner: &Arc<Inner>, id: ObjectId) -> Result<Self, ObjectError> {
        inner.refer(id)?;
        let inner = Arc::clone(inner);
        Ok(Self {
            handle: Arc::new(Handle { inner, id }),
            value: Arc::default(),
        })
    }

    /// The object's id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.handle.id
    }

    /// The id alone, as it is sent elsewhere: it counts as no reference.
    #[must_use]
    pub fn unbound(&self) -> UnboundRef<T> {
        let of = PhantomData;
        UnboundRef { id: self.id(), of }
    }

    /// The object's bytes; waits while it is pending.
    ///
    /// # Errors
    /// What became of the object; [`ObjectError::Closed`].
    pub fn get_raw(&self) -> Op<'_, Result<Bytes, ObjectError>> {
        self.answer().map(|answer| Ok(answer?.0))
    }

    /// Keeps the object from being evicted.
    ///
    /// # Errors
    /// As [`InMemoryStore::pinned`].
    pub fn pinned(&self) -> Result<PinGuard, ObjectError> {
        PinGuard::new(&self.handle.inner, self.id())
    }

    fn answer(&self) -> Op<'_, Answer> {
        Awaiting::op(&self.handle.inner, self.id())
    }
}

impl<T: DeserializeOwned + 'static> ObjectRef<T> {
    /// The value; waits while it is pending, and is woken when it is not.
    ///
    /// # Errors
    /// What became of the object; [`ObjectError::WrongType`], [`ObjectError::Decode`],
    /// [`ObjectError::Closed`].
    pub fn get(&self) -> Op<'_, Result<T, ObjectError>> {
        self.answer().map(|answer| decode(answer?, &Postcard))
    }

    /// As [`get`](Self::get), on this thread.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_blocking(&self) -> Result<T, ObjectError> {
        decode(block_on(self.answer())?, &Postcard)
    }

    /// As [`get_blocking`](Self::get_blocking), and waits so long.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ObjectError::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, ObjectError> {
        let answer = block_on_until(self.answer(), deadline(timeout));
        decode(answer.ok_or(ObjectError::TimedOut(self.id()))??, &Postcard)
    }

    /// The value, decoded once for this reference and all of its clones. It is theirs from then on, and
    /// does not count for the store.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_cached(&self) -> Result<Arc<T>, ObjectError> {
        if let Some(value) = self.value.get() {
            return Ok(Arc::clone(value));
        }
        let value = decode(self.answer().await?, &Postcard)?;
        Ok(Arc::clone(self.value.get_or_init(|| Arc::new(value))))
    }
}

impl<T> Clone for ObjectRef<T> {
    fn clone(&self) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            value: Arc::clone(&self.value),
        }
    }
}

impl<T: 'static> Serialize for ObjectRef<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StoredType::comes_back::<Self, UnboundRef<T>>();
        self.id().get().serialize(serializer)
    }
}

impl<T> fmt::Debug for ObjectRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectRef").field(&self.id()).finish()
    }
}

/// A reference that came from elsewhere, and belongs to no store yet.
pub struct UnboundRef<T> {
    id: ObjectId,
    of: PhantomData<fn() -> T>,
}

impl<T> UnboundRef<T> {
    /// The id that it names.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// A reference into this store.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Evicted`], [`ObjectError::Deleted`]. An id of another
    /// store may name an object of this one.
    pub fn bind(&self, store: &InMemoryStore) -> Result<ObjectRef<T>, ObjectError> {
        ObjectRef::new(store.inner(), self.id)
    }
}

impl<T> Clone for UnboundRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for UnboundRef<T> {}

impl<T> PartialEq for UnboundRef<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for UnboundRef<T> {}

impl<T> Hash for UnboundRef<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> Serialize for UnboundRef<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.get().serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for UnboundRef<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = u64::deserialize(deserializer)?;
        let id = ObjectId::new(raw);
        let id = id.ok_or_else(|| serde::de::Error::custom("0 is no object's id"))?;
        Ok(Self {
            id,
            of: PhantomData,
        })
    }
}

impl<T> fmt::Debug for UnboundRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnboundRef").field(&self.id).finish()
    }
}
