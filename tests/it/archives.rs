//! ZIP archives as inputs: each member is a document with an outcome of its own, and nothing of an archive
//! lands on the disk.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::process::Output;

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::night::{check_verifies, contract, facts, office, outcomes, records, run};
use crate::support::{Folder, nightclerk, told};

/// An archive of `members`; a name that ends with `/` is a folder.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, content) in members {
        match name.strip_suffix('/') {
            Some(folder) => zip.add_directory(folder, options).unwrap(),
            None => {
                zip.start_file(*name, options).unwrap();
                zip.write_all(content).unwrap();
            }
        }
    }
    zip.finish().unwrap().into_inner()
}

/// An office that opens archives, with nothing in it.
fn mail_room(name: &str) -> Folder {
    let folder = office(name, 0);
    std::fs::create_dir_all(folder.path().join("in")).unwrap();
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs + "archives = true\n");
    folder
}

fn reasons(output: &Output) -> BTreeMap<String, String> {
    let facts = facts(output);
    let word = |end: &Value, key: &str| end[key].as_str().unwrap_or_default().to_owned();
    let ends = facts["documents"].as_array().unwrap();
    ends.iter().map(|end| (word(end, "path"), word(end, "reason"))).collect()
}

fn replaced(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
}

#[test]
fn members_are_documents_by_night_and_stay_done() {
    let folder = mail_room("members");
    let lease = |number| contract(number).into_bytes();
    let inner = archive(&[("x.txt", &lease(3))]);
    let box_zip = |second: &[u8]| {
        archive(&[
            ("lease.txt", &lease(1)),
            ("2019/", b""),
            ("2019/lease.txt", second),
            ("more/inner.zip", &inner),
            ("__MACOSX/._lease.txt", b"a fork"),
        ])
    };
    folder.write("in/box.zip", box_zip(&lease(2)));
    let first = run(&folder, &["--format", "json"]);
    let ends = outcomes(&facts(&first));
    let paths: Vec<&str> = ends.keys().map(String::as_str).collect();
    let expected = ["box.zip/2019/lease.txt", "box.zip/lease.txt", "box.zip/more/inner.zip/x.txt"];
    assert_eq!(paths, expected, "{}", told(&first));
    assert!(ends.values().all(|end| end == "done" || end == "partial"), "{ends:?}");
    check_verifies(&folder);
    let record: Value =
        serde_json::from_str(&folder.read("out/contracts/inbox/box.zip/lease.txt.json")).unwrap();
    let digest = nightclerk::base::Digest::of(&lease(1)).to_string();
    assert_eq!(record["source"]["sha256"], digest.as_str(), "of the member, not the archive");
    let report = nightclerk(folder.path(), ["report", "-c", "jobs.toml"]).output().unwrap();
    assert_eq!(report.status.code(), Some(0), "{}", told(&report));
    let texts: String = folder
        .files()
        .iter()
        .filter(|name| name.starts_with("out/report/"))
        .map(|name| folder.read(name))
        .collect();
    assert!(texts.contains("Tenant 3"), "the text of a member of a member is there to quote from");

    // Packed anew, one member is another: it alone is due.
    let before = records(&folder);
    folder.write("in/box.zip", box_zip(&lease(7)));
    let second = run(&folder, &["--format", "json"]);
    let ends = outcomes(&facts(&second));
    let due: Vec<_> = ends.iter().filter(|(_, end)| *end != "unchanged").collect();
    assert_eq!(due.len(), 1, "{}", told(&second));
    assert_eq!(due[0].0, "box.zip/2019/lease.txt");
    let kept = "out/contracts/inbox/box.zip/lease.txt.json";
    assert_eq!(records(&folder)[kept], before[kept]);
    check_verifies(&folder);
}

#[test]
fn what_is_wrong_with_a_member_is_said_of_it_alone() {
    let folder = mail_room("wrong");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    let members: [(&str, &[u8]); 8] = [
        ("good.txt", b"This lease is made on 1 March 2024."),
        ("../../escaped.txt", b"out of here"),
        ("/etc/passwd", b"out of here"),
        ("twin1.txt", b"one"),
        ("twin2.txt", b"the other"),
        ("secret.txt", b"locked"),
        ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("broken.txt", b"These words have a checksum."),
    ];
    for (name, content) in members {
        zip.start_file(name, options.compression_method(zip::CompressionMethod::Stored)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.start_file("bomb.txt", options).unwrap();
    // Of 60 MiB more than 50 are let through only where they come from enough bytes.
    for _ in 0..60 {
        zip.write_all(&vec![b'a'; 1 << 20]).unwrap();
    }
    zip.add_symlink("link.txt", "/etc/passwd", options).unwrap();
    let deep = archive(&[("deep.txt", b"down here")]);
    let deep = archive(&[("3.zip", &deep)]);
    let deep = archive(&[("2.zip", &deep)]);
    zip.start_file("1.zip", options).unwrap();
    zip.write_all(&deep).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    replaced(&mut bytes, b"twin2", b"twin1");
    replaced(&mut bytes, b"These words", b"Those words");
    // The flag of an encrypted member, in the list of contents.
    let list = bytes.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
    let at = bytes.windows(10).rposition(|it| it == b"secret.txt").unwrap();
    assert!(at < list, "an entry before the last");
    bytes[at - 46 + 8] |= 1;
    folder.write("in/box.zip", bytes);

    let output = run(&folder, &["--format", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let (ends, reasons) = (outcomes(&facts(&output)), reasons(&output));
    let refused = |path: &str, why: &str| {
        let reason = reasons.get(path).unwrap_or_else(|| panic!("no {path}: {reasons:?}"));
        assert_eq!(ends[path], "refused", "{path}: {reason}");
        assert!(reason.contains(why), "{path}: {reason}");
    };
    assert!(ends["box.zip/good.txt"] != "refused", "{reasons:?}");
    refused("box.zip/entry 1", "\"../../escaped.txt\"");
    refused("box.zip/entry 2", "\"/etc/passwd\"");
    refused("box.zip/twin1.txt", "several members of this name");
    refused("box.zip/secret.txt", "encrypted");
    refused("box.zip/old.doc", "");
    refused("box.zip/broken.txt", "damaged");
    refused("box.zip/bomb.txt", "inflates");
    refused("box.zip/link.txt", "a link");
    refused("box.zip/1.zip/2.zip/3.zip", "3 deep");
    assert_eq!(ends.len(), 10, "{ends:?}");
    check_verifies(&folder);
    let outside = |name: &String| name.contains("escaped") || name.contains("passwd");
    assert!(!folder.files().iter().any(outside), "{:?}", folder.files());
}

#[test]
fn an_archive_is_opened_only_where_its_job_says_so() {
    let folder = mail_room("closed");
    let content =
        archive(&[("lease.txt", contract(1).as_bytes()), ("photo.png", b"\x89PNG\r\n\x1a\n")]);
    folder.write("in/box.zip", &content);
    folder.write("in/empty.zip", archive(&[("folder/", b"")]));
    folder.write("in/cut.zip", &content[..content.len() / 2]);
    let jobs = folder.read("jobs.toml");
    let plan = |jobs: String| {
        folder.write("jobs.toml", jobs);
        told(&nightclerk(folder.path(), ["plan", "-c", "jobs.toml"]).output().unwrap())
    };
    let closed = plan(jobs.replace("archives = true", ""));
    assert!(closed.contains("box.zip: zip is not read yet: set `archives = true`"), "{closed}");

    let open = plan(jobs.clone());
    assert!(open.contains("inbox/box.zip/lease.txt: 1 page"), "{open}");
    assert!(open.contains("inbox/box.zip/photo.png: image is not read yet"), "{open}");
    assert!(open.contains("inbox/empty.zip: an archive with no file in it"), "{open}");
    assert!(open.contains("inbox/cut.zip: the ZIP container cannot be opened"), "{open}");

    // Patterns are asked about members; an archive need not be named by them.
    let texts = plan(jobs.replace("[\"**/*\"]", "[\"**/*.txt\"]"));
    assert!(texts.contains("box.zip/lease.txt") && !texts.contains("photo.png"), "{texts}");
    let folder_of_that_name = plan(jobs.replace("[\"**/*\"]", "[\"box.zip/*\"]"));
    assert!(folder_of_that_name.contains("box.zip/lease.txt"), "{folder_of_that_name}");
}
