//! A known-answer test of the kernels this machine would use: milliseconds at start, so that a machine
//! (or an emulator, or a miscompiled build) that computes other bits is refused before it answers.

use std::fmt;

use super::super::weights::Matrix;
use super::{Activations, Kind, Pool, Tier, matmul, scalar};

/// A kernel whose bits are not those of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTestError {
    kind: Kind,
    tier: &'static str,
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SelfTestError { kind, tier } = self;
        write!(
            f,
            "this machine multiplies {kind:?} weights otherwise than the specification ({tier} kernels); \
             its answers could not be verified elsewhere"
        )
    }
}

impl std::error::Error for SelfTestError {}

/// Compares every type's kernel of `tier` with the specification, by bits, and the specification with
/// answers written down here.
pub fn self_test(pool: &Pool, tier: Tier) -> Result<(), SelfTestError> {
    let (n, k) = (35, 512);
    // One row; one full register block and an odd one; where there are tiles, a block of them and one row over.
    let sizes: &[usize] = if tier.has_tiles() { &[1, 8, 33] } else { &[1, 8] };
    for &m in sizes {
        for kind in Kind::ALL {
            let (bytes, x) = (weights(kind, n * k), activations(m * k));
            let mut want = vec![0.0; m * n];
            scalar::matmul(kind, &bytes, &x, k, &mut want);
            let w = Matrix::pack(pool, kind, &bytes, n, k).expect("whole blocks");
            let mut rows = Activations::new(tier);
            rows.set(pool, &x, k, &[kind.form()]);
            let mut got = vec![0.0; m * n];
            matmul(pool, &w, &rows, &mut got);
            let equal = got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits());
            if !equal || m == 1 && digest(&got) != KNOWN[kind as usize] {
                return Err(SelfTestError { kind, tier: tier.name() });
            }
        }
    }
    Ok(())
}

/// FNV-1a over the bits of `values`.
fn digest(values: &[f32]) -> u64 {
    values.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, value| {
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Every bit pattern of `q`, and scales between 2^-8 and 2^-7 wherever the type has one.
fn weights(kind: Kind, count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut bytes = Vec::new();
    for _ in 0..count / kind.block_len() {
        let from = bytes.len();
        bytes.extend((0..kind.block_bytes()).map(|_| next()));
        let block = &mut bytes[from..];
        let last = block.len() - 1;
        match kind {
            Kind::F32 => block[2..].copy_from_slice(&[next() & 0x7f, 0x3c]),
            Kind::F16 => block[1] = 0x1c | block[1] & 0x83,
            Kind::Bf16 => block[1] = 0x3c,
            Kind::Q4_0 | Kind::Q5_0 | Kind::Q8_0 => block[1] = 0x1c,
            Kind::Q4_1 | Kind::Q5_1 | Kind::Q4K | Kind::Q5K => (block[1], block[3]) = (0x1c, 0x1c),
            Kind::Q2K => (block[last - 2], block[last]) = (0x1c, 0x1c),
            Kind::Q3K | Kind::Q6K => block[last] = 0x1c,
        }
    }
    bytes
}

fn activations(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

/// Digests of the outputs of one row, by kind: computed by the specification on x86-64 on the day that
/// NUMBER_RULES were first fixed. A change here is a change of every answer.
const KNOWN: [u64; 13] = [
    0xfcc8_6785_a692_3e65,
    0x1bde_a7c0_5721_57e5,
    0x22df_6cb7_4cf4_28d7,
    0x1ae5_9860_bbdc_3bae,
    0x3c2e_1e1e_d136_3cae,
    0xe2cd_d8d9_84fc_d237,
    0xbbb1_77dd_5835_a343,
    0x1928_bad7_c055_0d80,
    0xad4d_a77d_30b9_480b,
    0xf124_8793_d823_6fc1,
    0x9a7e_76e0_6d38_6542,
    0x1bc6_bcf5_cdbc_7d7b,
    0xfaf5_f501_b535_e236,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_passes_its_self_test() {
        let pool = Pool::new(2);
        let found: Vec<u64> = Kind::ALL
            .into_iter()
            .map(|kind| {
                let mut y = vec![0.0; 35];
                scalar::matmul(kind, &weights(kind, 35 * 512), &activations(512), 512, &mut y);
                assert!(y.iter().all(|y| y.is_finite() && *y != 0.0), "{kind:?}");
                digest(&y)
            })
            .collect();
        assert_eq!(found, KNOWN, "{found:#x?}");
        for tier in Tier::available() {
            let start = std::time::Instant::now();
            assert_eq!(self_test(&pool, tier), Ok(()));
            println!("{tier:?}: {:?}", start.elapsed());
        }
    }
}
