//! The paged KV cache: who holds which block (`Blocks`), and what lies in it (`KvStore`).
//!
//! A block is 32 tokens of one sequence over all layers. Blocks are reference-counted; only a block
//! with a single holder is written. Not here: who may have how many (`scheduler`).

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::attention::Heads;
use super::kernels::pages::ask_for_large;
use crate::base::limits::KV_BLOCK_TOKENS;

/// The number of a block.
pub(super) type BlockId = u32;

/// Blocks that cover `tokens` tokens.
pub(super) fn blocks_for(tokens: usize) -> usize {
    tokens.div_ceil(KV_BLOCK_TOKENS)
}

/// The count of holders of every block.
pub(super) struct Blocks {
    holders: Vec<u32>,
    /// Last in, first out, so that few pages of memory are touched.
    free: Vec<BlockId>,
}

impl Blocks {
    pub(super) fn new(count: usize) -> Blocks {
        Blocks { holders: vec![0; count], free: (0..count as BlockId).rev().collect() }
    }

    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        self.holders.len()
    }

    /// A fresh block with one holder. The caller has seen `free`.
    pub(super) fn take(&mut self) -> BlockId {
        let block = self.free.pop().expect("admission counts the free blocks first");
        self.holders[block as usize] = 1;
        block
    }

    /// One holder more.
    pub(super) fn share(&mut self, block: BlockId) {
        assert!(self.holders[block as usize] > 0, "a free block is never shared");
        self.holders[block as usize] += 1;
    }

    /// One holder less; the last one frees the block.
    pub(super) fn release(&mut self, block: BlockId) {
        let holders = &mut self.holders[block as usize];
        *holders = holders.checked_sub(1).expect("a block is released once by each holder");
        if *holders == 0 {
            self.free.push(block);
        }
    }

    #[cfg(test)]
    pub(super) fn holders(&self, block: BlockId) -> u32 {
        self.holders[block as usize]
    }
}

/// The keys and values themselves, f16 rounded to nearest even.
///
/// `[block][layer][kv head][keys: head_dim × 32, values: 32 × head_dim]`: keys lie across, so that the
/// scores of 32 keys are 32 independent sums.
pub(super) struct KvStore {
    heads: Heads,
    layers: usize,
    /// Bits of f16, so that the zeros come from the system, untouched until they are written.
    cells: Vec<u16>,
    /// One head's key or value on its way to f16.
    rounded: Vec<f16>,
}

impl KvStore {
    /// Room for `blocks` blocks; the system hands out the memory as it is first written.
    pub(super) fn new(heads: Heads, layers: usize, blocks: usize) -> KvStore {
        let cells = vec![0; blocks * block_cells(heads, layers)];
        ask_for_large(&cells);
        KvStore { heads, layers, cells, rounded: vec![f16::from_bits(0); heads.head_dim] }
    }

    /// Bytes of one block.
    pub(super) fn block_bytes(heads: Heads, layers: usize) -> u64 {
        (block_cells(heads, layers) * size_of::<u16>()) as u64
    }

    /// The keys [head_dim, 32] and values [32, head_dim] of one block, layer and head.
    pub(super) fn read(&self, block: BlockId, layer: usize, head: usize) -> (&[f16], &[f16]) {
        let start = self.start(block, layer, head);
        let half = self.heads.head_dim * KV_BLOCK_TOKENS;
        self.cells[start..start + 2 * half].reinterpret_cast().split_at(half)
    }

    /// Writes one token's keys and values [kv_heads, head_dim] at `offset` in `block`.
    pub(super) fn write(
        &mut self,
        (block, offset): (BlockId, usize),
        layer: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let dim = self.heads.head_dim;
        for head in 0..self.heads.kv_heads {
            let start = self.start(block, layer, head);
            let (keys, values) = (&keys[head * dim..][..dim], &values[head * dim..][..dim]);
            self.rounded.convert_from_f32_slice(keys);
            let cells = &mut self.cells[start..start + 2 * dim * KV_BLOCK_TOKENS];
            let cells: &mut [f16] = cells.reinterpret_cast_mut();
            let across = cells[offset..].iter_mut().step_by(KV_BLOCK_TOKENS);
            across.zip(&self.rounded).for_each(|(cell, key)| *cell = *key);
            let start = (KV_BLOCK_TOKENS + offset) * dim;
            cells[start..start + dim].convert_from_f32_slice(values);
        }
    }

    /// Copies a block that is only partly full, before its new holder writes on in it.
    pub(super) fn copy(&mut self, from: BlockId, to: BlockId) {
        let cells = block_cells(self.heads, self.layers);
        let from = from as usize * cells;
        self.cells.copy_within(from..from + cells, to as usize * cells);
    }

    fn start(&self, block: BlockId, layer: usize, head: usize) -> usize {
        let heads = &self.heads;
        let index = (block as usize * self.layers + layer) * heads.kv_heads + head;
        index * 2 * heads.head_dim * KV_BLOCK_TOKENS
    }
}

fn block_cells(heads: Heads, layers: usize) -> usize {
    2 * heads.kv_heads * heads.head_dim * layers * KV_BLOCK_TOKENS
}
