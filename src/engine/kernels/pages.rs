//! Large zeroed buffers, on huge pages where the system has them.

use std::alloc::Layout;
use std::ptr::NonNull;

/// A huge page of x86-64 and of most aarch64 kernels.
const HUGE_PAGE: usize = 2 << 20;

/// A cache line.
const LINE: usize = 64;

/// Items of which zeroed bytes are a value.
pub(in crate::engine) trait Zeroed: Copy + Send + Sync {}

impl Zeroed for u8 {}
impl Zeroed for u16 {}

/// Zeroed items that start on a cache line, or on a huge page where they fill some. The system hands out
/// large ones as they are first touched.
pub(in crate::engine) struct Pages<T: Zeroed> {
    start: NonNull<T>,
    len: usize,
    source: Source,
}

/// Where the memory came from, and how it goes back.
enum Source {
    Allocator(Layout),
    #[cfg(target_os = "linux")]
    Map {
        start: NonNull<libc::c_void>,
        len: usize,
    },
}

// SAFETY: the items are owned by this value and reached through it alone.
unsafe impl<T: Zeroed> Send for Pages<T> {}
// SAFETY: as above; shared access only reads.
unsafe impl<T: Zeroed> Sync for Pages<T> {}

impl<T: Zeroed> Pages<T> {
    /// # Panics
    /// Where `len` is 0 or the bytes exceed the address space.
    pub(in crate::engine) fn zeroed(len: usize) -> Pages<T> {
        let layout = Layout::array::<T>(len).and_then(|layout| layout.align_to(LINE));
        let layout = layout.expect("a buffer is far below isize::MAX");
        assert!(layout.size() > 0, "a buffer holds something");
        #[cfg(target_os = "linux")]
        if layout.size() >= 2 * HUGE_PAGE
            && let Some((start, source)) = map(layout.size())
        {
            return Pages { start: start.cast(), len, source };
        }
        // SAFETY: the layout is not empty.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { std::alloc::handle_alloc_error(layout) };
        Pages { start: start.cast(), len, source: Source::Allocator(layout) }
    }
}

/// Maps `size` bytes from a huge page's start on; none where the system refuses.
#[cfg(target_os = "linux")]
fn map(size: usize) -> Option<(NonNull<u8>, Source)> {
    // Not the allocator: for an alignment above its own it writes the zeros, on one thread and before
    // the advice is given.
    let len = size.checked_add(HUGE_PAGE)?;
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the system's choice.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return None;
    }
    let mapped = NonNull::new(mapped)?;
    let before = mapped.as_ptr().align_offset(HUGE_PAGE);
    // SAFETY: `before` is less than HUGE_PAGE, by which the mapping is longer than `size`.
    let start = unsafe { mapped.cast::<u8>().add(before) };
    // Prefetchers and the TLB stop at small pages. Only whole huge pages are named, so that no more
    // memory is taken than `size`. Advice: a refusal changes only the speed.
    let whole = size & !(HUGE_PAGE - 1);
    // SAFETY: the range lies within the mapping.
    unsafe { libc::madvise(start.as_ptr().cast(), whole, libc::MADV_HUGEPAGE) };
    Some((start, Source::Map { start: mapped, len }))
}

impl<T: Zeroed> std::ops::Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many items were allocated, and zeroed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> std::ops::DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> Drop for Pages<T> {
    fn drop(&mut self) {
        match self.source {
            // SAFETY: allocated in `zeroed` with this layout.
            Source::Allocator(layout) => unsafe {
                std::alloc::dealloc(self.start.as_ptr().cast(), layout);
            },
            #[cfg(target_os = "linux")]
            // SAFETY: mapped in `map` with this length; nothing refers to it any more.
            Source::Map { start, len } => unsafe {
                libc::munmap(start.as_ptr(), len);
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_buffers_are_zero_aligned_and_writable() {
        for len in [1, 63, HUGE_PAGE, 2 * HUGE_PAGE, 5 * HUGE_PAGE / 2 + 7] {
            let mut pages = Pages::<u16>::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.as_ptr().addr().is_multiple_of(LINE));
            assert!(pages.iter().all(|&item| item == 0));
            pages.fill(7);
            assert_eq!(pages[len - 1], 7);
        }
    }
}
