//! The merge loop that byte-level and SentencePiece BPE share: the best pair first, the leftmost among
//! equals. What a pair is worth is the caller's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A stretch of the text that has become one symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub start: usize,
    /// Bytes; 0 once merged into its left neighbour.
    pub len: usize,
    /// What the caller knows it by.
    pub id: u32,
    prev: usize,
    next: usize,
}

const NONE: usize = usize::MAX;

impl Symbol {
    pub fn new(start: usize, len: usize, id: u32) -> Symbol {
        Symbol { start, len, id, prev: NONE, next: NONE }
    }
}

/// Cost, left index, right index, bytes of both, id of the merged symbol.
type Pair = (u32, usize, usize, usize, u32);

/// Buffers that are kept from word to word.
#[derive(Default)]
pub(super) struct Merger {
    pub symbols: Vec<Symbol>,
    pairs: BinaryHeap<Reverse<Pair>>,
}

impl Merger {
    /// Merges `symbols` until no pair is left. `pair` tells the cost (less is sooner) and the id of
    /// two neighbours' union.
    pub fn merge(&mut self, pair: impl Fn(&Symbol, &Symbol) -> Option<(u32, u32)>) {
        let Merger { symbols, pairs } = self;
        pairs.clear();
        let count = symbols.len();
        for (i, symbol) in symbols.iter_mut().enumerate() {
            symbol.prev = if i == 0 { NONE } else { i - 1 };
            symbol.next = if i + 1 == count { NONE } else { i + 1 };
        }
        let propose = |symbols: &[Symbol], left: usize, right: usize| {
            let (l, r) = (symbols.get(left)?, symbols.get(right)?);
            let (cost, id) = pair(l, r)?;
            Some(Reverse((cost, left, right, l.len + r.len, id)))
        };
        pairs.extend((1..count).filter_map(|right| propose(symbols, right - 1, right)));
        while let Some(Reverse((_, left, right, len, id))) = pairs.pop() {
            let (l, r) = (symbols[left], symbols[right]);
            // A symbol only grows to the right, so equal lengths mean that neither has changed.
            if l.len == 0 || r.len == 0 || l.len + r.len != len {
                continue;
            }
            symbols[right].len = 0;
            symbols[left] = Symbol { len, id, next: r.next, ..l };
            if let Some(after) = symbols.get_mut(r.next) {
                after.prev = left;
            }
            pairs.extend(propose(symbols, l.prev, left));
            pairs.extend(propose(symbols, left, r.next));
        }
    }

    /// The symbols that are left, in order.
    pub fn merged(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(|symbol| symbol.len > 0)
    }
}
