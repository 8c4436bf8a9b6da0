//! Sixteen f32 side by side on every instruction set, so that a loop over them is written once.
//!
//! Each operation is the same IEEE operation in each lane everywhere, so a loop gives the same bits
//! whatever it runs on. Not here: integer products, whose instructions differ too much (the tiers).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use half::f16;

use super::{Isa, Tier};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Lanes of one vector, those of the number contract.
pub(in crate::engine) const LANES: usize = 16;

/// Vectors of `LANES` f32 on one instruction set; the value is the proof that the machine has it.
pub(in crate::engine) trait Simd: Copy {
    /// One vector.
    type V: Copy;
    /// How many of them the registers hold.
    const REGISTERS: usize;

    fn splat(self, x: f32) -> Self::V;
    fn load(self, x: &[f32; LANES]) -> Self::V;
    /// Exactly widened.
    fn load_f16(self, x: &[f16; LANES]) -> Self::V;
    fn store(self, v: Self::V, out: &mut [f32; LANES]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a where a > b, else b; so b where either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The sum of all lanes by the one tree of the number contract: halves onto halves.
    fn sum(self, v: Self::V) -> f32;
    /// `max` over all lanes, by the same tree.
    fn greatest(self, v: Self::V) -> f32;
    /// Asks for the cache line of `from`; no result depends on it.
    fn prefetch<T>(self, from: &T);
}

/// Something to be computed with vectors of any kind. `run` is `#[inline(always)]`, and so is all that it
/// calls, or it stays compiled for the baseline.
pub(in crate::engine) trait Vectorized {
    fn run<S: Simd>(self, s: S);
}

/// An element that widens to f32.
pub(in crate::engine) trait Cell: Copy {
    fn load<S: Simd>(s: S, x: &[Self; LANES]) -> S::V;
}

impl Cell for f32 {
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f32; LANES]) -> S::V {
        s.load(x)
    }
}

impl Cell for f16 {
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f16; LANES]) -> S::V {
        s.load_f16(x)
    }
}

impl Tier {
    /// Runs `work`, compiled for this tier.
    pub(in crate::engine) fn run<W: Vectorized>(self, work: W) {
        match self.0 {
            Isa::Portable => work.run(Plain),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => run_avx2(proof, work),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(proof) => run_avx2(proof.avx2(), work),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(proof) => run_avx512(proof, work),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(proof) => run_avx512(proof.vnni(), work),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn run_avx2<W: Vectorized>(proof: avx2::Avx2, work: W) {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn run<W: Vectorized>(proof: avx2::Avx2, work: W) {
        work.run(proof);
    }
    // SAFETY: `proof` says that the machine has the features.
    unsafe { run(proof, work) }
}

#[cfg(target_arch = "x86_64")]
fn run_avx512<W: Vectorized>(proof: avx512::Avx512Vnni, work: W) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
    fn run<W: Vectorized>(proof: avx512::Avx512Vnni, work: W) {
        work.run(proof);
    }
    // SAFETY: `proof` says that the machine has the features.
    unsafe { run(proof, work) }
}

/// Any machine's.
#[derive(Clone, Copy)]
struct Plain;

impl Simd for Plain {
    type V = [f32; LANES];
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; LANES] {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> [f32; LANES] {
        *x
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> [f32; LANES] {
        x.map(f16::to_f32)
    }

    #[inline(always)]
    fn store(self, v: [f32; LANES], out: &mut [f32; LANES]) {
        *out = v;
    }

    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn mul(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn max(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn sum(self, mut v: [f32; LANES]) -> f32 {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                v[i] += v[i + half];
            }
        }
        v[0]
    }

    #[inline(always)]
    fn greatest(self, mut v: [f32; LANES]) -> f32 {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                v[i] = if v[i] > v[i + half] { v[i] } else { v[i + half] };
            }
        }
        v[0]
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &T) {}
}

#[cfg(target_arch = "x86_64")]
impl Simd for avx2::Avx2 {
    type V = [__m256; 2];
    const REGISTERS: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> [__m256; 2] {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> [__m256; 2] {
        let x = x.as_ptr();
        // SAFETY: `self` is the proof of the features; `x` is 64 bytes.
        unsafe { [_mm256_loadu_ps(x), _mm256_loadu_ps(x.add(8))] }
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> [__m256; 2] {
        let x = x.as_ptr().cast::<__m128i>();
        // SAFETY: `self` is the proof of the features; `x` is 32 bytes.
        let (low, high) = unsafe { (_mm_loadu_si128(x), _mm_loadu_si128(x.add(1))) };
        // SAFETY: `self` is the proof of the features.
        unsafe { [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)] }
    }

    #[inline(always)]
    fn store(self, v: [__m256; 2], out: &mut [f32; LANES]) {
        let out = out.as_mut_ptr();
        // SAFETY: `self` is the proof of the features; `out` is 64 bytes.
        unsafe { (_mm256_storeu_ps(out, v[0]), _mm256_storeu_ps(out.add(8), v[1])) };
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sum(self, v: [__m256; 2]) -> f32 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { sum_8(_mm256_add_ps(v[0], v[1])) }
    }

    #[inline(always)]
    fn greatest(self, v: [__m256; 2]) -> f32 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { greatest_8(_mm256_max_ps(v[0], v[1])) }
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &T) {
        // SAFETY: a hint, and the address is a reference's.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(from).cast()) };
    }
}

#[cfg(target_arch = "x86_64")]
impl Simd for avx512::Avx512Vnni {
    type V = __m512;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> __m512 {
        // SAFETY: `self` is the proof of the features; `x` is 64 bytes.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> __m512 {
        // SAFETY: `self` is the proof of the features; `x` is 32 bytes.
        let bits = unsafe { _mm256_loadu_si256(x.as_ptr().cast()) };
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { _mm512_cvtph_ps(bits) }
    }

    #[inline(always)]
    fn store(self, v: __m512, out: &mut [f32; LANES]) {
        // SAFETY: `self` is the proof of the features; `out` is 64 bytes.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` is the proof that the machine has the features.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        // SAFETY: `self` is the proof that the machine has the features, AVX among them.
        unsafe { sum_8(_mm256_add_ps(_mm512_castps512_ps256(v), upper(v))) }
    }

    #[inline(always)]
    fn greatest(self, v: __m512) -> f32 {
        // SAFETY: `self` is the proof that the machine has the features, AVX among them.
        unsafe { greatest_8(_mm256_max_ps(_mm512_castps512_ps256(v), upper(v))) }
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &T) {
        // SAFETY: a hint, and the address is a reference's.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(from).cast()) };
    }
}

/// Lanes 8 to 15.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn upper(v: __m512) -> __m256 {
    _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(v)))
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx")]
fn sum_8(v: __m256) -> f32 {
    let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx")]
fn greatest_8(v: __m256) -> f32 {
    let v = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Widens every f16 and writes them out, with the bits of a · b + c and the larger of both.
    struct All<'a>(&'a [f16], &'a mut Vec<u32>);

    impl Vectorized for All<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let All(cells, bits) = self;
            for cells in cells.as_chunks().0 {
                let v = s.load_f16(cells);
                let half = s.mul(v, s.splat(0.5));
                for v in [v, half, s.mul_add(v, half, v), s.max(v, s.splat(1.0))] {
                    let mut out = [0.0; LANES];
                    s.store(v, &mut out);
                    assert_eq!(out.map(f32::is_nan), {
                        let mut back = [0.0; LANES];
                        s.store(s.load(&out), &mut back);
                        back.map(f32::is_nan)
                    });
                    // One NaN is as good as another.
                    let folded = [s.sum(v), s.greatest(v)];
                    let bits_of = |x: f32| if x.is_nan() { u32::MAX } else { x.to_bits() };
                    bits.extend(out.into_iter().chain(folded).map(bits_of));
                }
            }
        }
    }

    #[test]
    fn every_tier_computes_the_same_lanes_for_every_f16() {
        let cells: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let bits = |tier: Tier| {
            let mut bits = Vec::new();
            tier.run(All(&cells, &mut bits));
            bits
        };
        let wanted = bits(Tier(Isa::Portable));
        for tier in Tier::available() {
            assert!(bits(tier) == wanted, "{tier:?}");
        }
        // Widening itself, as the standard says it.
        for (cells, bits) in cells.chunks(LANES).zip(wanted.chunks(4 * (LANES + 2))) {
            for (cell, bits) in cells.iter().zip(bits) {
                assert!(cell.is_nan() || cell.to_f32().to_bits() == *bits, "{cell:?}");
            }
        }
    }
}
