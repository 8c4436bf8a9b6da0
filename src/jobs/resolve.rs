//! `jobs.toml` as written → `Plan`: defaults, paths, and every rule that one key alone cannot break.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::model::ModelOverride;
use super::parse::Findings;
use super::plan::{Audit, Engine, Model, Ocr, Plan, Require, Task};
use super::problem::{PlanError, Problem, Script};
use super::task::number;
use super::units;
use super::written::{AuditTable, EngineTable, JobsFile, LimitsTable, ModelTable, OcrTable};
use crate::base::limits::{
    CONFIG_BYTES_MAX, CONTEXT_TOKENS_DEFAULT, CONTEXT_TOKENS_MIN, MEMORY_BYTES_DEFAULT,
    MEMORY_BYTES_MIN, SLOTS_DEFAULT, SLOTS_MAX,
};
use crate::base::{Digest, Limits};

/// The date for chat templates where `jobs.toml` does not say. Fixed: an answer never depends on the
/// day on which it was made.
pub const DATE_DEFAULT: &str = "2026-01-01";

const MODEL_HINT: &str = "add [model] with path = \"….gguf\" and sha256 = \"…\"";

/// The user's own folders, which `~` and the defaults stand for.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub home: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`, else `~/.cache`.
    pub cache: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, else `~/.local/state`.
    pub state: Option<PathBuf>,
}

impl Places {
    /// As the environment says (XDG Base Directory Specification 0.8: relative paths are ignored).
    pub fn of_user() -> Places {
        let named = |key: &str| {
            std::env::var_os(key).map(PathBuf::from).filter(|folder| folder.is_absolute())
        };
        let home = named("HOME");
        let below = |key, path| named(key).or_else(|| home.as_ref().map(|home| home.join(path)));
        let (cache, state) =
            (below("XDG_CACHE_HOME", ".cache"), below("XDG_STATE_HOME", ".local/state"));
        Places { home, cache, state }
    }
}

/// Reads `jobs.toml` and the task files that it names.
///
/// The model's file need not be there: see `Model::locate`.
///
/// # Errors
/// Everything that is wrong with these files, all found before any document is opened.
pub fn load(file: &Path) -> Result<Plan, PlanError> {
    load_in(file, None, &Places::of_user())
}

/// Like `load`, with another model than `[model]` names, which may then be missing.
///
/// # Errors
/// As `load`.
pub fn load_with(file: &Path, model: ModelOverride) -> Result<Plan, PlanError> {
    load_in(file, Some(model), &Places::of_user())
}

/// Like `load` and `load_with`, with the user's folders given.
///
/// # Errors
/// As `load`.
pub fn load_in(
    file: &Path,
    model: Option<ModelOverride>,
    places: &Places,
) -> Result<Plan, PlanError> {
    // `absolute` fails for the empty path and where the working folder is gone; reading fails then too.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let script = match read(&file) {
        Ok(script) => script,
        Err(message) => {
            let hint = "`nightclerk init` writes a starter; -c names another file";
            let script = Script::new(&file, "");
            let problem = Problem::new(&script, None, message, Some(hint.to_owned()));
            return Err(PlanError::new(vec![problem]));
        }
    };
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let digest = Digest::of(script.text().as_bytes());
    let mut resolver = Resolver { findings: Findings::new(script), folder, places, tasks: vec![] };
    let plan = resolver.plan(file, digest, model);
    let mut problems = resolver.findings.problems;
    problems.sort_by_key(|problem| problem.place());
    for (_, outcome) in resolver.tasks {
        problems.extend(outcome.err().unwrap_or_default());
    }
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(PlanError::new(problems)),
    }
}

/// A file that a person wrote: text of a sane size. The error is a message.
pub(super) fn read(file: &Path) -> Result<Arc<Script>, String> {
    let shown = file.display();
    let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let found = std::fs::metadata(file).map_err(cannot)?;
    if !found.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    if found.len() > CONFIG_BYTES_MAX {
        return Err(format!(
            "{shown} has {} bytes; at most {CONFIG_BYTES_MAX} are read",
            found.len()
        ));
    }
    let bytes = std::fs::read(file).map_err(cannot)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Script::new(file, &text)),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let lines = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
            Err(format!("{shown}: line {} is not UTF-8", lines + 1))
        }
    }
}

/// A task file is read once, however many jobs name it.
pub(super) type TaskOutcome = Result<Arc<Task>, Vec<Problem>>;

pub(super) struct Resolver<'a> {
    pub(super) findings: Findings,
    /// Of `jobs.toml`: relative paths start here.
    folder: PathBuf,
    places: &'a Places,
    pub(super) tasks: Vec<(PathBuf, TaskOutcome)>,
}

impl Resolver<'_> {
    fn plan(
        &mut self,
        file: PathBuf,
        digest: Digest,
        other: Option<ModelOverride>,
    ) -> Option<Plan> {
        let written: JobsFile = self.findings.parse();
        if self.findings.is_no_toml {
            return None;
        }
        let hint = "output = \"out\"";
        let output = self.findings.required(written.output, "output", &(0..0), hint);
        let output_span = output.as_ref().map_or(0..0, Spanned::span);
        let output = output.and_then(|output| self.path(&output, "output"));
        if let Some(output) = output.as_ref().filter(|output| output.exists() && !output.is_dir()) {
            let message = format!("the output {} is a file", output.display());
            self.findings.at(output_span.clone(), message, "name a folder; it need not be there");
        }
        let model = self.model(written.model, other);
        let engine = self.engine(written.engine.map(Spanned::into_inner).unwrap_or_default());
        let (audit, key_span) = self.audit(written.audit);
        let isolation = self.isolation(written.isolation.and_then(|it| it.into_inner().require));
        let ocr = written.ocr.and_then(|table| self.ocr(table));
        let limits = self.limits(written.limits.map(Spanned::into_inner).unwrap_or_default());
        let jobs = self.jobs(written.job, engine.context_tokens);

        if let (Some(output), Some(audit)) = (&output, &audit)
            && real(&audit.key_dir).starts_with(real(output))
        {
            let hint = "who gets the output to check it must not get the keys";
            self.findings.at(key_span, "key_dir lies in the output folder", hint);
        }
        for (root, span) in jobs.iter().flat_map(|read| &read.roots) {
            let folder = real(&root.folder);
            if let Some(output) = output.as_deref().map(real)
                && (output.starts_with(&folder) || folder.starts_with(&output))
            {
                let message = format!(
                    "the input {} and the output {} lie in one another",
                    folder.display(),
                    output.display()
                );
                let hint = "inputs are only ever read: keep the two folders apart";
                self.findings.at(span.clone(), message, hint);
            }
            if let Some(audit) =
                audit.as_ref().filter(|audit| real(&audit.key_dir).starts_with(&folder))
            {
                let message = format!("key_dir {} lies in this input", audit.key_dir.display());
                self.findings.at(span.clone(), message, "inputs are only ever read");
            }
        }
        let jobs = jobs.into_iter().filter_map(|read| read.job).collect();
        Some(Plan {
            file,
            digest,
            output: output?,
            model: model?,
            engine,
            audit: audit?,
            isolation,
            ocr,
            limits,
            jobs,
        })
    }

    /// An absolute path of what was written: `~`, absolute, or below the folder of `jobs.toml`.
    pub(super) fn path(&mut self, written: &Spanned<String>, key: &str) -> Option<PathBuf> {
        let text = written.get_ref();
        if text.is_empty() || text.contains('\0') {
            self.findings.at(written.span(), format!("{key} = {text:?} is no path"), "");
            return None;
        }
        let path = match text.strip_prefix('~').map(|rest| (rest, rest.strip_prefix('/'))) {
            Some(("", _) | (_, Some(_))) => match &self.places.home {
                Some(home) => home.join(text[1..].trim_start_matches('/')),
                None => {
                    let hint = "set HOME, or write the path out";
                    self.findings.at(written.span(), "`~` is unknown: HOME is not set", hint);
                    return None;
                }
            },
            _ => self.folder.join(text),
        };
        Some(plain(&path))
    }

    fn model(
        &mut self,
        written: Option<Spanned<ModelTable>>,
        other: Option<ModelOverride>,
    ) -> Option<Model> {
        let place = written.as_ref().map_or(0..0, Spanned::span);
        if written.is_none() && other.is_none() {
            self.findings.required(None::<()>, "model", &place, MODEL_HINT);
            return None;
        }
        let table = written.map(Spanned::into_inner).unwrap_or_default();
        let sha256 = table.sha256.as_ref().and_then(|text| match text.get_ref().parse() {
            Ok(digest) => Some(digest),
            Err(error) => {
                let hint = "`sha256sum FILE` prints it";
                self.findings.at(text.span(), format!("sha256: {error}"), hint);
                None
            }
        });
        if let Some(other) = other {
            let beside = std::path::absolute(&other.path).unwrap_or(other.path.clone());
            let sought = self.sought(beside, other.path.is_relative());
            return Some(Model { path: first_there(&sought), sought, sha256: other.sha256 });
        }
        let hint = "`sha256sum FILE` prints it; a model that changed unseen would be refused";
        let missing_digest = table.sha256.is_none();
        if missing_digest {
            self.findings.required(None::<()>, "sha256", &place, hint);
        }
        let path = self.findings.required(table.path, "path", &place, MODEL_HINT)?;
        let relative = !path.get_ref().starts_with(['/', '~']);
        let beside = self.path(&path, "path")?;
        let sought = self.sought(beside, relative);
        Some(Model { path: first_there(&sought), sought, sha256: sha256? })
    }

    /// Where a model may lie: as named, then by its file's name in the user's cache.
    fn sought(&self, named: PathBuf, relative: bool) -> Vec<PathBuf> {
        let cached = match (&self.places.cache, named.file_name()) {
            (Some(cache), Some(name)) if relative => {
                Some(cache.join("nightclerk/models").join(name))
            }
            _ => None,
        };
        std::iter::once(named).chain(cached).collect()
    }

    fn engine(&mut self, table: EngineTable) -> Engine {
        let findings = &mut self.findings;
        let threads = match number(findings, table.threads, "threads", (0, 1024), 0) {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let bounds = (1, SLOTS_MAX as i64);
        let slots = number(findings, table.slots, "slots", bounds, SLOTS_DEFAULT);
        let bounds = (CONTEXT_TOKENS_MIN as i64, 1 << 20);
        let context_tokens = number(
            findings,
            table.context_tokens,
            "context_tokens",
            bounds,
            CONTEXT_TOKENS_DEFAULT,
        );
        let memory_span = table.memory.as_ref().map_or(0..0, Spanned::span);
        let memory_bytes = size(findings, table.memory, "memory", MEMORY_BYTES_DEFAULT);
        if memory_bytes < MEMORY_BYTES_MIN {
            let hint = format!("at least {} MiB; 6GiB is the default", MEMORY_BYTES_MIN >> 20);
            let message = "memory is too small for any model with its cache and buffers";
            findings.at(memory_span, message, &hint);
        }
        let date = match table.date {
            Some(date) if date.get_ref().parse::<jiff::civil::Date>().is_err() => {
                let message = format!("date = {:?} is no date", date.get_ref());
                findings.at(date.span(), message, "as in date = \"2026-01-31\"");
                DATE_DEFAULT.to_owned()
            }
            Some(date) => date.into_inner(),
            None => DATE_DEFAULT.to_owned(),
        };
        Engine { threads, slots, memory_bytes, context_tokens, date }
    }

    fn audit(&mut self, written: Option<Spanned<AuditTable>>) -> (Option<Audit>, Range<usize>) {
        let place = written.as_ref().map_or(0..0, Spanned::span);
        let table = written.map(Spanned::into_inner).unwrap_or_default();
        let hint =
            "[audit] origin = \"example.com/contracts\": your own domain and a name, for good";
        let origin = self.findings.required(table.origin, "origin", &place, hint);
        if let Some(origin) = &origin
            && !is_origin(origin.get_ref())
        {
            let message = format!("origin = {:?} cannot name a log", origin.get_ref());
            let hint = "a host and a path without scheme, space or +, as in example.com/contracts";
            self.findings.at(origin.span(), message, hint);
        }
        let span = table.key_dir.as_ref().map_or(place, Spanned::span);
        let key_dir = match (table.key_dir, &self.places.state) {
            (Some(key_dir), _) => self.path(&key_dir, "key_dir"),
            (None, Some(state)) => Some(state.join("nightclerk/keys")),
            (None, None) => {
                let hint = "set HOME, or [audit] key_dir";
                self.findings.at(span.clone(), "there is no place for keys: HOME is not set", hint);
                None
            }
        };
        let witnesses = table.witnesses.into_iter().map(Spanned::into_inner).collect();
        let audit = origin.zip(key_dir);
        let audit = audit.map(|(origin, key_dir)| Audit {
            origin: origin.into_inner(),
            key_dir,
            witnesses,
        });
        (audit, span)
    }

    fn isolation(&mut self, written: Option<Spanned<String>>) -> Require {
        let Some(written) = written else { return Require::default() };
        let known = [Require::Network, Require::All, Require::None];
        let found = known.into_iter().find(|require| require.word() == written.get_ref());
        found.unwrap_or_else(|| {
            let message =
                format!("require = {:?} is none of network, all, none", written.get_ref());
            let hint = "\"network\", the default: no run while a way to the network is open";
            self.findings.at(written.span(), message, hint);
            Require::default()
        })
    }

    fn ocr(&mut self, written: Spanned<OcrTable>) -> Option<Ocr> {
        let place = written.span();
        let OcrTable { program, languages } = written.into_inner();
        let hint = "languages = [\"eng\"]; `tesseract --list-langs` says which are there";
        let languages = self.findings.required(languages, "languages", &place, hint)?;
        let span = languages.span();
        let names = languages.into_inner().into_iter().map(Spanned::into_inner).collect();
        let Some(ocr) = Ocr::tesseract(names) else {
            self.findings.at(span, "languages holds no names of tesseract's languages", hint);
            return None;
        };
        // A bare name is sought where programs lie, when the program is started.
        let program = match program {
            Some(program) if program.get_ref().contains('/') => self.path(&program, "program")?,
            Some(program) if program.get_ref().is_empty() => {
                self.findings.at(program.span(), "program is empty", "program = \"tesseract\"");
                return None;
            }
            Some(program) => PathBuf::from(program.into_inner()),
            None => ocr.program,
        };
        Some(Ocr { program, ..ocr })
    }

    fn limits(&mut self, table: LimitsTable) -> Limits {
        let findings = &mut self.findings;
        let base = Limits::default();
        let count = |findings: &mut _, written, key, default| {
            number(findings, written, key, (1, 1 << 40), default)
        };
        let page_bytes = size(findings, table.page_max, "page_max", base.page_bytes_max as u64);
        Limits {
            input_bytes_max: size(findings, table.input_max, "input_max", base.input_bytes_max),
            memory_bytes_max: size(findings, table.memory, "memory", base.memory_bytes_max),
            cpu_max: time(findings, table.cpu, "cpu", base.cpu_max, Duration::from_secs(1)),
            wall_max: time(findings, table.wall, "wall", base.wall_max, Duration::from_secs(1)),
            output_bytes_max: size(findings, table.output_max, "output_max", base.output_bytes_max),
            pages_max: count(findings, table.pages, "pages", base.pages_max),
            page_bytes_max: usize::try_from(page_bytes).unwrap_or(base.page_bytes_max),
            sheet_cells_max: count(
                findings,
                table.sheet_cells,
                "sheet_cells",
                base.sheet_cells_max,
            ),
            document_cells_max: count(
                findings,
                table.document_cells,
                "document_cells",
                base.document_cells_max,
            ),
            ..base
        }
    }
}

fn size(findings: &mut Findings, written: Option<Spanned<String>>, key: &str, default: u64) -> u64 {
    let Some(written) = written else {
        return default;
    };
    match units::bytes(written.get_ref()) {
        Some(bytes) if bytes > 0 => bytes,
        _ => {
            let message = format!("{key} = {:?} is no size", written.get_ref());
            findings.at(written.span(), message, "a number and KiB, MiB or GiB, as in \"6GiB\"");
            default
        }
    }
}

pub(super) fn time(
    findings: &mut Findings,
    written: Option<Spanned<String>>,
    key: &str,
    default: Duration,
    least: Duration,
) -> Duration {
    let Some(written) = written else {
        return default;
    };
    match units::duration(written.get_ref()) {
        Some(duration) if duration >= least => duration,
        Some(_) => {
            let message = format!("{key} = {:?} is under a second", written.get_ref());
            findings.at(written.span(), message, "nothing could be read in that time");
            default
        }
        None => {
            let message = format!("{key} = {:?} is no duration", written.get_ref());
            findings.at(written.span(), message, "a number and s, m, h or d, as in \"2m\"");
            default
        }
    }
}

/// What C2SP signed-note asks of a key name, which an origin becomes: not empty, no space, no plus.
fn is_origin(text: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !text.is_empty() && text.len() <= 200 && !text.contains("://") && text.chars().all(allowed)
}

fn first_there(sought: &[PathBuf]) -> PathBuf {
    sought.iter().find(|path| path.is_file()).unwrap_or(&sought[0]).clone()
}

/// `path` without `.`, with `..` resolved by name where that is safe: not behind a name that exists
/// and may be a link.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if !plain.is_symlink() && plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Where `path` really lies, links resolved as far as it exists.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}
