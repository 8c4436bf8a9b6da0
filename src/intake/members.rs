//! What lies in an archive → `Source`s below it. The archive was opened by a reader in a process of its own, and
//! nothing that it says is taken unchecked.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Member, Source, SourceState, walk};
use crate::base::{Digest, DocId, Format, Limits};
use crate::jobs::Job;

/// A member as the reader of its archive tells of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// As in `Member`.
    pub at: Vec<u32>,
    /// Below the archive; of a name that cannot stand in a path, the number of its entry.
    pub path: String,
    pub format: Format,
    /// Of no bytes where it was not inflated.
    pub digest: Digest,
    pub bytes: u64,
    pub note: String,
    /// Why it is not read, and the way out.
    pub refusal: Option<String>,
}

/// The sources in place of `archive`: what `job` takes of its members, or the archive itself where nothing
/// of it can be read, and why.
pub fn members(
    archive: Source,
    job: &Job,
    listed: Result<Vec<Listed>, String>,
    limits: &Limits,
) -> Vec<Source> {
    let listed = match listed.and_then(|listed| sound(listed, limits)) {
        Ok(listed) if listed.is_empty() => Err("an archive with no file in it".to_owned()),
        other => other,
    };
    let listed = match listed {
        Ok(listed) => listed,
        Err(why) => {
            let state = SourceState::Refused(format!("{why}; unpack it into the folder"));
            return vec![Source { state, ..archive }];
        }
    };
    let source = |listed: Listed| {
        let path = format!("{}/{}", archive.path, listed.path);
        let separator = if archive.note.is_empty() || listed.note.is_empty() { "" } else { "; " };
        Source {
            id: DocId::new(&archive.job, &archive.root, &path),
            path,
            member: Some(Member {
                at: listed.at,
                archive: archive.digest,
                archive_bytes: archive.bytes,
            }),
            format: listed.format,
            digest: listed.digest,
            bytes: listed.bytes,
            state: listed.refusal.map_or(SourceState::Ready, SourceState::Refused),
            note: format!("{}{separator}{}", archive.note, listed.note),
            ..archive.clone()
        }
    };
    let sources = listed.into_iter().map(source);
    sources.filter(|source| job.takes(Path::new(&source.path))).collect()
}

/// What was listed, if a reader that follows the rules can have listed it.
fn sound(listed: Vec<Listed>, limits: &Limits) -> Result<Vec<Listed>, String> {
    let mut paths = BTreeSet::new();
    let is_sound = |member: &Listed| {
        path_of(&member.path).as_deref() == Some(member.path.as_str())
            && (1..=limits.archive_depth_max).contains(&member.at.len())
            && member.bytes <= limits.input_bytes_max
            && (member.refusal.is_some() || member.format.is_read())
    };
    let all_sound = listed.iter().all(|member| is_sound(member) && paths.insert(&member.path));
    if listed.len() > limits.archive_members_max || !all_sound {
        return Err("the reader's list of its members is unsound".to_owned());
    }
    Ok(listed)
}

/// The name of a member as a path below its archive; none for what leads out of it or names no place.
/// Backslashes are what some programs on Windows write for `/` (APPNOTE 4.4.17.1 asks for `/`).
pub fn path_of(name: &str) -> Option<String> {
    let path = name.replace('\\', "/");
    let is_drive = path.as_bytes().get(1) == Some(&b':');
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    (!is_drive && path.split('/').all(is_part)).then_some(path)
}

/// Names that no one packs as documents: what the walk leaves out too, and the resource forks of a Mac.
pub fn is_left_out(path: &str) -> bool {
    path.starts_with("__MACOSX/") || path.split('/').any(|part| walk::is_leftover(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_out_of_its_archive_is_no_path() {
        for name in ["../a", "a/../../b", "/etc/passwd", "C:\\a", "C:/a", "a//b", "", "./a", "a\0b"]
        {
            assert_eq!(path_of(name), None, "{name:?}");
        }
        assert_eq!(path_of("2019\\lease ü.pdf").as_deref(), Some("2019/lease ü.pdf"));
        assert_eq!(path_of("..a/b..").as_deref(), Some("..a/b.."));
    }

    #[test]
    fn what_no_reader_can_have_listed_is_not_taken() {
        let member = |path: &str, at: usize| Listed {
            at: vec![0; at],
            path: path.to_owned(),
            format: Format::Text,
            digest: Digest::of(b"a"),
            bytes: 1,
            note: String::new(),
            refusal: None,
        };
        let limits = Limits::default();
        assert!(sound(vec![member("a", 1), member("b", 2)], &limits).is_ok());
        assert!(sound(vec![member("a", 1), member("a", 1)], &limits).is_err(), "twice");
        assert!(sound(vec![member("../a", 1)], &limits).is_err(), "outside");
        assert!(sound(vec![member("a", 4)], &limits).is_err(), "too deep");
        let zip = Listed { format: Format::Zip, ..member("a", 1) };
        assert!(sound(vec![zip], &limits).is_err(), "a format that is not read");
        let long = Listed { bytes: limits.input_bytes_max + 1, ..member("a", 1) };
        assert!(sound(vec![long], &limits).is_err(), "too long");
    }
}
