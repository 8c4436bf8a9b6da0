//! `nightclerk ask`: one question on one document, now. Nothing is recorded: it is for trying a model and
//! a question before a night.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::look::{Text, TextOptions, text_of};
use super::progress::Progress;
use super::read::Readers;
use super::{Broken, model};
use crate::assemble::{Evidence, Inquiry};
use crate::base::limits::{ANSWER_TOKENS_DEFAULT, CONTEXT_TOKENS_DEFAULT, MEMORY_BYTES_DEFAULT};
use crate::base::{Completion, Limits, Stop, TokenCounter};
use crate::engine::{Engine, Settings};
use crate::jobs::{self, Ocr, Plan};
use crate::prompt::{question_texts, read_question};

/// Tokens that a chat template puts around the texts of a question: more than any known one takes.
const TEMPLATE_TOKENS: usize = 64;

/// What is asked, and of what.
#[derive(Clone, Debug)]
pub struct AskOptions {
    pub file: PathBuf,
    pub question: String,
    pub text: TextOptions,
}

/// Which model answers.
#[derive(Debug)]
pub enum Answerer {
    /// The one of a jobs file, with its settings; its digest is checked.
    Planned(Box<Plan>),
    /// Any other, taken as it is.
    File(PathBuf),
}

impl Answerer {
    /// Every place where its file may lie.
    pub fn places(&self) -> Vec<&Path> {
        match self {
            Answerer::Planned(plan) => plan.model.sought.iter().map(PathBuf::as_path).collect(),
            Answerer::File(path) => vec![path],
        }
    }

    /// What reads pages that are only pictures, where the jobs file says so.
    pub fn ocr(&self) -> Option<&Ocr> {
        match self {
            Answerer::Planned(plan) => plan.ocr.as_ref(),
            Answerer::File(_) => None,
        }
    }

    fn load(&self, progress: &Progress) -> Result<Engine, Broken> {
        match self {
            Answerer::Planned(plan) => {
                let (path, _) = model::checked(plan, progress)?;
                let settings = super::settings(&plan.engine);
                model::load(&path, &Settings { slots: 1, ..settings }, progress)
            }
            Answerer::File(path) => {
                let usual = Settings::new(MEMORY_BYTES_DEFAULT, jobs::DATE_DEFAULT);
                let context_tokens = CONTEXT_TOKENS_DEFAULT;
                model::load(path, &Settings { slots: 1, context_tokens, ..usual }, progress)
            }
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Answerer::Planned(plan) => plan.limits.clone(),
            Answerer::File(_) => Limits::default(),
        }
    }
}

/// A question answered.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerSheet {
    pub question: String,
    /// In the model's words.
    pub answer: String,
    /// The passages that it rests on; empty where none shares enough words with it.
    pub evidence: Vec<Evidence>,
    /// Figures and names of the answer that the model was not shown.
    pub unsupported: Vec<String>,
    /// The answer has its end; else it reached its limit of tokens, or the model could not go on.
    pub whole: bool,
    /// Of a document longer than the context: clauses that were shown, and all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    pub prompt_tokens: u32,
    pub answer_tokens: u32,
    pub warnings: Vec<String>,
    /// Every page was read or is empty.
    pub document_whole: bool,
}

/// How much of a document the model was shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shown {
    pub clauses: usize,
    pub of: usize,
}

/// Reads the document, asks, and hands on the answer's words as they come. An error of `on` ends it: nobody
/// listens any more.
///
/// # Errors
/// `Usage` where the document cannot be read, has no text or the question is too long; `Model`; `Disk`
/// where `on` fails.
pub fn ask(
    server: &mut Readers,
    options: &AskOptions,
    answerer: &Answerer,
    progress: &Progress,
    on: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<AnswerSheet, Broken> {
    progress.say("reading the document");
    let text = text_of(server, &options.file, &options.text, &answerer.limits())?;
    let document_whole = text.is_whole();
    let Text { document, warnings } = text;
    let mut engine = answerer.load(progress)?;
    let counter = engine.counter();
    let unusable = |why: &str| Broken::Usage(format!("{}: {why}", options.file.display()));
    let budget = budget(&engine, &options.question, counter.as_ref())
        .ok_or_else(|| unusable("the question leaves no room for the document in the context"))?;
    let inquiry = Inquiry::new(document, &options.question, budget, counter.as_ref())
        .ok_or_else(|| unusable("there is no text in it"))?;
    let request = inquiry.request(0, ANSWER_TOKENS_DEFAULT);
    engine.submit(request).map_err(|error| unusable(&error.to_string()))?;
    let completion = follow(&mut engine, progress, on)?;
    let answer = read_question(&completion.parts);
    let shown = inquiry.ranked.map(|(clauses, of)| Shown { clauses, of });
    Ok(AnswerSheet {
        question: options.question.clone(),
        answer: answer.to_owned(),
        evidence: inquiry.evidence(answer),
        unsupported: inquiry.unsupported(answer),
        whole: completion.stop == Stop::End,
        shown,
        prompt_tokens: completion.prompt_tokens,
        answer_tokens: completion.answer_tokens,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        document_whole,
    })
}

/// Tokens of a document that fit beside the question and its answer.
fn budget(engine: &Engine, question: &str, counter: &dyn TokenCounter) -> Option<usize> {
    let texts = question_texts(question).iter().map(|text| counter.count(text)).sum::<usize>();
    let beside = texts + ANSWER_TOKENS_DEFAULT as usize + TEMPLATE_TOKENS;
    engine.facts().context_used.checked_sub(beside).filter(|budget| *budget > 0)
}

/// Steps until the answer is there, and tells what is new of it.
fn follow(
    engine: &mut Engine,
    progress: &Progress,
    on: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<Completion, Broken> {
    let mut told = 0;
    loop {
        let completion = engine.step().pop();
        let parts = match &completion {
            Some(completion) => completion.parts.clone(),
            None => engine.so_far(0),
        };
        if parts.is_empty() {
            let read = engine.progress().prompt_tokens_done;
            progress.show(&format!("the model reads: {read} tokens"));
        } else {
            progress.finish();
        }
        let answer = read_question(&parts);
        // The end may be half a character.
        let is_over = completion.is_some();
        let sure = if is_over { answer } else { answer.trim_end_matches('\u{fffd}') };
        if let Some(words) = sure.get(told..).filter(|words| !words.is_empty()) {
            told = sure.len();
            on(words)
                .map_err(|error| Broken::Disk(format!("the answer cannot be told: {error}")))?;
        }
        if let Some(completion) = completion {
            return Ok(completion);
        }
    }
}
