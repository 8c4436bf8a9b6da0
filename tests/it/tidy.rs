//! The rules of the house that a compiler does not hold: who may import whom, where `unsafe` may stand,
//! that nothing can open a connection, and how the tree looks. Each check has a test that breaks it.
//!
//! A check takes text and gives back what is wrong with it; the tests above feed it the tree.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Which rooms a room may import (the table of the map, `src/README.md`).
const IMPORTS: [(&str, &[&str]); 13] = [
    ("base", &[]),
    ("jobs", &["base"]),
    ("intake", &["base", "jobs"]),
    ("extract", &["base"]),
    ("chunk", &["base", "extract"]),
    ("prompt", &["base", "jobs", "chunk", "engine"]),
    ("engine", &["base"]),
    ("assemble", &["base", "jobs", "extract", "chunk", "prompt"]),
    ("output", &["base", "assemble"]),
    ("audit", &["base"]),
    ("isolate", &["base"]),
    (
        "run",
        &[
            "base", "jobs", "intake", "extract", "chunk", "prompt", "engine", "assemble", "output",
            "audit", "isolate",
        ],
    ),
    ("cli", &["base", "jobs", "run", "audit"]),
];

/// What `prompt` may say of the engine: the request and its parts, no token and no tensor.
const ENGINE_OF_PROMPT: [&str; 4] = ["Request", "Form", "Part", "Sampling"];

/// The modules that may say `unsafe`.
const UNSAFE_ADDRESSES: [&str; 2] = ["src/engine/kernels", "src/isolate"];

/// Names by which std opens connections.
const NETWORK_NAMES: [&str; 9] = [
    "std::net",
    "core::net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixListener",
    "UnixDatagram",
    // A pair of them is a pipe that carries descriptors, which `isolate` needs.
    "UnixStream::connect",
    "ToSocketAddrs",
];

/// Crates that can open a connection, or are there for one; `*` ends a prefix. rustix, nix and libc
/// know the system call as they know all others, and are shut in by `isolate`.
const NETWORK_CRATES: &[&str] = &[
    "actix*",
    "async-h1",
    "async-io",
    "async-net",
    "async-std",
    "attohttpc",
    "aws-*",
    "awc",
    "axum*",
    "curl*",
    "gix*",
    "git2",
    "grpcio*",
    "h2",
    "h3",
    "hf-hub",
    "hickory-*",
    "hyper*",
    "isahc",
    "lapin",
    "libp2p*",
    "mio",
    "native-tls",
    "openssl*",
    "opentelemetry-otlp",
    "polling",
    "quinn*",
    "redis",
    "reqwest*",
    "rocket*",
    "russh*",
    "rustls*",
    "schannel",
    "security-framework*",
    "sentry*",
    "smol",
    "smoltcp",
    "socket2",
    "ssh2",
    "surf",
    "tiny_http",
    "tokio*",
    "tonic*",
    "trust-dns-*",
    "tungstenite*",
    "ureq*",
    "warp",
    "webbrowser",
    "zmq*",
];

/// Everything that may stand at the top beside dot-files.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "docs",
    "fixtures",
    "jobs.toml",
    "prompts",
    "src",
    "tests",
];

const FIXTURE_BYTES_MAX: u64 = 256 * 1024;

#[test]
fn rooms_import_only_what_the_table_allows() {
    assert_none(sources("src").iter().flat_map(|(path, text)| wrong_imports(path, text)));
}

#[test]
fn only_two_addresses_say_unsafe() {
    assert_none(sources("src").iter().flat_map(|(path, text)| wrong_unsafe(path, text)));
}

#[test]
fn no_source_can_open_a_connection() {
    assert_none(sources("src").iter().flat_map(|(path, text)| network_names(path, text)));
}

#[test]
fn no_dependency_can_open_a_connection() {
    assert_none(network_crates(&read("Cargo.lock")));
}

#[test]
fn every_dependency_is_exact_and_says_what_it_is_for() {
    assert_none(loose_dependencies(&read("Cargo.toml")));
}

#[test]
fn every_file_says_what_it_is() {
    let all = sources("src").into_iter().chain(sources("tests"));
    assert_none(all.filter_map(|(path, text)| unopened(&path, &text)));
}

#[test]
fn the_map_shows_every_room() {
    let rooms = std::fs::read_dir(root().join("src")).expect("src is there");
    let rooms = rooms.map(|entry| entry.expect("readable").path()).filter(|path| path.is_dir());
    let rooms: Vec<String> =
        rooms.map(|path| path.file_name().expect("named").to_string_lossy().into_owned()).collect();
    assert_none(unmapped(&read("src/README.md"), &rooms));
}

#[test]
fn the_top_level_holds_the_agreed_names_only() {
    assert_none(strangers(&top_level()));
}

#[test]
fn what_a_page_links_to_is_there() {
    assert_none(pages().iter().flat_map(|(path, text)| broken_links(path, text)));
}

#[test]
fn what_a_page_links_to_is_in_the_release_bundle() {
    let script = read("tests/release.sh");
    let carried = script.split_once("\ncarried=\"").and_then(|(_, rest)| rest.split_once('"'));
    let carried: Vec<&str> = carried.expect("a list").0.split_whitespace().collect();
    assert_none(pages().iter().flat_map(|(path, text)| left_behind(path, text, &carried)));
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let readme = read("README.md");
    let links: Vec<&str> = links(&readme).collect();
    let unreached = pages()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path != "README.md" && !links.contains(&path.as_str()));
    assert_none(unreached.map(|path| format!("README.md does not link to {path}")));
}

#[test]
fn fixtures_and_pictures_are_small() {
    let mut files = Vec::new();
    walk(&root().join("fixtures"), &mut files);
    walk(&root().join("docs"), &mut files);
    let sizes = files.iter().map(|path| {
        (path.display().to_string(), std::fs::metadata(path).expect("just listed").len())
    });
    assert_none(sizes.filter_map(|(path, bytes)| too_large(&path, bytes)));
}

#[test]
fn nothing_is_left_unfinished() {
    let all = sources("src").into_iter().chain(sources("tests"));
    assert_none(all.flat_map(|(path, text)| unfinished(&path, &text)));
}

fn wrong_imports(path: &str, text: &str) -> Vec<String> {
    let room = path.trim_start_matches("src/").split('/').next().unwrap_or_default();
    let room = room.trim_end_matches(".rs");
    if matches!(room, "lib" | "main") || path.ends_with("tests.rs") {
        return Vec::new();
    }
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{path}: {room} is no room of the import table")];
    };
    let code = code(without_tests(text));
    let mut wrong = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if at > 0 && is_word(code.as_bytes()[at - 1]) {
            continue;
        }
        for (name, rest) in branches(&code[at + "crate::".len()..]) {
            let known = IMPORTS.iter().any(|(other, _)| *other == name);
            if known && name != room && !allowed.contains(&name) {
                wrong.push(format!("{path}: {room} must not import {name}"));
            }
            if room == "prompt" && name == "engine" {
                let used = branches(rest.trim_start_matches("::"));
                let beyond = used.iter().filter(|(used, _)| !ENGINE_OF_PROMPT.contains(used));
                wrong.extend(beyond.map(|(used, _)| {
                    format!("{path}: prompt may import the engine's Request, not {used}")
                }));
            }
        }
    }
    wrong
}

/// The names that `a::b` or `{a::b, c}` begins with, each with what follows it.
fn branches(path: &str) -> Vec<(&str, &str)> {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        let end = path.bytes().position(|byte| !is_word(byte)).unwrap_or(path.len());
        return vec![(&path[..end], &path[end..])];
    };
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(branches(&group[start..at]));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.into_iter().filter(|(name, _)| !name.is_empty()).collect()
}

fn wrong_unsafe(path: &str, text: &str) -> Option<String> {
    let is_address = UNSAFE_ADDRESSES
        .iter()
        .any(|address| path.strip_prefix(address).is_some_and(|rest| rest.starts_with(['/', '.'])));
    (!is_address && has_word(&code(text), "unsafe")).then(|| format!("{path} says unsafe"))
}

fn network_names(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let named = NETWORK_NAMES.iter().filter(|name| has_word(&code, name));
    named.map(|name| format!("{path} names {name}")).collect()
}

fn network_crates(lock: &str) -> Vec<String> {
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \""));
    let names = names.map(|name| name.trim_end_matches('"'));
    let is_banned = |name: &str| {
        NETWORK_CRATES.iter().any(|banned| match banned.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *banned,
        })
    };
    let banned = names.filter(|name| is_banned(name)).map(|name| format!("Cargo.lock has {name}"));
    let foreign = lock.lines().filter(|line| line.starts_with("source = \"git+"));
    banned.chain(foreign.map(|line| format!("Cargo.lock: no registry: {line}"))).collect()
}

fn loose_dependencies(manifest: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split([' ', '=']).next().unwrap_or_default();
            if !line.contains("version = \"=") {
                wrong.push(format!("{name}: not version = \"=x.y.z\""));
            }
            if !line.contains("} # ") {
                wrong.push(format!("{name}: no comment says what it is for"));
            }
        }
    }
    wrong
}

fn unopened(path: &str, text: &str) -> Option<String> {
    // The library's page is the map.
    (path != "src/lib.rs" && !text.starts_with("//! "))
        .then(|| format!("{path}: opens without //!"))
}

fn unmapped(map: &str, rooms: &[String]) -> Vec<String> {
    let unmapped = rooms.iter().filter(|room| !map.contains(&format!("`{room}`")));
    unmapped.map(|room| format!("src/README.md does not show `{room}`")).collect()
}

fn strangers(names: &[String]) -> Vec<String> {
    let known = |name: &&String| name.starts_with('.') || TOP_LEVEL.contains(&name.as_str());
    names.iter().filter(|name| !known(name)).map(|name| format!("{name} at the top")).collect()
}

/// README.md and the pages of docs/, each with its path.
fn pages() -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&root().join("docs"), &mut files);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    let below = files.iter().map(|path| path.strip_prefix(root()).expect("below"));
    let pages = below.map(|path| path.display().to_string());
    pages.chain(["README.md".to_owned()]).map(|path| (path.clone(), read(&path))).collect()
}

/// The targets of a page's links and pictures, without its code.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let prose = page.lines().filter(|line| !line.starts_with("    "));
    prose.flat_map(|line| line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)))
}

fn broken_links(path: &str, page: &str) -> Vec<String> {
    let folder = root().join(path);
    let folder = folder.parent().expect("it is a file");
    let is_broken = |link: &&str| {
        let (file, heading) = link.split_once('#').unwrap_or((*link, ""));
        let target = folder.join(file);
        !target.exists()
            || (!heading.is_empty()
                && !std::fs::read_to_string(target).is_ok_and(|page| has_heading(&page, heading)))
    };
    let broken = links(page).filter(is_broken);
    broken.map(|link| format!("{path}: nothing is at {link}")).collect()
}

/// Links of a page that lead out of what is carried: files, and folders with all that is in them.
fn left_behind(path: &str, page: &str, carried: &[&str]) -> Vec<String> {
    let is_left = |link: &&str| {
        let mut target = PathBuf::from(path);
        target.pop();
        for part in Path::new(link.split('#').next().unwrap_or_default()).components() {
            match part {
                Component::ParentDir => {
                    target.pop();
                }
                part => target.push(part),
            }
        }
        !carried.iter().any(|carried| target.starts_with(carried))
    };
    links(page)
        .filter(is_left)
        .map(|link| format!("{path}: the release bundle has no {link}"))
        .collect()
}

/// Whether a heading of `page` has the anchor `wanted`, as forges make it.
fn has_heading(page: &str, wanted: &str) -> bool {
    page.lines().filter(|line| line.starts_with('#')).any(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').eq(wanted.chars())
    })
}

fn too_large(path: &str, bytes: u64) -> Option<String> {
    (bytes > FIXTURE_BYTES_MAX).then(|| format!("{path}: {bytes} bytes, over {FIXTURE_BYTES_MAX}"))
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let macros = ["dbg!", "todo!", "unimplemented!"].into_iter().filter(|word| code.contains(word));
    let mark = concat!("FIX", "ME");
    let mark = text.contains(mark).then_some(mark);
    macros.chain(mark).map(|word| format!("{path}: {word}")).collect()
}

/// `text` up to its test module, which stands last.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests").map_or(text, |at| &text[..at])
}

/// `text` without what stands in comments, strings and character literals.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let after_word = code.bytes().last().is_some_and(is_word);
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if letter == '"' {
            quoted(rest, '"')
        } else if letter == 'r' && !after_word && rest[1..].trim_start_matches('#').starts_with('"')
        {
            let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            let open = 2 + hashes;
            rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
        } else if letter == '\'' {
            let mut next = rest[1..].chars();
            match (next.next(), next.next()) {
                (Some('\\'), _) | (_, Some('\'')) => quoted(rest, '\''),
                _ => 0, // A lifetime.
            }
        } else {
            0
        };
        match skipped {
            0 => {
                code.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
            _ => {
                code.push(' ');
                rest = &rest[skipped..];
            }
        }
    }
    code
}

/// Bytes of the literal that begins `rest`.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Bytes of the comment, with those in it, that begins `rest`.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        (at, depth) = (at + step, depth + change);
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn has_word(code: &str, word: &str) -> bool {
    let bytes = code.as_bytes();
    code.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + word.len()).copied();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file below `folder`, in order, with its path from the top.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let below = |path: &PathBuf| path.strip_prefix(root()).expect("below").display().to_string();
    files.iter().map(below).map(|path| (path.clone(), read(&path))).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => walk(&path, files),
            false => files.push(path),
        }
    }
}

/// The names at the top: those that git knows, or in a copy without git all but what builds leave.
fn top_level() -> Vec<String> {
    let listed = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let listed = listed.ok().filter(|listed| listed.status.success() && !listed.stdout.is_empty());
    let mut names: Vec<String> = match listed {
        Some(listed) => String::from_utf8_lossy(&listed.stdout)
            .split_terminator('\0')
            .map(|path| path.split('/').next().unwrap_or(path).to_owned())
            .collect(),
        None => {
            let entries = std::fs::read_dir(root()).expect("readable");
            let names = entries.map(|entry| entry.expect("readable").file_name());
            let names = names.map(|name| name.to_string_lossy().into_owned());
            names.filter(|name| !["target", "out"].contains(&name.as_str())).collect()
        }
    };
    names.sort();
    names.dedup();
    names
}

fn assert_none(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

mod checks {
    //! That each check finds what it is for, and leaves alone what only looks like it.

    use super::*;

    #[test]
    fn an_import_against_the_stream_is_found() {
        let wrong = |path, text| wrong_imports(path, text).len();
        assert_eq!(wrong("src/base/a.rs", "use crate::jobs::Plan;"), 1);
        assert_eq!(
            wrong("src/chunk/mod.rs", "use crate::{base::Span, extract, run::{a, jobs}};"),
            1
        );
        assert_eq!(wrong("src/prompt/mod.rs", "use crate::engine::{Request, Engine};"), 1);
        assert_eq!(wrong("src/prompt/mod.rs", "use crate::engine::Request;"), 0);
        assert_eq!(wrong("src/audit/mod.rs", "fn f(plan: &crate::jobs::Plan) {}"), 1);
        assert_eq!(
            wrong("src/audit/mod.rs", "// crate::jobs\n#[cfg(test)]\nmod tests { crate::jobs }"),
            0
        );
        assert_eq!(wrong("src/tokens/mod.rs", ""), 1);
    }

    #[test]
    fn unsafe_at_another_address_is_found() {
        let text = "fn f() { unsafe { g() } }";
        assert!(wrong_unsafe("src/engine/model.rs", text).is_some());
        assert!(wrong_unsafe("src/engine/kernels_more.rs", text).is_some());
        assert!(wrong_unsafe("src/engine/kernels/avx2.rs", text).is_none());
        assert!(wrong_unsafe("src/engine/weights.rs", text).is_some());
        let spoken = "//! unsafe\n#![deny(unsafe_code)]\nconst A: &str = r#\"unsafe \"#; // unsafe";
        assert!(wrong_unsafe("src/base/mod.rs", spoken).is_none());
    }

    #[test]
    fn a_connection_is_found() {
        assert_eq!(network_names("a.rs", "use std::net::TcpStream;").len(), 2);
        assert_eq!(network_names("a.rs", "let x = 'a'; /* std::net */ \"UdpSocket\"").len(), 0);
        let lock = "name = \"serde\"\nname = \"hyper-util\"\nname = \"mio\"\nname = \"miow\"\n\
                    source = \"git+ssh://elsewhere\"";
        assert_eq!(network_crates(lock).len(), 3);
    }

    #[test]
    fn a_loose_dependency_is_found() {
        let line =
            |line| loose_dependencies(&format!("[dependencies]\n{line}\n[lints]\na = 1")).len();
        assert_eq!(line("zip = { version = \"=9.8.1\" } # containers"), 0);
        assert_eq!(line("zip = { version = \"9.8.1\" } # containers"), 1);
        assert_eq!(line("zip = \"=9.8.1\""), 2);
    }

    #[test]
    fn a_file_without_its_opening_is_found() {
        assert!(unopened("src/base/a.rs", "use std::io;").is_some());
        assert!(unopened("src/base/a.rs", "//! What it is.\n").is_none());
    }

    #[test]
    fn a_room_that_is_not_on_the_map_is_found() {
        let rooms = ["base".to_owned(), "jobs".to_owned()];
        assert_eq!(unmapped("| `base` | words |", &rooms).len(), 1);
    }

    #[test]
    fn a_stranger_at_the_top_and_a_large_fixture_are_found() {
        let names = ["src", ".ci", "notes.txt"].map(str::to_owned);
        assert_eq!(strangers(&names), ["notes.txt at the top"]);
        assert!(too_large("a.pdf", FIXTURE_BYTES_MAX + 1).is_some());
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let broken = |text| broken_links("docs/limits.md", text);
        assert_eq!(
            broken("[a](proof.md) and [b](../README.md#licence)\n\n    [c](code.md)\n").len(),
            0
        );
        assert_eq!(
            broken("![a](report.jpeg), [b](proof.md#licence), [c](../fixtures#licence)").len(),
            3
        );
        assert!(has_heading("## What is *not* read?\n", "what-is-not-read"));
    }

    #[test]
    fn a_link_out_of_the_bundle_is_found() {
        let page = "[a](proof.md#its-cost), [b](../README.md), [c](../fixtures/inbox)";
        assert_eq!(left_behind("docs/a.md", page, &["README.md", "docs", "fixtures"]).len(), 0);
        assert_eq!(left_behind("docs/a.md", page, &["docs", "fixtures/log-v1"]).len(), 2);
    }

    #[test]
    fn unfinished_work_is_found() {
        let marked = concat!("// FIX", "ME later\nfn f() { dbg!(1); }");
        assert_eq!(unfinished("a.rs", marked).len(), 2);
        assert_eq!(unfinished("a.rs", "const A: &str = \"todo!()\";").len(), 0);
    }
}
