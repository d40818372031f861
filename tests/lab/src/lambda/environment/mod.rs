//! One Lambda execution environment: the Runtime API, and the function as a process that asks it for work.

mod answer;
mod builder;
mod process;
mod runtime_api;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

pub use self::{
    answer::{Answer, Invocation},
    builder::{Builder, StartError},
};
use self::{process::Process, runtime_api::RuntimeApi};
use crate::clock::{epoch_ms, since_epoch};

/// A running function and the Runtime API it polls. Dropping it kills the process and its children.
///
/// Invoking takes `&self`: a function that polls several times at once, as on Lambda Managed Instances
/// (`AWS_LAMBDA_MAX_CONCURRENCY`), can be invoked several times at once; any other takes its invocations in turn.
#[derive(Debug)]
pub struct Environment {
    api: RuntimeApi,
    process: Process,
    timeout: Duration,
    /// Managed Instances leave a process alive whose invocation has timed out.
    managed: bool,
}

/// One invocation, with every detail.
#[derive(Clone, Debug)]
pub struct Invoke {
    /// The payload.
    pub event: Bytes,
    /// What to put in `Lambda-Runtime-Deadline-Ms`, verbatim.
    pub deadline_ms: u64,
    /// How long to wait for the answer before it counts as timed out.
    pub wait: Duration,
    /// What to put in `Lambda-Runtime-Trace-Id`; without it the header is left out.
    pub trace_id: Option<String>,
}

impl Environment {
    /// Describes an environment that runs the given executable.
    pub fn builder(binary: impl Into<std::path::PathBuf>) -> Builder {
        Builder::new(binary.into())
    }

    /// Sends an event with a deadline of now plus the function's timeout, and waits until then for the answer.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> Invocation {
        let root = Uuid::new_v4().simple().to_string();
        let parent = Uuid::new_v4().simple().to_string();
        let seconds = since_epoch().as_secs();
        self.invoke_with(Invoke {
            event: event.into(),
            deadline_ms: epoch_ms(since_epoch() + self.timeout),
            wait: self.timeout,
            trace_id: Some(format!(
                "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
                &root[..24],
                &parent[..16]
            )),
        })
        .await
    }

    /// Sends an event with every detail chosen by the caller.
    ///
    /// As on Lambda, a time-out ends the environment: the process is killed and later invocations are answered with
    /// [`Answer::Crashed`]. Only on Managed Instances it lives on.
    pub async fn invoke_with(&self, invoke: Invoke) -> Invocation {
        let (deadline_ms, wait) = (invoke.deadline_ms, invoke.wait);
        let began = Instant::now();
        let answered = self.api.offer(invoke);
        let answer = tokio::select! {
            biased;
            Ok(arrival) = answered => {
                return Invocation {
                    answer: arrival.answer,
                    took: arrival.at - began,
                    time_left: Duration::from_millis(deadline_ms).saturating_sub(arrival.since_epoch),
                };
            }
            _ = self.process.exited() => Answer::Crashed { logs: self.process.logs() },
            () = tokio::time::sleep(wait) => Answer::TimedOut,
        };
        if matches!(answer, Answer::TimedOut) && !self.managed {
            self.process.kill();
        }
        Invocation {
            answer,
            took: began.elapsed(),
            time_left: Duration::from_millis(deadline_ms).saturating_sub(since_epoch()),
        }
    }

    /// The id of the process.
    pub fn process_id(&self) -> i32 {
        self.process.id()
    }

    /// Every line of standard output and standard error so far, in the order they were read.
    pub fn logs(&self) -> Vec<String> {
        self.process.logs()
    }

    /// Whether the process can still be invoked.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Freezes the process, as Lambda does between invocations.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Thaws a frozen process.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// Kills the process.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Ends the environment as Lambda does, without asking the function, and returns all its lines.
    pub async fn shutdown(self) -> Vec<String> {
        self.process.kill();
        self.process.exited().await;
        self.process.logs()
    }
}
