//! The names of the simulated queues.

/// The queue's name: standard, FIFO.
pub(crate) const QUEUES: [&str; 2] = ["simulated", "simulated.fifo"];
/// The name of the queue that the function sends rejected messages to: standard, FIFO.
pub(crate) const DEAD_LETTER_QUEUES: [&str; 2] = ["simulated-dead-letters", "simulated-dead-letters.fifo"];
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCOUNT: &str = "123456789012";

/// What to set `REJECTED_QUEUE_URL` to.
pub(crate) fn dead_letter_queue(fifo: bool) -> String {
    let name = DEAD_LETTER_QUEUES[usize::from(fifo)];
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")
}

/// What to set `PROBE_QUEUE_URL` to.
pub(crate) fn queue_url(fifo: bool) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{}", QUEUES[usize::from(fifo)])
}
