//! AVX-512 with VNNI: 32 rows of weights by up to six rows of activations in registers.
//!
//! VPDPBUSD adds four products of an unsigned and a signed byte to each of 16 int32 without
//! saturating. Weights are the unsigned side; offsets enter as the starting value of a sum.

use std::arch::x86_64::*;

use super::super::weights::{Matrix, PANEL, Tile, UNIT, unpack};
use super::activations::{self, Activations, GROUP, IntRows};
use super::block::{Form, Kind};

/// Evidence that this machine has the features named on the functions below.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx512Vnni {
    _proof: (),
}

/// Rows of activations in one register block: 24 accumulators, and 8 registers to work with.
const ROWS: usize = 6;

impl Avx512Vnni {
    pub(super) fn detect() -> Option<Avx512Vnni> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma"))
        .then_some(Avx512Vnni { _proof: () })
    }

    pub(super) fn panel(
        self,
        w: &Matrix,
        panel: usize,
        x: &Activations,
        from: usize,
        acc: &mut [f32],
    ) {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { run(w, panel, x, from, acc) }
    }

    pub(super) fn quantize_256(
        self,
        x: &[f32],
        q: &mut [i8],
        d: &mut [f32],
        minus: &mut [i32],
        sum: &mut [i16],
    ) {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { quantize_256(x, q, d, minus, sum) }
    }

    pub(super) fn quantize_32(self, x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32]) {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { quantize_32(x, q, d, minus) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn quantize_256(x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32], sum: &mut [i16]) {
    activations::quantize_256(x, q, d, minus, sum);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn quantize_32(x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32]) {
    activations::quantize_32(x, q, d, minus);
}

/// Sets `acc` [rows, 32] to rows `from..` of `x` times one panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn run(w: &Matrix, panel: usize, x: &Activations, from: usize, acc: &mut [f32]) {
    acc.fill(0.0);
    let acc = acc.as_chunks_mut::<PANEL>().0;
    match w.kind() {
        Kind::F32 | Kind::F16 | Kind::Bf16 => run_float(w, panel, x, from, acc),
        Kind::Q4_0 => run_int::<{ Kind::Q4_0 as u8 }>(w, panel, x.by_32(), x.rows(), from, acc),
        Kind::Q4_1 => run_int::<{ Kind::Q4_1 as u8 }>(w, panel, x.by_32(), x.rows(), from, acc),
        Kind::Q5_0 => run_int::<{ Kind::Q5_0 as u8 }>(w, panel, x.by_32(), x.rows(), from, acc),
        Kind::Q5_1 => run_int::<{ Kind::Q5_1 as u8 }>(w, panel, x.by_32(), x.rows(), from, acc),
        Kind::Q8_0 => run_int::<{ Kind::Q8_0 as u8 }>(w, panel, x.by_32(), x.rows(), from, acc),
        Kind::Q2K => run_int::<{ Kind::Q2K as u8 }>(w, panel, x.by_256(), x.rows(), from, acc),
        Kind::Q3K => run_int::<{ Kind::Q3K as u8 }>(w, panel, x.by_256(), x.rows(), from, acc),
        Kind::Q4K => run_int::<{ Kind::Q4K as u8 }>(w, panel, x.by_256(), x.rows(), from, acc),
        Kind::Q5K => run_int::<{ Kind::Q5K as u8 }>(w, panel, x.by_256(), x.rows(), from, acc),
        Kind::Q6K => run_int::<{ Kind::Q6K as u8 }>(w, panel, x.by_256(), x.rows(), from, acc),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn run_int<const KIND: u8>(
    w: &Matrix,
    panel: usize,
    x: &IntRows,
    m: usize,
    from: usize,
    acc: &mut [[f32; PANEL]],
) {
    let mut tile = Tile::new();
    for group in 0..w.groups() {
        let packed = w.group(panel, group);
        unpack(Kind::ALL[KIND as usize], packed, &mut tile);
        let blocks = 8.min(w.cols() / 32 - group * 8);
        let mut slot = group * m + from;
        let mut rest = &mut acc[..];
        // Blocks of nearly equal height: 16 rows are 6 + 5 + 5.
        for left in (1..=rest.len().div_ceil(ROWS)).rev() {
            let rows = rest.len().div_ceil(left);
            let (now, later) = rest.split_at_mut(rows);
            match rows {
                1 => block::<KIND, 1>(&tile, blocks, x, slot, now),
                2 => block::<KIND, 2>(&tile, blocks, x, slot, now),
                3 => block::<KIND, 3>(&tile, blocks, x, slot, now),
                4 => block::<KIND, 4>(&tile, blocks, x, slot, now),
                5 => block::<KIND, 5>(&tile, blocks, x, slot, now),
                _ => block::<KIND, 6>(&tile, blocks, x, slot, now),
            }
            slot += rows;
            rest = later;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block<const KIND: u8, const M: usize>(
    tile: &Tile,
    blocks: usize,
    x: &IntRows,
    slot: usize,
    acc: &mut [[f32; PANEL]],
) {
    let acc = acc.first_chunk_mut::<M>().expect("as many accumulators as rows");
    let q = &x.q[slot * GROUP..(slot + M) * GROUP];
    match Kind::ALL[KIND as usize].form() {
        Form::By32 => block_32::<KIND, M>(
            tile,
            blocks,
            q,
            x.d[slot * 8..(slot + M) * 8].as_chunks().0,
            x.minus_sum[slot * 8..(slot + M) * 8].as_chunks().0,
            acc,
        ),
        _ => block_256::<KIND, M>(
            tile,
            q,
            &x.d[slot..slot + M],
            x.minus_sum[slot * 16..(slot + M) * 16].as_chunks().0,
            x.sum[slot * 16..(slot + M) * 16].as_chunks().0,
            acc,
        ),
    }
}

/// One group of a K type: `acc[r] += dx[r] * (d * total - dmin * min_total)`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block_256<const KIND: u8, const M: usize>(
    tile: &Tile,
    q: &[i8],
    dx: &[f32],
    minus_sum: &[[i32; 16]],
    sum: &[[i16; 16]],
    acc: &mut [[f32; PANEL]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    // Units that share a scale.
    let units = if matches!(kind, Kind::Q4K | Kind::Q5K) { 8 } else { 4 };
    assert!(q.len() == M * GROUP && minus_sum.len() == M && sum.len() == M && dx.len() == M);
    let zero = _mm512_setzero_si512();
    let mut total = [[zero; 2]; M];
    for part in 0..64 / units {
        let mut s = [[zero; 2]; M];
        if kind.offset() > 0 {
            for r in 0..M {
                let minus = _mm512_set1_epi32(minus_sum[r][part]);
                s[r] = [times_offset::<KIND>(minus); 2];
            }
        }
        multiply(tile, part * units, units, q, &mut s);
        let scale = &tile.scale[part * units / 4];
        let scale = [load_i32(scale, 0), load_i32(scale, 1)];
        for r in 0..M {
            for h in 0..2 {
                let scaled = _mm512_mullo_epi32(s[r][h], scale[h]);
                total[r][h] = _mm512_add_epi32(total[r][h], scaled);
            }
        }
    }
    let mut min_total = [[zero; 2]; M];
    if kind.has_min() {
        for (pair, min) in tile.min.iter().enumerate() {
            let min = min.as_flattened().as_chunks::<PANEL>().0;
            // SAFETY: each is 64 bytes.
            let min = unsafe { [_mm512_loadu_si512(min[0].as_ptr().cast()), _mm512_loadu_si512(min[1].as_ptr().cast())] };
            for r in 0..M {
                // SAFETY: pair < 8, and `sum[r]` holds eight pairs.
                let x = unsafe { sum[r].as_ptr().cast::<i32>().add(pair).read_unaligned() };
                for h in 0..2 {
                    min_total[r][h] =
                        _mm512_dpwssd_epi32(min_total[r][h], min[h], _mm512_set1_epi32(x));
                }
            }
        }
    }
    for h in 0..2 {
        let (d, m) = (load_f32(&tile.d[0], h), load_f32(&tile.m[0], h));
        for r in 0..M {
            let mut term = _mm512_mul_ps(d, _mm512_cvtepi32_ps(total[r][h]));
            if kind.has_min() {
                term = _mm512_fmadd_ps(m, _mm512_cvtepi32_ps(min_total[r][h]), term);
            }
            let sum = _mm512_fmadd_ps(_mm512_set1_ps(dx[r]), term, load_f32(&acc[r], h));
            store_f32(&mut acc[r], h, sum);
        }
    }
}

/// One group of a legacy type: `acc[r] += dx[r] * (d * sum + min * x_sum)` for each block of 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block_32<const KIND: u8, const M: usize>(
    tile: &Tile,
    blocks: usize,
    q: &[i8],
    dx: &[[f32; 8]],
    minus_sum: &[[i32; 8]],
    acc: &mut [[f32; PANEL]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    assert!(q.len() == M * GROUP && minus_sum.len() == M && dx.len() == M && blocks <= 8);
    let mut y = [[_mm512_setzero_ps(); 2]; M];
    for r in 0..M {
        y[r] = [load_f32(&acc[r], 0), load_f32(&acc[r], 1)];
    }
    for b in 0..blocks {
        let mut s = [[_mm512_setzero_si512(); 2]; M];
        if kind.offset() > 0 {
            for r in 0..M {
                s[r] = [times_offset::<KIND>(_mm512_set1_epi32(minus_sum[r][b])); 2];
            }
        }
        multiply(tile, b * 8, 8, q, &mut s);
        let d = [load_f32(&tile.d[b], 0), load_f32(&tile.d[b], 1)];
        let m = [load_f32(&tile.m[b], 0), load_f32(&tile.m[b], 1)];
        for r in 0..M {
            let scale = _mm512_set1_ps(dx[r][b]);
            let minus = _mm512_cvtepi32_ps(_mm512_set1_epi32(minus_sum[r][b]));
            for h in 0..2 {
                let mut term = _mm512_mul_ps(d[h], _mm512_cvtepi32_ps(s[r][h]));
                if kind.has_min() {
                    // m * x_sum, exactly as m * -(minus).
                    term = _mm512_fnmadd_ps(m[h], minus, term);
                }
                y[r][h] = _mm512_fmadd_ps(scale, term, y[r][h]);
            }
        }
    }
    for r in 0..M {
        store_f32(&mut acc[r], 0, y[r][0]);
        store_f32(&mut acc[r], 1, y[r][1]);
    }
}

/// Adds to `s` the products of `count` units from `first` on with M rows of activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn multiply<const M: usize>(
    tile: &Tile,
    first: usize,
    count: usize,
    q: &[i8],
    s: &mut [[__m512i; 2]; M],
) {
    debug_assert!(first + count <= 64 && q.len() == M * GROUP);
    for unit in first..first + count {
        // SAFETY: a tile has 64 units of 128 bytes, and is aligned to 64.
        let w0 = unsafe { _mm512_load_si512(tile.q.as_ptr().add(unit * UNIT).cast()) };
        // SAFETY: as above.
        let w1 = unsafe { _mm512_load_si512(tile.q.as_ptr().add(unit * UNIT + 64).cast()) };
        for r in 0..M {
            // SAFETY: unit < 64, r < M, and `q` holds M rows of 256 bytes.
            let x = unsafe { q.as_ptr().add(r * GROUP + unit * 4).cast::<i32>().read_unaligned() };
            let x = _mm512_set1_epi32(x);
            s[r][0] = _mm512_dpbusd_epi32(s[r][0], w0, x);
            s[r][1] = _mm512_dpbusd_epi32(s[r][1], w1, x);
        }
    }
}

/// Offsets are powers of two.
#[inline]
#[target_feature(enable = "avx512f")]
fn times_offset<const KIND: u8>(v: __m512i) -> __m512i {
    match Kind::ALL[KIND as usize].offset() {
        4 => _mm512_slli_epi32::<2>(v),
        8 => _mm512_slli_epi32::<3>(v),
        16 => _mm512_slli_epi32::<4>(v),
        32 => _mm512_slli_epi32::<5>(v),
        128 => _mm512_slli_epi32::<7>(v),
        _ => _mm512_setzero_si512(),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn run_float(w: &Matrix, panel: usize, x: &Activations, from: usize, acc: &mut [[f32; PANEL]]) {
    for group in 0..w.groups() {
        let columns = GROUP.min(w.cols() - group * GROUP);
        let size = w.kind().block_bytes();
        let weights = &w.panel(panel)[group * GROUP * PANEL * size..][..columns * PANEL * size];
        let slot = group * x.rows() + from;
        for (i, acc) in acc.chunks_mut(ROWS).enumerate() {
            let rows = &x.float().x[(slot + i * ROWS) * GROUP..][..acc.len() * GROUP];
            match w.kind() {
                Kind::F32 => block_float::<0>(weights, rows, acc),
                Kind::F16 => block_float::<1>(weights, rows, acc),
                _ => block_float::<2>(weights, rows, acc),
            }
        }
    }
}

/// Up to six rows times one group of float weights (0: f32, 1: f16, 2: bf16), columns ascending.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block_float<const TYPE: u8>(weights: &[u8], x: &[f32], acc: &mut [[f32; PANEL]]) {
    let size = if TYPE == 0 { 4 } else { 2 };
    let mut y = [[_mm512_setzero_ps(); 2]; ROWS];
    for (y, acc) in y.iter_mut().zip(&*acc) {
        *y = [load_f32(acc, 0), load_f32(acc, 1)];
    }
    for (j, column) in weights.chunks_exact(PANEL * size).enumerate() {
        let w = [load_float::<TYPE>(column, 0), load_float::<TYPE>(column, 1)];
        for (y, x) in y.iter_mut().zip(x.chunks_exact(GROUP)) {
            let x = _mm512_set1_ps(x[j]);
            y[0] = _mm512_fmadd_ps(w[0], x, y[0]);
            y[1] = _mm512_fmadd_ps(w[1], x, y[1]);
        }
    }
    for (y, acc) in y.iter().zip(acc) {
        store_f32(acc, 0, y[0]);
        store_f32(acc, 1, y[1]);
    }
}

/// Half `h` of one column of float weights.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn load_float<const TYPE: u8>(column: &[u8], h: usize) -> __m512 {
    if TYPE == 0 {
        let half = &column[h * 64..h * 64 + 64];
        // SAFETY: `half` is 64 bytes.
        return unsafe { _mm512_loadu_ps(half.as_ptr().cast()) };
    }
    let half = &column[h * 32..h * 32 + 32];
    // SAFETY: `half` is 32 bytes.
    let bits = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
    if TYPE == 1 {
        _mm512_cvtph_ps(bits)
    } else {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_i32(row: &[i32; PANEL], h: usize) -> __m512i {
    let half = &row[h * 16..h * 16 + 16];
    // SAFETY: `half` is 64 bytes.
    unsafe { _mm512_loadu_si512(half.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_f32(row: &[f32; PANEL], h: usize) -> __m512 {
    let half = &row[h * 16..h * 16 + 16];
    // SAFETY: `half` is 64 bytes.
    unsafe { _mm512_loadu_ps(half.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_f32(row: &mut [f32; PANEL], h: usize, value: __m512) {
    let half = &mut row[h * 16..h * 16 + 16];
    // SAFETY: `half` is 64 bytes.
    unsafe { _mm512_storeu_ps(half.as_mut_ptr(), value) }
}
