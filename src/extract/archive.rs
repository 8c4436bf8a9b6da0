//! ZIP archives: their members listed and taken out, with limits. Knows names and bytes; what a member is, its
//! reader finds.

use std::collections::BTreeSet;

use super::Refusal;
use super::container::Container;
use crate::base::Limits;

/// Bytes of an entry of the list of contents before its name (APPNOTE 6.3.10, 4.3.12).
const ENTRY_BYTES: usize = 46;

/// An open archive.
pub struct Archive<'a> {
    container: Container<'a>,
    /// Names that more than one entry has: readers disagree which of them counts.
    repeated: BTreeSet<Vec<u8>>,
}

/// What the list of contents says of a member.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    Folder,
    File(String),
    /// Its name as far as it can be told, and why it is not taken out.
    Unfit(String, String),
}

impl<'a> Archive<'a> {
    /// # Errors
    /// As of every container: damaged, with too many or overlapping entries.
    pub fn open(bytes: &'a [u8], limits: &'a Limits) -> Result<Archive<'a>, Refusal> {
        let container = Container::open(bytes, limits)?;
        let repeated = repeated_names(bytes.get(container.list_start()..).unwrap_or_default());
        Ok(Archive { container, repeated })
    }

    /// Every member, in the order of the list of contents.
    pub fn entries(&self) -> Vec<Entry> {
        (0..self.container.len()).map(|number| self.entry(number)).collect()
    }

    fn entry(&self, number: usize) -> Entry {
        let Some(entry) = self.container.entry(number) else {
            return Entry::Unfit("?".to_owned(), "it is missing".to_owned());
        };
        let raw = entry.name_raw();
        let name = match entry.name() {
            Ok(name) => name.into_owned(),
            Err(_) => {
                let name = String::from_utf8_lossy(raw).into_owned();
                return Entry::Unfit(name, "its name cannot be decoded".to_owned());
            }
        };
        let unfit = |why: &str| Entry::Unfit(name.clone(), why.to_owned());
        if self.repeated.contains(raw) {
            unfit("the archive holds several members of this name: pack it anew")
        } else if entry.is_dir() {
            Entry::Folder
        } else if entry.is_symlink() {
            unfit("a link: links in archives are not followed")
        } else if entry.encrypted() {
            unfit("encrypted in its archive, which is not read: unpack it into the folder")
        } else {
            Entry::File(name)
        }
    }

    /// The bytes of member `number`, counted as in `entries`.
    ///
    /// # Errors
    /// Where it is damaged, or inflates to more than `limits` allow.
    pub fn read(&mut self, number: usize) -> Result<Vec<u8>, Refusal> {
        self.container.read_at(number)
    }

    /// Bytes inflated so far, over all members.
    pub fn inflated(&self) -> u64 {
        self.container.inflated()
    }
}

/// The names that stand more than once in a list of contents.
fn repeated_names(list: &[u8]) -> BTreeSet<Vec<u8>> {
    let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    let mut rest = list;
    while rest.len() >= ENTRY_BYTES && rest.starts_with(b"PK\x01\x02") {
        let length = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let (name, extra, comment) = (length(28), length(30), length(32));
        let Some(bytes) = rest.get(ENTRY_BYTES..ENTRY_BYTES + name) else { break };
        if !seen.insert(bytes) {
            repeated.insert(bytes.to_vec());
        }
        rest = rest.get(ENTRY_BYTES + name + extra + comment..).unwrap_or_default();
    }
    repeated
}
