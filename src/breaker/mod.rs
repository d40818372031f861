//! The circuit breaker: while Perseus is down, nothing is received from the queue.
//!
//! Lambda goes on receiving during an outage. Each receive is a step towards the dead-letter queue, and each failed message
//! is hidden for a while afterwards. The queue itself keeps messages at no cost, if nobody receives them. So the forwarder
//! pauses its own event source mapping, and a second function, the [prober], tries one message a minute. The
//! first that is acknowledged resumes delivery.
//!
//! An operator may have disabled the mapping too. So the breaker puts its mark on the mapping before it disables it, and
//! takes the mark off after it has enabled it. It never enables a mapping without the mark:
//!
//! | Mapping | Mark | Means | The prober |
//! |---|---|---|---|
//! | enabled | no | delivery | does nothing |
//! | disabled | yes | paused by the breaker | probes |
//! | disabled | no | paused by an operator | does nothing |
//! | enabled | yes | a crash between two steps, or a deployment that enabled it | takes the mark off |
//! | changing | | Lambda takes up to 90 s for a change | waits for the next minute |

mod lambda_api;
mod mapping;
pub(crate) mod mark;
pub(crate) mod pause;
mod probe;
pub mod prober;
mod trial;
