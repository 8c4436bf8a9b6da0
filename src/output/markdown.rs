//! A record as a page for a person. Whatever comes from a document or a model is escaped: it cannot
//! load a picture, become a link or HTML, or hide text from whoever reads the page.

use std::fmt::Write;

use super::table::{field, words};
use crate::assemble::{Evidence, Record, Remark, RemarkKind, Summary, table_lines};
use crate::base::{Outcome, counted};

/// A quote or hidden passage is shown up to here; the JSON record has it whole.
const QUOTE_CHARS_MAX: usize = 300;

/// Changes and comments are listed up to here.
const REMARKS_MAX: usize = 200;

/// The page. A function of the record alone.
pub(super) fn page(record: &Record) -> String {
    let mut out = String::new();
    head(&mut out, record);
    summary(&mut out, record);
    rows(&mut out, record);
    fields(&mut out, record);
    notes(&mut out, record);
    remarks(&mut out, record);
    coverage(&mut out, record);
    made_with(&mut out, record);
    out
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($words:tt)*) => {
        writeln!($out, $($words)*).expect("writing to a string cannot fail")
    };
}

fn head(out: &mut String, record: &Record) {
    let source = &record.source;
    let name = source.path.rsplit('/').next().unwrap_or(&source.path);
    line!(out, "# {}\n", inline(name));
    let pages = counted(source.pages.into(), "page");
    line!(
        out,
        "{}/{}/{} · {} · {pages}\n",
        inline(&source.job),
        inline(&source.root),
        inline(&source.path),
        source.format
    );
    match (record.outcome, record.reason.as_str()) {
        (Outcome::Done, "") => line!(out, "**done**\n"),
        (outcome, reason) => line!(out, "**{outcome}**: {}\n", inline(reason)),
    }
}

fn summary(out: &mut String, record: &Record) {
    let Some(summary) = &record.summary else { return };
    line!(out, "## Summary\n");
    for paragraph in summary.text.lines().filter(|line| !line.trim().is_empty()) {
        line!(out, "{}\n", inline(paragraph));
    }
    if !summary.unsupported.is_empty() {
        line!(out, "{}\n", unsupported(&summary.unsupported).trim_start());
    }
    for evidence in &summary.evidence {
        line!(out, "> {}{}\n", clipped(&evidence.quote), places(std::slice::from_ref(evidence)));
    }
    points(out, summary);
    if !summary.missing.is_empty() {
        line!(out, "No passage was found on: {}.\n", inline(&summary.missing.join(", ")));
    }
    if summary.tables.is_empty() {
        return;
    }
    line!(out, "## Tables\n");
    line!(out, "Computed from every row that is shown, not written by the model.\n");
    for table in &summary.tables {
        for (at, fact) in table_lines(table).iter().enumerate() {
            line!(out, "{}{}", if at == 0 { "- " } else { "  - " }, inline(fact));
        }
    }
    line!(out);
}

/// The points, each under what it is about.
fn points(out: &mut String, summary: &Summary) {
    let mut about = "";
    for point in &summary.points {
        if point.about != about {
            about = &point.about;
            line!(out, "**{}**\n", inline(about));
        }
        let (text, doubt) = (inline(&point.text), unsupported(&point.unsupported));
        line!(out, "- {text}{}{doubt}", places(&point.evidence));
        for evidence in &point.evidence {
            line!(out, "  > {}", clipped(&evidence.quote));
        }
        line!(out);
    }
}

fn rows(out: &mut String, record: &Record) {
    let Some(rows) = &record.rows else { return };
    line!(out, "## Rows\n");
    line!(
        out,
        "{}, each asked by itself; {} with a flag, {} without a whole answer. They stand in {}.\n",
        counted(rows.count, "row"),
        rows.flagged,
        rows.partial,
        inline(&rows.table)
    );
}

fn unsupported(words: &[String]) -> String {
    if words.is_empty() {
        return String::new();
    }
    let named: Vec<String> = words.iter().map(|word| inline(word)).collect();
    format!(" ⚠ not in the passages it was made from: {}", named.join(", "))
}

fn fields(out: &mut String, record: &Record) {
    if record.fields.is_empty() {
        return;
    }
    line!(out, "## Fields\n");
    let mut rows: Vec<_> = record.fields.keys().map(|name| (name, field(record, name))).collect();
    let is_flagged = |answer: &Option<_>| {
        answer.as_ref().is_none_or(|answer: &crate::assemble::FieldAnswer| !answer.flags.is_empty())
    };
    // Stable: within both groups the order of the task file.
    rows.sort_by_key(|(_, answer)| !is_flagged(answer));
    if rows.iter().any(|(_, answer)| is_flagged(answer)) {
        line!(out, "Flagged values come first; check them against the document.\n");
    }
    line!(out, "| field | value | page | quote | flags |");
    line!(out, "|---|---|---|---|---|");
    for (name, answer) in rows {
        let Some(answer) = answer else {
            line!(out, "| {} | | | | unreadable |", inline(name));
            continue;
        };
        let pages: Vec<String> = answer.evidence.iter().map(place).collect();
        let quotes: Vec<String> = answer.evidence.iter().map(|e| clipped(&e.quote)).collect();
        line!(
            out,
            "| {} | {} | {} | {} | {} |",
            inline(name),
            inline(&words(&answer.value)),
            pages.join(", "),
            quotes.join(" […] "),
            inline(&answer.flags.join(", "))
        );
    }
    line!(out);
}

fn notes(out: &mut String, record: &Record) {
    if !record.warnings.is_empty() {
        line!(out, "## Warnings\n");
        for warning in &record.warnings {
            line!(out, "- {}", inline(&warning.to_string()));
        }
        line!(out);
    }
    if !record.hidden.is_empty() {
        line!(out, "## Hidden text\n");
        line!(
            out,
            "{} that a reader of the page does not see; the model was not shown it.\n",
            counted(record.hidden.len() as u64, "passage")
        );
        for hidden in &record.hidden {
            line!(
                out,
                "- page {} ({}): {}",
                hidden.page,
                inline(&hidden.why),
                clipped(&hidden.text)
            );
        }
        line!(out);
    }
}

/// Tracked changes and comments.
fn remarks(out: &mut String, record: &Record) {
    if record.remarks.is_empty() {
        return;
    }
    line!(out, "## Changes and comments\n");
    for Remark { kind, page, author, date, text, anchor, clause, .. } in
        record.remarks.iter().take(REMARKS_MAX)
    {
        let what = match kind {
            RemarkKind::Insertion => "inserted",
            RemarkKind::Deletion => "deleted",
            RemarkKind::MovedAway => "moved away",
            RemarkKind::MovedHere => "moved here",
            RemarkKind::Comment => "comment",
            RemarkKind::Formula => "formula",
            RemarkKind::RawValue => "value",
        };
        let by = [author.as_str(), date].into_iter().filter(|word| !word.is_empty());
        let by: Vec<String> = by.map(inline).collect();
        let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
        let clause = clause.iter().map(|clause| format!(", clause {}", inline(clause)));
        let on = if anchor.is_empty() {
            String::new()
        } else {
            format!(" on “{}”", clipped(anchor))
        };
        line!(
            out,
            "- page {page}{}: {what}{by}{on}: {}",
            clause.collect::<String>(),
            clipped(text)
        );
    }
    if record.remarks.len() > REMARKS_MAX {
        line!(out, "- and {} more, all in the JSON record", record.remarks.len() - REMARKS_MAX);
    }
    line!(out);
}

fn coverage(out: &mut String, record: &Record) {
    let coverage = &record.coverage;
    line!(out, "## Coverage\n");
    let read = coverage.pages.iter().filter(|page| page.state == "read").count();
    line!(
        out,
        "{read} of {} read, in {}; the model was shown {} of {} tokens.\n",
        counted(coverage.pages.len() as u64, "page"),
        counted(coverage.chunks.into(), "chunk"),
        coverage.tokens_sent,
        coverage.tokens_read
    );
    let mut unread = coverage.pages.iter().filter(|page| page.state != "read").peekable();
    let any = unread.peek().is_some();
    for page in unread {
        let label = if page.label == page.page.to_string() || page.label.is_empty() {
            String::new()
        } else {
            format!(" ({})", inline(&page.label))
        };
        let reason = if page.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", inline(&page.reason))
        };
        line!(
            out,
            "- page {}{label}: {}{reason}",
            page.page,
            inline(&page.state.replace('_', " "))
        );
    }
    if any {
        line!(out);
    }
}

fn made_with(out: &mut String, record: &Record) {
    let made = &record.made_with;
    line!(out, "## Made with\n");
    line!(out, "- input {}, {}", record.source.sha256, counted(record.source.bytes, "byte"));
    line!(out, "- model {}", made.model);
    line!(out, "- tokenizer {}", made.tokenizer);
    line!(out, "- template {}", made.template);
    for (task, digest) in &made.tasks {
        line!(out, "- task {} {digest}", inline(task));
    }
    line!(
        out,
        "- rules: text {}, number {}, prompt {}",
        made.text_rules,
        made.number_rules,
        made.prompt_rules
    );
    if let Some(ocr) = &made.ocr {
        let (program, languages) = (inline(&ocr.program), inline(&ocr.languages));
        line!(out, "- text recognition {program}, languages {languages}, data {}", ocr.data);
    }
    if let Some(transcript) = &made.transcript {
        line!(out, "- transcript {transcript}");
    }
    line!(out, "- tokens: prompt {}, answer {}", record.tokens.prompt, record.tokens.answer);
}

/// " (page 3)", " (pages 3, 7)" or nothing.
fn places(evidence: &[Evidence]) -> String {
    let mut list: Vec<String> = evidence.iter().map(place).collect();
    list.dedup();
    match list.len() {
        0 => String::new(),
        1 => format!(" (page {})", list[0]),
        _ => format!(" (pages {})", list.join(", ")),
    }
}

/// "3", or "3, clause 4.2(a)".
fn place(evidence: &Evidence) -> String {
    match &evidence.clause {
        Some(clause) => format!("{}, clause {}", evidence.page, inline(clause)),
        None => evidence.page.to_string(),
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        None => inline(text),
        Some((at, _)) => format!("{} […]", inline(&text[..at])),
    }
}

/// `text` as one line that means itself in CommonMark and GitHub's tables.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let flat: Vec<&str> = text.split_whitespace().collect();
    let flat = flat.join(" ");
    let digits = flat.len() - flat.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    for (at, c) in flat.char_indices() {
        let starts_a_block = match c {
            '#' | '+' | '-' | '=' => at == 0,
            '.' | ')' => digits > 0 && at == digits,
            _ => false,
        };
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '~' => {
                out.extend(['\\', c]);
            }
            c if starts_a_block => out.extend(['\\', c]),
            // Controls, and marks that turn or hide the text around them (Unicode TR 36).
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}' => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            c => out.push(c),
        }
    }
    out
}
