//! What stores of objects have in common.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::awaiting::Awaiting;
use super::builder::ObjectBuilder;
use super::codec::{Codec, Postcard, decode, encode};
use super::error::{ObjectError, PutError};
use super::kind::StoredType;
use super::op::Op;
use super::stats::{Metadata, ObjectStats};
use super::store::InMemoryStore;
use crate::id::ObjectId;

/// A store of objects, of which one need not know more: `Arc<dyn ObjectStore>`.
///
/// What may have to wait in some store is an [`Op`], which costs nothing where it need not. Values
/// go by way of [`ObjectStoreExt`].
///
/// ```
/// use std::sync::Arc;
/// use mapless::{InMemoryStore, ObjectStore, ObjectStoreExt};
///
/// let store: Arc<dyn ObjectStore> = Arc::new(InMemoryStore::new(1 << 20));
/// # futures_lite::future::block_on(async {
/// let id = store.put(vec![("a".to_string(), 1)]).await?;
/// let pairs: Vec<(String, i32)> = store.get(id).await?;
/// assert_eq!(pairs[0].1, 1);
/// # Ok::<(), mapless::ObjectError>(())
/// # })?;
/// # Ok::<(), mapless::ObjectError>(())
/// ```
pub trait ObjectStore: Send + Sync {
    /// Takes bytes in that were stored as some type.
    fn put_stored(&self, bytes: Bytes, stored: StoredType) -> Op<'_, Result<ObjectId, PutError>>;

    /// Takes bytes in.
    fn put_bytes(&self, bytes: Bytes) -> Op<'_, Result<ObjectId, PutError>> {
        self.put_stored(bytes, StoredType::BYTES)
    }

    /// An object's bytes, and as what they were stored; waits for a pending one.
    fn get_stored(&self, id: ObjectId) -> Op<'_, Result<(Bytes, StoredType), ObjectError>>;

    /// An object's bytes; waits for a pending one.
    fn get_raw(&self, id: ObjectId) -> Op<'_, Result<Bytes, ObjectError>> {
        self.get_stored(id).map(|answer| Ok(answer?.0))
    }

    /// Room for an object of so many bytes.
    fn create(&self, size: usize) -> Op<'_, Result<ObjectBuilder, ObjectError>>;

    /// Whether the object can be read.
    fn exists(&self, id: ObjectId) -> bool;

    /// What the store knows of an object.
    ///
    /// # Errors
    /// If there is none.
    fn metadata(&self, id: ObjectId) -> Result<Metadata, ObjectError>;

    /// The object stays until it is unpinned as often.
    ///
    /// # Errors
    /// If it cannot be read.
    fn pin(&self, id: ObjectId) -> Result<(), ObjectError>;

    /// Ends one pin.
    ///
    /// # Errors
    /// If there is none.
    fn unpin(&self, id: ObjectId) -> Result<(), ObjectError>;

    /// The object is out of sight at once.
    ///
    /// # Errors
    /// If there is none.
    fn delete(&self, id: ObjectId) -> Result<(), ObjectError>;

    /// Deletes all objects.
    fn clear(&self);

    /// What is in the store, and what was done.
    fn stats(&self) -> ObjectStats;
}

/// Values in stores of bytes.
pub trait ObjectStoreExt: ObjectStore {
    /// Takes a value in, as [`Postcard`] writes it. `Bytes` and `Vec<u8>` are moved past the codec.
    fn put<T: Serialize + 'static>(&self, value: T) -> Op<'_, Result<ObjectId, ObjectError>> {
        self.put_with(value, &Postcard)
    }

    /// As [`put`](Self::put), with another codec.
    fn put_with<T: Serialize + 'static>(
        &self,
        value: T,
        codec: &impl Codec,
    ) -> Op<'_, Result<ObjectId, ObjectError>> {
        match encode(value, codec) {
            Ok((bytes, stored)) => {
                let put = self.put_stored(bytes, stored);
                put.map(|result| result.map_err(ObjectError::from))
            }
            Err(error) => Op::ready(Err(error)),
        }
    }

    /// The value that was put, if it was of this type; waits for a pending one.
    fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        id: ObjectId,
    ) -> Op<'_, Result<T, ObjectError>> {
        let stored = self.get_stored(id);
        stored.map(|answer| decode(answer?, &Postcard))
    }

    /// As [`get`](Self::get), with another codec.
    fn get_with<'a, T: DeserializeOwned + Send + 'static>(
        &'a self,
        id: ObjectId,
        codec: &'a (impl Codec + Sync),
    ) -> Op<'a, Result<T, ObjectError>> {
        let stored = self.get_stored(id);
        stored.map(move |answer| decode(answer?, codec))
    }
}

impl<S: ObjectStore + ?Sized> ObjectStoreExt for S {}

impl ObjectStore for InMemoryStore {
    fn put_stored(&self, bytes: Bytes, stored: StoredType) -> Op<'_, Result<ObjectId, PutError>> {
        Op::ready(self.put_stored(bytes, stored))
    }

    fn get_stored(&self, id: ObjectId) -> Op<'_, Result<(Bytes, StoredType), ObjectError>> {
        Awaiting::op(self.inner(), id)
    }

    fn create(&self, size: usize) -> Op<'_, Result<ObjectBuilder, ObjectError>> {
        Op::ready(self.create(size))
    }

    fn exists(&self, id: ObjectId) -> bool {
        self.exists(id)
    }

    fn metadata(&self, id: ObjectId) -> Result<Metadata, ObjectError> {
        self.metadata(id)
    }

    fn pin(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.pin(id)
    }

    fn unpin(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.unpin(id)
    }

    fn delete(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.delete(id)
    }

    fn clear(&self) {
        self.clear();
    }

    fn stats(&self) -> ObjectStats {
        self.stats()
    }
}
