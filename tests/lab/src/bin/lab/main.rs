//! The lab's command: the real function between an emulated Lambda and a stand-in for Perseus, for people.

mod arguments;
mod event;
mod faults;
mod figures;
mod order;
mod report;
mod session;
mod verdict;

use std::{io, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::arguments::Arguments;

/// The exit status when the lab could not do its work.
const UNABLE: u8 = 2;
/// What a shell adds to the number of the signal that ended a process.
const SIGNALLED: u8 = 128;
const SIGPIPE: u8 = 13;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whichever loses is dropped, and with the session its environment, which kills the function.
    tokio::select! {
        outcome = session::run(&arguments) => match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failure(&error),
        },
        signal = interrupted() => ExitCode::from(SIGNALLED + signal),
    }
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
