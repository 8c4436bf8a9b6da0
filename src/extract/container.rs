//! The ZIP container of Office files and archives, opened with limits. Knows entries and bytes, not what they
//! mean.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::read::ZipFileEntry;

use super::{Refusal, RefusalKind};
use crate::base::Limits;

/// First bytes of an OLE compound file: a legacy Office file, or an encrypted modern one.
const OLE_MAGIC: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

/// An open container.
pub(super) struct Container<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    limits: &'a Limits,
    /// Bytes inflated so far, over all entries.
    inflated: u64,
}

impl<'a> Container<'a> {
    /// # Errors
    /// `Encrypted` for a password-protected Office file, `Limit` for too many or overlapping entries,
    /// `Damaged` for what is no container at all.
    pub(super) fn open(bytes: &'a [u8], limits: &'a Limits) -> Result<Container<'a>, Refusal> {
        if bytes.starts_with(OLE_MAGIC) {
            return Err(refuse_ole(bytes));
        }
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
            Refusal::damaged(format!(
                "the ZIP container cannot be opened ({error}); the file is cut off or not what its \
                 name says; copy it again from its source"
            ))
        })?;
        if archive.len() > limits.zip_entries_max {
            return Err(Refusal::limit(format!(
                "{} entries in the ZIP container, more than {}",
                archive.len(),
                limits.zip_entries_max
            )));
        }
        // Overlapping entries are how a small file holds petabytes (Fifield, WOOT 2019).
        if archive.has_overlapping_files().unwrap_or(true) {
            return Err(Refusal::damaged(
                "entries of the ZIP container overlap, as no Office program writes them",
            ));
        }
        Ok(Container { archive, limits, inflated: 0 })
    }

    /// The bytes of the entry `name`, or none where there is no such entry.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(index) = self.index_of(name) else { return Ok(None) };
        self.read_at(index).map(Some)
    }

    /// Whether some entry's name starts with `prefix`.
    pub(super) fn has(&self, prefix: &str) -> bool {
        self.archive.file_names_raw().any(|name| name.starts_with(prefix.as_bytes()))
    }

    pub(super) fn len(&self) -> usize {
        self.archive.len()
    }

    /// What the list of contents says of an entry.
    pub(super) fn entry(&self, index: usize) -> Option<ZipFileEntry<'_>> {
        self.archive.by_index_data(index).ok()
    }

    /// Where the list of contents begins.
    pub(super) fn list_start(&self) -> usize {
        usize::try_from(self.archive.central_directory_start()).unwrap_or(usize::MAX)
    }

    /// Bytes inflated so far.
    pub(super) fn inflated(&self) -> u64 {
        self.inflated
    }

    /// The bytes of an entry.
    pub(super) fn read_at(&mut self, index: usize) -> Result<Vec<u8>, Refusal> {
        let mut content = Vec::new();
        self.inflate(index, &mut content)?;
        Ok(content)
    }

    /// Inflates every entry once and keeps nothing: afterwards a reader that knows no limits may
    /// have the file. Whether it needs an entry that is damaged, it finds out.
    pub(super) fn check_all(&mut self) -> Result<(), Refusal> {
        let mut content = Vec::new();
        for index in 0..self.archive.len() {
            content.clear();
            match self.inflate(index, &mut content) {
                Err(refusal) if refusal.kind != RefusalKind::Damaged => return Err(refusal),
                _ => {}
            }
        }
        Ok(())
    }

    /// Part names are compared without regard to case (ECMA-376 part 2, 6.2.2.3).
    fn index_of(&self, name: &str) -> Option<usize> {
        self.archive.index_for_name(name).or_else(|| {
            self.archive
                .file_names_raw()
                .position(|other| other.eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    fn inflate(&mut self, index: usize, content: &mut Vec<u8>) -> Result<(), Refusal> {
        let limits = self.limits;
        let entry = self.archive.by_index(index).map_err(|error| match error {
            zip::result::ZipError::UnsupportedArchive(why) => Refusal::new(
                RefusalKind::Encrypted,
                format!("an entry of the ZIP container cannot be opened: {why}"),
            ),
            error => Refusal::damaged(format!("the ZIP container is damaged: {error}")),
        })?;
        let name = entry.name().map_or_else(|_| "?".to_owned(), |name| name.into_owned());
        let deflated = entry.compressed_size().max(1);
        let declared = entry.size();
        let room = limits.zip_total_bytes_max.saturating_sub(self.inflated);
        let most = limits
            .zip_entry_bytes_max
            .min(room)
            .min(limits.zip_ratio_bytes_min.max(deflated.saturating_mul(limits.zip_ratio_max)));
        let bomb = |bytes: String| {
            Refusal::limit(format!(
                "{name} inflates from {deflated} to {bytes} bytes, more than the {most} that are \
                 allowed here; a file like this is made to exhaust its reader"
            ))
        };
        if declared > most {
            return Err(bomb(declared.to_string()));
        }
        // The declared size may be a lie, so the count is taken again while reading.
        let result = entry.take(most + 1).read_to_end(content);
        self.inflated += content.len() as u64;
        if content.len() as u64 > most {
            return Err(bomb(format!("over {most}")));
        }
        result.map(|_| ()).map_err(|error| {
            Refusal::damaged(format!(
                "{name} in the ZIP container is damaged ({error}); copy the file again from its source"
            ))
        })
    }
}

fn refuse_ole(bytes: &[u8]) -> Refusal {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.windows(name.len()).any(|window| window == name) {
        Refusal::new(
            RefusalKind::Encrypted,
            "the file is protected with a password; save it without one",
        )
    } else {
        Refusal::damaged("a legacy Office file under a modern name; save it as DOCX or XLSX")
    }
}
