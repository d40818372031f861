//! Every scenario with a fixed seed, with a random one, and with the same seed twice.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use lab::{
    report::Outcome,
    run::Progress,
    scenario::{Options, Scenario},
    simulation::{observed, simulate},
};

/// Overrides the random seed.
const SEED: &str = "LAB_SEED";

/// Small enough for a debug build.
fn small() -> Options {
    Options { messages: Some(600), ..Options::default() }
}

#[track_caller]
fn assert_holds(scenario: Scenario, seed: u64) -> Outcome {
    let outcome = simulate(scenario, seed, &small()).expect("the function starts");
    let (violations, replay) = (outcome.violations.join("\n"), &outcome.report.replay);
    assert!(violations.is_empty(), "{violations}\nto see it again: {replay}");
    assert_eq!(outcome.report.totals.left, 0, "the queue is drained: {replay}");
    outcome
}

macro_rules! holds_in {
    ($($name:ident: $scenario:ident;)+) => {
        $(
            #[test]
            fn $name() {
                assert_holds(Scenario::$scenario, 1);
            }
        )+

        #[test]
        fn every_scenario_has_a_test() {
            assert_eq!([$(Scenario::$scenario),+], Scenario::ALL);
        }
    };
}

holds_in! {
    nothing_is_lost_when_it_is_calm: Calm;
    nothing_is_lost_when_replies_fail: Flaky;
    nothing_is_lost_in_outages: Outage;
    nothing_is_lost_in_blips: Blips;
    nothing_is_lost_when_replies_are_slow: Slow;
    nothing_but_poison_is_dead: Poison;
    nothing_is_lost_when_there_is_too_much_at_once: Capacity;
    nothing_is_lost_when_requests_are_too_large: TooLarge;
    nothing_is_lost_between_verdicts: Verdicts;
    nothing_is_lost_when_the_set_up_is_wrong: Misconfigured;
    order_is_kept: Fifo;
    order_is_kept_when_replies_fail: FifoFlaky;
    nothing_is_lost_when_messages_come_twice: Duplicates;
    nothing_is_lost_when_connections_die_frozen: Freeze;
    nothing_is_lost_when_environments_die: Crash;
    nothing_is_lost_while_the_breaker_pauses: Breaker;
    nothing_is_lost_in_a_day: Day;
}

#[test]
fn nothing_is_lost_with_a_random_seed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(now.as_secs());
    // Shown when the test fails, or with `--nocapture`.
    println!("{SEED}={seed}");
    for &scenario in Scenario::ALL {
        assert_holds(scenario, seed);
    }
}

#[test]
fn a_run_that_is_observed_tells_its_progress_and_is_the_same() {
    let told = RefCell::new(Vec::new());
    let observe = |progress: Progress| told.borrow_mut().push((progress.deleted, progress.planned));
    let observed = observed(Scenario::Outage, 5, &small(), &observe).expect("the function starts");
    assert_eq!(observed.report, assert_holds(Scenario::Outage, 5).report);
    let told = told.into_inner();
    assert_eq!((told.first(), told.last()), (Some(&(0, 600)), Some(&(600, 600))));
    assert!(told.len() > 100 && told.is_sorted());
}

#[test]
fn the_same_seed_gives_the_same_report() {
    for scenario in [Scenario::Flaky, Scenario::FifoFlaky, Scenario::Freeze, Scenario::Crash] {
        let [one, other] = [(); 2].map(|()| assert_holds(scenario, 5).report);
        assert_eq!(one, other, "{scenario}");
        assert_ne!(one.totals, assert_holds(scenario, 6).report.totals, "{scenario}");
    }
}

/// Some seeds do without calls to SQS. With them a small queue may need longer than the run to become empty.
#[test]
fn the_same_seed_gives_the_same_report_with_calls_to_aws_too() {
    let variables = vec![("SQS_VISIBILITY".to_owned(), "on".to_owned())];
    let options = Options { variables, messages: Some(200), ..Options::default() };
    let report = |scenario, seed| simulate(scenario, seed, &options).expect("the function starts").report;
    for scenario in
        [Scenario::Outage, Scenario::FifoFlaky, Scenario::Freeze, Scenario::Crash, Scenario::Breaker]
    {
        let [one, other] = [(); 2].map(|()| report(scenario, 5));
        assert_eq!(one, other, "{scenario}");
        assert_ne!(one.totals, report(scenario, 6).totals, "{scenario}");
    }
}
