//! Objects in a file: `MultiStore`, its journal, its checkpoints, its recovery.
//!
//! # Shape
//! ```text
//! multi     what users see                options   how a store is made and opened
//! engine    one open store                recover   from a file to what it holds
//! log       the journal, in groups        image     checkpoint + log = next checkpoint
//! space     room before it is used        open      the objects that are open now
//! stream    objects piece by piece          object    bytes in a slot
//!                        gate      overwrites in progress
//! format    the file, byte by byte        disk      what it stands on
//! ```

mod disk;
mod engine;
mod error;
mod format;
mod gate;
mod image;
mod log;
#[cfg(all(loom, feature = "loom"))]
#[allow(missing_docs, clippy::missing_errors_doc)] // the models are its only readers
pub(crate) mod models;
mod multi;
mod object;
mod open;
mod options;
mod recover;
mod space;
mod stream;

pub use disk::{Disk, FileDisk};
pub use error::{Damage, StoreError};
pub use multi::{Generation, MultiStore};
pub use options::{Durability, StoreOptions};
pub use stream::{ObjectReader, ObjectWriter};
