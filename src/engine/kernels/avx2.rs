//! AVX2, and AVX2 with 256-bit VNNI: the loops of `portable` with the inner product in intrinsics.

use std::arch::x86_64::*;

use super::super::weights::{Matrix, PANEL, UNIT};
use super::activations::{self, Activations};
use super::portable::{self, Dot};

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
    ($tier:ident, $features:literal) => {
        impl $tier {
            pub(super) fn panel(
                self,
                w: &Matrix,
                panel: usize,
                x: &Activations,
                from: usize,
                acc: &mut [f32],
            ) {
                #[target_feature(enable = $features)]
                fn run(t: $tier, w: &Matrix, p: usize, x: &Activations, m: usize, a: &mut [f32]) {
                    portable::panel(t, w, p, x, m, a);
                }
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
                #[target_feature(enable = $features)]
                fn run(x: &[f32], q: &mut [i8], d: &mut [f32], m: &mut [i32], s: &mut [i16]) {
                    activations::quantize_256(x, q, d, m, s);
                }
                // SAFETY: `self` is the proof that the machine has the features.
                unsafe { run(x, q, d, minus, sum) }
            }

            pub(super) fn quantize_32(
                self,
                x: &[f32],
                q: &mut [i8],
                d: &mut [f32],
                minus: &mut [i32],
            ) {
                #[target_feature(enable = $features)]
                fn run(x: &[f32], q: &mut [i8], d: &mut [f32], m: &mut [i32]) {
                    activations::quantize_32(x, q, d, m);
                }
                // SAFETY: `self` is the proof that the machine has the features.
                unsafe { run(x, q, d, minus) }
            }
        }
    };
}

entries!(Avx2, "avx2,fma,f16c");
entries!(AvxVnni, "avx2,fma,f16c,avxvnni");

impl Dot for Avx2 {
    #[inline(always)]
    fn multiply(self, q: &[u8], x: &[i8], wide: bool, sum: &mut [i32; PANEL]) {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { multiply(q, x, wide, sum) }
    }
}

impl Dot for AvxVnni {
    #[inline(always)]
    fn multiply(self, q: &[u8], x: &[i8], _: bool, sum: &mut [i32; PANEL]) {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { multiply_vnni(q, x, sum) }
    }
}

/// VPMADDUBSW adds two products in int16: at most 2 * 127 * 127 where weights stay below 128. Wider ones
/// are split into their low seven bits and the eighth, 2 * 128 * 127 at most; nothing saturates.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply(q: &[u8], x: &[i8], wide: bool, sum: &mut [i32; PANEL]) {
    let ones = _mm256_set1_epi16(1);
    let seven = _mm256_set1_epi8(0x7f);
    let mut s = [0, 1, 2, 3].map(|part| load(sum, part));
    for (unit, x) in q.chunks_exact(UNIT).zip(x.as_chunks::<4>().0) {
        let x = _mm256_set1_epi32(i32::from_le_bytes(x.map(|x| x as u8)));
        for (part, s) in s.iter_mut().enumerate() {
            let w = load_unit(unit, part);
            if wide {
                let low = _mm256_maddubs_epi16(_mm256_and_si256(w, seven), x);
                let high = _mm256_maddubs_epi16(_mm256_andnot_si256(seven, w), x);
                *s = _mm256_add_epi32(*s, _mm256_madd_epi16(low, ones));
                *s = _mm256_add_epi32(*s, _mm256_madd_epi16(high, ones));
            } else {
                let pairs = _mm256_maddubs_epi16(w, x);
                *s = _mm256_add_epi32(*s, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    for (part, s) in s.iter().enumerate() {
        store(sum, part, *s);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn multiply_vnni(q: &[u8], x: &[i8], sum: &mut [i32; PANEL]) {
    let mut s = [0, 1, 2, 3].map(|part| load(sum, part));
    for (unit, x) in q.chunks_exact(UNIT).zip(x.as_chunks::<4>().0) {
        let x = _mm256_set1_epi32(i32::from_le_bytes(x.map(|x| x as u8)));
        for (part, s) in s.iter_mut().enumerate() {
            *s = _mm256_dpbusd_avx_epi32(*s, load_unit(unit, part), x);
        }
    }
    for (part, s) in s.iter().enumerate() {
        store(sum, part, *s);
    }
}

/// Quarter `part` of a unit.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_unit(unit: &[u8], part: usize) -> __m256i {
    let quarter = &unit[part * 32..part * 32 + 32];
    // SAFETY: `quarter` is 32 bytes.
    unsafe { _mm256_loadu_si256(quarter.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(sum: &[i32; PANEL], part: usize) -> __m256i {
    let quarter = &sum[part * 8..part * 8 + 8];
    // SAFETY: `quarter` is 32 bytes.
    unsafe { _mm256_loadu_si256(quarter.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(sum: &mut [i32; PANEL], part: usize, value: __m256i) {
    let quarter = &mut sum[part * 8..part * 8 + 8];
    // SAFETY: `quarter` is 32 bytes.
    unsafe { _mm256_storeu_si256(quarter.as_mut_ptr().cast(), value) }
}
