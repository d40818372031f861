//! What `template.yaml` promises, where no linter looks: that it agrees with the function, and with
//! itself wherever CloudFormation cannot compute.

use perseus_forwarder::{
    config::{Config, VARIABLES},
    visibility::LONGEST,
};
use yaml_serde::Value;

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
    fn event(&self, name: &str) -> &Value {
        self.at(&["Resources", "Forwarder", "Properties", "Events", "Messages", "Properties", name])
    }

    /// The function's environment: each variable's name and what the template sets it to.
    fn environment(&self) -> Vec<(&str, &Value)> {
        let variables = self.at(&["Resources", "Forwarder", "Properties", "Environment", "Variables"]);
        let variables = variables.as_mapping().expect("a mapping");
        variables.iter().map(|(name, value)| (name.as_str().expect("a name"), value)).collect()
    }

    /// The values a parameter may have.
    fn allowed(&self, parameter: &str) -> Vec<u64> {
        let allowed = self.parameter(parameter)["AllowedValues"].as_sequence().expect("a list");
        allowed.iter().map(number).collect()
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
    let mut set: Vec<_> = template.environment().into_iter().map(|(name, _)| name).collect();
    let mut read: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    set.sort_unstable();
    read.sort_unstable();
    assert_eq!(set, read);
}

#[test]
fn parameters_default_to_what_the_function_defaults_to() {
    let template = Template::read();
    for (name, value) in template.environment() {
        let Some(parameter) = referred(value) else {
            let others = [
                "PERSEUS_TOKEN",
                "PERSEUS_TOKEN_SECRET",
                "PERSEUS_TOKEN_PARAMETER",
                "PERSEUS_HEADERS",
                "PERSEUS_CA_CERT",
                "REJECTED_QUEUE_URL",
            ];
            assert!(others.contains(&name), "{name} is no plain reference to a parameter");
            continue;
        };
        let variable = VARIABLES.iter().find(|variable| variable.name == name).expect("a known variable");
        let default = template.parameter(parameter).get("Default").map(text);
        if name == "SQS_VISIBILITY" {
            // The one that differs, for the reasons beside it.
            assert_eq!((default.as_deref(), variable.default), (Some("on"), Some("off")));
            continue;
        }
        assert_eq!(default.as_deref(), variable.default, "{parameter}, {name}");
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
fn the_token_comes_from_secrets_manager_and_never_from_a_parameter() {
    let template = Template::read();
    let (_, token) =
        template.environment().into_iter().find(|(name, _)| *name == "PERSEUS_TOKEN").expect("is set");
    let expected = "!If
        - HasToken
        - !Sub '{{resolve:secretsmanager:${PerseusTokenSecret}}}'
        - !Ref AWS::NoValue";
    assert_eq!(*token, yaml(expected));
    assert_eq!(
        *template.at(&["Conditions", "HasToken"]),
        yaml("!Not [!Equals [!Ref PerseusTokenSecret, '']]")
    );
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
    let window = template.event("MaximumBatchingWindowInSeconds");
    assert_eq!(*window, yaml("!If [IsFifo, !Ref AWS::NoValue, !Ref BatchingWindow]"));
}

#[test]
fn batches_stay_within_lambdas_limits() {
    let template = Template::read();
    let batch = template.parameter("BatchSize");
    assert!(number(&batch["MaxValue"]) <= 10_000);
    assert!(number(&batch["Default"]) <= 10 || number(&template.parameter("BatchingWindow")["Default"]) >= 1);

    let up_to_ten: Vec<_> = (1..=10).map(|size| size.to_string()).collect();
    // On a standard queue more than ten messages need a window ...
    let rule = template.at(&["Rules", "LargeBatchesNeedAWindow"]);
    let expected = "!And [!Equals [!Ref FifoQueue, 'false'], !Equals [!Ref BatchingWindow, '0']]";
    assert_eq!(rule["RuleCondition"], yaml(expected));
    let expected = format!("Fn::Contains: [{up_to_ten:?}, !Ref BatchSize]");
    assert_eq!(rule["Assertions"][0]["Assert"], yaml(&expected));
    // ... and on a FIFO queue there never are more than ten.
    assert_eq!(*template.event("BatchSize"), yaml("!If [IsBatchTooLargeForFifo, 10, !Ref BatchSize]"));
    let expected = "!And [!Condition IsFifo, !Not [!Condition IsSmallBatch]]";
    assert_eq!(*template.at(&["Conditions", "IsBatchTooLargeForFifo"]), yaml(expected));
    let sizes: Vec<_> = up_to_ten.iter().map(|size| format!("!Equals [!Ref BatchSize, '{size}']")).collect();
    assert_eq!(*template.at(&["Conditions", "IsSmallBatch"]), yaml(&format!("!Or [{}]", sizes.join(", "))));
}

#[test]
fn only_what_was_not_acknowledged_returns_to_the_queue() {
    assert_eq!(*Template::read().event("FunctionResponseTypes"), yaml("[ReportBatchItemFailures]"));
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
        assert_eq!(*template.property(queue, "SqsManagedSseEnabled"), yaml("true"), "{queue}");

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
    let (_, url) =
        template.environment().into_iter().find(|(name, _)| *name == "REJECTED_QUEUE_URL").expect("is set");
    assert_eq!(*url, yaml("!If [SendsRejected, !Ref DeadLetterQueue, !Ref AWS::NoValue]"));
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

    let policies = role["Policies"].as_sequence().expect("a list");
    let statements: Vec<_> = policies
        .iter()
        .map(|policy| {
            let (condition, policy) = conditional(policy);
            (condition, Value::Sequence(policy["PolicyDocument"]["Statement"].as_sequence().unwrap().clone()))
        })
        .collect();
    let expected = [
        (
            None,
            "- Effect: Allow
  Action: [sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes]
  Resource: !GetAtt Queue.Arn",
        ),
        (
            Some("ControlsVisibility"),
            "- Effect: Allow
  Action: sqs:ChangeMessageVisibility
  Resource: !GetAtt Queue.Arn",
        ),
        (
            Some("SendsRejected"),
            "- Effect: Allow
  Action: sqs:SendMessage
  Resource: !GetAtt DeadLetterQueue.Arn",
        ),
        (
            None,
            "- Effect: Allow
  Action: [logs:CreateLogStream, logs:PutLogEvents]
  Resource: !GetAtt ForwarderLogs.Arn",
        ),
    ];
    assert_eq!(statements, expected.map(|(condition, statements)| (condition, yaml(statements))));
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
