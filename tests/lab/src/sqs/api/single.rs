//! Parsing a call for one message, as the prober makes it. A call that SQS would refuse is an error in words.

use http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::{
    clock::Ms,
    sqs::{names::QUEUES, queue::Receipt},
};

/// SQS' limit of messages per receive.
const MOST_MESSAGES: u64 = 10;
/// SQS' longest wait of a receive, in seconds.
const LONGEST_WAIT: u64 = 20;
/// SQS' longest visibility timeout, in seconds.
const MOST_SECONDS: u64 = 43_200;

/// A valid call. A receipt is none if its handle is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SingleCall {
    /// `ReceiveMessage`
    Receive { most: usize, visibility: Option<Ms>, wait: Ms },
    /// `DeleteMessage`
    Delete { receipt: Option<Receipt> },
    /// `ChangeMessageVisibility`
    Hide { receipt: Option<Receipt>, timeout: Ms },
    /// `GetQueueAttributes`, of the redrive policy.
    RedrivePolicy,
}

/// The name of the action, as the header has it. None if the request is not in SQS' JSON protocol.
pub(super) fn action(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()?.strip_prefix("AmazonSQS.")
}

impl SingleCall {
    /// Reads a call. None if it is a call of another kind.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Option<Result<Self, String>> {
        let read = match action(headers)? {
            "ReceiveMessage" => receive,
            "DeleteMessage" => |call: &Value| Ok(Self::Delete { receipt: receipt(call)? }),
            "ChangeMessageVisibility" => |call: &Value| {
                let timeout =
                    seconds(call, "VisibilityTimeout", MOST_SECONDS)?.ok_or("no VisibilityTimeout")?;
                Ok(Self::Hide { receipt: receipt(call)?, timeout })
            },
            "GetQueueAttributes" => |call: &Value| match &call["AttributeNames"] {
                names if *names == json!(["RedrivePolicy"]) => Ok(Self::RedrivePolicy),
                names => Err(format!("the attributes {names}")),
            },
            _ => return None,
        };
        Some(json(headers, body).and_then(|call| read(&call)))
    }
}

fn json(headers: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|value| value != "application/x-amz-json-1.0") {
        return Err("another content-type than application/x-amz-json-1.0".to_owned());
    }
    let call: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let queue = call["QueueUrl"].as_str().ok_or("no QueueUrl")?.rsplit('/').next().unwrap_or_default();
    if !QUEUES.contains(&queue) {
        return Err(format!("the queue {queue}"));
    }
    Ok(call)
}

/// A receive must ask for all attributes: without them the message would not be delivered as Lambda delivers it.
fn receive(call: &Value) -> Result<SingleCall, String> {
    let all = |name: &str| call[name].as_array().is_some_and(|names| names.iter().any(|name| name == "All"));
    if !all("MessageAttributeNames") || !all("MessageSystemAttributeNames") && !all("AttributeNames") {
        return Err("a receive without all attributes".to_owned());
    }
    let most = match &call["MaxNumberOfMessages"] {
        Value::Null => 1,
        most => most.as_u64().filter(|most| (1..=MOST_MESSAGES).contains(most)).ok_or("too many messages")?,
    };
    Ok(SingleCall::Receive {
        most: usize::try_from(most).unwrap_or(1),
        visibility: seconds(call, "VisibilityTimeout", MOST_SECONDS)?,
        wait: seconds(call, "WaitTimeSeconds", LONGEST_WAIT)?.unwrap_or_default(),
    })
}

fn receipt(call: &Value) -> Result<Option<Receipt>, String> {
    Ok(Receipt::of_handle(call["ReceiptHandle"].as_str().ok_or("no receipt handle")?))
}

/// A number of seconds, in milliseconds. None if it is not there.
fn seconds(call: &Value, name: &str, most: u64) -> Result<Option<Ms>, String> {
    match &call[name] {
        Value::Null => Ok(None),
        value => {
            let seconds = value.as_u64().filter(|seconds| *seconds <= most);
            let seconds = seconds.ok_or_else(|| format!("{name} of {value}"))?;
            Ok(Some(Ms::try_from(seconds * 1_000).unwrap_or(Ms::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(action: &str, call: &Value) -> Option<Result<SingleCall, String>> {
        let header = |text: &str| text.parse::<http::HeaderValue>().expect("a value");
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, header("application/x-amz-json-1.0")),
            (http::HeaderName::from_static("x-amz-target"), header(&format!("AmazonSQS.{action}"))),
        ]);
        SingleCall::read(&headers, call.to_string().as_bytes())
    }

    fn url() -> String {
        format!("https://sqs/123456789012/{}", QUEUES[0])
    }

    #[test]
    fn each_call_for_one_message_is_read() {
        let all = ["All"];
        let receive = json!({"QueueUrl": url(), "MaxNumberOfMessages": 1, "VisibilityTimeout": 90,
            "WaitTimeSeconds": 2, "MessageAttributeNames": all, "MessageSystemAttributeNames": all});
        let expected = SingleCall::Receive { most: 1, visibility: Some(90_000), wait: 2_000 };
        assert_eq!(read("ReceiveMessage", &receive), Some(Ok(expected)));
        let receipt = Receipt { message: 3, receive: 2 };
        let mut call = json!({"QueueUrl": url(), "ReceiptHandle": receipt.handle()});
        let expected = SingleCall::Delete { receipt: Some(receipt) };
        assert_eq!(read("DeleteMessage", &call), Some(Ok(expected)));
        call["VisibilityTimeout"] = json!(0);
        let expected = SingleCall::Hide { receipt: Some(receipt), timeout: 0 };
        assert_eq!(read("ChangeMessageVisibility", &call), Some(Ok(expected)));
        let policy = json!({"QueueUrl": url(), "AttributeNames": ["RedrivePolicy"]});
        assert_eq!(read("GetQueueAttributes", &policy), Some(Ok(SingleCall::RedrivePolicy)));
        assert_eq!(read("SendMessageBatch", &call), None);
    }

    #[test]
    fn calls_that_sqs_would_refuse_are_refused() {
        let all = ["All"];
        let strange = json!({"QueueUrl": "https://sqs/123456789012/strange", "ReceiptHandle": "x"});
        for (action, call) in [
            ("ReceiveMessage", json!({"QueueUrl": url()})),
            ("ReceiveMessage", json!({"QueueUrl": url(), "MessageAttributeNames": all})),
            (
                "ReceiveMessage",
                json!({"QueueUrl": url(), "MaxNumberOfMessages": 11, "MessageAttributeNames": all,
                       "AttributeNames": all}),
            ),
            ("GetQueueAttributes", json!({"QueueUrl": url(), "AttributeNames": ["All"]})),
            ("DeleteMessage", json!({"QueueUrl": url()})),
            ("DeleteMessage", strange),
            ("ChangeMessageVisibility", json!({"QueueUrl": url(), "ReceiptHandle": "x"})),
            (
                "ChangeMessageVisibility",
                json!({"QueueUrl": url(), "ReceiptHandle": "x", "VisibilityTimeout": 43_201}),
            ),
        ] {
            assert!(read(action, &call).is_some_and(|read| read.is_err()), "{action} {call}");
        }
    }
}
