//! The prober: the function's other role, which a schedule invokes every minute.

use std::{ffi::OsString, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use lambda_runtime::Context;
use perseus_forwarder::{breaker::prober::Prober, config::ProberConfig};
use rand::RngExt;
use tokio::sync::oneshot;

use crate::{
    clock::{Clock, Ms, epoch_ms},
    lambda::{
        fleet::{Endpoints, LaunchError},
        names::{self, MAPPING},
        trace,
    },
    seeded_rng::SeededRng,
    sqs::names as sqs,
};

/// The first number of the prober's runs and of its environments. The forwarder's numbers are below it.
pub(crate) const FIRST: u32 = 1 << 30;

const MINUTE: Ms = 60_000;
/// The most calls to AWS after which the prober crashes.
const MOST_CALLS: u32 = 8;

/// How the schedule and the prober fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// How long the prober may take.
    pub(crate) timeout: Ms,
    /// The most by which an invocation is late.
    pub(crate) late: Ms,
    /// The probability that an invocation does not happen.
    pub(crate) missing: f64,
    /// The probability that the environment dies after some call to AWS, and before the next.
    pub(crate) crash: f64,
}

/// When the prober is invoked.
#[derive(Debug)]
pub(crate) struct Schedule {
    settings: Settings,
    seeded: SeededRng,
    minute: u32,
}

/// What happens to one invocation by the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It does not happen.
    Missing,
    /// It happens. If the number is there, the environment dies after that many calls to AWS.
    Invoked(Option<u32>),
}

/// An environment of the prober.
#[derive(Debug)]
pub(crate) struct ProberEnvironment(Box<Prober>);

/// A run to be made.
#[derive(Debug)]
pub(crate) struct ProberJob {
    /// The number of the run, from [`FIRST`].
    pub(crate) number: u32,
    pub(crate) environment: Option<ProberEnvironment>,
    /// How long the start of the environment takes, if it is not started yet.
    pub(crate) cold_start: Duration,
    pub(crate) timeout: Duration,
    pub(crate) endpoints: Endpoints,
    /// Ends the environment.
    pub(crate) crash: oneshot::Receiver<()>,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct ProberDone {
    /// The environment, unless it is dead.
    pub(crate) environment: Option<ProberEnvironment>,
    pub(crate) started: Ms,
    pub(crate) took: Ms,
    pub(crate) end: ProbeEnd,
}

/// How a run of the prober ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeEnd {
    /// Well.
    Done,
    /// With an error.
    Failed,
    /// At its timeout.
    TimedOut,
    /// The lab killed the environment (injected).
    Crashed,
    /// The schedule did not invoke it (injected).
    Missing,
}

impl Schedule {
    pub(crate) fn new(settings: Settings, seeded: SeededRng) -> Self {
        Self { settings, seeded, minute: 0 }
    }

    /// When the next invocation is due: at some second of each minute, or later.
    pub(crate) fn next(&self) -> Ms {
        let offset = self.seeded.rng().random_range(0..MINUTE);
        let late = self.seeded.fork(1_u64).fork(self.minute).rng().random_range(0..=self.settings.late);
        offset + self.minute * MINUTE + late
    }

    /// Takes the invocation that is due.
    pub(crate) fn take(&mut self) -> Turn {
        let named = self.seeded.fork(2_u64).fork(self.minute);
        self.minute += 1;
        if named.fork(1_u64).chance(self.settings.missing) {
            return Turn::Missing;
        }
        let crashes = named.fork(2_u64).chance(self.settings.crash);
        Turn::Invoked(crashes.then(|| named.rng().random_range(1..=MOST_CALLS)))
    }
}

/// Makes a run, and starts the environment first if there is none.
pub(crate) async fn run(
    job: ProberJob,
    variables: &[(String, String)],
    fifo: bool,
    clock: Clock,
) -> Result<ProberDone, LaunchError> {
    let environment = match job.environment {
        Some(environment) => environment,
        None => {
            tokio::time::sleep(job.cold_start).await;
            start(variables, &job.endpoints, fifo, clock)?
        }
    };
    let mut context = Context::default();
    context.request_id = job.number.to_string();
    context.deadline = epoch_ms(clock.since_epoch() + job.timeout);
    context.xray_trace_id = Some(trace::id(job.number));
    context.invoked_function_arn = names::function() + "-prober";
    let started = clock.now();
    let end = tokio::select! {
        biased;
        Ok(()) = job.crash => ProbeEnd::Crashed,
        end = AssertUnwindSafe(environment.0.run(&context)).catch_unwind() => match end {
            Ok(Ok(_)) => ProbeEnd::Done,
            Ok(Err(_)) | Err(_) => ProbeEnd::Failed,
        },
        () = tokio::time::sleep(job.timeout) => ProbeEnd::TimedOut,
    };
    let survives = matches!(end, ProbeEnd::Done | ProbeEnd::Failed);
    let environment = survives.then_some(environment);
    Ok(ProberDone { environment, started, took: clock.now() - started, end })
}

/// Starts an environment with the forwarder's variables and the prober's own.
fn start(
    variables: &[(String, String)],
    endpoints: &Endpoints,
    fifo: bool,
    clock: Clock,
) -> Result<ProberEnvironment, LaunchError> {
    let queue = sqs::queue_url(fifo);
    let own = [("PROBE_MAPPING", MAPPING), ("PROBE_QUEUE_URL", &queue)];
    let value = |name: &str| {
        let drawn = variables.iter().rev().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs = drawn.chain(endpoints.variables()).chain(own);
        pairs.find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    let mut config = ProberConfig::from_lookup(value)?;
    config.delivery.wall_clock = clock.wall_clock();
    let prober = Prober::new(config).map_err(|_| LaunchError::Client)?;
    Ok(ProberEnvironment(Box::new(prober)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_invokes_once_a_minute_late_at_times_and_at_times_not_at_all() {
        let settings = Settings { timeout: 30_000, late: 20_000, missing: 0.2, crash: 0.2 };
        let mut schedule = Schedule::new(settings, SeededRng::new(7));
        let (first, mut turns) = (schedule.next(), Vec::new());
        for minute in 0..200 {
            let late = schedule.next() + 20_000 - first;
            assert!((minute * MINUTE..=minute * MINUTE + 40_000).contains(&late), "{late} in {minute}");
            turns.push(schedule.take());
        }
        let count = |wanted: fn(&Turn) -> bool| turns.iter().filter(|turn| wanted(turn)).count();
        assert!((20..60).contains(&count(|turn| *turn == Turn::Missing)));
        assert!((15..60).contains(&count(|turn| matches!(turn, Turn::Invoked(Some(_))))));
    }

    #[test]
    fn a_schedule_without_faults_is_regular() {
        let mut schedule = Schedule::new(Settings::default(), SeededRng::new(7));
        let first = schedule.next();
        assert_eq!(schedule.take(), Turn::Invoked(None));
        assert_eq!(schedule.next(), first + MINUTE);
    }
}
