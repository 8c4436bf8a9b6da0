//! A `[[job]]`: its folders, its patterns and its tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use toml::Spanned;

use super::parse::Findings;
use super::plan::{Gate, Job, Keep, Root, Task, TaskKind, Unit};
use super::resolve::{Resolver, read, time};
use super::task::{self, NAME_RULE, is_name, number};
use super::written::{GateTable, JobTable};
use crate::base::limits::ATTEMPTS_MAX_DEFAULT;

/// `settle` where a job does not say: longer than any copy into the folder pauses.
const SETTLE_DEFAULT: Duration = Duration::from_secs(120);

/// Names below the output folder that are not a job's (DESIGN.md section 4).
const OUTPUT_NAMES: [&str; 4] = ["tables", "report", "report.html", "last-run.json"];

/// A job as far as it could be understood.
pub(super) struct JobRead {
    /// None where something is wrong with it.
    pub(super) job: Option<Job>,
    pub(super) roots: Vec<PlacedRoot>,
}

/// A root, and where its folder stands in `jobs.toml`.
pub(super) type PlacedRoot = (Root, Range<usize>);

impl Resolver<'_> {
    /// Every job, in the order written.
    pub(super) fn jobs(
        &mut self,
        written: Option<Vec<Spanned<JobTable>>>,
        context: usize,
    ) -> Vec<JobRead> {
        let hint = "add [[job]] with name, input and tasks";
        let written = self.findings.required(written, "job", &(0..0), hint).unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        let mut jobs = Vec::new();
        for table in written {
            let place = table.span();
            let mut table = table.into_inner();
            let name =
                self.findings.required(table.name.take(), "name", &place, "name = \"contracts\"");
            if let Some(name) = &name {
                self.job_name(name, &names);
                names.push(name.get_ref().clone());
            }
            let mut roots = self.roots(table.input.take(), &place);
            let gate_span = table.gate.as_ref().map(Spanned::span);
            let job = self.job(name, &roots, table, &place, context);
            let gate = job.as_ref().and_then(|job| job.gate.as_ref());
            if let (Some(gate), Some(span)) = (gate, gate_span) {
                // Read as the inputs are, so apart from output and keys as they are.
                let folder = gate.documents.clone();
                roots.push((Root { name: "gate".to_owned(), folder }, span));
            }
            jobs.push(JobRead { job, roots });
        }
        jobs
    }

    fn job_name(&mut self, name: &Spanned<String>, earlier: &[String]) {
        let text = name.get_ref();
        let (message, hint) = if !is_name(text) {
            (format!("{text:?} is no job name"), NAME_RULE)
        } else if OUTPUT_NAMES.iter().any(|taken| taken.eq_ignore_ascii_case(text)) {
            (format!("`{text}` is taken: it stands beside the jobs in the output folder"), "")
        } else if earlier.iter().any(|other| other.eq_ignore_ascii_case(text)) {
            let message = format!("two jobs are named `{text}`");
            (message, "they would share a folder (upper and lower case are one elsewhere)")
        } else {
            return;
        };
        self.findings.at(name.span(), message, hint);
    }

    fn roots(
        &mut self,
        input: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
        place: &Range<usize>,
    ) -> Vec<PlacedRoot> {
        let hint = "input = { inbox = \"folder\" }: a name for the output, and the folder";
        let Some(input) = self.findings.required(input, "input", place, hint) else {
            return Vec::new();
        };
        if input.get_ref().is_empty() {
            self.findings.at(input.span(), "`input` names no folder", hint);
        }
        let mut roots: Vec<PlacedRoot> = Vec::new();
        for (name, written) in input.into_inner() {
            if !is_name(name.get_ref()) {
                let message = format!("{:?} is no name for a root", name.get_ref());
                self.findings.at(name.span(), message, NAME_RULE);
            } else if roots.iter().any(|(root, _)| root.name.eq_ignore_ascii_case(name.get_ref())) {
                let message = format!("two roots are named `{}`", name.get_ref());
                self.findings.at(name.span(), message, "they would share a folder of the output");
            }
            let Some(folder) = self.path(&written, name.get_ref()) else { continue };
            if let Err(message) = is_folder(&folder) {
                let hint = "paths are relative to jobs.toml; is a share not mounted?";
                self.findings.at(written.span(), message, hint);
            }
            roots.push((Root { name: name.into_inner(), folder }, written.span()));
        }
        roots
    }

    fn job(
        &mut self,
        name: Option<Spanned<String>>,
        roots: &[PlacedRoot],
        table: JobTable,
        place: &Range<usize>,
        context: usize,
    ) -> Option<Job> {
        let include = table
            .include
            .unwrap_or_else(|| Spanned::new(0..0, vec![Spanned::new(0..0, "**/*".to_owned())]));
        if include.get_ref().is_empty() {
            let hint = "leave it out to take every file";
            self.findings.at(include.span(), "`include` is empty: nothing would be read", hint);
        }
        let include = self.globs(include.into_inner(), "include");
        let exclude = table.exclude.map(Spanned::into_inner).unwrap_or_default();
        let exclude = self.globs(exclude, "exclude");
        let hint = "tasks = [\"prompts/summary.toml\"]";
        let tasks = self.findings.required(table.tasks, "tasks", place, hint);
        let tasks = tasks.map(|tasks| self.tasks_of(tasks, context)).unwrap_or_default();
        let settle =
            time(&mut self.findings, table.settle, "settle", SETTLE_DEFAULT, Duration::ZERO);
        let attempts_max = number(
            &mut self.findings,
            table.attempts_max,
            "attempts_max",
            (1, 1000),
            ATTEMPTS_MAX_DEFAULT as usize,
        );
        let keep = self.keep(table.keep, table.keep_until);
        let gate = table.gate.map(|gate| self.gate(gate, &tasks));
        Some(Job {
            name: name?.into_inner(),
            roots: roots.iter().map(|(root, _)| root.clone()).collect(),
            include: include?,
            exclude: exclude?,
            tasks,
            settle,
            attempts_max: u32::try_from(attempts_max).unwrap_or(ATTEMPTS_MAX_DEFAULT),
            password: table.password.map(Spanned::into_inner),
            archives: table.archives.is_some_and(Spanned::into_inner),
            keep,
            keep_superseded: table.keep_superseded.is_some_and(Spanned::into_inner),
            gate: match gate {
                Some(gate) => Some(gate?),
                None => None,
            },
        })
    }

    fn gate(&mut self, written: Spanned<GateTable>, tasks: &[Arc<Task>]) -> Option<Gate> {
        let place = written.span();
        let table = written.into_inner();
        let hint = "labels = \"golden.csv\": columns document, field and value";
        let labels = self.findings.required(table.labels, "labels", &place, hint);
        let hint = "documents = \"golden\": the folder of the documents that are labelled";
        let documents = self.findings.required(table.documents, "documents", &place, hint);
        let hint = "f1_min = 0.8: the least micro-F1 with which a night begins";
        let f1_min = self.findings.required(table.f1_min, "f1_min", &place, hint);
        let include = self.globs(vec![Spanned::new(0..0, "**/*".to_owned())], "documents");
        let mut known = BTreeSet::new();
        for task in tasks {
            match &task.kind {
                TaskKind::Extract { fields } if task.unit == Unit::Document => {
                    known.extend(fields.iter().map(|field| field.name.as_str()));
                }
                _ => {}
            }
        }
        if known.is_empty() && !tasks.is_empty() {
            let message = "a gate scores fields of documents, and no task here has any";
            self.findings.at(place.clone(), message, "take [job.gate] out");
        }
        let mut fields = Vec::new();
        for name in table.fields.map(Spanned::into_inner).unwrap_or_default() {
            if !known.contains(name.get_ref().as_str()) {
                let hint = task::one_of(name.get_ref(), known.iter().copied());
                let message = format!("no task here has a field `{}`", name.get_ref());
                self.findings.at(name.span(), message, &hint);
            }
            fields.push(name.into_inner());
        }
        if let Some(f1_min) = &f1_min
            && !(0.0..=1.0).contains(f1_min.get_ref())
        {
            let message = format!("f1_min = {} is outside of 0 to 1", f1_min.get_ref());
            self.findings.at(f1_min.span(), message, "0.8, say");
        }
        let (labels, documents) = (labels?, documents?);
        let folder = self.path(&documents, "documents")?;
        if let Err(message) = is_folder(&folder) {
            self.findings.at(documents.span(), message, "paths are relative to jobs.toml");
        }
        Some(Gate {
            labels: self.path(&labels, "labels")?,
            documents: folder,
            include: include?,
            f1_min_milli: (f1_min?.into_inner().clamp(0.0, 1.0) * 1000.0).round() as u64,
            fields,
        })
    }

    fn keep(&mut self, time: Option<Spanned<String>>, until: Option<Spanned<String>>) -> Keep {
        let day = Duration::from_secs(86_400);
        match (time, until) {
            (None, None) => Keep::Always,
            (Some(_), Some(until)) => {
                let hint = "keep either so long, or until a day";
                self.findings.at(until.span(), "`keep` and `keep_until` are both given", hint);
                Keep::Always
            }
            (time @ Some(_), None) => {
                Keep::For(super::resolve::time(&mut self.findings, time, "keep", day, day))
            }
            (None, Some(until)) => match until.get_ref().parse() {
                Ok(date) => Keep::Until(date),
                Err(_) => {
                    let message = format!("keep_until = {:?} is no date", until.get_ref());
                    self.findings.at(until.span(), message, "as in keep_until = \"2027-01-31\"");
                    Keep::Always
                }
            },
        }
    }

    /// Patterns on the path below the root. Upper and lower case are one: a `.PDF` is a PDF. `*` does
    /// not cross a `/`, `**` does.
    fn globs(&mut self, written: Vec<Spanned<String>>, key: &str) -> Option<GlobSet> {
        let mut set = GlobSetBuilder::new();
        let mut sound = true;
        for pattern in written {
            let text = pattern.get_ref();
            let glob =
                GlobBuilder::new(text).literal_separator(true).case_insensitive(true).build();
            let problem = match glob {
                _ if text.is_empty() => Some("the pattern is empty".to_owned()),
                _ if text.starts_with(['/', '~']) || text.starts_with("./") => {
                    Some("a pattern is matched against the path below the root".to_owned())
                }
                Ok(glob) => {
                    set.add(glob);
                    None
                }
                Err(error) => Some(error.kind().to_string()),
            };
            if let Some(problem) = problem {
                let hint =
                    "as in \"*.pdf\" for the root itself, \"**/*.pdf\" for all folders below";
                let message = format!("{key} {text:?}: {problem}");
                self.findings.at(pattern.span(), message, hint);
                sound = false;
            }
        }
        set.build().ok().filter(|_| sound)
    }

    fn tasks_of(
        &mut self,
        written: Spanned<Vec<Spanned<String>>>,
        context: usize,
    ) -> Vec<Arc<Task>> {
        if written.get_ref().is_empty() {
            let hint = "name at least one task file";
            self.findings.at(written.span(), "`tasks` is empty: nothing would be asked", hint);
        }
        let mut tasks: Vec<Arc<Task>> = Vec::new();
        for file in written.into_inner() {
            let Some(path) = self.path(&file, "tasks") else { continue };
            let Some(task) = self.task(&path, &file, context) else { continue };
            if let Some((message, hint)) = tasks.iter().find_map(|other| clash(other, &task)) {
                self.findings.at(file.span(), message, hint);
            }
            tasks.push(task);
        }
        tasks
    }

    fn task(&mut self, path: &Path, at: &Spanned<String>, context: usize) -> Option<Arc<Task>> {
        if let Some((_, outcome)) = self.tasks.iter().find(|(known, _)| known == path) {
            return outcome.as_ref().ok().cloned();
        }
        let script = match read(path) {
            Ok(script) => script,
            Err(message) => {
                self.findings.at(at.span(), message, "paths are relative to jobs.toml");
                return None;
            }
        };
        let mut findings = Findings::new(script);
        let task = task::understand(&mut findings, path, context).map(Arc::new);
        let mut problems = findings.problems;
        problems.sort_by_key(|problem| problem.place());
        self.tasks.push((path.to_owned(), task.clone().ok_or(problems)));
        task
    }
}

/// What two tasks of one job cannot share: a record has one summary, and one value a field.
fn clash(one: &Task, other: &Task) -> Option<(String, &'static str)> {
    if one.name.eq_ignore_ascii_case(&other.name) {
        let message = format!("two tasks of this job are named `{}`", other.name);
        return Some((message, "a task is called by its file's name: rename one of the files"));
    }
    let meet = one.formats.iter().any(|format| other.formats.contains(format));
    if meet && one.unit != other.unit {
        let message = format!(
            "`{}` and `{}` take the same formats, one by the row and one by the document",
            one.name, other.name
        );
        return Some((message, "give them different formats, or put them into two jobs"));
    }
    match (&one.kind, &other.kind) {
        (TaskKind::Summarize { .. }, TaskKind::Summarize { .. }) if meet => Some((
            format!("`{}` and `{}` would both write a document's summary", one.name, other.name),
            "give them different formats, or put them into two jobs",
        )),
        (TaskKind::Extract { fields: a }, TaskKind::Extract { fields: b }) if meet => {
            let twice =
                b.iter().find(|field| a.iter().any(|earlier| earlier.name == field.name))?;
            let message =
                format!("`{}` and `{}` both have a field `{}`", one.name, other.name, twice.name);
            Some((message, "rename one of the fields, or put the tasks into two jobs"))
        }
        _ => None,
    }
}

fn is_folder(folder: &Path) -> Result<(), String> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a folder", folder.display())),
        Err(error) => Err(format!("{} cannot be read: {error}", folder.display())),
    }
}
