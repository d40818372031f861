//! AWS' own Runtime Interface Emulator in the place of Lambda.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use lab::{
    environment::Environment,
    perseus::{Perseus, Reply},
};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{place, program::Program};

const BINARY: &str = env!("CARGO_BIN_EXE_perseus-forwarder");
const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/events");

/// The emulator, which starts the function at the first invocation.
struct Emulator {
    program: Program,
    port: u16,
}

impl Emulator {
    async fn start(url: &str, timeout: Duration) -> Self {
        let (port, runtime_api) = (place::free_port(), place::free_port());
        let arguments = [
            "--runtime-interface-emulator-address",
            &format!("127.0.0.1:{port}"),
            "--runtime-api-address",
            &format!("127.0.0.1:{runtime_api}"),
            BINARY,
        ];
        let settings = vec![
            ("AWS_LAMBDA_FUNCTION_NAME", "perseus-forwarder".to_owned()),
            ("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout.as_secs().to_string()),
            ("PERSEUS_URL", url.to_owned()),
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        let program = Program::start("aws-lambda-rie", arguments, settings, port, &place::new_folder()).await;
        Self { program, port }
    }

    /// Sends an event, and gives the emulator's answer.
    async fn invoke(&self, event: &[u8]) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let head = format!(
            "POST /2015-03-31/functions/function/invocations HTTP/1.0\r\ncontent-length: {}\r\n\r\n",
            event.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(event).await.unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).await.unwrap();
        reply.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Sends a sample event, and gives the ids that come back.
    async fn report(&self, name: &str) -> BTreeSet<String> {
        ids(&serde_json::from_str(&self.invoke(&sample(name)).await).unwrap())
    }

    fn signal_function(&self, signal: Signal) {
        let function = self.program.children();
        assert!(!function.is_empty(), "there is no function:\n{}", self.program.printed());
        for process in function {
            kill(process, signal).unwrap();
        }
    }
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(EVENTS).join(name)).unwrap()
}

fn ids(answer: &Value) -> BTreeSet<String> {
    let failures = answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("{answer}"));
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

/// To the emulator of this project every sample event is answered as to AWS' own.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn every_sample_event_is_answered() {
    let (theirs, ours) = (Perseus::start(|_| Reply::ok()).await, Perseus::start(|_| Reply::ok()).await);
    let emulator = Emulator::start(&theirs.url(), Duration::from_secs(30)).await;
    let environment = Environment::builder(BINARY).env("PERSEUS_URL", ours.url()).start().await.unwrap();
    let mut events = 0;
    for entry in fs::read_dir(EVENTS).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let expected = environment.invoke(sample(&name)).await.answer.failed_ids();
        assert_eq!(emulator.report(&name).await, expected.into_iter().collect(), "{name}");
        events += 1;
    }
    assert!(events > 4, "only {events} sample events");
    let sorted = |perseus: &Perseus| perseus.committed().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&theirs), sorted(&ours));
    assert!(theirs.committed().len() > 100);
    assert_eq!(theirs.violations(), [""; 0]);
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn after_a_time_out_a_new_process_goes_on() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let emulator = Emulator::start(&perseus.url(), Duration::from_secs(2)).await;
    assert_eq!(emulator.report("standard.json").await, BTreeSet::new());
    emulator.signal_function(Signal::SIGSTOP);
    let answer = emulator.invoke(&sample("standard.json")).await;
    assert!(answer.contains("timed out"), "{answer}");
    assert_eq!(emulator.report("standard.json").await, BTreeSet::new());
    assert_eq!(perseus.committed().len(), 6);
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn after_a_crash_a_new_process_goes_on() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let emulator = Emulator::start(&perseus.url(), Duration::from_secs(5)).await;
    assert_eq!(emulator.report("standard.json").await, BTreeSet::new());
    emulator.signal_function(Signal::SIGKILL);
    let answer = emulator.invoke(&sample("standard.json")).await;
    assert!(answer.contains("error"), "{answer}");
    assert_eq!(emulator.report("standard.json").await, BTreeSet::new());
    assert_eq!(perseus.committed().len(), 6);
}

/// The cutoff is before the emulator's own time-out.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_perseus_that_hangs_is_answered_for_before_the_time_out() {
    let perseus = Perseus::start(|_| Reply::hang()).await;
    let emulator = Emulator::start(&perseus.url(), Duration::from_secs(3)).await;
    for _ in 0..2 {
        assert_eq!(emulator.report("standard.json").await.len(), 3);
    }
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_wrong_configuration_is_an_init_error_that_names_it() {
    let emulator = Emulator::start("nonsense", Duration::from_secs(5)).await;
    let answer: Value = serde_json::from_str(&emulator.invoke(&sample("standard.json")).await).unwrap();
    assert_eq!(answer["errorType"], "Runtime.InvalidConfiguration");
    assert!(answer["errorMessage"].as_str().unwrap().contains("PERSEUS_URL"), "{answer}");
}
