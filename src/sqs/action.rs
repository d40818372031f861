//! The calls that the function makes to SQS.

/// The most entries that SQS takes in one call.
pub const MOST_ENTRIES: usize = 10;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// That messages become visible later or sooner.
    ChangeMessageVisibilityBatch,
    /// That messages are taken.
    SendMessageBatch,
}

impl Action {
    /// The header that names it.
    pub(super) fn target(self) -> &'static str {
        match self {
            Action::ChangeMessageVisibilityBatch => "AmazonSQS.ChangeMessageVisibilityBatch",
            Action::SendMessageBatch => "AmazonSQS.SendMessageBatch",
        }
    }
}
