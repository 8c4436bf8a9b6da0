//! Reports as words for a person.

use std::fmt::Write as _;

use crate::audit::{Report, Standing, Verdict};
use crate::run::{BenchMemory, BenchRow, BenchSetting, ModelSheet, PerplexitySheet};

/// Files named one by one up to this many of a kind.
const NAMED_MAX: usize = 20;

/// What `verify` found.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let word = match report.verdict {
        Verdict::Ok if report.is_sound() => {
            "VERIFIED: every entry follows from the one before, every file is as logged"
        }
        Verdict::Ok => "NOT AS LOGGED: the chain holds, but files are not as logged",
        Verdict::Unfinished => {
            "UNFINISHED: every entry holds, but the last run has not ended; the next run puts it right"
        }
        Verdict::Broken => "BROKEN: the chain does not hold",
    };
    let _ = writeln!(text, "{word}");
    let _ = writeln!(
        text,
        "log of {}: {} entries, {} runs, {} of them cut off",
        report.origin, report.entries, report.runs, report.cut_off
    );
    let _ = writeln!(text, "root {}", report.root);
    if let Some(bad) = &report.first_bad {
        let _ = writeln!(text, "first bad entry: {bad}");
    }
    if let Some(torn) = &report.torn {
        let _ =
            writeln!(text, "torn tail: {} bytes at {} of {}", torn.bytes, torn.offset, torn.file);
    }
    if let Some(run) = &report.open_run {
        let _ = writeln!(text, "run without an end: {run}");
    }
    for range in &report.ranges {
        let standing = match range.standing {
            Standing::Unsigned => {
                "UNSIGNED: chained only, whoever can write the log could have written another"
            }
        };
        let _ = writeln!(text, "entries {} to {}: {standing}", range.from, range.to);
    }
    let _ = writeln!(text, "files as logged: {}", report.files.equal);
    let lists = [
        ("missing", &report.files.missing),
        ("changed", &report.files.changed),
        ("not in the log", &report.files.orphans),
        ("edited by a person, known to the log", &report.files.kept),
    ];
    for (what, files) in lists.into_iter().filter(|(_, files)| !files.is_empty()) {
        let _ = writeln!(text, "{what}: {}", files.len());
        for file in files.iter().take(NAMED_MAX) {
            let _ = writeln!(text, "  {file}");
        }
        if files.len() > NAMED_MAX {
            let _ =
                writeln!(text, "  and {} more (--format json names all)", files.len() - NAMED_MAX);
        }
    }
    text
}

/// What is in a model, and whether it fits.
pub(super) fn model(sheet: &ModelSheet) -> String {
    let ModelSheet { facts, memory_bytes, refused } = sheet;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let mut text = String::new();
    let name = if facts.name.is_empty() { "without a name" } else { &facts.name };
    let _ = writeln!(text, "{name}: {} of {} layers", facts.family, facts.layers);
    let licence = facts.licence.as_deref().unwrap_or("not stated in the file");
    let _ = writeln!(text, "licence: {licence}");
    let types: Vec<String> = facts
        .types
        .iter()
        .map(|(name, weights)| format!("{name} {} %", 100 * weights / facts.parameters.max(1)))
        .collect();
    let _ = writeln!(
        text,
        "weights: {} million, {} MiB; {}",
        facts.parameters / 1_000_000,
        mib(facts.weights_bytes),
        types.join(", ")
    );
    let _ = writeln!(
        text,
        "context: {} tokens; KV cache: {} KiB a token, {} MiB for 4096 tokens",
        facts.context,
        facts.kv_bytes_per_token.div_ceil(1024),
        mib(facts.kv_bytes_per_token * 4096)
    );
    let template =
        if facts.has_chat_template { "its own" } else { "none: a base model, asked in plain text" };
    let _ = writeln!(text, "vocabulary: {} tokens; chat template: {template}", facts.vocabulary);
    let _ = match memory_bytes {
        Some(bytes) => writeln!(
            text,
            "fits: a run takes {} MiB, with room for {} tokens in the KV cache",
            mib(*bytes),
            facts.kv_tokens
        ),
        None => writeln!(text, "does not fit: {refused}"),
    };
    text
}

/// Under which circumstances, and the head of the table: the one of `llama-batched-bench`.
pub(super) fn bench_head(setting: &BenchSetting) -> String {
    let BenchSetting { model, threads, tier, load_seconds, .. } = setting;
    let mut text = format!("{model}: {threads} threads, {tier}, loaded in {load_seconds:.2} s\n\n");
    let _ = writeln!(
        text,
        "|{:>6} | {:>6} | {:>4} | {:>6} | {:>8} | {:>8} | {:>8} | {:>8} | {:>8} | {:>8} |",
        "PP", "TG", "B", "N_KV", "T_PP s", "S_PP t/s", "T_TG s", "S_TG t/s", "T s", "S t/s"
    );
    let rule = [6, 6, 4, 6, 8, 8, 8, 8, 8, 8].map(|width| "-".repeat(width));
    let _ = writeln!(text, "|{}-|", rule.join("-|-"));
    text
}

/// One row under `bench_head`.
pub(super) fn bench_row(row: &BenchRow) -> String {
    let BenchRow { pp, tg, pl, n_kv, t_pp, speed_pp, t_tg, speed_tg, t, speed, .. } = row;
    format!(
        "|{pp:>6} | {tg:>6} | {pl:>4} | {n_kv:>6} | {t_pp:>8.3} | {speed_pp:>8.2} | {t_tg:>8.3} | \
         {speed_tg:>8.2} | {t:>8.3} | {speed:>8.2} |"
    )
}

/// What was taken of memory, and by how much that is more than file and cache.
pub(super) fn bench_memory(memory: &BenchMemory) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let BenchMemory { file_bytes, kv_bytes, peak_bytes } = *memory;
    let mut text = format!("\nfile {} MiB, KV cache {} MiB", mib(file_bytes), mib(kv_bytes));
    if let Some(peak) = peak_bytes {
        let over = 100.0 * (peak as f64 / (file_bytes + kv_bytes) as f64 - 1.0);
        let _ = write!(text, ", peak {} MiB ({over:+.1} %)", mib(peak));
    }
    text.push('\n');
    text
}

/// The perplexity of some texts, with its standard error.
pub(super) fn perplexity(sheet: &PerplexitySheet) -> String {
    let PerplexitySheet { model, tier, context, chunks, tokens, perplexity, error, .. } = sheet;
    format!(
        "{model} ({tier}): perplexity {perplexity:.4} +/- {error:.5}, {chunks} chunks of {context} \
         tokens, {tokens} of them scored\n"
    )
}

/// What each operation took in one row, in seconds and as a share of the row.
pub(super) fn operations(row: &BenchRow) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "batch {:<13}   T_PP s       %     T_TG s       %", row.pl);
    let share = |part: f64, whole: f64| 100.0 * part / whole;
    let mut line = |name: &str, t_pp: f64, t_tg: f64| {
        let (pp, tg) = (share(t_pp, row.t_pp), share(t_tg, row.t_tg));
        let _ = writeln!(text, "{name:<19} {t_pp:>8.3} {pp:>7.1}   {t_tg:>8.3} {tg:>7.1}");
    };
    let (mut pp, mut tg) = (0.0, 0.0);
    for one in &row.operations {
        (pp, tg) = (pp + one.t_pp, tg + one.t_tg);
        line(one.operation, one.t_pp, one.t_tg);
    }
    line("between steps", row.t_pp - pp, row.t_tg - tg);
    text
}
