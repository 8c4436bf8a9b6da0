//! The results of a batch so far, beside where they will stand: a heading that says what they are a function
//! of, then a line for each in the order in which they came. Only whole lines count.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder_of;
use crate::base::Digest;
use crate::run::Broken;

/// An open file of results.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    /// Bytes of its whole lines.
    len: u64,
    /// Line of the request → where its result stands, and whether it is an error.
    results: BTreeMap<usize, (u64, u64, bool)>,
}

impl Part {
    /// Opens what an earlier start left beside `output`, where it is of the same `identity`; else begins anew.
    ///
    /// # Errors
    /// `Usage` where another start is at work on it, `Disk`.
    pub(super) fn open(output: &Path, identity: &Digest) -> Result<Part, Broken> {
        let mut path = output.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|error| Broken::disk(&path, &error))?;
        if file.try_lock().is_err() {
            let why = "another nightclerk is at work on this batch";
            return Err(Broken::Usage(format!("{}: {why}", path.display())));
        }
        let mut part = Part { path, file, len: 0, results: BTreeMap::new() };
        let heading = format!("nightclerk batch {identity}\n");
        part.read(&heading)
            .and_then(|()| part.begin(&heading))
            .map_err(|error| part.broken(&error))?;
        Ok(part)
    }

    /// Takes in what stands there, up to the first line that is not whole.
    fn read(&mut self, heading: &str) -> io::Result<()> {
        let mut lines = BufReader::new(&self.file);
        let mut line = String::new();
        let mut results = BTreeMap::new();
        let mut len = 0;
        // What is no text was torn, too.
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            if len == 0 && line != heading {
                break;
            }
            if len > 0 {
                let Some((number, reply)) = line.trim_end().split_once('\t') else { break };
                let Ok(number) = number.parse::<usize>() else { break };
                let Ok(reply) = serde_json::from_str::<Value>(reply) else { break };
                let at = len + (line.find('\t').unwrap_or(0) + 1) as u64;
                let end = len + line.len() as u64 - 1;
                results.insert(number, (at, end, is_error(&reply)));
            }
            len += line.len() as u64;
            line.clear();
        }
        (self.results, self.len) = (results, len);
        Ok(())
    }

    /// Cuts off what does not count, and heads an empty file.
    fn begin(&mut self, heading: &str) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::End(0))?;
        if self.len == 0 {
            self.file.write_all(heading.as_bytes())?;
            self.len = heading.len() as u64;
        }
        Ok(())
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.results.contains_key(&number)
    }

    /// Results so far.
    pub(super) fn len(&self) -> usize {
        self.results.len()
    }

    /// Results that are errors.
    pub(super) fn refused(&self) -> usize {
        self.results.values().filter(|(_, _, is_error)| *is_error).count()
    }

    /// Keeps the result of the request in line `number`.
    pub(super) fn put(&mut self, number: usize, reply: &Value) -> Result<(), Broken> {
        let line = format!("{number}\t{reply}\n");
        self.file.write_all(line.as_bytes()).map_err(|error| self.broken(&error))?;
        let at = self.len + (line.find('\t').unwrap_or(0) + 1) as u64;
        self.len += line.len() as u64;
        self.results.insert(number, (at, self.len - 1, is_error(reply)));
        Ok(())
    }

    /// Puts the results into `output` in the order of the requests, durable and in one step, and removes
    /// itself.
    pub(super) fn finish(mut self, output: &Path) -> Result<(), Broken> {
        let mut temporary = output.as_os_str().to_owned();
        temporary.push("-tmp");
        let temporary = PathBuf::from(temporary);
        let written = self.sort_into(&temporary).and_then(|()| {
            fs::rename(&temporary, output)?;
            File::open(folder_of(output))?.sync_all()
        });
        written.map_err(|error| Broken::disk(output, &error))?;
        fs::remove_file(&self.path).map_err(|error| self.broken(&error))
    }

    fn sort_into(&mut self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut out = BufWriter::new(file);
        for (at, end, _) in self.results.values() {
            self.file.seek(SeekFrom::Start(*at))?;
            let mut line = vec![0; (end - at) as usize];
            self.file.read_exact(&mut line)?;
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
        out.into_inner()?.sync_all()
    }

    fn broken(&self, error: &io::Error) -> Broken {
        Broken::disk(&self.path, error)
    }
}

fn is_error(reply: &Value) -> bool {
    reply["response"]["status_code"] != 200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_torn_is_asked_again_and_what_is_of_another_batch_does_not_count() {
        let name = format!("nightclerk-part-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let output = folder.join("out.jsonl");
        let part = folder.join("out.jsonl.part");
        let (mine, other) = (Digest([1; 32]), Digest([2; 32]));
        let reply = |status: u16| serde_json::json!({ "response": { "status_code": status } });
        let mut first = Part::open(&output, &mine).unwrap();
        assert!(Part::open(&output, &mine).is_err(), "it is being written");
        first.put(3, &reply(200)).unwrap();
        first.put(1, &reply(400)).unwrap();
        drop(first);
        let whole = fs::read(&part).unwrap();
        fs::write(&part, [&whole[..], b"2\t{\"respo"].concat()).unwrap();
        let mut again = Part::open(&output, &mine).unwrap();
        assert_eq!((again.len(), again.refused(), again.has(2)), (2, 1, false));
        again.put(2, &reply(200)).unwrap();
        again.finish(&output).unwrap();
        let lines = fs::read_to_string(&output).unwrap();
        let expected = [400, 200, 200].map(|status| format!("{}\n", reply(status))).concat();
        assert_eq!(lines, expected);
        assert!(!part.exists());
        fs::write(&part, &whole).unwrap();
        assert_eq!(Part::open(&output, &other).unwrap().len(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }
}
