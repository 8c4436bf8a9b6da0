//! AVX-512 with VNNI: 32 rows of weights by up to six rows of activations in registers.
//!
//! VPDPBUSD adds four products of an unsigned and a signed byte to each of 16 int32 without
//! saturating. Weights are the unsigned side; offsets enter as the starting value of a sum.

use std::arch::x86_64::*;

use super::super::weights::{Matrix, PANEL, UNIT, bytes_per_32, planes};
use super::activations::{self, Activations, GROUP, IntRows, SUMS};
use super::ahead::Ahead;
use super::block::{Form, Kind};
use super::scalar::AMAX_MIN;

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

/// As `activations::quantize_256`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn quantize_256(x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32], sum: &mut [i16]) {
    d[0] = quantize_block(x, q);
    for ((q, minus), sum) in q.as_chunks().0.iter().zip(minus).zip(&mut *sum) {
        let total = sum_16(q);
        (*minus, *sum) = (-total, total as i16);
    }
    for j in 0..8 {
        sum[16 + j] = sum[2 * j] + sum[2 * j + 1];
    }
}

/// As `activations::quantize_32`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn quantize_32(x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32]) {
    q[x.len()..].fill(0);
    d.fill(0.0);
    minus.fill(0);
    for (((x, q), d), minus) in x.chunks_exact(32).zip(q.chunks_exact_mut(32)).zip(d).zip(minus) {
        *d = quantize_block(x, q);
        let halves = q.as_chunks().0;
        *minus = -(sum_16(&halves[0]) + sum_16(&halves[1]));
    }
}

/// As `activations::quantize_block`, for whole vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn quantize_block(x: &[f32], q: &mut [i8]) -> f32 {
    let (x, q) = (x.as_chunks::<16>().0, q.as_chunks_mut::<16>().0);
    let mut bits = _mm512_setzero_si512();
    for x in x {
        let magnitude = _mm512_and_si512(load_bits(x), _mm512_set1_epi32(0x7fff_ffff));
        bits = _mm512_max_epu32(bits, magnitude);
    }
    let amax = f32::from_bits(_mm512_reduce_max_epu32(bits));
    if !amax.is_finite() || amax < AMAX_MIN {
        q.as_flattened_mut().fill(0);
        return if amax < AMAX_MIN { 0.0 } else { f32::NAN };
    }
    let inverse = _mm512_set1_ps(127.0 / amax);
    for (x, q) in x.iter().zip(q) {
        let scaled = _mm512_mul_ps(_mm512_castsi512_ps(load_bits(x)), inverse);
        let rounded = _mm512_add_ps(scaled, _mm512_set1_ps(activations::ROUND));
        let bytes = _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded));
        // SAFETY: `q` is 16 bytes.
        unsafe { _mm_storeu_si128(q.as_mut_ptr().cast(), bytes) };
    }
    amax / 127.0
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bits(x: &[f32; 16]) -> __m512i {
    // SAFETY: `x` is 64 bytes.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}

/// VPSADBW adds unsigned bytes: 128 is added to each, and taken off their sum.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn sum_16(q: &[i8; 16]) -> i32 {
    // SAFETY: `q` is 16 bytes.
    let q = unsafe { _mm_loadu_si128(q.as_ptr().cast()) };
    let sums = _mm_sad_epu8(_mm_xor_si128(q, _mm_set1_epi8(-128)), _mm_setzero_si128());
    _mm_cvtsi128_si32(sums) + _mm_extract_epi16::<4>(sums) - 16 * 128
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
    let mut units = Units::new();
    for group in 0..w.groups() {
        let packed = w.group(panel, group);
        let mut slot = group * m + from;
        let mut rest = &mut acc[..];
        let blocks = rest.len().div_ceil(ROWS);
        let kind = Kind::ALL[KIND as usize];
        let spread = blocks > 2 && planes(kind).0 < 8;
        // A loop over octets without branches is a tenth faster; the lines are few there for each block.
        let steps = if spread && kind == Kind::Q4K { 2 } else { 8 };
        let mut ahead = Ahead::new(packed, steps * blocks);
        if spread {
            units.set::<KIND>(packed);
        }
        let units = &units.0;
        // Blocks of nearly equal height: 16 rows are 6 + 5 + 5.
        for left in (1..=blocks).rev() {
            let rows = rest.len().div_ceil(left);
            let (now, later) = rest.split_at_mut(rows);
            match (rows, spread) {
                (1, _) => block::<KIND, false, 1>(packed, units, &mut ahead, x, slot, now),
                (2, _) => block::<KIND, false, 2>(packed, units, &mut ahead, x, slot, now),
                (3, _) => block::<KIND, false, 3>(packed, units, &mut ahead, x, slot, now),
                (4, false) => block::<KIND, false, 4>(packed, units, &mut ahead, x, slot, now),
                (5, false) => block::<KIND, false, 5>(packed, units, &mut ahead, x, slot, now),
                (_, false) => block::<KIND, false, 6>(packed, units, &mut ahead, x, slot, now),
                (4, true) => block::<KIND, true, 4>(packed, units, &mut ahead, x, slot, now),
                (5, true) => block::<KIND, true, 5>(packed, units, &mut ahead, x, slot, now),
                (_, true) => block::<KIND, true, 6>(packed, units, &mut ahead, x, slot, now),
            }
            slot += rows;
            rest = later;
        }
    }
}

/// The units of one group, a byte a weight: what more than two blocks of rows multiply is put together once.
/// For two the bytes' way through the cache costs as much as it saves.
#[repr(C, align(64))]
pub(super) struct Units(pub(super) [u8; 64 * UNIT]);

impl Units {
    pub(super) fn new() -> Units {
        Units([0; 64 * UNIT])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
    pub(super) fn set<const KIND: u8>(&mut self, packed: &[u8]) {
        let kind = Kind::ALL[KIND as usize];
        let (low_bits, high_bits) = planes(kind);
        let (low_len, high_len) = (low_bits * UNIT, high_bits * UNIT);
        for (octet, units) in self.0.chunks_exact_mut(8 * UNIT).enumerate() {
            let (low, high) = match kind.form() {
                Form::By32 => {
                    let Some(block) = packed.chunks_exact(bytes_per_32(kind)).nth(octet) else {
                        return;
                    };
                    (&block[..low_len], &block[low_len..][..high_len])
                }
                _ => {
                    let (low, high) = packed.split_at(8 * low_len);
                    (&low[octet * low_len..][..low_len], &high[octet * high_len..][..high_len])
                }
            };
            store_2::<KIND, 0>(low, high, units);
            store_2::<KIND, 1>(low, high, units);
            store_2::<KIND, 2>(low, high, units);
            store_2::<KIND, 3>(low, high, units);
            store_2::<KIND, 4>(low, high, units);
            store_2::<KIND, 5>(low, high, units);
            store_2::<KIND, 6>(low, high, units);
            store_2::<KIND, 7>(low, high, units);
        }
    }
}

/// Both halves of one unit of an octet.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn store_2<const KIND: u8, const UNIT_OF_8: usize>(low: &[u8], high: &[u8], units: &mut [u8]) {
    for h in 0..2 {
        let q = load_unit::<KIND, false, UNIT_OF_8>(low, high, h);
        let unit = &mut units[UNIT_OF_8 * UNIT + h * 64..][..64];
        // SAFETY: `unit` is 64 bytes.
        unsafe { _mm512_storeu_si512(unit.as_mut_ptr().cast(), q) };
    }
}

/// `SPREAD`: the group's weights are read from `units`, not from their planes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block<const KIND: u8, const SPREAD: bool, const M: usize>(
    packed: &[u8],
    units: &[u8; 64 * UNIT],
    ahead: &mut Ahead,
    x: &IntRows,
    slot: usize,
    acc: &mut [[f32; PANEL]],
) {
    let acc = acc.first_chunk_mut::<M>().expect("as many accumulators as rows");
    let q = &x.q[slot * GROUP..(slot + M) * GROUP];
    let weights = (packed, units);
    if Kind::ALL[KIND as usize].form() == Form::By32 {
        let d = x.d[slot * 8..(slot + M) * 8].as_chunks().0;
        let minus_sum = x.minus_sum[slot * 8..(slot + M) * 8].as_chunks().0;
        block_32::<KIND, SPREAD, M>(weights, ahead, q, d, minus_sum, acc);
    } else {
        let minus_sum = x.minus_sum[slot * 16..(slot + M) * 16].as_chunks().0;
        let sum = x.sum[slot * SUMS..(slot + M) * SUMS].as_chunks().0;
        let d = &x.d[slot..slot + M];
        block_256::<KIND, SPREAD, M>(weights, ahead, q, d, minus_sum, sum, acc);
    }
}

/// One group of a K type: `acc[r] += dx[r] * (d * total - dmin * min_total)`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block_256<const KIND: u8, const SPREAD: bool, const M: usize>(
    (packed, units): (&[u8], &[u8; 64 * UNIT]),
    ahead: &mut Ahead,
    q: &[i8],
    dx: &[f32],
    minus_sum: &[[i32; 16]],
    sum: &[[i16; SUMS]],
    acc: &mut [[f32; PANEL]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = planes(kind);
    assert!(q.len() == M * GROUP && minus_sum.len() == M && sum.len() == M && dx.len() == M);
    assert!(packed.len() == 8 * bytes_per_32(kind));
    let (planes, rest) = packed.split_at(8 * (low_bits + high_bits) * UNIT);
    let (scales, rest) = rest.split_at(512);
    let mut total = [[_mm512_setzero_ps(); 2]; M];
    if kind == Kind::Q4K {
        // The sums of four octets times their scales stay below 2^24 (4 · 32 · 15 · 127 · 63), where f32 adds
        // integers exactly; and a fused multiply-add is one instruction, an integer product with its sum
        // three. The two halves together are rounded once, as their integer would be. It stands here and not
        // in a function of its own, because the broadcasts of `multiply` then lost their memory operands.
        for half in 0..2 {
            let mut exact = [[_mm512_setzero_ps(); 2]; M];
            if SPREAD {
                ahead.step();
            }
            for octet in half * 4..half * 4 + 4 {
                if !SPREAD {
                    ahead.step();
                }
                let low = match SPREAD {
                    true => &units[octet * 8 * UNIT..][..8 * UNIT],
                    false => &planes[octet * 4 * UNIT..][..4 * UNIT],
                };
                // SAFETY: `q` is M rows of 256 bytes, and octet < 8.
                let x = unsafe { q.as_ptr().add(octet * 32) };
                let mut s = [[_mm512_setzero_si512(); 2]; M];
                multiply_4::<KIND, SPREAD, M, 0>(low, &[], x, &mut s);
                multiply_4::<KIND, SPREAD, M, 4>(low, &[], x, &mut s);
                for h in 0..2 {
                    let scale = _mm512_cvtepi32_ps(load_u8(&scales[octet * PANEL..], h));
                    for r in 0..M {
                        let s = _mm512_cvtepi32_ps(s[r][h]);
                        exact[r][h] = _mm512_fmadd_ps(s, scale, exact[r][h]);
                    }
                }
            }
            for r in 0..M {
                for h in 0..2 {
                    total[r][h] = _mm512_add_ps(total[r][h], exact[r][h]);
                }
            }
        }
    } else {
        total = totals::<KIND, SPREAD, M>((planes, units), ahead, q, minus_sum, scales);
    }
    let mut min_total = [[_mm512_setzero_si512(); 2]; M];
    if kind.has_min() {
        // Sums of 16 for Q2_K, of 32 for the others, in pairs as VPDPWSSD takes them.
        let (first, pairs) = if kind == Kind::Q2K { (0, 8) } else { (8, 4) };
        for pair in 0..pairs {
            let min = match kind {
                Kind::Q2K => [min_pairs_q2k(scales, pair, 0), min_pairs_q2k(scales, pair, 1)],
                _ => {
                    let row = &scales[256 + pair * 2 * PANEL..];
                    [load_u8_pairs(row, 0), load_u8_pairs(row, 1)]
                }
            };
            for r in 0..M {
                // SAFETY: `sum[r]` holds twelve pairs.
                let x = unsafe { sum[r].as_ptr().cast::<i32>().add(first + pair).read_unaligned() };
                let x = _mm512_set1_epi32(x);
                for h in 0..2 {
                    min_total[r][h] = _mm512_dpwssd_epi32(min_total[r][h], min[h], x);
                }
            }
        }
    }
    for h in 0..2 {
        let d = load_f16(rest, h);
        for r in 0..M {
            let mut term = _mm512_mul_ps(d, total[r][h]);
            if kind.has_min() {
                let dmin = load_f16(&rest[64..], h);
                term = _mm512_fnmadd_ps(dmin, _mm512_cvtepi32_ps(min_total[r][h]), term);
            }
            let sum = _mm512_fmadd_ps(_mm512_set1_ps(dx[r]), term, load_f32(&acc[r], h));
            store_f32(&mut acc[r], h, sum);
        }
    }
}

/// What one group of another K type weighs: its sums times their scales, added as integers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn totals<const KIND: u8, const SPREAD: bool, const M: usize>(
    (planes, units): (&[u8], &[u8; 64 * UNIT]),
    ahead: &mut Ahead,
    q: &[i8],
    minus_sum: &[[i32; 16]],
    scales: &[u8],
) -> [[__m512; 2]; M] {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = self::planes(kind);
    let (low, high) = planes.split_at(8 * low_bits * UNIT);
    let zero = _mm512_setzero_si512();
    let mut total = [[zero; 2]; M];
    for octet in 0..8 {
        ahead.step();
        let (low, high) = match SPREAD {
            true => (&units[octet * 8 * UNIT..][..8 * UNIT], &[][..]),
            false => (
                &low[octet * low_bits * UNIT..][..low_bits * UNIT],
                &high[octet * high_bits * UNIT..][..high_bits * UNIT],
            ),
        };
        // SAFETY: the caller's `q` is M rows of 256 bytes, and octet < 8.
        let x = unsafe { q.as_ptr().add(octet * 32) };
        if kind == Kind::Q5K {
            let mut s = [[zero; 2]; M];
            multiply_4::<KIND, SPREAD, M, 0>(low, high, x, &mut s);
            multiply_4::<KIND, SPREAD, M, 4>(low, high, x, &mut s);
            let scale = &scales[octet * PANEL..];
            add_scaled(&mut total, &s, [load_u8(scale, 0), load_u8(scale, 1)]);
            continue;
        }
        for half in 0..2 {
            let part = octet * 2 + half;
            let mut s = [[zero; 2]; M];
            if kind.offset() > 0 {
                for r in 0..M {
                    s[r] = [times_offset::<KIND>(_mm512_set1_epi32(minus_sum[r][part])); 2];
                }
            }
            if half == 0 {
                multiply_4::<KIND, SPREAD, M, 0>(low, high, x, &mut s);
            } else {
                multiply_4::<KIND, SPREAD, M, 4>(low, high, x, &mut s);
            }
            let scale = &scales[part * PANEL..];
            let scale = match kind {
                Kind::Q2K => [low_nibbles(load_u8(scale, 0)), low_nibbles(load_u8(scale, 1))],
                _ => [load_i8(scale, 0), load_i8(scale, 1)],
            };
            add_scaled(&mut total, &s, scale);
        }
    }
    let mut float = [[_mm512_setzero_ps(); 2]; M];
    for r in 0..M {
        for h in 0..2 {
            float[r][h] = _mm512_cvtepi32_ps(total[r][h]);
        }
    }
    float
}

#[inline]
#[target_feature(enable = "avx512f")]
fn low_nibbles(v: __m512i) -> __m512i {
    _mm512_and_si512(v, _mm512_set1_epi32(15))
}

/// Half `h` of the minima of Q2_K's parts 2 · `pair` and the next, as pairs of int16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn min_pairs_q2k(scales: &[u8], pair: usize, h: usize) -> __m512i {
    let even = _mm512_srli_epi32::<4>(load_u8(&scales[pair * 2 * PANEL..], h));
    let odd = _mm512_srli_epi32::<4>(load_u8(&scales[(pair * 2 + 1) * PANEL..], h));
    _mm512_or_si512(even, _mm512_slli_epi32::<16>(odd))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn add_scaled<const M: usize>(
    total: &mut [[__m512i; 2]; M],
    s: &[[__m512i; 2]; M],
    scale: [__m512i; 2],
) {
    for r in 0..M {
        for h in 0..2 {
            let scaled = _mm512_mullo_epi32(s[r][h], scale[h]);
            total[r][h] = _mm512_add_epi32(total[r][h], scaled);
        }
    }
}

/// One group of a legacy type: `acc[r] += dx[r] * (d * sum + min * x_sum)` for each block of 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn block_32<const KIND: u8, const SPREAD: bool, const M: usize>(
    (packed, units): (&[u8], &[u8; 64 * UNIT]),
    ahead: &mut Ahead,
    q: &[i8],
    dx: &[[f32; 8]],
    minus_sum: &[[i32; 8]],
    acc: &mut [[f32; PANEL]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = planes(kind);
    assert!(q.len() == M * GROUP && minus_sum.len() == M && dx.len() == M);
    let mut y = [[_mm512_setzero_ps(); 2]; M];
    for r in 0..M {
        y[r] = [load_f32(&acc[r], 0), load_f32(&acc[r], 1)];
    }
    for (b, block) in packed.chunks_exact(bytes_per_32(kind)).take(8).enumerate() {
        ahead.step();
        let (low, rest) = block.split_at(low_bits * UNIT);
        let (high, rest) = rest.split_at(high_bits * UNIT);
        let (low, high) = match SPREAD {
            true => (&units[b * 8 * UNIT..][..8 * UNIT], &[][..]),
            false => (low, high),
        };
        let mut s = [[_mm512_setzero_si512(); 2]; M];
        if kind.offset() > 0 {
            for r in 0..M {
                s[r] = [times_offset::<KIND>(_mm512_set1_epi32(minus_sum[r][b])); 2];
            }
        }
        // SAFETY: `q` is M rows of 256 bytes, and b < 8.
        let x = unsafe { q.as_ptr().add(b * 32) };
        multiply_4::<KIND, SPREAD, M, 0>(low, high, x, &mut s);
        multiply_4::<KIND, SPREAD, M, 4>(low, high, x, &mut s);
        let d = [load_f16(rest, 0), load_f16(rest, 1)];
        for r in 0..M {
            let scale = _mm512_set1_ps(dx[r][b]);
            for h in 0..2 {
                let mut term = _mm512_mul_ps(d[h], _mm512_cvtepi32_ps(s[r][h]));
                if kind.has_min() {
                    // min * x_sum, exactly as -(min * -x_sum).
                    let minus = _mm512_cvtepi32_ps(_mm512_set1_epi32(minus_sum[r][b]));
                    term = _mm512_fnmadd_ps(load_f16(&rest[64..], h), minus, term);
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

/// Adds to `s` the products of units FIRST..FIRST + 4 of an octet with M rows of activations; `x` is where
/// the octet begins in the first of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn multiply_4<const KIND: u8, const SPREAD: bool, const M: usize, const FIRST: usize>(
    low: &[u8],
    high: &[u8],
    x: *const i8,
    s: &mut [[__m512i; 2]; M],
) {
    // Written out, because shifts want constants and the compiler will not unroll a loop this long.
    if FIRST == 0 {
        multiply::<KIND, SPREAD, M, 0>(low, high, x, s);
        multiply::<KIND, SPREAD, M, 1>(low, high, x, s);
        multiply::<KIND, SPREAD, M, 2>(low, high, x, s);
        multiply::<KIND, SPREAD, M, 3>(low, high, x, s);
    } else {
        multiply::<KIND, SPREAD, M, 4>(low, high, x, s);
        multiply::<KIND, SPREAD, M, 5>(low, high, x, s);
        multiply::<KIND, SPREAD, M, 6>(low, high, x, s);
        multiply::<KIND, SPREAD, M, 7>(low, high, x, s);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn multiply<const KIND: u8, const SPREAD: bool, const M: usize, const UNIT_OF_8: usize>(
    low: &[u8],
    high: &[u8],
    x: *const i8,
    s: &mut [[__m512i; 2]; M],
) {
    let w0 = load_unit::<KIND, SPREAD, UNIT_OF_8>(low, high, 0);
    let w1 = load_unit::<KIND, SPREAD, UNIT_OF_8>(low, high, 1);
    for r in 0..M {
        // SAFETY: the caller's `x` has 32 bytes in each of M rows, 256 bytes apart.
        let x = unsafe { x.add(r * GROUP + UNIT_OF_8 * 4).cast::<i32>().read_unaligned() };
        let x = _mm512_set1_epi32(x);
        s[r][0] = _mm512_dpbusd_epi32(s[r][0], w0, x);
        s[r][1] = _mm512_dpbusd_epi32(s[r][1], w1, x);
    }
}

/// Half `h` of one unit of an octet, its bits put together from the planes; or as it is in `low`, where
/// that was done before.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn load_unit<const KIND: u8, const SPREAD: bool, const UNIT_OF_8: usize>(
    low: &[u8],
    high: &[u8],
    h: usize,
) -> __m512i {
    let (low_bits, high_bits) = match SPREAD {
        true => (8, 0),
        false => planes(Kind::ALL[KIND as usize]),
    };
    assert!(low.len() == low_bits * UNIT && high.len() == high_bits * UNIT);
    let per_low = 8 / low_bits;
    let at = UNIT_OF_8 / per_low * UNIT + h * 64;
    // SAFETY: `low` holds low_bits planes of 128 bytes, and the unit is one of 8.
    let q = unsafe { _mm512_loadu_si512(low.as_ptr().add(at).cast()) };
    if low_bits == 8 {
        return q;
    }
    // Shifts cross bytes; the masks drop what came from the neighbour.
    let q = shift(q, -((UNIT_OF_8 % per_low * low_bits) as i32));
    let q = _mm512_and_si512(q, _mm512_set1_epi8((1 << low_bits) - 1));
    if high_bits == 0 {
        return q;
    }
    let per_high = 8 / high_bits;
    let at = UNIT_OF_8 / per_high * UNIT + h * 64;
    // SAFETY: `high` holds high_bits planes of 128 bytes, and the unit is one of 8.
    let top = unsafe { _mm512_loadu_si512(high.as_ptr().add(at).cast()) };
    let top = shift(top, low_bits as i32 - (UNIT_OF_8 % per_high * high_bits) as i32);
    let mask = _mm512_set1_epi8((((1 << high_bits) - 1) << low_bits) as i8);
    // q | top & mask
    _mm512_ternarylogic_epi32::<0b1111_1000>(q, top, mask)
}

/// Bits of 16-bit lanes to the left, or to the right where `by` is negative; a constant once unrolled.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn shift(v: __m512i, by: i32) -> __m512i {
    match by {
        4 => _mm512_slli_epi16::<4>(v),
        3 => _mm512_slli_epi16::<3>(v),
        2 => _mm512_slli_epi16::<2>(v),
        1 => _mm512_slli_epi16::<1>(v),
        0 => v,
        -1 => _mm512_srli_epi16::<1>(v),
        -2 => _mm512_srli_epi16::<2>(v),
        -3 => _mm512_srli_epi16::<3>(v),
        -4 => _mm512_srli_epi16::<4>(v),
        -5 => _mm512_srli_epi16::<5>(v),
        -6 => _mm512_srli_epi16::<6>(v),
        _ => unreachable!("no plane lies {by} bits away"),
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

/// Half `h` of 32 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn load_128(row: &[u8], h: usize) -> __m128i {
    let half = &row[h * 16..h * 16 + 16];
    // SAFETY: `half` is 16 bytes.
    unsafe { _mm_loadu_si128(half.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
pub(super) fn load_u8(row: &[u8], h: usize) -> __m512i {
    _mm512_cvtepu8_epi32(load_128(row, h))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
pub(super) fn load_i8(row: &[u8], h: usize) -> __m512i {
    _mm512_cvtepi8_epi32(load_128(row, h))
}

/// Half `h` of 32 f16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
pub(super) fn load_f16(row: &[u8], h: usize) -> __m512 {
    load_float::<1>(&row[..64], h)
}

/// Half `h` of 32 pairs of bytes, as pairs of int16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
pub(super) fn load_u8_pairs(row: &[u8], h: usize) -> __m512i {
    let half = &row[h * 32..h * 32 + 32];
    // SAFETY: `half` is 32 bytes.
    _mm512_cvtepu8_epi16(unsafe { _mm256_loadu_si256(half.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_f32(row: &[f32; PANEL], h: usize) -> __m512 {
    let half = &row[h * 16..h * 16 + 16];
    // SAFETY: `half` is 64 bytes.
    unsafe { _mm512_loadu_ps(half.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store_f32(row: &mut [f32; PANEL], h: usize, value: __m512) {
    let half = &mut row[h * 16..h * 16 + 16];
    // SAFETY: `half` is 64 bytes.
    unsafe { _mm512_storeu_ps(half.as_mut_ptr(), value) }
}
