//! The two layers of a page and the exact map between them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Where each byte of the model layer comes from in the verbatim layer.
///
/// A list of segments in ascending order that together cover both layers. A segment whose two sides
/// have the same length is byte-for-byte equal; any other is a replacement (a joined line end, a
/// ligature) that maps only as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetMap {
    /// `(model_end, verbatim_end, equal)` of each segment; each starts where the one before ended.
    segments: Vec<(u32, u32, bool)>,
}

impl OffsetMap {
    /// Appends `len` bytes that are the same in both layers.
    pub fn push_equal(&mut self, len: usize) {
        self.push(len, len, true);
    }

    /// Appends `model` bytes of the model layer that stand for `verbatim` bytes of the other.
    pub fn push_replaced(&mut self, model: usize, verbatim: usize) {
        self.push(model, verbatim, false);
    }

    fn push(&mut self, model: usize, verbatim: usize, equal: bool) {
        if model == 0 && verbatim == 0 {
            return;
        }
        let (model_start, verbatim_start) = self.ends();
        let end = (model_start + model as u32, verbatim_start + verbatim as u32, equal);
        match self.segments.last_mut() {
            Some(last) if last.2 && equal => *last = end,
            _ => self.segments.push(end),
        }
    }

    /// Lengths of the model and the verbatim layer.
    pub fn ends(&self) -> (u32, u32) {
        self.segments.last().map_or((0, 0), |&(model, verbatim, _)| (model, verbatim))
    }

    /// The bytes of the verbatim layer that the bytes `model` of the model layer stand for. A
    /// replacement that is touched counts whole.
    pub fn to_verbatim(&self, model: Range<u32>) -> Range<u32> {
        if model.is_empty() {
            let at = self.segment_at(model.start).map_or(self.ends().1, |(m, v, equal, _)| {
                if equal { v + (model.start - m) } else { v }
            });
            return at..at;
        }
        let start = match self.segment_at(model.start) {
            Some((m, v, true, _)) => v + (model.start - m),
            Some((_, v, false, _)) => v,
            None => self.ends().1,
        };
        let end = match self.segment_at(model.end - 1) {
            Some((m, v, true, _)) => v + (model.end - m),
            Some((_, _, false, verbatim_end)) => verbatim_end,
            None => self.ends().1,
        };
        start..end.max(start)
    }

    /// The segment that holds byte `at` of the model layer: its starts, whether it is equal, its
    /// verbatim end.
    fn segment_at(&self, at: u32) -> Option<(u32, u32, bool, u32)> {
        let index = self.segments.partition_point(|&(model_end, _, _)| model_end <= at);
        let &(_, verbatim_end, equal) = self.segments.get(index)?;
        let (model, verbatim) = match index.checked_sub(1) {
            Some(before) => (self.segments[before].0, self.segments[before].1),
            None => (0, 0),
        };
        Some((model, verbatim, equal, verbatim_end))
    }

    /// Whether the map covers exactly these lengths, ascends, and equal segments are equal. A map
    /// that comes from another process is checked once, by this.
    pub fn fits(&self, model: &str, verbatim: &str) -> bool {
        let (mut m, mut v) = (0u32, 0u32);
        for &(model_end, verbatim_end, equal) in &self.segments {
            let model_part = model.get(m as usize..model_end as usize);
            let verbatim_part = verbatim.get(v as usize..verbatim_end as usize);
            match (model_part, verbatim_part) {
                (Some(a), Some(b)) if !equal || a == b => {}
                _ => return false,
            }
            (m, v) = (model_end, verbatim_end);
        }
        (m as usize, v as usize) == (model.len(), verbatim.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_range_maps_to_the_verbatim_bytes_it_stands_for() {
        // verbatim "of\nthe ﬁle", model "of the file"
        let mut map = OffsetMap::default();
        map.push_equal(2);
        map.push_replaced(1, 1);
        map.push_equal(4);
        map.push_replaced(2, 3); // ﬁ is three bytes
        map.push_equal(2);
        assert!(map.fits("of the file", "of\nthe ﬁle"));
        assert_eq!(map.to_verbatim(3..6), 3..6);
        assert_eq!(map.to_verbatim(7..11), 7..12);
        assert_eq!(map.to_verbatim(8..9), 7..10, "half a ligature counts whole");
        assert_eq!(map.to_verbatim(0..11), 0..12);
        assert_eq!(map.to_verbatim(11..11), 12..12);
    }

    #[test]
    fn a_forged_map_is_found() {
        let mut map = OffsetMap::default();
        map.push_equal(3);
        assert!(!map.fits("abc", "abd"));
        assert!(!map.fits("abcd", "abcd"));
        assert!(map.fits("abc", "abc"));
    }
}
