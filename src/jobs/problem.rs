//! What is wrong with `jobs.toml` or a task file, shown with file, line and caret.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

/// A file that a person wrote, kept to show lines of it.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) file: PathBuf,
    source: NamedSource<String>,
}

impl Script {
    pub(super) fn new(file: &Path, text: &str) -> Arc<Script> {
        let source = NamedSource::new(file.display().to_string(), text.to_owned());
        Arc::new(Script { file: file.to_owned(), source })
    }

    pub(super) fn text(&self) -> &str {
        self.source.inner()
    }
}

/// One thing that is wrong, at one place.
#[derive(Clone, Debug)]
pub struct Problem {
    script: Arc<Script>,
    /// Bytes of the file; none where the file as a whole is meant.
    span: Option<Range<usize>>,
    message: String,
    hint: Option<String>,
}

/// Everything that is wrong with `jobs.toml` and its task files; never empty. No document was opened.
#[derive(Clone, Debug)]
pub struct PlanError {
    problems: Vec<Problem>,
}

impl Problem {
    pub(super) fn new(
        script: &Arc<Script>,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        Problem { script: Arc::clone(script), span, message: message.into(), hint }
    }

    pub fn file(&self) -> &Path {
        &self.script.file
    }

    /// Line and column, counted from 1, the column in characters.
    pub fn place(&self) -> Option<(usize, usize)> {
        let start = self.span.as_ref()?.start;
        let before = self.script.text().get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The way out.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl PlanError {
    /// `problems` in the order in which they stand in their files.
    pub(super) fn new(problems: Vec<Problem>) -> PlanError {
        debug_assert!(!problems.is_empty(), "an error has at least one problem");
        PlanError { problems }
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// For a person: each problem with its line, a caret and the hint. In a terminal that shows
    /// colours, `colour` may be set; the text says the same without.
    pub fn report(&self, colour: bool) -> String {
        let theme =
            if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
        let mut text = String::new();
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                text.push('\n');
            }
            // Writing to a String cannot fail; a renderer that gives up leaves the plain line.
            if handler.render_report(&mut text, problem).is_err() {
                text.push_str(&format!("{problem}\n"));
            }
        }
        text
    }
}

/// The message alone.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.is_some().then_some(&self.script.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new(None, span.start, span.len()))))
    }
}

/// One line for each problem: file, place, message, hint.
impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            // Without a place it is the whole file, and the message names it.
            if let Some((line, column)) = problem.place() {
                write!(f, "{}:{line}:{column}: ", problem.file().display())?;
            }
            write!(f, "{}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {}
