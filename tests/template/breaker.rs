//! The circuit breaker: the prober, and who may pause and resume.

use crate::{
    document::{Template, number, text, yaml},
    stack::{EXISTING, Stack},
};

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
