//! Rows of activations, written down once for all matrices that read them.
//!
//! Everything is cut into groups of 256 columns, group-major: `[k / 256][m][256]`. A kernel that holds one
//! group of a weight panel then reads its activations front to back. Buffers are reused from step to step.

use super::Tier;
use super::block::Form;
use super::pool::{Pool, SharedMut};
use super::scalar::AMAX_MIN;

/// Columns in one group.
pub(in crate::engine) const GROUP: usize = 256;

/// Items of `IntRows::sum` in one group of one row.
pub(super) const SUMS: usize = 16 + 8;

/// 1.5 * 2^23: adding it rounds to the nearest integer, ties to even, into the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;

/// Rows that one task quantizes.
const ROWS_PER_TASK: usize = 8;

/// The input of one or more matrix products, in the forms that their weights ask for.
pub struct Activations {
    tier: Tier,
    m: usize,
    k: usize,
    float: Option<FloatRows>,
    by_32: Option<IntRows>,
    by_256: Option<IntRows>,
}

/// `[groups][m][256]`; columns past k are zero.
#[derive(Default)]
pub(super) struct FloatRows {
    pub x: Vec<f32>,
}

/// int8 rows with their scales and sums.
#[derive(Default)]
pub(super) struct IntRows {
    /// `[groups][m][256]`; columns past k are zero.
    pub q: Vec<i8>,
    /// By 256: `[groups][m]`; by 32: `[groups][m][8]`.
    pub d: Vec<f32>,
    /// Negated sums of `q`. By 256: of each 16, `[groups][m][16]`; by 32: of each 32, `[groups][m][8]`.
    pub minus_sum: Vec<i32>,
    /// By 256 only: sums of `q`, of each 16 and then of each 32, `[groups][m][16 + 8]`.
    pub sum: Vec<i16>,
}

impl Activations {
    /// Empty; what it holds is written and multiplied by `tier`.
    pub fn new(tier: Tier) -> Activations {
        Activations { tier, m: 0, k: 0, float: None, by_32: None, by_256: None }
    }

    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.m
    }

    /// Columns of each row.
    pub fn cols(&self) -> usize {
        self.k
    }

    /// Bytes that a row of `k` takes in the two integer forms.
    pub fn row_bytes(k: usize) -> usize {
        k.div_ceil(GROUP) * (GROUP + 4 + 16 * 4 + SUMS * 2 + GROUP + 8 * (4 + 4))
    }

    /// Takes over `x` [m, k] in each of `forms`; what was held before is gone. `k` is a multiple of the
    /// block length of each form.
    pub fn set(&mut self, pool: &Pool, x: &[f32], k: usize, forms: &[Form]) {
        let tier = self.tier;
        assert!(k > 0 && x.len().is_multiple_of(k), "{} values are no rows of {k}", x.len());
        self.m = x.len() / k;
        self.k = k;
        if forms.contains(&Form::Float) {
            self.float.get_or_insert_default().set(x, k);
        }
        set_int(&mut self.by_32, pool, tier, x, k, 32, forms.contains(&Form::By32));
        set_int(&mut self.by_256, pool, tier, x, k, 256, forms.contains(&Form::By256));
    }

    pub(super) fn float(&self) -> &FloatRows {
        self.float.as_ref().expect("the caller of `set` named every form that its matrices need")
    }

    pub(super) fn by_32(&self) -> &IntRows {
        self.by_32.as_ref().expect("the caller of `set` named every form that its matrices need")
    }

    pub(super) fn by_256(&self) -> &IntRows {
        self.by_256.as_ref().expect("the caller of `set` named every form that its matrices need")
    }
}

impl FloatRows {
    fn set(&mut self, x: &[f32], k: usize) {
        let (m, groups) = (x.len() / k, k.div_ceil(GROUP));
        self.x.resize(groups * m * GROUP, 0.0);
        for (r, row) in x.chunks(k).enumerate() {
            for (g, part) in row.chunks(GROUP).enumerate() {
                let at = (g * m + r) * GROUP;
                self.x[at..at + part.len()].copy_from_slice(part);
                self.x[at + part.len()..at + GROUP].fill(0.0);
            }
        }
    }
}

fn set_int(
    rows: &mut Option<IntRows>,
    pool: &Pool,
    tier: Tier,
    x: &[f32],
    k: usize,
    block: usize,
    wanted: bool,
) {
    // Kept when not wanted: its buffers serve a later step.
    if !wanted {
        return;
    }
    assert!(k.is_multiple_of(block), "rows of {k} have no whole blocks of {block}");
    let (m, groups) = (x.len() / k, k.div_ceil(GROUP));
    let rows = rows.get_or_insert_default();
    let (scales, sums) = if block == 256 { (1, 16) } else { (8, 8) };
    rows.q.resize(groups * m * GROUP, 0);
    rows.d.resize(groups * m * scales, 0.0);
    rows.minus_sum.resize(groups * m * sums, 0);
    rows.sum.resize(if block == 256 { groups * m * SUMS } else { 0 }, 0);
    let q = SharedMut(rows.q.as_mut_ptr());
    let d = SharedMut(rows.d.as_mut_ptr());
    let minus_sum = SharedMut(rows.minus_sum.as_mut_ptr());
    let sum = SharedMut(rows.sum.as_mut_ptr());
    pool.run(m.div_ceil(ROWS_PER_TASK), &|task| {
        for r in task * ROWS_PER_TASK..m.min((task + 1) * ROWS_PER_TASK) {
            for (g, part) in x[r * k..(r + 1) * k].chunks(GROUP).enumerate() {
                let slot = g * m + r;
                // SAFETY: slot < groups * m, and (row, group) belongs to this task alone.
                let q = unsafe { std::slice::from_raw_parts_mut(q.at(slot * GROUP), GROUP) };
                // SAFETY: as above.
                let d = unsafe { std::slice::from_raw_parts_mut(d.at(slot * scales), scales) };
                // SAFETY: as above.
                let minus_sum =
                    unsafe { std::slice::from_raw_parts_mut(minus_sum.at(slot * sums), sums) };
                if block == 256 {
                    // SAFETY: as above; only by 256 has `sum` any items.
                    let sum = unsafe { std::slice::from_raw_parts_mut(sum.at(slot * SUMS), SUMS) };
                    tier.quantize_256(part, q, d, minus_sum, sum);
                } else {
                    tier.quantize_32(part, q, d, minus_sum);
                }
            }
        }
    });
}

/// One group of one row as a block of 256.
#[inline(always)]
pub(super) fn quantize_256(
    x: &[f32],
    q: &mut [i8],
    d: &mut [f32],
    minus_sum: &mut [i32],
    sum: &mut [i16],
) {
    d[0] = quantize_block(x, q);
    for ((q, minus), sum) in q.chunks_exact(16).zip(minus_sum).zip(&mut *sum) {
        let total: i32 = q.iter().map(|q| *q as i32).sum();
        (*minus, *sum) = (-total, total as i16);
    }
    for j in 0..8 {
        sum[16 + j] = sum[2 * j] + sum[2 * j + 1];
    }
}

/// One group of one row as blocks of 32; the blocks past its end are zero.
#[inline(always)]
pub(super) fn quantize_32(x: &[f32], q: &mut [i8], d: &mut [f32], minus_sum: &mut [i32]) {
    q[x.len()..].fill(0);
    d.fill(0.0);
    minus_sum.fill(0);
    for (((x, q), d), minus) in x.chunks_exact(32).zip(q.chunks_exact_mut(32)).zip(d).zip(minus_sum)
    {
        *d = quantize_block(x, q);
        *minus = -q.iter().map(|q| *q as i32).sum::<i32>();
    }
}

/// As `scalar::quantize`, in operations that every tier's compiler turns into vectors.
#[inline(always)]
fn quantize_block(x: &[f32], q: &mut [i8]) -> f32 {
    // Bits of magnitudes order as the magnitudes do, with NaN above infinity.
    let bits = x.iter().fold(0, |a: u32, v| a.max(v.to_bits() & 0x7fff_ffff));
    let amax = f32::from_bits(bits);
    if !amax.is_finite() || amax < AMAX_MIN {
        q.fill(0);
        return if amax < AMAX_MIN { 0.0 } else { f32::NAN };
    }
    let inverse = 127.0 / amax;
    for (q, v) in q.iter_mut().zip(x) {
        *q = (v * inverse + ROUND).to_bits() as i8;
    }
    amax / 127.0
}
