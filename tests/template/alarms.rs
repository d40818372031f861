//! Alarms: what they watch, what they say, whom they notify.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    METRICS,
    document::{Template, number, text, yaml},
    stack::{EXISTING, Stack, alarms, metrics_of},
};

#[test]
fn every_alarm_says_what_to_do_and_where_to_read_on() {
    let template = Template::read();
    let alarms = alarms(&template, &[("RunbookUrl", "https://example.com/alarms.md")]);
    assert_eq!(alarms.len(), 18);
    for (section, alarm) in alarms {
        let whole = text(&alarm["AlarmDescription"]);
        let (said, link) = whole.rsplit_once(" Run-book: ").expect("a link");
        assert_eq!(link, format!("https://example.com/alarms.md#{section}"));
        assert!(said.len() > 60 && said.ends_with('.'), "{section}: {said}");
        assert!(whole.len() <= 1024, "{section}");
        let acts =
            ["Find", "See", "see", "Read", "read", "Raise", "ell the", "raise", "names the", "Redrive"];
        assert!(acts.iter().any(|act| said.contains(act)), "{section} does not say what to do: {said}");
        let missing = alarm.get("TreatMissingData").map(text);
        let known = ["notBreaching", "ignore", "breaching"];
        assert!(alarm.get("AlarmRule").is_some() || known.contains(&missing.expect("is set").as_str()));
    }
}

#[test]
fn the_run_book_is_linked_with_a_whole_address() {
    let template = Template::read();
    let link = |given: &[(&str, &str)]| {
        let whole = text(&alarms(&template, given)["dead-letters"]["AlarmDescription"]);
        whole.rsplit_once(" Run-book: ").expect("a link").1.to_owned()
    };
    let console = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1";
    assert_eq!(link(&[]), format!("{console}#dashboards/dashboard/stack and docs/alarms.md#dead-letters"));
    let without = format!("{console}#alarmsV2:?search=stack and docs/alarms.md#dead-letters");
    assert_eq!(link(&[("Dashboard", "false")]), without);
    let accepts = template.pattern("RunbookUrl");
    assert!(accepts("https://example.com/a.md") && !accepts("docs/alarms.md") && !accepts("https://a/b#c"));
    assert_eq!(*template.at(&["Mappings", "Console", "aws-cn", "Domain"]), "console.amazonaws.cn");
}

#[test]
fn one_outage_is_one_page() {
    let template = Template::read();
    let pages_for = |given: &[(&str, &str)]| -> BTreeSet<String> {
        let rule = text(&alarms(&template, given)["not-delivering"]["AlarmRule"]);
        let stack = Stack { template: &template, given };
        let names: BTreeMap<_, _> = stack.resources("AWS::CloudWatch::Alarm").into_iter().collect();
        let of_resource = |name: &str| text(&names[name]["AlarmName"]);
        rule.split(" OR ")
            .map(|term| of_resource(term.strip_prefix("ALARM(\"").expect("a state").trim_end_matches("\")")))
            .collect()
    };
    let silent = |given: &[(&str, &str)]| -> BTreeSet<String> {
        let all = alarms(&template, given);
        let silent = all.values().filter(|alarm| alarm.get("AlarmActions").is_none());
        silent.map(|alarm| text(&alarm["AlarmName"])).collect()
    };
    for (given, causes) in [
        (&[("AlarmTopicArn", "arn:t")][..], 6),
        (&[("AlarmTopicArn", "arn:t"), ("CircuitBreaker", "false")], 5),
        (&[("AlarmTopicArn", "arn:t"), ("Metrics", "off")], 2),
    ] {
        // Whatever has no actions of its own is a cause of the one that pages.
        assert_eq!(silent(given), pages_for(given));
        assert_eq!(pages_for(given).len(), causes, "{given:?}");
    }
}

#[test]
fn alarms_notify_whom_their_severity_says() {
    let template = Template::read();
    let notified = |given: &[(&str, &str)]| -> BTreeMap<Option<String>, BTreeSet<String>> {
        let mut notified: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, alarm) in alarms(&template, given) {
            let whom = alarm.get("AlarmActions").map(|actions| text(&actions[0]));
            let ends = alarm.get("OKActions").map(|actions| text(&actions[0]));
            // An end that is no news.
            assert!(whom == ends || (name == "dead-letters-grow" && ends.is_none()), "{name}");
            notified.entry(whom).or_default().insert(name);
        }
        notified
    };
    let topics = |given: &[(&str, &str)]| {
        let stack = Stack { template: &template, given };
        ["AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::KMS::Key"].map(|kind| stack.resources(kind).len())
    };
    assert_eq!(notified(&[]).into_keys().collect::<Vec<_>>(), [None]);
    assert_eq!(topics(&[]), [0; 3]);
    let pages =
        ["dead-letters-age", "deployment", "not-delivering", "prober", "retention"].map(str::to_owned);
    let tickets = [
        "concurrency",
        "dead-letters",
        "dead-letters-grow",
        "headroom",
        "in-flight",
        "throttles",
        "timeouts",
    ]
    .map(str::to_owned);
    let page = Some("AlarmTopic".to_owned());
    let ticket = Some("TicketTopic".to_owned());
    let both = [("AlarmEmail", "a@example.com"), ("TicketEmail", "b@example.com")];
    assert_eq!(notified(&both)[&page], BTreeSet::from(pages.clone()));
    assert_eq!(notified(&both)[&ticket], BTreeSet::from(tickets.clone()));
    assert_eq!(topics(&both), [2, 2, 1]);
    // Without a receiver of their own, tickets go where the pages go.
    assert_eq!(notified(&both[..1])[&page], pages.into_iter().chain(tickets).collect());
    assert_eq!(topics(&both[..1]), [1, 1, 1]);
    let given = [("AlarmTopicArn", "arn:p"), ("TicketTopicArn", "arn:t")];
    let whom: Vec<_> = notified(&given).into_keys().flatten().collect();
    assert_eq!(whom, ["arn:p", "arn:t"]);
    assert_eq!(topics(&given), [0; 3]);
    assert_eq!(topics(&[both[0], both[1], ("Alarms", "false")]), [0; 3]);
    let made = Stack { template: &template, given: &both }.resources("AWS::SNS::Topic");
    assert!(made.iter().all(|(_, topic)| topic["KmsMasterKeyId"] == "AlarmKey"));
}

#[test]
fn alarms_watch_metrics_that_exist() {
    let template = Template::read();
    let watched = |given: &[(&str, &str)]| -> BTreeSet<String> {
        let alarms = Stack { template: &template, given }.resources("AWS::CloudWatch::Alarm");
        alarms
            .iter()
            .flat_map(|(_, alarm)| metrics_of(alarm))
            .map(|metric| {
                let dimensions = metric.get("Dimensions").map(|dimensions| dimensions[0].clone());
                let function =
                    if text(&metric["MetricName"]) == "BreakerPaused" { "Prober" } else { "Forwarder" };
                let of = |function| Some(yaml(&format!("{{Name: FunctionName, Value: {function}}}")));
                match text(&metric["Namespace"]).as_str() {
                    "PerseusForwarder/stack" => assert_eq!(dimensions, None),
                    "AWS/SQS" => assert_eq!(dimensions.expect("a queue")["Name"], "QueueName"),
                    "AWS/Lambda" => assert!([of("Forwarder"), of("Prober")].contains(&dimensions)),
                    _ => assert_eq!(dimensions, of(function)),
                }
                format!("{}/{}", text(&metric["Namespace"]), text(&metric["MetricName"]))
            })
            .collect()
    };
    let of_the_platform = [
        "AWS/Lambda/ConcurrentExecutions",
        "AWS/Lambda/Errors",
        "AWS/Lambda/Invocations",
        "AWS/Lambda/Throttles",
        "AWS/SQS/ApproximateAgeOfOldestMessage",
        "AWS/SQS/ApproximateNumberOfMessagesNotVisible",
        "AWS/SQS/ApproximateNumberOfMessagesVisible",
        "PerseusForwarder/stack/Timeouts",
    ]
    .map(str::to_owned);
    assert_eq!(watched(&[("Alarms", "false")]).len(), 0);
    let without = watched(&[("Metrics", "off")]);
    // The alarm of a deployment takes a metric that is not there for 0.
    let of_a_version = ["RefusesAll", "SetUpErrors"].map(|name| format!("PerseusForwarder/{name}"));
    assert_eq!(without, of_the_platform.iter().chain(&of_a_version).cloned().collect());
    let all = watched(&[]);
    let own: Vec<_> = all.iter().filter(|name| !of_the_platform.contains(name)).collect();
    assert_eq!(own.len(), 7);
    for name in own {
        assert!(METRICS.contains(&name.strip_prefix("PerseusForwarder/").expect("an own metric")), "{name}");
    }
}

#[test]
fn alarms_of_loss_begin_while_there_is_time() {
    let template = Template::read();
    let expression = |given: &[(&str, &str)], name: &str| {
        let alarm = alarms(&template, given).remove(name).expect("an alarm");
        (text(&alarm["Metrics"][0]["Expression"]), number(&alarm["Threshold"]))
    };
    let week = ("MessageRetention", "604800");
    assert_eq!(expression(&[week], "retention"), ("100 * age / 604800".to_owned(), 75));
    // A dead letter of a standard queue keeps its age, of which the metric says nothing.
    let surely_left = "100 * age / (1209600 - 604800)".to_owned();
    assert_eq!(expression(&[week], "dead-letters-age"), (surely_left, 50));
    let fifo = expression(&[week, ("FifoQueue", "true")], "dead-letters-age");
    assert_eq!(fifo.0, "100 * age / (1209600)");
    assert_eq!(expression(&[EXISTING], "retention").0, "100 * age / ExistingQueue.Retention");
    let own = expression(&[EXISTING], "dead-letters-age").0;
    assert_eq!(own, "100 * age / (ExistingQueue.DeadLetterRetention)");
    assert!(number(&alarms(&template, &[])["in-flight"]["Threshold"]) < 120_000);
}

#[test]
fn a_limit_on_invocations_alarms_only_with_a_backlog() {
    let template = Template::read();
    let expression =
        |given: &[(&str, &str)]| text(&alarms(&template, given)["concurrency"]["Metrics"][0]["Expression"]);
    assert_eq!(expression(&[]), "IF(concurrent >= 10 AND waiting > 0, 1, 0)");
    let pollers = [("MinimumPollers", "2"), ("MaximumPollers", "7")];
    assert_eq!(expression(&pollers), "IF(concurrent >= 10 * 7 AND waiting > 0, 1, 0)");
    let throttles = text(&alarms(&template, &[])["throttles"]["Metrics"][0]["Expression"]);
    assert_eq!(throttles, "IF(throttles > 0 AND waiting + hidden > 0, 1, 0)");
}

#[test]
fn a_prober_that_does_not_run_for_five_minutes_alarms_with_the_command_that_resumes() {
    let template = Template::read();
    let alarm = alarms(&template, &[]).remove("prober").expect("an alarm");
    assert_eq!(text(&alarm["Metrics"][0]["Expression"]), "FILL(invocations, 0) - FILL(errors, 0)");
    let minutes =
        number(&alarm["EvaluationPeriods"]) * number(&alarm["Metrics"][1]["MetricStat"]["Period"]) / 60;
    assert_eq!((minutes, text(&alarm["TreatMissingData"])), (5, "breaching".to_owned()));
    let command = "aws lambda update-event-source-mapping --uuid ForwarderMessages --enabled";
    assert!(text(&alarm["AlarmDescription"]).contains(command));
    let late = text(&alarms(&template, &[])["message-age"]["AlarmDescription"]);
    assert!(late.contains("If stack-paused is on, the circuit breaker has paused delivery"), "{late}");
    for off in [("CircuitBreaker", "false"), ("DeliveryEnabled", "false")] {
        let left = alarms(&template, &[off]);
        assert!(!left.contains_key("prober") && !left.contains_key("paused"), "{off:?}");
    }
}
