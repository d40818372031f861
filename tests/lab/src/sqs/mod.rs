//! SQS: a model of the queue and its dead-letter queue, and the API in front of it.

pub(crate) mod api;
pub(crate) mod names;
pub(crate) mod queue;
