//! Asking the system for large pages of memory, under buffers that are read from end to end in every step.
//!
//! With pages of 4 KiB every 64 lines wait for a walk through the page tables, which a virtual machine makes
//! twice as long, and what was asked for ahead waits with them.

/// Asks for large pages under `buffer`, of which nothing has been written yet. A system that has none to
/// give goes on with small ones.
#[cfg(target_os = "linux")]
pub(in crate::engine) fn ask_for_large<T>(buffer: &[T]) {
    /// The smallest page of every machine that we build for.
    const PAGE: usize = 4096;
    let bytes = buffer.as_ptr_range();
    let from = bytes.start.addr().next_multiple_of(PAGE);
    let end = bytes.end.addr() & !(PAGE - 1);
    if from < end {
        let start = bytes.start.cast_mut().wrapping_byte_add(from - bytes.start.addr());
        // SAFETY: whole pages of `buffer`; MADV_HUGEPAGE changes how they are backed, never what they hold.
        unsafe { libc::madvise(start.cast(), end - from, libc::MADV_HUGEPAGE) };
    }
}

/// Elsewhere the system decides.
#[cfg(not(target_os = "linux"))]
pub(in crate::engine) fn ask_for_large<T>(_: &[T]) {}
