//! What the function is configured to do, as far as the invariants need it.

use crate::clock::Ms;

/// The settings that the invariants need. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// The function's timeout.
    pub timeout: Ms,
    /// `CUTOFF_RESERVE`.
    pub reserve: Ms,
    /// `REQUEST_TIMEOUT`.
    pub request_timeout: Ms,
    /// `MAX_ATTEMPTS`.
    pub max_attempts: u32,
    /// `MAX_IN_FLIGHT`.
    pub max_in_flight: u32,
    /// The most records of a request: `BATCH_MAX_RECORDS`, or the mapping's batch size if that is smaller.
    pub most_records: u32,
    /// The longest backoff and attempt together, with the reserve.
    pub patience: Ms,
    /// The most by which the prober's schedule is late.
    pub late: Ms,
    /// The most that two clocks may disagree about one moment.
    pub slack: Ms,
}
