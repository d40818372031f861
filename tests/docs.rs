//! The documents are true where a test can tell: each link leads somewhere, and each log line, reason, alarm and variable
//! is explained.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use perseus_forwarder::{
    config::{PROBER_VARIABLES, VARIABLES},
    telemetry::{messages, reasons},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files with this extension, in the directory and below.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<PathBuf> {
    let in_root = fs::read_dir(root()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<_> = in_root.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    all.extend(files(&root().join("docs"), "md"));
    all
}

/// A document's text without code blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings =
        headings.lines().filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

#[test]
fn each_link_within_the_repository_leads_somewhere() {
    let mut seen = 0;
    for document in documents() {
        for link in links(&read(&document)) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().expect("a directory").join(file),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                assert!(anchors(&read(&target)).contains(anchor), "{}: {link}", document.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} links");
}

#[test]
fn each_page_is_in_the_index() {
    let index = read(&root().join("docs/README.md"));
    for page in files(&root().join("docs"), "md") {
        let name = page.file_name().expect("a name").to_str().expect("text");
        assert!(name == "README.md" || index.contains(&format!("({name})")), "{name}");
    }
}

#[test]
fn each_alarm_has_a_section_in_the_run_book() {
    let template = read(&root().join("template.yaml"));
    let sections = anchors(&read(&root().join("docs/alarms.md")));
    let links: BTreeSet<_> = template
        .split("${Runbook}#")
        .skip(1)
        .map(|rest| rest.split_whitespace().next().unwrap_or_default().to_owned())
        .collect();
    let alarms = ["Type: AWS::CloudWatch::Alarm\n", "Type: AWS::CloudWatch::CompositeAlarm\n"];
    assert_eq!(links.len(), alarms.iter().map(|kind| template.matches(kind).count()).sum::<usize>());
    assert!(links.is_subset(&sections), "{links:?} in {sections:?}");
    assert_eq!(sections.len(), links.len() + 1, "the title, and a section for each alarm");
}

/// The rows of docs/log-lines.md that explain a line: level and message.
fn explained_lines() -> BTreeSet<(String, String)> {
    let page = read(&root().join("docs/log-lines.md"));
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let level = cells.next()?;
        let message = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        ["DEBUG", "INFO", "WARN", "ERROR"].contains(&level).then(|| (level.to_owned(), message.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn each_log_line_is_explained_with_its_level() {
    let written: BTreeSet<_> =
        messages::ALL.iter().map(|line| (line.level.to_string(), line.message.to_owned())).collect();
    assert_eq!(written.len(), messages::ALL.len(), "each message is in the list once");
    let explained = explained_lines();
    let missing: Vec<_> = written.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/log-lines.md does not explain {missing:#?}");
    let gone: Vec<_> = explained.difference(&written).collect();
    assert!(gone.is_empty(), "the function does not write {gone:#?}");
}

// The reasons of src/perseus and src/decode are compared with the documents in those folders' own tests.
#[test]
fn each_reason_is_explained() {
    let page = read(&root().join("docs/log-lines.md"));
    for reason in reasons::ALL {
        assert!(page.contains(&format!("`{reason}")), "{reason} is not explained");
    }
}

/// Of the tables of a document, the rows that begin with a variable: its name, and the default beside it.
fn settings(document: &str) -> Vec<(String, String)> {
    let text = read(&root().join(document));
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (default, _) = rest.split_once(" | ")?;
        let is_variable = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        is_variable.then(|| (name.to_owned(), default.trim_matches('`').to_owned()))
    });
    rows.collect()
}

#[test]
fn the_configuration_page_has_each_variable_with_its_default() {
    let mut explained = settings("docs/configuration.md");
    let mut read_by_the_code: Vec<_> = VARIABLES
        .iter()
        .chain(PROBER_VARIABLES)
        .map(|variable| (variable.name.to_owned(), default_in_words(variable.name, variable.default)))
        .collect();
    explained.sort();
    read_by_the_code.sort();
    assert_eq!(explained, read_by_the_code);
}

fn default_in_words(name: &str, default: Option<&str>) -> String {
    match (name, default) {
        (_, Some(default)) => default.to_owned(),
        ("PERSEUS_URL" | "PROBE_MAPPING" | "PROBE_QUEUE_URL", None) => "required".to_owned(),
        (_, None) => "none".to_owned(),
    }
}

#[test]
fn the_readme_has_ten_settings_and_they_are_those_of_the_configuration_page() {
    let all: BTreeSet<_> = settings("docs/configuration.md").into_iter().collect();
    let those_that_matter: BTreeSet<_> = settings("README.md").into_iter().collect();
    assert_eq!(those_that_matter.len(), 10);
    let wrong: Vec<_> = those_that_matter.difference(&all).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_readme_is_short() {
    let words = read(&root().join("README.md")).split_whitespace().count();
    assert!(words <= 900, "{words} words");
}

#[test]
fn the_quick_start_has_two_commands() {
    let readme = read(&root().join("README.md"));
    let quick_start =
        readme.split("\n## ").find(|section| section.starts_with("Quick start")).expect("a section");
    let commands: Vec<_> =
        quick_start.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert_eq!(commands, ["cargo run -p lab", "cargo test --workspace"]);
}
