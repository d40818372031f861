//! `lab run`.

use std::{process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use lab::{function, live, run::Progress};
use tokio::sync::watch;

use crate::{
    SIGNALLED,
    commands::Run,
    interrupted,
    summary::{self, Files},
    verdict,
};

const STYLE: &str = "{bar:30} {elapsed} {msg}";
const INTERVAL: Duration = Duration::from_millis(200);

/// Runs a scenario on the wall clock with a progress line, and prints its result.
pub(crate) async fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let files = Files::open(&arguments.run)?;
    let binary = function::locate(arguments.function.clone(), arguments.release).await?;
    let seed = arguments.run.seed();
    let (stop, stopped) = watch::channel(false);
    let (progress, watched) = watch::channel(Progress::default());
    let options = arguments.run.options();
    let run = live::run(arguments.scenario, seed, &options, binary, stopped, progress);
    let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template(STYLE)?);
    let outcome = tokio::select! {
        outcome = run => outcome?,
        () = show(&bar, watched) => unreachable!("the progress line has no end of its own"),
        // The loser is dropped. Dropping the run kills the processes of its environments.
        signal = second_signal(&bar, stop) => return Ok(ExitCode::from(SIGNALLED + signal)),
    };
    bar.finish_and_clear();
    summary::tell(&outcome, files).map(verdict)
}

/// The first signal ends the sending, the second everything.
async fn second_signal(bar: &ProgressBar, stop: watch::Sender<bool>) -> u8 {
    interrupted().await;
    stop.send_replace(true);
    bar.println("no more messages are sent; the queue is drained (once more to end at once)");
    interrupted().await
}

async fn show(bar: &ProgressBar, watched: watch::Receiver<Progress>) {
    loop {
        let progress = *watched.borrow();
        bar.set_length(progress.planned.into());
        bar.set_position((progress.deleted + progress.dead).into());
        bar.set_message(format!(
            "{} sent, {} queued, {} done, {} dead",
            progress.sent, progress.queued, progress.deleted, progress.dead
        ));
        tokio::time::sleep(INTERVAL).await;
    }
}
