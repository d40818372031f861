//! The queues, and what Lambda takes from them.

use perseus_forwarder::sqs::visibility::LONGEST;
use yaml_serde::Value;

use crate::{
    document::{Template, number, text, yaml},
    stack::{EXISTING, Stack},
};

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
fn a_visibility_timeout_leaves_time_for_the_way_from_the_receipt_to_the_function() {
    let longest = Template::read().visibility().into_iter().map(|(_, _, seconds)| seconds).max();
    assert!(LONGEST.as_secs() + longest.expect("an entry") <= 43_200);
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
