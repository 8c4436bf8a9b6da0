//! The rules of the log: what each entry must say, given all entries before it. Writing, opening and
//! verifying go through here alike, so that nothing can be written that does not verify.

use std::collections::BTreeSet;

use serde::Serialize;

use super::disk_map::DiskMap;
use super::event::{Counts, DocDone, DocSkip, Erase, Event, Inventory, OutputFile, RunEnd};
use super::ledger::{Ledger, Owner};
use super::line::{Entry, RunId, is_time};
use super::signing::{Head, Signing};
use super::tree::{self, Tree};
use crate::base::limits::CLOCK_STEPS_NAMED_MAX;
use crate::base::{Digest, DocId, Outcome};

/// A rule that an entry breaks: the rule's name in FORMAT.md, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: &'static str,
    pub message: String,
}

pub(super) fn breach(rule: &'static str, message: impl Into<String>) -> Result<(), Breach> {
    Err(Breach { rule, message: message.into() })
}

/// `prev` of the first entry: binds the log to its name and key.
pub fn genesis_prev(origin: &str, log_vkey: &str) -> Digest {
    Digest::of(format!("nightclerk/genesis/v1\0{origin}\n{log_vkey}").as_bytes())
}

/// A chain walked so far.
#[derive(Clone, Debug)]
pub struct Chain {
    tree: Tree,
    origin: String,
    /// `run` of the first entry: which of an origin's logs this is.
    id: Option<RunId>,
    signing: Signing,
    /// When each run began.
    begun: Vec<String>,
    /// Where the clock was set, up to `CLOCK_STEPS_NAMED_MAX`, and how often in all.
    steps: Vec<Step>,
    stepped: u64,
    last: Option<Last>,
    open: Option<OpenRun>,
    runs: BTreeSet<RunId>,
    cut_off: u64,
    ledger: Ledger,
    /// How much of what grows with the documents is held in memory.
    entries_max: usize,
}

/// A `clock_step`: the wall clock was set between two entries, or the machine slept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub seq: u64,
    /// Times of the entry before and of this one.
    pub before: String,
    pub after: String,
}

/// What the next entry must follow.
#[derive(Clone, Debug)]
struct Last {
    leaf: Digest,
    ts: String,
    mono_ms: u64,
    run: RunId,
}

/// A run that has begun and not ended.
#[derive(Clone, Debug)]
struct OpenRun {
    run: RunId,
    inventory: Inventory,
    shapes: BTreeSet<Digest>,
    /// Begun in this run: input and shape.
    started: DiskMap<DocId, (Digest, Digest)>,
    /// With their outcome: input and bytes, as the inventory counts them.
    ended: DiskMap<DocId, (Digest, u64)>,
    counts: Counts,
    prompt_tokens: u64,
    answer_tokens: u64,
}

impl Default for Chain {
    /// All in memory.
    fn default() -> Chain {
        Chain::bounded(usize::MAX)
    }
}

impl Chain {
    /// A chain without entries, which holds of what grows with the documents only so many entries of each map
    /// in memory, and the rest in temporary files.
    pub(super) fn bounded(entries_max: usize) -> Chain {
        Chain {
            tree: Tree::default(),
            origin: String::new(),
            id: None,
            signing: Signing::default(),
            begun: Vec::new(),
            steps: Vec::new(),
            stepped: 0,
            last: None,
            open: None,
            runs: BTreeSet::new(),
            cut_off: 0,
            ledger: Ledger::bounded(entries_max),
            entries_max,
        }
    }

    /// Entries so far; the next one's `seq`.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// RFC 6962 root over the entries so far.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// `run` of the first entry: which of an origin's logs this is.
    pub fn id(&self) -> Option<&RunId> {
        self.id.as_ref()
    }

    /// The log's keys and its last checkpoint.
    pub fn signing(&self) -> &Signing {
        &self.signing
    }

    /// The `ts` of every `run_start`.
    pub fn begun(&self) -> &[String] {
        &self.begun
    }

    /// The first steps of the clock, and how many there are in all.
    pub fn clock_steps(&self) -> (&[Step], u64) {
        (&self.steps, self.stepped)
    }

    /// Leaf of the last entry.
    pub fn head(&self) -> Option<Digest> {
        self.last.as_ref().map(|last| last.leaf)
    }

    pub fn last_ts(&self) -> Option<&str> {
        self.last.as_ref().map(|last| last.ts.as_str())
    }

    /// The run that has begun and not ended.
    pub fn open_run(&self) -> Option<&RunId> {
        self.open.as_ref().map(|open| &open.run)
    }

    /// Runs that ended without a `run_end` and were followed by another.
    pub fn cut_off(&self) -> u64 {
        self.cut_off
    }

    pub fn runs(&self) -> u64 {
        self.runs.len() as u64
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn into_ledger(self) -> Ledger {
        self.ledger
    }

    /// What `run_end` must say now.
    pub fn run_end(&self, seconds: u64, exit_code: u64) -> RunEnd {
        let (counts, prompt_tokens, answer_tokens) = match &self.open {
            Some(open) => (open.counts, open.prompt_tokens, open.answer_tokens),
            None => Default::default(),
        };
        RunEnd {
            counts,
            prompt_tokens,
            answer_tokens,
            seconds,
            outputs_root: self.outputs_root(),
            log_size: self.size(),
            log_root: self.root(),
            exit_code,
        }
    }

    fn outputs_root(&self) -> Digest {
        tree::root_of(self.ledger.outputs().map(|(path, sha256)| format!("{sha256}  {path}")))
    }

    /// Whether `entry` may follow.
    pub fn check(&self, entry: &Entry) -> Result<(), Breach> {
        if entry.seq != self.size() {
            return breach("seq", format!("seq is {}, {} expected", entry.seq, self.size()));
        }
        self.check_link(entry)?;
        self.check_time(entry)?;
        match &entry.event {
            // Its place and `prev` are the link's.
            Event::Genesis(genesis) => Signing::check_genesis(&entry.run, genesis),
            Event::RunStart(start) => match self.runs.contains(&entry.run) {
                true => breach("run", format!("run {} starts a second time", entry.run)),
                false => self.signing.check_run_start(entry.seq, &entry.run, start),
            },
            Event::CheckpointExported(exported) if exported.size > entry.seq => {
                breach("rests_on", "exports a checkpoint of entries that are not before it")
            }
            Event::CheckpointExported(_) => Ok(()),
            Event::Recovered(_)
            | Event::ClockStep(_)
            | Event::Review(_)
            | Event::VerifyResult(_)
            | Event::Reserved => Ok(()),
            Event::Erase(erase) => self.check_erase(erase),
            _ => match &self.open {
                Some(open) if open.run == entry.run => self.check_in_run(open, entry),
                _ => breach("run", format!("{} outside of run {}", entry.event.word(), entry.run)),
            },
        }
    }

    fn check_link(&self, entry: &Entry) -> Result<(), Breach> {
        match (&self.last, &entry.event) {
            (None, Event::Genesis(genesis)) => {
                if entry.prev != genesis_prev(&genesis.origin, &genesis.log_vkey) {
                    return breach("prev", "prev is not the one of this origin and key");
                }
                Ok(())
            }
            (None, _) => breach("genesis", "the log does not begin with genesis"),
            (Some(_), Event::Genesis(_)) => breach("genesis", "a second genesis"),
            (Some(last), _) if entry.prev != last.leaf => breach(
                "prev",
                format!(
                    "prev is {}, but the entry before hashes to {}: one of the two was changed",
                    entry.prev, last.leaf
                ),
            ),
            _ => Ok(()),
        }
    }

    fn check_time(&self, entry: &Entry) -> Result<(), Breach> {
        let Some(last) = &self.last else { return Ok(()) };
        if let Event::ClockStep(step) = &entry.event {
            if !is_time(&step.before) || step.before != last.ts {
                return breach("time", "clock_step does not name the time of the entry before");
            }
        } else if entry.ts < last.ts {
            return breach("time", format!("{} is before {}", entry.ts, last.ts));
        }
        if entry.run == last.run && entry.mono_ms < last.mono_ms {
            return breach("time", "mono_ms runs backwards");
        }
        Ok(())
    }

    fn check_in_run(&self, open: &OpenRun, entry: &Entry) -> Result<(), Breach> {
        match &entry.event {
            Event::DocStart(start) => {
                open.check_unended(&start.doc)?;
                open.check_shape(&start.shape)
            }
            Event::DocDone(done) => self.check_done(open, done),
            Event::DocFail(fail) => {
                open.check_unended(&fail.doc)?;
                self.check_outputs(&fail.outputs, Owner::Doc(&fail.doc))
            }
            Event::DocSkip(skip) => self.check_skip(open, entry.seq, skip),
            Event::Tables(tables) => {
                self.check_outputs(&tables.outputs, Owner::Tables(&tables.job))?;
                check_paths(&tables.kept)
            }
            Event::RunEnd(end) => self.check_end(open, end),
            _ => Ok(()),
        }
    }

    fn check_done(&self, open: &OpenRun, done: &DocDone) -> Result<(), Breach> {
        open.check_unended(&done.doc)?;
        open.check_shape(&done.shape)?;
        self.check_outputs(&done.outputs, Owner::Doc(&done.doc))?;
        if !matches!(done.outcome, Outcome::Done | Outcome::Partial) {
            return breach("outcome", format!("doc_done with outcome {}", done.outcome));
        }
        let started = open.started.get(&done.doc);
        if started.as_deref() != Some(&(done.input_sha256, done.shape)) {
            return breach("outcome", "doc_done without a doc_start of this input and shape");
        }
        let before = self.ledger.supersedes(&done.doc);
        if done.supersedes != before {
            return breach("rests_on", format!("supersedes is not {before}"));
        }
        Ok(())
    }

    fn check_skip(&self, open: &OpenRun, seq: u64, skip: &DocSkip) -> Result<(), Breach> {
        open.check_unended(&skip.doc)?;
        self.check_outputs(&skip.outputs, Owner::Doc(&skip.doc))?;
        let known = self.ledger.doc(&skip.doc);
        match skip.outcome {
            Outcome::Unchanged => {
                let known = known.as_deref();
                let erased = known.and_then(|state| state.erased.as_ref()).is_some_and(|erased| {
                    erased.seq == skip.rests_on && erased.input == skip.input_sha256
                });
                let answered = known.and_then(|state| state.done.as_ref()).is_some_and(|done| {
                    done.seq == skip.rests_on
                        && done.input == skip.input_sha256
                        && open.shapes.contains(&done.shape)
                });
                if !(erased || answered) || !skip.outputs.is_empty() {
                    return breach("rests_on", "unchanged, but not what rests_on has done");
                }
            }
            Outcome::Quarantined => {
                let failed = known.map_or(0, |state| state.failed_seq);
                if failed == 0 || failed != skip.rests_on {
                    return breach("rests_on", "quarantined, but rests_on is not its last failure");
                }
            }
            Outcome::Refused | Outcome::Deferred => {
                if skip.rests_on >= seq {
                    return breach("rests_on", "rests on an entry that is not before it");
                }
            }
            Outcome::Done | Outcome::Partial | Outcome::Failed => {
                return breach("outcome", format!("doc_skip with outcome {}", skip.outcome));
            }
        }
        Ok(())
    }

    fn check_erase(&self, erase: &Erase) -> Result<(), Breach> {
        let (outputs, tables) = self.ledger.files_with(&erase.doc, &erase.job);
        let of_job =
            |path: &str| path.strip_prefix(&*erase.job).is_some_and(|p| p.starts_with('/'));
        let known = self.ledger.doc(&erase.doc).is_some_and(|doc| doc.path == erase.path);
        if !known || !of_job(&erase.path) || outputs.is_empty() {
            return breach(
                "erase",
                format!("{:?} is no document of {:?} with files", erase.path, erase.job),
            );
        }
        if erase.outputs != outputs || erase.tables != tables {
            return breach(
                "erase",
                "not the files that the log vouches for, in order of their paths",
            );
        }
        Ok(())
    }

    fn check_end(&self, open: &OpenRun, end: &RunEnd) -> Result<(), Breach> {
        let ended = open.ended.iter().map(|(doc, ended)| (doc, ended.0, ended.1));
        let inventory = Inventory::of_sorted(ended);
        if inventory != open.inventory {
            return breach(
                "complete",
                format!(
                    "the run began with {} inputs of {} bytes and gave an outcome to {} of {} \
                     bytes, or to others",
                    open.inventory.count, open.inventory.bytes, inventory.count, inventory.bytes
                ),
            );
        }
        let expected = self.run_end(end.seconds, end.exit_code);
        if (end.log_size, end.log_root) != (expected.log_size, expected.log_root) {
            return breach("root", "log_size or log_root is not that of the entries before");
        }
        if *end != expected {
            return breach("counts", "counts, token sums or outputs_root are not what the run did");
        }
        Ok(())
    }

    /// One file belongs to one document or table.
    fn check_outputs(&self, files: &[OutputFile], owner: Owner) -> Result<(), Breach> {
        check_paths(files)?;
        match files.iter().find(|file| self.ledger.is_anothers(&file.path, owner)) {
            Some(file) => breach("path", format!("{:?} is another document's file", file.path)),
            None => Ok(()),
        }
    }

    /// Whether `bytes` are the note of a checkpoint over the entries so far.
    pub fn check_note(&self, bytes: &[u8]) -> Result<Head, Breach> {
        self.signing.check_note(bytes, self.size(), self.root())
    }

    /// Takes in a checkpoint that `check_note` let pass.
    pub fn apply_note(&mut self, head: Head) {
        self.signing.apply_note(head);
    }

    /// Takes in an entry that `check` let pass, with the leaf of its line.
    pub fn apply(&mut self, entry: &Entry, leaf: Digest) {
        if self.open.as_ref().is_some_and(|open| open.run != entry.run) {
            self.open = None;
            self.cut_off += 1;
        }
        match &entry.event {
            Event::Genesis(genesis) => {
                self.origin = genesis.origin.clone();
                self.id = Some(entry.run.clone());
                self.signing.apply_genesis(&entry.run, genesis);
            }
            Event::RunStart(start) => {
                self.runs.insert(entry.run.clone());
                self.begun.push(entry.ts.clone());
                self.signing.apply_run_start(start);
                self.open = Some(OpenRun {
                    run: entry.run.clone(),
                    inventory: start.inventory.clone(),
                    shapes: start.shapes.iter().map(|shape| shape.sha256).collect(),
                    started: DiskMap::bounded(self.entries_max),
                    ended: DiskMap::bounded(self.entries_max),
                    counts: Counts::default(),
                    prompt_tokens: 0,
                    answer_tokens: 0,
                });
            }
            Event::RunEnd(_) => self.open = None,
            Event::ClockStep(step) => {
                self.stepped += 1;
                if self.steps.len() < CLOCK_STEPS_NAMED_MAX {
                    let (before, after) = (step.before.clone(), entry.ts.clone());
                    self.steps.push(Step { seq: entry.seq, before, after });
                }
            }
            event => {
                if let Some(open) = &mut self.open {
                    open.apply(event);
                }
            }
        }
        self.ledger.apply(entry);
        self.tree.push(leaf);
        self.last = Some(Last {
            leaf,
            ts: entry.ts.clone(),
            mono_ms: entry.mono_ms,
            run: entry.run.clone(),
        });
    }
}

impl OpenRun {
    fn check_unended(&self, doc: &DocId) -> Result<(), Breach> {
        match self.ended.contains(doc) {
            true => breach("outcome", format!("document {doc} already has its outcome")),
            false => Ok(()),
        }
    }

    fn check_shape(&self, shape: &Digest) -> Result<(), Breach> {
        match self.shapes.contains(shape) {
            true => Ok(()),
            false => breach("shape", "the shape is not among those that the run began with"),
        }
    }

    fn apply(&mut self, event: &Event) {
        let (doc, input, bytes, outcome) = match event {
            Event::DocStart(start) => {
                self.started.insert(start.doc, (start.input_sha256, start.shape));
                return;
            }
            Event::DocDone(done) => {
                self.prompt_tokens = self.prompt_tokens.saturating_add(done.prompt_tokens);
                self.answer_tokens = self.answer_tokens.saturating_add(done.answer_tokens);
                (done.doc, done.input_sha256, done.bytes, done.outcome)
            }
            Event::DocFail(fail) => (fail.doc, fail.input_sha256, fail.bytes, Outcome::Failed),
            Event::DocSkip(skip) => (skip.doc, skip.input_sha256, skip.bytes, skip.outcome),
            _ => return,
        };
        *self.counts.of_mut(outcome) += 1;
        self.ended.insert(doc, (input, bytes));
    }
}

/// Output files stand below the output folder, each named once.
fn check_paths(files: &[OutputFile]) -> Result<(), Breach> {
    let mut seen = BTreeSet::new();
    for file in files {
        let inside = file.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !inside || file.path.contains('\0') || !seen.insert(&file.path) {
            return breach("path", format!("{:?} is no path of an output file", file.path));
        }
    }
    Ok(())
}
