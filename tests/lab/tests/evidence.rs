//! What the governor and visibility control are for, in small: the tables of `lab evidence` in what they must show.

use lab::evidence::{
    CapacityCase, OutageCase, OutageKind, PoisonCase, Variant, outage, poison_cost, usage, waits,
};

const MINUTE: u32 = 60_000;

#[test]
fn no_good_message_dies_of_an_outage_of_hours_and_few_requests_go_into_it() {
    // At a message a second nothing but the function spares the receives.
    let case = OutageCase { kind: OutageKind::Unavailable, length: 70 * MINUTE, rate: 1 };
    let [plain, governor, both] =
        Variant::ALL.map(|variant| outage(case, variant).expect("the function starts"));
    for cost in [&governor, &both] {
        assert_eq!(cost.violations, [""; 0]);
        assert!(cost.requests * 2 < plain.requests, "{} of {} requests", cost.requests, plain.requests);
    }
    assert!(plain.dead > 100, "the outage outlasts a plain function's receives: {}", plain.dead);
    assert_eq!(both.dead, 0);
}

#[test]
fn an_outage_costs_few_requests_whatever_it_looks_like() {
    for &kind in OutageKind::OF_PERSEUS {
        let case = OutageCase { kind, length: 5 * MINUTE, rate: 20 };
        let cost = outage(case, Variant::AdaptiveLimitAndVisibility).expect("the function starts");
        let name = kind.name();
        assert_eq!(cost.violations, [""; 0], "{name}");
        // Until it is noticed, and then a probe of an invocation: one request, or the halves of a batch of a hundred.
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
fn what_met_the_cutoff_waits_for_seconds_only() {
    let [without, with] = [Variant::AdaptiveLimit, Variant::AdaptiveLimitAndVisibility]
        .map(|variant| waits(variant).expect("the function starts"));
    assert_eq!(with.violations, [""; 0]);
    let median = |sorted: &[u32]| sorted[sorted.len() / 2];
    assert!(with.sorted.len() > 1_000);
    assert!(median(&without.sorted) > 4 * MINUTE, "{}", median(&without.sorted));
    assert!(median(&with.sorted) < MINUTE / 4, "{}", median(&with.sorted));
}

#[test]
fn environments_that_outnumber_the_capacity_share_it() {
    let fixed = CapacityCase { environments: 30, limit: 1, variant: Variant::Plain, latency: 100 };
    let adaptive =
        CapacityCase { environments: 30, limit: 10, variant: Variant::AdaptiveLimit, latency: 100 };
    let [best, adaptive] = [fixed, adaptive].map(|case| usage(case).expect("the function starts"));
    assert_eq!(adaptive.violations, [""; 0]);
    assert!(adaptive.throughput > 0.88 * best.throughput, "{adaptive:?}, {best:?}");
    assert!(adaptive.fairness > 0.9, "{adaptive:?}");
}

#[test]
fn poison_that_is_refused_by_name_delays_no_one() {
    let poison_cost =
        |by_name, direct| poison_cost(20_000, PoisonCase { by_name, direct }).expect("the function starts");
    let (by_name, with_all, sent_off) =
        (poison_cost(true, true), poison_cost(false, false), poison_cost(false, true));
    for poison_cost in [&by_name, &with_all, &sent_off] {
        assert_eq!(poison_cost.violations, [""; 0]);
    }
    assert_eq!((by_name.more_requests, by_name.delays.len()), (0, 0));
    assert!(sent_off.more_requests < with_all.more_requests, "{sent_off:?}, {with_all:?}");
}
