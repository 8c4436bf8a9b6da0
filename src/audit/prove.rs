//! A folder that proves one document's record to somebody with `sha256sum`, `openssl` and a shell, and
//! shows nothing of any other document: leaves are salted.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::error::LogError;
use super::event::{Event, OutputFile};
use super::ledger::Ledger;
use super::line::Entry;
use super::note::Note;
use super::proof::Inclusion;
use super::rules::Chain;
use super::segments::{self, Watch};
use super::tree;
use crate::base::limits::VERIFY_ENTRIES_MAX;
use crate::base::{Digest, Disk, DocId, base64, digest_file};

/// What a folder proves.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The entry, and the size of the log that it is shown to be in.
    pub seq: u64,
    pub size: u64,
    /// Bytes of entry, path and checkpoint together.
    pub bytes: u64,
    /// Output files of the document, where they are in the folder.
    pub files: Vec<String>,
}

/// Where the document's own files stand in the folder: its name is anything, also that of one of the others.
const FILES_FOLDER: &str = "files";

/// Writes the proof of the last entry that answers the document that `which` chooses (else of the last that
/// gives it an outcome).
///
/// # Errors
/// `Bundle` where the log does not have it, has not signed it, or a file is not as logged; `Broken` or
/// `Unfit` where the log does not hold; `Io`; what `which` says.
pub fn prove<E: From<LogError>>(
    disk: &dyn Disk,
    state: &Path,
    output: &Path,
    which: impl FnOnce(&Ledger) -> Result<DocId, E>,
    folder: &Path,
) -> Result<Proof, E> {
    let walk =
        segments::walk(state, &Watch { entries_max: VERIFY_ENTRIES_MAX, ..Watch::default() })?;
    if let Some(bad) = walk.bad {
        return Err(bad.refusal().into());
    }
    let doc = which(walk.chain.ledger())?;
    Ok(write(disk, state, output, (&walk.chain, &doc), folder)?)
}

fn write(
    disk: &dyn Disk,
    state: &Path,
    output: &Path,
    (chain, doc): (&Chain, &DocId),
    folder: &Path,
) -> Result<Proof, LogError> {
    let refused = |why: &str| LogError::Bundle { path: folder.into(), why: why.into() };
    let known = chain.ledger().doc(doc);
    let last = known.as_ref().and_then(|doc| doc.last.as_ref()).map(|last| last.seq);
    let seq = known.as_ref().and_then(|doc| doc.done.as_ref()).map(|done| done.seq).or(last);
    let seq = seq.ok_or_else(|| refused("the log gives this document no outcome"))?;
    let (size, key) = match chain.signing().log_key() {
        Some(key) if chain.signing().signed() > seq => (chain.signing().signed(), key),
        _ => return Err(refused("no checkpoint covers its entry yet; the next run signs it")),
    };

    let (mut inclusion, mut line) = (Inclusion::of(seq, size), Vec::new());
    segments::each_line(state, size, |at, bytes| {
        inclusion.push(tree::leaf(bytes));
        if at == seq {
            line = bytes.to_vec();
        }
    })?;
    let path = inclusion.path();
    let note = segments::read_note(state, size)?.unwrap_or_default();
    let note = Note::parse(&note).map_err(refused)?;
    let signature = note.verified(key).map_err(refused)?;
    let proof = tlog_proof(seq, &path, &note);

    let files = files_of(&line, output, folder)?;
    let sums: String =
        files.iter().map(|(name, digest, _)| format!("{digest}  {name}\n")).collect();
    let public = key.pem();
    let page = instructions(seq, size, chain.origin(), files.is_empty());
    let fixed: [(&str, &[u8]); 7] = [
        ("entry.json", &line),
        ("proof.tlog-proof", proof.as_bytes()),
        ("checkpoint.txt", note.text.as_bytes()),
        ("checkpoint.sig", signature),
        ("log.pub", public.as_bytes()),
        ("files.sha256", sums.as_bytes()),
        ("READ-ME.md", page.as_bytes()),
    ];
    for folder in [folder, &folder.join(FILES_FOLDER)] {
        disk.create_folder(folder).map_err(LogError::io(folder, "cannot make the folder"))?;
    }
    let own = files.iter().map(|(name, _, bytes)| (name.as_str(), bytes.as_slice()));
    for (name, bytes) in fixed.into_iter().chain(own) {
        let path = folder.join(name);
        disk.write(&path, bytes).map_err(LogError::io(&path, "cannot write"))?;
    }
    let files = files.into_iter().map(|(name, ..)| name).collect();
    Ok(Proof { seq, size, bytes: proof.len() as u64, files })
}

/// C2SP tlog-proof: index, siblings, checkpoint.
fn tlog_proof(seq: u64, path: &[Digest], note: &Note) -> String {
    let mut text = format!("c2sp.org/tlog-proof@v1\nindex {seq}\n");
    for hash in path {
        let _ = writeln!(text, "{}", base64::encode(&hash.0));
    }
    format!("{text}\n{note}")
}

/// The files that the entry names, each as logged, under their last names: without what `sha256sum` would
/// read otherwise in a list of names.
fn files_of(
    line: &[u8],
    output: &Path,
    folder: &Path,
) -> Result<Vec<(String, Digest, Vec<u8>)>, LogError> {
    let outputs: Vec<OutputFile> = match Entry::from_line(line).map(|entry| entry.event) {
        Ok(Event::DocDone(done)) => done.outputs,
        Ok(Event::DocFail(fail)) => fail.outputs,
        Ok(Event::DocSkip(skip)) => skip.outputs,
        _ => Vec::new(),
    };
    let read = |file: OutputFile| {
        let path = output.join(&file.path);
        let unread = |error| LogError::io(&path, "cannot read the record")(error);
        // First as a stream: another file may stand there, of any size, or be put there until it is read.
        let is_logged = digest_file(&path).map_err(unread)? == Some(file.sha256);
        let bytes = is_logged.then(|| fs::read(&path)).transpose().map_err(unread)?;
        let Some(bytes) = bytes.filter(|bytes| Digest::of(bytes) == file.sha256) else {
            let why = format!("{} is not as logged", path.display());
            return Err(LogError::Bundle { path: folder.into(), why });
        };
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        let name = name.replace(|c: char| c.is_control() || c == '\\', "_");
        Ok((format!("{FILES_FOLDER}/{name}"), file.sha256, bytes))
    };
    outputs.into_iter().map(read).collect()
}

/// The step of the page that holds the files against the entry.
const FILES_STEP: &str = r#"3. The files are those of the entry: every line says OK, and every digest stands in `entry.json`:

```sh
sha256sum -c files.sha256
cut -c1-64 files.sha256 | while read digest; do grep -q "$digest" entry.json || exit 1; done
```"#;

/// The page that goes with the files. Its commands are run by a test.
fn instructions(seq: u64, size: u64, origin: &str, no_files: bool) -> String {
    // An empty list of digests is an error to sha256sum.
    let files = match no_files {
        true => "3. The entry names no files: `entry.json` has `\"outputs\":[]`.",
        false => FILES_STEP,
    };
    format!(
        r#"# Proof of one record of the audit log {origin}

`entry.json` is what the log says of the document: what was read (`input_sha256`), what was written
(`outputs`), when, with what. It is entry {seq} of a log whose first {size} entries `checkpoint.txt` names by one
hash, signed by the log's key. Nothing here says anything of any other document. You need `sha256sum`,
`openssl` 3 and a shell; run the commands in this folder. Each must end as it says.

1. The key is the log's: this prints the last part of the verifier key, behind its second `+`. Compare it with
   the one that you were given on another way:

```sh
{{ printf '\001'; openssl pkey -pubin -in log.pub -outform DER | tail -c 32; }} | openssl base64 -A; echo
```

2. The checkpoint was signed with it ("Signature Verified Successfully"):

```sh
openssl pkeyutl -verify -pubin -inkey log.pub -rawin -in checkpoint.txt -sigfile checkpoint.sig
```

{files}

4. The document that you hold is the one that was read: its digest is the entry's `input_sha256`.

       sha256sum YOUR-FILE; grep -o '"input_sha256":"[0-9a-f]*"' entry.json

5. The entry is in the log: from its hash up the tree (RFC 6962), by the siblings in `proof.tlog-proof` (C2SP
   tlog-proof), to the root that was signed. Prints "in the log":

```sh
work=$(mktemp -d)
hash() {{ openssl dgst -sha256 -binary > $work/next && mv $work/next $work/hash; }}
{{ printf '\000'; cat entry.json; }} | hash
at={seq}; last=$(({size} - 1))
for sibling in $(sed -n '3,/^$/p' proof.tlog-proof); do
  printf %s "$sibling" | openssl base64 -d -A > $work/sibling
  if [ $((at % 2)) = 1 ] || [ $at = $last ]; then
    {{ printf '\001'; cat $work/sibling $work/hash; }} | hash
    while [ $((at % 2)) = 0 ] && [ $at != 0 ]; do at=$((at / 2)); last=$((last / 2)); done
  else
    {{ printf '\001'; cat $work/hash $work/sibling; }} | hash
  fi
  at=$((at / 2)); last=$((last / 2))
done
[ $last = 0 ] && [ "$(openssl base64 -A < $work/hash)" = "$(sed -n 3p checkpoint.txt)" ] && echo "in the log"
```

What this does not show: that the checkpoint is the log's latest, or that no later entry supersedes this
one. `nightclerk verify` beside the whole log does.
"#
    )
}
