//! Which core a thread runs on: without it, a writer that wakes up may take the reader's.
#![allow(unsafe_code)] // the system call takes a pointer

/// Keeps this thread on one core, where the system lets us; else it runs anywhere.
#[cfg(target_os = "linux")]
pub fn stay_on(core: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // SAFETY: a set of cores is a plain array of bits; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is below the 1,024 that a set has room for, and `set` is ours.
    unsafe { libc::CPU_SET(core % cores % 1024, &mut set) };
    let size = std::mem::size_of_val(&set);
    // SAFETY: 0 is this thread; `set` is a valid set of `size` bytes. A refusal changes nothing.
    unsafe { libc::sched_setaffinity(0, size, &raw const set) };
}

/// Keeps this thread on one core, where the system lets us; else it runs anywhere.
#[cfg(not(target_os = "linux"))]
pub fn stay_on(_: usize) {}
