//! [`InMemoryStore`]: objects shared by tasks, within a limit that is never exceeded.
//!
//! # Shape
//! ```text
//! id ──> cache entry ──> word | outcome: Bytes or an error       reads, under a guard
//!            |            state, pins, references                  (word.rs, object.rs)
//!            `─ the policy evicts what is neither pinned nor pending
//! room       the limit, as tokens; the line of who waits for some   (room.rs, waiting.rs)
//! lot        who waits for a pending object                         (lot.rs, awaiting.rs)
//! builder, promise      who makes an object: pending, then ready or failed
//! ```
//! * **Tokens are where the bytes are**: an object's room goes back when the last clone of its
//!   `Bytes` is freed, not when it leaves the table. So no moment finds more held than the limit.
//! * **A pin** is a count in the object's own word; the first and the last one tell the policy.
//! * **Who waits is told**: a reader of a pending object gets the outcome itself; who waits for room
//!   stands in line, and is woken by whoever gives some back.

mod awaiting;
mod builder;
mod codec;
mod coming;
mod error;
mod figures;
mod inner;
mod kind;
mod lot;
mod make_room;
#[cfg(all(loom, feature = "loom"))]
#[doc(hidden)]
#[allow(missing_docs, clippy::missing_errors_doc)] // the models are its only readers
pub(crate) mod models;
mod object;
mod op;
mod options;
mod pins;
mod promise;
mod refs;
mod room;
mod stats;
mod store;
mod telemetry;
mod traits;
mod waiting;
mod word;

pub use builder::{ObjectBuilder, Overrun, SealError};
pub use codec::{Codec, CodecError, Postcard};
pub use error::{Full, ObjectError, PutError};
pub use kind::StoredType;
pub use op::Op;
pub use options::{InMemoryStoreBuilder, LimitTooSmall};
pub use pins::PinGuard;
pub use promise::Promise;
pub use refs::{ObjectRef, UnboundRef};
pub use stats::{Metadata, ObjectState, ObjectStats};
pub use store::InMemoryStore;
pub use traits::{ObjectStore, ObjectStoreExt};
pub use waiting::Waiting;
