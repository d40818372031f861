//! The lab's command: the real function between an emulated Lambda and a stand-in for Perseus, for people.

mod arguments;
mod commands;
mod event;
mod evidence;
mod faults;
mod figures;
mod live;
mod order;
mod output_file;
mod perseus;
mod progress;
mod report;
mod session;
mod simulate;
mod soak;
mod summary;
mod tables;
mod text;
mod variable;
mod verdict;

use std::{io, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::{arguments::Arguments, commands::Command};

/// The exit status when the lab could not do its work.
const UNABLE: u8 = 2;
/// What a shell adds to the number of the signal that ended a process.
const SIGNALLED: u8 = 128;
const SIGPIPE: u8 = 13;

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments { command: Some(Command::Simulate(arguments)), .. } => simulate::run(&arguments),
        Arguments { command: Some(Command::Soak(arguments)), .. } => soak::run(&arguments),
        Arguments { command: Some(Command::Evidence(evidence)), .. } => evidence::run(&evidence),
        Arguments { command: Some(Command::Run(arguments)), .. } => on_runtime(live::run(&arguments)),
        Arguments { command: Some(Command::Perseus(arguments)), .. } => on_runtime(perseus::run(&arguments)),
        arguments => on_runtime(session(&arguments)),
    };
    outcome.unwrap_or_else(|error| failure(&error))
}

/// Simulated runs bring their own runtime, with its own clock; the others share this one.
fn on_runtime(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn session(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // The loser is dropped. Dropping the session kills the function.
    tokio::select! {
        outcome = session::run(arguments) => outcome.map(verdict),
        signal = interrupted() => Ok(ExitCode::from(SIGNALLED + signal)),
    }
}

/// The exit status of a finished command.
fn verdict(is_clean: bool) -> ExitCode {
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(closed) {
        // The reader, `head` say, has seen enough.
        return ExitCode::from(SIGNALLED + SIGPIPE);
    }
    anstream::eprintln!("lab: {error:#}");
    ExitCode::from(UNABLE)
}

/// Returns the number of the signal that asks the lab to stop.
async fn interrupted() -> u8 {
    tokio::select! {
        () = arrival(SignalKind::interrupt()) => 2,
        () = arrival(SignalKind::terminate()) => 15,
        () = arrival(SignalKind::hangup()) => 1,
    }
}

async fn arrival(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => _ = signals.recv().await,
        // Without a handler the signal ends the lab by itself, and the function with it: its Runtime API is gone.
        Err(_) => std::future::pending().await,
    }
}
