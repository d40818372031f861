//! What `template.yaml` promises, where no linter looks: that it agrees with the function, and with
//! itself wherever CloudFormation cannot compute.

use std::collections::{BTreeMap, BTreeSet};

use perseus_forwarder::{
    config::{Config, PROBER_VARIABLES, VARIABLES},
    sqs::visibility::LONGEST,
};
use yaml_serde::Value;

/// What the function, and the prober, say of an invocation in their documents of metrics.
const METRICS: [&str; 18] = [
    "Acknowledged",
    "BreakerPaused",
    "BytesSent",
    "DeadLettered",
    "Errored",
    "Headroom",
    "InFlightLimit",
    "MessageAge",
    "Outage",
    "PerseusLatency",
    "Received",
    "Rejected",
    "Requests",
    "Retries",
    "RefusesAll",
    "SetUpErrors",
    "Splits",
    "Unattempted",
];

/// The variables of the extension that fetches the token.
const OF_THE_EXTENSION: [&str; 5] = [
    "PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL",
    "SECRETS_MANAGER_TIMEOUT_MILLIS",
    "SECRETS_MANAGER_TTL",
    "SSM_PARAMETER_STORE_TIMEOUT_MILLIS",
    "SSM_PARAMETER_STORE_TTL",
];

/// A queue of one's own.
const EXISTING: (&str, &str) = ("ExistingQueueArn", "arn:aws:sqs:eu-west-1:123456789012:orders");

/// The template, and what the tests ask of it.
struct Template(Value);

impl Template {
    fn read() -> Self {
        // The parser refuses duplicate keys, which CloudFormation would let pass.
        Template(yaml(include_str!("../template.yaml")))
    }

    /// The value under `path`.
    fn at(&self, path: &[&str]) -> &Value {
        path.iter().fold(&self.0, |value, key| {
            value.get(*key).unwrap_or_else(|| panic!("template.yaml has no {}", path.join(".")))
        })
    }

    fn parameter(&self, name: &str) -> &Value {
        self.at(&["Parameters", name])
    }

    fn property(&self, resource: &str, name: &str) -> &Value {
        self.at(&["Resources", resource, "Properties", name])
    }

    /// A property of what connects the queue to the function.
    fn mapping(&self, name: &str) -> &Value {
        self.property("ForwarderMessages", name)
    }

    /// A property that both functions have.
    fn shared(&self, name: &str) -> &Value {
        self.at(&["Globals", "Function", name])
    }

    /// A function's environment: each variable's name and what the template sets it to.
    fn environment_of(&self, function: &str) -> BTreeMap<&str, &Value> {
        let shared = &self.shared("Environment")["Variables"];
        let own = &self.property(function, "Environment")["Variables"];
        let entries =
            [shared, own].into_iter().flat_map(|variables| variables.as_mapping().expect("a mapping"));
        entries.map(|(name, value)| (name.as_str().expect("a name"), value)).collect()
    }

    fn environment(&self) -> BTreeMap<&str, &Value> {
        self.environment_of("Forwarder")
    }

    /// Whether a parameter may have a value, by its pattern.
    fn pattern(&self, parameter: &str) -> impl Fn(&str) -> bool {
        let pattern = text(&self.parameter(parameter)["AllowedPattern"]);
        let pattern =
            jsonschema::validator_for(&serde_json::json!({ "pattern": pattern })).expect("a schema");
        move |value| pattern.is_valid(&value.into())
    }

    /// The values a parameter may have.
    fn allowed(&self, parameter: &str) -> Vec<u64> {
        let allowed = self.parameter(parameter)["AllowedValues"].as_sequence().expect("a list");
        allowed.iter().map(|value| text(value).parse().expect("a number")).collect()
    }

    /// What the visibility timeout is for each pair of function timeout and batching window.
    fn visibility(&self) -> Vec<(u64, u64, u64)> {
        let entries = |value: &Value| -> Vec<(u64, Value)> {
            // Quoted keys, because CloudFormation looks for text.
            let entry = |(key, value): (&Value, &Value)| {
                (key.as_str().expect("a quoted key").parse().expect("a number"), value.clone())
            };
            value.as_mapping().expect("a mapping").iter().map(entry).collect()
        };
        let rows = entries(self.at(&["Mappings", "VisibilityTimeout"]));
        let columns = |(timeout, row): (u64, Value)| {
            entries(&row).into_iter().map(move |(window, visibility)| (timeout, window, number(&visibility)))
        };
        rows.into_iter().flat_map(columns).collect()
    }
}

/// What CloudFormation makes of the template for a stack with these parameters, as far as the tests ask for it.
struct Stack<'a> {
    template: &'a Template,
    given: &'a [(&'a str, &'a str)],
}

impl Stack<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        let given = self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        given.or_else(|| self.template.at(&["Parameters"]).get(name)?.get("Default").map(text))
    }

    /// The value of a reference; a resource's is its own name, an attribute's `Resource.Attribute`.
    fn reference(&self, name: &str) -> String {
        match name {
            "AWS::AccountId" => "123456789012".to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::Region" => "eu-west-1".to_owned(),
            "AWS::StackName" => "stack".to_owned(),
            _ => self.parameter(name).unwrap_or_else(|| {
                let resource = name.split('.').next().unwrap_or_default();
                assert!(self.template.at(&["Resources"]).get(resource).is_some(), "there is no {name}");
                name.to_owned()
            }),
        }
    }

    fn holds(&self, condition: &Value) -> bool {
        let Value::Tagged(tagged) = condition else {
            return self.holds(self.template.at(&["Conditions", condition.as_str().expect("a condition")]));
        };
        let mut operands = tagged.value.as_sequence().into_iter().flatten();
        match tagged.tag.to_string().trim_start_matches('!') {
            "Condition" => self.holds(&tagged.value),
            "Not" => !self.holds(&tagged.value[0]),
            "And" => operands.all(|operand| self.holds(operand)),
            "Or" => operands.any(|operand| self.holds(operand)),
            "Equals" => self.text(&tagged.value[0]) == self.text(&tagged.value[1]),
            other => panic!("!{other} as a condition"),
        }
    }

    /// A value without functions; none if it comes to nothing.
    fn resolve(&self, value: &Value) -> Option<Value> {
        let of = |value: &Value| self.resolve(value).expect("a value");
        let list = |value: &Value| -> Vec<String> {
            of(value).as_sequence().expect("a list").iter().map(text).collect()
        };
        let Value::Tagged(tagged) = value else {
            return Some(match value {
                Value::Sequence(items) => items.iter().filter_map(|item| self.resolve(item)).collect(),
                Value::Mapping(entries) => Value::Mapping(
                    entries
                        .iter()
                        .filter_map(|(key, value)| Some((key.clone(), self.resolve(value)?)))
                        .collect(),
                ),
                plain => plain.clone(),
            });
        };
        let value = &tagged.value;
        Some(match tagged.tag.to_string().trim_start_matches('!') {
            "Ref" if value == "AWS::NoValue" => return None,
            "Ref" | "GetAtt" => self.reference(value.as_str().expect("a name")).into(),
            "If" => return self.resolve(&value[if self.holds(&value[0]) { 1 } else { 2 }]),
            "Select" => of(&value[1])[usize::try_from(number(&value[0])).expect("an index")].clone(),
            "Split" => {
                let separator = text(&value[0]);
                self.text(&value[1]).split(&separator).map(Value::from).collect()
            }
            "FindInMap" => {
                let keys: Vec<_> = (0..3).map(|place| self.text(&value[place])).collect();
                let default = value.get(3).map(|last| &last["DefaultValue"]);
                let row = self.template.at(&["Mappings", &keys[0]]).get(&keys[1]);
                row.and_then(|row| row.get(&keys[2])).or(default).expect("an entry").clone()
            }
            "Join" => list(&value[1]).join(&text(&value[0])).into(),
            "Sub" => match value.as_sequence() {
                Some(pair) => self.substitute(&text(&pair[0]), &of(&pair[1])),
                None => self.substitute(&text(value), &Value::Null),
            }
            .into(),
            other => panic!("!{other}"),
        })
    }

    fn text(&self, value: &Value) -> String {
        text(&self.resolve(value).expect("a value"))
    }

    fn substitute(&self, template: &str, own: &Value) -> String {
        let mut pieces = template.split("${");
        let mut whole = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').expect("a closing brace");
            whole += &own.get(name).map_or_else(|| self.reference(name), text);
            whole += rest;
        }
        whole
    }

    /// The resources of this type that the stack has, by name.
    fn resources(&self, of_type: &str) -> Vec<(String, Value)> {
        let resources = self.template.at(&["Resources"]).as_mapping().expect("a mapping");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == of_type)
            .filter(|(_, resource)| resource.get("Condition").is_none_or(|condition| self.holds(condition)))
            .map(|(name, resource)| (text(name), self.resolve(&resource["Properties"]).expect("properties")))
            .collect()
    }

    /// What a role allows, as `action on resource`.
    fn allowed_to(&self, role: &str) -> BTreeSet<String> {
        let inline = self.resolve(self.template.property(role, "Policies")).expect("policies");
        let inline = inline.as_sequence().expect("a list").clone();
        let attached = self.resources("AWS::IAM::RolePolicy").into_iter().map(|(_, policy)| policy);
        let policies = inline.into_iter().chain(attached.filter(|policy| policy["RoleName"] == role));
        let statements = policies
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_sequence().expect("a list").clone());
        statements
            .filter(|statement| statement["Effect"] == "Allow")
            .flat_map(|statement| {
                let actions = statement["Action"].as_sequence().cloned();
                let resource = text(&statement["Resource"]);
                actions
                    .unwrap_or_else(|| vec![statement["Action"].clone()])
                    .into_iter()
                    .map(move |action| format!("{} on {resource}", text(&action)))
            })
            .collect()
    }
}

/// What an alarm watches: a metric, or those in its expression.
fn metrics_of(alarm: &Value) -> Vec<Value> {
    let Some(terms) = alarm.get("Metrics").and_then(Value::as_sequence) else { return vec![alarm.clone()] };
    let expression = text(&terms[0]["Expression"]);
    let statistics = &terms[1..];
    let is_used = |term: &Value| expression.contains(&text(&term["Id"])) && term["ReturnData"] == false;
    assert!(statistics.iter().all(is_used), "{expression}");
    statistics.iter().map(|term| term["MetricStat"]["Metric"].clone()).collect()
}

fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).expect("YAML")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value:?} is not a whole number"))
}

/// The text of a scalar, as CloudFormation hands it to the function.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => number(other).to_string(),
    }
}

/// The parameter that a value is a plain `!Ref` to.
fn referred(value: &Value) -> Option<&str> {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => tagged.value.as_str(),
        _ => None,
    }
}

/// The condition under which a value is there at all, and the value.
fn conditional(value: &Value) -> (Option<&str>, &Value) {
    match value {
        Value::Tagged(tagged) if tagged.tag == "If" => {
            assert_eq!(tagged.value[2], yaml("!Ref AWS::NoValue"));
            (tagged.value[0].as_str(), &tagged.value[1])
        }
        _ => (None, value),
    }
}

#[test]
fn the_template_sets_every_variable_of_the_function_and_no_other() {
    let template = Template::read();
    let set = |function| -> BTreeSet<_> { template.environment_of(function).into_keys().collect() };
    // The token itself is for running by hand: deployed, it would stand in the function's configuration.
    let read = VARIABLES.iter().map(|variable| variable.name).filter(|name| *name != "PERSEUS_TOKEN");
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
fn the_function_is_told_where_the_token_is_and_never_the_token() {
    let template = Template::read();
    for function in ["Forwarder", "Prober"] {
        assert!(!template.environment_of(function).contains_key("PERSEUS_TOKEN"));
    }
    // Headers may hold keys: at least no console shows them as a parameter.
    assert_eq!(template.parameter("PerseusHeaders")["NoEcho"], true);
    assert!(!include_str!("../template.yaml").contains("{{resolve:secretsmanager"));
    assert!(!include_str!("../template.yaml").contains("{{resolve:ssm-secure"));
}

#[test]
fn the_extension_is_there_exactly_if_there_is_a_token_to_fetch() {
    let template = Template::read();
    let layers =
        |given: &[(&str, &str)]| Stack { template: &template, given }.resolve(template.shared("Layers"));
    let latest = |architecture| {
        format!(
            "['{{{{resolve:ssm:/aws/service/aws-parameters-and-secrets-lambda-extension/{architecture}/latest}}}}']"
        )
    };
    assert_eq!(layers(&[]), None);
    assert_eq!(layers(&[("PerseusTokenSecret", "s")]), Some(yaml(&latest("x86"))));
    let arm = [("PerseusTokenParameter", "p"), ("Architecture", "arm64")];
    assert_eq!(layers(&arm), Some(yaml(&latest("arm64"))));
    let pinned = [("PerseusTokenSecret", "s"), ("SecretsExtensionLayerArn", "arn:x:3")];
    assert_eq!(layers(&pinned), Some(yaml("['arn:x:3']")));

    for (name, value) in template.environment() {
        if OF_THE_EXTENSION.contains(&name) {
            assert_eq!(conditional(value).0, Some("FetchesToken"), "{name}");
        }
    }
    // docs/token.md says how long a rotation may take.
    let variables = template.environment();
    for ttl in ["SECRETS_MANAGER_TTL", "SSM_PARAMETER_STORE_TTL"] {
        assert_eq!(*conditional(variables[ttl]).1, "10");
    }
}

#[test]
fn the_function_may_read_the_one_secret_or_parameter_and_nothing_else() {
    let template = Template::read();
    let basis = Stack { template: &template, given: &[] }.allowed_to("ForwarderRole");
    let extra = |given: &[(&str, &str)]| -> Vec<String> {
        let allowed = Stack { template: &template, given }.allowed_to("ForwarderRole");
        assert!(allowed.is_superset(&basis));
        allowed.difference(&basis).cloned().collect()
    };
    let here = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";
    let there = "arn:aws-cn:secretsmanager:cn-north-1:999999999999:secret:team/token-Ab12Cd";
    for (secret, arn) in [
        ("token", format!("{here}token-??????")),
        ("team/token", format!("{here}team/token-??????")),
        ("team/token#bearer", format!("{here}team/token-??????")),
        (there, there.to_owned()),
        (&format!("{there}#bearer"), there.to_owned()),
    ] {
        let found = extra(&[("PerseusTokenSecret", secret)]);
        assert_eq!(found, [format!("secretsmanager:GetSecretValue on {arn}")]);
    }
    let here = "arn:aws:ssm:eu-west-1:123456789012:parameter/";
    let there = "arn:aws:ssm:us-east-1:999999999999:parameter/team/token";
    for (parameter, arn) in [
        ("token", format!("{here}token")),
        ("/team/token", format!("{here}team/token")),
        (there, there.to_owned()),
    ] {
        let found = extra(&[("PerseusTokenParameter", parameter)]);
        assert_eq!(found, [format!("ssm:GetParameter on {arn}")]);
    }
    let key = "arn:aws:kms:eu-west-1:123456789012:key/k";
    let found = extra(&[("PerseusTokenParameter", "token"), ("PerseusTokenKey", key)]);
    assert_eq!(found, [format!("kms:Decrypt on {key}"), format!("ssm:GetParameter on {here}token")]);
    assert_eq!(extra(&[("PerseusTokenKey", key)]), [""; 0], "a key without a token");
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
    assert_eq!(rule("AlarmsNotifyOnePlace"), one_of("AlarmTopicArn", "AlarmEmail"));
    assert_eq!(rule("TicketsNotifyOnePlace"), one_of("TicketTopicArn", "TicketEmail"));
    let (condition, assertion) = rule("MetricsNeedTheLevelInfo");
    assert_eq!(condition, yaml("!Equals [!Ref Metrics, 'on']"));
    assert_eq!(assertion, yaml("Fn::Contains: [[DEBUG, INFO], !Ref ApplicationLogLevel]"));
}

/// The alarms of a stack, by the name that the run-book has them under.
fn alarms(template: &Template, given: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let stack = Stack { template, given };
    let kinds = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"];
    let alarms = kinds.iter().flat_map(|kind| stack.resources(kind));
    let name = |alarm: &Value| text(&alarm["AlarmName"]).strip_prefix("stack-").expect("a name").to_owned();
    alarms.map(|(_, alarm)| (name(&alarm), alarm)).collect()
}

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

#[test]
fn the_dashboard_shows_metrics_and_alarms_that_exist() {
    let template = Template::read();
    for (given, shown) in [
        (&[][..], 18),
        (&[("Metrics", "off")][..], 13),
        (&[("CircuitBreaker", "false")][..], 16),
        (&[("Alarms", "false")][..], 0),
        (&[("FifoQueue", "true"), ("AlarmHeadroom", "1000"), EXISTING][..], 18),
        (&[("MinimumPollers", "2")][..], 18),
    ] {
        let stack = Stack { template: &template, given };
        let dashboards = stack.resources("AWS::CloudWatch::Dashboard");
        let body: serde_json::Value =
            serde_json::from_str(&text(&dashboards[0].1["DashboardBody"])).expect("JSON");
        let mut page = Page::default();
        body["widgets"].as_array().expect("widgets").iter().for_each(|widget| page.read(widget));
        let made = alarms(&template, given).len();
        assert_eq!((page.alarms.len(), made), (shown, shown), "{given:?}");
        // `Received` is the sum of four that are, `DeadLettered` a part of one.
        let mut hidden = vec!["DeadLettered", "Received"];
        if given.contains(&("CircuitBreaker", "false")) {
            hidden.push("BreakerPaused");
        }
        let hidden: BTreeSet<_> = hidden.into_iter().map(str::to_owned).collect();
        let all: BTreeSet<_> = METRICS.into_iter().map(str::to_owned).collect();
        assert_eq!(all.difference(&page.metrics).cloned().collect::<BTreeSet<_>>(), hidden, "{given:?}");
    }
    let without = [("Dashboard", "false")];
    let stack = Stack { template: &template, given: &without };
    assert!(stack.resources("AWS::CloudWatch::Dashboard").is_empty());
}

/// What a dashboard shows.
#[derive(Default)]
struct Page {
    cells: BTreeSet<(u64, u64)>,
    metrics: BTreeSet<String>,
    alarms: BTreeSet<String>,
}

impl Page {
    fn read(&mut self, widget: &serde_json::Value) {
        self.place(widget);
        let properties = &widget["properties"];
        let list = |name: &str| properties[name].as_array().expect("a list");
        match widget["type"].as_str().expect("a type") {
            "metric" => list("metrics").iter().for_each(|metric| self.metric(metric)),
            "alarm" => self.alarms.extend(list("alarms").iter().map(ToString::to_string)),
            "log" => {
                let query = properties["query"].as_str().expect("a query");
                let known =
                    ["SOURCE 'ForwarderLogs' | filter level ", "SOURCE 'ProberLogs' | filter message = "];
                assert!(known.iter().any(|known| query.starts_with(known)), "{query}");
            }
            "text" => {}
            other => panic!("a widget of type {other}"),
        }
    }

    fn place(&mut self, widget: &serde_json::Value) {
        let side = |name: &str| widget[name].as_u64().expect("a number");
        assert!(side("x") + side("width") <= 24, "a dashboard has 24 columns");
        for column in side("x")..side("x") + side("width") {
            for row in side("y")..side("y") + side("height") {
                assert!(self.cells.insert((column, row)), "widgets overlap: {widget}");
            }
        }
    }

    fn metric(&mut self, metric: &serde_json::Value) {
        let part = |place: usize| metric[place].as_str().unwrap_or_default();
        match part(0) {
            "PerseusForwarder" => {
                assert!(METRICS.contains(&part(1)), "{metric}");
                let function = if part(1) == "BreakerPaused" { "Prober" } else { "Forwarder" };
                assert_eq!((part(2), part(3)), ("FunctionName", function));
                self.metrics.insert(part(1).to_owned());
            }
            "AWS/Lambda" => {
                assert_eq!(part(2), "FunctionName");
                assert!(["Forwarder", "Prober"].contains(&part(3)), "{metric}");
            }
            "AWS/SQS" => assert_eq!(part(2), "QueueName"),
            other => assert_eq!((other, part(1)), ("PerseusForwarder/stack", "Timeouts")),
        }
    }
}

#[test]
fn messages_stay_hidden_for_six_timeouts_and_the_window() {
    let template = Template::read();
    let visibility = template.visibility();
    for (timeout, window, seconds) in &visibility {
        assert_eq!(*seconds, 6 * timeout + window, "FunctionTimeout {timeout}, BatchingWindow {window}");
        assert!(*seconds <= 43_200, "SQS hides a message for 12 hours at most");
    }

    let timeouts = template.allowed("FunctionTimeout");
    let windows = template.allowed("BatchingWindow");
    let combinations =
        timeouts.iter().flat_map(|timeout| windows.iter().map(move |window| (*timeout, *window)));
    let listed = visibility.iter().map(|(timeout, window, _)| (*timeout, *window));
    assert_eq!(listed.collect::<Vec<_>>(), combinations.collect::<Vec<_>>(), "an entry for each combination");
    assert!(windows.contains(&0), "FIFO queues have no window");
}

#[test]
fn the_visibility_timeout_is_looked_up_with_what_the_function_and_lambda_really_use() {
    let template = Template::read();
    let expected = "!If
        - IsFifo
        - !FindInMap [VisibilityTimeout, !Ref FunctionTimeout, '0']
        - !FindInMap [VisibilityTimeout, !Ref FunctionTimeout, !Ref BatchingWindow]";
    assert_eq!(*template.property("Queue", "VisibilityTimeout"), yaml(expected));
    assert_eq!(*template.property("Forwarder", "Timeout"), yaml("!Ref FunctionTimeout"));
    let window = template.mapping("MaximumBatchingWindowInSeconds");
    assert_eq!(*window, yaml("!If [IsFifo, !Ref AWS::NoValue, !Ref BatchingWindow]"));
}

#[test]
fn batches_stay_within_lambdas_limits() {
    let template = Template::read();
    let size = template.pattern("BatchSize");
    assert!(["1", "10", "9999", "10000"].into_iter().all(&size));
    assert!(!["0", "01", "10001", "99999", "1.5", ""].into_iter().any(size));
    assert_ne!(template.parameter("BatchingWindow")["Default"], "0", "which the default BatchSize needs");

    let up_to_ten: Vec<_> = (1..=10).map(|size| size.to_string()).collect();
    // On a standard queue more than ten messages need a window ...
    let rule = template.at(&["Rules", "LargeBatchesNeedAWindow"]);
    let expected = "!And [!Equals [!Ref FifoQueue, 'false'], !Equals [!Ref BatchingWindow, '0']]";
    assert_eq!(rule["RuleCondition"], yaml(expected));
    let expected = format!("Fn::Contains: [{up_to_ten:?}, !Ref BatchSize]");
    assert_eq!(rule["Assertions"][0]["Assert"], yaml(&expected));
    // ... and on a FIFO queue there never are more than ten.
    assert_eq!(*template.mapping("BatchSize"), yaml("!If [IsBatchTooLargeForFifo, 10, !Ref BatchSize]"));
    let expected = "!And [!Condition IsFifo, !Not [!Condition IsSmallBatch]]";
    assert_eq!(*template.at(&["Conditions", "IsBatchTooLargeForFifo"]), yaml(expected));
    let sizes: Vec<_> = up_to_ten.iter().map(|size| format!("!Equals [!Ref BatchSize, '{size}']")).collect();
    assert_eq!(*template.at(&["Conditions", "IsSmallBatch"]), yaml(&format!("!Or [{}]", sizes.join(", "))));
}

#[test]
fn only_what_was_not_acknowledged_returns_to_the_queue() {
    assert_eq!(*Template::read().mapping("FunctionResponseTypes"), yaml("[ReportBatchItemFailures]"));
}

#[test]
fn dead_letters_are_kept_for_14_days_and_longer_than_the_queue_keeps_messages() {
    let template = Template::read();
    let kept = number(template.property("DeadLetterQueue", "MessageRetentionPeriod"));
    assert_eq!(kept, 14 * 24 * 60 * 60);
    assert!(number(&template.parameter("MessageRetention")["MaxValue"]) < kept);

    let redrive = template.property("Queue", "RedrivePolicy");
    assert_eq!(redrive["deadLetterTargetArn"], yaml("!GetAtt DeadLetterQueue.Arn"));
    assert_eq!(redrive["maxReceiveCount"], yaml("!Ref MaxReceiveCount"));
    assert!(number(&template.parameter("MaxReceiveCount")["MinValue"]) >= 5);
}

#[test]
fn only_this_queue_may_send_dead_letters() {
    let template = Template::read();
    // The ARN is spelt out, so its last part must be the queue's name.
    let name = template.property("Queue", "QueueName");
    assert_eq!(*name, yaml("!Sub ['${AWS::StackName}${Suffix}', {Suffix: !If [IsFifo, .fifo, '']}]"));
    let expected = "
        redrivePermission: byQueue
        sourceQueueArns:
          - !Sub
            - arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}${Suffix}
            - {Suffix: !If [IsFifo, .fifo, '']}";
    assert_eq!(*template.property("DeadLetterQueue", "RedriveAllowPolicy"), yaml(expected));
}

#[test]
fn queues_outlive_the_stack_are_encrypted_and_refuse_plain_connections() {
    let template = Template::read();
    for (queue, policy) in [("Queue", "QueuePolicy"), ("DeadLetterQueue", "DeadLetterQueuePolicy")] {
        let resource = template.at(&["Resources", queue]);
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{queue}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{queue}");
        for (given, own, by_sqs) in
            [(&[][..], None, Some(true.into())), (&[("KmsKeyArn", "arn:k")], Some("arn:k".into()), None)]
        {
            let stack = Stack { template: &template, given };
            assert_eq!(stack.resolve(template.property(queue, "SqsManagedSseEnabled")), by_sqs, "{queue}");
            assert_eq!(stack.resolve(template.property(queue, "KmsMasterKeyId")), own, "{queue}");
        }

        assert_eq!(resource["Condition"], "MakesQueue", "{queue}");
        assert_eq!(template.at(&["Resources", policy])["Condition"], "MakesQueue", "{policy}");
        assert_eq!(*template.property(policy, "Queues"), yaml(&format!("[!Ref {queue}]")), "{queue}");
        let expected = format!(
            "Sid: DenyWithoutTls
Effect: Deny
Principal: '*'
Action: sqs:*
Resource: !GetAtt {queue}.Arn
Condition: {{Bool: {{aws:SecureTransport: 'false'}}}}"
        );
        assert_eq!(template.property(policy, "PolicyDocument")["Statement"][0], yaml(&expected), "{queue}");
    }
}

#[test]
fn rejected_records_go_to_the_dead_letter_queue_only_if_that_is_asked_for() {
    let template = Template::read();
    let url = |given: &[(&str, &str)]| {
        Stack { template: &template, given }.resolve(template.environment()["REJECTED_QUEUE_URL"])
    };
    let sends = ("RejectedToDeadLetters", "true");
    assert_eq!(url(&[]), None);
    assert_eq!(url(&[sends]), Some("DeadLetterQueue".into()));
    assert_eq!(url(&[sends, EXISTING]), Some("ExistingQueue.DeadLetterQueueUrl".into()));
    assert_eq!(
        *template.at(&["Conditions", "SendsRejected"]),
        yaml("!Equals [!Ref RejectedToDeadLetters, 'true']")
    );
    assert_eq!(template.parameter("RejectedToDeadLetters")["Default"], "false");
}

#[test]
fn a_visibility_timeout_leaves_time_for_the_way_from_the_receipt_to_the_function() {
    let longest = Template::read().visibility().into_iter().map(|(_, _, seconds)| seconds).max();
    assert!(LONGEST.as_secs() + longest.expect("an entry") <= 43_200);
}

#[test]
fn the_function_may_consume_its_queue_write_its_logs_and_what_it_is_told_to_do_and_nothing_else() {
    let template = Template::read();
    assert_eq!(*template.property("Forwarder", "Role"), yaml("!GetAtt ForwarderRole.Arn"));
    // SAM adds policies to a role of its own making alone, and this one has no managed policies.
    assert!(template.at(&["Resources", "Forwarder", "Properties"]).get("Policies").is_none());
    let role = template.at(&["Resources", "ForwarderRole", "Properties"]);
    assert!(role.get("ManagedPolicyArns").is_none());

    let queue = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"];
    let always: BTreeSet<_> = queue
        .map(|action| format!("{action} on Queue.Arn"))
        .into_iter()
        .chain(logs.map(|action| format!("{action} on ForwarderLogs.Arn")))
        .collect();
    let extra = |given: &[(&str, &str)]| -> Vec<String> {
        Stack { template: &template, given }
            .allowed_to("ForwarderRole")
            .difference(&always)
            .cloned()
            .collect()
    };
    let off = [("SqsVisibility", "off"), ("CircuitBreaker", "false")];
    let with = |given: &[(&'static str, &'static str)]| extra(&[&off[..], given].concat());
    assert_eq!(with(&[]), [""; 0]);
    assert_eq!(extra(&off[1..]), ["sqs:ChangeMessageVisibility on Queue.Arn"]);
    assert_eq!(with(&[("RejectedToDeadLetters", "true")]), ["sqs:SendMessage on DeadLetterQueue.Arn"]);
    let traces = ["xray:PutTelemetryRecords on *", "xray:PutTraceSegments on *"];
    assert_eq!(with(&[("Tracing", "Active")]), traces);
    let key = ["kms:Decrypt on arn:k", "kms:GenerateDataKey on arn:k"];
    assert_eq!(with(&[("KmsKeyArn", "arn:k")]), key);
    let pause = [
        "lambda:ListEventSourceMappings on *",
        "lambda:ListTags on ForwarderMessages.EventSourceMappingArn",
        "lambda:TagResource on ForwarderMessages.EventSourceMappingArn",
        "lambda:UpdateEventSourceMapping on ForwarderMessages.EventSourceMappingArn",
    ];
    assert_eq!(extra(&off[..1]), pause);
    assert_eq!(
        *template.at(&["Conditions", "ControlsVisibility"]),
        yaml("!Equals [!Ref SqsVisibility, 'on']")
    );
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

#[test]
fn whoever_may_send_is_named_in_the_queues_policy() {
    let template = Template::read();
    let statements = |given: &[(&str, &str)]| {
        let policy = template.property("QueuePolicy", "PolicyDocument");
        let policy = Stack { template: &template, given }.resolve(policy).expect("a policy");
        policy["Statement"].as_sequence().expect("a list")[1..].to_vec()
    };
    assert!(statements(&[]).is_empty());
    let accounts = statements(&[("ProducerAccounts", "123456789012,210987654321")]);
    let expected = "
        - Sid: AllowAccounts
          Effect: Allow
          Principal: {AWS: ['123456789012', '210987654321']}
          Action: [sqs:SendMessage, sqs:GetQueueUrl, sqs:GetQueueAttributes]
          Resource: Queue.Arn";
    assert_eq!(Value::Sequence(accounts), yaml(expected));
    let arns = statements(&[("ProducerArns", "arn:aws:sns:r:1:t,arn:aws:events:r:1:rule/*")]);
    let expected = "
        - Sid: AllowTopicsAndRules
          Effect: Allow
          Principal: {Service: [sns.amazonaws.com, events.amazonaws.com]}
          Action: sqs:SendMessage
          Resource: Queue.Arn
          Condition: {ArnLike: {'aws:SourceArn': ['arn:aws:sns:r:1:t', 'arn:aws:events:r:1:rule/*']}}";
    assert_eq!(Value::Sequence(arns), yaml(expected));
    let accounts = template.pattern("ProducerAccounts");
    assert!(accounts("123456789012") && accounts("123456789012,210987654321"));
    assert!(!accounts("*") && !accounts("123456789012,*") && !accounts("12345678901"));
    let arns = template.pattern("ProducerArns");
    assert!(arns(
        "arn:aws:sns:eu-west-1:123456789012:orders,arn:aws-cn:events:cn-north-1:123456789012:rule/a/*"
    ));
    assert!(!arns("*") && !arns("arn:aws:s3:::bucket") && !arns("arn:aws:sns:eu-west-1:1:a, b"));
}

#[test]
fn a_queue_of_ones_own_takes_the_place_of_both_queues() {
    let template = Template::read();
    let made = |given: &[(&str, &str)]| {
        let stack = Stack { template: &template, given };
        ["AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Custom::ExistingQueue", "AWS::Lambda::Function"]
            .map(|kind| stack.resources(kind).len())
    };
    assert_eq!(made(&[]), [2, 2, 0, 0]);
    assert_eq!(made(&[EXISTING]), [0, 0, 1, 1]);

    let given = [EXISTING, ("RejectedToDeadLetters", "true")];
    let stack = Stack { template: &template, given: &given };
    // From the check, so that nothing is received before it has passed.
    assert_eq!(stack.resolve(template.mapping("EventSourceArn")), Some("ExistingQueue.Arn".into()));
    let allowed = stack.allowed_to("ForwarderRole");
    let queue = ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage"];
    for action in queue {
        assert!(allowed.contains(&format!("sqs:{action} on ExistingQueue.Arn")), "{action}");
    }
    assert!(allowed.contains("sqs:SendMessage on ExistingQueue.DeadLetterQueueArn"));
    assert!(allowed.iter().all(|allowed| !allowed.contains(" Queue.") && !allowed.contains(" DeadLetter")));

    // It is asked for what the template would have made.
    let wanted = template.property("ExistingQueue", "VisibilityTimeout");
    assert_eq!(wanted, template.property("Queue", "VisibilityTimeout"));
    assert_eq!(*template.property("ExistingQueue", "Queue"), yaml("!Ref ExistingQueueArn"));
    assert_eq!(*template.property("ExistingQueue", "IsFifo"), yaml("!Ref FifoQueue"));
    let rule = template.at(&["Rules", "AnExistingQueueHasItsOwnPolicy"]);
    assert_eq!(rule["RuleCondition"], yaml("!Not [!Equals [!Ref ExistingQueueArn, '']]"));
    let nobody = "!And [!Equals [!Ref ProducerAccounts, ''], !Equals [!Ref ProducerArns, '']]";
    assert_eq!(rule["Assertions"][0]["Assert"], yaml(nobody));
}

#[test]
fn pollers_replace_the_maximum_concurrency() {
    let template = Template::read();
    let scaling = |given: &[(&str, &str)]| {
        let stack = Stack { template: &template, given };
        ["ScalingConfig", "ProvisionedPollerConfig"].map(|name| stack.resolve(template.mapping(name)))
    };
    assert_eq!(scaling(&[]), [Some(yaml("MaximumConcurrency: '10'")), None]);
    let pollers = [("MinimumPollers", "3"), ("MaximumPollers", "7")];
    assert_eq!(scaling(&pollers), [None, Some(yaml("{MinimumPollers: '3', MaximumPollers: '7'}"))]);
    let accepts = template.pattern("MinimumPollers");
    assert!(["0", "2", "200"].into_iter().all(&accepts) && !["1", "201", "02"].into_iter().any(accepts));
}

#[test]
fn a_filter_is_given_to_lambda_and_excludes_the_breaker() {
    let template = Template::read();
    let filter = |given: &[(&str, &str)]| {
        Stack { template: &template, given }.resolve(template.mapping("FilterCriteria"))
    };
    assert_eq!(filter(&[]), None);
    assert_eq!(filter(&[("FilterCriteria", "{}")]), Some(yaml("Filters: [{Pattern: '{}'}]")));
    let said = text(&template.parameter("FilterCriteria")["Description"]);
    assert!(said.starts_with("Careful: Lambda DELETES each message that does not match"), "{said}");
    let rule = template.at(&["Rules", "ABreakerNeedsAllMessages"]);
    assert_eq!(rule["RuleCondition"], yaml("!Not [!Equals [!Ref FilterCriteria, '']]"));
    assert_eq!(rule["Assertions"][0]["Assert"], yaml("!Equals [!Ref CircuitBreaker, 'false']"));
}

#[test]
fn each_role_has_the_path_and_the_boundary_that_were_given() {
    let template = Template::read();
    let given = [EXISTING, ("RolePath", "/p/"), ("PermissionsBoundaryArn", "arn:b")];
    let roles = Stack { template: &template, given: &given }.resources("AWS::IAM::Role");
    assert!(roles.len() >= 3);
    for (name, role) in roles {
        assert_eq!((&role["Path"], &role["PermissionsBoundary"]), (&"/p/".into(), &"arn:b".into()), "{name}");
    }
    for (name, role) in (Stack { template: &template, given: &[] }).resources("AWS::IAM::Role") {
        assert_eq!((&role["Path"], role.get("PermissionsBoundary")), (&"/".into(), None), "{name}");
    }
}

#[test]
fn both_functions_run_in_the_subnets_and_their_own_code_may_not_touch_the_network() {
    let template = Template::read();
    let vpc =
        |given: &[(&str, &str)]| Stack { template: &template, given }.resolve(template.shared("VpcConfig"));
    assert_eq!(vpc(&[]), None);
    let given = [("SubnetIds", "subnet-1,subnet-2"), ("SecurityGroupIds", "sg-1")];
    let expected = "{SubnetIds: [subnet-1, subnet-2], SecurityGroupIds: [sg-1]}";
    assert_eq!(vpc(&given), Some(yaml(expected)));
    for role in ["ForwarderRole", "ProberRole"] {
        let stack = Stack { template: &template, given: &given };
        let policies = stack.resolve(template.property(role, "Policies")).expect("policies");
        let policies = policies.as_sequence().expect("a list").clone();
        let joins = policies.iter().find(|policy| policy["PolicyName"] == "JoinSubnets").expect("a policy");
        let [allow, deny] = [0, 1].map(|place| &joins["PolicyDocument"]["Statement"][place]);
        assert_eq!((&allow["Effect"], &deny["Effect"]), (&"Allow".into(), &"Deny".into()), "{role}");
        assert_eq!(allow["Action"], deny["Action"], "{role}");
        let own = "arn:aws:lambda:eu-west-1:123456789012:function:stack*";
        assert_eq!(deny["Condition"]["ArnLike"]["lambda:SourceFunctionArn"], own, "{role}");
    }
    let rule = template.at(&["Rules", "SubnetsNeedGroups"]);
    let both = "!And [!Not [!Equals [!Ref SubnetIds, '']], !Not [!Equals [!Ref SecurityGroupIds, '']]]";
    assert_eq!(rule["Assertions"][0]["Assert"], yaml(both));
}

#[test]
fn the_key_encrypts_logs_and_variables_too() {
    let template = Template::read();
    let given = [EXISTING, ("KmsKeyArn", "arn:k")];
    let stack = Stack { template: &template, given: &given };
    let logs = stack.resources("AWS::Logs::LogGroup");
    assert_eq!(logs.len(), 3);
    assert!(logs.iter().all(|(_, group)| group["KmsKeyId"] == "arn:k"));
    assert_eq!(stack.resolve(template.shared("KmsKeyArn")), Some("arn:k".into()));
    for (_, group) in (Stack { template: &template, given: &[] }).resources("AWS::Logs::LogGroup") {
        assert!(group.get("KmsKeyId").is_none());
    }
}

#[test]
fn the_breaker_is_there_unless_it_or_delivery_is_off() {
    let template = Template::read();
    let breaker = |given: &[(&str, &str)]| {
        let stack = Stack { template: &template, given };
        let functions = stack.resources("AWS::Serverless::Function").len();
        let policies = stack.resources("AWS::IAM::RolePolicy").len();
        let switch = stack.resolve(template.environment()["CIRCUIT_BREAKER"]).expect("a value");
        (functions, policies, text(&switch))
    };
    assert_eq!(breaker(&[]), (2, 1, "on".to_owned()));
    assert_eq!(breaker(&[("CircuitBreaker", "false")]), (1, 0, "off".to_owned()));
    // An operator's pause is nobody else's to end.
    assert_eq!(breaker(&[("DeliveryEnabled", "false")]), (1, 0, "off".to_owned()));
}

#[test]
fn the_prober_is_the_forwarders_binary_and_looks_after_its_mapping_and_queue() {
    let template = Template::read();
    let metadata = |function| template.at(&["Resources", function, "Metadata"]).clone();
    assert_eq!(metadata("Prober"), metadata("Forwarder"));
    assert_eq!(*template.property("Prober", "Handler"), "prober");
    assert!(number(template.property("Prober", "Timeout")) < 60, "a run ends before the next one begins");
    let schedule = &template.property("Prober", "Events")["EachMinute"]["Properties"]["Schedule"];
    assert_eq!(*schedule, "rate(1 minute)");
    let queue = |given: &[(&str, &str)]| {
        let variables = template.environment_of("Prober");
        let stack = Stack { template: &template, given };
        ["PROBE_MAPPING", "PROBE_QUEUE_URL"].map(|name| stack.text(variables[name]))
    };
    assert_eq!(queue(&[]), ["ForwarderMessages", "Queue"]);
    assert_eq!(queue(&[EXISTING]), ["ForwarderMessages", "ExistingQueue.Url"]);
}

#[test]
fn the_prober_may_resume_the_mapping_try_messages_and_read_the_token_and_nothing_else() {
    let template = Template::read();
    let allowed = |given: &[(&str, &str)]| -> Vec<String> {
        Stack { template: &template, given }.allowed_to("ProberRole").into_iter().collect()
    };
    let expected = [
        "lambda:GetEventSourceMapping on ForwarderMessages.EventSourceMappingArn",
        "lambda:ListTags on ForwarderMessages.EventSourceMappingArn",
        "lambda:TagResource on ForwarderMessages.EventSourceMappingArn",
        "lambda:UntagResource on ForwarderMessages.EventSourceMappingArn",
        "lambda:UpdateEventSourceMapping on ForwarderMessages.EventSourceMappingArn",
        "logs:CreateLogStream on ProberLogs.Arn",
        "logs:PutLogEvents on ProberLogs.Arn",
        "sqs:ChangeMessageVisibility on Queue.Arn",
        "sqs:DeleteMessage on Queue.Arn",
        "sqs:GetQueueAttributes on Queue.Arn",
        "sqs:ReceiveMessage on Queue.Arn",
    ];
    assert_eq!(allowed(&[]), expected);
    // It reads the token, and has the key, as the forwarder does.
    let given = [
        ("PerseusTokenSecret", "token"),
        ("PerseusTokenKey", "arn:t"),
        ("KmsKeyArn", "arn:k"),
        ("Tracing", "Active"),
    ];
    let more = |role| {
        let stack = |given| Stack { template: &template, given }.allowed_to(role);
        stack(&given).difference(&stack(&[])).cloned().collect::<Vec<_>>()
    };
    assert_eq!(more("ProberRole"), more("ForwarderRole"));
    assert_eq!(more("ProberRole").len(), 6);
}

#[test]
fn nobody_may_set_another_tag_than_the_breakers_mark() {
    let template = Template::read();
    let stack = Stack { template: &template, given: &[] };
    let pause = stack.resources("AWS::IAM::RolePolicy").remove(0).1;
    let resume = stack.resolve(template.property("ProberRole", "Policies")).expect("policies")[0].clone();
    let statements = [pause, resume].map(|policy| policy["PolicyDocument"]["Statement"].clone());
    let statements = statements.iter().flat_map(|statements| statements.as_sequence().expect("a list"));
    let tags = statements.filter(|statement| {
        serde_json::to_string(&statement["Action"]).expect("JSON").contains("agResource")
    });
    let mark = "ForAllValues:StringEquals: {'aws:TagKeys': ['perseus-forwarder:paused-since', 'perseus-forwarder:paused-for']}";
    let conditions: Vec<_> = tags.map(|statement| statement["Condition"].clone()).collect();
    assert_eq!(conditions, [yaml(mark), yaml(mark)]);
}

#[test]
fn a_new_version_takes_over_step_by_step_and_goes_back_by_its_own_alarm() {
    let template = Template::read();
    assert_eq!(*template.property("Forwarder", "AutoPublishAlias"), "live");
    assert_eq!(*template.property("Forwarder", "AutoPublishAliasAllProperties"), true);
    assert_eq!(*template.mapping("FunctionName"), yaml("!Ref Forwarder.Alias"));
    // In this order: the second sees the values of parameters only if the first has put them in.
    let transforms = yaml("[AWS::LanguageExtensions, AWS::Serverless-2016-10-31]");
    assert_eq!(*template.at(&["Transform"]), transforms);

    let preference = |given: &[(&str, &str)]| {
        let preference = template.property("Forwarder", "DeploymentPreference");
        Stack { template: &template, given }.resolve(preference).expect("a preference")
    };
    let canary = "{Type: Canary10Percent5Minutes, Role: DeploymentRole.Arn, Alarms: [DeploymentAlarm]}";
    assert_eq!(preference(&[]), yaml(canary));
    let none = "{Type: AllAtOnce, Role: DeploymentRole.Arn, Alarms: []}";
    assert_eq!(preference(&[("DeploymentPreference", "AllAtOnce"), ("Alarms", "false")]), yaml(none));

    // An alarm that is on already would keep the deployment that mends it from beginning.
    let alarm = alarms(&template, &[]).remove("deployment").expect("an alarm");
    for metric in metrics_of(&alarm) {
        let dimensions = metric["Dimensions"].as_sequence().expect("dimensions");
        let version = dimensions.last().expect("a dimension");
        assert!(["ExecutedVersion", "FunctionVersion"].contains(&text(&version["Name"]).as_str()));
        assert_eq!(version["Value"], "Forwarder.Version.Version");
    }
}
