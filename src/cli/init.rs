//! `nightclerk init`: a folder to begin with, whose comments teach; the lines for cron and systemd; the
//! schema of `jobs.toml` for editors. Overwrites nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The files of a new folder: the repository's own, which its first night reads.
const JOBS: &str = include_str!("../../jobs.toml");
const PROMPTS: [(&str, &str); 6] = [
    ("prompts/summary.toml", include_str!("../../prompts/summary.toml")),
    ("prompts/contract-terms.toml", include_str!("../../prompts/contract-terms.toml")),
    ("prompts/nda-terms.toml", include_str!("../../prompts/nda-terms.toml")),
    ("prompts/invoice.toml", include_str!("../../prompts/invoice.toml")),
    ("prompts/patient-letter.toml", include_str!("../../prompts/patient-letter.toml")),
    ("prompts/messages.toml", include_str!("../../prompts/messages.toml")),
];

/// The systemd units, service first.
pub(super) const UNITS: &str =
    concat!(include_str!("nightclerk.service"), "\n", include_str!("nightclerk.timer"));

/// What differs in a folder that is not the repository: from, to.
const OTHERWISE: [(&str, &str); 3] = [
    (
        "# The first night: the documents of fixtures/inbox, summarized and searched for twenty contract terms.\n",
        "#:schema ./jobs.schema.json\n\
         # Put documents into inbox/, then: nightclerk plan, nightclerk run, and open out/report.html.\n\
         # They are summarized and searched for twenty contract terms; change prompts/ to what you ask.\n",
    ),
    ("inbox = \"fixtures/inbox\"", "inbox = \"inbox\""),
    ("\"example.com/first-night\"", "\"example.com/my-documents\""),
];

/// The jobs file of a new folder.
fn jobs_file() -> String {
    OTHERWISE.iter().fold(JOBS.to_owned(), |text, (from, to)| text.replacen(from, to, 1))
}

/// What was made, and what was there already and left as it is.
pub(super) struct Made {
    pub(super) made: Vec<PathBuf>,
    pub(super) left: Vec<PathBuf>,
}

/// Makes the files of a new folder in `folder`, where they are not there yet.
pub(super) fn folder(folder: &Path) -> Result<Made, (PathBuf, io::Error)> {
    let mut result = Made { made: Vec::new(), left: Vec::new() };
    let jobs = jobs_file();
    let files = [("jobs.toml", jobs.as_str()), ("jobs.schema.json", crate::jobs::SCHEMA)];
    for below in ["prompts", "inbox"] {
        let path = folder.join(below);
        fs::create_dir_all(&path).map_err(|error| (path, error))?;
    }
    for (name, text) in files.into_iter().chain(PROMPTS) {
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        match file.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => result.made.push(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => result.left.push(path),
            Err(error) => return Err((path, error)),
        }
    }
    Ok(result)
}

/// A line for crontab(5) that runs the night of `folder`.
pub(super) fn cron_line(folder: &Path) -> String {
    let folder = folder.display().to_string().replace('\'', "'\\''").replace('%', "\\%");
    format!("0 22 * * 1-5 cd '{folder}' && nightclerk run\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_differs_from_the_repository_where_it_must() {
        for (from, to) in OTHERWISE {
            assert!(JOBS.contains(from), "jobs.toml says otherwise now: {from}");
            assert!(jobs_file().contains(to));
        }
        assert!(!jobs_file().contains("fixtures"));
    }

    #[test]
    fn a_folder_with_a_quote_and_a_percent_sign_survives_cron_and_shell() {
        let line = cron_line(Path::new("/srv/a'b/100%"));
        assert_eq!(line, "0 22 * * 1-5 cd '/srv/a'\\''b/100\\%' && nightclerk run\n");
    }
}
