//! The session: start both ends, send every event, print the results.

use std::path::Path;

use anyhow::Context;
use lab::{
    environment::Environment,
    function,
    perseus::{Perseus, Reply},
};

use crate::{
    arguments::Arguments,
    event::{self, Event},
    faults::Faults,
    report::Report,
    verdict::{Run, Verdict},
};

/// Runs what the command line asks for. Returns whether the run is clean.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let events = event::load(arguments)?;
    let mut faults = Faults::new(arguments.faults.clone(), arguments.seed)?;
    let binary = function::locate(arguments.function.clone(), arguments.release).await?;
    let latency = arguments.latency;
    let perseus = Perseus::start(move |_| -> Reply { faults.next_reply().after(latency) }).await;
    let mut report = Report::new(arguments.verbose);
    report.start(&binary, arguments.timeout, &perseus.url())?;

    let mut environment = start(&binary, arguments, &perseus).await?;
    let mut lines_seen = 0;
    for event in (0..arguments.repeat).flat_map(|_| &events) {
        if !environment.is_running() {
            environment = start(&binary, arguments, &perseus).await?;
            lines_seen = 0;
        }
        let run = send(event, &environment, &perseus).await;
        report.event(event, &run, &Verdict::of(event, &run))?;
        if arguments.logs {
            let lines = environment.logs();
            report.logs(&lines[lines_seen..])?;
            lines_seen = lines.len();
        }
    }
    let lines = environment.shutdown().await;
    if arguments.logs {
        report.logs(&lines[lines_seen..])?;
    }
    report.summary(perseus.in_flight_peak())?;
    Ok(report.is_clean())
}

async fn start(binary: &Path, arguments: &Arguments, perseus: &Perseus) -> anyhow::Result<Environment> {
    let builder = Environment::builder(binary).timeout(arguments.timeout).env("PERSEUS_URL", perseus.url());
    let variables = arguments.variables.iter();
    let builder = variables.fold(builder, |builder, (name, value)| builder.env(name, value));
    builder.start().await.context("cannot start")
}

/// Sends one event, and takes from the stand-in what has come in since.
async fn send(event: &Event, environment: &Environment, perseus: &Perseus) -> Run {
    let mark = perseus.mark();
    let invocation = environment.invoke(event.text.clone()).await;
    Run { invocation, seen: perseus.since(mark) }
}
