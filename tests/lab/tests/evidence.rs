//! What the adaptive limit and visibility control achieve: the tables of `lab evidence` in small.

use lab::evidence::{
    CapacityCase, OutageCase, OutageKind, PoisonCase, Variant, Work, outage, poison_cost, usage, waits,
};

const MINUTE: u32 = 60_000;

#[test]
fn in_a_long_outage_no_good_message_dies_and_few_requests_are_sent() {
    // At one message a second only the function itself saves receives.
    let case =
        OutageCase { kind: OutageKind::Unavailable, length: 70 * MINUTE, rate: 1, oldest_first: false };
    let [plain, adaptive, both] =
        [Variant::Plain, Variant::AdaptiveLimit, Variant::AdaptiveLimitAndVisibility]
            .map(|variant| outage(case, variant, &Work::untold()).expect("the function starts"));
    for cost in [&adaptive, &both] {
        assert_eq!(cost.violations, [""; 0]);
        assert!(cost.requests * 2 < plain.requests, "{} of {} requests", cost.requests, plain.requests);
    }
    assert!(plain.dead > 100, "the outage outlasts a plain function's receives: {}", plain.dead);
    assert_eq!(both.dead, 0);
}

#[test]
fn the_breaker_leaves_the_queue_alone_in_a_long_outage() {
    for oldest_first in [false, true] {
        let case = OutageCase { kind: OutageKind::Unavailable, length: 70 * MINUTE, rate: 1, oldest_first };
        let cost = outage(case, Variant::Breaker, &Work::untold()).expect("the function starts");
        assert_eq!(cost.violations, [""; 0]);
        assert_eq!(cost.dead, 0);
        // A probe has its attempts.
        assert!(cost.late_requests <= 4 * 70, "{cost:?}");
        assert!(cost.drained[1] <= 10 * MINUTE, "{cost:?}");
    }
}

#[test]
fn a_breaker_that_fails_in_every_way_kills_no_good_message() {
    let case =
        OutageCase { kind: OutageKind::Unavailable, length: 70 * MINUTE, rate: 1, oldest_first: false };
    let [without, failing] = [Variant::AdaptiveLimitAndVisibility, Variant::FailingBreaker]
        .map(|variant| outage(case, variant, &Work::untold()).expect("the function starts"));
    assert_eq!(failing.violations, [""; 0]);
    assert_eq!(failing.dead, 0);
    assert!(failing.requests <= without.requests, "{failing:?}, {without:?}");
    assert!(failing.drained[2] <= without.drained[2], "{failing:?}, {without:?}");
}

#[test]
fn every_kind_of_outage_costs_few_requests() {
    for &kind in OutageKind::OF_PERSEUS {
        let case = OutageCase { kind, length: 5 * MINUTE, rate: 20, oldest_first: false };
        let cost =
            outage(case, Variant::AdaptiveLimitAndVisibility, &Work::untold()).expect("the function starts");
        let name = kind.name();
        assert_eq!(cost.violations, [""; 0], "{name}");
        // Until the outage is noticed; then one probe per invocation: one request, or the halves of a batch of a hundred.
        let probe = if kind == OutageKind::BadRequest || kind == OutageKind::Unprocessable { 9 } else { 1 };
        let most = 10 * 60 + probe * cost.invocations;
        assert!(
            cost.requests <= most,
            "{name}: {} requests in {} invocations",
            cost.requests,
            cost.invocations
        );
        assert!(cost.dead <= 10 * 60, "{name}: {} dead", cost.dead);
    }
}

#[test]
fn a_message_unsent_at_the_cutoff_waits_only_for_seconds() {
    let [without, with] = [Variant::AdaptiveLimit, Variant::AdaptiveLimitAndVisibility]
        .map(|variant| waits(variant, &Work::untold()).expect("the function starts"));
    assert_eq!(with.violations, [""; 0]);
    let median = |sorted: &[u32]| sorted[sorted.len() / 2];
    assert!(with.sorted.len() > 1_000);
    assert!(median(&without.sorted) > 4 * MINUTE, "{}", median(&without.sorted));
    assert!(median(&with.sorted) < MINUTE / 4, "{}", median(&with.sorted));
}

#[test]
fn more_environments_than_capacity_share_it_fairly() {
    let fixed = CapacityCase { environments: 30, limit: 1, variant: Variant::Plain, latency: 100 };
    let adaptive =
        CapacityCase { environments: 30, limit: 10, variant: Variant::AdaptiveLimit, latency: 100 };
    let [best, adaptive] =
        [fixed, adaptive].map(|case| usage(case, &Work::untold()).expect("the function starts"));
    assert_eq!(adaptive.violations, [""; 0]);
    assert!(adaptive.throughput > 0.88 * best.throughput, "{adaptive:?}, {best:?}");
    assert!(adaptive.fairness > 0.9, "{adaptive:?}");
}

#[test]
fn poison_refused_by_id_delays_no_other_message() {
    let poison_cost = |by_name, direct| {
        poison_cost(20_000, PoisonCase { by_name, direct }, &Work::untold()).expect("the function starts")
    };
    let (by_name, with_all, sent_off) =
        (poison_cost(true, true), poison_cost(false, false), poison_cost(false, true));
    for poison_cost in [&by_name, &with_all, &sent_off] {
        assert_eq!(poison_cost.violations, [""; 0]);
    }
    assert_eq!((by_name.more_requests, by_name.delays.len()), (0, 0));
    assert!(sent_off.more_requests < with_all.more_requests, "{sent_off:?}, {with_all:?}");
}
