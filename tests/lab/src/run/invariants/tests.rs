use super::{finding::MOST_BREACHES, *};
use crate::{
    clock::Ms,
    lambda::mapping::answer::UnexpectedIds,
    run::history::{Caller, Change, ChangeKind, Invocation, Probe, ProbeEnd, Rules, State},
    simulated_perseus::{ClientView, Committed, Exchange, Repeat, ReplyKind},
};

/// Two messages of one group, posted and deleted in one calm invocation of 10 s.
fn calm() -> History {
    let message = |order| MessageHistory {
        sent: 0,
        group: Some(3),
        is_poison: false,
        state: MessageState::Deleted,
        deleted_too_early: false,
        receives: 1,
        excused_receives: 0,
        probed: 0,
        redelivered: false,
        dead_lettered: false,
        dead_lettered_in: None,
        committed: Some(Committed { first: 20, order, exchange: 0 }),
    };
    History {
        messages: vec![message(0), message(1)],
        invocations: vec![Invocation {
            environment: 0,
            started: 0,
            took: 50,
            messages: 2,
            kept: 0,
            given_up: 0,
            end: End::Answered,
            headroom: 9_950,
            unexpected_ids: UnexpectedIds::default(),
        }],
        exchanges: vec![exchange(ClientView::Informed), exchange(ClientView::Informed)],
        rules: Rules {
            timeout: 10_000,
            reserve: 1_000,
            request_timeout: 2_000,
            max_attempts: 4,
            max_in_flight: 10,
            most_records: 100,
            patience: 9_000,
            late: 0,
            slack: 2,
        },
        ..History::default()
    }
}

fn exchange(client_view: ClientView) -> Exchange {
    Exchange { invocation: 0, arrived: 10, ended: 30, client_view, reply_kind: ReplyKind::Accepted }
}

/// The names of the invariants that a doctored history breaks.
fn broken(doctor: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = calm();
    doctor(&mut history);
    let findings = check(&history);
    assert!(findings.iter().all(|finding| (finding.status == Status::Broken) != finding.breaches.is_empty()));
    findings
        .into_iter()
        .filter(|finding| finding.status == Status::Broken)
        .map(|finding| finding.name)
        .collect()
}

#[test]
fn a_calm_history_breaks_nothing() {
    assert_eq!(broken(|_| {}), [""; 0]);
}

/// The names of the invariants that a doctored history does not exercise.
fn idle(doctor: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = calm();
    doctor(&mut history);
    let findings = check(&history).into_iter();
    findings.filter(|finding| finding.status == Status::NotExercised).map(|finding| finding.name).collect()
}

#[test]
fn what_nothing_could_have_broken_is_not_exercised() {
    let without_faults = [
        "returned ids are valid",
        "duplicates explained",
        "dead letters explained",
        "outages are noticed",
        "refusals are noticed",
        "tried before returned",
    ];
    let of_the_breaker = [
        "pauses are marked",
        "operator's pause kept",
        "probes in turn",
        "resumed after a reply",
        "delivery resumes",
        "probes cost no message",
    ];
    assert_eq!(idle(|_| {}), [without_faults, of_the_breaker].concat());
    let with_a_return = idle(|history| history.invocations[0].kept = 1);
    let without_replies = ["duplicates explained", "outages are noticed", "refusals are noticed"];
    assert_eq!(with_a_return, [&without_replies[..], &of_the_breaker].concat());
    let of_two_groups = idle(|history| history.messages[0].group = Some(4));
    assert!(of_two_groups.contains(&"order within groups"), "one message has no order");
    assert_eq!(idle(|history| *history = History::default()).len(), INVARIANTS.len());
}

#[test]
fn what_fails_is_exercised() {
    assert!(!idle(|history| answered(history, 16, ReplyKind::Unusable)).contains(&"outages are noticed"));
    assert!(!idle(|history| answered(history, 16, ReplyKind::Refused)).contains(&"refusals are noticed"));
    let repeat = Repeat { message: 0, exchanges: (0, 1) };
    assert!(!idle(|history| history.repeats.push(repeat)).contains(&"duplicates explained"));
    let dead = |history: &mut History| history.messages[1].dead_lettered = true;
    assert!(!idle(dead).contains(&"dead letters explained"));
}

#[test]
fn a_message_deleted_and_not_committed_is_lost() {
    let lost = broken(|history| history.messages[1].committed = None);
    assert_eq!(lost, ["deleted is delivered", "accounted for"]);
    let early = broken(|history| history.messages[0].deleted_too_early = true);
    assert_eq!(early, ["deleted is delivered"]);
}

#[test]
fn a_message_in_a_queue_is_accounted_for() {
    for index in [MessageState::Visible, MessageState::InFlight] {
        assert_eq!(
            broken(|history| {
                history.messages[1].state = index;
                history.messages[1].committed = None;
            }),
            [""; 0]
        );
    }
}

#[test]
fn a_message_that_was_sent_to_the_dead_letter_queue_is_there() {
    let send = |is_poison| {
        broken(|history| {
            let message = &mut history.messages[1];
            *message = MessageHistory { committed: None, dead_lettered: true, is_poison, ..*message };
        })
    };
    assert_eq!(send(true), [""; 0]);
    assert_eq!(send(false), ["dead letters explained"]);
}

#[test]
fn an_answer_must_name_its_own() {
    for unexpected_ids in [
        UnexpectedIds { empty: 1, ..UnexpectedIds::default() },
        UnexpectedIds { unknown: 1, ..UnexpectedIds::default() },
        UnexpectedIds { twice: 1, ..UnexpectedIds::default() },
    ] {
        assert_eq!(
            broken(|history| history.invocations[0].unexpected_ids = unexpected_ids),
            ["returned ids are valid"]
        );
    }
    assert_eq!(broken(|history| history.invocations[0].end = End::Refused), ["returned ids are valid"]);
}

#[test]
fn an_answer_must_come_before_its_deadline() {
    assert_eq!(broken(|history| history.invocations[0].headroom = 0), ["invocations end in time"]);
    for end in [End::TimedOut, End::Failed] {
        assert_eq!(broken(|history| history.invocations[0].end = end), ["invocations end in time"]);
    }
    for end in [End::Crashed, End::Stalled] {
        let injected_fault = |history: &mut History| {
            history.invocations[0].end = end;
            history.invocations[0].headroom = 0;
        };
        assert_eq!(broken(injected_fault), [""; 0]);
    }
}

#[test]
fn the_worst_headroom_is_shown() {
    let told = invocations_end_in_time(&calm()).evidence.replace('\u{a0}', " ");
    assert_eq!(told, "1 invocation, worst headroom 9.9 s");
}

#[test]
fn a_group_must_not_be_overtaken() {
    let overtake = |history: &mut History| history.messages.iter_mut().for_each(reverse);
    assert_eq!(broken(overtake), ["order within groups"]);
    let of_two_groups = |history: &mut History| {
        overtake(history);
        history.messages[0].group = Some(4);
    };
    assert_eq!(broken(of_two_groups), [""; 0]);
    let behind_a_dead_one = |history: &mut History| {
        overtake(history);
        history.messages[0] = MessageHistory {
            committed: None,
            state: MessageState::Dead,
            is_poison: true,
            ..history.messages[0]
        };
    };
    assert_eq!(broken(behind_a_dead_one), [""; 0]);
}

fn reverse(message: &mut MessageHistory) {
    if let Some(committed) = &mut message.committed {
        committed.order = 1 - committed.order;
    }
}

/// A history with a message committed twice, and why.
fn repeated(doctor: impl FnOnce(&mut History)) -> (Cause, bool) {
    let mut history = calm();
    history.repeats.push(Repeat { message: 0, exchanges: (0, 1) });
    doctor(&mut history);
    (cause(&history, &history.repeats[0]), duplicates_explained(&history).status == Status::Holds)
}

#[test]
fn a_duplicate_without_a_cause_is_the_functions_fault() {
    assert_eq!(repeated(|_| {}), (Cause::Other, false));
}

#[test]
fn a_duplicate_may_have_causes_outside_the_function() {
    let of_heard =
        |client_view| repeated(|history: &mut History| history.exchanges[0] = exchange(client_view));
    assert_eq!(of_heard(ClientView::Uninformed), (Cause::ReplyLost, true));
    assert_eq!(of_heard(ClientView::HungUp), (Cause::CutOff, true));
    assert_eq!(repeated(|history| history.messages[0].redelivered = true), (Cause::Redelivered, true));
    assert_eq!(repeated(|history| history.invocations[0].end = End::Crashed), (Cause::CutOff, true));
    // A reply that came when its time-out or the cutoff did.
    assert_eq!(repeated(|history| history.exchanges[0].ended = 2_008), (Cause::CutOff, true));
    assert_eq!(
        repeated(|history| {
            history.exchanges[0].arrived = 8_990;
            history.exchanges[0].ended = 8_998;
        }),
        (Cause::CutOff, true)
    );
}

fn dead(receives: u16, excused_receives: u16, is_poison: bool) -> Vec<&'static str> {
    broken(|history| {
        let message = &mut history.messages[1];
        *message = MessageHistory {
            state: MessageState::Dead,
            committed: None,
            receives,
            excused_receives,
            is_poison,
            ..*message
        };
    })
}

#[test]
fn a_healthy_message_must_not_die_while_perseus_can_be_reached() {
    assert_eq!(dead(5, 0, false), ["dead letters explained"]);
    assert_eq!(dead(5, 2, false), ["dead letters explained"]);
    assert_eq!(dead(5, 0, true), [""; 0]);
    assert_eq!(dead(5, 5, false), [""; 0]);
}

#[test]
fn what_the_stand_in_objects_to_is_told_in_part() {
    let objections = |history: &mut History| {
        history.violations = (0..9).map(|number| format!("request {number}: no")).collect();
        history.violation_count = 20;
    };
    assert_eq!(broken(objections), ["contract kept"]);
    let mut history = calm();
    objections(&mut history);
    assert_eq!(contract_kept(&history).breaches.len(), MOST_BREACHES + 1);
}

/// Ten invocations of one environment with this many requests each, all with the same kind of reply.
fn answered(history: &mut History, in_each: u32, reply_kind: ReplyKind) {
    let invocation = history.invocations[0];
    history.invocations =
        (0..10).map(|number| Invocation { started: number * 1_000, ..invocation }).collect();
    let request = |number: u32| {
        let arrived = number / in_each * 1_000 + number % in_each;
        let invocation = number / in_each;
        Exchange { invocation, arrived, ended: arrived, client_view: ClientView::Informed, reply_kind }
    };
    history.exchanges = (0..10 * in_each).map(request).collect();
}

#[test]
fn a_run_of_refusals_must_be_noticed() {
    // A hundred records take seven halvings.
    assert_eq!(broken(|history| answered(history, 16, ReplyKind::Refused)), [""; 0]);
    assert_eq!(broken(|history| answered(history, 17, ReplyKind::Refused)), ["refusals are noticed"]);
    let with_an_acceptance_at_times = |history: &mut History| {
        answered(history, 50, ReplyKind::Refused);
        history.exchanges.iter_mut().step_by(40).for_each(|one| one.reply_kind = ReplyKind::Accepted);
    };
    assert_eq!(broken(with_an_acceptance_at_times), [""; 0]);
}

#[test]
fn an_outage_must_be_noticed() {
    // A hundred failures are the first two invocations', and five seconds more.
    assert_eq!(broken(|history| answered(history, 50, ReplyKind::Unusable)), ["outages are noticed"]);
    assert_eq!(broken(|history| answered(history, 50, ReplyKind::Other)), [""; 0]);
    // The hundred and first is the only one of its invocation, and so are those behind it.
    let with_probes = |history: &mut History| {
        answered(history, 100, ReplyKind::Unusable);
        history.exchanges.retain(|one| one.invocation < 1 || one.arrived % 1_000 < 2);
    };
    assert_eq!(broken(with_probes), [""; 0]);
    // Why it is not exercised is told.
    let mut history = calm();
    answered(&mut history, 2, ReplyKind::Unusable);
    let told = outages_noticed(&history).evidence.replace('\u{a0}', " ");
    assert_eq!(told, "at most 20 failures in a row in an environment, 0 invocations after 60 of them");
}

#[test]
fn a_perseus_that_refuses_everything_costs_a_few_dozen_good_messages() {
    let dead = |count: usize, refusing: &[(Ms, Ms)]| {
        broken(|history| {
            let message = history.messages[1];
            let dead =
                MessageHistory { committed: None, dead_lettered: true, dead_lettered_in: Some(0), ..message };
            history.messages = vec![dead; count];
            history.refusing = refusing.to_vec();
        })
    };
    assert_eq!(dead(60, &[(0, 9_000)]), [""; 0]);
    assert_eq!(dead(61, &[(0, 9_000)]), ["refusals are noticed"]);
    // In another time than that of the refusals there is no excuse.
    assert_eq!(dead(1, &[(5_000, 9_000)]), ["dead letters explained"]);
}

#[test]
fn what_comes_back_early_must_have_been_tried() {
    let given_up = |given_up, reply_kind| {
        broken(|history| {
            let invocation = history.invocations[0];
            history.invocations[0] = Invocation { took: 5_000, messages: 1_000, given_up, ..invocation };
            history.exchanges[1].reply_kind = reply_kind;
        })
    };
    assert_eq!(given_up(12, ReplyKind::Accepted), [""; 0]);
    assert_eq!(given_up(13, ReplyKind::Accepted), ["tried before returned"]);
    // Nothing but failures for seconds are an outage, as far as the function can see.
    assert_eq!(given_up(13, ReplyKind::Unusable), [""; 0]);
}

#[test]
fn a_key_must_be_that_of_one_body() {
    let fault = |history: &mut History| {
        history.key_faults = vec!["request 5: no".to_owned()];
        history.key_fault_count = 1;
    };
    assert_eq!(broken(fault), ["one key, one body"]);
}

/// A history with a pause from 10 s to 200 s, in an outage until 100 s. The prober ends it after an acknowledgement.
fn paused(doctor: impl FnOnce(&mut History)) -> Vec<&'static str> {
    broken(|history| {
        let mark = || Some("outage".to_owned());
        let change = |at, by, kind, mark| Change { at, by, kind, mark };
        let (forwarder, prober) = (Caller::Forwarder(0), Caller::Prober(PROBER));
        history.outages = vec![(0, 100_000)];
        history.changes = vec![
            change(10_000, forwarder, ChangeKind::Tag, mark()),
            change(10_000, forwarder, ChangeKind::Disable, mark()),
            change(40_000, forwarder, ChangeKind::Reached(State::Disabled), mark()),
            change(130_010, prober, ChangeKind::Enable, mark()),
            change(130_020, prober, ChangeKind::Untag, None),
            change(200_000, prober, ChangeKind::Reached(State::Enabled), None),
        ];
        history.exchanges.push(Exchange {
            invocation: PROBER,
            arrived: 130_001,
            ended: 130_002,
            ..exchange(ClientView::Informed)
        });
        history.probes = vec![Probe {
            number: PROBER,
            started: 130_000,
            took: 20,
            end: ProbeEnd::Done,
            messages: vec![(0, 130_000)],
            deleted: vec![0],
            found_none: false,
            mark: mark(),
            out_of_turn: None,
            hindered: false,
        }];
        history.ended = 300_000;
        doctor(history);
    })
}

const PROBER: u32 = 1 << 30;
const MARKED: &str = "pauses are marked";
const OPERATORS: &str = "operator's pause kept";
const IN_TURN: &str = "probes in turn";
const ANSWERED: &str = "resumed after a reply";
const RESUMES: &str = "delivery resumes";

#[test]
fn a_pause_that_an_acknowledgement_ends_breaks_nothing() {
    assert_eq!(paused(|_| {}), [""; 0]);
}

#[test]
fn a_pause_must_be_marked_and_in_an_outage() {
    assert_eq!(paused(|history| history.changes[1].mark = None), [MARKED]);
    assert_eq!(paused(|history| history.outages[0] = (20_000, 100_000)), [MARKED]);
}

#[test]
fn an_operators_pause_must_not_be_ended() {
    let of_operator = |kind| {
        paused(|history| {
            history.changes[2] = Change { at: 40_000, by: Caller::Operator, kind, mark: None };
        })
    };
    assert_eq!(of_operator(ChangeKind::Untag), [OPERATORS]);
    assert_eq!(of_operator(ChangeKind::Disable), [OPERATORS]);
    // The operator may end it.
    let ended = paused(|history| {
        history.changes[2].by = Caller::Operator;
        history.changes[2].kind = ChangeKind::Untag;
        history.changes[3].by = Caller::Operator;
    });
    assert_eq!(ended, [""; 0]);
}

#[test]
fn a_probe_must_be_of_a_marked_and_disabled_mapping_and_one_message() {
    assert_eq!(paused(|history| history.probes[0].out_of_turn = Some(State::Enabled)), [IN_TURN]);
    assert_eq!(paused(|history| history.probes[0].messages = vec![(0, 130_000); 2]), [IN_TURN]);
    let of_refusals = |received| {
        paused(|history| {
            history.probes[0].mark = Some("refusals".to_owned());
            history.probes[0].messages = vec![(0, 130_000); received];
        })
    };
    assert_eq!(of_refusals(5), [""; 0]);
    assert_eq!(of_refusals(6), [IN_TURN]);
}

#[test]
fn only_an_answer_may_end_a_pause_and_what_was_acknowledged_must_be_deleted() {
    let answered = |reply_kind, mark: &str| {
        paused(|history| {
            history.exchanges[2].reply_kind = reply_kind;
            history.probes[0].deleted = Vec::new();
            history.messages[0].committed = Some(Committed { first: 20, order: 0, exchange: 2 });
            if reply_kind != ReplyKind::Accepted {
                history.exchanges[2].client_view = ClientView::Uninformed;
            }
            history.changes[3].mark = Some(mark.to_owned());
        })
    };
    assert_eq!(answered(ReplyKind::Unusable, "outage"), [ANSWERED]);
    assert_eq!(answered(ReplyKind::Refused, "outage"), [""; 0]);
    assert_eq!(answered(ReplyKind::Refused, "refusals"), [ANSWERED]);
    assert_eq!(answered(ReplyKind::Accepted, "refusals"), [ANSWERED], "it was not deleted");
    // What was not deleted is delivered once more, by the forwarder.
    let delivered_again = paused(|history| {
        history.exchanges[2].reply_kind = ReplyKind::Accepted;
        history.probes[0].deleted = Vec::new();
        history.repeats.push(Repeat { message: 0, exchanges: (2, 0) });
    });
    assert!(delivered_again.contains(&ANSWERED));
    let nothing_there = |history: &mut History| {
        history.exchanges.pop();
        history.probes[0] = Probe {
            messages: Vec::new(),
            deleted: Vec::new(),
            found_none: true,
            ..history.probes[0].clone()
        };
    };
    assert_eq!(paused(nothing_there), [""; 0]);
}

#[test]
fn a_pause_must_end_within_four_minutes_and_a_minute_for_each_run_that_was_hindered() {
    let ends_at = |at: Ms, missing: usize| {
        paused(|history| {
            history.changes[5].at = at;
            history.ended = at;
            let missing_one = Probe { end: ProbeEnd::Missing, ..history.probes[0].clone() };
            history.probes.extend(vec![missing_one; missing]);
        })
    };
    assert_eq!(ends_at(340_000, 0), [""; 0]);
    assert_eq!(ends_at(340_001, 0), [RESUMES]);
    assert_eq!(ends_at(400_000, 1), [""; 0]);
    assert_eq!(ends_at(400_001, 1), [RESUMES]);
    let never = |history: &mut History| {
        history.changes.truncate(3);
        history.ended = 340_001;
    };
    assert_eq!(paused(never), [RESUMES]);
}

#[test]
fn a_good_message_must_not_die_of_probes() {
    let probed = |probed, is_poison| {
        broken(|history| {
            let message = &mut history.messages[1];
            *message = MessageHistory {
                state: MessageState::Dead,
                committed: None,
                receives: 5,
                excused_receives: 5,
                probed,
                is_poison,
                ..*message
            };
        })
    };
    assert_eq!(probed(2, false), [""; 0]);
    assert_eq!(probed(3, false), ["probes cost no message"]);
    assert_eq!(probed(5, true), [""; 0]);
}
