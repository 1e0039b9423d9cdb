//! The store, as its users see it.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::awaiting::Awaiting;
use super::builder::ObjectBuilder;
use super::codec::{Codec, Postcard, decode, encode};
use super::error::{ObjectError, PutError};
use super::inner::{Inner, TICK};
use super::kind::StoredType;
use super::op::Op;
use super::options::InMemoryStoreBuilder;
use super::pins::PinGuard;
use super::promise::Promise;
use super::refs::ObjectRef;
use super::stats::{Metadata, ObjectState, ObjectStats};
use super::waiting::{Waiting, deadline};
use super::word::Phase;
use crate::id::ObjectId;
use crate::sync::park::block_on_until;

/// Objects in memory, within a limit that is never exceeded: `Bytes` in, `Bytes` out, no copy.
///
/// What is held counts: the payloads of all objects, what the store keeps for each, its index, what builders
/// have reserved, and what left the store as long as somebody has it. An object comes in only with room
/// for it. Room is made by evicting what is neither pinned nor pending, what came or was read long ago
/// first: a CLOCK (Corbató, 1968) that counts three reads, in each shard.
///
/// ```
/// use bytes::Bytes;
/// use mapless::InMemoryStore;
///
/// let store = InMemoryStore::new(1 << 20);
/// let id = store.put_bytes(Bytes::from_static(b"shared"))?;
/// assert_eq!(store.get_raw(id)?, "shared");
/// assert_eq!(store.read(id, |bytes| bytes.len())?, 6);
///
/// let mut builder = store.create(5)?; // room for 5 bytes, now
/// builder.write(b"in pl")?;
/// let built = builder.seal()?; // no copy
/// let _pin = store.pinned(built)?; // it stays until this is dropped
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What counts
/// The length of a payload, not what the caller's buffer has beside it: a `Bytes` of 4 may keep a
/// megabyte alive. [`put_copied`](Self::put_copied) takes a small slice out of a big buffer. For each
/// object 96 bytes are counted beside its payload, and 128 for its place in the index, which is
/// somewhat more than it takes. Places that were left are used again; where most are not, the index
/// is made smaller when room is wanted.
///
/// # Progress
/// | methods | |
/// |---|---|
/// | `read`, `get_raw`, `get`, `exists`, `metadata` | lock-free; while somebody waits for room, the line's lock at the end |
/// | `put_bytes`, `put`, `create`, .. | lock-free room, then the lock of one shard; without room, of one shard after the other |
/// | `pin`, `unpin` | lock-free where others have pinned the object too; else the lock of its shard |
/// | `delete`, `seal`, `fulfil`, making and dropping an `ObjectRef` | the lock of the object's shard |
/// | `put_timeout`, `put_async`, .. | wait for room, in the order in which they came |
/// | `get_timeout`, `get_async` | wait for a pending object |
///
/// # What does not count
/// Each thread that uses the store has some 6 KB in its epochs. A value is encoded before room is
/// asked for. An error that a promise [failed](Promise::fail) with may have memory of its own.
/// References, waiters and cached values are the caller's.
///
/// No lock is held while code of the caller's runs. `read` runs it under a guard of the store's
/// epochs: what leaves the store meanwhile is not freed before that ends.
pub struct InMemoryStore {
    inner: Arc<Inner>,
}

impl InMemoryStore {
    /// A store that holds no more than so many bytes.
    ///
    /// # Panics
    /// If that is less than 64 KiB and some bytes, with which no store can be; the
    /// [builder](Self::builder) says so by an error.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        let built = Self::builder(limit).build();
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    /// For everything that can be chosen.
    pub fn builder(limit: u64) -> InMemoryStoreBuilder {
        InMemoryStoreBuilder::new(limit)
    }

    pub(super) fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    // ---------------------------------------------------------------- put

    /// Takes these bytes in, without a copy.
    ///
    /// # Errors
    /// The bytes come back, with [`ObjectError::TooLarge`] if they can never fit, or
    /// [`ObjectError::Full`] if they do not fit now, or somebody who waits for room was first.
    ///
    /// # Linearization
    /// Where the entry's number is stored in the table: from then on everybody finds it.
    pub fn put_bytes(&self, bytes: Bytes) -> Result<ObjectId, PutError> {
        self.inner.put(bytes, StoredType::BYTES)
    }

    /// Takes a copy of these bytes in.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes).
    pub fn put_slice(&self, bytes: &[u8]) -> Result<ObjectId, ObjectError> {
        self.inner.put_copy(bytes)
    }

    /// Takes a copy of these bytes in, and lets go of the buffer that they are a part of.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes); the bytes come back as they were.
    pub fn put_copied(&self, bytes: Bytes) -> Result<ObjectId, PutError> {
        let put = self.put_slice(&bytes);
        put.map_err(|reason| PutError { bytes, reason })
    }

    /// Takes bytes in that were stored as some type.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes).
    pub fn put_stored(&self, bytes: Bytes, stored: StoredType) -> Result<ObjectId, PutError> {
        self.inner.put(bytes, stored)
    }

    /// Takes a value in, as [`Postcard`] writes it. `Bytes` and `Vec<u8>` are moved past the codec.
    ///
    /// # Errors
    /// [`ObjectError::Encode`], and as [`put_bytes`](Self::put_bytes).
    pub fn put<T: Serialize + 'static>(&self, value: T) -> Result<ObjectId, ObjectError> {
        self.put_with(value, &Postcard)
    }

    /// As [`put`](Self::put), with another codec, by which it has to be read again: which one that was
    /// does not travel with the object.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_with<T: Serialize + 'static>(
        &self,
        value: T,
        codec: &impl Codec,
    ) -> Result<ObjectId, ObjectError> {
        let (bytes, stored) = encode(value, codec)?;
        Ok(self.put_stored(bytes, stored)?)
    }

    /// As [`put_bytes`](Self::put_bytes), and waits for room so long.
    ///
    /// Inside of [`read`](Self::read), which may itself keep the room, it does not wait. Who waits while
    /// he holds pins or `Bytes` of the store waits for room that he may have himself: then only the time
    /// ends it. Builders can be [named](Self::holding).
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes): [`ObjectError::Full`] when the time is over.
    pub fn put_timeout(&self, bytes: Bytes, timeout: Duration) -> Result<ObjectId, PutError> {
        self.holding(&[]).put_timeout(bytes, timeout)
    }

    /// As [`put_bytes`](Self::put_bytes), and waits for room.
    ///
    /// # Cancellation
    /// Dropped before its end, it gives up its place in the line, and nothing was put.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes), but [`ObjectError::Full`] only inside of
    /// [`read`](Self::read).
    pub async fn put_async(&self, bytes: Bytes) -> Result<ObjectId, PutError> {
        self.holding(&[]).put_async(bytes).await
    }

    /// For who waits while it holds builders of this store, and of no other: if all room is held by those who wait for
    /// room, the newest is told, and does not wait for ever.
    #[must_use]
    pub fn holding<'a>(&'a self, builders: &'a [&'a ObjectBuilder]) -> Waiting<'a> {
        Waiting::new(&self.inner, builders)
    }

    // ---------------------------------------------------------------- create

    /// Room for an object of so many bytes, and its id, which is pending until the builder is sealed.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`], [`ObjectError::Full`].
    pub fn create(&self, size: usize) -> Result<ObjectBuilder, ObjectError> {
        let _visit = self.inner.visit();
        let ticket = self.inner.ticket(self.inner.need(size)?)?;
        ObjectBuilder::new(&self.inner, size, ticket)
    }

    /// Room for many, all at once or none.
    ///
    /// # Errors
    /// As [`create`](Self::create), for their sum.
    pub fn create_many(&self, sizes: &[usize]) -> Result<Vec<ObjectBuilder>, ObjectError> {
        if sizes.is_empty() {
            return Ok(Vec::new());
        }
        let _visit = self.inner.visit();
        let ticket = self.inner.ticket(self.inner.need_of_all(sizes)?)?;
        ObjectBuilder::many(&self.inner, sizes, ticket)
    }

    /// As [`create`](Self::create), and waits for room so long.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_timeout(
        &self,
        size: usize,
        timeout: Duration,
    ) -> Result<ObjectBuilder, ObjectError> {
        self.holding(&[]).create_timeout(size, timeout)
    }

    /// As [`create`](Self::create), and waits for room.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_async(&self, size: usize) -> Result<ObjectBuilder, ObjectError> {
        self.holding(&[]).create_async(size).await
    }

    /// An id for an object whose size nobody knows yet, as of a task's result: it takes no room but
    /// for its entry.
    ///
    /// # Errors
    /// [`ObjectError::Full`].
    pub fn promise(&self) -> Result<Promise, ObjectError> {
        let _visit = self.inner.visit();
        let ticket = self.inner.ticket(self.inner.need(0)?)?;
        Promise::new(&self.inner, ticket)
    }

    /// As [`promise`](Self::promise), and waits for room.
    ///
    /// # Errors
    /// As [`promise`](Self::promise), but only inside of [`read`](Self::read).
    pub async fn promise_async(&self) -> Result<Promise, ObjectError> {
        self.holding(&[]).promise_async().await
    }

    // ---------------------------------------------------------------- get

    /// Lends the bytes of an object.
    ///
    /// It writes nothing that others read but the time of the access, once an object and tick, and up to
    /// three uses, until a hand has passed the object.
    ///
    /// # Errors
    /// [`ObjectError::Pending`] where one could wait; else what became of the object.
    pub fn read<R>(&self, id: ObjectId, f: impl FnOnce(&[u8]) -> R) -> Result<R, ObjectError> {
        self.inner.read(id, |bytes, _| Ok(f(bytes)))
    }

    /// The bytes of an object, without a copy. They count until they are dropped.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn get_raw(&self, id: ObjectId) -> Result<Bytes, ObjectError> {
        self.inner.get_raw(id)
    }

    /// The bytes of an object, and as what they were stored.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn get_stored(&self, id: ObjectId) -> Result<(Bytes, StoredType), ObjectError> {
        self.inner.get_stored(id)
    }

    /// The value that was put, if it was of this type.
    ///
    /// # Errors
    /// [`ObjectError::WrongType`], [`ObjectError::Decode`], and as [`read`](Self::read).
    pub fn get<T: DeserializeOwned + 'static>(&self, id: ObjectId) -> Result<T, ObjectError> {
        self.get_with(id, &Postcard)
    }

    /// As [`get`](Self::get), with another codec.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with<T: DeserializeOwned + 'static>(
        &self,
        id: ObjectId,
        codec: &impl Codec,
    ) -> Result<T, ObjectError> {
        decode(self.get_stored(id)?, codec)
    }

    /// As [`get_raw`](Self::get_raw), and waits for a pending object so long.
    ///
    /// # Errors
    /// [`ObjectError::TimedOut`], and as [`read`](Self::read).
    pub fn get_timeout(&self, id: ObjectId, timeout: Duration) -> Result<Bytes, ObjectError> {
        let awaited = block_on_until(Awaiting::new(&self.inner, id), deadline(timeout));
        Ok(awaited.ok_or(ObjectError::TimedOut(id))??.0)
    }

    /// As [`get_raw`](Self::get_raw), and waits for a pending object.
    ///
    /// # Errors
    /// As [`read`](Self::read), but never [`ObjectError::Pending`].
    pub fn get_async(&self, id: ObjectId) -> Op<'_, Result<Bytes, ObjectError>> {
        Awaiting::op(&self.inner, id).map(|answer| Ok(answer?.0))
    }

    /// Whether the object can be read.
    #[must_use]
    pub fn exists(&self, id: ObjectId) -> bool {
        self.metadata(id)
            .is_ok_and(|it| it.state == ObjectState::Ready)
    }

    /// What the store knows of an object. Counts as no use.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Evicted`], [`ObjectError::Deleted`].
    pub fn metadata(&self, id: ObjectId) -> Result<Metadata, ObjectError> {
        let _visit = self.inner.visit();
        let guard = self.inner.cache.pin();
        let object = self.inner.cache.peek_in(&id, &guard);
        let object = object.ok_or_else(|| self.inner.absent(id))?;
        let seen = object.word.look();
        if seen.is_deleted() {
            return Err(ObjectError::Deleted(id));
        }
        let bytes = object
            .outcome(seen)
            .map(|outcome| (&outcome.result, outcome.kind));
        let (created, accessed) = object.times();
        Ok(Metadata {
            state: match seen.phase() {
                Phase::Pending => ObjectState::Pending,
                Phase::Ready => ObjectState::Ready,
                Phase::Failed => ObjectState::Failed,
            },
            size: bytes.map_or(0, |(result, _)| {
                result.as_ref().map_or(0, |it| it.len() as u64)
            }),
            stored: bytes.map_or(StoredType::BYTES, |(_, kind)| kind),
            created_at: TICK * created,
            last_accessed: TICK * accessed,
            pins: seen.pins(),
            references: seen.references(),
        })
    }

    // ---------------------------------------------------------------- keep, and let go

    /// The object is not evicted until it is [unpinned](Self::unpin) as often. A pending one may be
    /// pinned, so that nothing comes between its end and its first reader; its pins are gone if it is
    /// deleted before that.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for [`ObjectError::Pending`]; [`ObjectError::TooManyPins`].
    pub fn pin(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.inner.pin(id)
    }

    /// Ends one pin. The last one frees the object if it was deleted meanwhile.
    ///
    /// # Errors
    /// [`ObjectError::NotPinned`]; nothing has changed then. Pins are not told apart: one call too many
    /// ends a guard's pin.
    pub fn unpin(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.inner.unpin(id)
    }

    /// Pins the object until the guard is dropped. Counts as a get.
    ///
    /// # Errors
    /// As [`pin`](Self::pin); [`ObjectError::Pending`], since there are no bytes to lend.
    pub fn pinned(&self, id: ObjectId) -> Result<PinGuard, ObjectError> {
        PinGuard::new(&self.inner, id)
    }

    /// A reference to an object, whatever state it is in.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Evicted`], [`ObjectError::Deleted`].
    pub fn reference<T>(&self, id: ObjectId) -> Result<ObjectRef<T>, ObjectError> {
        ObjectRef::new(&self.inner, id)
    }

    /// The object is out of sight at once; its bytes are freed when nobody has them, and if it is
    /// pinned, not before the last pin ended. Who waits for it is told
    /// [`ObjectError::Deleted`].
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Evicted`], [`ObjectError::Deleted`].
    pub fn delete(&self, id: ObjectId) -> Result<(), ObjectError> {
        self.inner.delete(id)
    }

    /// Deletes every object that is there when it is called.
    pub fn clear(&self) {
        let _visit = self.inner.visit();
        self.inner.clear();
    }

    // ---------------------------------------------------------------- figures

    /// What is in the store, and what was done.
    #[must_use]
    pub fn stats(&self) -> ObjectStats {
        let room = self.inner.full(0);
        ObjectStats {
            limit: room.limit,
            used_bytes: self.inner.used(),
            index_bytes: room.index,
            retained_bytes: room.retained,
            ..self.inner.figures.stats()
        }
    }

    /// What left the store and is not freed: see [`ObjectStats::retained_bytes`].
    #[must_use]
    pub fn retained_bytes(&self) -> u64 {
        self.inner.full(0).retained
    }
}

impl Drop for InMemoryStore {
    fn drop(&mut self) {
        self.inner.close();
    }
}

impl fmt::Debug for InMemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryStore")
            .field("limit", &self.inner.room.limit())
            .field("free", &self.inner.room.free())
            .finish_non_exhaustive()
    }
}
