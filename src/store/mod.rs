mod disk;
mod error;
mod format;
mod image;
mod log;
