//! The names of the simulated function and its mapping.

use crate::sqs::names::{ACCOUNT, QUEUES, REGION};

/// The mapping's UUID.
pub(crate) const MAPPING: &str = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
/// The mapping of another function.
pub(crate) const OTHER_MAPPING: &str = "91eaeb7e-c976-1234-9451-8709db01f137";

/// The tags that mark a pause of the breaker: since when, and why.
pub(crate) const PAUSED_SINCE: &str = "perseus-forwarder:paused-since";
pub(crate) const PAUSED_FOR: &str = "perseus-forwarder:paused-for";

const FUNCTION: &str = "perseus-forwarder";

/// The function's ARN.
pub(crate) fn function() -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}")
}

/// The ARN of a mapping.
pub(crate) fn mapping(uuid: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{uuid}")
}

/// The ARN of the queue: standard, FIFO.
pub(crate) fn queue(fifo: bool) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", QUEUES[usize::from(fifo)])
}
