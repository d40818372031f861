//! The longest time that the function keeps its thread between two await points.
//!
//! `cargo bench --bench stretch` prints a table: for the worst event of each stage the longest poll of an invocation, in
//! CPU time of its thread, so that nothing else that the machine does is in it; and the CPU time of the whole invocation, the
//! tasks of its HTTP client included. With `-- --check` it fails if a stretch is longer than it may be.
//!
//! Log lines are written at debug level, to nowhere.

#![allow(clippy::print_stdout, reason = "the table")]

mod case;
mod event;
mod server;
mod watched;

use std::{env, error::Error, io, process::ExitCode, time::Duration};

use lambda_runtime::Context;
use perseus_forwarder::lambda::handler::Handler;
use tokio::runtime::Builder;
use tracing::Level;

use self::{
    case::{Case, cases},
    watched::{Stretches, Watched, thread_cpu},
};

/// The longest allowed stretch on a full core. Lambda gives 1/14 of a core at 128 MB: there this is 140 ms.
const LONGEST: Duration = Duration::from_millis(10);

/// Each case is measured this many times. The shortest counts: other load on the machine only adds to it.
const ROUNDS: usize = 3;

/// The time until the deadline.
const TIMEOUT_MS: u64 = 60_000;

/// The cost of an invocation.
struct Measured {
    stretches: Stretches,
    /// Its CPU time, with the tasks of the HTTP client.
    cpu: Duration,
    /// How many records came back.
    reported: usize,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(Level::DEBUG)
        .with_writer(io::sink)
        .init();
    println!(
        "| case | event | longest stretch | polls | reported | CPU of the invocation |\n|---|--:|--:|--:|--:|--:|"
    );
    let wanted = filter();
    let mut longest = Duration::ZERO;
    for case in cases().iter().filter(|case| wanted.as_ref().is_none_or(|wanted| case.name.contains(wanted)))
    {
        let event = case.payload.bytes();
        let Measured { stretches, cpu, reported } = measure(case, &event)?;
        longest = longest.max(stretches.longest);
        println!(
            "| {} | {:.1} MiB | {:.1} ms | {} | {reported} | {:.0} ms |",
            case.name,
            event.len() as f64 / f64::from(1 << 20),
            ms(stretches.longest),
            stretches.polls,
            ms(cpu),
        );
    }
    println!("\nThe longest stretch is {:.1} ms; it may be {:.0} ms.", ms(longest), ms(LONGEST));
    let is_checked = env::args().any(|argument| argument == "--check");
    Ok(if is_checked && longest > LONGEST { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Words of a case's name, to measure it alone.
fn filter() -> Option<String> {
    // Cargo adds `--bench`.
    env::args().skip(1).find(|argument| !argument.starts_with('-'))
}

/// The least cost of a case. Function and servers are new each time, so nothing is learnt from earlier runs.
fn measure(case: &Case, event: &[u8]) -> Result<Measured, Box<dyn Error>> {
    let mut least = invoke(case, event)?;
    for _ in 1..ROUNDS {
        let next = invoke(case, event)?;
        if next.stretches.longest < least.stretches.longest {
            least = next;
        }
    }
    Ok(least)
}

fn invoke(case: &Case, event: &[u8]) -> Result<Measured, Box<dyn Error>> {
    let handler = Handler::new(case.start()?)?;
    let mut context = Context::default();
    context.deadline = TIMEOUT_MS;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let before = thread_cpu();
    let (answer, stretches) = runtime.block_on(Watched::new(handler.handle(event, &context)));
    let cpu = thread_cpu() - before;
    // A refused event is a case too.
    let reported = answer.map_or(0, |answer| answer.batch_item_failures.len());
    Ok(Measured { stretches, cpu, reported })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
