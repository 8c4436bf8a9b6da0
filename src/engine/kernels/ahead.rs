//! Asking memory for weights before they are needed.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// What is still to be asked of memory for the next group: panels follow each other there, and the
/// hardware's own prefetching ends at each page.
pub(super) struct Ahead {
    next: *const u8,
    lines: usize,
    /// Lines asked for at a time; more would fill the miss buffers and hold up everything.
    step: usize,
}

impl Ahead {
    /// Spread over `blocks` row blocks of eight octets each.
    pub(super) fn new(packed: &[u8], blocks: usize) -> Ahead {
        let lines = packed.len() / 64;
        let next = packed.as_ptr().wrapping_add(packed.len());
        Ahead { next, lines, step: lines.div_ceil(8 * blocks) }
    }

    #[inline(always)]
    pub(super) fn step(&mut self) {
        let lines = self.step.min(self.lines);
        for _ in 0..lines {
            // SAFETY: every x86-64 has SSE; a prefetch of an address that is not ours does nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.next.cast()) };
            self.next = self.next.wrapping_add(64);
        }
        self.lines -= lines;
    }
}
