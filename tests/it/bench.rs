//! `nightclerk model --bench`: the table of llama-batched-bench, for a tiny model.

use std::path::PathBuf;

use nightclerk::engine::tiny;
use serde_json::Value;

use crate::support::{Folder, nightclerk, told};

fn model(folder: &Folder) -> PathBuf {
    let path = folder.path().join("tiny.gguf");
    tiny::write(&path, tiny::Family::Qwen2, 1).unwrap();
    path
}

#[test]
fn the_table_has_a_row_for_every_batch_and_the_operations_add_up() {
    let folder = Folder::new("bench");
    model(&folder);
    let args = ["model", "tiny.gguf", "--bench", "--pp", "40", "--tg", "3", "--batch", "1,4,13"];
    let output = nightclerk(folder.path(), args).args(["--threads", "2"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let names = "PP|TG|B|N_KV|T_PP s|S_PP t/s|T_TG s|S_TG t/s|T s|S t/s";
    assert_eq!(rows[0].join("|"), names);
    let sizes: Vec<String> = rows[2..].iter().map(|row| row[..4].join(" ")).collect();
    assert_eq!(sizes, ["40 3 1 43", "40 3 4 172", "40 3 13 559"]);
    assert!(rows[2..].iter().all(|row| row[5].parse::<f64>().unwrap() > 0.0), "{text}");

    let json = [&args[..], &["--timing", "--tier", "portable", "--format", "json"]].concat();
    let output = nightclerk(folder.path(), json).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["setting"]["tier"], "portable");
    assert_eq!(value["rows"].as_array().unwrap().len(), 3);
    for row in value["rows"].as_array().unwrap() {
        let operations = row["operations"].as_array().unwrap();
        for whole in ["t_pp", "t_tg"] {
            let parts: f64 = operations.iter().map(|one| one[whole].as_f64().unwrap()).sum();
            assert!(parts > 0.0 && parts <= row[whole].as_f64().unwrap(), "{row}");
        }
    }
}

#[test]
fn what_cannot_be_measured_is_said_with_the_way_out() {
    let folder = Folder::new("bench");
    model(&folder);
    for (args, why) in [
        (["--pp", "1020"], "exceed the context of 1024 tokens"),
        (["--tier", "abacus"], "portable"),
        (["--memory", "4MiB"], "what would fit"),
        (["--batch", "0"], "--batch"),
    ] {
        let args = [&["model", "tiny.gguf", "--bench", "--tg", "16"], &args[..]].concat();
        let output = nightclerk(folder.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).contains(why), "{}", told(&output));
    }
}

#[test]
fn the_peak_of_memory_stands_beside_file_and_cache() {
    let folder = Folder::new("bench");
    let file = std::fs::metadata(model(&folder)).unwrap().len();
    let args = ["model", "tiny.gguf", "--bench", "--pp", "40", "--tg", "3", "--batch", "1,4"];
    let output = nightclerk(folder.path(), args).args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let memory = &value["memory"];
    assert_eq!(memory["file_bytes"], file);
    // 4 sequences of 43 tokens; 2 layers of 2 heads of 64 keys and 64 values, f16.
    assert_eq!(memory["kv_bytes"], 4 * 43 * 2 * 2 * (64 + 64) * 2);
    assert!(memory["peak_bytes"].as_u64().unwrap() > file, "{memory}");
    let setting = &value["setting"];
    assert!(setting["warm_seconds"].as_f64() > setting["load_seconds"].as_f64(), "{setting}");

    let output = nightclerk(folder.path(), args).output().unwrap();
    let line = format!("\nfile {} MiB, KV cache 1 MiB, peak ", file.div_ceil(1 << 20));
    assert!(told(&output).contains(&line), "{}", told(&output));
}

#[test]
fn a_perplexity_is_told_and_does_not_depend_on_threads_or_tier() {
    let folder = Folder::new("bench");
    model(&folder);
    let text = "The agreement of the parties is of the first of March. ".repeat(6);
    folder.write("text", &text);
    let args = ["model", "tiny.gguf", "--context", "64", "--perplexity", "text", "text"];
    let told_of = |more: [&str; 4]| {
        let output = nightclerk(folder.path(), args).args(more).args(["--format", "json"]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let first = told_of(["--threads", "1", "--tier", "portable"]);
    let chunks = first["chunks"].as_u64().unwrap();
    assert!(chunks >= 4 && chunks % 2 == 0, "two texts, chunks of their own: {first}");
    assert_eq!(first["tokens"], chunks * 31, "the second half, less what nothing follows");
    assert!(first["perplexity"].as_f64().unwrap() > 1.0);
    let fast = nightclerk::engine::tiers().pop().unwrap();
    let second = told_of(["--threads", "3", "--tier", fast]);
    assert_eq!(first["perplexity"], second["perplexity"]);

    let output = nightclerk(folder.path(), &args[..4]).output().unwrap();
    assert!(told(&output).contains("--perplexity"), "{}", told(&output));
    let short = ["model", "tiny.gguf", "--perplexity", "text", "--context", "1000"];
    let output = nightclerk(folder.path(), short).output().unwrap();
    assert!(told(&output).contains("fewer than the context of 1000"), "{}", told(&output));
}
