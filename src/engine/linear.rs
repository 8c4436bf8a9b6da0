//! The one place where weights are multiplied: y = x · Wᵀ for a weight matrix in any GGUF type.

use candle_core::quantized::GgmlDType;

use super::gguf::{Gguf, GgufError};
use super::kernels::{Activations, Form, Kind, Pool, matmul};
use super::weights::{self, Matrix};

/// A weight matrix [n, k].
pub(super) struct Linear {
    weights: Matrix,
}

impl Linear {
    /// Reads and packs the tensor `name` [n, k].
    pub(super) fn read(
        pool: &Pool,
        gguf: &Gguf,
        name: &str,
        (n, k): (usize, usize),
    ) -> Result<Linear, GgufError> {
        let stored = gguf.stored(name, &[n, k])?;
        let refuse = |message: String| gguf.refuse(name, &message);
        let kind = Kind::from_ggml(stored.dtype);
        let kind = kind.ok_or_else(|| refuse(format!("no kernel for {:?}", stored.dtype)))?;
        let read = |from, out: &mut [u8]| stored.read_at(from, out);
        let weights = Matrix::read(pool, kind, (n, k), &read);
        Ok(Linear { weights: weights.map_err(|error| refuse(error.to_string()))? })
    }

    /// Bytes that a matrix of this type and size takes in memory, but for the padding of its last rows.
    pub(super) fn bytes(dtype: GgmlDType, elements: usize) -> u64 {
        match Kind::from_ggml(dtype) {
            Some(kind) => (elements as u64 * weights::bytes_per_32(kind) as u64).div_ceil(1024),
            None => (elements / dtype.block_size() * dtype.type_size()) as u64,
        }
    }

    /// The form of its input.
    pub(super) fn form(&self) -> Form {
        self.weights.kind().form()
    }

    /// `x` holds m rows of k in the form that this matrix reads; `out` is [m, n].
    pub(super) fn forward(&self, pool: &Pool, x: &Activations, out: &mut [f32]) {
        matmul(pool, &self.weights, x, &mut out[..x.rows() * self.weights.rows()]);
    }

    /// The rows `ids` as f32, one after the other: `out` is [ids, k].
    pub(super) fn rows(&self, pool: &Pool, ids: &[u32], out: &mut [f32]) {
        pool.run_chunks(out, self.weights.cols(), &|row, out| {
            self.weights.row_f32(ids[row] as usize, out);
        });
    }
}
