//! What a model family computes, as data: read from GGUF metadata, refused by name where unknown.
//!
//! A later family adds a row to `FAMILIES` and, where it needs one, a field here that `model` obeys.

use std::fmt;

use super::attention::Heads;
use super::gguf::{Gguf, GgufError};
use super::math::{LANES, pow_f64};

/// Which elements of a head are rotated together (Su et al., RoFormer, 2021).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairing {
    /// Elements 2i and 2i + 1; llama's GGUF files have q and k permuted for this.
    Neighbours,
    /// Elements i and i + head_dim/2 (GPT-NeoX).
    Halves,
}

/// What sets one family apart; everything else is in the metadata.
struct Family {
    /// `general.architecture`.
    name: &'static str,
    pairing: Pairing,
    /// q, k and v have biases.
    qkv_bias: bool,
}

const FAMILIES: [Family; 2] = [
    // Llama 2, 3 and 3.1 (with `rope_freqs.weight`), Mistral, SmolLM2.
    Family { name: "llama", pairing: Pairing::Neighbours, qkv_bias: false },
    Family { name: "qwen2", pairing: Pairing::Halves, qkv_bias: true },
];

/// One model's shapes and rules.
#[derive(Clone, Debug)]
pub(super) struct Architecture {
    pub family: &'static str,
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    pub heads: Heads,
    /// Inner width of the feed-forward part.
    pub inner: usize,
    pub vocabulary: usize,
    /// Tokens that the model was trained for.
    pub context: usize,
    pub norm_epsilon: f32,
    pub pairing: Pairing,
    pub qkv_bias: bool,
    /// Radians a position for each pair of a head, before `rope_freqs.weight`.
    pub frequencies: Vec<f64>,
    /// No `output.weight`: the embedding is used for both.
    pub tied_embedding: bool,
    /// `rope_freqs.weight` divides the frequencies (Llama 3.1).
    pub frequency_factors: bool,
}

/// Why a model cannot be run.
#[derive(Debug)]
pub enum ArchitectureError {
    Gguf(GgufError),
    /// A family that is not built in.
    Family(String),
    /// A part of the model that the forward would leave out.
    Unsupported(String),
}

impl From<GgufError> for ArchitectureError {
    fn from(error: GgufError) -> Self {
        ArchitectureError::Gguf(error)
    }
}

impl fmt::Display for ArchitectureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchitectureError::Gguf(error) => error.fmt(f),
            ArchitectureError::Family(name) => {
                let known = FAMILIES.map(|family| family.name).join(" and ");
                write!(f, "models of the architecture {name:?} are not supported; {known} are")
            }
            ArchitectureError::Unsupported(what) => write!(f, "{what}, which is not supported"),
        }
    }
}

impl std::error::Error for ArchitectureError {}

impl Architecture {
    pub(super) fn from_gguf(gguf: &Gguf) -> Result<Architecture, ArchitectureError> {
        let name = gguf.text("general.architecture")?;
        let family = FAMILIES.iter().find(|family| family.name == name);
        let family = family.ok_or_else(|| ArchitectureError::Family(name.into()))?;
        let key = |rest: &str| format!("{}.{rest}", family.name);
        let count = |rest: &str| gguf.count(&key(rest));
        let count_or = |rest: &str, default: usize| {
            if gguf.has(&key(rest)) { count(rest) } else { Ok(default) }
        };

        let (width, heads) = (count("embedding_length")?, count("attention.head_count")?);
        let kv_heads = count_or("attention.head_count_kv", heads)?;
        if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 {
            return unsupported(format!("{heads} query heads over {kv_heads} key heads"));
        }
        let head_dim = count_or("attention.key_length", width / heads)?;
        for rest in ["attention.value_length", "rope.dimension_count"] {
            let other = count_or(rest, head_dim)?;
            if other != head_dim {
                return unsupported(format!("{} is {other}, the key length {head_dim}", key(rest)));
            }
        }
        if head_dim == 0 || head_dim % LANES != 0 {
            return unsupported(format!("heads of {head_dim} elements, no multiple of {LANES}"));
        }
        let experts = count_or("expert_count", 0)?;
        if experts > 0 {
            return unsupported(format!("the model is a mixture of {experts} experts"));
        }

        let tensors = gguf.tensors();
        let embedding = tensors.get("token_embd.weight");
        let (_, elements) =
            embedding.ok_or_else(|| GgufError::MissingTensor("token_embd.weight".into()))?;
        let architecture = Architecture {
            family: family.name,
            layers: count("block_count")?,
            width,
            heads: Heads { heads, kv_heads, head_dim },
            inner: count("feed_forward_length")?,
            // The metadata may name fewer tokens than the matrix has rows.
            vocabulary: elements / width.max(1),
            context: count("context_length")?,
            norm_epsilon: gguf.number(&key("attention.layer_norm_rms_epsilon"))?,
            pairing: family.pairing,
            qkv_bias: family.qkv_bias,
            frequencies: frequencies(gguf, family, head_dim)?,
            tied_embedding: !tensors.contains_key("output.weight"),
            frequency_factors: tensors.contains_key("rope_freqs.weight"),
        };
        architecture.refuse_unknown(gguf)?;
        Ok(architecture)
    }

    /// Names of the tensors that the forward uses.
    pub(super) fn tensor_names(&self) -> Vec<String> {
        let mut names = vec!["token_embd.weight".to_owned(), "output_norm.weight".into()];
        if !self.tied_embedding {
            names.push("output.weight".into());
        }
        if self.frequency_factors {
            names.push("rope_freqs.weight".into());
        }
        let mut parts = vec!["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"];
        parts.extend(["ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]);
        for layer in 0..self.layers {
            names.extend(parts.iter().map(|part| format!("blk.{layer}.{part}.weight")));
            if self.qkv_bias {
                names.extend(["q", "k", "v"].map(|part| format!("blk.{layer}.attn_{part}.bias")));
            }
        }
        names
    }

    /// A tensor that nobody reads is a part of the model that would silently be left out.
    fn refuse_unknown(&self, gguf: &Gguf) -> Result<(), ArchitectureError> {
        let known: std::collections::BTreeSet<_> = self.tensor_names().into_iter().collect();
        match gguf.tensors().keys().find(|name| !known.contains(**name)) {
            None => Ok(()),
            Some(name) => unsupported(format!(
                "the file has a tensor {name}, unknown in the architecture {}",
                self.family
            )),
        }
    }
}

fn unsupported<T>(what: String) -> Result<T, ArchitectureError> {
    Err(ArchitectureError::Unsupported(what))
}

/// base^(−2i/head_dim), slowed down where the context was stretched linearly.
fn frequencies(
    gguf: &Gguf,
    family: &Family,
    head_dim: usize,
) -> Result<Vec<f64>, ArchitectureError> {
    let key = |rest: &str| format!("{}.rope.{rest}", family.name);
    let base = key("freq_base");
    let base = if gguf.has(&base) { gguf.number(&base)? } else { 10_000.0 };
    if !(1.0..f32::MAX).contains(&base) {
        return unsupported(format!("a rope base of {base}"));
    }
    let kind = key("scaling.type");
    let kind = if gguf.has(&kind) { gguf.text(&kind)? } else { "none" };
    let slower = match kind {
        "none" => 1.0,
        "linear" => gguf.number(&key("scaling.factor"))?,
        other => return unsupported(format!("rope scaling of the type {other:?}")),
    };
    let exponent = |pair: usize| -2.0 * pair as f64 / head_dim as f64;
    let frequency = |pair| pow_f64(f64::from(base), exponent(pair)) / f64::from(slower);
    Ok((0..head_dim / 2).map(frequency).collect())
}
