//! What the function is configured to do, as far as the invariants need it.

use crate::clock::Ms;

/// What the function was told, times in milliseconds.
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
    /// The most records that a request has: `BATCH_MAX_RECORDS`, or an event's if these are fewer.
    pub most_records: u32,
    /// The longest that the next attempt has to wait for, and takes.
    pub patience: Ms,
    /// By how much two clocks may disagree about the same moment.
    pub slack: Ms,
}
