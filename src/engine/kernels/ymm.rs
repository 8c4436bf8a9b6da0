//! Packed weights and activations into 256-bit registers: a quarter of a panel, eight rows, at a time.

use std::arch::x86_64::*;

use super::super::weights::{PANEL, UNIT, planes};
use super::activations::GROUP;
use super::block::{Form, Kind};

/// 32 columns of H quarters of a panel from `quarter` on, and M rows of activations.
#[derive(Clone, Copy)]
pub(super) struct Octet<'a> {
    pub low: &'a [u8],
    pub high: &'a [u8],
    /// K types: the scales of these columns, one or two times `[32]`.
    pub scales: &'a [u8],
    pub quarter: usize,
    /// Where the columns begin in the first of M rows, which are `GROUP` bytes apart.
    pub x: *const i8,
}

impl Octet<'_> {
    /// That everything is as long as it should be, before the first product: a check further down would
    /// be a branch, across which the compiler keeps activations in memory.
    #[inline(always)]
    pub(super) fn check<const H: usize>(&self, kind: Kind, tiled: bool) {
        let (low_bits, high_bits) = if tiled { (8, 0) } else { planes(kind) };
        assert!(self.low.len() == low_bits * UNIT && self.high.len() == high_bits * UNIT);
        let scales = match kind.form() {
            Form::By256 => scale_bytes(kind),
            _ => 0,
        };
        assert!(self.scales.len() == scales && self.quarter <= 4 - H);
    }
}

/// Whether a K type's scales hold for 32 columns, not 16.
pub(super) const fn scales_of_32(kind: Kind) -> bool {
    matches!(kind, Kind::Q4K | Kind::Q5K)
}

/// Bytes of a K type's scales for 32 columns.
pub(super) const fn scale_bytes(kind: Kind) -> usize {
    if scales_of_32(kind) { PANEL } else { 2 * PANEL }
}

/// Four activations of row `r`, for all rows of weights.
///
/// # Safety
/// `x` has 32 bytes in row `r`, and `unit` < 8.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn load_x(x: *const i8, r: usize, unit: usize) -> __m256i {
    // SAFETY: as the caller has it.
    _mm256_set1_epi32(unsafe { x.add(r * GROUP + unit * 4).cast::<i32>().read_unaligned() })
}

/// Quarter `octet.quarter + h` of one unit of an octet, its bits put together from the planes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_unit<const KIND: u8, const TILED: bool, const UNIT_OF_8: usize>(
    octet: Octet,
    h: usize,
) -> __m256i {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = if TILED { (8, 0) } else { planes(kind) };
    let Octet { low, high, quarter, .. } = octet;
    assert!(low.len() == low_bits * UNIT && high.len() == high_bits * UNIT && quarter + h < 4);
    let per_low = 8 / low_bits;
    let at = UNIT_OF_8 / per_low * UNIT + (quarter + h) * 32;
    // SAFETY: `low` holds low_bits planes of 128 bytes, and the unit is one of 8.
    let q = unsafe { _mm256_loadu_si256(low.as_ptr().add(at).cast()) };
    if low_bits == 8 {
        return q;
    }
    // Shifts cross bytes; the masks drop what came from the neighbour.
    let q = shift(q, -((UNIT_OF_8 % per_low * low_bits) as i32));
    let q = _mm256_and_si256(q, _mm256_set1_epi8((1 << low_bits) - 1));
    if high_bits == 0 {
        return q;
    }
    let per_high = 8 / high_bits;
    let at = UNIT_OF_8 / per_high * UNIT + (quarter + h) * 32;
    // SAFETY: `high` holds high_bits planes of 128 bytes, and the unit is one of 8.
    let top = unsafe { _mm256_loadu_si256(high.as_ptr().add(at).cast()) };
    let top = shift(top, low_bits as i32 - (UNIT_OF_8 % per_high * high_bits) as i32);
    let mask = _mm256_set1_epi8((((1 << high_bits) - 1) << low_bits) as i8);
    _mm256_or_si256(q, _mm256_and_si256(top, mask))
}

/// Bits of 16-bit lanes to the left, or to the right where `by` is negative; a constant once unrolled.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn shift(v: __m256i, by: i32) -> __m256i {
    match by {
        4 => _mm256_slli_epi16::<4>(v),
        3 => _mm256_slli_epi16::<3>(v),
        2 => _mm256_slli_epi16::<2>(v),
        1 => _mm256_slli_epi16::<1>(v),
        0 => v,
        -1 => _mm256_srli_epi16::<1>(v),
        -2 => _mm256_srli_epi16::<2>(v),
        -3 => _mm256_srli_epi16::<3>(v),
        -4 => _mm256_srli_epi16::<4>(v),
        -5 => _mm256_srli_epi16::<5>(v),
        -6 => _mm256_srli_epi16::<6>(v),
        _ => unreachable!("no plane lies {by} bits away"),
    }
}

/// The scales of eight rows in half `part` of an octet, twice each, as VPMADDWD takes them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_scale_pairs(kind: Kind, scales: &[u8], part: usize, quarter: usize) -> __m256i {
    let part = if scales_of_32(kind) { 0 } else { part };
    let eight = _mm256_set1_epi64x(load_64(scales, part, quarter));
    // Each byte to the upper half of two int16; the second lane takes the last four.
    let spread = _mm256_setr_epi8(
        -1, 0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, //
        -1, 4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7,
    );
    let pairs = _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(eight, spread));
    match kind {
        Kind::Q2K => _mm256_and_si256(pairs, _mm256_set1_epi16(15)),
        _ => pairs,
    }
}

/// The scales of eight rows in one of `[32]`.
#[inline(always)]
fn load_64(scales: &[u8], part: usize, quarter: usize) -> i64 {
    let eight = scales[part * PANEL + quarter * 8..].first_chunk();
    i64::from_le_bytes(*eight.expect("eight of 32 rows"))
}

/// What sums of activations are multiplied with, for eight rows and two runs of columns: minima, or the
/// scales of a type with an offset.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_mins(kind: Kind, scales: &[u8], pair: usize, quarter: usize) -> __m256i {
    if scales_of_32(kind) {
        return _mm256_cvtepu8_epi16(load_128(&scales[256 + pair * 2 * PANEL..], quarter));
    }
    let part = pair * 2;
    let both = _mm_unpacklo_epi8(
        _mm_cvtsi64_si128(load_64(scales, part, quarter)),
        _mm_cvtsi64_si128(load_64(scales, part + 1, quarter)),
    );
    match kind {
        Kind::Q2K => _mm256_srli_epi16::<4>(_mm256_cvtepu8_epi16(both)),
        _ => _mm256_cvtepi8_epi16(both),
    }
}

/// A quarter of one column of float weights.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_float<const TYPE: u8>(column: &[u8], quarter: usize) -> __m256 {
    if TYPE == 0 {
        let eight = &column[quarter * 32..quarter * 32 + 32];
        // SAFETY: `eight` is 32 bytes.
        return unsafe { _mm256_loadu_ps(eight.as_ptr().cast()) };
    }
    let bits = load_128(column, quarter);
    if TYPE == 1 {
        _mm256_cvtph_ps(bits)
    } else {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
    }
}

/// A quarter of 64 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_128(row: &[u8], quarter: usize) -> __m128i {
    let eight = &row[quarter * 16..quarter * 16 + 16];
    // SAFETY: `eight` is 16 bytes.
    unsafe { _mm_loadu_si128(eight.as_ptr().cast()) }
}

/// A quarter of 32 f16.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_f16(row: &[u8], quarter: usize) -> __m256 {
    _mm256_cvtph_ps(load_128(row, quarter))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_f32(row: &[f32; PANEL], quarter: usize) -> __m256 {
    let eight = &row[quarter * 8..quarter * 8 + 8];
    // SAFETY: `eight` is 32 bytes.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store_f32(row: &mut [f32; PANEL], quarter: usize, value: __m256) {
    let eight = &mut row[quarter * 8..quarter * 8 + 8];
    // SAFETY: `eight` is 32 bytes.
    unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), value) }
}
