//! The engine: requests in, one forward a step, completions out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::architecture::{Architecture, ArchitectureError};
use super::facts::ModelFacts;
use super::gguf::{Gguf, GgufError};
use super::kernels::{SelfTestError, Tier, self_test};
use super::kv::KvStore;
use super::memory::{self, Division, TooLarge};
use super::model::Model;
use super::pool::Pool;
use super::request::{Request, Sampling};
use super::sampler::{self, Pick, Rules};
use super::scheduler::{Bounds, Scheduler, Waiting, digest_of_tokens};
use super::script::{FORCED, FormError, Forms, Progress, Script};
use super::template::{Template, TemplateError};
use super::tiers;
use super::tokenizer::{Tokenizer, TokenizerError};
use crate::base::limits::{SLOTS_MAX, STEP_ROWS_MAX};
use crate::base::{Completion, Digest, Stop, TokenCounter};

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
    /// The grammar library does not take the model's vocabulary.
    Forms(FormError),
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
            LoadError::Forms(error) => error.fmt(f),
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
}

/// Everything of a model file but its weights.
struct Header {
    gguf: Gguf,
    architecture: Architecture,
    tokenizer: Tokenizer,
    template: Template,
    facts: ModelFacts,
    /// How the stated memory would be divided, or why it does not suffice.
    division: Result<Division, TooLarge>,
}

impl Header {
    fn open(path: &Path, settings: &Settings) -> Result<Header, LoadError> {
        let gguf = Gguf::open(path).map_err(LoadError::Gguf)?;
        let architecture = Architecture::from_gguf(&gguf).map_err(LoadError::Architecture)?;
        let date = settings.date.parse();
        let date = date.map_err(|_| LoadError::Date(settings.date.clone()))?;
        let mut tokenizer = Tokenizer::from_gguf(gguf.metadata()).map_err(LoadError::Tokenizer)?;
        let template = Template::from_gguf(gguf.metadata(), &tokenizer, date);
        let template = template.map_err(LoadError::Template)?;
        if let Some(end) = template.end() {
            tokenizer.add_end(end);
        }
        let (slots, rows) = settings.bounds();
        let context = match settings.context_tokens {
            0 => architecture.context,
            stated => stated.min(architecture.context),
        };
        let sizes = (rows, slots, context);
        let division = memory::divide(&gguf, &architecture, sizes, settings.memory_bytes);
        let room = (context, division.as_ref().map_or(0, |division| division.kv_blocks));
        let vocabulary = tokenizer.vocabulary_size().min(architecture.vocabulary);
        let facts =
            ModelFacts::new(&gguf, &architecture, room, vocabulary, (&tokenizer, &template));
        Ok(Header { gguf, architecture, tokenizer, template, facts, division })
    }
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
    let Header { architecture, facts, division, .. } = Header::open(path, settings)?;
    let block = KvStore::block_bytes(architecture.heads, architecture.layers);
    let bytes = division.map(|division| {
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
    answering: BTreeMap<u64, Answer>,
    pub(super) next_ticket: u64,
    progress: EngineProgress,
    /// Of every sampled row's logits, by request and place in the answer.
    #[cfg(test)]
    pub(super) trace: BTreeMap<(u64, usize), Digest>,
}

/// A request that waits.
struct Asked {
    request: Request,
    prompt_tokens: u32,
    prompt_digest: Digest,
}

/// A request that is being answered.
struct Answer {
    asked: Asked,
    script: Script,
    shared_tokens: u32,
    tokens: Vec<u32>,
    /// Tokens that were sampled, not forced.
    drawn: u64,
}

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
        let Header { mut gguf, architecture, tokenizer, template, facts, division } =
            Header::open(path, settings)?;
        let division = division.map_err(LoadError::Memory)?;
        let (slots, rows) = settings.bounds();
        let mut done = 0;
        let mut count = |bytes| {
            done += bytes;
            progress(done, facts.weights_bytes);
        };
        let (heads, layers) = (architecture.heads, architecture.layers);
        let model = Model::load(&mut gguf, architecture, (rows, slots), (&pool, tier), &mut count);
        let tokenizer = Arc::new(tokenizer);
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
            forms: Forms::new(tokenizer.clone()).map_err(LoadError::Forms)?,
            tokenizer,
            template,
            facts,
            scheduler: Scheduler::new(bounds),
            waiting: BTreeMap::new(),
            answering: BTreeMap::new(),
            next_ticket: 0,
            progress: EngineProgress::default(),
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
        let taken = |asked: &Asked| asked.request.id == request.id;
        let running = || self.answering.values().any(|answer| taken(&answer.asked));
        if self.waiting.values().any(taken) || running() {
            return Err(RequestError::Duplicate(request.id));
        }
        if let Sampling::Seeded { temperature, top_p, .. } = request.sampling
            && !(temperature > 0.0 && temperature.is_finite() && top_p > 0.0 && top_p <= 1.0)
        {
            return Err(RequestError::Sampling { temperature, top_p });
        }
        // Compiled again on admission: a script is large and requests wait in thousands.
        self.forms.script(&request.form, &request.document).map_err(RequestError::Form)?;
        let Request { system, document, task, .. } = &request;
        let prompt = self.template.render(&self.tokenizer, system, document, task);
        let prefixes = [prompt.system.len(), prompt.system.len() + prompt.document.len()];
        let prompt = [prompt.system, prompt.document, prompt.task].concat();
        let answer_max = request.answer_tokens_max as usize;
        if prompt.len().saturating_add(answer_max) > self.facts.context_used {
            return Err(RequestError::TooLong {
                prompt_tokens: prompt.len(),
                answer_tokens_max: answer_max,
                context_tokens: self.facts.context_used,
            });
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let prompt_digest = digest_of_tokens(&prompt);
        let prompt_tokens = prompt.len() as u32;
        self.waiting.insert(ticket, Asked { request, prompt_tokens, prompt_digest });
        self.scheduler.enqueue(Waiting { ticket, prompt, prefixes, answer_max });
        Ok(())
    }

    /// Runs one forward and returns what is finished after it.
    pub fn step(&mut self) -> Vec<Completion> {
        let mut finished = Vec::new();
        for admitted in self.scheduler.admit() {
            let asked = self.waiting.remove(&admitted.ticket).expect("it waited");
            let Request { form, document, .. } = &asked.request;
            let script =
                self.forms.script(form, document).expect("`submit` compiled the same form");
            let shared_tokens = admitted.shared as u32;
            self.progress.shared_tokens += u64::from(shared_tokens);
            let answer = Answer { asked, script, shared_tokens, tokens: Vec::new(), drawn: 0 };
            self.answering.insert(admitted.ticket, answer);
            self.go_on(admitted.ticket, None, &mut finished);
        }
        let step = self.scheduler.plan();
        if step.rows == 0 {
            return finished;
        }
        for &(from, to) in &step.copies {
            self.kv.copy(from, to);
        }
        let rows = self.model.architecture().vocabulary;
        let runs = self.scheduler.runs(&step);
        let logits = self.model.forward(&runs, &mut self.kv, &self.pool);
        let mut picks = Vec::with_capacity(step.samples.len());
        for (&ticket, logits) in step.samples.iter().zip(logits.chunks_exact(rows)) {
            let answer = self.answering.get_mut(&ticket).expect("it was admitted");
            #[cfg(test)]
            {
                let bytes: Vec<u8> =
                    logits.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
                let key = (answer.asked.request.id, answer.tokens.len());
                self.trace.insert(key, Digest::of(&bytes));
            }
            // Rows past the tokenizer's last id are padding.
            let logits = &logits[..self.facts.vocabulary];
            let sampling = answer.asked.request.sampling;
            let pick = sampler::pick(logits, sampling, answer.drawn, &mut answer.script);
            answer.drawn += 1;
            picks.push((ticket, pick));
        }
        self.scheduler.settle(&step);
        self.progress.steps += 1;
        self.progress.rows += step.rows as u64;
        self.progress.prompt_tokens_done += step.prompt_rows as u64;
        for (ticket, pick) in picks {
            self.go_on(ticket, Some(pick), &mut finished);
        }
        finished
    }

    /// Whether nothing waits and nothing runs.
    pub fn idle(&self) -> bool {
        self.waiting.is_empty() && self.answering.is_empty()
    }

    /// Drops every request that has not been admitted; returns their ids in the order of arrival.
    pub fn cancel_waiting(&mut self) -> Vec<u64> {
        self.scheduler.cancel_waiting();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().map(|asked| asked.request.id).collect()
    }

    pub fn progress(&self) -> EngineProgress {
        let (waiting, running) = (self.scheduler.waiting(), self.scheduler.running());
        EngineProgress { waiting, running, ..self.progress }
    }

    /// Takes a pick, if there is one, and the tokens that its form forces after it.
    fn go_on(&mut self, ticket: u64, pick: Option<Pick>, finished: &mut Vec<Completion>) {
        let answer = self.answering.get_mut(&ticket).expect("it was admitted");
        let before = answer.tokens.len();
        let stop = answer.take(pick);
        self.progress.answer_tokens += (answer.tokens.len() - before) as u64;
        match stop {
            None => self.scheduler.append(ticket, &answer.tokens[before..]),
            Some(stop) => {
                self.scheduler.finish(ticket);
                let answer = self.answering.remove(&ticket).expect("just seen");
                finished.push(answer.complete(stop));
            }
        }
    }
}

impl Answer {
    /// Appends the picked token and all forced ones; says whether that was the end.
    fn take(&mut self, pick: Option<Pick>) -> Option<Stop> {
        match pick {
            None => {}
            Some(Pick::DeadEnd) => return Some(Stop::DeadEnd),
            Some(Pick::Fault) => return Some(Stop::Fault),
            Some(Pick::Token { id, margin_milli }) => {
                if let Some(stop) = self.push(id, margin_milli) {
                    return Some(stop);
                }
            }
        }
        for id in self.script.forced() {
            if let Some(stop) = self.push(id, FORCED) {
                return Some(stop);
            }
        }
        (self.tokens.len() >= self.tokens_max()).then_some(Stop::Length)
    }

    fn push(&mut self, id: u32, margin_milli: i64) -> Option<Stop> {
        if self.tokens.len() >= self.tokens_max() {
            return Some(Stop::Length);
        }
        self.tokens.push(id);
        match self.script.accept(id, margin_milli) {
            Progress::Finished(stop) => Some(stop),
            Progress::Continue => None,
        }
    }

    fn tokens_max(&self) -> usize {
        self.asked.request.answer_tokens_max as usize
    }

    fn complete(self, stop: Stop) -> Completion {
        let (text, parts) = self.script.finish(stop);
        Completion {
            id: self.asked.request.id,
            stop,
            text,
            parts,
            prompt_tokens: self.asked.prompt_tokens,
            shared_tokens: self.shared_tokens,
            answer_tokens: self.tokens.len() as u32,
            prompt_digest: self.asked.prompt_digest,
            answer_digest: digest_of_tokens(&self.tokens),
        }
    }
}

impl Rules for Script {
    fn allows(&mut self, token: u32) -> bool {
        Script::allows(self, token)
    }

    fn mask(&mut self) -> &[u64] {
        Script::mask(self)
    }
}
