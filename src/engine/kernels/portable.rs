//! Plain loops over unpacked groups, which compilers turn into vectors: the tier for every machine.

use super::super::weights::{Matrix, PANEL, Tile, UNIT, f16_to_f32, unpack};
use super::activations::{Activations, FloatRows, GROUP, IntRows, SUMS};
use super::block::{Form, Kind};

/// Sets `acc` [rows, 32] to rows `from..` of `x` times one panel.
pub(super) fn panel(w: &Matrix, panel: usize, x: &Activations, from: usize, acc: &mut [f32]) {
    acc.fill(0.0);
    let (kind, m) = (w.kind(), x.rows());
    let mut tile = Tile::new();
    for group in 0..w.groups() {
        if kind.form() != Form::Float {
            unpack(kind, w.group(panel, group), &mut tile);
        }
        for (r, acc) in acc.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            let slot = group * m + from + r;
            match kind.form() {
                Form::Float => float(w, panel, group, x.float(), slot, acc),
                Form::By32 => by_32(w, group, &tile, x.by_32(), slot, acc),
                Form::By256 => by_256(kind, &tile, x.by_256(), slot, acc),
            }
        }
    }
}

fn float(
    w: &Matrix,
    panel: usize,
    group: usize,
    x: &FloatRows,
    slot: usize,
    acc: &mut [f32; PANEL],
) {
    let size = w.kind().block_bytes();
    let columns = GROUP.min(w.cols() - group * GROUP);
    let weights = &w.panel(panel)[group * GROUP * PANEL * size..];
    for (x, w_row) in x.x[slot * GROUP..][..columns].iter().zip(weights.chunks(PANEL * size)) {
        for (acc, b) in acc.iter_mut().zip(w_row.chunks_exact(size)) {
            let weight = match w.kind() {
                Kind::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
                Kind::F16 => f16_to_f32(u16::from_le_bytes([b[0], b[1]])),
                _ => f32::from_bits((u16::from_le_bytes([b[0], b[1]]) as u32) << 16),
            };
            *acc = weight.mul_add(*x, *acc);
        }
    }
}

fn by_32(w: &Matrix, group: usize, t: &Tile, x: &IntRows, slot: usize, acc: &mut [f32; PANEL]) {
    let blocks = (GROUP / 32).min(w.cols() / 32 - group * (GROUP / 32));
    for b in 0..blocks {
        let minus_sum = x.minus_sum[slot * 8 + b];
        let mut sum = [w.kind().offset() * minus_sum; PANEL];
        let q = &t.q[b * 8 * UNIT..(b + 1) * 8 * UNIT];
        multiply(q, &x.q[slot * GROUP + b * 32..][..32], &mut sum);
        for row in 0..PANEL {
            let mut term = t.d[b][row] * sum[row] as f32;
            if w.kind().has_min() {
                term = t.m[b][row].mul_add(-minus_sum as f32, term);
            }
            acc[row] = x.d[slot * 8 + b].mul_add(term, acc[row]);
        }
    }
}

fn by_256(kind: Kind, t: &Tile, x: &IntRows, slot: usize, acc: &mut [f32; PANEL]) {
    let mut total = [0; PANEL];
    let mut min_total = [0; PANEL];
    for j in 0..16 {
        let mut sum = [kind.offset() * x.minus_sum[slot * 16 + j]; PANEL];
        let q = &t.q[j * 4 * UNIT..(j + 1) * 4 * UNIT];
        multiply(q, &x.q[slot * GROUP + j * 16..][..16], &mut sum);
        for row in 0..PANEL {
            total[row] += sum[row] * t.scale[j][row];
            if kind.has_min() {
                min_total[row] += t.min[j / 2][row][j % 2] as i32 * x.sum[slot * SUMS + j] as i32;
            }
        }
    }
    for row in 0..PANEL {
        let mut term = t.d[0][row] * total[row] as f32;
        if kind.has_min() {
            term = t.m[0][row].mul_add(min_total[row] as f32, term);
        }
        acc[row] = x.d[slot].mul_add(term, acc[row]);
    }
}

/// Adds to `sum` the products of whole units with the row of activations that starts at `x`.
fn multiply(q: &[u8], x: &[i8], sum: &mut [i32; PANEL]) {
    for (unit, x) in q.chunks_exact(UNIT).zip(x.chunks_exact(4)) {
        for (sum, w) in sum.iter_mut().zip(unit.chunks_exact(4)) {
            for (w, x) in w.iter().zip(x) {
                *sum += *w as i32 * *x as i32;
            }
        }
    }
}
