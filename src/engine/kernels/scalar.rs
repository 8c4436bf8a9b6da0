//! The specification of every matrix product: y[m, n] = x[m, k] · w[n, k], one output at a time.
//!
//! Whatever a fast kernel computes must equal this bit for bit. What an output is a function of: its
//! row of weights and its row of activations, nothing else.

use super::block::{Form, Kind, read_32, read_256, read_float};

/// The scale below which a block of activations counts as zero: 127 / amax must stay finite.
pub const AMAX_MIN: f32 = 1e-30;

/// Activations of one block: `d * q`, |q| <= 127.
///
/// d = amax / 127 and q = x * (127 / amax) rounded to nearest, ties to even; zeros where amax is below
/// `AMAX_MIN`. A block that holds a value that is not finite has d = NaN, so damage cannot hide.
pub fn quantize(x: &[f32]) -> (f32, Vec<i8>) {
    let amax = x.iter().fold(0.0f32, |a, v| if v.is_nan() { f32::NAN } else { a.max(v.abs()) });
    if !x.iter().all(|v| v.is_finite()) {
        return (f32::NAN, vec![0; x.len()]);
    }
    if amax < AMAX_MIN {
        return (0.0, vec![0; x.len()]);
    }
    let inverse = 127.0 / amax;
    (amax / 127.0, x.iter().map(|v| (v * inverse).round_ties_even() as i8).collect())
}

/// One output: a row of weights as GGUF has it, times a row of activations.
pub fn dot(kind: Kind, w: &[u8], x: &[f32]) -> f32 {
    match kind.form() {
        Form::Float => dot_float(kind, w, x),
        Form::By32 => dot_32(kind, w, x),
        Form::By256 => dot_256(kind, w, x),
    }
}

/// y[m, n] for `w` [n, k] and `x` [m, k].
pub fn matmul(kind: Kind, w: &[u8], x: &[f32], k: usize, y: &mut [f32]) {
    let row_bytes = k / kind.block_len() * kind.block_bytes();
    let n = w.len() / row_bytes;
    for (x, y) in x.chunks(k).zip(y.chunks_mut(n)) {
        for (w, y) in w.chunks(row_bytes).zip(y) {
            *y = dot(kind, w, x);
        }
    }
}

/// Ascending, one fused multiply-add each.
fn dot_float(kind: Kind, w: &[u8], x: &[f32]) -> f32 {
    let weights = w.chunks(kind.block_bytes()).map(|b| read_float(kind, b));
    weights.zip(x).fold(0.0, |acc, (w, x)| w.mul_add(*x, acc))
}

/// Exact integers per block of 32, then one fused multiply-add per block in ascending order.
fn dot_32(kind: Kind, w: &[u8], x: &[f32]) -> f32 {
    let mut acc = 0.0f32;
    for (w, x) in w.chunks(kind.block_bytes()).zip(x.chunks(32)) {
        let (w, (dx, x)) = (read_32(kind, w), quantize(x));
        let mut sum = 0i32;
        let mut x_sum = 0i32;
        for (q, x) in w.q.iter().zip(&x) {
            sum += (*q as i32 - kind.offset()) * *x as i32;
            x_sum += *x as i32;
        }
        let mut term = w.d * sum as f32;
        if kind.has_min() {
            term = w.min.mul_add(x_sum as f32, term);
        }
        acc = dx.mul_add(term, acc);
    }
    acc
}

/// Exact integers per block of 256, the scales of its parts among them; the rest as in `dot_32`.
fn dot_256(kind: Kind, w: &[u8], x: &[f32]) -> f32 {
    let mut acc = 0.0f32;
    for (w, x) in w.chunks(kind.block_bytes()).zip(x.chunks(256)) {
        let (w, (dx, x)) = (read_256(kind, w), quantize(x));
        let mut sum = 0i32;
        let mut min_sum = 0i32;
        for j in 0..256 {
            sum += w.scale[j / 16] as i32 * (w.q[j] as i32 - kind.offset()) * x[j] as i32;
            min_sum += w.min[j / 16] as i32 * x[j] as i32;
        }
        let mut term = w.d * sum as f32;
        if kind.has_min() {
            term = (-w.dmin).mul_add(min_sum as f32, term);
        }
        acc = dx.mul_add(term, acc);
    }
    acc
}
