//! The table of a document whose rows are documents of their own: its own columns, then for each field its
//! value and its flags. It grows row by row in a part file under the state folder, and gets its name when
//! it is whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::table::{field, guarded, words};
use super::writer::{STATE_FOLDER, TEMPORARY};
use super::{OutputError, Writer, WrittenFile};
use crate::assemble::{FieldAnswer, Record, unasked};
use crate::base::{Appender, Digest, DigestWriter, DocId};

/// Before the name of a field where a column of the table has that name.
pub(super) const TAKEN: &str = "nightclerk ";

/// After it, for the column of its flags.
pub(super) const FLAGS: &str = "_flags";

/// Below the state folder: tables that are not whole yet, by document.
const FOLDER: &str = "parts";

/// How the lines of one table are written: RFC 4180, but for the delimiter, which is the input's own.
#[derive(Clone, Debug)]
pub struct RowsForm {
    pub delimiter: char,
    /// Columns of the widest sheet.
    pub width: usize,
    /// The first column names the sheet.
    pub names_sheets: bool,
    /// In the order of the task files.
    pub fields: Vec<String>,
}

impl RowsForm {
    /// The line that names the columns; a field whose name is taken is called `nightclerk <name>`.
    pub fn head(&self, sheet: &str, columns: &[String]) -> Vec<u8> {
        let mut cells = self.begin(sheet, columns);
        for name in &self.fields {
            let flags = format!("{name}{FLAGS}");
            let taken = columns.iter().any(|column| column == name || *column == flags);
            let name = if taken { format!("{TAKEN}{name}") } else { name.clone() };
            cells.extend([name.clone(), format!("{name}{FLAGS}")]);
        }
        self.line(cells.iter().map(String::as_str))
    }

    /// The line of a row; without a record it was not answered.
    pub fn row(&self, sheet: &str, cells: &[String], record: Option<&Record>) -> Vec<u8> {
        let mut cells = self.begin(sheet, cells);
        for name in &self.fields {
            let answer: FieldAnswer = match record {
                // A row without text is asked nothing, and nothing is wrong with it.
                Some(record) => match field(record, name) {
                    Some(answer) => answer,
                    None => {
                        cells.extend([String::new(), String::new()]);
                        continue;
                    }
                },
                None => unasked(),
            };
            cells.extend([words(&answer.value), answer.flags.join(" ")]);
        }
        self.line(cells.iter().map(String::as_str))
    }

    /// The sheet's name, where it has one, and the table's own cells.
    fn begin(&self, sheet: &str, cells: &[String]) -> Vec<String> {
        let mut line: Vec<String> = Vec::with_capacity(cells.len() + 1 + 2 * self.fields.len());
        if self.names_sheets {
            line.push(sheet.to_owned());
        }
        let start = line.len();
        line.extend(cells.iter().cloned());
        line.resize(start + self.width, String::new());
        line
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(u8::try_from(self.delimiter).unwrap_or(b','))
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let safe = cells.map(|cell| match is_figure(cell) {
            true => cell.to_owned(),
            false => guarded(cell),
        });
        writer.write_record(safe).expect("writing to memory cannot fail");
        writer.into_inner().expect("writing to memory cannot fail")
    }
}

/// A signed number, which a spreadsheet may take for what it is: `-12,50`, `+3 %`.
fn is_figure(cell: &str) -> bool {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell).trim_end_matches([' ', '%']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '\''))
}

/// A table that is not whole yet.
pub struct PartFile {
    file: Box<dyn Appender>,
    path: PathBuf,
    /// Of everything so far, and how much that is; what is `held` included.
    digest: DigestWriter,
    bytes: u64,
    held: Vec<u8>,
}

impl PartFile {
    /// Takes in lines; durable with the next `sync`.
    pub fn push(&mut self, lines: &[u8]) {
        self.digest.write_all(lines).expect("a digest takes any bytes");
        self.bytes += lines.len() as u64;
        self.held.extend_from_slice(lines);
    }

    /// Makes all lines durable; bytes and digest of all of them.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&mut self) -> Result<(u64, Digest), OutputError> {
        if !self.held.is_empty() {
            let written = self.file.append(&self.held);
            written.map_err(OutputError::io(&self.path, "cannot write rows"))?;
            self.held.clear();
        }
        Ok((self.bytes, self.digest.clone().finish()))
    }
}

impl Writer {
    /// Whether the first `bytes` bytes of the document's unfinished table are there with this digest. A
    /// table that got its name and was not logged is taken back.
    ///
    /// # Errors
    /// `Io`.
    pub fn has_part(
        &self,
        doc: &DocId,
        table: &str,
        (bytes, digest): (u64, Digest),
    ) -> Result<bool, OutputError> {
        let (part, named) = (self.part(doc), self.folder.join(table));
        if begins_with(&part, bytes, digest)?.is_some() {
            return Ok(true);
        }
        if part.exists() || begins_with(&named, bytes, digest)?.is_none() {
            return Ok(false);
        }
        self.name(&named, &part)?;
        Ok(true)
    }

    /// Opens the document's unfinished table: after what `has_part` found, or empty.
    ///
    /// # Errors
    /// `Io`.
    pub fn part_file(
        &self,
        doc: &DocId,
        known: Option<(u64, Digest)>,
    ) -> Result<PartFile, OutputError> {
        let path = self.part(doc);
        let folder = path.parent().expect("it has a folder").to_owned();
        let failed = |source| OutputError::Io {
            path: path.clone(),
            doing: "cannot begin a table of rows",
            source,
        };
        let (mut digest, mut bytes) = (DigestWriter::new(), 0);
        let found = match known {
            Some((bytes, digest)) => begins_with(&path, bytes, digest)?,
            None => None,
        };
        self.disk.create_folder(&folder).map_err(failed)?;
        match (found, known) {
            (Some(so_far), Some((length, _))) => {
                (digest, bytes) = (so_far, length);
                self.disk.truncate(&path, length).map_err(failed)?;
            }
            _ if path.exists() => self.disk.truncate(&path, 0).map_err(failed)?,
            _ => {}
        }
        let file = self.disk.open_append(&path).map_err(failed)?;
        self.disk.sync_folder(&folder).map_err(failed)?;
        Ok(PartFile { file, path, digest, bytes, held: Vec::new() })
    }

    /// Gives a table that is whole and durable its name below the output folder.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish_part(
        &self,
        doc: &DocId,
        mut part: PartFile,
        table: String,
    ) -> Result<WrittenFile, OutputError> {
        let (_, digest) = part.sync()?;
        self.name(&self.part(doc), &self.folder.join(&table))?;
        Ok(WrittenFile { path: table, digest })
    }

    /// Removes the unfinished tables of all documents but those of `keep`.
    ///
    /// # Errors
    /// `Io`.
    pub fn sweep_parts(&self, keep: &dyn Fn(&DocId) -> bool) -> Result<(), OutputError> {
        let folder = self.folder.join(STATE_FOLDER).join(FOLDER);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(OutputError::io(&folder, "cannot look for tables"))?,
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let doc = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if !doc.is_some_and(|doc| keep(&doc)) {
                let removed = self.disk.remove_file(&path);
                removed.map_err(OutputError::io(&path, "cannot remove an unfinished table"))?;
            }
        }
        Ok(())
    }

    fn part(&self, doc: &DocId) -> PathBuf {
        self.folder.join(STATE_FOLDER).join(FOLDER).join(format!("{doc}.csv"))
    }

    /// Renames a durable file, durably.
    fn name(&self, from: &Path, to: &Path) -> Result<(), OutputError> {
        let folder = |path: &Path| path.parent().expect("it has a folder").to_owned();
        let named = self
            .disk
            .create_folder(&folder(to))
            .and_then(|()| match self.disk.rename(from, to) {
                // Under the first version of Landlock no file may change its folder.
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.carry(from, to),
                renamed => renamed,
            })
            .and_then(|()| self.disk.sync_folder(&folder(to)))
            .and_then(|()| self.disk.sync_folder(&folder(from)));
        named.map_err(OutputError::io(to, "cannot name a table of rows"))
    }
}

impl Writer {
    /// Puts the content of `from` at `to` in one step, and removes `from`.
    fn carry(&self, from: &Path, to: &Path) -> io::Result<()> {
        let name = Digest::of(to.as_os_str().as_bytes()).to_string();
        let name = format!(".{}{TEMPORARY}", &name[..16]);
        let temporary = to.with_file_name(name);
        self.disk.write(&temporary, b"")?;
        let mut copy = self.disk.open_append(&temporary)?;
        let mut file = File::open(from)?;
        let mut bytes = vec![0; 1 << 20];
        loop {
            match file.read(&mut bytes)? {
                0 => break,
                read => copy.append(&bytes[..read])?,
            }
        }
        self.disk.rename(&temporary, to)?;
        self.disk.remove_file(from)
    }
}

/// The state of the digest over the first `bytes` bytes of a file, if they have this digest.
fn begins_with(
    path: &Path,
    bytes: u64,
    digest: Digest,
) -> Result<Option<DigestWriter>, OutputError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(OutputError::io(path, "cannot read a table of rows"))?,
    };
    let mut found = DigestWriter::new();
    let read = io::copy(&mut file.take(bytes), &mut found);
    let read = read.map_err(OutputError::io(path, "cannot read a table of rows"))?;
    Ok((read == bytes && found.clone().finish() == digest).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_is_carried_to_its_folder_where_it_cannot_be_moved() {
        let name = format!("nightclerk-carry-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("part.csv"), folder.join("a.rows.csv"));
        std::fs::write(&from, "id\r\n1\r\n").unwrap();
        let writer = Writer::new(std::sync::Arc::new(crate::base::RealDisk), &folder);
        writer.carry(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"id\r\n1\r\n");
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_line_keeps_its_cells_and_no_spreadsheet_computes_it() {
        let form = RowsForm {
            delimiter: ';',
            width: 3,
            names_sheets: false,
            fields: vec!["kind".into(), "sum".into()],
        };
        let columns = ["id", "sum", "text"].map(String::from);
        assert_eq!(
            text(form.head("", &columns)),
            "id;sum;text;kind;kind_flags;nightclerk sum;nightclerk sum_flags\r\n"
        );
        let cells = ["7", "-12,50", "=cmd|' /C calc'!A0"].map(String::from);
        assert_eq!(
            text(form.row("", &cells, None)),
            "7;-12,50;'=cmd|' /C calc'!A0;;not_all_asked;;not_all_asked\r\n"
        );
        let cells = ["a;b", "say \"so\"\nagain"].map(String::from);
        let line = form.row("", &cells, None);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(b';')
            .from_reader(line.as_slice());
        let read = reader.records().next().unwrap().unwrap();
        assert_eq!(read.iter().take(3).collect::<Vec<_>>(), ["a;b", "say \"so\"\nagain", ""]);
        for (cell, is_number) in
            [("-5", true), ("+3 %", true), ("-1+1", false), ("-a", false), ("-", false)]
        {
            assert_eq!(is_figure(cell), is_number, "{cell}");
        }
    }
}
