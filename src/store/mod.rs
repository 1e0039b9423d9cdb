mod disk;
mod format;
