//! A copy of the project in which each defect can be switched on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::defects::{DEFECTS, Defect};

/// Names the defect that is on.
const SWITCH: &str = "DEFECT";

/// The copy, built.
pub(crate) struct Workspace {
    lab: PathBuf,
}

impl Workspace {
    /// Copies the project, plants the defects and builds the lab with them.
    pub(crate) fn build() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = project.join("target/mutants");
        let copy = root.join("project");
        // Files removed from the project must not stay in the copy.
        let _ = fs::remove_dir_all(&copy);
        for part in
            ["Cargo.toml", "Cargo.lock", "build.rs", "benches", "docs", "src", "tests/fuzz", "tests/lab"]
        {
            copy_all(&project.join(part), &copy.join(part));
        }
        for defect in DEFECTS {
            plant(defect, &copy.join("src").join(defect.file));
        }
        let library = copy.join("src/lib.rs");
        // Planted code may cause warnings.
        let with_switch =
            "#![allow(warnings)]\n".to_owned() + &fs::read_to_string(&library).unwrap() + &switch();
        fs::write(library, with_switch).unwrap();

        let target = root.join("target");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            // A test of the lab, since the lab is built for it; of the workspace, since all is built with the same features then.
            .args(["test", "--quiet", "--locked", "--workspace", "--test", "command", "--no-run"])
            // Different build settings keep Cargo from mixing these artifacts with the project's own.
            .args(["--config", "profile.dev.package.perseus-forwarder.opt-level=1"])
            .args(["--config", "profile.dev.package.lab.opt-level=1"])
            .env("CARGO_TARGET_DIR", &target)
            // Reuses the compiled dependencies of the project.
            .env("CARGO_BUILD_BUILD_DIR", project.join("target"))
            .current_dir(&copy)
            .status();
        assert!(built.unwrap().success(), "the defects do not build");
        Workspace { lab: target.join("debug/lab") }
    }

    /// Simulates a scenario, with a defect or without.
    pub(crate) fn simulate(&self, scenario: &str, seed: u64, defect: Option<&Defect>) -> Output {
        Command::new(&self.lab)
            .args(["simulate", "--scenario", scenario, "--seed", &seed.to_string()])
            .env(SWITCH, defect.map_or("", |defect| defect.name))
            .output()
            .unwrap()
    }
}

/// Puts a defect beside the correct code.
fn plant(Defect { name, good, bad, .. }: &Defect, file: &Path) {
    let source = fs::read_to_string(file).unwrap();
    let (code, tests) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
    // Ignores line breaks by rustfmt.
    let words: Vec<_> = good.split_whitespace().collect();
    let found = find(code, &words);
    assert_eq!(found.len(), 1, "{name}: its place is in {} {} times", file.display(), found.len());
    let (start, end) = found[0];
    let planted =
        format!("{{ if crate::is_planted({name:?}) {{ {bad} }} else {{ {} }} }}", &code[start..end]);
    let tests = if tests.is_empty() { String::new() } else { format!("#[cfg(test)]{tests}") };
    fs::write(file, format!("{}{planted}{}{tests}", &code[..start], &code[end..])).unwrap();
}

/// Where these words follow each other with nothing but white space between them, or none.
fn find(code: &str, words: &[&str]) -> Vec<(usize, usize)> {
    let wanted: String = words.concat();
    let dense: Vec<(usize, char)> = code.char_indices().filter(|(_, c)| !c.is_whitespace()).collect();
    let text: String = dense.iter().map(|(_, c)| c).collect();
    let starts = text.match_indices(&wanted).map(|(at, _)| text[..at].chars().count());
    starts
        .map(|first| {
            let (last, c) = dense[first + wanted.chars().count() - 1];
            (dense[first].0, last + c.len_utf8())
        })
        .collect()
}

fn switch() -> String {
    format!(
        r#"
/// Whether a defect is on.
pub(crate) fn is_planted(defect: &str) -> bool {{
    static ON: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var("{SWITCH}").unwrap_or_default()) == defect
}}
"#
    )
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy_all(&entry.path(), &to.join(entry.file_name()));
    }
}
