//! The command writes a run's report as a page.

use std::{fs, path::Path, process::Command};

#[test]
fn a_simulated_run_leaves_a_page() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulated.html");
    // An earlier run of the test may have left it.
    _ = fs::remove_file(&file);
    let lab = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["simulate", "--scenario", "outage", "--seed", "1", "--messages", "200", "--report"])
        .arg(&file)
        .output()
        .expect("the lab starts");
    assert!(lab.status.success(), "{lab:?}");
    let page = fs::read_to_string(&file).expect("the page was written");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(page.contains("Nothing lost") && page.contains("--scenario outage --seed 1 --messages 200"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let lab = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["simulate", "--scenario", "calm", "--seed", "1", "--messages", "10", "--report"])
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the lab starts");
    assert_eq!(lab.status.code(), Some(2), "{lab:?}");
    assert!(String::from_utf8_lossy(&lab.stderr).contains("cannot write"), "{lab:?}");
}
