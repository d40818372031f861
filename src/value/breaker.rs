//! The settings of the circuit breaker.

use std::time::Duration;

use crate::value::aws::LambdaSettings;

/// The settings of the circuit breaker in the forwarder.
#[derive(Debug, Clone)]
pub struct BreakerSettings {
    /// How long there must have been nothing but failures before delivery is paused.
    pub after: Duration,
    /// How Lambda's API is called.
    pub lambda: LambdaSettings,
}
