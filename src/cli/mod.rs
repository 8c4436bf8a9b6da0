//! Argv in, words and exit codes out. The only room that prints results; it reaches the others through
//! `run`.

mod args;
mod exit;
mod init;
mod show;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde::Serialize;

use self::args::{
    AskArgs, CheckpointCommand, Cli, Command, DiffArgs, EraseArgs, ExportArgs, InitArgs, JobsFile,
    Layer, ModelArgs, ModelChoice, PlanArgs, ProveArgs, ReviewArgs, RunArgs, ScoreArgs, Style,
    TextArgs, VerifyArgs, ViewArg, WitnessCommand,
};
use self::exit::Exit;
use crate::audit::{Actor, LogError, Report, Verdict};
use crate::base::{Clock, Disk, Limits, RealDisk, SystemClock, one_line, plain};
use crate::jobs::{self, ModelOverride, Plan};
use crate::run::{
    self, Broken, Choice, Progress, Purpose, Redo, ReplayVerdict, StopFlag, Tools, Transcript,
    View, Wanted,
};

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help is an answer; everything else is a usage error, 1 and not clap's 2.
            let asked = error.kind() == ErrorKind::DisplayHelp;
            // Where neither stream can be written there is nobody to tell.
            let _ = error.print();
            return if asked { Exit::Done } else { Exit::CouldNot }.into();
        }
    };
    let Some(command) = &cli.command else {
        if !cli.version {
            // Where standard error cannot be written there is nobody to tell.
            let _ = write!(io::stderr().lock(), "{}", Cli::command().render_help());
            return Exit::CouldNot.into();
        }
        return told(&show::version(cli.verbose)).unwrap_or_else(|failure| failure.tell()).into();
    };
    let outcome = match command {
        Command::Init(args) => init(args, cli.format),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "nightclerk", &mut text);
            told(&String::from_utf8_lossy(&text))
        }
        Command::Man { folder } => std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
            .map(|()| Exit::Done)
            .map_err(|error| Broken::Disk(format!("{}: {error}", folder.display())).into()),
        Command::Run(args) => night(args, cli.format).inspect_err(|failure| {
            if cli.format == Style::Json {
                // A reader that has gone away needs no word.
                let _ = print_message("error", failure.facts());
            }
        }),
        Command::Plan(args) => plan(args, cli.format),
        Command::Ask(args) => ask(args, cli.format),
        Command::Text(args) => text(args, cli.format),
        Command::Verify(args) => verify(args, cli.format),
        Command::Checkpoint(CheckpointCommand::Export(args)) => export(args, cli.format),
        Command::Checkpoint(CheckpointCommand::Import(args)) => import(args, cli.format),
        Command::Witness(command) => witness(command, cli.format),
        Command::Prove(args) => prove(args, cli.format),
        Command::Report(args) => report(args, cli.format),
        Command::Diff(args) => diff(args, cli.format),
        Command::Review(args) => review(args, cli.format),
        Command::Erase(args) => erase(args, cli.format),
        Command::Status(args) => status(args, cli.format),
        Command::Score(args) => score(args, cli.format),
        Command::Model(args) => model(args, cli.format),
    };
    outcome.unwrap_or_else(|failure| failure.tell()).into()
}

/// Why a command ends without its result.
enum Failure {
    /// Said in full, with the place shown.
    Plan(jobs::PlanError),
    Broken(Broken),
    /// Standard output could not be written.
    Output(io::Error),
}

impl From<jobs::PlanError> for Failure {
    fn from(error: jobs::PlanError) -> Failure {
        Failure::Plan(error)
    }
}

impl From<Broken> for Failure {
    fn from(error: Broken) -> Failure {
        Failure::Broken(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Failure::Broken(Broken::Log(LogError::Locked { .. })) => Exit::WorkLeft,
            Failure::Broken(Broken::Log(LogError::Broken(_))) => Exit::ChainBroken,
            // A reader that has read enough (head, less) is no error.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Failure::Plan(_) | Failure::Broken(_) | Failure::Output(_) => Exit::CouldNot,
        }
    }

    /// For a program.
    fn facts(&self) -> serde_json::Value {
        let message = match self {
            Failure::Plan(error) => error.to_string(),
            Failure::Broken(error) => error.to_string(),
            Failure::Output(error) => format!("standard output: {error}"),
        };
        serde_json::json!({ "message": message, "exit_code": self.exit().code() })
    }

    /// Tells the person on standard error.
    fn tell(&self) -> Exit {
        let exit = self.exit();
        let message = match self {
            _ if exit == Exit::Done => return exit,
            Failure::Plan(error) => error.report(colour()),
            Failure::Broken(error) => plain(&format!("error: {error}")).into_owned(),
            Failure::Output(error) => format!("error: standard output: {error}"),
        };
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", message.trim_end());
        exit
    }
}

/// Whether standard error takes colour.
fn colour() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn load(jobs_file: &JobsFile, model: &ModelChoice) -> Result<Plan, Failure> {
    Ok(match (&model.model, model.sha256) {
        (Some(path), Some(sha256)) => {
            jobs::load_with(&jobs_file.config, ModelOverride { path: path.clone(), sha256 })?
        }
        _ => jobs::load(&jobs_file.config)?,
    })
}

/// The parse server, before any thread.
fn parse_server() -> Result<run::Readers, Failure> {
    started(run::start_parse_server())
}

fn started(server: io::Result<run::Readers>) -> Result<run::Readers, Failure> {
    let broken = |error| Broken::Disk(format!("the parse server cannot be started: {error}"));
    Ok(server.map_err(broken)?)
}

fn told(text: &str) -> Result<Exit, Failure> {
    write!(io::stdout().lock(), "{text}")?;
    Ok(Exit::Done)
}

fn init(args: &InitArgs, style: Style) -> Result<Exit, Failure> {
    let unusable =
        |path: &Path, error: io::Error| Broken::Disk(format!("{}: {error}", path.display()));
    if args.schema {
        return told(jobs::SCHEMA);
    }
    if args.systemd {
        return told(init::UNITS);
    }
    if args.cron {
        let folder = std::path::absolute(&args.folder);
        let folder = folder.map_err(|error| unusable(&args.folder, error))?;
        return told(&init::cron_line(&folder));
    }
    let init::Made { made, left } =
        init::folder(&args.folder).map_err(|(path, error)| unusable(&path, error))?;
    if style == Style::Json {
        print_json(&serde_json::json!({ "made": made, "left": left }))?;
        return Ok(Exit::Done);
    }
    let mut out = io::stdout().lock();
    for path in &made {
        writeln!(out, "made   {}", path.display())?;
    }
    for path in &left {
        writeln!(out, "left   {} (it was there already)", path.display())?;
    }
    writeln!(
        out,
        "next: read {}, put documents into {}, then: nightclerk plan",
        args.folder.join("jobs.toml").display(),
        args.folder.join("inbox").display()
    )?;
    Ok(Exit::Done)
}

/// First, so that a request to stop finds an ear at every stage.
fn armed() -> Result<StopFlag, Failure> {
    let signals = |error| Broken::Disk(format!("signals cannot be received: {error}"));
    Ok(StopFlag::armed().map_err(signals)?)
}

fn night(args: &RunArgs, style: Style) -> Result<Exit, Failure> {
    if let (Some(input), Some(output)) = (&args.batch, &args.output) {
        let options = run::BatchOptions { input: input.clone(), output: output.clone() };
        return batch(args, &options, style);
    }
    let stop = armed()?;
    let actor = Actor::of_process();
    let mut server = parse_server()?;
    let plan = load(&args.jobs, &args.model)?;
    let transcript = args.transcript.as_deref().map(Transcript::create).transpose()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let deadline = args.deadline.deadline(clock.as_ref());
    let (progress, beside) = progress(args, &plan, &clock, style)?;
    let isolation = run::isolate_for_night(&mut server, &plan, &beside)?;
    let mut tools = Tools {
        server,
        disk: Arc::new(RealDisk),
        progress,
        clock,
        stop,
        actor,
        isolation,
        transcript,
    };
    let redo = match args.redo {
        Some(args::Redo::Failed) => Redo::Failed,
        Some(args::Redo::All) => Redo::All,
        Some(args::Redo::Changed) | None => Redo::Changed,
    };
    let choice = Choice { only: args.only.clone(), limit: args.limit, redo, deadline };
    let closing = run::run(&plan, &choice, &mut tools);
    let closing = closing.inspect_err(|_| tools.progress.ended(Exit::CouldNot.code()))?;
    if let Some(Err(error)) = tools.transcript.take().map(Transcript::close) {
        // The night itself is whole.
        let _ = writeln!(io::stderr().lock(), "warning: the transcript is not whole: {error}");
    }
    match style {
        Style::Json => print_message("summary", closing.facts())?,
        Style::Text => {
            let mut out = io::stdout().lock();
            write!(out, "{}", closing.table())?;
            writeln!(out, "\nrecords and summaries: {}", plan.output.display())?;
            for table in &closing.tables {
                writeln!(out, "table: {}", plan.output.join(table).display())?;
            }
            writeln!(out, "report: {}", plan.output.join("report.html").display())?;
            writeln!(out, "check it: nightclerk verify -c {}", plan.file.display())?;
        }
    }
    Ok(match closing.exit_code() {
        0 => Exit::Done,
        3 => Exit::Incomplete,
        _ => Exit::WorkLeft,
    })
}

/// What a run tells while it works, and the folders that this takes.
fn progress(
    args: &RunArgs,
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    style: Style,
) -> Result<(Progress, Vec<PathBuf>), Failure> {
    let progress = match style {
        Style::Json => Progress::json(clock.clone()),
        Style::Text => Progress::new(clock.clone(), false),
    };
    let Some(path) = &args.metrics else { return Ok((progress, Vec::new())) };
    let metrics = run::Metrics::create(path, &plan.audit.origin, clock.now())?;
    let folder = metrics.folder().to_owned();
    Ok((progress.and_metrics(metrics), vec![folder]))
}

fn batch(args: &RunArgs, options: &run::BatchOptions, style: Style) -> Result<Exit, Failure> {
    let stop = armed()?;
    let mut server = parse_server()?;
    let plan = load(&args.jobs, &args.model)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (progress, beside) = progress(args, &plan, &clock, style)?;
    run::isolate_for_batch(&mut server, &plan, options, &beside)?;
    let sheet = run::batch(&plan, options, clock.as_ref(), &progress, &stop);
    let exit = match &sheet {
        Err(_) => Exit::CouldNot,
        Ok(sheet) if sheet.left > 0 => Exit::WorkLeft,
        Ok(sheet) if sheet.refused > 0 => Exit::Incomplete,
        Ok(_) => Exit::Done,
    };
    progress.ended(exit.code());
    let sheet = sheet?;
    match style {
        Style::Json => {
            print_message("summary", serde_json::to_value(&sheet).map_err(io::Error::from)?)?
        }
        Style::Text => write!(io::stdout().lock(), "{}", sheet.table())?,
    }
    Ok(exit)
}

fn plan(args: &PlanArgs, style: Style) -> Result<Exit, Failure> {
    let mut server = parse_server()?;
    let plan = load(&args.jobs, &args.model)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let deadline = args.deadline.deadline(clock.as_ref());
    run::isolate_for_plan(&mut server, &plan, Purpose::Look)?;
    let progress = Progress::new(clock.clone(), true);
    let sheet = run::plan_sheet(&plan, &mut server, clock.as_ref(), &progress, deadline)?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", sheet.table())?,
    }
    Ok(Exit::Done)
}

fn ask(args: &AskArgs, style: Style) -> Result<Exit, Failure> {
    let mut server = parse_server()?;
    let answerer = match &args.model {
        Some(model) => run::Answerer::File(model.clone()),
        None => run::Answerer::Planned(Box::new(load_plain(&args.jobs)?)),
    };
    let read = [vec![args.file.as_path()], answerer.places()].concat();
    run::isolate_to_read(&mut server, &read, answerer.ocr())?;
    let options = run::AskOptions {
        file: args.file.clone(),
        question: args.prompt.clone(),
        text: run::TextOptions { password: args.password.clone(), view: View::Accepted },
    };
    let json = style == Style::Json;
    let progress = Progress::new(Arc::new(SystemClock::new()), json);
    let mut out = io::stdout().lock();
    let sheet = run::ask(&mut server, &options, &answerer, &progress, &mut |words| {
        if json {
            return Ok(());
        }
        write!(out, "{}", plain(words))?;
        out.flush()
    })?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(out, "{}", show::answer_end(&sheet))?,
    }
    Ok(if sheet.whole && sheet.document_whole { Exit::Done } else { Exit::Incomplete })
}

fn text(args: &TextArgs, style: Style) -> Result<Exit, Failure> {
    let ocr = run::Ocr::tesseract(args.ocr.clone());
    if ocr.is_none() && !args.ocr.is_empty() {
        let why = "--ocr takes names of tesseract's languages, for instance eng,deu";
        return Err(Broken::Usage(why.to_owned()).into());
    }
    let broken = |error| Broken::Disk(format!("this process cannot be isolated: {error}"));
    let mut server = run::start_for_one().map_err(broken)?;
    run::isolate_to_read(&mut server, &[&args.file], ocr.as_ref())?;
    let view = match args.view {
        ViewArg::Accepted => View::Accepted,
        ViewArg::Original => View::Original,
        ViewArg::Redline => View::Redline,
    };
    let options = run::TextOptions { password: args.password.clone(), view };
    let text = run::text_of(&mut server, &args.file, &options, &Limits::default())?;
    let model_layer = args.layer == Layer::Model;
    let mut out = io::stdout().lock();
    match style {
        Style::Json => {
            serde_json::to_writer_pretty(&mut out, &text.json()).map_err(io::Error::from)?
        }
        Style::Text => out.write_all(text.print(model_layer, args.pages).as_bytes())?,
    }
    out.flush()?;
    for warning in &text.warnings {
        // Warnings go beside the text, not into it; a closed standard error loses only them.
        let line = format!("warning: {}: {warning}", args.file.display());
        let _ = writeln!(io::stderr().lock(), "{}", one_line(&line));
    }
    Ok(if text.is_whole() { Exit::Done } else { Exit::Incomplete })
}

/// The plan, for commands that ask the model nothing.
fn load_plain(jobs: &JobsFile) -> Result<Plan, Failure> {
    load(jobs, &ModelChoice { model: None, sha256: None })
}

/// Prints facts as JSON, or what `words` makes of them.
fn print<T: Serialize>(
    style: Style,
    facts: &T,
    words: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match style {
        Style::Json => print_json(facts),
        Style::Text => Ok(write!(io::stdout().lock(), "{}", words(facts))?),
    }
}

fn export(args: &ExportArgs, style: Style) -> Result<Exit, Failure> {
    let plan = load_plain(&args.jobs)?;
    let exported = run::export(&plan, &args.folder, Arc::new(SystemClock::new()))?;
    print(style, &exported, |facts| show::exported(facts, &args.folder))?;
    Ok(Exit::Done)
}

fn import(args: &ExportArgs, style: Style) -> Result<Exit, Failure> {
    let plan = load_plain(&args.jobs)?;
    let imported = run::import(&plan, &args.folder, Arc::new(SystemClock::new()))?;
    print(style, &imported, |facts| show::imported(facts))?;
    Ok(Exit::Done)
}

fn witness(command: &WitnessCommand, style: Style) -> Result<Exit, Failure> {
    match command {
        WitnessCommand::Init { name, folder } => {
            let key = run::make_witness(&folder.path, name)?;
            print(style, &key, |key| format!("{key}\n"))?;
        }
        WitnessCommand::Sign { bundle, folder } => {
            let cosigned = run::cosign(&folder.path, bundle, &SystemClock::new())?;
            print(style, &cosigned, show::cosigned)?;
        }
    }
    Ok(Exit::Done)
}

fn prove(args: &ProveArgs, style: Style) -> Result<Exit, Failure> {
    let plan = load_plain(&args.jobs)?;
    let proof = run::prove(&plan, &args.document, &args.out)?;
    print(style, &proof, |facts| show::proof(facts, &args.out))?;
    Ok(Exit::Done)
}

fn verify(args: &VerifyArgs, style: Style) -> Result<Exit, Failure> {
    let mut server = match args.replay.is_empty() {
        true => None,
        false => Some(parse_server()?),
    };
    let plan = load_plain(&args.jobs)?;
    let knowledge = run::Knowledge {
        key: args.key.clone(),
        known: args.known.clone(),
        every: args.expect_every,
    };
    let report = run::verify(&plan, &knowledge, &SystemClock::new())?;
    let exit = verdict(&report);
    if style == Style::Text {
        write!(io::stdout().lock(), "{}", show::report(&report))?;
    }
    let mut facts = serde_json::to_value(&report).map_err(io::Error::from)?;
    let mut exit_of_replay = Exit::Done;
    // A log that does not hold proves nothing about its documents.
    if let Some(server) = server.as_mut().filter(|_| report.verdict != Verdict::Broken) {
        let sheet = replay(args, &plan, server, style)?;
        if sheet.verdict != ReplayVerdict::Identical {
            exit_of_replay = Exit::Incomplete;
        }
        match style {
            Style::Json => {
                facts["replay"] = serde_json::to_value(&sheet).map_err(io::Error::from)?;
            }
            Style::Text => write!(io::stdout().lock(), "{}", show::replay(&sheet))?,
        }
    }
    if style == Style::Json {
        print_json(&facts)?;
    }
    Ok(if exit == Exit::Done { exit_of_replay } else { exit })
}

fn replay(
    args: &VerifyArgs,
    plan: &Plan,
    server: &mut run::Readers,
    style: Style,
) -> Result<run::ReplaySheet, Failure> {
    let wanted = match args.replay.as_slice() {
        [one] if one.parse::<usize>().is_ok() => Wanted::Count(one.parse().unwrap_or_default()),
        names => Wanted::Named(names.to_vec()),
    };
    let options = run::ReplayOptions {
        wanted,
        seed: args.seed,
        threads: args.threads,
        tier: args.tier.clone(),
    };
    run::isolate_for_plan(server, plan, Purpose::Look)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let progress = Progress::new(clock.clone(), style == Style::Json);
    Ok(run::replay(plan, &options, server, &clock, &progress)?)
}

fn verdict(report: &Report) -> Exit {
    match report.verdict {
        Verdict::Ok if report.is_sound() => Exit::Done,
        Verdict::Ok | Verdict::Unfinished => Exit::Incomplete,
        Verdict::Truncated | Verdict::Diverged | Verdict::Broken => Exit::ChainBroken,
    }
}

fn report(args: &JobsFile, style: Style) -> Result<Exit, Failure> {
    let mut server = parse_server()?;
    let plan = load_plain(args)?;
    run::isolate_for_plan(&mut server, &plan, Purpose::Report)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let progress = Progress::new(clock.clone(), true);
    let page = run::report(&plan, &mut server, Arc::new(RealDisk), clock.as_ref(), &progress)?;
    match style {
        Style::Json => print_json(&serde_json::json!({ "report": page }))?,
        Style::Text => writeln!(io::stdout().lock(), "{}", page.display())?,
    }
    Ok(Exit::Done)
}

fn diff(args: &DiffArgs, style: Style) -> Result<Exit, Failure> {
    let sheet = run::diff(&args.a, args.b.as_deref())?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", sheet.table())?,
    }
    Ok(Exit::Done)
}

fn review(args: &ReviewArgs, style: Style) -> Result<Exit, Failure> {
    let mut server = started(run::start_review_server())?;
    let plan = load_plain(&args.jobs)?;
    let workbook = run::ReviewedBook::open(&args.workbook)?;
    run::isolate_for_plan(&mut server, &plan, Purpose::Night)?;
    let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock::new()));
    let sheet = run::review(&plan, workbook, &mut server, &args.reviewer, disk, clock)?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", show::review(&sheet))?,
    }
    Ok(Exit::Done)
}

fn erase(args: &EraseArgs, style: Style) -> Result<Exit, Failure> {
    let plan = load_plain(&args.jobs)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let erased = run::erase(&plan, &args.documents, &disk, &clock)?;
    print(style, &erased, |erased| show::erased(erased))?;
    Ok(Exit::Done)
}

fn status(args: &JobsFile, style: Style) -> Result<Exit, Failure> {
    let plan = load_plain(args)?;
    let sheet = run::status_sheet(&plan)?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", sheet.table())?,
    }
    Ok(Exit::Done)
}

fn score(args: &ScoreArgs, style: Style) -> Result<Exit, Failure> {
    let plan = load(&args.jobs, &ModelChoice { model: None, sha256: None })?;
    let sheet = run::score_sheet(&plan, &args.only, &args.labels)?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", sheet.table())?,
    }
    Ok(Exit::Done)
}

fn model(args: &ModelArgs, style: Style) -> Result<Exit, Failure> {
    let memory_bytes = jobs::parse_bytes(&args.memory).ok_or_else(|| {
        Broken::Usage(format!("--memory {}: not a size like 6GiB or 800MiB", args.memory))
    })?;
    if args.bench {
        return bench(args, memory_bytes, style);
    }
    if !args.perplexity.is_empty() {
        return perplexity(args, memory_bytes, style);
    }
    let sheet = run::model_sheet(&args.file, memory_bytes)?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", show::model(&sheet))?,
    }
    Ok(if sheet.refused.is_empty() { Exit::Done } else { Exit::CouldNot })
}

/// Rows are printed as they are measured.
fn bench(args: &ModelArgs, memory_bytes: u64, style: Style) -> Result<Exit, Failure> {
    let measured = &args.measured;
    let mut bench = run::load_bench(&run::BenchOptions {
        file: args.file.clone(),
        memory_bytes,
        threads: measured.threads,
        tier: measured.tier.clone(),
        prompt: measured.pp as usize,
        answer: measured.tg as usize,
        batch_max: measured.batch.iter().copied().max().unwrap_or(1) as usize,
        timing: measured.timing,
    })?;
    let batches = measured.batch.iter().map(|&batch| batch as usize);
    if style == Style::Json {
        let rows = batches.map(|batch| bench.row(batch)).collect::<Result<Vec<_>, _>>()?;
        let (setting, memory) = (&bench.setting, bench.memory());
        let night = run::night_of(&args.jobs.config, &rows);
        print_json(&serde_json::json!({
            "setting": setting, "rows": rows, "memory": memory, "night": night,
        }))?;
        return Ok(Exit::Done);
    }
    let mut out = io::stdout().lock();
    write!(out, "{}", show::bench_head(&bench.setting))?;
    let mut rows = Vec::new();
    for batch in batches {
        let row = bench.row(batch)?;
        writeln!(out, "{}", show::bench_row(&row))?;
        rows.push(row);
    }
    write!(out, "{}", show::bench_memory(&bench.memory()))?;
    if let Some(night) = run::night_of(&args.jobs.config, &rows) {
        write!(out, "{}", show::night_of(&night))?;
    }
    for row in rows.iter().filter(|row| !row.operations.is_empty()) {
        write!(out, "\n{}", show::operations(row))?;
    }
    Ok(Exit::Done)
}

fn perplexity(args: &ModelArgs, memory_bytes: u64, style: Style) -> Result<Exit, Failure> {
    let options = run::PerplexityOptions {
        file: args.file.clone(),
        texts: args.perplexity.clone(),
        context: args.context as usize,
        memory_bytes,
        threads: args.measured.threads,
        tier: args.measured.tier.clone(),
    };
    let sheet = run::perplexity_sheet(&options, &mut |done, chunks, perplexity| {
        // Where standard error is closed only the progress is lost.
        let _ = writeln!(io::stderr().lock(), "chunk {done} of {chunks}: {perplexity:.4}");
    })?;
    match style {
        Style::Json => print_json(&sheet)?,
        Style::Text => write!(io::stdout().lock(), "{}", show::perplexity(&sheet))?,
    }
    Ok(Exit::Done)
}

/// One line that a program reads as it comes, as restic prints them.
fn print_message(message_type: &str, facts: serde_json::Value) -> Result<(), Failure> {
    let mut message = serde_json::json!({ "message_type": message_type });
    if let (Some(message), serde_json::Value::Object(facts)) = (message.as_object_mut(), facts) {
        message.extend(facts);
    }
    Ok(writeln!(io::stdout().lock(), "{message}")?)
}

fn print_json(facts: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, facts).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
