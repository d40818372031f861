//! One invocation of one environment, with or without an injected fault.

use std::{panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures_util::FutureExt;
use lambda_runtime::Context;
use perseus_forwarder::lambda::handler::Handler;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Endpoints, Instance, LaunchError, Launcher, Worker};
use crate::{
    clock::{Clock, Ms, epoch_ms, millis, since_epoch},
    lambda::{
        cost,
        environment::{Answer, Environment, Invoke},
        names,
        processor::Processors,
        trace,
    },
};

/// An invocation to be made.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: u32,
    pub(crate) instance: Instance,
    pub(crate) event: Vec<u8>,
    /// How many records the event has.
    pub(crate) records: usize,
    pub(crate) timeout: Duration,
    pub(crate) injected_fault: Option<InjectedFault>,
    /// How long the start of the environment takes, if it is not started yet.
    pub(crate) cold_start: Duration,
    /// The servers that the environment talks to.
    pub(crate) endpoints: Endpoints,
    pub(crate) processors: Processors,
}

/// A fault that the lab injects into an environment during an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InjectedFault {
    /// It dies.
    Crash { after: Duration },
    /// It gets no more processor time, and is killed at the deadline.
    Stall { after: Duration },
}

/// An invocation that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) number: u32,
    /// The environment's number.
    pub(crate) environment: u32,
    /// The environment, unless it is dead.
    pub(crate) instance: Option<Instance>,
    pub(crate) started: Ms,
    pub(crate) took: Ms,
    /// The time left before the deadline.
    pub(crate) headroom: Ms,
    /// How it ended, before the answer is read.
    pub(crate) end: End,
    /// The answer, if there is one.
    pub(crate) answer: Option<Vec<u8>>,
}

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a valid answer.
    Answered,
    /// With an answer that fails the whole batch.
    Refused,
    /// With an error.
    Failed,
    /// At the deadline: the environment was killed.
    TimedOut,
    /// The lab killed the environment (injected).
    Crashed,
    /// At the deadline, because the lab gave the environment no processor time (injected).
    Stalled,
}

impl End {
    /// Whether the lab injected a fault that made an answer impossible.
    pub fn is_injected(self) -> bool {
        matches!(self, Self::Crashed | Self::Stalled)
    }
}

/// Makes an invocation, and starts its environment first if it is new.
pub(crate) async fn invoke(mut job: Job, launcher: &Launcher, clock: Clock) -> Result<Done, LaunchError> {
    let worker = match job.instance.worker.take() {
        Some(worker) => worker,
        None => {
            if !matches!(launcher, Launcher::Binary(_)) {
                sleep(job.cold_start).await;
            }
            launcher.start(&job.endpoints, clock).await?
        }
    };
    let started = clock.now();
    let (end, answer) = match &worker {
        Worker::Library(handler) => in_library(handler, &job, clock).await,
        Worker::Binary(environment) => in_binary(environment, &job).await,
    };
    let took = clock.now() - started;
    let survives = matches!(end, End::Answered | End::Failed);
    Ok(Done {
        number: job.number,
        environment: job.instance.id,
        started,
        took,
        headroom: millis(job.timeout).saturating_sub(took),
        end,
        answer,
        instance: survives.then(|| Instance { worker: Some(worker), ..job.instance }),
    })
}

/// The function's own future, polled as Lambda would give it time.
async fn in_library(handler: &Handler, job: &Job, clock: Clock) -> (End, Option<Vec<u8>>) {
    let deadline = Instant::now() + job.timeout;
    let deadline_ms = epoch_ms(clock.since_epoch() + job.timeout);
    // The runtime turns a panic of the function into an invocation error.
    let mut answer = pin!(AssertUnwindSafe(charged(handler, job, deadline_ms)).catch_unwind());
    tokio::select! {
        biased;
        answer = &mut answer => match answer {
            Ok(Some(response)) => (End::Answered, Some(response)),
            Ok(None) | Err(_) => (End::Failed, None),
        },
        end = injected_end(job.injected_fault) => {
            if end == End::Stalled {
                // Its connections live on for a while, but the function no longer runs.
                sleep_until(deadline).await;
            }
            (end, None)
        }
        () = sleep_until(deadline) => (End::TimedOut, None),
    }
}

/// The handler's answer, as late as its work makes it. None if it fails.
async fn charged(handler: &Handler, job: &Job, deadline_ms: u64) -> Option<Vec<u8>> {
    let (processors, environment) = (&job.processors, job.instance.id);
    processors.charge(environment, cost::event(job.event.len(), job.records));
    processors.finish(environment).await;
    let mut context = Context::default();
    context.request_id = job.number.to_string();
    context.deadline = deadline_ms;
    context.xray_trace_id = Some(trace::id(job.number));
    context.invoked_function_arn = names::function();
    let answer = processors.run(environment, handler.handle(&job.event, &context)).await;
    processors.charge(environment, cost::answer(job.records));
    processors.finish(environment).await;
    serde_json::to_vec(&answer.ok()?).ok()
}

async fn in_binary(environment: &Environment, job: &Job) -> (End, Option<Vec<u8>>) {
    environment.thaw();
    let invoke = Invoke {
        event: job.event.clone().into(),
        deadline_ms: epoch_ms(since_epoch() + job.timeout),
        wait: job.timeout,
        trace_id: Some(trace::id(job.number)),
    };
    let mut invocation = pin!(environment.invoke_with(invoke));
    let answer = tokio::select! {
        biased;
        invocation = &mut invocation => invocation.answer,
        end = injected_end(job.injected_fault) => {
            match end {
                End::Stalled => {
                    environment.freeze();
                    // Ends with the deadline.
                    invocation.await;
                }
                _ => environment.kill(),
            }
            return (end, None);
        }
    };
    environment.freeze();
    match answer {
        Answer::Response(response) => (End::Answered, serde_json::to_vec(&response).ok()),
        Answer::Error { .. } => (End::Failed, None),
        Answer::TimedOut => (End::TimedOut, None),
        // The lab did not kill it: the function itself ended without an answer.
        Answer::Crashed { .. } => (End::TimedOut, None),
    }
}

async fn injected_end(injected_fault: Option<InjectedFault>) -> End {
    match injected_fault {
        None => std::future::pending().await,
        Some(InjectedFault::Crash { after }) => {
            sleep(after).await;
            End::Crashed
        }
        Some(InjectedFault::Stall { after }) => {
            sleep(after).await;
            End::Stalled
        }
    }
}
