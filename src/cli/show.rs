//! Reports as words for a person.

use std::fmt::Write as _;
use std::path::Path;

use crate::audit::{
    Cosigned, Exported, Fit, Gap, Imported, Proof, Report, Standing, Step, Verdict, Witnessed,
};
use crate::base::{duration, one_line};
use crate::run::{
    self, AnswerSheet, BenchMemory, BenchRow, BenchSetting, BuildFacts, Difference, Erasure,
    ModelSheet, NightOf, PerplexitySheet, ReplaySheet, ReplayVerdict, ReviewSheet,
};

/// Files named one by one up to this many of a kind.
const NAMED_MAX: usize = 20;

/// The version; with `verbose` what this program was built from and what it does here.
pub(super) fn version(verbose: bool) -> String {
    let mut text = format!("nightclerk {}\n", env!("CARGO_PKG_VERSION"));
    if verbose {
        let commit = option_env!("NIGHTCLERK_COMMIT").unwrap_or(match cfg!(debug_assertions) {
            true => "not looked up in a debug build",
            false => "unknown: built outside of its repository",
        });
        let BuildFacts { text_rules, number_rules, prompt_rules, tiers } = run::build_facts();
        let _ = writeln!(text, "commit: {commit}");
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let _ = writeln!(text, "built for: {arch} {os}; features: none");
        let _ = writeln!(
            text,
            "rules: text {text_rules}, number {number_rules}, prompt {prompt_rules}"
        );
        let _ = writeln!(text, "kernels here, the last is used: {}", tiers.join(", "));
    }
    text
}

/// What `verify` found.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let signed = report.key.is_some();
    let word = match report.verdict {
        Verdict::Ok if report.is_sound() && signed => {
            "VERIFIED: every entry is signed and follows from the one before, every file is as logged"
        }
        Verdict::Ok if report.is_sound() => {
            "VERIFIED: every entry follows from the one before, every file is as logged; nothing is signed"
        }
        Verdict::Ok if report.files.is_sound() => "NIGHTS MISSING: log and files hold",
        Verdict::Ok => "NOT AS LOGGED: the chain holds, but files are not as logged",
        Verdict::Unfinished => {
            "UNFINISHED: every entry holds, but the last run has not ended; the next run puts it right"
        }
        Verdict::Truncated => "TRUNCATED: entries are missing at the end of the log",
        Verdict::Diverged => "DIVERGED: this is not the log whose checkpoint was kept",
        Verdict::Broken => "BROKEN: the chain does not hold",
    };
    let _ = writeln!(text, "{word}");
    let _ = writeln!(
        text,
        "log of {}: {} entries, {} runs, {} of them cut off",
        one_line(&report.origin),
        report.entries,
        report.runs,
        report.cut_off
    );
    let _ = writeln!(text, "root {}", report.root);
    if let Some(bad) = &report.first_bad {
        let _ = writeln!(text, "first bad entry: {}", one_line(&bad.to_string()));
    }
    if let Some(torn) = &report.torn {
        let _ =
            writeln!(text, "torn tail: {} bytes at {} of {}", torn.bytes, torn.offset, torn.file);
    }
    if let Some(run) = &report.open_run {
        let _ = writeln!(text, "run without an end: {run}");
    }
    if let Some(key) = &report.key {
        let pinned = match &key.pinned_by {
            Some(from) if key.genesis_pinned => format!("known from {from}, with the first entry"),
            Some(from) => format!("known from {from}; the first entry is not"),
            None => "NOT KNOWN beforehand, only from the log itself: give --key".into(),
        };
        let _ = writeln!(
            text,
            "key {} ({pinned}), {} checkpoints",
            one_line(&key.vkey.to_string()),
            report.checkpoints
        );
    }
    for known in &report.known {
        let kept = if known.elsewhere { "kept checkpoint" } else { "last checkpoint of key_dir" };
        let fit = match known.fit {
            Fit::Fits => "fits",
            Fit::Truncated => "TRUNCATED: the log is shorter",
            Fit::Diverged => "DIVERGED: the log has other entries",
            Fit::NotReached => "not reached",
        };
        let entry = known.first_different.map(|seq| format!(", from entry {seq} on"));
        let _ = writeln!(text, "{kept} {}: {fit}{}", known.size, entry.unwrap_or_default());
    }
    for Witnessed { witness, size, time } in &report.witnesses {
        let _ = writeln!(text, "witness {witness}: {size} entries, at {time}");
    }
    for Gap { after, before, missing } in &report.missing_nights {
        let _ = writeln!(text, "no run between {after} and {before}: {missing} missing");
    }
    for Step { seq, before, after } in report.clock_steps.iter().take(NAMED_MAX) {
        let way = if after < before { "set back" } else { "set forward, or the machine slept" };
        let _ = writeln!(text, "clock {way} at entry {seq}: from {before} to {after}");
    }
    let steps = (report.clock_steps_total as usize).saturating_sub(NAMED_MAX);
    if steps > 0 {
        let _ = writeln!(text, "  and {steps} more steps of the clock");
    }
    for range in &report.ranges {
        let standing = match range.standing {
            Standing::Anchored => "ANCHORED: nobody can have changed them since that checkpoint",
            Standing::Signed => {
                "SIGNED, not anchored: whoever has the keys could have cut or rewritten them"
            }
            Standing::Unsigned => {
                "UNSIGNED: chained only, whoever can write the log could have written another"
            }
        };
        let _ = writeln!(text, "entries {} to {}: {standing}", range.from, range.to);
    }
    let _ = writeln!(text, "files as logged: {}", report.files.equal);
    if report.files.superseded > 0 {
        let _ = writeln!(text, "earlier ones kept, as logged: {}", report.files.superseded);
    }
    if report.files.reviews > 0 {
        let _ = writeln!(text, "what reviewers wrote, as logged: {}", report.files.reviews);
    }
    let lists = [
        ("missing", &report.files.missing),
        ("changed", &report.files.changed),
        ("not in the log", &report.files.orphans),
        ("edited by a person, known to the log", &report.files.kept),
    ];
    for (what, files) in lists.into_iter().filter(|(_, files)| !files.is_empty()) {
        let _ = writeln!(text, "{what}: {}", files.len());
        for file in files.iter().take(NAMED_MAX) {
            let _ = writeln!(text, "  {}", one_line(file));
        }
        if files.len() > NAMED_MAX {
            let _ =
                writeln!(text, "  and {} more (--format json names all)", files.len() - NAMED_MAX);
        }
    }
    text
}

/// What was written for another place.
pub(super) fn exported(exported: &Exported, folder: &Path) -> String {
    let Exported { size, root, fingerprint, .. } = exported;
    format!(
        "{size} entries, root {root}\nfingerprint {fingerprint}\nwritten to {}; keep it where nobody who \
         can write the log can reach it\n",
        folder.display()
    )
}

/// Whose signatures were taken in.
pub(super) fn imported(imported: &[Imported]) -> String {
    imported
        .iter()
        .map(|one| format!("{} has signed {} entries\n", one.witness, one.size))
        .collect()
}

/// What the witness has signed.
pub(super) fn cosigned(cosigned: &Cosigned) -> String {
    let Cosigned { origin, size, before, fingerprint } = cosigned;
    let since = match before {
        0 => format!(
            "the first of this log: its key was taken on trust; compare the fingerprint\n{fingerprint}\n\
             with the one on the other machine"
        ),
        _ => format!("consistent with the {before} entries that were signed before"),
    };
    format!("signed {size} entries of {}, {since}\n", one_line(origin))
}

/// What a folder proves.
pub(super) fn proof(proof: &Proof, folder: &Path) -> String {
    let Proof { seq, size, bytes, files } = proof;
    let files = match files.as_slice() {
        [] => "no files: the entry names none".to_owned(),
        files => files.join(", "),
    };
    format!(
        "entry {seq} of {size}, proof of {bytes} bytes, {}\n{} says how to check it\n",
        one_line(&files),
        folder.join("READ-ME.md").display()
    )
}

/// What a reviewer's workbook brought.
pub(super) fn review(sheet: &ReviewSheet) -> String {
    let ReviewSheet { signed_off, corrected, rejected, known } = sheet;
    let mut text = format!("{signed_off} signed off, {corrected} corrected, {rejected} rejected");
    if *known > 0 {
        let _ = write!(text, "; {known} known already");
    }
    if signed_off + corrected + rejected + known == 0 {
        text.push_str(": no row of the review sheet says signed-off, corrected or rejected");
    }
    text.push('\n');
    text
}

/// What is gone, and what a person must still look at.
pub(super) fn erased(erased: &[Erasure]) -> String {
    let mut text = String::new();
    for Erasure { path, files, .. } in erased {
        let _ = writeln!(text, "erased: {}", one_line(path));
        for file in files {
            let _ = writeln!(text, "            {}", one_line(file));
        }
    }
    text.push_str(
        "The next run writes the tables without them, and does not take the documents again until their \
         bytes change (run --redo all does). Copies that people made, edited tables among them, are theirs \
         to delete.\n",
    );
    text
}

/// What came out of asking again.
pub(super) fn replay(sheet: &ReplaySheet) -> String {
    let mut text = String::new();
    let differ = sheet.replayed.iter().filter(|one| !one.differences.is_empty()).count();
    let identical = sheet.replayed.len() - differ;
    let word = match sheet.verdict {
        ReplayVerdict::Identical => "REPLAYED",
        ReplayVerdict::InPart => "REPLAYED IN PART",
        ReplayVerdict::Otherwise => "REPLAYED OTHERWISE",
        ReplayVerdict::Nothing => "NOTHING REPLAYED",
    };
    let _ = write!(text, "{word}: {identical} identical to the last bit, {differ} not");
    match (sheet.seed, sheet.not_replayable.len()) {
        (Some(seed), _) => {
            let _ = write!(text, "; drawn from {} with --seed {seed}", sheet.replayable);
        }
        (None, 0) => {}
        (None, named) => {
            let _ = write!(text, ", {named} that were named cannot be replayed");
        }
    }
    if !sheet.replayed.is_empty() {
        let _ = write!(text, "; {} threads, {}", sheet.threads, sheet.tier);
    }
    text.push('\n');
    for one in &sheet.replayed {
        let word = if one.differences.is_empty() { "identical" } else { "differs" };
        let _ = writeln!(text, "{word:<12}{}", one_line(&one.path));
        for difference in &one.differences {
            let Difference { what, logged, found, first } = difference;
            let _ = writeln!(text, "            {what}: logged {logged}, now {found}");
            if !first.is_empty() {
                let _ = writeln!(text, "            the records part at {first}");
            }
        }
    }
    if !sheet.not_replayable.is_empty() {
        let _ = writeln!(text, "not replayable: {}", sheet.not_replayable.len());
    }
    for one in sheet.not_replayable.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "  {}: {}", one_line(&one.path), one_line(&one.reason));
    }
    text
}

/// What stands under an answer: the words of the document that say it, first.
pub(super) fn answer_end(sheet: &AnswerSheet) -> String {
    let mut text = "\n\n".to_owned();
    for one in &sheet.evidence {
        let clause = one.clause.as_ref().map(|clause| format!(", clause {clause}"));
        let quote = one.quote.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "page {}{}: “{quote}”", one.page, clause.unwrap_or_default());
    }
    if sheet.evidence.is_empty() {
        text.push_str("(No passage of the document is found for this.)\n");
    }
    if !sheet.unsupported.is_empty() {
        let named = sheet.unsupported.join(", ");
        let _ = writeln!(
            text,
            "(Not in the text that the model was shown: {named}. Look for yourself.)"
        );
    }
    if !sheet.whole {
        text.push_str("(The answer breaks off: it reached its limit.)\n");
    }
    if let Some(shown) = sheet.shown {
        let _ = writeln!(
            text,
            "(The document is longer than the context: the model was shown {} of its {} clauses, those that \
             share words with the question.)",
            shown.clauses, shown.of
        );
    }
    if !sheet.document_whole {
        text.push_str("(Not every page could be read: nightclerk text --pages says which.)\n");
    }
    text
}

/// What is in a model, and whether it fits.
pub(super) fn model(sheet: &ModelSheet) -> String {
    let ModelSheet { facts, fit, memory_bytes, refused } = sheet;
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
    let batches =
        fit.batches.iter().map(|batch| format!("{}: {}", batch.sequences, mib(batch.bytes)));
    let batches: Vec<String> = batches.collect();
    let _ = writeln!(
        text,
        "weights and cache in MiB, by sequences of 4096 tokens at once: {}",
        batches.join(", ")
    );
    let _ = writeln!(text, "{}", fit.advice);
    text
}

/// Documents of a night at the measured speed.
pub(super) fn night_of(night: &NightOf) -> String {
    let NightOf { documents, prompt_tokens, answer_tokens, seconds, a_night } = night;
    format!(
        "\nat the mean of the last run's {documents} documents ({prompt_tokens:.0} prompt tokens \
         computed, {answer_tokens:.0} answer tokens): {} a document, {a_night} documents in \
         8 hours\n",
        duration(*seconds)
    )
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
