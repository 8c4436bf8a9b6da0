//! Gathers what the report shows: records as they stand, the text that was read for them, and where each
//! input stands now. How the page looks is `output`'s.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::look::ledger;
use super::night::chosen;
use super::progress::Progress;
use super::read::{self, Pictures, Readers, Reading};
use super::review;
use super::{Broken, STATE_FOLDER};
use crate::audit::{Answer, DocState, Judgement, Ledger, RunFacts};
use crate::base::{Clock, Digest, Disk, DocId, Limits, Outcome, duration, read_file};
use crate::extract::Document;
use crate::intake::Source;
use crate::jobs::{Job, Plan};
use crate::output::{NightFacts, PageText, PageTexts, Reported, Writer};

/// Writes the report of the plan's output folder, and gives the page's path.
///
/// # Errors
/// `Broken` where log or inputs cannot be read or the page cannot be written.
pub fn report(
    plan: &Plan,
    server: &mut Readers,
    disk: Arc<dyn Disk>,
    clock: &dyn Clock,
    progress: &Progress,
) -> Result<PathBuf, Broken> {
    let ledger = ledger(plan)?;
    if ledger.last_run().is_none() {
        return Err(Broken::Usage(format!(
            "{}: there was no run yet, so there is nothing to report",
            plan.output.display()
        )));
    }
    let mut sources = Vec::new();
    for job in chosen(plan, &[])? {
        let found = read::sources(plan, job, server, clock)?;
        sources.extend(found.into_iter().map(|source| (job, source)));
    }
    let writer = Writer::new(disk, &plan.output);
    let page = Gathering { plan, ledger: &ledger, sources: &sources, writer: &writer }
        .write(server, progress)?;
    progress.finish();
    Ok(plan.output.join(page))
}

/// What a report is gathered from.
pub(super) struct Gathering<'a> {
    pub plan: &'a Plan,
    pub ledger: &'a Ledger,
    /// The inputs as they were found just now.
    pub sources: &'a [(&'a Job, Source)],
    pub writer: &'a Writer,
}

impl Gathering<'_> {
    /// Writes the report and gives its path below the output folder.
    pub(super) fn write(
        &self,
        server: &mut Readers,
        progress: &Progress,
    ) -> Result<String, Broken> {
        progress.say("writing the report");
        let sources: BTreeMap<DocId, &(&Job, Source)> =
            self.sources.iter().map(|found| (found.1.id, found)).collect();
        let mut docs: Vec<_> = self.ledger.docs().collect();
        docs.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        let mut report = self.writer.report();
        for (id, state) in docs {
            let source = sources.get(&id).copied();
            if let Some(document) = self.document(id, &state, source, server) {
                report.add(document)?;
            }
        }
        Ok(report.finish(&self.facts())?)
    }

    /// A document of the ledger; none where the log has no outcome for it yet.
    fn document(
        &self,
        doc: DocId,
        state: &DocState,
        source: Option<&(&Job, Source)>,
        server: &mut Readers,
    ) -> Option<Reported> {
        let last = state.last.as_ref()?;
        let mut parts = state.path.splitn(3, '/');
        let (job, root, path) = (parts.next()?, parts.next()?, parts.next()?);
        let mut record = self.writer.read_json(job, root, path);
        let digest = record.as_ref().and_then(|record| record["source"]["sha256"].as_str());
        let digest = digest.unwrap_or_default().to_owned();
        let mut notes = Vec::new();
        let mut say = |note: &str| notes.push(note.to_owned());
        match source {
            Some((_, source)) if !digest.is_empty() && source.digest.to_string() != digest => {
                say("the input has changed since this was written");
            }
            None if self.plan.jobs.iter().any(|one| one.name == job) => {
                say("the input is no longer where it was");
            }
            _ => {}
        }
        if state.done.as_ref().is_some_and(|done| !done.is_intact(&self.plan.output)) {
            say("the record or its page is not as it was logged: nightclerk verify says which");
        }
        for (field, judgement) in self.ledger.judgements(doc) {
            let of_this = state.done.as_ref().is_some_and(|done| {
                done.outputs.iter().any(|file| file.sha256 == judgement.record)
            });
            let Some(record) = record.as_mut().filter(|_| of_this) else { continue };
            let answer = record.pointer_mut("/fields").and_then(|fields| fields.get_mut(field));
            if let Some(answer) = answer.and_then(Value::as_object_mut) {
                answer.insert("review".to_owned(), self.review(judgement));
            } else if let Some(rows) = record.get_mut("rows").filter(|rows| rows.is_object()) {
                // Answers to the rows of a table stand in the table.
                rows["judged"][field] = self.review(judgement);
            }
        }
        // The rows of a table that are documents of their own stand in a table, with their answers.
        let by_row = record.as_ref().is_some_and(|record| record.get("rows").is_some());
        let texts = state.done.as_ref().filter(|_| !by_row).and_then(|done| {
            let recognized = record.as_ref().is_some_and(|r| !r["made_with"]["ocr"].is_null());
            let found = self.texts((doc, done.text), (&digest, recognized), source, server);
            if found.is_none() {
                say("the text that was read cannot be had any more, so quotes stand alone");
            }
            found
        });
        let word = |key: &str| {
            let word = record.as_ref().and_then(|record| record[key].as_str());
            word.unwrap_or_default().to_owned()
        };
        let (outcome, reason) = match (&state.erased, last.outcome) {
            (Some(erased), _) => {
                let entry = erased.seq;
                let reason = format!(
                    "its outputs were deleted, as entry {entry} of the log says; it is taken again when its \
                     bytes change, or by run --redo all"
                );
                ("erased".to_owned(), reason)
            }
            // An unchanged document is what its record says.
            (None, Outcome::Unchanged) if record.is_some() => (word("outcome"), word("reason")),
            (None, Outcome::Done | Outcome::Partial | Outcome::Unchanged) => {
                (last.outcome.to_string(), word("reason"))
            }
            (None, _) => (last.outcome.to_string(), last.reason.clone()),
        };
        Some(Reported {
            doc,
            job: job.to_owned(),
            path: format!("{root}/{path}"),
            outcome,
            reason,
            record,
            notes,
            entry: state.done.as_ref().map_or(0, |done| done.seq),
            texts,
        })
    }

    /// A judgement, with what the reviewer wrote where that is as the log has it.
    fn review(&self, judgement: &Judgement) -> Value {
        let mut review = json!(judgement);
        let words = format!("{STATE_FOLDER}/{}/{}.json", review::FOLDER, judgement.words);
        let words = read_file(&self.plan.output.join(words)).unwrap_or_default();
        let words = words.filter(|words| Digest::of(words) == judgement.words);
        review["words"] =
            words.and_then(|words| serde_json::from_slice(&words).ok()).unwrap_or_default();
        review
    }

    /// The text with the digest `text` that the record with the input `digest` was made from: as a
    /// former report kept it, or read again, pictures recognized or not, where the input is still the same.
    fn texts(
        &self,
        (doc, text): (DocId, Digest),
        (digest, recognized): (&str, bool),
        source: Option<&(&Job, Source)>,
        server: &mut Readers,
    ) -> Option<PageTexts> {
        let kept = self.writer.page_texts(&doc);
        if let Some(kept) = kept.filter(|kept| kept.text_sha256 == text) {
            return Some(kept);
        }
        let (job, source) = source.filter(|(_, source)| source.digest.to_string() == digest)?;
        let document = reread(server, job, source, &self.plan.limits, recognized)?;
        (read::text_digest(&document) == text).then(|| page_texts(doc, text, document))
    }

    fn facts(&self) -> NightFacts {
        let run = self.ledger.last_run();
        let last_run = read_file(&self.plan.output.join("last-run.json")).unwrap_or_default();
        let last_run: Value =
            last_run.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        NightFacts {
            origin: self.plan.audit.origin.clone(),
            when: run.map(when).unwrap_or_default(),
            answers: answers(self.ledger),
            stages: stages(&last_run),
            made: run.map(made).unwrap_or_default(),
        }
    }
}

fn reread(
    server: &mut Readers,
    job: &Job,
    source: &Source,
    limits: &Limits,
    recognized: bool,
) -> Option<Document> {
    let pictures = if recognized { Pictures::Recognize(&|| false) } else { Pictures::Leave };
    match read::of_source(server, job, source, limits, pictures).ok()? {
        Reading::Read(read) => Some(read.output),
        Reading::Refused(_) | Reading::Failed { .. } | Reading::Stopped => None,
    }
}

fn page_texts(doc: DocId, text_sha256: Digest, document: Document) -> PageTexts {
    let pages = document.pages.into_iter().map(|page| PageText {
        page: page.number,
        label: page.label,
        text: page.verbatim,
        hidden: page.hidden.iter().map(|hidden| json!(hidden)).collect(),
    });
    PageTexts {
        doc: doc.to_string(),
        text_sha256,
        pages: pages.collect(),
        remarks: document.remarks.iter().map(|remark| json!(remark)).collect(),
    }
}

fn when(run: &RunFacts) -> String {
    let to_the_minute = |ts: &str| match ts.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d, %H:%M UTC").to_string(),
        Err(_) => ts.to_owned(),
    };
    let began = to_the_minute(&run.started);
    let ended = run.ended.as_deref().map(to_the_minute);
    let ended = ended.unwrap_or_else(|| "not yet, or it was cut off".to_owned());
    let mut counts = run.counts;
    let counts = Outcome::ALL.iter().map(|outcome| (*counts.of_mut(*outcome), *outcome));
    let counts: Vec<String> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{count} {outcome}"))
        .collect();
    format!("The last run began {began} and ended {ended}: {}.", counts.join(", "))
}

fn answers(ledger: &Ledger) -> Vec<(i64, u64, u64)> {
    let of = |answer: Cow<'_, Answer>| {
        let time: Timestamp = answer.ts.parse().ok()?;
        Some((time.as_millisecond(), answer.ms, answer.tokens))
    };
    ledger.answers().filter_map(of).collect()
}

/// The stages of the run that `last-run.json` tells of.
fn stages(last_run: &Value) -> Vec<(&'static str, f64, String)> {
    let engine = |key: &str| last_run["engine"][key].as_f64().unwrap_or(0.0) / 1000.0;
    let (load, work) = (engine("load_ms"), engine("work_ms"));
    let rest = last_run["seconds"].as_f64().unwrap_or(0.0) - load - work;
    [
        ("loading", load, "loading the model"),
        ("answering", work, "reading and answering"),
        ("rest", rest.max(0.0), "looking through folders, checking the model, the rest"),
    ]
    .map(|(name, seconds, words)| (name, seconds, format!("{words} {}", duration(seconds))))
    .to_vec()
}

/// Everything that the log says of the last run's making, and its head.
fn made(run: &RunFacts) -> Vec<(String, String)> {
    let mut made = Vec::new();
    if let Some(end) = &run.end {
        made.push((
            "chain head".to_owned(),
            format!("{} over the {} entries before the run's last", end.log_root, end.log_size),
        ));
        made.push(("all files".to_owned(), end.outputs_root.to_string()));
    }
    flatten(&json!(run.start), "", &mut made);
    made
}

/// `{"model": {"file": "x"}}` as ("model file", "x").
fn flatten(value: &Value, name: &str, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                flatten(inner, format!("{name} {}", key.replace('_', " ")).trim(), pairs);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| match item {
            Value::Object(object) => {
                let words: Vec<String> =
                    object.values().map(|word| word.to_string().replace('"', "")).collect();
                pairs.push((name.to_owned(), words.join(" ")));
            }
            item => flatten(item, name, pairs),
        }),
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}
