//! A small night for tests of log and outputs: five documents, no model. What `run` does, in its order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use nightclerk::assemble::Record;
use nightclerk::audit::{
    Actor, Binary, DocDone, DocFail, DocSkip, DocStart, EngineFacts, Event, Host, Inventory,
    Isolation, Log, LogError, ModelFile, OutputFile, RunStart, Shape, Tables, Try,
};
use nightclerk::base::{Clock, Digest, Disk, DocId, Outcome};
use nightclerk::output::{Row, Writer, WrittenFile};
use serde_json::json;

/// Every look at it is a millisecond later.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn at(time: &str) -> Arc<TestClock> {
        Arc::new(TestClock(AtomicI64::new(time.parse::<Timestamp>().unwrap().as_millisecond())))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed) as u64 % 1_000_000_000)
    }
}

pub const NIGHT: &str = "2026-01-31T22:00:00Z";

pub fn state(output: &Path) -> PathBuf {
    output.join(".nightclerk")
}

/// Where the test's keys lie: inside, so that a copy of the folder is a copy of everything.
pub fn keys(output: &Path) -> PathBuf {
    state(output).join("keys")
}

/// A document: its path, what is in it, and how it ends.
#[derive(Clone)]
pub struct Doc {
    pub path: &'static str,
    pub content: &'static str,
    pub ends: Outcome,
}

pub const DOCS: [Doc; 5] = [
    Doc { path: "a/lease.pdf", content: "The tenant pays.", ends: Outcome::Done },
    Doc { path: "a/nda \"x\".docx", content: "Secret.", ends: Outcome::Partial },
    Doc { path: "b/broken.pdf", content: "%PDF", ends: Outcome::Failed },
    Doc { path: "b/picture.png", content: "PNG", ends: Outcome::Refused },
    Doc { path: "c/zürich.txt", content: "Grüezi", ends: Outcome::Done },
];

impl Doc {
    pub fn id(&self) -> DocId {
        DocId::new("contracts", "inbox", self.path)
    }

    fn input(&self) -> Digest {
        Digest::of(self.content.as_bytes())
    }

    pub fn record(&self) -> Record {
        let digest = |text: &str| Digest::of(text.as_bytes());
        serde_json::from_value(json!({
            "source": {
                "job": "contracts", "root": "inbox", "path": self.path, "sha256": self.input(),
                "bytes": self.content.len(), "format": "text", "pages": 1,
            },
            "outcome": self.ends,
            "reason": if self.ends == Outcome::Partial { "page 2 is a picture" } else { "" },
            "coverage": {
                "pages": [{ "page": 1, "label": "1", "state": "read", "characters": 16 }],
                "chunks": 1, "tokens_read": 7, "tokens_sent": 7,
            },
            "summary": { "text": self.content, "points": [] },
            "fields": { "law": {
                "value": "=Swiss", "raw": null, "margin": 12, "flags": ["no_evidence"],
                "evidence": [{ "quote": self.content, "page": 1, "start": 0, "end": 3,
                               "match": "exact" }],
            } },
            "warnings": [], "hidden": [],
            "made_with": {
                "model": digest("m"), "tokenizer": digest("t"), "template": digest("c"),
                "tasks": { "summary": digest("s") }, "text_rules": 1, "number_rules": 1,
                "prompt_rules": 1,
            },
            "tokens": { "prompt": 70, "answer": 9 },
        }))
        .unwrap()
    }
}

pub fn shape() -> Digest {
    Digest::of(b"shape")
}

pub fn run_start(docs: &[Doc]) -> Event {
    Event::RunStart(Box::new(RunStart {
        inventory: Inventory::of(
            docs.iter().map(|doc| (doc.id(), doc.input(), doc.content.len() as u64)),
        ),
        binary: Binary { version: "0.1.0".into(), sha256: String::new() },
        model: ModelFile { file: "tiny.gguf".into(), sha256: Digest::of(b"m"), bytes: 1 },
        jobs_sha256: Digest::of(b"jobs"),
        shapes: vec![Shape { name: "contracts".into(), sha256: shape() }],
        engine: EngineFacts {
            threads: 2,
            slots: 64,
            memory_bytes: 6 << 30,
            isa: "scalar".into(),
            number_rules: 1,
        },
        host: Host {
            name: "clerk".into(),
            kernel: "6.12.0".into(),
            boot_id: "00000000-0000-4000-8000-000000000000".into(),
        },
        actor: Actor { uid: 1000, login_uid: 1000 },
        isolation: Isolation {
            require: "network".into(),
            namespace: "own".into(),
            interfaces: vec!["lo".into()],
            landlock: 7,
            tries: vec![Try { from: "main".into(), way: "tcp4".into(), result: "EPERM".into() }],
        },
        pid: 4242,
        tz: "Europe/Zurich".into(),
        run_vkey: String::new(),
        prev_checkpoint: String::new(),
    }))
}

pub fn logged(files: &[WrittenFile]) -> Vec<OutputFile> {
    files.iter().map(|f| OutputFile { path: f.path.clone(), sha256: f.digest }).collect()
}

pub fn doc_start(log: &Log, doc: &Doc) -> Event {
    Event::DocStart(DocStart {
        doc: doc.id(),
        path: format!("contracts/inbox/{}", doc.path),
        input_sha256: doc.input(),
        bytes: doc.content.len() as u64,
        shape: shape(),
        attempt: log.ledger().attempts(&doc.id(), &doc.input(), &shape()) + 1,
        part: None,
    })
}

pub fn doc_done(log: &Log, doc: &Doc, outputs: Vec<OutputFile>) -> Event {
    Event::DocDone(DocDone {
        doc: doc.id(),
        path: format!("contracts/inbox/{}", doc.path),
        input_sha256: doc.input(),
        bytes: doc.content.len() as u64,
        shape: shape(),
        outcome: doc.ends,
        outputs,
        text_sha256: Digest::of(doc.content.as_bytes()),
        transcript_sha256: Digest::of(b"tokens"),
        pages: 1,
        prompt_tokens: 70,
        answer_tokens: 9,
        warnings: 0,
        supersedes: log.ledger().supersedes(&doc.id()),
        ms: 5,
    })
}

pub fn doc_skip(doc: &Doc, outcome: Outcome, rests_on: u64) -> Event {
    Event::DocSkip(DocSkip {
        doc: doc.id(),
        path: format!("contracts/inbox/{}", doc.path),
        input_sha256: doc.input(),
        bytes: doc.content.len() as u64,
        outcome,
        reason: "as the test says".into(),
        rests_on,
        outputs: Vec::new(),
    })
}

/// Opens the log of `output` at a time. A child that another test forks holds a lock that was just given up
/// until it is its own program: that is waited for.
pub fn open_log(disk: Arc<dyn Disk>, output: &Path, time: &str) -> Result<Log, LogError> {
    let open =
        || Log::open(disk.clone(), &state(output), &keys(output), "test/log", TestClock::at(time));
    let mut tries = std::iter::repeat_with(open).take(20);
    let is_locked = |opened: &Result<Log, LogError>| {
        let locked = matches!(opened, Err(LogError::Locked { .. }));
        if locked {
            std::thread::sleep(Duration::from_millis(10));
        }
        locked
    };
    tries.find(|opened| !is_locked(opened)).unwrap_or_else(open)
}

/// Runs a night over `docs`, as far as the disk lets it; in `acknowledged` go the documents that were
/// said to be done.
pub fn run(
    disk: Arc<dyn Disk>,
    output: &Path,
    docs: &[Doc],
    acknowledged: &mut Vec<DocId>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut log = open_log(disk.clone(), output, NIGHT)?;
    let writer = Writer::new(disk, output);
    writer.sweep()?;
    log.append(&run_start(docs))?;
    for doc in docs {
        if doc.ends == Outcome::Refused {
            log.append(&doc_skip(doc, Outcome::Refused, 0))?;
            continue;
        }
        let before = log.ledger().unchanged(&doc.id(), &doc.input(), &shape());
        if let Some(done) = before.filter(|done| done.is_intact(output)) {
            let seq = done.seq;
            log.append(&doc_skip(doc, Outcome::Unchanged, seq))?;
            continue;
        }
        let attempts = log.ledger().attempts(&doc.id(), &doc.input(), &shape());
        if attempts >= 3 {
            let failed = log.ledger().doc(&doc.id()).unwrap().failed_seq;
            log.append(&doc_skip(doc, Outcome::Quarantined, failed))?;
            continue;
        }
        log.append(&doc_start(&log, doc))?;
        if doc.ends == Outcome::Failed {
            log.append(&Event::DocFail(DocFail {
                doc: doc.id(),
                path: format!("contracts/inbox/{}", doc.path),
                input_sha256: doc.input(),
                bytes: doc.content.len() as u64,
                shape: shape(),
                class: "parse_error".into(),
                detail: "no \"xref\"\n".into(),
                attempts: attempts + 1,
                outputs: Vec::new(),
            }))?;
            continue;
        }
        let files = writer.record(&doc.record())?;
        log.append(&doc_done(&log, doc, logged(&files)))?;
        acknowledged.push(doc.id());
    }
    let rows = docs.iter().map(|doc| match writer.read("contracts", "inbox", doc.path) {
        Ok(Some(record)) => Row::of_record(record),
        _ => Row {
            root: "inbox".into(),
            path: doc.path.into(),
            outcome: doc.ends,
            reason: "no record".into(),
            record: None,
        },
    });
    let rows: Vec<Row> = rows.collect();
    let known = |path: &str| log.ledger().output(path);
    let tables = writer.tables("contracts", &["law".into()], rows, known)?;
    log.append(&Event::Tables(Tables {
        job: "contracts".into(),
        outputs: logged(&tables.written),
        kept: logged(&tables.kept),
    }))?;
    let end = log.end_run(1, 3)?;
    writer.last_run(&end)?;
    Ok(())
}
