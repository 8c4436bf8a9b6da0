//! Tells the program which commit it is built from: NIGHTCLERK_COMMIT where it is set, else what git says of
//! this folder, else nothing. Not part of the program; run by cargo before it compiles it.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/cli/build.rs");
    println!("cargo::rerun-if-env-changed=NIGHTCLERK_COMMIT");
    // Whoever develops it has a new commit every hour, and no use for a build after each.
    if env::var_os("NIGHTCLERK_COMMIT").is_some() || env::var("PROFILE").as_deref() != Ok("release")
    {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    // Sources may lie in a folder of another repository, which has another commit.
    let top = git(&["rev-parse", "--show-toplevel"]);
    if !top.is_some_and(|top| {
        Path::new(&top).canonicalize().ok() == Path::new(&here).canonicalize().ok()
    }) {
        return;
    }
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return };
    println!("cargo::rustc-env=NIGHTCLERK_COMMIT={commit}");
    // What moves with HEAD: itself where it is detached or changes its branch, its log, the branch, and the
    // file that branches are packed into.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned);
    for name in names.into_iter().chain(branch) {
        let path = git(&["rev-parse", "--git-path", &name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// What git prints, if it is there and content.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
