//! The stand-in for Perseus alone.

use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};

use anyhow::Context;
use bytes::Bytes;
use futures_util::FutureExt;
use lab::{
    perseus::{Perseus, Received},
    report::units,
};
use tokio::sync::mpsc;

use crate::{commands, faults::Faults, figures::size, interrupted, text::wrapped, verdict};

/// Serves until it is interrupted. The exit status says whether every request kept the contract.
pub(crate) async fn run(arguments: &commands::Perseus) -> anyhow::Result<ExitCode> {
    let mut faults = Faults::new(arguments.faults.clone(), arguments.seed)?;
    let latency = arguments.latency;
    let (told, mut requests) = mpsc::unbounded_channel();
    let answer = move |request: &Received| {
        let reply = faults.next_reply();
        // It fails only when the command ends.
        let _ = told.send((line(request, reply.status_code()), request.plain.clone()));
        reply.after(latency)
    };
    let perseus = Perseus::start_on(arguments.port, answer)
        .await
        .with_context(|| format!("cannot serve on port {}", arguments.port))?;
    let mut interrupted = pin!(interrupted());
    // The first poll installs the handlers: from now on no signal is missed.
    if interrupted.as_mut().now_or_never().is_none() {
        anstream::eprintln!("A stand-in for Perseus at {}; Ctrl-C ends it", perseus.url());
        loop {
            tokio::select! {
                Some((line, body)) = requests.recv() => show(&line, &body)?,
                _ = &mut interrupted => break,
            }
        }
    }
    while let Ok((line, body)) = requests.try_recv() {
        show(&line, &body)?;
    }
    let violations = perseus.violations();
    for violation in &violations {
        anstream::eprintln!("{}", wrapped(&format!("broke the contract: {violation}"), 0, 2));
    }
    Ok(verdict(violations.is_empty()))
}

/// Prints a body as it came, with a newline behind it. What the lab says goes to standard error.
fn show(line: &str, body: &Bytes) -> io::Result<()> {
    anstream::eprintln!("{line}");
    let mut out = io::stdout().lock();
    out.write_all(body)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn line(request: &Received, status: u16) -> String {
    let records = units::counted(request.records.len() as u64, "record");
    format!("#{}  {records}, {}: {status}", request.number, size(request.body.len()))
}
