//! What the log says about documents and files, folded entry by entry. The log is the only store of
//! what was done; this is its reading. It judges nothing: that is `rules`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LogError;
use super::disk_map::DiskMap;
use super::event::{
    Counts, Event, Inventory, Judged, OutputFile, Part, RunEnd, RunStart, VerifyResult,
};
use super::line::{Entry, RunId};
use super::segments::{self, Watch};
use crate::base::{Digest, DocId, Outcome, digest_file};

/// The state of all documents after the last entry.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    docs: DiskMap<DocId, DocState>,
    /// Files that the log vouches for.
    outputs: DiskMap<String, Digest>,
    /// Tables of each job: vouched for, and kept as a person's.
    tables: BTreeMap<String, (Vec<String>, Vec<String>)>,
    /// Files that were erased, and are not vouched for again since.
    erased: DiskMap<String, Digest>,
    last_run: Option<RunFacts>,
    /// Of the last run, by entry.
    answers: DiskMap<u64, Answer>,
    /// By document and field, the last one.
    judgements: BTreeMap<(DocId, String), Judgement>,
    /// All that was written in reviews of a document, and what of that was erased with its outputs.
    words: BTreeMap<DocId, BTreeSet<Digest>>,
    erased_words: BTreeSet<Digest>,
    /// By what was verified and job, the last one.
    verified: BTreeMap<(String, String), VerifyResult>,
    /// Torn bytes that a `recovered` entry already names, by `good_entries` and digest.
    pub(super) torn: BTreeSet<(u64, Digest)>,
}

/// What the log last said of one document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DocState {
    /// Job, root and path, joined by `/`.
    pub path: String,
    /// The last entry that gave it an outcome; none if it was only ever begun.
    pub last: Option<LastOutcome>,
    /// The answer that stands in its files now.
    pub done: Option<Done>,
    /// The last `doc_done`, superseded or not; 0 for none.
    pub done_seq: u64,
    /// The last `doc_fail`; 0 for none.
    pub failed_seq: u64,
    /// Failures of the input and shape that failed last; an answer clears them.
    pub attempts: u64,
    /// Times in a row that it was begun and the run ended without a word on it.
    pub interrupted: u64,
    /// Times in a row that it was deferred.
    pub deferred: u64,
    /// Its files were erased and it was not answered since.
    pub erased: Option<Erased>,
    /// How far an answer has come that is not finished.
    part: Option<PartOf>,
    /// When its files were logged; empty where it never had any.
    pub files_at: String,
    /// Its files that the log vouches for.
    files: Vec<String>,
    /// Times that an input failed under a shape; an answer clears them.
    failures: Vec<(Digest, Digest, u64)>,
}

/// An answer under way, and of what.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct PartOf {
    input: Digest,
    shape: Digest,
    part: Part,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastOutcome {
    pub seq: u64,
    pub outcome: Outcome,
    pub input: Digest,
    /// The entry's reason, or class and detail of a failure; empty for an answer.
    pub reason: String,
}

impl DocState {
    /// Whether an answer is under way, of whatever input.
    pub fn has_part(&self) -> bool {
        self.part.is_some()
    }

    /// Whether the log vouches for any file of it.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }
}

/// An `erase` entry that still holds: the document is not taken again while its input is this one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Erased {
    pub seq: u64,
    pub input: Digest,
}

/// A `doc_done` entry whose files are the current ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub seq: u64,
    pub outcome: Outcome,
    pub input: Digest,
    pub shape: Digest,
    /// Of all prompts' and answers' token ids.
    pub transcript: Digest,
    pub outputs: Vec<OutputFile>,
    /// Of the text that was read.
    pub text: Digest,
}

impl Done {
    /// Whether its files stand under `output` with the digests logged.
    pub fn is_intact(&self, output: &Path) -> bool {
        self.outputs.iter().all(|file| {
            let found = digest_file(&output.join(&file.path));
            found.is_ok_and(|digest| digest == Some(file.sha256))
        })
    }
}

/// One run, as far as it came.
#[derive(Clone, Debug, Serialize)]
pub struct RunFacts {
    pub run: RunId,
    /// Entries of its start and end; no end while it runs, or if it was cut off.
    pub first: u64,
    pub last: Option<u64>,
    pub started: String,
    pub ended: Option<String>,
    pub model: String,
    pub inventory: Inventory,
    /// Outcomes so far, and token sums.
    pub counts: Counts,
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    pub end: Option<RunEnd>,
    #[serde(skip)]
    pub start: RunStart,
}

/// What a person said of a field.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// Of the record that was judged.
    #[serde(skip)]
    pub record: Digest,
    pub verdict: Judged,
    pub reviewer: String,
    pub ts: String,
    /// Of what the person wrote: `reviews/<words>.json` in the state folder.
    #[serde(skip)]
    pub words: Digest,
}

/// When a document was answered, and what it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The entry's time.
    pub ts: String,
    /// Milliseconds from its start.
    pub ms: u64,
    /// Prompt and answer tokens.
    pub tokens: u64,
}

/// Whose a file is.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Doc(&'a DocId),
    /// The tables of a job.
    Tables(&'a str),
}

impl Ledger {
    /// Reads the log under `state` without the lock, for looking only; empty where there is no log.
    ///
    /// # Errors
    /// `Broken` where the chain does not hold, `Io` where it cannot be read. A torn tail is left out.
    pub fn read(state: &Path) -> Result<Ledger, LogError> {
        let walk = segments::walk(state, &Watch::default())?;
        match walk.bad {
            Some(bad) => Err(bad.refusal()),
            None => Ok(walk.chain.into_ledger()),
        }
    }

    /// An empty one that holds only so many entries of each of its maps in memory.
    pub(super) fn bounded(entries_max: usize) -> Ledger {
        Ledger {
            docs: DiskMap::bounded(entries_max),
            outputs: DiskMap::bounded(entries_max),
            erased: DiskMap::bounded(entries_max),
            answers: DiskMap::bounded(entries_max),
            ..Ledger::default()
        }
    }

    pub fn doc(&self, doc: &DocId) -> Option<Cow<'_, DocState>> {
        self.docs.get(doc)
    }

    pub fn docs(&self) -> impl Iterator<Item = (DocId, Cow<'_, DocState>)> {
        self.docs.iter()
    }

    /// Documents whose path (job, root and path) is `name` or ends with it after a `/`.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (DocId, Cow<'a, DocState>)> {
        self.docs.iter().filter(move |(_, state)| {
            let front = state.path.strip_suffix(name);
            front.is_some_and(|front| front.is_empty() || front.ends_with('/'))
        })
    }

    /// The answer that still holds for this input and shape, if any.
    pub fn unchanged(&self, doc: &DocId, input: &Digest, shape: &Digest) -> Option<Done> {
        let state = self.docs.get(doc)?;
        let done = state.done.as_ref()?;
        (done.input == *input && done.shape == *shape).then(|| done.clone())
    }

    /// The `erase` entry that keeps this input from being taken again, if any.
    pub fn erased(&self, doc: &DocId, input: &Digest) -> Option<u64> {
        let state = self.docs.get(doc)?;
        let erased = state.erased.as_ref()?;
        (erased.input == *input).then_some(erased.seq)
    }

    /// Files that were erased and may still stand where the one who erased them was killed.
    pub fn erased_files(&self) -> impl Iterator<Item = (String, Digest)> {
        self.erased.iter().map(|(path, sha256)| (path, *sha256))
    }

    /// What was written in reviews of outputs that were not erased.
    pub fn words(&self) -> impl Iterator<Item = Digest> {
        self.words.values().flatten().copied()
    }

    /// What was written in reviews of erased outputs, and may still stand as `erased_files` may.
    pub fn erased_words(&self) -> impl Iterator<Item = Digest> {
        self.erased_words.iter().copied()
    }

    /// What the log vouches for of this document and as tables of this job, each sorted by path.
    pub fn files_with(&self, doc: &DocId, job: &str) -> (Vec<OutputFile>, Vec<OutputFile>) {
        let vouched = |paths: Option<&Vec<String>>| {
            let paths: BTreeSet<&String> = paths.into_iter().flatten().collect();
            let file = |path: &String| {
                let sha256 = self.output(path)?;
                Some(OutputFile { path: path.clone(), sha256 })
            };
            paths.into_iter().filter_map(file).collect()
        };
        let state = self.docs.get(doc);
        let of_doc = state.as_ref().map(|state| &state.files);
        (vouched(of_doc), vouched(self.tables.get(job).map(|(written, _)| written)))
    }

    /// Failures of this input under this shape; an answer clears them.
    pub fn attempts(&self, doc: &DocId, input: &Digest, shape: &Digest) -> u64 {
        let failed = |state: &DocState| {
            let of = state.failures.iter().find(|(i, s, _)| (i, s) == (input, shape));
            of.map_or(0, |(_, _, count)| *count)
        };
        self.docs.get(doc).map_or(0, |state| failed(&state))
    }

    /// How far the answer to this input under this shape has come, if it is not finished.
    pub fn part(&self, doc: &DocId, input: &Digest, shape: &Digest) -> Option<Part> {
        let of = self.docs.get(doc)?.part.filter(|of| of.input == *input && of.shape == *shape)?;
        Some(of.part)
    }

    /// Whether an answer to this input is under way.
    pub fn has_part(&self, doc: &DocId, input: &Digest) -> bool {
        self.docs.get(doc).and_then(|doc| doc.part).is_some_and(|of| of.input == *input)
    }

    /// What `DocDone::supersedes` must say for the next answer of this document.
    pub fn supersedes(&self, doc: &DocId) -> u64 {
        self.docs.get(doc).map_or(0, |state| state.done_seq)
    }

    /// Every file that the log vouches for: path below the output folder and digest, sorted by the bytes of
    /// the path.
    pub fn outputs(&self) -> impl Iterator<Item = (String, Digest)> {
        self.outputs.iter().map(|(path, sha256)| (path, *sha256))
    }

    /// The digest of the file at `path`, if the log vouches for it.
    pub fn output(&self, path: &str) -> Option<Digest> {
        self.outputs.get(path).map(|sha256| *sha256)
    }

    /// Of the last run, in the order of the log.
    pub fn answers(&self) -> impl Iterator<Item = Cow<'_, Answer>> {
        self.answers.iter().map(|(_, answer)| answer)
    }

    /// The last judgement of each field of this document, by field.
    pub fn judgements(&self, doc: DocId) -> impl Iterator<Item = (&str, &Judgement)> {
        let of_doc = self.judgements.range((doc, String::new())..);
        let of_doc = of_doc.take_while(move |((of, _), _)| *of == doc);
        of_doc.map(|((_, field), judgement)| (field.as_str(), judgement))
    }

    /// The last word on `what` of this job, if there is any.
    pub fn verified(&self, what: &str, job: &str) -> Option<&VerifyResult> {
        self.verified.get(&(what.to_owned(), job.to_owned()))
    }

    /// Tables that people have edited, as the log last found them.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.tables.values().flat_map(|(_, kept)| kept).map(String::as_str)
    }

    /// The latest run, begun or ended.
    pub fn last_run(&self) -> Option<&RunFacts> {
        self.last_run.as_ref()
    }

    /// Whether the log vouches for `path` as a file of another document or job than the one given.
    pub(super) fn is_anothers(&self, path: &str, owner: Owner) -> bool {
        let among = |files: &[String]| files.iter().any(|file| file == path);
        let is_own = || match owner {
            Owner::Doc(doc) => self.docs.get(doc).is_some_and(|state| among(&state.files)),
            Owner::Tables(job) => self.tables.get(job).is_some_and(|(written, _)| among(written)),
        };
        self.outputs.contains(path) && !is_own()
    }

    /// Takes in an entry that the rules have let pass.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let seq = entry.seq;
        match &entry.event {
            Event::RunStart(start) => self.begin_run(entry, start),
            Event::DocStart(start) => {
                let state = self.state(&start.doc, &start.path);
                match start.part {
                    None => state.interrupted += 1,
                    Some(part) => {
                        let (input, shape) = (start.input_sha256, start.shape);
                        state.interrupted = 0;
                        state.part = Some(PartOf { input, shape, part });
                    }
                }
            }
            Event::DocDone(done) => {
                let files = done.outputs.clone();
                self.replace_files(&done.doc, &done.path, entry, &done.outputs);
                let state = self.state(&done.doc, &done.path);
                let this = (done.input_sha256, done.shape);
                state.failures.retain(|(input, shape, _)| (*input, *shape) != this);
                state.done_seq = seq;
                state.attempts = 0;
                state.erased = None;
                state.part = None;
                state.done = Some(Done {
                    seq,
                    outcome: done.outcome,
                    input: done.input_sha256,
                    shape: done.shape,
                    transcript: done.transcript_sha256,
                    outputs: files,
                    text: done.text_sha256,
                });
                self.end_doc(&done.doc, entry, done.outcome, done.input_sha256, String::new());
                if let Some(run) = &mut self.last_run {
                    run.prompt_tokens = run.prompt_tokens.saturating_add(done.prompt_tokens);
                    run.answer_tokens = run.answer_tokens.saturating_add(done.answer_tokens);
                }
                let tokens = done.prompt_tokens.saturating_add(done.answer_tokens);
                self.answers.insert(seq, Answer { ts: entry.ts.clone(), ms: done.ms, tokens });
            }
            Event::DocFail(fail) => {
                self.replace_files(&fail.doc, &fail.path, entry, &fail.outputs);
                let state = self.state(&fail.doc, &fail.path);
                (state.failed_seq, state.erased) = (seq, None);
                let this = (fail.input_sha256, fail.shape);
                let same = |other: &(Digest, Digest, u64)| (other.0, other.1) == this;
                let known = state.failures.iter().position(same);
                let at = known.unwrap_or_else(|| {
                    state.failures.push((this.0, this.1, 0));
                    state.failures.len() - 1
                });
                state.failures[at].2 += 1;
                state.attempts = state.failures[at].2;
                let reason = format!("{}: {}", fail.class, fail.detail);
                self.end_doc(&fail.doc, entry, Outcome::Failed, fail.input_sha256, reason);
            }
            Event::DocSkip(skip) => {
                self.replace_files(&skip.doc, &skip.path, entry, &skip.outputs);
                let reason = skip.reason.clone();
                self.end_doc(&skip.doc, entry, skip.outcome, skip.input_sha256, reason);
            }
            Event::Tables(tables) => {
                let paths =
                    |files: &[OutputFile]| files.iter().map(|file| file.path.clone()).collect();
                let now: (Vec<String>, Vec<String>) = (paths(&tables.outputs), paths(&tables.kept));
                let before = self.tables.insert(tables.job.clone(), now);
                for path in before.into_iter().flat_map(|(written, _)| written) {
                    self.outputs.remove(&path);
                }
                self.vouch(&tables.outputs);
            }
            Event::Erase(erase) => {
                for file in erase.outputs.iter().chain(&erase.tables) {
                    self.outputs.remove(&file.path);
                    self.erased.insert(file.path.clone(), file.sha256);
                }
                if let Some((written, _)) = self.tables.get_mut(&erase.job) {
                    written.clear();
                }
                self.erased_words.extend(self.words.remove(&erase.doc).into_iter().flatten());
                self.judgements.retain(|(doc, _), _| *doc != erase.doc);
                if let Some(state) = self.docs.get_mut(&erase.doc) {
                    state.files.clear();
                    state.done = None;
                    state.part = None;
                    let last = state.last.as_ref();
                    state.erased = last.map(|last| Erased { seq, input: last.input });
                }
            }
            Event::RunEnd(end) => {
                if let Some(run) = &mut self.last_run {
                    run.last = Some(seq);
                    run.ended = Some(entry.ts.clone());
                    run.end = Some(end.clone());
                }
            }
            Event::Review(review) => {
                let judgement = Judgement {
                    record: review.record_sha256,
                    verdict: review.verdict,
                    reviewer: review.reviewer.clone(),
                    ts: entry.ts.clone(),
                    words: review.words_sha256,
                };
                self.judgements.insert((review.doc, review.field.clone()), judgement);
                self.words.entry(review.doc).or_default().insert(review.words_sha256);
                self.erased_words.remove(&review.words_sha256);
            }
            Event::VerifyResult(result) => {
                let key = (result.what.clone(), result.job.clone());
                self.verified.insert(key, result.clone());
            }
            Event::Recovered(recovered) => {
                self.torn.insert((recovered.good_entries, recovered.torn_sha256));
            }
            Event::Genesis(_)
            | Event::ClockStep(_)
            | Event::CheckpointExported(_)
            | Event::Reserved => {}
        }
    }

    fn begin_run(&mut self, entry: &Entry, start: &RunStart) {
        self.last_run = Some(RunFacts {
            run: entry.run.clone(),
            first: entry.seq,
            last: None,
            started: entry.ts.clone(),
            ended: None,
            model: start.model.file.clone(),
            inventory: start.inventory.clone(),
            counts: Counts::default(),
            prompt_tokens: 0,
            answer_tokens: 0,
            end: None,
            start: start.clone(),
        });
        self.answers.clear();
    }

    fn state(&mut self, doc: &DocId, path: &str) -> &mut DocState {
        self.docs.get_or_insert(doc, || DocState {
            path: path.into(),
            last: None,
            done: None,
            done_seq: 0,
            failed_seq: 0,
            attempts: 0,
            interrupted: 0,
            deferred: 0,
            erased: None,
            part: None,
            files_at: String::new(),
            files: Vec::new(),
            failures: Vec::new(),
        })
    }

    fn end_doc(
        &mut self,
        doc: &DocId,
        entry: &Entry,
        outcome: Outcome,
        input: Digest,
        why: String,
    ) {
        if let Some(state) = self.docs.get_mut(doc) {
            state.interrupted = 0;
            state.deferred = if outcome == Outcome::Deferred { state.deferred + 1 } else { 0 };
            state.last = Some(LastOutcome { seq: entry.seq, outcome, input, reason: why });
        }
        if let Some(run) = &mut self.last_run {
            *run.counts.of_mut(outcome) += 1;
        }
    }

    /// An entry without files leaves the document's files as they are.
    fn replace_files(&mut self, doc: &DocId, path: &str, entry: &Entry, files: &[OutputFile]) {
        let state = self.state(doc, path);
        if files.is_empty() {
            return;
        }
        state.done = None;
        state.files_at = entry.ts.clone();
        let now = files.iter().map(|file| file.path.clone()).collect();
        for path in std::mem::replace(&mut state.files, now) {
            self.outputs.remove(&path);
        }
        self.vouch(files);
    }

    fn vouch(&mut self, files: &[OutputFile]) {
        for file in files {
            self.erased.remove(&file.path);
            self.outputs.insert(file.path.clone(), file.sha256);
        }
    }
}
