//! The prober: a function of its own that a schedule invokes each minute. While delivery is paused it tries one message, and
//! resumes delivery once Perseus has acknowledged it.

use lambda_runtime::Context;
use tokio::time::{sleep, timeout_at};

use crate::{
    aws::failure::{CallError, Failure},
    breaker::{
        lambda_api::LambdaApi,
        mapping::{Mapping, State},
        mark::{FRESH, Mark},
        trial::Trial,
    },
    config::ProberConfig,
    deadline::Deadline,
    telemetry::{
        VERSION,
        counters::{Stats, millis},
        emf::{self, Metric},
        messages::{self, log_line},
    },
    value::wall_clock::WallClock,
};

/// How often a call to Lambda's API is made until it succeeds. A run that resumes delivery needs five calls in a row.
const ATTEMPTS: u32 = 3;

/// Handles the schedule's invocations, and keeps what they learn of Perseus.
#[derive(Debug)]
pub struct Prober {
    mapping: String,
    lambda: LambdaApi,
    trial: Trial,
    has_metrics: bool,
    wall_clock: WallClock,
}

/// What a run has found and done.
#[derive(Debug)]
struct Report {
    state: State,
    mark: Option<Mark>,
    /// How many messages were tried.
    tried: u32,
    /// Whether delivery is paused by the breaker at the end.
    is_paused: bool,
}

impl Prober {
    /// Prepares for invocations.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(config: ProberConfig) -> Result<Self, reqwest::Error> {
        Ok(Prober {
            mapping: config.mapping.clone(),
            lambda: LambdaApi::new(config.lambda.clone(), ATTEMPTS),
            has_metrics: config.delivery.metrics,
            wall_clock: config.delivery.wall_clock.clone(),
            trial: Trial::new(config)?,
        })
    }

    /// Looks at the mapping. If the breaker has paused it, tries a message, and resumes delivery if that succeeds.
    ///
    /// # Errors
    ///
    /// If a call fails whose work is then undone. The next run does it.
    pub async fn run(&self, context: &Context) -> Result<(), CallError> {
        let deadline = self.trial.deadline(context);
        let late = CallError { action: "no action", failure: Failure::Timeout };
        let run = self.look(context, &deadline);
        let report = timeout_at(deadline.cutoff(), run).await.unwrap_or(Err(late))?;
        if !report.is_paused {
            self.trial.forget();
        }
        self.tell(&report, context, &deadline);
        Ok(())
    }

    async fn look(&self, context: &Context, deadline: &Deadline) -> Result<Report, CallError> {
        let (mut mapping, mut mark) = self.mapping_and_mark().await?;
        let mut is_renewed = false;
        let now = self.wall_clock.now();
        if mapping.state == State::Enabled && mark.as_ref().is_some_and(|mark| mark.is_fresh(now)) {
            // A forwarder may be about to disable the mapping. Without its mark nobody would enable it again.
            sleep(FRESH).await;
            let seen = mark;
            (mapping, mark) = self.mapping_and_mark().await?;
            is_renewed = mark.is_some() && mark != seen;
        }
        let state = mapping.state;
        let (tried, is_paused) = match (state, &mark) {
            // Another forwarder is about to disable it: the next run looks again.
            (State::Enabled, Some(_)) if is_renewed => (0, true),
            (State::Enabled, Some(mark)) => (0, self.remove_stale(&mapping, mark, context).await?),
            (State::Disabled, Some(mark)) => self.probe(&mapping, mark, context, deadline).await?,
            (State::Enabled | State::Disabled, None) => (0, false),
            (State::Changing, mark) => (0, mark.is_some()),
        };
        Ok(Report { state, mark, tried, is_paused })
    }

    /// The mapping, which has to read the queue that messages are received from here, and its mark.
    async fn mapping_and_mark(&self) -> Result<(Mapping, Option<Mark>), CallError> {
        let mapping = self.lambda.mapping(&self.mapping).await?;
        if mapping.queue.as_deref().is_some_and(|arn| !self.trial.queue().has_arn(arn)) {
            return Err(CallError { action: "GetEventSourceMapping", failure: Failure::OtherMapping });
        }
        let mark = self.lambda.mark(&mapping).await?;
        Ok((mapping, mark))
    }

    /// Takes the mark off an enabled mapping. Returns whether delivery is paused.
    ///
    /// A forwarder may have renewed the mark since it was read, and disable the mapping within [`FRESH`]: then it gets the
    /// mark back. So it does if the mapping cannot be looked at: on an enabled mapping the mark does no harm.
    async fn remove_stale(
        &self,
        mapping: &Mapping,
        mark: &Mark,
        context: &Context,
    ) -> Result<bool, CallError> {
        self.lambda.remove_mark(mapping).await?;
        sleep(FRESH).await;
        match self.lambda.mapping(&self.mapping).await {
            Ok(now) if now.state == State::Enabled => {
                log_line!(messages::MARK_REMOVED, requestId = context.request_id);
                Ok(false)
            }
            looked => {
                self.lambda.put_mark(mapping, mark).await?;
                looked.map(|_| true)
            }
        }
    }

    /// Tries messages, and resumes delivery if Perseus is up. Returns how many were tried, and whether delivery is paused.
    async fn probe(
        &self,
        mapping: &Mapping,
        mark: &Mark,
        context: &Context,
        deadline: &Deadline,
    ) -> Result<(u32, bool), CallError> {
        let tried = self.trial.run(mark.cause, context, deadline).await;
        let is_resumed = tried.is_up && self.resume(mapping, mark, &context.request_id).await?;
        tried.undone.map_or(Ok((tried.messages, !is_resumed)), Err)
    }

    /// Enables the mapping, and takes the mark off. In this order: a mapping without the mark is never enabled. False if the
    /// pause is not the breaker's any more: an operator may have taken the mark off during the trial.
    async fn resume(&self, mapping: &Mapping, mark: &Mark, request_id: &str) -> Result<bool, CallError> {
        let (now, still) = self.mapping_and_mark().await?;
        if now.state != State::Disabled || still.is_none() {
            return Ok(false);
        }
        self.lambda.enable(mapping).await?;
        log_line!(messages::DELIVERY_RESUMED, requestId = request_id, pausedSince = mark.since);
        self.lambda.remove_mark(mapping).await?;
        Ok(true)
    }

    fn tell(&self, report: &Report, context: &Context, deadline: &Deadline) {
        let Report { state, mark, tried, is_paused } = report;
        if self.has_metrics {
            let paused = Metric::count("BreakerPaused", usize::from(*is_paused));
            let function = &context.env_config.function_name;
            let now = Stats::new(self.wall_clock.now()).now();
            let published = emf::publish(function, &context.request_id, now, &[paused]);
            if let Err(error) = published {
                let reason = error.kind().to_string();
                log_line!(messages::METRICS_NOT_WRITTEN, requestId = context.request_id, reason);
            }
        }
        log_line!(
            messages::PROBE_SETTLED,
            requestId = context.request_id,
            mapping = state.name(),
            pausedSince = mark.as_ref().map(|mark| mark.since.as_str()),
            pausedFor = mark.as_ref().map(|mark| mark.cause.name()),
            tried,
            paused = is_paused,
            timeLeftMs = millis(deadline.remaining()),
            version = VERSION
        );
    }
}
