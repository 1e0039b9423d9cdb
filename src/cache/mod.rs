//! A cache whose hot hit writes nothing shared, with a capacity that is never exceeded.

#[allow(dead_code)]
mod policy;
