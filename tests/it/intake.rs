//! What is found in input folders, in which order, and what is said of everything that is not read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nightclerk::base::{Digest, DocId, FixedClock, Format, SystemClock};
use nightclerk::intake::{self, Inventory, Source, SourceState};
use nightclerk::jobs::{Places, Plan, load_in};

/// An input folder under a `jobs.toml`; removed at the end.
struct Inbox {
    folder: PathBuf,
    /// Lines of the job's table.
    job: String,
    /// Tables after it.
    rest: String,
}

impl Inbox {
    fn new() -> Inbox {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("nightclerk-intake-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(folder.join("inbox")).expect("the temporary folder is writable");
        let task = "kind = \"summarize\"\ninstruction = \"Summarize.\"\n";
        std::fs::write(folder.join("summary.toml"), task).expect("writable");
        Inbox { folder, job: "settle = \"0s\"".to_owned(), rest: String::new() }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join("inbox").join(name)
    }

    fn write(&self, name: impl AsRef<Path>, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the inbox")).expect("writable");
        std::fs::write(path, content).expect("writable");
    }

    fn plan(&self) -> Plan {
        let text = format!(
            "output = \"out\"\n[model]\npath = \"m.gguf\"\nsha256 = \"{}\"\n[audit]\n\
             origin = \"example.com/x\"\nkey_dir = \"keys\"\n{}\n[[job]]\nname = \"j\"\n\
             input = {{ inbox = \"inbox\" }}\ntasks = [\"summary.toml\"]\n{}\n",
            Digest::of(b""),
            self.rest,
            self.job
        );
        let file = self.folder.join("jobs.toml");
        std::fs::write(&file, text).expect("writable");
        load_in(&file, None, &Places::default())
            .map_err(|error| error.report(false))
            .expect("nothing is wrong with it")
    }

    fn walk(&self) -> Inventory {
        let plan = self.plan();
        intake::walk(&plan, &plan.jobs[0], &SystemClock::new()).expect("the root can be listed")
    }

    fn paths(&self) -> Vec<String> {
        self.walk().sources.into_iter().map(|source| source.path).collect()
    }

    fn only(&self) -> Source {
        let mut sources = self.walk().sources;
        assert_eq!(sources.len(), 1, "{sources:?}");
        sources.remove(0)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn refusal(source: &Source) -> &str {
    match &source.state {
        SourceState::Refused(why) => why,
        other => panic!("{} is {other:?}", source.path),
    }
}

#[test]
fn files_come_in_the_order_of_their_names_whatever_the_disk_says() {
    let inbox = Inbox::new();
    for name in ["b.txt", "a/z.txt", "a.txt", "Z.txt", "a/b/c.txt", "ä.txt", "a-b.txt"] {
        inbox.write(name, b"text");
    }
    let expected = ["Z.txt", "a-b.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt", "ä.txt"];
    assert_eq!(inbox.paths(), expected);
}

#[test]
fn a_source_says_what_it_is() {
    let inbox = Inbox::new();
    inbox.write("2019/lease.pdf", b"%PDF-1.7\n");
    let source = inbox.only();
    assert_eq!(source.id, DocId::new("j", "inbox", "2019/lease.pdf"));
    assert_eq!(source.digest, Digest::of(b"%PDF-1.7\n"));
    assert_eq!((source.format, source.bytes), (Format::Pdf, 9));
    assert_eq!((source.state, source.note.as_str()), (SourceState::Ready, ""));
}

#[test]
fn a_digest_covers_files_larger_than_what_is_looked_at() {
    let inbox = Inbox::new();
    let content = b"many words. ".repeat(50_000);
    inbox.write("long.txt", &content);
    let source = inbox.only();
    assert_eq!((source.digest, source.bytes), (Digest::of(&content), content.len() as u64));
}

#[test]
fn patterns_take_and_leave_and_the_left_are_counted() {
    let mut inbox = Inbox::new();
    inbox.job = "settle = \"0s\"\ninclude = [\"**/*.pdf\"]\nexclude = [\"drafts/**\"]".to_owned();
    for name in ["a.pdf", "B.PDF", "c.txt", "drafts/d.pdf", "final/e.pdf"] {
        inbox.write(name, b"%PDF-1.7\n");
    }
    assert_eq!(inbox.paths(), ["B.PDF", "a.pdf", "final/e.pdf"]);
    assert_eq!(inbox.walk().excluded, 2);
}

#[test]
fn what_editors_leave_behind_is_no_document() {
    let inbox = Inbox::new();
    for name in [".hidden", ".git/config", "~$a.docx", ".~lock.a.docx#", "Thumbs.db", "a.txt~"] {
        inbox.write(name, b"text");
    }
    assert_eq!(inbox.walk(), Inventory::default());
}

#[test]
fn links_are_followed_within_their_root_and_never_out_of_it() {
    let inbox = Inbox::new();
    inbox.write("real/a.txt", b"text");
    std::fs::write(inbox.folder.join("secret.txt"), "secret").expect("writable");
    symlink("real/a.txt", inbox.path("inside.txt")).expect("writable");
    symlink("real", inbox.path("folder")).expect("writable");
    symlink("../secret.txt", inbox.path("outside.txt")).expect("writable");
    symlink("..", inbox.path("up")).expect("writable");
    symlink("nowhere", inbox.path("broken.txt")).expect("writable");
    let sources = inbox.walk().sources;
    let names: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(names, ["broken.txt", "inside.txt", "outside.txt", "real/a.txt", "up"]);
    assert!(refusal(&sources[0]).contains("leads nowhere"));
    assert_eq!(sources[1].state, SourceState::Ready);
    assert_eq!(sources[1].digest, sources[3].digest);
    for outside in [&sources[2], &sources[4]] {
        assert!(refusal(outside).contains("out of the input folder"));
        assert_eq!(outside.digest, Digest::of(b""), "it was not even read");
    }
}

#[test]
fn a_pipe_is_refused_without_waiting_for_a_writer() {
    let inbox = Inbox::new();
    let made = std::process::Command::new("mkfifo").arg(inbox.path("pipe.pdf")).status();
    assert!(made.expect("mkfifo is in coreutils").success());
    assert!(refusal(&inbox.only()).contains("pipe"));
}

#[test]
fn what_cannot_be_opened_is_named_with_the_systems_words() {
    let inbox = Inbox::new();
    inbox.write("shut.txt", b"text");
    inbox.write("shut/a.txt", b"text");
    for name in ["shut.txt", "shut"] {
        let shut = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(inbox.path(name), shut).expect("ours");
    }
    let is_open = std::fs::read_dir(inbox.path("shut")).is_ok();
    let sources = inbox.walk().sources;
    let open = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(inbox.path("shut"), open).expect("ours");
    if is_open {
        return; // Root may read anything: there is nothing to see here.
    }
    assert_eq!(sources.len(), 2);
    assert!(refusal(&sources[0]).contains("cannot be listed: Permission denied"));
    assert!(refusal(&sources[1]).contains("cannot be opened: Permission denied"));
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let mut inbox = Inbox::new();
    inbox.rest = "[limits]\ninput_max = \"1KiB\"".to_owned();
    inbox.write("fits.txt", &[b'x'; 1024]);
    inbox.write("large.txt", &[b'x'; 1025]);
    let sources = inbox.walk().sources;
    assert_eq!(sources[0].state, SourceState::Ready);
    assert!(refusal(&sources[1]).contains("1025 bytes are more than the 1024"));
    assert_eq!(sources[1].digest, Digest::of(b""));
}

#[test]
fn a_young_file_waits_and_is_told_until_when() {
    let mut inbox = Inbox::new();
    inbox.job = "settle = \"2m\"".to_owned();
    inbox.write("young.txt", b"text");
    let file = std::fs::File::open(inbox.path("young.txt")).expect("just written");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    file.set_modified(time).expect("ours");
    let plan = inbox.plan();
    let at = |seconds: i64| {
        let clock =
            FixedClock(jiff::Timestamp::from_second(1_700_000_000 + seconds).expect("valid"));
        let inventory = intake::walk(&plan, &plan.jobs[0], &clock).expect("the root is there");
        inventory.sources.into_iter().next().expect("one file")
    };
    let SourceState::Deferred(why) = at(30).state else { panic!("it is 30 s old") };
    assert!(why.contains("2023-11-14T22:15:20Z"), "{why}");
    assert_eq!(at(120).state, SourceState::Ready);
    let early = at(-86_400);
    assert_eq!(early.state, SourceState::Ready);
    assert!(early.note.contains("future"), "{}", early.note);
}

#[test]
fn names_that_are_not_utf_8_are_kept_apart() {
    let inbox = Inbox::new();
    inbox.write(OsStr::from_bytes(b"caf\xe9.txt"), b"text");
    assert_eq!(inbox.only().path, "caf%E9.txt");
    inbox.write("caf%E9.txt", b"another text");
    let sources = inbox.walk().sources;
    assert_eq!(sources.len(), 2);
    assert!(sources.iter().all(|source| refusal(source).contains("rename one")));
}

#[test]
fn a_file_that_changes_after_it_was_fingerprinted_is_found_out() {
    let inbox = Inbox::new();
    inbox.write("a.txt", b"first");
    let source = inbox.only();
    assert_eq!(intake::unchanged(&source), Ok(()));
    assert!(intake::open(&source).is_ok());

    inbox.write("a.txt", b"second!");
    assert!(intake::unchanged(&source).expect_err("longer").contains("had 5 bytes and has 7"));
    inbox.write("a.txt", b"other");
    let file = std::fs::File::open(inbox.path("a.txt")).expect("just written");
    file.set_modified(source.modified.into()).expect("ours");
    let why = intake::unchanged(&source).expect_err("same size, same time, other bytes");
    assert!(why.contains("content"), "{why}");
    std::fs::remove_file(inbox.path("a.txt")).expect("ours");
    symlink("../secret.txt", inbox.path("a.txt")).expect("writable");
    assert!(intake::open(&source).is_err(), "a link that took its place is not followed");
}

#[test]
fn a_name_that_promises_another_format_is_noted() {
    let inbox = Inbox::new();
    inbox.write("scan.docx", b"%PDF-1.7\n");
    let source = inbox.only();
    assert_eq!((source.format, &source.state), (Format::Pdf, &SourceState::Ready));
    assert_eq!(source.note, "named .docx, but its content is pdf: taken as pdf");
}

#[test]
fn a_file_named_by_hand_is_opened_from_its_beginning() {
    let inbox = Inbox::new();
    inbox.write("lease.docx", b"%PDF-1.7\n");
    symlink("lease.docx", inbox.path("link.pdf")).expect("writable");
    let (file, format, note) = intake::open_named(&inbox.path("lease.docx")).expect("readable");
    assert_eq!(std::io::read_to_string(file).expect("readable"), "%PDF-1.7\n");
    assert_eq!(format, Format::Pdf);
    assert!(note.contains("named .docx"), "{note}");
    assert!(intake::open_named(&inbox.path("link.pdf")).is_ok(), "a person may name a link");
    inbox.write("empty.pdf", b"");
    assert!(intake::open_named(&inbox.path("empty.pdf")).expect_err("empty").contains("0 bytes"));
    assert!(
        intake::open_named(&inbox.path("gone.pdf")).expect_err("gone").contains("No such file")
    );
}

#[test]
fn a_root_that_is_gone_stops_the_job_instead_of_looking_empty() {
    let inbox = Inbox::new();
    let plan = inbox.plan();
    std::fs::remove_dir(inbox.path("")).expect("it is empty");
    let error = intake::walk(&plan, &plan.jobs[0], &SystemClock::new()).expect_err("gone");
    assert!(error.to_string().contains("is a share not mounted?"), "{error}");
}

#[test]
fn equal_files_are_two_documents() {
    let inbox = Inbox::new();
    inbox.write("a.txt", b"text");
    inbox.write("b.txt", b"text");
    let sources = inbox.walk().sources;
    assert_eq!(sources[0].digest, sources[1].digest);
    assert_ne!(sources[0].id, sources[1].id);
    assert!(sources.iter().all(|source| source.state == SourceState::Ready));
}
