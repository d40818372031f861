//! The servers that an environment talks to.

use crate::sqs::names::REGION;

/// The URLs of these servers.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    /// Perseus.
    pub(crate) perseus: String,
    /// SQS.
    pub(crate) sqs: String,
}

impl Endpoints {
    /// The variables with these URLs, and those that Lambda sets.
    pub(crate) fn variables(&self) -> [(&str, &str); 5] {
        [
            ("PERSEUS_URL", &self.perseus),
            ("AWS_ENDPOINT_URL_SQS", &self.sqs),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "AKIDSIMULATED"),
            ("AWS_SECRET_ACCESS_KEY", "simulated"),
        ]
    }
}
