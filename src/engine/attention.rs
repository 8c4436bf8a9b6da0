//! Attention over the paged KV cache. A result depends on the row's own query and keys only: keys
//! are taken in blocks of 32 in order, with a running maximum and sum (Dao et al., FlashAttention,
//! 2022), and inside of a block every sum has one order.
//!
//! Not here: where a sequence's blocks lie (`kv`), and what a row is (`model`).

use std::cell::RefCell;
use std::sync::Mutex;

use half::f16;

use super::kv::KvStore;
use super::math::{LANES, exp, fold};
use super::model::Run;
use super::pool::Pool;
use super::wide::wide;
use crate::base::limits::KV_BLOCK_TOKENS;

/// Rows of one sequence that are attended together, so that a block is converted from f16 once for
/// all of them. No result depends on it.
const TILE_ROWS: usize = 16;

/// Queries that go over a block of keys side by side, to have independent chains in flight.
const QUERIES: usize = 4;

/// The sizes of one attention layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; a divisor of `heads`.
    pub kv_heads: usize,
    /// Elements of one head, a multiple of 16.
    pub head_dim: usize,
}

impl Heads {
    /// Query heads that share one key head.
    pub(super) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// Some consecutive rows of one run.
#[derive(Clone, Copy)]
struct Tile<'a> {
    blocks: &'a [u32],
    /// Position of the first row in its sequence.
    position: usize,
    /// Index of the first row in the batch.
    row: usize,
    rows: usize,
}

/// What a thread needs for one block; allocated once a thread.
#[derive(Default)]
struct Scratch {
    /// [head_dim, 32]
    keys: Vec<f32>,
    /// [32, head_dim]
    values: Vec<f32>,
    /// Running maximum and sum of each query of the tile.
    running: Vec<(f32, f32)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Attends every row of `runs` to the keys of its sequence up to and with itself.
///
/// `q` is [rows, heads × head_dim], rotated and already divided by √head_dim. `split` is scratch of
/// the same size, written as [kv_heads, rows, group × head_dim]; `out` is as `q`.
pub(super) fn attend(
    pool: &Pool,
    heads: Heads,
    (kv, layer): (&KvStore, usize),
    runs: &[Run],
    q: &[f32],
    split: &mut [f32],
    out: &mut [f32],
) {
    let width = heads.group() * heads.head_dim;
    let rows = q.len() / (heads.heads * heads.head_dim);
    let tiles = tiles(runs);
    // One task is one tile and one key head; each has its own part of `split`.
    let mut tasks = Vec::with_capacity(tiles.len() * heads.kv_heads);
    for (head, mut rest) in split[..q.len()].chunks_exact_mut(rows * width).enumerate() {
        for tile in &tiles {
            let (part, after) = rest.split_at_mut(tile.rows * width);
            rest = after;
            tasks.push((*tile, head, Mutex::new(part)));
        }
    }
    pool.run(tasks.len(), &|task| {
        let (tile, head, part) = &tasks[task];
        let mut part = part.try_lock().expect("a task runs once");
        SCRATCH.with_borrow_mut(|scratch| {
            attend_tile(heads, (kv, layer), *tile, *head, q, scratch, &mut part);
        });
    });
    drop(tasks);
    for (head, part) in split[..q.len()].chunks_exact(rows * width).enumerate() {
        let row_width = heads.heads * heads.head_dim;
        for (row, part) in out.chunks_exact_mut(row_width).zip(part.chunks_exact(width)) {
            row[head * width..(head + 1) * width].copy_from_slice(part);
        }
    }
}

fn tiles<'a>(runs: &'a [Run]) -> Vec<Tile<'a>> {
    let mut tiles = Vec::new();
    let mut row = 0;
    for run in runs {
        for start in (0..run.tokens.len()).step_by(TILE_ROWS) {
            let rows = TILE_ROWS.min(run.tokens.len() - start);
            let position = run.position + start;
            tiles.push(Tile { blocks: run.blocks, position, row: row + start, rows });
        }
        row += run.tokens.len();
    }
    tiles
}

/// One tile and one key head. `out` is [tile.rows, group × head_dim].
fn attend_tile(
    heads: Heads,
    (kv, layer): (&KvStore, usize),
    tile: Tile,
    head: usize,
    q: &[f32],
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let (group, dim) = (heads.group(), heads.head_dim);
    let queries = tile.rows * group;
    scratch.keys.resize(dim * KV_BLOCK_TOKENS, 0.0);
    scratch.values.resize(dim * KV_BLOCK_TOKENS, 0.0);
    scratch.running.clear();
    scratch.running.resize(queries, (f32::NEG_INFINITY, 0.0));
    out.fill(0.0);
    let query = |i: usize| {
        let start = ((tile.row + i / group) * heads.heads + head * group + i % group) * dim;
        &q[start..start + dim]
    };
    let last = tile.position + tile.rows - 1;
    for block in 0..=last / KV_BLOCK_TOKENS {
        let (keys, values) = kv.read(tile.blocks[block], layer, head);
        widen(keys, &mut scratch.keys);
        widen(values, &mut scratch.values);
        let start = block * KV_BLOCK_TOKENS;
        // The first row that sees a key of this block.
        let first = start.saturating_sub(tile.position) * group;
        for i in (first..queries).step_by(QUERIES) {
            let count = QUERIES.min(queries - i);
            // The last queries may be fewer; then one is scored several times and used once.
            let at = |k: usize| i + k.min(count - 1);
            let mut scores = [[0.0; KV_BLOCK_TOKENS]; QUERIES];
            score(
                &scratch.keys,
                &[query(at(0)), query(at(1)), query(at(2)), query(at(3))],
                &mut scores,
            );
            let seen = |k: usize| (tile.position + at(k) / group + 1 - start).min(KV_BLOCK_TOKENS);
            accumulate(
                &mut scores[..count],
                &[seen(0), seen(1), seen(2), seen(3)],
                &scratch.values,
                &mut scratch.running[i..i + count],
                &mut out[i * dim..(i + count) * dim],
            );
        }
    }
    for (out, (_, sum)) in out.chunks_exact_mut(dim).zip(&scratch.running) {
        let scale = 1.0 / sum;
        out.iter_mut().for_each(|x| *x *= scale);
    }
}

wide! {
    /// `scores[i][j] = queries[i] · keys[.., j]`, each one chain of fused multiply-adds over the head.
    /// `keys` is [head_dim, 32].
    fn score(
        keys: &[f32],
        queries: &[&[f32]; QUERIES],
        scores: &mut [[f32; KV_BLOCK_TOKENS]; QUERIES],
    ) {
        let [q0, q1, q2, q3] = queries;
        let mut sums = [[0.0f32; KV_BLOCK_TOKENS]; QUERIES];
        let rows = keys.chunks_exact(KV_BLOCK_TOKENS);
        for ((((row, q0), q1), q2), q3) in rows.zip(*q0).zip(*q1).zip(*q2).zip(*q3) {
            for (sums, q) in sums.iter_mut().zip([q0, q1, q2, q3]) {
                for j in 0..KV_BLOCK_TOKENS {
                    sums[j] = q.mul_add(row[j], sums[j]);
                }
            }
        }
        *scores = sums;
    }

    /// Takes one block of `scores` of one to four queries, of which the first `seen` count, into their
    /// running maxima and sums and into `out` [queries, head_dim], the weighted sums of `values`
    /// [32, head_dim].
    fn accumulate(
        scores: &mut [[f32; KV_BLOCK_TOKENS]],
        seen: &[usize; QUERIES],
        values: &[f32],
        running: &mut [(f32, f32)],
        out: &mut [f32],
    ) {
        let mut shrinks = [0.0; QUERIES];
        let queries = scores.iter_mut().zip(running).zip(seen).zip(&mut shrinks);
        for (((scores, running), &seen), shrink) in queries {
            scores[seen..].fill(f32::NEG_INFINITY);
            let (old, sum) = *running;
            // A NaN score is no maximum, and still reaches the sum.
            let max = scores.iter().fold(old, |max, &s| if s > max { s } else { max });
            *shrink = exp(old - max);
            for s in scores.iter_mut() {
                *s = exp(*s - max);
            }
            let mut lanes = [0.0f32; LANES];
            for i in 0..LANES {
                lanes[i] = scores[i] + scores[i + LANES];
            }
            *running = (max, sum.mul_add(*shrink, fold(lanes)));
        }
        let dim = out.len() / scores.len();
        // So many elements of so many queries that eight or so chains of sums are in flight.
        match scores.len() {
            1 => weigh_all::<1, 64>(scores, seen, &shrinks, values, dim, out),
            2 => weigh_all::<2, 64>(scores, seen, &shrinks, values, dim, out),
            3 => weigh_all::<3, 32>(scores, seen, &shrinks, values, dim, out),
            _ => weigh_all::<4, 32>(scores, seen, &shrinks, values, dim, out),
        }
    }

    /// The exact f32 of every f16: the fraction and exponent moved to their place, the exponent's bias
    /// set right by a product with a power of two, which also serves the subnormal numbers.
    fn widen(from: &[f16], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            let bits = u32::from(from.to_bits());
            let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
            // Infinity and NaN keep an exponent of all ones.
            let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
            *to = f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16);
        }
    }
}

/// `weigh` over all elements of `N` queries, `W` at a time and 16 at a time for what remains.
#[inline(always)]
fn weigh_all<const N: usize, const W: usize>(
    weights: &[[f32; KV_BLOCK_TOKENS]],
    seen: &[usize; QUERIES],
    shrinks: &[f32; QUERIES],
    values: &[f32],
    dim: usize,
    out: &mut [f32],
) {
    let mut at = 0;
    while at + W <= dim {
        weigh::<N, W>(weights, seen, shrinks, values, (dim, at), out);
        at += W;
    }
    while at < dim {
        weigh::<N, 16>(weights, seen, shrinks, values, (dim, at), out);
        at += 16;
    }
}

/// `out[n][d] = shrinks[n] · out[n][d] + Σ weights[n][j] · values[j][d]`, in ascending j below `seen[n]`,
/// for `W` elements d from `at` on.
#[inline(always)]
fn weigh<const N: usize, const W: usize>(
    weights: &[[f32; KV_BLOCK_TOKENS]],
    seen: &[usize; QUERIES],
    shrinks: &[f32; QUERIES],
    values: &[f32],
    (dim, at): (usize, usize),
    out: &mut [f32],
) {
    let mut sums = [[0.0f32; W]; N];
    for n in 0..N {
        let out = &out[n * dim + at..n * dim + at + W];
        for d in 0..W {
            sums[n][d] = out[d] * shrinks[n];
        }
    }
    // Keys that all of the queries see, then those that only later ones see.
    let common = seen[..N].iter().copied().min().unwrap_or(0);
    for j in 0..common {
        let row = &values[j * dim + at..j * dim + at + W];
        for n in 0..N {
            for d in 0..W {
                sums[n][d] = weights[n][j].mul_add(row[d], sums[n][d]);
            }
        }
    }
    for n in 0..N {
        for j in common..seen[n] {
            let row = &values[j * dim + at..j * dim + at + W];
            for d in 0..W {
                sums[n][d] = weights[n][j].mul_add(row[d], sums[n][d]);
            }
        }
        out[n * dim + at..n * dim + at + W].copy_from_slice(&sums[n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_as_the_standard_says() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0.0; all.len()];
        widen(&all, &mut wide);
        for (narrow, wide) in all.iter().zip(wide) {
            assert!(wide == narrow.to_f32() || wide.is_nan() && narrow.is_nan(), "{narrow:?}");
            assert_eq!(wide.is_sign_negative(), narrow.is_sign_negative());
        }
    }
}
