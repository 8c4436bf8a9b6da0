//! The engine: requests in, one forward a step, completions out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;

use super::answer::{Answer, Asked, Logits};
use super::architecture::{Architecture, ArchitectureError};
use super::facts::ModelFacts;
use super::gguf::{Gguf, GgufError};
use super::kernels::{SelfTestError, Tier, self_test};
use super::kv::KvStore;
use super::memory::{self, Division, TooLarge};
use super::model::{Model, Run};
use super::pool::Pool;
use super::request::{Request, Sampling};
use super::scheduler::{Bounds, Opening, Scheduler, Step, Waiting, digest_of_tokens};
use super::script::{FormError, Forms};
use super::template::{Template, TemplateError};
use super::tiers;
use super::timing::Operation;
use super::tokenizer::{Tokenizer, TokenizerError};
use super::wide::set_width;
#[cfg(test)]
use crate::base::Digest;
use crate::base::limits::{PROPOSAL_ROWS, SLOTS_MAX, STEP_ROWS_MAX};
use crate::base::{Completion, PartText, TokenCounter};

/// The version of the number contract (DESIGN.md section 5): it changes when any bit of any logits may.
pub const NUMBER_RULES: u32 = 1;

/// How an engine is set up. Only `context_tokens` and `date` can change what is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// 0: one per core.
    pub threads: usize,
    /// Sequences open at once.
    pub slots: usize,
    /// For weights, buffers and KV cache together.
    pub memory_bytes: u64,
    /// The longest prompt with its answer; 0, or more than the model was trained for: what it was
    /// trained for.
    pub context_tokens: usize,
    /// What a chat template that asks for the date gets: "2026-01-31".
    pub date: String,
    /// Whether requests that begin alike share the work. No answer depends on it.
    pub share_prefixes: bool,
    /// Rows of one step, at most `limits::STEP_ROWS_MAX`. No answer depends on it.
    pub step_rows: usize,
    /// Whether steps of few rows are filled with tokens that an answer may well go on with. No answer
    /// depends on it.
    pub speculate: bool,
    /// The instruction tier by name (`tiers`); none for the fastest. No answer depends on it.
    pub tier: Option<String>,
}

impl Settings {
    /// Settings for `memory_bytes` and `date`, everything else as usual.
    pub fn new(memory_bytes: u64, date: &str) -> Settings {
        Settings {
            threads: 0,
            slots: 64,
            memory_bytes,
            context_tokens: 0,
            date: date.into(),
            share_prefixes: true,
            step_rows: STEP_ROWS_MAX,
            speculate: true,
            tier: None,
        }
    }

    fn tier(&self) -> Result<Tier, LoadError> {
        match &self.tier {
            None => Ok(Tier::best()),
            Some(name) => Tier::named(name).ok_or_else(|| LoadError::Tier(name.clone())),
        }
    }

    /// Slots and rows of a step, within their limits.
    fn bounds(&self) -> (usize, usize) {
        (self.slots.clamp(1, SLOTS_MAX), self.step_rows.clamp(1, STEP_ROWS_MAX))
    }
}

/// Why a model could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    Gguf(GgufError),
    Architecture(ArchitectureError),
    Tokenizer(TokenizerError),
    Template(TemplateError),
    Memory(TooLarge),
    /// This machine computes other numbers than the specification.
    SelfTest(SelfTestError),
    /// `Settings::tier` is none that this machine can run.
    Tier(String),
    /// `Settings::date` is no date.
    Date(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Gguf(error) => error.fmt(f),
            LoadError::Architecture(error) => error.fmt(f),
            LoadError::Tokenizer(error) => error.fmt(f),
            LoadError::Template(error) => error.fmt(f),
            LoadError::Memory(error) => error.fmt(f),
            LoadError::SelfTest(error) => error.fmt(f),
            LoadError::Tier(name) => {
                write!(
                    f,
                    "no instruction tier {name:?} here; this machine has {}",
                    tiers().join(", ")
                )
            }
            LoadError::Date(date) => write!(f, "{date:?} is no date such as \"2026-01-31\""),
        }
    }
}

impl std::error::Error for LoadError {}

/// Why a request was not taken.
#[derive(Debug)]
pub enum RequestError {
    /// Prompt and answer together can never fit.
    TooLong {
        prompt_tokens: usize,
        answer_tokens_max: usize,
        context_tokens: usize,
    },
    Form(FormError),
    /// Temperature or top-p outside of their range.
    Sampling {
        temperature: f32,
        top_p: f32,
    },
    /// An id that an unfinished request has.
    Duplicate(u64),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::TooLong { prompt_tokens, answer_tokens_max, context_tokens } => write!(
                f,
                "a prompt of {prompt_tokens} tokens with an answer of up to {answer_tokens_max} \
                 exceeds the context of {context_tokens} tokens; ask with a smaller chunk"
            ),
            RequestError::Form(error) => error.fmt(f),
            RequestError::Sampling { temperature, top_p } => write!(
                f,
                "temperature {temperature} and top-p {top_p}: the first must be above 0, the second \
                 above 0 and at most 1"
            ),
            RequestError::Duplicate(id) => write!(f, "request {id} is still being answered"),
        }
    }
}

impl std::error::Error for RequestError {}

/// What has been done so far, and what waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineProgress {
    pub waiting: usize,
    pub running: usize,
    /// Rows of prompts computed.
    pub prompt_tokens_done: u64,
    /// Tokens of prompts that need not be computed because another request has them.
    pub shared_tokens: u64,
    pub answer_tokens: u64,
    pub steps: u64,
    pub rows: u64,
    /// Rows of tokens that were proposed, and how many of these tokens came.
    pub proposed_rows: u64,
    pub proposals_kept: u64,
}

/// Rows of a step that can have logits.
pub(super) fn logits_rows(slots: usize) -> usize {
    slots.max(PROPOSAL_ROWS)
}

/// What a model file says of its weights, and where they go.
struct Header {
    gguf: Gguf,
    architecture: Architecture,
    context: usize,
    /// How the stated memory would be divided, or why it does not suffice.
    division: Result<Division, TooLarge>,
}

impl Header {
    fn open(path: &Path, settings: &Settings) -> Result<Header, LoadError> {
        let gguf = Gguf::open(path).map_err(LoadError::Gguf)?;
        let architecture = Architecture::from_gguf(&gguf).map_err(LoadError::Architecture)?;
        let (slots, rows) = settings.bounds();
        let context = match settings.context_tokens {
            0 => architecture.context,
            stated => stated.min(architecture.context),
        };
        let sizes = (rows, slots, context);
        let division = memory::divide(&gguf, &architecture, sizes, settings.memory_bytes);
        Ok(Header { gguf, architecture, context, division })
    }

    fn facts(&self, (tokenizer, template): (&Tokenizer, &Template)) -> ModelFacts {
        let blocks = self.division.as_ref().map_or(0, |division| division.kv_blocks);
        let vocabulary = tokenizer.vocabulary_size().min(self.architecture.vocabulary);
        let room = (self.context, blocks);
        ModelFacts::new(&self.gguf, &self.architecture, room, vocabulary, (tokenizer, template))
    }
}

/// What a model file says of text.
fn read_language(gguf: &Gguf, date: &str) -> Result<(Tokenizer, Template), LoadError> {
    let date = date.parse().map_err(|_| LoadError::Date(date.to_owned()))?;
    let mut tokenizer = Tokenizer::from_gguf(gguf.metadata()).map_err(LoadError::Tokenizer)?;
    let template = Template::from_gguf(gguf.metadata(), &tokenizer, date);
    let template = template.map_err(LoadError::Template)?;
    if let Some(end) = template.end() {
        tokenizer.add_end(end);
    }
    Ok((tokenizer, template))
}

/// The token counter of a model file, without its weights.
///
/// # Errors
/// `LoadError` where the file is no model, or one whose tokenizer is not known here.
pub fn open_counter(path: &Path) -> Result<Arc<dyn TokenCounter>, LoadError> {
    let gguf = Gguf::open(path).map_err(LoadError::Gguf)?;
    let tokenizer = Tokenizer::from_gguf(gguf.metadata()).map_err(LoadError::Tokenizer)?;
    Ok(Arc::new(tokenizer))
}

/// What is in a model file, and the bytes that it takes with these settings or why it does not fit.
/// Reads no weights.
///
/// # Errors
/// `LoadError` where the file is no model that can be run.
pub fn inspect(
    path: &Path,
    settings: &Settings,
) -> Result<(ModelFacts, Result<u64, TooLarge>), LoadError> {
    let header = Header::open(path, settings)?;
    let (tokenizer, template) = read_language(&header.gguf, &settings.date)?;
    let facts = header.facts((&tokenizer, &template));
    let block = KvStore::block_bytes(header.architecture.heads, header.architecture.layers);
    let bytes = header.division.map(|division| {
        division.weights_bytes + division.buffers_bytes + division.kv_blocks as u64 * block
    });
    Ok((facts, bytes))
}

/// One model, and the requests that it answers.
pub struct Engine {
    pub(super) model: Model,
    pub(super) kv: KvStore,
    pub(super) pool: Pool,
    tier: Tier,
    tokenizer: Arc<Tokenizer>,
    template: Template,
    forms: Forms,
    facts: ModelFacts,
    pub(super) scheduler: Scheduler,
    /// By ticket, in the order of arrival.
    waiting: BTreeMap<u64, Asked>,
    /// Ascending by ticket.
    answering: Vec<Answer>,
    /// Of all unfinished requests.
    ids: BTreeSet<u64>,
    /// By system text and document, for as long as a request that begins so waits.
    openings: BTreeMap<(Arc<str>, Arc<str>), Weak<Opening>>,
    pub(super) next_ticket: u64,
    speculate: bool,
    progress: EngineProgress,
    /// Kept from step to step for their memory.
    pub(super) step: Step,
    pub(super) runs: Vec<Run<'static>>,
    /// Of every sampled row's logits, by request and place in the answer.
    #[cfg(test)]
    pub(super) trace: BTreeMap<(u64, usize), Digest>,
}

/// Bytes of a part that an answer has room for from the beginning, for each of its tokens; where tokens
/// are longer, a part may move once.
const TOKEN_BYTES: usize = 8;

impl Engine {
    /// Opens a GGUF file and reads its weights; `progress` hears of bytes read and of all bytes.
    ///
    /// # Errors
    /// `LoadError`: no model, not one that is known here, or one that does not fit.
    pub fn load(
        path: &Path,
        settings: &Settings,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Engine, LoadError> {
        let (pool, tier) = (Pool::new(settings.threads), settings.tier()?);
        self_test(&pool, tier).map_err(LoadError::SelfTest)?;
        // A tier that is asked for holds for the whole step; else a machine that has AVX-512 without
        // VNNI uses it beside the kernels.
        set_width(settings.tier.is_some().then(|| tier.width()));
        let header = Header::open(path, settings)?;
        let division = header.division.as_ref().map_err(|error| LoadError::Memory(*error))?;
        let (slots, rows) = settings.bounds();
        let (gguf, architecture) = (&header.gguf, header.architecture.clone());
        let (all, mut done) = (gguf.weights_bytes(), 0);
        let mut count = |bytes| {
            done += bytes;
            progress(done, all);
        };
        let (heads, layers) = (architecture.heads, architecture.layers);
        let rows_of = (rows, logits_rows(slots));
        // A vocabulary takes as long as a small model's weights, and both are had at once.
        let (language, model) = thread::scope(|scope| {
            let language = scope.spawn(|| {
                let (tokenizer, template) = read_language(gguf, &settings.date)?;
                let facts = header.facts((&tokenizer, &template));
                let tokenizer = Arc::new(tokenizer);
                Ok::<_, LoadError>((Forms::new(tokenizer.clone()), tokenizer, template, facts))
            });
            let model = Model::load(gguf, architecture, rows_of, (&pool, tier), &mut count);
            (language.join().unwrap_or_else(|panic| resume_unwind(panic)), model)
        });
        let (forms, tokenizer, template, facts) = language?;
        let bounds = Bounds {
            blocks: division.kv_blocks,
            slots,
            rows,
            share_prefixes: settings.share_prefixes,
        };
        Ok(Engine {
            model: model.map_err(LoadError::Gguf)?,
            kv: KvStore::new(heads, layers, division.kv_blocks),
            pool,
            tier,
            forms,
            tokenizer,
            template,
            facts,
            scheduler: Scheduler::new(bounds),
            waiting: BTreeMap::new(),
            answering: Vec::with_capacity(slots),
            ids: BTreeSet::new(),
            openings: BTreeMap::new(),
            next_ticket: 0,
            speculate: settings.speculate,
            progress: EngineProgress::default(),
            step: Step::default(),
            runs: Vec::with_capacity(slots),
            #[cfg(test)]
            trace: BTreeMap::new(),
        })
    }

    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// The name of the instruction tier that computes; every tier gives the same bits.
    pub fn tier(&self) -> &'static str {
        self.tier.name()
    }

    /// Counts tokens as this model does.
    pub fn counter(&self) -> Arc<dyn TokenCounter> {
        self.tokenizer.clone()
    }

    /// The tokens of a bare text, headed by the begin token where the model wants one; and that token.
    pub(super) fn tokens_of_text(&self, text: &str) -> (Vec<u32>, Option<u32>) {
        let bos = self.tokenizer.bos();
        (bos.into_iter().chain(self.tokenizer.encode(text)).collect(), bos)
    }

    /// Queues a request. Whatever could go wrong with it alone goes wrong here.
    pub fn submit(&mut self, request: Request) -> Result<(), RequestError> {
        self.model.timing().start();
        let taken = self.take(request);
        self.model.timing().lap(Operation::Submit);
        taken
    }

    fn take(&mut self, request: Request) -> Result<(), RequestError> {
        if self.ids.contains(&request.id) {
            return Err(RequestError::Duplicate(request.id));
        }
        if let Sampling::Seeded { temperature, top_p, .. } = request.sampling
            && !(temperature > 0.0 && temperature.is_finite() && top_p > 0.0 && top_p <= 1.0)
        {
            return Err(RequestError::Sampling { temperature, top_p });
        }
        let Request { id, system, document, task, form, answer_tokens_max, sampling } = request;
        let form = self.forms.compile(&form, &document).map_err(RequestError::Form)?;
        let has = (!system.is_empty(), !document.is_empty());
        let bytes = document.len();
        let opening = self.opening(system, document);
        let own = self.template.ending(&self.tokenizer, &opening.tokens, has, &task);
        let prompt_tokens = opening.tokens.len() + own.len();
        let answer_max = answer_tokens_max as usize;
        if prompt_tokens.saturating_add(answer_max) > self.facts.context_used {
            return Err(RequestError::TooLong {
                prompt_tokens,
                answer_tokens_max: answer_max,
                context_tokens: self.facts.context_used,
            });
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.ids.insert(id);
        let asked = Asked {
            id,
            form,
            sampling,
            answer_max,
            prompt_tokens: prompt_tokens as u32,
            prompt_digest: digest_of_tokens(opening.tokens.iter().chain(&own)),
            document: (opening.document(), bytes),
        };
        self.waiting.insert(ticket, asked);
        self.scheduler.enqueue(Waiting { ticket, opening, own, answer_max });
        Ok(())
    }

    /// The tokens up to and with the document, made once for all requests that wait together.
    fn opening(&mut self, system: Arc<str>, document: Arc<str>) -> Arc<Opening> {
        let texts = (system, document);
        if let Some(opening) = self.openings.get(&texts).and_then(Weak::upgrade) {
            return opening;
        }
        let (tokens, document) = self.template.opening(&self.tokenizer, &texts.0, &texts.1);
        let opening = Arc::new(Opening::new(tokens, document));
        self.openings.retain(|_, opening| opening.strong_count() > 0);
        self.openings.insert(texts, Arc::downgrade(&opening));
        opening
    }

    /// Runs one forward and returns what is finished after it.
    pub fn step(&mut self) -> Vec<Completion> {
        self.model.timing().start();
        let mut finished = Vec::new();
        self.admit(&mut finished);
        if self.speculate {
            self.propose();
        }
        let mut step = std::mem::take(&mut self.step);
        self.scheduler.plan(&mut step);
        if step.rows > 0 {
            self.compute(&step);
            self.settle(&step, &mut finished);
            self.model.timing().lap(Operation::Pick);
        }
        self.step = step;
        finished
    }

    /// Lets waiting requests in for which there is room.
    fn admit(&mut self, finished: &mut Vec<Completion>) {
        for admitted in self.scheduler.admit() {
            let asked = self.waiting.remove(&admitted.ticket).expect("it waited");
            let script = self.forms.begin(&asked.form, TOKEN_BYTES * asked.answer_max);
            let shared = admitted.shared as u32;
            self.progress.shared_tokens += u64::from(shared);
            let answer = Answer::begin(admitted.ticket, asked, script, shared);
            self.progress.answer_tokens += answer.fresh().len() as u64;
            self.scheduler.append(answer.ticket, answer.fresh());
            let at = self.answering.partition_point(|other| other.ticket < answer.ticket);
            self.answering.insert(at, answer);
            self.finish_if_stopped(at, finished);
        }
    }

    /// Fills a step of few rows with what its answers may go on with, in shares: what one does not
    /// take is there for the others.
    fn propose(&mut self) {
        let mut room = self.scheduler.room_for_proposals(PROPOSAL_ROWS);
        for (i, answer) in self.answering.iter().enumerate() {
            let share = room.div_ceil(self.answering.len() - i);
            let tokens = self.scheduler.tokens(answer.ticket);
            if let Some(place) = answer.propose(&self.tokenizer, tokens, share) {
                room -= place.len();
                self.progress.proposed_rows += place.len() as u64;
                self.scheduler.propose(answer.ticket, place);
            }
        }
    }

    /// The forward of a step, and what its answers make of the logits, side by side.
    fn compute(&mut self, step: &Step) {
        for &(from, to) in &step.copies {
            self.kv.copy(from, to);
        }
        let runs = self.scheduler.runs(step, std::mem::take(&mut self.runs));
        self.model.timing().lap(Operation::Plan);
        let width = self.model.architecture().vocabulary;
        let all = self.model.forward(&runs, &mut self.kv, &self.pool);
        self.runs = emptied(runs);
        let logits = Logits { all, width, vocabulary: self.facts.vocabulary };
        let mut row = 0;
        for &(ticket, rows) in &step.samples {
            let at = place(&self.answering, ticket);
            self.answering[at].rows = row..row + rows;
            row += rows;
        }
        let scheduler = &self.scheduler;
        self.pool.run_chunks(&mut self.answering, 1, &|_, answers| {
            for answer in answers.iter_mut().filter(|answer| !answer.rows.is_empty()) {
                answer.go_on(logits, scheduler.proposed(answer.ticket));
            }
        });
    }

    /// Hands on what came of a step.
    fn settle(&mut self, step: &Step, finished: &mut Vec<Completion>) {
        self.scheduler.settle(step);
        self.progress.steps += 1;
        self.progress.rows += step.rows as u64;
        self.progress.prompt_tokens_done += step.prompt_rows as u64;
        for &(ticket, _) in &step.samples {
            let at = place(&self.answering, ticket);
            let answer = &mut self.answering[at];
            answer.rows = 0..0;
            #[cfg(test)]
            {
                let id = answer.asked.id;
                let trace = answer.trace.drain(..);
                self.trace.extend(trace.map(|(place, digest)| ((id, place), digest)));
            }
            self.progress.answer_tokens += answer.fresh().len() as u64;
            self.progress.proposals_kept += self.scheduler.append(ticket, answer.fresh()) as u64;
            self.finish_if_stopped(at, finished);
        }
    }

    fn finish_if_stopped(&mut self, at: usize, finished: &mut Vec<Completion>) {
        let Some(stop) = self.answering[at].stop else { return };
        let answer = self.answering.remove(at);
        self.scheduler.finish(answer.ticket);
        self.ids.remove(&answer.asked.id);
        finished.push(answer.complete(stop));
    }

    /// What is written of the answer to request `id`, part by part; nothing before it is admitted. The
    /// last part's text may end within a character, which is then U+FFFD.
    pub fn so_far(&self, id: u64) -> Vec<PartText> {
        let answer = self.answering.iter().find(|answer| answer.asked.id == id);
        answer.map(Answer::so_far).unwrap_or_default()
    }

    /// Whether nothing waits and nothing runs.
    pub fn idle(&self) -> bool {
        self.waiting.is_empty() && self.answering.is_empty()
    }

    /// Drops every request that has not been admitted; returns their ids in the order of arrival.
    pub fn cancel_waiting(&mut self) -> Vec<u64> {
        self.scheduler.cancel_waiting();
        let waiting = std::mem::take(&mut self.waiting);
        let ids: Vec<u64> = waiting.into_values().map(|asked| asked.id).collect();
        ids.iter().for_each(|id| {
            self.ids.remove(id);
        });
        ids
    }

    pub fn progress(&self) -> EngineProgress {
        let (waiting, running) = (self.scheduler.waiting(), self.scheduler.running());
        EngineProgress { waiting, running, ..self.progress }
    }
}

/// Where the answer of this ticket stands.
fn place(answering: &[Answer], ticket: u64) -> usize {
    let at = answering.binary_search_by_key(&ticket, |answer| answer.ticket);
    at.expect("what is planned was admitted")
}

/// No runs, in the memory of `runs`: what `collect` makes of a `Vec`'s own items stays where they lay.
fn emptied(mut runs: Vec<Run<'_>>) -> Vec<Run<'static>> {
    runs.clear();
    runs.into_iter().map(|_| unreachable!("all runs were just removed")).collect()
}
