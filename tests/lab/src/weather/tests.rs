use super::*;
use crate::dice::Dice;

fn record(id: &str, group: Option<&str>, is_poison: bool) -> PostedRecord {
    PostedRecord { id: id.to_owned(), group: group.map(str::to_owned), is_poison }
}

fn fate(climate: &Climate, records: &[PostedRecord]) -> Fate {
    climate.fate(&posted(records), &mut Dice::new(7).roll())
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

fn commits(fate: &Fate, ids: &[&'static str]) -> Vec<&'static str> {
    ids.iter().copied().filter(|id| fate.reply.commits(Some(id))).collect()
}

#[test]
fn good_weather_commits_everything_in_time() {
    let fate = fate(&Climate { latency: (10, 20), ..Climate::default() }, &[record("a", None, false)]);
    assert!(fate.tells && fate.ending == Ending::Reply);
    assert!(fate.replies_after >= Duration::from_millis(10) && fate.commits_after <= fate.replies_after);
    assert_eq!(commits(&fate, &["a"]), ["a"]);
}

#[test]
fn each_mishap_commits_what_its_name_says() {
    let certain = 1.0;
    for (climate, committed, ending) in [
        (Climate { lost_before: certain, ..Climate::default() }, 0, None),
        (Climate { lost_after: certain, ..Climate::default() }, 1, None),
        (Climate { error: certain, ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { error_after: certain, ..Climate::default() }, 1, Some(Ending::Reply)),
        (Climate { throttle: certain, ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { capacity: Some(2), ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { largest_body: Some(99), ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { rate_limit: Some(2), ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { checks_keys: true, ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { conflict: certain, ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { page: certain, ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { empty_ok: certain, ..Climate::default() }, 0, Some(Ending::Reply)),
        (Climate { no_http: certain, ..Climate::default() }, 0, Some(Ending::NoHttp)),
    ] {
        let fate = fate(&climate, &[record("a", None, false)]);
        assert_eq!(commits(&fate, &["a"]).len(), committed, "{climate:?}");
        assert!(ending.is_none_or(|ending| fate.ending == ending), "{climate:?}");
    }
}

#[test]
fn what_a_reply_leaves_open_may_be_either() {
    for climate in [
        Climate { mute_207: 1.0, ..Climate::default() },
        Climate { half_reply: 1.0, ..Climate::default() },
        Climate { hang: 1.0, ..Climate::default() },
    ] {
        let records = [record("a", None, false)];
        let posted = posted(&records);
        let fates: Vec<Fate> =
            (0..20_u64).map(|seed| climate.fate(&posted, &mut Dice::new(seed).roll())).collect();
        assert!(fates.iter().all(|fate| !fate.tells && fate.by_chance));
        let committed = fates.iter().filter(|fate| fate.reply.commits(Some("a"))).count();
        assert!((1..20).contains(&committed), "{climate:?}");
    }
}

#[test]
fn an_outage_commits_nothing_whatever_it_looks_like() {
    for &kind in OutageKind::ALL {
        let outages = vec![Outage { from: 5, until: 6, kind }];
        let climate = Climate { outages, ..Climate::default() };
        assert_eq!(commits(&fate(&climate, &[record("a", None, false)]), &["a"]), [""; 0]);
        assert_eq!((climate.outage(4), climate.outage(6)), (None, None));
    }
}

#[test]
fn poison_takes_its_request_along_or_its_group() {
    let records = [
        record("a", Some("1"), false),
        record("b", Some("2"), true),
        record("c", Some("2"), false),
        record("d", Some("1"), false),
    ];
    assert_eq!(commits(&fate(&Climate::default(), &records), &["a", "b", "c", "d"]), [""; 0]);
    let by_name = Climate { poison: Poison::ByName, ..Climate::default() };
    assert_eq!(commits(&fate(&by_name, &records), &["a", "b", "c", "d"]), ["a", "d"]);
}

#[test]
fn without_ids_no_record_is_refused_by_name() {
    let records = [record("a", None, true), record("b", None, false)];
    let climate = Climate { poison: Poison::ByName, refusal: 1.0, ..Climate::default() };
    let posted = Posted { has_ids: false, ..posted(&records) };
    let fate = climate.fate(&posted, &mut Dice::new(7).roll());
    assert!(matches!(fate.reply.status_code(), 400 | 422));
}

#[test]
fn a_blip_is_no_outage() {
    let of_length = |length: Ms| Climate {
        outages: vec![Outage { from: 10, until: 10 + length, kind: OutageKind::Reset }],
        ..Climate::default()
    };
    assert!(of_length(2_000).outage_between(5, 11));
    assert!(!of_length(1_999).outage_between(5, 11));
    assert!(!of_length(2_000).outage_between(2_010, 2_011));
}
