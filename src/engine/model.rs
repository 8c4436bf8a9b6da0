//! The forward, once, top to bottom: a flat batch of rows from many sequences, over plain buffers
//! that are allocated once. A row's result depends on its own sequence only.
//!
//! Not here: which rows go into a step (`scheduler`), and what becomes of the logits (`sampler`).

use std::ops::Range;

use super::architecture::{Architecture, Pairing};
use super::attention;
use super::gguf::{Gguf, GgufError};
use super::kernels::pages::ask_for_large;
use super::kernels::{Activations, Tier};
use super::kv::{BlockId, KvStore};
use super::linear::Linear;
use super::math::{dot, silu, sin_cos_f64};
use super::pool::Pool;
use super::timing::{Operation, Timing};
use super::wide::wide;
use crate::base::limits::KV_BLOCK_TOKENS;

/// Consecutive tokens of one sequence in one step.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub tokens: &'a [u32],
    /// Position of the first of them in its sequence; everything before is in the cache.
    pub position: usize,
    /// The sequence's blocks, up to and with the last of these tokens.
    pub blocks: &'a [BlockId],
    /// Of so many of its last rows the logits are wanted.
    pub logits: usize,
}

impl Run<'_> {
    fn positions(&self) -> Range<usize> {
        self.position..self.position + self.tokens.len()
    }

    /// Positions of the rows whose logits are wanted.
    fn wanted(&self) -> Range<usize> {
        let end = self.positions().end;
        end - self.logits..end
    }
}

/// The weights of one model and the buffers of its forward.
pub(super) struct Model {
    architecture: Architecture,
    embedding: Linear,
    layers: Vec<Layer>,
    output_norm: Vec<f32>,
    /// None where the embedding serves.
    output: Option<Linear>,
    buffers: Buffers,
    timing: Timing,
}

struct Layer {
    attention_norm: Vec<f32>,
    q: Linear,
    k: Linear,
    v: Linear,
    /// Biases of q, k and v.
    bias: Option<[Vec<f32>; 3]>,
    attention_output: Linear,
    inner_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// [rows, …] each.
struct Buffers {
    tokens: Vec<u32>,
    plan: attention::Plan,
    /// Cosine and sine of every pair of a head, [rows, head_dim / 2, 2].
    rotations: Vec<f32>,
    /// The residual stream, [rows, width].
    stream: Vec<f32>,
    /// Normed input, and what a part adds to the stream, [rows, width].
    normed: Vec<f32>,
    /// [rows, heads × head_dim]
    q: Vec<f32>,
    split: Vec<f32>,
    attended: Vec<f32>,
    /// [rows, kv_heads × head_dim]
    k: Vec<f32>,
    v: Vec<f32>,
    /// [rows, inner]
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What the next matrices read.
    input: Activations,
    /// [rows that want them, vocabulary]
    logits: Vec<f32>,
}

impl Model {
    /// Reads the weights. At most `rows` rows go into a step, and `logits_rows` of them have logits.
    pub(super) fn load(
        gguf: &Gguf,
        mut architecture: Architecture,
        (rows, logits_rows): (usize, usize),
        (pool, tier): (&Pool, Tier),
        progress: &mut dyn FnMut(u64),
    ) -> Result<Model, GgufError> {
        let a = &architecture;
        let (width, inner, vocabulary) = (a.width, a.inner, a.vocabulary);
        let q_width = a.heads.heads * a.heads.head_dim;
        let kv_width = a.heads.kv_heads * a.heads.head_dim;
        let mut matrix = |name: &str, n: usize, k: usize| {
            let linear = Linear::read(pool, gguf, name, (n, k))?;
            progress(gguf.stored(name, &[n, k])?.len);
            Ok::<_, GgufError>(linear)
        };
        let embedding = matrix("token_embd.weight", vocabulary, width)?;
        let output = match a.tied_embedding {
            true => None,
            false => Some(matrix("output.weight", vocabulary, width)?),
        };
        let mut layers = Vec::with_capacity(a.layers);
        for layer in 0..a.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let bias = match a.qkv_bias {
                true => Some([
                    gguf.vector(&name("attn_q.bias"), q_width)?,
                    gguf.vector(&name("attn_k.bias"), kv_width)?,
                    gguf.vector(&name("attn_v.bias"), kv_width)?,
                ]),
                false => None,
            };
            layers.push(Layer {
                attention_norm: gguf.vector(&name("attn_norm.weight"), width)?,
                q: matrix(&name("attn_q.weight"), q_width, width)?,
                k: matrix(&name("attn_k.weight"), kv_width, width)?,
                v: matrix(&name("attn_v.weight"), kv_width, width)?,
                bias,
                attention_output: matrix(&name("attn_output.weight"), width, q_width)?,
                inner_norm: gguf.vector(&name("ffn_norm.weight"), width)?,
                gate: matrix(&name("ffn_gate.weight"), inner, width)?,
                up: matrix(&name("ffn_up.weight"), inner, width)?,
                down: matrix(&name("ffn_down.weight"), width, inner)?,
            });
        }
        let output_norm = gguf.vector("output_norm.weight", width)?;
        if a.frequency_factors {
            let factors = gguf.vector("rope_freqs.weight", a.heads.head_dim / 2)?;
            let pairs = architecture.frequencies.iter_mut().zip(factors);
            pairs.for_each(|(frequency, factor)| *frequency /= f64::from(factor));
        }
        let buffers = Buffers::new(&architecture, tier, rows, logits_rows);
        Ok(Model {
            architecture,
            embedding,
            layers,
            output_norm,
            output,
            buffers,
            timing: Timing::default(),
        })
    }

    /// Bytes of the buffers for so many rows.
    pub(super) fn buffer_bytes(a: &Architecture, rows: usize, logits_rows: usize) -> u64 {
        let q = a.heads.heads * a.heads.head_dim;
        let kv = a.heads.kv_heads * a.heads.head_dim;
        let row = 1 + a.heads.head_dim + 2 * a.width + 3 * q + 2 * kv + 2 * a.inner;
        let input = rows * Activations::row_bytes(a.width.max(q).max(a.inner));
        (size_of::<f32>() * (rows * row + logits_rows * a.vocabulary) + input) as u64
    }

    pub(super) fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    pub(super) fn timing(&mut self) -> &mut Timing {
        &mut self.timing
    }

    /// Runs one step: writes the keys and values of all `runs` into `kv` and returns the logits that
    /// were asked for, [rows that want them, vocabulary], in the order of the runs.
    pub(super) fn forward(&mut self, runs: &[Run], kv: &mut KvStore, pool: &Pool) -> &[f32] {
        let a = &self.architecture;
        let rows: usize = runs.iter().map(|run| run.tokens.len()).sum();
        let wanted: usize = runs.iter().map(|run| run.logits).sum();
        let q_width = a.heads.heads * a.heads.head_dim;
        let scale = 1.0 / (a.heads.head_dim as f32).sqrt();
        let mut b = self.buffers.whole().first(a, rows);
        let timing = &mut self.timing;
        timing.start();

        b.tokens.clear();
        b.tokens.extend(runs.iter().flat_map(|run| run.tokens));
        rotations(&a.frequencies, runs, b.rotations);
        self.embedding.rows(pool, b.tokens, b.stream);
        b.plan.set(a.heads, runs.iter().map(Run::positions));
        timing.lap(Operation::Embed);

        for (index, layer) in self.layers.iter().enumerate() {
            norm(pool, a, &layer.attention_norm, b.stream, b.normed);
            timing.lap(Operation::Norm);
            let forms = [&layer.q, &layer.k, &layer.v].map(Linear::form);
            b.input.set(pool, b.normed, a.width, &forms);
            timing.lap(Operation::Quantize);
            layer.k.forward(pool, b.input, b.k);
            layer.v.forward(pool, b.input, b.v);
            timing.lap(Operation::Qkv);
            let [q_bias, k_bias, v_bias] =
                layer.bias.as_ref().map_or([None; 3], |bias| bias.each_ref().map(Some));
            place(pool, a, k_bias, (b.rotations, 1.0), b.k, a.heads.kv_heads);
            if let Some(bias) = v_bias {
                by_rows(pool, bias.len(), b.v, &|_, v| add_bias(v, bias));
            }
            timing.lap(Operation::Rotate);
            write_kv(kv, index, runs, b.k, b.v);
            timing.lap(Operation::KvWrite);

            // Of the last layer the cache needs keys and values only. The rest of it is for the rows whose
            // logits are wanted.
            if index + 1 == self.layers.len() && wanted < rows {
                if wanted == 0 {
                    return &[];
                }
                b.keep_wanted(a, runs);
                b = b.first(a, wanted);
                b.plan.set(a.heads, runs.iter().map(Run::wanted));
                b.input.set(pool, b.normed, a.width, &[layer.q.form()]);
                timing.lap(Operation::Quantize);
            }
            layer.q.forward(pool, b.input, b.q);
            timing.lap(Operation::Qkv);
            place(pool, a, q_bias, (b.rotations, scale), b.q, a.heads.heads);
            timing.lap(Operation::Rotate);
            attention::attend(
                (pool, b.input.tier()),
                a.heads,
                (kv, index),
                runs,
                b.plan,
                b.q,
                b.split,
                b.attended,
            );
            timing.lap(Operation::Attention);
            b.input.set(pool, b.attended, q_width, &[layer.attention_output.form()]);
            timing.lap(Operation::Quantize);
            layer.attention_output.forward(pool, b.input, b.normed);
            timing.lap(Operation::AttentionOutput);
            add_rows(pool, a.width, b.stream, b.normed);
            timing.lap(Operation::Add);

            norm(pool, a, &layer.inner_norm, b.stream, b.normed);
            timing.lap(Operation::Norm);
            b.input.set(pool, b.normed, a.width, &[&layer.gate, &layer.up].map(Linear::form));
            timing.lap(Operation::Quantize);
            layer.gate.forward(pool, b.input, b.gate);
            layer.up.forward(pool, b.input, b.up);
            timing.lap(Operation::GateUp);
            by_rows(pool, a.inner, b.gate, &|first, gate| {
                swiglu(gate, &b.up[first * a.inner..][..gate.len()]);
            });
            timing.lap(Operation::Swiglu);
            b.input.set(pool, b.gate, a.inner, &[layer.down.form()]);
            timing.lap(Operation::Quantize);
            layer.down.forward(pool, b.input, b.normed);
            timing.lap(Operation::Down);
            add_rows(pool, a.width, b.stream, b.normed);
            timing.lap(Operation::Add);
        }

        norm(pool, a, &self.output_norm, b.stream, b.normed);
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        b.input.set(pool, b.normed, a.width, &[output.form()]);
        let logits = &mut b.logits[..wanted * a.vocabulary];
        output.forward(pool, b.input, logits);
        timing.lap(Operation::Logits);
        logits
    }
}

/// Writes the keys and values of all rows, [rows, kv_heads × head_dim] each, into their blocks.
fn write_kv(kv: &mut KvStore, layer: usize, runs: &[Run], k: &[f32], v: &[f32]) {
    let positions =
        runs.iter().flat_map(|run| run.positions().map(move |position| (run, position)));
    let width = k.len() / runs.iter().map(|run| run.tokens.len()).sum::<usize>();
    let rows = k.chunks_exact(width).zip(v.chunks_exact(width));
    for ((run, position), (k, v)) in positions.zip(rows) {
        let place = (run.blocks[position / KV_BLOCK_TOKENS], position % KV_BLOCK_TOKENS);
        kv.write(place, layer, k, v);
    }
}

/// The buffers of `rows` rows.
struct Cut<'a> {
    tokens: &'a mut Vec<u32>,
    plan: &'a mut attention::Plan,
    rotations: &'a mut [f32],
    stream: &'a mut [f32],
    normed: &'a mut [f32],
    q: &'a mut [f32],
    split: &'a mut [f32],
    attended: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    gate: &'a mut [f32],
    up: &'a mut [f32],
    input: &'a mut Activations,
    logits: &'a mut [f32],
}

impl Buffers {
    fn new(a: &Architecture, tier: Tier, rows: usize, logits_rows: usize) -> Buffers {
        let q = a.heads.heads * a.heads.head_dim;
        let kv = a.heads.kv_heads * a.heads.head_dim;
        let zeros = |width: usize| {
            let zeros = vec![0.0; rows * width];
            ask_for_large(&zeros);
            zeros
        };
        Buffers {
            tokens: Vec::with_capacity(rows),
            plan: attention::Plan::default(),
            rotations: zeros(a.heads.head_dim),
            stream: zeros(a.width),
            normed: zeros(a.width),
            q: zeros(q),
            split: zeros(q),
            attended: zeros(q),
            k: zeros(kv),
            v: zeros(kv),
            gate: zeros(a.inner),
            up: zeros(a.inner),
            input: Activations::new(tier),
            logits: vec![0.0; logits_rows * a.vocabulary],
        }
    }

    /// All of them, for the most rows.
    fn whole(&mut self) -> Cut<'_> {
        Cut {
            tokens: &mut self.tokens,
            plan: &mut self.plan,
            rotations: &mut self.rotations,
            stream: &mut self.stream,
            normed: &mut self.normed,
            q: &mut self.q,
            split: &mut self.split,
            attended: &mut self.attended,
            k: &mut self.k,
            v: &mut self.v,
            gate: &mut self.gate,
            up: &mut self.up,
            input: &mut self.input,
            logits: &mut self.logits,
        }
    }
}

impl<'a> Cut<'a> {
    /// The first so many rows.
    fn first(self, a: &Architecture, rows: usize) -> Cut<'a> {
        let q = rows * a.heads.heads * a.heads.head_dim;
        let kv = rows * a.heads.kv_heads * a.heads.head_dim;
        Cut {
            rotations: &mut self.rotations[..rows * a.heads.head_dim],
            stream: &mut self.stream[..rows * a.width],
            normed: &mut self.normed[..rows * a.width],
            q: &mut self.q[..q],
            split: &mut self.split[..q],
            attended: &mut self.attended[..q],
            k: &mut self.k[..kv],
            v: &mut self.v[..kv],
            gate: &mut self.gate[..rows * a.inner],
            up: &mut self.up[..rows * a.inner],
            ..self
        }
    }

    /// Moves the rows whose logits are wanted to the front of what a layer goes on with.
    fn keep_wanted(&mut self, a: &Architecture, runs: &[Run]) {
        let (mut wanted, mut end) = (0, 0);
        for run in runs {
            end += run.tokens.len();
            for row in end - run.logits..end {
                for (rows, width) in [
                    (&mut *self.stream, a.width),
                    (&mut *self.normed, a.width),
                    (&mut *self.rotations, a.heads.head_dim),
                ] {
                    rows.copy_within(row * width..(row + 1) * width, wanted * width);
                }
                wanted += 1;
            }
        }
    }
}

/// Rows that one task of an element-wise operation takes.
const TASK_ROWS: usize = 16;

/// Calls `f` with the index of a first row and some rows of `out` [rows, width], on all threads.
fn by_rows(pool: &Pool, width: usize, out: &mut [f32], f: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    pool.run_chunks(out, TASK_ROWS * width, &|task, part| f(task * TASK_ROWS, part));
}

/// out = x / rms(x) · weight, row by row (Zhang and Sennrich, RMSNorm, 2019).
fn norm(pool: &Pool, a: &Architecture, weight: &[f32], x: &[f32], out: &mut [f32]) {
    by_rows(pool, a.width, out, &|first, out| {
        norm_rows(weight, a.norm_epsilon, &x[first * a.width..][..out.len()], out);
    });
}

/// cos and sin of position × frequency for every row; f64 until the last rounding.
fn rotations(frequencies: &[f64], runs: &[Run], out: &mut [f32]) {
    let positions = runs.iter().flat_map(Run::positions);
    for (position, row) in positions.zip(out.chunks_exact_mut(2 * frequencies.len())) {
        for (frequency, pair) in frequencies.iter().zip(row.chunks_exact_mut(2)) {
            let (sin, cos) = sin_cos_f64(position as f64 * frequency);
            pair.copy_from_slice(&[cos as f32, sin as f32]);
        }
    }
}

/// Adds the bias to `x` [rows, heads × head_dim], turns every head by its row's angles, and scales it.
fn place(
    pool: &Pool,
    a: &Architecture,
    bias: Option<&Vec<f32>>,
    (rotations, scale): (&[f32], f32),
    x: &mut [f32],
    heads: usize,
) {
    let dim = a.heads.head_dim;
    by_rows(pool, heads * dim, x, &|first, x| {
        if let Some(bias) = bias {
            add_bias(x, bias);
        }
        rotate(a.pairing, &rotations[first * dim..], scale, x, dim, heads);
    });
}

fn add_rows(pool: &Pool, width: usize, out: &mut [f32], x: &[f32]) {
    by_rows(pool, width, out, &|first, out| add(out, &x[first * width..][..out.len()]));
}

fn add_bias(out: &mut [f32], bias: &[f32]) {
    for row in out.chunks_exact_mut(bias.len()) {
        add(row, bias);
    }
}

wide! {
    fn norm_rows(weight: &[f32], epsilon: f32, x: &[f32], out: &mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        }
    }

    /// gate = silu(gate) · up (Shazeer, GLU variants, 2020).
    fn swiglu(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = silu(*gate) * up;
        }
    }

    fn add(out: &mut [f32], x: &[f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += x;
        }
    }

    /// Rotates every head of `x` [rows, heads × dim] by its row's angles, and scales it.
    fn rotate(
        pairing: Pairing,
        rotations: &[f32],
        scale: f32,
        x: &mut [f32],
        dim: usize,
        heads: usize,
    ) {
        for (row, rotations) in x.chunks_exact_mut(heads * dim).zip(rotations.chunks_exact(dim)) {
            for head in row.chunks_exact_mut(dim) {
                for (pair, rotation) in rotations.chunks_exact(2).enumerate() {
                    let (first, second) = match pairing {
                        Pairing::Neighbours => (2 * pair, 2 * pair + 1),
                        Pairing::Halves => (pair, pair + dim / 2),
                    };
                    let (x0, x1) = (head[first], head[second]);
                    let (cos, sin) = (rotation[0], rotation[1]);
                    head[first] = (x0 * cos - x1 * sin) * scale;
                    head[second] = (x0 * sin + x1 * cos) * scale;
                }
            }
        }
    }
}
