//! Threads and matrix kernels: the arithmetic under the forward step and its number contract.
//!
//! `scalar` says what every output bit is. The tiers compute the same bits faster: each unpacks a group
//! of a weight panel once and multiplies it with all rows of activations.

pub(in crate::engine) mod activations;
#[cfg(target_arch = "x86_64")]
mod ahead;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(all(test, target_arch = "x86_64"))]
mod amx_emulation;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(in crate::engine) mod block;
pub(in crate::engine) mod pages;
pub(in crate::engine) mod pool;
mod portable;
mod scalar;
mod self_test;
pub(in crate::engine) mod simd;
#[cfg(test)]
pub(in crate::engine) mod tests;
#[cfg(target_arch = "x86_64")]
mod ymm;

use std::cell::RefCell;
use std::fmt;

pub use activations::Activations;
pub use block::{Form, Kind};
pub use pool::Pool;
pub use self_test::{SelfTestError, self_test};

use super::weights::{Matrix, PANEL};
use super::wide::Width;
use pool::SharedMut;

/// Rows that one task multiplies with an unpacked group before the next group: their accumulators
/// (64 KiB) and the group's activations (128 KiB) stay in a second-level cache.
const ROWS_PER_PASS: usize = 512;

/// Panels in one task: few enough that four tasks fall to each thread, where there are so many.
const TASKS_PER_THREAD: usize = 4;

/// An instruction set that this machine has; the value is the proof that it does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tier(Isa);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(avx2::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(avx512::Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    Amx(amx::Amx),
}

impl Tier {
    /// All that this machine can run, the slowest first.
    pub fn available() -> Vec<Tier> {
        let tiers = [
            Some(Tier(Isa::Portable)),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(|proof| Tier(Isa::Avx2(proof))),
            #[cfg(target_arch = "x86_64")]
            avx2::AvxVnni::detect().map(|proof| Tier(Isa::AvxVnni(proof))),
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512Vnni::detect().map(|proof| Tier(Isa::Avx512Vnni(proof))),
            #[cfg(target_arch = "x86_64")]
            amx::Amx::detect().map(|proof| Tier(Isa::Amx(proof))),
        ];
        tiers.into_iter().flatten().collect()
    }

    /// The fastest that this machine can run.
    pub fn best() -> Tier {
        Tier::available().pop().unwrap_or(Tier(Isa::Portable))
    }

    /// The tier of this name, if the machine can run it.
    pub fn named(name: &str) -> Option<Tier> {
        Tier::available().into_iter().find(|tier| tier.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(_) => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(_) => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(_) => "amx-int8",
        }
    }

    /// Whether it multiplies 32 rows and more in tiles.
    fn has_tiles(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(_) => true,
            _ => false,
        }
    }

    /// How wide the loops beside this tier's kernels may be, that the whole step keeps to its instructions.
    pub(in crate::engine) fn width(self) -> Width {
        match self.0 {
            Isa::Portable => Width::Scalar,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) | Isa::AvxVnni(_) => Width::Avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(_) | Isa::Amx(_) => Width::Avx512,
        }
    }

    /// Sets `acc` [rows, 32] to rows `from..` of `x` times one panel.
    fn panel(self, w: &Matrix, panel: usize, x: &Activations, from: usize, acc: &mut [f32]) {
        match self.0 {
            Isa::Portable => portable::panel(w, panel, x, from, acc),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => proof.panel(w, panel, x, from, acc),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(proof) => proof.panel(w, panel, x, from, acc),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(proof) => proof.panel(w, panel, x, from, acc),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(proof) => proof.panel(w, panel, x, from, acc),
        }
    }

    fn quantize_256(
        self,
        x: &[f32],
        q: &mut [i8],
        d: &mut [f32],
        minus: &mut [i32],
        s: &mut [i16],
    ) {
        match self.0 {
            Isa::Portable => activations::quantize_256(x, q, d, minus, s),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => proof.quantize_256(x, q, d, minus, s),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(proof) => proof.quantize_256(x, q, d, minus, s),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(proof) => proof.quantize_256(x, q, d, minus, s),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(proof) => proof.vnni().quantize_256(x, q, d, minus, s),
        }
    }

    fn quantize_32(self, x: &[f32], q: &mut [i8], d: &mut [f32], minus: &mut [i32]) {
        match self.0 {
            Isa::Portable => activations::quantize_32(x, q, d, minus),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => proof.quantize_32(x, q, d, minus),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(proof) => proof.quantize_32(x, q, d, minus),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(proof) => proof.quantize_32(x, q, d, minus),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(proof) => proof.vnni().quantize_32(x, q, d, minus),
        }
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// out[m, n] = x[m, k] · w[n, k], bit for bit as `scalar::matmul`. `x` holds the form of `w`
/// and names the tier.
pub fn matmul(pool: &Pool, w: &Matrix, x: &Activations, out: &mut [f32]) {
    let (m, n, tier) = (x.rows(), w.rows(), x.tier());
    assert_eq!(x.cols(), w.cols(), "activations and weights differ in their columns");
    assert_eq!(out.len(), m * n, "out is not [{m}, {n}]");
    if m == 0 {
        return;
    }
    let panels = w.panels();
    let per_task = (panels / (pool.threads() * TASKS_PER_THREAD)).clamp(1, 16);
    let out = SharedMut(out.as_mut_ptr());
    pool.run(panels.div_ceil(per_task), &|task| {
        ACC.with_borrow_mut(|acc| {
            for panel in task * per_task..panels.min((task + 1) * per_task) {
                for from in (0..m).step_by(ROWS_PER_PASS) {
                    let rows = ROWS_PER_PASS.min(m - from);
                    acc.resize(acc.len().max(rows * PANEL), 0.0);
                    let acc = &mut acc[..rows * PANEL];
                    tier.panel(w, panel, x, from, acc);
                    let width = PANEL.min(n - panel * PANEL);
                    for (r, acc) in acc.chunks_exact(PANEL).enumerate() {
                        let at = (from + r) * n + panel * PANEL;
                        // SAFETY: `width` columns of row from + r < m, which are this panel's alone.
                        let out = unsafe { std::slice::from_raw_parts_mut(out.at(at), width) };
                        #[cfg(target_arch = "x86_64")]
                        ahead::to_write_next(out);
                        out.copy_from_slice(&acc[..width]);
                    }
                }
            }
        });
    });
}

thread_local! {
    /// Accumulators of one pass; they grow once.
    static ACC: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}
