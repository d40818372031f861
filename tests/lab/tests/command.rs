//! The command, as it is called in a shell.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::Instant;

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(arguments).output().expect("the lab starts")
}

/// A path for a file of this test. An earlier run of the test may have left the file.
fn missing_file(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_file(&file);
    file
}

#[test]
fn a_simulated_run_leaves_a_page() {
    let file = missing_file("simulated.html");
    let path = file.to_str().expect("text");
    let simulate = ["simulate", "--scenario", "outage", "--seed", "1", "--messages", "200", "--report", path];
    let lab = lab(&simulate);
    assert!(lab.status.success(), "{lab:?}");
    let page = fs::read_to_string(&file).expect("the page was written");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(page.contains("Nothing lost") && page.contains("--scenario outage --seed 1 --messages 200"));
    let text = String::from_utf8(lab.stdout).expect("text");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_the_run() {
    for option in ["--report", "--json"] {
        // The run itself would fail too, and later.
        let lab = lab(&["simulate", option, env!("CARGO_TARGET_TMPDIR"), "--set", "MAX_IN_FLIGHT=none"]);
        assert_eq!(lab.status.code(), Some(2), "{lab:?}");
        assert!(String::from_utf8_lossy(&lab.stderr).contains("cannot write"), "{lab:?}");
    }
}

#[test]
fn a_run_that_fails_leaves_files_as_they_were() {
    let file = missing_file("failed.html");
    let path = file.to_str().expect("text");
    let fail = || {
        let lab = lab(&["simulate", "--report", path, "--set", "MAX_IN_FLIGHT=none"]);
        assert_eq!(lab.status.code(), Some(2), "{lab:?}");
    };
    fail();
    assert!(!file.exists(), "no empty file is left");
    fs::write(&file, "an earlier report").expect("a file");
    fail();
    assert_eq!(fs::read_to_string(&file).expect("the file"), "an earlier report");
}

#[test]
fn a_misspelt_variable_is_refused_with_the_right_name() {
    for command in ["run", "simulate", "soak"] {
        let lab = lab(&[command, "--set", "MAX_INFLIGHT=3"]);
        assert_eq!(lab.status.code(), Some(2), "{lab:?}");
        assert!(String::from_utf8_lossy(&lab.stderr).contains("did you mean `MAX_IN_FLIGHT`?"), "{lab:?}");
    }
}

#[test]
fn the_version_is_that_of_the_function() {
    let version = format!("lab {}\n", perseus_forwarder::VERSION);
    assert_eq!(String::from_utf8(lab(&["--version"]).stdout).expect("text"), version);
}

/// `lab perseus` on a free port, killed when dropped.
struct Perseus {
    process: Child,
    address: String,
}

impl Perseus {
    fn start(options: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["perseus", "--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the lab starts");
        let mut line = String::new();
        let errors = process.stderr.as_mut().expect("a pipe");
        BufReader::new(errors).read_line(&mut line).expect("a line");
        let (_, url) = line.split_once("http://").expect("the line has the URL");
        let address = url.split('/').next().expect("an address").to_owned();
        Self { process, address }
    }

    /// Posts a body, and returns the status line.
    fn post(&self, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "POST /ingest HTTP/1.1\r\nhost: perseus\r\nuser-agent: test/1\r\nidempotency-key: k\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
        .expect("sent");
        stream.write_all(body).expect("sent");
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status).expect("a reply");
        status
    }

    /// Ends it as Ctrl-C does, and returns what it printed to standard output.
    fn end(mut self) -> (Vec<u8>, Option<i32>) {
        let process = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(process), Signal::SIGINT).expect("it runs");
        let mut printed = Vec::new();
        self.process.stdout.take().expect("a pipe").read_to_end(&mut printed).expect("read");
        (printed, self.process.wait().expect("it ends").code())
    }
}

impl Drop for Perseus {
    fn drop(&mut self) {
        _ = self.process.kill();
    }
}

#[test]
fn perseus_prints_bodies_byte_for_byte() {
    let perseus = Perseus::start(&[]);
    let one = r#"{"records":[{"messageId":"a",  "body":{"z":1.50,"a":"\u00e9"}}]}"#.as_bytes();
    let other = b"{\"records\": no JSON, and no text: \xff\x1b[0m";
    assert_eq!(perseus.post(one), "HTTP/1.1 200 OK\r\n");
    perseus.post(other);
    let (printed, status) = perseus.end();
    assert_eq!(printed, [one, b"\n", other, b"\n"].concat());
    assert_eq!(status, Some(1), "the second body broke the contract");
}

#[test]
fn perseus_fails_and_is_slow_if_told_to() {
    let perseus = Perseus::start(&["--fail", "503:1.0", "--latency", "30ms"]);
    let start = Instant::now();
    let status = perseus.post(br#"{"records":[{"messageId":"a","body":1}]}"#);
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable\r\n");
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(perseus.end().1, Some(0));
}
