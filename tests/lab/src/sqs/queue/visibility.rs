//! `ChangeMessageVisibility`: when a message in flight becomes visible again.

use std::cmp::Reverse;

use super::{Entry, MessageState, Queue, Receipt};
use crate::clock::Ms;

/// The longest a message can be hidden, counted from its receive.
const LONGEST: Ms = 12 * 60 * 60 * 1_000;

/// Why SQS refuses a change of visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("The input receipt handle is invalid.")]
    NoReceipt,
    #[error("The receipt handle has expired.")]
    Expired,
    #[error("The message referred to isn't in flight.")]
    NotInFlight,
    #[error("Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")]
    TooLong,
}

impl Refusal {
    /// Its name in the API.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoReceipt => "ReceiptHandleIsInvalid",
            Self::NotInFlight => "MessageNotInflight",
            Self::Expired | Self::TooLong => "InvalidParameterValue",
        }
    }
}

impl Queue {
    /// Hides a message for this long from now on; 0 makes it visible at once.
    pub(crate) fn change_visibility(
        &mut self,
        receipt: Receipt,
        timeout: Ms,
        now: Ms,
    ) -> Result<(), Refusal> {
        let message = self.messages.get_mut(receipt.message as usize).ok_or(Refusal::NoReceipt)?;
        if message.receives != receipt.receive {
            return Err(Refusal::Expired);
        }
        if message.state != MessageState::InFlight {
            return Err(Refusal::NotInFlight);
        }
        let until = now.saturating_add(timeout);
        if until - message.received > LONGEST {
            return Err(Refusal::TooLong);
        }
        message.until = until;
        self.counts.changes += 1;
        let entry = Entry { message: receipt.message, is_copy: false };
        self.hidden.push(Reverse((until, entry, receipt.receive)));
        self.release(now);
        Ok(())
    }
}
