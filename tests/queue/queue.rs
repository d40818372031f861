//! A queue and its dead-letter queue.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_sqs::{
    Client,
    operation::send_message::{SendMessageOutput, builders::SendMessageFluentBuilder},
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
        MessageSystemAttributeName,
        QueueAttributeName::{self, *},
    },
};
use serde_json::json;

use crate::server::Server;

/// The most messages that one request to SQS takes or gives.
const PAGE: usize = 10;

/// What kind of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Standard,
    Fifo,
}

pub(crate) struct Queue {
    client: Client,
    pub(crate) url: String,
    pub(crate) dead_letter_url: String,
    pub(crate) arn: String,
}

impl Queue {
    /// Creates the queue and its dead-letter queue, to which a message goes after `max_receive_count` deliveries.
    pub(crate) async fn create(server: &Server, kind: Kind, max_receive_count: u32) -> Self {
        let client = server.client();
        let dead_letter_url = create(&client, "readings-dead", kind, &[]).await;
        let redrive = json!({
            "deadLetterTargetArn": attribute(&client, &dead_letter_url, QueueArn).await,
            "maxReceiveCount": max_receive_count,
        });
        let url = create(&client, "readings", kind, &[(RedrivePolicy, &redrive.to_string())]).await;
        let arn = attribute(&client, &url, QueueArn).await;
        Self { client, url, dead_letter_url, arn }
    }

    /// Sends the message that `describe` describes.
    pub(crate) async fn send(
        &self,
        describe: impl FnOnce(SendMessageFluentBuilder) -> SendMessageFluentBuilder,
    ) -> SendMessageOutput {
        describe(self.client.send_message().queue_url(&self.url)).send().await.unwrap()
    }

    /// Receives up to that many messages, in as many requests as it takes and without waiting: whoever calls this is
    /// the only consumer, and what is not there now will not come by itself.
    pub(crate) async fn receive(&self, most: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < most {
            let page = self.receive_page(&self.url, most - messages.len(), 0).await;
            if page.is_empty() {
                break;
            }
            messages.extend(page);
        }
        messages
    }

    /// Waits for messages that are invisible now.
    pub(crate) async fn receive_later(&self) -> Vec<Message> {
        self.receive_within(20).await
    }

    /// Waits that many seconds for messages that are invisible now.
    pub(crate) async fn receive_within(&self, seconds: i32) -> Vec<Message> {
        self.receive_page(&self.url, PAGE, seconds).await
    }

    /// Takes everything from the dead-letter queue and gives its ids.
    pub(crate) async fn take_dead_letters(&self) -> BTreeSet<String> {
        self.receive_dead_letters().await.into_iter().map(|message| message.message_id.unwrap()).collect()
    }

    /// Receives everything from the dead-letter queue.
    pub(crate) async fn receive_dead_letters(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let page = self.receive_page(&self.dead_letter_url, PAGE, 0).await;
            if page.is_empty() {
                return messages;
            }
            messages.extend(page);
        }
    }

    /// Sets the queue's own visibility timeout.
    pub(crate) async fn hide_for(&self, seconds: u32) {
        let request = self.client.set_queue_attributes().queue_url(&self.url);
        request.attributes(VisibilityTimeout, seconds.to_string()).send().await.unwrap();
    }

    pub(crate) async fn delete(&self, messages: &[&Message]) {
        for page in messages.chunks(PAGE) {
            let entries = page.iter().enumerate().map(|(place, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .set_receipt_handle(message.receipt_handle.clone())
                    .build()
                    .unwrap()
            });
            let request = self.client.delete_message_batch().queue_url(&self.url);
            let deleted = request.set_entries(Some(entries.collect())).send().await.unwrap();
            assert_eq!(deleted.failed(), []);
        }
    }

    /// Ends the messages' visibility timeout after `seconds`; with 0 nobody has to wait for it.
    pub(crate) async fn make_visible_in(&self, seconds: i32, messages: &[&Message]) {
        for page in messages.chunks(PAGE) {
            let entries = page.iter().enumerate().map(|(place, message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(place.to_string())
                    .set_receipt_handle(message.receipt_handle.clone())
                    .visibility_timeout(seconds)
                    .build()
                    .unwrap()
            });
            let request = self.client.change_message_visibility_batch().queue_url(&self.url);
            let changed = request.set_entries(Some(entries.collect())).send().await.unwrap();
            assert_eq!(changed.failed(), []);
        }
    }

    /// Waits until no message is invisible any more, for that many seconds at most.
    pub(crate) async fn wait_until_visible(&self, seconds: u64) {
        let waiting = async {
            while self.number_of(&[ApproximateNumberOfMessagesNotVisible]).await > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(seconds), waiting).await.expect("messages stay invisible");
    }

    /// How many messages it holds, invisible ones included.
    pub(crate) async fn depth(&self) -> usize {
        self.number_of(&[ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible]).await
    }

    async fn number_of(&self, attributes: &[QueueAttributeName]) -> usize {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let request = request.set_attribute_names(Some(attributes.to_vec()));
        let numbers = request.send().await.unwrap().attributes.unwrap();
        numbers.values().map(|number| number.parse::<usize>().unwrap()).sum()
    }

    async fn receive_page(&self, url: &str, most: usize, wait_seconds: i32) -> Vec<Message> {
        let request = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(most.min(PAGE)).unwrap())
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .wait_time_seconds(wait_seconds);
        request.send().await.unwrap().messages.unwrap_or_default()
    }
}

async fn create(client: &Client, name: &str, kind: Kind, more: &[(QueueAttributeName, &str)]) -> String {
    let mut request = match kind {
        Kind::Standard => client.create_queue().queue_name(name),
        Kind::Fifo => client.create_queue().queue_name(format!("{name}.fifo")).attributes(FifoQueue, "true"),
    };
    for (name, value) in more {
        request = request.attributes(name.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

async fn attribute(client: &Client, url: &str, name: QueueAttributeName) -> String {
    let request = client.get_queue_attributes().queue_url(url).attribute_names(name.clone());
    request.send().await.unwrap().attributes.unwrap().remove(&name).unwrap()
}
