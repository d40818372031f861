//! Posts the messages of an SQS queue to Perseus, in batches, before the deadline.
//!
//! # The way of a record
//!
//! ```text
//!             payload                                              batch response
//!                │                                                        ▲
//! lambda      handler ──────────────────────────────────────────────── response
//!                │                                                        ▲
//! decode       Event ──▶ Record                                           │
//!                          │                                              │
//! batch                  Batch ──▶ Request                                │
//!                                     │                                   │
//! deliver                          attempts, retries, splits ──▶ outcome  │
//!                                     │              ▲              │     │
//! perseus                         HTTP request ──▶ reply            │     │
//!                                                                   ▼     │
//! settle                                                         ledger ──┤
//!                                                                   │     │
//! sqs                                                  dead letters, visibility
//! ```
//!
//! # Modules
//!
//! Along that way:
//!
//! - [`lambda`]: the runtime, the handler of one invocation, its answer.
//! - [`decode`]: from the payload to records. Bodies and attributes are forwarded byte for byte.
//! - [`batch`]: from records to batches, and from batches to request bodies; message groups of FIFO queues.
//! - [`deliver`]: stages, attempts, retries, splits; adaptive concurrency, latency estimate.
//! - [`perseus`]: the HTTP client, what statuses and replies mean, authentication, redaction.
//! - [`settle`]: the ledger of outcomes, and which records are reported.
//! - [`sqs`]: the calls to SQS: dead letters, visibility timeouts.
//!
//! Used by many:
//!
//! - [`aws`]: what all calls to AWS have in common: signatures, sending, failures.
//! - [`breaker`]: the circuit breaker: pauses delivery while Perseus is down, tries one message a minute, resumes.
//! - [`config`]: every setting, read from the environment once.
//! - [`deadline`]: when sending ends.
//! - [`yield_budget`]: how much work may be done before the task yields.
//! - `http`: what all HTTP clients have in common: TLS roots, no redirects, bounded reading.
//! - [`telemetry`]: logs, counters, metrics, traces.
//! - [`value`]: small types that many modules share.
//!
//! # Terms
//!
//! - **Record**: one message of the event. Its **slot** is its position in the event.
//! - **Batch**: the records of one **request**.
//! - **Attempt**: one posting of a request. A retry is a further attempt of the same request.
//! - **Split**: a batch that Perseus refuses is halved and each half is sent, until the bad records are alone.
//! - **[Outcome](settle::ledger::Outcome)**: acknowledged (Perseus has the record), rejected (Perseus will never accept it),
//!   errored (Perseus may accept it later) or unattempted (it was not sent).
//! - **Outstanding**: not acknowledged. Every record that is outstanding when the function answers returns to the queue. The
//!   only exception: a rejected record that SQS has confirmed in the [dead-letter queue](sqs::dead_letter).
//! - **Deadline**: when Lambda ends the invocation. The **reserve** lies before it. The **cutoff**, where the reserve begins, is
//!   when sending ends.
//! - **Outage**: Perseus gives no usable reply to any request. Then each invocation sends one request, the **probe**.
//! - **Pause**: the event source mapping is disabled. The circuit breaker **marks** a mapping that it pauses. Its **prober** tries
//!   one message a minute.
//! - **Permit**: the permission to have one request in flight. The concurrency limit says how many there are.

pub mod lambda;

pub mod decode;

pub mod batch;

pub mod deliver;

pub mod perseus;

pub mod settle;

pub mod sqs;

pub mod aws;
pub mod breaker;
pub mod config;
pub mod deadline;
pub(crate) mod http;
pub mod telemetry;
pub mod value;
pub mod yield_budget;

/// The version of the function.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
