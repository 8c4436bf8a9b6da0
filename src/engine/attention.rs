//! Attention over the paged KV cache. A result depends on the row's own query and keys only: keys
//! are taken in blocks of 32 in order, with a running maximum and sum (Dao et al., FlashAttention,
//! 2022), and inside of a block every sum has one order.
//!
//! Not here: where a sequence's blocks lie (`kv`), and what a row is (`model`).

use std::cell::RefCell;
use std::ops::Range;

use half::f16;

use super::kernels::Tier;
use super::kernels::simd::{Cell, LANES, Simd, Vectorized};
use super::kv::KvStore;
use super::math::exp;
use super::model::Run;
use super::pool::Pool;
use crate::base::limits::KV_BLOCK_TOKENS;

/// Rows of one sequence that are attended together. No result depends on it.
const TILE_ROWS: usize = 16;

/// Queries that go over a block of keys side by side where the registers hold 32 vectors, and where
/// they hold fewer.
const QUERIES_MAX: usize = 6;
const QUERIES_FEW: usize = 2;

/// From so many parts of queries on a block is widened from f16 once for all of them.
const PARTS_WIDENED_FROM: usize = 3;

/// Queries that go over a block side by side.
#[inline(always)]
const fn at_once<S: Simd>() -> usize {
    if S::REGISTERS < 32 { QUERIES_FEW } else { QUERIES_MAX }
}

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

/// How the rows of a step are cut into tasks; the same for every layer.
#[derive(Default)]
pub(super) struct Plan {
    tiles: Vec<Tile>,
    /// Where the part of each task ends in the results: all tiles of the first key head, and so on.
    ends: Vec<usize>,
}

/// Some consecutive rows of one run.
#[derive(Clone, Copy)]
struct Tile {
    run: usize,
    /// Position of the first row in its sequence.
    position: usize,
    /// Index of the first row in the batch.
    row: usize,
    rows: usize,
}

/// What a thread needs for one tile; grows once.
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

impl Plan {
    /// Plans the rows at these positions of each run.
    pub(super) fn set(&mut self, heads: Heads, runs: impl Iterator<Item = Range<usize>>) {
        self.tiles.clear();
        self.ends.clear();
        let mut row = 0;
        for (run, positions) in runs.enumerate() {
            for position in positions.clone().step_by(TILE_ROWS) {
                let rows = TILE_ROWS.min(positions.end - position);
                self.tiles.push(Tile { run, position, row, rows });
                row += rows;
            }
        }
        let mut end = 0;
        for _ in 0..heads.kv_heads {
            for tile in &self.tiles {
                end += tile.rows * heads.group() * heads.head_dim;
                self.ends.push(end);
            }
        }
    }
}

/// Attends every row of `runs` to the keys of its sequence up to and with itself.
///
/// `q` is [rows, heads × head_dim], rotated and already divided by √head_dim. `split` is scratch of
/// the same size, written as [kv_heads, rows, group × head_dim]; `out` is as `q`.
pub(super) fn attend(
    (pool, tier): (&Pool, Tier),
    heads: Heads,
    (kv, layer): (&KvStore, usize),
    runs: &[Run],
    plan: &Plan,
    q: &[f32],
    split: &mut [f32],
    out: &mut [f32],
) {
    let split = &mut split[..q.len()];
    pool.run_parts(split, &plan.ends, &|task, out| {
        let (head, tile) = (task / plan.tiles.len(), plan.tiles[task % plan.tiles.len()]);
        let blocks = runs[tile.run].blocks;
        SCRATCH.with_borrow_mut(|scratch| {
            tier.run(TileAttention { heads, kv, layer, blocks, tile, head, q, scratch, out });
        });
    });
    let width = heads.group() * heads.head_dim;
    let row_width = heads.heads * heads.head_dim;
    let of_head = q.len() / heads.kv_heads;
    pool.run_chunks(out, TILE_ROWS * row_width, &|task, out| {
        for (row, out) in out.chunks_exact_mut(row_width).enumerate() {
            let from = (task * TILE_ROWS + row) * width;
            for (head, out) in out.chunks_exact_mut(width).enumerate() {
                out.copy_from_slice(&split[head * of_head + from..][..width]);
            }
        }
    });
}

/// One tile and one key head. `out` is [tile.rows, group × head_dim].
struct TileAttention<'a> {
    heads: Heads,
    kv: &'a KvStore,
    layer: usize,
    blocks: &'a [u32],
    tile: Tile,
    head: usize,
    q: &'a [f32],
    scratch: &'a mut Scratch,
    out: &'a mut [f32],
}

impl Vectorized for TileAttention<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let TileAttention { heads, kv, layer, blocks, tile, head, q, scratch, out } = self;
        let (group, dim) = (heads.group(), heads.head_dim);
        let queries = tile.rows * group;
        let Scratch { keys: wide_keys, values: wide_values, running } = scratch;
        running.clear();
        running.resize(queries, (f32::NEG_INFINITY, 0.0));
        out.fill(0.0);
        let last = (tile.position + tile.rows - 1) / KV_BLOCK_TOKENS;
        for block in 0..=last {
            let (keys, values) = kv.read(blocks[block], layer, head);
            // Blocks lie apart: the hardware does not foresee the next one.
            let ahead = match block < last {
                true => kv.read(blocks[block + 1], layer, head),
                false => (&[][..], &[][..]),
            };
            let start = block * KV_BLOCK_TOKENS;
            let queries = Queries {
                q,
                heads,
                head,
                tile,
                start,
                // The first row that sees a key of this block.
                range: start.saturating_sub(tile.position) * group..queries,
            };
            if queries.range.len().div_ceil(at_once::<S>()) >= PARTS_WIDENED_FROM {
                wide_keys.resize(dim * KV_BLOCK_TOKENS, 0.0);
                wide_values.resize(dim * KV_BLOCK_TOKENS, 0.0);
                widen(s, keys, wide_keys);
                widen(s, values, wide_values);
                queries.attend(s, wide_keys, wide_values, ahead, running, out);
            } else {
                queries.attend(s, keys, values, ahead, running, out);
            }
        }
        for (out, (_, sum)) in out.chunks_exact_mut(dim).zip(&*running) {
            let scale = 1.0 / sum;
            out.iter_mut().for_each(|x| *x *= scale);
        }
    }
}

#[inline(always)]
fn widen<S: Simd>(s: S, from: &[f16], to: &mut [f32]) {
    for (from, to) in from.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
        s.store(s.load_f16(from), to);
    }
}

/// Queries of one tile that see keys of one block.
struct Queries<'a> {
    q: &'a [f32],
    heads: Heads,
    head: usize,
    tile: Tile,
    /// Position of the block's first key.
    start: usize,
    range: Range<usize>,
}

impl Queries<'_> {
    /// Takes one block, `keys` [head_dim, 32] and `values` [32, head_dim], into the running maxima and
    /// sums of all queries and into `out` [queries, head_dim].
    #[inline(always)]
    fn attend<S: Simd, C: Cell>(
        &self,
        s: S,
        keys: &[C],
        values: &[C],
        mut ahead: (&[f16], &[f16]),
        running: &mut [(f32, f32)],
        out: &mut [f32],
    ) {
        let at_once = at_once::<S>();
        let mut first = self.range.start;
        while first < self.range.end {
            // Parts of nearly equal size: seven queries are four and three.
            let left = self.range.end - first;
            let count = left.div_ceil(left.div_ceil(at_once));
            let (running, out) = (&mut *running, &mut *out);
            match count {
                1 => self.part::<S, C, 1>(s, first, keys, values, ahead, running, out),
                2 => self.part::<S, C, 2>(s, first, keys, values, ahead, running, out),
                3 => self.part::<S, C, 3>(s, first, keys, values, ahead, running, out),
                4 => self.part::<S, C, 4>(s, first, keys, values, ahead, running, out),
                5 => self.part::<S, C, 5>(s, first, keys, values, ahead, running, out),
                _ => self.part::<S, C, 6>(s, first, keys, values, ahead, running, out),
            }
            ahead = (&[], &[]);
            first += count;
        }
    }

    /// `N` of the queries, from `first` on.
    #[inline(always)]
    fn part<S: Simd, C: Cell, const N: usize>(
        &self,
        s: S,
        first: usize,
        keys: &[C],
        values: &[C],
        ahead: (&[f16], &[f16]),
        running: &mut [(f32, f32)],
        out: &mut [f32],
    ) {
        let Heads { heads, head_dim: dim, .. } = self.heads;
        let group = self.heads.group();
        // Loops, since what `array::from_fn` calls would stay compiled for the baseline.
        let mut queries: [&[f32]; N] = [&[]; N];
        let mut seen = [0; N];
        for n in 0..N {
            let (row, query) = ((first + n) / group, (first + n) % group);
            let at = (self.tile.row + row) * heads + self.head * group + query;
            queries[n] = &self.q[at * dim..(at + 1) * dim];
            seen[n] = (self.tile.position + row + 1 - self.start).min(KV_BLOCK_TOKENS);
        }
        let mut scores = score(s, keys, queries, ahead);
        let running = running[first..].first_chunk_mut().expect("each query has its sums");
        let shrinks = soften(s, &mut scores, seen, running);
        let out = &mut out[first * dim..(first + N) * dim];
        // Keys that all of the queries see, then those that only later ones see.
        let common = seen.into_iter().min().unwrap_or(0);
        let mut at = 0;
        while at < dim {
            let place = (dim, at);
            at += if S::REGISTERS >= 32 && dim - at >= 4 * LANES {
                weigh::<S, C, N, 4>(s, &scores, common, &shrinks, values, place, out)
            } else if dim - at >= 2 * LANES {
                weigh::<S, C, N, 2>(s, &scores, common, &shrinks, values, place, out)
            } else {
                weigh::<S, C, N, 1>(s, &scores, common, &shrinks, values, place, out)
            };
        }
        for ((weights, seen), out) in scores.iter().zip(seen).zip(out.chunks_exact_mut(dim)) {
            for j in common..seen {
                let row = values[j * dim..(j + 1) * dim].as_chunks().0;
                for (out, row) in out.as_chunks_mut().0.iter_mut().zip(row) {
                    let sum = s.mul_add(s.splat(weights[j]), C::load(s, row), s.load(out));
                    s.store(sum, out);
                }
            }
        }
    }
}

/// Scores or weights of one query for the keys of one block.
type Row = [f32; KV_BLOCK_TOKENS];

/// `scores[n][j] = queries[n] · keys[.., j]`, each one chain of fused multiply-adds over the head.
/// `keys` is [head_dim, 32].
#[inline(always)]
fn score<S: Simd, C: Cell, const N: usize>(
    s: S,
    keys: &[C],
    mut queries: [&[f32]; N],
    ahead: (&[f16], &[f16]),
) -> [Row; N] {
    let keys = keys.as_chunks::<KV_BLOCK_TOKENS>().0;
    let ahead = (ahead.0.as_chunks::<KV_BLOCK_TOKENS>().0, ahead.1.as_chunks().0);
    for q in &mut queries {
        *q = &q[..keys.len()];
    }
    let mut sums = [[s.splat(0.0); 2]; N];
    for (d, row) in keys.iter().enumerate() {
        if let (Some(line), Some(other)) = (ahead.0.get(d), ahead.1.get(d)) {
            let _: &[f16; KV_BLOCK_TOKENS] = other;
            s.prefetch(line);
            s.prefetch(other);
        }
        let halves = row.as_chunks().0;
        let row = [C::load(s, &halves[0]), C::load(s, &halves[1])];
        for n in 0..N {
            let q = s.splat(queries[n][d]);
            sums[n] = [s.mul_add(q, row[0], sums[n][0]), s.mul_add(q, row[1], sums[n][1])];
        }
    }
    let mut scores = [[0.0; KV_BLOCK_TOKENS]; N];
    for (scores, sums) in scores.iter_mut().zip(sums) {
        for (scores, sum) in scores.as_chunks_mut().0.iter_mut().zip(sums) {
            s.store(sum, scores);
        }
    }
    scores
}

/// Turns scores, of which the first `seen` count, into weights eˢ⁻ᵐ with the new running maximum m, takes
/// them into the running sums, and returns by what each query's earlier weights shrink.
#[inline(always)]
fn soften<S: Simd, const N: usize>(
    s: S,
    scores: &mut [Row; N],
    seen: [usize; N],
    running: &mut [(f32, f32); N],
) -> [f32; N] {
    let mut shrinks = [0.0f32; LANES];
    for n in 0..N {
        for x in &mut scores[n][seen[n]..] {
            *x = f32::NEG_INFINITY;
        }
        let halves = scores[n].as_chunks().0;
        let old = running[n].0;
        // A NaN score is no maximum, and still reaches the sum. The sign of a zero reaches nothing.
        let max = s.max(s.load(&halves[1]), s.max(s.load(&halves[0]), s.splat(old)));
        let max = s.greatest(max);
        running[n].0 = max;
        shrinks[n] = old - max;
        for x in &mut scores[n] {
            *x = exp(*x - max);
        }
    }
    for shrink in &mut shrinks {
        *shrink = exp(*shrink);
    }
    for n in 0..N {
        let halves = scores[n].as_chunks().0;
        let sum = s.sum(s.add(s.load(&halves[0]), s.load(&halves[1])));
        running[n].1 = running[n].1.mul_add(shrinks[n], sum);
    }
    *shrinks.first_chunk().expect("fewer queries than lanes")
}

/// `out[n][d] = shrinks[n] · out[n][d] + Σ weights[n][j] · values[j][d]`, in ascending j below `seen`,
/// for `W` vectors of elements d from `at` on; returns how many elements that is.
#[inline(always)]
fn weigh<S: Simd, C: Cell, const N: usize, const W: usize>(
    s: S,
    weights: &[Row; N],
    seen: usize,
    shrinks: &[f32; N],
    values: &[C],
    (dim, at): (usize, usize),
    out: &mut [f32],
) -> usize {
    let mut sums = [[s.splat(0.0); W]; N];
    for n in 0..N {
        let out = out[n * dim + at..][..W * LANES].as_chunks().0;
        for w in 0..W {
            sums[n][w] = s.mul(s.load(&out[w]), s.splat(shrinks[n]));
        }
    }
    for (j, row) in values.chunks_exact(dim).take(seen.min(KV_BLOCK_TOKENS)).enumerate() {
        let row = row[at..][..W * LANES].as_chunks().0;
        for w in 0..W {
            let value = C::load(s, &row[w]);
            for n in 0..N {
                sums[n][w] = s.mul_add(s.splat(weights[n][j]), value, sums[n][w]);
            }
        }
    }
    for n in 0..N {
        let out = out[n * dim + at..][..W * LANES].as_chunks_mut().0;
        for w in 0..W {
            s.store(sums[n][w], &mut out[w]);
        }
    }
    W * LANES
}
