//! The forward against other people's forwards, and against itself in other circumstances.

use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, gguf_file};
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};

use super::architecture::Architecture;
use super::gguf::Gguf;
use super::kv::{KvStore, blocks_for};
use super::model::{Model, Run};
use super::pool::Pool;
use super::tiny::{self, Family};

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("nightclerk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn tiny(&self, family: Family, types: &[GgmlDType]) -> PathBuf {
        let path = self.0.join(format!("{family:?}-{types:?}.gguf").replace([' ', ','], ""));
        tiny::write_as(&path, family, types, 7).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The model that NIGHTCLERK_TEST_MODEL names.
fn test_model() -> PathBuf {
    let path = std::env::var_os("NIGHTCLERK_TEST_MODEL");
    path.expect("NIGHTCLERK_TEST_MODEL names no SmolLM2-135M GGUF; tests/run.sh sets it").into()
}

fn load(path: &Path) -> Model {
    let mut gguf = Gguf::open(path).unwrap();
    let architecture = Architecture::from_gguf(&gguf).unwrap();
    Model::load(&mut gguf, architecture, (512, 512), &Pool::new(1), &mut |_| {}).unwrap()
}

/// Logits at every position, the tokens fed in chunks of `chunk`.
fn logits(model: &mut Model, tokens: &[u32], chunk: usize, threads: usize) -> Vec<Vec<f32>> {
    let a = model.architecture();
    let (heads, layers, vocabulary) = (a.heads, a.layers, a.vocabulary);
    let blocks: Vec<u32> = (0..blocks_for(tokens.len()) as u32).rev().collect();
    let mut kv = KvStore::new(heads, layers, blocks.len());
    let pool = Pool::new(threads);
    let mut rows = Vec::new();
    for (i, tokens) in tokens.chunks(chunk).enumerate() {
        let run = Run { tokens, position: i * chunk, blocks: &blocks, logits: tokens.len() };
        let logits = model.forward(&[run], &mut kv, &pool);
        rows.extend(logits.chunks_exact(vocabulary).map(<[f32]>::to_vec));
    }
    rows
}

/// The last logits of every prefix of `tokens` whose length is in `lengths`, by candle-transformers.
fn oracle(path: &Path, tokens: &[u32], lengths: &[usize]) -> Vec<Vec<f32>> {
    let mut file = std::fs::File::open(path).unwrap();
    let content = gguf_file::Content::read(&mut file).unwrap();
    let qwen = content.metadata["general.architecture"].to_string().unwrap() == "qwen2";
    let input =
        |len: usize| Tensor::new(&tokens[..len], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let mut forward: Box<dyn FnMut(&Tensor) -> candle_core::Result<Tensor>> = if qwen {
        let mut model =
            quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
        Box::new(move |x| model.forward(x, 0))
    } else {
        let mut model =
            quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
        Box::new(move |x| model.forward(x, 0))
    };
    let mut last = |&len: &usize| forward(&input(len)).unwrap().flatten_all().unwrap().to_vec1();
    lengths.iter().map(|len| last(len).unwrap()).collect()
}

/// Largest and mean absolute difference.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> (f32, f32) {
    let pairs = || a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs());
    (pairs().fold(0.0, f32::max), pairs().sum::<f32>() / pairs().count() as f32)
}

fn tokens(count: usize, vocabulary: u32) -> Vec<u32> {
    (0..count as u32).map(|i| (i * 7919 + i * i * 31 + 5) % vocabulary).collect()
}

#[test]
fn logits_agree_with_candle_transformers_on_tiny_models_of_every_type() {
    use GgmlDType::*;
    let folder = Folder::new("oracle");
    let tokens = tokens(70, 256);
    let lengths = [1, 2, 31, 32, 33, 64, 70];
    for family in [Family::Llama, Family::SmolLm2, Family::Qwen2] {
        for dtype in [F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K] {
            let path = folder.tiny(family, &[dtype]);
            let ours = logits(&mut load(&path), &tokens, 512, 1);
            let ours: Vec<_> = lengths.iter().map(|len| ours[len - 1].clone()).collect();
            let theirs = oracle(&path, &tokens, &lengths);
            let (max, mean) = difference(&ours, &theirs);
            println!("{family:?} {dtype:?} max {max} mean {mean}");
        }
    }
}

#[test]
fn logits_agree_with_candle_transformers_on_smollm2() {
    let tokens = tokens(100, 40_000);
    let lengths = [1, 2, 31, 64, 100];
    let ours = logits(&mut load(&test_model()), &tokens, 512, 1);
    let ours: Vec<_> = lengths.iter().map(|len| ours[len - 1].clone()).collect();
    let (max, mean) = difference(&ours, &oracle(&test_model(), &tokens, &lengths));
    println!("max {max} mean {mean}");
}

/// `BENCH_MODEL=… cargo test --release --lib engine::tests::bench -- --ignored --nocapture`: the columns of
/// llama-batched-bench (S_PP, S_TG) at -npp 256 -ntg 16.
#[test]
#[ignore = "a measurement"]
fn bench() {
    let path = std::env::var_os("BENCH_MODEL").expect("BENCH_MODEL names a GGUF");
    let start = std::time::Instant::now();
    let mut model = load(Path::new(&path));
    println!("load {:.2} s", start.elapsed().as_secs_f64());
    let threads = std::env::var("BENCH_THREADS").map_or(2, |n| n.parse().unwrap());
    let pool = Pool::new(threads);
    let a = model.architecture().clone();
    let batches = std::env::var("BENCH_BATCH").unwrap_or("1 8 16 32".into());
    for batch in batches.split(' ').map(|b| b.parse::<usize>().unwrap()) {
        let prompt = tokens(256, 30_000);
        let each = blocks_for(256 + 16);
        let blocks: Vec<Vec<u32>> =
            (0..batch).map(|s| (0..each).map(|b| (s * each + b) as u32).collect()).collect();
        let mut kv = KvStore::new(a.heads, a.layers, batch * each);
        let start = std::time::Instant::now();
        for pair in blocks.chunks(2) {
            let runs: Vec<Run> = pair
                .iter()
                .map(|blocks| Run { tokens: &prompt, position: 0, blocks, logits: 1 })
                .collect();
            model.forward(&runs, &mut kv, &pool);
        }
        let prefill = (256 * batch) as f64 / start.elapsed().as_secs_f64();
        let start = std::time::Instant::now();
        for step in 0..16 {
            let runs: Vec<Run> = blocks
                .iter()
                .map(|blocks| Run { tokens: &prompt[..1], position: 256 + step, blocks, logits: 1 })
                .collect();
            model.forward(&runs, &mut kv, &pool);
        }
        let decode = (16 * batch) as f64 / start.elapsed().as_secs_f64();
        println!("batch {batch:>3}: S_PP {prefill:>7.1}  S_TG {decode:>7.1}");
    }
}
