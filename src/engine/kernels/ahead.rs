//! Asking memory for lines before they are needed: weights to be read, outputs to be written.

use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use super::super::weights::PANEL;

/// What is still to be asked of memory for the groups to come, since the hardware's own prefetching ends at
/// each page: panels follow each other there. The next group is to be in the first cache; the one after it on
/// its way to the second, where sixteen miss buffers are no limit.
pub(super) struct Ahead {
    next: *const u8,
    /// Bytes of a group.
    group: usize,
    lines: usize,
    /// Lines asked for at a time; more would fill the miss buffers and hold up everything.
    step: usize,
}

impl Ahead {
    /// Asked for in so many `steps`.
    pub(super) fn new(packed: &[u8], steps: usize) -> Ahead {
        let lines = packed.len() / 64;
        let next = packed.as_ptr().wrapping_add(packed.len());
        Ahead { next, group: packed.len(), lines, step: lines.div_ceil(steps) }
    }

    #[inline(always)]
    pub(super) fn step(&mut self) {
        let lines = self.step.min(self.lines);
        for _ in 0..lines {
            // SAFETY: every x86-64 has SSE; a prefetch of an address that is not ours does nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.next.cast()) };
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.next.wrapping_add(self.group).cast()) };
            self.next = self.next.wrapping_add(64);
        }
        self.lines -= lines;
    }
}

/// Asks for the lines where the next panel's outputs of a row will be written, `row` being this panel's. Rows
/// of outputs lie far apart, and each would be waited for by itself: a fifth of the time for 256 rows.
#[inline(always)]
pub(super) fn to_write_next(row: &[f32]) {
    let next = row.as_ptr().wrapping_add(PANEL);
    // SAFETY: every x86-64 has SSE; a prefetch of an address that is not ours does nothing.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(next.cast()) };
    // SAFETY: as above.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(next.wrapping_add(16).cast()) };
}
