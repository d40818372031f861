//! The forwarder's side: it pauses its own mapping once Perseus has been down for long enough.
//!
//! Many environments see the same outage. So each waits a little longer than the setting says, by a random time; each looks
//! at the mapping before it changes anything; and each looks once a minute at most.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, timeout_at};

use crate::{
    aws::{
        date::iso_8601,
        failure::{CallError, Failure},
    },
    breaker::{
        lambda_api::LambdaApi,
        mapping::{Mapping, State, function_name},
        mark::{Cause, FRESH, Mark},
    },
    value::breaker::BreakerSettings,
};

/// How long an environment leaves the mapping alone after it has looked at it. A change takes Lambda up to 90 s.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The same after a call that failed. A random time of this length is added.
const LOOK_AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What an invocation has seen of Perseus.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Whether a record was acknowledged.
    pub(crate) has_acknowledged: bool,
    /// Whether the set-up turned out to be wrong.
    pub(crate) is_misconfigured: bool,
    /// Whether Perseus refuses everything.
    pub(crate) refuses_all: bool,
    /// How long the outage has lasted; none if there is none.
    pub(crate) outage: Option<Duration>,
}

/// Whose mapping is paused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    /// The function's ARN, as it was invoked.
    pub(crate) function_arn: &'a str,
    /// The function's name.
    pub(crate) function: &'a str,
    /// The queue's ARN.
    pub(crate) queue: &'a str,
}

/// Pauses delivery. All invocations of the process share it.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    lambda: LambdaApi,
    after: Duration,
    state: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// Since when the set-up has been wrong without an acknowledgement.
    misconfigured_since: Option<Instant>,
    /// When this environment may look at the mapping again.
    look_at: Instant,
    /// Whether this environment has paused delivery, and has had no invocation since it resumed.
    has_paused: bool,
    /// When delivery resumed. Failures from before do not count again.
    resumed: Option<Instant>,
}

impl CircuitBreaker {
    /// A breaker that has seen nothing yet.
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        CircuitBreaker {
            // Other environments try too, and the answer waits.
            lambda: LambdaApi::new(settings.lambda, 1),
            // Environments that began to fail together must not call Lambda's API together.
            after: settings.after.mul_f64(1.0 + fastrand::f64() / 8.0),
            state: Mutex::new(Progress {
                misconfigured_since: None,
                look_at: Instant::now(),
                has_paused: false,
                resumed: None,
            }),
        }
    }

    /// Learns from an invocation. Returns why delivery has to be paused, if it has.
    pub(crate) fn learn(&self, seen: Seen) -> Option<Cause> {
        let now = Instant::now();
        let mut state = self.state();
        if seen.has_acknowledged {
            state.misconfigured_since = None;
        } else if seen.is_misconfigured {
            state.misconfigured_since.get_or_insert(now);
        }
        if state.has_paused && now >= state.look_at {
            (state.has_paused, state.resumed) = (false, Some(now));
        }
        let countable = state.resumed.map_or(Duration::MAX, |resumed| now - resumed);
        let lasts = |time: Option<Duration>| time.is_some_and(|time| time.min(countable) >= self.after);
        let misconfigured = state.misconfigured_since.filter(|_| seen.is_misconfigured);
        let cause = if seen.refuses_all {
            Cause::Refusals
        } else if lasts(misconfigured.map(|since| now - since)) {
            Cause::SetUp
        } else if lasts(seen.outage) {
            Cause::Outage
        } else {
            return None;
        };
        if now < state.look_at {
            return None;
        }
        state.look_at = now + LOOK_AGAIN;
        Some(cause)
    }

    /// Pauses delivery, if the mapping is enabled, and if that can be done until `until`. `now` is the time of day. True if
    /// it was enabled and is paused now.
    ///
    /// # Errors
    ///
    /// If a call fails. The mapping may then be disabled or not, but it is not disabled without the mark.
    pub(crate) async fn pause(
        &self,
        delivery: Delivery<'_>,
        cause: Cause,
        now: SystemTime,
        until: Instant,
    ) -> Result<bool, CallError> {
        let mark = Mark { since: iso_8601(now), cause };
        // The prober leaves a fresh mark alone. So the mapping must not be disabled later than that.
        let until = until.min(Instant::now() + FRESH / 2);
        let late = CallError { action: "no action", failure: Failure::Timeout };
        let paused = timeout_at(until, self.mark_and_disable(delivery, &mark)).await;
        let paused = paused.unwrap_or(Err(late));
        self.state().has_paused = matches!(paused, Ok(true));
        if paused.as_ref().is_err_and(|error| !error.failure.is_busy()) {
            let jitter = LOOK_AGAIN_AFTER_FAILURE.mul_f64(fastrand::f64());
            self.state().look_at = Instant::now() + LOOK_AGAIN_AFTER_FAILURE + jitter;
        }
        paused
    }

    async fn mark_and_disable(&self, delivery: Delivery<'_>, mark: &Mark) -> Result<bool, CallError> {
        let mapping = self.mapping(delivery).await?;
        if mapping.state != State::Enabled {
            return Ok(false);
        }
        // In this order: a mapping that is disabled without the mark is an operator's, and stays disabled.
        self.lambda.put_mark(&mapping, mark).await?;
        if self.lambda.mark(&mapping).await?.is_none() {
            return Err(CallError { action: "TagResource", failure: Failure::NotConfirmed });
        }
        self.lambda.disable(&mapping).await?;
        Ok(true)
    }

    /// The mapping that invokes this function with this queue's messages.
    async fn mapping(&self, delivery: Delivery<'_>) -> Result<Mapping, CallError> {
        let Delivery { function_arn, function, queue } = delivery;
        let mut mappings = self.lambda.mappings(queue).await?;
        mappings.retain(|mapping| mapping.connects(queue, &[function, function_name(function_arn)]));
        let unclear = || CallError { action: "ListEventSourceMappings", failure: Failure::OtherMapping };
        // More than one: the function has several aliases, and each has a mapping.
        let invoked = function_arn.trim_end_matches(":$LATEST");
        let exact = mappings.iter().position(|mapping| mapping.function.as_deref() == Some(invoked));
        match exact {
            Some(exact) => Ok(mappings.swap_remove(exact)),
            None if mappings.len() == 1 => Ok(mappings.remove(0)),
            None => Err(unclear()),
        }
    }

    /// A panic while the lock is held leaves the state complete, so poisoning does not matter.
    fn state(&self) -> MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
