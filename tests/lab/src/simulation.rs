//! A run on paused time: the function's library, the queue, Lambda and Perseus in one thread, repeatable from a seed.

use tokio::sync::watch;

use crate::{
    lambda::fleet::Launcher,
    report::Outcome,
    run::drive::{self, Controls, DriveError, Progress},
    scenario::{Mode, Options, Plan, Scenario},
};

/// Simulates a run. The same scenario, seed and options give the same outcome.
///
/// The clock is paused: it jumps to the next thing that is due whenever there is nothing to do. So everything is a task of
/// the one runtime that is started here, sockets included. Call it from a thread that has no runtime.
///
/// # Errors
///
/// When the function does not accept the variables it is given, or there is no loopback port.
///
/// # Panics
///
/// When called inside a Tokio runtime, or none can be started.
pub fn simulate(scenario: Scenario, seed: u64, options: &Options) -> Result<Outcome, DriveError> {
    observed(scenario, seed, options, &|_| {})
}

/// The same, and tells `progress` of every change. Telling does not change the outcome.
///
/// # Errors
///
/// As [`simulate`].
///
/// # Panics
///
/// As [`simulate`].
pub fn observed(
    scenario: Scenario,
    seed: u64,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, DriveError> {
    let plan = Plan::draw(scenario, seed, Mode::Simulated, options)?;
    let launcher = Launcher::Library(plan.variables.clone());
    run(plan, launcher, progress)
}

/// Simulates a plan.
pub(crate) fn run(
    plan: Plan,
    launcher: Launcher,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, DriveError> {
    // The function's jitter.
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs only some file descriptors");
    // Nobody stops it, but the sending end has to live as long as it runs.
    let (_stop, stop) = watch::channel(false);
    let finished = runtime.block_on(drive::run(plan, launcher, Controls { stop, progress }))?;
    Ok(Outcome::of(finished))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ms,
        faults::{FaultSchedule, Poison},
        lambda::mapping,
    };

    /// How long the first invocation takes, of ten messages that Perseus refuses by name or with a 500, and SQS hears of.
    fn first_invocation(memory_mb: Option<u32>, refuses_by_name: bool, compression: &str) -> Ms {
        let mut plan =
            Plan::draw(Scenario::Calm, 1, Mode::Simulated, &Options::default()).expect("a seed gives a plan");
        plan.memory_mb = memory_mb;
        plan.traffic.messages = 10;
        plan.traffic.over = 1;
        plan.mapping = mapping::Settings { batch_size: 10, window: 0, max_concurrency: 1 };
        plan.faults = FaultSchedule { poison: Poison::ByName, ..FaultSchedule::default() };
        if refuses_by_name {
            plan.message.poison = 1.0;
        } else {
            plan.faults.error = 1.0;
        }
        for (name, value) in [
            ("BATCH_FORMAT", "records"),
            ("BATCH_MAX_RECORDS", "10"),
            ("MAX_ATTEMPTS", "1"),
            ("PERSEUS_COMPRESSION", compression),
            ("SQS_VISIBILITY", "on"),
        ] {
            plan.set(name, value);
        }
        plan.complete().expect("the settings are right");
        let launcher = Launcher::Library(plan.variables.clone());
        run(plan, launcher, &|_| {}).expect("the function starts").history.invocations[0].took
    }

    /// With 1 MB of memory all takes 1,769 times as long as on a core, so that each part of the work is some milliseconds.
    #[test]
    fn each_part_of_the_work_takes_time() {
        assert_eq!(first_invocation(None, false, "none"), 0, "nothing is charged");
        // Event 465 ms, request 132 ms, call to SQS 106 ms, answer 4 ms.
        let errored = first_invocation(Some(1), false, "none");
        // No call to SQS, and a longer reply: 6 ms for ten ids.
        let refused = first_invocation(Some(1), true, "none");
        let compressed = first_invocation(Some(1), false, "gzip");
        assert_eq!([errored, refused, compressed], [709, 609, 719]);
    }

    #[test]
    fn less_memory_leaves_less_headroom() {
        let headroom = |memory_mb| {
            let plan = Plan::draw(Scenario::Calm, 1, Mode::Simulated, &Options::default());
            let plan = Plan { memory_mb, ..plan.expect("a seed gives a plan") };
            let launcher = Launcher::Library(plan.variables.clone());
            run(plan, launcher, &|_| {}).expect("the function starts").report.totals.worst_headroom_ms
        };
        assert!(headroom(Some(128)) < headroom(Some(1_769)));
    }
}
