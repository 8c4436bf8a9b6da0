//! Threads and matrix kernels: the arithmetic under the forward step and its number contract.

mod pool;

pub use pool::Pool;
