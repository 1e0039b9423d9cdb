//! Words to the processor.
#![allow(unsafe_code)] // a prefetch is an intrinsic

/// This will be looked at soon.
#[inline(always)]
pub(crate) fn prefetch<T>(at: &T) {
    prefetch_at(core::ptr::from_ref(at).cast());
}

/// This address will be looked at soon, if anything is there.
#[inline(always)]
pub(crate) fn prefetch_at(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
