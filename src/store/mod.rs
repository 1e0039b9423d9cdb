mod disk;
mod error;
mod format;
mod image;
mod log;
mod object;
mod recover;
