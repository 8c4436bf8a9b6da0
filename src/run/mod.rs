//! Wires the rooms: queues, threads, resume, signals, the closing table. Knows all of them but `cli`.

mod admission;
mod archive;
mod ask;
mod batch;
mod bench;
mod closing;
mod deadline;
mod diff;
mod erase;
mod fit;
mod gate;
mod isolation;
mod look;
mod metrics;
mod model;
mod night;
mod ocr;
mod pace;
mod perplexity;
mod pipeline;
mod progress;
mod proof;
mod read;
mod replay;
mod report;
mod review;
mod rows;
mod score;
mod shape;
mod signal;
mod transcript;

use std::fmt;
use std::io;
use std::path::Path;

pub use ask::{AnswerSheet, Answerer, AskOptions, ask};
pub use batch::{BatchOptions, BatchSheet, batch};
pub use bench::{
    Bench, BenchMemory, BenchOptions, BenchRow, BenchSetting, OperationRow, load_bench,
};
pub use deadline::Deadline;
pub use diff::{DiffSheet, diff};
pub use erase::{Erasure, erase};
pub use fit::{BatchMemory, Fit, NightOf, night_of};
pub use isolation::{
    Purpose, isolate_for_batch, isolate_for_night, isolate_for_plan, isolate_to_read,
};
pub use look::{
    ModelSheet, PlanSheet, StatusSheet, Text, TextOptions, model_sheet, plan_sheet, status_sheet,
    text_of,
};
pub use metrics::Metrics;
pub use night::{Choice, Closing, DocumentEnd, Estimate, Redo, Tools, run};
pub use pace::{Effort, Measured, Pace};
pub use perplexity::{PerplexityOptions, PerplexitySheet, perplexity_sheet};
pub use progress::Progress;
pub use proof::{Knowledge, cosign, export, import, make_witness, prove, verify};
pub use read::{Readers, Reading, start as start_parse_server, start_for_one};
pub use replay::{
    Difference, NotReplayable, ReplayOptions, ReplaySheet, ReplayVerdict, Replayed, Wanted, replay,
};
pub use report::report;
pub use review::{ReviewSheet, ReviewedBook, review, start as start_review_server};
pub use score::{ScoreSheet, score_sheet};
pub use signal::StopFlag;
pub use transcript::Transcript;

pub use crate::extract::View;
pub use crate::jobs::Ocr;

use crate::audit::LogError;
use crate::engine;
use crate::extract;
use crate::intake::IntakeError;
use crate::jobs;
use crate::output::OutputError;
use crate::prompt;

/// The folder of log and lock below the output folder.
pub const STATE_FOLDER: &str = ".nightclerk";

/// Why a command could not start or go on. What was committed before is kept.
#[derive(Debug)]
pub enum Broken {
    Usage(String),
    Model(String),
    /// A folder or file that the program itself needs.
    Disk(String),
    /// A way out of the program is open that has to be closed.
    Isolation(String),
    /// A golden set scores below its job's bar.
    Gate(String),
    Log(LogError),
    Intake(IntakeError),
    Output(OutputError),
}

impl Broken {
    fn disk(path: &Path, error: &io::Error) -> Broken {
        Broken::Disk(format!("{}: {error}", path.display()))
    }

    /// What is wrong with a model, in a line: where `RUST_BACKTRACE` is set, the library below writes the calls that
    /// led to an error behind it.
    fn model(error: &dyn fmt::Display) -> Broken {
        let message = error.to_string();
        Broken::Model(message.lines().next().unwrap_or_default().to_owned())
    }

    fn is_full_disk(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Broken::Log(LogError::Io { source, .. })
            | Broken::Output(OutputError::Io { source, .. }) => {
                matches!(source.kind(), StorageFull | QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Usage(message)
            | Broken::Model(message)
            | Broken::Disk(message)
            | Broken::Isolation(message)
            | Broken::Gate(message) => f.write_str(message),
            Broken::Log(error) => error.fmt(f),
            Broken::Intake(error) => error.fmt(f),
            Broken::Output(error) => error.fmt(f),
        }?;
        match self.is_full_disk() {
            true => f.write_str("; make room and run again: what was finished is kept"),
            false => Ok(()),
        }
    }
}

impl std::error::Error for Broken {}

impl From<LogError> for Broken {
    fn from(error: LogError) -> Broken {
        Broken::Log(error)
    }
}

impl From<IntakeError> for Broken {
    fn from(error: IntakeError) -> Broken {
        Broken::Intake(error)
    }
}

impl From<OutputError> for Broken {
    fn from(error: OutputError) -> Broken {
        Broken::Output(error)
    }
}

/// The versions of what shapes an answer, and the instruction tiers of this machine, slowest first.
#[derive(Clone, Debug)]
pub struct BuildFacts {
    pub text_rules: u32,
    pub number_rules: u32,
    pub prompt_rules: u32,
    pub tiers: Vec<&'static str>,
}

/// What this program is made of.
pub fn build_facts() -> BuildFacts {
    BuildFacts {
        text_rules: extract::TEXT_RULES,
        number_rules: engine::NUMBER_RULES,
        prompt_rules: prompt::PROMPT_RULES,
        tiers: engine::tiers(),
    }
}

/// What the plan says of the engine, in the engine's own words.
fn settings(engine: &jobs::Engine) -> engine::Settings {
    engine::Settings {
        threads: engine.threads,
        slots: engine.slots,
        context_tokens: engine.context_tokens,
        ..engine::Settings::new(engine.memory_bytes, &engine.date)
    }
}
