//! The table that a document's rows were answered into, read back row by row: what `score` and `diff` go by.
//! `rows` writes it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::OutputError;
use super::rows::{FLAGS, TAKEN};

/// The rows of one table, in its order.
pub struct AnsweredRows {
    path: PathBuf,
    reader: csv::Reader<File>,
    head: StringRecord,
    /// Columns of the table itself: the others are the fields', two each.
    own: usize,
    /// Records read.
    read: u64,
}

/// One row as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredRow {
    /// As a spreadsheet counts the rows of the answered table, from 1.
    pub number: u64,
    /// The row's own cells.
    pub cells: Vec<String>,
    /// Of each field, its value and its flags.
    pub answers: Vec<(String, String)>,
}

impl AnsweredRows {
    /// Opens the table `path`.
    ///
    /// # Errors
    /// `Io` where it cannot be read, or is no table of answered rows.
    pub fn open(path: &Path) -> Result<AnsweredRows, OutputError> {
        let failed = |source| OutputError::Io {
            path: path.to_owned(),
            doing: "cannot read a table of rows",
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let delimiter = delimiter_of(&mut file).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let mut reader = reader(file, delimiter);
        let mut head = StringRecord::new();
        reader.read_record(&mut head).map_err(|error| failed(error.into()))?;
        let own = head.len() - 2 * pairs(&head);
        Ok(AnsweredRows { path: path.to_owned(), reader, head, own, read: 1 })
    }

    /// Names of the table's own columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.head.iter().take(self.own)
    }

    /// Names of the fields, in the order of their answers.
    pub fn fields(&self) -> Vec<String> {
        let names = self.head.iter().skip(self.own).step_by(2);
        names.map(|name| name.strip_prefix(TAKEN).unwrap_or(name).to_owned()).collect()
    }

    /// Whether a record names the columns of another sheet.
    fn is_head(&self, record: &StringRecord) -> bool {
        record.iter().skip(self.own).eq(self.head.iter().skip(self.own))
    }
}

impl Iterator for AnsweredRows {
    type Item = Result<AnsweredRow, OutputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = StringRecord::new();
        loop {
            match self.reader.read_record(&mut record) {
                Ok(true) => self.read += 1,
                Ok(false) => return None,
                Err(error) => {
                    let failed = OutputError::io(&self.path, "cannot read a table of rows");
                    return Some(Err(failed(error.into())));
                }
            }
            if !self.is_head(&record) {
                break;
            }
        }
        let mut cells: Vec<String> = record.iter().map(bare).collect();
        let answers = cells.split_off(self.own.min(cells.len()));
        let answers = answers.chunks(2).map(|pair| {
            let flags = pair.get(1).cloned().unwrap_or_default();
            (pair[0].clone(), flags)
        });
        let answers = answers.collect();
        Some(Ok(AnsweredRow { number: self.read, cells, answers }))
    }
}

fn reader<R: Read>(input: R, delimiter: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(input)
}

/// The delimiter under which the first record ends as `RowsForm::head` writes it. It is the input's own, which
/// can be any mark.
fn delimiter_of(file: &mut File) -> io::Result<u8> {
    for delimiter in (b'\t'..=b'~').filter(|byte| is_delimiter(*byte)) {
        file.rewind()?;
        let mut head = StringRecord::new();
        let read = reader(&mut *file, delimiter).read_record(&mut head);
        if matches!(read, Ok(true)) && pairs(&head) > 0 {
            return Ok(delimiter);
        }
    }
    Err(io::Error::other("its first line names no field with its flags"))
}

fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'_')
}

/// Pairs of columns at the end of `head` that are a field and its flags.
fn pairs(head: &StringRecord) -> usize {
    let cells: Vec<&str> = head.iter().collect();
    let is_pair = |pair: &&[&str]| {
        pair.len() == 2 && !pair[0].is_empty() && pair[1].strip_suffix(FLAGS) == Some(pair[0])
    };
    cells.rchunks(2).take_while(is_pair).count()
}

/// A cell without the mark that keeps a spreadsheet from computing it.
fn bare(cell: &str) -> String {
    let guarded = cell.strip_prefix('\'').filter(|rest| super::table::is_formula(rest));
    guarded.unwrap_or(cell).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::RowsForm;
    use super::*;

    #[test]
    fn what_was_written_is_read_back_whatever_parts_its_cells() {
        for delimiter in [',', ';', '\t', '|', ':', '^'] {
            let form = RowsForm {
                delimiter,
                width: 2,
                names_sheets: true,
                fields: vec!["kind".into(), "sum".into()],
            };
            let own = |cells: [&str; 2]| cells.map(str::to_owned);
            let mut bytes = form.head("may", &own(["id, of;it", "sum"]));
            bytes.extend(form.row("may", &own(["=1+1", "say \"so\"\nagain"]), None));
            bytes.extend(form.head("june", &own(["id", "sum"])));
            bytes.extend(form.row("june", &own(["7", ""]), None));
            let name = format!("nightclerk-answered-{}.csv", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, bytes).unwrap();
            let rows = AnsweredRows::open(&path).unwrap();
            assert_eq!(rows.columns().collect::<Vec<_>>(), ["may", "id, of;it", "sum"]);
            assert_eq!(rows.fields(), ["kind", "sum"]);
            let rows: Vec<AnsweredRow> = rows.collect::<Result<_, _>>().unwrap();
            assert_eq!(rows[0].cells, ["may", "=1+1", "say \"so\"\nagain"]);
            assert_eq!(rows[0].answers[0], (String::new(), "not_all_asked".to_owned()));
            assert_eq!((rows[0].number, rows[1].number), (2, 4), "{delimiter}");
            std::fs::remove_file(path).unwrap();
        }
    }
}
