//! Parameters, and what they have in common with the function's variables.

use std::collections::BTreeSet;

use perseus_forwarder::config::{Config, PROBER_VARIABLES, VARIABLES};

use crate::{
    OF_THE_EXTENSION,
    document::{Template, number, referred, text, yaml},
    stack::Stack,
};

/// The token and the private key themselves are for runs by hand: deployed, they would be in the function's configuration.
const WITHOUT_PARAMETER: [&str; 2] = ["PERSEUS_TOKEN", "PERSEUS_CLIENT_CERT"];

#[test]
fn the_template_sets_every_variable_of_the_function_and_no_other() {
    let template = Template::read();
    let set = |function| -> BTreeSet<_> { template.environment_of(function).into_keys().collect() };
    let read =
        VARIABLES.iter().map(|variable| variable.name).filter(|name| !WITHOUT_PARAMETER.contains(name));
    let read: BTreeSet<_> = read.chain(OF_THE_EXTENSION).collect();
    assert_eq!(set("Forwarder"), read);

    let probers: BTreeSet<_> = PROBER_VARIABLES.iter().map(|variable| variable.name).collect();
    let read: BTreeSet<_> = read.union(&probers).copied().collect();
    let missing: Vec<_> = read.difference(&set("Prober")).copied().collect();
    // What only the forwarder does.
    assert_eq!(missing, ["CIRCUIT_BREAKER", "CIRCUIT_BREAKER_AFTER", "REJECTED_QUEUE_URL", "SQS_VISIBILITY"]);
    assert!(set("Prober").is_subset(&read));
}

#[test]
fn a_parameter_has_the_name_of_its_variable_in_other_letters() {
    let template = Template::read();
    for (name, parameter) in template.environment().into_iter().filter_map(|(n, v)| Some((n, referred(v)?))) {
        let words = name.split('_').map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase()));
        assert_eq!(words.collect::<String>(), parameter);
    }
}

#[test]
fn parameters_default_to_what_the_function_defaults_to() {
    let template = Template::read();
    for (name, value) in template.environment() {
        let Some(parameter) = referred(value) else {
            let is_other =
                ["CIRCUIT_BREAKER", "REJECTED_QUEUE_URL"].contains(&name) || OF_THE_EXTENSION.contains(&name);
            assert!(is_other, "{name} is no plain reference to a parameter");
            continue;
        };
        let variable = VARIABLES.iter().find(|variable| variable.name == name).expect("a known variable");
        // Empty is unset.
        let default =
            template.parameter(parameter).get("Default").map(text).filter(|value| !value.is_empty());
        if ["SQS_VISIBILITY", "METRICS"].contains(&name) {
            // The two that differ, for the reasons beside them.
            assert_eq!((default.as_deref(), variable.default), (Some("on"), Some("off")));
            continue;
        }
        assert_eq!(default.as_deref(), variable.default, "{parameter}, {name}");
    }
}

#[test]
fn what_a_shell_leaves_of_a_quoted_value_is_no_value() {
    let template = Template::read();
    for (parameter, value, left) in [
        ("PerseusHeaders", "{\n \"x-api-key\": \"a b\"}\n", "{"),
        ("PerseusCaCert", "-----BEGIN CERTIFICATE-----\\nMA==\\n-----END CERTIFICATE-----\\n", "-----BEGIN"),
        ("FilterCriteria", "{\"body\":{\"kind\":[\"order\"]}}", "{body:{kind:[order]"),
        ("PerseusTokenSecret", "team/token#field", "#field"),
        ("PerseusUrl", "https://perseus.example.com/v1?a=b", "https:"),
    ] {
        let accepts = template.pattern(parameter);
        assert!(accepts(value), "{parameter}");
        assert!(!accepts(left), "{parameter}");
        let is_optional = template.parameter(parameter).get("Default").is_some();
        assert_eq!(accepts(""), is_optional, "{parameter}");
    }
}

#[test]
fn numbers_have_the_limits_that_the_function_has() {
    let template = Template::read();
    let accepts = |name: &str, value: u64| {
        let value = value.to_string();
        let lookup = |asked: &str| match asked {
            "PERSEUS_URL" => Some("https://perseus.example".into()),
            _ if asked == name => Some(value.clone().into()),
            _ => None,
        };
        Config::from_lookup(lookup).is_ok()
    };
    let mut seen = 0;
    for (name, value) in template.environment() {
        let Some(parameter) = referred(value).map(|parameter| template.parameter(parameter)) else {
            continue;
        };
        if parameter["Type"] != "Number" {
            continue;
        }
        let (least, most) = (number(&parameter["MinValue"]), number(&parameter["MaxValue"]));
        assert!(accepts(name, least) && !accepts(name, least - 1), "{name}: MinValue {least}");
        assert!(accepts(name, most) && !accepts(name, most + 1), "{name}: MaxValue {most}");
        seen += 1;
    }
    assert_eq!(seen, 3, "BATCH_MAX_RECORDS, MAX_IN_FLIGHT and MAX_ATTEMPTS");
}

#[test]
fn parameters_that_make_no_sense_together_are_refused_before_anything_is_made() {
    let template = Template::read();
    let rule = |name: &str| {
        let rule = template.at(&["Rules", name]);
        (rule["RuleCondition"].clone(), rule["Assertions"][0]["Assert"].clone())
    };
    let one_of = |first: &str, second: &str| {
        (yaml(&format!("!Not [!Equals [!Ref {first}, '']]")), yaml(&format!("!Equals [!Ref {second}, '']")))
    };
    assert_eq!(rule("TheTokenComesFromOnePlace"), one_of("PerseusTokenSecret", "PerseusTokenParameter"));
    let certificate = one_of("PerseusClientCertSecret", "PerseusClientCertParameter");
    assert_eq!(rule("TheCertificateComesFromOnePlace"), certificate);
    assert_eq!(rule("AlarmsNotifyOnePlace"), one_of("AlarmTopicArn", "AlarmEmail"));
    assert_eq!(rule("TicketsNotifyOnePlace"), one_of("TicketTopicArn", "TicketEmail"));
    let (condition, assertion) = rule("MetricsNeedTheLevelInfo");
    assert_eq!(condition, yaml("!Equals [!Ref Metrics, 'on']"));
    assert_eq!(assertion, yaml("Fn::Contains: [[DEBUG, INFO], !Ref ApplicationLogLevel]"));
}

#[test]
fn signed_requests_need_a_permission_and_have_no_token() {
    let template = Template::read();
    let is_allowed = |given: &[(&str, &str)]| {
        let stack = Stack { template: &template, given };
        let rules = ["ASignatureExcludesAToken", "SignedRequestsNeedAPermission", "ARegionNeedsAService"];
        rules.iter().all(|name| {
            let rule = template.at(&["Rules", name]);
            !stack.holds(&rule["RuleCondition"]) || stack.holds(&rule["Assertions"][0]["Assert"])
        })
    };
    let (service, resource) = (("PerseusSigv4", "lambda"), ("PerseusSigv4Resource", "arn:f"));
    let region = ("PerseusSigv4Region", "us-east-1");
    let (secret, parameter) = (("PerseusTokenSecret", "t"), ("PerseusTokenParameter", "t"));
    let certificate = ("PerseusClientCertSecret", "c");
    for given in [&[][..], &[secret], &[service, resource], &[service, resource, region, certificate]] {
        assert!(is_allowed(given), "{given:?}");
    }
    for given in [
        &[service][..],
        &[resource],
        &[region],
        &[service, resource, secret],
        &[service, resource, parameter],
    ] {
        assert!(!is_allowed(given), "{given:?}");
    }
}

#[test]
fn the_ways_to_perseus_take_what_the_function_takes_and_nothing_that_cannot_be_right() {
    let template = Template::read();
    let arn = |rest: &str| format!("arn:aws:{rest}");
    let accepted = [
        ("PerseusProxy", "https://proxy.internal".to_owned()),
        ("PerseusProxy", "http://me:p%40ss@proxy.internal:3128".to_owned()),
        ("PerseusProxy", "http://[::1]:8080/".to_owned()),
        ("PerseusSigv4Region", "eu-west-1".to_owned()),
        ("PerseusSigv4Resource", arn("execute-api:eu-west-1:123456789012:a1b2c3/$default/POST/*")),
        ("PerseusSigv4Resource", arn("lambda:eu-west-1:123456789012:function:perseus")),
        ("PerseusSigv4Resource", arn("vpc-lattice:eu-west-1:123456789012:service/svc-1/*")),
        ("PerseusSigv4Resource", arn("osis:eu-west-1:123456789012:pipeline/perseus")),
        ("PerseusClientCertSecret", "perseus/client#pem".to_owned()),
        ("PerseusClientCertParameter", "/perseus/client".to_owned()),
        ("PerseusClientCertKey", arn("kms:eu-west-1:123456789012:key/k")),
    ];
    for (parameter, value) in accepted {
        let accepts = template.pattern(parameter);
        assert!(accepts(&value) && accepts(""), "{parameter}: {value}");
    }
    let refused = [
        ("PerseusProxy", "proxy.internal:3128".to_owned()),
        ("PerseusProxy", "socks5://proxy.internal:1080".to_owned()),
        ("PerseusProxy", "http://me:p@ss@proxy.internal:3128".to_owned()),
        ("PerseusProxy", "http://proxy.internal:3128/path".to_owned()),
        ("PerseusSigv4Region", "Ireland".to_owned()),
        ("PerseusSigv4Resource", "*".to_owned()),
        ("PerseusSigv4Resource", arn("execute-api:eu-west-1:123456789012:*")),
        ("PerseusSigv4Resource", arn("lambda:*:*:function:perseus")),
        ("PerseusSigv4Resource", arn("s3:::bucket/key")),
        ("PerseusClientCertSecret", "-----BEGIN CERTIFICATE-----".to_owned()),
        ("PerseusClientCertParameter", "-----BEGIN CERTIFICATE-----".to_owned()),
        ("PerseusClientCertKey", arn("kms:eu-west-1:123456789012:alias/k")),
    ];
    for (parameter, value) in refused {
        assert!(!template.pattern(parameter)(&value), "{parameter}: {value}");
    }
}

#[test]
fn each_service_that_requests_can_be_signed_for_is_one_that_the_function_takes() {
    let template = Template::read();
    let services = template.parameter("PerseusSigv4")["AllowedValues"].as_sequence().expect("a list");
    assert_eq!(services.len(), 5);
    for service in services.iter().map(text) {
        let lookup = |asked: &str| match asked {
            "PERSEUS_URL" => Some("https://perseus.example".into()),
            "PERSEUS_SIGV4" => Some(service.clone().into()),
            "AWS_REGION" => Some("eu-west-1".into()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("k".into()),
            _ => None,
        };
        assert!(Config::from_lookup(lookup).is_ok(), "{service}");
    }
}

#[test]
fn every_parameter_is_described_labelled_and_in_a_group() {
    let template = Template::read();
    let interface = template.at(&["Metadata", "AWS::CloudFormation::Interface"]);
    let groups = interface["ParameterGroups"].as_sequence().expect("a list");
    let grouped: Vec<_> = groups
        .iter()
        .flat_map(|group| group["Parameters"].as_sequence().expect("a list"))
        .map(|name| name.as_str().expect("a name"))
        .collect();
    let parameters = template.at(&["Parameters"]).as_mapping().expect("a mapping");
    assert_eq!(grouped.len(), parameters.len(), "each is in one group");
    for (name, parameter) in parameters {
        let name = name.as_str().expect("a name");
        assert!(parameter["Description"].is_string(), "{name}");
        assert!(grouped.contains(&name), "{name}");
        assert!(interface["ParameterLabels"][name]["default"].is_string(), "{name}");
    }
}

#[test]
fn the_function_never_logs_at_trace() {
    // There the runtime crate logs whole events.
    let levels = Template::read().parameter("ApplicationLogLevel")["AllowedValues"].clone();
    assert!(!levels.as_sequence().expect("a list").contains(&"TRACE".into()));
}
