//! Tiny models of random weights, written as GGUF: real in every part but sense, for tests of the
//! engine and of everything behind it. The same arguments give the same file, byte for byte.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, Tensor};

/// One of the kinds of models that the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// As Llama 2 and 3: an output matrix of its own.
    Llama,
    /// As Llama 3.1: `rope_freqs.weight`.
    Llama31,
    /// As a stretched Llama 2: linear rope scaling.
    LlamaLinear,
    /// As Mistral Nemo: heads whose widths do not add up to the model's.
    Mistral,
    /// As SmolLM2: the embedding is the output matrix.
    SmolLm2,
    /// Biases on q, k and v; tied.
    Qwen2,
}

impl Family {
    pub const ALL: [Family; 6] = [
        Family::Llama,
        Family::Llama31,
        Family::LlamaLinear,
        Family::Mistral,
        Family::SmolLm2,
        Family::Qwen2,
    ];
}

/// The types of `write`, as files made for use mix them.
pub const MIXED: [GgmlDType; 3] = [GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q5_0];

/// Tokens of every tiny model: the 256 bytes, some merges, and control tokens.
pub const VOCABULARY: usize = 320;
/// The longest sequence that a tiny model admits.
pub const CONTEXT: usize = 1024;

const WIDTH: usize = 256;
const INNER: usize = 512;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;

/// Writes a model of some 1.3 million weights with types mixed as in files made for use.
pub fn write(path: &Path, family: Family, seed: u64) -> Result<()> {
    write_as(path, family, &MIXED, seed)
}

/// Writes a model whose matrices take their types from `types`, in turn.
pub fn write_as(path: &Path, family: Family, types: &[GgmlDType], seed: u64) -> Result<()> {
    let metadata = metadata(family);
    let mut weights = Weights { random: Random(seed), types, matrices: 0, tensors: Vec::new() };
    let head_dim = head_dim(family);
    let (q, kv) = (HEADS * head_dim, KV_HEADS * head_dim);
    weights.matrix("token_embd.weight", VOCABULARY, WIDTH, 1.0)?;
    if !matches!(family, Family::SmolLm2 | Family::Qwen2) {
        weights.matrix("output.weight", VOCABULARY, WIDTH, 1.0)?;
    }
    if family == Family::Llama31 {
        let factors: Vec<f32> = (0..head_dim / 2).map(|pair| 1.0 + pair as f32 / 4.0).collect();
        weights.vector("rope_freqs.weight", &factors)?;
    }
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}");
        weights.norm(&name("attn_norm.weight"))?;
        weights.matrix(&name("attn_q.weight"), q, WIDTH, 1.5)?;
        weights.matrix(&name("attn_k.weight"), kv, WIDTH, 1.5)?;
        weights.matrix(&name("attn_v.weight"), kv, WIDTH, 1.0)?;
        if family == Family::Qwen2 {
            for (part, len) in [("q", q), ("k", kv), ("v", kv)] {
                let bias: Vec<f32> = (0..len).map(|_| weights.random.normal()).collect();
                weights.vector(&name(&format!("attn_{part}.bias")), &bias)?;
            }
        }
        weights.matrix(&name("attn_output.weight"), WIDTH, q, 1.0)?;
        weights.norm(&name("ffn_norm.weight"))?;
        weights.matrix(&name("ffn_gate.weight"), INNER, WIDTH, 1.0)?;
        weights.matrix(&name("ffn_up.weight"), INNER, WIDTH, 1.0)?;
        weights.matrix(&name("ffn_down.weight"), WIDTH, INNER, 1.0)?;
    }
    weights.norm("output_norm.weight")?;

    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<_> = weights.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    let mut file = BufWriter::new(File::create(path)?);
    gguf_file::write(&mut file, &metadata, &tensors)?;
    file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    Ok(())
}

fn head_dim(family: Family) -> usize {
    if family == Family::Mistral { 32 } else { WIDTH / HEADS }
}

fn metadata(family: Family) -> Vec<(String, Value)> {
    let arch = if family == Family::Qwen2 { "qwen2" } else { "llama" };
    let count = |count: usize| Value::U32(count as u32);
    let text = |text: &str| Value::String(text.into());
    let mut metadata = vec![
        ("general.architecture".to_owned(), text(arch)),
        ("general.name".into(), text(&format!("tiny {family:?}"))),
        ("general.license".into(), text("cc0-1.0")),
    ];
    let mut own = |key: &str, value| metadata.push((format!("{arch}.{key}"), value));
    own("block_count", count(LAYERS));
    own("context_length", count(CONTEXT));
    own("embedding_length", count(WIDTH));
    own("feed_forward_length", count(INNER));
    own("vocab_size", count(VOCABULARY));
    own("attention.head_count", count(HEADS));
    own("attention.head_count_kv", count(KV_HEADS));
    own("attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    own("rope.dimension_count", count(head_dim(family)));
    own("rope.freq_base", Value::F32(10_000.0));
    match family {
        Family::Mistral => {
            own("attention.key_length", count(head_dim(family)));
            own("attention.value_length", count(head_dim(family)));
        }
        Family::LlamaLinear => {
            own("rope.scaling.type", text("linear"));
            own("rope.scaling.factor", Value::F32(2.0));
        }
        _ => {}
    }
    metadata.extend(tokenizer());
    metadata
}

/// A byte-level BPE vocabulary with a ChatML template.
fn tokenizer() -> Vec<(String, Value)> {
    let mut tokens: Vec<String> = (0..=255).map(|byte| byte_symbol(byte).to_string()).collect();
    let merges = [
        "t h",
        "th e",
        "Ġ the",
        "i n",
        "e r",
        "a n",
        "o n",
        "an d",
        "Ġ and",
        "o f",
        "Ġ of",
        "r e",
        "e n",
        "i s",
        "Ġ is",
        "t o",
        "Ġ to",
        "in g",
        "a t",
        "o r",
        "Ġ a",
        "a l",
        "e s",
        "e d",
        "t er",
        "m en",
        "men t",
        "a g",
        "ag re",
        "agre e",
        "agree ment",
        "p ar",
        "par t",
    ];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let mut types = vec![Value::I32(1); tokens.len()];
    let controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let first_control = tokens.len() as u32;
    tokens.extend(controls.map(str::to_owned));
    let unused = VOCABULARY - tokens.len();
    tokens.extend((0..unused).map(|i| format!("<|unused_{i}|>")));
    types.resize(VOCABULARY, Value::I32(3));
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let template = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
        message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}\
        {{ '<|im_start|>assistant\\n' }}{% endif %}";
    let key = |key: &str| format!("tokenizer.{key}");
    vec![
        (key("ggml.model"), Value::String("gpt2".into())),
        (key("ggml.pre"), Value::String("qwen2".into())),
        (key("ggml.tokens"), texts(tokens)),
        (key("ggml.token_type"), Value::Array(types)),
        (key("ggml.merges"), texts(merges.map(str::to_owned).to_vec())),
        (key("ggml.bos_token_id"), Value::U32(first_control)),
        (key("ggml.eos_token_id"), Value::U32(first_control + 2)),
        (key("ggml.padding_token_id"), Value::U32(first_control)),
        (key("ggml.add_bos_token"), Value::Bool(false)),
        (key("chat_template"), Value::String(template.into())),
    ]
}

/// GPT-2's printable stand-in for a byte.
fn byte_symbol(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&other| !printable(other)).count() as u32;
    char::from_u32(256 + rank).expect("256 to 323 are characters")
}

struct Weights<'a> {
    random: Random,
    types: &'a [GgmlDType],
    matrices: usize,
    tensors: Vec<(String, QTensor)>,
}

impl Weights<'_> {
    /// Elements of deviation `gain` / √k, so that what goes in comes out at the same size.
    fn matrix(&mut self, name: &str, n: usize, k: usize, gain: f32) -> Result<()> {
        let scale = gain / (k as f32).sqrt();
        let values: Vec<f32> = (0..n * k).map(|_| self.random.normal() * scale).collect();
        let mut dtype = self.types[self.matrices % self.types.len()];
        if !k.is_multiple_of(dtype.block_size()) {
            dtype = GgmlDType::Q8_0;
        }
        self.matrices += 1;
        let tensor = Tensor::from_vec(values, (n, k), &Device::Cpu)?;
        self.tensors.push((name.into(), QTensor::quantize(&tensor, dtype)?));
        Ok(())
    }

    fn norm(&mut self, name: &str) -> Result<()> {
        let values: Vec<f32> = (0..WIDTH).map(|_| 1.0 + 0.1 * self.random.normal()).collect();
        self.vector(name, &values)
    }

    fn vector(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let tensor = Tensor::new(values, &Device::Cpu)?;
        self.tensors.push((name.into(), QTensor::quantize(&tensor, GgmlDType::F32)?));
        Ok(())
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// About normal with deviation 1: the sum of twelve uniform numbers (no function of libm).
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..12).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32).sum();
        sum - 6.0
    }
}
