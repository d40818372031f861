//! Hostile input causes no panic, and no answer that loses a record.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::HashSet, ffi::OsString, time::Duration};

use lambda_runtime::Context;
use perseus_forwarder::{
    config::Config,
    decode::{
        event::Event,
        record::{Encoded, encode},
    },
    lambda::handler::Handler,
    perseus::{
        reply::{Verdict, verdict},
        retry_after::retry_after,
    },
    value::format::BatchFormat,
};
use proptest::prelude::*;
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};

const SAMPLES: [&str; 3] = [
    include_str!("../events/attributes.json"),
    include_str!("../events/fifo-two-groups.json"),
    include_str!("../events/standard.json"),
];

/// The reported ids of an event when Perseus is not there. None if the handler refuses the event.
fn report(payload: &[u8]) -> Option<Vec<String>> {
    let config = Config::from_lookup(|name| match name {
        "PERSEUS_URL" => Some(OsString::from("http://127.0.0.1:1/")),
        "MAX_ATTEMPTS" => Some("1".into()),
        _ => None,
    });
    let handler = Handler::new(config.unwrap()).unwrap();
    let mut context = Context::default();
    context.deadline = 30_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let response = runtime.block_on(handler.handle(payload, &context)).ok()?;
    Some(response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect())
}

/// A sample event with bytes replaced, removed and doubled.
fn damaged_event() -> impl Strategy<Value = Vec<u8>> {
    let damage =
        (any::<prop::sample::Index>(), 0..4_u8, prop::sample::select(b"{}[]\",:\\u0e\xff\x00n".to_vec()));
    (prop::sample::select(&SAMPLES[..]), prop::collection::vec(damage, 1..6)).prop_map(|(sample, damages)| {
        let mut bytes = sample.as_bytes().to_vec();
        for (at, kind, byte) in damages {
            // An empty payload cannot be damaged further.
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

/// Small JSON values of every shape.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        prop::sample::select(vec!["aws:sqs", "1545082649183", "AAE=", "q.fifo", ""]).prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop::sample::select(vec![
            "a",
            "dataType",
            "stringValue",
            "binaryValue",
            "MessageGroupId",
            "SentTimestamp",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(key.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_damaged_event_is_refused_or_all_its_records_are_reported(payload in damaged_event()) {
        if let Ok(event) = Event::parse(&payload) {
            let ids: HashSet<_> = event.envelopes.iter().map(|e| e.message_id.clone().into_owned()).collect();
            prop_assert!(ids.iter().all(|id| !id.is_empty()));
            // Without Perseus nothing is acknowledged, so every record must be reported.
            let reported = report(&payload).unwrap();
            prop_assert_eq!(reported.len(), ids.len());
            prop_assert!(reported.iter().all(|id| ids.contains(id)));
        }
    }

    #[test]
    fn a_record_of_any_shape_is_unreadable_or_valid_json(
        body in json(), attributes in json(), message_attributes in json(),
        format in prop::sample::select(BatchFormat::ALL.to_vec()),
    ) {
        let event = serde_json::json!({"Records": [{
            "messageId": "m", "eventSource": "aws:sqs", "body": body,
            "attributes": attributes, "messageAttributes": message_attributes,
        }]});
        let event = event.to_string();
        let event = Event::parse(event.as_bytes()).unwrap();
        if let Ok(Encoded { wire, .. }) = encode(&event.envelopes[0], format) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&wire).is_ok());
            prop_assert!(format != BatchFormat::Ndjson || !wire.contains(&b'\n'));
        }
    }

    #[test]
    fn any_text_survives_as_a_body(body in "\\PC*|[\\x00-\\x7f]*") {
        let event = serde_json::json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body}]});
        let event = event.to_string();
        let event = Event::parse(event.as_bytes()).unwrap();
        let Encoded { wire, .. } = encode(&event.envelopes[0], BatchFormat::Array).unwrap();
        let posted: serde_json::Value = serde_json::from_slice(&wire).unwrap();
        let expected = serde_json::from_str(&body).unwrap_or(serde_json::Value::String(body));
        prop_assert_eq!(posted, expected);
    }

    #[test]
    fn no_reply_names_more_than_was_sent(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            json().prop_map(|json| format!("{{\"batchItemFailures\":{json}}}").into_bytes()),
            json().prop_map(|json| format!("{{\"batchItemFailures\":[{{\"itemIdentifier\":{json}}}]}}").into_bytes()),
        ],
        must_tell: bool,
    ) {
        if let Verdict::Refused(refused) = verdict(&body, &["a", "1545082649183"], must_tell) {
            prop_assert!(!refused.is_empty());
            prop_assert!(refused.keys().all(|id| id == "a" || id == "1545082649183"));
        }
    }

    #[test]
    fn no_retry_after_causes_a_panic(value in prop_oneof![
        "[0-9]{0,30}", "\\PC{0,40}", "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    ]) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            retry_after(
                StatusCode::SERVICE_UNAVAILABLE,
                &HeaderMap::from_iter([(RETRY_AFTER, value)]),
                std::time::UNIX_EPOCH,
            );
        }
    }

    #[test]
    fn no_configuration_causes_a_panic_or_shows_a_secret(
        values in prop::collection::vec("\\PC{0,12}|[0-9]{0,22}( ?(ms|s|KiB|MiB))?|https?://[a-z@:#?/.\\[\\]0-9]{0,20}", 38),
        visibility in "on|off|",
    ) {
        const SECRET: &str = "hunter2";
        const LAMBDA_VARIABLES: [&str; 9] = [
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_SQS",
            "AWS_ENDPOINT_URL_LAMBDA",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
        ];
        let own = perseus_forwarder::config::VARIABLES.iter().map(|variable| variable.name);
        let names: Vec<_> = own.chain(LAMBDA_VARIABLES).collect();
        prop_assert_eq!(names.len(), values.len());
        let read = Config::from_lookup(|name| {
            let at = names.iter().position(|known| *known == name)?;
            if name == "SQS_VISIBILITY" {
                return Some(visibility.clone().into());
            }
            let is_secret = matches!(
                name,
                "PERSEUS_TOKEN" | "PERSEUS_TOKEN_SECRET" | "PERSEUS_TOKEN_PARAMETER" | "PERSEUS_HEADERS"
                    | "PERSEUS_CA_CERT" | "PERSEUS_URL" | "PERSEUS_PROXY" | "PERSEUS_CLIENT_CERT" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN"
            );
            Some(if is_secret { format!("{}{SECRET}", values[at]) } else { values[at].clone() }.into())
        });
        match read {
            Ok(config) => prop_assert!(config.cutoff_reserve > Duration::ZERO),
            Err(error) => prop_assert!(!error.to_string().contains(SECRET)),
        }
    }
}
