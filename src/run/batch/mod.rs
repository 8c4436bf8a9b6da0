//! `nightclerk run --batch`: a file of requests in, a file of results out, both in the format of OpenAI's
//! Batch API, so that a script that used a service uses this machine. Requests are answered together in
//! every step; the results stand in the order of the requests, there whole or not at all. What is
//! answered so far lies beside them until then, and a later start goes on from it.

mod call;
mod part;
mod reply;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use self::call::{Call, Refusal};
use self::part::Part;
use self::reply::Letterhead;
use super::progress::{Progress, What};
use super::signal::StopFlag;
use super::{Broken, model};
use crate::base::limits::{BATCH_LINE_BYTES_MAX, QUESTIONS_PER_SLOT};
use crate::base::{Clock, Completion, Digest, duration};
use crate::engine::{self, Engine, RequestError};
use crate::jobs::Plan;

/// Where requests come from and where results go.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    pub input: PathBuf,
    /// Not there yet.
    pub output: PathBuf,
}

/// What became of a batch.
#[derive(Clone, Debug, Serialize)]
pub struct BatchSheet {
    pub output: PathBuf,
    /// Lines that are not blank.
    pub requests: usize,
    /// Of them, answered, and refused with an error object.
    pub answered: usize,
    pub refused: usize,
    /// Not begun when the run was asked to stop: run again.
    pub left: usize,
    /// Of those answered or refused, by an earlier start.
    pub resumed: usize,
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    #[serde(skip)]
    pub took: Duration,
}

impl BatchSheet {
    /// For a person.
    pub fn table(&self) -> String {
        let BatchSheet { requests, answered, refused, left, resumed, .. } = self;
        let mut text =
            format!("{requests} requests: {answered} answered, {refused} refused, {left} left");
        if *resumed > 0 {
            text.push_str(&format!("; {resumed} of them by an earlier start"));
        }
        let (prompt, answer) = (self.prompt_tokens, self.answer_tokens);
        let took = duration(self.took.as_secs_f64());
        text.push_str(&format!("\n{prompt} prompt and {answer} answer tokens in {took}\n"));
        text.push_str(&match left {
            0 => format!("results: {}\n", self.output.display()),
            _ => "the same command goes on where this one stopped\n".to_owned(),
        });
        text
    }
}

/// Answers every request of a batch.
///
/// # Errors
/// `Usage` where the results are there already or another start is at work on them; `Disk`; `Model`. What
/// was answered until then is kept.
pub fn batch(
    plan: &Plan,
    options: &BatchOptions,
    clock: &dyn Clock,
    progress: &Progress,
    stop: &StopFlag,
) -> Result<BatchSheet, Broken> {
    let began = clock.elapsed();
    let BatchOptions { input, output } = options;
    if output.exists() {
        let why = "is there already; take it away, or name another file";
        return Err(Broken::Usage(format!("{} {why}", output.display())));
    }
    let unreadable = |error: io::Error| Broken::disk(input, &error);
    let mut file = File::open(input).map_err(unreadable)?;
    progress.say("looking through the requests");
    let (digest, _) = Digest::of_reader(&mut file).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let requests = count(&mut BufReader::new(&file)).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let (path, _) = model::checked(plan, progress)?;
    let part = Part::open(output, &identity(plan, digest))?;
    let mut engine = model::load(&path, &super::settings(&plan.engine), progress)?;
    progress.say("answering");
    progress.update(|standing| {
        (standing.what, standing.documents) = (What::Requests, requests);
        (standing.bytes, standing.slots) = (requests as u64, plan.engine.slots);
    });
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let mut work = Work {
        engine: &mut engine,
        letterhead: Letterhead::new(name, plan.model.sha256, &plan.engine.date),
        resumed: part.len(),
        part,
        number: 0,
        names: BTreeSet::new(),
        open: BTreeMap::new(),
        enough: QUESTIONS_PER_SLOT * plan.engine.slots,
    };
    work.through(&mut BufReader::new(file), progress, stop)?;
    let Work { part, resumed, .. } = work;
    let (done, refused) = (part.len(), part.refused());
    if done == requests {
        progress.say("writing the results");
        part.finish(output)?;
    }
    let worked = engine.progress();
    Ok(BatchSheet {
        output: output.clone(),
        requests,
        answered: done - refused,
        refused,
        left: requests - done,
        resumed,
        prompt_tokens: worked.prompt_tokens_done,
        answer_tokens: worked.answer_tokens,
        took: clock.elapsed().saturating_sub(began),
    })
}

/// Of everything that an answer of the batch is a function of.
fn identity(plan: &Plan, input: Digest) -> Digest {
    let engine = &plan.engine;
    let rules = format!(
        "{} {} {} {}",
        env!("CARGO_PKG_VERSION"),
        engine::NUMBER_RULES,
        engine.context_tokens,
        engine.date
    );
    Digest::of_parts([input.0.as_slice(), plan.model.sha256.0.as_slice(), rules.as_bytes()])
}

/// Lines that are not blank.
fn count(input: &mut impl BufRead) -> io::Result<usize> {
    let mut count = 0;
    while let Some(line) = next_line(input)? {
        count += usize::from(!is_blank(&line));
    }
    Ok(count)
}

/// The next line without its end; of a longer one than `BATCH_LINE_BYTES_MAX` so much and a byte more.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = BATCH_LINE_BYTES_MAX as u64 + 1;
    if input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == most {
        input.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// A batch under way.
struct Work<'a> {
    engine: &'a mut Engine,
    letterhead: Letterhead,
    part: Part,
    /// Results that an earlier start left.
    resumed: usize,
    /// Of the line that was taken in last, from 1.
    number: usize,
    /// Every `custom_id` so far.
    names: BTreeSet<String>,
    /// Requests that are with the engine: line → `custom_id`. A request's id is its line.
    open: BTreeMap<usize, String>,
    /// With so many open no further one is taken in.
    enough: usize,
}

impl Work<'_> {
    fn through(
        &mut self,
        input: &mut impl BufRead,
        progress: &Progress,
        stop: &StopFlag,
    ) -> Result<(), Broken> {
        let mut is_read = false;
        loop {
            if stop.is_set() {
                is_read = true;
                for id in self.engine.cancel_waiting() {
                    self.open.remove(&(id as usize));
                }
            }
            while !is_read && self.open.len() < self.enough {
                let line = next_line(input);
                match line.map_err(|error| Broken::Disk(format!("the requests: {error}")))? {
                    Some(line) => self.take_in(&line)?,
                    None => is_read = true,
                }
            }
            if self.engine.idle() {
                return Ok(());
            }
            for completion in self.engine.step() {
                self.answered(&completion)?;
            }
            let (now, done) = (self.engine.progress(), self.part.len());
            progress.update(|standing| {
                (standing.documents_done, standing.questions_done) = (done, done as u64);
                standing.bytes_read = (done + self.open.len()) as u64;
                standing.prompt_tokens = now.prompt_tokens_done;
                standing.answer_tokens = now.answer_tokens;
                (standing.running, standing.waiting) = (now.running, now.waiting);
            });
        }
    }

    fn take_in(&mut self, line: &[u8]) -> Result<(), Broken> {
        self.number += 1;
        if is_blank(line) {
            return Ok(());
        }
        let (name, mut call) = match line.len() > BATCH_LINE_BYTES_MAX {
            true => (None, Err(Refusal::line("line_too_long", "longer than a line may be"))),
            false => call::read(line),
        };
        if let Some(name) = &name
            && !self.names.insert(name.clone())
        {
            let message = "custom_id: a request before has the same";
            call = Err(Refusal::line("duplicate_custom_id", message));
        }
        if self.part.has(self.number) {
            return Ok(());
        }
        let submitted = call.and_then(|call| self.submit(&call));
        match (submitted, name) {
            (Ok(()), name) => {
                self.open.insert(self.number, name.unwrap_or_default());
                Ok(())
            }
            (Err(refusal), name) => {
                let reply = self.letterhead.refused(self.number, name.as_deref(), &refusal);
                self.part.put(self.number, &reply)
            }
        }
    }

    /// Gives a request to the engine; one that states no limit may take all that the context leaves.
    fn submit(&mut self, call: &Call) -> Result<(), Refusal> {
        let id = self.number as u64;
        let limit = call.answer_tokens_max.unwrap_or(u32::MAX);
        let mut submitted = self.engine.submit(call.request(id, limit));
        if let Err(RequestError::TooLong { prompt_tokens, context_tokens, .. }) = submitted
            && call.answer_tokens_max.is_none()
            && prompt_tokens < context_tokens
        {
            let room = (context_tokens - prompt_tokens) as u32;
            submitted = self.engine.submit(call.request(id, room));
        }
        submitted.map_err(|error| match error {
            RequestError::TooLong { prompt_tokens, context_tokens, .. } => {
                let limit = call.answer_tokens_max.unwrap_or(1);
                Refusal::body(
                    "context_length_exceeded",
                    "messages",
                    format!(
                        "messages: {prompt_tokens} tokens and an answer of up to {limit} exceed the \
                         context of {context_tokens} ([engine] context_tokens)"
                    ),
                )
            }
            RequestError::Form(error) => {
                Refusal::body("invalid_json_schema", "response_format", error.to_string())
            }
            error => Refusal::body("invalid_value", "temperature", error.to_string()),
        })
    }

    fn answered(&mut self, completion: &Completion) -> Result<(), Broken> {
        let number = completion.id as usize;
        let Some(name) = self.open.remove(&number) else { return Ok(()) };
        let reply = self.letterhead.answered(number, &name, completion);
        self.part.put(number, &reply)
    }
}

/// The folder of a file that is to be written.
pub(super) fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
