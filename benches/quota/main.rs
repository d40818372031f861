//! Whether the answer is in time with the small share of CPU that Lambda gives for little memory.
//!
//! `cargo bench --bench quota` runs the built function in a control group with its share of a core, which takes Linux and the
//! superuser; where either is missing it says so and measures nothing.
//! The table has the time that was left before the deadline when the answer arrived, with the default reserve of 1 s.

#![allow(clippy::print_stdout, reason = "the table")]

#[path = "../stretch/event.rs"]
#[allow(dead_code, reason = "the other benchmark needs all of it")]
mod event;
mod quota;
#[path = "../stretch/server.rs"]
mod server;

use std::{error::Error, path::Path, process::ExitCode, time::Duration};

use lab::{environment::Environment, function::locate};

use self::{
    event::Shape,
    quota::Quota,
    server::{Answer, always, confirm, refuse_by_name},
};

/// In MB: 1/14 of a core, 1/7 and 2/7.
const SIZES: [u32; 3] = [128, 256, 512];

/// Short, so that the cutoff is reached.
const TIMEOUT: Duration = Duration::from_secs(5);

type Settings = &'static [(&'static str, &'static str)];

const ONE: Settings = &[("BATCH_MAX_RECORDS", "10000"), ("BATCH_MAX_BYTES", "6MiB")];
/// As many attempts as there is time for.
const ALWAYS: Settings = &[("MAX_ATTEMPTS", "100"), ("RETRY_BASE", "10ms"), ("RETRY_CAP", "10ms")];
const GZIP: Settings = &[("PERSEUS_COMPRESSION", "gzip")];
const DEAD: Settings = &[
    ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/dead"),
    ("SQS_VISIBILITY", "on"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

/// What the function has to do.
struct Case {
    name: &'static str,
    shape: Shape,
    settings: Vec<(&'static str, &'static str)>,
    perseus: Answer,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Err(error) = Quota::of_memory(SIZES[0]) {
        println!("Nothing is measured: this takes a control group with a share of a core ({error}).");
        return Ok(ExitCode::SUCCESS);
    }
    let function = locate(None, true).await?;
    println!("| time left at the answer | 128 MB | 256 MB | 512 MB |\n|---|--:|--:|--:|");
    let mut are_in_time = true;
    for case in cases() {
        let mut columns = Vec::new();
        for mb in SIZES {
            let left = headroom(&function, &case, mb).await?;
            are_in_time &= left.is_some();
            columns.push(left.map_or("late".to_owned(), |left| format!("{} ms", left.as_millis())));
        }
        println!("| {} | {} |", case.name, columns.join(" | "));
    }
    Ok(if are_in_time { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cases() -> [Case; 5] {
    let case = |name, shape, settings: &[Settings], perseus| Case {
        name,
        shape,
        settings: settings.concat(),
        perseus,
    };
    let many = || Shape::MANY;
    [
        case(
            "10,000 records in one request, all named in each reply",
            many(),
            &[ONE, ALWAYS],
            refuse_by_name(true),
        ),
        case("10,000 records, rejected by name, to SQS", many(), &[ONE, DEAD], refuse_by_name(false)),
        case(
            "10,000 records, errored, to become visible later",
            many(),
            &[ONE, ALWAYS, DEAD],
            always(500, ""),
        ),
        case("10,000 records in halves down to one, each refused", many(), &[ONE], always(400, "abc 123")),
        case("6 × 1 MiB by gzip, again and again", Shape::LARGE, &[ONE, ALWAYS, GZIP], always(500, "")),
    ]
}

/// The time left before the deadline when the answer arrived; none if there was none in time.
async fn headroom(function: &Path, case: &Case, mb: u32) -> Result<Option<Duration>, Box<dyn Error>> {
    let quota = Quota::of_memory(mb)?;
    let perseus = server::start(case.perseus.clone())?;
    let sqs = server::start(confirm())?;
    let builder = Environment::builder(function).timeout(TIMEOUT).memory_mb(mb);
    let builder = case.settings.iter().fold(builder, |builder, (name, value)| builder.env(*name, *value));
    let environment = builder.env("PERSEUS_URL", perseus).env("AWS_ENDPOINT_URL_SQS", sqs).start().await?;
    // On Lambda the start gets more CPU. The quota applies from then on.
    quota.take(environment.process_id())?;
    let invocation = environment.invoke(case.shape.event()).await;
    let is_answered = invocation.answer.batch_item_failures().is_some();
    environment.shutdown().await;
    Ok(is_answered.then_some(invocation.time_left).filter(|left| !left.is_zero()))
}
