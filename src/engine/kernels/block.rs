//! GGUF block types, read one block at a time into plain integers and scales.
//!
//! Both the scalar specification and the packing of panels start here, so this is the only place that
//! knows how ggml arranges bits (ggml-quants.c, `dequantize_row_*`). Weights are
//! read in runs of 32 bytes, so that loading is quick.

use candle_core::quantized::GgmlDType;
use half::{bf16, f16};

/// A weight type of GGUF that we have kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// How a row of activations is written down for a weight type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is, for weights without blocks.
    Float,
    /// int8 with one scale per 32, for the legacy types.
    By32,
    /// int8 with one scale per 256, for the K types.
    By256,
}

/// Weights of one block of a K type: `d * scale[j / 16] * (q[j] - offset) - dmin * min[j / 16]`.
pub struct Block256 {
    pub q: [u8; 256],
    pub scale: [i8; 16],
    pub min: [u8; 16],
    pub d: f32,
    pub dmin: f32,
}

/// Weights of one block of a legacy type: `d * (q[j] - offset) + min`.
pub struct Block32 {
    pub q: [u8; 32],
    pub d: f32,
    pub min: f32,
}

impl Kind {
    pub const ALL: [Kind; 13] = [
        Kind::F32,
        Kind::F16,
        Kind::Bf16,
        Kind::Q4_0,
        Kind::Q4_1,
        Kind::Q5_0,
        Kind::Q5_1,
        Kind::Q8_0,
        Kind::Q2K,
        Kind::Q3K,
        Kind::Q4K,
        Kind::Q5K,
        Kind::Q6K,
    ];

    /// The kind of a GGUF tensor type, if we have kernels for it.
    pub fn from_ggml(dtype: GgmlDType) -> Option<Kind> {
        Some(match dtype {
            GgmlDType::F32 => Kind::F32,
            GgmlDType::F16 => Kind::F16,
            GgmlDType::BF16 => Kind::Bf16,
            GgmlDType::Q4_0 => Kind::Q4_0,
            GgmlDType::Q4_1 => Kind::Q4_1,
            GgmlDType::Q5_0 => Kind::Q5_0,
            GgmlDType::Q5_1 => Kind::Q5_1,
            GgmlDType::Q8_0 => Kind::Q8_0,
            GgmlDType::Q2K => Kind::Q2K,
            GgmlDType::Q3K => Kind::Q3K,
            GgmlDType::Q4K => Kind::Q4K,
            GgmlDType::Q5K => Kind::Q5K,
            GgmlDType::Q6K => Kind::Q6K,
            _ => return None,
        })
    }

    pub fn form(self) -> Form {
        match self {
            Kind::F32 | Kind::F16 | Kind::Bf16 => Form::Float,
            Kind::Q4_0 | Kind::Q4_1 | Kind::Q5_0 | Kind::Q5_1 | Kind::Q8_0 => Form::By32,
            Kind::Q2K | Kind::Q3K | Kind::Q4K | Kind::Q5K | Kind::Q6K => Form::By256,
        }
    }

    /// Weights in one block.
    pub fn block_len(self) -> usize {
        match self.form() {
            Form::Float => 1,
            Form::By32 => 32,
            Form::By256 => 256,
        }
    }

    /// Bytes of one block in a GGUF file.
    pub fn block_bytes(self) -> usize {
        match self {
            Kind::F32 => 4,
            Kind::F16 | Kind::Bf16 => 2,
            Kind::Q4_0 => 18,
            Kind::Q4_1 => 20,
            Kind::Q5_0 => 22,
            Kind::Q5_1 => 24,
            Kind::Q8_0 => 34,
            Kind::Q2K => 84,
            Kind::Q3K => 110,
            Kind::Q4K => 144,
            Kind::Q5K => 176,
            Kind::Q6K => 210,
        }
    }

    /// What is subtracted from every `q`, which is stored unsigned.
    pub const fn offset(self) -> i32 {
        match self {
            Kind::Q3K => 4,
            Kind::Q4_0 => 8,
            Kind::Q5_0 => 16,
            Kind::Q6K => 32,
            Kind::Q8_0 => 128,
            _ => 0,
        }
    }

    /// Whether blocks have minima beside scales.
    pub const fn has_min(self) -> bool {
        matches!(self, Kind::Q4_1 | Kind::Q5_1 | Kind::Q2K | Kind::Q4K | Kind::Q5K)
    }
}

/// One weight of a type without blocks.
pub fn read_float(kind: Kind, bytes: &[u8]) -> f32 {
    match kind {
        Kind::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Kind::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Kind::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        _ => unreachable!("{kind:?} has blocks"),
    }
}

/// One block of a legacy type.
pub fn read_32(kind: Kind, bytes: &[u8]) -> Block32 {
    let d = f16_at(bytes, 0);
    let mut q = [0; 32];
    if kind == Kind::Q8_0 {
        for (q, &b) in q.iter_mut().zip(&bytes[2..34]) {
            *q = b ^ 0x80;
        }
        return Block32 { q, d, min: 0.0 };
    }
    let (min, high, low) = match kind {
        Kind::Q4_0 => (0.0, 0, &bytes[2..18]),
        Kind::Q4_1 => (f16_at(bytes, 2), 0, &bytes[4..20]),
        Kind::Q5_0 => (0.0, u32_at(bytes, 2), &bytes[6..22]),
        Kind::Q5_1 => (f16_at(bytes, 2), u32_at(bytes, 4), &bytes[8..24]),
        _ => unreachable!("{kind:?} is no legacy type"),
    };
    for (j, &b) in low.iter().enumerate() {
        q[j] = (b & 15) | ((high >> j & 1) as u8 * 16);
        q[j + 16] = (b >> 4) | ((high >> (j + 16) & 1) as u8 * 16);
    }
    Block32 { q, d, min }
}

/// One block of a K type.
pub fn read_256(kind: Kind, bytes: &[u8]) -> Block256 {
    match kind {
        Kind::Q2K => read_q2k(bytes),
        Kind::Q3K => read_q3k(bytes),
        Kind::Q4K => read_q45k(bytes, None, &bytes[16..144]),
        Kind::Q5K => read_q45k(bytes, Some(&bytes[16..48]), &bytes[48..176]),
        Kind::Q6K => read_q6k(bytes),
        _ => unreachable!("{kind:?} is no K type"),
    }
}

fn read_q2k(bytes: &[u8]) -> Block256 {
    let (scales, qs) = (&bytes[..16], &bytes[16..80]);
    let mut block = Block256 {
        q: [0; 256],
        scale: [0; 16],
        min: [0; 16],
        d: f16_at(bytes, 80),
        dmin: f16_at(bytes, 82),
    };
    for (c, q) in block.q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        *q = field(qs, c / 4 * 32, c % 4 * 2, 3);
    }
    for j in 0..16 {
        block.scale[j] = (scales[j] & 15) as i8;
        block.min[j] = scales[j] >> 4;
    }
    block
}

fn read_q3k(bytes: &[u8]) -> Block256 {
    let (high, qs, scales) = (&bytes[..32], &bytes[32..96], &bytes[96..108]);
    let mut block =
        Block256 { q: [0; 256], scale: [0; 16], min: [0; 16], d: f16_at(bytes, 108), dmin: 0.0 };
    for (c, q) in block.q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        *q = over(field(qs, c / 4 * 32, c % 4 * 2, 3), field(high, 0, c, 1), 2);
    }
    for j in 0..16 {
        let low = scales[j % 8] >> (j / 8 * 4) & 15;
        let high = scales[8 + j % 4] >> (j / 4 * 2) & 3;
        block.scale[j] = (low | high << 4) as i8 - 32;
    }
    block
}

/// Q4_K and Q5_K: eight pairs of 6-bit scale and minimum, then (Q5_K) a plane of fifth bits.
fn read_q45k(bytes: &[u8], high: Option<&[u8]>, low: &[u8]) -> Block256 {
    let s = &bytes[4..16];
    let mut block = Block256 {
        q: [0; 256],
        scale: [0; 16],
        min: [0; 16],
        d: f16_at(bytes, 0),
        dmin: f16_at(bytes, 2),
    };
    for j in 0..8 {
        let (scale, min) = if j < 4 {
            (s[j] & 63, s[j + 4] & 63)
        } else {
            (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4)
        };
        for half in 0..2 {
            block.scale[2 * j + half] = scale as i8;
            block.min[2 * j + half] = min;
        }
    }
    for (c, q) in block.q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        *q = field(low, c / 2 * 32, c % 2 * 4, 15);
        if let Some(high) = high {
            *q = over(*q, field(high, 0, c, 1), 4);
        }
    }
    block
}

fn read_q6k(bytes: &[u8]) -> Block256 {
    let (low, high, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    let mut block =
        Block256 { q: [0; 256], scale: [0; 16], min: [0; 16], d: f16_at(bytes, 208), dmin: 0.0 };
    for (c, q) in block.q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let four = field(low, c / 4 * 64 + c % 2 * 32, c / 2 % 2 * 4, 15);
        *q = over(four, field(high, c / 4 * 32, c % 4 * 2, 3), 4);
    }
    for j in 0..16 {
        block.scale[j] = scales[j] as i8;
    }
    block
}

/// The bits `mask` from bit `shift` on, of 32 bytes from `at` on.
#[inline(always)]
fn field(bytes: &[u8], at: usize, shift: usize, mask: u8) -> [u8; 32] {
    let bytes: &[u8; 32] = bytes[at..].first_chunk().expect("a block is whole");
    // A loop, since what `map` calls is compiled by itself, a fifth of the time of packing.
    let mut out = [0; 32];
    for (out, byte) in out.iter_mut().zip(bytes) {
        *out = byte >> shift & mask;
    }
    out
}

/// Low bits with high bits above them, from bit `shift` on.
#[inline(always)]
fn over(low: [u8; 32], high: [u8; 32], shift: usize) -> [u8; 32] {
    let mut out = low;
    for (out, high) in out.iter_mut().zip(high) {
        *out |= high << shift;
    }
    out
}

fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernels::tests::{ggml_type, random_bytes};
    use candle_core::Device;
    use candle_core::quantized::{GgmlDType, ggml_file};

    #[test]
    fn blocks_mean_what_candle_reads_in_them() {
        for kind in Kind::ALL {
            if kind.form() == Form::Float {
                continue;
            }
            let (n, k) = (3, 512);
            let bytes = random_bytes(kind, n * k, 7);
            let dtype: GgmlDType = ggml_type(kind);
            let tensor =
                ggml_file::qtensor_from_ggml(dtype, &bytes, vec![n, k], &Device::Cpu).unwrap();
            let want: Vec<f32> =
                tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let mut got = Vec::new();
            for block in bytes.chunks(kind.block_bytes()) {
                if kind.form() == Form::By32 {
                    let b = read_32(kind, block);
                    got.extend(b.q.map(|q| b.d * (q as i32 - kind.offset()) as f32 + b.min));
                } else {
                    let b = read_256(kind, block);
                    got.extend((0..256).map(|j| {
                        let (scale, min) = (b.scale[j / 16] as f32, b.min[j / 16] as f32);
                        let q = (b.q[j] as i32 - kind.offset()) as f32;
                        b.d * scale * q - b.dmin * min
                    }));
                }
            }
            let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let size = want.iter().map(|v| v.abs()).fold(0.0, f32::max);
            assert!(worst <= size * 1e-6, "{kind:?}: {worst} of {size}");
        }
    }
}
