use super::*;
use crate::seeded_rng::SeededRng;

fn record(id: &str, group: Option<&str>, is_poison: bool) -> PostedRecord {
    PostedRecord { id: id.to_owned(), group: group.map(str::to_owned), is_poison }
}

fn outcome(faults: &FaultSchedule, records: &[PostedRecord]) -> RequestOutcome {
    faults.outcome(&posted(records), &mut SeededRng::new(7).rng())
}

fn posted(records: &[PostedRecord]) -> Posted<'_> {
    Posted {
        at: 5,
        body_bytes: 100,
        load: 3,
        in_second: 3,
        was_cut_off: true,
        reuses_key: true,
        has_ids: true,
        records,
    }
}

fn commits(outcome: &RequestOutcome, ids: &[&'static str]) -> Vec<&'static str> {
    ids.iter().copied().filter(|id| outcome.reply.commits(Some(id))).collect()
}

#[test]
fn without_faults_everything_is_committed_in_time() {
    let outcome = outcome(
        &FaultSchedule { latency: (10, 20), ..FaultSchedule::default() },
        &[record("a", None, false)],
    );
    assert!(outcome.is_definite && outcome.ending == Ending::Reply);
    assert!(
        outcome.replies_after >= Duration::from_millis(10) && outcome.commits_after <= outcome.replies_after
    );
    assert_eq!(commits(&outcome, &["a"]), ["a"]);
}

#[test]
fn each_fault_commits_what_its_name_says() {
    let certain = 1.0;
    for (faults, committed, ending) in [
        (FaultSchedule { lost_before: certain, ..FaultSchedule::default() }, 0, None),
        (FaultSchedule { lost_after: certain, ..FaultSchedule::default() }, 1, None),
        (FaultSchedule { error: certain, ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { error_after: certain, ..FaultSchedule::default() }, 1, Some(Ending::Reply)),
        (FaultSchedule { throttle: certain, ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { capacity: Some(2), ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { largest_body: Some(99), ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { rate_limit: Some(2), ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { checks_keys: true, ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { conflict: certain, ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { page: certain, ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { empty_ok: certain, ..FaultSchedule::default() }, 0, Some(Ending::Reply)),
        (FaultSchedule { no_http: certain, ..FaultSchedule::default() }, 0, Some(Ending::NoHttp)),
    ] {
        let outcome = outcome(&faults, &[record("a", None, false)]);
        assert_eq!(commits(&outcome, &["a"]).len(), committed, "{faults:?}");
        assert!(ending.is_none_or(|ending| outcome.ending == ending), "{faults:?}");
    }
}

#[test]
fn records_may_or_may_not_be_committed_if_the_reply_does_not_say() {
    for faults in [
        FaultSchedule { mute_207: 1.0, ..FaultSchedule::default() },
        FaultSchedule { half_reply: 1.0, ..FaultSchedule::default() },
        FaultSchedule { hang: 1.0, ..FaultSchedule::default() },
    ] {
        let records = [record("a", None, false)];
        let posted = posted(&records);
        let outcomes: Vec<RequestOutcome> =
            (0..20_u64).map(|seed| faults.outcome(&posted, &mut SeededRng::new(seed).rng())).collect();
        assert!(outcomes.iter().all(|outcome| !outcome.is_definite && outcome.is_random));
        let committed = outcomes.iter().filter(|outcome| outcome.reply.commits(Some("a"))).count();
        assert!((1..20).contains(&committed), "{faults:?}");
    }
}

#[test]
fn no_kind_of_outage_commits_anything() {
    for &kind in OutageKind::ALL {
        let outages = vec![Outage { from: 5, until: 6, kind }];
        let faults = FaultSchedule { outages, ..FaultSchedule::default() };
        assert_eq!(commits(&outcome(&faults, &[record("a", None, false)]), &["a"]), [""; 0]);
        assert_eq!((faults.outage(4), faults.outage(6)), (None, None));
    }
}

#[test]
fn poison_fails_its_whole_request_or_the_rest_of_its_group() {
    let records = [
        record("a", Some("1"), false),
        record("b", Some("2"), true),
        record("c", Some("2"), false),
        record("d", Some("1"), false),
    ];
    assert_eq!(commits(&outcome(&FaultSchedule::default(), &records), &["a", "b", "c", "d"]), [""; 0]);
    let by_name = FaultSchedule { poison: Poison::ByName, ..FaultSchedule::default() };
    assert_eq!(commits(&outcome(&by_name, &records), &["a", "b", "c", "d"]), ["a", "d"]);
}

#[test]
fn without_ids_no_record_is_refused_alone() {
    let records = [record("a", None, true), record("b", None, false)];
    let faults = FaultSchedule { poison: Poison::ByName, refusal: 1.0, ..FaultSchedule::default() };
    let posted = Posted { has_ids: false, ..posted(&records) };
    let outcome = faults.outcome(&posted, &mut SeededRng::new(7).rng());
    assert!(matches!(outcome.reply.status_code(), 400 | 422));
}

#[test]
fn a_blip_is_not_an_outage() {
    let of_length = |length: Ms| FaultSchedule {
        outages: vec![Outage { from: 10, until: 10 + length, kind: OutageKind::Reset }],
        ..FaultSchedule::default()
    };
    assert!(of_length(2_000).outage_between(5, 11));
    assert!(!of_length(1_999).outage_between(5, 11));
    assert!(!of_length(2_000).outage_between(2_010, 2_011));
}
