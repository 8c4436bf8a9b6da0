//! What the log can say: one type for each kind of entry. Digests, counts and names of files; never
//! a word of a document. How an entry becomes a line is `line`'s, what may follow what is `rules`'.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use super::tree;
use crate::base::{Digest, DocId, Outcome};

/// One thing that happened. Fields that are not known are empty strings or 0, never left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first entry of every log, written when the log is made.
    Genesis(Genesis),
    /// A run begins; what it will read is fixed from here on.
    RunStart(Box<RunStart>),
    /// Work on a document begins.
    DocStart(DocStart),
    /// A document was answered and its files are durable.
    DocDone(DocDone),
    /// A document broke on the way.
    DocFail(DocFail),
    /// A document was not worked on.
    DocSkip(DocSkip),
    /// Something that a killed run left was put right.
    Recovered(Recovered),
    /// The wall clock was set back or forward (written by the log itself).
    ClockStep(ClockStep),
    /// A job's tables are durable.
    Tables(Tables),
    /// A checkpoint was written to a folder for another place.
    CheckpointExported(CheckpointExported),
    /// A document's files are given up; they are removed next.
    Erase(Erase),
    /// A run ends; every input has its outcome.
    RunEnd(RunEnd),
    /// A person judged a value.
    Review(Review),
    /// Answers were compared with what is known to be right.
    VerifyResult(VerifyResult),
    /// A kind that later versions write (`RESERVED`): chained, not interpreted.
    #[serde(other)]
    Reserved,
}

/// Kinds of entry that this version walks over without reading them.
pub const RESERVED: [&str; 3] = ["config_change", "egress_attempt", "key_rotate"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Names the log, schema-less: "example.com/contracts".
    pub origin: String,
    /// The log's C2SP verifier key; empty for a log without signatures.
    pub log_vkey: String,
    /// The first run's C2SP verifier key; empty for a log without signatures.
    pub run_vkey: String,
    /// Program and version that made the log.
    pub tool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStart {
    pub inventory: Inventory,
    pub binary: Binary,
    pub model: ModelFile,
    /// Of the bytes of `jobs.toml`.
    pub jobs_sha256: Digest,
    /// Every shape that a document of this run can have.
    pub shapes: Vec<Shape>,
    pub engine: EngineFacts,
    pub host: Host,
    pub actor: Actor,
    pub isolation: Isolation,
    pub pid: u64,
    /// The zone that deadlines are understood in, by IANA name.
    pub tz: String,
    /// The run's own C2SP verifier key; empty for a log without signatures.
    pub run_vkey: String,
    /// Digest of the text of the checkpoint before, in hexadecimal; empty for a log without signatures.
    /// This and the key are filled in by the log as it appends.
    pub prev_checkpoint: String,
}

/// The inputs of a run, committed to before any of them is read for its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub count: u64,
    pub bytes: u64,
    /// RFC 6962 root over the inputs, sorted by document; the leaf of one is the text
    /// `<doc> <input_sha256> <bytes>`.
    pub root: Digest,
}

impl Inventory {
    /// The inventory of these inputs: identity, digest and size of each, in any order.
    pub fn of(inputs: impl IntoIterator<Item = (DocId, Digest, u64)>) -> Inventory {
        let mut inputs: Vec<_> = inputs.into_iter().collect();
        inputs.sort_unstable();
        Inventory::of_sorted(inputs)
    }

    /// The inventory of inputs that come sorted by document.
    pub(super) fn of_sorted(inputs: impl IntoIterator<Item = (DocId, Digest, u64)>) -> Inventory {
        let (mut count, mut sum) = (0, 0u64);
        let leaves = inputs.into_iter().map(|(doc, digest, bytes)| {
            (count, sum) = (count + 1, sum.saturating_add(bytes));
            format!("{doc} {digest} {bytes}")
        });
        let root = tree::root_of(leaves);
        Inventory { count, bytes: sum, root }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    pub version: String,
    /// Of the running executable, in hexadecimal; empty where it cannot be read.
    pub sha256: String,
}

impl Binary {
    /// The program that runs now.
    pub fn of_process() -> Binary {
        let sha256 = fs::File::open("/proc/self/exe")
            .and_then(|mut file| Digest::of_reader(&mut file))
            .map_or(String::new(), |(digest, _)| digest.to_string());
        Binary { version: env!("CARGO_PKG_VERSION").into(), sha256 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its name without folders.
    pub file: String,
    pub sha256: Digest,
    pub bytes: u64,
}

/// Everything but the input that an answer depends on, by one digest that the caller makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// For a person: the job, or job and format.
    pub name: String,
    pub sha256: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFacts {
    pub threads: u64,
    pub slots: u64,
    pub memory_bytes: u64,
    /// The instruction tier in use: scalar, avx2, …
    pub isa: String,
    pub number_rules: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub name: String,
    pub kernel: String,
    pub boot_id: String,
}

impl Host {
    /// The machine that this runs on; what it does not tell is empty.
    pub fn of_machine() -> Host {
        Host {
            name: first_line("/proc/sys/kernel/hostname"),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            boot_id: first_line("/proc/sys/kernel/random/boot_id"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub uid: u64,
    /// Who logged in, also behind sudo; 4294967295 where nobody did (a timer).
    pub login_uid: u64,
}

impl Actor {
    /// The user that this process runs as.
    pub fn of_process() -> Actor {
        Actor {
            uid: fs::metadata("/proc/self").map_or(u64::from(u32::MAX), |own| own.uid().into()),
            login_uid: first_line("/proc/self/loginuid").parse().unwrap_or(u32::MAX.into()),
        }
    }
}

/// How far the run was shut in, as tried before any document was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What the jobs file wants closed: network, all or none.
    pub require: String,
    /// own, or why the network namespace is the starter's: the name of an error.
    pub namespace: String,
    /// Network interfaces that the run can see.
    pub interfaces: Vec<String>,
    /// The version of Landlock that holds the run; 0 for none.
    pub landlock: u64,
    pub tries: Vec<Try>,
}

/// A way out of the program that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// main, or reader: the process that a document is parsed in.
    pub from: String,
    pub way: String,
    /// SIGSYS, the name of an error, or open.
    pub result: String,
}

fn first_line(path: &str) -> String {
    let mut text = String::new();
    // These files are a line each; a limit keeps the entry small whatever they hold.
    let read = fs::File::open(path).and_then(|file| file.take(256).read_to_string(&mut text));
    if read.is_ok() { text.lines().next().unwrap_or("").to_string() } else { String::new() }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocStart {
    pub doc: DocId,
    /// Job, root and path, joined by `/`.
    pub path: String,
    pub input_sha256: Digest,
    pub bytes: u64,
    pub shape: Digest,
    /// Counted from 1 for this input and shape.
    pub attempt: u64,
    /// How far the work has come, of a table whose rows are documents; none where it begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<Part>,
}

/// The first rows of a table that were answered and are durable in its part file, with sums over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub rows: u64,
    /// Of the part file, and the digest of so many of its first bytes.
    pub bytes: u64,
    pub sha256: Digest,
    /// Over the rows: of the digest before and the row's own.
    pub text_sha256: Digest,
    pub transcript_sha256: Digest,
    pub tokens_read: u64,
    pub tokens_sent: u64,
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    /// Rows without a whole answer, and rows with a flag.
    pub partial: u64,
    pub flagged: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocDone {
    pub doc: DocId,
    pub path: String,
    pub input_sha256: Digest,
    pub bytes: u64,
    pub shape: Digest,
    /// `Done` or `Partial`.
    pub outcome: Outcome,
    pub outputs: Vec<OutputFile>,
    /// Of the text that was read.
    pub text_sha256: Digest,
    /// Of all prompts' and answers' token ids.
    pub transcript_sha256: Digest,
    pub pages: u64,
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    /// How many.
    pub warnings: u64,
    /// Entry of the same document that this one replaces, `Ledger::supersedes`; 0 for none.
    pub supersedes: u64,
    /// Wall time from start to here, in milliseconds.
    pub ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocFail {
    pub doc: DocId,
    pub path: String,
    pub input_sha256: Digest,
    pub bytes: u64,
    pub shape: Digest,
    /// One word: parse_error, crashed, timeout, oom, output_cap, context_overflow, io, …
    pub class: String,
    /// For a person; no words of the document. Cut at 500 bytes.
    pub detail: String,
    /// Failures of this input and shape, this one counted.
    pub attempts: u64,
    /// The record of the failure, if one was written.
    pub outputs: Vec<OutputFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocSkip {
    pub doc: DocId,
    pub path: String,
    pub input_sha256: Digest,
    pub bytes: u64,
    /// `Unchanged`, `Refused`, `Quarantined` or `Deferred`.
    pub outcome: Outcome,
    /// For a person; no words of the document. Cut at 500 bytes.
    pub reason: String,
    /// The entry that this rests on: of an unchanged document its `doc_done` or its `erase`, of a
    /// quarantined one its last `doc_fail`; otherwise 0.
    pub rests_on: u64,
    /// The record of the refusal, if one was written.
    pub outputs: Vec<OutputFile>,
}

/// A file under the output folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Below the output folder, with `/`.
    pub path: String,
    pub sha256: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Bytes of an unfinished last line that were set aside; 0 for none.
    pub torn_len: u64,
    /// Of those bytes, also the name of the file that keeps them.
    pub torn_sha256: Digest,
    /// Entries that the log held before those bytes.
    pub good_entries: u64,
    /// Unfinished or unproven files under the output folder that were removed.
    pub orphans: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// The time of the entry before.
    pub before: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    pub job: String,
    /// The job's tables as they are now; earlier ones are no longer vouched for.
    pub outputs: Vec<OutputFile>,
    /// Tables that a person has edited: found so, left so, not vouched for.
    pub kept: Vec<OutputFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointExported {
    /// Entries that the checkpoint covers, and the RFC 6962 root over them.
    pub size: u64,
    pub root: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erase {
    pub doc: DocId,
    pub path: String,
    pub job: String,
    /// For a person: who asked for it, or what rule. Cut at 500 bytes.
    pub reason: String,
    /// All files of the document that the log vouches for, and all tables of its job: they hold a row of
    /// it. It vouches for none of them any more.
    pub outputs: Vec<OutputFile>,
    pub tables: Vec<OutputFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    pub counts: Counts,
    /// Sums over the run's `doc_done` entries.
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    pub seconds: u64,
    /// RFC 6962 root over all files that the log vouches for, sorted by path; the leaf of one is the
    /// text `<sha256>  <path>`, as `sha256sum` prints it.
    pub outputs_root: Digest,
    /// Entries before this one, and the RFC 6962 root over them.
    pub log_size: u64,
    pub log_root: Digest,
    pub exit_code: u64,
}

/// A person's judgement of one field of one record. What the person wrote is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub doc: DocId,
    pub path: String,
    /// Of the record that was judged.
    pub record_sha256: Digest,
    pub field: String,
    pub verdict: Judged,
    /// Name of the person.
    pub reviewer: String,
    /// Of the workbook that it was read from.
    pub workbook_sha256: Digest,
    /// Of what was judged and what the person wrote, `reviews/<sha256>.json` in the state folder.
    pub words_sha256: Digest,
}

/// How the answers on documents with labels stood to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyResult {
    /// What was verified: gate, a job's golden set.
    pub what: String,
    pub job: String,
    /// Of everything that the result depends on: model, tasks, documents, labels.
    pub sha256: Digest,
    /// Documents with labels.
    pub documents: u64,
    /// Micro-F1 over all fields, and the least that was asked for, in thousandths.
    pub f1_milli: u64,
    pub f1_min_milli: u64,
    pub fields: Vec<FieldCount>,
}

/// Labelled answers to one field that were found, given wrongly, and missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCount {
    pub name: String,
    pub found: u64,
    pub wrong: u64,
    pub missed: u64,
}

/// What a person found a value to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    SignedOff,
    /// Wrong, and the right one is known.
    Corrected,
    /// Wrong.
    Rejected,
}

/// Documents of a run by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub done: u64,
    pub partial: u64,
    pub refused: u64,
    pub failed: u64,
    pub unchanged: u64,
    pub quarantined: u64,
    pub deferred: u64,
}

impl Counts {
    /// The count of one outcome.
    pub fn of_mut(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Done => &mut self.done,
            Outcome::Partial => &mut self.partial,
            Outcome::Refused => &mut self.refused,
            Outcome::Failed => &mut self.failed,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Quarantined => &mut self.quarantined,
            Outcome::Deferred => &mut self.deferred,
        }
    }
}

impl Event {
    /// The word in the line's `event`.
    pub fn word(&self) -> &'static str {
        match self {
            Event::Genesis(_) => "genesis",
            Event::RunStart(_) => "run_start",
            Event::DocStart(_) => "doc_start",
            Event::DocDone(_) => "doc_done",
            Event::DocFail(_) => "doc_fail",
            Event::DocSkip(_) => "doc_skip",
            Event::Recovered(_) => "recovered",
            Event::ClockStep(_) => "clock_step",
            Event::Tables(_) => "tables",
            Event::CheckpointExported(_) => "checkpoint_exported",
            Event::Erase(_) => "erase",
            Event::RunEnd(_) => "run_end",
            Event::Review(_) => "review",
            Event::VerifyResult(_) => "verify_result",
            Event::Reserved => "reserved",
        }
    }
}
