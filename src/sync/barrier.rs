//! A barrier with two unequal sides: one that many pass often, and one that few pass seldom.
//!
//! # Shape
//! ```text
//! many  leave something, light(), look at the other's          a word to the compiler
//! few   leave something, heavy(), look at the others'          a word to all processors
//! ```
//! Of one of the many and one of the few at least one sees what the other left, as with a `SeqCst`
//! fence on both sides. On Linux the kernel has every processor that runs a thread of this process
//! pass a full barrier at some moment of `heavy` (`membarrier`, since 4.14), so what `light` has to
//! do is keep the compiler from moving things. Elsewhere, and under the checkers, both are fences.
//!
//! # Edges
//! | edge | released by       | acquired by      | what crosses                              |
//! |------|-------------------|------------------|-------------------------------------------|
//! | LEFT | `Unequal::light`  | `Unequal::heavy` | what one of the many left; and the reverse |
//!
//! # Progress
//! `light` is wait-free; `heavy` is a system call.
//!
//! # Checked by
//! `loom-tests/objects_parts.rs`, with fences; the tests below.
#![allow(unsafe_code)] // a system call, where there is one

use core::sync::atomic::compiler_fence;

use super::atomic::{Ordering::*, fence};

/// Whether both sides are fences because somebody has to see them.
const WATCHED: bool = cfg!(any(
    miri,
    all(loom, feature = "loom"),
    all(shuttle, feature = "shuttle")
));

/// The barrier of one structure.
#[derive(Debug)]
pub(crate) struct Unequal {
    /// The system does it.
    by_system: bool,
}

impl Unequal {
    pub(crate) fn new() -> Self {
        Self {
            by_system: !WATCHED && system::register(),
        }
    }

    /// The side that many pass.
    #[inline(always)]
    pub(crate) fn light(&self) {
        if self.by_system {
            compiler_fence(SeqCst);
        } else {
            // SeqCst [LEFT]: the other side's fence is before or after this one.
            fence(SeqCst);
        }
    }

    /// The side that few pass.
    pub(crate) fn heavy(&self) {
        // SeqCst [LEFT]: see `light`.
        fence(SeqCst);
        if self.by_system {
            system::pass();
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    const EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: S1 the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Whether the system does it for this process, from now on.
    pub(super) fn register() -> bool {
        membarrier(REGISTER_EXPEDITED) && membarrier(EXPEDITED)
    }

    pub(super) fn pass() {
        // A process that is registered stays so.
        assert!(membarrier(EXPEDITED), "the system's barrier is gone");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn pass() {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use super::*;

    /// What the header says, which a plain store and load in its place break within some rounds.
    #[test]
    fn one_of_both_sees_the_other() {
        let barrier = Unequal::new();
        for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
            let (many, few) = (AtomicBool::new(false), AtomicBool::new(false));
            let seen = thread::scope(|scope| {
                let light = scope.spawn(|| {
                    many.store(true, Relaxed);
                    barrier.light();
                    few.load(Relaxed)
                });
                few.store(true, Relaxed);
                barrier.heavy();
                many.load(Relaxed) | light.join().unwrap()
            });
            assert!(seen);
        }
    }
}
