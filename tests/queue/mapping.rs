//! The event source mapping: from the queue to the function, and back what it reports.

use std::collections::BTreeSet;

use aws_sdk_sqs::types::Message;
use lab::environment::Environment;

use crate::{event::event, queue::Queue, verdict::Verdict};

/// Far more than any of the tests needs.
const MOST_INVOCATIONS: usize = 500;

/// A mapping with a batch size and no batching window.
pub(crate) struct Mapping<'a> {
    queue: &'a Queue,
    environment: &'a Environment,
    batch_size: usize,
    /// The ids of the messages deleted so far.
    pub(crate) deleted: BTreeSet<String>,
}

impl<'a> Mapping<'a> {
    pub(crate) fn new(queue: &'a Queue, environment: &'a Environment, batch_size: usize) -> Self {
        Self { queue, environment, batch_size, deleted: BTreeSet::new() }
    }

    /// Invokes the function with what is in the queue, deletes what it has dealt with, and makes visible again at
    /// once what it reports. Gives the event's ids and those it reported, both in the order of the event.
    pub(crate) async fn invoke(&mut self) -> (Vec<String>, Vec<String>) {
        let messages = self.queue.receive(self.batch_size).await;
        if messages.is_empty() {
            return Default::default();
        }
        let answer = self.environment.invoke(event(&self.queue.arn, &messages).to_string()).await.answer;
        let ids = messages.iter().map(id).collect();
        let Verdict::Return(reported) = Verdict::read(&answer, &ids) else {
            panic!("Lambda would return the whole batch {ids:?}: {answer:?}");
        };
        assert_eq!(answer.failed_ids().len(), reported.len(), "an id is reported twice");
        let (returned, deleted): (Vec<_>, Vec<_>) =
            messages.iter().partition(|message| reported.contains(id(message)));
        self.queue.delete(&deleted).await;
        self.queue.make_visible_in(0, &returned).await;
        self.deleted.extend(deleted.iter().map(|message| id(message).to_owned()));
        let owned = |message: &Message| id(message).to_owned();
        (messages.iter().map(owned).collect(), returned.into_iter().map(owned).collect())
    }

    /// Invokes the function until the queue is empty.
    pub(crate) async fn drain(&mut self) {
        for _ in 0..MOST_INVOCATIONS {
            self.invoke().await;
            if self.queue.depth().await == 0 {
                return;
            }
        }
        panic!("{} messages are left after {MOST_INVOCATIONS} invocations", self.queue.depth().await);
    }
}

fn id(message: &Message) -> &str {
    message.message_id().unwrap()
}
