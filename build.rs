//! Tells two builds of one version apart: `0.1.0+1a2b3c4`, with the commit that a release build was made from.
//!
//! `+1a2b3c4.changed` if sources differ from that commit, and `+no-git` without git or its directory, as in an archive of the
//! sources. A debug build is `+debug`: asking git would compile the crate again after each commit.

#![expect(clippy::disallowed_methods, reason = "Cargo tells a build script by variables what it builds")]

use std::{env, fs, path::Path, process::Command};

/// What the binary is made of.
const SOURCES: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let build = if is_release { commit().unwrap_or("no-git".to_owned()) } else { "debug".to_owned() };
    let version = env::var("CARGO_PKG_VERSION").expect("set by Cargo");
    println!("cargo::rustc-env=BUILD_VERSION={version}+{build}");
}

/// The commit, and whether the sources are as it has them.
fn commit() -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    // A copy of the sources can lie in another repository.
    if fs::canonicalize(root).ok()? != fs::canonicalize(env::var_os("CARGO_MANIFEST_DIR")?).ok()? {
        return None;
    }
    // Each commit and each checkout adds a line to the log.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        // Cargo takes a file that is absent for one that has always just changed.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=7", "HEAD"])?;
    let changes = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}.changed") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
