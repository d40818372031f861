//! Adaptive concurrency: how many requests may be in flight at once, in all invocations of this process together. What is
//! learnt is kept for as long as the process lives.
//!
//! The limit moves once a round, as DCTCP's window does (RFC 8257). A round without overload adds one, or doubles the
//! limit on the way back to where it was. A round with overload takes away half of the share that was overloaded: a few
//! refusals at the edge of Perseus' capacity cost little, an outage costs half. A round is as long as a request takes: it
//! ends with the first request that began in it.
//!
//! Environments cannot see each other, and may outnumber the requests that Perseus takes at once. So a limit can be less
//! than one: then one request is in flight for a share of the time, with a pause after each.
//!
//! A round without any usable reply is a failed one. After it every request of the process waits: 100 ms after the first
//! failed round, twice as long after each further one, or until a usable reply comes. The wait does not depend on how
//! fast a request failed: a server that restarts refuses connections within a millisecond, and would use up all attempts
//! before it is back.
//!
//! Enough failed rounds in a row, over at least two seconds, are an outage. Then each invocation sends a single request,
//! as a probe, and goes on only if that brings a usable reply.
//!
//! Perseus can also say how long it wants to be left alone (`Retry-After`). That holds for every request of the process,
//! until one succeeds.

mod controller;
pub(crate) mod invocation;
pub(crate) mod limit;
pub(crate) mod permit;
mod semaphore;
pub(crate) mod signal;

#[cfg(test)]
mod tests;
