//! One document read in a process of its own, and the members of an archive listed there: what goes to the
//! child, and what is believed of its answer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::archive;
use crate::base::{Clock, Digest, Format, Limits, Warned};
use crate::extract::{self, Document, Options, Refusal, RefusalKind};
use crate::intake::{self, Listed, Source};
use crate::isolate::{self, ParseServer, Parsed};
use crate::jobs::{Job, Plan};

/// What the child is told.
#[derive(Serialize, Deserialize)]
struct Order {
    task: Task,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
enum Task {
    /// To read a document: the input, or what lies in it.
    Read { format: Format, member: Option<Place>, options: Options },
    /// To list the members of an archive.
    List,
}

/// Where in an archive a document lies, and its digest when it was listed.
#[derive(Serialize, Deserialize)]
struct Place {
    at: Vec<u32>,
    sha256: Digest,
}

/// How reading a document ended.
#[derive(Debug)]
pub enum Reading {
    Read(Warned<Document>),
    /// It is not one that can be read; trying again changes nothing.
    Refused(Refusal),
    /// The child came to grief; `class` is the audit log's word for how.
    Failed {
        class: &'static str,
        message: String,
    },
}

/// Puts up the first walls and starts the parse server: what a command that opens documents does before
/// anything else. Whatever was opened before is closed.
pub fn start() -> io::Result<ParseServer> {
    ParseServer::start(isolate::begin()?, answer)
}

/// The same for a command that reads one document and makes no thread.
pub fn start_for_one() -> io::Result<ParseServer> {
    Ok(ParseServer::for_one(isolate::begin()?, answer))
}

/// Reads the open file `input` as `format` in a child of `server`.
pub fn read(
    server: &mut ParseServer,
    input: File,
    format: Format,
    options: &Options,
    limits: &Limits,
) -> Reading {
    let task = Task::Read { format, member: None, options: options.clone() };
    reading(ask(server, input, task, limits), limits)
}

/// Reads `source`, wherever it lies.
///
/// # Errors
/// Why it cannot be opened, as a sentence without a final dot.
pub(super) fn of_source(
    server: &mut ParseServer,
    job: &Job,
    source: &Source,
    limits: &Limits,
) -> Result<Reading, String> {
    let input = intake::open(source)?;
    let options = Options { password: job.password.clone(), ..Options::default() };
    let place = |member: &intake::Member| Place { at: member.at.clone(), sha256: source.digest };
    let member = source.member.as_ref().map(place);
    let task = Task::Read { format: source.format, member, options };
    Ok(reading(ask(server, input, task, limits), limits))
}

/// The inputs of `job` as they are now: files, and members of archives in their places.
///
/// # Errors
/// Where a folder cannot be listed.
pub(super) fn sources(
    plan: &Plan,
    job: &Job,
    server: &mut ParseServer,
    clock: &dyn Clock,
) -> Result<Vec<Source>, intake::IntakeError> {
    let mut sources = Vec::new();
    for source in intake::walk(plan, job, clock)?.sources {
        if source.is_archive() {
            let listed = listed(server, &source, &plan.limits);
            sources.extend(intake::members(source, job, listed, &plan.limits));
        } else {
            sources.push(source);
        }
    }
    intake::refuse_equal_names(&mut sources);
    Ok(sources)
}

/// The members of an archive, as its reader tells of them.
fn listed(
    server: &mut ParseServer,
    archive: &Source,
    limits: &Limits,
) -> Result<Vec<Listed>, String> {
    let input = intake::open(archive)?;
    let listed = match ask(server, input, Task::List, limits) {
        Ok(bytes) => understood::<Vec<Listed>>(&bytes)?,
        Err((_, message)) => return Err(message),
    };
    intake::unchanged(archive)?;
    listed.map_err(|refusal| refusal.message)
}

/// The answer of a child of `server`, or the audit log's word for how it came to grief and what to say.
fn ask(
    server: &mut ParseServer,
    input: File,
    task: Task,
    limits: &Limits,
) -> Result<Vec<u8>, (&'static str, String)> {
    let order = Order { task, limits: limits.clone() };
    let request = serde_json::to_vec(&order).expect("an order has only string keys");
    let parsed = server.parse(input, &request, limits);
    let class = match &parsed {
        Parsed::Crashed { .. } => "crashed",
        Parsed::Timeout => "timeout",
        Parsed::Memory => "oom",
        Parsed::OutputCap => "output_cap",
        Parsed::Violation(_) => "sandbox_violation",
        Parsed::Ok(_) | Parsed::Failed(_) => "parse_error",
    };
    match (parsed.why(limits), parsed) {
        (_, Parsed::Ok(bytes)) => Ok(bytes),
        (why, _) => Err((class, why.unwrap_or_default())),
    }
}

/// Of both layers of every page: the log's `text_sha256`.
pub(super) fn text_digest(document: &Document) -> Digest {
    let pages = document.pages.iter();
    Digest::of_parts(pages.flat_map(|page| [page.verbatim.as_bytes(), page.model.as_bytes()]))
}

/// The child's side: reads the whole input, answers with JSON.
fn answer(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()> {
    let Order { task, limits } = serde_json::from_slice(request)?;
    let bytes = whole(input, &limits)?;
    let answered = match task {
        Task::Read { format, member, options } => {
            let document = bytes.and_then(|bytes| match member {
                None => Ok(bytes),
                Some(place) => taken(&bytes, &place, &limits),
            });
            let read = document
                .and_then(|document| extract::extract(&document, format, &options, &limits));
            serde_json::to_writer(output, &read)
        }
        Task::List => {
            let listed = bytes.and_then(|bytes| archive::list(&bytes, &limits));
            serde_json::to_writer(output, &listed)
        }
    };
    answered.map_err(io::Error::from)
}

fn whole(input: &mut File, limits: &Limits) -> io::Result<Result<Vec<u8>, Refusal>> {
    let most = limits.input_bytes_max;
    // Its size is where it ends.
    let size = input.seek(SeekFrom::End(0))?;
    input.rewind()?;
    let mut bytes = Vec::with_capacity(size.min(most) as usize + 1);
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("larger than {} MiB (limits.input)", most >> 20);
        return Ok(Err(Refusal { kind: RefusalKind::Limit, message }));
    }
    Ok(Ok(bytes))
}

/// A member of the archive `bytes`, if it is still what was listed.
fn taken(bytes: &[u8], place: &Place, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let member = archive::take(bytes, &place.at, limits)?;
    if Digest::of(&member) != place.sha256 {
        let message = "its archive changed since it was listed; the next run reads it again";
        return Err(Refusal { kind: RefusalKind::Damaged, message: message.to_owned() });
    }
    Ok(member)
}

/// The parent's side: nothing that the child sent is believed before it is checked.
fn reading(answer: Result<Vec<u8>, (&'static str, String)>, limits: &Limits) -> Reading {
    let failed = |message: String| Reading::Failed { class: "parse_error", message };
    let bytes = match answer {
        Ok(bytes) => bytes,
        Err((class, message)) => return Reading::Failed { class, message },
    };
    match understood::<Warned<Document>>(&bytes) {
        Ok(Ok(document)) => match document.output.unsound(limits) {
            None => Reading::Read(document),
            Some(fault) => failed(format!("the reader's answer is unsound: {fault}")),
        },
        Ok(Err(refusal)) => Reading::Refused(refusal),
        Err(message) => failed(message),
    }
}

fn understood<T: DeserializeOwned>(bytes: &[u8]) -> Result<Result<T, Refusal>, String> {
    let not_understood = |error| format!("the reader's answer cannot be understood: {error}");
    serde_json::from_slice(bytes).map_err(not_understood)
}
