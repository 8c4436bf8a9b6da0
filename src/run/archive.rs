//! What a reader does with a ZIP archive: lists its members, archives in it included, or takes one out. It runs
//! in the child; the parent's side is `read`.

use std::collections::BTreeSet;

use crate::base::{Digest, Format, Limits};
use crate::extract::{Archive, Entry, Refusal, RefusalKind};
use crate::intake::{self, Listed};

/// The members of the archive `bytes`, over all depths, each with its digest and the format of its content.
///
/// # Errors
/// Where the archive cannot be opened, or holds more than `limits` allow.
pub(super) fn list(bytes: &[u8], limits: &Limits) -> Result<Vec<Listed>, Refusal> {
    let left = limits.zip_total_bytes_max;
    let mut listing = Listing { listed: Vec::new(), paths: BTreeSet::new(), left, limits };
    listing.open(bytes, &[], "")?;
    Ok(listing.listed)
}

struct Listing<'a> {
    listed: Vec<Listed>,
    paths: BTreeSet<String>,
    /// Bytes that may still be inflated, over all depths.
    left: u64,
    limits: &'a Limits,
}

impl Listing<'_> {
    /// Appends what lies in the archive `bytes`, whose own place is `at` and whose name is `below`.
    fn open(&mut self, bytes: &[u8], at: &[u32], below: &str) -> Result<(), Refusal> {
        let limits = member_limits(self.limits, self.left);
        let mut archive = Archive::open(bytes, &limits)?;
        let mut before = 0;
        for (number, entry) in archive.entries().into_iter().enumerate() {
            let (name, unfit) = match entry {
                Entry::Folder => continue,
                Entry::File(name) => (name, None),
                Entry::Unfit(name, why) => (name, Some(why)),
            };
            let path = intake::path_of(&name);
            if path.as_deref().is_some_and(intake::is_left_out) {
                continue;
            }
            if self.listed.len() >= self.limits.archive_members_max {
                let most = self.limits.archive_members_max;
                let message = format!("more than {most} members");
                return Err(Refusal { kind: RefusalKind::Limit, message });
            }
            let at: Vec<u32> = at.iter().copied().chain([number as u32]).collect();
            let content = match (path, unfit) {
                (None, _) => Err((format!("entry {number}"), leads_out(&name))),
                (Some(path), Some(why)) => Err((path, why)),
                (Some(path), None) if self.left == 0 => Err((path, self.too_much())),
                (Some(path), None) => match archive.read(number) {
                    Ok(content) => Ok((path, content)),
                    Err(refusal) => Err((path, refusal.message)),
                },
            };
            self.left = self.left.saturating_sub(archive.inflated() - before);
            before = archive.inflated();
            match content {
                Ok((path, content)) => self.member(&content, at, format!("{below}{path}")),
                Err((path, why)) => self.refused(at, format!("{below}{path}"), why),
            }
        }
        Ok(())
    }

    fn too_much(&self) -> String {
        let most = self.limits.zip_total_bytes_max >> 20;
        format!("the archive's members are more than {most} MiB: unpack it into the folder")
    }

    fn member(&mut self, content: &[u8], at: Vec<u32>, path: String) {
        let named = intake::name(&path, content);
        let is_archive = named.format == Format::Zip && intake::is_archive_name(&path);
        if is_archive && at.len() < self.limits.archive_depth_max {
            let before = self.listed.len();
            let opened = self.open(content, &at, &format!("{path}/"));
            if let Err(refusal) = opened {
                for member in self.listed.drain(before..) {
                    self.paths.remove(&member.path);
                }
                self.refused(at, path, refusal.message);
            } else if self.listed.len() == before {
                self.refused(at, path, "an archive with no file in it".to_owned());
            }
            return;
        }
        let refusal = match is_archive {
            true => Some(format!(
                "archives are opened {} deep in one another: unpack it into the folder",
                self.limits.archive_depth_max
            )),
            false => named.refusal,
        };
        self.push(Listed {
            at,
            path,
            format: named.format,
            digest: Digest::of(content),
            bytes: content.len() as u64,
            note: named.note,
            refusal,
        });
    }

    fn refused(&mut self, at: Vec<u32>, path: String, why: String) {
        self.push(Listed {
            at,
            path,
            format: Format::Unknown,
            digest: Digest::of(b""),
            bytes: 0,
            note: String::new(),
            refusal: Some(why),
        });
    }

    /// A member whose path another has (a name can be written in two ways) is named by its entry.
    fn push(&mut self, mut member: Listed) {
        if self.paths.contains(&member.path) {
            let why =
                format!("another member is called {} too: pack the archive anew", member.path);
            let at: Vec<String> = member.at.iter().map(u32::to_string).collect();
            member.path = format!("{} (entry {})", member.path, at.join("."));
            member.refusal = Some(why);
        }
        if self.paths.insert(member.path.clone()) {
            self.listed.push(member);
        }
    }
}

fn leads_out(name: &str) -> String {
    format!("its name in the archive, {name:?}, is no path below it: pack the archive anew")
}

/// The member at `at` (as `list` says) of the archive `bytes`.
///
/// # Errors
/// Where it is not there any more, damaged, or over a limit.
pub(super) fn take(bytes: &[u8], at: &[u32], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let limits = member_limits(limits, limits.zip_total_bytes_max);
    let (first, rest) = at.split_first().expect("a member has a place");
    let mut content = Archive::open(bytes, &limits)?.read(*first as usize)?;
    for number in rest {
        content = Archive::open(&content, &limits)?.read(*number as usize)?;
    }
    Ok(content)
}

/// A member may be as large as a file.
fn member_limits(limits: &Limits, left: u64) -> Limits {
    Limits {
        zip_entries_max: limits.archive_members_max,
        zip_entry_bytes_max: limits.zip_entry_bytes_max.min(limits.input_bytes_max),
        zip_total_bytes_max: left,
        ..limits.clone()
    }
}
