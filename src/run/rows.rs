//! Tables whose rows are documents of their own, in a run: what is carried from row to row, where the last
//! run stopped, and what of a table goes to the disk and into the log, a block of rows at a time.

use crate::assemble::{MadeWith, Record, RowsTally, Tokens, rows_record};
use crate::audit::{Ledger, Part};
use crate::base::limits::ROWS_BLOCK;
use crate::base::{Digest, Warned};
use crate::extract::{Row, Survey};
use crate::intake::Source;
use crate::jobs::{Job, TaskKind, Unit};
use crate::output::{OutputError, PartFile, RowsForm, Writer, WrittenFile, rows_path};

use super::pipeline::work_source;

/// A row that was answered, or why it could not be.
pub(super) struct RowEnd {
    pub(super) row: Row,
    pub(super) answer: Result<Box<Record>, String>,
    /// Of the text that was read.
    pub(super) text: Digest,
}

/// The lines of a table as they come to be.
pub(super) struct Lines {
    survey: Warned<Survey>,
    form: RowsForm,
    tally: RowsTally,
    /// Below the output folder.
    table: String,
}

impl Lines {
    /// Of a table whose first rows are counted in `tally`.
    pub(super) fn new(
        job: &Job,
        source: &Source,
        survey: Warned<Survey>,
        tally: RowsTally,
    ) -> Result<Lines, OutputError> {
        let sheets = &survey.output.sheets;
        let fields = job.tasks_for(source.format).flat_map(|task| match &task.kind {
            TaskKind::Extract { fields } => fields.as_slice(),
            TaskKind::Summarize { .. } => &[],
        });
        let form = RowsForm {
            delimiter: survey.output.delimiter,
            width: sheets.iter().map(|sheet| sheet.columns.len()).max().unwrap_or(0),
            names_sheets: sheets.len() > 1,
            fields: fields.map(|field| field.name.clone()).collect(),
        };
        let table = rows_path(&source.job, &source.root, &source.path)?;
        Ok(Lines { survey, form, tally, table })
    }

    /// The next row's line; before the first of a sheet, the one that names its columns.
    pub(super) fn take(&mut self, end: &RowEnd) -> Vec<u8> {
        let sheets = &self.survey.output.sheets;
        let sheet = &sheets[end.row.sheet];
        let before: u64 = sheets[..end.row.sheet].iter().map(|sheet| sheet.rows).sum();
        let mut lines = Vec::new();
        let again = before > 0 && sheet.columns == sheets[0].columns;
        if self.tally.rows == before && !again {
            lines = self.form.head(&sheet.name, &sheet.columns);
        }
        let record = end.answer.as_deref().ok();
        lines.extend(self.form.row(&sheet.name, &end.row.cells, record));
        self.tally.take(record, &end.text);
        lines
    }

    pub(super) fn text(&self) -> Digest {
        self.tally.text
    }

    /// The record of the whole table.
    pub(super) fn record(&self, source: &Source, made_with: MadeWith) -> Record {
        let table = self.table.clone();
        rows_record(&work_source(source), &self.survey, &self.tally, table, made_with)
    }
}

/// A table that is being written.
pub(super) struct OpenTable {
    pub(super) lines: Lines,
    part: PartFile,
    /// Rows that are durable and logged.
    logged: u64,
}

impl OpenTable {
    /// Opens the table after the rows of `known`.
    pub(super) fn open(
        writer: &Writer,
        job: &Job,
        source: &Source,
        survey: Warned<Survey>,
        known: Option<Part>,
    ) -> Result<OpenTable, OutputError> {
        let part = writer.part_file(&source.id, known.map(|part| (part.bytes, part.sha256)))?;
        let tally = known.map(tally).unwrap_or_default();
        let logged = tally.rows;
        Ok(OpenTable { lines: Lines::new(job, source, survey, tally)?, part, logged })
    }

    /// Takes the next row; what the log is to say where a block of rows is full, and durable.
    pub(super) fn take(&mut self, end: &RowEnd) -> Result<Option<Part>, OutputError> {
        let lines = self.lines.take(end);
        self.part.push(&lines);
        match self.lines.tally.rows - self.logged >= ROWS_BLOCK {
            true => self.sync(),
            false => Ok(None),
        }
    }

    /// Makes all rows durable; what the log is to say of them, if it does not yet.
    pub(super) fn sync(&mut self) -> Result<Option<Part>, OutputError> {
        let tally = &self.lines.tally;
        if tally.rows == self.logged {
            return Ok(None);
        }
        self.logged = tally.rows;
        let (bytes, sha256) = self.part.sync()?;
        Ok(Some(Part {
            rows: tally.rows,
            bytes,
            sha256,
            text_sha256: tally.text,
            transcript_sha256: tally.transcript,
            tokens_read: tally.tokens_read,
            tokens_sent: tally.tokens_sent,
            prompt_tokens: tally.tokens.prompt,
            answer_tokens: tally.tokens.answer,
            partial: tally.partial,
            flagged: tally.flagged,
        }))
    }

    /// Gives the whole table its name.
    pub(super) fn finish(
        self,
        writer: &Writer,
        source: &Source,
    ) -> Result<WrittenFile, OutputError> {
        writer.finish_part(&source.id, self.part, self.lines.table)
    }
}

fn tally(part: Part) -> RowsTally {
    RowsTally {
        rows: part.rows,
        partial: part.partial,
        flagged: part.flagged,
        tokens_read: part.tokens_read,
        tokens_sent: part.tokens_sent,
        tokens: Tokens { prompt: part.prompt_tokens, answer: part.answer_tokens },
        text: part.text_sha256,
        transcript: part.transcript_sha256,
    }
}

/// Whether the rows of `source` are documents of their own, and then the part of its table that stands
/// on the disk as the log says.
pub(super) fn known_part(
    writer: &Writer,
    ledger: &Ledger,
    (job, source): (&Job, &Source),
    shape: &Digest,
) -> Result<Option<Option<Part>>, OutputError> {
    if job.unit_for(source.format) == Unit::Document {
        return Ok(None);
    }
    let Some(part) = ledger.part(&source.id, &source.digest, shape) else { return Ok(Some(None)) };
    let table = rows_path(&source.job, &source.root, &source.path)?;
    let stands = writer.has_part(&source.id, &table, (part.bytes, part.sha256))?;
    Ok(Some(stands.then_some(part)))
}
