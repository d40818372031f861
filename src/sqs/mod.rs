//! The side of SQS: calls that the function makes itself.

pub mod action;
pub mod client;
pub mod dead_letter;
pub mod queue;
pub mod reply;
pub mod sigv4;
pub mod visibility;
