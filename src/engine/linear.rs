//! The one place where weights are multiplied: y = x · Wᵀ for a weight matrix in any GGUF type.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};

/// A weight matrix [n, k].
pub(super) struct Linear {
    weights: Arc<QTensor>,
    matmul: QMatMul,
    /// Outputs.
    n: usize,
    /// Inputs.
    k: usize,
}

impl Linear {
    /// `weights` is [n, k].
    pub(super) fn new(weights: QTensor) -> Linear {
        let weights = Arc::new(weights);
        let (n, k) = weights.shape().dims2().expect("the caller asked for two dimensions");
        // Not `from_arc`: it would send F32 and F16 to a dense GEMM whose sums depend on m.
        Linear { matmul: QMatMul::QTensor(weights.clone()), weights, n, k }
    }

    /// Bytes that a matrix of this type and size takes in memory once it has been used.
    pub(super) fn bytes(dtype: GgmlDType, elements: usize) -> u64 {
        let stored = elements / dtype.block_size() * dtype.type_size();
        // candle keeps repacked copies besides: 6 and 10 bits an element for Q4_K, 10 for Q6_K.
        let repacked_bits = match dtype {
            GgmlDType::Q4K => 16,
            GgmlDType::Q6K => 10,
            GgmlDType::Q8_0 => 9,
            _ => 0,
        };
        stored as u64 + elements as u64 * repacked_bits / 8
    }

    /// `x` is [m, k], `out` [m, n].
    pub(super) fn forward(&self, x: &[f32], m: usize, out: &mut [f32]) {
        if m == 0 {
            return;
        }
        let (x, out) = (&x[..m * self.k], &mut out[..m * self.n]);
        // candle's Q6_K differs between one row and more, so one row goes as two.
        let padded = if m == 1 { [x, x].concat() } else { x.to_vec() };
        let rows = padded.len() / self.k;
        let y = Tensor::from_vec(padded, (rows, self.k), &Device::Cpu)
            .and_then(|x| self.matmul.forward(&x))
            .and_then(|y| y.flatten_all()?.to_vec1::<f32>())
            .expect("shapes were checked when the weights were read");
        out.copy_from_slice(&y[..m * self.n]);
    }

    /// The rows `ids` as f32, one after the other: `out` is [ids, k].
    pub(super) fn rows(&self, ids: &[u32], out: &mut [f32]) {
        let rows = Tensor::new(ids, &Device::Cpu)
            .and_then(|ids| self.weights.embedding(&ids))
            .and_then(|rows| rows.flatten_all()?.to_vec1::<f32>())
            .expect("the caller keeps ids below the number of rows");
        out[..rows.len()].copy_from_slice(&rows);
    }
}
