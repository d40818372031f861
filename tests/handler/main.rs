//! The handler and all behind it, against a Perseus in the same runtime and on paused time: whole retry
//! schedules play in milliseconds, and every duration is exact.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod answer;
mod connections;
mod dead_letter;
mod deadline;
mod events;
mod extension;
mod fifo;
mod in_flight;
mod outages;
mod overload;
mod refusals;
mod replies;
mod requests;
mod retries;
mod splits;
mod sqs;
mod strangers;
mod support;
mod tls;
mod token;
mod visibility;
