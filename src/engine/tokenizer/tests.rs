//! Ids against llama.cpp's (fixtures/tokens), and what no text may become.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file;

use super::*;

/// The metadata of a GGUF file.
pub(in crate::engine) fn metadata(path: &Path) -> HashMap<String, Value> {
    let mut file = fs::File::open(path).unwrap();
    gguf_file::Content::read(&mut file).unwrap().metadata
}

/// The metadata of the model that the tests use.
pub(in crate::engine) fn small_model() -> HashMap<String, Value> {
    metadata(&path_from("NIGHTCLERK_TEST_MODEL"))
}

fn path_from(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set; tests/run.sh sets it"))
        .into()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    files
}

/// Compares the ids of every text in `folder`, in the order of names, with the lines of `golden`.
fn compare(tokenizer: &Tokenizer, folder: &Path, golden: &Path) {
    let files = files_in(folder);
    let golden = fs::read_to_string(golden).unwrap();
    assert_eq!(golden.lines().count(), files.len());
    for (path, line) in files.iter().zip(golden.lines()) {
        let text = String::from_utf8(fs::read(path).unwrap()).unwrap();
        let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let ids = tokenizer.encode(&text);
        if let Some(at) =
            (0..ids.len().max(expected.len())).find(|&i| ids.get(i) != expected.get(i))
        {
            let near = |ids: &[u32]| {
                let range = at.saturating_sub(3)..(at + 6).min(ids.len());
                ids[range].iter().map(|&id| (id, tokenizer.decode(&[id]))).collect::<Vec<_>>()
            };
            panic!("{}: token {at}: {:?}, not {:?}", path.display(), near(&ids), near(&expected));
        }
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tokens")
}

#[test]
fn the_small_models_ids_are_those_of_llama_cpp() {
    let tokenizer = Tokenizer::from_gguf(&small_model()).unwrap();
    compare(&tokenizer, &fixtures().join("texts"), &fixtures().join("smollm2.ids"));
}

/// By hand, for a model that the tests do not carry: NIGHTCLERK_TOKENS_MODEL, NIGHTCLERK_TOKENS_IDS
/// (fixtures/tokens/README.md), and if wanted NIGHTCLERK_TOKENS_TEXTS, a folder of texts, and
/// NIGHTCLERK_TOKENS_PRE, a pre-tokenizer to take instead of the file's.
#[test]
#[ignore = "needs a model named in the environment"]
fn another_models_ids_are_those_of_llama_cpp() {
    let mut metadata = metadata(&path_from("NIGHTCLERK_TOKENS_MODEL"));
    if let Ok(pre) = std::env::var("NIGHTCLERK_TOKENS_PRE") {
        metadata.insert("tokenizer.ggml.pre".to_owned(), Value::String(pre));
    }
    let start = std::time::Instant::now();
    let tokenizer = Tokenizer::from_gguf(&metadata).unwrap();
    let built = start.elapsed();
    let texts = std::env::var_os("NIGHTCLERK_TOKENS_TEXTS")
        .map_or_else(|| fixtures().join("texts"), PathBuf::from);
    compare(&tokenizer, &texts, &path_from("NIGHTCLERK_TOKENS_IDS"));
    eprintln!("built in {built:?}, compared in {:?}", start.elapsed() - built);
}

/// No special token's text, alone or in the midst of others, becomes a token that a template may use;
/// and the text survives.
fn no_text_becomes_special(tokenizer: &Tokenizer) {
    let specials = tokenizer.template_specials.iter().filter(|(_, id)| !tokenizer.is_plain(*id));
    let all: Vec<&str> = specials.map(|(text, _)| text.as_str()).collect();
    assert!(all.len() > 5);
    let whole = format!("Clause 1. {} end", all.join(" x"));
    for text in all.iter().copied().chain([whole.as_str()]) {
        let ids = tokenizer.encode(text);
        assert!(ids.iter().all(|&id| tokenizer.is_plain(id)), "{text:?} became {ids:?}");
        assert!(ids.iter().all(|&id| !tokenizer.is_end(id)), "{text:?}");
        assert_eq!(tokenizer.decode(&ids).trim_start(), text.replace(spm::SPACE, " ").trim_start());
    }
}

#[test]
fn no_text_becomes_a_control_token() {
    no_text_becomes_special(&Tokenizer::from_gguf(&small_model()).unwrap());
}

#[test]
#[ignore = "needs a model named in the environment"]
fn no_text_becomes_a_control_token_of_another_model() {
    let metadata = metadata(&path_from("NIGHTCLERK_TOKENS_MODEL"));
    no_text_becomes_special(&Tokenizer::from_gguf(&metadata).unwrap());
}

#[test]
fn template_text_becomes_control_tokens() {
    let tokenizer = Tokenizer::from_gguf(&small_model()).unwrap();
    let ids = tokenizer.encode_template("<|im_start|>user\n<|im_end|>");
    assert_eq!((ids[0], ids[ids.len() - 1]), (1, 2));
    assert!(tokenizer.is_end(2) && !tokenizer.is_plain(2));
    assert_eq!(tokenizer.decode(&ids), "user\n");
}

#[test]
fn a_character_cut_in_two_is_shown_as_such() {
    let tokenizer = Tokenizer::from_gguf(&small_model()).unwrap();
    let ids = tokenizer.encode("𐍈");
    assert_eq!(tokenizer.decode(&ids), "𐍈");
    assert!(tokenizer.decode(&ids[1..]).starts_with('\u{fffd}'));
}

#[test]
fn a_monstrous_text_is_encoded_all_the_same() {
    let tokenizer = Tokenizer::from_gguf(&small_model()).unwrap();
    let run = 200_000;
    for text in
        [" ".repeat(run), "a".repeat(run), "\n".repeat(run), "1".repeat(run), "é ".repeat(run)]
    {
        let text = format!("x{text}y");
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text)), text);
    }
}

/// A tiny SentencePiece vocabulary: control, bytes, and a few pieces.
pub(in crate::engine) fn tiny_spm(pieces: &[(&str, f32)]) -> HashMap<String, Value> {
    let bytes = (0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 0.0, 6));
    let pieces = pieces.iter().map(|&(text, score)| (text.to_owned(), score, 1));
    let tokens: Vec<(String, f32, i32)> = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
        .map(|(text, kind)| (text.to_owned(), 0.0, kind))
        .into_iter()
        .chain(bytes)
        .chain(pieces)
        .collect();
    let list = |value: &dyn Fn(&(String, f32, i32)) -> Value| {
        Value::Array(tokens.iter().map(value).collect())
    };
    HashMap::from(
        [
            ("tokenizer.ggml.model", Value::String("llama".to_owned())),
            ("tokenizer.ggml.tokens", list(&|token| Value::String(token.0.clone()))),
            ("tokenizer.ggml.scores", list(&|token| Value::F32(token.1))),
            ("tokenizer.ggml.token_type", list(&|token| Value::I32(token.2))),
            ("tokenizer.ggml.bos_token_id", Value::U32(1)),
            ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    )
}

#[test]
fn sentencepiece_merges_by_score_and_falls_back_to_bytes() {
    let pieces = [
        ("▁", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("ab", -1.0),
        ("▁a", -2.0),
        ("<s", -1.0),
        (">", -9.0),
    ];
    let tokenizer = Tokenizer::from_gguf(&tiny_spm(&pieces)).unwrap();
    let written = |ids: Vec<u32>| {
        ids.iter().map(|&id| tokenizer.token_bytes(id).to_vec()).collect::<Vec<_>>()
    };
    // "ab" has the better score, so "▁a" never comes about.
    assert_eq!(written(tokenizer.encode("ab")), [b" ".as_slice(), b"ab"]);
    assert_eq!(written(tokenizer.encode_continuing("a a")), [b"a".as_slice(), b" a"]);
    assert_eq!(written(tokenizer.encode_continuing("é")), [b"\xC3", b"\xA9"]);
    assert_eq!(tokenizer.decode(&tokenizer.encode_continuing("é")), "é");
    assert_eq!(tokenizer.bos(), Some(1));
    // The spelling of a control token merges to nothing more than its letters.
    assert!(tokenizer.encode("<s>").iter().all(|&id| tokenizer.is_plain(id)));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let mut metadata = small_model();
    metadata.insert("tokenizer.ggml.pre".to_owned(), Value::String("tekken-9".to_owned()));
    let error = Tokenizer::from_gguf(&metadata).err().unwrap();
    assert_eq!(error, TokenizerError::Pretokenizer("tekken-9".to_owned()));
    assert!(error.to_string().contains("tekken-9"));
    metadata.insert("tokenizer.ggml.model".to_owned(), Value::String("bert".to_owned()));
    assert_eq!(
        Tokenizer::from_gguf(&metadata).err(),
        Some(TokenizerError::Model("bert".to_owned()))
    );
    metadata.remove("tokenizer.ggml.tokens");
    metadata.insert("tokenizer.ggml.model".to_owned(), Value::String("gpt2".to_owned()));
    assert_eq!(Tokenizer::from_gguf(&metadata).err(), Some(missing("tokens")));
}

#[test]
fn the_digest_follows_what_shapes_ids() {
    let metadata = tiny_spm(&[("a", -1.0)]);
    let digest =
        |metadata: &HashMap<String, Value>| Tokenizer::from_gguf(metadata).unwrap().digest();
    assert_eq!(digest(&metadata), digest(&metadata.clone()));
    let mut other = metadata.clone();
    other.insert("tokenizer.ggml.add_space_prefix".to_owned(), Value::Bool(false));
    assert_ne!(digest(&metadata), digest(&other));
    assert_ne!(digest(&metadata), digest(&tiny_spm(&[("a", -2.0)])));
}
