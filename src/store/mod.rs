//! Objects in a file: `MultiStore`, its journal, its checkpoints, its recovery.
//!
//! # Shape
//! ```text
//! multi       what users see                options   how a store is made and opened
//! engine      one open store                opening   how it is brought to where it was
//! batch       many objects at once          stream    objects piece by piece
//! log         the journal, in groups        recover   from a file to what it holds
//! checkpoint  where the journal ends        image     checkpoint + log = next checkpoint
//! space       room before it is used        open      the objects that are open now
//! object      bytes in a slot               gate      overwrites in progress
//! overwrite   new content for objects    pending   contents that wait for their records
//! care        checks, figures, salvage      backup    a copy of a store in use
//! format      the file, byte by byte        disk      what it stands on
//! ```

mod backup;
mod batch;
mod care;
mod checkpoint;
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
mod opening;
mod options;
mod overwrite;
mod pending;
mod recover;
mod space;
mod stream;

pub use care::{Scrubbed, StoreStats};
pub use disk::{Disk, FileDisk};
pub use error::{Damage, StoreError};
pub use multi::{Generation, MultiStore};
pub use options::{Durability, StoreOptions};
pub use stream::{ObjectReader, ObjectWriter};
