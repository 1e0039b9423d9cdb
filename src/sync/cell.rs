//! Memory that a checker watches.

#[cfg(not(all(loom, feature = "loom")))]
pub(crate) use plain::Canary;
#[cfg(all(loom, feature = "loom"))]
pub(crate) use watched::Canary;

/// Stands for the bytes of a node: readers `touch` it, whoever frees the node `bury`s it.
///
/// It has no size and does nothing, except under loom, where a `touch` that is not ordered
/// before the `bury` is reported as a data race.
#[cfg(not(all(loom, feature = "loom")))]
mod plain {
    #[derive(Debug, Default)]
    pub(crate) struct Canary;

    impl Canary {
        pub(crate) fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn touch(&self) {}

        #[inline(always)]
        pub(crate) fn bury(&self) {}
    }
}

#[cfg(all(loom, feature = "loom"))]
mod watched {
    use loom::cell::UnsafeCell;

    #[derive(Debug)]
    pub(crate) struct Canary(UnsafeCell<()>);

    impl Canary {
        pub(crate) fn new() -> Self {
            Self(UnsafeCell::new(()))
        }

        #[track_caller]
        pub(crate) fn touch(&self) {
            self.0.with(|_| ());
        }

        #[track_caller]
        pub(crate) fn bury(&self) {
            self.0.with_mut(|_| ());
        }
    }
}
