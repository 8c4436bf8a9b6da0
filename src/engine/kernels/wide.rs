//! Compiles plain loops for the best vector unit at hand: same source, same operations in the same
//! order, same bits. Hand-written kernels are elsewhere; this is for what LLVM vectorizes by itself.

use std::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets for which `wide!` functions are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::engine) enum Width {
    /// The target's baseline. `f32::mul_add` is a call there: slow, and the specification.
    Scalar = 1,
    /// AVX2, FMA and F16C.
    Avx2 = 2,
    /// AVX-512 F, BW, DQ and VL besides.
    Avx512 = 3,
}

/// What `width` answers; 0 until it has been asked for the first time.
static WIDTH: AtomicU8 = AtomicU8::new(0);

/// The best width of this machine, found once, or the one that `set_width` chose.
#[inline]
pub(in crate::engine) fn width() -> Width {
    match WIDTH.load(Ordering::Relaxed) {
        1 => Width::Scalar,
        2 => Width::Avx2,
        3 => Width::Avx512,
        _ => {
            let width = detect();
            WIDTH.store(width as u8, Ordering::Relaxed);
            width
        }
    }
}

/// Computes at `most`, or as near below as the machine can, from now on and in every engine of this process:
/// it changes no bit. None for the best.
pub(in crate::engine) fn set_width(most: Option<Width>) {
    let best = detect();
    let width = most.filter(|most| (*most as u8) < best as u8).unwrap_or(best);
    WIDTH.store(width as u8, Ordering::Relaxed);
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Width {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Width::Avx512,
        (true, false) => Width::Avx2,
        _ => Width::Scalar,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Width {
    Width::Scalar
}

/// Defines functions that run compiled for the machine's width. What their bodies call must be
/// `#[inline(always)]`, or it stays at the baseline. With `f32::mul_add` (one rounding everywhere)
/// and no reassociation, which Rust never does, every width gives the same bits.
macro_rules! wide {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's shapes are spelt out")]
        #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls what was detected"))]
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "as the function around it")]
            fn body($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments, reason = "as the function around it")]
            fn avx2($($arg: $ty),*) {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
            #[allow(clippy::too_many_arguments, reason = "as the function around it")]
            fn avx512($($arg: $ty),*) {
                body($($arg),*)
            }

            match $crate::engine::wide::width() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `width` is `Avx512` only where every feature of `avx512` was detected.
                $crate::engine::wide::Width::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `width` is `Avx2` only where every feature of `avx2` was detected.
                $crate::engine::wide::Width::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    )*};
}
pub(in crate::engine) use wide;

/// Runs `f` at a lower width, for tests that compare the widths. Other threads that compute
/// meanwhile change width too, which changes no bit of what they compute.
#[cfg(test)]
pub(in crate::engine) fn at_width<R>(lower: Width, f: impl FnOnce() -> R) -> R {
    set_width(Some(lower));
    let result = f();
    set_width(None);
    result
}
