//! The command line as written; clap's types and the words of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::Digest;

/// The overnight clerk for documents that may not leave the building.
#[derive(Debug, Parser)]
#[command(name = "nightclerk", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 all done; 1 could not start or go on; 2 the audit chain does not \
verify; 3 finished, some documents partial, refused, failed or quarantined; 75 work is left, run again"
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// How facts are printed
    #[arg(long, global = true, value_enum, default_value_t = Style::Text)]
    pub(super) format: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Style {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read, ask and record every document that is due
    Run(RunArgs),
    /// Show what run would do: every file with its state, pages, chunks and tokens
    Plan(PlanArgs),
    /// Print the text of a document as it is read
    Text(TextArgs),
    /// Check the audit log: chain, completeness and the digests of all files
    Verify(JobsFile),
    /// Show the last run, what waits and what is quarantined
    Status(JobsFile),
    /// Show what is in a GGUF and whether it fits
    Model(ModelArgs),
}

#[derive(Debug, Args)]
pub(super) struct JobsFile {
    /// The jobs file
    #[arg(short = 'c', long = "config", default_value = "jobs.toml")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ModelChoice {
    /// Use this model instead of the one in the jobs file
    #[arg(long, requires = "sha256")]
    pub(super) model: Option<PathBuf>,
    /// The SHA-256 of that model; refused on mismatch
    #[arg(long, requires = "model")]
    pub(super) sha256: Option<Digest>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    #[command(flatten)]
    pub(super) model: ModelChoice,
    /// Only these jobs
    #[arg(value_name = "JOB")]
    pub(super) only: Vec<String>,
    /// Take at most so many documents
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Take documents again: those that failed or are quarantined, or all
    #[arg(long, value_enum)]
    pub(super) redo: Option<Redo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Redo {
    /// Failed and quarantined documents
    Failed,
    /// Every document whose content or question changed (the default)
    Changed,
    /// Every document
    All,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    #[command(flatten)]
    pub(super) model: ModelChoice,
}

#[derive(Debug, Args)]
pub(super) struct TextArgs {
    /// The document
    pub(super) file: PathBuf,
    /// Which text: as printed, or as the model reads it
    #[arg(long, value_enum, default_value_t = Layer::Verbatim)]
    pub(super) layer: Layer,
    /// Tracked changes taken as accepted or as rejected
    #[arg(long, value_enum, default_value_t = ViewArg::Accepted)]
    pub(super) view: ViewArg,
    /// Head each page with its number, state and label
    #[arg(long)]
    pub(super) pages: bool,
    /// Tried on an encrypted document after the empty password
    #[arg(long)]
    pub(super) password: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Layer {
    Verbatim,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ViewArg {
    Accepted,
    Original,
}

#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// The GGUF file
    pub(super) file: PathBuf,
    /// Memory that it must fit in, for instance 6GiB
    #[arg(long, default_value = "6GiB")]
    pub(super) memory: String,
}
