//! The stand-in for Perseus alone.

use std::process::ExitCode;

use anyhow::Context;
use lab::perseus::{Perseus, Received, Reply};
use tokio::sync::mpsc;

use crate::{commands, interrupted, verdict};

/// Serves until it is interrupted. The exit status says whether every request kept the contract.
pub(crate) async fn run(arguments: &commands::Perseus) -> anyhow::Result<ExitCode> {
    let (told, mut requests) = mpsc::unbounded_channel();
    let answer = move |request: &Received| {
        // It fails only when the command ends.
        let _ = told.send(line(request));
        Reply::ok()
    };
    let perseus = Perseus::start_on(arguments.port, answer)
        .await
        .with_context(|| format!("cannot serve on port {}", arguments.port))?;
    anstream::println!("A stand-in for Perseus at {}; Ctrl-C ends it", perseus.url());
    loop {
        tokio::select! {
            Some(line) = requests.recv() => anstream::println!("{line}"),
            _ = interrupted() => break,
        }
    }
    let violations = perseus.violations();
    for violation in &violations {
        anstream::println!("broke the contract: {violation}");
    }
    Ok(verdict(violations.is_empty()))
}

fn line(request: &Received) -> String {
    let bodies: Vec<String> = request.records.iter().map(ToString::to_string).collect();
    format!(
        "#{} {} records, {} B\n  {}",
        request.number,
        bodies.len(),
        request.body.len(),
        bodies.join("\n  ")
    )
}
