//! What a model takes in memory, and what of it fits.

use std::fmt;

use super::architecture::Architecture;
use super::batch::logits_rows;
use super::gguf::Gguf;
use super::kv::{KvStore, blocks_for};
use super::linear::Linear;
use super::model::Model;
use super::scheduler::SPARE_BLOCKS;
use crate::base::limits::KV_BLOCK_TOKENS;

/// How the stated memory is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    pub weights_bytes: u64,
    pub buffers_bytes: u64,
    pub kv_blocks: usize,
    /// The longest sequence.
    pub context: usize,
}

/// A model that does not fit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    pub stated: u64,
    pub weights: u64,
    pub buffers: u64,
    /// For one sequence of `context` tokens.
    pub kv: u64,
    pub context: usize,
    pub slots: usize,
    /// The longest context that would fit; 0 where none would.
    pub context_that_fits: usize,
    /// The most slots that would fit with this context; 0 where none would.
    pub slots_that_fit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let needed = self.weights + self.buffers + self.kv;
        write!(
            f,
            "the model needs {} MiB (weights {}, buffers for {} slots {}, KV cache of one sequence \
             of {} tokens {}), and memory is limited to {} MiB; what would fit: memory = \"{}MiB\"",
            mib(needed),
            mib(self.weights),
            self.slots,
            mib(self.buffers),
            self.context,
            mib(self.kv),
            self.stated >> 20,
            mib(needed),
        )?;
        if self.slots_that_fit > 0 {
            write!(f, ", or {} slots", self.slots_that_fit)?;
        }
        if self.context_that_fits > 0 {
            write!(f, ", or a context of {} tokens", self.context_that_fits)?;
        }
        Ok(())
    }
}

impl std::error::Error for TooLarge {}

/// Divides `stated` bytes: weights, buffers, and the rest for the KV cache, as far as it is of use.
pub(super) fn divide(
    gguf: &Gguf,
    a: &Architecture,
    (rows, slots, context): (usize, usize, usize),
    stated: u64,
) -> Result<Division, TooLarge> {
    let tensors = gguf.tensors();
    let weights = tensors.values().map(|&(dtype, elements)| Linear::bytes(dtype, elements)).sum();
    let buffers = |slots: usize| Model::buffer_bytes(a, rows, logits_rows(slots));
    let block = KvStore::block_bytes(a.heads, a.layers);
    let blocks_of = |context: usize| blocks_for(context) + SPARE_BLOCKS;
    let blocks_left = |slots: usize| stated.saturating_sub(weights + buffers(slots)) / block;
    let fits = |slots: usize| blocks_left(slots) >= blocks_of(context) as u64;
    if !fits(slots) {
        let blocks = (blocks_left(slots) as usize).saturating_sub(SPARE_BLOCKS);
        return Err(TooLarge {
            stated,
            weights,
            buffers: buffers(slots),
            kv: blocks_of(context) as u64 * block,
            context,
            slots,
            context_that_fits: blocks * KV_BLOCK_TOKENS,
            slots_that_fit: (1..slots).rev().find(|&slots| fits(slots)).unwrap_or(0),
        });
    }
    // More than every slot can fill is of no use.
    let most = slots.saturating_mul(blocks_of(context));
    let kv_blocks = usize::try_from(blocks_left(slots)).unwrap_or(usize::MAX).min(most);
    Ok(Division { weights_bytes: weights, buffers_bytes: buffers(slots), kv_blocks, context })
}
