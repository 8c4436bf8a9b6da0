//! AVX2, and AVX2 with 256-bit VNNI: 32 rows of weights by up to four rows of activations, of which the
//! sums of a half or the whole panel stay in registers.
//!
//! Without VNNI, VPMADDUBSW adds two products in int16. Weights have few bits and no sign, so several such
//! sums are added there before VPMADDWD multiplies them by the scale and widens to int32; how many fit is
//! `pairs_in_i16`. Nothing saturates.

use std::arch::asm;
use std::arch::x86_64::*;

use super::super::weights::{Matrix, PANEL, UNIT, bytes_per_32, planes, unpack_bits};
use super::activations::{self, Activations, GROUP, IntRows, SUMS};
use super::ahead::Ahead;
use super::block::{Form, Kind};
use super::ymm::{
    Octet, load_f16, load_f32, load_float, load_mins, load_scale_pairs, load_unit, load_x,
    scale_bytes, scales_of_32, store_f32,
};

/// Evidence that this machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2 {
    _proof: (),
}

/// Evidence that this machine has AVX-VNNI besides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct AvxVnni {
    _proof: (),
}

/// Rows of activations in one register block: with half a panel 8 sums, and 8 registers to work with.
const ROWS: usize = 4;

/// From so many rows on a group is unpacked to memory first; below, each register block unpacks as it
/// goes.
const TILE_FROM: usize = 2 * ROWS + 1;

/// Weights of one group, one byte each: `[64 units][32 rows][4 columns]`.
#[repr(C, align(64))]
struct Tile([u8; 64 * UNIT]);

impl Avx2 {
    pub(super) fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        .then_some(Avx2 { _proof: () })
    }
}

impl AvxVnni {
    pub(super) fn detect() -> Option<AvxVnni> {
        (Avx2::detect().is_some() && is_x86_feature_detected!("avxvnni"))
            .then_some(AvxVnni { _proof: () })
    }

    /// The smaller claim.
    pub(super) fn avx2(self) -> Avx2 {
        Avx2 { _proof: () }
    }
}

/// The same three entries for both.
macro_rules! entries {
    ($tier:ident) => {
        impl $tier {
            pub(super) fn panel(
                self,
                w: &Matrix,
                panel: usize,
                x: &Activations,
                from: usize,
                acc: &mut [f32],
            ) {
                // SAFETY: `self` is the proof that the machine has the features.
                unsafe { run(self, w, panel, x, from, acc) }
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

            pub(super) fn quantize_32(
                self,
                x: &[f32],
                q: &mut [i8],
                d: &mut [f32],
                minus: &mut [i32],
            ) {
                // SAFETY: `self` is the proof that the machine has the features.
                unsafe { quantize_32(x, q, d, minus) }
            }
        }
    };
}

entries!(Avx2);
entries!(AvxVnni);

#[target_feature(enable = "avx2,fma,f16c")]
fn quantize_256(x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32], sum: &mut [i16]) {
    activations::quantize_256(x, q, d, minus, sum);
}

#[target_feature(enable = "avx2,fma,f16c")]
fn quantize_32(x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32]) {
    activations::quantize_32(x, q, d, minus);
}

/// What the two tiers do differently.
trait Multiply: Copy {
    /// What was added to every weight, before the products that `add` sums.
    fn offset(kind: Kind) -> i32;

    /// Adds to `total` the products of an octet, K types times their scales.
    ///
    /// # Safety
    /// `octet.x` has 32 bytes in each of M rows, `GROUP` bytes apart.
    unsafe fn add<const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
        self,
        octet: Octet,
        total: &mut [[__m256i; H]; M],
    );
}

impl Multiply for Avx2 {
    fn offset(kind: Kind) -> i32 {
        if kind == Kind::Q8_0 { 0 } else { kind.offset() }
    }

    #[inline(always)]
    unsafe fn add<const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
        self,
        octet: Octet,
        total: &mut [[__m256i; H]; M],
    ) {
        // SAFETY: `self` is the proof that the machine has the features; the rest is the caller's.
        unsafe { add::<KIND, M, H, TILED>(octet, total) }
    }
}

impl Multiply for AvxVnni {
    fn offset(kind: Kind) -> i32 {
        kind.offset()
    }

    #[inline(always)]
    unsafe fn add<const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
        self,
        octet: Octet,
        total: &mut [[__m256i; H]; M],
    ) {
        // SAFETY: `self` is the proof that the machine has the features; the rest is the caller's.
        unsafe { add_vnni::<KIND, M, H, TILED>(octet, total) }
    }
}

/// Sets `acc` [rows, 32] to rows `from..` of `x` times one panel.
#[target_feature(enable = "avx2,fma,f16c")]
fn run<T: Multiply>(t: T, w: &Matrix, panel: usize, x: &Activations, from: usize, acc: &mut [f32]) {
    acc.fill(0.0);
    let acc = acc.as_chunks_mut::<PANEL>().0;
    let m = x.rows();
    match w.kind() {
        Kind::F32 | Kind::F16 | Kind::Bf16 => run_float(w, panel, x, from, acc),
        Kind::Q4_0 => run_int::<T, { Kind::Q4_0 as u8 }>(t, w, panel, x.by_32(), m, from, acc),
        Kind::Q4_1 => run_int::<T, { Kind::Q4_1 as u8 }>(t, w, panel, x.by_32(), m, from, acc),
        Kind::Q5_0 => run_int::<T, { Kind::Q5_0 as u8 }>(t, w, panel, x.by_32(), m, from, acc),
        Kind::Q5_1 => run_int::<T, { Kind::Q5_1 as u8 }>(t, w, panel, x.by_32(), m, from, acc),
        Kind::Q8_0 => run_int::<T, { Kind::Q8_0 as u8 }>(t, w, panel, x.by_32(), m, from, acc),
        Kind::Q2K => run_int::<T, { Kind::Q2K as u8 }>(t, w, panel, x.by_256(), m, from, acc),
        Kind::Q3K => run_int::<T, { Kind::Q3K as u8 }>(t, w, panel, x.by_256(), m, from, acc),
        Kind::Q4K => run_int::<T, { Kind::Q4K as u8 }>(t, w, panel, x.by_256(), m, from, acc),
        Kind::Q5K => run_int::<T, { Kind::Q5K as u8 }>(t, w, panel, x.by_256(), m, from, acc),
        Kind::Q6K => run_int::<T, { Kind::Q6K as u8 }>(t, w, panel, x.by_256(), m, from, acc),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn run_int<T: Multiply, const KIND: u8>(
    t: T,
    w: &Matrix,
    panel: usize,
    x: &IntRows,
    m: usize,
    from: usize,
    acc: &mut [[f32; PANEL]],
) {
    let mut tile = Tile([0; 64 * UNIT]);
    let tiled = acc.len() >= TILE_FROM && w.kind() != Kind::Q8_0;
    for group in 0..w.groups() {
        let packed = w.group(panel, group);
        let mut slot = group * m + from;
        let mut rest = &mut acc[..];
        let blocks = rest.len().div_ceil(ROWS);
        let mut ahead = Ahead::new(packed, 8 * blocks);
        if tiled {
            unpack::<KIND>(packed, &mut tile);
        }
        let weights = Weights { packed, tile: &tile };
        // Blocks of nearly equal height: 9 rows are 3 + 3 + 3.
        for left in (1..=blocks).rev() {
            let rows = rest.len().div_ceil(left);
            let (now, later) = rest.split_at_mut(rows);
            match (rows, tiled) {
                (1, _) => block::<T, KIND, 1, 4, false>(t, weights, &mut ahead, x, slot, now),
                (2, _) => block::<T, KIND, 2, 4, false>(t, weights, &mut ahead, x, slot, now),
                (3, false) => block::<T, KIND, 3, 2, false>(t, weights, &mut ahead, x, slot, now),
                (3, true) => block::<T, KIND, 3, 2, true>(t, weights, &mut ahead, x, slot, now),
                (_, false) => block::<T, KIND, 4, 2, false>(t, weights, &mut ahead, x, slot, now),
                (_, true) => block::<T, KIND, 4, 2, true>(t, weights, &mut ahead, x, slot, now),
            }
            slot += rows;
            rest = later;
        }
    }
}

/// One group of a panel, as it is stored and (where it pays) unpacked.
#[derive(Clone, Copy)]
struct Weights<'a> {
    packed: &'a [u8],
    tile: &'a Tile,
}

#[target_feature(enable = "avx2,fma,f16c")]
fn unpack<const KIND: u8>(packed: &[u8], tile: &mut Tile) {
    let kind = Kind::ALL[KIND as usize];
    let (low, high) = planes(kind);
    if kind.form() == Form::By256 {
        let (low, rest) = packed.split_at(8 * low * UNIT);
        unpack_bits::<KIND>(low, &rest[..8 * high * UNIT], &mut tile.0);
        return;
    }
    let blocks = packed.chunks_exact(bytes_per_32(kind));
    for (block, q) in blocks.zip(tile.0.chunks_exact_mut(8 * UNIT)) {
        let (low, rest) = block.split_at(low * UNIT);
        unpack_bits::<KIND>(low, &rest[..high * UNIT], q);
    }
}

/// M rows times one group, H quarters of the panel at a time.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn block<T: Multiply, const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
    t: T,
    weights: Weights,
    ahead: &mut Ahead,
    x: &IntRows,
    slot: usize,
    acc: &mut [[f32; PANEL]],
) {
    let acc = acc.first_chunk_mut::<M>().expect("as many accumulators as rows");
    let q = &x.q[slot * GROUP..(slot + M) * GROUP];
    if Kind::ALL[KIND as usize].form() == Form::By32 {
        let d = x.d[slot * 8..(slot + M) * 8].as_chunks().0;
        let minus_sum = x.minus_sum[slot * 8..(slot + M) * 8].as_chunks().0;
        for quarter in (0..4).step_by(H) {
            block_32::<T, KIND, M, H, TILED>(t, weights, quarter, ahead, q, d, minus_sum, acc);
        }
    } else {
        let sum = x.sum[slot * SUMS..(slot + M) * SUMS].as_chunks().0;
        let d = &x.d[slot..slot + M];
        for quarter in (0..4).step_by(H) {
            block_256::<T, KIND, M, H, TILED>(t, weights, quarter, ahead, q, d, sum, acc);
        }
    }
}

/// One group of a K type: `acc[r] += dx[r] * (d * total - dmin * min_total)`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn block_256<T: Multiply, const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
    t: T,
    weights: Weights,
    quarter: usize,
    ahead: &mut Ahead,
    q: &[i8],
    dx: &[f32],
    sum: &[[i16; SUMS]],
    acc: &mut [[f32; PANEL]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = planes(kind);
    let packed = weights.packed;
    assert!(q.len() == M * GROUP && sum.len() == M && dx.len() == M && quarter <= 4 - H);
    assert!(packed.len() == 8 * bytes_per_32(kind));
    let (low, rest) = packed.split_at(8 * low_bits * UNIT);
    let (high, rest) = rest.split_at(8 * high_bits * UNIT);
    let (scales, rest) = rest.split_at(512);
    let per_octet = scale_bytes(kind);
    let zero = _mm256_setzero_si256();
    let mut total = [[zero; H]; M];
    for octet in 0..8 {
        ahead.step();
        let scales = &scales[octet * per_octet..][..per_octet];
        // SAFETY: `q` is M rows of 256 bytes, and octet < 8.
        let x = unsafe { q.as_ptr().add(octet * 32) };
        let octet = if TILED {
            let low = &weights.tile.0[octet * 8 * UNIT..][..8 * UNIT];
            Octet { low, high: &[], scales, quarter, x }
        } else {
            let low = &low[octet * low_bits * UNIT..][..low_bits * UNIT];
            let high = &high[octet * high_bits * UNIT..][..high_bits * UNIT];
            Octet { low, high, scales, quarter, x }
        };
        // SAFETY: `x` has 32 bytes in each of M rows of 256.
        unsafe { t.add::<KIND, M, H, TILED>(octet, &mut total) };
    }
    let mut min_total = [[zero; H]; M];
    // Sums of 16 where scales hold for 16, else of 32, in pairs as VPMADDWD takes them.
    let (first, pairs) = if scales_of_32(kind) { (8, 4) } else { (0, 8) };
    for pair in 0..pairs {
        let mut min = [zero; H];
        for h in 0..H {
            min[h] = load_mins(kind, scales, pair, quarter + h);
        }
        for r in 0..M {
            // SAFETY: `sum[r]` holds twelve pairs.
            let x = unsafe { sum[r].as_ptr().cast::<i32>().add(first + pair).read_unaligned() };
            let x = _mm256_set1_epi32(x);
            for h in 0..H {
                min_total[r][h] = _mm256_add_epi32(min_total[r][h], _mm256_madd_epi16(min[h], x));
            }
        }
    }
    for h in 0..H {
        let d = load_f16(rest, quarter + h);
        for r in 0..M {
            let mut total = total[r][h];
            if kind.offset() > 0 {
                total = _mm256_sub_epi32(total, times_offset(kind, min_total[r][h]));
            }
            let mut term = _mm256_mul_ps(d, _mm256_cvtepi32_ps(total));
            if kind.has_min() {
                let dmin = load_f16(&rest[64..], quarter + h);
                term = _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(min_total[r][h]), term);
            }
            let y = load_f32(&acc[r], quarter + h);
            store_f32(&mut acc[r], quarter + h, _mm256_fmadd_ps(_mm256_set1_ps(dx[r]), term, y));
        }
    }
}

/// One group of a legacy type: `acc[r] += dx[r] * (d * sum + min * x_sum)` for each block of 32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn block_32<T: Multiply, const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
    t: T,
    weights: Weights,
    quarter: usize,
    ahead: &mut Ahead,
    q: &[i8],
    dx: &[[f32; 8]],
    minus_sum: &[[i32; 8]],
    acc: &mut [[f32; PANEL]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = planes(kind);
    assert!(q.len() == M * GROUP && minus_sum.len() == M && dx.len() == M && quarter <= 4 - H);
    for (b, block) in weights.packed.chunks_exact(bytes_per_32(kind)).take(8).enumerate() {
        ahead.step();
        let (low, rest) = block.split_at(low_bits * UNIT);
        let (high, rest) = rest.split_at(high_bits * UNIT);
        // SAFETY: `q` is M rows of 256 bytes, and b < 8.
        let x = unsafe { q.as_ptr().add(b * 32) };
        let octet = if TILED {
            let low = &weights.tile.0[b * 8 * UNIT..][..8 * UNIT];
            Octet { low, high: &[], scales: &[], quarter, x }
        } else {
            Octet { low, high, scales: &[], quarter, x }
        };
        let mut total = [[_mm256_setzero_si256(); H]; M];
        if T::offset(kind) > 0 {
            for r in 0..M {
                total[r] = [_mm256_set1_epi32(T::offset(kind) * minus_sum[r][b]); H];
            }
        }
        // SAFETY: `x` has 32 bytes in each of M rows of 256.
        unsafe { t.add::<KIND, M, H, TILED>(octet, &mut total) };
        for h in 0..H {
            let d = load_f16(rest, quarter + h);
            for r in 0..M {
                let mut term = _mm256_mul_ps(d, _mm256_cvtepi32_ps(total[r][h]));
                if kind.has_min() {
                    // min * x_sum, exactly as -(min * -x_sum).
                    let minus = _mm256_set1_ps(minus_sum[r][b] as f32);
                    term = _mm256_fnmadd_ps(load_f16(&rest[64..], quarter + h), minus, term);
                }
                let y = load_f32(&acc[r], quarter + h);
                let y = _mm256_fmadd_ps(_mm256_set1_ps(dx[r][b]), term, y);
                store_f32(&mut acc[r], quarter + h, y);
            }
        }
    }
}

/// Pairs of units whose products with activations up to 127 fit into int16 when added: 4 * 2 * 2 * 15 * 127 =
/// 30,480 for the four bits of Q4, 2 * 2 * 2 * 31 * 127 = 31,496 for Q5, 2 * 2 * 63 * 127 = 32,004 for Q6_K;
/// never across columns of another scale.
const fn pairs_in_i16(kind: Kind) -> usize {
    match kind {
        Kind::Q4_0 | Kind::Q4_1 | Kind::Q4K => 4,
        Kind::Q5_0 | Kind::Q5_1 | Kind::Q5K | Kind::Q2K | Kind::Q3K => 2,
        _ => 1,
    }
}

/// # Safety
/// The machine has the features of `Avx2`, and `octet.x` 32 bytes in each of M rows, `GROUP` bytes apart.
#[inline(always)] // Into a function that names the features; a call would cost a tenth.
unsafe fn add<const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
    octet: Octet,
    total: &mut [[__m256i; H]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    let pairs = pairs_in_i16(kind);
    octet.check::<H>(kind, TILED);
    // SAFETY: as the caller has it.
    let mut s = unsafe { [[_mm256_setzero_si256(); H]; M] };
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 0>(octet, &mut s, total) };
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 1>(octet, &mut s, total) };
    if pairs == 1 {
        // SAFETY: as above.
        unsafe { add_scaled::<KIND, M, H>(octet, 0, &mut s, total) };
    }
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 2>(octet, &mut s, total) };
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 3>(octet, &mut s, total) };
    if pairs <= 2 {
        // SAFETY: as above.
        unsafe { add_scaled::<KIND, M, H>(octet, 0, &mut s, total) };
    }
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 4>(octet, &mut s, total) };
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 5>(octet, &mut s, total) };
    if pairs == 1 {
        // SAFETY: as above.
        unsafe { add_scaled::<KIND, M, H>(octet, 1, &mut s, total) };
    }
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 6>(octet, &mut s, total) };
    // SAFETY: as above.
    unsafe { maddubs::<KIND, M, H, TILED, 7>(octet, &mut s, total) };
    // SAFETY: as above.
    unsafe { add_scaled::<KIND, M, H>(octet, 1, &mut s, total) };
}

/// Adds the products of one unit to `s` in int16; those of Q8_0, which fill it, to `total`.
///
/// # Safety
/// As for `add`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn maddubs<
    const KIND: u8,
    const M: usize,
    const H: usize,
    const TILED: bool,
    const UNIT_OF_8: usize,
>(
    octet: Octet,
    s: &mut [[__m256i; H]; M],
    total: &mut [[__m256i; H]; M],
) {
    let mut w = [_mm256_setzero_si256(); H];
    for h in 0..H {
        w[h] = load_unit::<KIND, TILED, UNIT_OF_8>(octet, h);
    }
    if Kind::ALL[KIND as usize] == Kind::Q8_0 {
        let ones = _mm256_set1_epi16(1);
        // |w| up to 128 times x with the sign of w: pairs stay within 2 * 128 * 127.
        for h in 0..H {
            w[h] = _mm256_xor_si256(w[h], _mm256_set1_epi8(-128));
        }
        for r in 0..M {
            // SAFETY: as the caller has it.
            let x = unsafe { load_x(octet.x, r, UNIT_OF_8) };
            for h in 0..H {
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w[h]), _mm256_sign_epi8(x, w[h]));
                total[r][h] = _mm256_add_epi32(total[r][h], _mm256_madd_epi16(pairs, ones));
            }
        }
        return;
    }
    for r in 0..M {
        // SAFETY: as the caller has it.
        let x = unsafe { load_x(octet.x, r, UNIT_OF_8) };
        for h in 0..H {
            s[r][h] = in_order(_mm256_add_epi16(s[r][h], _mm256_maddubs_epi16(w[h], x)));
        }
    }
}

/// `v`, where it stands: left alone, the compiler makes trees of sums and puts off the second quarter of
/// each unit, for which it then keeps all activations in memory.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn in_order(mut v: __m256i) -> __m256i {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(ymm_reg) v, options(nomem, nostack, preserves_flags)) };
    v
}

/// Adds `s`, times the scale of half `part` of an octet, to `total`, and empties it.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_scaled<const KIND: u8, const M: usize, const H: usize>(
    octet: Octet,
    part: usize,
    s: &mut [[__m256i; H]; M],
    total: &mut [[__m256i; H]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    if kind == Kind::Q8_0 {
        return;
    }
    for h in 0..H {
        let scale = match kind.form() {
            Form::By256 => load_scale_pairs(kind, octet.scales, part, octet.quarter + h),
            _ => _mm256_set1_epi16(1),
        };
        for r in 0..M {
            total[r][h] = _mm256_add_epi32(total[r][h], _mm256_madd_epi16(s[r][h], scale));
            s[r][h] = _mm256_setzero_si256();
        }
    }
}

/// # Safety
/// The machine has the features of `AvxVnni`, and `octet.x` 32 bytes in each of M rows, `GROUP` bytes
/// apart.
#[inline(always)] // As `add`.
unsafe fn add_vnni<const KIND: u8, const M: usize, const H: usize, const TILED: bool>(
    octet: Octet,
    total: &mut [[__m256i; H]; M],
) {
    let kind = Kind::ALL[KIND as usize];
    octet.check::<H>(kind, TILED);
    // SAFETY: as the caller has it.
    let mut s = unsafe { [[_mm256_setzero_si256(); H]; M] };
    let sums = if kind.form() == Form::By32 { &mut *total } else { &mut s };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 0>(octet, sums) };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 1>(octet, sums) };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 2>(octet, sums) };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 3>(octet, sums) };
    if kind.form() == Form::By256 && !scales_of_32(kind) {
        // SAFETY: as above.
        unsafe { add_scaled_vnni(kind, octet, 0, &mut s, total) };
    }
    let sums = if kind.form() == Form::By32 { &mut *total } else { &mut s };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 4>(octet, sums) };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 5>(octet, sums) };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 6>(octet, sums) };
    // SAFETY: as above.
    unsafe { dpbusd::<KIND, M, H, TILED, 7>(octet, sums) };
    if kind.form() == Form::By256 {
        // SAFETY: as above.
        unsafe { add_scaled_vnni(kind, octet, 1, &mut s, total) };
    }
}

/// Adds the products of one unit to `s`.
///
/// # Safety
/// As for `add_vnni`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dpbusd<
    const KIND: u8,
    const M: usize,
    const H: usize,
    const TILED: bool,
    const UNIT_OF_8: usize,
>(
    octet: Octet,
    s: &mut [[__m256i; H]; M],
) {
    let mut w = [_mm256_setzero_si256(); H];
    for h in 0..H {
        w[h] = load_unit::<KIND, TILED, UNIT_OF_8>(octet, h);
    }
    for r in 0..M {
        // SAFETY: as the caller has it.
        let x = unsafe { load_x(octet.x, r, UNIT_OF_8) };
        for h in 0..H {
            // As assembly, for which the functions around need not name the feature: one set of them
            // serves both tiers.
            // SAFETY: the machine has AVX-VNNI; only registers are read and written.
            unsafe {
                asm!(
                    "{{vex}} vpdpbusd {s}, {w}, {x}",
                    s = inout(ymm_reg) s[r][h],
                    w = in(ymm_reg) w[h],
                    x = in(ymm_reg) x,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
        }
    }
}

/// Adds `s`, times the scale of half `part` of an octet, to `total`, and empties it.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_scaled_vnni<const M: usize, const H: usize>(
    kind: Kind,
    octet: Octet,
    part: usize,
    s: &mut [[__m256i; H]; M],
    total: &mut [[__m256i; H]; M],
) {
    for h in 0..H {
        // Both halves of a lane are the scale: its lower one, with its sign, is wanted.
        let pair = load_scale_pairs(kind, octet.scales, part, octet.quarter + h);
        let scale = _mm256_srai_epi32::<16>(pair);
        for r in 0..M {
            total[r][h] = _mm256_add_epi32(total[r][h], _mm256_mullo_epi32(s[r][h], scale));
            s[r][h] = _mm256_setzero_si256();
        }
    }
}

/// Offsets of K types are powers of two.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn times_offset(kind: Kind, v: __m256i) -> __m256i {
    match kind.offset() {
        4 => _mm256_slli_epi32::<2>(v),
        32 => _mm256_slli_epi32::<5>(v),
        _ => _mm256_setzero_si256(),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn run_float(w: &Matrix, panel: usize, x: &Activations, from: usize, acc: &mut [[f32; PANEL]]) {
    for group in 0..w.groups() {
        let columns = GROUP.min(w.cols() - group * GROUP);
        let size = w.kind().block_bytes();
        let weights = &w.panel(panel)[group * GROUP * PANEL * size..][..columns * PANEL * size];
        let slot = group * x.rows() + from;
        for (i, acc) in acc.chunks_mut(ROWS).enumerate() {
            let rows = &x.float().x[(slot + i * ROWS) * GROUP..][..acc.len() * GROUP];
            for quarter in [0, 2] {
                match w.kind() {
                    Kind::F32 => block_float::<0>(weights, quarter, rows, acc),
                    Kind::F16 => block_float::<1>(weights, quarter, rows, acc),
                    _ => block_float::<2>(weights, quarter, rows, acc),
                }
            }
        }
    }
}

/// Up to `ROWS` rows times half of one group of float weights (0: f32, 1: f16, 2: bf16), columns ascending.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn block_float<const TYPE: u8>(
    weights: &[u8],
    quarter: usize,
    x: &[f32],
    acc: &mut [[f32; PANEL]],
) {
    let size = if TYPE == 0 { 4 } else { 2 };
    let mut y = [[_mm256_setzero_ps(); 2]; ROWS];
    for (y, acc) in y.iter_mut().zip(&*acc) {
        *y = [load_f32(acc, quarter), load_f32(acc, quarter + 1)];
    }
    for (j, column) in weights.chunks_exact(PANEL * size).enumerate() {
        let w = [load_float::<TYPE>(column, quarter), load_float::<TYPE>(column, quarter + 1)];
        for (y, x) in y.iter_mut().zip(x.chunks_exact(GROUP)) {
            let x = _mm256_set1_ps(x[j]);
            y[0] = _mm256_fmadd_ps(w[0], x, y[0]);
            y[1] = _mm256_fmadd_ps(w[1], x, y[1]);
        }
    }
    for (y, acc) in y.iter().zip(acc) {
        store_f32(acc, quarter, y[0]);
        store_f32(acc, quarter + 1, y[1]);
    }
}
