//! One document read in a process of its own, and the members of an archive listed there: what goes to the
//! child, and what is believed of its answer. Of a table whose rows are documents, a child tells what it looks
//! like, or reads a piece of it.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::archive;
use super::ocr::Recognizer;
use crate::assemble::OcrFacts;
use crate::base::limits::{ROWS_PIECE_BYTES, ROWS_PIECE_MAX};
use crate::base::{Clock, Digest, Format, Limits, Warned, Warning};
use crate::extract::{
    self, Document, Mark, Options, Piece, Recognized, Refusal, RefusalKind, Row, Seekable, Survey,
};
use crate::intake::{self, Listed, Source};
use crate::isolate::{self, Isolation, ParseServer, Parsed, Reach, Work};
use crate::jobs::{Job, Ocr, Plan};

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
    /// To draw a page of it, for text recognition.
    Picture { format: Format, member: Option<Place>, options: Options, page: u32 },
    /// To say what a table looks like.
    Survey { format: Format, member: Option<Place> },
    /// To read rows of a table, from here on.
    Rows { format: Format, member: Option<Place>, from: Mark },
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
pub enum Reading<T = Warned<Document>> {
    Read(T),
    /// It is not one that can be read; trying again changes nothing.
    Refused(Refusal),
    /// The child came to grief; `class` is the audit log's word for how.
    Failed {
        class: &'static str,
        message: String,
    },
    /// Its pictures were not all recognized before the caller had enough.
    Stopped,
}

/// What is done with pages that are only pictures.
#[derive(Clone, Copy)]
pub enum Pictures<'a> {
    Leave,
    /// They are recognized, one after the other, until this says that it is enough.
    Recognize(&'a dyn Fn() -> bool),
}

/// What reads documents: the parse server, and text recognition where it is wanted and there.
pub struct Readers {
    pub(super) server: ParseServer,
    /// Whether what is read can have pages that are only pictures.
    pub(super) has_pages: bool,
    /// None where it is not wanted; an error is why it cannot be had.
    ocr: Option<Result<Recognizer, String>>,
}

impl Readers {
    /// Puts up the first walls and starts the parse server, whose children do `work`.
    pub(super) fn of(work: Work) -> io::Result<Readers> {
        let server = ParseServer::start(isolate::begin()?, work)?;
        Ok(Readers { server, has_pages: false, ocr: None })
    }

    /// Isolates this process, all but `reach`, after it has looked for the program of `ocr`.
    pub(super) fn isolate(
        &mut self,
        ocr: Option<&Ocr>,
        limits: &Limits,
        reach: &Reach,
        input: &Path,
    ) -> io::Result<Isolation> {
        self.ocr = ocr.map(|ocr| Recognizer::start(ocr, limits));
        let program = self.ocr.as_mut().and_then(|ocr| ocr.as_mut().ok()).map(Recognizer::program);
        isolate::isolate(&mut self.server, program, reach, input)
    }

    /// What recognizes text, if anything does.
    pub fn ocr(&self) -> Option<&OcrFacts> {
        self.ocr.as_ref()?.as_ref().ok().map(|ocr| &ocr.facts)
    }

    /// Why nothing does, though it is wanted.
    pub fn no_ocr(&self) -> Option<&str> {
        self.ocr.as_ref()?.as_ref().err().map(String::as_str)
    }
}

/// Puts up the first walls and starts the parse server: what a command that opens documents does before
/// anything else. Whatever was opened before is closed.
pub fn start() -> io::Result<Readers> {
    Ok(Readers { has_pages: true, ..Readers::of(answer)? })
}

/// The same for a command that reads one document and makes no thread.
pub fn start_for_one() -> io::Result<Readers> {
    let server = ParseServer::for_one(isolate::begin()?, answer);
    Ok(Readers { server, has_pages: true, ocr: None })
}

/// Reads the open file `input` as `format` in a child of its own, and once more with the text of pages that
/// are only pictures.
pub fn read(
    server: &mut Readers,
    input: File,
    format: Format,
    options: &Options,
    limits: &Limits,
    pictures: Pictures<'_>,
) -> Reading {
    recognized(server, (input, format, || None), options, limits, pictures)
}

/// The same where the document lies at `place` of `input`.
fn recognized(
    server: &mut Readers,
    (input, format, place): (File, Format, impl Fn() -> Option<Place>),
    options: &Options,
    limits: &Limits,
    pictures: Pictures<'_>,
) -> Reading {
    let Readers { server, ocr, .. } = server;
    let mut asked = |task: Task| match input.try_clone() {
        Ok(input) => ask(server, input, task, limits),
        Err(error) => Err(("io", format!("the file cannot be read again: {error}"))),
    };
    let task = |options: &Options| Task::Read { format, member: place(), options: options.clone() };
    let mut first = reading(asked(task(options)), unsound(limits));
    let (Reading::Read(read), Some(ocr)) = (&mut first, ocr) else { return first };
    let Pictures::Recognize(enough) = pictures else { return first };
    let wanted: Vec<u32> =
        read.output.pages.iter().filter(|p| p.facts.unread_picture).map(|p| p.number).collect();
    let recognizer = match ocr {
        _ if wanted.is_empty() => return first,
        Ok(recognizer) => recognizer,
        Err(why) => {
            let message = format!("pages that are only pictures are not recognized: {why}");
            read.warnings.push(Warning::document(message));
            return first;
        }
    };
    let mut options = options.clone();
    let mut warnings = Vec::new();
    for page in wanted {
        if enough() {
            return Reading::Stopped;
        }
        let member = place();
        let task = Task::Picture { format, member, options: options.clone(), page };
        let picture = asked(task).map_err(|(_, why)| why);
        let table = picture.and_then(|picture| recognizer.table(&picture));
        let table = table.unwrap_or_else(|why| {
            warnings.push(Warning::page(page, format!("text recognition failed: {why}")));
            String::new()
        });
        options.recognized.push(Recognized { page, table });
    }
    let mut second = reading(asked(task(&options)), unsound(limits));
    if let Reading::Read(read) = &mut second {
        read.warnings.append(&mut warnings);
    }
    second
}

/// Reads `source`, wherever it lies.
///
/// # Errors
/// Why it cannot be opened, as a sentence without a final dot.
pub(super) fn of_source(
    server: &mut Readers,
    job: &Job,
    source: &Source,
    limits: &Limits,
    pictures: Pictures<'_>,
) -> Result<Reading, String> {
    let input = intake::open(source)?;
    let options = Options { password: job.password.clone(), ..Options::default() };
    let input = (input, source.format, || place(source));
    Ok(recognized(server, input, &options, limits, pictures))
}

/// Where in its archive `source` lies, if it lies in one.
fn place(source: &Source) -> Option<Place> {
    let member = source.member.as_ref()?;
    Some(Place { at: member.at.clone(), sha256: source.digest })
}

fn unsound(limits: &Limits) -> impl Fn(&Warned<Document>) -> Option<String> {
    |document| document.output.unsound(limits)
}

/// Looks at a table.
///
/// # Errors
/// As `of_source`.
pub(super) fn survey(
    server: &mut Readers,
    source: &Source,
    limits: &Limits,
) -> Result<Reading<Warned<Survey>>, String> {
    let input = intake::open(source)?;
    let task = Task::Survey { format: source.format, member: place(source) };
    let fault = |found: &Warned<Survey>| found.output.unsound(limits);
    Ok(reading(ask(&mut server.server, input, task, limits), fault))
}

/// Reads rows of the table that `survey` tells of, from `from` on: as many as fit a piece.
///
/// # Errors
/// As `of_source`.
pub(super) fn rows(
    server: &mut Readers,
    source: &Source,
    (survey, from): (&Survey, Mark),
    limits: &Limits,
) -> Result<Reading<Piece>, String> {
    let input = intake::open(source)?;
    let task = Task::Rows { format: source.format, member: place(source), from };
    let fault = |Piece { rows, next }: &Piece| {
        let bytes: usize = rows.iter().flat_map(|row| &row.cells).map(String::len).sum();
        let fits = |row: &Row| {
            survey.sheets.get(row.sheet).is_some_and(|sheet| row.cells.len() <= sheet.columns.len())
        };
        let sound = !rows.is_empty()
            && rows.len() <= ROWS_PIECE_MAX
            && bytes <= 2 * ROWS_PIECE_BYTES
            && next.rows == from.rows + rows.len() as u64
            && next.rows <= survey.rows()
            && rows.is_sorted_by_key(|row| (row.sheet, row.number))
            && rows.iter().all(fits);
        (!sound).then(|| format!("the rows from {} on do not fit the table", from.rows + 1))
    };
    Ok(reading(ask(&mut server.server, input, task, limits), fault))
}

/// The inputs of `job` as they are now: files, and members of archives in their places.
///
/// # Errors
/// Where a folder cannot be listed.
pub(super) fn sources(
    plan: &Plan,
    job: &Job,
    server: &mut Readers,
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
fn listed(server: &mut Readers, archive: &Source, limits: &Limits) -> Result<Vec<Listed>, String> {
    let input = intake::open(archive)?;
    let listed = match ask(&mut server.server, input, Task::List, limits) {
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

/// The child's side: reads its input, answers with JSON, or with a picture.
fn answer(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()> {
    let Order { task, limits } = serde_json::from_slice(request)?;
    let answered = match task {
        Task::Read { format, member, options } => {
            let read = document(input, member, &limits)?
                .and_then(|document| extract::extract(&document, format, &options, &limits));
            serde_json::to_writer(output, &read)
        }
        Task::Picture { format, member, options, page } => {
            let picture = document(input, member, &limits)?
                .and_then(|document| extract::picture(&document, format, page, &options, &limits));
            let picture = picture.map_err(|refusal| io::Error::other(refusal.message))?;
            return output.write_all(&picture);
        }
        Task::Survey { format, member } => {
            let read = |input: &mut dyn Seekable| extract::survey(input, format, &limits);
            serde_json::to_writer(output, &table(input, member, &limits, read)?)
        }
        Task::Rows { format, member, from } => {
            let read = |input: &mut dyn Seekable| extract::piece(input, format, from, &limits);
            serde_json::to_writer(output, &table(input, member, &limits, read)?)
        }
        Task::List => {
            let listed = whole(input, &limits)?.and_then(|bytes| archive::list(&bytes, &limits));
            serde_json::to_writer(output, &listed)
        }
    };
    answered.map_err(io::Error::from)
}

/// The bytes of a document: the input, or what lies in it.
fn document(
    input: &mut File,
    member: Option<Place>,
    limits: &Limits,
) -> io::Result<Result<Vec<u8>, Refusal>> {
    Ok(whole(input, limits)?.and_then(|bytes| match member {
        None => Ok(bytes),
        Some(place) => taken(&bytes, &place, limits),
    }))
}

/// What `read` makes of a table: a file as a stream, what lies in an archive from memory.
fn table<T>(
    input: &mut File,
    member: Option<Place>,
    limits: &Limits,
    read: impl Fn(&mut dyn Seekable) -> Result<T, Refusal>,
) -> io::Result<Result<T, Refusal>> {
    match member {
        None => Ok(read(input)),
        Some(_) => {
            Ok(document(input, member, limits)?.and_then(|bytes| read(&mut Cursor::new(bytes))))
        }
    }
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

/// The parent's side: nothing that the child sent is believed before `fault` finds nothing wrong with it.
fn reading<T: DeserializeOwned>(
    answer: Result<Vec<u8>, (&'static str, String)>,
    fault: impl Fn(&T) -> Option<String>,
) -> Reading<T> {
    let failed = |message: String| Reading::Failed { class: "parse_error", message };
    let bytes = match answer {
        Ok(bytes) => bytes,
        Err((class, message)) => return Reading::Failed { class, message },
    };
    match understood::<T>(&bytes) {
        Ok(Ok(found)) => match fault(&found) {
            None => Reading::Read(found),
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
