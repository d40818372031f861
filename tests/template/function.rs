//! The function: what it is given, what it may do, and how a new version takes over.

use std::collections::BTreeSet;

use crate::{
    OF_THE_EXTENSION,
    document::{Template, conditional, text, yaml},
    stack::{EXISTING, Stack, alarms, metrics_of},
};

#[test]
fn the_function_is_told_where_token_and_private_key_are_and_never_what_they_are() {
    let template = Template::read();
    for function in ["Forwarder", "Prober"] {
        let variables = template.environment_of(function);
        assert!(!variables.contains_key("PERSEUS_TOKEN") && !variables.contains_key("PERSEUS_CLIENT_CERT"));
    }
    // Headers may hold keys, and a proxy's URL a password: at least no console shows them as a parameter.
    for parameter in ["PerseusHeaders", "PerseusProxy"] {
        assert_eq!(template.parameter(parameter)["NoEcho"], true, "{parameter}");
    }
    assert!(!include_str!("../../template.yaml").contains("{{resolve:secretsmanager"));
    assert!(!include_str!("../../template.yaml").contains("{{resolve:ssm-secure"));
}

#[test]
fn the_extension_is_there_exactly_if_there_is_a_token_or_a_certificate_to_fetch() {
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
    assert_eq!(layers(&[("PerseusClientCertSecret", "s")]), Some(yaml(&latest("x86"))));
    assert_eq!(layers(&[("PerseusClientCertParameter", "p")]), Some(yaml(&latest("x86"))));
    assert_eq!(layers(&[("PerseusClientCertKey", "arn:k"), ("PerseusProxy", "http://p")]), None);
    let arm = [("PerseusTokenParameter", "p"), ("Architecture", "arm64")];
    assert_eq!(layers(&arm), Some(yaml(&latest("arm64"))));
    let pinned = [("PerseusTokenSecret", "s"), ("SecretsExtensionLayerArn", "arn:x:3")];
    assert_eq!(layers(&pinned), Some(yaml("['arn:x:3']")));

    for (name, value) in template.environment() {
        if OF_THE_EXTENSION.contains(&name) {
            assert_eq!(conditional(value).0, Some("NeedsExtension"), "{name}");
        }
    }
    // docs/token.md says how long a rotation may take.
    let variables = template.environment();
    for ttl in ["SECRETS_MANAGER_TTL", "SSM_PARAMETER_STORE_TTL"] {
        assert_eq!(*conditional(variables[ttl]).1, "10");
    }
}

/// What these parameters allow a role, besides what it may do without them.
fn added(template: &Template, role: &str, given: &[(&str, &str)]) -> Vec<String> {
    let allowed = |given| Stack { template, given }.allowed_to(role);
    let (basis, allowed) = (allowed(&[]), allowed(given));
    assert!(allowed.is_superset(&basis));
    allowed.difference(&basis).cloned().collect()
}

#[test]
fn both_functions_may_read_the_one_secret_or_parameter_of_each_credential_and_nothing_else() {
    let template = Template::read();
    let here = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";
    let there = "arn:aws-cn:secretsmanager:cn-north-1:999999999999:secret:team/token-Ab12Cd";
    let secrets = [
        ("token", format!("{here}token-??????")),
        ("team/token", format!("{here}team/token-??????")),
        ("team/token#bearer", format!("{here}team/token-??????")),
        (there, there.to_owned()),
        (&format!("{there}#bearer"), there.to_owned()),
    ];
    let here = "arn:aws:ssm:eu-west-1:123456789012:parameter/";
    let there = "arn:aws:ssm:us-east-1:999999999999:parameter/team/token";
    let parameters = [
        ("token", format!("{here}token")),
        ("/team/token", format!("{here}team/token")),
        (there, there.to_owned()),
    ];
    let key = "arn:aws:kms:eu-west-1:123456789012:key/k";
    for role in ["ForwarderRole", "ProberRole"] {
        let extra = |given: &[(&str, &str)]| added(&template, role, given);
        for credential in ["Token", "ClientCert"] {
            let [in_secret, in_parameter, key_of] =
                ["Secret", "Parameter", "Key"].map(|end| format!("Perseus{credential}{end}"));
            for (secret, arn) in &secrets {
                let found = extra(&[(&in_secret, secret)]);
                assert_eq!(found, [format!("secretsmanager:GetSecretValue on {arn}")]);
            }
            for (parameter, arn) in &parameters {
                let found = extra(&[(&in_parameter, parameter)]);
                assert_eq!(found, [format!("ssm:GetParameter on {arn}")]);
            }
            let found = extra(&[(&in_parameter, "token"), (&key_of, key)]);
            assert_eq!(found, [format!("kms:Decrypt on {key}"), format!("ssm:GetParameter on {here}token")]);
            assert_eq!(extra(&[(&key_of, key)]), [""; 0], "a key without a {credential}");
        }
        let both = extra(&[("PerseusTokenParameter", "token"), ("PerseusClientCertParameter", "client")]);
        assert_eq!(both, ["client", "token"].map(|name| format!("ssm:GetParameter on {here}{name}")));
    }
}

#[test]
fn both_functions_may_invoke_what_requests_are_signed_for_and_nothing_else() {
    let template = Template::read();
    for role in ["ForwarderRole", "ProberRole"] {
        for (service, actions) in [
            ("execute-api", &["execute-api:Invoke"][..]),
            ("lambda", &["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]),
            ("vpc-lattice-svcs", &["vpc-lattice-svcs:Invoke"]),
            ("osis", &["osis:Ingest"]),
        ] {
            let given = [("PerseusSigv4", service), ("PerseusSigv4Resource", "arn:p")];
            let expected: Vec<_> = actions.iter().map(|action| format!("{action} on arn:p")).collect();
            assert_eq!(added(&template, role, &given), expected, "{role}");
        }
        let given = [("PerseusSigv4", "lambda"), ("PerseusSigv4Resource", "arn:p")];
        let policies =
            Stack { template: &template, given: &given }.resolve(template.property(role, "Policies"));
        let policies = policies.expect("policies");
        let statements = policies[0]["PolicyDocument"]["Statement"].as_sequence().expect("a list").clone();
        let invoke =
            statements.iter().find(|it| it["Action"] == "lambda:InvokeFunction").expect("a statement");
        assert_eq!(invoke["Condition"], yaml("Bool: {lambda:InvokedViaFunctionUrl: 'true'}"), "{role}");
    }
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
        let statements = policies[0]["PolicyDocument"]["Statement"].as_sequence().expect("a list").clone();
        let deny = statements.iter().position(|statement| statement["Effect"] == "Deny").expect("a denial");
        let (allow, deny) = (&statements[deny - 1], &statements[deny]);
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
