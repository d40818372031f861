//! One run of one program.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use lab::environment::{Environment, StartError};
use tokio::time::Instant;

use crate::{
    perseus::{Counts, Perseus},
    process::Process,
    program::Program,
};

/// What a start cost.
pub(crate) struct Start {
    /// From the spawn to the first `next`.
    pub(crate) wall: Duration,
    /// CPU until then.
    pub(crate) cpu: Duration,
}

/// The averages of an invocation.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// From the offer to the answer.
    pub(crate) wall: Duration,
    /// CPU.
    pub(crate) cpu: Duration,
    /// The most memory that the process ever had, in bytes.
    pub(crate) peak_rss: u64,
    /// What Perseus received per invocation.
    pub(crate) counts: Counts,
}

/// Starts a program, and ends it.
pub(crate) async fn start(program: &Program, perseus: &Perseus) -> Result<Start, Box<dyn Error>> {
    let began = Instant::now();
    let environment = launch(program, perseus, None).await?;
    let wall = began.elapsed();
    let cpu = Process(environment.process_id()).cpu()?;
    environment.shutdown().await;
    Ok(Start { wall, cpu })
}

/// Starts a program, warms it up, and invokes it this many times. `floor` is what the floor has to post.
pub(crate) async fn sample(
    program: &Program,
    perseus: &Perseus,
    floor: Option<Counts>,
    event: &Bytes,
    invocations: u32,
) -> Result<Sample, Box<dyn Error>> {
    let environment = launch(program, perseus, floor).await?;
    let process = Process(environment.process_id());
    process.pin()?;
    invoke(&environment, event).await?;
    perseus.take_counts().await;

    let before = process.cpu()?;
    let mut wall = Duration::ZERO;
    for _ in 0..invocations {
        wall += invoke(&environment, event).await?;
    }
    let cpu = process.cpu()? - before;
    let Counts { requests, bytes, busy } = perseus.take_counts().await;
    let peak_rss = process.peak_rss()?;
    environment.shutdown().await;
    Ok(Sample {
        wall: wall / invocations,
        cpu: cpu / invocations,
        peak_rss,
        counts: Counts {
            requests: requests / invocations as usize,
            bytes: bytes / u64::from(invocations),
            busy: busy / u32::try_from(requests.max(1))?,
        },
    })
}

async fn launch(
    program: &Program,
    perseus: &Perseus,
    floor: Option<Counts>,
) -> Result<Environment, StartError> {
    let Counts { requests, bytes, .. } = floor.unwrap_or_default();
    Environment::builder(&program.path)
        .env("PERSEUS_URL", perseus.url())
        .env("FLOOR_REQUESTS", requests.to_string())
        .env("FLOOR_BYTES", bytes.to_string())
        .start()
        .await
}

async fn invoke(environment: &Environment, event: &Bytes) -> Result<Duration, Box<dyn Error>> {
    let invocation = environment.invoke(event.clone()).await;
    match invocation.answer.batch_item_failures() {
        Some(failures) if failures.is_empty() => Ok(invocation.took),
        _ => Err(format!("records are left: {:.200}", format!("{:?}", invocation.answer)).into()),
    }
}
