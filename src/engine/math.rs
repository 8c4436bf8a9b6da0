//! The elementary functions of the number contract: sums over 16 virtual lanes and one tree, and our
//! own exp, ln, sin and cos. No call into libm, whose results differ by platform.
//!
//! The f32 functions are for hot loops and vectorize; the f64 ones fill tables and need no speed.
//! IEEE 754 fixes the result of +, −, ×, ÷, square root and fused multiply-add, so each function here
//! is a fixed function of its input everywhere.

/// Virtual lanes of every float sum: lane `i` takes the elements `i`, `i + 16`, `i + 32`, …
pub(super) const LANES: usize = 16;

/// The one tree that folds the lanes: halves onto halves.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Σ a·b over 16 lanes, each one chain of fused multiply-adds.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (tail_a, tail_b) = (a.remainder(), b.remainder());
    for (a, b) in a.zip(b) {
        for i in 0..LANES {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    for (i, (a, b)) in tail_a.iter().zip(tail_b).enumerate() {
        lanes[i] = a.mul_add(*b, lanes[i]);
    }
    fold(lanes)
}

/// eˣ to about 2 units in the last place; 0 below −87.3 (no subnormals), +∞ above 88.7; NaN stays.
///
/// Cody and Waite's reduction by ln 2, then the polynomial of Cephes' `expf`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to an integer (ties to even) and leaves that in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    p = r.mul_add(p, 1.398_199_9e-3);
    p = r.mul_add(p, 8.333_452e-3);
    p = r.mul_add(p, 4.166_579_6e-2);
    p = r.mul_add(p, 1.666_666_5e-1);
    p = r.mul_add(p, 0.5);
    let y = (r * r).mul_add(p, r) + 1.0;
    // 2ⁿ in two halves, since n may be 128 where the result still is finite.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let scale = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let y = y * scale(half) * scale(n.wrapping_sub(half));
    let y = if x < -87.336_54 { 0.0 } else { y };
    if x > 88.722_83 { f32::INFINITY } else { y }
}

/// x · sigmoid(x).
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// eˣ for |x| < 700, to about 1e-15.
pub(super) fn exp_f64(x: f64) -> f64 {
    let n = (x * std::f64::consts::LOG2_E + 0.5).floor();
    let r = n.mul_add(-LN2_F64_LOW, n.mul_add(-LN2_F64_HIGH, x));
    // Taylor's series: |r| ≤ 0.35, so the 18th term is below 1e-24.
    let y = (1..18).rev().fold(1.0, |y, k| 1.0 + r / f64::from(k) * y);
    y * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

/// ln x for normal x > 0, to about 1e-15.
pub(super) fn ln_f64(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 artanh z with |z| < 0.172: the 12th term is below 1e-18.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..12).rev().fold(0.0, |y, k| 1.0 / f64::from(2 * k + 1) + z * z * y);
    exponent * LN2_F64_HIGH + (2.0 * z * series + exponent * LN2_F64_LOW)
}

/// baseᵉ for base > 0.
pub(super) fn pow_f64(base: f64, exponent: f64) -> f64 {
    exp_f64(exponent * ln_f64(base))
}

/// (sin x, cos x) for 0 ≤ x < 2²⁴, to about 1e-12 and better for small x.
pub(super) fn sin_cos_f64(x: f64) -> (f64, f64) {
    // π/2 in three parts of which the first two have 33 bits: fdlibm's pio2_1, pio2_2, pio2_2t.
    const PI_2_A: f64 = f64::from_bits(0x3ff9_21fb_5440_0000);
    const PI_2_B: f64 = f64::from_bits(0x3dd0_b461_1a60_0000);
    const PI_2_C: f64 = f64::from_bits(0x3ba3_198a_2e03_7073);
    let n = (x * std::f64::consts::FRAC_2_PI + 0.5).floor();
    let r = n.mul_add(-PI_2_C, n.mul_add(-PI_2_B, n.mul_add(-PI_2_A, x)));
    // Taylor's series over |r| ≤ π/4: the terms left out are below 1e-19.
    let r2 = r * r;
    let series = |first: u32| {
        (0..9).rev().fold(1.0, |y, k| {
            let k = f64::from(2 * k + first);
            1.0 - r2 / (k * (k + 1.0)) * y
        })
    };
    let (sin, cos) = (r * series(2), series(1));
    match n as i64 & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// ln 2 with 32 bits, and the rest (fdlibm).
const LN2_F64_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_F64_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_true_value_to_three_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in -873_000..887_000 {
            let x = i as f32 * 1e-4;
            let (ours, truth) = (f64::from(exp(x)), f64::from(x).exp());
            let unit =
                f64::from(f32::from_bits((truth as f32).to_bits() + 1)) - truth as f32 as f64;
            worst = worst.max((ours - truth).abs() / unit);
        }
        assert!(worst < 3.0, "{worst} units in the last place");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(1000.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn the_table_functions_agree_with_libm() {
        for i in 1..20_000 {
            let x = f64::from(i) * 7.31;
            let (sin, cos) = sin_cos_f64(x);
            assert!((sin - x.sin()).abs() < 1e-12 && (cos - x.cos()).abs() < 1e-12, "{x}");
            assert!((ln_f64(x) - x.ln()).abs() < 1e-14 * x.ln().abs().max(1.0), "{x}");
            let e = f64::from(i) / 20_000.0;
            assert!((pow_f64(1e6, -e) / 1e6f64.powf(-e) - 1.0).abs() < 1e-13, "{e}");
        }
    }

    #[test]
    fn a_dot_product_is_sixteen_lanes_and_one_tree() {
        let a: Vec<f32> = (0..37).map(|i| (i as f32).mul_add(0.37, -5.0)).collect();
        let b: Vec<f32> = (0..37).map(|i| (i as f32).mul_add(-0.11, 2.0)).collect();
        let mut lanes = [0.0f32; 16];
        for i in 0..37 {
            lanes[i % 16] = a[i].mul_add(b[i], lanes[i % 16]);
        }
        let four: Vec<f32> = (0..8).map(|i| lanes[i] + lanes[i + 8]).collect();
        let four: Vec<f32> = (0..4).map(|i| four[i] + four[i + 4]).collect();
        let expected = (four[0] + four[2]) + (four[1] + four[3]);
        assert_eq!(dot(&a, &b).to_bits(), expected.to_bits());
    }
}
