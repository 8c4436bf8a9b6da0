//! Where a record stands below the output folder. One source, one place: never outside, never that
//! of another source, never too long for a file system.

use super::OutputError;
use crate::base::Digest;

/// Below the output folder and not a job's: names that no job can have.
const RESERVED: [&str; 5] = ["tables", "report", "report.html", "last-run.json", ".nightclerk"];

/// Longest name of a file on Linux's file systems (NAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// Longest path below the output folder; PATH_MAX is 4096 with the output folder's own path.
const PATH_BYTES_MAX: usize = 2048;

/// The paths of a record's JSON and Markdown file below the output folder: `<job>/<root>/<path>` with
/// `.json` and `.md`.
///
/// A folder that is itself named like such a file gets a `~` (else source `a` and source `a.json/b`
/// would collide); a name that would be too long keeps its beginning and gets its digest.
///
/// # Errors
/// `OutputError::Path` where a part is empty, `.`, `..` or holds a NUL, and where the job has the name
/// of something else in the output folder.
pub fn record_paths(job: &str, root: &str, path: &str) -> Result<[String; 2], OutputError> {
    let (folder, name) = place(job, root, path)?;
    let name = short(name, ".json".len());
    Ok([format!("{folder}{name}.json"), format!("{folder}{name}.md")])
}

/// Where the rows of a table stand that are documents of their own: as `record_paths`, with `.rows.csv`.
///
/// # Errors
/// As `record_paths`.
pub fn rows_path(job: &str, root: &str, path: &str) -> Result<String, OutputError> {
    let (folder, name) = place(job, root, path)?;
    Ok(format!("{folder}{}.rows.csv", short(name, ".rows.csv".len())))
}

/// The folder of a source's files, with its `/`, and the last part of its path.
fn place<'a>(job: &str, root: &str, path: &'a str) -> Result<(String, &'a str), OutputError> {
    let refused =
        |why: &'static str| OutputError::Path { path: format!("{job}/{root}/{path}"), why };
    let parts: Vec<&str> = [job, root].into_iter().chain(path.split('/')).collect();
    if job.contains('/') || root.contains('/') {
        return Err(refused("job and root are single names"));
    }
    if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('\0')) {
        return Err(refused("a part is empty, `.`, `..` or holds a NUL"));
    }
    // `.new` is how a table beside an edited one is called.
    if RESERVED.contains(&job) || job.starts_with('.') || job.ends_with(".new") {
        return Err(refused("the job has a name that the output folder uses itself"));
    }
    let folders = &parts[..parts.len() - 1];
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut folder = String::new();
    for part in folders {
        folder.push_str(&short(&folder_name(part), 0));
        folder.push('/');
    }
    if folder.len() > PATH_BYTES_MAX {
        let digest = Digest::of(folder.as_bytes());
        folder =
            format!("{}/{}/~{digest}/", short(&folder_name(job), 0), short(&folder_name(root), 0));
    }
    Ok((folder, name))
}

/// `a.json` → `a.json~`, `a.json~` → `a.json~~`: no folder is named like a record, and no two meet.
fn folder_name(part: &str) -> String {
    let stem = part.trim_end_matches('~');
    let is_like_record = [".json", ".md", ".rows.csv"].iter().any(|end| stem.ends_with(end));
    format!("{part}{}", if is_like_record { "~" } else { "" })
}

/// `name` if `name` and `ending` more bytes fit a file's name; else its beginning and its digest.
fn short(name: &str, ending: usize) -> String {
    if name.len() + ending <= NAME_BYTES_MAX {
        return name.into();
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    let kept = name.floor_char_boundary(NAME_BYTES_MAX - ending - 33);
    format!("{}~{}", &name[..kept], &digest[..32])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_record_stands_under_job_root_and_path() {
        let paths = record_paths("contracts", "inbox", "2019/lease 2019.pdf").unwrap();
        assert_eq!(
            paths,
            ["contracts/inbox/2019/lease 2019.pdf.json", "contracts/inbox/2019/lease 2019.pdf.md"]
        );
    }

    #[test]
    fn no_path_leads_out_of_the_output_folder() {
        for path in ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "a/.", "a\0b"] {
            assert!(record_paths("job", "root", path).is_err(), "{path:?}");
        }
        assert!(record_paths("..", "root", "x").is_err());
        assert!(record_paths("job", "..", "x").is_err());
        assert!(record_paths("job", "a/b", "x").is_err());
        for job in ["tables", "report", ".nightclerk", "last-run.json", ".hidden", "a.new"] {
            assert!(record_paths(job, "root", "x").is_err(), "{job:?}");
        }
    }

    #[test]
    fn no_two_sources_share_a_file_or_turn_one_into_a_folder() {
        let sources = [
            "a",
            "a.json",
            "a.md",
            "a.json/b",
            "a.rows.csv",
            "a.rows.csv/b",
            "a.json~/b",
            "a.json~~/b",
            "a.md/b",
            "a.md~/b",
            "a~/b",
            "a/b.json",
            "a/b",
        ];
        let mut files = BTreeSet::new();
        for source in sources {
            // "a" and "a/b" cannot both be sources: one would be file and folder at the input too.
            let paths = record_paths("job", "root", source).unwrap();
            let rows = rows_path("job", "root", source).unwrap();
            let paths = paths.into_iter().chain([rows]);
            assert!(paths.into_iter().all(|path| files.insert(path)), "{source}");
        }
        for file in &files {
            let mut folder = file.as_str();
            while let Some((above, _)) = folder.rsplit_once('/') {
                assert!(!files.contains(above), "{above} is a file and a folder");
                folder = above;
            }
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = |last: char| format!("{}{last}", "ä".repeat(140));
        let a = record_paths("job", "root", &long('a')).unwrap();
        let b = record_paths("job", "root", &long('b')).unwrap();
        assert_ne!(a, b);
        let name = a[0].rsplit('/').next().unwrap();
        assert!(name.len() <= 255 && name.ends_with(".json") && name.starts_with("ää"), "{name}");
        let deep = vec!["folder"; 600].join("/");
        let deep = record_paths("job", "root", &deep).unwrap();
        assert!(deep[0].len() < 512, "{}", deep[0].len());
        // The longest name that needs no cut.
        let whole = "x".repeat(250);
        assert_eq!(record_paths("j", "r", &whole).unwrap()[0], format!("j/r/{whole}.json"));
    }
}
