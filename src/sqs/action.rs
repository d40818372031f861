//! The calls that the function makes to SQS.

/// The most entries that SQS accepts in one call.
pub const MOST_ENTRIES: usize = 10;

/// The kind of a batch call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Changes when messages become visible again.
    ChangeMessageVisibilityBatch,
    /// Sends messages to a queue.
    SendMessageBatch,
}

impl Action {
    /// The value of the `x-amz-target` header.
    pub(super) fn target(self) -> &'static str {
        match self {
            Action::ChangeMessageVisibilityBatch => "AmazonSQS.ChangeMessageVisibilityBatch",
            Action::SendMessageBatch => "AmazonSQS.SendMessageBatch",
        }
    }
}
