//! The calls for a single message: receive it, delete it, make it visible again.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use tokio::time::timeout;

use crate::{
    aws::{
        client::{AwsClient, Call},
        failure::{CallError, Failure, PATIENCE, object, read_success},
    },
    sqs::queue::Queue,
    value::aws::SqsSettings,
};

/// How long SQS waits for a message. A call that does not wait asks only some of SQS' servers, and may miss the only one
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const WAIT: Duration = Duration::from_secs(1);

/// The longest reply that is read, in bytes. A message has at most 1 MiB, and JSON takes up to six bytes for one.
const LONGEST_REPLY: usize = 8 << 20;

/// A received message. Its body and its attributes are JSON, as SQS sent them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Message {
    pub(crate) message_id: String,
    /// What it is deleted with. It is a secret.
    pub(crate) receipt_handle: String,
    pub(crate) body: Box<RawValue>,
    pub(crate) attributes: Option<Box<RawValue>>,
    pub(crate) message_attributes: Option<BTreeMap<String, Attribute>>,
}

impl Message {
    /// How often it has been received. Zero if SQS does not tell.
    pub(crate) fn receives(&self) -> u64 {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Attributes {
            approximate_receive_count: String,
        }
        let attributes = self.attributes.as_deref().and_then(|json| serde_json::from_str(json.get()).ok());
        attributes.and_then(|a: Attributes| a.approximate_receive_count.parse().ok()).unwrap_or_default()
    }
}

/// A message attribute. SQS' API and Lambda's events spell its fields differently.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "camelCase"))]
pub(crate) struct Attribute {
    #[serde(skip_serializing_if = "Option::is_none")]
    data_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

/// Whether a call is sent again if its connection is lost.
#[derive(Clone, Copy)]
enum Repeat {
    Never,
    Once,
}

/// A queue whose messages are received one by one.
#[derive(Debug)]
pub(crate) struct SourceQueue {
    queue: Queue,
    aws: AwsClient,
}

impl SourceQueue {
    /// A client for this queue. It does not connect yet.
    pub(crate) fn new(queue: Queue, settings: &SqsSettings) -> Self {
        SourceQueue { queue, aws: AwsClient::new(settings.caller.clone()) }
    }

    /// The queue.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Receives one message, which stays hidden for `hidden`. None if there is none.
    pub(crate) async fn receive(&self, hidden: Duration) -> Result<Option<Message>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Received {
            messages: Option<Vec<Message>>,
        }
        let action = "ReceiveMessage";
        let parameters = json!({
            "QueueUrl": self.queue.url,
            "MaxNumberOfMessages": 1,
            "VisibilityTimeout": hidden.as_secs(),
            "WaitTimeSeconds": WAIT.as_secs(),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        // Not repeated: if only the reply was lost, a second call would hide a second message.
        let body = self.call(action, &parameters, Repeat::Never).await?;
        let Received { messages } = object(&body).map_err(|failure| CallError { action, failure })?;
        let message = messages.unwrap_or_default().into_iter().next();
        if message.as_ref().is_some_and(|message| !message.body.get().starts_with('"')) {
            return Err(CallError { action, failure: Failure::Unreadable });
        }
        Ok(message)
    }

    /// Deletes a message.
    pub(crate) async fn delete(&self, handle: &str) -> Result<(), CallError> {
        let parameters = json!({ "QueueUrl": self.queue.url, "ReceiptHandle": handle });
        self.call("DeleteMessage", &parameters, Repeat::Once).await.map(drop)
    }

    /// Makes a message visible at once.
    pub(crate) async fn release(&self, handle: &str) -> Result<(), CallError> {
        let parameters =
            json!({ "QueueUrl": self.queue.url, "ReceiptHandle": handle, "VisibilityTimeout": 0 });
        self.call("ChangeMessageVisibility", &parameters, Repeat::Once).await.map(drop)
    }

    /// How often a message can be received before it goes to the dead-letter queue. None if there is no such queue.
    pub(crate) async fn max_receives(&self) -> Result<Option<u64>, CallError> {
        #[derive(Deserialize)]
        struct Reply {
            #[serde(rename = "Attributes", default)]
            attributes: BTreeMap<String, String>,
        }
        let action = "GetQueueAttributes";
        let parameters = json!({ "QueueUrl": self.queue.url, "AttributeNames": ["RedrivePolicy"] });
        let body = self.call(action, &parameters, Repeat::Once).await?;
        let Reply { attributes } = object(&body).map_err(|failure| CallError { action, failure })?;
        Ok(attributes.get("RedrivePolicy").and_then(|policy| max_receives(policy)))
    }

    async fn call(
        &self,
        action: &'static str,
        parameters: &Value,
        repeat: Repeat,
    ) -> Result<Vec<u8>, CallError> {
        let target = format!("AmazonSQS.{action}");
        let call = Call {
            service: "sqs",
            region: &self.queue.region,
            method: Method::POST,
            url: self.queue.endpoint.clone(),
            headers: &[("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &target)],
            body: Bytes::from(parameters.to_string()),
        };
        let reply = async {
            let response = match repeat {
                Repeat::Never => self.aws.send_once(&call).await?,
                Repeat::Once => self.aws.send(&call).await?,
            };
            read_success(response, LONGEST_REPLY, |status| status == StatusCode::OK).await
        };
        let reply = timeout(PATIENCE, reply).await.unwrap_or(Err(Failure::Timeout));
        reply.map_err(|failure| CallError { action, failure })
    }
}

/// The number in a redrive policy. SQS writes it as a number, and accepts it as a text too.
fn max_receives(policy: &str) -> Option<u64> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let max = &policy["maxReceiveCount"];
    max.as_u64().or_else(|| max.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_receives_is_found_in_a_redrive_policy() {
        for (policy, expected) in [
            (r#"{"deadLetterTargetArn":"arn","maxReceiveCount":10}"#, Some(10)),
            (r#"{"maxReceiveCount":"5"}"#, Some(5)),
            (r#"{"maxReceiveCount":"many"}"#, None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(max_receives(policy), expected, "{policy}");
        }
    }
}
